"""The segmented commit log: :class:`Log`.

Appending, reading and group commit are native (``striate._native.log``); here is what is rare: opening and closing,
rolling to a new segment, truncation, retention. Each structural change runs under the admin lock, with the sync
leadership, and with appends frozen, in one order: new files, manifest, new state in memory, then removal of what the
manifest no longer names.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from striate._native.io import REAL_DISK, Disk
from striate._native.live import Live
from striate._native.log import LogCore
from striate._native.record import Record
from striate._native.segment import Segment, file_names
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
from striate.storage.info import SegmentInfo
from striate.storage.manifest import Manifest, SegmentEntry
from striate.storage.reserve import Reserve
from striate.types import CompactionResult, Durability, LogStats, Mode, RecoveryReport, SnapshotInfo, VerifyReport

if TYPE_CHECKING:
    from striate.storage.columnar import RecordBatch, RecordBatches

__all__ = ["Log"]

DEFAULT_SEGMENT_BYTES = 128 << 20
MIN_SEGMENT_BYTES = 4096
FOOTER_BYTES = 64
MAX_SEGMENT_BYTES = 0xFFFFFFF0 * 8
DEFAULT_SYNC_INTERVAL_MS = 1000
DEFAULT_BATCH_BYTES = 1 << 20
DEFAULT_TOMBSTONE_GRACE = timedelta(days=1)
_OPEN, _FROZEN, _FAILED, _DAMAGED, _CLOSED = range(5)
_REFRESH_ATTEMPTS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _random_u64() -> int:
    """A random id; never 0, so that zeros on disk never look like one."""
    return secrets.randbits(64) or 1


def _integer(value: object, name: str, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidTypeError(name, "an int", type(value))
    try:
        number = int(value.__index__())
    except TypeError:
        raise InvalidTypeError(name, "an int", type(value)) from None
    if not lowest <= number <= highest:
        raise InvalidArgumentError(name, f"from {lowest} to {highest}", number)
    return number


def _absolute(path: object, name: str) -> str:
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise InvalidTypeError(name, "a str or os.PathLike", type(path))
    text = os.fspath(path)
    if "\0" in text or not text:
        raise InvalidArgumentError(name, "a file system path", text)
    return os.path.abspath(text)


def _check_timeout(timeout: object) -> None:
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float))):
        raise InvalidTypeError("timeout", "seconds or None", type(timeout))
    if timeout is not None and not timeout >= 0:
        raise InvalidArgumentError("timeout", "0 or more seconds", timeout)


def microseconds(value: float | timedelta, name: str) -> int:
    """A duration in seconds or as ``timedelta``, as microseconds."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(name, "seconds or a timedelta", type(value))
    if not 0 <= value < 1e12:
        raise InvalidArgumentError(name, "0 or more seconds", value)
    return int(value * 1_000_000)


class Log(LogCore):
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
        segment_bytes = _integer(segment_bytes, "segment_bytes", MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES) & ~7
        size = 0 if record_size is None else _integer(record_size, "record_size", 1, segment_bytes - 128)
        first = _integer(initial_offset, "initial_offset", 0, (1 << 63) - 1)
        interval = _integer(sync_interval_ms, "sync_interval_ms", 1, 3_600_000)
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
            _absolute(path, "path"),
            REAL_DISK if _disk is None else _disk,
            mode == "r",
            durability == "power" and mode == "a",
            segment_bytes,
            size,
            clock,
            interval,
        )
        if mode == "r":
            self._open_reader(record_size)
        else:
            self._open_writer(record_size)

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
            named = Manifest(_random_u64(), 1, self._initial_offset, self._initial_offset, self._record_size, 0)
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
        if self._state == _CLOSED:
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
        if self.closed:
            return f"<striate.Log {self.path!r} closed>"
        return f"<striate.Log {self.path!r} offsets {self.lowest_offset} to {self.next_offset}>"

    def __enter__(self) -> Log:
        self._check_usable()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ structural changes

    @contextlib.contextmanager
    def _exclusive(self, *, lead: bool = True) -> Iterator[None]:
        """One structural change at a time: no append gets in and, with ``lead``, no sync runs.

        A sync of whatever file that fails meanwhile ends the writing: what the disk has is unknown from there on.
        """
        with self._admin:
            self._raise_unless_open()
            if lead:
                self._lead()
            try:
                self._set_state(_FROZEN)
                try:
                    yield
                except SyncFailedError as error:
                    self._fail(error.errno)
                    raise
                finally:
                    if self._state == _FROZEN:
                        self._set_state(_OPEN)
            finally:
                if lead:
                    self._resign()

    @contextlib.contextmanager
    def _leadership(self, wanted: bool = True) -> Iterator[None]:
        """No sync runs but the caller's own, if that is ``wanted``."""
        if wanted:
            self._lead()
        try:
            yield
        finally:
            if wanted:
                self._resign()

    def _manifest(
        self, segments: tuple[Segment, ...], lowest: int, sequence: int, *, reopened: Segment | None = None
    ) -> Manifest:
        entries = tuple(SegmentEntry.of(s, sealed=False if s is reopened else None) for s in segments)
        return Manifest(self._log_id, sequence, lowest, self._initial_offset, self._record_size, 0, entries)

    def _commit(
        self,
        segments: tuple[Segment, ...],
        active: Segment | None,
        lowest: int,
        next_offset: int,
        *,
        visible: int | None = None,
        removed: tuple[Segment, ...] = (),
        spend: bool = True,
    ) -> None:
        """Name another list of segments in the manifest, take it in memory, then remove the files of those that went.

        Args:
            visible: new visible end, when it changes with this. spend: whether the reserve may be used; not for
                appends, which are what fills a disk.
        """
        sequence = self._generation + 1
        self._save(self._manifest(segments, lowest, sequence), spend=spend)
        if visible is not None:
            self._settle(visible, True)
        self._announce(sequence)
        self._install(segments, active, lowest, next_offset, sequence)
        with contextlib.suppress(DiskError):
            # The change is made and durable; a file that cannot be removed now is removed, and reported, at the next
            # opening.
            self._remove(removed)

    def _save(self, named: Manifest, *, spend: bool) -> None:
        def save() -> None:
            manifest.save(self._disk, self.path, named)

        if spend:
            self._reserve.spend(save)
        else:
            save()
        self._refill_reserve()

    def _announce(self, sequence: int) -> None:
        """Tell readers of another manifest."""
        live = self._live
        assert live is not None, "a writer has a live page"
        live.set_generation(sequence)

    def _remove(self, segments: tuple[Segment, ...]) -> None:
        for segment in segments:
            for name in file_names(self.path, segment.base_offset, segment.revision):
                if os.path.lexists(name):
                    self._disk.unlink(name)
        if segments:
            self._refill_reserve()

    def _refill_reserve(self) -> DiskError | None:
        """Make the reserve whole, or stop taking blocks for records until that can be done."""
        problem = self._reserve.refill(manifest.size_bytes(len(self._segments) + 1))
        self._hold_growth(problem is not None)
        return problem

    def _extend(self, size_bytes: int, records: int) -> None:
        """Make room for a batch: blocks in the active segment, or another segment. Called by the native append."""
        with self._admin:
            self._raise_unless_open()
            if (problem := self._refill_reserve()) is not None:
                raise problem
            if self._grow(size_bytes, records):
                return
            # A full segment that is left to the sync thread does not have to wait for the sync that runs.
            with self._exclusive(lead=not self._retires):
                self._roll(size_bytes)

    @property
    def _retires(self) -> bool:
        """Whether full segments are sealed later, by the next sync."""
        return not self._power and bool(self._disk.background or self._disk.deferred)

    def _roll(self, size_bytes: int) -> None:
        """End the active segment, if there is one, and begin another that takes ``size_bytes`` of frames."""
        segments, active, following = self._segments, self._active, self._written_next
        if active is None and segments and self._can_resume(segments[-1], size_bytes):
            self._resume(segments)
            return
        # A segment without records makes way: no two of a log have one base offset.
        blank = tuple(s for s in segments[-1:] if s.next_offset == s.base_offset)
        created = self._new_segment(following, size_bytes)
        self._prepare_first(created)
        try:
            if active is not None and not blank:
                self._put_away(active)
            self._disk.sync_directory(self.path)
            # A sync that runs works on the active segment, which must not go meanwhile.
            with self._leadership(bool(blank) and self._retires):
                kept = segments[: len(segments) - len(blank)]
                self._commit((*kept, created), created, self._lowest, following, removed=blank, spend=False)
        except BaseException:
            # The old segment takes no more (it may be sealed by now), so the next append tries this again.
            self._install(segments, active if blank else None, self._lowest, following, self._generation)
            self._discard(created)
            raise

    def _discard(self, *segments: Segment) -> None:
        """Remove new files after a failure, unless the manifest on disk names them: a save that failed may have got as
        far as the rename. What is left is removed at the next opening."""
        with contextlib.suppress(StorageError):
            entries = manifest.load(self._disk, self.path).entries
            named = {(entry.base_offset, entry.revision) for entry in entries}
            self._remove(tuple(s for s in segments if (s.base_offset, s.revision) not in named))

    def _new_segment(self, base_offset: int, size_bytes: int, revision: int = 0, capacity: int = 0) -> Segment:
        while any(os.path.lexists(name) for name in file_names(self.path, base_offset, revision)):
            revision += 1  # of a segment that is about to be removed, or of work that was interrupted
        return Segment.create(
            self.path,
            base_offset,
            revision,
            log_id=self._log_id,
            segment_id=_random_u64(),
            capacity=capacity or max(self.segment_bytes, 64 + size_bytes),
            base_timestamp_us=self._last_timestamp_us,
            record_size=self._record_size,
            disk=self._disk,
        )

    def _put_away(self, active: Segment) -> None:
        """Seal a segment that is full, or leave that to the sync thread where durability does not wait for it."""
        if self._retires:
            self._prepare_for(None)
            if not self._retire(active):
                with self._leadership():
                    self._drain()
                self._retire(active)
            self._request_sync()
            return
        self._seal(active)
        self._settle(self._written_next)

    def _seal(self, segment: Segment) -> None:
        if segment.sealed:
            return
        self._prepare_for(None)
        try:
            segment.seal_now()
        except DiskError as error:
            self._fail(error.errno)
            raise

    def _can_resume(self, last: Segment, size_bytes: int) -> bool:
        """Whether the last segment, sealed by an orderly close, can take more: so reopening does not pile up
        segments."""
        if last.sealed:
            last.save_index()
        return bool(
            last.sealed
            and not self._compacting
            and not last.gaps
            and not last.damage
            and last.next_offset == self._written_next
            and last.end_position + size_bytes <= min(last.store.capacity, self.segment_bytes)
            and os.path.getsize(last.store.path) == last.end_position + FOOTER_BYTES
        )

    def _resume(self, segments: tuple[Segment, ...]) -> None:
        last = segments[-1]
        entry = SegmentEntry.of(last)
        sequence = self._generation + 1
        named = self._manifest(segments, self._lowest, sequence, reopened=last)
        # Unsealed in the manifest before the first byte behind its frames changes.
        self._save(named, spend=False)
        self._announce(sequence)
        # Taken at once: should resuming fail, the next manifest must not get the same sequence, by which readers tell
        # them apart.
        self._install(segments, None, self._lowest, self._written_next, sequence)
        active = Segment.resume(self.path, entry, self._disk)
        self._install((*segments[:-1], active), active, self._lowest, self._written_next, sequence)

    def _quiesce(self) -> None:
        """Seal everything there is, the active segment too. Within :meth:`_exclusive`."""
        self._drain()
        active = self._active
        if active is not None:
            removed: tuple[Segment, ...] = (active,)
            segments = self._segments[:-1]
            reached = segments[-1].next_offset if segments else self._lowest
            # One without records is of use only when nothing else says where the log goes on.
            if active.record_count or active.base_offset > reached:
                self._seal(active)
                segments, removed = self._segments, ()
            self._settle(self._written_next)
            # In memory at once: should the manifest not be written, the sealed segment must not be taken for active.
            self._install(self._segments, None, self._lowest, self._written_next, self._generation)
            self._commit(segments, None, self._lowest, self._written_next, removed=removed)

    def truncate_before(self, offset: int) -> int:
        """Drop all records before an offset, which may be anything up to :attr:`next_offset`.

        Returns:
            The new :attr:`lowest_offset`. An offset below the lowest changes nothing.

        Raises:
            OffsetOutOfRangeError: above :attr:`next_offset`. ReadOnlyError, LogClosedError, DiskError.

        Durable on return. Whole segments give their space back; views keep theirs until they are released.
        """
        offset = _integer(offset, "offset", 0, (1 << 63) - 1)
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
        offset = _integer(offset, "offset", -1, (1 << 63) - 1)
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

    def _rewrite(self, source: Segment, offsets: list[int], next_offset: int) -> Segment:
        """A sealed copy of some records of a segment, under another revision, that ends at ``next_offset``."""
        copy = self._new_segment(source.base_offset, 0, source.revision + 1, source.store.capacity)
        try:
            copy.copy_from(source, offsets)
            copy.end_at(next_offset)
        except BaseException:
            self._remove((copy,))
            raise
        return self._sealed(copy)

    def _sealed(self, segment: Segment) -> Segment:
        """Seal a segment that nothing names yet, and open it again as such."""
        try:
            segment.seal_now()
            self._disk.sync_directory(self.path)
            return Segment.open_sealed(self.path, SegmentEntry.of(segment), self._disk)
        except BaseException:
            self._remove((segment,))
            raise

    def reset(self, initial_offset: int | None = None) -> None:
        """Drop all records; the next append gets ``initial_offset`` (default: the one the log was created with).
        Durable on return."""
        first = self._initial_offset if initial_offset is None else initial_offset
        first = _integer(first, "initial_offset", 0, (1 << 63) - 1)
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
        limit = None if max_bytes is None else _integer(max_bytes, "max_bytes", 0, 1 << 62)
        oldest = None if max_age is None else self._now_us() - microseconds(max_age, "max_age")
        first = None if min_offset is None else _integer(min_offset, "min_offset", 0, (1 << 63) - 1)
        least = _integer(keep_records, "keep_records", 0, (1 << 63) - 1)
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
        return int(clock()) if clock is not None else time.time_ns() // 1000

    def _count_records(self, segments: tuple[Segment, ...]) -> int:
        """Records at or above the lowest offset."""
        lowest = self._lowest
        return sum(s.record_count if s.base_offset >= lowest else s.count_from(lowest) for s in segments)

    def compact(
        self,
        *,
        tombstone_grace: float | timedelta = DEFAULT_TOMBSTONE_GRACE,
        progress: Callable[[int, int], None] | None = None,
    ) -> CompactionResult:
        """Keep the latest record of each key, and merge small segments. See :mod:`striate.storage.compaction`."""
        from striate.storage.compaction import compact

        if progress is not None and not callable(progress):
            raise InvalidTypeError("progress", "a callable", type(progress))
        return compact(self, microseconds(tombstone_grace, "tombstone_grace"), progress)

    def snapshot(self, path: str | os.PathLike[str]) -> SnapshotInfo:
        """Copy the log as it is now into a new directory. See :mod:`striate.storage.snapshot`."""
        from striate.storage.snapshot import snapshot

        return snapshot(self, _absolute(path, "path"))

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

        restore(_absolute(snapshot, "snapshot"), _absolute(path, "path"))
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

        first = self.lowest_offset if start is None else _integer(start, "start", 0, (1 << 63) - 1)
        last = self.next_offset if stop is None else min(_integer(stop, "stop", 0, (1 << 63) - 1), self.next_offset)
        if not self.lowest_offset <= first <= self.next_offset:
            raise OffsetOutOfRangeError(first, self.lowest_offset, self.next_offset)
        return RecordBatches(lambda at: self.read_batch(at, max_bytes), first, last)

    def open_reader(self, start: int | None = None, stop: int | None = None) -> io.BufferedReader:
        """The values from ``start`` to ``stop`` as one byte stream: each a little-endian u32 length, then the bytes."""
        from striate.storage.stream import LengthPrefixed

        return io.BufferedReader(LengthPrefixed(self.batches(start, stop)))

    def follow(self, start: int | None = None, *, timeout: float | None = None) -> Iterator[Record]:
        """Iterate over records as they come, sleeping in between.

        Args:
            start: first offset, default :attr:`next_offset` at the call. timeout: seconds without a new record after
                which the iteration ends; ``None`` for no end.

        The iteration ends when the log is closed. Raises as :meth:`scan`, also when the log is truncated to before
        where the iteration stands.
        """
        position = self.next_offset if start is None else _integer(start, "start", 0, (1 << 63) - 1)
        if not self.lowest_offset <= position <= self.next_offset:
            raise OffsetOutOfRangeError(position, self.lowest_offset, self.next_offset)
        _check_timeout(timeout)
        return self._follow_from(position, timeout)

    def _follow_from(self, position: int, timeout: float | None) -> Iterator[Record]:
        # Another thread may close the log between any two steps; the next one then raises.
        with contextlib.suppress(LogClosedError):
            while True:
                for record in self.scan(position):
                    position = record.offset + 1
                    yield record
                    if self.closed:
                        return
                if not self.wait(position, timeout) and timeout is not None:
                    return

    def wait(self, offset: int, timeout: float | None = None) -> bool:
        """Sleep until a record at ``offset`` or later can be read.

        Args:
            timeout: seconds, or ``None`` for no limit.

        Returns:
            Whether it can; ``False`` after the timeout or when the log is closed meanwhile. Uses no CPU while it
            sleeps; a signal handler that raises ends it.
        """
        position = _integer(offset, "offset", 0, (1 << 63) - 1)
        _check_timeout(timeout)
        return bool(self._sleep(position, -1 if timeout is None else int(min(timeout, 1e9) * 1e9)))

    def offset_for_time(self, timestamp: int | datetime) -> int:
        """The first offset at or after a time (microseconds since the epoch, or an aware ``datetime``).

        Returns:
            That offset, or :attr:`next_offset` when all records are older.
        """
        if isinstance(timestamp, datetime):
            if timestamp.tzinfo is None:
                raise InvalidArgumentError("timestamp", "a datetime with a time zone", timestamp)
            timestamp = (timestamp - _EPOCH) // timedelta(microseconds=1)
        return int(self._find_time(_integer(timestamp, "timestamp", 0, (1 << 63) - 1)))

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
        return [SegmentInfo.of(self.path, segment) for segment in self._segments]

    def stats(self) -> LogStats:
        """Figures of this moment."""
        self._check_usable()
        segments = self._segments
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
            if self.closed or not self._is_ours():
                return
            try:
                if self._mode == "a" and self._state == _OPEN:
                    with self._exclusive():
                        self._quiesce()
            finally:
                self._set_state(_CLOSED)
                self._stop_threads()
                self._release()

    def _release(self) -> None:
        if self._lock_descriptor >= 0:
            directory.unlock(self._lock_descriptor)
        for descriptor in (self._checkpoint_file, self._lock_descriptor):
            if descriptor >= 0:
                self._disk.close_file(descriptor)
        self._checkpoint_file = self._lock_descriptor = -1

    def __del__(self) -> None:
        # A log that was dropped without close() is a killed writer to the next one; only its lock is given back here.
        if getattr(self, "_lock_descriptor", -1) >= 0 and self._is_ours():
            self._set_state(_CLOSED)
            self._stop_threads()
            self._release()
