/* The lock-striped hash table: bytes keys to bytes values, or to small payloads of one size.
 *
 * A key's hash names a stripe, a segment of that stripe, and a bucket of that segment:
 *
 *     stripe (a lock) ── directory ──► segment: 128 buckets of one cache line ── ref ──► entry
 *
 * A bucket holds 16 bits of hash, 8 bits of access history and a 32-bit reference for each of eight entries, so a
 * look-up touches one index line and the entry. A segment that is full is split in two (extendible hashing): that is
 * all the resizing there is, some microseconds of work, and no operation ever waits for more.
 *
 * Everything about a stripe, its statistics too, is read and written under its lock. Nothing here touches Python,
 * raises or sleeps under a lock; calls give a status. What may not live here: codecs, the clock, threads.
 *
 * Read in this order: this file, hashindex.c (look-up, placing, splitting), table.c (putting and removing), access.c
 * (the operations), eviction.c, wheel.c (expiry), bulk.c, lifetime.c; slab.c and arena.c are the memory.
 */
#ifndef STRIATE_TABLE_H
#define STRIATE_TABLE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "keyhash.h"
#include "lock.h"
#include "slab.h"

#define STRIATE_MAX_KEY_BYTES 65535
#define STRIATE_MAX_VALUE_BYTES 0xFFFFFFFFu
#define STRIATE_MAX_TAGS 255
#define STRIATE_MAX_STRIPES 1024
/* What an entry's place in the index is reckoned at; measured: 11 to 18. */
#define STRIATE_PLACE_BYTES 16

enum { /* results; those below 0 are refusals */
    STRIATE_DONE = 0,
    STRIATE_ABSENT = 1,    /* no such key, so nothing was done */
    STRIATE_PRESENT = 2,   /* there is such a key, so nothing was done */
    STRIATE_CHANGED = 3,   /* the version is not the expected one, so nothing was done */
    STRIATE_MISFIT = 4,    /* the stored value is no 64-bit decimal number, or the sum would not be one */
    STRIATE_BUSY = 5,      /* the call would have to wait, so nothing was done */
    STRIATE_NO_MEMORY = -1,
    STRIATE_NO_ROOM = -2,  /* larger than the bound, or everything else is already evicted */
    STRIATE_SHORT = -3     /* this stripe has nothing more to evict: striate_table_make_room, then again */
};

enum { /* what goes when a bound is reached: eviction.c */
    STRIATE_ADAPTIVE = 0,
    STRIATE_BY_FREQUENCY = 1,
    STRIATE_BY_RECENCY = 2
};

enum { /* entry flags */
    STRIATE_TIMED = 1,     /* a striate_timer stands behind the entry */
    STRIATE_IDLE = 2,      /* so does a striate_idle, behind the timer; only together with STRIATE_TIMED */
    STRIATE_TAGGED = 4,    /* a count of tags does, and the tags behind the value */
    STRIATE_USER_FLAGS = 0xF0 /* for the owner of the table */
};

/* 16 bytes, then [timer], [idle], [u64 tag count], key, value, [tags]. Valid only while the stripe's lock is held. */
typedef struct striate_entry {
    uint64_t version; /* grows with each change of a key, through deletions too; never 0 */
    uint32_t value_size;
    uint16_t key_size;
    uint8_t flags;
    uint8_t space; /* the namespace; part of the key */
} striate_entry;

/* Times are nanoseconds of whatever clock the caller passes as `now`, INT64_MAX is never. */
typedef struct striate_timer {
    uint32_t next, previous; /* neighbours in a list of the wheel */
    int64_t deadline;
} striate_timer;

typedef struct striate_idle {
    int64_t used;  /* the last access */
    int64_t limit; /* expires so long after it */
} striate_idle;

#define STRIATE_SLOTS 8
#define STRIATE_SEGMENT_BUCKETS 128
#define STRIATE_NEVER INT64_MAX

/* One cache line. An empty slot has ref 0. */
typedef struct striate_bucket {
    uint16_t tag[STRIATE_SLOTS];
    uint32_t ref[STRIATE_SLOTS];
    uint8_t access[STRIATE_SLOTS]; /* see eviction.h */
    uint16_t displacement;         /* two bits a slot: how many buckets behind its home the entry stands */
    uint16_t passed;               /* entries that stand further on because this bucket was full */
    uint32_t unused;
} striate_bucket;

/* Statistics of one namespace in one stripe; totals are their sums. */
typedef struct striate_counts {
    uint64_t hits, misses, insertions, updates, deletions, evictions, expirations;
    int64_t entries, bytes;
} striate_counts;

struct striate_wheel;
struct striate_table;

/* The first cache line is all that a hit reads and writes of it. */
typedef struct striate_stripe {
    striate_word_lock lock;
    uint32_t depth;      /* the directory has 2^depth entries, found by the low bits of the hash */
    uint64_t *directory; /* segment addresses, their local depth in the low six bits; NULL: nothing there yet */
    uint64_t version;
    uint32_t timed;    /* entries with a timer */
    int32_t aging_due; /* accesses until the next bucket fades */
    striate_counts *counts; /* one for each namespace */
    struct striate_table *table;
    struct striate_wheel *wheel; /* NULL until the first timer */
    striate_slab slab;
    uint8_t *sketch;
    uint32_t sketch_bits;
    int64_t spare_entries, spare_bytes; /* borrowed from the table's pool and not yet used */
    int64_t entries, bytes; /* what the bounds are about; over all namespaces */
    uint32_t segments;
    uint32_t hand_place, hand_bucket; /* eviction.c */
    uint32_t aging_place, aging_bucket;
    uint32_t aging_round;
    uint32_t *window;
    uint32_t window_start, window_count, window_capacity;
    uint16_t source; /* of the removal that comes next, as of striate_key */
} __attribute__((aligned(128))) striate_stripe;

enum { /* what happened to a key; the last three are the reasons of a removal */
    STRIATE_CREATED = 1,
    STRIATE_REPLACED = 2,
    STRIATE_PATCHED = 3,
    STRIATE_DELETED = 4,
    STRIATE_EXPIRED = 5,
    STRIATE_EVICTED = 6
};

/* A change that listeners are to be told of. */
typedef struct striate_change {
    struct striate_change *next;
    uint64_t sequence;
    int32_t kind;
    uint32_t key_size, old_size, new_size;
    uint8_t old_flags, new_flags, space;
    uint16_t source; /* of the key it was made with */
    char bytes[]; /* key, old value, new value */
} striate_change;

typedef struct striate_table {
    striate_secret secret;
    uint32_t stripe_count;
    uint32_t space_count;
    int64_t max_entries, max_bytes; /* INT64_MAX: unbounded */
    int64_t pool_entries, pool_bytes; /* atomic: not lent to any stripe */
    int64_t lend_entries, lend_bytes; /* how much a stripe borrows at once */
    int32_t bounded;
    int32_t duel; /* atomic: above 0, judge by recency; eviction.c */
    int32_t policy; /* STRIATE_ADAPTIVE, …; set before the first entry */
    int32_t timed; /* atomic: set for good by the first entry with a timer */
    int32_t room_hand; /* atomic: the stripe make_room begins at */
    /* changes.c: oldest first, under a lock that is taken inside a stripe's */
    pthread_mutex_t change_lock;
    striate_change *changes, **last_change;
    int64_t change_count, change_limit, change_lost;
    uint64_t change_sequence;
    uint32_t change_word; /* atomic, a futex: moves with each change */
    uint32_t change_waiters; /* atomic */
    int32_t reports; /* atomic: whether there are listeners */
    striate_arena arena;
    striate_stripe *stripes;
    struct striate_table *next_guarded, **guarded_from; /* fork.c: neighbours in the registry; NULL: not in it */
} striate_table;

typedef struct striate_key {
    const char *bytes;
    uint64_t hash; /* striate_table_hash */
    uint32_t size;
    uint16_t space;
    uint16_t source; /* on whose behalf, for listeners; 0: one's own */
} striate_key;

/* ---------------------------------------------------------------- the whole table */

/* stripe_count: a power of two. NULL: no memory. hash_key must be random where keys come from strangers. */
striate_table *striate_table_new(uint32_t stripe_count, const uint64_t hash_key[2], int64_t max_entries,
                                 int64_t max_bytes);
void striate_table_free(striate_table *table);
/* Drops every entry; 0, and how many there were in `*dropped`. */
int striate_table_clear(striate_table *table, int64_t *dropped);
/* A new namespace: its number from 1 on, or STRIATE_NO_MEMORY, or STRIATE_NO_ROOM beyond 255. */
int striate_table_add_space(striate_table *table);
/* Sums over all stripes; space < 0: over all namespaces. */
void striate_table_counts(striate_table *table, int space, striate_counts *total);
/* Bytes of entries, free cells and index as they were asked of the allocator. */
int64_t striate_table_memory(striate_table *table);
/* Evicts elsewhere until `bytes` and one entry are free to borrow: 0 or STRIATE_NO_ROOM. No lock may be held. */
int striate_table_make_room(striate_table *table, int64_t bytes);

static inline uint64_t striate_table_hash(const striate_table *table, const char *bytes, uint64_t size,
                                          uint32_t space) {
    return striate_hash_key(&table->secret, bytes, size, space);
}

/* ---------------------------------------------------------------- one stripe
 *
 * To change several keys as one: hash them, sort by striate_table_stripe_of, lock each stripe once in ascending order,
 * do the work with the functions below, unlock.
 */
static inline uint32_t striate_table_stripe_of(const striate_table *table, uint64_t hash) {
    return (uint32_t)(hash >> 48) & (table->stripe_count - 1);
}
static inline striate_stripe *striate_lock(striate_table *table, uint32_t stripe) {
    striate_take_lock(&table->stripes[stripe].lock);
    return &table->stripes[stripe];
}
static inline void striate_unlock(striate_stripe *stripe) {
    striate_give_lock(&stripe->lock);
}

/* Where a look-up ended. */
typedef struct striate_place {
    striate_bucket *bucket; /* NULL: nowhere */
    striate_bucket *segment;
    uint32_t slot;
} striate_place;

/* The entry, or NULL. Does not look at the timer; counts nothing. */
striate_entry *striate_stripe_find(striate_stripe *stripe, const striate_key *key, striate_place *place);
/* The entry for `key`, made or resized for `value_size` bytes, which the caller then fills: what they were is lost.
 * `place->bucket` is NULL, or what striate_stripe_find found. 0, STRIATE_NO_MEMORY, STRIATE_NO_ROOM, STRIATE_SHORT. */
int striate_stripe_put(striate_stripe *stripe, const striate_key *key, uint32_t value_size, uint8_t flags,
                       uint32_t tag_count, striate_place *place, striate_entry **entry);
/* `reason` is STRIATE_DELETED, …_EXPIRED or …_EVICTED; deletions and evictions are counted by it. */
void striate_stripe_remove(striate_stripe *stripe, striate_place place, int reason);
/* Drops up to `limit` expired entries; how many it were. With INT64_MAX all are gone afterwards; else some of the last
 * tick, 8 ms, may still stand (no operation takes them for alive). */
int64_t striate_stripe_expire(striate_stripe *stripe, int64_t now, int64_t limit);

/* A segment of a stripe at a time: calls `visit` for each entry, under the lock, in an order that splits do not
 * disturb, so that entries which stay are met exactly once. Begin with *cursor 0; it is 0 again after the last segment
 * of the last stripe. `visit` returns STRIATE_VISIT_… and must not change the table otherwise. Returns how many. */
enum { STRIATE_VISIT_KEEP = 0, STRIATE_VISIT_REMOVE = 1 };
typedef int striate_visitor(void *context, striate_stripe *stripe, striate_entry *entry);
int64_t striate_table_visit(striate_table *table, uint64_t *cursor, striate_visitor *visit, void *context);

/* ---------------------------------------------------------------- parts of an entry */

static inline striate_entry *striate_entry_at(const striate_stripe *stripe, uint32_t ref) {
    return (striate_entry *)striate_slab_cell(&stripe->slab, ref);
}
static inline striate_timer *striate_entry_timer(striate_entry *entry) {
    return (striate_timer *)(entry + 1);
}
static inline uint32_t striate_entry_ahead(uint8_t flags) {
    static const uint8_t ahead[8] = {0, 16, 16, 32, 8, 24, 24, 40}; /* of timer, idle and tag count */

    return ahead[flags & (STRIATE_TIMED | STRIATE_IDLE | STRIATE_TAGGED)];
}
static inline striate_idle *striate_entry_idle(striate_entry *entry) {
    return (striate_idle *)(striate_entry_timer(entry) + 1);
}
static inline uint64_t *striate_entry_tag_count(striate_entry *entry) {
    return (uint64_t *)((char *)(entry + 1) + striate_entry_ahead(entry->flags) - 8);
}
static inline char *striate_entry_key(striate_entry *entry) {
    return (char *)(entry + 1) + striate_entry_ahead(entry->flags);
}
static inline char *striate_entry_value(striate_entry *entry) {
    return striate_entry_key(entry) + entry->key_size;
}
/* Unaligned: eight bytes each. */
static inline char *striate_entry_tags(striate_entry *entry) {
    return striate_entry_value(entry) + entry->value_size;
}
static inline uint64_t striate_entry_bytes(striate_entry *entry) {
    uint64_t tags = entry->flags & STRIATE_TAGGED ? *striate_entry_tag_count(entry) : 0;

    return sizeof *entry + striate_entry_ahead(entry->flags) + entry->key_size + entry->value_size + 8 * tags;
}
/* When an entry with a timer expires, as things stand. */
static inline int64_t striate_entry_end(striate_entry *entry) {
    int64_t deadline = striate_entry_timer(entry)->deadline;
    striate_idle *idle = striate_entry_idle(entry);

    if (!(entry->flags & STRIATE_IDLE) || idle->limit > STRIATE_NEVER - idle->used)
        return deadline;
    return idle->used + idle->limit < deadline ? idle->used + idle->limit : deadline;
}

#endif /* STRIATE_TABLE_H */
