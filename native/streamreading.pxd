# Reading a stream of a database, and waiting for more of it.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from striate._native.partition cimport Partition, StreamView
from striate._native.stream cimport striate_id, striate_met, striate_stream
from striate._native.streamentry cimport StreamEntry
from striate._native.streamlook cimport StreamLook


cdef class StreamReader:
    cdef readonly StreamView _view
    cdef readonly Partition _partition
    cdef striate_stream *stream       # of the view, or of the look
    cdef StreamLook look              # of a transaction, or None
    cdef object encode, decode        # to and from bytes; None: values are bytes

    # What was found, with what the log has of it. `given`: to a consumer, who gets each of them, also what is broken.
    cdef list entries_of(self, striate_met *found, int64_t count, bint given)
    cdef StreamEntry entry_of(self, striate_met *found, bint given)
    cdef int wait(self) except -1
    # Raises where there is nothing to be locked any more; the caller gives the lock back.
    cdef int lock(self) except -1
    cdef uint64_t visible(self) noexcept
    cdef void need(self, uint32_t parts) noexcept
    # Until there is an entry behind an id, or behind what a group has got, that readers see; whether there is.
    cdef int sleep_after(self, striate_id low, bytes group, int64_t timeout_ns) except -1
    cdef void wait_for_word(self, uint32_t seen, int64_t timeout_ns) noexcept nogil
    # The version of the first entry there, visible or not; 0: none.
    cdef uint64_t next_version(self, striate_id low, bytes group) except? 0
