"""How a log's list of segments changes: rolling, resuming, sealing, replacing, removing.

Each change runs under the admin lock, with appends frozen and, where a sync could be in the way, with the sync
leadership. Always in one order: new files, manifest, new state in memory, then removal of what the manifest no longer
names (RULES §4.6, §4.12).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator
from typing import NoReturn

from striate._native.log import LogCore
from striate._native.segment import Segment, file_names
from striate.errors import DiskError, InvalidTypeError, StorageError, SyncFailedError
from striate.storage import manifest
from striate.storage.manifest import Manifest, SegmentEntry
from striate.storage.reserve import Reserve

FOOTER_BYTES = 64
OPEN, FROZEN, FAILED, DAMAGED, CLOSED = range(5)  # states of a log, as in native/reader.pxd


def random_u64() -> int:
    """A random id; never 0, so that zeros on disk never look like one."""
    return secrets.randbits(64) or 1


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return -1  # gone or out of reach: the next thing done there says so


class SegmentList(LogCore):
    """The segments of a log that is open for appending. :class:`~striate.Log` is the class to use.

    Attributes:
        _admin: held for every structural change. _compacting: compaction works on the sealed segments; none may be
            resumed. _reserve: blocks for a full disk; under ``_admin``, and not there when the log is read-only.
    """

    _admin: threading.RLock
    _compacting: bool
    _log_id: int
    _initial_offset: int
    _reserve: Reserve

    def __reduce__(self) -> NoReturn:
        # Copies and other processes would share what only one may have: the lock, the threads, the end.
        expected = "anything but a log, whose path can be opened where it is needed"
        raise InvalidTypeError("what is copied or pickled", expected, type(self))

    @contextlib.contextmanager
    def _exclusive(self, *, lead: bool = True) -> Iterator[None]:
        """One structural change at a time: no append gets in and, with ``lead``, no sync runs.

        A sync of whatever file that fails meanwhile ends the writing: what the disk has is unknown from there on.
        """
        with self._admin:
            self._raise_unless_open()
            # All within the try: a signal that came while a call waited raises as soon as that returns.
            try:
                if lead:
                    self._lead()
                self._set_state(FROZEN)
                yield
            except SyncFailedError as error:
                self._fail(error.errno)
                raise
            finally:
                try:
                    if self._state == FROZEN:
                        self._set_state(OPEN)
                finally:
                    if lead:
                        self._resign()

    @contextlib.contextmanager
    def _leadership(self, wanted: bool = True) -> Iterator[None]:
        """No sync runs but the caller's own, if that is ``wanted``."""
        try:
            if wanted:
                self._lead()
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
        self._prepare_first(created, active.end_position if active is not None else 0)
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
            segment_id=random_u64(),
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
            and _size(last.store.path) == last.end_position + FOOTER_BYTES
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

    def _count_records(self, segments: tuple[Segment, ...]) -> int:
        """Records at or above the lowest offset."""
        lowest = self._lowest
        return sum(s.record_count if s.base_offset >= lowest else s.count_from(lowest) for s in segments)
