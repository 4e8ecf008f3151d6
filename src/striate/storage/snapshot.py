"""Snapshots: a copy of a log at one moment, itself a log directory, and restoring one.

Every segment is verified while it is copied, so a snapshot never carries rot on, and restoring verifies again. Both
build the copy completely before its manifest is written: a directory without a manifest is no log, whatever interrupted
the work.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from striate._native.io import REAL_DISK
from striate._native.segment import Segment, file_names
from striate.errors import CorruptRecordError, CorruptSegmentError, DiskError, PathExistsError
from striate.storage import directory, manifest
from striate.storage.arguments import check_outside
from striate.storage.manifest import SegmentEntry
from striate.types import SnapshotInfo

if TYPE_CHECKING:
    from striate._native.io import Disk
    from striate.storage.log import Log
    from striate.storage.manifest import Manifest

_STEP = 4096  # records copied between looks at other threads


def snapshot(log: Log, target: str) -> SnapshotInfo:
    """Copy a log as it is now.

    Records appended after the call began are not in it. Appends and reads go on; structural changes wait.

    Args:
        log: open for appending. target: new or empty directory, on any local disk.

    Raises:
        InvalidArgumentError: the target is in the log's directory. PathExistsError, NotALogError: of the target.
        CorruptRecordError, CorruptSegmentError: the log does not verify.
        ReadOnlyError, DiskFullError, DiskError. Whatever is raised, nothing of the copy is left behind.

    Durable on return.
    """
    check_outside(target, "path", log.path)
    with log._maintenance:
        with log._exclusive():
            log._quiesce()
            sources = log._segments
            lowest, following = log._lowest, log._written_next
            named = log._manifest(sources, lowest, 1)
        size = _copy_all(log._disk, sources, target, named)
    return SnapshotInfo(target, lowest, following, size)


def restore(source: str, target: str, disk: Disk = REAL_DISK) -> None:
    """Copy a snapshot, verified, into a new directory.

    Raises:
        LogNotFoundError, NotALogError: of the source. CorruptError: it does not verify. PathExistsError: of the target.
    """
    directory.check_present(source)
    named = manifest.load(disk, source)
    for entry in named.entries:
        if not entry.sealed:
            raise CorruptSegmentError(source, "a segment is not sealed: this is a log in use, not a snapshot")
    segments = tuple(Segment.open_sealed(source, entry, disk) for entry in named.entries)
    _copy_all(disk, segments, target, named)


def _copy_all(disk: Disk, sources: tuple[Segment, ...], target: str, named: Manifest) -> int:
    """Copy sealed segments and write a manifest that names the copies; gives their size in bytes."""
    if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
        raise PathExistsError(target)
    missing = _missing(target)
    copies: list[Segment] = []
    try:
        directory.prepare(disk, target)
        for source in sources:
            _copy_segment(disk, source, target, named.log_id, copies)
        disk.sync_directory(target)
        disk.sync_directory(os.path.dirname(target))
        entries = tuple(SegmentEntry.of(copy) for copy in copies)
        manifest.save(disk, target, replace(named, sequence=1, entries=entries))
    except BaseException:
        _remove(disk, target, copies, missing)
        raise
    return sum(copy.end_position for copy in copies)


def _missing(target: str) -> list[str]:
    """The directories on the way to a target that are not there yet, innermost first."""
    missing = []
    while not os.path.lexists(target):
        missing.append(target)
        target = os.path.dirname(target)
    return missing


def _copy_segment(disk: Disk, source: Segment, target: str, log_id: int, copies: list[Segment]) -> None:
    """A sealed copy of a sealed segment under a new id, each frame verified; offsets and times are kept."""
    from striate.storage.segment_list import random_u64

    _, _, problems = source.check()
    if problems:
        position, offset, reason = problems[0]
        raise CorruptRecordError(source.store.path, reason, position=position, offset=offset)
    copy = Segment.create(
        target,
        source.base_offset,
        log_id=log_id,
        segment_id=random_u64(),
        capacity=source.store.capacity,
        base_timestamp_us=source.store.base_timestamp_us,
        record_size=source.store.record_size,
        disk=disk,
    )
    copies.append(copy)
    offsets = source.offsets()
    for start in range(0, len(offsets), _STEP):
        copy.copy_from(source, offsets[start : start + _STEP])
    copy.end_at(source.next_offset)
    copy.seal_now()


def _remove(disk: Disk, target: str, copies: list[Segment], made: list[str]) -> None:
    """Remove what was copied before a failure, which is what the caller hears of, and directories that were made."""
    names = [manifest.NAME, manifest.NAME + ".new"]
    for copy in copies:
        names += file_names("", copy.base_offset, copy.revision)
    for name in names:
        with contextlib.suppress(DiskError):
            disk.unlink(os.path.join(target, name))
    for path in made:
        with contextlib.suppress(DiskError):
            disk.remove_directory(path)
