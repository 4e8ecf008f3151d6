# Changes of one stream of a database.

from libc.stdint cimport int64_t, uint32_t

from striate._native.frame cimport record_input
from striate._native.stream cimport striate_id, striate_stream_edit
from striate._native.streamreading cimport StreamReader


cdef class StreamCore(StreamReader):
    # One edit and its records into the log; its status, 0 or what of stream.h says why not. Not yet durable.
    cdef int commit_edit(self, striate_stream_edit *edit, record_input *records) except -1
    # A record of a kind, with the value that the edit will have; at most `capacity` bytes, malloc.
    cdef int make_room(self, striate_stream_edit *edit, record_input *records, uint32_t kind,
                       int64_t capacity) except -1
    cdef void set_record(self, record_input *record, uint32_t kind) noexcept
    cdef int refuse_id(self, int status, striate_id given) except -1
    cdef int load_wanted_id(self, object id, striate_stream_edit *edit) except -1
    cdef bytes keyed(self, object key)
    cdef object load_value(self, object value)
    cdef int64_t state_size(self)
    cdef int64_t piece_bytes(self)


# Ids of a caller, ascending and each once; malloc.
cdef striate_id *load_ids(object ids, int64_t *count) except NULL
