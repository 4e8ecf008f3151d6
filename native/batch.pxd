# Appending many records at once.
#
# Frames are made in memory, checksummed three at a time, and put into the file in pieces that fit the processor's
# cache; likewise their index entries. Knows one segment; the log has made sure of room before.

from libc.stdint cimport int64_t, uint32_t

from striate._native.frame cimport FRAME_HEADER_BYTES, record_input
from striate._native.segment cimport Segment

cdef enum:
    PIECE_BYTES = 65536
    PIECE_FRAMES = 5462               # that fit two pieces: no frame is smaller than its header


# Where pieces are made. One per log, used under its write lock.
cdef struct stage:
    char frames[2 * PIECE_BYTES]      # up to the end of a piece, and the frame that goes beyond
    uint32_t pairs[2 * PIECE_FRAMES]


# Frame `count` records, all with the time of the first, from segment.next_relative on. The caller has made sure of room
# for all of them and their sync marks, in store and index. 0, or the status of the record that could not be framed: a
# bug of the caller.
cdef int append_batch(Segment segment, record_input *records, int64_t count, stage *room, bint by_write) noexcept nogil
