# GET and SET of a durable table without Python objects: bytes of a request in, a reply out.

from libc.stdint cimport uint64_t

from striate._native.durable cimport TableCore
from striate._native.resp cimport striate_buffer

cdef enum:
    TOO_LARGE = -2                    # somebody else has to say so


# The latest value of a key as a bulk string: 1; -1 when it is absent; TOO_LARGE. Its version, 0 of an absent one.
cdef int read_plain(TableCore table, const char *key, uint64_t size, striate_buffer *reply,
                    uint64_t *version) except? -3
# Store a value without an end and without waiting for the disk: 0 or TOO_LARGE.
cdef int write_plain(TableCore table, const char *key, uint64_t key_size, const char *value,
                     uint64_t size) except? -3
