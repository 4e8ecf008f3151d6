# Byte layouts of format version 1 (docs/format.md draws them) and the checks of one frame.
#
# What may not live here: I/O, memory management, anything that knows more than one frame.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "crc32c.h" nogil:
    # standard CRC32C; extend(extend(0, a), b) is the CRC of a followed by b
    uint32_t striate_crc32c_extend(uint32_t crc, const void *data, size_t size)
    uint32_t striate_crc32c_u32(uint32_t crc, uint32_t word)
    # of a frame, from its header behind the checksum and its payload
    uint32_t striate_crc32c_frame(uint32_t seed, const void *header, const void *payload, size_t size)
    # position behind the frames whose checksums are right, a while on from `position`
    int64_t striate_crc32c_frames(const char *segment, int64_t position, int64_t limit, uint32_t seed)
    # write the checksums into frames one behind another; gives the chain extended by each
    uint32_t striate_crc32c_seal(char *frames, size_t size, uint32_t seed, uint32_t chain)

cdef enum:
    FORMAT_VERSION = 1
    UNIT_BYTES = 8                    # frames are aligned to it; positions on disk count it
    STORE_HEADER_BYTES = 64
    FRAME_HEADER_BYTES = 24
    FOOTER_BYTES = 64
    SYNC_EXTENSION_BYTES = 8
    MAGIC_STORE = 0x474F4C53          # "SLOG"
    MAGIC_FOOTER = 0x444E4553         # "SEND"
    MAGIC_MANIFEST = 0x4E414D53       # "SMAN"
    MAGIC_CHECKPOINT = 0x4B484353     # "SCHK"
    MAX_KEY_BYTES = 65535

cdef enum:                            # frame kinds; 0 is "never written"
    KIND_VALUE = 1
    KIND_TOMBSTONE = 2
    KIND_CONTROL = 3
    KIND_TRANSACTION = 4

cdef enum:                            # frame flags
    HAS_KEY = 1
    CONTINUES = 2
    SYNCED_BEFORE = 4
    HAS_SYNC = 8
    HAS_VIEW = 16
    HAS_BATCH = 32
    ENCODED = 64
    RESERVED_FLAG = 128

cdef enum:                            # footer and manifest-entry flags
    FOOTER_GAPS = 1

cdef enum:                            # status of native calls, below every -errno
    STATUS_FULL = -5001               # the segment has no room left: roll
    STATUS_GROW = -5002               # room, but no allocated blocks yet
    STATUS_EMPTY = -5003              # no frame here: never written
    STATUS_CORRUPT = -5004            # bytes that do not verify
    STATUS_MISSING = -5005            # no record with this offset (compacted away)
    STATUS_STALE_INDEX = -5006        # the index points at another record: rebuild it
    STATUS_CLOSED = -5007
    STATUS_FROZEN = -5008             # a roll or truncation is under way: wait for the admin lock
    STATUS_FAILED = -5009             # an earlier sync failed
    STATUS_DAMAGED = -5010
    STATUS_NO_MEMORY = -5011
    STATUS_BELOW = -5012              # offset below the lowest
    STATUS_ABOVE = -5013              # offset at or above the visible end
    STATUS_READ_ONLY = -5014
    STATUS_FORKED = -5015

cdef packed struct store_header:
    uint32_t magic
    uint16_t version
    uint16_t header_size
    uint64_t log_id
    uint64_t segment_id
    uint64_t base_offset
    uint64_t base_timestamp_us
    uint32_t leader_epoch
    uint32_t record_size              # bytes; 0 = any
    uint32_t capacity_units
    uint16_t codec
    uint16_t flags
    uint32_t reserved
    uint32_t checksum

cdef packed struct frame_header:
    uint32_t checksum
    uint32_t payload_size             # extensions + key + value, bytes, no padding
    uint64_t timestamp_us
    uint32_t relative_offset
    uint16_t key_size
    uint8_t kind
    uint8_t flags

cdef packed struct footer:
    uint32_t magic
    uint16_t version
    uint16_t footer_size
    uint64_t segment_id
    uint64_t end_position             # bytes; where this footer stands
    uint64_t first_timestamp_us
    uint64_t last_timestamp_us
    uint32_t record_count
    uint32_t last_relative_offset
    uint32_t chain_checksum
    uint32_t index_checksum
    uint32_t flags
    uint32_t checksum

cdef packed struct checkpoint:
    uint32_t magic
    uint16_t version
    uint16_t size
    uint64_t log_id
    uint64_t sequence
    uint64_t segment_id
    uint64_t base_offset
    uint64_t synced_position          # bytes
    uint64_t next_offset
    uint32_t reserved
    uint32_t checksum

# What a caller hands in to be framed. Borrowed pointers; nothing is kept.
cdef struct record_input:
    const char *key                   # NULL: no key
    const char *value
    const char *extension             # VIEW and BATCH extensions, ready made, or NULL
    uint64_t timestamp_us
    uint32_t key_size
    uint32_t value_size
    uint32_t extension_size
    uint8_t kind
    uint8_t flags                     # CONTINUES, ENCODED, HAS_VIEW, HAS_BATCH as they apply; others are added

# A verified frame, as pointers into the mapping it was found in.
cdef struct frame_view:
    const char *key                   # NULL: no key
    const char *value
    uint64_t timestamp_us
    int64_t synced_position           # bytes of the segment the frame says were durable; 0 when it says nothing
    uint32_t key_size
    uint32_t value_size
    uint32_t relative_offset
    uint32_t size_bytes               # header, payload and padding
    uint32_t checksum
    uint8_t kind
    uint8_t flags


cdef inline int64_t align_up(int64_t size, int64_t to) noexcept nogil:
    return (size + to - 1) & ~(to - 1)


cdef inline int64_t frame_bytes(int64_t payload_size) noexcept nogil:
    return align_up(FRAME_HEADER_BYTES + payload_size, UNIT_BYTES)


cdef inline uint32_t extensions_bytes(uint8_t flags) noexcept nogil:
    # No branches: this stands on the path of every read.
    return (flags & HAS_SYNC) + ((flags & HAS_VIEW) >> 1) + ((flags & HAS_BATCH) >> 5) * 24


cdef inline uint32_t segment_seed(uint64_t segment_id) noexcept nogil:
    return striate_crc32c_extend(0, &segment_id, sizeof(segment_id))


cdef inline int view_frame(const char *segment, int64_t position, frame_view *view) noexcept nogil:
    # Open a frame whose checksum is known to be right. 0 or STATUS_CORRUPT.
    cdef const frame_header *header = <const frame_header *>(segment + position)
    cdef uint32_t extensions = extensions_bytes(header.flags)
    cdef uint32_t key_size = header.key_size
    cdef const char *payload = segment + position + FRAME_HEADER_BYTES + extensions
    if not 0 < header.kind <= KIND_TRANSACTION or header.flags & RESERVED_FLAG \
            or extensions + key_size > header.payload_size:
        return STATUS_CORRUPT
    view.flags = header.flags
    view.key = payload if header.flags & HAS_KEY else NULL
    view.key_size = key_size
    view.value = payload + key_size
    view.value_size = header.payload_size - extensions - key_size
    view.timestamp_us = header.timestamp_us
    view.relative_offset = header.relative_offset
    view.kind = header.kind
    view.checksum = header.checksum
    view.size_bytes = <uint32_t>frame_bytes(header.payload_size)
    view.synced_position = 0
    if header.flags & (SYNCED_BEFORE | HAS_SYNC):
        if header.flags & SYNCED_BEFORE:
            view.synced_position = position
        else:
            view.synced_position = \
                <int64_t>(<const uint32_t *>(segment + position + FRAME_HEADER_BYTES))[0] * UNIT_BYTES
    return 0


cdef inline bint is_plain(const frame_header *header) noexcept nogil:
    # A value without a key and extensions, as most are: told by the last four bytes of the header at once.
    return (<const uint32_t *>&header.key_size)[0] & ~(<uint32_t>(CONTINUES | SYNCED_BEFORE) << 24) \
        == <uint32_t>KIND_VALUE << 16


cdef inline int open_frame(const char *segment, int64_t position, int64_t limit, uint32_t seed,
                           frame_view *view) noexcept nogil:
    # Verify the frame at `position` of a segment whose bytes below `limit` may be read, and open it.
    # 0, STATUS_EMPTY (the header was never written) or STATUS_CORRUPT. Bounds come before the checksum: a length is
    # not believed until it is known to stay inside.
    cdef const frame_header *header = <const frame_header *>(segment + position)
    if limit - position < FRAME_HEADER_BYTES:
        return STATUS_EMPTY
    if header.kind == 0:
        return STATUS_EMPTY if header.checksum == 0 and header.payload_size == 0 else STATUS_CORRUPT
    if header.payload_size > <uint64_t>(limit - position - FRAME_HEADER_BYTES):
        return STATUS_CORRUPT
    if striate_crc32c_extend(seed, &header.payload_size, FRAME_HEADER_BYTES - 4 + <size_t>header.payload_size) \
            != header.checksum:
        return STATUS_CORRUPT
    return view_frame(segment, position, view)


cdef inline int open_next_frame(const char *segment, int64_t position, int64_t limit, uint32_t seed,
                                int64_t *verified, frame_view *view) noexcept nogil:
    # open_frame for a walk from frame to frame, which verifies several at once. `verified`, 0 at first, remembers how
    # far; it must not outlive the call that walks, because a truncated log is written over.
    cdef int status
    if position >= verified[0]:
        verified[0] = striate_crc32c_frames(segment, position, limit, seed)
        if position >= verified[0]:
            return open_frame(segment, position, limit, seed, view)
    status = view_frame(segment, position, view)
    if status == 0 and view.size_bytes > verified[0] - position:
        return STATUS_CORRUPT  # the bytes changed under us
    return status


# The same from bytes: used by `striate log dump` and by unit tests.
cdef uint32_t header_checksum(const void *header, size_t size) noexcept nogil
