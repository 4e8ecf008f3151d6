# File mappings and read-only windows on them.
#
# A mapping lives as long as anything refers to it, whatever becomes of the file's name: that is how a view pins its
# segment.

from libc.stdint cimport int64_t

from striate._native.io cimport Disk


cdef class Mapping:
    cdef Disk disk
    cdef char *address                # NULL once released
    cdef readonly int64_t size_bytes  # mapped; may reach past the end of the file

    @staticmethod
    cdef Mapping create(Disk disk, int descriptor, int64_t size_bytes, bint writable, str path)


# A read-only buffer over part of a mapping: what memoryview objects and record batches hold.
cdef class Window:
    cdef Mapping mapping
    cdef const char *start
    cdef Py_ssize_t size_bytes

    @staticmethod
    cdef Window create(Mapping mapping, const char *start, Py_ssize_t size_bytes)
