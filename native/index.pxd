# The index: relative offset -> position, pairs of little-endian uint32, eight bytes a record.
#
# Derived data. It is mapped while its segment is written or read, or lives in memory after it was rebuilt from the
# store. Positions are in units of 8 bytes. One writer (the log's write lock); readers below the published count.

from libc.stdint cimport int64_t, uint32_t

from striate._native.io cimport Disk
from striate._native.mapping cimport Mapping


cdef class Index:
    cdef Disk disk
    cdef readonly str path            # of the file, also when the pairs are in memory
    cdef Mapping mapping              # None: the pairs are in memory
    cdef uint32_t *pairs
    cdef int descriptor               # -1 when not open for writing
    cdef readonly int64_t count       # entries written; guarded by the write lock, fixed once sealed
    cdef int64_t capacity             # entries that fit the mapping or the memory
    cdef int64_t allocated            # bytes of the file that may be stored into; atomic

    # 0, STATUS_FULL or STATUS_GROW
    cdef int append(self, uint32_t relative_offset, uint32_t position_units) noexcept nogil
    # Entries behind the last of a mapped index that has room for them, by a write or through the mapping.
    cdef void put(self, const uint32_t *pairs, int64_t entries, bint by_write) noexcept nogil
    cdef int reserve(self, int64_t entries) noexcept nogil
    # slot of a relative offset by binary search among the first `count` entries, or -1; lower_bound: first slot not
    # below
    cdef int64_t find(self, uint32_t relative_offset, int64_t count) noexcept nogil
    cdef int64_t lower_bound(self, uint32_t relative_offset, int64_t count) noexcept nogil
    cdef uint32_t checksum(self) noexcept nogil
    cdef int sync(self) noexcept nogil
    cdef int finish(self) noexcept nogil


# One entry behind the last of a mapped index that has room for it (the caller made sure). Inline: for every append.
cdef inline void append_entry(Index self, uint32_t relative_offset, uint32_t position_units) noexcept nogil:
    cdef uint32_t pair[2]
    pair[0] = relative_offset
    pair[1] = position_units
    self.disk.table.store(self.disk.table.context, <char *>(self.pairs + 2 * self.count), pair, 8)
    self.count += 1
