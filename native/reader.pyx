"""Reading a log: records, views, scans and columnar batches over an immutable list of segments."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.number cimport PyNumber_Index
from cpython.ref cimport Py_INCREF
from libc.errno cimport EACCES
from libc.stddef cimport size_t
from libc.stdlib cimport free, malloc

from striate._native.frame cimport (
    STATUS_MISSING,
    STATUS_STALE_INDEX,
    frame_view,
)
from striate._native.io cimport fork_count, raise_disk_error
from striate._native.mapping cimport Window
from striate._native.record cimport Record, record_of
from striate._native.rows cimport fill_rows, row_range
from striate._native.store cimport read_frame

import os

from striate.errors import (
    CorruptRecordError,
    ForkedError,
    InvalidArgumentError,
    InvalidTypeError,
    LogClosedError,
    OffsetOutOfRangeError,
    RecordCompactedError,
)

cdef extern from "platform.h" nogil:
    void striate_prefetch(const void *address)
    int64_t striate_monotonic_ns()

cdef enum:
    FIRST_WINDOW_BYTES = 65536        # of a scan: pages that are asked for at once; less is left to the kernel's guess
    LAST_WINDOW_BYTES = 2097152
    MOST_FETCHED_BYTES = 16777216     # for one columnar batch
    MAX_BATCH_BYTES = 0x7FFFFFF8      # Arrow's views address a buffer with 31 bits


cdef extern from "Python.h":
    int PyLong_CheckExact(object value)
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1


cdef uint64_t as_offset(object value, str argument) except? 0xFFFFFFFFFFFFFFFF:
    cdef long long number
    cdef int overflow = 0
    if PyLong_CheckExact(value):
        number = PyLong_AsLongLongAndOverflow(value, &overflow)
        if number >= 0 and overflow == 0:
            return <uint64_t>number
    # bool is an int to Python, but never an offset. numpy integers are welcome.
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidTypeError(argument, "an int", type(value))
    try:
        value = PyNumber_Index(value)
    except TypeError:
        raise InvalidTypeError(argument, "an int", type(value)) from None
    if not 0 <= value < 1 << 63:
        raise InvalidArgumentError(argument, "from 0 to 2**63 - 1", value)
    return value


cdef tuple _as_offsets(object offsets):
    # A private tuple: what converts an item to an int may change the caller's list. No sets, as the records come in the
    # order asked for.
    cdef object given = type(offsets)
    if hasattr(offsets, "tolist"):
        try:
            offsets = offsets.tolist()
        except ValueError:
            raise InvalidTypeError("offsets", "a sequence of ints that is not released", given) from None
        if not isinstance(offsets, list):
            raise InvalidTypeError("offsets", "a sequence of ints", given)
    elif isinstance(offsets, (str, bytes, bytearray, set, frozenset, dict)) or not hasattr(offsets, "__iter__"):
        raise InvalidTypeError("offsets", "a sequence of ints", given)
    return tuple(offsets)


# What read_many knows of one record between its passes.
cdef struct target:
    void *segment                     # borrowed: the tuple of segments keeps it
    int64_t position
    uint32_t relative


cdef class LogReader:
    """The reading half of :class:`striate.Log`."""

    cdef uint64_t visible(self) noexcept nogil:
        # A manifest newer than the page is one whose writer was killed (or is just) about to say so: `still` goes with
        # it.
        if self._live is not None and self._live.trusted and self._live.page.generation >= self.generation:
            return self._live.visible()
        return self.still

    cdef int check_open(self) except -1:
        if self.forks != fork_count():
            raise ForkedError(self.path)
        if self._state == LOG_CLOSED:
            raise LogClosedError(self.path)
        if self._read_only:
            self.follow_writer()
        return 0

    cdef int follow_writer(self) except -1:
        # Catch up with the writer's manifest and end; for readers in other processes.
        cdef uint64_t visible
        cdef Segment last
        if self._live is None:
            return 0
        if not self._live.trusted:
            if self._live.judge():
                self._refresh()
        elif self._live.page.generation > self.generation:
            self._refresh()
        if not self._live.trusted or not self.segments:
            return 0
        visible = self._live.visible()
        last = <Segment>self.segments[len(self.segments) - 1]
        if not last.sealed and last.base_offset + last.next_relative < visible:
            last.set_visible(visible)
        return 0

    def _check_usable(self):
        """Raise unless the log is open and of this process."""
        self.check_open()

    def _is_ours(self):
        """Whether the log was opened by this process, not by the parent before a fork."""
        return self.forks == fork_count()

    @property
    def closed(self):
        """Whether the log was closed."""
        return self._state == LOG_CLOSED

    @property
    def lowest_offset(self):
        """The first offset of the log."""
        self.check_open()
        return self.lowest

    @property
    def next_offset(self):
        """One past the last offset that readers see; equals :attr:`lowest_offset` in an empty log."""
        self.check_open()
        return self.visible()

    @property
    def _visible(self):
        """:attr:`next_offset` by what is loaded now; never raises or waits."""
        return self.visible()

    cdef uint64_t check_offset(self, uint64_t offset) except? 0:
        cdef uint64_t visible
        self.check_open()
        visible = self.visible()
        if offset >= visible or offset < self.lowest:
            raise OffsetOutOfRangeError(offset, self.lowest, visible)
        return visible

    cdef Segment find(self, uint64_t offset):
        # The last segment whose base is not above the offset; None when there is none.
        cdef tuple segments = self.segments
        cdef Py_ssize_t low = 0
        cdef Py_ssize_t high = len(segments)
        cdef Py_ssize_t middle
        cdef Segment segment
        if high and (<Segment>segments[high - 1]).base_offset <= offset:
            low = high
        while low < high:
            middle = (low + high) >> 1
            if (<Segment>segments[middle]).base_offset <= offset:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return None
        segment = <Segment>segments[low - 1]
        if not segment.checked:
            segment.check_index()
        return segment

    cdef Segment fetch(self, uint64_t offset, frame_view *view):
        cdef Segment segment
        cdef int status
        self.check_offset(offset)
        segment = self.find(offset)
        if segment is None or offset - segment.base_offset >= segment.next_relative:
            self.refuse(segment, offset, STATUS_MISSING)
        status = segment.fetch(<uint32_t>(offset - segment.base_offset), view)
        if status == STATUS_STALE_INDEX and segment.sealed:
            segment.rebuild_index()
            status = segment.fetch(<uint32_t>(offset - segment.base_offset), view)
        if status != 0:
            self.refuse(segment, offset, status)
        return segment

    cdef int refuse(self, Segment segment, uint64_t offset, int status) except -1:
        if status == STATUS_MISSING:
            if segment is not None:
                for first, after, position, reason in segment.damage:
                    if first <= offset < after:
                        raise CorruptRecordError(segment.store.path, reason, position=position, offset=offset)
            self.check_lost(offset)
            raise RecordCompactedError(offset, self.lowest, self.visible())
        raise CorruptRecordError(segment.store.path, "the frame does not verify",
                                 position=segment.locate(<uint32_t>(offset - segment.base_offset)), offset=offset)

    cdef int check_lost(self, uint64_t offset) except -1:
        # Raise for an offset whose whole segment is gone.
        for first, after, path, reason in self._lost:
            if first <= offset < after:
                raise CorruptRecordError(path, reason, offset=offset)
        return 0

    def read(self, offset):
        """Read one record; its checksum is verified.

        Args:
            offset: the record's number.

        Returns:
            A :class:`~striate.Record` with its own copy of key and value.

        Raises:
            OffsetOutOfRangeError: not in the log; carries the valid range. RecordCompactedError: dropped by compaction.
            CorruptRecordError: the stored bytes do not verify. LogClosedError, ForkedError.

        Thread-safe; sees records of a writer in another process at once.
        """
        cdef frame_view view
        cdef Segment segment = self.fetch(as_offset(offset, "offset"), &view)
        return record_of(segment.base_offset, &view)

    def view(self, offset):
        """The value of one record without a copy.

        Returns:
            A read-only ``memoryview`` over the mapped file. It keeps the segment mapped, and its disk space in use,
            until it is released, whatever becomes of the log.

        Raises:
            As :meth:`read`.
        """
        cdef frame_view view
        cdef Segment segment = self.fetch(as_offset(offset, "offset"), &view)
        return memoryview(Window.create(segment.store.mapping, view.value, view.value_size))

    def read_many(self, offsets):
        """Read records by their offsets, in any order and with repeats; memory is fetched ahead for all of them.

        Args:
            offsets: a sequence of ints or a one-dimensional numpy array of integers.

        Returns:
            A list of records in the order asked for. Raises as :meth:`read`, for the first offset that fails.
        """
        cdef list keep = []
        cdef Py_ssize_t count, i
        cdef uint64_t offset
        cdef target *targets
        cdef Segment segment
        cdef frame_view view
        cdef list records
        cdef Record record
        cdef tuple wanted = _as_offsets(offsets)
        count = len(wanted)
        self.check_open()
        targets = <target *>malloc(sizeof(target) * <size_t>max(count, 1))
        if targets == NULL:
            raise MemoryError
        try:
            segment = None
            for i in range(count):
                offset = as_offset(wanted[i], "offset")
                if segment is None or offset < segment.base_offset or \
                        offset - segment.base_offset >= segment.next_relative:
                    self.check_offset(offset)
                    segment = self.find(offset)
                    if segment is None or offset - segment.base_offset >= segment.next_relative:
                        self.refuse(segment, offset, STATUS_MISSING)
                    # The log's list of segments may be replaced before the next one is looked up.
                    keep.append(segment)
                elif offset >= self.visible() or offset < self.lowest:
                    self.check_offset(offset)
                targets[i].segment = <void *>segment
                targets[i].relative = <uint32_t>(offset - segment.base_offset)
                if segment.index is not None and not segment.gaps:
                    striate_prefetch(segment.index.pairs + 2 * <size_t>targets[i].relative)
            for i in range(count):
                segment = <Segment>targets[i].segment
                targets[i].position = segment.locate(targets[i].relative)
                if 0 < targets[i].position < segment.store.allocated:
                    striate_prefetch(segment.store.memory + targets[i].position)
                    striate_prefetch(segment.store.memory + targets[i].position + 64)
                    striate_prefetch(segment.store.memory + targets[i].position + 128)
            records = PyList_New(count)
            for i in range(count):
                segment = <Segment>targets[i].segment
                if targets[i].position >= 0 and read_frame(segment.store, targets[i].position, &view) == 0 \
                        and view.relative_offset == targets[i].relative:
                    record = record_of(segment.base_offset, &view)
                else:
                    # Anything unusual takes the road that knows how to heal or to say what is wrong.
                    record = self.read(segment.base_offset + targets[i].relative)
                Py_INCREF(record)
                PyList_SET_ITEM(records, i, record)
            return records
        finally:
            free(targets)

    def scan(self, start=None, stop=None):
        """Iterate over records in order.

        Args:
            start: first offset, default :attr:`lowest_offset`. Offsets dropped by compaction are passed over.
            stop: one past the last, default and at most :attr:`next_offset` at the time of the call.

        Returns:
            An iterator of records. Work done on the log meanwhile does not disturb it, but retention may remove what it
            has not reached; it then raises :class:`OffsetOutOfRangeError`. After a :class:`CorruptRecordError` it can
            be continued and goes on behind the damaged record.

        Raises:
            OffsetOutOfRangeError: ``start`` is below the log or above its end.
        """
        cdef Scan scan = Scan.__new__(Scan)
        cdef uint64_t visible
        self.check_open()
        visible = self.visible()
        scan.log = self
        scan.next_offset = self.lowest if start is None else as_offset(start, "start")
        scan.stop = visible if stop is None else min(as_offset(stop, "stop"), visible)
        if scan.next_offset < self.lowest or scan.next_offset > visible:
            raise OffsetOutOfRangeError(scan.next_offset, self.lowest, visible)
        return scan

    def __iter__(self):
        return self.scan()

    def _read_columns(self, start, max_bytes):
        """Columns of the records from ``start`` on, within one segment; see :meth:`striate.Log.read_batch`."""
        cdef RecordColumns columns = RecordColumns.__new__(RecordColumns)
        cdef uint64_t first, visible
        cdef int64_t limit
        cdef Segment segment
        cdef int64_t begin = 0
        cdef int64_t end = 0
        cdef int status = 0
        self.check_open()
        visible = self.visible()
        first = self.lowest if start is None else as_offset(start, "start")
        limit = <int64_t>min(as_offset(max_bytes, "max_bytes"), <uint64_t>MAX_BATCH_BYTES)
        if limit == 0:
            raise InvalidArgumentError("max_bytes", "at least 1", max_bytes)
        if first < self.lowest or first > visible:
            raise OffsetOutOfRangeError(first, self.lowest, visible)
        while first < visible:
            self.check_lost(first)
            segment = self.find(first)
            if segment is not None:
                status = self._fill(segment, columns, &first, visible, limit, &begin, &end)
                if columns.count or status != 0:
                    break
            else:
                first = visible if not self.segments else (<Segment>self.segments[0]).base_offset
        if columns.count == 0:
            if status != 0:
                self.refuse(segment, first, status)
            columns.next_offset = first
            columns.attach(b"")
            return columns
        columns.next_offset = first
        columns.attach(Window.create(segment.store.mapping, segment.store.memory + begin, end - begin))
        return columns

    cdef int _fill(self, Segment segment, RecordColumns columns, uint64_t *first, uint64_t visible, int64_t limit,
                   int64_t *begin, int64_t *end) except? -1:
        # Frames of one segment from *first on into columns; *first moves behind them. 0, or the status of a bad frame.
        cdef uint32_t relative = segment.next_present(<uint32_t>min(first[0] - segment.base_offset,
                                                                    <uint64_t>segment.next_relative))
        cdef uint32_t stop = <uint32_t>min(visible - segment.base_offset, <uint64_t>segment.next_relative)
        cdef int64_t origin
        cdef row_range rows
        cdef int status
        if relative >= stop:
            first[0] = self._after(segment, visible)
            return 0
        origin = segment.locate(relative)
        if origin < 0:
            first[0] = segment.base_offset + relative
            return <int>origin
        rows.position, rows.relative, rows.stop, rows.ahead = origin, relative, stop, origin + limit
        with nogil:
            if limit > FIRST_WINDOW_BYTES:
                segment.store.fetch(origin, origin + min(limit, <int64_t>MOST_FETCHED_BYTES))
            status = columns.reserve(segment.count_within(relative, stop, rows.ahead))
            if status == 0:
                status = fill_rows(segment, columns, &rows)
        begin[0], end[0] = origin, rows.position
        first[0] = segment.base_offset + rows.relative
        if status == 0 and segment.gaps and rows.relative >= stop:
            first[0] = self._after(segment, visible)
        if status == -1:
            raise MemoryError
        return status if columns.count == 0 else 0

    cdef uint64_t _after(self, Segment segment, uint64_t visible):
        # First offset that a later segment may hold.
        cdef Segment following
        for following in self.segments:
            if following.base_offset > segment.base_offset:
                return min(following.base_offset, visible)
        return visible

    def _find_time(self, uint64_t timestamp_us):
        """First visible offset at or after a time, or the visible end."""
        cdef uint64_t visible
        cdef uint32_t stop, relative
        cdef Segment segment
        self.check_open()
        visible = self.visible()
        for segment in self.segments:
            if not segment.checked:
                segment.check_index()
            if segment.next_relative == 0 or segment.record_count == 0:
                continue
            if segment.sealed and segment.last_timestamp_us < timestamp_us:
                continue
            stop = <uint32_t>min(visible - segment.base_offset, <uint64_t>segment.next_relative) \
                if visible > segment.base_offset else 0
            with nogil:
                relative = segment.find_time(timestamp_us, stop)
            if relative < stop:
                return max(segment.base_offset + relative, self.lowest)
        return visible

    def _sleep(self, uint64_t offset, int64_t timeout_ns, bint following=False):
        """Sleep until ``offset`` is visible or the log is closed: whether it is visible. Signals run their handlers.

        ``following``: the log has reached ``offset`` already, so it is true as well once the log ends before it."""
        cdef int64_t deadline = striate_monotonic_ns() + timeout_ns
        cdef int64_t left = timeout_ns
        cdef uint32_t announced
        cdef uint64_t visible
        while True:
            self.check_open()
            if self._live is None:
                announced = 0
            else:
                announced = self._live.announce()
            visible = self.visible()
            if visible > offset or (following and visible < offset):
                return True
            if self._live is None:
                # Sleeping means writing the word that the writer looks at.
                raise_disk_error(-EACCES, os.path.join(self.path, "live"), "open for writing, which waiting needs,")
            if timeout_ns >= 0:
                left = deadline - striate_monotonic_ns()
                if left <= 0:
                    return False
            if self._state == LOG_CLOSED:
                return False
            with nogil:
                self._live.sleep(announced, left)
            PyErr_CheckSignals()
            if self._state == LOG_CLOSED:
                return False


# One pass over records; made by LogReader.scan.
@cython.final
cdef class Scan:
    """An iterator over records of a log, in order."""

    def __init__(self):
        raise TypeError("scans are made by a log")

    def __iter__(self):
        return self

    def __next__(self):
        cdef frame_view view
        cdef uint64_t offset
        while True:
            if self.next_offset >= self.stop:
                raise StopIteration
            if self.segment is None or self.next_offset >= self.segment_end:
                if not self._enter():
                    raise StopIteration
                continue
            if self.segment.gaps and self.position >= self.segment.store.written:
                # Compaction dropped the last records of the segment.
                self.next_offset = self.segment_end
                continue
            if self.segment.gaps and self.segment.index is None \
                    and self.segment.is_hole(<uint32_t>(self.next_offset - self.segment.base_offset)):
                self.position += self.segment.store.stride
                self.next_offset += 1
                continue
            if self.position >= self.fetched:
                self._fetch()
            if read_frame(self.segment.store, self.position, &view) != 0 \
                    or self.segment.base_offset + view.relative_offset < self.next_offset:
                return self._stumble()
            offset = self.segment.base_offset + view.relative_offset
            if offset >= self.stop:
                self.next_offset = self.stop
                raise StopIteration
            if offset != self.next_offset and not self.segment.gaps:
                return self._stumble()
            self.next_offset = offset + 1
            self.position += view.size_bytes
            return record_of(self.segment.base_offset, &view)

    cdef int _fetch(self) except -1:
        # Each time for more, so that who wants a few records pays for nothing.
        cdef Segment segment = self.segment
        cdef int64_t start = self.position
        cdef int64_t end = start + self.window
        if self.window > FIRST_WINDOW_BYTES:
            with nogil:
                segment.store.fetch(start, end)
        self.fetched = end
        self.window = min(max(self.window, <int64_t>FIRST_WINDOW_BYTES) * 2, <int64_t>LAST_WINDOW_BYTES)
        return 0

    def _stumble(self):
        # The frame in the way does not verify: say which record it is, and stand behind it for the next call.
        cdef Segment segment = self.segment
        cdef uint64_t offset = segment.base_offset + segment.next_present(
            <uint32_t>(self.next_offset - segment.base_offset))
        self.next_offset = offset + 1
        self.segment = None
        if self.log._state != LOG_CLOSED:
            return self.log.read(offset)
        raise CorruptRecordError(segment.store.path, "the frame does not verify", offset=offset)

    cdef bint _enter(self) except -1:
        # Go to the segment that holds next_offset, or the first after it.
        cdef Segment segment
        cdef uint32_t relative
        cdef int64_t position
        cdef uint64_t visible
        self.log.check_open()
        visible = self.log.visible()
        if self.next_offset < self.log.lowest:
            raise OffsetOutOfRangeError(self.next_offset, self.log.lowest, visible)
        while self.next_offset < min(self.stop, visible):
            segment = self.log.find(self.next_offset)
            if segment is None or self.next_offset - segment.base_offset >= segment.next_relative:
                self.next_offset += 1
                self.log.check_lost(self.next_offset - 1)
                self.next_offset = self._following(self.next_offset - 1)
                continue
            for first, after, _, _ in segment.damage:
                if first <= self.next_offset < after:
                    self.next_offset += 1
                    self.log.refuse(segment, self.next_offset - 1, STATUS_MISSING)
            relative = segment.next_present(<uint32_t>(self.next_offset - segment.base_offset))
            if relative >= segment.next_relative:
                self.next_offset = segment.base_offset + segment.next_relative
                continue
            self.next_offset = segment.base_offset + relative
            position = segment.locate(relative)
            if position < 0:
                self.log.refuse(segment, self.next_offset, <int>position)
            self.segment, self.position = segment, position
            self.fetched = 0
            self.segment_end = segment.base_offset + segment.next_relative
            if segment.damage:
                self.segment_end = self._before_damage(segment)
            return True
        return False

    def _before_damage(self, Segment segment):
        # In a damaged segment go from hole to hole, each time by the index.
        for first, _, _, _ in sorted(segment.damage):
            if first > self.next_offset:
                return min(first, self.segment_end)
        return self.segment_end

    def _following(self, uint64_t offset):
        cdef Segment segment
        for segment in self.log.segments:
            if segment.base_offset > offset:
                return segment.base_offset
        return self.stop
