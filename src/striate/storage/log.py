"""The segmented commit log: :class:`Log`.

Appending, reading and group commit are native (``striate._native.log``); how the list of segments changes is in
:mod:`striate.storage.segment_list`; here is the rest of the public class: opening, dropping records, figures, closing.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from striate._native.io import REAL_DISK, Disk
from striate._native.live import Live
from striate._native.record import Record
from striate._native.segment import Segment
from striate.errors import (
    DamagedLogError,
    DiskError,
    DiskFullError,
    InvalidArgumentError,
    InvalidTypeError,
    LogClosedError,
    OffsetOutOfRangeError,
    OptionMismatchError,
    StorageError,
    SyncFailedError,
)
from striate.storage import directory, manifest, recovery
from striate.storage.arguments import absolute_path, check_progress, check_timeout, integer, microseconds
from striate.storage.info import SegmentInfo
from striate.storage.manifest import Manifest
from striate.storage.reserve import Reserve
from striate.storage.segment_list import CLOSED, OPEN, SegmentList, random_u64
from striate.types import CompactionResult, Durability, LogStats, Mode, RecoveryReport, SnapshotInfo, VerifyReport

if TYPE_CHECKING:
    from striate.storage.columnar import RecordBatch, RecordBatches

__all__ = ["Log"]

DEFAULT_SEGMENT_BYTES = 128 << 20
MIN_SEGMENT_BYTES = 4096
MAX_SEGMENT_BYTES = 0xFFFFFFF0 * 8
DEFAULT_SYNC_INTERVAL_MS = 1000
DEFAULT_BATCH_BYTES = 1 << 20
DEFAULT_TOMBSTONE_GRACE = timedelta(days=1)
_REFRESH_ATTEMPTS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Log(SegmentList):
    """A segmented commit log in a directory.

    Records get dense offsets from ``initial_offset`` on, a timestamp in microseconds that never decreases, an optional
    key, and a checksum of their own. One writer at a time (``flock``), any number of live readers with ``mode="r"`` in
    this process and others.

    Args:
        path: the directory; made with mode 0700 when it is not there.
        durability: ``"power"``: an append returns when it is on disk, and readers see it then; concurrent appends share
            a sync. ``"process"``: it returns when it is in the page cache; a killed process loses nothing, a power cut
            at most the last ``sync_interval_ms`` of work.
        segment_bytes: size at which a segment ends and the next begins, 4,096 bytes to 32 GiB. A record must fit one
            segment.
        initial_offset: the first record's offset, when the log is created.
        record_size: bytes of every value, for a log of fixed-length records without keys, which needs no index.
        codec: reserved for value encodings; must be ``None``.
        mode: ``"a"`` to append and read, creating the log; ``"r"`` to read along.
        sync_interval_ms: time between syncs at ``"process"`` durability, and between checkpoints.
        clock: gives the time in microseconds since the epoch, in place of the system's clock.

    Raises:
        LogLockedError: it has a writer. LogNotFoundError: ``mode="r"`` and no log there. NotALogError, StrayFileError:
        the directory holds other things. OptionMismatchError: it was created with another ``record_size``.
        UnknownVersionError, CorruptManifestError: it cannot be understood. DiskError, DiskFullError.

    Thread-safe. Not for use in a forked child: that raises :class:`~striate.errors.ForkedError`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Durability = "power",
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        initial_offset: int = 0,
        record_size: int | None = None,
        codec: None = None,
        mode: Mode = "a",
        *,
        sync_interval_ms: int = DEFAULT_SYNC_INTERVAL_MS,
        clock: Callable[[], int] | None = None,
        _disk: Disk | None = None,
    ) -> None:
        for name, value in (("durability", durability), ("mode", mode)):
            if not isinstance(value, str):
                raise InvalidTypeError(name, "a str", type(value))
        if durability not in ("power", "process"):
            raise InvalidArgumentError("durability", '"power" or "process"', durability)
        if mode not in ("a", "r"):
            raise InvalidArgumentError("mode", '"a" or "r"', mode)
        if codec is not None:
            raise InvalidArgumentError("codec", "None in this version", codec)
        if clock is not None and not callable(clock):
            raise InvalidTypeError("clock", "a callable", type(clock))
        # Positions count units of 8 bytes.
        segment_bytes = integer(segment_bytes, "segment_bytes", MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES) & ~7
        size = 0 if record_size is None else integer(record_size, "record_size", 1, segment_bytes - 128)
        first = integer(initial_offset, "initial_offset", 0, (1 << 63) - 1)
        interval = integer(sync_interval_ms, "sync_interval_ms", 1, 3_600_000)
        # Order: maintenance, then admin. Compaction and snapshots hold the first for long and the second only to swap,
        # so appends that need another segment never wait for them.
        self._maintenance = threading.RLock()
        self._admin = threading.RLock()
        self._compacting = False
        self._lock_descriptor = -1
        self._checkpoint_file = -1
        self._initial_offset = first
        self._durability: Durability = durability
        self._mode: Mode = mode
        self._recovery = RecoveryReport()
        self._configure(
            absolute_path(path, "path"),
            REAL_DISK if _disk is None else _disk,
            mode == "r",
            durability == "power" and mode == "a",
            segment_bytes,
            size,
            clock,
            interval,
        )
        if mode == "r":
            self._open_reader(size or None)
        else:
            self._open_writer(size or None)

    # ------------------------------------------------------------ opening

    def _open_writer(self, record_size: int | None) -> None:
        disk = self._disk
        directory.prepare(disk, self.path)
        if not os.path.lexists(os.path.join(self.path, manifest.NAME)):
            directory.check_new(self.path)
        self._lock_descriptor = directory.lock(disk, self.path)
        try:
            self._reserve = Reserve(disk, self.path)
            self._recover(record_size)
            if not self._recovery.problems:
                self._refill_reserve()
        except DiskFullError as error:
            self._release()
            hint = "free some space and open it again; with mode='r' it can be read meanwhile"
            raise DiskFullError(
                error.path, error.operation, error.errno, os.strerror(error.errno), hint=hint
            ) from error
        except BaseException:
            self._release()
            raise

    def _recover(self, record_size: int | None) -> None:
        disk = self._disk
        name = os.path.join(self.path, manifest.NAME)
        # A writer that was killed may have renamed or removed names without making that durable. What follows builds on
        # what the directory says now, so that has to be what a power cut leaves as well.
        disk.sync_directory(self.path)
        if os.path.lexists(name):
            named = manifest.load(disk, self.path)
        else:
            directory.check_new(self.path)
            disk.sync_directory(os.path.dirname(self.path))
            # Named before there is anything to name: a directory with segments and no manifest has lost it, and is not
            # new.
            named = Manifest(random_u64(), 1, self._initial_offset, self._initial_offset, self._record_size, 0)
            manifest.save(disk, self.path, named)
        self._adopt(named, record_size)
        removed = directory.clean(disk, self.path, named)
        live = Live.open(os.path.join(self.path, directory.LIVE), named.log_id, disk=disk)
        checkpoint = directory.load_checkpoint(disk, self.path, named.log_id)
        try:
            found = recovery.recover(
                disk,
                self.path,
                named,
                checkpoint,
                live.failed_offset,
                writable=True,
                rewrite=live.recovery_failed,
                spend=self._reserve.spend,
            )
        except SyncFailedError:
            live.note_recovery_failure()
            raise
        found.report.removed.extend(removed)
        self._recovery = found.report
        self._lost = found.lost
        if not found.report.clean and not found.report.problems:
            lowest = min(named.lowest_offset, found.next_offset)
            named = self._manifest(tuple(found.segments), lowest, named.sequence + 1)
            self._reserve.spend(lambda: manifest.save(disk, self.path, named))
        for name in found.removals:
            if os.path.lexists(name):
                disk.unlink(name)
        if not found.report.problems:
            self._checkpoint_file = directory.open_checkpoint(disk, self.path)
        live.begin(found.next_offset, named.sequence)
        self._begin(
            tuple(found.segments),
            named.lowest_offset,
            found.next_offset,
            named.sequence,
            live,
            bool(found.report.problems),
            self._checkpoint_file,
            checkpoint.sequence if checkpoint else 0,
        )

    def _adopt(self, named: Manifest, record_size: int | None) -> None:
        """Take what the log was created with; what the caller says must agree."""
        stored = named.record_size or None
        if record_size is not None and record_size != stored:
            raise OptionMismatchError(self.path, "record_size", stored, record_size)
        self._log_id = named.log_id
        self._initial_offset = named.initial_offset
        self._set_record_size(named.record_size)

    def _open_reader(self, record_size: int | None) -> None:
        directory.check_present(self.path)
        self._load(record_size)

    def _load(self, record_size: int | None) -> None:
        """Load the manifest and the segments it names; the writer may replace both meanwhile."""
        live_path = os.path.join(self.path, directory.LIVE)
        known = {(s.store.segment_id, s.next_offset): s for s in self._segments if s.sealed}
        attempt = 0
        while True:
            attempt += 1
            named = manifest.load(self._disk, self.path)
            self._adopt(named, record_size)
            live = self._live or Live.open_reader(live_path, named.log_id, self._disk)
            if live is not None:
                live.judge()
            found = recovery.Recovered(next_offset=named.lowest_offset)
            try:
                if live is None or not live.trusted:
                    checkpoint = directory.load_checkpoint(self._disk, self.path, named.log_id)
                    found = recovery.recover(self._disk, self.path, named, checkpoint, None, writable=False)
                else:
                    recovery.follow(self._disk, self.path, named, known, found)
            except (DiskError, StorageError):
                if manifest.load(self._disk, self.path).sequence == named.sequence or attempt == _REFRESH_ATTEMPTS:
                    raise
                continue
            if not found.report.problems or attempt == _REFRESH_ATTEMPTS:
                break
            if manifest.load(self._disk, self.path).sequence == named.sequence:
                break
        self._recovery = found.report
        self._lost = found.lost
        end = found.next_offset
        if live is not None and live.trusted:
            end = live.visible_next if live.generation >= named.sequence else self._end_of(found, named, live)
        if self._state == CLOSED:
            self._begin(tuple(found.segments), named.lowest_offset, end, named.sequence, live, False)
        else:
            self._install(tuple(found.segments), None, named.lowest_offset, end, named.sequence)

    @staticmethod
    def _end_of(found: recovery.Recovered, named: Manifest, live: Live) -> int:
        """Visible end by a manifest that is newer than what the live page says."""
        if not found.segments:
            return named.lowest_offset
        last = found.segments[-1]
        return last.next_offset if last.sealed else max(last.base_offset, live.visible_next)

    def _refresh(self) -> None:
        """Catch up with a manifest that the writer has replaced; called by the native reader."""
        with self._admin:
            self._load(None)

    # ------------------------------------------------------------ properties

    @property
    def durability(self) -> Durability:
        """``"power"`` or ``"process"``."""
        return self._durability

    @property
    def mode(self) -> Mode:
        """``"a"`` or ``"r"``."""
        return self._mode

    @property
    def record_size(self) -> int | None:
        """Bytes of every value in a log of fixed-length records, else ``None``."""
        return self._record_size or None

    @property
    def recovery(self) -> RecoveryReport:
        """What opening the log found."""
        return self._recovery

    def __repr__(self) -> str:
        # As far as it is known: no look at the disk, no lock, no error, whatever state the log is in.
        state = f"offsets {self._lowest} to {self._visible}"
        if not self._is_ours():
            state = "of the parent process"
        elif self.closed:
            state = "closed"
        return f"<striate.Log {self.path!r} {state}>"

    def __enter__(self) -> Log:
        self._check_usable()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ dropping records

    def truncate_before(self, offset: int) -> int:
        """Drop all records before an offset, which may be anything up to :attr:`next_offset`.

        Returns:
            The new :attr:`lowest_offset`. An offset below the lowest changes nothing.

        Raises:
            OffsetOutOfRangeError: above :attr:`next_offset`. ReadOnlyError, LogClosedError, DiskError.

        Durable on return. Whole segments give their space back; views keep theirs until they are released.
        """
        offset = integer(offset, "offset", 0, (1 << 63) - 1)
        with self._maintenance, self._exclusive():
            if offset > self._written_next:
                raise OffsetOutOfRangeError(offset, self._lowest, self._written_next)
            if offset <= self._lowest:
                return int(self._lowest)
            active = self._active
            if active is not None and active.next_offset <= offset:
                self._quiesce()
            elif any(s.next_offset <= offset and not s.sealed for s in self._segments):
                self._drain()
            kept = tuple(s for s in self._segments if s.next_offset > offset)
            removed = tuple(s for s in self._segments if s.next_offset <= offset)
            self._commit(kept, self._active, offset, self._written_next, removed=removed)
            return offset

    def truncate_after(self, offset: int) -> int:
        """Drop all records after an offset; the record at the offset stays.

        Args:
            offset: from ``lowest_offset - 1`` (drops everything) on.

        Returns:
            The new :attr:`next_offset`. An offset at or above the last changes nothing.

        Raises:
            OffsetOutOfRangeError: below the range. ReadOnlyError, LogClosedError, DiskError.

        Durable on return. The segment that is cut is written anew under another id (frames of the old file can never be
        taken for live ones, and views of it stay as they were); the next append begins another segment or goes on
        there.
        """
        offset = integer(offset, "offset", -1, (1 << 63) - 1)
        with self._maintenance, self._exclusive():
            if offset < self._lowest - 1:
                raise OffsetOutOfRangeError(offset, self._lowest, self._written_next)
            following = offset + 1
            if following >= self._written_next:
                return int(self._written_next)
            self._quiesce()
            kept = tuple(s for s in self._segments if s.next_offset <= following)
            cut = tuple(s for s in self._segments if s.base_offset < following < s.next_offset)
            removed = tuple(s for s in self._segments if s.next_offset > following)
            copies = tuple(self._rewrite(s, s.offsets(None, following), following) for s in cut)
            lowest = min(self._lowest, following)
            if not copies and following > (kept[-1].next_offset if kept else lowest):
                # Compaction has dropped everything around the cut: an empty segment says where the log goes on.
                copies = (self._sealed(self._new_segment(following, 0)),)
            try:
                self._commit((*kept, *copies), None, lowest, following, visible=following, removed=removed)
            except BaseException:
                self._discard(*copies)
                raise
            return following

    def reset(self, initial_offset: int | None = None) -> None:
        """Drop all records; the next append gets ``initial_offset`` (default: the one the log was created with).
        Durable on return."""
        first = self._initial_offset if initial_offset is None else initial_offset
        first = integer(first, "initial_offset", 0, (1 << 63) - 1)
        with self._maintenance, self._exclusive():
            self._quiesce()
            self._commit((), None, first, first, visible=first, removed=self._segments)

    def retain(
        self,
        *,
        max_bytes: int | None = None,
        max_age: float | timedelta | None = None,
        min_offset: int | None = None,
        keep_records: int = 0,
    ) -> int:
        """Drop the oldest whole segments that any of the rules lets go; the last segment always stays.

        Args:
            max_bytes: drop while the log's frames exceed it. max_age: drop segments whose last record is older (seconds
                or ``timedelta``). min_offset: drop segments that end before it. keep_records: never go below this many.

        Returns:
            How many records were dropped.
        """
        limit = None if max_bytes is None else integer(max_bytes, "max_bytes", 0, 1 << 62)
        oldest = None if max_age is None else self._now_us() - microseconds(max_age, "max_age")
        first = None if min_offset is None else integer(min_offset, "min_offset", 0, (1 << 63) - 1)
        least = integer(keep_records, "keep_records", 0, (1 << 63) - 1)
        with self._maintenance, self._admin:
            self._raise_unless_open()
            segments = self._segments
            size = sum(s.end_position for s in segments)
            records = self._count_records(segments)
            before = records
            boundary = self._lowest
            for segment in segments[:-1]:
                count = self._count_records((segment,))
                goes = (
                    (limit is not None and size > limit)
                    or (oldest is not None and segment.last_timestamp_us < oldest)
                    or (first is not None and segment.next_offset <= first)
                )
                if not goes or records - count < least:
                    break
                size -= segment.end_position
                records -= count
                boundary = segment.next_offset
            if boundary > self._lowest:
                self.truncate_before(boundary)
            return before - records

    def _now_us(self) -> int:
        clock = self._clock
        return integer(clock(), "the clock's time", 0, (1 << 63) - 1) if clock is not None else time.time_ns() // 1000

    def compact(
        self,
        *,
        tombstone_grace: float | timedelta = DEFAULT_TOMBSTONE_GRACE,
        progress: Callable[[int, int], None] | None = None,
    ) -> CompactionResult:
        """Keep the latest record of each key, and merge small segments. See :mod:`striate.storage.compaction`."""
        from striate.storage.compaction import compact

        check_progress(progress)
        return compact(self, microseconds(tombstone_grace, "tombstone_grace"), progress)

    def snapshot(self, path: str | os.PathLike[str]) -> SnapshotInfo:
        """Copy the log as it is now into a new directory. See :mod:`striate.storage.snapshot`."""
        from striate.storage.snapshot import snapshot

        return snapshot(self, absolute_path(path, "path"))

    @classmethod
    def restore(cls, snapshot: str | os.PathLike[str], path: str | os.PathLike[str], **options: Any) -> Log:
        """Copy a snapshot, every checksum verified, into a new directory and open it as a log.

        Args:
            snapshot: directory made by :meth:`snapshot`. path: new or empty directory. options: as for :class:`Log`.

        Raises:
            CorruptError: the snapshot does not verify; nothing is left at ``path``. PathExistsError, LogNotFoundError,
            DiskError.
        """
        from striate.storage.snapshot import restore

        if cls.__init__ is Log.__init__:
            _Unopened(path, **options)  # refuses wrong options before anything is copied
        restore(absolute_path(snapshot, "snapshot"), absolute_path(path, "path"))
        return cls(path, **options)

    # ------------------------------------------------------------ reading beyond single records

    def read_batch(self, start: int | None = None, max_bytes: int = DEFAULT_BATCH_BYTES) -> RecordBatch:
        """Read consecutive records as columns over one buffer, without copying values; every checksum is verified.

        Args:
            start: first offset, default the lowest. max_bytes: of frames; one record is given even if it is larger.

        Returns:
            A :class:`~striate.RecordBatch` of one segment's records; empty at the end of the log. Its ``next_offset``
            is where to go on.

        Raises:
            As :meth:`read`.
        """
        from striate.storage.columnar import RecordBatch

        return RecordBatch(self._read_columns(start, max_bytes))

    def batches(
        self, start: int | None = None, stop: int | None = None, max_bytes: int = DEFAULT_BATCH_BYTES
    ) -> RecordBatches:
        """Iterate over :meth:`read_batch` from ``start`` to ``stop``; also an Arrow stream (``__arrow_c_stream__``)."""
        from striate.storage.columnar import RecordBatches

        first = self.lowest_offset if start is None else integer(start, "start", 0, (1 << 63) - 1)
        last = self.next_offset if stop is None else min(integer(stop, "stop", 0, (1 << 63) - 1), self.next_offset)
        if not self.lowest_offset <= first <= self.next_offset:
            raise OffsetOutOfRangeError(first, self.lowest_offset, self.next_offset)
        return RecordBatches(lambda at: self.read_batch(at, max_bytes), first, last)

    def open_reader(self, start: int | None = None, stop: int | None = None) -> io.BufferedReader:
        """The values from ``start`` to ``stop`` as one byte stream: each a little-endian u32 length, then the bytes."""
        from striate.storage.byte_reader import LengthPrefixed

        return io.BufferedReader(LengthPrefixed(self.batches(start, stop)))

    def follow(self, start: int | None = None, *, timeout: float | None = None) -> Iterator[Record]:
        """Iterate over records as they come, sleeping in between.

        Args:
            start: first offset, default :attr:`next_offset` at the call. timeout: seconds without a new record after
                which the iteration ends; ``None`` for no end.

        The iteration ends when the log is closed. Raises as :meth:`scan`, also when the log is truncated to before
        where the iteration stands (noticed when it sleeps or wakes, so not if as many records are appended first).
        """
        position = self.next_offset if start is None else integer(start, "start", 0, (1 << 63) - 1)
        if not self.lowest_offset <= position <= self.next_offset:
            raise OffsetOutOfRangeError(position, self.lowest_offset, self.next_offset)
        check_timeout(timeout)
        return self._follow_from(position, timeout)

    def _follow_from(self, position: int, timeout: float | None) -> Iterator[Record]:
        # Another thread may close the log between any two steps; the next one then raises.
        with contextlib.suppress(LogClosedError):
            while True:
                end = self.next_offset
                for record in self.scan(position, end):
                    position = record.offset + 1
                    yield record
                    if self.closed:
                        return
                position = max(position, end)  # compaction may have dropped the last ones
                if not self._sleep(position, _nanoseconds(timeout), True) and timeout is not None:
                    return

    def wait(self, offset: int, timeout: float | None = None) -> bool:
        """Sleep until a record at ``offset`` or later can be read.

        Args:
            timeout: seconds, or ``None`` for no limit.

        Returns:
            Whether it can; ``False`` after the timeout or when the log is closed meanwhile. Uses no CPU while it
            sleeps; a signal handler that raises ends it.
        """
        position = integer(offset, "offset", 0, (1 << 63) - 1)
        check_timeout(timeout)
        return bool(self._sleep(position, _nanoseconds(timeout)))

    def offset_for_time(self, timestamp: int | datetime) -> int:
        """The first offset at or after a time (microseconds since the epoch, or an aware ``datetime``).

        Returns:
            That offset, or :attr:`next_offset` when all records are older.
        """
        if isinstance(timestamp, datetime):
            if timestamp.tzinfo is None:
                raise InvalidArgumentError("timestamp", "a datetime with a time zone", timestamp)
            timestamp = (timestamp - _EPOCH) // timedelta(microseconds=1)
        return int(self._find_time(integer(timestamp, "timestamp", 0, (1 << 63) - 1)))

    def sync(self) -> int:
        """Make everything appended so far durable.

        Returns:
            :attr:`durable_offset`.

        Raises:
            SyncFailedError: and the log takes no more writes.
        """
        return int(self._sync_written())

    # ------------------------------------------------------------ figures

    def segments(self) -> list[SegmentInfo]:
        """The segments, oldest first."""
        self._check_usable()
        return [SegmentInfo.of(self.path, segment) for segment in self._measured()]

    def _measured(self) -> tuple[Segment, ...]:
        """The segments, with the ends and times of those that another process appends to."""
        segments = self._segments
        for segment in segments:
            segment.measure()
        return segments

    def stats(self) -> LogStats:
        """Figures of this moment."""
        self._check_usable()
        segments = self._measured()
        appends, syncs = self._counters
        filled = [segment for segment in segments if segment.record_count]
        return LogStats(
            records=self._count_records(segments),
            size_bytes=sum(s.end_position for s in segments),
            allocated_bytes=sum(s.allocated_bytes + 8 * s.record_count * (not self._record_size) for s in segments),
            segments=len(segments),
            lowest_offset=self.lowest_offset,
            next_offset=self.next_offset,
            durable_offset=self.durable_offset,
            appends=appends,
            syncs=syncs,
            first_timestamp=filled[0].first_timestamp_us if filled else None,
            last_timestamp=filled[-1].last_timestamp_us if filled else None,
        )

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Read and check every byte. See :func:`striate.storage.check.verify`."""
        from striate.storage.check import verify

        check_progress(progress)
        return verify(self, progress)

    # ------------------------------------------------------------ closing

    def _raise_damaged(self) -> None:
        problem = self._recovery.problems[0]
        raise DamagedLogError(problem.path, problem.reason, position=problem.position, offset=problem.offset)

    def close(self) -> None:
        """Make everything durable, seal the last segment, and let the next writer in. Again: nothing happens.

        Sleeping readers wake up and end. Views and batches stay valid.

        Raises:
            SyncFailedError, DiskError: the log is closed all the same; what was acknowledged is safe.
        """
        with self._maintenance, self._admin:
            if not self._is_ours():
                return
            try:
                if self._mode == "a" and self._state == OPEN:
                    with self._exclusive():
                        self._quiesce()
            finally:
                # Interrupted at any place, it is finished by another call or when the object goes.
                try:
                    self._set_state(CLOSED)
                    self._stop_threads()
                finally:
                    self._release()

    def _release(self) -> None:
        if self._lock_descriptor >= 0:
            directory.unlock(self._lock_descriptor)
        # Forgotten before they are closed: a number that is closed twice may be another file's by then.
        descriptors = self._checkpoint_file, self._lock_descriptor
        self._checkpoint_file = self._lock_descriptor = -1
        for descriptor in descriptors:
            if descriptor >= 0:
                self._disk.close_file(descriptor)

    def __del__(self) -> None:
        # A log that was dropped without close() is a killed writer to the next one; only its lock is given back here.
        if getattr(self, "_lock_descriptor", -1) >= 0 and self._is_ours():
            self._set_state(CLOSED)
            self._stop_threads()
            self._release()


def _nanoseconds(timeout: float | None) -> int:
    return -1 if timeout is None else int(min(timeout, 1e9) * 1e9)


class _Unopened(Log):
    """A log that looks at its options and at no more."""

    def _open_writer(self, record_size: int | None) -> None:
        pass

    _open_reader = _open_writer
