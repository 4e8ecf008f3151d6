"""Opening what the manifest names: sealed segments as they are, unsealed ones after judging their tail (RULES §4).

The rule of this file: bytes are cut away only when it is certain that they were never acknowledged, or that nobody can
tell and nothing behind them says otherwise; and they are copied to a ``.broken`` file first. Everything else is kept,
reported as a :class:`~striate.types.Problem`, and makes the log refuse appends.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from striate._native.segment import Segment, file_names
from striate.errors import CorruptSegmentError, DiskError, DiskFullError
from striate.storage import directory
from striate.storage.manifest import Manifest, SegmentEntry
from striate.types import Problem, RecoveredSegment, RecoveryReport

if TYPE_CHECKING:
    from striate._native.io import Disk

STORE_HEADER_BYTES = 64
_MOST = 0xFFFFFFF0  # above every relative offset
_ALL = 1 << 62  # "all of this segment was durable"


def _call(action: Callable[[], None]) -> None:
    action()


@dataclass
class Recovered:
    """What opening gave.

    Attributes:
        segments: ascending. lost: ``(first, next, path, reason)`` of ranges whose segment cannot be opened at all.
        next_offset: where the log goes on. removals: files to remove once the manifest no longer names them.
        rewrite, spend: as given to :func:`recover`.
    """

    segments: list[Segment] = field(default_factory=list)
    lost: list[tuple[int, int, str, str]] = field(default_factory=list)
    next_offset: int = 0
    report: RecoveryReport = field(default_factory=RecoveryReport)
    removals: list[str] = field(default_factory=list)
    rewrite: bool = False
    spend: Callable[[Callable[[], None]], None] = _call


def open_sealed(disk: Disk, path: str, named: Manifest, into: Recovered) -> None:
    """Open the sealed segments; damaged ones as far as they can be read."""
    for entry in named.entries:
        if not entry.sealed:
            continue
        store_path = file_names(path, entry.base_offset, entry.revision)[0]
        try:
            into.segments.append(Segment.open_sealed(path, entry, disk))
        except CorruptSegmentError as error:
            into.report.problems.append(Problem(store_path, error.position, None, error.reason))
            try:
                into.segments.append(Segment.open_damaged(path, entry, named.record_size, disk))
            except DiskError:
                into.lost.append((entry.base_offset, entry.next_offset, store_path, error.reason))
        into.next_offset = max(into.next_offset, entry.next_offset)


def recover(
    disk: Disk,
    path: str,
    named: Manifest,
    checkpoint: directory.Checkpoint | None,
    distrust_from: int | None,
    *,
    writable: bool,
    rewrite: bool = False,
    spend: Callable[[Callable[[], None]], None] = _call,
) -> Recovered:
    """Open all segments of a log.

    Args:
        checkpoint: what was known durable. distrust_from: first offset that a failed sync of this boot leaves in doubt.
        writable: cut, seal and set aside as the judgement says; without it nothing on disk changes.
        rewrite: what is kept of unsealed segments is written to new files, because the page cache may show what the
            disk lacks.
        spend: runs a write that cannot be left out; on a full disk with the help of the reserve.

    Raises:
        DiskError, DiskFullError: from the disk. Damage is reported, not raised.
    """
    result = Recovered(next_offset=named.lowest_offset, rewrite=rewrite, spend=spend)
    if checkpoint is not None and all(entry.segment_id != checkpoint.segment_id for entry in named.entries):
        checkpoint = None  # of a segment that was removed or rewritten since: it vouches for nothing here
    open_sealed(disk, path, named, result)
    unsealed = [entry for entry in named.entries if not entry.sealed]
    if unsealed:
        result.report = replace(result.report, clean=False)
        _recover_tail(disk, path, named, checkpoint, distrust_from, writable, result)
    if checkpoint is not None and checkpoint.next_offset > result.next_offset and distrust_from is None:
        _check_against(checkpoint, named, result, path)
    result.segments.sort(key=lambda segment: segment.base_offset)
    return result


def _check_against(checkpoint: directory.Checkpoint, named: Manifest, result: Recovered, path: str) -> None:
    """A checkpoint beyond the end, of a segment that is still named, proves that durable records are gone."""
    if any(entry.segment_id == checkpoint.segment_id and not entry.sealed for entry in named.entries):
        problem = f"records {result.next_offset} to {checkpoint.next_offset - 1} were durable and are gone"
        store_path = file_names(path, checkpoint.base_offset, 0)[0]
        if not result.report.problems:
            result.report.problems.append(Problem(store_path, None, result.next_offset, problem))
            result.lost.append((result.next_offset, checkpoint.next_offset, store_path, problem))
            result.next_offset = checkpoint.next_offset


def _recover_tail(
    disk: Disk,
    path: str,
    named: Manifest,
    checkpoint: directory.Checkpoint | None,
    distrust_from: int | None,
    writable: bool,
    result: Recovered,
) -> None:
    judged = _judge(disk, path, named, checkpoint, distrust_from, writable, result)
    for _, after, _, _ in result.lost:
        result.next_offset = max(result.next_offset, after)
    cut = bool(result.report.problems)
    for number, (entry, segment, verdict, end, dirty) in enumerate(judged):
        # Compaction leaves holes between sealed segments; between unsealed ones a hole is a loss.
        if number and segment.base_offset != result.next_offset and not result.report.problems:
            # Behind records that are gone: never acknowledged as durable, for syncs go in order. Whether a segment
            # follows is a matter of offsets, not of the verdict on the one before: a killed writer may have torn only a
            # footer.
            _set_aside_all(disk, path, entry, segment, writable, result)
            continue
        broken = None
        if verdict == "corrupt":
            store_path = segment.store.path
            for lost_from, _, position, reason in segment.damage:
                result.report.problems.append(Problem(store_path, position, lost_from, reason))
            if not segment.damage and not result.report.problems:
                # Never half: a log whose segments are not finished takes no appends.
                result.report.problems.append(
                    Problem(store_path, end, None, "bytes behind the last record are damaged")
                )
            cut = True
        elif dirty > end and verdict != "sealed" and writable and not cut:
            broken = _set_aside(disk, segment.store.path, end, dirty, result)
        result.report.segments.append(
            RecoveredSegment(entry.base_offset, verdict, segment.record_count, dirty - end if broken else 0, broken)
        )
        anchor = segment.base_offset > result.next_offset  # nothing before it says where the log goes on
        result.next_offset = max(result.next_offset, segment.next_offset)
        finished = _finish(disk, path, segment, result, anchor) if writable and not cut else segment
        if finished is not None:
            result.segments.append(finished)


def _judge(
    disk: Disk,
    path: str,
    named: Manifest,
    checkpoint: directory.Checkpoint | None,
    distrust_from: int | None,
    writable: bool,
    result: Recovered,
) -> list[tuple[SegmentEntry, Segment, str, int, int]]:
    """Open and judge each unsealed segment, newest first: a mark in a later one proves all earlier records durable."""
    judged: list[tuple[SegmentEntry, Segment, str, int, int]] = []
    later_mark = False
    following: int | None = None
    for entry in reversed([entry for entry in named.entries if not entry.sealed]):
        segment = _open_unsealed(disk, path, named, entry, writable, result)
        if segment is None:
            after = following or _lost_until(entry, checkpoint)
            store_path = file_names(path, entry.base_offset, entry.revision)[0]
            result.lost.append((entry.base_offset, after, store_path, "the segment cannot be read"))
            following = entry.base_offset
            continue
        # A checkpoint of a later segment says the same of all records before as a mark in one does.
        later_mark = later_mark or (checkpoint is not None and checkpoint.base_offset > entry.base_offset)
        synced = _synced_position(entry, checkpoint, _ALL if later_mark and following is None else 0)
        stop = _MOST if distrust_from is None else min(max(distrust_from - entry.base_offset, 0), _MOST)
        verdict, end, dirty = segment.recover(min(synced, segment.store.capacity), stop)
        damaged = segment.store.path in {problem.path for problem in result.report.problems}
        if later_mark and following is not None and segment.next_offset < following and verdict != "corrupt":
            # Judged by offsets, not by position: a torn footer behind complete records is no loss.
            _, end, dirty = segment.recover(segment.store.capacity, stop)
            verdict = "corrupt"
        if verdict == "corrupt" or damaged:
            verdict = "corrupt"
            known = following if following is not None else _durable_until(entry, checkpoint)
            if following is not None or known > segment.next_offset:
                segment.cover_until(max(known, entry.base_offset))
        # A new segment's first frame may say that the header is durable: that tells nothing of the one before.
        later_mark = later_mark or segment.mark > STORE_HEADER_BYTES or verdict == "sealed"
        judged.append((entry, segment, verdict, end, dirty))
        following = entry.base_offset
    judged.reverse()
    return judged


def _open_unsealed(
    disk: Disk, path: str, named: Manifest, entry: SegmentEntry, writable: bool, result: Recovered
) -> Segment | None:
    """Open a segment that was being written, also behind a damaged header; ``None`` when that cannot be."""
    try:
        return Segment.open_unsealed(path, entry, disk, writable=writable)
    except CorruptSegmentError as error:
        result.report.problems.append(Problem(error.path, error.position, None, error.reason))
        try:
            return Segment.open_unsealed(path, entry, disk, record_size=named.record_size)
        except OSError:
            return None


def _durable_until(entry: SegmentEntry, checkpoint: directory.Checkpoint | None) -> int:
    """Offset up to which the checkpoint says that a segment was durable."""
    if checkpoint is not None and checkpoint.segment_id == entry.segment_id:
        return checkpoint.next_offset
    return entry.base_offset


def _lost_until(entry: SegmentEntry, checkpoint: directory.Checkpoint | None) -> int:
    """First offset after a last segment that cannot be opened, as far as anything says."""
    return max(_durable_until(entry, checkpoint), entry.base_offset + 1)


def _synced_position(entry: SegmentEntry, checkpoint: directory.Checkpoint | None, otherwise: int) -> int:
    if checkpoint is not None and checkpoint.segment_id == entry.segment_id:
        return checkpoint.synced_position
    return otherwise


def _set_aside(disk: Disk, store_path: str, start: int, end: int, result: Recovered) -> str:
    """Copy bytes of a store file to a ``.broken`` file, durably, before they are cut."""
    name = directory.broken_name(store_path)
    data = disk.read_file(store_path, end)[start:]

    def copy() -> None:
        try:
            disk.write_file(name, data, exclusive=True)
        except DiskError:
            if os.path.lexists(name):
                disk.unlink(name)  # half a copy would only take space from the next attempt
            raise

    result.spend(copy)
    disk.sync_directory(os.path.dirname(store_path))
    return name


def _set_aside_all(
    disk: Disk, path: str, entry: SegmentEntry, segment: Segment, writable: bool, result: Recovered
) -> None:
    store_path, index_path = file_names(path, entry.base_offset, entry.revision)
    broken = None
    size = segment.end_position
    if writable:
        if segment.record_count:
            broken = _set_aside(disk, store_path, 0, size, result)
        result.removals += [store_path, index_path]
    result.report.segments.append(RecoveredSegment(entry.base_offset, "torn", 0, size if broken else 0, broken))


def _finish(disk: Disk, path: str, segment: Segment, result: Recovered, anchor: bool) -> Segment | None:
    """Seal a recovered segment in place; an empty one is dropped unless it is an anchor."""
    store_path, index_path = file_names(path, segment.base_offset, segment.revision)
    if segment.record_count == 0 and not anchor:
        result.removals += [store_path, index_path]
        return None
    if result.rewrite:
        result.removals += [store_path, index_path]
        return _copy(disk, path, segment)
    if segment.index is not None:
        # On a full disk the file stays as it was: it does not verify, so whoever needs it builds it again.
        with contextlib.suppress(DiskFullError):
            segment.index.save()
    segment.seal_now()
    return Segment.open_sealed(path, SegmentEntry.of(segment), disk)


def _copy(disk: Disk, path: str, source: Segment) -> Segment:
    """All records of a segment, sealed in new files under the next free revision."""
    revision = source.revision + 1
    while any(os.path.lexists(name) for name in file_names(path, source.base_offset, revision)):
        revision += 1
    copy = Segment.create(
        path,
        source.base_offset,
        revision,
        log_id=source.store.log_id,
        segment_id=secrets.randbits(64) or 1,
        capacity=source.store.capacity,
        base_timestamp_us=source.store.base_timestamp_us,
        record_size=source.store.record_size,
        disk=disk,
    )
    copy.copy_from(source, source.offsets())
    copy.seal_now()
    disk.sync_directory(path)
    return Segment.open_sealed(path, SegmentEntry.of(copy), disk)


def follow(disk: Disk, path: str, named: Manifest, known: dict[tuple[int, int], Segment], into: Recovered) -> None:
    """Open all segments for a live reader: unsealed ones are read along as their writer publishes.

    Args:
        known: sealed segments that are open already by ``(segment id, next offset)``, used again. One that was sealed,
            resumed and sealed again has another end; an unsealed one may have got another index file from recovery.
    """
    for entry in named.entries:
        segment = known.get((entry.segment_id, entry.next_offset)) if entry.sealed else None
        if segment is None and not entry.sealed:
            segment = Segment.open_unsealed(path, entry, disk)
            segment.follow_writer()
        if segment is None:
            only = replace(named, entries=(entry,))
            open_sealed(disk, path, only, into)
            continue
        into.segments.append(segment)
    for segment, following in zip(into.segments, into.segments[1:], strict=False):
        if not segment.sealed:
            segment.set_visible(following.base_offset)
