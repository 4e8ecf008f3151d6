"""Columns of a batch: numpy arrays and memoryviews over one buffer, nothing copied."""

from __future__ import annotations

import gc
import io
import mmap
import threading
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from support.columns import (
    BASE,
    ROWS,
    TIME,
    Rows,
    Segment,
    Source,
    address_of,
    batch_of,
    columns_of,
    every_kind_of_row,
)

from striate._native.columnar import Column, RecordColumns
from striate.errors import InvalidTypeError
from striate.storage.columnar import RecordBatch, RecordBatches

# ---------------------------------------------------------------- columns as numpy arrays


DTYPES = {
    "offsets": np.uint64,
    "timestamps": np.int64,
    "positions": np.int64,
    "key_positions": np.int64,
    "lengths": np.uint32,
    "key_lengths": np.int32,
    "kinds": np.uint8,
}


@every_kind_of_row
def test_arrays_describe_the_records(rows: Rows) -> None:
    batch = batch_of(rows)
    assert batch.offsets.tolist() == [BASE + i for i in range(len(rows))]
    assert batch.timestamps.tolist() == [TIME + i for i in range(len(rows))]
    assert batch.lengths.tolist() == [len(value) for _, value in rows]
    assert batch.key_lengths.tolist() == [-1 if key is None else len(key) for key, _ in rows]
    assert batch.kinds.tolist() == [1 + i % 4 for i in range(len(rows))]
    for (key, value), at, size, key_at in zip(rows, batch.positions, batch.lengths, batch.key_positions, strict=True):
        assert batch.buffer[at : at + size] == value
        assert key is None or batch.buffer[key_at : key_at + len(key)] == key


@pytest.mark.parametrize(("name", "dtype"), DTYPES.items(), ids=DTYPES.keys())
def test_arrays_are_read_only_views_made_once(name: str, dtype: type) -> None:
    batch = batch_of(ROWS["some keys"])
    array = getattr(batch, name)
    assert array.dtype == dtype
    assert array.shape == (100,)
    assert array is getattr(batch, name)
    assert not array.flags.writeable
    assert not array.flags.owndata
    assert array.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(AttributeError):
        setattr(batch, name, array)


@pytest.mark.parametrize(("name", "dtype"), DTYPES.items(), ids=DTYPES.keys())
def test_columns_export_typed_buffers(name: str, dtype: type) -> None:
    columns = columns_of(ROWS["some keys"])
    view = columns.column(name)
    assert (view.ndim, view.shape, view.readonly, view.c_contiguous) == (1, (100,), True, True)
    assert np.asarray(columns.column(name)).dtype == dtype
    assert view.tolist() == np.frombuffer(columns.column(name), dtype).tolist()
    assert address_of(view) == np.frombuffer(columns.column(name), dtype).ctypes.data


def test_a_column_refuses_writers() -> None:
    with pytest.raises(TypeError, match="read-write"):
        io.BytesIO(b"new").readinto(columns_of(ROWS["some keys"]).column("offsets"))
    with pytest.raises(TypeError):
        Column()
    with pytest.raises(KeyError):
        columns_of([]).column("colour")


def test_growing_keeps_the_rows() -> None:
    batch = batch_of([(b"%d" % i, b"v%d" % i) for i in range(5000)])
    assert np.array_equal(batch.offsets, np.arange(BASE, BASE + 5000))
    assert [batch[i].value for i in (0, 63, 64, 127, 128, 4999)] == [b"v%d" % i for i in (0, 63, 64, 127, 128, 4999)]


def test_exported_columns_no_longer_grow() -> None:
    columns = columns_of(ROWS["inline values"])
    columns.column("offsets")
    with pytest.raises(AssertionError, match="exported"):
        columns.append(1, 2, 3, 4)


# ---------------------------------------------------------------- records and bytes


@every_kind_of_row
def test_records_and_views(rows: Rows) -> None:
    batch = batch_of(rows)
    assert len(batch) == len(rows)
    assert batch.next_offset == (BASE + len(rows) if rows else 0)
    assert batch.base_offset == (BASE if rows else 0)
    for i, (record, (key, value)) in enumerate(zip(batch, rows, strict=True)):
        assert (record.offset, record.timestamp, record.kind) == (BASE + i, TIME + i, 1 + i % 4)
        assert (record.key, record.value) == (key, value)
        assert record == batch[i] == batch[i - len(rows)]
        assert bytes(batch.value(i)) == value
        assert batch.value(i).readonly
        key_view = batch.key(i)
        assert (None if key_view is None else bytes(key_view)) == key


def test_views_point_into_the_segment() -> None:
    batch = batch_of(ROWS["some keys"])
    start = address_of(batch.buffer)
    assert address_of(batch.value(50)) == start + int(batch.positions[50])
    assert address_of(batch.key(50) or memoryview(b"")) == start + int(batch.key_positions[50])
    assert batch.buffer.readonly
    assert batch.buffer.format == "B"


def test_releasing_what_was_given_out_harms_nothing() -> None:
    batch = batch_of(ROWS["long values"])
    batch.buffer.release()
    batch.value(0).release()
    assert batch.value(1) == b"d" * 300
    assert batch.buffer[-1:] == b"d"


@pytest.mark.parametrize("index", [2, -3, 2**40, -(2**40)])
@pytest.mark.parametrize("face", ["__getitem__", "value", "key"])
def test_there_is_no_such_row(face: str, index: int) -> None:
    with pytest.raises(IndexError, match="the batch has 2 records"):
        getattr(batch_of(ROWS["long values"]), face)(index)


@pytest.mark.parametrize("index", ["0", 0.0, None, slice(0, 1)])
@pytest.mark.parametrize("face", ["__getitem__", "value", "key"])
def test_an_index_is_an_integer(face: str, index: object) -> None:
    with pytest.raises(InvalidTypeError, match="index must be an integer"):
        getattr(batch_of(ROWS["long values"]), face)(index)


def test_numpy_integers_index_too() -> None:
    assert batch_of(ROWS["long values"])[np.uint8(1)].value == b"d" * 300


def test_repr() -> None:
    assert repr(batch_of(ROWS["long values"])) == "<RecordBatch: 2 records, offsets 100 to 101>"
    assert repr(batch_of([])) == "<RecordBatch: no records, next_offset=0>"


# ---------------------------------------------------------------- the attached window


def test_positions_count_from_the_window() -> None:
    columns = RecordColumns()
    columns.append(7, TIME, 2, 3)
    columns.attach(b"0123456789", 4, 5)
    assert columns.buffer == b"45678"
    assert columns.value(0) == b"678"


@pytest.mark.parametrize("source", [bytearray(b"ab" * 4), memoryview(b"ab" * 4).cast("H"), mmap.mmap(-1, 8)])
def test_any_buffer_becomes_read_only_bytes(source: memoryview) -> None:
    columns = RecordColumns()
    columns.attach(source)
    assert (columns.buffer.format, columns.buffer.readonly, len(columns.buffer)) == ("B", True, 8)


@pytest.mark.parametrize(("start", "size"), [(0, 9), (9, 0), (-1, 3), (9, -1), (2**62, 2**62)])
def test_a_window_lies_within_its_buffer(start: int, size: int) -> None:
    with pytest.raises(AssertionError, match="past the buffer"):
        RecordColumns().attach(b"8 bytes.", start, size)


@pytest.mark.parametrize(("position", "length"), [(6, 3), (-1, 1), (2**62, 2**31 - 1), (9, 0), (0, 2**32 - 1)])
def test_rows_outside_the_window_are_caught(position: int, length: int) -> None:
    columns = RecordColumns()
    columns.append(0, TIME, position, length)
    columns.attach(b"8 bytes.")
    for use in (lambda: columns.value(0), lambda: columns.row(0)):
        with pytest.raises(AssertionError, match="outside the batch"):
            use()
    if length < 2**31:
        with pytest.raises(AssertionError, match="outside the batch"):
            RecordBatch(columns).__arrow_c_array__()


@pytest.mark.parametrize(
    ("stop", "count", "next_offset"),
    [(0, 0, 0), (10, 0, 10), (11, 1, 11), (15, 2, 15), (21, 3, 21), (99, 3, 21)],
)
def test_cutting_at_an_offset(stop: int, count: int, next_offset: int) -> None:
    columns = RecordColumns()
    for offset in (10, 14, 20):  # gaps, as compaction leaves them
        columns.append(offset, TIME, 0, 1)
    columns.attach(b"x")
    head = columns.before(stop)
    assert (len(head), head.next_offset) == (count, next_offset)
    array = np.frombuffer(head.column("offsets"), np.uint64)
    assert array.tolist() == [10, 14, 20][:count]
    assert not count or array.ctypes.data == np.frombuffer(columns.column("offsets"), np.uint64).ctypes.data


# ---------------------------------------------------------------- one batch after the other


def offsets_of(batches: RecordBatches) -> list[list[int]]:
    return [[record.offset for record in batch] for batch in batches]


@pytest.mark.parametrize(("start", "stop"), [(0, 95), (3, 95), (0, 10), (0, 11), (17, 18), (5, 5), (9, 3), (90, 200)])
def test_batches_cover_the_range_once(start: int, stop: int) -> None:
    batches = RecordBatches(Source(), start, stop)
    found = [offset for batch in offsets_of(batches) for offset in batch]
    assert found == list(range(start, min(stop, 95)))
    assert list(batches) == []


def test_batches_are_read_when_asked_for() -> None:
    source = Source()
    batches = RecordBatches(source, 0, 95)
    assert source.reads == []
    assert next(batches).next_offset == 10
    assert source.reads == [0]
    assert repr(batches) == "<RecordBatches: offsets 10 to 94>"
    assert iter(batches) is batches


def test_a_failed_read_may_be_tried_again() -> None:
    source = Source()
    batches = RecordBatches(source, 0, 95)
    next(batches)
    source.fail_at = 0
    with pytest.raises(RuntimeError):
        next(batches)
    source.fail_at = None
    assert next(batches).base_offset == 10


def test_a_stop_within_a_gap_ends_quietly() -> None:
    def read(start: int) -> RecordBatch:
        return batch_of([(None, b"x")], base=50)  # everything below was compacted away

    assert offsets_of(RecordBatches(read, 40, 45)) == []
    assert offsets_of(RecordBatches(read, 40, 51)) == [[50]]


def test_threads_share_the_batches() -> None:
    batches = RecordBatches(Source(2000), 0, 2000)
    found: list[list[int]] = []
    threads = [threading.Thread(target=lambda: found.extend(offsets_of(batches))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [list(range(i, i + 10)) for i in range(0, 2000, 10)]


# ---------------------------------------------------------------- lifetime


def watched_batch() -> tuple[RecordBatch, weakref.ref[Segment]]:
    columns = RecordColumns()
    segment = Segment(b"a segment of a log")
    columns.append(1, TIME, 2, 7, key_position=0, key_length=1)
    columns.attach(segment)
    return RecordBatch(columns), weakref.ref(segment)


@pytest.mark.parametrize(
    "piece",
    [
        lambda batch: batch,
        lambda batch: batch.buffer,
        lambda batch: batch.value(0),
        lambda batch: batch.key(0),
    ],
    ids=["batch", "buffer", "value", "key"],
)
def test_a_piece_pins_the_segment(piece: Callable[[RecordBatch], object]) -> None:
    batch, segment = watched_batch()
    kept = piece(batch)
    del batch
    gc.collect()
    assert segment() is not None
    assert kept is not None
    del kept
    gc.collect()
    assert segment() is None


def test_arrays_live_on_without_the_segment() -> None:
    batch, segment = watched_batch()
    arrays = [getattr(batch, name) for name in DTYPES]
    cut = batch._columns.before(1).column("offsets")
    del batch
    gc.collect()
    assert segment() is None
    assert [array.tolist() for array in arrays] == [[1], [TIME], [2], [0], [7], [1], [1]]
    assert cut.tolist() == []


def test_a_segment_that_is_dropped_unread_is_freed() -> None:
    batch, segment = watched_batch()
    del batch
    assert segment() is None  # at once: no cycle to collect
