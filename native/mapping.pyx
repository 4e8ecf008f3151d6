"""File mappings and read-only windows on them."""

cimport cython

from cpython.buffer cimport PyBuffer_FillInfo

from striate._native.io cimport Disk, raise_disk_error


# A garbage cycle must not take `disk` away before __dealloc__ has used it.
@cython.no_gc_clear
cdef class Mapping:
    """One shared mapping of a file; unmapped when the last reference goes."""

    def __init__(self):
        raise TypeError("mappings are made by the log")

    @staticmethod
    cdef Mapping create(Disk disk, int descriptor, int64_t size_bytes, bint writable, str path):
        cdef Mapping self = Mapping.__new__(Mapping)
        cdef int result = disk.table.map(disk.table.context, descriptor, size_bytes, writable, &self.address)
        if result < 0:
            self.address = NULL
            raise_disk_error(result, path, "map")
        self.disk = disk
        self.size_bytes = size_bytes
        return self

    def __dealloc__(self):
        if self.address != NULL:
            self.disk.table.unmap(self.disk.table.context, self.address, self.size_bytes)
            self.address = NULL


cdef class Window:
    """Read-only bytes of a segment; keeps the segment's file mapped while it lives."""

    def __init__(self):
        raise TypeError("windows are made by the log")

    @staticmethod
    cdef Window create(Mapping mapping, const char *start, Py_ssize_t size_bytes):
        cdef Window self = Window.__new__(Window)
        self.mapping = mapping
        self.start = start
        self.size_bytes = size_bytes
        return self

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, <void *>self.start, self.size_bytes, 1, flags)

    def __len__(self):
        return self.size_bytes
