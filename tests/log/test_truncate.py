"""Dropping records: truncate_before and truncate_after at every offset, reset, and each rule of retention."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import format as fmt

from striate import Log, OffsetOutOfRangeError

Opener = Callable[..., Any]

COUNT = 75


def value_of(offset: int) -> bytes:
    return b"%d." % offset * 30


def filled(open_log: Opener, initial: int = 0, **options: Any) -> Any:
    """75 records in several segments; the last three are one batch."""
    log = open_log(initial_offset=initial, **options)
    for offset in range(initial, initial + COUNT - 3):
        log.append(value_of(offset), b"k%d" % offset)
    rest = range(initial + COUNT - 3, initial + COUNT)
    log.append_many([value_of(offset) for offset in rest], [b"k%d" % offset for offset in rest])
    assert len(log.segments()) >= 2
    return log


def check(log: Any, low: int, high: int) -> None:
    """The log holds just the offsets low to high, by every way of asking."""
    assert (log.lowest_offset, log.next_offset) == (low, high)
    assert [record.offset for record in log] == list(range(low, high))
    for offset in range(low, high):
        assert log.read(offset).value == value_of(offset)
    for outside in {low - 1, high}:
        if outside >= 0:
            with pytest.raises(OffsetOutOfRangeError) as caught:
                log.read(outside)
            assert (caught.value.lowest_offset, caught.value.next_offset) == (low, high)
    assert log.stats().records == high - low


def goes_on(log: Any, low: int, high: int, count: int = 40) -> int:
    """Append after the truncation; the offsets go on from `high`."""
    for offset in range(high, high + count):
        assert log.append(value_of(offset), b"k%d" % offset) == offset
    check(log, low, high + count)
    return high + count


# ---------------------------------------------------------------- before


@pytest.mark.parametrize("offset", range(0, COUNT + 1, 3))
def test_truncate_before(open_log: Opener, offset: int) -> None:
    log = filled(open_log)
    assert log.truncate_before(offset) == offset
    check(log, offset, COUNT)
    end = goes_on(log, offset, COUNT)
    log.close()
    log = open_log()
    check(log, offset, end)
    assert log.verify().ok


def test_truncate_before_at_every_offset_in_turn(open_log: Opener) -> None:
    log = filled(open_log, initial=2**33)
    for offset in range(2**33, 2**33 + COUNT + 1):
        assert log.truncate_before(offset) == offset
        check(log, offset, 2**33 + COUNT)
    goes_on(log, 2**33 + COUNT, 2**33 + COUNT)


def test_truncate_before_drops_files(open_log: Opener, log_path: Path) -> None:
    log = filled(open_log)
    second = log.segments()[1].base_offset
    log.truncate_before(second)
    assert not (log_path / fmt.segment_names(0)[0]).exists()
    assert not (log_path / fmt.segment_names(0)[1]).exists()
    assert log.segments()[0].base_offset == second


@pytest.mark.parametrize("beyond", [1, 2, 1000])
def test_truncate_before_past_the_end_is_refused(open_log: Opener, beyond: int) -> None:
    log = filled(open_log)
    with pytest.raises(OffsetOutOfRangeError):
        log.truncate_before(COUNT + beyond)
    check(log, 0, COUNT)
    goes_on(log, 0, COUNT)


def test_truncate_before_twice_changes_nothing(open_log: Opener) -> None:
    log = filled(open_log)
    assert log.truncate_before(30) == 30
    assert log.truncate_before(30) == 30
    check(log, 30, COUNT)


# ---------------------------------------------------------------- after


@pytest.mark.parametrize("offset", range(-1, COUNT, 3))
def test_truncate_after(open_log: Opener, offset: int) -> None:
    log = filled(open_log)
    assert log.truncate_after(offset) == offset + 1
    check(log, 0, offset + 1)
    end = goes_on(log, 0, offset + 1)
    log.close()
    log = open_log()
    check(log, 0, end)
    assert log.verify().ok


def test_truncate_after_at_every_offset_in_turn(open_log: Opener) -> None:
    log = filled(open_log, initial=2**33)
    for offset in range(2**33 + COUNT - 1, 2**33 - 2, -1):
        assert log.truncate_after(offset) == offset + 1
        check(log, 2**33, offset + 1)
    goes_on(log, 2**33, 2**33)


@pytest.mark.parametrize("reopen", [False, True])
def test_what_was_cut_never_comes_back(open_log: Opener, reopen: bool) -> None:
    """The same offsets are written again, with other values of other sizes; nothing old shows through."""
    log = filled(open_log)
    for cut in (60, 33, 32, 10, 9, 0):
        log.truncate_after(cut)
        if reopen:
            log.close()
            log = open_log()
        assert [record.offset for record in log] == list(range(cut + 1))
        for number in range(5):
            assert log.append(b"new" * (cut + number)) == cut + 1 + number
        values = [record.value for record in log]
        assert values[cut + 1 :] == [b"new" * (cut + number) for number in range(5)]
        log.truncate_after(cut)


@pytest.mark.parametrize("offset", [COUNT, COUNT + 1, 10**9])
def test_truncate_after_past_the_end(open_log: Opener, offset: int) -> None:
    """There is nothing after the end to drop: either nothing happens or the offset is refused."""
    log = filled(open_log)
    with contextlib.suppress(OffsetOutOfRangeError):
        assert log.truncate_after(offset) == COUNT
    check(log, 0, COUNT)
    goes_on(log, 0, COUNT)


def test_truncate_after_below_the_range_is_refused(open_log: Opener) -> None:
    log = filled(open_log)
    log.truncate_before(30)
    with pytest.raises(OffsetOutOfRangeError):
        log.truncate_after(28)
    check(log, 30, COUNT)
    assert log.truncate_after(29) == 30
    check(log, 30, 30)
    goes_on(log, 30, 30)


@pytest.mark.parametrize("durability", ["process", "power"])
def test_both_ends_together(open_log: Opener, durability: str) -> None:
    log = filled(open_log, durability=durability)
    low, high = 0, COUNT
    for number in range(12):
        low = log.truncate_before(low + 3)
        high = log.truncate_after(high - 4)
        check(log, low, high)
        high = goes_on(log, low, high, count=number % 3)
    log.close()
    log = open_log(durability=durability)
    check(log, low, high)


@pytest.mark.parametrize("record_size", [20, 64])
def test_fixed_length_logs_truncate(open_log: Opener, record_size: int) -> None:
    log = open_log(record_size=record_size, initial_offset=10)
    values = [b"%d" % number + bytes(record_size - len(b"%d" % number)) for number in range(400)]
    log.append_many(values[:200])
    for value in values[200:]:
        log.append(value)
    log.truncate_before(60)
    log.truncate_after(299)
    assert [record.value for record in log] == values[50:290]
    assert log.append(values[290]) == 300
    log.close()
    log = open_log()
    assert [record.value for record in log] == values[50:291]


# ---------------------------------------------------------------- reset


@pytest.mark.parametrize("initial", [None, 0, 5, COUNT, 10**6, 2**40])
def test_reset(open_log: Opener, initial: int | None) -> None:
    log = filled(open_log, initial=3)
    log.reset(initial) if initial is not None else log.reset()
    start = 3 if initial is None else initial
    check(log, start, start)
    end = goes_on(log, start, start)
    log.close()
    log = open_log()
    check(log, start, end)


def test_reset_of_an_empty_log(open_log: Opener, log_path: Path) -> None:
    log = open_log(initial_offset=8)
    log.reset()
    assert log.next_offset == 8
    log.reset(100)
    assert log.append(b"value") == 100
    log.reset(initial_offset=2)
    assert log.append(b"value") == 2
    assert len(list(log_path.glob("*.store"))) <= 2


# ---------------------------------------------------------------- retention


class Clock:
    """Seconds since an epoch of its own."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> int:
        return int(self.seconds * 1_000_000)


def retained(open_log: Opener, clock: Clock) -> Any:
    """One record a second; the clock ends a second after the last."""
    log = open_log(clock=clock)
    for offset in range(COUNT):
        log.append(value_of(offset), b"k%d" % offset)
        clock.seconds += 1
    assert len(log.segments()) >= 3
    return log


def dropped_whole_segments(log: Any, before: list[Any], dropped: int) -> int:
    """Retention drops whole segments from the front and counts their records; returns how many segments."""
    low = log.lowest_offset
    assert low in [segment.base_offset for segment in before] or low == log.next_offset
    assert dropped == low - before[0].base_offset
    check(log, low, COUNT)
    return sum(segment.next_offset <= low for segment in before)


def test_retain_by_bytes(open_log: Opener) -> None:
    log = retained(open_log, Clock())
    sizes = [segment.size_bytes for segment in log.segments()]
    assert log.retain(max_bytes=sum(sizes)) == 0
    before = log.segments()
    gone = dropped_whole_segments(log, before, log.retain(max_bytes=sum(sizes[1:])))
    assert gone == 1
    log.retain(max_bytes=sum(sizes[1:]) - 1)
    assert log.lowest_offset == before[2].base_offset
    log.retain(max_bytes=0)
    assert len(log.segments()) <= 1
    goes_on(log, log.lowest_offset, COUNT)


@pytest.mark.parametrize("as_timedelta", [False, True])
def test_retain_by_age(open_log: Opener, as_timedelta: bool) -> None:
    clock = Clock()
    log = retained(open_log, clock)
    before = log.segments()

    def age(seconds: float) -> Any:
        return timedelta(seconds=seconds) if as_timedelta else seconds

    assert log.retain(max_age=age(10_000)) == 0
    last_of_first = before[0].next_offset - 1
    youngest_s = COUNT - last_of_first  # age of the first segment's last record
    assert log.retain(max_age=age(youngest_s + 0.5)) == 0
    gone = dropped_whole_segments(log, before, log.retain(max_age=age(youngest_s - 0.5)))
    assert gone == 1
    clock.seconds += 10_000
    log.retain(max_age=age(1))
    assert log.lowest_offset >= before[-1].base_offset
    goes_on(log, log.lowest_offset, COUNT)


def test_retain_by_offset(open_log: Opener) -> None:
    log = retained(open_log, Clock())
    before = log.segments()
    third = before[2].base_offset
    assert log.retain(min_offset=0) == 0
    assert log.retain(min_offset=before[1].base_offset - 1) == 0
    gone = dropped_whole_segments(log, before, log.retain(min_offset=third))
    assert gone == 2
    log.retain(min_offset=COUNT)
    assert log.lowest_offset >= before[-1].base_offset


@pytest.mark.parametrize("keep", [0, 1, 5, 30, COUNT - 1, COUNT, 10_000])
def test_retain_keeps_a_minimum(open_log: Opener, keep: int) -> None:
    clock = Clock()
    log = retained(open_log, clock)
    clock.seconds += 10_000
    before = log.segments()
    dropped = log.retain(max_bytes=0, max_age=1, min_offset=COUNT, keep_records=keep)
    dropped_whole_segments(log, before, dropped)
    assert log.next_offset - log.lowest_offset >= min(keep, COUNT)
    if keep >= COUNT:
        assert dropped == 0


def test_retain_without_a_rule_drops_nothing(open_log: Opener) -> None:
    log = retained(open_log, Clock())
    assert log.retain() == 0
    assert log.retain(keep_records=5) == 0
    check(log, 0, COUNT)


def test_any_rule_is_enough(open_log: Opener) -> None:
    """Rules add up: a segment that offends against one of them goes."""
    clock = Clock()
    log = retained(open_log, clock)
    before = log.segments()
    dropped = log.retain(max_bytes=10**9, max_age=10**6, min_offset=before[1].base_offset)
    assert dropped_whole_segments(log, before, dropped) == 1


def test_retain_survives_reopening_and_frees_space(open_log: Opener, log_path: Path) -> None:
    log = retained(open_log, Clock())
    log.retain(max_bytes=log.segments()[-1].size_bytes)
    low = log.lowest_offset
    stores = len(list(log_path.glob("*.store")))
    assert stores <= 2
    log.close()
    log = open_log()
    check(log, low, COUNT)


def test_an_empty_log_is_retained_and_truncated(open_log: Opener) -> None:
    log = open_log(initial_offset=4)
    assert log.retain(max_bytes=0, max_age=0, min_offset=4) == 0
    assert log.truncate_before(4) == 4
    assert log.truncate_after(3) == 4
    assert log.append(b"value") == 4


def test_truncation_syncs_what_it_promises(log_path: Path) -> None:
    """In power mode the new range is on disk when the call returns: a copy taken at once has it."""
    import shutil

    with Log(log_path, segment_bytes=4096) as log:
        for offset in range(COUNT):
            log.append(value_of(offset))
        log.truncate_before(20)
        log.truncate_after(50)
        copy = log_path.with_name("copy")
        shutil.copytree(log_path, copy)
    with Log(copy, segment_bytes=4096) as log:
        check(log, 20, 51)
