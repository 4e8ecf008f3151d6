"""Checksums and the frame layout for Python: what tests, the manifest and ``striate log dump`` need of them."""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "crc32c.h" nogil:
    uint32_t striate_crc32c_portable(uint32_t crc, const void *data, size_t size)
    int64_t striate_crc32c_frames_portable(const char *segment, int64_t position, int64_t limit, uint32_t seed)
    uint32_t striate_crc32c_frame_portable(uint32_t seed, const void *header, const void *payload, size_t size)
    uint32_t striate_crc32c_seal_portable(char *frames, size_t size, uint32_t seed, uint32_t chain)
    enum:
        STRIATE_FRAME_COVERED
        STRIATE_FRAME_HEADER
        STRIATE_FRAMES_AHEAD

assert sizeof(store_header) == STORE_HEADER_BYTES
assert sizeof(frame_header) == FRAME_HEADER_BYTES
assert FRAME_HEADER_BYTES == STRIATE_FRAME_HEADER == STRIATE_FRAME_COVERED + sizeof(uint32_t)
assert sizeof(footer) == FOOTER_BYTES
assert sizeof(checkpoint) == 64

VERSION = FORMAT_VERSION
FRAMES_AHEAD = STRIATE_FRAMES_AHEAD


cdef uint32_t header_checksum(const void *header, size_t size) noexcept nogil:
    # Every fixed header ends with its own checksum.
    return striate_crc32c_extend(0, header, size - 4)


def crc32c(const uint8_t[::1] data not None, uint32_t seed=0):
    """CRC32C (Castagnoli) of a buffer.

    Args:
        data: any contiguous buffer of bytes.
        seed: the CRC of what came before; ``crc32c(b, crc32c(a)) == crc32c(a + b)``.

    Returns:
        The checksum, an unsigned 32-bit number. Source: RFC 3720, appendix B.4.
    """
    cdef size_t size = <size_t>data.shape[0]
    return striate_crc32c_extend(seed, &data[0] if size else NULL, size)


def crc32c_portable(const uint8_t[::1] data not None, uint32_t seed=0):
    """:func:`crc32c` by the table-driven code that processors without a CRC instruction run."""
    cdef size_t size = <size_t>data.shape[0]
    return striate_crc32c_portable(seed, &data[0] if size else NULL, size)


def verified_until(const uint8_t[::1] segment not None, int64_t position, int64_t limit, uint64_t segment_id,
                   bint portable=False):
    """Position behind the last of the frames from a position on whose checksums are right; stops after a while."""
    cdef uint32_t seed = segment_seed(segment_id)
    assert 0 <= position <= limit <= segment.shape[0]
    if segment.shape[0] == 0:
        return position
    if portable:
        return striate_crc32c_frames_portable(<const char *>&segment[0], position, limit, seed)
    return striate_crc32c_frames(<const char *>&segment[0], position, limit, seed)


def frame_checksum(bytes header not None, const uint8_t[::1] payload not None, uint64_t segment_id,
                   bint portable=False):
    """Checksum of the frame with a header (all of it; its checksum does not count) and a payload."""
    cdef const void *start = &payload[0] if payload.shape[0] else NULL
    assert len(header) == FRAME_HEADER_BYTES
    if portable:
        return striate_crc32c_frame_portable(segment_seed(segment_id), <const char *>header + 4, start,
                                             <size_t>payload.shape[0])
    return striate_crc32c_frame(segment_seed(segment_id), <const char *>header + 4, start, <size_t>payload.shape[0])


def seal_frames(uint8_t[::1] frames not None, uint64_t segment_id, uint32_t chain=0, bint portable=False):
    """Write the checksums into frames that fill a buffer; gives the chain extended by each of them."""
    cdef size_t size = <size_t>frames.shape[0]
    if size == 0:
        return chain
    if portable:
        return striate_crc32c_seal_portable(<char *>&frames[0], size, segment_seed(segment_id), chain)
    return striate_crc32c_seal(<char *>&frames[0], size, segment_seed(segment_id), chain)


def parse_frame(const uint8_t[::1] segment not None, int64_t position, uint64_t segment_id):
    """Verify and open the frame at a position of a segment's bytes.

    Returns:
        A dict of its fields (``checksum``, ``timestamp_us``, ``relative_offset``, ``kind``, ``flags``, ``key``,
        ``value``, ``synced_position``, ``size_bytes``), ``None`` where no frame was ever written, or ``False`` where
        bytes do not verify.
    """
    cdef frame_view view
    cdef int status
    if position < 0 or position > segment.shape[0]:
        return None
    status = open_frame(<const char *>&segment[0] if segment.shape[0] else NULL, position, segment.shape[0],
                        segment_seed(segment_id), &view)
    if status != 0:
        return None if status == STATUS_EMPTY else False
    return {
        "checksum": view.checksum,
        "timestamp_us": view.timestamp_us,
        "relative_offset": view.relative_offset,
        "kind": view.kind,
        "flags": view.flags,
        "key": None if view.key == NULL else view.key[:view.key_size],
        "value": view.value[:view.value_size],
        "synced_position": view.synced_position,
        "size_bytes": view.size_bytes,
    }
