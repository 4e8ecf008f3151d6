"""The live page: memory the writer shares with its readers (docs/format.md, "Directory")."""

import os

from libc.string cimport memcmp, memcpy

from striate._native.platform cimport (
    striate_compare_exchange_u32,
    striate_exchange_u64,
    striate_fetch_or_u32,
    striate_futex_wait,
    striate_futex_wake_all,
    striate_interruptible_ns,
    striate_load_u32,
    striate_load_u64_acquire,
    striate_store_u32,
    striate_store_u64_release,
)

from striate._native.io import REAL_DISK, check_result
from striate.errors import DiskError

cdef enum:
    MAGIC_LIVE = 0x56494C53
    PAGE_BYTES = 4096
    LOOK_EVERY_NS = 20000000

assert sizeof(live_page) == 256


def _boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return bytes.fromhex(file.read().decode().strip().replace("-", ""))
    except OSError:
        # Without it no page can be trusted, which only costs readers a scan: an id that never repeats says so.
        return os.urandom(16)


cdef bytes _this_boot = _boot_id()


cdef class Live:
    """The mapped live page of one log."""

    @staticmethod
    def open(str path, uint64_t log_id, *, Disk disk=REAL_DISK):
        """Map the page, making the file when it is not there; one that cannot be trusted is begun anew. For the writer.

        Raises:
            DiskError, DiskFullError: the file cannot be made or mapped.
        """
        cdef Live self = Live._map(path, log_id, disk, True)
        if not self.trusted:
            self._stamp()
        return self

    @staticmethod
    def open_reader(str path, uint64_t log_id, Disk disk=REAL_DISK):
        """Map the page for a reader, who writes only the word it sleeps on; ``None`` where there is none and none can
        be made.

        A reader without the right to write looks every 20 ms instead of being woken.
        A page that cannot be trusted (yet) is something to sleep on until a writer comes and stamps it.
        """
        try:
            return Live._map(path, log_id, disk, True)
        except DiskError:
            pass
        try:
            return Live._map(path, log_id, disk, False)
        except DiskError:
            return None

    @staticmethod
    cdef Live _map(str path, uint64_t log_id, Disk disk, bint writable):
        cdef Live self = Live.__new__(Live)
        cdef int flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        cdef int descriptor = disk.open_file(path, flags | os.O_NOFOLLOW)
        self.writable = writable
        try:
            if disk.table.size(disk.table.context, descriptor) < PAGE_BYTES:
                check_result(disk.table.allocate(disk.table.context, descriptor, 0, PAGE_BYTES), path, "allocate")
            self.mapping = Mapping.create(disk, descriptor, PAGE_BYTES, writable, path)
            self.inode = os.fstat(descriptor).st_ino
        finally:
            disk.close_file(descriptor)
        self.log_id = log_id
        self.page = <live_page *>self.mapping.address
        self.judge()
        return self

    def judge(self):
        """Look whether the page can be trusted: written in this boot, in this very file, for this log."""
        self.trusted = (striate_load_u32(&self.page.magic) == MAGIC_LIVE and self.page.version == 1
                        and self.page.inode == self.inode and self.page.log_id == self.log_id
                        and memcmp(self.page.boot_id, <const char *>_this_boot, 16) == 0)
        return self.trusted

    cdef _stamp(self):
        # No magic until begin(): a reader must not believe a page that says nothing yet.
        striate_store_u32(&self.page.magic, 0)
        self.page.visible_next = self.page.failed = self.page.failed_offset = self.page.generation = 0
        self.page.durable_next = 0
        self.page.version, self.page.size = 1, sizeof(live_page)
        self.page.inode, self.page.log_id = self.inode, self.log_id
        memcpy(self.page.boot_id, <const char *>_this_boot, 16)

    @property
    def failed_offset(self):
        """Where distrust begins after a failed sync of an earlier writer, or ``None``."""
        return self.page.failed_offset if self.trusted and self.page.failed & FAILED_WRITER else None

    @property
    def recovery_failed(self):
        """Whether a sync failed while an earlier opening recovered the log: the page cache may show what the disk
        lacks."""
        return self.trusted and self.page.failed & FAILED_RECOVERY != 0

    def note_recovery_failure(self):
        """Leave word that a sync failed during recovery."""
        striate_exchange_u64(&self.page.failed, self.page.failed | FAILED_RECOVERY)
        striate_store_u32(&self.page.magic, MAGIC_LIVE)
        self.trusted = True

    @property
    def visible_next(self):
        """Offsets below it may be read."""
        return striate_load_u64_acquire(&self.page.visible_next)

    @property
    def generation(self):
        """Sequence of the manifest that goes with what is visible."""
        return striate_load_u64_acquire(&self.page.generation)

    @property
    def writer_pid(self):
        """Process id of the last writer."""
        return self.page.writer_pid

    def begin(self, uint64_t next_offset, uint64_t generation):
        """A writer takes over: nothing is failed, ``next_offset`` is visible."""
        self.page.writer_pid = os.getpid()
        self.page.failed = 0
        striate_store_u64_release(&self.page.durable_next, next_offset)
        self.set_generation(generation)
        self.publish(next_offset)
        # Last: from here on readers that slept on an untrusted page believe it.
        striate_store_u32(&self.page.magic, MAGIC_LIVE)
        self.trusted = True
        self.wake()

    def set_generation(self, uint64_t generation):
        """Tell readers that the manifest has changed. Before anything is published that needs the new one."""
        striate_exchange_u64(&self.page.generation, generation)

    def note_failure(self, uint64_t durable_offset):
        """Leave word that syncing failed, for whoever opens the log next in this boot."""
        self.page.failed_offset = durable_offset
        striate_exchange_u64(&self.page.failed, self.page.failed | FAILED_WRITER)

    cdef void publish(self, uint64_t next_offset) noexcept nogil:
        # An exchange is a full barrier: the new end is seen by anyone whose `waiting` the next line does not see.
        striate_exchange_u64(&self.page.visible_next, next_offset)
        if striate_load_u32(&self.page.waiting) & 1:
            self.wake()

    cdef void wake(self) noexcept nogil:
        # To the next even number, and never back to one that was: who announced itself before does not fall asleep on
        # the announcement of who came after.
        cdef uint32_t seen
        while self.writable:
            seen = striate_load_u32(&self.page.waiting)
            if striate_compare_exchange_u32(&self.page.waiting, seen, (seen | 1) + 1):
                break
        striate_futex_wake_all(&self.page.waiting)

    cdef uint64_t visible(self) noexcept nogil:
        return striate_load_u64_acquire(&self.page.visible_next)

    cdef uint32_t announce(self) noexcept nogil:
        # The word is set before the end, or whether the log is closed, is looked at; publish() and closing do it the
        # other way round, so one of the two sees the other. A sleeper that was killed leaves the word odd: one needless
        # wake-up.
        if not self.writable:
            return striate_load_u32(&self.page.waiting)
        return striate_fetch_or_u32(&self.page.waiting, 1) | 1

    cdef int sleep(self, uint32_t announced, int64_t timeout_ns) noexcept nogil:
        cdef int64_t slice_ns = LOOK_EVERY_NS
        if not self.writable:
            timeout_ns = slice_ns if timeout_ns < 0 else min(timeout_ns, slice_ns)
        return striate_futex_wait(&self.page.waiting, announced, striate_interruptible_ns(timeout_ns))

    def _announce(self):
        """For tests of this module alone, as :meth:`_wake` and :meth:`_sleep`."""
        return self.announce()

    def _wake(self):
        self.wake()

    def _sleep(self, uint32_t announced, int64_t timeout_ns):
        """0, or the negative error number of the futex: -EAGAIN for a wake-up before the sleep."""
        cdef int status
        with nogil:
            status = self.sleep(announced, timeout_ns)
        return status
