"""Time: timestamps come from the clock, never decrease, and are searched across segments and reopening."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

import pytest

from striate import Log

Opener = Callable[..., Any]


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, now: int = 1_700_000_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def test_without_a_clock_it_is_the_time_of_day(open_log: Opener) -> None:
    log = open_log()
    before = time.time_ns() // 1000
    log.append(b"value")
    log.append_many([b"value"] * 3)
    after = time.time_ns() // 1000
    assert all(before - 5000 <= record.timestamp <= after + 5000 for record in log)


def test_timestamps_never_decrease(open_log: Opener, rng: Random) -> None:
    clock = Clock(10**12)
    log = open_log(clock=clock)
    expected: list[int] = []
    for _ in range(300):
        clock.now += rng.randrange(-1000, 1000)
        if rng.random() < 0.2:
            log.append_many([b"batch" * 10] * 3)
            expected += [max([clock.now, *expected[-1:]])] * 3
        else:
            log.append(b"value" * 10)
            expected.append(max([clock.now, *expected[-1:]]))
    assert [record.timestamp for record in log] == expected
    assert [*expected] == sorted(expected)


def test_timestamps_never_decrease_across_reopening_and_truncation(open_log: Opener) -> None:
    clock = Clock(5_000_000)
    log = open_log(clock=clock)
    log.append(b"a")
    log.close()
    clock.now = 1_000_000
    log = open_log(clock=clock)
    log.append(b"b")
    assert log.read(1).timestamp >= 5_000_000
    log.truncate_before(2)
    log.append(b"c")
    assert log.read(2).timestamp >= 5_000_000
    clock.now = 9_000_000
    log.append(b"d")
    assert log.read(3).timestamp == 9_000_000


@pytest.mark.parametrize("reopen", [False, True])
def test_offset_for_time(open_log: Opener, rng: Random, reopen: bool) -> None:
    clock = Clock(1_000_000)
    log = open_log(clock=clock, initial_offset=50)
    stamps: list[int] = []
    for _ in range(300):
        clock.now += rng.choice([0, 0, 1, 5, 10_000])
        log.append(b"value" * rng.randrange(1, 20))
        stamps.append(clock.now)
    assert len(log.segments()) > 2
    if reopen:
        log.close()
        log = open_log(clock=clock)
    for asked in {0, *stamps, *(stamp + 1 for stamp in stamps), *(stamp - 1 for stamp in stamps), 2**62}:
        assert log.offset_for_time(asked) == 50 + bisect_left(stamps, asked), asked


def test_offset_for_time_of_an_empty_log(open_log: Opener) -> None:
    log = open_log(initial_offset=50)
    assert log.offset_for_time(0) == 50
    assert log.offset_for_time(2**62) == 50


def test_offset_for_time_takes_datetimes(open_log: Opener) -> None:
    clock = Clock()
    log = open_log(clock=clock)
    moments = [datetime(2026, 11, 21, 12, 0, second, 123_457, tzinfo=UTC) for second in range(40)]
    for moment in moments:
        clock.now = round(moment.timestamp()) * 1_000_000 + moment.microsecond
        log.append(b"value" * 30)
    for number, moment in enumerate(moments):
        assert log.offset_for_time(moment) == number
        assert log.offset_for_time(moment.astimezone(timezone(timedelta(hours=5, minutes=30)))) == number
        assert log.offset_for_time(moment + timedelta(microseconds=1)) == number + 1
        assert log.offset_for_time(moment - timedelta(microseconds=1)) == number


def test_offset_for_time_after_truncation_and_compaction(open_log: Opener) -> None:
    clock = Clock(1_000_000)
    log = open_log(clock=clock)
    for number in range(200):
        clock.now = 1_000_000 + number * 10
        log.append(b"v" * 60, b"key-%d" % (number % 7))
    log.truncate_before(45)
    assert log.offset_for_time(0) == 45
    assert log.offset_for_time(1_000_000 + 451) == 46
    log.truncate_after(150)
    assert log.offset_for_time(1_000_000 + 1505) == 151
    log.compact()
    survivors = [(record.timestamp, record.offset) for record in log]
    for asked in range(1_000_000, 1_002_000, 7):
        later = [offset for timestamp, offset in survivors if timestamp >= asked]
        assert log.offset_for_time(asked) == (later[0] if later else log.next_offset)


def test_a_clock_that_fails_appends_nothing(log_path: Path) -> None:
    def broken() -> int:
        raise RuntimeError("no time")

    clock = Clock()
    with Log(log_path, clock=lambda: clock() if clock.now else broken(), durability="process") as log:
        log.append(b"before")
        clock.now = 0
        with pytest.raises(RuntimeError, match="no time"):
            log.append(b"never")
        with pytest.raises(RuntimeError, match="no time"):
            log.append_many([b"never"])
        clock.now = 2 * 10**15
        assert log.append(b"after") == 1
        assert [record.value for record in log] == [b"before", b"after"]


def test_records_that_compaction_dropped_at_the_lower_end(log_path: Path) -> None:
    """The first record of a time is one that is there, also when the log begins in a gap."""
    with Log(log_path, durability="process") as log:
        log.append(b"", None)
        log.append(b"", b"")
        log.append(b"", b"")
        log.compact(tombstone_grace=0)
        log.truncate_before(1)
        assert [record.offset for record in log] == [2]
        assert log.offset_for_time(0) == 2
        log.truncate_before(3)
        assert log.offset_for_time(0) == 3
