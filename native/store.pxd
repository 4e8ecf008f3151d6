# The store: one file of frames, appended through a mapping.
#
# Knows frames and positions; knows neither offsets of the log nor the index. One writer at a time (the log's write lock);
# any number of readers below the end that the writer has published.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from striate._native.frame cimport footer, frame_view, record_input, store_header
from striate._native.io cimport Disk
from striate._native.mapping cimport Mapping


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
