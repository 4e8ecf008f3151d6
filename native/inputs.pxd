# What callers hand in: buffers are borrowed, lists become records to be framed. Raises for anything odd; knows no log.

from libc.stdint cimport int64_t, uint64_t

from striate._native.frame cimport record_input

cdef extern from *:
    """
    #define STRIATE_MAX_RECORD_BYTES 0x7FFFFF00LL
    """
    # A frame's sizes are unsigned 32-bit; half of that keeps every sum of them in range.
    const int64_t MAX_RECORD_BYTES "STRIATE_MAX_RECORD_BYTES"


# Bytes of a caller's object, held for the length of a call.
cdef struct borrowed:
    const char *data
    Py_ssize_t size
    Py_buffer view
    bint held


cdef int borrow(object value, str argument, borrowed *into) except -1
cdef void give_back(borrowed *what)
# A private tuple of bytes (or None, for keys): nobody can take an item away while it is copied without the GIL.
cdef tuple as_items(object items, str argument)
cpdef list as_list(object items, str argument, str expected)
cpdef list as_pairs(object items)
cpdef bytes as_utf8(str text, str argument)
# uint64 array, contiguous.
cdef object as_lengths(object lengths)
# Value records of the items, or of the pieces of a buffer; `keys` is a tuple as long, or None. `limit`: the largest
# record, for the error.
cdef int fill_from_items(record_input *records, tuple values, tuple keys, int64_t limit) except -1
cdef int fill_from_buffer(record_input *records, const char *data, int64_t size, const uint64_t *lengths, int64_t count,
                          tuple keys, int64_t limit) except -1
# Bytes to store for a value of a cache, a table or a stream: what `encode` makes of it, where that is not None.
cdef bytes as_stored(object value, object encode)
# An int, or what converts to one without loss; no bool.
cdef object as_index(object value, str argument)
cdef int64_t as_int64(object value, str argument) except? -1
cdef uint64_t as_version(object value) except? 0
