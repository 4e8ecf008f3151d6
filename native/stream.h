/* A stream: the index of its entries, and its consumer groups.
 *
 * Entries have ids, which ascend, and stand in the log in the same order; the index has for each where its record is.
 * Everything else that happens to a stream is a record too (what kind, its view flags say), and every record, whether
 * just appended or read from the log at opening, changes the stream through striate_stream_take_in only. So a stream
 * that is opened again is the stream that was closed, by construction.
 *
 * A change is prepared under the stream's lock, which writes the bytes of its records and changes nothing; appended to
 * the log under the same lock; and taken in. Locks: stripes of tables, then streams in ascending order of their
 * number, then the log's write lock. Under them nothing waits, sleeps or touches Python.
 *
 * Entries that are not durable yet are in the index; who reads gives the version up to which it may see. Removals and
 * what groups do take effect at once (docs/decisions/0019).
 *
 * A transaction that looks at a stream or changes it works on a clone, which shares runs and groups with the stream
 * until either of them changes one and takes a copy for itself (docs/decisions/0023).
 *
 * Files: streamindex.c (entries), streamgroup.c (groups), streamrecord.c (preparing), streamtakein.c (taking in),
 * streamstate.c, streamclone.c.
 * What may not live here: frames, the clock, Python.
 */
#ifndef STRIATE_STREAM_H
#define STRIATE_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "table.h"

typedef struct striate_id {
    uint64_t ms, seq;
} striate_id;

/* Kinds of records of a stream: the low byte of their view flags. On disk: never renumber. */
enum {
    STRIATE_ENTRY = 0,   /* key: head and the user's key, value: the user's */
    STRIATE_REMOVED = 1, /* value: ids of entries */
    STRIATE_TRIMMED = 2, /* value: an id; entries before it are gone */
    STRIATE_STATE = 3,   /* value: u32 number of this piece, u32 how many, then a piece of everything but the entries;
                          * it stands for all earlier records but them and REMOVED */
    STRIATE_GROUP = 4,   /* key: the group's name, value: an operation */
    STRIATE_LAST = 5     /* value: last id, highest id removed, entries ever added u64 */
};

/* Parts of a stream that a transaction may depend on, each with a count of its changes. */
enum {
    STRIATE_TOP = 0,      /* entries at the end: their number, the last id */
    STRIATE_REMOVALS = 1, /* entries that are gone */
    STRIATE_GROUPS = 2,
    STRIATE_PARTS = 3
};

/* Head of an entry's key: id and ordinal, little-endian. */
#define STRIATE_ENTRY_HEAD_BYTES 24

/* ---------------------------------------------------------------- entries */

/* Relative to its run. Position 0: removed. */
typedef struct striate_slot {
    uint32_t offset, position, ms, seq, ordinal;
} striate_slot;
_Static_assert(sizeof(striate_slot) == 20, "what the README says of memory");

#define STRIATE_RUN_SLOTS 512
/* Bytes that do not mean anything, or not to this version. The next refusal behind table.h's. */
#define STRIATE_MALFORMED (-4)

typedef struct striate_run {
    uint32_t shares; /* how many streams have it, atomic; only one may change it */
    uint32_t count, alive, capacity;
    striate_id id; /* of the first slot; so the next two */
    uint64_t version, ordinal;
    striate_slot slots[];
} striate_run;

/* Where an entry is, as a reader needs it. */
typedef struct striate_met {
    striate_id id;
    uint64_t version;  /* offset in the log + 1 */
    uint64_t ordinal;  /* how many entries were added before it */
    uint32_t position; /* a hint, in units of eight bytes; 0: there is no such entry any more */
    uint32_t deliveries;
} striate_met;

/* ---------------------------------------------------------------- groups */

#define STRIATE_MOST_CONSUMERS 0xFFFFFFu

/* An entry that was delivered and not acknowledged. */
typedef struct striate_pending {
    striate_id id;
    int64_t delivered_ms; /* since the epoch */
    uint32_t consumer;    /* its number; 0: acknowledged, a hole */
    uint32_t deliveries;
} striate_pending;
_Static_assert(sizeof(striate_pending) == 32, "likewise");

typedef struct striate_consumer {
    char *name; /* NULL: deleted, the number is free */
    uint32_t name_size;
    int64_t pending;
    int64_t seen_ms, active_ms; /* last call; last call that got something, -1: none */
} striate_consumer;

typedef struct striate_group {
    uint32_t shares; /* as a run's */
    char *name;
    uint32_t name_size;
    striate_id last; /* the last id delivered */
    int64_t read;    /* entries added up to it, -1: unknown */
    striate_pending *pending; /* by id, from head to end */
    int64_t head, end, capacity, alive;
    striate_consumer *consumers; /* number 1 is the first */
    uint32_t consumer_count;
} striate_group;

/* Operations on groups, the first byte of their records' value. On disk: never renumber. */
enum {
    STRIATE_GROUP_SET = 1,      /* id, i64 read: made if not there */
    STRIATE_GROUP_DELETE = 2,
    STRIATE_GROUP_DELIVER = 3,  /* u8 without acknowledgement, i64 ms, id before, id last, i64 read, consumer */
    STRIATE_GROUP_ACK = 4,      /* ids */
    STRIATE_GROUP_CLAIM = 5,    /* u8 count (0 keep, 1 raise, 2 set), u32, i64 ms, u32 size, consumer, ids */
    STRIATE_CONSUMER_SET = 6,   /* i64 ms, consumer: made if not there */
    STRIATE_CONSUMER_DELETE = 7 /* consumer; what was pending for it is not any more */
};

typedef struct striate_stream {
    striate_word_lock lock; /* guards all of it */
    uint64_t number;
    int32_t offset_ids; /* ids are ordinal + 1 and 0, not the time */
    int32_t dropped;    /* nothing is here and nothing comes any more */
    striate_id last;    /* the highest id ever */
    striate_id removed; /* the highest id that was removed one by one */
    striate_id low;     /* entries before it were trimmed */
    uint64_t added;     /* entries ever */
    int64_t alive;
    uint64_t counts[STRIATE_PARTS]; /* of changes */
    uint64_t version;       /* of the latest record; the next two likewise */
    uint64_t state_version; /* latest STATE, its first piece: earlier records but entries and REMOVED do not count */
    uint64_t state_end;     /* its last piece */
    uint64_t remove_version; /* latest REMOVED */
    striate_id settled_low; /* the trim mark of the latest STATE */
    char *state; /* pieces of a STATE so far */
    uint64_t state_size;
    uint32_t state_pieces;
    /* while a change is prepared: what they will be */
    striate_id planned_last;
    uint64_t planned_added;
    striate_run **runs; /* from first to run_end */
    int64_t first, run_end, run_capacity;
    striate_group **groups;
    uint32_t group_count;
    uint32_t word;    /* futex: moves with whatever may give somebody entries */
    uint32_t waiters; /* atomic */
    uint32_t wanted;  /* atomic: somebody wants to be told of the next entry by a descriptor */
} striate_stream;

striate_stream *striate_stream_new(uint64_t number);
void striate_stream_free(striate_stream *stream);

static inline int striate_id_before(striate_id a, striate_id b) {
    return a.ms < b.ms || (a.ms == b.ms && a.seq < b.seq);
}
static inline int striate_id_equal(striate_id a, striate_id b) {
    return a.ms == b.ms && a.seq == b.seq;
}

/* Sorts ids and drops repeated ones; how many are left. */
int64_t striate_ids_sort(striate_id *ids, int64_t count);

/* The rest needs the stream's lock. */

/* streamclone.c. A stream with the same entries and groups, that nobody else knows; NULL: no memory. */
striate_stream *striate_stream_clone(const striate_stream *stream);
/* Makes a stream that nobody else knows the same as another. 0 or STRIATE_NO_MEMORY. */
int striate_stream_become(striate_stream *stream, const striate_stream *other);
/* A run or group of a stream, to be changed: a copy where another stream has it too. NULL: no memory. */
striate_run *striate_run_own(striate_stream *stream, int64_t at);
striate_group *striate_group_own(striate_stream *stream, striate_group *group);
/* Frees it once no stream has it. */
void striate_run_free(striate_run *run);
/* Lets go of all it holds. */
void striate_stream_drop(striate_stream *stream);

/* streamindex.c. Ids, versions and ordinals ascend. 0 or STRIATE_NO_MEMORY. */
int striate_stream_add(striate_stream *stream, const striate_met *entry);
/* Up to `most` entries with from <= id <= to and version <= visible, in order of ids or against it. */
int64_t striate_stream_collect(const striate_stream *stream, striate_id from, striate_id to, int backwards,
                               uint64_t visible, int64_t most, striate_met *found);
/* Whether it is there; `found` has the id in any case. */
int striate_stream_find(const striate_stream *stream, striate_id id, striate_met *found);
/* Whether an entry with that version is there. */
int striate_stream_has(const striate_stream *stream, uint64_t version);
/* Its record is at another position now. */
void striate_stream_move(striate_stream *stream, uint64_t version, uint32_t position);
/* Whether it was there, or STRIATE_NO_MEMORY. */
int striate_stream_remove(striate_stream *stream, striate_id id);
/* Drops entries with lower ids: 0 or STRIATE_NO_MEMORY. */
int striate_stream_trim(striate_stream *stream, striate_id low);
/* The lowest id that stays when only the last `length` entries shall. */
striate_id striate_stream_low_for(const striate_stream *stream, int64_t length);
int64_t striate_stream_length(const striate_stream *stream, uint64_t visible);
/* How many entries are there with first <= id; by walking at most one run. */
int64_t striate_stream_count_from(const striate_stream *stream, striate_id first);

/* streamgroup.c */
striate_group *striate_stream_group(const striate_stream *stream, const char *name, uint32_t size);
striate_pending *striate_group_pending(const striate_group *group, striate_id id);
/* Number of a consumer, 0: none of that name. */
uint32_t striate_group_consumer(const striate_group *group, const char *name, uint32_t size);
/* Takes in an operation on a group; one on a group that is not there is passed over, since a STATE without it comes. */
int striate_group_take_in(striate_stream *stream, const char *name, uint32_t name_size, const char *value,
                          uint32_t size);
/* Frees it once no stream has it. */
void striate_group_free(striate_group *group);
int striate_stream_add_group(striate_stream *stream, striate_group *group);
/* With a zero behind; malloc, NULL: no memory. */
char *striate_name_copy(const char *name, uint32_t size);
/* A group without anything; NULL: no memory. */
striate_group *striate_group_new(const char *name, uint32_t name_size);
uint32_t striate_group_add_consumer(striate_group *group, const char *name, uint32_t size);
int striate_group_add_pending(striate_group *group, const striate_pending *pending);
/* The first pending entry with that id or a higher one, as an index from head to end. */
int64_t striate_group_seek(const striate_group *group, striate_id id);

/* streamrecord.c: a change of a stream on its way into the log. */
enum {
    STRIATE_TO_APPEND,       /* `count` entries; `id`, `id_given` */
    STRIATE_TO_REMOVE,       /* `ids` */
    STRIATE_TO_TRIM,         /* `id`, or with `length` >= 0 by length */
    STRIATE_TO_SAVE,         /* STATE records: `count` pieces of at most `length` bytes, made up in `dropped` */
    STRIATE_TO_SET_GROUP,    /* `id`, `read`, `only_if` */
    STRIATE_TO_DELETE_GROUP,
    STRIATE_TO_DELIVER,      /* `consumer`, `without_ack`, into `found` */
    STRIATE_TO_ACK,          /* `ids`, `strict` */
    STRIATE_TO_CLAIM,        /* `ids` for `consumer`, `min_idle_ms`, into `found`; two records */
    STRIATE_TO_AUTO_CLAIM,   /* from `id` on; likewise */
    STRIATE_TO_READ_AGAIN,   /* the consumer's own from `id` on; likewise */
    STRIATE_TO_SET_CONSUMER, /* `consumer` */
    STRIATE_TO_DELETE_CONSUMER,
    STRIATE_TO_SET_LAST,     /* `id`, `read` for entries added or -1, `next` for the highest id removed or 0 */
    STRIATE_TO_REPLAY,       /* `count` records as they are: a clone has taken them in */
    STRIATE_TO_DROP          /* no record of the stream */
};
enum { STRIATE_ID_AUTO = 0, STRIATE_ID_GIVEN = 1, STRIATE_ID_MS_GIVEN = 2 };
enum { STRIATE_GROUP_ABSENT = 16, STRIATE_ID_TOO_LOW = 17, STRIATE_IDS_EXHAUSTED = 18, STRIATE_TOO_LONG = 19,
       STRIATE_DROPPED = 20 };

typedef struct striate_stream_edit {
    striate_stream *stream;
    uint8_t kind, id_given, without_ack, strict, force;
    uint8_t counting;     /* of deliveries: 0 keep, 1 raise, 2 set to `deliveries` */
    uint8_t only_if;      /* SET_GROUP: 1 if absent, 2 if present */
    int64_t record;       /* number of its first record in the batch */
    int64_t count;        /* how many */
    striate_id id;
    const char *group, *consumer;
    uint32_t group_size, consumer_size;
    const striate_id *ids;
    int64_t id_count;
    int64_t length, min_idle_ms, delivered_ms, read;
    uint32_t deliveries;
    int64_t now_ms;
    uint64_t visible;
    /* out: the records' values; room for them is the caller's */
    char *value, *dropped;
    uint32_t value_capacity, dropped_capacity;
    uint32_t value_size, dropped_size;
    striate_met *found;  /* room for `most` */
    int64_t most, found_count;
    int64_t changed;       /* how many ids it was about in the end */
    striate_id next;       /* AUTO_CLAIM: where to go on, 0: at the end */
} striate_stream_edit;

/* Begins a change of several parts: call once for each stream. */
static inline void striate_stream_plan(striate_stream *stream) {
    stream->planned_last = stream->last;
    stream->planned_added = stream->added;
}
/* Writes `value` and `dropped`, all but entries. 0, or why nothing is to be done: STRIATE_ABSENT (nothing to change),
 * STRIATE_PRESENT, STRIATE_CHANGED (strict), STRIATE_GROUP_ABSENT, STRIATE_TOO_LONG. */
int striate_stream_prepare(striate_stream_edit *edit);
/* Head of the next entry of TO_APPEND. 0, STRIATE_ID_TOO_LOW, STRIATE_IDS_EXHAUSTED. */
int striate_stream_next_head(striate_stream_edit *edit, char *head);
/* Notes that a record comes which is made already. */
void striate_stream_plan_record(striate_stream *stream, uint32_t kind, const char *key, const char *value);
/* streamtakein.c. What a record says. 0, STRIATE_NO_MEMORY or STRIATE_MALFORMED. */
int striate_stream_take_in(striate_stream *stream, uint32_t kind, const char *key, uint32_t key_size,
                           const char *value, uint32_t value_size, uint64_t version, uint32_t position);

#define STRIATE_PIECE_HEAD_BYTES 8

/* streamstate.c. One piece. */
int striate_stream_take_in_piece(striate_stream *stream, const char *value, uint32_t size, uint64_t version);
/* Size of a STATE value, at this moment, its bytes, and what they say. */
uint64_t striate_stream_state_size(const striate_stream *stream);
void striate_stream_state_write(const striate_stream *stream, char *into);
int striate_stream_take_in_state(striate_stream *stream, const char *value, uint32_t size);

#endif /* STRIATE_STREAM_H */
