"""Readers: scan, read_many, columnar batches and Arrow, the byte reader, and views that pin their segment."""

from __future__ import annotations

import gc
import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from striate import OffsetOutOfRangeError, RecordBatch, RecordKind

Opener = Callable[..., Any]

COUNT = 150
FIRST = 1000


def value_of(offset: int) -> bytes:
    return b"%d|" % offset * (offset % 17)


def key_of(offset: int) -> bytes | None:
    return None if offset % 3 == 0 else b"" if offset % 3 == 1 else b"key-%d" % offset


@pytest.fixture
def log(open_log: Opener) -> Iterator[Any]:
    """150 records from offset 1000 on, in several segments."""
    made = open_log(initial_offset=FIRST, clock=iter(range(10**6, 10**9, 1000)).__next__)
    for offset in range(FIRST, FIRST + COUNT - 20):
        made.append(value_of(offset), key_of(offset))
    rest = range(FIRST + COUNT - 20, FIRST + COUNT)
    made.append_many([value_of(offset) for offset in rest], [key_of(offset) for offset in rest])
    assert len(made.segments()) > 2
    return made


# ---------------------------------------------------------------- scan and read_many

RANGES = [
    (None, None, 0, COUNT),
    (FIRST, None, 0, COUNT),
    (FIRST + 10, None, 10, COUNT),
    (None, FIRST + 10, 0, 10),
    (FIRST + 30, FIRST + 90, 30, 90),
    (FIRST + 30, FIRST + 30, 30, 30),
    (FIRST + COUNT, None, COUNT, COUNT),
    (FIRST + COUNT - 1, FIRST + COUNT, COUNT - 1, COUNT),
    (FIRST, FIRST + COUNT + 1000, 0, COUNT),
]


@pytest.mark.parametrize(("start", "stop", "low", "high"), RANGES)
def test_scan(log: Any, start: int | None, stop: int | None, low: int, high: int) -> None:
    records = list(log.scan(start, stop))
    assert [record.offset for record in records] == list(range(FIRST + low, FIRST + high))
    for record in records:
        assert (record.key, record.value) == (key_of(record.offset), value_of(record.offset))


@pytest.mark.parametrize("start", [0, FIRST - 1, FIRST + COUNT + 1, 2**63 - 1])
def test_scan_from_outside(log: Any, start: int) -> None:
    with pytest.raises(OffsetOutOfRangeError):
        list(log.scan(start))


def test_scan_ends_at_the_next_offset_of_its_call(log: Any) -> None:
    scan = log.scan()
    first = next(scan)
    log.append(b"later")
    rest = list(scan)
    assert first.offset == FIRST
    assert rest[-1].offset == FIRST + COUNT - 1


def test_iteration_is_scan(log: Any) -> None:
    assert [record.offset for record in log] == [record.offset for record in log.scan()]


def test_a_scan_survives_close(log: Any) -> None:
    """A scan that is on its way ends with its records or with LogClosedError, never in a crash."""
    from striate import LogClosedError

    scan = log.scan()
    assert next(scan).offset == FIRST
    log.close()
    seen = FIRST
    try:
        for record in scan:
            seen += 1
            assert (record.offset, record.value) == (seen, value_of(seen))
    except LogClosedError:
        pass


OFFSETS: dict[str, Any] = {
    "none": [],
    "one": [FIRST],
    "all": list(range(FIRST, FIRST + COUNT)),
    "backwards": list(range(FIRST + COUNT - 1, FIRST - 1, -1)),
    "repeated": [FIRST + 5] * 7,
    "a range": range(FIRST + 3, FIRST + 60, 7),
    "a tuple": (FIRST + 1, FIRST + 100),
    "uint64": np.arange(FIRST + 40, FIRST + 60, dtype=np.uint64),
    "int64": np.arange(FIRST + 40, FIRST + 60, dtype=np.int64),
    "strided": np.arange(FIRST, FIRST + COUNT, dtype=np.uint64)[::3],
    "random": np.random.default_rng(1).integers(FIRST, FIRST + COUNT, 500),
}


@pytest.mark.parametrize("offsets", OFFSETS.values(), ids=OFFSETS.keys())
def test_read_many(log: Any, offsets: Any) -> None:
    records = log.read_many(offsets)
    assert isinstance(records, list)
    assert [record.offset for record in records] == [int(offset) for offset in offsets]
    for record in records:
        assert (record.key, record.value) == (key_of(record.offset), value_of(record.offset))


@pytest.mark.parametrize("wrong", [0, FIRST - 1, FIRST + COUNT, 2**63 - 1])
def test_read_many_names_the_wrong_offset(log: Any, wrong: int) -> None:
    with pytest.raises(OffsetOutOfRangeError) as caught:
        log.read_many([FIRST, wrong, FIRST + 1])
    assert caught.value.offset == wrong


# ---------------------------------------------------------------- columnar batches


@pytest.mark.parametrize("max_bytes", [1, 100, 1000, 4096, 1 << 20])
def test_read_batch(log: Any, max_bytes: int) -> None:
    start = FIRST
    while start < FIRST + COUNT:
        batch = log.read_batch(start, max_bytes)
        assert isinstance(batch, RecordBatch)
        check_batch(batch, start)
        within_one_segment = [s for s in log.segments() if s.base_offset <= start < s.next_offset]
        assert batch.next_offset <= within_one_segment[0].next_offset
        start = batch.next_offset
    assert start == FIRST + COUNT
    empty = log.read_batch(start)
    assert (len(empty), empty.next_offset) == (0, start)
    assert list(empty) == []


def check_batch(batch: Any, start: int) -> None:
    """The columns of a batch agree with the records that were written and with one another."""
    count = len(batch)
    assert count > 0, "at least one record"
    types = {
        "offsets": np.uint64,
        "timestamps": np.int64,
        "positions": np.int64,
        "lengths": np.uint32,
        "key_positions": np.int64,
        "key_lengths": np.int32,
        "kinds": np.uint8,
    }
    for name, wanted in types.items():
        column = getattr(batch, name)
        assert (column.dtype, column.shape) == (np.dtype(wanted), (count,)), name
    assert batch.offsets.tolist() == list(range(start, batch.next_offset))
    buffer = batch.buffer
    assert isinstance(buffer, memoryview)
    assert buffer.readonly
    for place, offset in enumerate(range(start, batch.next_offset)):
        position, length = int(batch.positions[place]), int(batch.lengths[place])
        assert buffer[position : position + length] == value_of(offset)
        key_position, key_length = int(batch.key_positions[place]), int(batch.key_lengths[place])
        if key_of(offset) is None:
            assert key_length == -1
        else:
            assert buffer[key_position : key_position + key_length] == key_of(offset)
        assert batch.kinds[place] == RecordKind.VALUE
        record = batch[place]
        assert (record.offset, record.key, record.value) == (offset, key_of(offset), value_of(offset))
        assert record.timestamp == batch.timestamps[place]
    assert batch[-1] == batch[count - 1]
    for outside in (count, -count - 1):
        with pytest.raises(IndexError):
            batch[outside]
    assert [record.offset for record in batch] == batch.offsets.tolist()


def test_read_batch_starts_at_the_lowest_offset(log: Any) -> None:
    assert int(log.read_batch().offsets[0]) == FIRST
    with pytest.raises(OffsetOutOfRangeError):
        log.read_batch(FIRST - 1)
    with pytest.raises(OffsetOutOfRangeError):
        log.read_batch(FIRST + COUNT + 1)


def test_a_batch_outlives_the_log(log: Any) -> None:
    batch = log.read_batch(FIRST)
    log.truncate_before(FIRST + COUNT)
    log.reset()
    log.close()
    gc.collect()
    check_batch(batch, FIRST)


def test_arrow_array(log: Any) -> None:
    batch = log.read_batch(FIRST + 7)
    array = pa.array(batch)
    assert {field.name: field.type for field in array.type} == {
        "offset": pa.uint64(),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "key": pa.binary_view(),
        "value": pa.binary_view(),
    }
    assert array.type.field("key").nullable
    array.validate(full=True)
    rows = array.to_pylist()
    assert [row["offset"] for row in rows] == batch.offsets.tolist()
    for row in rows:
        assert (row["key"], row["value"]) == (key_of(row["offset"]), value_of(row["offset"]))


def test_arrow_values_are_not_copied(log: Any) -> None:
    batch = log.read_batch(FIRST)
    start = np.frombuffer(batch.buffer, np.uint8).ctypes.data
    values = pa.array(batch).field("value")
    shared = [item for item in values.buffers()[2:] if item is not None and item.size]
    assert shared, "values longer than twelve bytes stand in a buffer of their own"
    for item in shared:
        assert start <= item.address < start + len(batch.buffer)


def test_arrow_record_batch_and_stream(log: Any) -> None:
    batch = log.read_batch(FIRST)
    assert pa.record_batch(batch).num_rows == len(batch)
    assert pa.table(batch).num_rows == len(batch)
    table = pa.table(log.batches(max_bytes=2000))
    table.validate(full=True)
    assert table.column_names == ["offset", "timestamp", "key", "value"]
    assert table["offset"].to_pylist() == list(range(FIRST, FIRST + COUNT))
    assert table["value"].to_pylist() == [value_of(offset) for offset in range(FIRST, FIRST + COUNT)]
    assert table["key"].to_pylist() == [key_of(offset) for offset in range(FIRST, FIRST + COUNT)]
    assert table.num_rows == COUNT


def test_arrow_outlives_the_log(log: Any) -> None:
    table = pa.table(log.batches())
    log.truncate_before(FIRST + COUNT)
    log.reset()
    log.close()
    gc.collect()
    assert table["value"].to_pylist() == [value_of(offset) for offset in range(FIRST, FIRST + COUNT)]


@pytest.mark.parametrize(("start", "stop", "low", "high"), RANGES)
def test_batches(log: Any, start: int | None, stop: int | None, low: int, high: int) -> None:
    offsets: list[int] = []
    for batch in log.batches(start, stop, max_bytes=700):
        offsets += batch.offsets.tolist()
    assert offsets == list(range(FIRST + low, FIRST + high))


# ---------------------------------------------------------------- the byte reader


def expected_bytes(low: int, high: int) -> bytes:
    values = [value_of(offset) for offset in range(FIRST + low, FIRST + high)]
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


@pytest.mark.parametrize(("start", "stop", "low", "high"), RANGES)
def test_open_reader(log: Any, start: int | None, stop: int | None, low: int, high: int) -> None:
    with log.open_reader(start, stop) as reader:
        assert isinstance(reader, io.BufferedReader)
        assert reader.read() == expected_bytes(low, high)
        assert reader.read(1) == b""


@pytest.mark.parametrize("size", [1, 3, 4, 5, 7, 64, 1000, 100_000])
def test_open_reader_in_pieces(log: Any, size: int) -> None:
    with log.open_reader() as reader:
        pieces = list(iter(lambda: reader.read(size), b""))
    assert b"".join(pieces) == expected_bytes(0, COUNT)
    assert all(len(piece) == size for piece in pieces[:-1])


def test_open_reader_is_readable_only(log: Any) -> None:
    with log.open_reader() as reader:
        assert reader.readable()
        assert not reader.writable()
        assert reader.readinto(bytearray(10)) == 10
        with pytest.raises((io.UnsupportedOperation, AttributeError)):
            reader.write(b"x")
