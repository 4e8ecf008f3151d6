"""Gaps, where compaction or truncation has dropped records: indexes, the next offset, logs of fixed-length records."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from striate import DiskFullError, Log, OffsetOutOfRangeError, RecordCompactedError
from striate._native.simulation import SimulatedDisk

Opener = Callable[..., Any]


def held(log: Any) -> dict[int, bytes]:
    return {record.offset: record.value for record in log}


@pytest.mark.parametrize("values", [40, 0], ids=["last offsets", "all offsets"])
def test_a_lost_index_is_rebuilt_around_gaps(open_log: Opener, log_path: Path, values: int) -> None:
    """Also around one at the end: offsets whose records compaction has dropped are not damage."""
    log = open_log()
    for _ in range(values):
        log.append(b"stays")
    log.append_tombstone(b"key")
    log.compact(tombstone_grace=0)
    log.close()
    for index in log_path.glob("*.index"):
        index.unlink()
    log = open_log()
    assert held(log) == dict.fromkeys(range(values), b"stays")
    with pytest.raises(RecordCompactedError):
        log.read(values)
    assert log.verify().ok


@pytest.mark.parametrize("reopen", [False, True])
@pytest.mark.parametrize("cut", ["before all", "after", "into a gap", "everything"])
def test_the_next_offset_survives_truncation_and_compaction(open_log: Opener, cut: str, reopen: bool) -> None:
    """Whatever is dropped, an offset is given once."""
    log = open_log()
    for number in range(120):
        log.append(b"%d" % number * 30, b"k%d" % (number % 3))
    wanted = 120
    if cut == "before all":
        log.truncate_before(120)
    elif cut == "after":
        wanted = log.truncate_after(60)
    elif cut == "into a gap":
        log.compact(tombstone_grace=0)
        wanted = log.truncate_after(100)
    else:
        for number in range(3):
            wanted = log.append_tombstone(b"k%d" % number) + 1
    for _ in range(3):
        log.compact(tombstone_grace=0)
        assert log.next_offset == wanted
        if reopen:
            log.close()
            log = open_log()
            assert log.next_offset == wanted
    assert log.append(b"on", b"k") == wanted
    assert log.read(wanted).value == b"on"
    assert log.verify().ok


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("before", [0, 60], ids=["alone", "behind others"])
def test_an_empty_segment_that_says_where_the_log_goes_on_stays(log_path: Path, before: int, killed: bool) -> None:
    """It is resumed by an append that then fails: nothing was appended, and nothing else knows the next offset."""
    disk = SimulatedDisk()
    log = Log(log_path, segment_bytes=4096, _disk=disk)
    for _ in range(before):
        log.append(b"stays")
    for _ in range(6):
        log.append(b"x" * 3000, b"key")
    log.compact()
    assert len(log.segments()) == 1 + bool(before), "one that begins behind a hole"
    wanted = log.truncate_after(before + 2)
    assert held(log) == dict.fromkeys(range(before), b"stays")
    disk.fail("allocate", nth=1, errno=errno.ENOSPC, forever=True)
    with pytest.raises(DiskFullError):
        log.append(b"no room")
    disk.heal()
    if not killed:
        log.close()
    del log
    for _ in range(3):
        log = Log(log_path, segment_bytes=4096)
        assert log.next_offset == wanted == before + 3
        log.close()
    with Log(log_path) as log:
        assert log.append(b"goes on") == wanted
        assert log.verify().ok


def test_fixed_length_logs_with_gaps(open_log: Opener, rng: Random) -> None:
    """Compaction after a cut leaves places without records, as zeros; they are gaps and not damage."""
    log = open_log(record_size=24)
    wanted: dict[int, bytes] = {}
    lowest = 0
    for _ in range(6):
        for _ in range(rng.randrange(30, 150)):
            value = rng.randbytes(24)
            wanted[log.append(value)] = value
        if rng.random() < 0.3:
            log.truncate_after(max(lowest, log.next_offset - rng.randrange(1, 40)))
            wanted = {offset: value for offset, value in wanted.items() if offset < log.next_offset}
        lowest = log.truncate_before(rng.randrange(lowest, log.next_offset))
        wanted = {offset: value for offset, value in wanted.items() if offset >= lowest}
        log.compact()
        assert held(log) == wanted
        assert all(log.read(offset).value == value for offset, value in wanted.items())
        assert b"".join(bytes(v) for batch in log.batches() for v in map(batch.value, range(len(batch)))) == b"".join(
            wanted.values()
        )
        if lowest:
            with pytest.raises(OffsetOutOfRangeError):
                log.read(lowest - 1)
        assert log.verify().ok
        if rng.random() < 0.5:
            following = log.next_offset
            log.close()
            log = open_log()
            assert log.recovery.clean
            assert (log.lowest_offset, log.next_offset) == (lowest, following)
            assert held(log) == wanted
