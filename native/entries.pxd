# Single entries: what a call costs beyond the table (access.h) is in this class.
#
# Owned by any number of threads: all state that changes is in the table, under its locks.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from striate._native.table cimport StripedTable, striate_key, striate_options, striate_table


cdef class Entries:
    cdef readonly StripedTable striped
    cdef striate_table *table         # of `striped`
    cdef readonly uint32_t space      # number of the namespace
    cdef readonly uint16_t source     # number of whom its changes are from; 0: nobody in particular
    cdef int64_t ttl_ns, idle_ns      # defaults; STRIATE_NEVER: none
    cdef readonly object clock        # callable giving nanoseconds, or None: the monotonic clock
    cdef object encode, decode        # to and from bytes; None: values are bytes
    cdef bint numbers_are_digits      # an encoded int is its decimal digits
    cdef uint32_t compress_from       # values of so many bytes are compressed

    cdef int64_t now(self) except? -1
    # For telling how long is left; now() may be a tick of the kernel behind.
    cdef int64_t precise_now(self) except? -1
    # What `loaded` points to lives as long as `key`.
    cdef int load_key(self, object key, striate_key *loaded) except -1
    cdef object load_value(self, object value, uint8_t *flags)
    cdef object give_value(self, bytes stored, uint8_t flags)
    # Fills deadline and idle; gives the time it is.
    cdef int64_t fill_times(self, object ttl, object idle, striate_options *options) except? -1
    # The value, or NULL for a miss, without an exception.
    cdef object read(self, object key, bint peek, uint64_t *version)
    cdef int write(self, object key, object value, object ttl, object idle, object tags, int mode,
                   uint64_t expected) except? -1
    cdef int remove(self, object key, uint64_t expected) except? -1
    cdef uint32_t load_tags(self, object tags, uint64_t *hashes) except? 0

# Raises what a status below 0 stands for.
cdef object refuse(int status, object size)
