# Commands that a server answers without asking Python: GET, SET and XADD in their plain forms.

from libc.stdint cimport uint64_t

from striate._native.partition cimport Partition
from striate._native.resp cimport striate_argument, striate_buffer, striate_request


cdef class PlainCommands:
    cdef Partition partition
    cdef list tables                  # for each database: of its strings
    cdef dict names                   # the catalog's
    cdef list appended                # for each database: keys of streams, what XADD needs to know of them
    cdef uint64_t highest_seen        # number of a view, at the last look at the names: a new one has a higher one
    cdef bint has_streams             # one of them is, or was, not a table
    cdef public uint64_t gets, hits, sets, appends

    # Whether it was answered, and up to which version the log must be durable before the answer may be seen.
    cdef bint answer(self, int database, int protocol, const striate_request *request, const char *bytes,
                     striate_buffer *reply, uint64_t *version) except -1
    cdef bint may_be_stream(self, int database, const char *key, uint64_t size) except -1
    cdef bint get(self, int database, int protocol, const char *key, uint64_t size, striate_buffer *reply,
                  uint64_t *version) except -1
    cdef bint set(self, int database, const char *bytes, const striate_argument *key, const striate_argument *value,
                  striate_buffer *reply) except -1
    cdef bint append(self, int database, const striate_request *request, const char *bytes,
                     striate_buffer *reply) except -1
