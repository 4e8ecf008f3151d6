# The store: one file of frames, appended through a mapping.
#
# Knows frames and positions; knows neither offsets of the log nor the index. One writer at a time (the log's write
# lock); any number of readers below the end that the writer has published.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from libc.stddef cimport size_t

from striate._native.frame cimport (
    FOOTER_BYTES,
    FRAME_HEADER_BYTES,
    HAS_KEY,
    HAS_SYNC,
    STATUS_CORRUPT,
    STATUS_FULL,
    STATUS_GROW,
    STORE_HEADER_BYTES,
    SYNCED_BEFORE,
    SYNC_EXTENSION_BYTES,
    UNIT_BYTES,
    footer,
    frame_bytes,
    frame_header,
    frame_view,
    open_frame,
    open_next_frame,
    record_input,
    store_header,
    striate_crc32c_extend,
    striate_crc32c_u32,
)
from striate._native.io cimport Disk
from striate._native.mapping cimport Mapping

cdef extern from "platform.h" nogil:
    int64_t striate_load_i64(const int64_t *address)
    void striate_store_i64(int64_t *address, int64_t value)


cdef class Store:
    cdef Disk disk
    cdef readonly str path
    cdef Mapping mapping
    cdef char *memory                 # = mapping.address
    cdef int descriptor               # -1 when closed for writing
    # from the store header, constant
    cdef readonly uint64_t log_id
    cdef readonly uint64_t segment_id
    cdef readonly uint64_t base_offset
    cdef readonly uint64_t base_timestamp_us
    cdef readonly uint32_t leader_epoch
    cdef readonly uint32_t record_size        # bytes; 0 = records of any length
    cdef readonly uint16_t codec
    cdef readonly int64_t capacity            # highest end position of a frame
    cdef uint32_t seed                        # of every frame checksum
    cdef uint32_t stride                      # frame size of a fixed-length store, else 0
    # the writer's end; guarded by the log's write lock
    cdef readonly int64_t written             # position behind the last frame
    cdef readonly uint32_t chain              # CRC32C over the frame checksums so far
    cdef int64_t marked                       # highest synced position that a frame already records
    # shared with the sync and prepare threads; atomic
    cdef int64_t synced                       # bytes known durable
    cdef int64_t allocated                    # bytes of the file that may be touched through the mapping

    # Append one frame. 0 and its position, STATUS_FULL, or STATUS_GROW (call grow and repeat).
    cdef int append(self, record_input *record, uint32_t relative_offset, int64_t *position) noexcept nogil
    # Allocate up to `needed` bytes and prepare nothing. 0 or -errno. Needs the log's grow lock.
    cdef int grow(self, int64_t needed) noexcept nogil
    cdef int64_t growth_step(self) noexcept nogil
    cdef int sync(self) noexcept nogil
    # Verify and open the frame at a position. 0, STATUS_EMPTY or STATUS_CORRUPT.
    cdef int read(self, int64_t position, frame_view *view) noexcept nogil
    # Ask the file how long it is by now: for readers of a store that another process writes.
    cdef void refresh(self) noexcept nogil
    # Position of the first verified frame or footer in [position, limit), or -1; wordwise over zeros.
    cdef int64_t next_valid(self, int64_t position, int64_t limit) noexcept nogil
    # The footer at a position, when it verifies.
    cdef int read_footer(self, int64_t position, footer *foot) noexcept nogil
    # Write or wipe the footer at `written`.
    cdef int write_footer(self, uint64_t first_timestamp_us, uint64_t last_timestamp_us, uint32_t record_count,
                          uint32_t last_relative, uint32_t index_checksum, uint32_t flags) noexcept nogil
    cdef int wipe_footer(self) noexcept nogil
    # Cut the file at `size_bytes` (never below bytes a reader may have been told of) and give its descriptor back.
    cdef int finish(self, int64_t size_bytes) noexcept nogil
    cdef _derive(self)
    cdef _map(self, int64_t size_bytes, bint writable)
    cdef void _fill_header(self, store_header *header) noexcept
    cdef _check_header(self, bytes data, uint64_t segment_id)


# Inline because they stand on the path of every append and every read.

cdef inline int append_frame(Store self, record_input *record, uint32_t relative_offset,
                             int64_t *position) noexcept nogil:
    cdef frame_header header
    cdef uint32_t extension[2]
    cdef uint8_t flags = record.flags
    cdef uint32_t mark_bytes = 0
    cdef int64_t synced = striate_load_i64(&self.synced)
    cdef int64_t at = self.written
    cdef int64_t payload
    cdef int64_t end
    cdef uint32_t crc
    cdef char *target
    if self.stride:
        flags |= HAS_SYNC
        mark_bytes = SYNC_EXTENSION_BYTES
    elif synced > self.marked:
        # Say how far the disk is known to be good, once per sync: eight bytes, or none when that is right up to here.
        if synced == at:
            flags |= SYNCED_BEFORE
        else:
            flags |= HAS_SYNC
            mark_bytes = SYNC_EXTENSION_BYTES
    payload = <int64_t>mark_bytes + record.extension_size + record.key_size + record.value_size
    end = at + frame_bytes(payload)
    if end > self.capacity:
        return STATUS_FULL
    if end + FOOTER_BYTES > striate_load_i64(&self.allocated):
        return STATUS_GROW
    if record.key != NULL:
        flags |= HAS_KEY
    header.payload_size = <uint32_t>payload
    header.timestamp_us = record.timestamp_us
    header.relative_offset = relative_offset
    header.key_size = <uint16_t>record.key_size
    header.kind = record.kind
    header.flags = flags
    crc = striate_crc32c_extend(self.seed, &header.payload_size, FRAME_HEADER_BYTES - 4)
    target = self.memory + at + FRAME_HEADER_BYTES
    # Payload first, header last: a process killed in between leaves a header that was never written, which recovery
    # knows for torn and not for rot.
    if mark_bytes:
        extension[0] = <uint32_t>(synced // UNIT_BYTES)
        extension[1] = 0
        crc = striate_crc32c_extend(crc, extension, SYNC_EXTENSION_BYTES)
        self.disk.table.store(self.disk.table.context, target, extension, SYNC_EXTENSION_BYTES)
        target += SYNC_EXTENSION_BYTES
    if record.extension_size:
        crc = striate_crc32c_extend(crc, record.extension, record.extension_size)
        self.disk.table.store(self.disk.table.context, target, record.extension, record.extension_size)
        target += record.extension_size
    if record.key_size:
        crc = striate_crc32c_extend(crc, record.key, record.key_size)
        self.disk.table.store(self.disk.table.context, target, record.key, record.key_size)
        target += record.key_size
    if record.value_size:
        crc = striate_crc32c_extend(crc, record.value, record.value_size)
        self.disk.table.store(self.disk.table.context, target, record.value, record.value_size)
    header.checksum = crc
    self.disk.table.store(self.disk.table.context, self.memory + at, &header, FRAME_HEADER_BYTES)
    if synced > self.marked:
        self.marked = synced
    self.chain = striate_crc32c_u32(self.chain, crc)
    self.written = end
    position[0] = at
    return 0


cdef inline int64_t readable_end(Store self) noexcept nogil:
    return min(striate_load_i64(&self.allocated), self.capacity)


cdef inline int read_frame(Store self, int64_t position, frame_view *view) noexcept nogil:
    cdef int64_t limit = readable_end(self)
    if position < STORE_HEADER_BYTES or position >= limit:
        return STATUS_CORRUPT
    return open_frame(self.memory, position, limit, self.seed, view)


cdef inline int read_next_frame(Store self, int64_t position, int64_t *verified, frame_view *view) noexcept nogil:
    # read_frame for a walk; `verified` as of open_next_frame.
    cdef int64_t limit = readable_end(self)
    if position < STORE_HEADER_BYTES or position >= limit:
        return STATUS_CORRUPT
    return open_next_frame(self.memory, position, limit, self.seed, verified, view)
