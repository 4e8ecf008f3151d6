/* The operations of a cache on a striped table, one key or many at a time. Each takes and releases its locks.
 *
 * `now` is the caller's clock in nanoseconds. An entry whose time has come is treated as absent and dropped.
 */
#ifndef STRIATE_ACCESS_H
#define STRIATE_ACCESS_H

#include "table.h"

enum {
    STRIATE_SET = 0,
    STRIATE_ADD = 1,
    STRIATE_REPLACE = 2,
    STRIATE_COMPARE = 3,
    STRIATE_PATCH = 4,  /* within access.c: listeners are told that a part changed */
    STRIATE_QUIETLY = 5 /* within access.c: or nothing, because no value changed */
};

typedef struct striate_options {
    int32_t mode;
    uint8_t flags;       /* of STRIATE_USER_FLAGS */
    uint32_t tag_count;
    uint64_t expected;   /* STRIATE_COMPARE: the version that the key must have */
    int64_t deadline;    /* STRIATE_NEVER: none */
    int64_t idle;        /* STRIATE_NEVER: none */
    const uint64_t *tags;
} striate_options;

typedef struct striate_found {
    uint64_t version;
    uint32_t size;
    uint8_t flags;
} striate_found;

/* Copies the value when it fits `capacity`; else look at found->size and come again. `peek`: not an access. */
int striate_get(striate_table *table, const striate_key *key, int64_t now, int peek, char *buffer, uint64_t capacity,
                striate_found *found);
int striate_set(striate_table *table, const striate_key *key, const char *value, uint32_t size, int64_t now,
                const striate_options *options, uint64_t *version);
/* The same, for a caller with the GIL, which must wait for nothing: STRIATE_BUSY where that would be needed. */
int striate_try_get(striate_table *table, const striate_key *key, int64_t now, int peek, char *buffer,
                    uint64_t capacity, striate_found *found);
int striate_try_set(striate_table *table, const striate_key *key, const char *value, uint32_t size, int64_t now,
                    const striate_options *options, uint64_t *version);
/* `expected` 0: whatever its version. */
int striate_delete(striate_table *table, const striate_key *key, int64_t now, uint64_t expected);
/* Gives an entry a new deadline and idle time; STRIATE_NEVER takes them away. */
int striate_touch(striate_table *table, const striate_key *key, int64_t now, int64_t deadline, int64_t idle);
/* Adds to a value that is a decimal number; its deadline and tags stay. */
int striate_increment(striate_table *table, const striate_key *key, int64_t now, int64_t delta, int64_t *sum);
/* The deadline that holds now. */
int striate_end(striate_table *table, const striate_key *key, int64_t now, int64_t *end);

/* ---------------------------------------------------------------- many keys */

typedef struct striate_item {
    striate_key key;
    const char *value; /* set */
    uint64_t start;    /* get: where in the output */
    uint32_t size;
    int16_t status;
    uint8_t flags;
} striate_item;

typedef struct striate_output {
    char *bytes; /* malloc */
    uint64_t size, capacity;
} striate_output;

/* Hashes the keys and gives the order in which to meet them, stripe by stripe, otherwise as they came. `order`
 * has room for `count` numbers. */
void striate_sort_items(striate_table *table, striate_item *items, uint32_t count, uint32_t *order);
/* 0 or STRIATE_NO_MEMORY; each item's status is STRIATE_DONE or STRIATE_ABSENT. */
int striate_get_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order, int64_t now,
                     striate_output *output);
/* 0, or the first refusal; each item has its own status. Equal keys: the last wins. */
int striate_set_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order, int64_t now,
                     const striate_options *options);
/* How many there were; each item's status says whether it was. */
int64_t striate_delete_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order,
                            int64_t now);

/* ---------------------------------------------------------------- for bulk.c: with the stripe locked */

striate_entry *striate_find_alive(striate_stripe *stripe, const striate_key *key, int64_t now, striate_place *place);
/* Counts a hit or a miss; gives the live entry or NULL. */
striate_entry *striate_access(striate_stripe *stripe, const striate_key *key, int64_t now, striate_place *place);
int striate_store(striate_stripe *stripe, const striate_key *key, const char *value, uint32_t size, int64_t now,
                  const striate_options *options, uint64_t *version);

#endif /* STRIATE_ACCESS_H */
