"""Compaction: the latest record of a key stays at its offset, gaps are typed errors, small segments merge."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from striate import Log, OffsetOutOfRangeError, RecordCompactedError

Opener = Callable[..., Any]
Wanted = dict[int, tuple[bytes | None, bytes, bool]]  # offset → key, value, is a tombstone


class Clock:
    """Seconds since an epoch of its own."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> int:
        return int(self.seconds * 1_000_000)


def held(log: Any) -> Wanted:
    return {record.offset: (record.key, record.value, record.is_tombstone) for record in log}


def latest(records: Wanted) -> dict[bytes, int]:
    return {key: offset for offset, (key, _, _) in records.items() if key is not None}


def fill(log: Any, count: int, keys: int, size: int = 60, name: bytes = b"key") -> None:
    for _ in range(count):
        offset = log.next_offset
        log.append(b"%d." % offset * (size // 4), b"%s-%d" % (name, offset % keys))


def check_reads(log: Any, records: Wanted, low: int, high: int) -> None:
    """Every way of reading agrees with `records`, gaps included."""
    assert held(log) == records
    for offset in range(low, high):
        if offset in records:
            record = log.read(offset)
            assert (record.key, record.value, record.is_tombstone) == records[offset]
            assert log.view(offset) == records[offset][1]
        else:
            for read in (log.read, log.view, lambda wanted: log.read_many([wanted])):
                with pytest.raises(RecordCompactedError) as caught:
                    read(offset)
                assert caught.value.offset == offset
                assert isinstance(caught.value, OffsetOutOfRangeError)
        following = [wanted for wanted in records if wanted >= offset]
        assert next((record.offset for record in log.scan(offset)), None) == (following or [None])[0]
    assert [record.offset for record in log.read_many(list(records))] == list(records)
    seen: list[int] = []
    for batch in log.batches(low, max_bytes=500):
        seen += batch.offsets.tolist()
    assert seen == list(records)


def test_the_latest_of_each_key_stays(open_log: Opener) -> None:
    log = open_log()
    fill(log, 200, keys=7)
    before = held(log)
    result = log.compact()
    after = held(log)
    wanted = {offset: before[offset] for offset in sorted(latest(before).values())}
    assert after.items() <= before.items(), "offsets, keys and values are unchanged"
    assert after == wanted
    assert (result.records_before, result.records_after) == (200, len(after))
    assert result.bytes_after < result.bytes_before
    assert result.segments_after <= result.segments_before
    assert log.next_offset == 200
    check_reads(log, after, log.lowest_offset, 200)
    log.close()
    log = open_log()
    check_reads(log, after, log.lowest_offset, 200)
    assert log.verify().ok
    assert log.append(b"on") == 200


def test_newer_records_of_the_active_segment_count(open_log: Opener) -> None:
    log = open_log()
    fill(log, 100, keys=100)
    log.append(b"newest", b"key-3")
    log.compact()
    assert 3 not in held(log)
    assert log.read(log.next_offset - 1).value == b"newest"
    for offset in (0, 1, 2, 4, 5):
        assert log.read(offset).key == b"key-%d" % offset


def test_keyless_records_are_kept(open_log: Opener) -> None:
    log = open_log()
    for number in range(150):
        log.append(b"%d." % number * 15, None if number % 2 else b"same")
    log.compact()
    after = held(log)
    assert [offset for offset, (key, _, _) in after.items() if key is None] == list(range(1, 150, 2))
    assert 148 in after
    assert 0 not in after


def test_an_empty_key_is_a_key(open_log: Opener) -> None:
    log = open_log()
    for number in range(120):
        log.append(b"%d." % number * 15, b"" if number % 2 else None)
    log.compact()
    assert list(held(log)) == [*range(0, 120, 2), 119]


@pytest.mark.parametrize("grace", [100, timedelta(seconds=100), 100.5])
def test_tombstones_and_their_grace(open_log: Opener, grace: Any) -> None:
    clock = Clock()
    log = open_log(clock=clock)
    fill(log, 30, keys=30)
    for number in range(0, 30, 2):
        log.append_tombstone(b"key-%d" % number)
    fill(log, 80, keys=110, name=b"other")
    log.compact(tombstone_grace=grace)
    after = held(log)
    assert [offset for offset in range(30) if offset in after] == list(range(1, 30, 2))
    assert [offset for offset in range(30, 45) if offset in after] == list(range(30, 45))
    clock.seconds += 101
    log.compact(tombstone_grace=grace)
    after = held(log)
    assert [offset for offset in range(45) if offset in after] == list(range(1, 30, 2))
    log.close()
    log = open_log()
    assert held(log) == after


def test_a_dropped_tombstone_never_brings_a_value_back(open_log: Opener, rng: Random) -> None:
    clock = Clock()
    log = open_log(clock=clock)
    state: dict[bytes, bytes] = {}
    for round_number in range(6):
        for _ in range(rng.randrange(20, 90)):
            key = b"key-%d" % rng.randrange(12)
            clock.seconds += 1
            if rng.random() < 0.3:
                log.append_tombstone(key)
                state.pop(key, None)
            else:
                state[key] = b"%d" % rng.randrange(10**9) * 5
                log.append(state[key], key)
        log.compact(tombstone_grace=rng.choice([0, 10, 50]))
        seen: dict[bytes, bytes] = {}
        for record in log:
            if record.is_tombstone:
                seen.pop(record.key, None)
            else:
                seen[record.key] = record.value
        assert seen == state, f"round {round_number}"


def test_compacting_again_changes_nothing(open_log: Opener) -> None:
    log = open_log()
    fill(log, 200, keys=7)
    log.compact()
    after = held(log)
    again = log.compact()
    assert held(log) == after
    assert again.records_before == again.records_after


def test_rounds_of_compaction_and_appends(open_log: Opener, rng: Random) -> None:
    log = open_log(initial_offset=2**36)
    model: Wanted = {}
    for _ in range(8):
        for _ in range(rng.randrange(10, 80)):
            key = b"key-%d" % rng.randrange(10) if rng.random() < 0.8 else None
            value = b"%d." % rng.randrange(10**6) * rng.randrange(1, 20)
            model[log.append(value, key)] = (key, value, False)
        log.compact()
        last = latest(model)
        model = {offset: record for offset, record in model.items() if record[0] is None or last[record[0]] == offset}
        assert held(log) == model
    check_reads(log, model, log.lowest_offset, log.next_offset)
    log.close()
    log = open_log()
    check_reads(log, model, log.lowest_offset, log.next_offset)


def test_small_segments_are_merged(open_log: Opener, log_path: Path) -> None:
    log = open_log()
    fill(log, 400, keys=10)
    before = len(log.segments())
    result = log.compact()
    segments = log.segments()
    assert before > 8
    assert len(segments) <= 3
    assert (result.segments_before, result.segments_after) == (before, len(segments))
    assert any(segment.has_gaps for segment in segments)
    assert any(segment.revision > 0 for segment in segments)
    assert len(list(log_path.glob("*.store"))) <= len(segments) + 1, "old files are gone"
    covered = [(segment.base_offset, segment.next_offset) for segment in segments]
    for (_, end), (base, _) in itertools.pairwise(covered):
        assert end == base


def test_merged_segments_keep_to_the_limit(open_log: Opener) -> None:
    log = open_log()
    fill(log, 400, keys=150)
    log.compact()
    for segment in log.segments():
        assert segment.size_bytes <= 4096 + 64
    assert log.verify().ok


def test_everything_superseded(open_log: Opener) -> None:
    """Sealed segments of which nothing is left go away; the range of offsets stays."""
    log = open_log()
    fill(log, 200, keys=1)
    log.compact()
    assert list(held(log)) == [199]
    assert log.next_offset == 200
    low = log.lowest_offset
    with pytest.raises(OffsetOutOfRangeError):
        log.read(5)
    log.close()
    log = open_log()
    assert (log.lowest_offset, log.next_offset) == (low, 200)
    assert log.append(b"on") == 200


@pytest.mark.parametrize("reopen", [False, True])
def test_offsets_are_not_used_again_when_everything_expires(open_log: Opener, reopen: bool) -> None:
    """Tombstones alone are left, and then nothing; the next offset goes on."""
    log = open_log(initial_offset=10, clock=(clock := Clock()))
    for number in range(200):
        log.append_tombstone(b"key-%d" % number)
    clock.seconds += 1000
    log.compact(tombstone_grace=100)
    assert held(log) == {}
    if reopen:
        log.close()
        log = open_log(clock=clock)
    assert log.next_offset == 210
    assert log.lowest_offset in (10, 210)
    with pytest.raises(OffsetOutOfRangeError):
        log.read(209)
    assert log.append(b"on", b"key") == 210
    assert list(held(log)) == [210]
    log.close()
    log = open_log(clock=clock)
    assert (log.next_offset, list(held(log))) == (211, [210])


def test_offsets_are_not_used_again_when_the_last_segments_expire(open_log: Opener) -> None:
    log = open_log(clock=(clock := Clock()))
    fill(log, 100, keys=3)
    for number in range(200):
        log.append_tombstone(b"key-%d" % (number % 3))
    clock.seconds += 1000
    log.append(b"keyless, and cut again")
    log.truncate_after(299)
    log.compact(tombstone_grace=100)
    assert held(log) == {}
    for _ in range(3):
        log.close()
        log = open_log(clock=clock)
        assert log.next_offset == 300
    assert log.append(b"on") == 300


def test_appends_go_on_during_compaction(log_path: Path) -> None:
    """What is appended while it runs is not compacted, not lost, and supersedes nothing twice."""
    with Log(log_path, segment_bytes=1 << 16, durability="process") as log:
        for number in range(20_000):
            log.append(b"%d" % number, b"key-%d" % (number % 50))
        added: list[int] = []
        log.compact(progress=lambda *_: added.append(log.append(b"during", b"key-0")))
        assert added
        assert set(added) <= set(held(log))
        assert log.verify().ok
    with Log(log_path, mode="r") as log:
        assert set(added) <= set(held(log))
        assert log.next_offset == 20_000 + len(added)


def test_views_scans_and_batches_across_compaction(open_log: Opener) -> None:
    log = open_log()
    fill(log, 200, keys=5)
    before = held(log)
    views = {offset: log.view(offset) for offset in before}
    batches = [log.read_batch(segment.base_offset) for segment in log.segments()]
    scan = log.scan()
    seen = [next(scan) for _ in range(20)]
    log.compact()
    log.compact()
    fill(log, 50, keys=5)
    for offset, view in views.items():
        assert view == before[offset][1]
    for batch in batches:
        for record in batch:
            assert record.value == before[record.offset][1]
    seen += list(scan)
    offsets = [record.offset for record in seen]
    assert offsets == sorted(set(offsets))
    assert offsets[:20] == list(range(20))
    for record in seen:
        assert record.value == before[record.offset][1]
    final = latest(before).values()
    assert set(final) <= set(offsets), "a scan across a compaction misses no latest record"


def test_truncation_in_gaps(open_log: Opener) -> None:
    for cut in range(0, 120, 9):
        log = open_log()
        log.reset(0)
        fill(log, 120, keys=6)
        log.compact()
        model = {offset: record for offset, record in held(log).items() if offset <= cut}
        assert log.truncate_after(cut) == cut + 1
        assert held(log) == model
        assert log.append(b"next", b"key") == cut + 1
        model[cut + 1] = (b"key", b"next", False)
        low = max(log.lowest_offset, cut // 2)
        assert log.truncate_before(low) == low
        model = {offset: record for offset, record in model.items() if offset >= low}
        check_reads(log, model, low, cut + 2)
        log.close()
        log = open_log()
        check_reads(log, model, low, cut + 2)
        log.close()


def test_progress_and_an_empty_log(open_log: Opener) -> None:
    log = open_log()
    result = log.compact()
    assert (result.records_before, result.records_after) == (0, 0)
    fill(log, 200, keys=7)
    calls: list[tuple[Any, ...]] = []
    log.compact(progress=lambda *arguments: calls.append(arguments))
    assert calls
    assert all(done <= total for done, total in calls)


def test_a_progress_that_raises_stops_compaction_unharmed(log_path: Path) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with Log(log_path, segment_bytes=4096, durability="process") as log:
        fill(log, 300, keys=7)
        before = held(log)
        with pytest.raises(KeyboardInterrupt):
            log.compact(progress=stop)
        after = held(log)
        assert after.items() <= before.items()
        assert set(latest(before).values()) <= set(after)
        assert log.append(b"on") == 300
        log.compact()
        assert log.verify().ok


def test_fixed_length_logs_are_not_harmed(open_log: Opener) -> None:
    """They have no keys, so there is nothing to drop; small segments may be merged."""
    log = open_log(record_size=16)
    values = [b"%016d" % number for number in range(400)]
    log.append_many(values[:200])
    for value in values[200:]:
        log.append(value)
    log.compact()
    assert [record.value for record in log] == values
    log.close()
    log = open_log()
    assert [record.value for record in log] == values


def test_indexes_of_gapped_segments(open_log: Opener) -> None:
    log = open_log()
    fill(log, 300, keys=20)
    log.compact()
    for segment in log.segments():
        relative = segment.index[: segment.record_count, 0]
        offsets: Iterable[int] = (segment.base_offset + int(item) for item in relative)
        inside = [o for o in held(log) if segment.base_offset <= o < segment.next_offset]
        assert list(offsets) == inside
        assert segment.record_count == len(inside)
