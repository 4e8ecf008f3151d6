"""Batches as Arrow data: read by pyarrow, and by a consumer of our own that moves pieces about as C may."""

from __future__ import annotations

import ctypes
import gc
import mmap
import resource
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest
from pyarrow.dataset import Scanner
from support.arrow_abi import ArrowArray, ArrowArrayStream, ArrowSchema, inside, move
from support.columns import BASE, ROWS, TIME, Rows, Segment, Source, address_of, batch_of, every_kind_of_row

from striate._native.columnar import RecordColumns
from striate.errors import BatchTooLargeError, RecordTooLargeError
from striate.storage.columnar import RecordBatch, RecordBatches

# ---------------------------------------------------------------- Arrow arrays

SCHEMA = pa.schema(
    [
        pa.field("offset", pa.uint64(), nullable=False),
        pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("key", pa.binary_view()),
        pa.field("value", pa.binary_view(), nullable=False),
    ]
)


def assert_same(table: pa.Table | pa.RecordBatch, rows: Rows) -> None:
    table.validate(full=True)
    assert table.schema == SCHEMA
    assert table["offset"].to_pylist() == [BASE + i for i in range(len(rows))]
    assert table["timestamp"].cast(pa.int64()).to_pylist() == [TIME + i for i in range(len(rows))]
    assert table["key"].to_pylist() == [key for key, _ in rows]
    assert table["value"].to_pylist() == [value for _, value in rows]
    assert table["key"].null_count == sum(key is None for key, _ in rows)


IMPORTS = {
    "record_batch": pa.record_batch,
    "table": pa.table,
    "array": lambda batch: pa.RecordBatch.from_struct_array(pa.array(batch)),
    "reader": lambda batch: pa.RecordBatchReader.from_stream(batch).read_all(),
    "requested schema": lambda batch: pa.RecordBatchReader.from_stream(batch, SCHEMA).read_all(),
}


@every_kind_of_row
@pytest.mark.parametrize("way", IMPORTS.values(), ids=IMPORTS.keys())
def test_arrow_sees_the_records(rows: Rows, way: Callable[[RecordBatch], pa.Table]) -> None:
    if way is pa.array and not rows:
        pytest.skip("pyarrow makes no record batch of an empty array")
    assert_same(way(batch_of(rows)), rows)


def test_a_field_is_what_it_says() -> None:
    assert pa.schema(batch_of([])) == SCHEMA
    assert pa.schema(RecordBatches(lambda start: batch_of([]), 0, 1)) == SCHEMA


def test_arrow_copies_nothing() -> None:
    batch = batch_of(ROWS["some keys"])
    table = pa.record_batch(batch)
    start, size = address_of(batch.buffer), len(batch.buffer)
    for name, positions, lengths in (
        ("value", batch.positions, batch.lengths),
        ("key", batch.key_positions, batch.key_lengths),
    ):
        _validity, views, data = table[name].buffers()
        long = np.flatnonzero(lengths > 12)
        assert data.address == start + int(positions[long[0]])
        assert data.address + data.size == start + int(positions[long[-1]]) + int(lengths[long[-1]]) <= start + size
        pointed = np.frombuffer(views, np.int32).reshape(-1, 4)[: len(batch)]
        assert np.array_equal(pointed[:, 0], np.maximum(lengths, 0))
        assert np.array_equal(data.address + pointed[long, 3].astype(int), start + positions[long])
    assert table["offset"].buffers()[1].address == batch.offsets.ctypes.data
    assert table["timestamp"].buffers()[1].address == batch.timestamps.ctypes.data


def test_inline_views_need_no_data_buffer() -> None:
    table = pa.record_batch(batch_of([(b"k" * 12, b"v" * 12), (None, b"")]))
    assert [table[name].buffers()[2].size for name in ("key", "value")] == [0, 0]


def test_arrow_works_on_the_data() -> None:
    table = pa.table(batch_of(ROWS["some keys"]))
    assert table.slice(40, 3)["value"].to_pylist() == [b"v" * 80, b"v" * 82, b"v" * 84]
    cast = table.set_column(2, "key", table["key"].cast(pa.binary())).drop_columns("value")
    assert cast.filter(pa.compute.is_null(cast["key"])).num_rows == 34
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert_same(pa.ipc.open_stream(sink.getvalue()).read_all(), ROWS["some keys"])


def test_arrow_reaches_two_gigabytes() -> None:
    limit = 2**31 - 1
    space = mmap.mmap(-1, 2**32, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)

    def batch(*rows: tuple[int, int]) -> RecordBatch:
        columns = RecordColumns()
        for offset, (position, length) in enumerate(rows):
            columns.append(offset, TIME, position, length)
        columns.attach(space)
        return RecordBatch(columns)

    # What counts is the span of what is pointed at, not where in the buffer it lies.
    assert pa.record_batch(batch((2**31 + 1, 20), (2**32 - 20, 20)))["value"].to_pylist() == [bytes(20)] * 2
    assert pa.record_batch(batch((0, 12), (2**32 - 20, 20)))["value"].to_pylist() == [bytes(12), bytes(20)]
    assert pa.record_batch(batch((1, 20), (limit - 19, 20))).num_rows == 2
    with pytest.raises(BatchTooLargeError) as caught:
        batch((0, 20), (limit - 19, 20)).__arrow_c_array__()
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (2**31, limit)
    with pytest.raises(RecordTooLargeError) as too_large:
        batch((0, 20), (0, 2**31)).__arrow_c_array__()
    assert (too_large.value.size_bytes, too_large.value.limit_bytes) == (2**31, limit)
    with pytest.raises(OSError, match="BatchTooLargeError: batch of"):
        pa.table(RecordBatches(lambda start: batch((0, 20), (limit, 20)), 0, 2))


# ---------------------------------------------------------------- streams


def test_arrow_reads_a_stream_lazily_and_again() -> None:
    source = Source()
    batches = RecordBatches(source, 0, 95)
    reader = pa.RecordBatchReader.from_stream(batches)
    assert (source.reads, reader.schema) == ([], SCHEMA)
    assert reader.read_next_batch()["offset"].to_pylist() == list(range(10))
    assert source.reads == [0]
    next(batches)
    for _ in range(2):
        table = pa.table(batches)
        table.validate(full=True)
        assert table["offset"].to_pylist() == list(range(10, 95))
        assert table["value"].to_pylist() == [value for _, value in source.rows[10:]]
    assert reader.read_all().num_rows == 85


def test_an_empty_stream() -> None:
    table = pa.table(RecordBatches(Source(), 5, 5))
    assert (table.num_rows, table.schema) == (0, SCHEMA)


def test_errors_reach_the_consumer_as_text() -> None:
    source = Source()
    source.fail_at = 20
    reader = pa.RecordBatchReader.from_stream(RecordBatches(source, 0, 95))
    assert reader.read_next_batch().num_rows == 10
    assert reader.read_next_batch().num_rows == 10
    with pytest.raises(OSError, match="RuntimeError: the disk is on fire"):
        reader.read_next_batch()
    source.fail_at = None
    assert reader.read_next_batch()["offset"][0].as_py() == 20


@pytest.mark.parametrize("interruption", [KeyboardInterrupt("enough"), SystemExit(3), Exception("\ud800")])
def test_nothing_crosses_into_the_consumer(interruption: BaseException) -> None:
    def read(start: int) -> RecordBatch:
        raise interruption

    with pytest.raises(OSError, match=type(interruption).__name__):
        pa.table(RecordBatches(read, 0, 1))


# ---------------------------------------------------------------- a consumer in C's place


def watched_batch() -> tuple[RecordBatch, weakref.ref[Segment]]:
    columns = RecordColumns()
    segment = Segment(b"a segment of a log, mapped")
    for i in range(3):
        columns.append(1 + i, TIME, 2, 20 + i, key_position=2, key_length=i - 1)
    columns.attach(segment)
    return RecordBatch(columns), weakref.ref(segment)


def test_the_structures_hold_what_the_interface_says() -> None:
    batch, _ = watched_batch()
    schema_capsule, array_capsule = batch.__arrow_c_array__()
    schema = inside(schema_capsule, b"arrow_schema", ArrowSchema)
    array = inside(array_capsule, b"arrow_array", ArrowArray)
    assert (schema.format, schema.flags, schema.n_children) == (b"+s", 0, 4)
    assert [
        (child.contents.name, child.contents.format, child.contents.flags, child.contents.n_children)
        for child in schema.children[:4]
    ] == [
        (b"offset", b"L", 0, 0),
        (b"timestamp", b"tsu:UTC", 0, 0),
        (b"key", b"vz", 2, 0),
        (b"value", b"vz", 0, 0),
    ]
    assert (array.length, array.null_count, array.offset, array.n_buffers, array.n_children) == (
        3,
        0,
        0,
        1,
        4,
    )
    children = [child.contents for child in array.children[:4]]
    assert [child.n_buffers for child in children] == [2, 2, 4, 4]
    assert [child.null_count for child in children] == [0, 0, 1, 0]
    assert [bool(child.buffers[0]) for child in children] == [False, False, True, False]
    start = address_of(batch.buffer)
    assert children[3].buffers[2] == start + 2
    assert ctypes.c_int64.from_address(children[3].buffers[3]).value == 22


@pytest.mark.parametrize("ways", ["capsule", "moved", "twice"])
def test_released_by_capsule_or_consumer(ways: str) -> None:
    batch, segment = watched_batch()
    schema, array = batch.__arrow_c_array__()
    stream = batch.__arrow_c_stream__()
    del batch
    if ways != "capsule":
        for capsule, name, structure in (
            (schema, b"arrow_schema", ArrowSchema),
            (array, b"arrow_array", ArrowArray),
            (stream, b"arrow_array_stream", ArrowArrayStream),
        ):
            original = inside(capsule, name, structure)
            taken = move(original) if ways == "moved" else original
            release = type(taken.release)(ctypes.cast(taken.release, ctypes.c_void_p).value)
            release(taken)
            assert not taken.release
            release(taken)
    else:
        assert segment() is not None
    del schema, array, stream
    assert segment() is None


@pytest.mark.parametrize("which", range(4))
def test_a_moved_child_outlives_its_parent(which: int) -> None:
    batch, segment = watched_batch()
    expected = [batch.offsets.tolist(), batch.timestamps.tolist(), None, None][which]
    _, capsule = batch.__arrow_c_array__()
    array = inside(capsule, b"arrow_array", ArrowArray)
    child = move(array.children[which].contents)
    del batch, capsule, array
    assert segment() is not None
    if expected is not None:
        assert list((ctypes.c_int64 * 3).from_address(child.buffers[1])) == expected
    else:
        assert ctypes.c_int64.from_address(child.buffers[3]).value == (22 if which == 3 else 0)
        long = np.ctypeslib.as_array((ctypes.c_int32 * 12).from_address(child.buffers[1])).reshape(3, 4)
        assert long[:, 0].tolist() == ([20, 21, 22] if which == 3 else [0, 0, 1])
    child.release(child)
    assert segment() is None


def test_a_moved_schema_child_outlives_its_parent() -> None:
    capsule = batch_of([]).__arrow_c_schema__()
    schema = inside(capsule, b"arrow_schema", ArrowSchema)
    child = move(schema.children[2].contents)
    del capsule, schema
    assert (child.name, child.format) == (b"key", b"vz")
    child.release(child)
    assert not child.release


def test_a_stream_used_as_c_does() -> None:
    source = Source(15)
    capsule = RecordBatches(source, 0, 15).__arrow_c_stream__()
    stream = move(inside(capsule, b"arrow_array_stream", ArrowArrayStream))
    del capsule
    array = ArrowArray()
    assert stream.get_last_error(stream) is None
    lengths = []
    while stream.get_next(stream, array) == 0 and array.release:
        lengths.append(array.length)
        array.release(array)
    assert lengths == [10, 5]
    assert stream.get_next(stream, array) == 0  # the end stays the end
    assert not array.release
    stream.release(stream)

    source.fail_at = 0
    capsule = RecordBatches(source, 0, 15).__arrow_c_stream__()
    stream = inside(capsule, b"arrow_array_stream", ArrowArrayStream)
    assert stream.get_next(stream, array) == 5  # EIO
    assert not array.release
    assert stream.get_last_error(stream) == b"RuntimeError: the disk is on fire"


# ---------------------------------------------------------------- lifetime


@pytest.mark.parametrize(
    "keep",
    [
        lambda batch: pa.record_batch(batch)["value"][:1],
        lambda batch: pa.table(batch).column("offset").to_numpy(),
        lambda batch: pa.record_batch(batch)["key"].buffers()[2],
        lambda batch: pa.record_batch(batch)["timestamp"],
    ],
    ids=["slice", "array over a column", "buffer", "child"],
)
def test_a_piece_of_arrow_data_pins_the_segment(keep: Callable[[RecordBatch], Any]) -> None:
    batch, segment = watched_batch()
    piece = keep(batch)
    del batch
    gc.collect()
    assert segment() is not None
    del piece
    gc.collect()
    assert segment() is None


def test_data_is_intact_after_everything_else_is_gone() -> None:
    table = pa.table(RecordBatches(Source(), 0, 95))
    value = table["value"].combine_chunks()
    del table
    gc.collect()
    [bytearray(300) for _ in range(1000)]  # lands where freed memory was
    assert value.to_pylist() == [value for _, value in Source().rows]


def test_released_without_the_gil_by_other_threads() -> None:
    """Arrow's own threads read and release while Python's threads make more."""
    tables: list[pa.Table] = []

    def work() -> None:
        for _ in range(20):
            reader = pa.RecordBatchReader.from_stream(RecordBatches(Source(), 0, 95))
            table = Scanner.from_batches(reader, columns=["offset", "value"], use_threads=True).to_table()
            assert table["offset"].to_pylist() == list(range(95))
        tables.append(table)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(table.equals(tables[0]) for table in tables)


def exports() -> Iterator[tuple[str, Callable[[RecordBatch], object]]]:
    yield "unconsumed capsules", lambda batch: (batch.__arrow_c_array__(), batch.__arrow_c_stream__())
    yield "record batch", pa.record_batch
    yield "stream", lambda batch: pa.RecordBatchReader.from_stream(batch).read_all()
    yield "arrays", lambda batch: [getattr(batch, name) for name in ("offsets", "lengths", "kinds")]
    yield "abandoned stream", lambda batch: pa.RecordBatchReader.from_stream(batch).schema
    yield "views", lambda batch: (batch.buffer, batch.value(0), batch.key(-1), batch[5])


@pytest.mark.parametrize("export", [export for _, export in exports()], ids=[name for name, _ in exports()])
def test_nothing_leaks(export: Callable[[RecordBatch], object]) -> None:
    """11,000 exports leave memory as it was; leaking the views alone would cost 16 MB."""
    batch = batch_of(ROWS["some keys"])

    def run(times: int) -> None:
        for _ in range(times):
            export(batch_of(ROWS["some keys"][:10]))
            export(batch)

    run(500)
    before, arrow_before = allocated_bytes(), pa.total_allocated_bytes()
    run(5_000)
    assert allocated_bytes() - before < 200_000
    assert pa.total_allocated_bytes() == arrow_before


class MemoryInformation(ctypes.Structure):
    _fields_: ClassVar[Any] = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def allocated_bytes() -> int:
    """What malloc has handed out: exact where the C library can tell, else the resident size."""
    gc.collect()
    try:
        information = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    information.restype = MemoryInformation
    found = information()
    return int(found.uordblks + found.hblkhd)
