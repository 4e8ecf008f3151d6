# Keys, and values to store, of one bulk call: pointers into Python objects that are kept alive meanwhile.

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from striate._native.table cimport StripedTable, striate_item, striate_options, striate_output


cdef class BulkItems:
    cdef striate_item *items
    cdef uint32_t *order
    cdef uint32_t count, capacity
    cdef PyObject **held              # references that this batch owns
    cdef uint32_t held_count
    cdef object source                # what the pointers lead into, where it is one object
    cdef striate_output output

    # Makes room for `count` items and two objects each.
    cdef int reserve(self, Py_ssize_t count) except -1
    cdef void hold(self, object thing)
    # Put another object in the place of one that is held.
    cdef void exchange(self, uint32_t number, object thing)
    # Keys and values of a mapping or of pairs, in turn.
    cdef int hold_pairs(self, object items) except -1
    # Keys of one size from an array; text as numpy stores it loses the zero bytes behind it.
    cdef int load_array(self, object keys, uint32_t space, uint16_t source) except -1
    # Run one operation without the GIL; a status.
    cdef int get(self, StripedTable striped, int64_t now) except? -1
    cdef int set(self, StripedTable striped, int64_t now, const striate_options *options) except? -1
    cdef int64_t delete(self, StripedTable striped, int64_t now) except? -1
    # A list of bytes objects, `default` for keys that were absent.
    cdef list values(self, object default)
