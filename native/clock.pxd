# The clock of records: CLOCK_REALTIME in microseconds, cheap when asked often (clock.h says how).

from libc.stdint cimport int64_t

cdef extern from "clock.h" nogil:
    ctypedef struct striate_clock:
        int has_counter               # set from kernel_trusts_counter(); 0 is always right
    # microseconds since the epoch; one caller at a time
    int64_t striate_clock_us(striate_clock *clock)


cdef bint kernel_trusts_counter()
