# Columns that describe consecutive records lying in one buffer, and their way out to numpy and Arrow.
#
# A producer (log.pyx) makes a RecordColumns, reserves rows, stores into the raw column pointers without the
# GIL, sets `count` and `next_offset`, and attaches the bytes that positions refer to. From then on the object
# never changes, so any number of threads may read it. Nothing here copies a key or a value, row() apart.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef class ColumnMemory:
    """Owner of the one allocation behind all columns; outlives the RecordColumns while a Column needs it."""
    cdef char *block                  # 64-byte aligned, or NULL while nothing is reserved; freed with this
    cdef bint shared                  # does anything else point into it, so that it may no longer move?


cdef class RecordColumns:
    """Seven columns of `count` rows, a row a record, and the bytes that hold the keys and values."""
    # The columns: `capacity` elements each, 64-byte aligned, in `memory`. reserve() moves them.
    cdef uint64_t *offsets            # of the records; ascending, gaps allowed
    cdef int64_t *timestamps          # µs since the epoch
    cdef int64_t *positions           # bytes from `data` to the value
    cdef int64_t *key_positions       # bytes from `data` to the key; without meaning where there is no key
    cdef uint32_t *lengths            # bytes of the value
    cdef int32_t *key_lengths         # bytes of the key; -1: the record has no key
    cdef uint8_t *kinds               # as in the frame: 1 value, 2 tombstone, 3 control, 4 transaction marker
    cdef size_t count                 # rows filled; the producer sets it
    cdef size_t capacity              # rows reserved; a multiple of 64
    cdef readonly uint64_t next_offset  # where reading goes on after these records; the producer sets it
    cdef ColumnMemory memory          # owner of the column pointers
    # The bytes: set by attach(), then fixed.
    cdef const char *data             # what positions count from
    cdef int64_t size                 # bytes that may be read from `data`
    cdef object window                # read-only memoryview of [data, data + size); pins the mapping
    cdef Py_buffer pin                # our own hold on `window`, so that nobody can release it under us
    cdef bint attached                # is `pin` held?

    # Room for `rows` rows in all; the `count` rows there are stay. 0, or -1: no memory, or shared.
    cdef int reserve(self, size_t rows) noexcept nogil
    # Lay the columns out in a new block; the tail of reserve().
    cdef void _place(self, char *block, size_t rows) noexcept nogil

    # Take, and pin, the bytes positions refer to: [start, start + size) of an object that exports a buffer.
    # size -1: up to its end. Once, with the GIL.
    cpdef int attach(self, object source, int64_t start=*, int64_t size=*) except -1

    # Python's index, negative ones included, to a row; IndexError.
    cdef size_t _row(self, Py_ssize_t index) except? 0xFFFFFFFFFFFFFFFF
    # AssertionError unless [position, position + length) lies within the window.
    cdef int _check(self, int64_t position, int64_t length) except -1
