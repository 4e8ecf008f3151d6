"""What the demo shows, one function a step: each does its work, checks it, and returns plain figures.

A check that fails raises: the demo either shows that every line is there or it does not end well.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from itertools import islice
from typing import Any

from striate import CompactionResult, Log
from striate.demo.kill import write_until_killed
from striate.demo.source import Source
from striate.errors import CorruptRecordError, CorruptSegmentError

__all__ = ["append_through_kill", "columnar", "compaction", "compare", "random_reads", "time_lookup"]

REPORT_EVERY = 4096
SHOWN_READS = 4
TIMED_READS = 20_000
BATCH_BYTES = 4 << 20

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def append_through_kill(path: str, source: Source, segment_bytes: int, progress: Progress) -> dict[str, Any]:
    """Append all lines: a child process until it is killed, this process after reopening the log."""
    started = time.perf_counter()
    with progress("appending", source.line_count) as advance:
        acknowledged = write_until_killed(path, source.line_count, segment_bytes, advance)
        killed = time.perf_counter()
        with Log(path, durability="process", segment_bytes=segment_bytes) as log:
            reopened = time.perf_counter()
            recovered, recovery = log.next_offset, log.recovery
            if recovered < acknowledged:
                reason = f"{acknowledged} lines were acknowledged before the kill, {recovered} are there"
                raise CorruptSegmentError(path, reason, offset=recovered)
            _append_from(log, source, recovered, advance)
            log.sync()
        ended = time.perf_counter()
    return {
        "lines": source.line_count,
        "acknowledged_lines": acknowledged,
        "recovered_lines": recovered,
        "lost_lines": 0,
        "recovery": asdict(recovery),
        "child_seconds": killed - started,
        "reopen_seconds": reopened - killed,
        "resume_seconds": ended - reopened,
    }


def _append_from(log: Log, source: Source, first: int, advance: Callable[[int], None]) -> None:
    append = log.append
    for number, (key, line) in enumerate(islice(source.lines(), first, None), first):
        append(line, key)
        if number % REPORT_EVERY == 0:
            advance(number)


def compare(log: Log, source: Source, progress: Progress) -> dict[str, Any]:
    """Read the whole log and compare offset, key and bytes of every record with the files."""
    started = time.perf_counter()
    count = 0
    with progress("comparing", source.line_count) as advance:
        records = log.scan()
        for number, (key, line) in enumerate(source.lines()):
            record = next(records, None)
            if record is None or record.value != line or record.key != key or record.offset != number:
                reason = f"the record is not line {number} of the files ({key.decode(errors='replace')})"
                raise CorruptRecordError(log.path, reason, offset=number)
            count = number + 1
            if count % REPORT_EVERY == 0:
                advance(count)
    if next(records, None) is not None:
        raise CorruptRecordError(log.path, "there are more records than lines", offset=count)
    return {"lines": count, "differences": 0, "seconds": time.perf_counter() - started}


def random_reads(log: Log, source: Source) -> dict[str, Any]:
    """Read records at random: a few compared with their files to be shown, many to be timed."""
    choose = random.Random()
    shown = []
    for offset in choose.choices(range(source.line_count), k=SHOWN_READS):
        module, line_number, line = source.locate(offset)
        record = log.read(offset)
        if record.value != line or record.key != module.key:
            raise CorruptRecordError(log.path, "the record is not the line of the file", offset=offset)
        place = {"offset": offset, "module": module.key.decode(errors="replace"), "line_number": line_number}
        shown.append({**place, "line": line.decode(errors="replace").rstrip("\r\n")})
    offsets = choose.choices(range(source.line_count), k=min(TIMED_READS, source.line_count))
    read = log.read
    started = time.perf_counter()
    for offset in offsets:
        read(offset)
    seconds = time.perf_counter() - started
    return {"shown": shown, "count": len(offsets), "seconds": seconds}


def columnar(log: Log, source: Source) -> dict[str, Any]:
    """Add up the lengths in columnar batches with numpy; the total has to be the size of the files."""
    import numpy as np

    started = time.perf_counter()
    total = batch_count = records = longest = 0
    offset = log.lowest_offset
    first: dict[str, Any] = {}
    while offset < log.next_offset:
        batch = log.read_batch(offset, max_bytes=BATCH_BYTES)
        total += int(np.sum(batch.lengths, dtype=np.int64))
        longest = max(longest, int(np.max(batch.lengths)))
        records += len(batch)
        batch_count += 1
        first = first or {"records": len(batch), "lengths": [int(length) for length in batch.lengths[:6]]}
        offset = batch.next_offset
    seconds = time.perf_counter() - started
    if total != source.size_bytes:
        reason = f"the lengths add up to {total}, the files have {source.size_bytes} bytes"
        raise CorruptRecordError(log.path, reason)
    return {
        "batches": batch_count,
        "records": records,
        "total_bytes": total,
        "longest_line_bytes": longest,
        "first_batch": first,
        "seconds": seconds,
    }


def time_lookup(log: Log, resumed_at: int) -> dict[str, Any]:
    """Find the first record at or after a time: that of the first line written after the kill."""
    timestamp = log.read(min(resumed_at, log.next_offset - 1)).timestamp
    started = time.perf_counter()
    offset = log.offset_for_time(timestamp)
    seconds = time.perf_counter() - started
    found = log.read(offset).timestamp
    before = log.read(offset - 1).timestamp if offset > log.lowest_offset else None
    if found < timestamp or (before is not None and before >= timestamp):
        raise CorruptRecordError(log.path, f"time {timestamp} does not lead to the first record", offset=offset)
    return {"timestamp": timestamp, "offset": offset, "timestamp_before": before, "seconds": seconds}


def compaction(log: Log, source: Source, path: str, scratch: str, progress: Progress) -> dict[str, Any]:
    """Copy the log through a snapshot, compact the copy, and check that each module's last line is left."""
    started = time.perf_counter()
    snapshot = os.path.join(scratch, "snapshot")
    log.snapshot(snapshot)
    copied = time.perf_counter()
    with (
        Log.restore(snapshot, path, durability="process", segment_bytes=log.segment_bytes) as copy,
        progress("compacting", source.line_count) as advance,
    ):
        begun = time.perf_counter()
        result: CompactionResult = copy.compact(progress=lambda done, total: advance(done * source.line_count // total))
        seconds = time.perf_counter() - begun
        latest = {record.key: record.value for record in copy.scan()}
    ends = [*source.first_lines[1:], source.line_count]
    for module, end in zip(source.modules, ends, strict=True):
        if latest.get(module.key) != log.read(end - 1).value:
            raise CorruptRecordError(path, "compaction dropped the latest record of a key", offset=end - 1)
    return {
        **asdict(result),
        "modules": len(source.modules),
        "copy_seconds": copied - started,
        "seconds": seconds,
    }
