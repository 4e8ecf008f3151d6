"""The owner of a striped table (native/table.h): its life, its bounds, its figures."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdlib cimport free

from striate._native.platform cimport striate_load_u32

import os

from striate.errors import InvalidArgumentError

cdef extern from "fork.h" nogil:
    int striate_table_guard_forks(striate_table *table)
    void striate_table_leave_forks(striate_table *table)

cdef enum:
    MOST_STRIPES = 32
    # A stripe with fewer entries than that judges badly what to evict.
    ENTRIES_PER_STRIPE = 512
    BYTES_PER_STRIPE = 131072
    EXPIRE_AT_ONCE = 256


def _stripes_for(int64_t max_entries, int64_t max_bytes):
    cdef int64_t wanted = min(max_entries // ENTRIES_PER_STRIPE, max_bytes // BYTES_PER_STRIPE)
    cdef int stripes = 1
    while stripes < MOST_STRIPES and 2 * stripes <= wanted:
        stripes *= 2
    return stripes


cdef class StripedTable:
    """A table; ``None`` for no bound. ``hash_key`` is 16 secret bytes, by default random; give one only to tests."""

    def __cinit__(self, max_entries=None, max_bytes=None, *, stripes=None, bytes hash_key=None, int policy=0):
        cdef int64_t entries = STRIATE_NEVER if max_entries is None else max_entries
        cdef int64_t size = STRIATE_NEVER if max_bytes is None else max_bytes
        cdef uint32_t count = _stripes_for(entries, size) if stripes is None else stripes
        cdef uint64_t words[2]
        if hash_key is None:
            hash_key = os.urandom(16)
        if len(hash_key) != 16:
            raise InvalidArgumentError("hash_key", "16 bytes", hash_key)
        if not 1 <= count <= STRIATE_MAX_STRIPES or count & (count - 1):
            raise InvalidArgumentError("stripes", f"a power of two up to {STRIATE_MAX_STRIPES}", stripes)
        words[0] = int.from_bytes(hash_key[:8], "little")
        words[1] = int.from_bytes(hash_key[8:], "little")
        self.table = striate_table_new(count, words, entries, size)
        if self.table == NULL:
            raise MemoryError
        self.table.policy = policy
        if striate_table_guard_forks(self.table) != 0:
            raise MemoryError

    def __dealloc__(self):
        if self.table != NULL:
            with nogil:
                striate_table_leave_forks(self.table)
                striate_table_free(self.table)

    @property
    def stripes(self):
        """How many locks there are."""
        return self.table.stripe_count

    @property
    def memory_bytes(self):
        """What entries, free cells and index take, as asked of the allocator."""
        cdef int64_t size
        with nogil:
            size = striate_table_memory(self.table)
        return size

    def hash(self, bytes key, uint32_t space=0):
        """The hash of a key: for tests."""
        return striate_table_hash(self.table, key, len(key), space)

    def counts(self, int space=-1):
        """Figures of one namespace, or of all, as a dict."""
        cdef striate_counts total
        with nogil:
            striate_table_counts(self.table, space, &total)
        return total

    def add_space(self):
        """Number of a new namespace."""
        cdef int number = striate_table_add_space(self.table)
        if number == STRIATE_NO_MEMORY:
            raise MemoryError
        if number < 0:
            raise InvalidArgumentError("namespace", "one of at most 255", number)
        return number

    def expire(self, int64_t now):
        """Drop every entry whose time has come; how many."""
        cdef int64_t few, dropped = 0
        cdef uint32_t number
        cdef striate_stripe *stripe
        with nogil:
            for number in range(self.table.stripe_count):
                # Some at a time, so that nobody waits long for the stripe; the last time all that is left.
                few = EXPIRE_AT_ONCE
                while few == EXPIRE_AT_ONCE:
                    stripe = striate_lock(self.table, number)
                    few = striate_stripe_expire(stripe, now, EXPIRE_AT_ONCE)
                    dropped += few
                    if few < EXPIRE_AT_ONCE:
                        dropped += striate_stripe_expire(stripe, now, STRIATE_NEVER)
                    striate_unlock(stripe)
        return dropped

    def clear(self):
        """Drop all entries of all namespaces; how many."""
        cdef int64_t dropped
        with nogil:
            striate_table_clear(self.table, &dropped)
        return dropped

    # ------------------------------------------------------------ changes

    def report(self, int64_t limit):
        """Keep changes for :meth:`take_changes`, at most so many at a time; 0: no longer."""
        striate_table_report(self.table, limit)

    def take_changes(self):
        """``(changes, how many more were lost)``.

        A change is ``(sequence, kind, space, key, old, old flags, new, new flags, source)``.
        """
        cdef int64_t lost
        cdef striate_change *change = striate_table_take_changes(self.table, &lost)
        cdef striate_change *next_change
        cdef list found = []
        cdef char *place
        while change != NULL:
            place = change.bytes
            key = place[:change.key_size]
            place += change.key_size
            old = place[:change.old_size]
            new = place[change.old_size:change.old_size + change.new_size]
            found.append((change.sequence, change.kind, change.space, key, old, change.old_flags, new,
                          change.new_flags, change.source))
            next_change = change.next
            free(change)
            change = next_change
        return found, lost

    @property
    def change_word(self):
        """Moves with each change that is reported."""
        return striate_load_u32(&self.table.change_word)

    def wake_listeners(self):
        """End :meth:`wait_change` wherever it waits."""
        striate_table_wake_listeners(self.table)

    def wait_change(self, uint32_t seen, int64_t timeout_ns):
        """Sleep until :attr:`change_word` is not ``seen``, or until the time is over (below 0: never)."""
        cdef int status
        with nogil:
            status = striate_table_wait_change(self.table, seen, timeout_ns)
        PyErr_CheckSignals()
        return status == 0
