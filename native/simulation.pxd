# A disk that records and fails: the io_table of the crash tests and the fault tests.
#
# One thread at a time may use it (its functions take the GIL and keep plain Python lists); `background` is
# False, so the core runs no threads over it.

from libc.stdint cimport int64_t

from striate._native.io cimport Disk, io_table


cdef class ThreadlessDisk(Disk):
    pass


cdef class SimulatedDisk(Disk):
    cdef io_table real                # what the calls are forwarded to
    cdef readonly list operations     # every mutating operation and note, in order, as tuples
    cdef readonly dict calls          # operation -> how often it was called
    cdef readonly int misuses         # calls on descriptors that are not open
    cdef readonly int faults_hit      # how many calls have failed on purpose
    cdef public bint recording        # False: forward and inject, but keep no operations
    cdef public object volatile_names  # names of files that are shared memory: states are recorded instead
    cdef public object before_fill    # called with what is about to be filled with zeros, or None
    cdef public list mapped_ahead      # gets the pages that are to be mapped ahead, or None
    cdef int64_t next_file            # number of the next opened file; never used twice
    cdef dict descriptors             # descriptor -> (file, path)
    cdef dict mappings                # address -> (size, file, path)
    cdef dict volatile_states         # address -> bytes seen last
    cdef list faults                  # [operation, calls to let pass, errno, forever, path_contains, partial]
    cdef size_t recent_start          # the mapping stored into last: a cache of `mappings`
    cdef size_t recent_end
    cdef int64_t recent_file

    # errno when this call has to fail, else 0; counts the call. partial[0]: half of the bytes go through
    # first.
    cdef int fault(self, str operation, str path, bint *partial) except -1
    cdef int add(self, tuple operation) except -1
    cdef str path_of(self, int descriptor)
    cdef int64_t file_of(self, int descriptor) except -1
    cdef int64_t find_mapping(self, size_t address) except -1
    cdef int see_volatile(self) except -1
