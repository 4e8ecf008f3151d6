# A stream as one transaction sees it.

from libc.stdint cimport uint32_t, uint64_t

from striate._native.frame cimport record_input
from striate._native.partition cimport StreamView
from striate._native.stream cimport striate_id, striate_stream, striate_stream_edit

cdef enum:
    DEPENDS_ON_TOP = 1                # a bit for each part of a stream (stream.h)
    DEPENDS_ON_REMOVALS = 2
    DEPENDS_ON_GROUPS = 4
    DEPENDS_ON_ALL = 7


cdef class StreamLook:
    cdef readonly StreamView view
    cdef striate_stream *stream       # a clone, with the transaction's own changes
    cdef striate_stream *start        # another, without
    cdef uint32_t parts               # that the transaction depends on
    cdef list records                 # its changes: (kind, key or None, value)

    # What commit_edit of a stream does, on the clone.
    cdef int apply(self, striate_stream_edit *edit, record_input *records) except -1
    # What a range depends on; `whole`: all there was of it was found.
    cdef void note_range(self, striate_id low, striate_id high, bint backwards, bint whole) noexcept
    cdef tuple own_entry(self, uint64_t version)


cdef class StreamMark:
    cdef striate_stream *stream
    cdef list records


cdef inline bint is_own(uint64_t version) noexcept:
    return version >= <uint64_t>1 << 62
