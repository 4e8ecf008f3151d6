"""Bulk calls of the cache: collecting keys and values, the work without the GIL, the list of results."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.dict cimport PyDict_CheckExact, PyDict_Next
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport free, malloc

from striate._native.inputs cimport as_pairs
from striate._native.table cimport (
    STRIATE_BUSY,
    STRIATE_DONE,
    STRIATE_MAX_KEY_BYTES,
    striate_delete_many,
    striate_get_many,
    striate_item,
    striate_set_many,
    striate_sort_items,
)

from striate.errors import InvalidArgumentError, InvalidTypeError, KeyTooLargeError


# What may be read without the GIL: of objects that do not change, and to which there is a reference.
cdef extern from "Python.h" nogil:
    bint is_bytes "PyBytes_CheckExact"(PyObject *thing)
    char *bytes_data "PyBytes_AS_STRING"(PyObject *thing)
    Py_ssize_t bytes_size "PyBytes_GET_SIZE"(PyObject *thing)
    bint is_text "PyUnicode_CheckExact"(PyObject *thing)
    bint is_ascii "PyUnicode_IS_COMPACT_ASCII"(PyObject *thing)
    void *ascii_data "PyUnicode_1BYTE_DATA"(PyObject *thing)
    Py_ssize_t text_size "PyUnicode_GET_LENGTH"(PyObject *thing)
    PyObject **tuple_items "&PyTuple_GET_ITEM"(PyObject *tuple, Py_ssize_t number)

# Of the buffer protocol: bytes, numbers. No references, and no text of four bytes a letter.
cdef tuple ARRAY_FORMATS = tuple("sbBhHiIlLqQfd?")


cdef inline bint load_plain_key(PyObject *key, uint32_t space, uint16_t source, striate_item *item) noexcept nogil:
    cdef Py_ssize_t size
    if is_bytes(key):
        item.key.bytes, size = bytes_data(key), bytes_size(key)
    elif is_text(key) and is_ascii(key):
        item.key.bytes, size = <const char *>ascii_data(key), text_size(key)
    else:
        return False
    item.key.size, item.key.space, item.key.source = <uint32_t>size, <uint16_t>space, source
    return size <= STRIATE_MAX_KEY_BYTES


cdef inline bint load_plain_value(PyObject *value, Py_ssize_t limit, striate_item *item) noexcept nogil:
    if not is_bytes(value) or bytes_size(value) >= limit:
        return False
    item.value, item.size, item.flags = bytes_data(value), <uint32_t>bytes_size(value), 0
    return True


cdef class BulkItems:
    """See bulkitems.pxd."""

    def __dealloc__(self):
        cdef uint32_t number
        for number in range(self.held_count):
            Py_DECREF(<object>self.held[number])
        free(self.held)
        free(self.items)
        free(self.order)
        free(self.output.bytes)

    cdef int reserve(self, Py_ssize_t count, bint pairs) except -1:
        if count > 0x7FFFFFFF:
            raise InvalidArgumentError("keys", "fewer than 2**31 keys", count)
        self.items = <striate_item *>malloc(max(count, 1) * sizeof(striate_item))
        self.order = <uint32_t *>malloc(max(count, 1) * sizeof(uint32_t))
        if pairs:
            self.held = <PyObject **>malloc(2 * max(count, 1) * sizeof(PyObject *))
        if self.items == NULL or self.order == NULL or (pairs and self.held == NULL):
            raise MemoryError
        self.capacity = <uint32_t>count
        return 0

    cdef inline void hold(self, object thing) noexcept:
        Py_INCREF(thing)
        self.held[self.held_count] = <PyObject *>thing
        self.held_count += 1

    cdef void exchange(self, uint32_t number, object thing):
        cdef object old = <object>self.held[number]
        Py_INCREF(thing)
        self.held[number] = <PyObject *>thing
        Py_DECREF(old)

    cdef int hold_keys(self, tuple keys) except -1:
        self.source = keys
        self.reserve(len(keys), False)
        self.count = <uint32_t>len(keys)
        self.objects = tuple_items(<PyObject *>keys, 0)
        return 0

    cdef int hold_pairs(self, object items) except -1:
        cdef PyObject *key
        cdef PyObject *value
        cdef Py_ssize_t place = 0
        if PyDict_CheckExact(items):
            self.reserve(len(items), True)
            while PyDict_Next(items, &place, &key, &value):
                self.hold(<object>key)
                self.hold(<object>value)
        else:
            pairs = as_pairs(items)
            self.reserve(len(pairs), True)
            for name, thing in pairs:
                self.hold(name)
                self.hold(thing)
        self.count = self.held_count // 2
        self.objects = self.held
        return 0

    cdef int load_array(self, object keys, uint32_t space, uint16_t source) except -1:
        cdef const char *raw
        cdef Py_ssize_t size, number, length
        cdef bint text
        try:
            view = memoryview(keys)
        except (BufferError, TypeError, ValueError):
            raise InvalidTypeError("keys", "a sequence of bytes or str, or an array", type(keys)) from None
        if view.ndim != 1 or not view.c_contiguous:
            raise InvalidArgumentError("keys", "a contiguous array of one dimension", keys)
        if not view.format.endswith(ARRAY_FORMATS):
            raise InvalidTypeError("keys", "an array of bytes or numbers", type(keys))
        size, text = view.itemsize, view.format.endswith("s")
        if size > STRIATE_MAX_KEY_BYTES:
            raise KeyTooLargeError(size, STRIATE_MAX_KEY_BYTES)
        self.reserve(len(view), False)
        self.source = view.tobytes()  # a copy: nobody can change it while the GIL is not ours
        raw = PyBytes_AS_STRING(self.source)
        for number in range(len(view)):
            length = size
            while text and length and raw[number * size + length - 1] == 0:
                length -= 1
            self.items[number].key.bytes = raw + number * size
            self.items[number].key.size = <uint32_t>length
            self.items[number].key.space = <uint16_t>space
            self.items[number].key.source = source
        self.count = self.loaded = <uint32_t>len(view)
        return 0

    cdef int get(self, StripedTable striped, uint32_t space, uint16_t source, int64_t now) except? -1:
        cdef int status = STRIATE_BUSY
        with nogil:
            while self.loaded < self.count and load_plain_key(self.objects[self.loaded], space, source,
                                                              &self.items[self.loaded]):
                self.loaded += 1
            if self.loaded == self.count:
                striate_sort_items(striped.table, self.items, self.count, self.order)
                status = striate_get_many(striped.table, self.items, self.count, self.order, now, &self.output)
        return status

    cdef int set(self, StripedTable striped, uint32_t space, uint16_t source, Py_ssize_t value_limit, int64_t now,
                 const striate_options *options) except? -1:
        cdef int status = STRIATE_BUSY
        cdef striate_item *item
        with nogil:
            while self.loaded < self.count:
                item = &self.items[self.loaded]
                if not (load_plain_key(self.objects[2 * self.loaded], space, source, item)
                        and load_plain_value(self.objects[2 * self.loaded + 1], value_limit, item)):
                    break
                self.loaded += 1
            if self.loaded == self.count:
                striate_sort_items(striped.table, self.items, self.count, self.order)
                status = striate_set_many(striped.table, self.items, self.count, self.order, now, options)
        return status

    cdef int64_t delete(self, StripedTable striped, int64_t now) except? -1:
        cdef int64_t deleted
        with nogil:
            striate_sort_items(striped.table, self.items, self.count, self.order)
            deleted = striate_delete_many(striped.table, self.items, self.count, self.order, now)
        return deleted

    cdef list values(self, object default):
        cdef list result = PyList_New(self.count)
        cdef striate_item *item
        cdef uint32_t number
        cdef object value
        for number in range(self.count):
            item = &self.items[number]
            if item.status == STRIATE_DONE:
                value = PyBytes_FromStringAndSize(self.output.bytes + item.start, item.size)
            else:
                value = default
            Py_INCREF(value)
            PyList_SET_ITEM(result, number, value)
        return result
