# Keys, and values to store, of one bulk call: pointers into Python objects that are kept alive meanwhile.

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from striate._native.table cimport StripedTable, striate_item, striate_options, striate_output


cdef class BulkItems:
    cdef striate_item *items
    cdef uint32_t *order
    cdef uint32_t count, capacity
    cdef uint32_t loaded              # so many items, from the first, have their key and value
    cdef PyObject **objects           # the keys, or keys and values in turn
    cdef PyObject **held              # references that this batch owns
    cdef uint32_t held_count
    cdef object source                # what the pointers lead into, where it is one object
    cdef striate_output output

    # Makes room for `count` items, and where they are pairs for two objects each.
    cdef int reserve(self, Py_ssize_t count, bint pairs) except -1
    cdef void hold(self, object thing) noexcept
    # Put another object in the place of one that is held.
    cdef void exchange(self, uint32_t number, object thing)
    cdef int hold_keys(self, tuple keys) except -1
    # Keys and values of a mapping or of pairs, in turn.
    cdef int hold_pairs(self, object items) except -1
    # Keys of one size from an array; text as numpy stores it loses the zero bytes behind it.
    cdef int load_array(self, object keys, uint32_t space, uint16_t source) except -1
    # Load the bytes and ASCII among the objects and run one operation, without the GIL; a status, or STRIATE_BUSY
    # where objects remain that need the GIL: load them and call again. Values have to be smaller than `value_limit`.
    cdef int get(self, StripedTable striped, uint32_t space, uint16_t source, int64_t now) except? -1
    cdef int set(self, StripedTable striped, uint32_t space, uint16_t source, Py_ssize_t value_limit, int64_t now,
                 const striate_options *options) except? -1
    # All of them must be loaded.
    cdef int64_t delete(self, StripedTable striped, int64_t now) except? -1
    # A list of bytes objects, `default` for keys that were absent.
    cdef list values(self, object default)
