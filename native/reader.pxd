# Reading a log: from offsets to records over an immutable list of segments. Base of the writing half in log.pyx.
#
# The list is a tuple that is replaced as a whole, so a reader works on the state it began with; what it removes stays
# mapped until the last reader lets go.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from striate._native.columnar cimport RecordColumns
from striate._native.frame cimport frame_view
from striate._native.io cimport Disk
from striate._native.live cimport Live
from striate._native.segment cimport Segment

cdef enum:
    LOG_OPEN = 0
    LOG_FROZEN = 1                    # segments are being changed: appends wait for the admin lock
    LOG_FAILED = 2                    # a sync failed
    LOG_DAMAGED = 3                   # damage that recovery did not cut away
    LOG_CLOSED = 4


cdef class LogReader:
    cdef readonly Disk _disk
    cdef readonly str path
    cdef readonly bint _read_only
    cdef readonly int _state          # LOG_…; changes under the GIL and the write lock
    cdef uint32_t forks               # fork_count() when opened
    cdef tuple segments               # of Segment, by base offset
    cdef readonly Live _live          # None: a reader of a log whose writer left no trustworthy page
    cdef uint64_t still               # visible end while `_live` is None
    cdef uint64_t generation          # manifest sequence `segments` was made from
    cdef uint64_t lowest
    cdef public list _lost            # [(first_offset, next_offset, path, reason)]: ranges without a readable segment

    cdef uint64_t visible(self) noexcept nogil
    cdef int check_open(self) except -1
    cdef int follow_writer(self) except -1
    # Raise unless the offset may be read; gives the visible end.
    cdef uint64_t check_offset(self, uint64_t offset) except? 0
    cdef Segment find(self, uint64_t offset)
    # Verified frame of a readable offset; raises what is wrong otherwise.
    cdef Segment fetch(self, uint64_t offset, frame_view *view)
    cdef int check_lost(self, uint64_t offset) except -1
    cdef int refuse(self, Segment segment, uint64_t offset, int status) except -1
    cdef int _fill(self, Segment segment, RecordColumns columns, uint64_t *first, uint64_t visible, int64_t limit,
                   int64_t *begin, int64_t *end) except? -1
    cdef uint64_t _after(self, Segment segment, uint64_t visible)


cdef class Scan:
    cdef LogReader log
    cdef Segment segment
    cdef int64_t position
    cdef uint64_t next_offset
    cdef uint64_t segment_end         # offset at which to leave the segment
    cdef uint64_t stop
    cdef int64_t fetched              # pages below this position were asked for
    cdef int64_t window               # bytes to ask for next

    cdef bint _enter(self) except -1
    cdef int _fetch(self) except -1


cdef uint64_t as_offset(object value, str argument) except? 0xFFFFFFFFFFFFFFFF
