# The index of a durable table (keyindex.h), for Cython; the header explains what each function is for.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from striate._native.table cimport striate_key, striate_stripe, striate_table

cdef extern from "keyindex.h" nogil:
    cdef enum:
        STRIATE_KEYINDEX_STRIPES
    cdef enum:                        # conditions of a change
        STRIATE_MUST_NOTHING
        STRIATE_MUST_BE_ABSENT
        STRIATE_MUST_BE_PRESENT
        STRIATE_MUST_EQUAL
    uint64_t STRIATE_HOLD_ALL

    ctypedef struct striate_spot:
        uint64_t version
        uint32_t position
    ctypedef struct striate_keyindex:
        striate_table *latest
        striate_table *settling
        uint64_t number
        uint32_t dropped
        uint64_t changes
    ctypedef struct striate_edit:
        striate_keyindex *index
        striate_key key
        striate_spot before
        uint64_t expected
        int64_t deadline
        int64_t record
        striate_spot after
        uint8_t condition
        uint8_t removes
        uint8_t alone
    ctypedef struct striate_horizon:
        uint64_t durable
        uint64_t target
    ctypedef struct striate_hold:
        striate_keyindex *index
        uint64_t stripes
    ctypedef struct striate_keywalk:
        const char *prefix
        uint64_t prefix_size
        uint64_t durable
        int64_t now
        uint64_t cursor
        char *found
        uint64_t size
        uint64_t capacity
        int64_t count
        int no_memory
        striate_keyindex *index

    striate_keyindex *striate_keyindex_new(uint64_t number, const uint64_t *hash_key, int with_settling)
    void striate_keyindex_free(striate_keyindex *index)
    uint64_t striate_hold_of(const striate_keyindex *index, uint64_t hash)
    int striate_hold_lock(const striate_hold *holds, int64_t count, int wait)
    void striate_hold_unlock(const striate_hold *holds, int64_t count)
    striate_spot striate_keyindex_latest(striate_keyindex *index, const striate_key *key, int64_t now)
    striate_spot striate_keyindex_visible(striate_keyindex *index, const striate_key *key, uint64_t durable)
    int striate_keyindex_seek(striate_keyindex *index, const striate_key *key, const uint64_t *durable, int64_t now,
                              int wait, striate_spot *spot)
    int striate_edit_check(striate_edit *change, int64_t now)
    int striate_edit_apply(striate_edit *change, int64_t now, const striate_horizon *horizon)
    int striate_keyindex_load(striate_keyindex *index, const striate_key *key, striate_spot spot, int64_t deadline,
                              int64_t now)
    void striate_keyindex_move(striate_keyindex *index, const striate_key *key, striate_spot spot)
    int striate_keyindex_wants_sweep(const striate_keyindex *index)
    void striate_keyindex_sweep(striate_keyindex *index, uint64_t durable)
    striate_stripe *striate_try_stripe(striate_table *table, uint32_t stripe)
    void striate_keywalk_next(striate_keywalk *walk)
    void striate_keywalk_leaving(striate_keywalk *walk)

cdef extern from "hashindex.h" nogil:
    void striate_prefetch_bucket(const striate_stripe *stripe, uint64_t hash)
    void striate_prefetch_entry(const striate_stripe *stripe, uint64_t hash)
