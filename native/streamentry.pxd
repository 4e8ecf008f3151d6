# One entry of a stream as Python sees it, and its id.

from libc.stdint cimport uint32_t, uint64_t

from striate._native.stream cimport striate_id, striate_met


cdef class StreamId:
    cdef striate_id id


cdef class StreamEntry:
    cdef striate_id id_
    cdef uint64_t number              # how many entries were added before it
    cdef uint32_t deliveries_
    cdef bint settled                 # it has an id
    cdef object value_
    cdef object decode                # what makes the value of the stored bytes, when it is asked for; None: nothing
    cdef object broken                # an exception to raise for the value, or None
    cdef object key_


cdef StreamId make_id(striate_id id)
cdef StreamEntry make_entry(const striate_met *found, object key, object value, object decode)
# The id and the ordinal are in the first bytes of its record's key.
cdef void settle_entry(StreamEntry entry, const char *head) noexcept
# From a StreamId, a StreamEntry, text as "5-1" or "5" (then with `seq`), a pair or a number of milliseconds.
cdef int load_id(object given, str argument, uint64_t seq, striate_id *into) except -1
