"""The log: appends, group commit, and the threads that sync and preallocate.

A record's way: :meth:`LogCore.append` borrows its bytes, takes the write lock, stores frame and index entry into mapped
blocks and, at ``process`` durability, publishes the new end. At ``power`` durability it then waits for a sync that
began after the store; whoever finds no sync running makes one for all that wait (group commit), and only that publishes
the end.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from posix.unistd cimport write as c_write

from striate._native.frame cimport (
    CONTINUES,
    FOOTER_BYTES,
    FORMAT_VERSION,
    KIND_TOMBSTONE,
    KIND_VALUE,
    MAGIC_CHECKPOINT,
    MAX_KEY_BYTES,
    STATUS_CLOSED,
    STATUS_FROZEN,
    STATUS_FULL,
    STATUS_GROW,
    STORE_HEADER_BYTES,
    SYNC_EXTENSION_BYTES,
    align_up,
    checkpoint,
    frame_bytes,
    header_checksum,
)
from striate._native.io cimport fork_count, raise_disk_error
from striate._native.live cimport FAILED_WRITER
from striate._native.reader cimport LOG_CLOSED, LOG_DAMAGED, LOG_FAILED, LOG_FROZEN, LOG_OPEN, as_offset
from striate._native.segment cimport append_record

import os

from striate.errors import (
    BatchTooLargeError,
    ForkedError,
    InvalidArgumentError,
    InvalidTypeError,
    KeyTooLargeError,
    LogClosedError,
    ReadOnlyError,
    RecordTooLargeError,
    SyncFailedError,
)

cdef extern from "platform.h" nogil:
    int64_t striate_now_us()
    int64_t striate_monotonic_ns()
    int64_t striate_load_i64(const int64_t *address)
    void striate_store_i64(int64_t *address, int64_t value)
    uint64_t striate_load_u64(const uint64_t *word)
    void striate_store_u64(uint64_t *word, uint64_t value)
    void striate_store_u64_release(uint64_t *word, uint64_t value)
    uint32_t striate_load_u32(const uint32_t *word)
    void striate_store_u32(uint32_t *word, uint32_t value)
    uint32_t striate_exchange_u32(uint32_t *word, uint32_t value)
    uint32_t striate_fetch_or_u32(uint32_t *word, uint32_t value)
    int striate_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns)
    int striate_futex_wake_all(uint32_t *word)
    void striate_fence()

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_trylock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *condition, void *attributes)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_broadcast(pthread_cond_t *condition)
    int pthread_cond_destroy(pthread_cond_t *condition)
    int pthread_create(pthread_t *thread, void *attributes, void *(*main)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)

cdef enum:
    SYNC_WANTED = 1
    SYNC_DIRTY = 2
    RELEASE_BYTES = 65536             # batches of this size are copied without the GIL
    AHEAD_FIRST_BYTES = 65536
    AHEAD_LAST_BYTES = 2097152
    POPULATE_STEP_BYTES = 131072
    FILL_STEP_BYTES = 1048576         # zeros per sync of the preparer: bounds how long a group commit waits behind it
    PAGE_BYTES = 4096
    MAX_SEGMENT_BYTES_UNITS = 0xFFFFFFF0
    CHECKPOINT_SLOT_BYTES = 4096

cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF
# 32 GiB less a little: positions are u32 in units of 8 bytes.
cdef int64_t MAX_SEGMENT_BYTES = <int64_t>MAX_SEGMENT_BYTES_UNITS * 8
# A frame's sizes are unsigned 32-bit; half of that keeps every sum of them in range.
cdef int64_t MAX_RECORD_BYTES = 0x7FFFFF00


# Bytes of a caller's object, held for the length of a call.
cdef struct borrowed:
    const char *data
    Py_ssize_t size
    Py_buffer view
    bint held


cdef int check_buffer(object value, str argument) except -1:
    # Text of numpy and arrays of objects have buffers as well: of its own encoding, and of addresses.
    if isinstance(value, str) or not PyObject_CheckBuffer(value):
        raise InvalidTypeError(argument, "bytes or another contiguous buffer", type(value))
    if isinstance(value, (bytes, bytearray)):
        return 0
    try:
        owner = value.obj if isinstance(value, memoryview) else value
    except ValueError:
        return 0  # released: asking for the buffer says so
    if getattr(getattr(owner, "dtype", None), "hasobject", False):
        raise InvalidTypeError(argument, "a buffer of bytes, not of objects", type(value))
    return 0


cdef int borrow(object value, str argument, borrowed *into) except -1:
    into.held = False
    if PyBytes_CheckExact(value):
        into.data, into.size = PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
        return 0
    check_buffer(value, argument)
    try:
        PyObject_GetBuffer(value, &into.view, PyBUF_SIMPLE)
    except (BufferError, ValueError):
        raise InvalidTypeError(argument, "a contiguous buffer that is not released", type(value)) from None
    into.data, into.size, into.held = <const char *>into.view.buf, into.view.len, True
    return 0


cdef inline void give_back(borrowed *what):
    if what.held:
        PyBuffer_Release(&what.view)


cdef void *_sync_main(void *core) noexcept nogil:
    (<LogCore>core).sync_loop()
    return NULL


cdef void *_prepare_main(void *core) noexcept nogil:
    (<LogCore>core).prepare_loop()
    return NULL


cdef class LogCore(LogReader):
    """The native half of :class:`striate.Log`; set up by it and never used alone."""

    def __cinit__(self, *args, **kwargs):
        pthread_mutex_init(&self.write_lock, NULL)
        pthread_mutex_init(&self.sync_lock, NULL)
        pthread_mutex_init(&self.grow_lock, NULL)
        pthread_mutex_init(&self.prepare_lock, NULL)
        pthread_cond_init(&self.sync_done, NULL)
        self.checkpoint_descriptor = self.notify_descriptor = -1
        self.prepare_at = NEVER
        self.forks = fork_count()
        self._state = LOG_CLOSED
        self.segments = ()
        self._lost = []

    def __dealloc__(self):
        if self.forks == fork_count():
            # In a forked child there are no threads, and the locks may be held by nobody. No Python method is called:
            # at the interpreter's end the class may have lost them.
            self.stop_threads()
            pthread_mutex_destroy(&self.write_lock)
            pthread_mutex_destroy(&self.sync_lock)
            pthread_mutex_destroy(&self.grow_lock)
            pthread_mutex_destroy(&self.prepare_lock)
            pthread_cond_destroy(&self.sync_done)

    # ------------------------------------------------------------ set-up, called by storage/log.py

    def _configure(self, str path, disk, bint read_only, bint power, int64_t segment_bytes, uint32_t record_size,
                   clock, int64_t sync_interval_ms):
        """Take the constant options."""
        self.path, self._disk, self._read_only, self._power = path, disk, read_only, power
        self.segment_bytes, self._record_size, self.clock = segment_bytes, record_size, clock
        self.sync_interval_ns = sync_interval_ms * 1_000_000

    def _set_record_size(self, uint32_t record_size):
        """Take the record size the log was created with."""
        self._record_size = record_size

    def _begin(self, tuple segments, uint64_t lowest, uint64_t next_offset, uint64_t generation, live, bint damaged,
               int checkpoint_descriptor=-1, uint64_t checkpoint_sequence=0):
        """Open for use with what recovery found: no segment active yet, everything durable."""
        cdef Segment segment
        self.lowest, self.still, self.written_next, self.durable_next = lowest, next_offset, next_offset, next_offset
        self.checkpointed_next = next_offset
        for segment in segments:
            self.last_timestamp_us = max(self.last_timestamp_us, segment.last_timestamp_us)
        self.checkpoint_descriptor, self.checkpoint_sequence = checkpoint_descriptor, checkpoint_sequence
        self._live = live
        self._install(segments, None, lowest, next_offset, generation)
        self._state = LOG_DAMAGED if damaged else LOG_OPEN
        if not self._read_only and self._disk.background:
            self._start_threads()

    def _prepare_first(self, Segment segment):
        """Prepare the blocks a new segment begins with, before anything is appended to it. The header's page is behind
        us."""
        if segment.store.allocated <= PAGE_BYTES:
            return
        cdef int status
        with nogil:
            status = self._disk.table.prepare(self._disk.table.context, segment.store.descriptor, segment.store.memory,
                                              PAGE_BYTES, segment.store.allocated - PAGE_BYTES, self._power)
        if status < 0:
            raise_disk_error(status, segment.store.path, "sync")

    def _install(self, tuple segments, Segment active, uint64_t lowest, uint64_t next_offset, uint64_t generation):
        """Swap in another list of segments. Under the admin lock; of a writer also with leadership and frozen."""
        self._prepare_for(active)
        self.lock_writes()
        self.segments, self.active, self.lowest, self.generation = segments, active, lowest, generation
        striate_store_u64(&self.written_next, next_offset)
        self.still = next_offset
        striate_store_i64(&self.prepare_at, 0 if active is not None and self._disk.background else NEVER)
        pthread_mutex_unlock(&self.write_lock)

    def _prepare_for(self, Segment active):
        """Point the preparing thread at a segment, or at none: before one is sealed, lest it allocate behind the
        footer."""
        with nogil:
            pthread_mutex_lock(&self.prepare_lock)
            pthread_mutex_lock(&self.grow_lock)
        self.prepare_target = <void *>active if active is not None else NULL
        self.prepared = 0
        pthread_mutex_unlock(&self.grow_lock)
        pthread_mutex_unlock(&self.prepare_lock)

    def _hold_growth(self, bint hold):
        """Keep the preparing thread from taking blocks, or let it: what is left is for those who first ask storage/."""
        with nogil:
            pthread_mutex_lock(&self.grow_lock)
        self.growth_held = hold
        pthread_mutex_unlock(&self.grow_lock)

    cdef int lock_writes(self) except -1:
        if pthread_mutex_trylock(&self.write_lock) != 0:
            with nogil:
                pthread_mutex_lock(&self.write_lock)
        return 0

    def _set_state(self, int state):
        """Freeze, thaw or close."""
        self.lock_writes()
        self._state = state
        pthread_mutex_unlock(&self.write_lock)
        if state == LOG_CLOSED and self._live is not None:
            self._live.wake()

    def _lead(self):
        """Become the one who syncs; pair with :meth:`_resign`."""
        with nogil:
            self.lead()

    def _resign(self):
        """Let others sync again, and those who wait look again."""
        with nogil:
            self.resign()

    def _settle(self, uint64_t next_offset, bint shrink=False):
        """Everything below ``next_offset`` is durable now and, in this log's way, visible. With leadership."""
        striate_store_u64(&self.durable_next, next_offset)
        striate_store_u64(&self.durable_appends, self.appends)
        if shrink:
            striate_store_u64(&self.written_next, next_offset)
        self.still = next_offset
        if self._live is not None:
            self._live.publish(next_offset)

    def _retire(self, Segment segment):
        """Leave a rolled segment to the sync thread for sealing. Frozen, under the admin lock; False when the queue is
        full."""
        cdef bint room
        self.lock_writes()
        room = self.retiring_count < RETIRING_MAX
        if room:
            self.retiring[self.retiring_count] = <void *>segment
            self.retiring_count += 1
            # From here on the sync thread may seal it, so it is not active for anyone.
            self.active = None
        pthread_mutex_unlock(&self.write_lock)
        return room

    def _drain(self):
        """Seal what was retired and sync the active segment. With leadership.

        Raises:
            SyncFailedError: and the log has failed.
        """
        cdef int status
        with nogil:
            status = self.sync_once()
        if status < 0:
            raise_disk_error(status, self.path, "sync")

    def _write_checkpoint(self):
        """Note durably how far the log is durable. With leadership."""
        cdef int status
        with nogil:
            status = self.write_checkpoint()
        if status < 0:
            raise_disk_error(status, os.path.join(self.path, "checkpoint"), "sync")

    @property
    def _active(self):
        return self.active

    @property
    def _segments(self):
        return self.segments

    @property
    def _generation(self):
        return self.generation

    @property
    def _lowest(self):
        return self.lowest

    @property
    def _written_next(self):
        return striate_load_u64(&self.written_next)

    @property
    def _clock(self):
        return self.clock

    @property
    def _failed(self):
        return self.failure

    @property
    def _appends(self):
        """Records appended by this object."""
        return striate_load_u64(&self.appends)

    @property
    def _durable_appends(self):
        """How many of them, counted from the first, are durable."""
        return striate_load_u64(&self.durable_appends)

    @property
    def _last_timestamp_us(self):
        return self.last_timestamp_us

    def _fail(self, int number):
        """A sync outside :meth:`sync_once` failed: refuse writes from here on."""
        self.fail(-number)

    @property
    def _counters(self):
        """``(appends, syncs)`` since opening."""
        return self.appends, self.syncs

    @property
    def durable_offset(self):
        """Every record below it is on disk."""
        self.check_open()
        return striate_load_u64(&self.durable_next) if not self._read_only else self.visible()

    # ------------------------------------------------------------ appending

    def append(self, value, key=None):
        """Append one record.

        Args:
            value: its bytes; any contiguous buffer. key: bytes, or ``None`` for a record without one.

        Returns:
            The record's offset.

        Raises:
            InvalidTypeError, RecordTooLargeError, KeyTooLargeError, LogClosedError, ReadOnlyError, ForkedError: nothing
            was appended. DiskFullError: nothing was appended; the log goes on when there is space. SyncFailedError: the
            record may or may not be on disk, and the log takes no more. DamagedLogError: opening found damage.

        Durability: with ``"power"`` the record is on disk when this returns, and only then do readers see it; with
        ``"process"`` it is in the page cache and visible: it survives the process, not the machine. Thread-safe.
        """
        cdef int64_t offset = -1
        if key is None and PyBytes_CheckExact(value):
            offset = self.append_bytes(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        if offset < 0:
            offset = self.write_one(value, key, KIND_VALUE)
        if self._power:
            self.wait_durable()
        return offset

    cdef int64_t append_bytes(self, const char *data, Py_ssize_t size) noexcept:
        # The plain case without detours: a value, no key, room in the segment, nobody at the lock. -1: take the long
        # road, which also knows how to complain.
        cdef record_input record
        cdef int64_t offset = -1
        if self.clock is not None or self._record_size or self.forks != fork_count() \
                or frame_bytes(SYNC_EXTENSION_BYTES + size) > self.segment_bytes - STORE_HEADER_BYTES:
            return -1
        if pthread_mutex_trylock(&self.write_lock) != 0:
            return -1
        record.key = record.extension = NULL
        record.key_size = record.extension_size = 0
        record.value, record.value_size = data, <uint32_t>size
        record.kind, record.flags = KIND_VALUE, 0
        record.timestamp_us = <uint64_t>striate_now_us()
        if self.append_locked(&record, 1, 0) == 0:
            offset = <int64_t>record.timestamp_us
        pthread_mutex_unlock(&self.write_lock)
        return offset

    def append_tombstone(self, key):
        """Append a record that deletes its key: compaction drops the key's earlier records, and later this one.

        Returns, raises and durability: as :meth:`append`.
        """
        cdef int64_t offset
        if key is None:
            raise InvalidTypeError("key", "bytes", type(None))
        offset = self.write_one(b"", key, KIND_TOMBSTONE)
        if self._power:
            self.wait_durable()
        return offset

    def append_many(self, values, keys=None, *, lengths=None):
        """Append records as one batch: readers and recovery see all of them or none.

        Args:
            values: a sequence of bytes-like values; or, with ``lengths``, one buffer that holds them back to back.
            keys: a sequence as long, of bytes-like or ``None`` items; ``None`` for no keys at all.
            lengths: one-dimensional integer array, the value sizes in bytes; they must add up to the buffer's size.

        Returns:
            The range of offsets. All records get the same timestamp.

        Raises:
            As :meth:`append`; also BatchTooLargeError above 32 GiB. A batch that exceeds ``segment_bytes`` gets a
            segment of its own size.
        """
        cdef int64_t count = 0
        cdef int64_t first = self.write_many(values, keys, lengths, &count)
        if self._power and count:
            self.wait_durable()
        return range(first, first + count)

    def _append_nowait(self, value, key=None, int kind=KIND_VALUE):
        """:meth:`append` without waiting for the disk; for :class:`striate.AsyncLog`."""
        return self.write_one(value, key, kind)

    def _append_many_nowait(self, values, keys=None, lengths=None):
        """:meth:`append_many` without waiting for the disk."""
        cdef int64_t count = 0
        cdef int64_t first = self.write_many(values, keys, lengths, &count)
        return range(first, first + count)

    cdef int64_t write_one(self, object value, object key, int kind) except -1:
        cdef record_input record
        cdef borrowed value_bytes
        cdef borrowed key_bytes
        record.extension, record.extension_size = NULL, 0
        record.kind, record.flags = <unsigned char>kind, 0
        record.key, record.key_size = NULL, 0
        if key is None and PyBytes_CheckExact(value):
            record.value, record.value_size = PyBytes_AS_STRING(value), <uint32_t>PyBytes_GET_SIZE(value)
            if PyBytes_GET_SIZE(value) > MAX_RECORD_BYTES:
                raise RecordTooLargeError(len(value), min(self.segment_bytes, MAX_RECORD_BYTES))
            return self.write(&record, 1, False)
        borrow(value, "value", &value_bytes)
        key_bytes.held = False
        try:
            if key is not None:
                borrow(key, "key", &key_bytes)
                if key_bytes.size > MAX_KEY_BYTES:
                    raise KeyTooLargeError(key_bytes.size, MAX_KEY_BYTES)
                record.key, record.key_size = key_bytes.data, <uint32_t>key_bytes.size
                if record.key == NULL:
                    record.key = b""
            if value_bytes.size > MAX_RECORD_BYTES:
                raise RecordTooLargeError(value_bytes.size, min(self.segment_bytes, MAX_RECORD_BYTES))
            record.value, record.value_size = value_bytes.data, <uint32_t>value_bytes.size
            return self.write(&record, 1, False)
        finally:
            give_back(&value_bytes)
            give_back(&key_bytes)

    cdef int64_t write_many(self, object values, object keys, object lengths, int64_t *count) except -1:
        cdef record_input *records
        cdef borrowed buffer
        cdef borrowed sizes
        cdef int64_t total
        if keys is not None:
            keys = _as_list(keys, "keys")
        if lengths is None:
            values = _as_list(values, "values")
            count[0] = len(values)
        else:
            lengths = _as_lengths(lengths)
            count[0] = len(lengths)
        if keys is not None and len(keys) != count[0]:
            raise InvalidArgumentError("keys", f"as many as values ({count[0]})", len(keys))
        if count[0] == 0:
            self._raise_unless_open()
            return <int64_t>striate_load_u64(&self.written_next)
        records = <record_input *>malloc(sizeof(record_input) * <size_t>count[0])
        if records == NULL:
            raise MemoryError
        try:
            memset(records, 0, sizeof(record_input) * <size_t>count[0])
            if lengths is None:
                total = self.fill_inputs(records, values, keys)
                return self.write(records, count[0], total >= RELEASE_BYTES)
            borrow(values, "values", &buffer)
            try:
                borrow(lengths, "lengths", &sizes)
                try:
                    total = self.fill_from_buffer(records, buffer.data, buffer.size, keys,
                                                  <const uint64_t *>sizes.data, count[0])
                    return self.write(records, count[0], total >= RELEASE_BYTES)
                finally:
                    give_back(&sizes)
            finally:
                give_back(&buffer)
        finally:
            free(records)

    cdef int64_t fill_inputs(self, record_input *records, object values, object keys) except -1:
        # `values` and `keys` are private tuples of bytes: their items live until the call ends.
        cdef int64_t i
        cdef int64_t total = 0
        cdef tuple items = <tuple>values
        cdef tuple names = <tuple>keys if keys is not None else None
        cdef object item
        for i in range(len(items)):
            item = items[i]
            if PyBytes_GET_SIZE(item) > MAX_RECORD_BYTES:
                raise RecordTooLargeError(len(item), min(self.segment_bytes, MAX_RECORD_BYTES))
            records[i].value, records[i].value_size = PyBytes_AS_STRING(item), <uint32_t>PyBytes_GET_SIZE(item)
            if names is not None and names[i] is not None:
                item = names[i]
                if PyBytes_GET_SIZE(item) > MAX_KEY_BYTES:
                    raise KeyTooLargeError(len(item), MAX_KEY_BYTES)
                records[i].key, records[i].key_size = PyBytes_AS_STRING(item), <uint32_t>PyBytes_GET_SIZE(item)
            total += records[i].value_size
        return total

    cdef int64_t fill_from_buffer(self, record_input *records, const char *data, int64_t size, object keys,
                                  const uint64_t *lengths, int64_t count) except -1:
        cdef int64_t i
        cdef int64_t at = 0
        cdef tuple names = <tuple>keys if keys is not None else None
        cdef object name
        for i in range(count):
            if lengths[i] > <uint64_t>MAX_RECORD_BYTES or <int64_t>lengths[i] > size - at:
                if lengths[i] <= <uint64_t>(size - at):
                    raise RecordTooLargeError(lengths[i], min(self.segment_bytes, MAX_RECORD_BYTES))
                raise InvalidArgumentError("lengths", f"numbers that add up to the buffer's {size} bytes", lengths[i])
            records[i].value, records[i].value_size = data + at, <uint32_t>lengths[i]
            at += <int64_t>lengths[i]
            if names is not None and names[i] is not None:
                name = names[i]
                if PyBytes_GET_SIZE(name) > MAX_KEY_BYTES:
                    raise KeyTooLargeError(len(name), MAX_KEY_BYTES)
                records[i].key, records[i].key_size = PyBytes_AS_STRING(name), <uint32_t>PyBytes_GET_SIZE(name)
        if at != size:
            raise InvalidArgumentError("lengths", f"numbers that add up to the buffer's {size} bytes", at)
        return size

    cdef int64_t check_size(self, record_input *record) except -1:
        # Frame size with room for a sync mark; raises when the record can never fit this log.
        cdef int64_t size = frame_bytes(SYNC_EXTENSION_BYTES + <int64_t>record.extension_size + record.key_size
                                        + record.value_size)
        if size > self.segment_bytes - STORE_HEADER_BYTES:
            raise RecordTooLargeError(record.key_size + record.value_size,
                                      self.segment_bytes - STORE_HEADER_BYTES - 32)
        if self._record_size:
            if record.key != NULL:
                raise InvalidArgumentError("key", "None in a log of fixed-length records",
                                           record.key[:record.key_size])
            if record.value_size != self._record_size:
                raise RecordTooLargeError(record.value_size, self._record_size,
                                          hint=f"every record of this log has {self._record_size} bytes")
        return size

    cdef int64_t write(self, record_input *records, int64_t count, bint release) except -1:
        # Write a batch under the lock; gives its first offset. `release`: let other threads run meanwhile.
        cdef int64_t size = 0
        cdef int64_t i
        cdef uint64_t now
        cdef int status
        if self.forks != fork_count():
            raise ForkedError(self.path)
        for i in range(count):
            size += self.check_size(&records[i])
            records[i].kind = records[i].kind if records[i].kind else <unsigned char>KIND_VALUE
            if i + 1 < count:
                records[i].flags |= CONTINUES
        if size > MAX_SEGMENT_BYTES - STORE_HEADER_BYTES:
            raise BatchTooLargeError(size, MAX_SEGMENT_BYTES - STORE_HEADER_BYTES)
        while True:
            now = <uint64_t>striate_now_us() if self.clock is None else as_offset(self.clock(), "the clock's time")
            records[0].timestamp_us = now
            if release or pthread_mutex_trylock(&self.write_lock) != 0:
                with nogil:
                    pthread_mutex_lock(&self.write_lock)
                    status = self.append_locked(records, count, size)
                    pthread_mutex_unlock(&self.write_lock)
            else:
                status = self.append_locked(records, count, size)
                pthread_mutex_unlock(&self.write_lock)
            if status == 0:
                # The first offset, left by append_locked where only this call looks.
                return <int64_t>records[0].timestamp_us
            self.make_room(status, size, count)

    cdef int append_locked(self, record_input *records, int64_t count, int64_t size_bytes) noexcept nogil:
        # All of the batch or nothing: room is made sure of before the first byte. Leaves the first offset in the first
        # record's timestamp field.
        cdef uint64_t now
        cdef uint64_t first = self.written_next
        cdef int64_t i
        cdef int status
        if self._state != LOG_OPEN:
            return STATUS_FROZEN if self._state == LOG_FROZEN else STATUS_CLOSED
        if self.active is None:
            return STATUS_FULL
        if count > 1:
            # One at a time is checked where it is stored.
            if self.active.store.written + size_bytes > self.active.store.capacity:
                return STATUS_FULL
            if self.active.store.written + size_bytes + FOOTER_BYTES > striate_load_i64(&self.active.store.allocated):
                return STATUS_GROW
            if self.active.index is not None:
                if self.active.index.count + count > self.active.index.capacity:
                    return STATUS_FULL
                if (self.active.index.count + count) * 8 > self.active.index.allocated:
                    return STATUS_GROW
            if <int64_t>self.active.next_relative + count > <int64_t>MAX_SEGMENT_BYTES_UNITS:
                return STATUS_FULL
        now = max(records[0].timestamp_us, self.last_timestamp_us)
        for i in range(count):
            records[i].timestamp_us = now
            status = append_record(self.active, &records[i])
            if status < 0:
                return status
        self.last_timestamp_us = now
        self.appends += <uint64_t>count
        records[0].timestamp_us = first
        striate_store_u64_release(&self.written_next, first + <uint64_t>count)
        if self._power:
            striate_fence()
        else:
            self._live.publish(first + <uint64_t>count)
        # After a full barrier: the sync thread says that it is idle, then looks at written_next.
        if self.sync_idle:
            self.wake_sync(SYNC_DIRTY)
        if self.active.store.written > self.prepare_at:
            self.prepare_at = NEVER
            striate_exchange_u32(&self.prepare_word, 1)
            striate_futex_wake_all(&self.prepare_word)
        return 0

    cdef int make_room(self, int status, int64_t size_bytes, int64_t records) except -1:
        if status in (STATUS_FULL, STATUS_GROW, STATUS_FROZEN):
            self._extend(size_bytes, records)
            return 0
        self.raise_state(status)
        return 0

    cdef int raise_state(self, int status) except -1:
        if self._state == LOG_CLOSED:
            raise LogClosedError(self.path)
        if self._read_only:
            raise ReadOnlyError(self.path)
        if self._state == LOG_FAILED:
            raise SyncFailedError(self.path, "sync", self.failure, os.strerror(self.failure))
        if self._state == LOG_DAMAGED:
            self._raise_damaged()
        raise AssertionError(f"status {status}, state {self._state}")

    def _raise_unless_open(self):
        """Raise unless the log takes appends."""
        self.check_open()
        if self._read_only or self._state > LOG_FROZEN:
            self.raise_state(STATUS_CLOSED)

    def _grow(self, int64_t size_bytes, int64_t records):
        """Allocate blocks for a batch in the active segment; False when it has no room. Under the admin lock.

        Raises:
            DiskFullError: the segment is as it was.
        """
        cdef Segment active = self.active
        cdef int status = 0
        if active is None or active.store.written + size_bytes > active.store.capacity \
                or <int64_t>active.next_relative + records > <int64_t>MAX_SEGMENT_BYTES_UNITS:
            return False
        if active.index is not None and active.index.count + records > active.index.capacity:
            return False
        with nogil:
            pthread_mutex_lock(&self.grow_lock)
            status = active.grow(size_bytes, records)
            pthread_mutex_unlock(&self.grow_lock)
        if status < 0:
            raise_disk_error(status, active.store.path, "allocate")
        return True

    # ------------------------------------------------------------ group commit

    cdef int wait_durable(self) except -1:
        # For all appended so far. Counted in appends and not in offsets: truncation takes offsets back, and whoever
        # waits for one would wait for ever; what it removed had been made durable before.
        cdef uint64_t appends = striate_load_u64(&self.appends)
        cdef int status
        with nogil:
            status = self.sync_to(appends)
        if status < 0:
            raise SyncFailedError(self.path, "sync", -status, os.strerror(-status))
        return 0

    def _sync_written(self):
        """Make everything written durable; the offset up to which it is."""
        self._raise_unless_open()
        self.wait_durable()
        return striate_load_u64(&self.durable_next)

    cdef int sync_to(self, uint64_t appends) noexcept nogil:
        # Wait until the first so many appends are durable, syncing if nobody does. 0 or -errno.
        cdef int status = 0
        pthread_mutex_lock(&self.sync_lock)
        while True:
            if striate_load_u64(&self.durable_appends) >= appends:
                break
            if self.failure:
                status = -self.failure
                break
            if self.syncing:
                pthread_cond_wait(&self.sync_done, &self.sync_lock)
                continue
            self.syncing = True
            pthread_mutex_unlock(&self.sync_lock)
            self.sync_once()
            self.resign()
            pthread_mutex_lock(&self.sync_lock)
        pthread_mutex_unlock(&self.sync_lock)
        return status

    cdef void lead(self) noexcept nogil:
        pthread_mutex_lock(&self.sync_lock)
        while self.syncing:
            pthread_cond_wait(&self.sync_done, &self.sync_lock)
        self.syncing = True
        pthread_mutex_unlock(&self.sync_lock)

    cdef void resign(self) noexcept nogil:
        pthread_mutex_lock(&self.sync_lock)
        self.syncing = False
        pthread_cond_broadcast(&self.sync_done)
        pthread_mutex_unlock(&self.sync_lock)

    cdef int sync_once(self) noexcept nogil:
        # By the leader. Older segments first, so that "durable up to here" is never said of a log with a hole in it.
        # A roll at `process` durability does not wait for us: it may put a segment behind the others at any time, and
        # nothing is said of the active one while any is left.
        cdef int status = 0
        cdef int i
        cdef int sealed = 0
        cdef uint64_t next_offset
        cdef uint64_t appends
        cdef int64_t position = 0
        cdef void *active = NULL
        if self.failure:
            return -self.failure
        while True:
            pthread_mutex_lock(&self.write_lock)
            for i in range(sealed, self.retiring_count):
                self.retiring[i - sealed] = self.retiring[i]
            self.retiring_count -= sealed
            if self.retiring_count == 0:
                break
            sealed = self.retiring_count
            pthread_mutex_unlock(&self.write_lock)
            for i in range(sealed):
                if not (<Segment>self.retiring[i]).sealed:
                    status = (<Segment>self.retiring[i]).seal()
                    if status < 0:
                        self.fail(status)
                        return status
        next_offset = self.written_next
        appends = self.appends
        if self.active is not None:
            active = <void *>self.active
            position = self.active.store.written
        pthread_mutex_unlock(&self.write_lock)
        if active != NULL and next_offset > self.durable_next:
            # It stays open and alive: only the leader seals, and nothing is removed without leadership.
            status = (<Segment>active).store.sync()
            if status < 0:
                self.fail(status)
                return status
            self.syncs += 1
            striate_store_i64(&(<Segment>active).store.synced, position)
        striate_store_u64(&self.durable_next, next_offset)
        striate_store_u64(&self.durable_appends, appends)
        if self._power and next_offset != self._live.visible():
            self._live.publish(next_offset)
        return 0

    cdef void fail(self, int status) noexcept nogil:
        # What the disk has is unknown from here on. No retry (RULES §4.9): waiters are told, appends are refused, and
        # the next to open the log learns from the live page where trust ends.
        pthread_mutex_lock(&self.write_lock)
        if self._state < LOG_CLOSED:
            self._state = LOG_FAILED
        pthread_mutex_unlock(&self.write_lock)
        if not self.failure:
            self.failure = -status
            self._live.page.failed_offset = self.durable_next
            striate_store_u64(&self._live.page.failed, self._live.page.failed | FAILED_WRITER)

    cdef bint has_active(self) noexcept nogil:
        cdef bint result
        pthread_mutex_lock(&self.write_lock)
        result = self.active is not None
        pthread_mutex_unlock(&self.write_lock)
        return result

    cdef int write_checkpoint(self) noexcept nogil:
        # By the leader. Two slots in turn, so that a torn write leaves the other.
        cdef checkpoint note
        cdef int64_t done
        cdef int status
        if self.checkpoint_descriptor < 0 or self.failure:
            return 0
        memset(&note, 0, sizeof(note))
        pthread_mutex_lock(&self.write_lock)
        if self.active is None or self.retiring_count:
            # Rolled since the sync: `durable_next` is not of this segment. The next one says more.
            pthread_mutex_unlock(&self.write_lock)
            return 0
        note.log_id, note.segment_id = self.active.store.log_id, self.active.store.segment_id
        note.base_offset = self.active.base_offset
        note.synced_position = <uint64_t>striate_load_i64(&self.active.store.synced)
        pthread_mutex_unlock(&self.write_lock)
        note.magic, note.version, note.size = MAGIC_CHECKPOINT, FORMAT_VERSION, sizeof(note)
        note.next_offset = self.durable_next
        note.sequence = self.checkpoint_sequence + 1
        note.checksum = header_checksum(&note, sizeof(note))
        done = self._disk.table.write(self._disk.table.context, self.checkpoint_descriptor, &note, sizeof(note),
                                      <int64_t>(note.sequence & 1) * CHECKPOINT_SLOT_BYTES)
        if done < 0:
            return <int>done
        status = self._disk.table.sync(self._disk.table.context, self.checkpoint_descriptor)
        if status == 0:
            self.checkpoint_sequence = note.sequence
            self.checkpointed_next = note.next_offset
        return status

    # ------------------------------------------------------------ threads

    def _request_sync(self):
        """Ask the sync thread for a sync of what is written; the eventfd given to :meth:`_notify_on` tells when."""
        self.wake_sync(SYNC_WANTED)

    def _notify_on(self, int descriptor):
        """Write to this eventfd after every sync that was requested; -1 for none."""
        self.notify_descriptor = descriptor

    cdef void wake_sync(self, uint32_t reason) noexcept nogil:
        if striate_fetch_or_u32(&self.sync_word, reason) == 0:
            striate_futex_wake_all(&self.sync_word)

    def _start_threads(self):
        self.threads_running = True
        pthread_create(&self.sync_thread, NULL, _sync_main, <void *>self)
        pthread_create(&self.prepare_thread, NULL, _prepare_main, <void *>self)

    def _stop_threads(self):
        """End the helper threads; returns when they have."""
        self.stop_threads()

    cdef void stop_threads(self) noexcept:
        if not self.threads_running:
            return
        self.threads_running = False
        striate_store_u32(&self.stopping, 1)
        self.wake_sync(SYNC_WANTED)
        striate_exchange_u32(&self.prepare_word, 1)
        striate_futex_wake_all(&self.prepare_word)
        with nogil:
            pthread_join(self.sync_thread, NULL)
            pthread_join(self.prepare_thread, NULL)

    cdef void sync_loop(self) noexcept nogil:
        # The sync thread: syncs asked for by tasks, the syncs of `process` durability, checkpoints. Sleeps without a
        # timeout when there is nothing to come.
        cdef uint32_t reasons
        cdef uint64_t one = 1
        cdef int64_t due = 0
        cdef int64_t now
        cdef int waited
        while not striate_load_u32(&self.stopping):
            reasons = striate_exchange_u32(&self.sync_word, 0)
            if reasons & SYNC_WANTED:
                self.lead()
                self.sync_once()
                self.resign()
                if self.notify_descriptor >= 0:
                    c_write(self.notify_descriptor, &one, sizeof(one))
                continue
            if self.failure or (striate_load_u64(&self.written_next) == self.durable_next
                                and self.durable_next == self.checkpointed_next):
                due = 0
                striate_exchange_u32(&self.sync_idle, 1)
                if self.failure or striate_load_u64(&self.written_next) == self.checkpointed_next:
                    striate_futex_wait(&self.sync_word, 0, -1)
                striate_exchange_u32(&self.sync_idle, 0)
                continue
            now = striate_monotonic_ns()
            if due == 0:
                due = now + self.sync_interval_ns
            if now < due:
                striate_futex_wait(&self.sync_word, 0, due - now)
                continue
            due = 0
            self.lead()
            if not self._power or self.retiring_count:
                self.sync_once()
            if not self.has_active():
                self.checkpointed_next = self.durable_next
            else:
                waited = self.write_checkpoint()
                if waited < 0:
                    self.fail(waited)
            self.resign()

    def _prepare_ahead(self):
        """Do what the preparing thread does when it is woken; for simulated disks, whose logs have no threads."""
        with nogil:
            pthread_mutex_lock(&self.prepare_lock)
            while self.prepare_step():
                pass
            pthread_mutex_unlock(&self.prepare_lock)

    cdef void prepare_loop(self) noexcept nogil:
        while not striate_load_u32(&self.stopping):
            if striate_exchange_u32(&self.prepare_word, 0) == 0:
                striate_futex_wait(&self.prepare_word, 0, -1)
                continue
            pthread_mutex_lock(&self.prepare_lock)
            while not striate_load_u32(&self.stopping) and self.prepare_step():
                pass
            pthread_mutex_unlock(&self.prepare_lock)

    cdef bint prepare_step(self) noexcept nogil:
        # Allocate and prepare one piece of what the next appends will use; False when there is enough. Errors are left
        # for the append that needs the space, which can report them.
        cdef int64_t limit, allocated, written, ahead, step, start, end
        cdef int status = 0
        pthread_mutex_lock(&self.grow_lock)
        if self.prepare_target == NULL:
            pthread_mutex_unlock(&self.grow_lock)
            return False
        limit = align_up((<Segment>self.prepare_target).store.capacity + FOOTER_BYTES, PAGE_BYTES)
        allocated = (<Segment>self.prepare_target).store.allocated
        written = (<Segment>self.prepare_target).store.written
        ahead = min(max(written, <int64_t>AHEAD_FIRST_BYTES), <int64_t>AHEAD_LAST_BYTES)
        step = align_up(min((<Segment>self.prepare_target).store.growth_step(), limit - allocated), PAGE_BYTES)
        if self._power:
            step = min(step, <int64_t>FILL_STEP_BYTES)
        start = end = 0
        if step > 0 and allocated - written < ahead and not self.growth_held:
            if self._disk.table.allocate(self._disk.table.context,
                                         (<Segment>self.prepare_target).store.descriptor, allocated, step) < 0:
                step = 0
            elif self._power:
                # Zeros first and under the lock: written after the blocks are announced, they could fall on records.
                status = self._disk.table.prepare(self._disk.table.context,
                                                  (<Segment>self.prepare_target).store.descriptor,
                                                  (<Segment>self.prepare_target).store.memory, allocated, step, True)
                if status == 0:
                    striate_store_i64(&(<Segment>self.prepare_target).store.allocated, allocated + step)
            else:
                striate_store_i64(&(<Segment>self.prepare_target).store.allocated, allocated + step)
        else:
            step = 0
        if not self._power:
            start = max(self.prepared, written - written % PAGE_BYTES)
            end = min((<Segment>self.prepare_target).store.allocated, min(written + ahead, start + POPULATE_STEP_BYTES))
        pthread_mutex_unlock(&self.grow_lock)
        if status < 0:
            # The kernel tells of a failed write-back once per descriptor: had we swallowed it, the next sync of an
            # append would say that all is well.
            self.fail(status)
            return False
        if start < end:
            # Without the lock: an append that overtakes takes its own page faults and does not wait for ours.
            # prepare_lock keeps the target alive.
            self._disk.table.prepare(self._disk.table.context, -1, (<Segment>self.prepare_target).store.memory, start,
                                     end - start, False)
            self.prepared = end
        elif step == 0:
            striate_store_i64(&self.prepare_at, written + ahead // 4 if allocated < limit else NEVER)
            return False
        return True


def _as_list(object items, str argument):
    # A private tuple of bytes (or None): nobody can take an item away while it is copied without the GIL.
    cdef object item
    if isinstance(items, (str, bytes, bytearray, memoryview, set, frozenset, dict)) or not hasattr(items, "__iter__"):
        raise InvalidTypeError(argument, "a sequence of bytes", type(items))
    try:
        result = tuple(items)
    except TypeError:
        raise InvalidTypeError(argument, "a sequence of bytes", type(items)) from None
    for item in result:
        if not PyBytes_CheckExact(item):
            return tuple(_as_bytes(item, argument) for item in result)
    return result


def _as_bytes(object item, str argument):
    if item is None and argument == "keys":
        return None
    cdef borrowed buffer
    cdef str name = f"each of {argument}"
    check_buffer(item, name)
    try:
        return bytes(memoryview(item))
    except (BufferError, ValueError):
        # Released, or of a type that memoryview does not know, such as numpy's times.
        borrow(item, name, &buffer)
    try:
        return PyBytes_FromStringAndSize(buffer.data, buffer.size)
    finally:
        give_back(&buffer)


def _as_lengths(object lengths):
    import numpy

    try:
        array = numpy.asarray(lengths)
    except (OverflowError, TypeError, ValueError):
        raise InvalidTypeError("lengths", "a one-dimensional array of integers", type(lengths)) from None
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InvalidTypeError("lengths", "a one-dimensional array of integers", type(lengths))
    if array.size and array.dtype.kind == "i" and int(array.min()) < 0:
        raise InvalidArgumentError("lengths", "numbers from 0 on", int(array.min()))
    return numpy.ascontiguousarray(array, dtype=numpy.uint64)
