"""Compaction of a database: segments of which little counts any more are written anew without the rest.

A record of a table counts while it is its key's latest, or what readers see until the latest is durable, or while it
hides an older one that is still in the log (a deletion, or a value that has expired). Offsets do not change. As with a
log's compaction, a crash leaves either the old segments or the new ones; hints go first, since they may name keys whose
deletion is about to be dropped.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from striate._native.segment import Segment
from striate._native.streams import StreamCore
from striate._native.upkeep import copy_current, count_current, relocate
from striate.errors import DroppedError, StriateError
from striate.storage import hints
from striate.storage.manifest import SegmentEntry
from striate.types import CompactionResult

if TYPE_CHECKING:
    from striate.storage.database import Database

Progress = Callable[[int, int], None]
_SAMPLES = 512
LIVE_ENOUGH = 0.5


def compact(db: Database, live_below: float, progress: Progress | None = None) -> CompactionResult:
    """Write segments anew of which less than a part still counts.

    Args:
        live_below: that part; above 1 for all segments. progress: called with ``(bytes done, bytes in all)``.

    Raises:
        MemoryError: memory has run out between log and index, so the index does not know what counts.
    """
    log = db.log
    if db._partition.poisoned:
        raise MemoryError("memory ran out while an index was changed: open the database again")
    with log._maintenance:
        with log._exclusive():
            if live_below > 1:
                log._quiesce()
            sources = tuple(segment for segment in log._segments if segment.sealed)
            log._compacting = True
        # Native code asks views without holding them, so none may go meanwhile, dropped or not.
        with db._catalog.lock:
            held = list(db._partition._views.values())
        try:
            runs = list(_runs(db, sources, live_below))
            if runs:
                hints.drop(log._disk, db.path)
                for view in db._stream_views():
                    with contextlib.suppress(DroppedError):
                        StreamCore(view)._save_nowait()
                log.sync()
            durable = log.durable_offset
            total = sum(segment.end_position for run in runs for segment in run)
            done, before, after, made = 0, sum(s.end_position for s in sources), 0, 0
            records = log._count_records(sources)
            dropped = 0
            clean: set[int] = set()
            for run in runs:
                # What was written anew here holds nothing that a later run hides, so nor do both together.
                segments = log._segments
                first = clean.issuperset(s.base_offset for s in segments[: segments.index(run[0])])
                result = _rewrite(db, run, first, durable)
                if first:
                    clean.update(s.base_offset for s in result)
                    db._catalog.forget(min(run[-1].next_offset, durable))
                dropped += sum(s.record_count for s in run) - sum(s.record_count for s in result)
                after += sum(s.end_position for s in result) - sum(s.end_position for s in run)
                made += len(result) - len(run)
                done += sum(segment.end_position for segment in run)
                if progress is not None:
                    progress(done, total)
        finally:
            log._compacting = False
            held.clear()
    return CompactionResult(
        records_before=records,
        records_after=records - dropped,
        bytes_before=before,
        bytes_after=before + after,
        segments_before=len(sources),
        segments_after=len(sources) + made,
    )


def _runs(db: Database, sources: tuple[Segment, ...], live_below: float) -> Iterator[list[Segment]]:
    """Neighbouring segments that are worth it, as many together as fill one segment at most."""
    run: list[Segment] = []
    expected = 0.0
    for segment in sources:
        current, looked = count_current(db._partition, segment, _SAMPLES)
        live = current / looked if looked else float(segment.record_count > 0)
        wanted = (live < live_below or looked == 0) and not segment.damage and segment.next_offset > segment.base_offset
        size = live * segment.end_position
        if run and (not wanted or expected + size > db.log.segment_bytes or _too_far(run, segment)):
            yield run
            run, expected = [], 0.0
        if wanted:
            run.append(segment)
            expected += size
    if run:
        yield run


def _too_far(run: list[Segment], segment: Segment) -> bool:
    return segment.next_offset - run[0].base_offset >= 0xFFFFFFF0


def _rewrite(db: Database, run: list[Segment], first: bool, durable: int) -> list[Segment]:
    """One segment in place of several; what it is for is swapped in, and the index told."""
    log = db.log
    capacity = max(log.segment_bytes, 64 + sum(segment.end_position for segment in run))
    revision = max(segment.revision for segment in run) + 1
    copy = log._new_segment(run[0].base_offset, 0, revision, capacity)
    made = [copy]
    try:
        for segment in run:
            position = 0
            while position >= 0:
                before = position
                position = copy_current(db._partition, segment, copy, position, first, durable)
                _pace(db, (position if position >= 0 else segment.end_position) - before)
        copy.end_at(run[-1].next_offset)
        copy.seal_now()
        log._disk.sync_directory(log.path)
        sealed = Segment.open_sealed(log.path, SegmentEntry.of(copy), log._disk)
        made[0] = sealed
        if not db._partition.power:
            log.sync()  # what took the place of the records that go must not be lost after them
        with log._exclusive():
            segments = log._segments
            start = segments.index(run[0])
            assert segments[start : start + len(run)] == tuple(run), "only compaction and truncation replace segments"
            after = segments[start + len(run) :]
            replaced = (*segments[:start], sealed, *after)
            log._commit(replaced, log._active, log._lowest, log._written_next, removed=tuple(run))
    except BaseException:
        log._discard(*made)
        raise
    relocate(db._partition, sealed)
    return [sealed]


def _pace(db: Database, size_bytes: int) -> None:
    """So many more bytes were read; wait if it is the background thread that reads."""
    if db._compactor is not None and db._compactor.is_current():
        db._compactor.pace(size_bytes)


class Compactor:
    """The thread that compacts now and then.

    Args:
        interval_s: seconds between looks at the segments; it looks only when some were filled since.
        bytes_per_s: the most it reads of segments in a second; ``None``: any number.
    """

    def __init__(self, db: Database, interval_s: float, bytes_per_s: int | None) -> None:
        self._db = db
        self._interval_s = interval_s
        self._bytes_per_s = bytes_per_s
        self._goes_on_at = 0.0
        self._stopping = threading.Event()
        self._pausing = threading.Lock()
        self._going_on = threading.Event()
        self._going_on.set()
        self._seen = 0
        self.error: StriateError | None = None
        self._thread = threading.Thread(target=self._work, name="striate-compaction", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it has begun is given up or finished."""
        self._stopping.set()
        self._going_on.set()
        self._thread.join()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is begun or gone on with within the ``with`` block."""
        with self._pausing:
            self._going_on.clear()
            try:
                yield
            finally:
                self._going_on.set()

    def is_current(self) -> bool:
        """Whether it is this thread that asks."""
        return threading.current_thread() is self._thread

    def pace(self, size_bytes: int) -> None:
        """Wait so long as that many bytes may take, and while compaction is paused.

        Raises:
            StoppedError: the database is being closed.
        """
        if self._bytes_per_s is not None:
            now = time.monotonic()
            self._goes_on_at = max(self._goes_on_at, now) + size_bytes / self._bytes_per_s
            self._stopping.wait(self._goes_on_at - now)
        if not self._stopping.is_set():
            self._going_on.wait()
        if self._stopping.is_set():
            raise StoppedError

    def _work(self) -> None:
        while not self._stopping.wait(self._interval_s):
            filled = len(self._db.log._segments)
            if filled == self._seen or not self._going_on.is_set() or self._db._partition.poisoned:
                continue
            try:
                compact(self._db, LIVE_ENOUGH)
            except StoppedError:
                return
            except StriateError as error:
                self.error = error  # the next look tries again
                continue
            self.error = None
            self._seen = len(self._db.log._segments)


class StoppedError(Exception):
    """The database is being closed, so compaction gives up."""
