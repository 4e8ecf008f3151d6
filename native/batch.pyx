"""Appending many records at once (declared in batch.pxd)."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memmove

from striate._native.frame cimport UNIT_BYTES, frame_bytes, frame_header, striate_crc32c_seal
from striate._native.segment cimport append_record
from striate._native.store cimport Store, begin_frame, mark_size, place

cdef extern from "platform.h" nogil:
    int64_t striate_load_i64(const int64_t *address)

cdef enum:
    WRITE_ENTRIES = 64

assert PIECE_FRAMES >= 2 * PIECE_BYTES // FRAME_HEADER_BYTES

# What is on the stage: bytes of the file from `start` on. Frames from `unsealed` on have no checksum yet.
cdef struct piece:
    int64_t start
    int64_t filled
    int64_t unsealed
    int64_t frames
    bint by_write


cdef int append_batch(Segment segment, record_input *records, int64_t count, stage *room,
                      bint by_write) noexcept nogil:
    cdef uint64_t timestamp_us = records[0].timestamp_us
    cdef int64_t synced = striate_load_i64(&segment.store.synced)
    cdef int64_t position = segment.store.written
    cdef int64_t size
    cdef int64_t i
    cdef int status
    cdef piece made
    made.start, made.filled, made.unsealed, made.frames, made.by_write = position, 0, 0, 0, by_write
    for i in range(count):
        records[i].timestamp_us = timestamp_us
        size = frame_bytes(<int64_t>mark_size(segment.store, synced, position) + records[i].extension_size
                           + records[i].key_size + records[i].value_size)
        if size > PIECE_BYTES:
            put_piece(segment, room, &made, position, timestamp_us)
            status = append_record(segment, &records[i])
            if status < 0:
                return status
            position = made.start = segment.store.written
            continue
        room.pairs[2 * made.frames] = segment.next_relative + <uint32_t>made.frames
        room.pairs[2 * made.frames + 1] = <uint32_t>(position // UNIT_BYTES)
        make_frame(segment.store, &records[i], segment.next_relative + <uint32_t>made.frames, position, synced,
                   room.frames + made.filled, size)
        made.filled += size
        made.frames += 1
        position += size
        if position // PIECE_BYTES != made.start // PIECE_BYTES:
            # Up to a multiple of the piece's size: the kernel keeps such writes in one block of memory each, which are
            # quicker to make, and to map for readers, than page after page.
            put_piece(segment, room, &made, position - position % PIECE_BYTES, timestamp_us)
    put_piece(segment, room, &made, position, timestamp_us)
    return 0


cdef inline void make_frame(Store store, record_input *record, uint32_t relative_offset, int64_t position,
                            int64_t synced, char *target, int64_t size) noexcept nogil:
    # All of a frame but its checksum. The padding first: its eight bytes may be the end of anything that follows.
    (<uint64_t *>(target + size - UNIT_BYTES))[0] = 0
    cdef char *payload = target + FRAME_HEADER_BYTES
    payload += begin_frame(store, record, relative_offset, position, synced, <frame_header *>target,
                           <uint32_t *>payload)
    if record.extension_size:
        memcpy(payload, record.extension, record.extension_size)
        payload += record.extension_size
    if record.key_size:
        memcpy(payload, record.key, record.key_size)
        payload += record.key_size
    memcpy(payload, record.value, record.value_size)


cdef void put_piece(Segment segment, stage *room, piece *made, int64_t end, uint64_t timestamp_us) noexcept nogil:
    # Checksum all frames on the stage, put the bytes below `end` into the file, and leave the rest for the next piece.
    cdef Py_ssize_t size = end - made.start
    if made.frames:
        segment.store.chain = striate_crc32c_seal(room.frames + made.unsealed, <size_t>(made.filled - made.unsealed),
                                                  segment.store.seed, segment.store.chain)
        if segment.index is not None:
            # Syncs do not care for the index, so a few entries need no system call.
            segment.index.put(room.pairs, made.frames, made.by_write and made.frames >= WRITE_ENTRIES)
        if segment.record_count == 0:
            segment.first_timestamp_us = timestamp_us
        segment.last_timestamp_us = timestamp_us
        segment.record_count += <uint32_t>made.frames
        segment.next_relative += <uint32_t>made.frames
    if size > 0:
        place(segment.store, made.start, room.frames, size, made.by_write)
    segment.store.written = made.start + made.filled
    made.filled -= size
    memmove(room.frames, room.frames + size, <size_t>made.filled)
    made.start, made.unsealed, made.frames = end, made.filled, 0
