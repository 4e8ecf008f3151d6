"""Many threads and tasks on one log: appends, reads of every kind, rolls, retention and compaction at once.

Every value tells what it is (support.values), so each reader checks what it gets without asking the
writers; at the end every acknowledged record that was not dropped is at the offset it was given.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.values import TAG_BYTES, make_value, read_tag

from striate import AsyncLog, Log, OffsetOutOfRangeError, Record, RecordCompactedError

LARGEST = 400


class Shared:
    """What the threads know together. Appending to a list and setting a flag need no lock."""

    def __init__(self, log: Any, until: float) -> None:
        self.log = log
        self.until = until
        self.acknowledged: list[tuple[int, int, int, bool]] = []  # offset, operation, count, has keys
        self.errors: list[BaseException] = []
        self.reads = 0
        self.drops = threading.Lock()
        self.lowest = 0

    @property
    def going(self) -> bool:
        return time.monotonic() < self.until and not self.errors


def check(record: Record) -> None:
    tag = read_tag(record.value)
    assert record.key in (None, key_of(tag.operation, tag.index)), record
    assert record.timestamp > 0


def key_of(operation: int, index: int) -> bytes:
    return b"key-%d" % ((operation + index) % 40)


def written(operation: int, chance: random.Random) -> tuple[list[bytes], list[bytes] | None]:
    """Values and keys of an append."""
    count = chance.choice([1, 1, 1, 2, 5, 30])
    values = [make_value(operation, n, count, chance.randrange(TAG_BYTES, LARGEST)) for n in range(count)]
    return values, [key_of(operation, n) for n in range(count)] if chance.random() < 0.5 else None


# ---------------------------------------------------------------- what a thread does


def write(shared: Shared, number: int, chance: random.Random) -> None:
    operation = number << 40
    while shared.going:
        values, keys = written(operation, chance)
        if len(values) == 1:
            offset = shared.log.append(values[0], keys[0] if keys else None)
        else:
            offset = shared.log.append_many(values, keys).start
        shared.acknowledged.append((offset, operation, len(values), keys is not None))
        operation += 1


def some_offset(log: Any, chance: random.Random) -> int:
    low, high = log.lowest_offset, log.next_offset
    return chance.randrange(low, high) if high > low else low


def read(shared: Shared, number: int, chance: random.Random) -> None:
    log = shared.log
    while shared.going:
        offset = some_offset(log, chance)
        try:
            kind = chance.randrange(6)
            if kind == 0:
                record = log.read(offset)
                assert record.offset == offset
                check(record)
            elif kind == 1:
                for record in log.read_many([offset, offset, some_offset(log, chance)]):
                    check(record)
            elif kind == 2:
                read_tag(bytes(log.view(offset)))
            elif kind == 3:
                last = offset - 1
                for record in log.scan(offset, offset + 50):
                    assert record.offset > last
                    last = record.offset
                    check(record)
            elif kind == 4:
                for record in log.read_batch(offset, 5000):
                    assert record.offset >= offset
                    check(record)
            else:
                log.offset_for_time(time.time_ns() // 1000 - chance.randrange(10**6))
                log.stats()
                log.segments()
        except OffsetOutOfRangeError as error:
            if type(error) is OffsetOutOfRangeError:  # dropped by retention since, or an empty log
                low = log.lowest_offset
                if offset >= low and low <= error.offset < error.next_offset:
                    raise
        shared.reads += 1


def follow(shared: Shared, number: int, chance: random.Random) -> None:
    """A follower sees offsets that rise, and each batch whole until compaction comes."""
    log = shared.log
    last = -1
    while shared.going:
        try:
            for record in log.follow(max(last + 1, log.lowest_offset), timeout=0.1):
                assert record.offset > last
                last = record.offset
                check(record)
                if not shared.going:
                    return
        except OffsetOutOfRangeError:
            assert last + 1 < log.lowest_offset
            last = log.lowest_offset - 1


def drop(shared: Shared, number: int, chance: random.Random) -> None:
    """Retention and compaction, now and then, paced by what was appended meanwhile."""
    log = shared.log
    passed = 0
    while shared.going:
        passed += 400
        if not log.wait(passed, timeout=0.1):
            passed -= 400
            continue
        with shared.drops:
            kind = chance.randrange(4)
            if kind == 0:
                log.retain(max_bytes=400_000, keep_records=100)
            elif kind == 1:
                log.compact(tombstone_grace=0)
            elif kind == 2:
                log.truncate_before(max(log.lowest_offset, log.next_offset - 3000))
            else:
                log.sync()


@contextmanager
def quick_switches() -> Iterator[None]:
    """Let threads take turns often: more interleavings, and readers do not starve writers."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0003)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def run_threads(path: Path, seed: int, seconds: float, durability: str, counts: dict[Any, int]) -> Shared:
    with (
        quick_switches(),
        Log(path, durability=durability, segment_bytes=60_000, sync_interval_ms=5) as log,
    ):
        shared = Shared(log, time.monotonic() + seconds)

        def guarded(work: Callable[..., None], number: int) -> None:
            try:
                work(shared, number, random.Random(seed * 1000 + number))
            except BaseException as error:
                shared.errors.append(error)

        jobs = [work for work, count in counts.items() for _ in range(count)]
        threads = [threading.Thread(target=guarded, args=(work, number)) for number, work in enumerate(jobs, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + 60)
            assert not thread.is_alive(), f"a thread hangs; errors so far: {shared.errors}"
        if shared.errors:
            raise shared.errors[0]
        check_end(log, shared.acknowledged)
        assert log.verify().ok
    with Log(path, mode="r") as log:
        check_end(log, shared.acknowledged)
    return shared


def check_end(log: Any, acknowledged: list[tuple[int, int, int, bool]]) -> None:
    """Acknowledged ranges never overlap; each record is at its place, unless a later one of its key came."""
    taken = sorted((offset, offset + count) for offset, _, count, _ in acknowledged)
    for (_, end), (start, _) in itertools.pairwise(taken):
        assert start >= end, "one offset was given twice"
    assert log.next_offset == (taken[-1][1] if taken else 0)
    for offset, operation, count, keyed in acknowledged:
        for index in range(count):
            if offset + index < log.lowest_offset:
                continue
            try:
                record = log.read(offset + index)
            except RecordCompactedError:
                assert keyed, f"a record without key is gone: {offset + index}"
                continue
            tag = read_tag(record.value)
            assert (tag.operation, tag.index, tag.count) == (operation, index, count)
            assert record.key == (key_of(operation, index) if keyed else None)
    newest: dict[bytes, int] = {}
    for offset, operation, count, keyed in acknowledged:
        for index in range(count if keyed else 0):
            key = key_of(operation, index)
            newest[key] = max(newest.get(key, -1), offset + index)
    for offset in newest.values():
        assert offset < log.lowest_offset or log.read(offset).offset == offset


FULL = {write: 7, read: 7, follow: 1, drop: 1}


def test_a_few_threads(tmp_path: Path, seed: int) -> None:
    shared = run_threads(tmp_path / "log", seed, 1.5, "process", {write: 3, read: 3, follow: 1, drop: 1})
    assert shared.reads > 0
    assert shared.acknowledged


def test_a_few_durable_threads(tmp_path: Path, seed: int) -> None:
    run_threads(tmp_path / "log", seed, 1.0, "power", {write: 4, read: 2, drop: 1})


@pytest.mark.stress
@pytest.mark.timeout(280)
@pytest.mark.parametrize("durability", ["process", "power"])
def test_sixteen_threads(tmp_path: Path, seed: int, durability: str) -> None:
    shared = run_threads(tmp_path / "log", seed, 20, durability, FULL)
    print(f"{len(shared.acknowledged)} appends, {shared.reads} reads")


# ---------------------------------------------------------------- tasks


async def run_tasks(path: Path, seed: int, seconds: float, writers: int, others: int) -> int:
    """Tasks in power mode; the same checks."""
    async with AsyncLog(path, durability="power", segment_bytes=20_000) as log:
        until = time.monotonic() + seconds
        acknowledged: list[tuple[int, int, int, bool]] = []

        async def write_task(number: int) -> None:
            chance = random.Random(seed * 1000 + number)
            operation = number << 40
            while time.monotonic() < until:
                values, keys = written(operation, chance)
                if len(values) == 1:
                    offset = await log.append(values[0], keys[0] if keys else None)
                else:
                    offset = (await log.append_many(values, keys)).start
                assert log.durable_offset >= offset + len(values)
                read_tag(log.read(offset).value) if not keys else None
                acknowledged.append((offset, operation, len(values), keys is not None))
                operation += 1

        async def follow_task() -> None:
            last = -1
            while time.monotonic() < until:
                try:
                    async for record in log.follow(max(last + 1, log.lowest_offset), timeout=0.1):
                        assert record.offset > last
                        last = record.offset
                        check(record)
                        if time.monotonic() >= until:
                            return
                except OffsetOutOfRangeError:
                    last = log.lowest_offset - 1

        async def drop_task(number: int) -> None:
            chance = random.Random(seed * 1000 + 500 + number)
            passed = 0
            while time.monotonic() < until:
                passed += 1000
                if not await log.wait(passed, 0.1):
                    passed -= 1000
                    continue
                if chance.random() < 0.5:
                    await log.compact(tombstone_grace=0)
                else:
                    await log.retain(max_bytes=500_000)

        tasks = [write_task(number) for number in range(writers)]
        tasks += [follow_task() for _ in range(others)]
        tasks.append(drop_task(0))
        await asyncio.gather(*tasks)
        check_end(log, acknowledged)
        assert (await log.verify()).ok
    return len(acknowledged)


def test_a_few_tasks(tmp_path: Path, seed: int) -> None:
    assert asyncio.run(run_tasks(tmp_path / "log", seed, 1.0, writers=16, others=2)) > 0


@pytest.mark.stress
@pytest.mark.timeout(280)
def test_sixty_four_tasks(tmp_path: Path, seed: int) -> None:
    count = asyncio.run(run_tasks(tmp_path / "log", seed, 20, writers=60, others=3))
    print(f"{count} durable appends")
