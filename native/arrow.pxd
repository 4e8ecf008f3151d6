# The structures of the Arrow C data interface, and what this side hangs behind their `private_data`.
#
# Whoever calls release() of an exported structure need not hold the GIL: it is taken where a reference is
# dropped. A structure whose `release` is NULL has been released or moved; releasing it again does nothing.

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t

from striate._native.columnar cimport RecordColumns

cdef enum:
    FIELDS = 4                        # of a record's struct: offset, timestamp, key, value


# The first three are fixed by the interface: names, order and sizes of the fields.

cdef struct ArrowSchema:
    const char *format
    const char *name
    const char *metadata
    int64_t flags
    int64_t n_children
    ArrowSchema **children
    ArrowSchema *dictionary
    void (*release)(ArrowSchema *) noexcept nogil
    void *private_data                # schema_holder of the struct; NULL of a field

cdef struct ArrowArray:
    int64_t length
    int64_t null_count
    int64_t offset
    int64_t n_buffers
    int64_t n_children
    const void **buffers
    ArrowArray **children
    ArrowArray *dictionary
    void (*release)(ArrowArray *) noexcept nogil
    void *private_data                # array_holder

cdef struct ArrowArrayStream:
    int (*get_schema)(ArrowArrayStream *, ArrowSchema *) noexcept nogil
    int (*get_next)(ArrowArrayStream *, ArrowArray *) noexcept nogil
    const char *(*get_last_error)(ArrowArrayStream *) noexcept nogil
    void (*release)(ArrowArrayStream *) noexcept nogil
    void *private_data                # stream_holder

cdef struct schema_holder:
    ArrowSchema fields[FIELDS]
    ArrowSchema *children[FIELDS]

# What one exported array owns. Parent and children have one each, so a consumer may move a child out (copy
# its ArrowArray and zero the original's release) and keep it after the parent is gone.
cdef struct array_holder:
    PyObject *views                   # strong reference to the ArrowViews behind all pointers
    const void *buffers[4]
    int64_t variadic_size             # content of the last buffer of a binary-view array
    ArrowArray fields[FIELDS]         # the parent's children; unused in a child
    ArrowArray *children[FIELDS]

cdef struct stream_holder:
    PyObject *iterator                # strong reference; yields RecordColumns
    char *error                       # text of the last failure, or NULL


cdef class ArrowViews:
    """What an exported array needs and RecordColumns does not have: views and validity. Pins the columns."""
    cdef RecordColumns columns
    cdef char *block                  # value views, key views, validity bitmap of the keys; 64-byte aligned
    cdef const char *value_views
    cdef const char *key_views
    cdef const uint8_t *key_validity  # NULL when every record has a key
    cdef int64_t key_nulls
    cdef const char *value_data       # the one variadic buffer of each column, and its size in bytes
    cdef const char *key_data
    cdef int64_t value_size
    cdef int64_t key_size

    # Make the views, once. BatchTooLargeError or RecordTooLargeError at 2 GiB; AssertionError if a record
    # lies outside the window.
    cdef int build(self, RecordColumns columns) except -1
