"""GET and SET of a durable table without Python objects (declared in plainkeys.pxd)."""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from striate._native.frame cimport HAS_VIEW, KIND_VALUE, MAX_KEY_BYTES, frame_view, record_input
from striate._native.inputs cimport MAX_RECORD_BYTES
from striate._native.keyindex cimport STRIATE_MUST_NOTHING, striate_spot
from striate._native.partition cimport VIEW_EXTENSION_BYTES
from striate._native.resp cimport striate_put_bulk
from striate._native.table cimport STRIATE_NEVER, striate_key, striate_table_hash


cdef int load(TableCore table, striate_key *into, const char *key, uint64_t size) except -1:
    into.bytes, into.size, into.space = key, <uint32_t>size, 0
    table._partition.log.check_open()
    into.hash = striate_table_hash(table.index.latest, key, <uint32_t>size, 0)
    return 0


cdef int read_plain(TableCore table, const char *key, uint64_t size, striate_buffer *reply,
                    uint64_t *version) except? -3:
    cdef striate_key name
    cdef striate_spot spot
    cdef frame_view view
    cdef uint32_t ahead
    version[0] = 0
    if size > MAX_KEY_BYTES:
        return TOO_LARGE
    load(table, &name, key, size)
    if table.find(&name, True, &spot, &view, &ahead) is None:
        return -1
    version[0] = spot.version
    if striate_put_bulk(reply, view.value + ahead, view.value_size - ahead) != 0:
        raise MemoryError
    return 1


cdef int write_plain(TableCore table, const char *key, uint64_t key_size, const char *value,
                     uint64_t size) except? -3:
    cdef striate_key name
    cdef record_input record
    if key_size > MAX_KEY_BYTES or size > MAX_RECORD_BYTES:
        return TOO_LARGE
    load(table, &name, key, key_size)
    memset(&record, 0, sizeof(record))
    record.kind, record.flags = KIND_VALUE, HAS_VIEW
    record.extension, record.extension_size = <const char *>table._view.extension, VIEW_EXTENSION_BYTES
    record.value, record.value_size = value, <uint32_t>size
    table.write_record(&name, &record, STRIATE_NEVER, STRIATE_MUST_NOTHING, 0)
    return 0
