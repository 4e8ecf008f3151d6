/* The index of a durable table: key → offset and place of its latest record in the log.
 *
 * Two striped tables. `latest` has what the log holds, durable or not. `settling` is there at "power" durability only:
 * for keys whose latest record may not be on disk yet it has what readers see until then. That is two states before the
 * latest: the one that is on disk, and the one that the sync under way will put there. (Others before the latest never
 * become visible, because what is durable moves from the beginning of one sync to the beginning of the next.) An entry
 * is believed only while the latest record is not durable; then it is left over, and swept now and then.
 *
 * Locks: the stripes of `latest`, in ascending order of index number and stripe; inside them the log's write lock; and
 * inside all the lock of `settling`, which has one stripe. A change holds the stripe from before the record is appended
 * until the index has it, so the order of a key's records in the log is the order of its states here.
 *
 * What may not live here: the log, frames, the clock, Python.
 */
#ifndef STRIATE_KEYINDEX_H
#define STRIATE_KEYINDEX_H

#include "table.h"

enum { STRIATE_KEYINDEX_STRIPES = 16 }; /* at most 64: a set of them is one word */

/* Where a record is. The version is its offset + 1; 0: no record, and nothing else counts. The position is a hint, in
 * units of eight bytes; what stands there has to be looked at, since compaction moves records. */
typedef struct striate_spot {
    uint64_t version;
    uint32_t position;
} striate_spot;

typedef struct striate_keyindex {
    striate_table *latest;
    striate_table *settling; /* NULL at "process" durability */
    uint64_t number;         /* for the order of locks */
    uint32_t dropped;        /* no key is here any more; written under all stripes' locks, atomic */
    uint64_t changes;        /* of any key; written under a stripe's lock and the log's write lock, atomic */
    int64_t settling_count;  /* entries of `settling`, for who has no lock; atomic */
    int64_t sweep_at;        /* how many there may be; atomic */
} striate_keyindex;

/* Part of a transaction: a condition on one key, a change of it, or both. */
typedef struct striate_edit {
    striate_keyindex *index;
    striate_key key;
    striate_spot before;  /* filled in by striate_edit_check */
    uint64_t expected;    /* with STRIATE_MUST_EQUAL: a version, 0 for absent */
    int64_t deadline;     /* ns since the epoch, or STRIATE_NEVER */
    int64_t record;       /* number of its record, or -1: a condition only */
    striate_spot after;   /* of its record, once that is appended */
    uint8_t condition;    /* STRIATE_MUST_… */
    uint8_t removes;
    uint8_t alone;        /* no other change is applied with it: what the check found is still there */
    striate_place place;  /* what the check found */
} striate_edit;

enum { STRIATE_MUST_NOTHING = 0, STRIATE_MUST_BE_ABSENT = 1, STRIATE_MUST_BE_PRESENT = 2, STRIATE_MUST_EQUAL = 3 };

/* Stripes of one index that a transaction holds. */
typedef struct striate_hold {
    striate_keyindex *index;
    uint64_t stripes; /* a bit each */
} striate_hold;

/* NULL: no memory. */
striate_keyindex *striate_keyindex_new(uint64_t number, const uint64_t hash_key[2], int with_settling);
void striate_keyindex_free(striate_keyindex *index);

static inline uint64_t striate_hold_of(const striate_keyindex *index, uint64_t hash) {
    return 1ull << striate_table_stripe_of(index->latest, hash);
}
#define STRIATE_HOLD_ALL ((1ull << STRIATE_KEYINDEX_STRIPES) - 1)

/* `holds` ascend by index number. With `wait` 0: whether all were free; none is held otherwise. */
int striate_hold_lock(const striate_hold *holds, int64_t count, int wait);
void striate_hold_unlock(const striate_hold *holds, int64_t count);

/* Locks the key's stripe and gives what striate_keyindex_visible or, with `durable` NULL, …_latest does. With `wait` 0:
 * whether the lock was free. */
int striate_keyindex_seek(striate_keyindex *index, const striate_key *key, const uint64_t *durable, int64_t now,
                          int wait, striate_spot *spot);

/* The rest needs the lock of the key's stripe.
 *
 * What a transaction sees: the latest record; none where it has expired or is a deletion. */
striate_spot striate_keyindex_latest(striate_keyindex *index, const striate_key *key, int64_t now);
/* What a reader sees when records below `durable` are on disk. Expired ones too: the record itself says so. */
striate_spot striate_keyindex_visible(striate_keyindex *index, const striate_key *key, uint64_t durable);
/* Whether readers do not see the key's latest record yet; then what they see instead. */
int striate_is_settling(striate_keyindex *index, const striate_key *key, uint64_t durable, striate_spot *seen);
/* The same by an entry of `settling`, under its lock. */
int striate_settled_spot(striate_entry *entry, uint64_t durable, striate_spot *seen);
/* STRIATE_DONE, or why not: STRIATE_ABSENT, STRIATE_PRESENT, STRIATE_CHANGED. Not needed without a condition. */
int striate_edit_check(striate_edit *change, int64_t now);
/* How far the disk has the log, as versions, at the moment of an append: what is durable, and what will be once the
 * sync under way has ended. */
typedef struct striate_horizon {
    uint64_t durable, target;
} striate_horizon;
/* Takes in that the change's record is in the log; the caller has counted it in `changes`. 0 or STRIATE_NO_MEMORY. */
int striate_edit_apply(striate_edit *change, int64_t now, const striate_horizon *horizon);
/* The state of a key as it was read from a log, whatever was before; for opening. `spot` 0: none. */
int striate_keyindex_load(striate_keyindex *index, const striate_key *key, striate_spot spot, int64_t deadline,
                          int64_t now);

/* The record of that version, if it is still the latest, is at another place now. */
void striate_keyindex_move(striate_keyindex *index, const striate_key *key, striate_spot spot);

/* Drops what is left over in `settling`. No lock may be held. */
void striate_keyindex_sweep(striate_keyindex *index, uint64_t durable);
int striate_keyindex_wants_sweep(const striate_keyindex *index);

/* One stripe lock, as striate_lock, but it does not wait: NULL where somebody has it. */
striate_stripe *striate_try_stripe(striate_table *table, uint32_t stripe);

/* ---------------------------------------------------------------- walks (keywalk.c) */

/* Keys of a part of the table: u32 key size, u32 position, u64 version, i64 deadline, key, one behind another. */
typedef struct striate_keywalk {
    const char *prefix;
    uint64_t prefix_size;
    uint64_t durable; /* for a reader; UINT64_MAX: for a transaction, the latest */
    int64_t now;
    uint64_t cursor; /* 0 at first, and again at the end */
    char *found;     /* malloc; the caller frees it in the end */
    uint64_t size, capacity;
    int64_t count;
    int no_memory;
    striate_keyindex *index;
} striate_keywalk;

/* The next keys into `found`, from its beginning, as readers see them; those of deletions that are not durable yet are
 * striate_keywalk_leaving's. */
void striate_keywalk_next(striate_keywalk *walk);
/* Keys that readers still see though their deletion is in the log. */
void striate_keywalk_leaving(striate_keywalk *walk);

#endif /* STRIATE_KEYINDEX_H */
