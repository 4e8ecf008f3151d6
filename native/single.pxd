# The quick way of one change without a condition into log and index; partition.pxd has the other.

from libc.stdint cimport int64_t

from striate._native.frame cimport record_input
from striate._native.keyindex cimport striate_edit
from striate._native.partition cimport Partition

# False: something is in the way and nothing happened; Partition.commit knows more. Fills in `change.after`.
cdef bint write_one(Partition partition, striate_edit *change, record_input *record, int64_t now) except -1
