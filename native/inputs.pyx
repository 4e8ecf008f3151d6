"""What callers hand in: buffers, lists and arrays of them (declared in inputs.pxd)."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from striate._native.frame cimport KIND_VALUE, MAX_KEY_BYTES

import operator

from striate.errors import InvalidArgumentError, InvalidTypeError, KeyTooLargeError, RecordTooLargeError

cdef extern from "Python.h":
    # Without reference counts: the tuple holds its items.
    PyObject *item_of "PyTuple_GET_ITEM"(tuple items, Py_ssize_t i)
    bint is_bytes "PyBytes_CheckExact"(PyObject *item)
    const char *data_of "PyBytes_AS_STRING"(PyObject *item)
    Py_ssize_t size_of "PyBytes_GET_SIZE"(PyObject *item)


cdef int check_buffer(object value, str argument) except -1:
    # Text of numpy and arrays of objects have buffers as well: of its own encoding, and of addresses.
    if isinstance(value, str) or not PyObject_CheckBuffer(value):
        raise InvalidTypeError(argument, "bytes or another contiguous buffer", type(value))
    if isinstance(value, (bytes, bytearray)):
        return 0
    try:
        owner = value.obj if isinstance(value, memoryview) else value
    except ValueError:
        return 0  # released: asking for the buffer says so
    if getattr(getattr(owner, "dtype", None), "hasobject", False):
        raise InvalidTypeError(argument, "a buffer of bytes, not of objects", type(value))
    return 0


cdef int borrow(object value, str argument, borrowed *into) except -1:
    into.held = False
    if PyBytes_CheckExact(value):
        into.data, into.size = PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        return 0
    check_buffer(value, argument)
    try:
        PyObject_GetBuffer(value, &into.view, PyBUF_SIMPLE)
    except (BufferError, ValueError):
        raise InvalidTypeError(argument, "a contiguous buffer that is not released", type(value)) from None
    into.data, into.size, into.held = <const char *>into.view.buf, into.view.len, True
    return 0


cdef void give_back(borrowed *what):
    if what.held:
        PyBuffer_Release(&what.view)


cdef tuple as_items(object items, str argument):
    cdef tuple result
    cdef Py_ssize_t i
    if isinstance(items, (str, bytes, bytearray, memoryview, set, frozenset, dict)) or not hasattr(items, "__iter__"):
        raise InvalidTypeError(argument, "a sequence of bytes", type(items))
    try:
        result = tuple(items)
    except TypeError:
        raise InvalidTypeError(argument, "a sequence of bytes", type(items)) from None
    for i in range(len(result)):
        if not is_bytes(item_of(result, i)):
            return tuple([_as_bytes(item, argument) for item in result])
    return result


cpdef list as_list(object items, str argument, str expected):
    """What is iterable and no text, as a list; ``expected`` says in words what is wanted."""
    if isinstance(items, (str, bytes, bytearray, memoryview)):
        raise InvalidTypeError(argument, expected, type(items))
    try:
        iterator = iter(items)
    except TypeError:
        raise InvalidTypeError(argument, expected, type(items)) from None
    return list(iterator)


cpdef list as_pairs(object items):
    """Keys and values of a mapping or of pairs, each a tuple of two."""
    cdef list pairs
    if hasattr(items, "items"):
        items = items.items()
    elif hasattr(items, "keys"):  # all that dict.update asks for
        items = [(key, items[key]) for key in items.keys()]
    pairs = as_list(items, "items", "a mapping or pairs")
    for number, pair in enumerate(pairs):
        if type(pair) is not tuple or len(pair) != 2:
            pairs[number] = as_pair(pair)
    return pairs


cdef tuple as_pair(object pair):
    # Two letters are a pair as well, and seldom meant.
    cdef tuple found = tuple(as_list(pair, "each of items", "a pair of key and value"))
    if len(found) != 2:
        raise InvalidArgumentError("each of items", "a pair of key and value", pair)
    return found


cpdef bytes as_utf8(str text, str argument):
    """The bytes of a text."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError(argument, "text that UTF-8 can express", text) from None


cdef object _as_bytes(object item, str argument):
    if item is None and argument == "keys":
        return None
    cdef borrowed buffer
    cdef str name = f"each of {argument}"
    check_buffer(item, name)
    try:
        return bytes(memoryview(item))
    except (BufferError, ValueError):
        # Released, or of a type that memoryview does not know, such as numpy's times.
        borrow(item, name, &buffer)
    try:
        return PyBytes_FromStringAndSize(buffer.data, buffer.size)
    finally:
        give_back(&buffer)


cdef object as_lengths(object lengths):
    import numpy

    try:
        array = numpy.asarray(lengths)
    except (OverflowError, TypeError, ValueError):
        raise InvalidTypeError("lengths", "a one-dimensional array of integers", type(lengths)) from None
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InvalidTypeError("lengths", "a one-dimensional array of integers", type(lengths))
    if array.size and array.dtype.kind == "i" and int(array.min()) < 0:
        raise InvalidArgumentError("lengths", "numbers from 0 on", int(array.min()))
    return numpy.ascontiguousarray(array, dtype=numpy.uint64)


cdef inline int _fill(record_input *record, const char *data, int64_t size, tuple keys, Py_ssize_t i) except -1:
    cdef PyObject *key = item_of(keys, i) if keys is not None else NULL
    record.value, record.value_size = data, <uint32_t>size
    record.extension, record.extension_size = NULL, 0
    record.kind, record.flags = KIND_VALUE, 0
    record.key, record.key_size = NULL, 0
    if key != NULL and key != <PyObject *>None:
        if size_of(key) > MAX_KEY_BYTES:
            raise KeyTooLargeError(size_of(key), MAX_KEY_BYTES)
        record.key, record.key_size = data_of(key), <uint32_t>size_of(key)
    return 0


cdef int fill_from_items(record_input *records, tuple values, tuple keys, int64_t limit) except -1:
    cdef Py_ssize_t i
    cdef PyObject *value
    for i in range(len(values)):
        value = item_of(values, i)
        if size_of(value) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(size_of(value), limit)
        _fill(&records[i], data_of(value), size_of(value), keys, i)
    return 0


cdef int fill_from_buffer(record_input *records, const char *data, int64_t size, const uint64_t *lengths, int64_t count,
                          tuple keys, int64_t limit) except -1:
    cdef int64_t i
    cdef int64_t at = 0
    for i in range(count):
        if lengths[i] > <uint64_t>MAX_RECORD_BYTES or <int64_t>lengths[i] > size - at:
            if lengths[i] <= <uint64_t>(size - at):
                raise RecordTooLargeError(lengths[i], limit)
            raise InvalidArgumentError("lengths", f"numbers that add up to the buffer's {size} bytes", lengths[i])
        _fill(&records[i], data + at, <int64_t>lengths[i], keys, <Py_ssize_t>i)
        at += <int64_t>lengths[i]
    if at != size:
        raise InvalidArgumentError("lengths", f"numbers that add up to the buffer's {size} bytes", at)
    return 0


cdef bytes as_stored(object value, object encode):
    if encode is not None:
        value = encode(value)
    if PyBytes_CheckExact(value):
        return <bytes>value
    # Text of numpy has a buffer too, of its own encoding.
    if isinstance(value, str) or not PyObject_CheckBuffer(value):
        expected = "bytes-like (or give a codec)" if encode is None else "bytes-like as the codec gives it"
        raise InvalidTypeError("value", expected, type(value))
    check_buffer(value, "value")
    try:
        return bytes(memoryview(value))
    except (BufferError, ValueError):
        raise InvalidTypeError("value", "a buffer of bytes that is not released", type(value)) from None


def stored_bytes(value, encode=None):
    """As ``as_stored``."""
    return as_stored(value, encode)


cdef object as_index(object value, str argument):
    if isinstance(value, bool):
        raise InvalidTypeError(argument, "an int", type(value))
    try:
        return operator.index(value)
    except TypeError:
        raise InvalidTypeError(argument, "an int", type(value)) from None


cdef int64_t as_int64(object value, str argument) except? -1:
    cdef object number = value if PyLong_CheckExact(value) else as_index(value, argument)
    try:
        return number
    except OverflowError:
        raise InvalidArgumentError(argument, "a number of 64 bits", value) from None


cdef uint64_t as_version(object value) except? 0:
    cdef object number = value if PyLong_CheckExact(value) else as_index(value, "version")
    try:
        return number
    except OverflowError:
        raise InvalidArgumentError("version", "one that was read", value) from None
