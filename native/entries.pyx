"""Entries one at a time, for :class:`striate.Cache`: one call, one look-up.

Values are copied in and out: nothing a caller holds is shared with the cache. What may not live here: threads,
listeners, memoizing; bulk calls and numbers (cache.pyx).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Check

from striate._native.inputs cimport as_stored, as_version
from striate._native.platform cimport striate_coarse_ns, striate_monotonic_ns
from striate._native.table cimport (
    STRIATE_ADD,
    STRIATE_BUSY,
    STRIATE_CHANGED,
    STRIATE_COMPARE,
    STRIATE_DONE,
    STRIATE_MAX_KEY_BYTES,
    STRIATE_MAX_TAGS,
    STRIATE_MAX_VALUE_BYTES,
    STRIATE_NEVER,
    STRIATE_NO_MEMORY,
    STRIATE_REPLACE,
    STRIATE_SET,
    striate_delete,
    striate_end,
    striate_found,
    striate_get,
    striate_set,
    striate_table_hash,
    striate_touch,
    striate_try_get,
    striate_try_set,
)

import time
import zlib
from datetime import timedelta

from striate.errors import EntryTooLargeError, InvalidArgumentError, InvalidTypeError, KeyTooLargeError

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    COMPRESSED = 0x10                 # a user flag of the table's entries
    STACK_BYTES = 1024                # larger values are looked up twice
    COMPRESSION_LEVEL = 1

cdef object MISSING = object()
cdef int64_t COARSE_TICK_NS = max(4000000, <int64_t>(1e9 * time.clock_getres(6)))  # of CLOCK_MONOTONIC_COARSE


cdef int64_t as_nanoseconds(object duration, str name) except? -1:
    """Seconds or a timedelta; infinity is never."""
    cdef double seconds
    if isinstance(duration, timedelta):
        duration = duration.total_seconds()
    if isinstance(duration, bool) or not isinstance(duration, (int, float)):
        raise InvalidTypeError(name, "seconds, a timedelta or None", type(duration))
    try:
        seconds = duration
    except OverflowError:
        raise InvalidArgumentError(name, "seconds that a float can express, or None", duration) from None
    if not seconds > 0:
        raise InvalidArgumentError(name, "more than 0 seconds", duration)
    # Beyond 100 years the sum with the clock might overflow.
    return STRIATE_NEVER if seconds > 3.2e9 else <int64_t>(seconds * 1e9)


cdef const char *utf8_of(object key, Py_ssize_t *size) except NULL:
    try:
        return PyUnicode_AsUTF8AndSize(key, size)
    except UnicodeEncodeError:
        raise InvalidArgumentError("key", "text that UTF-8 can express", key) from None


cdef object refuse(int status, object size):
    """Raise what a status below 0 stands for."""
    if status == STRIATE_NO_MEMORY:
        raise MemoryError
    raise EntryTooLargeError(size)


cdef inline int load(Entries self, object key, striate_key *loaded) except -1:
    """As load_key, where it must be quick; hashed."""
    if PyBytes_CheckExact(key) and PyBytes_GET_SIZE(key) <= STRIATE_MAX_KEY_BYTES:
        loaded.bytes, loaded.size = PyBytes_AS_STRING(key), <uint32_t>PyBytes_GET_SIZE(key)
        loaded.space, loaded.source = <uint16_t>self.space, self.source
    else:
        self.load_key(key, loaded)
    loaded.hash = striate_table_hash(self.table, loaded.bytes, loaded.size, self.space)
    return 0


cdef inline int64_t time_of(Entries self) except? -1:
    if not self.table.timed:
        return 0
    return striate_coarse_ns() if self.clock is None else self.clock()


cdef inline int64_t fill(Entries self, int64_t ttl_ns, int64_t idle_ns, striate_options *options) except? -1:
    """The times of an entry that is stored now; gives that time."""
    cdef int64_t now
    options.deadline, options.idle = STRIATE_NEVER, idle_ns
    if ttl_ns == STRIATE_NEVER and idle_ns == STRIATE_NEVER:
        return time_of(self)
    if not self.table.timed:
        self.begin_sweeping()
    # The coarse clock may be a tick of the kernel behind: an entry rather lives that much longer than shorter.
    now = striate_coarse_ns() if self.clock is None else self.clock()
    if ttl_ns != STRIATE_NEVER:
        options.deadline = now + ttl_ns + (COARSE_TICK_NS if self.clock is None else 0)
    return now


cdef inline int store(Entries self, object key, object value, int64_t ttl_ns, int64_t idle_ns,
                      striate_options *options) except? -1:
    """The status of storing one value; mode and tags are set."""
    cdef striate_key loaded
    cdef uint64_t version
    cdef const char *data
    cdef uint32_t size
    cdef int64_t now
    cdef int status
    load(self, key, &loaded)
    if self.encode is None and PyBytes_CheckExact(value) and PyBytes_GET_SIZE(value) < self.compress_from:
        options.flags = 0
    else:
        value = self.load_value(value, &options.flags)
    now = fill(self, ttl_ns, idle_ns, options)
    data, size = PyBytes_AS_STRING(value), <uint32_t>PyBytes_GET_SIZE(value)
    status = striate_try_set(self.table, &loaded, data, size, now, options, &version)
    if status == STRIATE_BUSY:
        with nogil:
            status = striate_set(self.table, &loaded, data, size, now, options, &version)
    if status < 0:
        refuse(status, size)
    return status


cdef int store_plainly(Entries self, object key, object value) except? -1:
    """Without tags and times of its own."""
    cdef striate_options options
    options.mode, options.tag_count = STRIATE_SET, 0
    return store(self, key, value, self.ttl_ns, self.idle_ns, &options)


cdef class Entries:
    """See :class:`striate.Cache`."""

    def __cinit__(self, StripedTable striped, *, uint32_t space=0, ttl=None, idle=None, clock=None, encode=None,
                  decode=None, compress_from=None, bint numbers_are_digits=True):
        self.striped = striped
        self.table = striped.table
        self.space = space
        self.ttl_ns = STRIATE_NEVER if ttl is None else as_nanoseconds(ttl, "ttl")
        self.idle_ns = STRIATE_NEVER if idle is None else as_nanoseconds(idle, "idle")
        self.clock = clock
        self.encode, self.decode = encode, decode
        self.numbers_are_digits = numbers_are_digits
        self.compress_from = STRIATE_MAX_VALUE_BYTES if compress_from is None else compress_from

    cdef int64_t now(self) except? -1:
        return time_of(self)

    cdef int64_t precise_now(self) except? -1:
        return striate_monotonic_ns() if self.clock is None else self.clock()

    cdef int load_key(self, object key, striate_key *loaded) except -1:
        cdef Py_ssize_t size
        if PyBytes_CheckExact(key):
            loaded.bytes = PyBytes_AS_STRING(key)
            size = PyBytes_GET_SIZE(key)
        elif PyUnicode_Check(key):
            loaded.bytes = utf8_of(key, &size)
        else:
            raise InvalidTypeError("key", "bytes or str", type(key))
        if size > STRIATE_MAX_KEY_BYTES:
            raise KeyTooLargeError(size, STRIATE_MAX_KEY_BYTES)
        loaded.size = <uint32_t>size
        loaded.space = <uint16_t>self.space
        loaded.source = self.source
        return 0

    cdef object load_value(self, object value, uint8_t *flags):
        """Bytes to store."""
        flags[0] = 0
        value = as_stored(value, self.encode)
        if <uint64_t>PyBytes_GET_SIZE(value) >= self.compress_from:
            smaller = zlib.compress(value, COMPRESSION_LEVEL)
            if len(smaller) < len(value):
                flags[0] = COMPRESSED
                value = smaller
        if <uint64_t>PyBytes_GET_SIZE(value) > STRIATE_MAX_VALUE_BYTES:
            raise EntryTooLargeError(len(value))
        return value

    cdef object give_value(self, bytes stored, uint8_t flags):
        if flags & COMPRESSED:
            stored = zlib.decompress(stored)
        return stored if self.decode is None else self.decode(stored)

    cdef int64_t fill_times(self, object ttl, object idle, striate_options *options) except? -1:
        return fill(self, self.ttl_ns if ttl is None else as_nanoseconds(ttl, "ttl"),
                    self.idle_ns if idle is None else as_nanoseconds(idle, "idle"), options)

    def begin_sweeping(self):
        """Called when entries are about to get a time to live, until the first has one."""

    def time_ns(self):
        """What the cache's clock says."""
        return self.precise_now()

    def decode_stored(self, bytes stored, uint8_t flags):
        """The value that a walk (scan) found as stored bytes with these flags."""
        return self.give_value(stored, flags)

    # ------------------------------------------------------------ reading

    cdef object read(self, object key, bint peek, uint64_t *version):
        cdef striate_key loaded
        cdef striate_found found
        cdef char buffer[STACK_BYTES]
        cdef int64_t now
        cdef bytes stored
        cdef int status
        load(self, key, &loaded)
        now = time_of(self)
        status = striate_try_get(self.table, &loaded, now, peek, buffer, STACK_BYTES, &found)
        if status == STRIATE_BUSY:
            with nogil:
                status = striate_get(self.table, &loaded, now, peek, buffer, STACK_BYTES, &found)
        if status != STRIATE_DONE:
            return MISSING
        if found.size <= STACK_BYTES:
            stored = PyBytes_FromStringAndSize(buffer, found.size)
        else:
            # Memory for a Python object cannot be had under the lock; so ask for what was there, until that is there.
            stored = PyBytes_FromStringAndSize(NULL, found.size)
            while True:
                status = striate_get(self.table, &loaded, now, True, PyBytes_AS_STRING(stored),
                                     PyBytes_GET_SIZE(stored), &found)
                if status != STRIATE_DONE:
                    return MISSING
                if found.size == PyBytes_GET_SIZE(stored):
                    break
                stored = PyBytes_FromStringAndSize(NULL, found.size)
        version[0] = found.version
        if self.decode is None and not found.flags & COMPRESSED:
            return stored
        return self.give_value(stored, found.flags)

    @cython.binding(False)
    @cython.embedsignature(True)
    @cython.embedsignature.format("clinic")
    def get(self, key, default=None):
        """The value of a key, or ``default``."""
        cdef uint64_t version
        value = self.read(key, False, &version)
        return default if value is MISSING else value

    def __getitem__(self, key):
        cdef uint64_t version
        value = self.read(key, False, &version)
        if value is MISSING:
            raise KeyError(key)
        return value

    def get_versioned(self, key):
        """``(value, version)`` for :meth:`cas`, or ``None``."""
        cdef uint64_t version
        value = self.read(key, False, &version)
        return None if value is MISSING else (value, version)

    def peek(self, key, default=None):
        """As :meth:`get`, without being an access: nothing is counted, no idle time begins anew."""
        cdef uint64_t version
        value = self.read(key, True, &version)
        return default if value is MISSING else value

    def expires_in(self, key):
        """Seconds until a key expires as things stand, infinity if it does not; ``None`` if there is no such key."""
        cdef striate_key loaded
        cdef int64_t now, end
        load(self, key, &loaded)
        now = self.precise_now()
        if striate_end(self.table, &loaded, now, &end) != STRIATE_DONE:
            return None
        return float("inf") if end == STRIATE_NEVER else (end - now) / 1e9

    def __contains__(self, key):
        cdef striate_key loaded
        cdef striate_found found
        cdef int64_t now
        load(self, key, &loaded)
        now = time_of(self)
        return striate_get(self.table, &loaded, now, True, NULL, 0, &found) == STRIATE_DONE

    # ------------------------------------------------------------ writing

    cdef int write(self, object key, object value, object ttl, object idle, object tags, int mode,
                   uint64_t expected) except? -1:
        cdef uint64_t tag_hashes[STRIATE_MAX_TAGS]
        cdef striate_options options
        options.mode, options.expected, options.tags = mode, expected, tag_hashes
        options.tag_count = self.load_tags(tags, tag_hashes)
        return store(self, key, value, self.ttl_ns if ttl is None else as_nanoseconds(ttl, "ttl"),
                     self.idle_ns if idle is None else as_nanoseconds(idle, "idle"), &options)

    @cython.binding(False)
    @cython.embedsignature(True)
    @cython.embedsignature.format("clinic")
    def set(self, key, value, *, ttl=None, idle=None, tags=None):
        """Store a value, whether there is one or not."""
        if ttl is None and idle is None and tags is None:
            store_plainly(self, key, value)
        else:
            self.write(key, value, ttl, idle, tags, STRIATE_SET, 0)

    def __setitem__(self, key, value):
        store_plainly(self, key, value)

    def add(self, key, value, *, ttl=None, idle=None, tags=None):
        """Store a value if there is none; whether it was stored."""
        return self.write(key, value, ttl, idle, tags, STRIATE_ADD, 0) == STRIATE_DONE

    def replace(self, key, value, *, ttl=None, idle=None, tags=None):
        """Store a value if there is one; whether it was stored."""
        return self.write(key, value, ttl, idle, tags, STRIATE_REPLACE, 0) == STRIATE_DONE

    def cas(self, key, value, version, *, ttl=None, idle=None, tags=None):
        """Store a value if the key still has that version; whether it was stored."""
        return self.write(key, value, ttl, idle, tags, STRIATE_COMPARE, as_version(version)) == STRIATE_DONE

    def touch(self, key, *, ttl=None, idle=None):
        """Begin the time of an entry anew; whether there is one. Without arguments it gets the cache's defaults."""
        cdef striate_key loaded
        cdef striate_options options
        cdef int64_t now
        cdef int status
        load(self, key, &loaded)
        now = self.fill_times(ttl, idle, &options)
        status = striate_touch(self.table, &loaded, now, options.deadline, options.idle)
        if status < 0:
            refuse(status, None)
        return status == STRIATE_DONE

    def delete(self, key):
        """Drop a key; whether there was one."""
        return self.remove(key, 0) == STRIATE_DONE

    def __delitem__(self, key):
        if self.remove(key, 0) != STRIATE_DONE:
            raise KeyError(key)

    cdef int remove(self, object key, uint64_t expected) except? -1:
        cdef striate_key loaded
        cdef int64_t now
        load(self, key, &loaded)
        now = time_of(self)
        return striate_delete(self.table, &loaded, now, expected)

    def pop(self, key, *default):
        """Drop a key and give its value; ``default``, if given, or a ``KeyError`` where there is none."""
        cdef uint64_t version
        cdef int status = STRIATE_CHANGED
        if len(default) > 1:
            raise TypeError(f"pop takes one or two arguments, got {1 + len(default)}")
        while status == STRIATE_CHANGED:
            value = self.read(key, False, &version)
            if value is MISSING:
                break
            status = self.remove(key, version)
            if status == STRIATE_DONE:
                return value
        if default:
            return default[0]
        raise KeyError(key)

    cdef uint32_t load_tags(self, object tags, uint64_t *hashes) except? 0:
        cdef striate_key loaded
        cdef uint32_t count = 0
        if tags is None:
            return 0
        if isinstance(tags, (str, bytes)) or not hasattr(tags, "__iter__"):
            raise InvalidTypeError("tags", "an iterable of str or bytes", type(tags))
        for tag in tags:
            if count == STRIATE_MAX_TAGS:
                raise InvalidArgumentError("tags", f"at most {STRIATE_MAX_TAGS} tags", tags)
            load(self, tag, &loaded)
            hashes[count] = loaded.hash
            count += 1
        return count
