"""Segments without records: the one that says where the log goes on is never lost, and no two have one base offset."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate import Log

Opener = Callable[..., Any]

NEXT = 61
LARGE = [bytes(1500)] * 4  # more than a segment of 4,096 bytes takes


class Clock:
    """Gives the time as often as it is let."""

    def __init__(self) -> None:
        self.left = 1 << 40

    def __call__(self) -> int:
        if not self.left:
            raise KeyError("no time")
        self.left -= 1
        return 10**15


def cut_in_a_gap(log: Any) -> None:
    """Leave a log with records 0 and 1 that goes on at 61, because compaction dropped those before the cut."""
    log.append_many([bytes(1980)] * 2)  # a segment of its own, so that the gap does not become part of one
    for number in range(2, 100):
        log.append(b"%d." % number * 50, b"key")
    log.compact()
    assert log.truncate_after(NEXT - 1) == NEXT
    assert [record.offset for record in log] == [0, 1]
    assert log.segments()[-1].base_offset == NEXT


def leave_without_records(log: Any, clock: Clock) -> None:
    """Begin a segment for a record that is then not appended."""
    clock.left = 1
    with pytest.raises(KeyError):
        log.append(bytes(3900))
    clock.left = 1 << 40


def check(log: Any, tmp_path: Path) -> None:
    """Base offsets rise, and a snapshot has what the log has."""
    bases = [segment.base_offset for segment in log.segments()]
    assert bases == sorted(set(bases)), "two segments with one base offset"
    assert log.verify().ok
    records = [(record.offset, record.value) for record in log]
    info = log.snapshot(tmp_path / "snapshot")
    assert info.next_offset == log.next_offset
    with Log(tmp_path / "snapshot", mode="r") as copy:
        assert (copy.lowest_offset, copy.next_offset) == (log.lowest_offset, log.next_offset)
        assert [(record.offset, record.value) for record in copy] == records
        assert copy.verify().ok
    shutil.rmtree(tmp_path / "snapshot")


def reopened(open_log: Opener, log: Any, next_offset: int) -> Any:
    log.close()
    log = open_log()
    assert log.recovery.clean
    assert log.next_offset == next_offset
    return log


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("values", [[b"small"], LARGE], ids=["small", "large"])
def test_a_cut_in_a_gap(open_log: Opener, tmp_path: Path, values: list[bytes], durability: str) -> None:
    log = open_log(durability=durability)
    cut_in_a_gap(log)
    check(log, tmp_path)
    assert list(log.append_many(values)) == list(range(NEXT, NEXT + len(values)))
    check(log, tmp_path)
    log.compact()
    check(log, tmp_path)
    log = reopened(open_log, log, NEXT + len(values))
    check(log, tmp_path)


def test_compaction_beside_appends(log_path: Path, tmp_path: Path) -> None:
    """Nothing is resumed while it runs, so the append takes the place of the segment that has no records."""
    with Log(log_path, segment_bytes=4096, durability="process") as log:
        cut_in_a_gap(log)
        added: list[int] = []
        log.compact(progress=lambda *_: added.append(log.append(b"during")))
        assert added[0] == NEXT
        check(log, tmp_path)
        log.compact()
        assert [record.offset for record in log] == [0, 1, *added]
        check(log, tmp_path)


@pytest.mark.parametrize("durability", ["power", "process"])
def test_room_that_was_not_used(open_log: Opener, tmp_path: Path, durability: str) -> None:
    log = open_log(clock=(clock := Clock()), durability=durability)
    log.append_many([b"a"] * 3)
    log.append_many([bytes(1300)] * 3)
    leave_without_records(log, clock)
    assert list(log.append_many(LARGE)) == [6, 7, 8, 9]
    check(log, tmp_path)
    log = reopened(open_log, log, 10)
    check(log, tmp_path)


def test_a_large_batch_after_room_for_a_small_one(open_log: Opener, tmp_path: Path) -> None:
    log = open_log(clock=(clock := Clock()))
    leave_without_records(log, clock)
    for number in range(3):
        log.append_many(LARGE)
        leave_without_records(log, clock)
        assert log.next_offset == 4 * (number + 1)
    check(log, tmp_path)
    assert len(log.segments()) == 3


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_the_next_offset_survives_a_failed_append(open_log: Opener, log_path: Path, tmp_path: Path, how: str) -> None:
    """The segment that says where the log goes on was opened for an append that did not come."""
    log = open_log(clock=(clock := Clock()))
    cut_in_a_gap(log)
    leave_without_records(log, clock)
    if how == "closed":
        log = reopened(open_log, log, NEXT)
    else:
        shutil.copytree(log_path, tmp_path / "copy")
        log = open_log(tmp_path / "copy")
        assert not log.recovery.clean
        assert log.next_offset == NEXT
        log.close()
        log = open_log(tmp_path / "copy")
    assert log.next_offset == NEXT
    check(log, tmp_path)
    assert log.append(b"on") == NEXT
