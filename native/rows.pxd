# From frames to the rows of a columnar batch.
#
# The inner loop of a columnar scan; it is bound by memory and by the checksums, and any work added to it shows. What
# may not live here: the choice of segments, and errors as Python sees them (reader.pyx).

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from striate._native.columnar cimport RecordColumns
from striate._native.frame cimport (
    FRAME_HEADER_BYTES,
    KIND_VALUE,
    STATUS_CORRUPT,
    frame_bytes,
    frame_header,
    frame_view,
    is_plain,
    open_frame,
    striate_crc32c_frames,
    view_frame,
)
from striate._native.segment cimport Segment
from striate._native.store cimport readable_end


# Where a scan stands and how far it may go.
cdef struct row_range:
    int64_t position                  # of the next frame
    int64_t ahead                     # no frame may reach past it but the first
    uint32_t relative                 # offset of the next record, or below it where the segment has gaps
    uint32_t stop                     # relative offset to stop at


cdef inline int fill_rows(Segment segment, RecordColumns columns, row_range *rows) noexcept nogil:
    # Verify frames and describe each in a row, as far as `rows` and the reserved rows go, and move `rows` behind them.
    # 0, or the status of the frame that stopped it.
    cdef const char *memory = segment.store.memory
    cdef uint32_t seed = segment.store.seed
    cdef int64_t readable = readable_end(segment.store)
    cdef int64_t origin = rows.position
    cdef int64_t position = origin
    cdef int64_t verified = 0         # checksums are known to be right up to here
    cdef int64_t after
    cdef uint32_t relative = rows.relative
    cdef uint32_t stop = rows.stop
    cdef size_t capacity = columns.capacity
    cdef size_t row = 0
    cdef const frame_header *header
    cdef frame_view view
    cdef int status = 0
    # In registers or on the stack, where no store into a column can change them.
    cdef uint64_t base = segment.base_offset
    cdef uint64_t *offsets = columns.offsets
    cdef int64_t *timestamps = columns.timestamps
    cdef int64_t *positions = columns.positions
    cdef int64_t *key_positions = columns.key_positions
    cdef uint32_t *lengths = columns.lengths
    cdef int32_t *key_lengths = columns.key_lengths
    cdef uint8_t *kinds = columns.kinds
    memset(key_positions, 0, capacity * sizeof(key_positions[0]))
    memset(key_lengths, 0xFF, capacity * sizeof(key_lengths[0]))  # -1: no key
    memset(kinds, KIND_VALUE, capacity)
    while row < capacity and relative < stop:
        if position >= verified and row:
            verified = striate_crc32c_frames(memory, position, min(rows.ahead, readable), seed)
        if position < verified:
            header = <const frame_header *>(memory + position)
            after = position + frame_bytes(header.payload_size)
            if is_plain(header) and header.relative_offset == relative and after <= verified:
                offsets[row] = base + relative
                timestamps[row] = <int64_t>header.timestamp_us
                positions[row] = position + FRAME_HEADER_BYTES - origin
                lengths[row] = header.payload_size
                relative += 1
                position = after
                row += 1
                continue
            status = view_frame(memory, position, &view)
            if status == 0 and view.size_bytes > verified - position:
                status = STATUS_CORRUPT  # the bytes changed under us
        else:
            # The first of a batch, which may reach past `ahead`, or one that does not verify.
            status = open_frame(memory, position, readable, seed, &view)
        if status != 0 or (row and position + view.size_bytes > rows.ahead):
            break
        if view.relative_offset < relative or (not segment.gaps and view.relative_offset != relative):
            # The index pointed elsewhere, or frames of this segment stand in the wrong order.
            status = STATUS_CORRUPT
            break
        offsets[row] = base + view.relative_offset
        timestamps[row] = <int64_t>view.timestamp_us
        positions[row] = view.value - memory - origin
        lengths[row] = view.value_size
        if view.key != NULL:
            key_positions[row] = view.key - memory - origin
            key_lengths[row] = <int32_t>view.key_size
        kinds[row] = view.kind
        relative = view.relative_offset + 1
        position += view.size_bytes
        row += 1
    columns.count = row
    rows.position, rows.relative = position, relative
    return status
