"""The consistency checker: :func:`verify` reads everything, :func:`repair` makes a damaged log writable again."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from striate._native.io import REAL_DISK
from striate._native.live import Live
from striate._native.segment import Segment, file_names
from striate.errors import CorruptRecordError
from striate.storage import directory, manifest, recovery
from striate.storage.manifest import Manifest, SegmentEntry
from striate.types import Problem, RepairReport, VerifyReport

if TYPE_CHECKING:
    from striate._native.io import Disk
    from striate.storage.log import Log

__all__ = ["repair", "verify"]


def verify(log: Log, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Read every byte of a log and check frames, chains, indexes, counts and the joints between segments.

    Args:
        log: open, for appending or reading. progress: called with ``(bytes done, bytes in all)`` after each segment.

    Returns:
        All problems found; none are raised. Appends and reads go on meanwhile; what is appended later is not checked.
    """
    log._check_usable()
    problems = list(log.recovery.problems)
    known = {(problem.path, problem.position) for problem in problems}
    segments = log._measured()
    active, moment = log._moment()  # after the list: what has become active since is not in it
    total = sum(segment.end_position for segment in segments)
    records = size = 0
    for number, segment in enumerate(segments):
        segment.check_index()
        count, checked, found = segment.check(moment if segment is active else None)
        records += count
        size += checked
        for position, offset, reason in found:
            if (segment.store.path, position) not in known:
                problems.append(Problem(segment.store.path, position, offset, reason))
        if number and segments[number - 1].next_offset > segment.base_offset:
            problems.append(Problem(segment.store.path, None, segment.base_offset, "overlaps the segment before it"))
        if progress is not None:
            progress(size, total)
    return VerifyReport(records, size, problems)


def repair(path: str | os.PathLike[str], disk: Disk = REAL_DISK) -> RepairReport:
    """Give up what cannot be read, keep everything else, and make a damaged log writable again.

    Damaged segments are copied whole to ``.broken`` files first, then written anew with the records that verify. The
    lost offsets become gaps: reading one raises :class:`~striate.RecordCompactedError`. Nothing happens to a log
    without damage.

    Args:
        path: a log that nobody has open for appending.

    Raises:
        LogLockedError, LogNotFoundError, NotALogError, CorruptManifestError: a lost manifest cannot be repaired;
        restore a snapshot. DiskFullError, DiskError.
    """
    where = os.path.abspath(os.fspath(path))
    directory.check_present(where)
    lock = directory.lock(disk, where)
    try:
        return _repair(disk, where)
    finally:
        disk.close_file(lock)


def _repair(disk: Disk, path: str) -> RepairReport:
    disk.sync_directory(path)
    named = manifest.load(disk, path)
    directory.clean(disk, path, named)
    checkpoint = directory.load_checkpoint(disk, path, named.log_id)
    live = Live.open(os.path.join(path, directory.LIVE), named.log_id, disk=disk)
    found = recovery.recover(
        disk, path, named, checkpoint, live.failed_offset, writable=True, rewrite=live.recovery_failed
    )
    kept: list[SegmentEntry] = []
    removals = list(found.removals)
    broken: list[str] = []
    set_aside = lost = 0
    for first, following, store_path, _ in found.lost:
        lost += following - first
        removals += [store_path, store_path[: -len("store")] + "index"]
        if os.path.exists(store_path):
            broken.append(_copy_broken(disk, store_path))
            set_aside += os.path.getsize(store_path)
    # A segment whose header, footer or length is wrong is written anew even when all its frames are good.
    refused = {problem.path for problem in found.report.problems}
    for segment in found.segments:
        segment.check_index()
        if segment.sealed and segment.store.path not in refused and not segment.check()[2]:
            kept.append(SegmentEntry.of(segment))
            continue
        broken.append(_copy_broken(disk, segment.store.path))
        set_aside += os.path.getsize(segment.store.path)
        entry, missing = _salvage(disk, path, named, segment)
        lost += missing
        removals += file_names(path, segment.base_offset, segment.revision)
        if entry is not None:
            kept.append(entry)
    if kept or broken or not found.report.clean:
        lowest = named.lowest_offset
        if not kept:
            lowest = found.next_offset
        manifest.save(
            disk,
            path,
            Manifest(
                named.log_id,
                named.sequence + 1,
                lowest,
                named.initial_offset,
                named.record_size,
                named.codec,
                tuple(sorted(kept, key=lambda entry: entry.base_offset)),
            ),
        )
    checkpoint_path = os.path.join(path, directory.CHECKPOINT)
    if broken and os.path.lexists(checkpoint_path):
        # It vouches for records that were just given up.
        disk.unlink(checkpoint_path)
    for name in removals:
        if os.path.lexists(name):
            disk.unlink(name)
    live.begin(found.next_offset, named.sequence + 1)
    return RepairReport(sum(entry.record_count for entry in kept), lost, set_aside, broken)


def _copy_broken(disk: Disk, store_path: str) -> str:
    name = directory.broken_name(store_path)
    disk.write_file(name, disk.read_file(store_path), exclusive=True)
    disk.sync_directory(os.path.dirname(store_path))
    return name


def _salvage(disk: Disk, path: str, named: Manifest, source: Segment) -> tuple[SegmentEntry | None, int]:
    """Write the records of a damaged segment that verify to the next revision; ``(its entry, records lost)``."""
    from striate.storage.segment_list import random_u64

    copy = Segment.create(
        path,
        source.base_offset,
        source.revision + 1,
        log_id=named.log_id,
        segment_id=random_u64(),
        capacity=max(source.store.capacity, source.end_position),
        base_timestamp_us=source.store.base_timestamp_us,
        record_size=named.record_size,
        disk=disk,
    )
    lost = 0
    for offset in source.offsets():
        try:
            copy.copy_from(source, [offset])
        except CorruptRecordError:
            lost += 1
    lost += sum(following - first for first, following, _, _ in source.damage)
    copy.end_at(source.next_offset)
    copy.seal_now()
    disk.sync_directory(path)
    return SegmentEntry.of(copy), lost
