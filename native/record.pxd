# One record as Python sees it.

from libc.stdint cimport uint8_t, uint64_t

from striate._native.frame cimport frame_view


cdef class Record:
    cdef uint64_t _offset
    cdef uint64_t _timestamp_us
    cdef object _key                  # bytes, or None
    cdef object _value                # bytes
    cdef uint8_t _kind


# A Record with copies of the frame's key and value.
cdef Record record_of(uint64_t base_offset, const frame_view *view)
