# One consumer group of a stream.

from libc.stdint cimport int64_t, uint32_t

from striate._native.frame cimport record_input
from striate._native.stream cimport striate_group, striate_stream_edit
from striate._native.streams cimport StreamCore


cdef class GroupCore:
    cdef readonly StreamCore _core
    cdef bytes name

    # The group, with the stream's lock held, which the caller gives back; raises without it when there is none.
    cdef striate_group *lock_group(self) except NULL
    cdef int begin(self, striate_stream_edit *edit, int kind, bytes consumer) except -1
    # An operation on the group: its record, the commit. Status 0 or STRIATE_ABSENT, _PRESENT, _CHANGED.
    cdef int run(self, striate_stream_edit *edit, int64_t capacity) except -1
    # One that may drop entries too: two records.
    cdef int run_claim(self, striate_stream_edit *edit, int64_t most) except -1
    # The entries that one which claims has found.
    cdef list claimed(self, striate_stream_edit *edit, int64_t most)
    cdef void set_name(self, record_input *record) noexcept
    cdef int commit(self, striate_stream_edit *edit, record_input *records) except -1
