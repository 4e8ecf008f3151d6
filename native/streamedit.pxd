# A change of a stream as records, before they are in the log and after.

from libc.stdint cimport uint32_t, uint64_t

from striate._native.frame cimport record_input
from striate._native.stream cimport striate_stream_edit

# The bytes of its records, as the stream is now. 0, or why there is nothing to be written (stream.h).
cdef int make_records(striate_stream_edit *edit, record_input *records) noexcept nogil
# What they say, once they are in the log, where the first record of all has this version; `positions` NULL: nowhere.
cdef int take_in_edit(striate_stream_edit *edit, const record_input *records, uint64_t first_version,
                      const uint32_t *positions) noexcept nogil
