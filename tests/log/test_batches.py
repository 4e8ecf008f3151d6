"""Columnar batches where frames are verified several at a time: what is damaged, and only that, is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from striate import CorruptRecordError, Log, RecordBatch, RecordKind

COUNT = 40


def fill(path: Path, record_size: int | None = None) -> list[tuple[bytes | None, bytes, RecordKind]]:
    """A closed log of one segment with runs of plain records, keys, tombstones and a mark of a sync."""
    rows: list[tuple[bytes | None, bytes, RecordKind]] = []
    with Log(path, durability="process", record_size=record_size) as log:
        for number in range(COUNT):
            value = bytes([number]) * (record_size or (128 if number < 15 else number * 7))
            if record_size is None and number % 13 == 5:
                log.append_tombstone(b"k%d" % number)
                rows.append((b"k%d" % number, b"", RecordKind.TOMBSTONE))
            else:
                key = [b"", b"key"][number % 2] if record_size is None and number % 9 == 3 else None
                log.append(value, key)
                rows.append((key, value, RecordKind.VALUE))
            if number == 20:
                log.sync()
    return rows


def rows_of(batch: RecordBatch) -> list[tuple[bytes | None, bytes, RecordKind]]:
    keys = zip(batch.key_positions.tolist(), batch.key_lengths.tolist(), strict=True)
    values = zip(batch.positions.tolist(), batch.lengths.tolist(), strict=True)
    return [
        (
            None if key_size < 0 else bytes(batch.buffer[key_at : key_at + key_size]),
            bytes(batch.buffer[at : at + size]),
            k,
        )
        for (key_at, key_size), (at, size), k in zip(keys, values, map(RecordKind, batch.kinds.tolist()), strict=True)
    ]


def overwrite(path: Path, position: int, data: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.pwrite(descriptor, data, position)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("record_size", [None, 128])
@pytest.mark.parametrize("max_bytes", [1, 200, 1 << 20])
def test_every_kind_of_record(log_path: Path, record_size: int | None, max_bytes: int) -> None:
    rows = fill(log_path, record_size)
    with Log(log_path, mode="r") as log:
        found = [row for batch in log.batches(max_bytes=max_bytes) for row in rows_of(batch)]
        assert found == rows
        for batch in log.batches(max_bytes=max_bytes):
            assert batch.timestamps.tolist() == [log.read(int(offset)).timestamp for offset in batch.offsets]
            assert not batch.key_positions[batch.key_lengths < 0].any(), "nothing of old memory shows"


def test_a_batch_keeps_to_its_bytes(log_path: Path) -> None:
    """But for a first record that is larger; and it takes all that fits."""
    rows = fill(log_path)
    with Log(log_path, mode="r") as log:
        positions = [*(log.segments()[0].index[:, 1].astype(np.int64) * 8).tolist(), log.segments()[0].size_bytes]
        for start in range(COUNT):
            for max_bytes in (1, 151, 152, 153, 304, 455, 456, 457, 900, 5000):
                fits = sum(positions[end] - positions[start] <= max_bytes for end in range(start + 1, COUNT + 1))
                assert len(log.read_batch(start, max_bytes)) == max(1, fits), (start, max_bytes)
    assert len(rows) == COUNT


@pytest.mark.parametrize("record_size", [None, 24])
@pytest.mark.parametrize("count", [63, 64, 65, 1000])
def test_a_batch_takes_all_that_fits(log_path: Path, record_size: int | None, count: int) -> None:
    with Log(log_path, durability="process", record_size=record_size) as log:
        log.append_many([bytes(24)] * 1000)
        frame_bytes = (log.segments()[0].size_bytes - 64) // 1000
        for start in (0, 1000 - count):
            assert len(log.read_batch(start, frame_bytes * count)) == count
            assert len(log.read_batch(start, frame_bytes * count - 1)) == count - 1


@pytest.mark.parametrize("record_size", [None, 128])
def test_a_damaged_record_stops_the_batch_before_it(log_path: Path, record_size: int | None) -> None:
    rows = fill(log_path, record_size)
    with Log(log_path, mode="r") as log:
        log.read_batch()  # the index is checked once; damage comes after that
        store = next(log_path.glob("*.store"))
        whole = store.read_bytes()
        for number in range(COUNT):
            position = whole.index(bytes([number]) * 20, 64) if len(rows[number][1]) >= 20 else None
            if position is None:
                continue
            overwrite(store, position, b"\xff")
            if number:
                assert rows_of(log.read_batch(0)) == rows[:number]
            with pytest.raises(CorruptRecordError) as caught:
                log.read_batch(number)
            assert caught.value.offset == number
            if number + 1 < COUNT:
                assert rows_of(log.read_batch(number + 1)) == rows[number + 1 :]
            result = log.verify()
            assert [problem.offset for problem in result.problems] == [number]
            overwrite(store, position, whole[position : position + 1])
        assert log.verify().ok


def test_an_index_that_points_elsewhere_is_not_followed(log_path: Path) -> None:
    rows = fill(log_path)
    with Log(log_path, mode="r") as log:
        assert len(log.read_batch()) == COUNT
        index = next(log_path.glob("*.index"))
        pairs = index.read_bytes()
        overwrite(index, 8 * 7 + 4, pairs[8 * 9 + 4 : 8 * 9 + 8])  # 7 has the position of 9
        with pytest.raises(CorruptRecordError) as caught:
            log.read_batch(7)
        assert caught.value.offset == 7
        assert rows_of(log.read_batch(8)) == rows[8:]
