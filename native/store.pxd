# The store: one file of frames, appended through a mapping.
#
# Knows frames and positions; knows neither offsets of the log nor the index. One writer at a time (the log's write
# lock); any number of readers below the end that the writer has published.

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

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
    striate_crc32c_frame,
    striate_crc32c_u32,
)
from striate._native.io cimport Disk
from striate._native.mapping cimport Mapping
from striate._native.platform cimport striate_load_i64, striate_store_i64

cdef enum:
    WRITE_BYTES = 32768               # from this size on bytes are written, not stored
    SMALL_PAYLOAD_BYTES = 512         # up to this a payload of several parts is put together first


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
    cdef int64_t expected             # bytes this may come to, as a hint: the predecessor's
    cdef int64_t released             # pages below it were released; of whoever syncs
    # shared with the sync and prepare threads; atomic
    cdef int64_t synced                       # bytes known durable
    cdef int64_t allocated                    # bytes of the file that may be touched through the mapping

    # Append one frame. 0 and its position, STATUS_FULL, or STATUS_GROW (call grow and repeat).
    cdef int append(self, record_input *record, uint32_t relative_offset, int64_t *position) noexcept nogil
    # Allocate up to `needed` bytes and prepare nothing. 0 or -errno. Needs the log's grow lock.
    cdef int grow(self, int64_t needed) noexcept nogil
    cdef int64_t growth_step(self) noexcept nogil
    # fdatasync. Pages below `end`, where no frame will change, are unmapped before. One caller at a time. 0 or -errno.
    cdef int sync(self, int64_t end) noexcept nogil
    # Verify and open the frame at a position. 0, STATUS_EMPTY or STATUS_CORRUPT.
    cdef int read(self, int64_t position, frame_view *view) noexcept nogil
    # Map the pages of a range for reading, before somebody goes through it in order. A hint.
    cdef void fetch(self, int64_t start, int64_t end) noexcept nogil
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


# A frame as it is made in memory. Header and payload lie as in the file.
cdef struct small_frame:
    frame_header header
    char payload[SMALL_PAYLOAD_BYTES]


# Inline because they stand on the path of every append and every read.

cdef inline uint32_t mark_size(Store self, int64_t synced, int64_t position) noexcept nogil:
    # Bytes of the mark that the next frame carries at this position. `synced` moves at any time: load it once a frame.
    return SYNC_EXTENSION_BYTES if self.stride or (synced > self.marked and synced != position) else 0


cdef inline uint32_t begin_frame(Store self, record_input *record, uint32_t relative_offset, int64_t position,
                                 int64_t synced, frame_header *header, uint32_t *mark) noexcept nogil:
    # Fill in the header of a frame at this position, all but its checksum, and the mark; gives the mark's bytes.
    # The mark says how far the disk is known to be good, once per sync: eight bytes, or a flag when that is up to here.
    cdef uint8_t flags = record.flags
    cdef uint32_t mark_bytes = mark_size(self, synced, position)
    if mark_bytes:
        flags |= HAS_SYNC
        mark[0], mark[1] = <uint32_t>(synced // UNIT_BYTES), 0
    elif synced > self.marked:
        flags |= SYNCED_BEFORE
    if synced > self.marked:
        self.marked = synced
    if record.key != NULL:
        flags |= HAS_KEY
    header.payload_size = mark_bytes + record.extension_size + record.key_size + record.value_size
    header.timestamp_us = record.timestamp_us
    header.relative_offset = relative_offset
    header.key_size = <uint16_t>record.key_size
    header.kind = record.kind
    header.flags = flags
    return mark_bytes


cdef inline void place(Store self, int64_t position, const void *data, int64_t size, bint by_write) noexcept nogil:
    # Put bytes into allocated blocks. By a write, for many at once: it takes pages the kernel need not clear first, and
    # leaves nothing for the preparing thread. Where it fails or stops short, the mapping takes the bytes all the same.
    if by_write and self.disk.table.write(self.disk.table.context, self.descriptor, data, <size_t>size,
                                          position) == size:
        return
    self.disk.table.store(self.disk.table.context, self.memory + position, data, <size_t>size)


cdef inline int append_frame(Store self, record_input *record, uint32_t relative_offset,
                             int64_t *position) noexcept nogil:
    # Payload first, header last: a process killed in between leaves a header that was never written, which recovery
    # knows for torn and not for rot.
    cdef small_frame made
    cdef uint32_t mark[2]
    cdef int64_t at = self.written
    cdef int64_t synced = striate_load_i64(&self.synced)
    cdef int64_t ahead = <int64_t>mark_size(self, synced, at) + record.extension_size + record.key_size
    cdef int64_t end = at + frame_bytes(ahead + record.value_size)
    cdef int64_t target = at + FRAME_HEADER_BYTES
    cdef uint32_t mark_bytes
    cdef uint32_t crc
    if end > self.capacity:
        return STATUS_FULL
    if end + FOOTER_BYTES > striate_load_i64(&self.allocated):
        return STATUS_GROW
    mark_bytes = begin_frame(self, record, relative_offset, at, synced, &made.header, mark)
    if ahead and ahead + record.value_size <= SMALL_PAYLOAD_BYTES:
        # Made in one piece: one checksum and two stores cost less than one for each part.
        fill_payload(record, mark, mark_bytes, made.payload)
        crc = striate_crc32c_frame(self.seed, &made.header.payload_size, made.payload, made.header.payload_size)
        place(self, target, made.payload, made.header.payload_size, False)
    elif ahead == 0:
        crc = striate_crc32c_frame(self.seed, &made.header.payload_size, record.value, record.value_size)
        if record.value_size:
            place(self, target, record.value, record.value_size, record.value_size >= WRITE_BYTES)
    else:
        crc = striate_crc32c_frame(self.seed, &made.header.payload_size, mark, mark_bytes)
        crc = striate_crc32c_extend(crc, record.extension, record.extension_size)
        crc = striate_crc32c_extend(crc, record.key, record.key_size)
        crc = striate_crc32c_extend(crc, record.value, record.value_size)
        place_part(self, &target, mark, mark_bytes)
        place_part(self, &target, record.extension, record.extension_size)
        place_part(self, &target, record.key, record.key_size)
        if record.value_size:
            place(self, target, record.value, record.value_size, record.value_size >= WRITE_BYTES)
    made.header.checksum = crc
    place(self, at, &made.header, FRAME_HEADER_BYTES, False)
    self.chain = striate_crc32c_u32(self.chain, crc)
    self.written = end
    position[0] = at
    return 0


cdef inline void fill_payload(record_input *record, const uint32_t *mark, uint32_t mark_bytes, char *to) noexcept nogil:
    if mark_bytes:
        memcpy(to, mark, 8)
        to += 8
    if record.extension_size == 8:
        memcpy(to, record.extension, 8)
    elif record.extension_size:
        memcpy(to, record.extension, record.extension_size)
    to += record.extension_size
    if record.key_size:
        memcpy(to, record.key, record.key_size)
        to += record.key_size
    if record.value_size:
        memcpy(to, record.value, record.value_size)


cdef inline void place_part(Store self, int64_t *position, const void *data, uint32_t size) noexcept nogil:
    if size:
        place(self, position[0], data, size, False)
        position[0] += size


cdef inline int64_t readable_end(Store self) noexcept nogil:
    return min(striate_load_i64(&self.allocated), self.capacity)


cdef inline int read_frame(Store self, int64_t position, frame_view *view) noexcept nogil:
    cdef int64_t limit = readable_end(self)
    if position < STORE_HEADER_BYTES or position >= limit:
        return STATUS_CORRUPT
    return open_frame(self.memory, position, limit, self.seed, view)


cdef inline int read_frame_of(Store self, int64_t position, uint32_t relative_offset, frame_view *view) noexcept nogil:
    # read_frame for a position that is only a hint: whatever stands there is not taken for a length to checksum.
    cdef int64_t limit = readable_end(self)
    if position < STORE_HEADER_BYTES or position > limit - FRAME_HEADER_BYTES \
            or (<const frame_header *>(self.memory + position)).relative_offset != relative_offset:
        return STATUS_CORRUPT
    return open_frame(self.memory, position, limit, self.seed, view)


cdef inline int read_next_frame(Store self, int64_t position, int64_t *verified, frame_view *view) noexcept nogil:
    # read_frame for a walk; `verified` as of open_next_frame.
    cdef int64_t limit = readable_end(self)
    if position < STORE_HEADER_BYTES or position >= limit:
        return STATUS_CORRUPT
    return open_next_frame(self.memory, position, limit, self.seed, verified, view)
