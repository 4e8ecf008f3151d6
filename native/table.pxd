# The striped table of table.h, for Cython. The header explains each function; what a caller must know:
#
#   * Times are nanoseconds of the caller's clock, `now`. Keys are hashed by striate_table_hash before anything else.
#   * Functions on a stripe need its lock; the others take their locks themselves. Entries, places and pointers into
#     them are valid only while the lock is held, and only until the next put in that stripe.
#   * No Python, no exception and no I/O under a lock. Results below 0 are refusals; raise once it is released.
#
# A cache uses the operations of access.h. An index of durable keys puts a payload of its own, of one size:
#
#     key.bytes, key.size, key.space = ..., 0
#     key.hash = striate_table_hash(table, key.bytes, key.size, key.space)
#     stripe = striate_lock(table, striate_table_stripe_of(table, key.hash))
#     striate_stripe_find(stripe, &key, &place)               # place.bucket is NULL when there is none
#     status = striate_stripe_put(stripe, &key, sizeof(payload), 0, 0, &place, &entry)
#     if status == STRIATE_DONE:
#         memcpy(striate_entry_value(entry), &payload, sizeof(payload))
#         version = entry.version
#     striate_unlock(stripe)
#
# Several keys as one (a transaction validates versions and applies): take their stripes' locks in ascending order of
# striate_table_stripe_of, each once; find and put; unlock all. A new entry costs 16 bytes, key and payload, rounded up
# to 8, and 11 to 18 bytes of index.

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "access.h" nogil:
    cdef enum:
        STRIATE_MAX_KEY_BYTES
        STRIATE_MAX_VALUE_BYTES
        STRIATE_MAX_TAGS
        STRIATE_MAX_STRIPES
        STRIATE_PLACE_BYTES
    cdef enum:                        # results
        STRIATE_DONE
        STRIATE_ABSENT
        STRIATE_PRESENT
        STRIATE_CHANGED
        STRIATE_MISFIT
        STRIATE_BUSY
        STRIATE_NO_MEMORY
        STRIATE_NO_ROOM
        STRIATE_SHORT
    cdef enum:                        # entry flags
        STRIATE_TIMED
        STRIATE_IDLE
        STRIATE_TAGGED
        STRIATE_USER_FLAGS
    cdef enum:                        # changes; the last three are reasons of a removal
        STRIATE_CREATED
        STRIATE_REPLACED
        STRIATE_PATCHED
        STRIATE_DELETED
        STRIATE_EXPIRED
        STRIATE_EVICTED
    cdef enum:
        STRIATE_VISIT_KEEP
        STRIATE_VISIT_REMOVE
    cdef enum:                        # modes of striate_set
        STRIATE_SET
        STRIATE_ADD
        STRIATE_REPLACE
        STRIATE_COMPARE
    int64_t STRIATE_NEVER

    ctypedef struct striate_entry:
        uint64_t version
        uint32_t value_size
        uint16_t key_size
        uint8_t flags
        uint8_t space
    ctypedef struct striate_bucket:
        pass
    ctypedef struct striate_place:
        striate_bucket *bucket
    ctypedef struct striate_counts:
        uint64_t hits, misses, insertions, updates, deletions, evictions, expirations
        int64_t entries, bytes
    ctypedef struct striate_stripe:
        uint16_t source
    ctypedef struct striate_table:
        int32_t policy
        uint32_t stripe_count
        uint32_t space_count
        int64_t max_entries, max_bytes
        int32_t timed
        uint32_t change_word
    ctypedef struct striate_key:
        const char *bytes
        uint64_t hash
        uint32_t size
        uint16_t space
        uint16_t source
    ctypedef struct striate_change:
        striate_change *next
        uint64_t sequence
        int32_t kind
        uint32_t key_size, old_size, new_size
        uint8_t old_flags, new_flags, space
        uint16_t source
        char *bytes
    ctypedef int striate_visitor(void *context, striate_stripe *stripe, striate_entry *entry) noexcept

    striate_table *striate_table_new(uint32_t stripe_count, const uint64_t *hash_key, int64_t max_entries,
                                     int64_t max_bytes)
    void striate_table_free(striate_table *table)
    int striate_table_clear(striate_table *table, int64_t *dropped)
    int striate_table_add_space(striate_table *table)
    void striate_table_counts(striate_table *table, int space, striate_counts *total)
    int64_t striate_table_memory(striate_table *table)
    int striate_table_make_room(striate_table *table, int64_t size_bytes)
    uint64_t striate_table_hash(const striate_table *table, const char *data, uint64_t size, uint32_t space)
    uint32_t striate_table_stripe_of(const striate_table *table, uint64_t hash)
    int64_t striate_table_visit(striate_table *table, uint64_t *cursor, striate_visitor *visit, void *context)

    striate_stripe *striate_lock(striate_table *table, uint32_t stripe)
    void striate_unlock(striate_stripe *stripe)
    striate_entry *striate_stripe_find(striate_stripe *stripe, const striate_key *key, striate_place *place)
    int striate_stripe_put(striate_stripe *stripe, const striate_key *key, uint32_t value_size, uint8_t flags,
                           uint32_t tag_count, striate_place *place, striate_entry **entry)
    void striate_stripe_remove(striate_stripe *stripe, striate_place place, int reason)
    int64_t striate_stripe_expire(striate_stripe *stripe, int64_t now, int64_t limit)
    char *striate_entry_key(striate_entry *entry)
    char *striate_entry_value(striate_entry *entry)
    int64_t striate_entry_end(striate_entry *entry)
    uint64_t *striate_entry_tag_count(striate_entry *entry)
    char *striate_entry_tags(striate_entry *entry)

    # ------------------------------------------------------------ operations of a cache

    ctypedef struct striate_options:
        int32_t mode
        uint8_t flags
        uint32_t tag_count
        uint64_t expected
        int64_t deadline
        int64_t idle
        const uint64_t *tags
    ctypedef struct striate_found:
        uint64_t version
        uint32_t size
        uint8_t flags
    ctypedef struct striate_item:
        striate_key key
        const char *value
        uint64_t start
        uint32_t size
        int16_t status
        uint8_t flags
    ctypedef struct striate_output:
        char *bytes
        uint64_t size, capacity

    int striate_get(striate_table *table, const striate_key *key, int64_t now, int peek, char *buffer,
                    uint64_t capacity, striate_found *found)
    int striate_set(striate_table *table, const striate_key *key, const char *value, uint32_t size, int64_t now,
                    const striate_options *options, uint64_t *version)
    int striate_try_get(striate_table *table, const striate_key *key, int64_t now, int peek, char *buffer,
                        uint64_t capacity, striate_found *found)
    int striate_try_set(striate_table *table, const striate_key *key, const char *value, uint32_t size, int64_t now,
                        const striate_options *options, uint64_t *version)
    int striate_delete(striate_table *table, const striate_key *key, int64_t now, uint64_t expected)
    int striate_touch(striate_table *table, const striate_key *key, int64_t now, int64_t deadline, int64_t idle)
    int striate_increment(striate_table *table, const striate_key *key, int64_t now, int64_t delta, int64_t *sum)
    int striate_end(striate_table *table, const striate_key *key, int64_t now, int64_t *end)
    void striate_sort_items(striate_table *table, striate_item *items, uint32_t count, uint32_t *order)
    int striate_get_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order, int64_t now,
                         striate_output *output)
    int striate_set_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order, int64_t now,
                         const striate_options *options)
    int64_t striate_delete_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order,
                                int64_t now)


cdef extern from "changes.h" nogil:
    void striate_table_report(striate_table *table, int64_t limit)
    striate_change *striate_table_take_changes(striate_table *table, int64_t *lost)
    void striate_table_wake_listeners(striate_table *table)
    int striate_table_wait_change(striate_table *table, uint32_t seen, int64_t timeout_ns)


# Owns a table. Caches and their namespaces share one.
cdef class StripedTable:
    cdef striate_table *table
    cdef object __weakref__
    cdef public object hub            # storage/changes.py: who listens
    cdef public object memos          # storage/memoize.py: the memoized functions whose results are here
