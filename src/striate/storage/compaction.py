"""Compaction: keep the latest record of each key, drop expired tombstones, merge small segments.

Works on sealed segments while reads and appends go on; only the swap at the end excludes them. A crash at any point
leaves either the old segments or the new ones: the manifest decides, files it does not name are removed at the next
opening.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from striate._native.segment import Segment
from striate._native.upkeep import begins_with_view
from striate.errors import DatabaseLogError
from striate.storage.manifest import SegmentEntry
from striate.types import CompactionResult, RecordKind

if TYPE_CHECKING:
    from striate.storage.log import Log

Progress = Callable[[int, int], None]
_STEP = 4096  # records between looks at the clock, the progress bar and other threads


def compact(log: Log, grace_us: int, progress: Progress | None = None) -> CompactionResult:
    """Compact a log.

    Records without a key, and control records, stay. Offsets do not change; an offset whose record was dropped raises
    :class:`~striate.RecordCompactedError`. The active segment is ended first, so everything appended before the call is
    compacted. A tombstone stays until it is older than the grace period, so that slow readers learn of the deletion.

    Args:
        log: open for appending. grace_us: microseconds. progress: called with ``(records done, records in all)``.

    Raises:
        DatabaseLogError: the keys are those of a database's tables.
        CorruptRecordError: a record does not verify; nothing was changed. DiskFullError, DiskError: likewise.

    Needs memory for every distinct key while it runs (about 150 bytes and the key).
    """
    with log._maintenance:
        with log._exclusive():
            log._quiesce()
            if any(begins_with_view(segment) for segment in log._segments[:1]):
                raise DatabaseLogError(log.path)
            # Not the last segment if it has no records: an append that begins there takes its place meanwhile.
            sources = log._segments
            if sources and sources[-1].next_offset == sources[-1].base_offset:
                sources = sources[:-1]
            # Appends go on, in segments of their own: one that was resumed would be replaced with records in it.
            log._compacting = True
        try:
            return _compact(log, sources, grace_us, progress)
        finally:
            log._compacting = False


def _compact(log: Log, sources: tuple[Segment, ...], grace_us: int, progress: Progress | None) -> CompactionResult:
    """The work, with the sources fixed."""
    lowest = log._lowest
    total = sum(source.record_count for source in sources)
    before = log._count_records(sources)
    size_before = sum(source.end_position for source in sources)
    if progress is not None:
        progress(0, 2 * total)
    latest = _latest_offsets(log, sources, progress, 2 * total)
    expired = log._now_us() - grace_us
    groups = list(_plan(log, sources, latest, lowest, expired, progress, total))
    made: list[Segment] = []
    try:
        result = _write(log, groups, made)
        with log._exclusive():
            log._compacting = False
            tail = log._segments[len(sources) :]
            kept = {id(segment) for segment in result}
            removed = tuple(source for source in sources if id(source) not in kept)
            log._commit((*result, *tail), log._active, lowest, log._written_next, removed=removed)
    except BaseException:
        log._discard(*made)
        raise
    if progress is not None:
        progress(2 * total, 2 * total)
    return CompactionResult(
        records_before=before,
        records_after=log._count_records(tuple(result)),
        bytes_before=size_before,
        bytes_after=sum(segment.end_position for segment in result),
        segments_before=len(sources),
        segments_after=len(result),
    )


def _latest_offsets(log: Log, sources: tuple[Segment, ...], progress: Progress | None, total: int) -> dict[bytes, int]:
    """The last offset of each key."""
    latest: dict[bytes, int] = {}
    done = 0
    for source in sources:
        start = max(source.base_offset, log._lowest)
        for record in log.scan(start, max(start, source.next_offset)):
            if record.key is not None:
                latest[record.key] = record.offset
            done += 1
            if progress is not None and done % _STEP == 0:
                progress(done, total)
    return latest


def _plan(
    log: Log,
    sources: tuple[Segment, ...],
    latest: dict[bytes, int],
    lowest: int,
    expired_us: int,
    progress: Progress | None,
    done: int,
) -> Iterator[tuple[Segment, list[int]]]:
    """For each segment the offsets that stay."""
    total = 2 * done
    for source in sources:
        kept: list[int] = []
        start = max(source.base_offset, lowest)
        for record in log.scan(start, max(start, source.next_offset)):
            done += 1
            if progress is not None and done % _STEP == 0:
                progress(done, total)
            if record.key is not None and record.kind in (RecordKind.VALUE, RecordKind.TOMBSTONE):
                if latest[record.key] != record.offset:
                    continue
                if record.is_tombstone and record.timestamp < expired_us:
                    continue
            kept.append(record.offset)
        yield source, kept


def _write(log: Log, groups: list[tuple[Segment, list[int]]], made: list[Segment]) -> list[Segment]:
    """Segments with what stays: those that lose nothing and stand alone are kept, others are merged and written
    anew."""
    result: list[Segment] = []
    # The last one stays even when it is empty: it says where the log goes on.
    for group in _merge(log, [pair for pair in groups if pair[1] or pair is groups[-1]]):
        source, offsets = group[0]
        if len(group) == 1 and len(offsets) == source.record_count:
            result.append(source)
            continue
        size = sum(pair[0].end_position for pair in group)
        base = source.base_offset
        copy = log._new_segment(base, size, max(pair[0].revision for pair in group) + 1, max(log.segment_bytes, size))
        made.append(copy)
        for one, some in group:
            for start in range(0, len(some), _STEP):
                copy.copy_from(one, some[start : start + _STEP])
        copy.end_at(group[-1][0].next_offset)
        copy.seal_now()
        log._disk.sync_directory(log.path)
        sealed = Segment.open_sealed(log.path, SegmentEntry.of(copy), log._disk)
        made[-1] = sealed
        result.append(sealed)
    return result


def _merge(log: Log, groups: list[tuple[Segment, list[int]]]) -> Iterator[list[tuple[Segment, list[int]]]]:
    """Runs of neighbours whose records fit one segment together, by the size they will have at most."""
    run: list[tuple[Segment, list[int]]] = []
    run_size = 0
    for source, offsets in groups:
        size = source.end_position * len(offsets) // max(source.record_count, 1) + 64
        too_far = bool(run) and source.next_offset - run[0][0].base_offset >= 0xFFFFFFF0
        if run and (run_size + size > log.segment_bytes or too_far):
            yield run
            run, run_size = [], 0
        run.append((source, offsets))
        run_size += size
    if run:
        yield run
