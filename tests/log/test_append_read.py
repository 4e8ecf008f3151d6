"""Appending and reading: what goes in comes out, for every form of value, key, batch and offset."""

from __future__ import annotations

import array
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striate
from striate import (
    KeyTooLargeError,
    Log,
    OffsetOutOfRangeError,
    Record,
    RecordKind,
    RecordTooLargeError,
)

Opener = Callable[..., Any]


# ---------------------------------------------------------------- one record

BYTES_LIKE = {
    "bytes": b"payload",
    "bytearray": bytearray(b"payload"),
    "memoryview": memoryview(b"payload"),
    "slice of a memoryview": memoryview(b"__payload__")[2:9],
    "array": array.array("B", b"payload"),
    "numpy": np.frombuffer(b"payload", dtype=np.uint8),
    "empty": b"",
    "one byte": b"\0",
    "zeros": bytes(100),
    "a frame's multiple of eight": b"x" * 40,
    "one more": b"x" * 41,
    "large": os.urandom(3000),
}


@pytest.mark.parametrize("value", BYTES_LIKE.values(), ids=BYTES_LIKE.keys())
def test_append_returns_the_offset_and_read_the_same_bytes(open_log: Opener, value: Any) -> None:
    log = open_log()
    assert log.append(value) == 0
    assert log.append(b"next") == 1
    record = log.read(0)
    assert isinstance(record, Record)
    assert (record.offset, record.key, record.value) == (0, None, bytes(value))
    assert type(record.value) is bytes
    assert record.kind is RecordKind.VALUE
    assert not record.is_tombstone
    assert log.view(0) == bytes(value)


KEYS = {
    "none": None,
    "empty": b"",
    "one byte": b"k",
    "bytearray": bytearray(b"key"),
    "memoryview": memoryview(b"key"),
    "zeros": bytes(9),
    "long": b"k" * 2000,
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
@pytest.mark.parametrize("value", [b"", b"value"], ids=["empty value", "value"])
def test_no_key_and_an_empty_key_are_different(open_log: Opener, key: Any, value: bytes) -> None:
    log = open_log()
    log.append(value, key)
    log.append(value, key=key)
    for offset in (0, 1):
        record = log.read(offset)
        assert record.key == (None if key is None else bytes(key))
        assert record.value == value
    log.close()
    log = open_log()
    assert log.read(0).key == (None if key is None else bytes(key))


def test_the_largest_key(open_log: Opener) -> None:
    log = open_log(segment_bytes=1 << 20)
    key = os.urandom(65535)
    assert log.append(b"value", key) == 0
    with pytest.raises(KeyTooLargeError) as caught:
        log.append(b"value", key + b"x")
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (65536, 65535)
    assert log.read(0).key == key
    assert log.append(b"goes on") == 1


def test_tombstone(open_log: Opener) -> None:
    log = open_log()
    log.append(b"value", b"key")
    assert log.append_tombstone(b"key") == 1
    assert log.append_tombstone(b"") == 2
    record = log.read(1)
    assert (record.key, record.value, record.kind) == (b"key", b"", RecordKind.TOMBSTONE)
    assert record.is_tombstone
    assert log.read(2).key == b""
    assert [item.is_tombstone for item in log] == [False, True, True]


def test_a_caller_may_change_its_buffer_afterwards(open_log: Opener) -> None:
    log = open_log()
    value, key = bytearray(b"before"), bytearray(b"key")
    log.append(value, key)
    log.append_many([value, value], [key, None])
    value[:] = b"after!"
    key[:] = b"yek"
    assert [(record.key, record.value) for record in log] == [
        (b"key", b"before"),
        (b"key", b"before"),
        (None, b"before"),
    ]


def test_record_is_immutable_comparable_and_hashable(open_log: Opener) -> None:
    log = open_log(clock=lambda: 1_700_000_000_000_000)
    log.append(b"value", b"key")
    log.append(b"value", b"key")
    first, again, other = log.read(0), log.read(0), log.read(1)
    assert first == again
    assert hash(first) == hash(again)
    assert first != other
    assert first != b"value"
    assert len({first, again, other}) == 2
    assert "offset=0" in repr(first)
    assert first.timestamp == 1_700_000_000_000_000
    for name in ("offset", "timestamp", "key", "value", "kind"):
        with pytest.raises(AttributeError):
            setattr(first, name, None)
    with pytest.raises(TypeError):
        tuple(first)
    with pytest.raises(TypeError):
        type("Derived", (Record,), {})


def test_names_at_the_top() -> None:
    wanted = "Log AsyncLog Record RecordBatch RecordKind SegmentInfo LogStats RecoveryReport __version__".split()
    for name in [*wanted, *striate.errors.__all__]:
        assert hasattr(striate, name), name
        if not name.startswith("__"):
            assert name in striate.__all__, name
    assert [kind.value for kind in RecordKind] == [1, 2, 3, 4]


# ---------------------------------------------------------------- batches

BATCHES = {
    "empty": [],
    "one": [b"a"],
    "three": [b"a", b"bb", b"ccc"],
    "empty values": [b"", b"", b""],
    "mixed types": [b"a", bytearray(b"b"), memoryview(b"c")],
    "a tuple": (b"a", b"b"),
    "many": [b"%d" % number for number in range(1000)],
    "larger than a segment": [bytes([number % 256]) * 100 for number in range(500)],
}


@pytest.mark.parametrize("values", BATCHES.values(), ids=BATCHES.keys())
def test_append_many(open_log: Opener, values: Any) -> None:
    log = open_log()
    log.append(b"before")
    written = log.append_many(values)
    assert written == range(1, 1 + len(values))
    assert log.next_offset == 1 + len(values)
    assert [log.read(offset).value for offset in written] == [bytes(value) for value in values]
    assert [log.read(offset).key for offset in written] == [None] * len(values)
    assert log.append(b"after") == 1 + len(values)
    log.close()
    log = open_log()
    assert [record.value for record in log] == [b"before", *map(bytes, values), b"after"]


def test_append_many_with_keys(open_log: Opener) -> None:
    log = open_log()
    assert log.append_many([b"1", b"2", b"3"], [b"k", None, b""]) == range(3)
    assert log.append_many([b"4"], keys=[b"q"]) == range(3, 4)
    assert [record.key for record in log] == [b"k", None, b"", b"q"]


LENGTHS = {
    "uint32": np.array([1, 0, 3, 2], dtype=np.uint32),
    "int64": np.array([1, 0, 3, 2], dtype=np.int64),
    "strided": np.array([1, 9, 0, 9, 3, 9, 2, 9], dtype=np.uint32)[::2],
}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
@pytest.mark.parametrize("buffer", [b"abbbcc", bytearray(b"abbbcc"), np.frombuffer(b"abbbcc", np.uint8)])
def test_append_many_from_one_buffer(open_log: Opener, buffer: Any, lengths: Any) -> None:
    log = open_log()
    assert log.append_many(buffer, lengths=lengths) == range(4)
    assert [record.value for record in log] == [b"a", b"", b"bbb", b"cc"]


def test_append_many_from_one_buffer_with_keys(open_log: Opener) -> None:
    log = open_log()
    log.append_many(b"abb", [b"k", None], lengths=np.array([1, 2], np.uint32))
    assert [(record.key, record.value) for record in log] == [(b"k", b"a"), (None, b"bb")]


def test_a_batch_stands_in_one_segment(open_log: Opener) -> None:
    """A batch is never split, whether it nearly fills the active segment or exceeds every segment."""
    log = open_log()
    for count in (1, 5, 20, 31, 40, 200):
        batch = log.append_many([b"v" * 90] * count)
        holders = [s for s in log.segments() if s.base_offset <= batch.start < s.next_offset]
        assert len(holders) == 1
        assert holders[0].next_offset >= batch.stop
    assert log.verify().ok


def test_a_refused_batch_leaves_nothing(open_log: Opener) -> None:
    log = open_log()
    log.append(b"before")
    with pytest.raises(RecordTooLargeError):
        log.append_many([b"fine", b"x" * 5000, b"fine"])
    with pytest.raises(KeyTooLargeError):
        log.append_many([b"fine", b"fine"], [b"key", b"k" * 65536])
    with pytest.raises(TypeError):
        log.append_many([b"fine", "text"])
    assert log.next_offset == 1
    assert log.append(b"after") == 1
    assert [record.value for record in log] == [b"before", b"after"]


# ---------------------------------------------------------------- offsets

INITIAL_OFFSETS = [0, 1, 7, 2**31, 2**32 - 1, 2**40, 2**62]


@pytest.mark.parametrize("initial", INITIAL_OFFSETS)
def test_initial_offset(open_log: Opener, log_path: Path, initial: int) -> None:
    log = open_log(initial_offset=initial)
    assert (log.lowest_offset, log.next_offset) == (initial, initial)
    for number in range(100):
        assert log.append(b"%d" % number * 20) == initial + number
    assert len(log.segments()) > 1
    assert (log_path / f"{initial:020d}.store").is_file()
    log.close()
    log = open_log()
    assert (log.lowest_offset, log.next_offset) == (initial, initial + 100)
    for number in (0, 1, 50, 99):
        assert log.read(initial + number).value == b"%d" % number * 20
        assert log.read(initial + number).offset == initial + number
    assert log.append(b"more") == initial + 100
    with pytest.raises(OffsetOutOfRangeError):
        log.read(initial + 101)


@pytest.mark.parametrize(
    ("initial", "count", "asked"),
    [(0, 0, 0), (0, 3, 3), (0, 3, 2**63 - 1), (10, 3, 9), (10, 3, 13), (10, 3, 0)],
)
def test_out_of_range_carries_the_range(open_log: Opener, initial: int, count: int, asked: int) -> None:
    log = open_log(initial_offset=initial)
    for _ in range(count):
        log.append(b"value")
    reads: dict[str, Callable[[], Any]] = {
        "read": lambda: log.read(asked),
        "view": lambda: log.view(asked),
        "read_many": lambda: log.read_many([asked]),
    }
    for name, read in reads.items():
        with pytest.raises(OffsetOutOfRangeError) as caught:
            read()
        error = caught.value
        assert (error.offset, error.lowest_offset, error.next_offset) == (asked, initial, initial + count), name
        assert isinstance(error, LookupError)
        assert str(asked) in str(error)


@pytest.mark.parametrize("segment_bytes", [4096, 4097, 4099, 4103, 4104, 5001])
def test_largest_record_of_a_segment(open_log: Opener, segment_bytes: int) -> None:
    """The limit that the error names is the limit, in an empty and in a part-filled segment."""
    log = open_log(segment_bytes=segment_bytes)
    with pytest.raises(RecordTooLargeError) as caught:
        log.append(bytes(10_000))
    limit = caught.value.limit_bytes
    assert segment_bytes - 200 <= limit < segment_bytes
    assert caught.value.size_bytes >= 10_000
    spare = caught.value.size_bytes - 10_000  # what a record's size counts beside its value
    largest = limit - spare
    assert log.append(b"x" * largest) == 0
    assert log.append(b"small") == 1
    assert log.append(b"y" * largest) == 2
    with pytest.raises(RecordTooLargeError):
        log.append(bytes(largest + 1))
    assert log.append(b"x" * (largest - 10), b"0123456789") == 3
    assert [len(record.value) for record in log] == [largest, 5, largest, largest - 10]


@pytest.mark.parametrize("size", [(1 << 31) - 256 + 1, (1 << 32) + 10])
def test_sizes_that_do_not_fit_32_bits(log_path: Path, size: int) -> None:
    """In a log whose segments are large enough for them: whole or not at all, never their lower bits."""
    huge = bytes(size)  # zeros that nobody touches take no memory
    with Log(log_path, durability="process", segment_bytes=32 * 2**30 - 128) as log:
        log.append(b"first")
        for append in (log.append, lambda value: log.append_many([value]), lambda value: log.append(value, b"key")):
            with pytest.raises(RecordTooLargeError) as caught:
                append(huge)
            assert caught.value.size_bytes == size
        assert log.next_offset == 1


# ---------------------------------------------------------------- fixed-length logs


def test_fixed_length_log(open_log: Opener, log_path: Path) -> None:
    log = open_log(record_size=16)
    assert log.record_size == 16
    values = [b"%016d" % number for number in range(300)]
    for value in values[:100]:
        log.append(value)
    assert log.append_many(values[100:200]) == range(100, 200)
    assert log.append_many(b"".join(values[200:]), lengths=np.full(100, 16, np.uint32)) == range(200, 300)
    assert [record.value for record in log] == values
    assert log.read(157).value == values[157]
    assert log.view(299) == values[299]
    assert [record.value for record in log.read_many([250, 0, 99])] == [values[250], values[0], values[99]]
    assert len(log.segments()) > 1
    assert not list(log_path.glob("*.index")), "a fixed-length log has no index"
    log.close()
    log = open_log()
    assert log.record_size == 16
    assert [record.value for record in log] == values
    log.close()
    log = open_log(record_size=16)
    assert log.append(b"%016d" % 300) == 300


@pytest.mark.parametrize("record_size", [1, 7, 8, 9, 100, 2000])
def test_fixed_length_of_any_size(open_log: Opener, record_size: int) -> None:
    log = open_log(record_size=record_size, initial_offset=5)
    values = [os.urandom(record_size) for _ in range(70)]
    log.append_many(values)
    for value in values:
        log.append(value)
    assert [record.value for record in log] == values * 2
    assert log.read(5 + 100).value == values[30]
    for wrong in (record_size - 1, record_size + 1):
        with pytest.raises(RecordTooLargeError):
            log.append(b"x" * wrong)
    assert log.next_offset == 145
