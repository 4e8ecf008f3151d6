# Streams as C knows them (stream.h explains).

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from striate._native.lock cimport striate_word_lock

cdef extern from "stream.h" nogil:
    ctypedef struct striate_id:
        uint64_t ms
        uint64_t seq

    ctypedef struct striate_met:
        striate_id id
        uint64_t version
        uint64_t ordinal
        uint32_t position
        uint32_t deliveries

    ctypedef struct striate_pending:
        striate_id id
        int64_t delivered_ms
        uint32_t consumer
        uint32_t deliveries

    ctypedef struct striate_consumer:
        char *name
        uint32_t name_size
        int64_t pending
        int64_t seen_ms
        int64_t active_ms

    ctypedef struct striate_group:
        char *name
        uint32_t name_size
        striate_id last
        int64_t read
        striate_pending *pending
        int64_t head
        int64_t end
        int64_t alive
        striate_consumer *consumers
        uint32_t consumer_count

    ctypedef struct striate_stream:
        striate_word_lock lock
        uint64_t number
        int32_t offset_ids
        int32_t dropped
        striate_id last
        striate_id removed
        striate_id low
        uint64_t added
        int64_t alive
        uint64_t counts[3]
        uint64_t version
        uint64_t state_version
        uint64_t state_end
        uint64_t remove_version
        striate_id settled_low
        striate_group **groups
        uint32_t group_count
        uint32_t word
        uint32_t waiters
        uint32_t wanted

    ctypedef struct striate_stream_edit:
        striate_stream *stream
        uint8_t kind
        uint8_t id_given
        uint8_t without_ack
        uint8_t strict
        uint8_t force
        uint8_t counting
        uint8_t only_if
        int64_t record
        int64_t count
        striate_id id
        const char *group
        const char *consumer
        uint32_t group_size
        uint32_t consumer_size
        const striate_id *ids
        int64_t id_count
        int64_t length
        int64_t min_idle_ms
        int64_t delivered_ms
        int64_t read
        uint32_t deliveries
        int64_t now_ms
        uint64_t visible
        char *value
        char *dropped
        uint32_t value_capacity
        uint32_t dropped_capacity
        uint32_t value_size
        uint32_t dropped_size
        striate_met *found
        int64_t most
        int64_t found_count
        int64_t changed
        striate_id next

    enum:
        STRIATE_ENTRY_HEAD_BYTES
        STRIATE_PIECE_HEAD_BYTES
        STRIATE_ENTRY
        STRIATE_REMOVED
        STRIATE_TRIMMED
        STRIATE_STATE
        STRIATE_GROUP
        STRIATE_LAST
        STRIATE_TOP
        STRIATE_REMOVALS
        STRIATE_GROUPS
        STRIATE_PARTS
        STRIATE_TO_APPEND
        STRIATE_TO_REMOVE
        STRIATE_TO_TRIM
        STRIATE_TO_SAVE
        STRIATE_TO_SET_GROUP
        STRIATE_TO_DELETE_GROUP
        STRIATE_TO_DELIVER
        STRIATE_TO_ACK
        STRIATE_TO_CLAIM
        STRIATE_TO_AUTO_CLAIM
        STRIATE_TO_READ_AGAIN
        STRIATE_TO_SET_CONSUMER
        STRIATE_TO_DELETE_CONSUMER
        STRIATE_TO_SET_LAST
        STRIATE_TO_REPLAY
        STRIATE_TO_DROP
        STRIATE_ID_GIVEN
        STRIATE_ID_MS_GIVEN
        STRIATE_GROUP_ABSENT
        STRIATE_ID_TOO_LOW
        STRIATE_IDS_EXHAUSTED
        STRIATE_TOO_LONG
        STRIATE_DROPPED
        STRIATE_MALFORMED

    striate_stream *striate_stream_new(uint64_t number)
    void striate_stream_free(striate_stream *stream)
    striate_stream *striate_stream_clone(const striate_stream *stream)
    int striate_stream_become(striate_stream *stream, const striate_stream *other)
    void striate_stream_drop(striate_stream *stream)
    bint striate_id_before(striate_id a, striate_id b)
    bint striate_id_equal(striate_id a, striate_id b)
    int64_t striate_ids_sort(striate_id *ids, int64_t count)
    int striate_stream_add(striate_stream *stream, const striate_met *entry)
    int64_t striate_stream_collect(const striate_stream *stream, striate_id start, striate_id to, int backwards,
                                   uint64_t visible, int64_t most, striate_met *found)
    bint striate_stream_find(const striate_stream *stream, striate_id id, striate_met *found)
    bint striate_stream_has(const striate_stream *stream, uint64_t version)
    void striate_stream_move(striate_stream *stream, uint64_t version, uint32_t position)
    int64_t striate_stream_length(const striate_stream *stream, uint64_t visible)
    int64_t striate_stream_count_from(const striate_stream *stream, striate_id first)
    striate_group *striate_stream_group(const striate_stream *stream, const char *name, uint32_t size)
    striate_pending *striate_group_pending(const striate_group *group, striate_id id)
    uint32_t striate_group_consumer(const striate_group *group, const char *name, uint32_t size)
    int64_t striate_group_seek(const striate_group *group, striate_id id)
    void striate_stream_plan(striate_stream *stream)
    void striate_stream_plan_record(striate_stream *stream, uint32_t kind, const char *key, const char *value)
    int striate_stream_prepare(striate_stream_edit *edit)
    int striate_stream_next_head(striate_stream_edit *edit, char *head)
    int striate_stream_take_in(striate_stream *stream, uint32_t kind, const char *key, uint32_t key_size,
                               const char *value, uint32_t value_size, uint64_t version, uint32_t position)
    uint64_t striate_stream_state_size(const striate_stream *stream)
    void striate_stream_state_write(const striate_stream *stream, char *into)
    int striate_stream_take_in_state(striate_stream *stream, const char *value, uint32_t size)
