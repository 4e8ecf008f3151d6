"""The segment: one store and its index (docs/format.md, docs/durability.md).

Recovery's judgement lives here (:meth:`Segment.recover`), because it is about the bytes of one segment: what is torn
and may be set aside, what is rot and must stay.
"""

import os

from libc.string cimport memset

from striate._native.frame cimport (
    CONTINUES,
    ENCODED,
    FOOTER_BYTES,
    FOOTER_GAPS,
    FRAME_HEADER_BYTES,
    HAS_BATCH,
    HAS_VIEW,
    KIND_TRANSACTION,
    RESERVED_FLAG,
    STATUS_CORRUPT,
    STATUS_EMPTY,
    STATUS_GROW,
    STATUS_MISSING,
    STATUS_NO_MEMORY,
    STATUS_STALE_INDEX,
    STORE_HEADER_BYTES,
    UNIT_BYTES,
    extensions_bytes,
    footer,
    frame_bytes,
    frame_header,
    striate_crc32c_u32,
)
from striate._native.io cimport raise_disk_error
from striate._native.store cimport read_next_frame

from striate._native.io import REAL_DISK, check_result
from striate.errors import CorruptRecordError, CorruptSegmentError, DiskError


cdef extern from "platform.h" nogil:
    void striate_prefetch(const void *address)

cdef enum:
    SPACING_BITS = 20
    EVENNESS_ENOUGH = 8
    EVENNESS_MOST = 16


def file_names(str directory, uint64_t base_offset, uint32_t revision):
    """``(store, index)`` paths of a segment."""
    stem = f"{base_offset:020d}" + (f".r{revision}" if revision else "")
    return os.path.join(directory, stem + ".store"), os.path.join(directory, stem + ".index")


cdef class Segment:
    """One store and its index. Made by :meth:`create`, :meth:`open_sealed` and :meth:`open_unsealed`."""

    def __cinit__(self):
        self.damage = []

    @property
    def next_offset(self):
        """One past the last record, as written (not yet as published)."""
        return self.base_offset + self.next_relative

    @property
    def end_position(self):
        """Bytes of header and frames."""
        return self.store.written

    @property
    def allocated_bytes(self):
        """Bytes the store file occupies."""
        return self.store.allocated

    @staticmethod
    def create(str directory, uint64_t base_offset, uint32_t revision=0, *, uint64_t log_id, uint64_t segment_id,
               int64_t capacity, uint64_t base_timestamp_us=0, uint32_t record_size=0, uint32_t leader_epoch=0,
               unsigned short codec=0, Disk disk=REAL_DISK):
        """Make the files of a new segment; the caller syncs the directory and names the segment in the manifest."""
        cdef Segment self = Segment.__new__(Segment)
        store_path, index_path = file_names(directory, base_offset, revision)
        self.disk = disk
        self.base_offset, self.revision = base_offset, revision
        self.first_timestamp_us = self.last_timestamp_us = base_timestamp_us
        self.checked = True
        self.store = Store.create(store_path, log_id=log_id, segment_id=segment_id, base_offset=base_offset,
                                  capacity=capacity, base_timestamp_us=base_timestamp_us, leader_epoch=leader_epoch,
                                  record_size=record_size, codec=codec, disk=disk)
        if record_size == 0:
            try:
                # Room for the smallest frames, so that the store is always what fills first.
                self.index = Index.create(index_path, min(capacity // FRAME_HEADER_BYTES + 1, <int64_t>MAX_RELATIVE),
                                          disk)
            except BaseException:
                disk.unlink(store_path)
                raise
        return self

    @staticmethod
    def open_sealed(str directory, entry, Disk disk=REAL_DISK):
        """Open a segment the manifest calls sealed, trusting the figures of its manifest entry.

        The store's footer must agree with the entry. The index is verified at its first use (:meth:`check_index`).

        Raises:
            CorruptSegmentError: header or footer wrong, or the file shorter than the entry says.
            UnknownVersionError: of another format version.
        """
        cdef Segment self = Segment.__new__(Segment)
        cdef footer foot
        self._open(directory, entry, disk, False, <int64_t>entry.end_position + FOOTER_BYTES)
        self._take_entry(entry)
        if self.store.allocated < <int64_t>entry.end_position + FOOTER_BYTES:
            raise CorruptSegmentError(self.store.path, f"{self.store.allocated} bytes long, the manifest says "
                                      f"{entry.end_position + FOOTER_BYTES}", position=self.store.allocated)
        if self.store.read_footer(self.store.written, &foot) != 0:
            raise CorruptSegmentError(self.store.path, "the footer does not verify", position=self.store.written)
        if foot.chain_checksum != self.store.chain or foot.record_count != self.record_count \
                or foot.index_checksum != self.index_checksum:
            raise CorruptSegmentError(self.store.path, "footer and manifest disagree", position=self.store.written)
        return self

    @staticmethod
    def open_damaged(str directory, entry, uint32_t record_size, Disk disk=REAL_DISK):
        """Open what is left of a sealed segment that :meth:`open_sealed` refused; holes are in :attr:`damage`.

        Raises:
            DiskError: the store file cannot be opened at all.
        """
        cdef Segment self = Segment.__new__(Segment)
        store_path = file_names(directory, entry.base_offset, entry.revision)[0]
        self.disk = disk
        self.base_offset, self.revision = entry.base_offset, entry.revision
        self.store = Store.open(store_path, segment_id=entry.segment_id, disk=disk,
                                mapped_bytes=<int64_t>entry.end_position + FOOTER_BYTES,
                                trusted=(entry.base_offset, record_size, entry.end_position))
        self._take_entry(entry)
        # Without an index the places of records are known, so what cannot be read is not a gap.
        self.gaps = self.gaps or record_size == 0
        self.store.written = min(self.store.written, self.store.allocated)
        self.rebuild_index(too_short=self.store.written < <int64_t>entry.end_position)
        self.checked = True
        return self

    cdef _take_entry(self, entry):
        self.sealed = True
        self.gaps = entry.has_gaps
        self.store.written = self.store.synced = entry.end_position
        self.store.chain = entry.chain_checksum
        self.index_checksum = entry.index_checksum
        self.record_count = entry.record_count
        self.next_relative = <uint32_t>(entry.next_offset - entry.base_offset)
        self.first_timestamp_us, self.last_timestamp_us = entry.first_timestamp_us, entry.last_timestamp_us

    @staticmethod
    def open_unsealed(str directory, entry, Disk disk=REAL_DISK, *, bint writable=False, record_size=None):
        """Open a segment that was being written; call :meth:`recover`, or :meth:`follow_writer` in a live reader.

        With ``record_size`` the header is not read: the manifest and the file's size say what a damaged one cannot.
        """
        cdef Segment self = Segment.__new__(Segment)
        if record_size is None:
            self._open(directory, entry, disk, writable, -1)
        else:
            store_path = file_names(directory, entry.base_offset, entry.revision)[0]
            size = os.path.getsize(store_path)
            self.disk = disk
            self.base_offset, self.revision = entry.base_offset, entry.revision
            self.store = Store.open(store_path, segment_id=entry.segment_id, disk=disk, mapped_bytes=max(size, 1),
                                    trusted=(entry.base_offset, record_size, size))
        self.first_timestamp_us = self.last_timestamp_us = self.store.base_timestamp_us
        if self.store.record_size == 0:
            self.index = Index.in_memory(file_names(directory, self.base_offset, self.revision)[1], disk)
        return self

    cdef _open(self, str directory, entry, Disk disk, bint writable, int64_t mapped_bytes):
        store_path = file_names(directory, entry.base_offset, entry.revision)[0]
        self.disk = disk
        self.base_offset, self.revision = entry.base_offset, entry.revision
        try:
            self.store = Store.open(store_path, segment_id=entry.segment_id, mapped_bytes=mapped_bytes,
                                    writable=writable, disk=disk)
        except DiskError as error:
            if error.errno == 2:
                raise CorruptSegmentError(store_path, "the file is missing") from error
            raise
        if self.store.base_offset != self.base_offset:
            raise CorruptSegmentError(store_path, f"base offset {self.store.base_offset} in the header", position=24)

    def check_index(self):
        """Open and verify the index of a sealed segment; one that does not verify is rebuilt, for it is derived
        data."""
        if self.checked or not self.sealed:
            return
        if self.store.record_size == 0:
            path = file_names(os.path.dirname(self.store.path), self.base_offset, self.revision)[1]
            try:
                self.index = Index.open(path, self.record_count, 0, self.disk)
            except DiskError:
                self.index = None
            if self.index is None or self.index.count != self.record_count \
                    or self.index.checksum() != self.index_checksum:
                self.rebuild_index()
        self.checked = True

    def save_index(self):
        """Put the index file right where it was rebuilt in memory; nothing happens otherwise."""
        self.check_index()
        if self.index is not None and self.index.is_in_memory:
            self.index.save()

    @staticmethod
    def resume(str directory, entry, Disk disk=REAL_DISK):
        """Open a sealed segment for more appends. The manifest must already call it unsealed.

        Raises:
            CorruptSegmentError, DiskError: as :meth:`open_sealed`.
        """
        cdef Segment self = Segment.__new__(Segment)
        cdef footer foot
        self._open(directory, entry, disk, True, -1)
        self._take_entry(entry)
        self.sealed = False
        if self.store.read_footer(self.store.written, &foot) != 0 or foot.chain_checksum != self.store.chain:
            raise CorruptSegmentError(self.store.path, "the footer does not verify", position=self.store.written)
        if self.store.record_size == 0:
            path = file_names(directory, self.base_offset, self.revision)[1]
            self.index = Index.resume(path, self.record_count,
                                      min(self.store.capacity // FRAME_HEADER_BYTES + 1, <int64_t>MAX_RELATIVE), disk)
            if self.index.checksum() != self.index_checksum:
                raise CorruptSegmentError(path, "the index does not verify")
        # That the file ends here has to be durable too: what recovery once set aside may stand behind the footer on
        # disk.
        check_result(self.store.sync(self.store.written), self.store.path, "sync")
        # Everything here was synced; `marked` says that no frame records it yet, so the next one will.
        self.store.marked = STORE_HEADER_BYTES
        # Wiped and durably so before the first append: a frame must not have footer bytes for padding. The sync also
        # covers that the file ends here; what recovery once set aside may stand behind the footer on disk.
        self.store.wipe_footer()
        check_result(self.store.sync(self.store.written), self.store.path, "sync")
        self.checked = True
        return self

    def follow_writer(self):
        """Map the writer's index of an unsealed segment for reading along; for readers in other processes."""
        if self.store.record_size == 0:
            self.index = Index.open(self.index.path, 0, min(self.store.capacity // FRAME_HEADER_BYTES + 1,
                                                            <int64_t>MAX_RELATIVE), self.disk)
        self.store.descriptor = self.disk.open_file(self.store.path, os.O_RDONLY | os.O_NOFOLLOW)
        self.store.refresh()
        self.checked = self.read_along = True

    def set_visible(self, uint64_t next_offset):
        """Tell a following segment how many records its writer has published."""
        self.next_relative = <uint32_t>(next_offset - self.base_offset)
        self.record_count = self.next_relative
        if self.index is not None:
            self.index.count = self.next_relative
        self.store.refresh()

    def measure(self):
        """Find where a segment that is read along ends and between which times it lies, by its frames. For figures and
        checks: reading needs neither."""
        cdef frame_view view
        cdef int64_t position
        if not self.read_along or self.next_relative == 0:
            return
        position = self.locate(0)
        if position >= 0 and self.store.read(position, &view) == 0:
            self.first_timestamp_us = view.timestamp_us
        position = self.locate(self.next_relative - 1)
        if position >= 0 and self.store.read(position, &view) == 0:
            self.last_timestamp_us = view.timestamp_us
            self.store.written = position + view.size_bytes

    # ------------------------------------------------------------ writing

    cdef int append(self, record_input *record) noexcept nogil:
        return append_record(self, record)

    cdef int grow(self, int64_t size_bytes, int64_t records) noexcept nogil:
        cdef int result = 0
        if self.index is not None:
            result = self.index.reserve(self.index.count + records)
        if result == 0 and self.store.written + size_bytes + FOOTER_BYTES > self.store.allocated:
            result = self.store.grow(self.store.written + size_bytes + FOOTER_BYTES)
        return result

    cdef void begin_at(self, uint32_t relative) noexcept nogil:
        # For rewritten segments: the next record gets this relative offset.
        if relative != self.next_relative:
            self.gaps = True
            if self.index is None:
                # Positions are computed, so the place of a record that is not there stays, as zeros.
                self.store.written += <int64_t>(relative - self.next_relative) * self.store.stride
            self.next_relative = relative

    cdef int seal(self) noexcept nogil:
        cdef int result = 0
        self.index_checksum = self.index.checksum() if self.index is not None else 0
        if self.store.written + FOOTER_BYTES > self.store.allocated:
            # Only after a crash that took unsynced blocks: an append always leaves room.
            result = self.store.grow(self.store.written + FOOTER_BYTES)
        if result == 0 and self.store.synced < self.store.written:
            # A verified footer proves the frames before it, so they are durable before it exists.
            result = self.store.sync(self.store.written)
        if result < 0:
            return result
        self.store.synced = self.store.written
        result = self.store.write_footer(
            self.first_timestamp_us, self.last_timestamp_us, self.record_count,
            self.next_relative - 1 if self.record_count else 0, self.index_checksum, FOOTER_GAPS if self.gaps else 0)
        if result == 0 and self.index is not None:
            result = self.index.sync()
        if result == 0:
            result = self.store.sync(self.store.written)
        if result < 0:
            return result
        # The files shrink to what is used. A failure only wastes blocks.
        if self.index is not None:
            self.index.finish()
        self.store.finish(self.store.written + FOOTER_BYTES)
        self.sealed = True
        return 0

    def seal_now(self):
        """Write the footer and make store and index durable (:meth:`seal` for Python).

        Raises:
            SyncFailedError, DiskError: as the disk does.
        """
        cdef int result
        with nogil:
            result = self.seal()
        if result < 0:
            raise_disk_error(result, self.store.path, "sync")

    @property
    def chain_checksum(self):
        """CRC32C over the checksums of all frames."""
        return self.store.chain

    def end_at(self, uint64_t next_offset):
        """Let a rewritten segment cover offsets up to ``next_offset``, whether or not the last ones have records."""
        self.begin_at(<uint32_t>(next_offset - self.base_offset))

    def copy_from(self, Segment source not None, list offsets, uint32_t count=0):
        """Append verified copies of records of another segment, keeping offsets, times, keys, kinds and extensions.

        Args:
            source: where the records are. offsets: ascending offsets that exist there.

        Raises:
            CorruptRecordError: a record does not verify; it is never copied.
            DiskFullError, DiskError: from allocating.
        """
        cdef frame_view view
        cdef record_input record
        cdef int status
        cdef uint64_t offset
        source.check_index()
        for offset in offsets:
            status = source.fetch(<uint32_t>(offset - source.base_offset), &view)
            if status != 0:
                raise CorruptRecordError(source.store.path, "the frame does not verify", offset=offset)
            memset(&record, 0, sizeof(record))
            record.key, record.key_size = view.key, view.key_size
            record.value, record.value_size = view.value, view.value_size
            record.timestamp_us, record.kind = view.timestamp_us, view.kind
            # The batch is complete and sealed, so its boundary has done its work; marks belong to the old file.
            record.flags = view.flags & (HAS_VIEW | HAS_BATCH | ENCODED)
            record.extension_size = extensions_bytes(record.flags)
            record.extension = view.value - view.key_size - record.extension_size
            self.begin_at(<uint32_t>(offset - self.base_offset))
            status = self.append(&record)
            if status == STATUS_GROW:
                status = self.grow(<int64_t>view.size_bytes + 8, 1)
                if status < 0:
                    raise_disk_error(status, self.store.path, "allocate")
                status = self.append(&record)
            assert status == 0, status

    # ------------------------------------------------------------ reading

    cdef int64_t locate(self, uint32_t relative) noexcept nogil:
        cdef int64_t slot
        if self.index is None:
            return STORE_HEADER_BYTES + <int64_t>relative * self.store.stride
        slot = self.index.find(relative, self.index.count)
        if slot < 0:
            return STATUS_MISSING
        return <int64_t>self.index.pairs[2 * slot + 1] * UNIT_BYTES

    cdef int64_t locate_early(self, uint32_t relative) noexcept nogil:
        # The index costs one cache miss and the frame another, each a fifth of a microsecond. Where records are of one
        # size, both can be waited for together.
        cdef int64_t guess = STORE_HEADER_BYTES + <int64_t>((relative * self.spacing) >> SPACING_BITS)
        cdef int64_t position
        if self.evenness >= EVENNESS_ENOUGH and guess < self.store.allocated:
            striate_prefetch(self.store.memory + guess)
            striate_prefetch(self.store.memory + guess + 64)
            striate_prefetch(self.store.memory + guess + 128)
        position = self.locate(relative)
        if -64 < position - guess < 64:
            if self.evenness < EVENNESS_MOST:
                self.evenness += 1
        elif position > STORE_HEADER_BYTES:
            self.evenness = max(self.evenness - 4, 0)
            # Frames above 4 KiB are left alone: their own bytes are what is waited for.
            self.spacing = <uint32_t>((<uint64_t>(position - STORE_HEADER_BYTES) << SPACING_BITS) // max(relative, 1))
        return position

    cdef int fetch(self, uint32_t relative, frame_view *view) noexcept nogil:
        cdef int64_t position = self.locate_early(relative)
        cdef int status
        if position < 0:
            return <int>position
        status = self.store.read(position, view)
        if status == STATUS_EMPTY and self.index is None and self.gaps and self.is_hole(relative):
            return STATUS_MISSING
        if status != 0:
            return STATUS_CORRUPT
        return 0 if view.relative_offset == relative else STATUS_STALE_INDEX

    cdef uint32_t find_time(self, uint64_t timestamp_us, uint32_t end) noexcept nogil:
        cdef int64_t low = 0
        cdef int64_t high
        cdef int64_t middle
        cdef int64_t position
        if self.index is None:
            high = end
        else:
            high = self.index.lower_bound(end, self.index.count)
        cdef int64_t total = high
        while low < high:
            middle = (low + high) >> 1
            if self.index is None:
                position = STORE_HEADER_BYTES + middle * self.store.stride
            else:
                position = <int64_t>self.index.pairs[2 * middle + 1] * UNIT_BYTES
            if position + FRAME_HEADER_BYTES > self.store.allocated:
                return end
            if (<const frame_header *>(self.store.memory + position)).timestamp_us < timestamp_us:
                low = middle + 1
            else:
                high = middle
        if low >= total:
            return end
        return <uint32_t>low if self.index is None else self.index.pairs[2 * low]

    cdef uint32_t count_within(self, uint32_t relative, uint32_t stop, int64_t end) noexcept nogil:
        cdef int64_t most = stop - relative
        cdef int64_t first, low, high, middle
        if self.index is None:
            return <uint32_t>max(1, min(most, (end - self.locate(relative)) // self.store.stride + 1))
        first = low = self.index.lower_bound(relative, self.index.count)
        high = min(first + most, self.index.count)
        while low < high:
            middle = (low + high) >> 1
            if <int64_t>self.index.pairs[2 * middle + 1] * UNIT_BYTES < end:
                low = middle + 1
            else:
                high = middle
        return <uint32_t>max(1, low - first)

    cdef bint is_hole(self, uint32_t relative) noexcept nogil:
        # In a fixed-length segment with gaps: whether the place of a record is empty.
        cdef frame_view view
        cdef int64_t position = self.locate(relative)
        return position + self.store.stride <= self.store.allocated and self.store.read(position, &view) == STATUS_EMPTY

    cdef uint32_t next_present(self, uint32_t relative) noexcept nogil:
        cdef int64_t slot
        if not self.gaps or relative >= self.next_relative:
            return relative
        if self.index is None:
            while relative < self.next_relative and self.is_hole(relative):
                relative += 1
            return relative
        slot = self.index.lower_bound(relative, self.index.count)
        return self.index.pairs[2 * slot] if slot < self.index.count else self.next_relative

    def count_from(self, uint64_t offset):
        """How many records are at or behind an offset."""
        if offset <= self.base_offset:
            return self.record_count
        if offset >= self.next_offset:
            return 0
        self.check_index()
        if not self.gaps:
            return self.next_offset - offset
        if self.index is None:
            return len(self.offsets(offset))
        return self.index.count - self.index.lower_bound(<uint32_t>(offset - self.base_offset), self.index.count)

    def offsets(self, start=None, stop=None):
        """Offsets of the records there are, as a list; a range of them when both ends are given."""
        self.check_index()
        cdef int64_t slot
        cdef uint64_t first = self.base_offset if start is None else max(start, self.base_offset)
        cdef uint64_t last = self.next_offset if stop is None else min(stop, self.next_offset)
        if not self.gaps:
            return list(range(first, max(first, last)))
        if self.index is None:
            return [offset for offset in range(first, max(first, last))
                    if not self.is_hole(<uint32_t>(offset - self.base_offset))]
        return [self.base_offset + self.index.pairs[2 * slot] for slot in range(self.index.count)
                if first <= self.base_offset + self.index.pairs[2 * slot] < last]

    # ------------------------------------------------------------ recovery

    cdef int _walk(self, walk_state *state, int64_t limit, bint contiguous) noexcept nogil:
        # Verify frames from state.position on and index them, up to the first that is not one.
        cdef frame_view view
        cdef int status
        cdef int64_t verified = 0
        while state.position < limit and state.relative < state.stop:
            status = read_next_frame(self.store, state.position, &verified, &view)
            if status != 0:
                return status
            if view.relative_offset < state.relative or (contiguous and view.relative_offset != state.relative):
                return STATUS_CORRUPT
            if self.index is not None:
                if self.index.append(view.relative_offset, <uint32_t>(state.position // UNIT_BYTES)) < 0:
                    return STATUS_NO_MEMORY
            elif view.size_bytes != self.store.stride:
                return STATUS_CORRUPT
            if state.count == 0:
                state.first_timestamp_us = view.timestamp_us
            state.last_timestamp_us = view.timestamp_us
            state.mark = max(state.mark, view.synced_position)
            state.chain = striate_crc32c_u32(state.chain, view.checksum)
            state.position += view.size_bytes
            state.relative = view.relative_offset + 1
            state.count += 1
            if not view.flags & CONTINUES:
                state.batch_position, state.batch_relative = state.position, state.relative
                state.batch_count, state.batch_chain = state.count, state.chain
                state.batch_timestamp_us = state.last_timestamp_us
        return STATUS_EMPTY

    cdef int64_t _last_nonzero(self, int64_t start, int64_t limit) noexcept nogil:
        # Position behind the last byte that is not zero in [start, limit), rounded up to 8; `start` when all are zero.
        cdef int64_t at = limit
        while at > start and at % UNIT_BYTES:
            # A file may end anywhere.
            if self.store.memory[at - 1] != 0:
                return at
            at -= 1
        while at > start and (<const uint64_t *>(self.store.memory + at - UNIT_BYTES))[0] == 0:
            at -= UNIT_BYTES
        return at

    cdef int64_t _later_mark(self, int64_t start, int64_t limit) noexcept nogil:
        # Highest position that any verified frame behind `start` says was durable; a verified footer proves all of it.
        cdef frame_view view
        cdef footer foot
        cdef int64_t mark = 0
        cdef int64_t at = self.store.next_valid(start, limit)
        while at >= 0:
            if self.store.read(at, &view) == 0:
                mark = max(mark, view.synced_position)
                at = self.store.next_valid(at + view.size_bytes, limit)
            else:
                self.store.read_footer(at, &foot)
                return at
        return mark

    cdef bint _looks_complete(self, int64_t position, uint32_t relative, int64_t end) noexcept nogil:
        # A header that is whole and claims what should stand here, with nothing behind its payload: torn payload and
        # rotten payload look the same (RULES §4.7, SUSPECT).
        cdef const frame_header *header = <const frame_header *>(self.store.memory + position)
        if position + FRAME_HEADER_BYTES > end or not 0 < header.kind <= KIND_TRANSACTION \
                or header.flags & RESERVED_FLAG or header.relative_offset != relative:
            return False
        return position + frame_bytes(header.payload_size) >= end

    def recover(self, int64_t synced_position=0, uint32_t stop_relative=MAX_RELATIVE):
        """Judge an unsealed segment: verify every frame, index it anew, and say what stands behind the last one.

        Args:
            synced_position: bytes of this segment known durable from elsewhere (the checkpoint, or a later segment).
            stop_relative: records from here on are distrusted, because a sync failed.

        Returns:
            ``(verdict, end_position, dirty_end)``. ``dirty_end`` is behind the last byte that is not zero. Verdicts:

            - ``"clean"``: nothing follows the last batch. ``"sealed"``: its footer does.
            - ``"torn"``: what follows was never acknowledged: it was not durable when the writer stopped.
            - ``"suspect"``: one complete-looking batch that does not verify: torn or rotten, cannot be told apart.
            - ``"distrusted"``: records from ``stop_relative`` on.
            - ``"corrupt"``: what follows, or part of it, was durable. It is kept, the ranges are in :attr:`damage`,
              and readable records behind it are indexed.

        Source: RULES §4.7, after raft-wal's torn-tail rule.
        """
        cdef walk_state state
        cdef footer foot
        cdef int64_t limit = min(self.store.allocated, self.store.capacity + FOOTER_BYTES)
        cdef int64_t bad
        cdef int64_t dirty_end
        cdef int64_t mark
        cdef bint complete = False
        memset(&state, 0, sizeof(state))
        state.position = state.batch_position = STORE_HEADER_BYTES
        state.stop = stop_relative
        if self.index is not None:
            self.index.count = 0
        with nogil:
            self._walk(&state, limit, True)
            self.mark = state.mark
            if self.store.read_footer(state.batch_position, &foot) == 0:
                dirty_end = state.batch_position
                bad = -1
            else:
                bad = state.batch_position
                dirty_end = self._last_nonzero(bad, limit)
                mark = max(state.mark, max(synced_position, self._later_mark(bad, limit)))
                complete = self._looks_complete(state.position, state.relative, dirty_end)
        if bad >= 0 and state.relative == stop_relative and dirty_end > bad:
            self._adopt(&state)
            return "distrusted", bad, dirty_end
        if bad >= 0 and mark > bad:
            return self._salvage(&state, bad, limit, dirty_end)
        self._adopt(&state)
        if bad < 0:
            return "sealed", state.batch_position, dirty_end
        if dirty_end == bad:
            return "clean", bad, bad
        return ("suspect" if complete else "torn"), bad, dirty_end

    def cover_until(self, uint64_t next_offset):
        """Make a damaged segment end at an offset that is known from elsewhere: ranges of damage end there at the
        latest, and what is missing up to there is damage."""
        self.damage = [(first, min(after, next_offset), position, reason)
                       for first, after, position, reason in self.damage if first < next_offset]
        if self.next_offset < next_offset:
            self.damage.append((self.next_offset, next_offset, self.store.written, "the records are gone"))
        self.next_relative = <uint32_t>(next_offset - self.base_offset)
        self.gaps = True

    cdef _adopt(self, walk_state *state):
        self.next_relative, self.record_count = state.batch_relative, state.batch_count
        self.store.written, self.store.chain = state.batch_position, state.batch_chain
        # Read from the page cache: a killed writer may not have synced it.
        self.store.synced = self.store.marked = STORE_HEADER_BYTES
        if state.batch_count:
            self.first_timestamp_us = state.first_timestamp_us
            self.last_timestamp_us = state.batch_timestamp_us
        if self.index is not None:
            self.index.count = state.batch_count
        self.checked = True

    cdef _salvage(self, walk_state *state, int64_t bad, int64_t limit, int64_t dirty_end):
        # Something that was durable does not verify. Keep every byte, index what can still be read, name the holes.
        cdef int64_t at = state.position
        cdef uint32_t relative
        cdef frame_view view
        cdef footer foot
        while True:
            relative = state.relative
            bad = at
            with nogil:
                at = self.store.next_valid(at + UNIT_BYTES, limit)
            if at < 0 or self.store.read_footer(at, &foot) == 0:
                if at >= 0 and foot.last_relative_offset + 1 > state.relative:
                    state.relative = foot.last_relative_offset + 1
                self.damage.append((self.base_offset + relative, self.base_offset + max(state.relative, relative + 1),
                                    bad, "the frame does not verify"))
                state.relative = max(state.relative, relative + 1)
                break
            self.store.read(at, &view)
            if view.relative_offset < relative or (self.index is None
                                                   and (at - STORE_HEADER_BYTES) % self.store.stride):
                continue
            self.damage.append((self.base_offset + relative, self.base_offset + view.relative_offset, bad,
                                "the frame does not verify"))
            state.position, state.relative = at, view.relative_offset
            with nogil:
                self._walk(state, limit, True)
            at = state.position
            if at >= dirty_end or self.store.read_footer(at, &foot) == 0:
                break
        state.batch_position, state.batch_relative = state.position, state.relative
        state.batch_count, state.batch_chain = state.count, state.chain
        state.batch_timestamp_us = state.last_timestamp_us
        self._adopt(state)
        self.gaps = True
        return "corrupt", state.position, dirty_end

    def rebuild_index(self, *, bint too_short=False):
        """Index a sealed segment anew from its store, in memory. Damaged frames are skipped and noted in
        :attr:`damage`; with ``too_short`` also what stood behind the end of the file."""
        cdef walk_state state
        cdef int64_t end = self.store.written
        cdef int64_t at
        path = file_names(os.path.dirname(self.store.path), self.base_offset, self.revision)[1]
        if self.store.record_size:
            return
        self.index = Index.in_memory(path, self.disk)
        memset(&state, 0, sizeof(state))
        state.position = STORE_HEADER_BYTES
        state.stop = MAX_RELATIVE
        self.damage = []
        while state.position < end:
            with nogil:
                self._walk(&state, end, False)
                at = -1
                if state.position < end:
                    at = self.store.next_valid(state.position + UNIT_BYTES, end)
            if state.position >= end:
                break
            self._note_hole(&state, at)
            if at < 0:
                break
            state.position = at
        # In a whole file the offsets behind the last frame are a gap that compaction left.
        if too_short and state.position >= end and state.relative < self.next_relative:
            self.damage.append((self.base_offset + state.relative, self.base_offset + self.next_relative, end,
                                "the file is too short"))

    cdef _note_hole(self, walk_state *state, int64_t at):
        # The frame at state.position does not verify; `at` is the next that does, or -1.
        cdef frame_view view
        cdef uint32_t after = self.next_relative
        if at >= 0 and self.store.read(at, &view) == 0:
            after = view.relative_offset
        if after > state.relative:
            self.damage.append((self.base_offset + state.relative, self.base_offset + after, state.position,
                                "the frame does not verify"))

    cdef bint _padding_is_zero(self, int64_t position, frame_view *view) noexcept nogil:
        # No checksum covers it.
        cdef const char *at = view.value + view.value_size
        cdef const char *end = self.store.memory + position + view.size_bytes
        while at < end:
            if at[0] != 0:
                return False
            at += 1
        return True

    def check(self, moment=None):
        """Verify every byte of the segment against frames, chain, index and counts.

        Args:
            moment: ``(end position, records, chain)`` of a segment that is appended to meanwhile, as they were at one
                moment.

        Returns:
            ``(records, size_bytes, problems)`` with problems as ``(position, offset, reason)``.
        """
        self.measure()
        cdef int64_t end = self.store.written
        cdef uint32_t counted = self.record_count
        cdef object chained = None if self.read_along else self.store.chain
        if moment is not None:
            end, counted, chained = moment
        cdef int64_t position = STORE_HEADER_BYTES
        cdef uint32_t chain = 0
        cdef uint32_t records = 0
        cdef frame_view view
        cdef int status = 0
        cdef int64_t located = 0
        cdef int64_t verified = 0
        cdef uint32_t expected = 0
        self.check_index()
        problems = [(position, first, reason) for first, _, position, reason in self.damage]
        while position < end:
            with nogil:
                while position < end:
                    status = read_next_frame(self.store, position, &verified, &view)
                    if status == STATUS_EMPTY and self.index is None and self.gaps:
                        position += self.store.stride
                        expected += 1
                        continue
                    if status != 0:
                        break
                    located = self.locate(view.relative_offset)
                    if located != position or not self._padding_is_zero(position, &view):
                        break
                    chain = striate_crc32c_u32(chain, view.checksum)
                    records += 1
                    position += view.size_bytes
                    expected = view.relative_offset + 1
            if position >= end:
                break
            if status == 0:
                problems.append((position, self.base_offset + view.relative_offset, "the index points elsewhere"
                                 if located != position else "the padding is not zero"))
                records += 1
                position += view.size_bytes
                expected = view.relative_offset + 1
                continue
            expected = self.next_present(expected)
            problems.append((position, self.base_offset + expected, "the frame does not verify"))
            expected += 1
            with nogil:
                position = self.store.next_valid(position + UNIT_BYTES, end)
            if position < 0:
                break
        if not problems and chained is not None and chain != chained:
            problems.append((end, None, "the chain of frame checksums is broken"))
        if not problems and records != counted:
            problems.append((end, None, f"{records} records, {counted} expected"))
        return records, end, problems
