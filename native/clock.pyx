"""The clock of records (declared in clock.pxd)."""

from libc.string cimport memset

cdef object _trusted = None


cdef bint kernel_trusts_counter():
    # Asked once per process: the kernel may come to distrust the counter, but then it says so at boot or soon after,
    # and every half millisecond its own clock is read all the same.
    global _trusted
    if _trusted is None:
        try:
            with open("/sys/devices/system/clocksource/clocksource0/current_clocksource", "rb") as file:
                _trusted = file.read().strip() == b"tsc"
        except OSError:
            _trusted = False
    return _trusted


cdef class Clock:
    """The clock as an object, for tests."""
    cdef striate_clock clock

    def __cinit__(self, bint has_counter=True):
        memset(&self.clock, 0, sizeof(self.clock))
        self.clock.has_counter = has_counter and kernel_trusts_counter()

    def now_us(self):
        """Microseconds since the epoch."""
        return striate_clock_us(&self.clock)
