"""The log: appends, group commit, and the threads that sync and preallocate.

A record's way: :meth:`LogCore.append` borrows its bytes, takes the write lock, stores frame and index entry into mapped
blocks and, at ``process`` durability, publishes the new end. At ``power`` durability it then waits for a sync that
began after the store; whoever finds no sync running makes one for all that wait (group commit), and only that publishes
the end.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stddef cimport size_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset
from posix.unistd cimport write as c_write

from striate._native.batch cimport append_batch, stage
from striate._native.clock cimport kernel_trusts_counter, striate_clock_us
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
    checkpoint,
    frame_bytes,
    header_checksum,
)
from striate._native.inputs cimport (
    MAX_RECORD_BYTES,
    as_items,
    as_lengths,
    borrow,
    borrowed,
    fill_from_buffer,
    fill_from_items,
    give_back,
)
from striate._native.io cimport fork_count, raise_disk_error
from striate._native.live cimport FAILED_WRITER
from striate._native.lock cimport striate_give_lock, striate_take_lock, striate_try_lock
from striate._native.platform cimport (
    pthread_cond_broadcast,
    pthread_cond_destroy,
    pthread_cond_init,
    pthread_cond_wait,
    pthread_create,
    pthread_join,
    pthread_mutex_destroy,
    pthread_mutex_init,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    striate_exchange_u32,
    striate_fetch_or_u32,
    striate_futex_wait,
    striate_futex_wake_all,
    striate_load_i64,
    striate_load_u32,
    striate_load_u64,
    striate_monotonic_ns,
    striate_store_i64,
    striate_store_u32,
    striate_store_u64,
    striate_store_u64_release,
)
from striate._native.preparer cimport NEVER, Preparer
from striate._native.reader cimport LOG_CLOSED, LOG_DAMAGED, LOG_FAILED, LOG_FROZEN, LOG_OPEN, as_offset
from striate._native.segment cimport append_record
from striate._native.store cimport WRITE_BYTES

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

cdef enum:
    SYNC_WANTED = 1
    SYNC_DIRTY = 2
    MAX_SEGMENT_BYTES_UNITS = 0xFFFFFFF0
    CHECKPOINT_SLOT_BYTES = 4096

# 32 GiB less a little: positions are u32 in units of 8 bytes.
cdef int64_t MAX_SEGMENT_BYTES = <int64_t>MAX_SEGMENT_BYTES_UNITS * 8


cdef void *_sync_main(void *core) noexcept nogil:
    (<LogCore>core).sync_loop()
    return NULL


cdef void _preparing_failed(void *core, int status) noexcept nogil:
    (<LogCore>core).fail(status)


cdef class LogCore(LogReader):
    """The native half of :class:`striate.Log`; set up by it and never used alone."""

    def __cinit__(self, *args, **kwargs):
        pthread_mutex_init(&self.sync_lock, NULL)
        pthread_cond_init(&self.sync_done, NULL)
        self.checkpoint_descriptor = self.notify_descriptor = -1
        self.preparer = Preparer.__new__(Preparer)
        self.preparer.owner, self.preparer.failed = <void *>self, _preparing_failed
        self.forks = fork_count()
        self._state = LOG_CLOSED
        self.segments = ()
        self._lost = []

    def __dealloc__(self):
        if self.forks == fork_count():
            # In a forked child there are no threads, and the locks may be held by nobody. No Python method is called:
            # at the interpreter's end the class may have lost them.
            self.stop_threads()
            pthread_mutex_destroy(&self.sync_lock)
            pthread_cond_destroy(&self.sync_done)
        free(self.room)

    # ------------------------------------------------------------ set-up, called by storage/log.py

    def _configure(self, str path, disk, bint read_only, bint power, int64_t segment_bytes, uint32_t record_size,
                   clock, int64_t sync_interval_ms):
        """Take the constant options."""
        self.path, self._disk, self._read_only, self._power = path, disk, read_only, power
        self.preparer.disk, self.preparer.power = disk, power
        self.segment_bytes, self._record_size, self.clock = segment_bytes, record_size, clock
        self.system_clock.has_counter = kernel_trusts_counter()
        self.sync_interval_ns = sync_interval_ms * 1_000_000
        if not read_only:
            self.room = <stage *>malloc(sizeof(stage))
            if self.room == NULL:
                raise MemoryError

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

    def _prepare_first(self, Segment segment, int64_t expected_bytes):
        """Prepare the blocks a new segment begins with, before anything is appended to it. The header's page is behind
        us.

        Args:
            expected_bytes: how large its predecessor became, as a hint; 0 when there is none.
        """
        cdef int status
        with nogil:
            status = self.preparer.first(segment, expected_bytes)
        if status < 0:
            raise_disk_error(status, segment.store.path, "sync")

    def _install(self, tuple segments, Segment active, uint64_t lowest, uint64_t next_offset, uint64_t generation):
        """Swap in another list of segments. Under the admin lock; of a writer also with leadership and frozen."""
        self._prepare_for(active)
        self.lock_writes()
        self.segments, self.active, self.lowest, self.generation = segments, active, lowest, generation
        striate_store_u64(&self.written_next, next_offset)
        self.still = next_offset
        striate_give_lock(&self.write_lock)

    def _prepare_for(self, Segment active):
        """Point the preparing thread at a segment, or at none: before one is sealed, lest it allocate behind the
        footer."""
        self.preparer.aim(active)

    def _hold_growth(self, bint hold):
        """Keep the preparing thread from taking blocks, or let it: what is left is for those who first ask storage/."""
        self.preparer.hold(hold)

    cdef int lock_writes(self) except -1:
        if not striate_try_lock(&self.write_lock):
            with nogil:
                striate_take_lock(&self.write_lock)
        return 0

    def _set_state(self, int state):
        """Freeze, thaw or close."""
        self.lock_writes()
        self._state = state
        striate_give_lock(&self.write_lock)
        if state == LOG_CLOSED and self._live is not None:
            self._live.wake()

    def _lead(self):
        """Become the one who syncs; pair with :meth:`_resign`."""
        with nogil:
            self.lead()
        self.leader = PyThread_get_thread_ident()

    def _resign(self):
        """Let others sync again, and those who wait look again. Nothing, if this thread does not lead: a signal may
        have come before :meth:`_lead` was called."""
        if self.leader != PyThread_get_thread_ident():
            return
        self.leader = 0
        with nogil:
            self.resign()

    def _settle(self, uint64_t next_offset, bint shrink=False):
        """Everything below ``next_offset`` is durable now and, in this log's way, visible. With leadership."""
        self.set_durable(next_offset)
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
        striate_give_lock(&self.write_lock)
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

    def _moment(self):
        """The active segment, and its end position, records and chain at one moment; ``None`` where there is none."""
        self.lock_writes()
        cdef Segment active = self.active
        cdef int64_t end = 0
        cdef uint32_t records = 0
        cdef uint32_t chain = 0
        if active is not None:
            end, records, chain = active.store.written, active.record_count, active.store.chain
        striate_give_lock(&self.write_lock)
        return active, (end, records, chain)

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
        cdef uint64_t visible
        self.check_open()
        if not self._read_only:
            return striate_load_u64(&self.durable_next)
        visible = self.visible()
        # Without a page to trust nobody has written since the machine started: what is there came from the disk.
        if self._live is None or not self._live.trusted:
            return visible
        return min(visible, striate_load_u64(&self._live.page.durable_next))

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
        if self.clock is not None or self._record_size or self.forks != fork_count() or size > MAX_RECORD_BYTES \
                or frame_bytes(SYNC_EXTENSION_BYTES + size) > self.segment_bytes - STORE_HEADER_BYTES:
            return -1
        if not striate_try_lock(&self.write_lock):
            return -1
        record.key = record.extension = NULL
        record.key_size = record.extension_size = 0
        record.value, record.value_size = data, <uint32_t>size
        record.kind, record.flags = KIND_VALUE, 0
        if self.append_locked(&record, 1, frame_bytes(SYNC_EXTENSION_BYTES + size)) == 0:
            offset = <int64_t>record.timestamp_us
        striate_give_lock(&self.write_lock)
        if offset >= 0:
            self.tell()
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
            return self.write(&record, 1)
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
            return self.write(&record, 1)
        finally:
            give_back(&value_bytes)
            give_back(&key_bytes)

    cdef int64_t write_many(self, object values, object keys, object lengths, int64_t *count) except -1:
        cdef record_input *records
        cdef borrowed buffer
        cdef borrowed sizes
        cdef int64_t limit = min(self.segment_bytes, MAX_RECORD_BYTES)
        cdef tuple names = as_items(keys, "keys") if keys is not None else None
        if lengths is None:
            values = as_items(values, "values")
            count[0] = len(values)
        else:
            lengths = as_lengths(lengths)
            count[0] = len(lengths)
        if names is not None and len(names) != count[0]:
            raise InvalidArgumentError("keys", f"as many as values ({count[0]})", len(names))
        if count[0] == 0:
            self._raise_unless_open()
            return <int64_t>striate_load_u64(&self.written_next)
        records = <record_input *>malloc(sizeof(record_input) * <size_t>count[0])
        if records == NULL:
            raise MemoryError
        buffer.held = sizes.held = False
        try:
            if lengths is None:
                fill_from_items(records, <tuple>values, names, limit)
            else:
                borrow(values, "values", &buffer)
                borrow(lengths, "lengths", &sizes)
                fill_from_buffer(records, buffer.data, buffer.size, <const uint64_t *>sizes.data, count[0], names,
                                 limit)
            return self.write(records, count[0])
        finally:
            give_back(&sizes)
            give_back(&buffer)
            free(records)

    cdef int check_size(self, record_input *record, int64_t size) except -1:
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
        return 0

    cdef int64_t measure(self, record_input *records, int64_t count) except -1:
        # Bytes that the frames will take at most; raises when one can never fit this log. All but the last continue.
        cdef int64_t total = 0
        cdef int64_t size
        cdef int64_t i
        for i in range(count):
            size = frame_bytes(SYNC_EXTENSION_BYTES + <int64_t>records[i].extension_size + records[i].key_size
                               + records[i].value_size)
            if size > self.segment_bytes - STORE_HEADER_BYTES or self._record_size:
                self.check_size(&records[i], size)
            total += size
            records[i].flags |= CONTINUES
        records[count - 1].flags &= ~CONTINUES
        if total > MAX_SEGMENT_BYTES - STORE_HEADER_BYTES:
            raise BatchTooLargeError(total, MAX_SEGMENT_BYTES - STORE_HEADER_BYTES)
        return total

    cdef int64_t write(self, record_input *records, int64_t count) except -1:
        # Write a batch under the lock; gives its first offset. A large one lets other threads run meanwhile.
        cdef int64_t size
        cdef int status
        if self.forks != fork_count():
            raise ForkedError(self.path)
        size = self.measure(records, count)
        while True:
            if self.clock is not None:
                records[0].timestamp_us = as_offset(self.clock(), "the clock's time")
            if size >= WRITE_BYTES or not striate_try_lock(&self.write_lock):
                with nogil:
                    striate_take_lock(&self.write_lock)
                    status = self.append_locked(records, count, size)
                    striate_give_lock(&self.write_lock)
            else:
                status = self.append_locked(records, count, size)
                striate_give_lock(&self.write_lock)
            if status == 0:
                self.tell()
                # The first offset, left by append_locked where only this call looks.
                return <int64_t>records[0].timestamp_us
            self.make_room(status, size, count)

    cdef int append_locked(self, record_input *records, int64_t count, int64_t size_bytes) noexcept nogil:
        # All of the batch or nothing: room is made sure of before the first byte. Leaves the first offset in the first
        # record's timestamp field.
        cdef uint64_t now
        cdef uint64_t first = self.written_next
        cdef int status
        if self._state != LOG_OPEN:
            return STATUS_FROZEN if self._state == LOG_FROZEN else STATUS_CLOSED
        if self.active is None:
            return STATUS_FULL
        if self._power or count > 1:
            # A single store checks for itself.
            if self.active.store.written + size_bytes > self.active.store.capacity:
                return STATUS_FULL
            if self.active.store.written + size_bytes + FOOTER_BYTES > striate_load_i64(&self.active.store.allocated):
                return STATUS_GROW
            if self.active.index is not None:
                if self.active.index.count + count > self.active.index.capacity:
                    return STATUS_FULL
                if (self.active.index.count + count) * 8 > striate_load_i64(&self.active.index.allocated):
                    return STATUS_GROW
            if <int64_t>self.active.next_relative + count > <int64_t>MAX_SEGMENT_BYTES_UNITS:
                return STATUS_FULL
        now = <uint64_t>striate_clock_us(&self.system_clock) if self.clock is None else records[0].timestamp_us
        now = max(now, self.last_timestamp_us)
        records[0].timestamp_us = now
        if self._power or count > 1:
            # A durable log writes even a single record: the sync that follows would find each page that was stored
            # into mapped, and take away the right to do so again.
            status = append_batch(self.active, records, count, self.room, self._power or size_bytes >= WRITE_BYTES)
        else:
            status = append_record(self.active, &records[0])
        if status < 0:
            return status
        self.preparer.large = size_bytes >= WRITE_BYTES
        self.last_timestamp_us = now
        self.appends += <uint64_t>count
        records[0].timestamp_us = first
        striate_store_u64_release(&self.written_next, first + <uint64_t>count)
        if not self._power:
            striate_store_u64_release(&self._live.page.visible_next, first + <uint64_t>count)
        if self.active.store.written > self.preparer.wake_at:
            self.preparer.wake_at = NEVER
            self.preparer.wake()
        return 0

    cdef void tell(self) noexcept nogil:
        # Wake who waits for records. After the lock was given back, which is a full barrier: a reader says that it will
        # sleep and then looks at the end, and the sync thread does likewise.
        if striate_load_u32(&self._live.page.waiting) & 1 and not self._power:
            self._live.wake()
        if striate_load_u32(&self.sync_idle):
            self.wake_sync(SYNC_DIRTY)

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
            status = self.preparer.grow(active, size_bytes, records)
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
            striate_take_lock(&self.write_lock)
            for i in range(sealed, self.retiring_count):
                self.retiring[i - sealed] = self.retiring[i]
            self.retiring_count -= sealed
            if self.retiring_count == 0:
                break
            sealed = self.retiring_count
            striate_give_lock(&self.write_lock)
            for i in range(sealed):
                if not (<Segment>self.retiring[i]).sealed:
                    status = (<Segment>self.retiring[i]).seal()
                    if status < 0:
                        self.fail(status)
                        return status
        next_offset = self.sync_target = self.written_next
        appends = self.appends
        if self.active is not None:
            active = <void *>self.active
            position = self.active.store.written
        striate_give_lock(&self.write_lock)
        if active != NULL and next_offset > self.durable_next:
            # It stays open and alive: only the leader seals, and nothing is removed without leadership.
            # What a durable log writes is mapped for nobody but readers, and they may keep it.
            status = (<Segment>active).store.sync(0 if self._power else position)
            if status < 0:
                self.fail(status)
                return status
            self.syncs += 1
            striate_store_i64(&(<Segment>active).store.synced, position)
        self.set_durable(next_offset)
        striate_store_u64(&self.durable_appends, appends)
        if self._power and next_offset != self._live.visible():
            self._live.publish(next_offset)
        return 0

    cdef void set_durable(self, uint64_t next_offset) noexcept nogil:
        striate_store_u64(&self.durable_next, next_offset)
        if self._live is not None:
            striate_store_u64_release(&self._live.page.durable_next, next_offset)

    cdef void fail(self, int status) noexcept nogil:
        # What the disk has is unknown from here on. No retry (RULES §4.9): waiters are told, appends are refused, and
        # the next to open the log learns from the live page where trust ends.
        striate_take_lock(&self.write_lock)
        if self._state < LOG_CLOSED:
            self._state = LOG_FAILED
        striate_give_lock(&self.write_lock)
        if not self.failure:
            self.failure = -status
            self._live.page.failed_offset = self.durable_next
            striate_store_u64(&self._live.page.failed, self._live.page.failed | FAILED_WRITER)

    cdef bint has_active(self) noexcept nogil:
        cdef bint result
        striate_take_lock(&self.write_lock)
        result = self.active is not None
        striate_give_lock(&self.write_lock)
        return result

    cdef int write_checkpoint(self) noexcept nogil:
        # By the leader. Two slots in turn, so that a torn write leaves the other.
        cdef checkpoint note
        cdef int64_t done
        cdef int status
        if self.checkpoint_descriptor < 0 or self.failure:
            return 0
        memset(&note, 0, sizeof(note))
        striate_take_lock(&self.write_lock)
        if self.active is None or self.retiring_count:
            # Rolled since the sync: `durable_next` is not of this segment. The next one says more.
            striate_give_lock(&self.write_lock)
            return 0
        note.log_id, note.segment_id = self.active.store.log_id, self.active.store.segment_id
        note.base_offset = self.active.base_offset
        note.synced_position = <uint64_t>striate_load_i64(&self.active.store.synced)
        striate_give_lock(&self.write_lock)
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
        self.preparer.start()

    def _stop_threads(self):
        """End the helper threads; returns when they have."""
        self.stop_threads()

    cdef void stop_threads(self) noexcept:
        if not self.threads_running:
            return
        self.threads_running = False
        striate_store_u32(&self.stopping, 1)
        self.wake_sync(SYNC_WANTED)
        with nogil:
            pthread_join(self.sync_thread, NULL)
        self.preparer.stop()

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
            self.preparer.work()
