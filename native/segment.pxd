# The segment: one store and its index, named by the base offset.
#
# Turns relative offsets into frames. Knows nothing of other segments, the manifest or durability modes.
# Appending needs the log's write lock; reading is safe from any thread for records that were published.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from striate._native.frame cimport STATUS_FULL, STATUS_GROW, UNIT_BYTES, frame_view, record_input
from striate._native.index cimport Index, append_entry
from striate._native.io cimport Disk
from striate._native.store cimport Store, append_frame

cdef extern from "platform.h" nogil:
    int64_t striate_load_i64(const int64_t *address)

cdef enum:
    MAX_RELATIVE = 0xFFFFFFF0         # relative offsets stay below


# Where a walk over frames stands. A batch counts once its last frame is there.
cdef struct walk_state:
    int64_t position                  # behind the last verified frame
    int64_t batch_position            # behind the last verified frame that ends a batch
    uint32_t relative                 # expected next
    uint32_t stop                     # where to stop
    uint32_t batch_relative
    uint32_t count
    uint32_t batch_count
    uint32_t chain
    uint32_t batch_chain
    uint64_t first_timestamp_us
    uint64_t last_timestamp_us
    uint64_t batch_timestamp_us
    int64_t mark                      # highest position a frame says was durable


cdef class Segment:
    cdef Disk disk
    cdef readonly Store store
    cdef readonly Index index                 # None in a fixed-length log
    cdef readonly uint64_t base_offset
    cdef readonly uint32_t revision           # of the file names: 0 as created, then counted up by rewrites
    cdef readonly bint sealed                 # nothing will ever be appended; changes under the log's sync leadership
    cdef readonly bint gaps                   # some relative offsets have no record
    cdef bint read_along                      # another process appends to it; no chain, and no end before measure()
    cdef readonly bint checked                # index verified since it was opened
    cdef readonly uint32_t index_checksum     # of a sealed segment; 0 without an index
    cdef readonly int64_t mark                # highest position a frame says was durable; set by recover()
    cdef readonly list damage                 # [(first_offset, next_offset, position, reason)], found by recovery
    # guarded by the write lock
    cdef uint32_t next_relative               # one past the highest relative offset
    cdef readonly uint32_t record_count
    cdef readonly uint64_t first_timestamp_us
    cdef readonly uint64_t last_timestamp_us

    # Where records probably are, to fetch memory while the index is asked. Hints: any thread stores them, unlocked.
    cdef uint64_t spacing                     # bytes from one frame to the next, times 2**20
    cdef int evenness                         # how often that was right of late, 0 to EVENNESS_MOST

    # Frame the record at next_relative. 0, STATUS_FULL, STATUS_GROW: nothing happened.
    cdef int append(self, record_input *record) noexcept nogil
    # Make blocks for `size_bytes` of frames and `records` index entries. 0 or -errno.
    cdef int grow(self, int64_t size_bytes, int64_t records) noexcept nogil
    # Position of a relative offset: >= 0, STATUS_MISSING.
    cdef int64_t locate(self, uint32_t relative) noexcept nogil
    # The same, with memory at its likely position on the way already: for one record somewhere.
    cdef int64_t locate_early(self, uint32_t relative) noexcept nogil
    # Verified frame of a relative offset. 0, STATUS_MISSING, STATUS_CORRUPT, STATUS_STALE_INDEX.
    cdef int fetch(self, uint32_t relative, frame_view *view) noexcept nogil
    # Relative offset of the first record not older than a time among those below `end`, or `end`.
    cdef uint32_t find_time(self, uint64_t timestamp_us, uint32_t end) noexcept nogil
    # First relative offset >= `relative` that has a record, or next_relative.
    cdef uint32_t next_present(self, uint32_t relative) noexcept nogil
    # By the index, which is not believed for more than that: at most how many records from `relative` on, below `stop`,
    # begin before the position `end`. At least 1.
    cdef uint32_t count_within(self, uint32_t relative, uint32_t stop, int64_t end) noexcept nogil
    cdef bint is_hole(self, uint32_t relative) noexcept nogil
    # Footer, sync of store and index: 0 or -errno. Afterwards `sealed`.
    cdef int seal(self) noexcept nogil
    cdef void begin_at(self, uint32_t relative) noexcept nogil

    # opening and recovery, with the GIL
    cdef _open(self, str directory, entry, Disk disk, bint writable, int64_t mapped_bytes)
    cdef _take_entry(self, entry)
    cdef _adopt(self, walk_state *state)
    cdef _note_hole(self, walk_state *state, int64_t at)
    cdef _salvage(self, walk_state *state, int64_t bad, int64_t limit, int64_t dirty_end)
    cdef int _walk(self, walk_state *state, int64_t limit, bint contiguous) noexcept nogil
    cdef int64_t _last_nonzero(self, int64_t start, int64_t limit) noexcept nogil
    cdef int64_t _later_mark(self, int64_t start, int64_t limit) noexcept nogil
    cdef bint _padding_is_zero(self, int64_t position, frame_view *view) noexcept nogil
    cdef bint _looks_complete(self, int64_t position, uint32_t relative, int64_t end) noexcept nogil


# Inline because it stands on the path of every append.
cdef inline int append_record(Segment self, record_input *record) noexcept nogil:
    cdef int64_t position
    cdef int result
    if self.index is not None:
        # Before the frame: an index entry that cannot be made must not leave a frame behind.
        if self.index.count >= self.index.capacity:
            return STATUS_FULL
        if (self.index.count + 1) * 8 > striate_load_i64(&self.index.allocated):
            return STATUS_GROW
    if self.next_relative >= <uint32_t>MAX_RELATIVE:
        return STATUS_FULL
    result = append_frame(self.store, record, self.next_relative, &position)
    if result < 0:
        return result
    if self.index is not None:
        append_entry(self.index, self.next_relative, <uint32_t>(position // UNIT_BYTES))
    if self.record_count == 0:
        self.first_timestamp_us = record.timestamp_us
    self.last_timestamp_us = record.timestamp_us
    self.record_count += 1
    self.next_relative += 1
    return 0
