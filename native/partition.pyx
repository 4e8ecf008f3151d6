"""A log with views of it, and commits to them (declared in partition.pxd)."""

from libc.string cimport memcpy
from posix.unistd cimport write

from striate._native.frame cimport (
    KIND_VALUE,
    STATUS_MISSING,
    STATUS_NO_MEMORY,
    STATUS_STALE_INDEX,
    UNIT_BYTES,
)
from striate._native.keyindex cimport (
    STRIATE_MUST_NOTHING,
    striate_edit_apply,
    striate_edit_check,
    striate_hold_lock,
    striate_hold_unlock,
    striate_keyindex_free,
    striate_keyindex_new,
    striate_keyindex_sweep,
    striate_keyindex_wants_sweep,
)
from striate._native.lock cimport striate_give_lock, striate_take_lock, striate_try_lock
from striate._native.platform cimport (
    striate_exchange_u32,
    striate_futex_wake_all,
    striate_load_u32,
    striate_load_u64,
    striate_prefetch,
    striate_store_u32,
)
from striate._native.reader cimport as_offset
from striate._native.store cimport WRITE_BYTES, read_frame_of
from striate._native.stream cimport (
    STRIATE_DROPPED,
    STRIATE_ENTRY,
    STRIATE_PARTS,
    striate_stream,
    striate_stream_free,
    striate_stream_new,
    striate_stream_plan,
)
from striate._native.streamedit cimport make_records, take_in_edit
from striate._native.table cimport STRIATE_CHANGED, STRIATE_NEVER

import os

from striate.errors import CorruptRecordError, DroppedError

cdef extern from "clock.h" nogil:
    int64_t striate_realtime_ns()

cdef enum:
    WITHOUT_GIL_FROM = 32             # changes; fewer are done sooner than the GIL is let go
    MILLISECOND_NS = 1000000


cdef int64_t deadline_of(const frame_view *view, uint32_t flags, uint32_t *ahead) noexcept nogil:
    cdef uint64_t milliseconds
    ahead[0] = 0
    if not flags & EXPIRES or view.kind != KIND_VALUE or view.value_size < 8:
        return STRIATE_NEVER
    memcpy(&milliseconds, view.value, 8)
    ahead[0] = 8
    if milliseconds > <uint64_t>(STRIATE_NEVER // MILLISECOND_NS):
        return STRIATE_NEVER
    return <int64_t>milliseconds * MILLISECOND_NS


cdef class View:
    """One numbered view of a partition's log, with an index of its keys."""

    def __cinit__(self, Partition partition, uint32_t number, *args, **kwargs):
        self.partition, self.number = partition, number
        self.extension[0] = self.timed_extension[0] = number
        self.extension[1], self.timed_extension[1] = 0, EXPIRES
        self.index = striate_keyindex_new(number, partition.hash_key, partition.power)
        if self.index == NULL:
            raise MemoryError
        partition.views[number] = self

    def __dealloc__(self):
        if self.index != NULL:
            striate_keyindex_free(self.index)


cdef class StreamView:
    """One numbered view of a partition's log that is a stream."""

    def __cinit__(self, Partition partition, uint32_t number, bint entered=True):
        cdef uint32_t kind
        self.partition, self.number = partition, number
        for kind in range(LAST_SET + 1):
            self.extensions[kind][0], self.extensions[kind][1] = number, kind
        self.extensions[KEYED_ENTRY][0], self.extensions[KEYED_ENTRY][1] = number, STRIATE_ENTRY | KEYED
        self.stream = striate_stream_new(number)
        if self.stream == NULL:
            raise MemoryError
        if entered:
            partition.views[number] = self

    def __dealloc__(self):
        if self.stream != NULL:
            striate_stream_free(self.stream)

    @property
    def _offset_ids(self):
        return bool(self.stream.offset_ids)

    def _set_offset_ids(self, bint offset_ids):
        """Whether ids are the ordinal + 1 and 0, not the time."""
        self.stream.offset_ids = offset_ids

    def _wake(self):
        """Let everyone who sleeps on the stream look again: the database is closed."""
        lock_stream(self.stream)
        self.stream.word += 1
        striate_give_lock(&self.stream.lock)
        striate_futex_wake_all(&self.stream.word)


cdef bint has_changed(const watched_stream *watch) noexcept nogil:
    cdef int part
    for part in range(STRIATE_PARTS):
        if watch.parts & (1 << part) and watch.stream.counts[part] != watch.counts[part]:
            return True
    return False


cdef void lock_stream(striate_stream *stream) noexcept:
    if not striate_try_lock(&stream.lock):
        with nogil:
            striate_take_lock(&stream.lock)


cdef class Partition:
    """Commits to a log and its views. Made by :class:`striate.Database`."""

    def __cinit__(self, LogCore log not None):
        cdef bytes secret = os.urandom(16)
        self.log = log
        self.power = log._power
        self.views, self.dropped, self.names = {}, {}, {}
        self.descriptor = -1
        memcpy(self.hash_key, <const char *>secret, 16)

    cdef int check_usable(self) except -1:
        self.log.check_open()
        return 0

    cdef uint64_t durable(self) noexcept nogil:
        # As a version: records of this and lower versions are on disk.
        return striate_load_u64(&self.log.durable_next)

    cdef uint64_t visible(self) noexcept nogil:
        return self.durable() if self.power else 0xFFFFFFFFFFFFFFFF

    cdef int64_t now_ns(self) except -1:
        if self.log.clock is not None:
            return <int64_t>as_offset(self.log.clock(), "the clock's time") * 1000
        return striate_realtime_ns()

    # ------------------------------------------------------------ commits

    cdef int attempt(self, work *job, bint wait) noexcept nogil:
        cdef int64_t locked = 0
        cdef int64_t number
        cdef int status
        if not striate_hold_lock(job.holds, job.hold_count, wait):
            return STATUS_BUSY
        status = 0
        while locked < job.stream_count:
            if wait:
                striate_take_lock(&job.streams[locked].lock)
            elif not striate_try_lock(&job.streams[locked].lock):
                status = STATUS_BUSY
                break
            locked += 1
        if status == 0:
            status = self.attempt_locked(job, wait)
        for number in range(locked):
            striate_give_lock(&job.streams[number].lock)
        striate_hold_unlock(job.holds, job.hold_count)
        if status == 0:
            for number in range(job.stream_count):
                self.tell_readers(job.streams[number])
        return status

    cdef void tell_readers(self, striate_stream *stream) noexcept nogil:
        # Behind the lock: those who are woken want it.
        cdef uint64_t one = 1
        if striate_load_u32(&stream.waiters):
            striate_futex_wake_all(&stream.word)
        if striate_load_u32(&stream.wanted) and striate_exchange_u32(&stream.wanted, 0):
            striate_take_lock(&self.tell_lock)
            if self.descriptor >= 0:
                write(self.descriptor, &one, sizeof(one))
            striate_give_lock(&self.tell_lock)

    cdef int attempt_locked(self, work *job, bint wait) noexcept nogil:
        cdef int status = self.check_all(job)
        if status != 0 or job.record_count == 0:
            return status
        status = self.append_records(job, wait)
        if status != 0:
            return status
        if self.take_in_all(job) != 0:
            self.poisoned = True
            return STATUS_NO_MEMORY
        return 0

    cdef int check_all(self, work *job) noexcept nogil:
        # What must hold, and the records of streams.
        cdef int64_t number
        cdef int status
        for number in range(job.hold_count):
            if striate_load_u32(&job.holds[number].index.dropped):
                job.failed = <int64_t>job.holds[number].index.number
                return STRIATE_DROPPED
        for number in range(job.stream_count):
            if job.streams[number].dropped:
                job.failed = <int64_t>job.streams[number].number
                return STRIATE_DROPPED
        for number in range(job.change_count):
            if job.changes[number].condition == STRIATE_MUST_NOTHING:
                continue
            status = striate_edit_check(&job.changes[number], job.now)
            if status != 0:
                job.failed = number
                return status
        for number in range(job.watch_count):
            if striate_load_u64(&job.watches[number].index.changes) != job.watches[number].changes:
                job.failed = job.change_count + number
                return STRIATE_CHANGED
        for number in range(job.stream_watch_count):
            if has_changed(&job.stream_watches[number]):
                job.failed = job.change_count + job.watch_count + number
                return STRIATE_CHANGED
        for number in range(job.stream_count):
            striate_stream_plan(job.streams[number])
        for number in range(job.edit_count):
            status = make_records(&job.edits[number], job.records)
            if status != 0:
                job.failed = job.change_count + job.watch_count + job.stream_watch_count + number
                return status
        return 0

    cdef int take_in_all(self, work *job) noexcept nogil:
        cdef int64_t number
        for number in range(job.change_count):
            if job.changes[number].record >= 0:
                if striate_edit_apply(&job.changes[number], job.now, &job.horizon) != 0:
                    return STATUS_NO_MEMORY
        for number in range(job.edit_count):
            if take_in_edit(&job.edits[number], job.records, job.first_version, job.positions) != 0:
                return STATUS_NO_MEMORY
        for number in range(job.drop_count):
            striate_store_u32(&job.drops[number].dropped, True)
            count_change(job.drops[number])
        return 0

    cdef int append_records(self, work *job, bint wait) noexcept nogil:
        # Into the log, and for each change where its record is.
        cdef const uint32_t *pairs = NULL
        cdef uint64_t first
        cdef int64_t number, record
        cdef int64_t count = 0
        cdef int status
        if wait:
            striate_take_lock(&self.log.write_lock)
        elif not striate_try_lock(&self.log.write_lock):
            return STATUS_BUSY
        if self.log.active is not None:
            count = self.log.active.index.count
        status = self.log.append_locked(job.records, job.record_count, job.size_bytes)
        if status == 0:
            first = job.records[0].timestamp_us
            # The next sync to begin has these records.
            job.horizon.target, job.horizon.durable = self.log.sync_target, self.durable()
            # Copied under the lock: behind it the segment may be sealed and its index put away.
            pairs = self.log.active.index.pairs + 2 * count
            job.first_version = first + 1
            if job.edit_count:
                for number in range(job.record_count):
                    job.positions[number] = pairs[2 * number + 1]
            for number in range(job.change_count):
                record = job.changes[number].record
                if record >= 0:
                    count_change(job.changes[number].index)
                    job.changes[number].after.version = first + <uint64_t>record + 1
                    job.changes[number].after.position = pairs[2 * record + 1]
        striate_give_lock(&self.log.write_lock)
        return status

    cdef int commit(self, work *job) except -1:
        cdef int status
        self.check_usable()
        if self.poisoned:
            raise MemoryError("memory ran out while an index was changed: open the database again")
        if job.record_count:
            job.size_bytes = self.log.measure(job.records, job.record_count)
        while True:
            if job.record_count and self.log.clock is not None:
                job.records[0].timestamp_us = as_offset(self.log.clock(), "the clock's time")
            status = STATUS_BUSY
            if max(job.change_count, job.record_count) < WITHOUT_GIL_FROM and job.size_bytes < WRITE_BYTES:
                status = self.attempt(job, False)
            if status == STATUS_BUSY:
                with nogil:
                    status = self.attempt(job, True)
            if status >= 0:
                if status == 0 and job.record_count:
                    self.log.tell()
                if status == STRIATE_DROPPED:
                    self.raise_dropped(<uint64_t>job.failed)
                return status
            if status == STATUS_NO_MEMORY:
                raise MemoryError("memory ran out while an index was changed: open the database again")
            self.log.make_room(status, job.size_bytes, job.record_count)

    def _notify_on(self, int descriptor):
        """Tell an eventfd of entries of streams that :meth:`StreamCore._want` asks for; -1: none any longer."""
        with nogil:
            striate_take_lock(&self.tell_lock)
            self.descriptor = descriptor
            striate_give_lock(&self.tell_lock)

    cdef int raise_dropped(self, uint64_t number) except -1:
        _, name = self.dropped.get(number, (0, None))
        raise DroppedError(self.log.path, name)

    @property
    def _views(self):
        """The views by number."""
        return self.views

    def _wait_durable(self):
        """Wait until everything committed so far is on disk."""
        self.log.wait_durable()

    # ------------------------------------------------------------ records

    cdef Segment frame_at(self, striate_spot spot, frame_view *view):
        cdef uint64_t offset = spot.version - 1
        cdef Segment segment = self.log.find(offset)
        cdef const char *memory
        cdef uint32_t relative
        cdef int status
        if segment is None:
            return None
        # A frame of common size is three or four lines, which are fetched together rather than one by one.
        memory = segment.store.memory + <int64_t>spot.position * UNIT_BYTES
        striate_prefetch(memory)
        striate_prefetch(memory + 64)
        striate_prefetch(memory + 128)
        striate_prefetch(memory + 160)
        relative = <uint32_t>(offset - segment.base_offset)
        if read_frame_of(segment.store, <int64_t>spot.position * UNIT_BYTES, relative, view) == 0:
            return segment
        # Compaction has moved it, or dropped it for a later one.
        status = STATUS_MISSING
        if offset - segment.base_offset < segment.next_relative:
            status = segment.fetch(relative, view)
            if status == STATUS_STALE_INDEX and segment.sealed:
                segment.rebuild_index()
                status = segment.fetch(relative, view)
        if status == 0:
            return segment
        if status != STATUS_MISSING:
            self.log.refuse(segment, offset, status)
        for first, after, position, reason in segment.damage:
            if first <= offset < after:
                raise CorruptRecordError(segment.store.path, reason, position=position, offset=offset)
        return None

    cdef uint64_t find_view(self, uint32_t number, striate_keyindex **index, striate_stream **stream) noexcept nogil:
        index[0], stream[0] = NULL, NULL
        with gil:
            if number in self.dropped:
                return self.dropped[number][0]
            view = self.views.get(number)
            if isinstance(view, View):
                index[0] = (<View>view).index
            elif view is not None:
                stream[0] = (<StreamView>view).stream
        return 0

    # ------------------------------------------------------------ upkeep

    def _sweep(self):
        """Drop what is left over of states before what is durable now."""
        cdef View view
        cdef uint64_t durable = self.durable()
        for each in list(self.views.values()):
            if not isinstance(each, View):
                continue
            view = each
            if striate_keyindex_wants_sweep(view.index):
                with nogil:
                    striate_keyindex_sweep(view.index, durable)
