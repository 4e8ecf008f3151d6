"""The store: one file of frames, appended through a mapping (docs/format.md, "Store file")."""

cimport cython

import os

from libc.string cimport memcmp, memcpy, memset

from striate._native.frame cimport (
    FOOTER_BYTES,
    FORMAT_VERSION,
    FRAME_HEADER_BYTES,
    KIND_VALUE,
    MAGIC_FOOTER,
    MAGIC_STORE,
    STATUS_CORRUPT,
    STATUS_EMPTY,
    STATUS_GROW,
    STORE_HEADER_BYTES,
    SYNC_EXTENSION_BYTES,
    UNIT_BYTES,
    align_up,
    footer,
    frame_bytes,
    header_checksum,
    segment_seed,
    store_header,
)
from striate._native.io cimport raise_disk_error

from striate._native.io import REAL_DISK
from striate.errors import CorruptSegmentError, UnknownVersionError


cdef enum:
    PAGE_BYTES = 4096
    FIRST_GROWTH_BYTES = 65536
    LAST_GROWTH_BYTES = 2097152       # larger steps only make one sync wait for more zeros at once


# A garbage cycle must not take `disk` away before __dealloc__ has used it.
@cython.no_gc_clear
cdef class Store:
    """One file of frames. Made by :meth:`create` and :meth:`open`; used by one writer at a time."""

    def __cinit__(self):
        self.descriptor = -1

    def __dealloc__(self):
        if self.descriptor >= 0:
            self.disk.table.close(self.disk.table.context, self.descriptor)
            self.descriptor = -1

    @staticmethod
    def create(str path, *, uint64_t log_id, uint64_t segment_id, uint64_t base_offset, int64_t capacity,
               uint64_t base_timestamp_us=0, uint32_t leader_epoch=0, uint32_t record_size=0, uint16_t codec=0,
               Disk disk=REAL_DISK):
        """Make a new store file, allocate its first blocks, and sync it. The directory is synced by the caller.

        Raises:
            DiskFullError, DiskError: nothing is left behind but, at worst, an unnamed file.
        """
        cdef Store self = Store.__new__(Store)
        cdef int result
        cdef store_header header
        self.disk = disk
        self.path = path
        self.log_id, self.segment_id, self.base_offset = log_id, segment_id, base_offset
        self.base_timestamp_us, self.leader_epoch = base_timestamp_us, leader_epoch
        self.record_size, self.codec = record_size, codec
        self.capacity = align_up(capacity, UNIT_BYTES)
        self._derive()
        self.descriptor = disk.open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        try:
            with nogil:
                result = self.grow(STORE_HEADER_BYTES + FOOTER_BYTES)
            if result < 0:
                raise_disk_error(result, path, "allocate")
            self._map(align_up(self.capacity + FOOTER_BYTES, PAGE_BYTES), True)
            self._fill_header(&header)
            with nogil:
                disk.table.store(disk.table.context, self.memory, &header, sizeof(header))
                result = self.sync(0)
            if result < 0:
                raise_disk_error(result, path, "sync")
        except BaseException:
            disk.close_file(self.descriptor)
            self.descriptor = -1
            disk.unlink(path)
            raise
        self.written = self.synced = self.marked = STORE_HEADER_BYTES
        return self

    @staticmethod
    def open(str path, *, uint64_t segment_id, int64_t mapped_bytes=-1, bint writable=False, Disk disk=REAL_DISK,
             tuple trusted=None):
        """Open a store file and check its header.

        Args:
            path: the file. segment_id: the id the manifest gives it.
            mapped_bytes: how much to map, or -1 for what the header's capacity asks for.
            writable: keep a descriptor and map for writing.
            trusted: ``(base_offset, record_size, capacity)`` to believe instead of a damaged header.

        Raises:
            CorruptSegmentError: not a store file, damaged header, or another segment's file.
            UnknownVersionError: of another format version.
        """
        cdef Store self = Store.__new__(Store)
        cdef int64_t size
        self.disk = disk
        self.path = path
        if trusted is None:
            self._check_header(disk.read_file(path, STORE_HEADER_BYTES), segment_id)
        else:
            self.segment_id = segment_id
            self.base_offset, self.record_size, self.capacity = trusted
        self._derive()
        self.descriptor = disk.open_file(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW)
        size = disk.table.size(disk.table.context, self.descriptor)
        if size < 0:
            raise_disk_error(<int>size, path, "stat")
        if mapped_bytes < 0:
            mapped_bytes = self.capacity + FOOTER_BYTES
        self._map(align_up(mapped_bytes, PAGE_BYTES), writable)
        self.allocated = min(size, mapped_bytes)
        self.written = self.synced = self.marked = STORE_HEADER_BYTES
        if not writable:
            disk.close_file(self.descriptor)
            self.descriptor = -1
        return self

    cdef _derive(self):
        self.seed = segment_seed(self.segment_id)
        if self.record_size:
            self.stride = <uint32_t>frame_bytes(SYNC_EXTENSION_BYTES + <int64_t>self.record_size)

    cdef _map(self, int64_t size_bytes, bint writable):
        self.mapping = Mapping.create(self.disk, self.descriptor, size_bytes, writable, self.path)
        self.memory = self.mapping.address

    cdef void _fill_header(self, store_header *header) noexcept:
        memset(header, 0, sizeof(header[0]))
        header.magic, header.version, header.header_size = MAGIC_STORE, FORMAT_VERSION, STORE_HEADER_BYTES
        header.log_id, header.segment_id = self.log_id, self.segment_id
        header.base_offset, header.base_timestamp_us = self.base_offset, self.base_timestamp_us
        header.leader_epoch, header.record_size = self.leader_epoch, self.record_size
        header.capacity_units = <uint32_t>(self.capacity // UNIT_BYTES)
        header.codec = self.codec
        header.checksum = header_checksum(header, sizeof(header[0]))

    cdef _check_header(self, bytes data, uint64_t segment_id):
        cdef const store_header *header = <const store_header *><const char *>data
        if len(data) < STORE_HEADER_BYTES:
            raise CorruptSegmentError(self.path, "the file is shorter than its header", position=len(data))
        if header.magic != MAGIC_STORE:
            raise CorruptSegmentError(self.path, "not a store file (wrong magic)", position=0)
        if header.checksum != header_checksum(header, sizeof(header[0])):
            raise CorruptSegmentError(self.path, "the header's checksum is wrong", position=0)
        if header.version != FORMAT_VERSION:
            raise UnknownVersionError(self.path, header.version, FORMAT_VERSION)
        if header.segment_id != segment_id:
            raise CorruptSegmentError(self.path, f"segment {header.segment_id:#x} where the manifest names "
                                                 f"{segment_id:#x}", position=16)
        self.log_id, self.segment_id = header.log_id, header.segment_id
        self.base_offset, self.base_timestamp_us = header.base_offset, header.base_timestamp_us
        self.leader_epoch, self.record_size = header.leader_epoch, header.record_size
        self.capacity, self.codec = <int64_t>header.capacity_units * UNIT_BYTES, header.codec

    # ------------------------------------------------------------ writing

    cdef int append(self, record_input *record, uint32_t relative_offset, int64_t *position) noexcept nogil:
        return append_frame(self, record, relative_offset, position)

    cdef int64_t growth_step(self) noexcept nogil:
        # Small logs stay small; busy ones are allocated well ahead.
        return min(max(max(self.written, self.expected), <int64_t>FIRST_GROWTH_BYTES), <int64_t>LAST_GROWTH_BYTES)

    cdef int grow(self, int64_t needed) noexcept nogil:
        cdef int64_t allocated = self.allocated
        cdef int64_t limit = align_up(self.capacity + FOOTER_BYTES, PAGE_BYTES)
        cdef int64_t wanted = min(align_up(max(needed, allocated + self.growth_step()), PAGE_BYTES), limit)
        cdef int result
        if wanted <= allocated:
            return 0
        result = self.disk.table.allocate(self.disk.table.context, self.descriptor, allocated, wanted - allocated)
        if result < 0 and needed > allocated:
            # The step may be too much for a nearly full disk where the record itself still fits.
            wanted = min(align_up(needed, PAGE_BYTES), limit)
            result = self.disk.table.allocate(self.disk.table.context, self.descriptor, allocated, wanted - allocated)
        if result < 0:
            return result
        striate_store_i64(&self.allocated, wanted)
        return 0

    cdef int sync(self, int64_t end) noexcept nogil:
        cdef int64_t start = self.released
        end -= end % PAGE_BYTES
        if end > start:
            self.disk.table.release(self.disk.table.context, self.memory + start, end - start)
            self.released = end
        return self.disk.table.sync(self.disk.table.context, self.descriptor)

    cdef int write_footer(self, uint64_t first_timestamp_us, uint64_t last_timestamp_us, uint32_t record_count,
                          uint32_t last_relative, uint32_t index_checksum, uint32_t flags) noexcept nogil:
        cdef footer foot
        memset(&foot, 0, sizeof(foot))
        foot.magic, foot.version, foot.footer_size = MAGIC_FOOTER, FORMAT_VERSION, FOOTER_BYTES
        foot.segment_id = self.segment_id
        foot.end_position = <uint64_t>self.written
        foot.first_timestamp_us, foot.last_timestamp_us = first_timestamp_us, last_timestamp_us
        foot.record_count, foot.last_relative_offset = record_count, last_relative
        foot.chain_checksum, foot.index_checksum, foot.flags = self.chain, index_checksum, flags
        foot.checksum = header_checksum(&foot, sizeof(foot))
        if self.written + FOOTER_BYTES > self.allocated:
            return STATUS_GROW
        # Recovery seals again what was sealed: the footer that proves all before it durable is not put at risk.
        if memcmp(self.memory + self.written, &foot, sizeof(foot)) != 0:
            self.disk.table.store(self.disk.table.context, self.memory + self.written, &foot, sizeof(foot))
        return 0

    cdef int wipe_footer(self) noexcept nogil:
        cdef footer foot
        memset(&foot, 0, sizeof(foot))
        self.disk.table.store(self.disk.table.context, self.memory + self.written, &foot, sizeof(foot))
        return 0

    cdef int finish(self, int64_t size_bytes) noexcept nogil:
        cdef int result = 0
        if size_bytes < self.allocated:
            result = self.disk.table.truncate(self.disk.table.context, self.descriptor, size_bytes)
            self.allocated = min(self.allocated, size_bytes)
        self.disk.table.close(self.disk.table.context, self.descriptor)
        self.descriptor = -1
        return result

    # ------------------------------------------------------------ reading

    cdef int read(self, int64_t position, frame_view *view) noexcept nogil:
        return read_frame(self, position, view)

    cdef void fetch(self, int64_t start, int64_t end) noexcept nogil:
        end = min(end, readable_end(self))
        start -= start % PAGE_BYTES
        end -= end % PAGE_BYTES
        if start < end:
            self.disk.table.fetch(self.disk.table.context, self.memory + start, end - start)

    cdef void refresh(self) noexcept nogil:
        cdef int64_t size
        if self.descriptor >= 0:
            size = self.disk.table.size(self.disk.table.context, self.descriptor)
            if size > self.allocated:
                striate_store_i64(&self.allocated, min(size, self.mapping.size_bytes))

    cdef int64_t next_valid(self, int64_t position, int64_t limit) noexcept nogil:
        cdef frame_view view
        cdef footer foot
        cdef int64_t at = align_up(position, UNIT_BYTES)
        while at + UNIT_BYTES <= limit:
            # A frame or footer never begins with eight zero bytes: its checksum and size, or its magic, are there.
            if (<const uint64_t *>(self.memory + at))[0] != 0:
                if self.read(at, &view) == 0 or self.read_footer(at, &foot) == 0:
                    return at
            at += UNIT_BYTES
        return -1

    cdef int read_footer(self, int64_t position, footer *foot) noexcept nogil:
        if position < STORE_HEADER_BYTES or position + FOOTER_BYTES > striate_load_i64(&self.allocated):
            return STATUS_EMPTY
        memcpy(foot, self.memory + position, sizeof(foot[0]))
        if foot.magic != MAGIC_FOOTER or foot.checksum != header_checksum(foot, sizeof(foot[0])):
            return STATUS_CORRUPT
        if foot.segment_id != self.segment_id or foot.end_position != <uint64_t>position:
            return STATUS_CORRUPT
        return 0

    # ------------------------------------------------------------ for unit tests

    def append_record(self, bytes value not None, bytes key=None, uint32_t relative_offset=0, uint64_t timestamp_us=0):
        """Append one value frame and return its position; ``None`` when the store is full. For tests of this layer."""
        cdef record_input record
        cdef int64_t position = 0
        cdef int result
        memset(&record, 0, sizeof(record))
        record.value, record.value_size = <const char *>value, <uint32_t>len(value)
        if key is not None:
            record.key, record.key_size = <const char *>key, <uint32_t>len(key)
        record.kind = KIND_VALUE
        record.timestamp_us = timestamp_us
        result = self.append(&record, relative_offset, &position)
        if result == STATUS_GROW:
            result = self.grow(self.written + frame_bytes(FRAME_HEADER_BYTES + len(value) + record.key_size)
                               + SYNC_EXTENSION_BYTES + FOOTER_BYTES)
            if result < 0:
                raise_disk_error(result, self.path, "allocate")
            result = self.append(&record, relative_offset, &position)
        return position if result == 0 else None

    def read_record(self, int64_t position):
        """``(timestamp_us, key, value)`` of the frame at a position, or ``None`` where none verifies. For tests."""
        cdef frame_view view
        if position >= self.written or self.read(position, &view) != 0:
            return None
        return (view.timestamp_us, None if view.key == NULL else view.key[:view.key_size], view.value[:view.value_size])

    def mark_synced(self):
        """Sync the file and note it, as the log's group commit does. For tests."""
        cdef int result = self.sync(0)
        if result < 0:
            raise_disk_error(result, self.path, "sync")
        striate_store_i64(&self.synced, self.written)
