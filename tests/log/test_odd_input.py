"""Odd input that is good, and the caller's own code that raises or interferes."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.odd import HUGE, LENGTHS, Index, filled, unharmed

from striate import Log

Opener = Callable[..., Any]
Call = Callable[[Any], Any]


class OwnError(Exception):
    """An error of the caller's."""


def failing() -> Iterator[Any]:
    yield b"0"
    raise OwnError


def progress(*_: int) -> None:
    raise OwnError


OWN: dict[str, Call] = {
    "values": lambda log: log.append_many(failing()),
    "keys": lambda log: log.append_many([b"a"], failing()),
    "keys of a buffer": lambda log: log.append_many(b"ab", failing(), lengths=LENGTHS),
    "offsets": lambda log: log.read_many(failing()),
    "offset": lambda log: log.read(Index(OwnError())),
    "start": lambda log: log.batches(Index(OwnError())),
    "boundary": lambda log: log.truncate_before(Index(OwnError())),
    "progress of verify": lambda log: log.verify(progress),
}


@pytest.mark.parametrize("call", OWN.values(), ids=OWN.keys())
def test_what_the_caller_raises_comes_through(open_log: Opener, call: Call) -> None:
    """An error of the caller's own code is not disguised, and nothing is appended."""
    log = filled(open_log)
    with pytest.raises(OwnError):
        call(log)
    unharmed(log)


ODD_BUT_GOOD: dict[str, tuple[Any, bytes]] = {
    "numpy scalar": (np.uint16(515), b"\3\2"),
    "array without dimensions": (np.array(515, "<u2"), b"\3\2"),
    "view of another format": (memoryview(np.array([1, 2], "<u2")), b"\1\0\2\0"),
    "rows": (np.array([[1, 2], [3, 4]], "u1"), b"\1\2\3\4"),
    "times": (np.zeros(1, "datetime64[s]"), bytes(8)),
    "subclass of bytes": (type("Mine", (bytes,), {})(b"mine"), b"mine"),
    "numpy bytes": (np.bytes_(b"numpy"), b"numpy"),
    "array module": (array("B", b"abc"), b"abc"),
    "nothing at all": (memoryview(b""), b""),
    "no elements": (np.array([]), b""),
}


@pytest.mark.parametrize(("value", "expected"), ODD_BUT_GOOD.values(), ids=ODD_BUT_GOOD.keys())
def test_odd_buffers_that_are_good(open_log: Opener, value: Any, expected: bytes) -> None:
    log = open_log()
    log.append(value, value)
    log.append_many([value], [value])
    log.append_many(value, lengths=[len(expected)])
    log.append_tombstone(value)
    assert [record.value for record in log] == [expected, expected, expected, b""]
    assert [record.key for record in log] == [expected, expected, None, expected]


@pytest.mark.parametrize("number", [np.int8(3), np.uint64(3), np.array(3), Index(3)], ids=repr)
def test_odd_integers_that_are_good(open_log: Opener, log_path: Path, number: Any) -> None:
    log = filled(open_log)
    assert log.read(number).offset == log.read_many([number])[0].offset == 3
    assert next(log.scan(number)).offset == next(iter(log.batches(number)))[0].offset == 3
    assert next(log.follow(number, timeout=0)).offset == 3
    assert log.wait(number, 0) is True
    assert log.truncate_before(number) == 3
    with Log(log_path.with_name("fixed"), record_size=number, initial_offset=number) as fixed:
        assert (fixed.append(b"abc"), fixed.record_size) == (3, 3)


def test_a_list_that_shrinks_while_it_is_read(open_log: Opener) -> None:
    log = filled(open_log)
    offsets: list[Any] = []

    class Emptying:
        def __index__(self) -> int:
            offsets.clear()
            return 1

    offsets += [0, Emptying(), 2, 3]
    assert [record.offset for record in log.read_many(offsets)] == [0, 1, 2, 3]


def test_rows_that_no_batch_has(open_log: Opener) -> None:
    batch = filled(open_log).read_batch(0)
    for row in (HUGE, -HUGE, 10**5000, np.uint64(2**64 - 1), len(batch)):
        for call in (batch.value, batch.key, batch.__getitem__):
            with pytest.raises(IndexError):
                call(row)


def test_a_timeout_longer_than_any(open_log: Opener) -> None:
    """The wait begins; it is ended by the append of another thread."""
    log = filled(open_log)
    for timeout in (10**5000, float("inf")):
        timer = threading.Timer(0.05, Log.append, (log.log._log if log.kind == "async" else log.log, b"woken"))
        timer.start()
        assert log.wait(log.next_offset, timeout) is True
        timer.join()
