# XADD to a stream without Python objects: fields of a request in, the id as a reply out.

from libc.stdint cimport uint32_t

from striate._native.resp cimport striate_argument, striate_buffer
from striate._native.streams cimport StreamCore

# Append an entry of so many fields and values with an id by the clock, without waiting for the disk. 1, or 0: nothing
# was done, and somebody else has to do it or say why not.
cdef int append_plain(StreamCore core, const char *bytes, const striate_argument *fields, uint32_t count,
                      striate_buffer *reply) except -1
