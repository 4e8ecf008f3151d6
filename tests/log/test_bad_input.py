"""Bad input: one typed error each, from one table; afterwards the log works and has lost nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.odd import COUNT, HUGE, LENGTHS, OBJECTS, Index, filled, released, unharmed, value_of

from striate import (
    InvalidArgumentError,
    InvalidTypeError,
    KeyTooLargeError,
    Log,
    LogClosedError,
    OffsetOutOfRangeError,
    ReadOnlyError,
    RecordTooLargeError,
    UsageError,
)

Opener = Callable[..., Any]
Call = Callable[[Any], Any]

TYPES: dict[str, Call] = {
    "append text": lambda log: log.append("text"),
    "append None": lambda log: log.append(None),
    "append a number": lambda log: log.append(7),
    "append a list": lambda log: log.append([b"value"]),
    "append an array with gaps": lambda log: log.append(np.arange(10)[::2]),
    "append a view with gaps": lambda log: log.append(memoryview(b"abcd")[::2]),
    "append an array by columns": lambda log: log.append(np.asfortranarray(np.eye(3))),
    "append an array of objects": lambda log: log.append(OBJECTS),
    "append a view of objects": lambda log: log.append(memoryview(OBJECTS)),
    "append numpy text": lambda log: log.append(np.str_("text")),
    "append what was released": lambda log: log.append(released()),
    "append a key with gaps": lambda log: log.append(b"value", np.arange(10)[::2]),
    "append a key of objects": lambda log: log.append(b"value", OBJECTS),
    "append a key that was released": lambda log: log.append(b"value", released()),
    "append a text key": lambda log: log.append(b"value", "key"),
    "append a number key": lambda log: log.append(b"value", 7),
    "append_many of None": lambda log: log.append_many(None),
    "append_many of text": lambda log: log.append_many("text"),
    "append_many of a number": lambda log: log.append_many(7),
    "append_many with one wrong": lambda log: log.append_many([b"a", "b", b"c"]),
    "append_many with None": lambda log: log.append_many([b"a", None]),
    "append_many of a mapping": lambda log: log.append_many({b"a": b"b"}),
    "append_many of a set": lambda log: log.append_many({b"a", b"b"}),
    "append_many of objects": lambda log: log.append_many(OBJECTS),
    "append_many of rows of objects": lambda log: log.append_many(np.array([[b"a", None]], dtype=object)),
    "append_many of numpy text": lambda log: log.append_many(np.array(["a", "b"])),
    "append_many of what was released": lambda log: log.append_many(released()),
    "append_many with one released": lambda log: log.append_many([b"a", released()]),
    "append_many with released keys": lambda log: log.append_many([b"a"], [released()]),
    "append_many with a mapping of keys": lambda log: log.append_many([b"a"], {b"a": 1}),
    "append_many of a buffer with gaps": lambda log: log.append_many(np.arange(6, dtype="u1")[::2], lengths=LENGTHS),
    "append_many of a buffer of objects": lambda log: log.append_many(OBJECTS[:2], lengths=np.array([8, 8])),
    "append_many of a released buffer": lambda log: log.append_many(released(), lengths=LENGTHS),
    "append_many with ragged lengths": lambda log: log.append_many(b"ab", lengths=[[1], 1]),
    "append_many with bytes for lengths": lambda log: log.append_many(b"ab", lengths=[b"1", b"1"]),
    "append_many with flags for lengths": lambda log: log.append_many(b"ab", lengths=np.array([True, True])),
    "append_many with huge lengths": lambda log: log.append_many(b"ab", lengths=[HUGE, 2]),
    "append_many with one length": lambda log: log.append_many(b"ab", lengths=np.array(2)),
    "append_many with a text key": lambda log: log.append_many([b"a"], ["key"]),
    "append_many with a key not in a list": lambda log: log.append_many([b"a"], 7),
    "append_many with text lengths": lambda log: log.append_many(b"abc", lengths="abc"),
    "append_many with float lengths": lambda log: log.append_many(b"abc", lengths=np.array([1.0, 2.0])),
    "append_many with lengths in two dimensions": lambda log: log.append_many(b"ab", lengths=np.array([[1, 1]], "<u4")),
    "append_many with a list and lengths": lambda log: log.append_many([b"abc"], lengths=np.array([3], "<u4")),
    "tombstone of None": lambda log: log.append_tombstone(None),
    "tombstone of text": lambda log: log.append_tombstone("key"),
    "tombstone of what was released": lambda log: log.append_tombstone(released()),
    "read None": lambda log: log.read(None),
    "read text": lambda log: log.read("0"),
    "read a float": lambda log: log.read(1.0),
    "read a flag": lambda log: log.read(True),
    "read a numpy flag": lambda log: log.read(np.True_),
    "read an array": lambda log: log.read(np.array([3])),
    "read an array of a float": lambda log: log.read(np.array(3.0)),
    "read what has a wrong index": lambda log: log.read(Index("3")),
    "view what has a wrong index": lambda log: log.view(Index("3")),
    "scan from what has a wrong index": lambda log: list(log.scan(Index("3"))),
    "batches from what has a wrong index": lambda log: list(log.batches(Index("3"))),
    "follow from what has a wrong index": lambda log: list(log.follow(Index("3"), timeout=0)),
    "wait for what has a wrong index": lambda log: log.wait(Index("3"), 0),
    "truncate_before what has a wrong index": lambda log: log.truncate_before(Index("3")),
    "view None": lambda log: log.view(None),
    "read_many of None": lambda log: log.read_many(None),
    "read_many of a number": lambda log: log.read_many(7),
    "read_many of text": lambda log: log.read_many(["0"]),
    "read_many of floats": lambda log: log.read_many(np.array([0.0, 1.0])),
    "read_many of rows": lambda log: log.read_many(np.array([[0, 1]])),
    "read_many of an array without dimensions": lambda log: log.read_many(np.array(0)),
    "read_many of a set": lambda log: log.read_many({0, 1}),
    "read_many of a mapping": lambda log: log.read_many({0: 1}),
    "read_many of bytes": lambda log: log.read_many(bytearray(b"\0\1")),
    "read_many of what was released": lambda log: log.read_many(released()),
    "scan from text": lambda log: list(log.scan("0")),
    "scan to text": lambda log: list(log.scan(0, "5")),
    "read_batch from text": lambda log: log.read_batch("0"),
    "read_batch of text bytes": lambda log: log.read_batch(0, "many"),
    "batches from text": lambda log: list(log.batches("0")),
    "open_reader from text": lambda log: log.open_reader("0"),
    "wait for text": lambda log: log.wait("0", 0),
    "wait with a text timeout": lambda log: log.wait(0, "soon"),
    "follow from text": lambda log: list(log.follow("0", timeout=0)),
    "offset_for_time of text": lambda log: log.offset_for_time("noon"),
    "offset_for_time of None": lambda log: log.offset_for_time(None),
    "truncate_before text": lambda log: log.truncate_before("5"),
    "truncate_before None": lambda log: log.truncate_before(None),
    "truncate_after a float": lambda log: log.truncate_after(5.0),
    "reset to text": lambda log: log.reset("0"),
    "retain text bytes": lambda log: log.retain(max_bytes="1 GB"),
    "retain text age": lambda log: log.retain(max_age="a day"),
    "retain text offset": lambda log: log.retain(min_offset="5"),
    "retain text records": lambda log: log.retain(max_bytes=0, keep_records="5"),
    "compact with text grace": lambda log: log.compact(tombstone_grace="a day"),
    "compact with a progress that is none": lambda log: log.compact(progress=7),
    "verify with a progress that is none": lambda log: log.verify(progress=7),
    "wait with a flag for timeout": lambda log: log.wait(0, True),
    "follow with a text timeout": lambda log: list(log.follow(timeout="soon")),
    "row of text": lambda log: log.read_batch(0).value("0"),
    "row by what has a wrong index": lambda log: log.read_batch(0)[Index("3")],
    "snapshot to None": lambda log: log.snapshot(None),
    "snapshot to a number": lambda log: log.snapshot(7),
}

VALUES: dict[str, Call] = {
    "keys fewer than values": lambda log: log.append_many([b"a", b"b"], [b"k"]),
    "keys more than values": lambda log: log.append_many([b"a"], [b"k", b"l"]),
    "lengths that do not add up": lambda log: log.append_many(b"abc", lengths=LENGTHS),
    "lengths beyond the buffer": lambda log: log.append_many(b"a", lengths=LENGTHS),
    "lengths below zero": lambda log: log.append_many(b"abc", lengths=np.array([4, -1], dtype=np.int64)),
    "lengths that overflow": lambda log: log.append_many(b"", lengths=np.array([2**63, 2**63], np.uint64)),
    "keys and lengths that differ": lambda log: log.append_many(b"ab", [b"k"], lengths=LENGTHS),
    "append_many with keys of another array": lambda log: log.append_many([b"a"], np.zeros(2)),
    "read far below zero": lambda log: log.read(-(10**5000)),
    "read of thousands of digits": lambda log: log.read(10**5000),
    "truncate_after thousands of digits": lambda log: log.truncate_after(10**5000),
    "snapshot to no text": lambda log: log.snapshot("\ud800"),
    "offset_for_time before the epoch": lambda log: log.offset_for_time(datetime.min.replace(tzinfo=UTC)),
    "offset_for_time without a zone": lambda log: log.offset_for_time(datetime(2020, 1, 1)),
    "age beyond all time": lambda log: log.retain(max_age=timedelta.max),
    "read below zero": lambda log: log.read(-1),
    "view below zero": lambda log: log.view(-1),
    "read_many below zero": lambda log: log.read_many([0, -1]),
    "read_many below zero in an array": lambda log: log.read_many(np.array([0, -1])),
    "scan below zero": lambda log: list(log.scan(-1)),
    "scan to below zero": lambda log: list(log.scan(0, -1)),
    "read_batch below zero": lambda log: log.read_batch(-1),
    "read_batch of no bytes": lambda log: log.read_batch(0, 0),
    "read_batch of bytes below zero": lambda log: log.read_batch(0, -1),
    "batches of no bytes": lambda log: list(log.batches(max_bytes=0)),
    "follow below zero": lambda log: list(log.follow(-1, timeout=0)),
    "wait below zero": lambda log: log.wait(-1, 0),
    "wait with a timeout below zero": lambda log: log.wait(0, -0.1),
    "wait with no number as timeout": lambda log: log.wait(99, float("nan")),
    "truncate_before below zero": lambda log: log.truncate_before(-1),
    "truncate_after far below zero": lambda log: log.truncate_after(-2),
    "reset below zero": lambda log: log.reset(-1),
    "reset beyond 64 bits": lambda log: log.reset(HUGE),
    "retain bytes below zero": lambda log: log.retain(max_bytes=-1),
    "retain age below zero": lambda log: log.retain(max_age=-1),
    "retain a timedelta below zero": lambda log: log.retain(max_age=timedelta(seconds=-1)),
    "retain offset below zero": lambda log: log.retain(min_offset=-1),
    "retain records below zero": lambda log: log.retain(max_bytes=0, keep_records=-1),
    "grace below zero": lambda log: log.compact(tombstone_grace=-1),
    "grace that is no number": lambda log: log.compact(tombstone_grace=float("nan")),
}

RANGES: dict[str, Call] = {
    "read past the end": lambda log: log.read(COUNT),
    "view past the end": lambda log: log.view(COUNT),
    "read_many past the end": lambda log: log.read_many(np.array([COUNT], np.uint64)),
    "scan from past the end": lambda log: list(log.scan(COUNT + 1)),
    "read_batch from past the end": lambda log: log.read_batch(COUNT + 1),
    "truncate_before past the end": lambda log: log.truncate_before(COUNT + 1),
}

SIZES: dict[str, Call] = {
    "record": lambda log: log.append(bytes(5000)),
    "record in a batch": lambda log: log.append_many([b"fine", bytes(5000)]),
    "record in a buffer": lambda log: log.append_many(bytes(5001), lengths=np.array([1, 5000], "<u4")),
}

KEYS: dict[str, Call] = {
    "key": lambda log: log.append(b"value", bytes(65536)),
    "key in a batch": lambda log: log.append_many([b"value"] * 2, [b"k", bytes(65536)]),
    "key of a tombstone": lambda log: log.append_tombstone(bytes(65536)),
}

TABLE: list[tuple[str, Call, type[Exception]]] = [
    *((name, call, InvalidTypeError) for name, call in TYPES.items()),
    *((name, call, InvalidArgumentError) for name, call in VALUES.items()),
    *((name, call, OffsetOutOfRangeError) for name, call in RANGES.items()),
    *((name, call, RecordTooLargeError) for name, call in SIZES.items()),
    *((name, call, KeyTooLargeError) for name, call in KEYS.items()),
]
BUILTIN = {InvalidTypeError: TypeError, InvalidArgumentError: ValueError, OffsetOutOfRangeError: LookupError}


@pytest.mark.parametrize(("call", "expected"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE])
def test_refused(open_log: Opener, call: Call, expected: type[Exception]) -> None:
    log = filled(open_log)
    with pytest.raises(expected) as caught:
        call(log)
    assert type(caught.value) is expected
    assert isinstance(caught.value, UsageError)
    assert isinstance(caught.value, BUILTIN.get(expected, ValueError))
    assert str(caught.value)
    unharmed(log)
    log.close()
    log = open_log()
    assert log.recovery is not None
    unharmed(log)


@pytest.mark.parametrize("offset", [2**63, 2**64 - 1, 2**64, HUGE])
def test_offsets_no_log_can_have(open_log: Opener, offset: int) -> None:
    """Beyond 63 bits an offset is out of range or no offset at all; never an OverflowError."""
    log = filled(open_log)
    calls: list[Call] = [
        lambda log: log.read(offset),
        lambda log: log.view(offset),
        lambda log: log.read_many([offset]),
        lambda log: list(log.scan(offset)),
        lambda log: log.read_batch(offset),
        lambda log: log.truncate_before(offset),
        lambda log: log.reset(offset),
        lambda log: log.wait(offset, 0),
    ]
    for call in calls:
        with pytest.raises((OffsetOutOfRangeError, InvalidArgumentError)):
            call(log)
    with pytest.raises((OffsetOutOfRangeError, InvalidArgumentError)):
        log.read_many(np.array([offset % 2**64], np.uint64) if offset % 2**64 else [offset])
    unharmed(log)


def test_ranges_that_end_before_they_begin_are_empty(open_log: Opener) -> None:
    log = filled(open_log)
    assert list(log.scan(9, 5)) == []
    assert list(log.batches(9, 5)) == []
    with log.open_reader(9, 5) as reader:
        assert reader.read() == b""


def test_all_in_a_row(open_log: Opener) -> None:
    """Errors leave nothing behind that only the third of them would stumble on."""
    log = filled(open_log)
    for _ in range(2):
        for name, call, expected in TABLE:
            with pytest.raises(expected):
                call(log)
            assert log.next_offset == COUNT, name
    unharmed(log)
    assert log.verify().ok


WRITES: dict[str, Call] = {
    "append": lambda log: log.append(b"value"),
    "append_many": lambda log: log.append_many([b"value"]),
    "append_tombstone": lambda log: log.append_tombstone(b"key"),
    "truncate_before": lambda log: log.truncate_before(1),
    "truncate_after": lambda log: log.truncate_after(1),
    "reset": lambda log: log.reset(),
    "retain": lambda log: log.retain(max_bytes=0),
    "compact": lambda log: log.compact(),
}

READS: dict[str, Call] = {
    "read": lambda log: log.read(0),
    "view": lambda log: log.view(0),
    "read_many": lambda log: log.read_many([0]),
    "scan": lambda log: list(log.scan()),
    "iterate": list,
    "read_batch": lambda log: log.read_batch(0),
    "batches": lambda log: list(log.batches()),
    "open_reader": lambda log: log.open_reader(),
    "follow": lambda log: list(log.follow(0, timeout=0)),
    "wait": lambda log: log.wait(0, 0),
    "offset_for_time": lambda log: log.offset_for_time(0),
    "verify": lambda log: log.verify(),
    "segments": lambda log: log.segments(),
    "stats": lambda log: log.stats(),
}


@pytest.mark.parametrize("call", [*WRITES.values(), *READS.values()], ids=[*WRITES, *READS])
def test_closed(open_log: Opener, log_path: Path, call: Call) -> None:
    log = filled(open_log)
    log.close()
    with pytest.raises(LogClosedError) as caught:
        call(log)
    assert caught.value.path == str(log_path)
    unharmed(open_log())


def test_the_context_of_a_closed_log(log_path: Path) -> None:
    log = Log(log_path)
    log.close()
    with pytest.raises(LogClosedError), log:
        pass


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())
def test_read_only(open_log: Opener, log_path: Path, call: Call) -> None:
    writer = filled(open_log)
    reader = open_log(mode="r")
    with pytest.raises(ReadOnlyError) as caught:
        call(reader)
    assert caught.value.path == str(log_path)
    assert [record.value for record in reader] == [value_of(number) for number in range(COUNT)]
    unharmed(writer)
