"""XADD to a stream without Python objects (declared in plainstreams.pxd).

How fields become an entry is said in striate/commands/stream_fields.py; this must not differ from it.
"""

from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from striate._native.frame cimport record_input
from striate._native.inputs cimport MAX_RECORD_BYTES
from striate._native.partition cimport KEYED_ENTRY, VIEW_EXTENSION_BYTES
from striate._native.resp cimport striate_put_bulk
from striate._native.stream cimport (
    STRIATE_ENTRY,
    STRIATE_ENTRY_HEAD_BYTES,
    STRIATE_TO_APPEND,
    striate_id,
    striate_stream_edit,
)

from striate.errors import StriateError

cdef enum:
    ID_BYTES = 48
    LENGTH_BYTES = 10                 # of a varint, at most
    PACKED_ON_STACK = 1024


cdef inline bint is_data(const char *bytes, const striate_argument *field) noexcept nogil:
    return field.size == 4 and memcmp(bytes + field.start, b"data", 4) == 0


cdef inline char *put_length(char *place, uint64_t length) noexcept nogil:
    while length > 0x7F:
        place[0] = <char>(length & 0x7F | 0x80)
        place += 1
        length >>= 7
    place[0] = <char>length
    return place + 1


cdef uint64_t pack(char *room, const char *bytes, const striate_argument *fields, uint32_t count) noexcept nogil:
    cdef char *place = room
    cdef uint32_t number
    for number in range(count):
        place = put_length(place, fields[number].size)
        memcpy(place, bytes + fields[number].start, fields[number].size)
        place += fields[number].size
    return <uint64_t>(place - room)


cdef int append(StreamCore core, record_input *record, striate_buffer *reply) except -1:
    cdef striate_stream_edit edit
    cdef striate_id id
    cdef char head[STRIATE_ENTRY_HEAD_BYTES]
    cdef char text[ID_BYTES]
    cdef int size
    memset(&edit, 0, sizeof(edit))
    edit.kind, edit.count = STRIATE_TO_APPEND, 1
    record.key, record.key_size = head, STRIATE_ENTRY_HEAD_BYTES
    try:
        if core.commit_edit(&edit, record) != 0:
            return 0
    except StriateError:
        return 0                      # who is asked next meets the same
    memcpy(&id, head, sizeof(id))
    size = snprintf(text, ID_BYTES, b"%llu-%llu", <unsigned long long>id.ms, <unsigned long long>id.seq)
    if striate_put_bulk(reply, text, <uint64_t>size) != 0:
        raise MemoryError
    return 1


cdef int append_plain(StreamCore core, const char *bytes, const striate_argument *fields, uint32_t count,
                      striate_buffer *reply) except -1:
    cdef record_input record
    cdef char few[PACKED_ON_STACK]
    cdef char *room = few
    cdef uint64_t most = 0
    cdef uint32_t number
    core._partition.log.check_open()
    core.set_record(&record, STRIATE_ENTRY)
    if is_data(bytes, &fields[0]) and count == 2:
        if fields[1].size > MAX_RECORD_BYTES:
            return 0
        record.value, record.value_size = bytes + fields[1].start, <uint32_t>fields[1].size
        return append(core, &record, reply)
    if is_data(bytes, &fields[0]) and count == 4:
        return 0                      # perhaps an entry with a key of its own
    for number in range(count):
        most += fields[number].size + LENGTH_BYTES
    if most > MAX_RECORD_BYTES:
        return 0
    if most > PACKED_ON_STACK:
        room = <char *>malloc(most)
        if room == NULL:
            raise MemoryError
    try:
        record.extension, record.extension_size = <const char *>core._view.extensions[KEYED_ENTRY], VIEW_EXTENSION_BYTES
        record.value, record.value_size = room, <uint32_t>pack(room, bytes, fields, count)
        return append(core, &record, reply)
    finally:
        if room != few:
            free(room)
