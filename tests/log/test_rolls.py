"""Segments: rolling at every size, limits that are no multiple of anything, names, indexes, statistics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import format as fmt

from striate import LogStats, SegmentInfo

Opener = Callable[..., Any]

# Not as: an index limit that is no multiple of the entry size wedging the log for ever.
SEGMENT_BYTES = [4096, 4097, 4099, 4103, 4104, 4111, 4999, 5000, 6001, 8191, 12_345, 65_537, 1_000_003]


@pytest.mark.parametrize("segment_bytes", SEGMENT_BYTES)
def test_no_limit_wedges_the_log(open_log: Opener, segment_bytes: int) -> None:
    log = open_log(segment_bytes=segment_bytes)
    expected = []
    for number in range(700):
        value = b"%d," % number * (number % 23)
        assert log.append(value) == number
        expected.append(value)
    for size in (segment_bytes // 3, segment_bytes // 2, segment_bytes - 400):
        log.append(b"z" * size)
        expected.append(b"z" * size)
    assert [record.value for record in log] == expected
    segments = log.segments()
    if segment_bytes < 10_000:
        assert len(segments) > 2
    for segment in segments:
        assert Path(segment.store_path).stat().st_size <= segment_bytes + 8192
    log.close()
    log = open_log(segment_bytes=segment_bytes)
    assert [record.value for record in log] == expected
    assert log.append(b"on") == len(expected)
    assert log.verify().ok


@pytest.mark.parametrize("value_bytes", [0, 1, 7, 8, 9, 31, 32, 33, 1000, 1300, 2000])
def test_every_record_size_fills_segments(open_log: Opener, value_bytes: int) -> None:
    log = open_log()
    count = 3 * 4096 // (value_bytes + 24) + 5
    for number in range(count):
        assert log.append(bytes([number % 256]) * value_bytes) == number
    for number, record in enumerate(log):
        assert record.value == bytes([number % 256]) * value_bytes
    assert len(log.segments()) >= 3


def test_segments_describe_the_log(open_log: Opener, log_path: Path) -> None:
    now = [1_000_000]

    def clock() -> int:
        return now[0]

    log = open_log(clock=clock)
    for number in range(150):
        now[0] = 1_000_000 + number
        log.append(b"%d" % number * 30)
    log.sync()  # in process mode full segments are sealed aside
    segments = log.segments()
    assert all(isinstance(segment, SegmentInfo) for segment in segments)
    assert [segment.sealed for segment in segments] == [True] * (len(segments) - 1) + [False]
    offset = 0
    for segment in segments:
        assert segment.base_offset == offset
        assert segment.record_count == segment.next_offset - segment.base_offset > 0
        assert (segment.has_gaps, segment.revision) == (False, 0)
        assert segment.first_timestamp == 1_000_000 + offset
        offset = segment.next_offset
        assert segment.last_timestamp == 1_000_000 + offset - 1
        store, index = fmt.segment_names(segment.base_offset)
        assert (Path(segment.store_path), Path(segment.index_path)) == (log_path / store, log_path / index)
    assert offset == 150
    assert len({segment.segment_id for segment in segments}) == len(segments)
    stats = log.stats()
    assert isinstance(stats, LogStats)
    assert stats.records == 150
    assert stats.segments == len(segments)
    assert (stats.lowest_offset, stats.next_offset) == (0, 150)
    assert stats.size_bytes == sum(segment.size_bytes for segment in segments)
    assert stats.allocated_bytes >= stats.size_bytes
    assert (stats.first_timestamp, stats.last_timestamp) == (1_000_000, 1_000_149)
    with pytest.raises(AttributeError):
        stats.records = 0


def test_the_index_is_a_read_only_array(open_log: Opener) -> None:
    log = open_log()
    for number in range(90):
        log.append(b"%d" % number * 30)
    log.sync()
    for segment in log.segments():
        index = segment.index
        assert index.dtype == np.dtype("<u4")
        assert index.ndim == 2
        assert index.shape[1] == 2
        assert isinstance(index, np.memmap)
        assert not index.flags.writeable
        used = index[: segment.record_count]
        assert used[:, 0].tolist() == list(range(segment.record_count))
        store = fmt.decode_store(Path(segment.store_path).read_bytes())
        assert (used[:, 1] * 8).tolist() == [frame.position for frame in store.frames]


def test_files_decode_by_the_written_format(open_log: Opener, log_path: Path) -> None:
    """The pure-Python reader of docs/format.md sees the records that were written."""
    log = open_log()
    expected = {}
    for number in range(60):
        expected[log.append(b"%d" % number * 20, b"k%d" % number if number % 3 else None)] = number
    batch = log.append_many([b"a", b"b", b"c"], [None, b"", b"key"])
    log.append_tombstone(b"k1")
    log.close()
    seen = fmt.visible_frames(log_path)
    assert list(seen) == list(range(64))
    for offset, number in expected.items():
        assert seen[offset].value == b"%d" % number * 20
        assert seen[offset].key == (b"k%d" % number if number % 3 else None)
    assert [(seen[offset].key, seen[offset].value) for offset in batch] == [
        (None, b"a"),
        (b"", b"b"),
        (b"key", b"c"),
    ]
    assert [bool(seen[offset].flags & fmt.CONTINUES) for offset in batch] == [True, True, False]
    assert (seen[63].kind, seen[63].key) == (fmt.TOMBSTONE, b"k1")


def test_statistics_count(open_log: Opener) -> None:
    log = open_log(durability="power")
    before = log.stats()
    log.append(b"one")
    log.append_many([b"two", b"three"])
    log.sync()
    after = log.stats()
    assert after.records == 3
    assert after.appends > before.appends
    assert after.syncs > before.syncs
    assert after.durable_offset == 3


def test_an_empty_log_describes_itself(open_log: Opener) -> None:
    log = open_log(initial_offset=9)
    stats = log.stats()
    assert (stats.records, stats.lowest_offset, stats.next_offset, stats.durable_offset) == (0, 9, 9, 9)
    assert all(segment.record_count == 0 for segment in log.segments())
    assert list(log) == []
    report = log.verify()
    assert report.ok
    assert report.records == 0


def test_verify_reads_everything(open_log: Opener) -> None:
    log = open_log()
    for number in range(100):
        log.append(b"%d" % number * 30)
    calls: list[tuple[Any, ...]] = []
    report = log.verify(progress=lambda *arguments: calls.append(arguments))
    assert report.ok
    assert report.records == 100
    assert report.problems == []
    assert report.size_bytes >= sum(len(record.value) for record in log)
    assert calls, "progress is called"
