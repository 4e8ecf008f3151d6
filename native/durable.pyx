"""Keys one at a time, for :class:`striate.Table`: a look-up in the index, a frame of the log.

What may not live here: the index and its locks (keyindex.c), commits (partition.pyx), bulk calls and walks
(durablebulk.pyx).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Check
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from striate._native.frame cimport HAS_VIEW, KIND_TOMBSTONE, KIND_VALUE, MAX_KEY_BYTES
from striate._native.inputs cimport MAX_RECORD_BYTES, as_stored, as_version
from striate._native.keyindex cimport (
    STRIATE_MUST_BE_ABSENT,
    STRIATE_MUST_BE_PRESENT,
    STRIATE_MUST_EQUAL,
    STRIATE_MUST_NOTHING,
    striate_edit,
    striate_hold,
    striate_hold_of,
    striate_keyindex_seek,
    striate_keyindex_wants_sweep,
)
from striate._native.mapping cimport Window
from striate._native.partition cimport VIEW_EXTENSION_BYTES, deadline_of, view_extension, work
from striate._native.platform cimport striate_load_u32
from striate._native.single cimport write_one
from striate._native.table cimport STRIATE_NEVER, striate_table_hash

from datetime import timedelta

from striate.errors import InvalidArgumentError, InvalidTypeError, KeyTooLargeError, RecordTooLargeError

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    LOOKS = 100                       # at a key whose record moves away each time

cdef object MISSING = object()
# For a value: remove the key.
cdef object REMOVED = object()


cdef int load_key(object key, striate_key *into) except -1:
    cdef Py_ssize_t size
    if PyBytes_CheckExact(key):
        into.bytes, size = PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)
    elif PyUnicode_Check(key):
        try:
            into.bytes = PyUnicode_AsUTF8AndSize(key, &size)
        except UnicodeEncodeError:
            raise InvalidArgumentError("key", "text that UTF-8 can express", key) from None
    else:
        raise InvalidTypeError("key", "bytes or str", type(key))
    if size > MAX_KEY_BYTES:
        raise KeyTooLargeError(size, MAX_KEY_BYTES)
    into.size, into.space = <uint32_t>size, 0
    return 0


cdef uint64_t end_of(object ttl, int64_t now_ns) except? 0:
    cdef double seconds
    if isinstance(ttl, timedelta):
        ttl = ttl.total_seconds()
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise InvalidTypeError("ttl", "seconds, a timedelta or None", type(ttl))
    try:
        seconds = ttl
    except OverflowError:
        raise InvalidArgumentError("ttl", "more than 0 seconds and at most 100 years, or infinity", ttl) from None
    if seconds == INFINITY:
        return 0
    if not 0 < seconds <= 3.2e9:
        raise InvalidArgumentError("ttl", "more than 0 seconds and at most 100 years, or infinity", ttl)
    return <uint64_t>((now_ns + <int64_t>(seconds * 1e9) + 999_999) // 1_000_000)


cdef class TableCore:
    """The native half of :class:`striate.Table`."""

    def __cinit__(self, View view not None, encode=None, decode=None):
        self._view, self._partition, self.index = view, view.partition, view.index
        self.encode, self.decode = encode, decode

    # ------------------------------------------------------------ reading

    @cython.final
    cdef int check_open(self) except -1:
        self._partition.log.check_open()
        if striate_load_u32(&self.index.dropped):
            self._partition.raise_dropped(self.index.number)
        return 0

    @cython.final
    cdef int look_up(self, const striate_key *key, bint latest, striate_spot *spot) except -1:
        cdef uint64_t *durable = NULL if latest else &self._partition.log.durable_next
        cdef int64_t now = self._partition.now_ns() if latest and self.index.latest.timed else 0
        if not striate_keyindex_seek(self.index, key, durable, now, False, spot):
            with nogil:
                striate_keyindex_seek(self.index, key, durable, now, True, spot)
        return 0

    @cython.final
    cdef Segment find(self, const striate_key *key, bint latest, striate_spot *spot, frame_view *view,
                      uint32_t *ahead):
        cdef Segment segment
        cdef uint32_t number, flags
        cdef int64_t deadline
        cdef uint64_t seen = 0
        cdef int _look
        for _look in range(LOOKS):
            self.look_up(key, latest, spot)
            if spot.version == 0:
                return None
            segment = self._partition.frame_at(spot[0], view)
            if segment is not None:
                break
            if seen == spot.version:
                # The index has it and the log has not.
                self._partition.log.check_offset(spot.version - 1)
                self._partition.log.refuse(None, spot.version - 1, 0)
            seen = spot.version
        ahead[0] = 0
        if view_extension(view, &number, &flags) and flags:
            deadline = deadline_of(view, flags, ahead)
            if deadline != STRIATE_NEVER and deadline <= self._partition.now_ns():
                spot.version = 0
                return None
        return segment

    cdef object read(self, object key, bint latest, uint64_t *version):
        # Bytes as stored, or MISSING.
        cdef striate_key name
        cdef striate_spot spot
        cdef frame_view view
        cdef uint32_t ahead
        load_key(key, &name)
        self.check_open()
        name.hash = striate_table_hash(self.index.latest, name.bytes, name.size, 0)
        if self.find(&name, latest, &spot, &view, &ahead) is None:
            version[0] = 0
            return MISSING
        version[0] = spot.version
        return PyBytes_FromStringAndSize(view.value + ahead, view.value_size - ahead)

    def get(self, key, default=None):
        """The value of a key, or ``default``."""
        cdef uint64_t version
        cdef object value = self.read(key, False, &version)
        if value is MISSING:
            return default
        return value if self.decode is None else self.decode(value)

    def __getitem__(self, key):
        cdef uint64_t version
        cdef object value = self.read(key, False, &version)
        if value is MISSING:
            raise KeyError(key)
        return value if self.decode is None else self.decode(value)

    def __contains__(self, key):
        cdef uint64_t version
        return isinstance(key, (bytes, str)) and self.read(key, False, &version) is not MISSING

    def get_with_version(self, key, default=None):
        """``(value, version)`` of a key, or ``(default, 0)``."""
        cdef uint64_t version
        cdef object value = self.read(key, False, &version)
        if value is MISSING:
            return default, 0
        return (value if self.decode is None else self.decode(value)), version

    def version(self, key):
        """The version of a key, which every write of it raises; 0 when it is absent."""
        cdef uint64_t version
        self.read(key, False, &version)
        return version

    def view(self, key):
        """The stored bytes of a key without a copy.

        Returns:
            A read-only ``memoryview`` over the mapped log. It keeps the segment's disk space in use until it is
            released.

        Raises:
            KeyError: no such key.
        """
        cdef striate_key name
        cdef striate_spot spot
        cdef frame_view view
        cdef uint32_t ahead
        cdef Segment segment
        load_key(key, &name)
        self.check_open()
        name.hash = striate_table_hash(self.index.latest, name.bytes, name.size, 0)
        segment = self.find(&name, False, &spot, &view, &ahead)
        if segment is None:
            raise KeyError(key)
        return memoryview(Window.create(segment.store.mapping, view.value + ahead, view.value_size - ahead))

    def ttl(self, key):
        """Seconds until a key expires; ``None`` when it does not. KeyError: no such key."""
        cdef striate_key name
        cdef striate_spot spot
        cdef frame_view view
        cdef uint32_t ahead, number
        cdef uint32_t flags = 0
        cdef int64_t deadline
        load_key(key, &name)
        self.check_open()
        name.hash = striate_table_hash(self.index.latest, name.bytes, name.size, 0)
        if self.find(&name, False, &spot, &view, &ahead) is None:
            raise KeyError(key)
        view_extension(&view, &number, &flags)
        deadline = deadline_of(&view, flags, &ahead)
        return None if deadline == STRIATE_NEVER else (deadline - self._partition.now_ns()) / 1e9

    def _read_latest(self, key):
        """``(version, stored bytes, end in ms or 0)`` for a transaction, durable or not; ``(0, None, 0)`` when the key
        is absent."""
        cdef striate_key name
        cdef striate_spot spot
        cdef frame_view view
        cdef uint32_t ahead
        cdef uint64_t end = 0
        load_key(key, &name)
        self.check_open()
        name.hash = striate_table_hash(self.index.latest, name.bytes, name.size, 0)
        if self.find(&name, True, &spot, &view, &ahead) is None:
            return 0, None, 0
        if ahead:
            memcpy(&end, view.value, 8)
        return spot.version, PyBytes_FromStringAndSize(view.value + ahead, view.value_size - ahead), end

    def _end_of(self, ttl):
        """Milliseconds since the epoch at which a time to live ends that begins now; 0 for ``None``."""
        return 0 if ttl is None else end_of(ttl, self._partition.now_ns())

    def _encode(self, value):
        """Bytes to store."""
        return self.load_value(value)

    def _decode(self, stored):
        """The value they stand for."""
        return stored if self.decode is None else self.decode(stored)

    # ------------------------------------------------------------ writing

    cdef object load_value(self, object value):
        return as_stored(value, self.encode)

    cdef int wait(self) except -1:
        if self._partition.power:
            self._partition.log.wait_durable()
            if striate_keyindex_wants_sweep(self.index):
                self._partition._sweep()
        return 0

    cdef int64_t write(self, object key, object value, uint64_t end, int condition, uint64_t expected) except? -1:
        cdef striate_key name
        cdef record_input record
        cdef int64_t deadline = STRIATE_NEVER
        load_key(key, &name)
        record.kind, record.flags = KIND_VALUE, HAS_VIEW
        record.extension, record.extension_size = <const char *>self._view.extension, VIEW_EXTENSION_BYTES
        if value is REMOVED:
            record.kind = KIND_TOMBSTONE
            value = b""
        else:
            value = self.load_value(value)
        if end:
            deadline = <int64_t>end * 1_000_000
            value = PyBytes_FromStringAndSize(<const char *>&end, 8) + value
            record.extension = <const char *>self._view.timed_extension
        if PyBytes_GET_SIZE(value) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(len(value), min(self._partition.log.segment_bytes, MAX_RECORD_BYTES))
        record.value, record.value_size = PyBytes_AS_STRING(value), <uint32_t>PyBytes_GET_SIZE(value)
        return self.write_record(&name, &record, deadline, condition, expected)

    cdef int64_t write_record(self, const striate_key *key, record_input *record, int64_t deadline, int condition,
                              uint64_t expected) except? -1:
        cdef striate_edit change
        cdef striate_hold hold
        cdef work job
        cdef int64_t now = 0
        cdef int status
        change.index = self.index
        change.key = key[0]
        change.key.hash = striate_table_hash(self.index.latest, key.bytes, key.size, 0)
        change.condition, change.expected = <uint8_t>condition, expected
        change.deadline, change.record = deadline, 0
        change.removes, change.alone = record.kind == KIND_TOMBSTONE, condition != STRIATE_MUST_NOTHING
        record.key, record.key_size = key.bytes, key.size
        if self.index.latest.timed or deadline != STRIATE_NEVER:
            now = self._partition.now_ns()
        if condition == STRIATE_MUST_NOTHING and write_one(self._partition, &change, record, now):
            return <int64_t>change.after.version
        hold.index, hold.stripes = self.index, striate_hold_of(self.index, change.key.hash)
        memset(&job, 0, sizeof(job))
        job.changes, job.change_count = &change, 1
        job.holds, job.hold_count = &hold, 1
        job.records, job.record_count = record, 1
        job.now = now
        status = self._partition.commit(&job)
        return -status if status else <int64_t>change.after.version

    def set(self, key, value, *, ttl=None):
        """Store a value.

        Args:
            key: bytes or str, at most 65,535 bytes. value: bytes-like, or what the codec takes. ttl: seconds or a
                ``timedelta`` after which the key is gone; ``None``: it stays.

        Returns:
            The key's new version.

        Raises:
            InvalidTypeError, KeyTooLargeError, RecordTooLargeError, LogClosedError, DiskFullError: nothing was changed.
            SyncFailedError: the change may or may not be on disk, and the database takes no more.

        With ``"power"`` durability it is on disk when this returns. Thread-safe.
        """
        cdef uint64_t end = 0 if ttl is None else end_of(ttl, self._partition.now_ns())
        cdef int64_t version = self.write(key, value, end, STRIATE_MUST_NOTHING, 0)
        self.wait()
        return version

    def __setitem__(self, key, value):
        self.write(key, value, 0, STRIATE_MUST_NOTHING, 0)
        self.wait()

    def _write_nowait(self, key, value, uint64_t end=0, int condition=STRIATE_MUST_NOTHING, uint64_t expected=0):
        """Write without waiting for the disk. The version, or minus the status of the condition that did not hold."""
        return self.write(key, value, end, condition, expected)

    def _remove_nowait(self, key, expected=None):
        """Remove without waiting for the disk, ``expected``: if it has that version; whether it was there and so."""
        if expected is None:
            return self.write(key, REMOVED, 0, STRIATE_MUST_BE_PRESENT, 0) > 0
        return self.write(key, REMOVED, 0, STRIATE_MUST_EQUAL, expected) > 0

    def _wait(self):
        """Wait until what was written is on disk, where durability is ``"power"``."""
        self.wait()

    def add(self, key, value, *, ttl=None):
        """Store a value unless the key is there; whether it was stored."""
        return self._if(key, value, ttl, STRIATE_MUST_BE_ABSENT)

    def replace(self, key, value, *, ttl=None):
        """Store a value if the key is there; whether it was stored."""
        return self._if(key, value, ttl, STRIATE_MUST_BE_PRESENT)

    def _if(self, key, value, ttl, int condition):
        cdef int64_t version
        version = self.write(key, value, self._end_of(ttl), condition, 0)
        # Also when nothing was stored: what was found may not be durable yet.
        self.wait()
        return version > 0

    def cas(self, key, value, version, *, ttl=None):
        """Store a value if the key still has this version, 0 for absent (compare and set).

        Returns:
            The new version, or 0 when the key has another one.
        """
        cdef int64_t written
        written = self.write(key, value, self._end_of(ttl), STRIATE_MUST_EQUAL, as_version(version))
        self.wait()
        return max(written, 0)

    def delete(self, key):
        """Remove a key; whether it was there."""
        cdef int64_t version = self.write(key, REMOVED, 0, STRIATE_MUST_BE_PRESENT, 0)
        self.wait()
        return version > 0

    def __delitem__(self, key):
        if not self.delete(key):
            raise KeyError(key)
