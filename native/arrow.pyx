"""Batches of records as Arrow data, through the Arrow C data interface and its capsules.

Keys and values are not copied: Arrow sees 16-byte views into the segment, and the column memory itself.
The rules: https://arrow.apache.org/docs/format/CDataInterface.html, the pages CStreamInterface and
CDataInterface/PyCapsuleInterface beside it, and Columnar for the layout of views.

What may not live here: a dependency on any Arrow library; anything that knows frames, segments or files.
"""

cimport cython
from cpython.pycapsule cimport PyCapsule_Destructor, PyCapsule_GetPointer, PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EIO, ENOMEM
from libc.stdint cimport INT32_MAX, int32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strdup

from striate._native.columnar cimport RecordColumns
from striate.errors import BatchTooLargeError, RecordTooLargeError

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **address, size_t alignment, size_t size)
cdef extern from "Python.h" nogil:
    int Py_IsInitialized()

cdef enum:
    ALIGNMENT = 64                    # bytes; what Arrow advises
    INLINE_LIMIT = 12                 # bytes; longer keys and values are pointed at
    ARROW_NULLABLE = 2                # ARROW_FLAG_NULLABLE


# ---------------------------------------------------------------- binary views

cdef struct view_span:
    int64_t first                     # position of the first byte that a view points at
    int64_t end                       # behind the last; first == end when every string is held inline
    int64_t nulls                     # rows of negative length


cdef int _measure(const int64_t *positions, const int32_t *lengths, size_t count, int64_t size,
                  view_span *span) noexcept nogil:
    """What part of the buffer the long strings lie in. -1: a string lies outside [0, size)."""
    cdef size_t i
    cdef int64_t lowest = size
    cdef int64_t highest = 0
    cdef int64_t nulls = 0
    for i in range(count):
        if lengths[i] < 0:
            nulls += 1
            continue
        if positions[i] < 0 or positions[i] > size - lengths[i]:
            return -1
        if lengths[i] > INLINE_LIMIT:
            lowest = min(lowest, positions[i])
            highest = max(highest, positions[i] + lengths[i])
    span.first = min(lowest, highest)
    span.end = highest
    span.nulls = nulls
    return 0


cdef void _write_views(const char *data, const int64_t *positions, const int32_t *lengths, size_t count,
                       int64_t first, char *views) noexcept nogil:
    """Write the 16-byte views; offsets in them count from position ``first``.

        +--------+-----------------------------+     +--------+--------+--------+--------+
        | length | bytes, zero padded          |     | length | prefix | buffer | offset |
        +--------+-----------------------------+     +--------+--------+--------+--------+
        0        4          up to 12 bytes    16     0        4        8        12      16   longer
    """
    cdef size_t i
    cdef int32_t *view
    for i in range(count):
        view = <int32_t *>(views + 16 * i)
        if lengths[i] > INLINE_LIMIT:
            view[0] = lengths[i]
            memcpy(view + 1, data + positions[i], 4)
            view[2] = 0
            view[3] = <int32_t>(positions[i] - first)
        else:
            memset(view, 0, 16)
            if lengths[i] > 0:
                view[0] = lengths[i]
                memcpy(view + 1, data + positions[i], <size_t>lengths[i])


cdef void _write_validity(const int32_t *lengths, size_t count, uint8_t *bitmap) noexcept nogil:
    """A bit a row, least significant first; set where the length is not negative. The bitmap comes zeroed."""
    cdef size_t i
    for i in range(count):
        if lengths[i] >= 0:
            bitmap[i >> 3] |= <uint8_t>(1 << (i & 7))


@cython.final
cdef class ArrowViews:

    def __dealloc__(self):
        free(self.block)

    cdef int build(self, RecordColumns columns) except -1:
        cdef view_span values
        cdef view_span keys
        cdef size_t count = columns.count
        # Read as signed, a value of 2 GiB or more has a negative length: it counts as null, refused below.
        cdef const int32_t *lengths = <const int32_t *>columns.lengths
        cdef size_t column_size = 16 * (count + (-count & 3))
        cdef size_t bitmap_size = (count >> 3) + 1
        cdef void *block = NULL
        cdef int result
        assert columns.attached, "a batch without its buffer"
        with nogil:
            result = _measure(columns.positions, lengths, count, columns.size, &values)
            if result == 0:
                result = _measure(columns.key_positions, columns.key_lengths, count, columns.size, &keys)
        if result != 0:
            raise AssertionError("a record lies outside the batch's buffer")
        if values.nulls:
            raise RecordTooLargeError(
                max(columns.column("lengths")), INT32_MAX, hint="take such a value with value()")
        if max(values.end - values.first, keys.end - keys.first) > INT32_MAX:
            raise BatchTooLargeError(
                max(values.end - values.first, keys.end - keys.first), INT32_MAX,
                hint="read it with a smaller max_bytes")
        if posix_memalign(&block, ALIGNMENT, 2 * column_size + bitmap_size + ALIGNMENT) != 0:
            raise MemoryError
        columns.memory.shared = True
        self.block = <char *>block
        self.columns = columns
        self.value_views = self.block
        self.key_views = self.block + column_size
        self.key_nulls = keys.nulls
        self.value_data = columns.data + values.first
        self.value_size = values.end - values.first
        self.key_data = columns.data + keys.first
        self.key_size = keys.end - keys.first
        with nogil:
            _write_views(columns.data, columns.positions, lengths, count, values.first, self.block)
            _write_views(columns.data, columns.key_positions, columns.key_lengths, count, keys.first,
                         self.block + column_size)
            if keys.nulls:
                memset(self.block + 2 * column_size, 0, bitmap_size)
                _write_validity(columns.key_lengths, count, <uint8_t *>self.block + 2 * column_size)
                self.key_validity = <uint8_t *>self.block + 2 * column_size
        return 0


# ---------------------------------------------------------------- releasing

cdef void _release_reference(PyObject *reference) noexcept nogil:
    # A consumer's static destructor may run after the interpreter is gone: nothing is left to free then.
    if Py_IsInitialized():
        _drop_reference(reference)


cdef void _drop_reference(PyObject *reference) noexcept with gil:
    Py_DECREF(<object>reference)


# ---------------------------------------------------------------- schema

cdef void _release_schema(ArrowSchema *schema) noexcept nogil:
    cdef int64_t i
    if schema.release == NULL:
        return
    schema.release = NULL
    for i in range(schema.n_children):
        _release_schema(schema.children[i])
    free(schema.private_data)


cdef void _describe(ArrowSchema *schema, const char *format, const char *name, int64_t flags) noexcept nogil:
    """Fill in a field; its strings are literals, so it owns nothing."""
    memset(schema, 0, sizeof(ArrowSchema))
    schema.format = format
    schema.name = name
    schema.flags = flags
    schema.release = _release_schema


cdef int _fill_schema(ArrowSchema *schema) noexcept nogil:
    """The type of every batch. 0, or ENOMEM with nothing written."""
    cdef schema_holder *holder = <schema_holder *>calloc(1, sizeof(schema_holder))
    cdef int i
    if holder == NULL:
        return ENOMEM
    _describe(schema, "+s", "", 0)
    schema.n_children = FIELDS
    schema.children = holder.children
    schema.private_data = holder
    for i in range(FIELDS):
        holder.children[i] = &holder.fields[i]
    _describe(&holder.fields[0], "L", "offset", 0)
    _describe(&holder.fields[1], "tsu:UTC", "timestamp", 0)
    _describe(&holder.fields[2], "vz", "key", ARROW_NULLABLE)
    _describe(&holder.fields[3], "vz", "value", 0)
    return 0


# ---------------------------------------------------------------- array

cdef void _release_array(ArrowArray *array) noexcept nogil:
    cdef array_holder *holder = <array_holder *>array.private_data
    cdef int64_t i
    if array.release == NULL:
        return
    array.release = NULL
    for i in range(array.n_children):
        _release_array(array.children[i])  # nothing happens if it was moved out
    _release_reference(holder.views)
    free(holder)


cdef array_holder *_begin_array(ArrowArray *array, ArrowViews views, int64_t n_buffers) noexcept:
    """Fill in an array without buffers that owns a reference to ``views``; NULL if there is no memory."""
    cdef array_holder *holder = <array_holder *>calloc(1, sizeof(array_holder))
    memset(array, 0, sizeof(ArrowArray))
    if holder == NULL:
        return NULL
    Py_INCREF(views)
    holder.views = <PyObject *>views
    array.length = <int64_t>views.columns.count
    array.n_buffers = n_buffers
    array.buffers = holder.buffers
    array.private_data = holder
    array.release = _release_array
    return holder


cdef int _fill_plain(ArrowArray *array, ArrowViews views, const void *column) noexcept:
    cdef array_holder *holder = _begin_array(array, views, 2)
    if holder == NULL:
        return -1
    holder.buffers[1] = column if column != NULL else views.block  # of no rows: some consumers refuse NULL
    return 0


cdef int _fill_views(ArrowArray *array, ArrowViews views, const uint8_t *validity, int64_t nulls,
                     const char *column, const char *data, int64_t size) noexcept:
    cdef array_holder *holder = _begin_array(array, views, 4)
    if holder == NULL:
        return -1
    array.null_count = nulls
    holder.variadic_size = size
    holder.buffers[0] = validity
    holder.buffers[1] = column
    holder.buffers[2] = data
    holder.buffers[3] = &holder.variadic_size
    return 0


cdef int _export_array(RecordColumns columns, ArrowArray *array) except -1:
    """Fill in the struct array of a batch. After an exception there is nothing to release."""
    cdef ArrowViews views = ArrowViews.__new__(ArrowViews)
    cdef array_holder *holder
    cdef int i
    views.build(columns)
    holder = _begin_array(array, views, 1)
    if holder == NULL:
        raise MemoryError
    for i in range(FIELDS):
        holder.children[i] = &holder.fields[i]
    array.children = holder.children
    array.n_children = FIELDS
    if (_fill_plain(&holder.fields[0], views, columns.offsets) != 0
            or _fill_plain(&holder.fields[1], views, columns.timestamps) != 0
            or _fill_views(&holder.fields[2], views, views.key_validity, views.key_nulls,
                           views.key_views, views.key_data, views.key_size) != 0
            or _fill_views(&holder.fields[3], views, NULL, 0,
                           views.value_views, views.value_data, views.value_size) != 0):
        _release_array(array)
        raise MemoryError
    return 0


# ---------------------------------------------------------------- stream

cdef int _stream_schema(ArrowArrayStream *stream, ArrowSchema *schema) noexcept nogil:
    return _fill_schema(schema)


cdef int _stream_next(ArrowArrayStream *stream, ArrowArray *array) noexcept with gil:
    """The next batch, or an array without `release` at the end. Called from any thread the consumer likes."""
    cdef stream_holder *holder = <stream_holder *>stream.private_data
    memset(array, 0, sizeof(ArrowArray))
    free(holder.error)
    holder.error = NULL
    try:
        columns = next(<object>holder.iterator, None)
        if columns is not None:
            _export_array(<RecordColumns?>columns, array)
        return 0
    except BaseException as error:  # none may cross into the consumer
        holder.error = _text(error)
        return EIO


cdef char *_text(error) noexcept:
    """Class and message of an exception as a string to be freed; NULL if there is none to be had."""
    try:
        return strdup(f"{type(error).__name__}: {error}".encode("utf-8", "replace"))
    except BaseException:
        return NULL


cdef const char *_stream_error(ArrowArrayStream *stream) noexcept nogil:
    return (<stream_holder *>stream.private_data).error


cdef void _release_stream(ArrowArrayStream *stream) noexcept nogil:
    cdef stream_holder *holder = <stream_holder *>stream.private_data
    if stream.release == NULL:
        return
    stream.release = NULL
    _release_reference(holder.iterator)
    free(holder.error)
    free(holder)


# ---------------------------------------------------------------- capsules
# A consumer moves the structure out and zeroes `release`; if none did, the destructor releases it.

cdef void _destroy_schema(object capsule) noexcept:
    cdef ArrowSchema *schema = <ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")
    if schema.release != NULL:
        schema.release(schema)
    free(schema)


cdef void _destroy_array(object capsule) noexcept:
    cdef ArrowArray *array = <ArrowArray *>PyCapsule_GetPointer(capsule, "arrow_array")
    if array.release != NULL:
        array.release(array)
    free(array)


cdef void _destroy_stream(object capsule) noexcept:
    cdef ArrowArrayStream *stream = <ArrowArrayStream *>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    if stream.release != NULL:
        stream.release(stream)
    free(stream)


cdef object _new_capsule(size_t size, const char *name, PyCapsule_Destructor destroy):
    """A capsule over a zeroed structure, which the caller fills in."""
    cdef void *structure = calloc(1, size)
    if structure == NULL:
        raise MemoryError
    try:
        return PyCapsule_New(structure, name, destroy)
    except MemoryError:
        free(structure)
        raise


def arrow_schema():
    """A capsule "arrow_schema": the type of every batch."""
    cdef object capsule = _new_capsule(sizeof(ArrowSchema), "arrow_schema", _destroy_schema)
    if _fill_schema(<ArrowSchema *>PyCapsule_GetPointer(capsule, "arrow_schema")) != 0:
        raise MemoryError
    return capsule


def arrow_array(RecordColumns columns not None):
    """A capsule "arrow_array": a struct array with one row a record."""
    cdef object capsule = _new_capsule(sizeof(ArrowArray), "arrow_array", _destroy_array)
    _export_array(columns, <ArrowArray *>PyCapsule_GetPointer(capsule, "arrow_array"))
    return capsule


def arrow_stream(iterable):
    """A capsule "arrow_array_stream" over an iterable of RecordColumns, drawn from as the consumer asks."""
    cdef object capsule = _new_capsule(sizeof(ArrowArrayStream), "arrow_array_stream", _destroy_stream)
    cdef object iterator = iter(iterable)
    cdef ArrowArrayStream *stream = <ArrowArrayStream *>PyCapsule_GetPointer(capsule, "arrow_array_stream")
    cdef stream_holder *holder = <stream_holder *>calloc(1, sizeof(stream_holder))
    if holder == NULL:
        raise MemoryError
    Py_INCREF(iterator)
    holder.iterator = <PyObject *>iterator
    stream.get_schema = _stream_schema
    stream.get_next = _stream_next
    stream.get_last_error = _stream_error
    stream.private_data = holder
    stream.release = _release_stream
    return capsule
