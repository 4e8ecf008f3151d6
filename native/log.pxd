# The log: appends, group commit and the two helper threads. Rolling, truncation and all else that is rare is in
# storage/segment_list.py, under the admin lock; this file is what runs for every record.
#
# Locks, in the order they may be taken:
#   admin lock (Python, segment_list.py)  one structural change at a time
#   sync leadership (`syncing`)           one fdatasync at a time; rolls and truncations hold it too
#   work_lock, grow_lock                  of the preparer (preparer.pxd)
#   write_lock                            everything an append touches
# Code under the C locks is noexcept nogil. A thread never waits for write_lock while it holds the GIL (it tries, and
# lets the GIL go before it waits), so holding it across a Python call would deadlock: do not.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from striate._native.batch cimport stage
from striate._native.clock cimport striate_clock
from striate._native.frame cimport record_input
from striate._native.lock cimport striate_word_lock
from striate._native.platform cimport pthread_cond_t, pthread_mutex_t, pthread_t
from striate._native.preparer cimport Preparer
from striate._native.reader cimport LogReader
from striate._native.segment cimport Segment

cdef enum:
    RETIRING_MAX = 4                  # rolled segments that wait to be sealed; a roll waits for room


cdef class LogCore(LogReader):
    cdef readonly bint _power
    cdef readonly int64_t segment_bytes       # capacity of new segments
    cdef readonly uint32_t _record_size       # bytes; 0 = any
    cdef object clock                         # None: the system's; else a callable giving microseconds
    cdef int64_t sync_interval_ns

    # guarded by write_lock
    cdef striate_word_lock write_lock
    cdef striate_clock system_clock
    cdef Segment active                       # None: the next append makes or resumes one
    cdef uint64_t written_next                # one past the last offset written; read anywhere
    cdef uint64_t last_timestamp_us
    cdef uint64_t appends
    cdef uint64_t sync_target                 # where the latest sync began: durable_next once it has ended
    cdef stage *room                          # where batches are made

    # guarded by sync_lock
    cdef pthread_mutex_t sync_lock
    cdef pthread_cond_t sync_done
    cdef bint syncing                         # somebody leads
    cdef unsigned long leader                 # the thread that leads by _lead(), or 0; GIL
    cdef uint64_t durable_next                # everything below is on disk; atomic
    cdef uint64_t durable_appends             # of `appends`, how many are on disk; never falls; atomic
    cdef int failure                          # errno of the sync that failed, or 0
    cdef uint64_t syncs
    # added to under write_lock, taken from by whoever leads
    cdef void *retiring[RETIRING_MAX]         # Segments, borrowed from `segments`
    cdef int retiring_count
    # owned by whoever leads
    cdef int checkpoint_descriptor            # -1: none
    cdef uint64_t checkpoint_sequence
    cdef uint64_t checkpointed_next

    cdef Preparer preparer

    # threads
    cdef pthread_t sync_thread
    cdef bint threads_running
    cdef uint32_t stopping
    cdef uint32_t sync_word                   # futex: SYNC_WANTED | SYNC_DIRTY
    cdef uint32_t sync_idle                   # the sync thread sleeps without a timeout
    cdef int notify_descriptor                # eventfd told of every sync that was asked for; -1: none

    cdef int lock_writes(self) except -1
    cdef int append_locked(self, record_input *records, int64_t count, int64_t size_bytes) noexcept nogil
    cdef void tell(self) noexcept nogil
    cdef int64_t write(self, record_input *records, int64_t count) except -1
    cdef int64_t append_bytes(self, const char *data, Py_ssize_t size) noexcept
    cdef int64_t write_one(self, object value, object key, int kind) except -1
    cdef int64_t write_many(self, object values, object keys, object lengths, int64_t *count) except -1
    cdef int check_size(self, record_input *record, int64_t size) except -1
    cdef int64_t measure(self, record_input *records, int64_t count) except -1
    cdef int make_room(self, int status, int64_t size_bytes, int64_t records) except -1
    cdef int wait_durable(self) except -1
    cdef int sync_to(self, uint64_t appends) noexcept nogil
    cdef void lead(self) noexcept nogil
    cdef void resign(self) noexcept nogil
    cdef int sync_once(self) noexcept nogil
    cdef void set_durable(self, uint64_t next_offset) noexcept nogil
    cdef void fail(self, int status) noexcept nogil
    cdef bint has_active(self) noexcept nogil
    cdef int write_checkpoint(self) noexcept nogil
    cdef void stop_threads(self) noexcept
    cdef void sync_loop(self) noexcept nogil
    cdef void wake_sync(self, uint32_t reason) noexcept nogil
    cdef int raise_state(self, int status) except -1
