# One durable table: keys and values over the log. What a call costs beyond partition.pxd is here.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from striate._native.frame cimport frame_view, record_input
from striate._native.keyindex cimport striate_keyindex, striate_spot
from striate._native.partition cimport Partition, View
from striate._native.segment cimport Segment
from striate._native.table cimport striate_key


cdef class TableCore:
    cdef readonly View _view
    cdef readonly Partition _partition
    cdef striate_keyindex *index      # of the view
    cdef object encode, decode        # to and from bytes; None: values are bytes

    # Raises where there is nothing to be read any more.
    cdef int check_open(self) except -1
    # Where the key's record is, for readers or for a transaction.
    cdef int look_up(self, const striate_key *key, bint latest, striate_spot *spot) except -1
    # Its frame when it is there and has not expired, else None.
    cdef Segment find(self, const striate_key *key, bint latest, striate_spot *spot, frame_view *view,
                      uint32_t *ahead)
    cdef object read(self, object key, bint latest, uint64_t *version)
    # The version of the record written, or minus the status of the condition that did not hold. Not yet durable.
    cdef int64_t write(self, object key, object value, uint64_t end, int condition, uint64_t expected) except? -1
    cdef int64_t write_record(self, const striate_key *key, record_input *record, int64_t deadline, int condition,
                              uint64_t expected) except? -1
    cdef object load_value(self, object value)
    cdef int wait(self) except -1


# What `into` points to lives as long as `key`.
cdef int load_key(object key, striate_key *into) except -1
# Milliseconds since the epoch at which a time to live ends that begins now.
cdef uint64_t end_of(object ttl, int64_t now_ns) except? 0
