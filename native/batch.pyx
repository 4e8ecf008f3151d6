"""Appending many records at once (declared in batch.pxd)."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from striate._native.frame cimport UNIT_BYTES, frame_bytes, frame_header, striate_crc32c_seal
from striate._native.segment cimport append_record
from striate._native.store cimport Store, begin_frame, mark_size, place

cdef extern from "platform.h" nogil:
    int64_t striate_load_i64(const int64_t *address)


cdef enum:
    WRITE_ENTRIES = 64

assert PIECE_FRAMES == PIECE_BYTES // FRAME_HEADER_BYTES


cdef int append_batch(Segment segment, record_input *records, int64_t count, stage *room,
                      bint by_write) noexcept nogil:
    cdef uint64_t timestamp_us = records[0].timestamp_us
    cdef int64_t synced = striate_load_i64(&segment.store.synced)
    cdef int64_t position
    cdef int64_t filled = 0
    cdef int64_t frames = 0
    cdef int64_t size
    cdef int64_t i
    cdef int status
    for i in range(count):
        records[i].timestamp_us = timestamp_us
        position = segment.store.written + filled
        size = frame_bytes(<int64_t>mark_size(segment.store, synced, position) + records[i].extension_size
                           + records[i].key_size + records[i].value_size)
        if filled + size > PIECE_BYTES:
            put_piece(segment, room, filled, frames, timestamp_us, by_write)
            filled = frames = 0
            if size > PIECE_BYTES:
                status = append_record(segment, &records[i])
                if status < 0:
                    return status
                continue
        room.pairs[2 * frames] = segment.next_relative + <uint32_t>frames
        room.pairs[2 * frames + 1] = <uint32_t>(position // UNIT_BYTES)
        make_frame(segment.store, &records[i], segment.next_relative + <uint32_t>frames, position, synced,
                   room.frames + filled, size)
        filled += size
        frames += 1
    put_piece(segment, room, filled, frames, timestamp_us, by_write)
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


cdef void put_piece(Segment segment, stage *room, int64_t size, int64_t frames, uint64_t timestamp_us,
                    bint by_write) noexcept nogil:
    if frames == 0:
        return
    segment.store.chain = striate_crc32c_seal(room.frames, <size_t>size, segment.store.seed,
                                              segment.store.chain)
    place(segment.store, segment.store.written, room.frames, size, by_write)
    segment.store.written += size
    if segment.index is not None:
        # Syncs do not care for the index, so a few entries need no system call.
        segment.index.put(room.pairs, frames, by_write and frames >= WRITE_ENTRIES)
    if segment.record_count == 0:
        segment.first_timestamp_us = timestamp_us
    segment.last_timestamp_us = timestamp_us
    segment.record_count += <uint32_t>frames
    segment.next_relative += <uint32_t>frames
