# The preparer: keeps blocks, zeros and mapped pages ready ahead of the appends to one segment.
#
# An append never waits for it; one that comes to blocks that are not there yet takes them itself (grow). What it does
# ahead depends on how the log is written:
#   stores into the mapping   allocate blocks, then map their pages for writing: a fault costs more than an append
#   durable, small writes     allocate blocks and write zeros: a sync into written blocks takes half the time
#   large writes              allocate blocks: zeros would double what goes to the disk, mapped pages must be cleared
#
# Locks: work_lock before grow_lock; the log's write lock is never taken in here.

from libc.stdint cimport int64_t, uint32_t

from striate._native.io cimport Disk
from striate._native.segment cimport Segment

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef unsigned long pthread_t

cdef enum:
    NEVER = 0x7FFFFFFFFFFFFFFF

ctypedef void (*failure_handler)(void *owner, int status) noexcept nogil


cdef class Preparer:
    cdef Disk disk
    cdef bint power                   # the log is durable: its small records are written, into zeroed blocks
    cdef bint large                   # the last append was a large write; a hint, stored by the appending thread
    cdef int64_t wake_at              # written position at which the appending thread calls wake(); atomic

    cdef pthread_mutex_t work_lock    # held while the target is worked on
    cdef pthread_mutex_t grow_lock    # allocation of the target's blocks
    cdef void *target                 # Segment, borrowed, or NULL; changes under both locks
    cdef bint held                    # nothing may be taken ahead: a full disk's reserve is not whole; grow_lock
    cdef int64_t mapped               # pages of the store below this position are mapped; work_lock
    cdef int64_t index_mapped         # pages of the index, likewise

    cdef uint32_t forks
    cdef pthread_t thread
    cdef bint running
    cdef uint32_t stopping
    cdef uint32_t word                # futex: 1 = look
    cdef void *owner                  # of the failure handler
    cdef failure_handler failed       # a sync of the preparer's failed

    # Work on this segment from now on, or on none: before one is sealed, lest blocks be taken behind its footer.
    cdef void aim(self, Segment segment) noexcept
    cdef void hold(self, bint held) noexcept
    # Blocks and pages a new segment begins with. `expected_bytes`: what its predecessor came to. 0 or -errno of a sync.
    cdef int first(self, Segment segment, int64_t expected_bytes) noexcept nogil
    # Blocks for an append that found none. 0 or -errno.
    cdef int grow(self, Segment segment, int64_t size_bytes, int64_t records) noexcept nogil
    cdef void wake(self) noexcept nogil
    cdef void run(self) noexcept nogil
    cdef void work(self) noexcept nogil
    cdef bint step(self) noexcept nogil
    cdef bint step_index(self, int64_t ahead) noexcept nogil
    cdef int take(self, int64_t ahead, bint fill) noexcept nogil
    cdef bint map_pages(self, char *memory, int64_t *mapped, int64_t used, int64_t end, int64_t piece) noexcept nogil
    cdef void start(self) noexcept
    cdef void stop(self) noexcept
