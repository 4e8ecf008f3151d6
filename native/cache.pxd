# What of the cache is more than single entries.

from libc.stdint cimport int64_t

from striate._native.bulkitems cimport BulkItems
from striate._native.entries cimport Entries


cdef class CacheCore(Entries):
    cdef int add_to(self, object key, int64_t delta, int64_t *total) except? -1
    cdef int write_number(self, object key, int64_t number, object ttl, object idle) except? -1
    cdef BulkItems hold_keys(self, object keys)
    cdef int load_keys(self, BulkItems batch) except -1
    cdef int load_pairs(self, BulkItems batch) except -1
    cdef object add_encoded(self, object key, int64_t delta, object initial, object ttl, object idle)
