"""Columns that describe a batch of records, and their way to numpy: the buffer protocol, without a copy.

What may not live here: anything that knows frames, segments or files (log.pyx fills the columns), Arrow
(arrow.pyx reads them), and numpy itself.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_SIMPLE, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport UINT32_MAX
from libc.stdlib cimport free
from libc.string cimport memcpy

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **address, size_t alignment, size_t size)

cdef enum:
    ALIGNMENT = 64                    # bytes; what Arrow advises, and a cache line
    ROW_SIZE = 8 + 8 + 8 + 8 + 4 + 4 + 1  # bytes of one row over all columns

cdef char _nothing[ALIGNMENT]         # where a column of no rows points


@cython.final
cdef class ColumnMemory:

    def __dealloc__(self):
        free(self.block)


@cython.final
cdef class Column:
    """What the memoryviews of RecordColumns.column() are of: one column, read-only, one dimension.

    Refers to the column memory alone, so what is made from it does not pin the segment.
    """
    cdef ColumnMemory memory
    cdef const void *start
    cdef const char *format           # as in the struct module
    cdef Py_ssize_t count
    cdef Py_ssize_t itemsize          # bytes

    def __init__(self):
        raise TypeError("columns are made by RecordColumns.column()")

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("a column is read-only")
        buffer.buf = <void *>self.start
        buffer.obj = self
        buffer.len = self.count * self.itemsize
        buffer.itemsize = self.itemsize
        buffer.readonly = True
        buffer.ndim = 1
        buffer.format = <char *>self.format if flags & PyBUF_FORMAT else NULL
        buffer.shape = &self.count if flags & PyBUF_ND else NULL
        buffer.strides = &self.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL


@cython.final
cdef class RecordColumns:
    """Seven columns that describe consecutive records, and the bytes that hold their keys and values.

    Made and filled by native code; :class:`striate.RecordBatch` is its public face. Once filled it never
    changes, so any number of threads may read it.
    """

    def __cinit__(self):
        self.memory = ColumnMemory.__new__(ColumnMemory)

    def __dealloc__(self):
        if self.attached:
            PyBuffer_Release(&self.pin)

    def __len__(self):
        return <Py_ssize_t>self.count

    # ------------------------------------------------ filling

    cdef int reserve(self, size_t rows) noexcept nogil:
        cdef void *block
        if rows <= self.capacity:
            return 0
        if self.memory.shared or rows > UINT32_MAX:  # relative offsets are 32-bit: no segment has more
            return -1
        # Doubling keeps a caller that grows row by row linear; a caller that knows the number gets just that.
        rows = max(rows, 2 * self.capacity)
        rows += -rows & <size_t>(ALIGNMENT - 1)  # so that every column begins on a boundary
        if posix_memalign(&block, ALIGNMENT, rows * ROW_SIZE) != 0:
            return -1
        self._place(<char *>block, rows)
        return 0

    cdef void _place(self, char *block, size_t rows) noexcept nogil:
        """Lay the columns out in a new block and move the rows there are."""
        cdef char *place = block
        self.offsets = <uint64_t *>_move(&place, self.offsets, self.count, rows, 8)
        self.timestamps = <int64_t *>_move(&place, self.timestamps, self.count, rows, 8)
        self.positions = <int64_t *>_move(&place, self.positions, self.count, rows, 8)
        self.key_positions = <int64_t *>_move(&place, self.key_positions, self.count, rows, 8)
        self.lengths = <uint32_t *>_move(&place, self.lengths, self.count, rows, 4)
        self.key_lengths = <int32_t *>_move(&place, self.key_lengths, self.count, rows, 4)
        self.kinds = <uint8_t *>_move(&place, self.kinds, self.count, rows, 1)
        free(self.memory.block)
        self.memory.block = block
        self.capacity = rows

    cpdef int attach(self, object source, int64_t start=0, int64_t size=-1) except -1:
        """Take the bytes positions refer to: ``[start, start + size)`` of an object that exports a buffer."""
        cdef object view = memoryview(source).toreadonly()
        if view.ndim != 1 or view.format != "B":
            view = view.cast("B")
        if size < 0:
            size = <int64_t>len(view) - start
        assert not self.attached, "attached twice"
        assert 0 <= start and 0 <= size <= <int64_t>len(view) - start, "the window reaches past the buffer"
        self.window = view[start:start + size]
        PyObject_GetBuffer(self.window, &self.pin, PyBUF_SIMPLE)
        self.attached = True
        self.data = <const char *>self.pin.buf
        self.size = self.pin.len
        return 0

    def append(self, uint64_t offset, int64_t timestamp, int64_t position, uint32_t length, *,
               int64_t key_position=0, int32_t key_length=-1, uint8_t kind=1):
        """Add a row; for producers that are in no hurry. The columns must not have been exported yet."""
        if self.memory.shared:
            raise AssertionError("the columns have been exported")
        if self.reserve(self.count + 1) != 0:
            raise MemoryError
        self.offsets[self.count] = offset
        self.timestamps[self.count] = timestamp
        self.positions[self.count] = position
        self.lengths[self.count] = length
        self.key_positions[self.count] = key_position
        self.key_lengths[self.count] = key_length
        self.kinds[self.count] = kind
        self.count += 1
        self.next_offset = offset + 1

    # ------------------------------------------------ reading

    def column(self, str name):
        """A column as a typed read-only memoryview, which does not pin the mapping; KeyError."""
        cdef Column column = Column.__new__(Column)
        if name == "offsets":
            column.start, column.itemsize, column.format = self.offsets, 8, b"Q"
        elif name == "timestamps":
            column.start, column.itemsize, column.format = self.timestamps, 8, b"q"
        elif name == "positions":
            column.start, column.itemsize, column.format = self.positions, 8, b"q"
        elif name == "key_positions":
            column.start, column.itemsize, column.format = self.key_positions, 8, b"q"
        elif name == "lengths":
            column.start, column.itemsize, column.format = self.lengths, 4, b"I"
        elif name == "key_lengths":
            column.start, column.itemsize, column.format = self.key_lengths, 4, b"i"
        elif name == "kinds":
            column.start, column.itemsize, column.format = self.kinds, 1, b"B"
        else:
            raise KeyError(name)
        if column.start == NULL:
            column.start = _nothing
        column.count = <Py_ssize_t>self.count
        column.memory = self.memory
        self.memory.shared = True
        return memoryview(column)

    @property
    def base_offset(self):
        """Offset of the first record; ``next_offset`` when there is none."""
        return self.offsets[0] if self.count else self.next_offset

    @property
    def buffer(self):
        """The bytes positions refer to: a new read-only memoryview, which pins the mapping."""
        return memoryview(self.window)

    def value(self, Py_ssize_t index):
        """The value of a row as a read-only memoryview that pins the mapping; IndexError past either end."""
        cdef size_t row = self._row(index)
        self._check(self.positions[row], self.lengths[row])
        return self.window[self.positions[row]:self.positions[row] + self.lengths[row]]

    def key(self, Py_ssize_t index):
        """The key of a row as :meth:`value` does it, or None when it has none."""
        cdef size_t row = self._row(index)
        if self.key_lengths[row] < 0:
            return None
        self._check(self.key_positions[row], self.key_lengths[row])
        return self.window[self.key_positions[row]:self.key_positions[row] + self.key_lengths[row]]

    def row(self, Py_ssize_t index):
        """Offset, timestamp, key or None, value and kind of a row, copied out; IndexError past either end."""
        cdef size_t row = self._row(index)
        cdef object key = None
        self._check(self.positions[row], self.lengths[row])
        if self.key_lengths[row] >= 0:
            self._check(self.key_positions[row], self.key_lengths[row])
            key = PyBytes_FromStringAndSize(self.data + self.key_positions[row], self.key_lengths[row])
        value = PyBytes_FromStringAndSize(self.data + self.positions[row], self.lengths[row])
        return self.offsets[row], self.timestamps[row], key, value, self.kinds[row]

    def before(self, uint64_t stop):
        """The leading rows with offsets below ``stop``, over the same memory; self if that is all of them."""
        cdef RecordColumns head
        cdef size_t low = 0
        cdef size_t high = self.count
        cdef size_t middle
        if self.next_offset <= stop:
            return self
        while low < high:
            middle = low + (high - low) // 2
            if self.offsets[middle] < stop:
                low = middle + 1
            else:
                high = middle
        head = RecordColumns.__new__(RecordColumns)
        head.memory = self.memory
        self.memory.shared = True
        head.offsets, head.timestamps, head.positions = self.offsets, self.timestamps, self.positions
        head.key_positions, head.lengths = self.key_positions, self.lengths
        head.key_lengths, head.kinds = self.key_lengths, self.kinds
        head.count = head.capacity = low
        head.next_offset = stop
        head.attach(self.window)
        return head

    cdef size_t _row(self, Py_ssize_t index) except? 0xFFFFFFFFFFFFFFFF:
        if index < 0:
            index += <Py_ssize_t>self.count
        if not 0 <= index < <Py_ssize_t>self.count:
            raise IndexError(f"the batch has {self.count} records")
        return <size_t>index

    cdef int _check(self, int64_t position, int64_t length) except -1:
        if position < 0 or position > self.size - length:
            raise AssertionError("a record lies outside the batch's buffer")
        return 0


cdef void *_move(char **place, const void *old, size_t count, size_t capacity,
                 size_t itemsize) noexcept nogil:
    """Give a column the next stretch of a block, with its old content."""
    cdef char *column = place[0]
    place[0] += capacity * itemsize
    if count:
        memcpy(column, old, count * itemsize)
    return column
