# The live page: memory the writer shares with its readers, in this process and in others (file `live`).
#
# It says how far the log may be read and lets readers sleep until that moves. Never synced; worth nothing after a
# reboot or when the file was copied, which boot_id and inode tell.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from striate._native.io cimport Disk
from striate._native.mapping cimport Mapping

cdef enum:
    FAILED_WRITER = 1                 # a sync of the writer failed
    FAILED_RECOVERY = 2               # a sync of an opening failed: rewrite what was not sealed, the cache may lie

cdef struct live_page:
    uint32_t magic                    # "SLIV"
    uint16_t version
    uint16_t size
    uint8_t boot_id[16]
    uint64_t inode
    uint64_t log_id
    uint64_t writer_pid
    uint64_t generation               # manifest sequence; readers load the manifest anew when it moves
    uint64_t failed                   # FAILED_…: after a failed sync
    uint64_t failed_offset            # with FAILED_WRITER: trust nothing from here on
    uint64_t durable_next             # offsets below it are on disk
    uint8_t padding_1[48]
    # one cache line that the writer changes with every append
    uint64_t visible_next             # offsets below it may be read
    uint8_t padding_2[56]
    # and one that changes only when someone goes to sleep
    uint32_t waiting                  # futex word: odd when anybody may sleep on it; every wake-up makes it another
    uint8_t padding_3[60]


cdef class Live:
    cdef live_page *page
    cdef Mapping mapping
    cdef bint writable                # a reader may lack the right to: then it looks now and then
    cdef readonly bint trusted        # the page was written in this boot, in this very file, for this log

    @staticmethod
    cdef Live _map(str path, uint64_t log_id, Disk disk, bint writable)
    # Publish a new end and wake sleepers, if any.
    cdef void publish(self, uint64_t next_offset) noexcept nogil
    cdef void wake(self) noexcept nogil
    cdef uint64_t visible(self) noexcept nogil
    # Say that somebody is about to sleep. Then look whether there is still reason to, and only then sleep() with what
    # this gave: any wake-up since ends the sleep before it begins.
    cdef uint32_t announce(self) noexcept nogil
    # Sleep until woken: 0, -EAGAIN, -EINTR, -ETIMEDOUT, after each of which one looks again.
    cdef int sleep(self, uint32_t announced, int64_t timeout_ns) noexcept nogil
    cdef uint64_t log_id
    cdef uint64_t inode
    cdef _stamp(self)
