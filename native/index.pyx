"""The index: relative offset to position, eight bytes a record (docs/format.md, "Index file")."""

cimport cython

import os

from libc.stddef cimport size_t
from libc.stdlib cimport free, realloc

from striate._native.frame cimport STATUS_FULL, STATUS_GROW, STATUS_NO_MEMORY, align_up, striate_crc32c_extend
from striate._native.io cimport raise_disk_error

from striate._native.io import REAL_DISK, check_result

cdef extern from "platform.h" nogil:
    void striate_store_i64(int64_t *address, int64_t value)

cdef enum:
    PAGE_BYTES = 4096
    ENTRY_BYTES = 8
    FIRST_GROWTH_BYTES = 4096
    LAST_GROWTH_BYTES = 1048576


# A garbage cycle must not take `disk` away before __dealloc__ has used it.
@cython.no_gc_clear
cdef class Index:
    """Pairs of relative offset and position. Made by :meth:`create`, :meth:`open` and :meth:`in_memory`."""

    def __cinit__(self):
        self.descriptor = -1

    def __dealloc__(self):
        if self.descriptor >= 0:
            self.disk.table.close(self.disk.table.context, self.descriptor)
            self.descriptor = -1
        if self.mapping is None:
            free(self.pairs)
        self.pairs = NULL

    @staticmethod
    def create(str path, int64_t capacity, Disk disk=REAL_DISK, bint replace=False):
        """Make an index file for up to ``capacity`` entries and map it. Allocated as it grows, never synced here."""
        cdef Index self = Index.__new__(Index)
        cdef int flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (os.O_TRUNC if replace else os.O_EXCL)
        self.disk = disk
        self.path = path
        self.capacity = capacity
        self.descriptor = disk.open_file(path, flags)
        try:
            self.mapping = Mapping.create(disk, self.descriptor, align_up(max(capacity, 1) * ENTRY_BYTES, PAGE_BYTES),
                                          True, path)
        except BaseException:
            disk.close_file(self.descriptor)
            self.descriptor = -1
            disk.unlink(path)
            raise
        self.pairs = <uint32_t *>self.mapping.address
        return self

    @staticmethod
    def open(str path, int64_t count, int64_t capacity=0, Disk disk=REAL_DISK):
        """Map an index file for reading: ``count`` entries now, room for ``capacity`` as a writer adds them."""
        cdef Index self = Index.__new__(Index)
        cdef int descriptor = disk.open_file(path, os.O_RDONLY | os.O_NOFOLLOW)
        self.disk = disk
        self.path = path
        try:
            self.allocated = disk.table.size(disk.table.context, descriptor)
            check_result(min(self.allocated, 0), path, "stat")
            self.capacity = max(capacity, count)
            self.mapping = Mapping.create(disk, descriptor, align_up(max(self.capacity, 1) * ENTRY_BYTES, PAGE_BYTES),
                                          False, path)
        finally:
            disk.close_file(descriptor)
        self.pairs = <uint32_t *>self.mapping.address
        # Entries past the end of a shortened file do not exist, whatever the footer says.
        self.count = min(count, self.allocated // ENTRY_BYTES)
        return self

    @staticmethod
    def resume(str path, int64_t count, int64_t capacity, Disk disk=REAL_DISK):
        """Map the index file of a sealed segment for more entries behind its ``count``."""
        cdef Index self = Index.__new__(Index)
        self.disk = disk
        self.path = path
        self.capacity = capacity
        self.descriptor = disk.open_file(path, os.O_RDWR | os.O_NOFOLLOW)
        self.allocated = disk.table.size(disk.table.context, self.descriptor)
        check_result(min(self.allocated, 0), path, "stat")
        self.mapping = Mapping.create(disk, self.descriptor, align_up(max(capacity, 1) * ENTRY_BYTES, PAGE_BYTES),
                                      True, path)
        self.pairs = <uint32_t *>self.mapping.address
        self.count = min(count, self.allocated // ENTRY_BYTES)
        return self

    @staticmethod
    def in_memory(str path, Disk disk=REAL_DISK):
        """An empty index in memory, for one that is rebuilt; :meth:`save` makes it a file."""
        cdef Index self = Index.__new__(Index)
        self.disk = disk
        self.path = path
        return self

    @property
    def is_in_memory(self):
        """Whether the pairs were rebuilt and are in no file."""
        return self.mapping is None

    def save(self):
        """Put a file with the pairs in the place of the old one, durably. A reader may have the old one mapped, so it
        is replaced and not written over."""
        cdef size_t size = <size_t>self.count * ENTRY_BYTES
        self.disk.replace_file(self.path, b"" if size == 0 else (<const unsigned char *>self.pairs)[:size])

    cdef int append(self, uint32_t relative_offset, uint32_t position_units) noexcept nogil:
        cdef uint32_t pair[2]
        if self.mapping is None:
            if self.count == self.capacity and self.reserve(self.count + 1) < 0:
                return STATUS_NO_MEMORY
            self.pairs[2 * self.count] = relative_offset
            self.pairs[2 * self.count + 1] = position_units
        else:
            if self.count >= self.capacity:
                return STATUS_FULL
            if (self.count + 1) * ENTRY_BYTES > self.allocated:
                return STATUS_GROW
            pair[0] = relative_offset
            pair[1] = position_units
            self.disk.table.store(self.disk.table.context, <char *>(self.pairs + 2 * self.count), pair, ENTRY_BYTES)
        self.count += 1
        return 0

    cdef void put(self, const uint32_t *pairs, int64_t entries, bint by_write) noexcept nogil:
        cdef size_t size = <size_t>entries * ENTRY_BYTES
        # Where a write fails or stops short, the mapping takes the pairs all the same.
        if not by_write or self.disk.table.write(self.disk.table.context, self.descriptor, pairs, size,
                                                 self.count * ENTRY_BYTES) != <int64_t>size:
            self.disk.table.store(self.disk.table.context, <char *>(self.pairs + 2 * self.count), pairs, size)
        self.count += entries

    cdef int reserve(self, int64_t entries) noexcept nogil:
        # Make room for `entries` in all: blocks of the file, or memory. 0, STATUS_FULL, STATUS_NO_MEMORY or -errno.
        cdef int64_t wanted
        cdef int result
        cdef void *grown
        if self.mapping is None:
            if entries <= self.capacity:
                return 0
            wanted = max(entries, self.capacity * 2, <int64_t>512)
            grown = realloc(self.pairs, <size_t>wanted * ENTRY_BYTES)
            if grown == NULL:
                return STATUS_NO_MEMORY
            self.pairs = <uint32_t *>grown
            self.capacity = wanted
            return 0
        if entries > self.capacity:
            return STATUS_FULL
        if entries * ENTRY_BYTES <= self.allocated:
            return 0
        wanted = self.allocated + min(max(self.allocated, <int64_t>FIRST_GROWTH_BYTES), <int64_t>LAST_GROWTH_BYTES)
        wanted = min(align_up(max(entries * ENTRY_BYTES, wanted), PAGE_BYTES), self.mapping.size_bytes)
        result = self.disk.table.allocate(self.disk.table.context, self.descriptor, self.allocated,
                                          wanted - self.allocated)
        if result == 0:
            striate_store_i64(&self.allocated, wanted)
        return result

    cdef int64_t lower_bound(self, uint32_t relative_offset, int64_t count) noexcept nogil:
        cdef int64_t low = 0
        cdef int64_t high = count
        cdef int64_t middle
        while low < high:
            middle = (low + high) >> 1
            if self.pairs[2 * middle] < relative_offset:
                low = middle + 1
            else:
                high = middle
        return low

    cdef int64_t find(self, uint32_t relative_offset, int64_t count) noexcept nogil:
        # A segment without gaps has its entry at the slot of its number; the search is for compacted ones.
        cdef int64_t slot = relative_offset
        if slot < count and self.pairs[2 * slot] == relative_offset:
            return slot
        slot = self.lower_bound(relative_offset, min(count, slot + 1))
        return slot if slot < count and self.pairs[2 * slot] == relative_offset else -1

    cdef uint32_t checksum(self) noexcept nogil:
        return striate_crc32c_extend(0, self.pairs, <size_t>self.count * ENTRY_BYTES)

    cdef int sync(self) noexcept nogil:
        if self.mapping is not None:
            self.disk.table.release(self.disk.table.context, self.mapping.address, self.mapping.size_bytes)
        return self.disk.table.sync(self.disk.table.context, self.descriptor) if self.descriptor >= 0 else 0

    cdef int finish(self) noexcept nogil:
        # Cut the preallocated tail and give the descriptor back.
        cdef int result = 0
        if self.descriptor >= 0:
            result = self.disk.table.truncate(self.disk.table.context, self.descriptor, self.count * ENTRY_BYTES)
            self.disk.table.close(self.disk.table.context, self.descriptor)
            self.descriptor = -1
            self.allocated = self.count * ENTRY_BYTES
        return result

    # ------------------------------------------------------------ for unit tests

    def add(self, uint32_t relative_offset, uint32_t position_units):
        """Append one entry, growing as needed; ``False`` when the index is full. For tests of this layer."""
        cdef int result = self.reserve(self.count + 1)
        if result == STATUS_FULL:
            return False
        if result < 0:
            raise_disk_error(result, self.path, "allocate")
        return self.append(relative_offset, position_units) == 0

    def position_of(self, uint32_t relative_offset):
        """Position (units of 8 bytes) of a relative offset, or ``None``. For tests."""
        cdef int64_t slot = self.find(relative_offset, self.count)
        return None if slot < 0 else self.pairs[2 * slot + 1]

    def first_at_or_after(self, uint32_t relative_offset):
        """Slot of the first entry not below a relative offset. For tests."""
        return self.lower_bound(relative_offset, self.count)
