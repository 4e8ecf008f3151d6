"""Changes of streams as records: made before a commit, taken in after it (streamrecord.c says what they mean).

What may not live here: locks, the log.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from striate._native.stream cimport (
    STRIATE_PIECE_HEAD_BYTES,
    STRIATE_TO_APPEND,
    STRIATE_TO_DROP,
    STRIATE_TO_REPLAY,
    STRIATE_TO_SAVE,
    striate_stream_drop,
    striate_stream_next_head,
    striate_stream_plan_record,
    striate_stream_prepare,
    striate_stream_take_in,
)


cdef inline uint32_t kind_of(const record_input *record) noexcept nogil:
    cdef uint32_t flags
    memcpy(&flags, record.extension + 4, 4)
    return flags & 0xFF


cdef int make_records(striate_stream_edit *edit, record_input *records) noexcept nogil:
    cdef record_input *own = records + edit.record
    cdef int64_t number, left
    cdef int status
    if edit.kind == STRIATE_TO_APPEND:
        for number in range(edit.count):
            status = striate_stream_next_head(edit, <char *>own[number].key)
            if status != 0:
                return status
        return 0
    if edit.kind == STRIATE_TO_REPLAY:
        for number in range(edit.count):
            striate_stream_plan_record(edit.stream, kind_of(&own[number]), own[number].key, own[number].value)
        return 0
    if edit.kind == STRIATE_TO_DROP:
        return 0
    status = striate_stream_prepare(edit)
    if edit.kind == STRIATE_TO_SAVE:
        for number in range(edit.count):
            left = min(max(<int64_t>edit.value_size - number * edit.length, 0), edit.length)
            own[number].value = edit.value + number * (STRIATE_PIECE_HEAD_BYTES + edit.length)
            own[number].value_size = <uint32_t>(STRIATE_PIECE_HEAD_BYTES + left)
        return status
    own[0].value_size = edit.value_size
    if edit.count == 2:
        own[1].value_size = edit.dropped_size
    return status


cdef int take_in_edit(striate_stream_edit *edit, const record_input *records, uint64_t first_version,
                      const uint32_t *positions) noexcept nogil:
    cdef const record_input *record
    cdef int64_t at
    cdef int status
    if edit.kind == STRIATE_TO_DROP:
        striate_stream_drop(edit.stream)
        return 0
    for at in range(edit.record, edit.record + edit.count):
        record = &records[at]
        status = striate_stream_take_in(edit.stream, kind_of(record), record.key, record.key_size, record.value,
                                        record.value_size, first_version + <uint64_t>at,
                                        1 if positions == NULL else positions[at])
        if status != 0:
            return status
    return 0
