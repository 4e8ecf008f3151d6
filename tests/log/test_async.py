"""What only the async class has: concurrent tasks, group commit, cancellation, closing under load."""

from __future__ import annotations

import asyncio
import errno
import gc
import inspect
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.driver import AWAITED

from striate import AsyncLog, Log, LogClosedError, LogLockedError
from striate.errors import DiskError, WrongLoopError

API = frozenset(
    """append append_many append_tombstone batches close closed compact durability durable_offset
    follow lowest_offset mode next_offset offset_for_time open_reader path read read_batch read_many
    record_size recovery reset restore retain scan segment_bytes segments snapshot stats sync
    truncate_after truncate_before verify view wait""".split()
)


def test_both_classes_have_the_same_methods() -> None:
    for name in dir(Log):
        if not name.startswith("_"):
            assert hasattr(AsyncLog, name), name
            assert name in API, f"{name} is public but not in the API"
    for name in AWAITED:
        assert callable(getattr(AsyncLog, name))


def test_both_classes_take_the_same_parameters() -> None:
    sync = inspect.signature(Log).parameters
    with_loop = inspect.signature(AsyncLog).parameters
    assert list(sync) == list(with_loop)
    assert {n: p.default for n, p in sync.items()} == {n: p.default for n, p in with_loop.items()}


def test_two_ways_to_open(log_path: Path) -> None:
    async def main() -> None:
        async with AsyncLog(log_path) as log:
            assert await log.append(b"value") == 0
        assert log.closed
        log = await AsyncLog.open(log_path)
        assert log.read(0).value == b"value"
        await log.close()
        await log.close()

    asyncio.run(main())


@pytest.mark.parametrize("durability", ["power", "process"])
def test_concurrent_tasks(log_path: Path, durability: str) -> None:
    """64 tasks append at once; each gets its own offset, and in power mode they share syncs."""

    async def main() -> None:
        async with AsyncLog(log_path, durability=durability, segment_bytes=16384) as log:

            async def work(task: int) -> None:
                for number in range(20):
                    value = b"%d/%d" % (task, number)
                    offset = await log.append(value)
                    assert log.read(offset).value == value
                    if durability == "power":
                        assert log.durable_offset > offset

            before = log.stats().syncs
            await asyncio.gather(*(work(task) for task in range(64)))
            assert log.next_offset == 64 * 20
            if durability == "power":
                assert log.stats().syncs - before < 64 * 20 / 4, "tasks share syncs"
            values = {record.value for record in log}
            assert values == {b"%d/%d" % (task, number) for task in range(64) for number in range(20)}

    asyncio.run(main())


def test_order_of_one_task(log_path: Path) -> None:
    """Appends started in order get offsets in order, awaited or not."""

    async def main() -> None:
        async with AsyncLog(log_path, segment_bytes=4096) as log:
            tasks = [asyncio.ensure_future(log.append(b"%d" % number * 9)) for number in range(200)]
            assert await asyncio.gather(*tasks) == list(range(200))
            assert [record.value for record in log] == [b"%d" % number * 9 for number in range(200)]

    asyncio.run(main())


def test_cancelled_appends_are_all_or_nothing(log_path: Path) -> None:
    """A cancelled await may or may not have written; the log stays sound and its tasks end."""

    async def main() -> None:
        async with AsyncLog(log_path, segment_bytes=8192) as log:
            acknowledged: dict[int, int] = {}

            async def work(number: int) -> None:
                batch = await log.append_many([b"%d/%d" % (number, part) for part in range(3)])
                acknowledged[number] = batch.start

            for number in range(150):
                task = asyncio.create_task(work(number))
                for _ in range(number % 5):
                    await asyncio.sleep(0)
                if number % 2:
                    task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await log.sync()  # what was cancelled may be on its way still
            values = [record.value for record in log]
            assert len(values) % 3 == 0
            for place in range(0, len(values), 3):
                number = int(values[place].split(b"/")[0])
                assert values[place : place + 3] == [b"%d/%d" % (number, part) for part in range(3)]
            for number, offset in acknowledged.items():
                assert log.read(offset).value == b"%d/0" % number
            assert set(range(0, 150, 2)) <= set(acknowledged)
            assert await log.append(b"on") == len(values)

    asyncio.run(main())


def test_closing_under_load(log_path: Path) -> None:
    """What was acknowledged before or during close is there; the rest fails with LogClosedError."""

    async def main() -> dict[int, int]:
        log = await AsyncLog.open(log_path, segment_bytes=8192)
        acknowledged: dict[int, int] = {}
        errors: list[BaseException] = []
        enough = asyncio.Event()

        async def work(task: int) -> None:
            number = 0
            while True:
                try:
                    acknowledged[await log.append(b"%d/%d" % (task, number))] = task * 10**6 + number
                except LogClosedError as error:
                    errors.append(error)
                    return
                number += 1
                if len(acknowledged) >= 300:
                    enough.set()

        tasks = [asyncio.create_task(work(task)) for task in range(16)]
        await enough.wait()
        await log.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        assert len(errors) == 16
        return acknowledged

    acknowledged = asyncio.run(main())
    with Log(log_path, mode="r") as log:
        for offset, number in acknowledged.items():
            assert log.read(offset).value == b"%d/%d" % divmod(number, 10**6)


IN_ITS_LOOP: dict[str, Callable[[AsyncLog], Awaitable[Any]]] = {
    "append": lambda log: log.append(b"value"),
    "append_many": lambda log: log.append_many([b"value"]),
    "append_tombstone": lambda log: log.append_tombstone(b"key"),
    "wait": lambda log: log.wait(100, timeout=0),
    "follow": lambda log: anext(log.follow(0)),
    "close": lambda log: log.close(),
}


@pytest.mark.parametrize("call", IN_ITS_LOOP.values(), ids=IN_ITS_LOOP.keys())
def test_it_is_bound_to_its_loop(log_path: Path, call: Callable[[AsyncLog], Awaitable[Any]]) -> None:
    async def called(log: AsyncLog) -> None:
        await call(log)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        log = first.run(opened(log_path))
        with pytest.raises(WrongLoopError):
            second.run(called(log))
        assert not log.closed
        assert log.next_offset == 0, "nothing happened"
        first.run(closing(log))


ANYWHERE: dict[str, Callable[[AsyncLog], Awaitable[Any]]] = {
    "sync": lambda log: log.sync(),
    "truncate_before": lambda log: log.truncate_before(0),
    "compact": lambda log: log.compact(),
    "verify": lambda log: log.verify(),
}


@pytest.mark.parametrize("call", ANYWHERE.values(), ids=ANYWHERE.keys())
def test_what_works_in_any_loop(log_path: Path, call: Callable[[AsyncLog], Awaitable[Any]]) -> None:
    async def called(log: AsyncLog) -> None:
        await call(log)

    with asyncio.Runner() as first, asyncio.Runner() as second:
        log = first.run(opened(log_path))
        second.run(called(log))
        first.run(closing(log))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_it_can_be_closed_when_its_loop_is_gone(log_path: Path) -> None:
    before = descriptors()
    log = asyncio.run(opened(log_path))
    asyncio.run(closing(log))
    assert log.closed
    assert descriptors() == before
    asyncio.run(closing(log))
    with Log(log_path):
        pass


def test_a_log_that_is_never_closed_leaves_no_descriptor(log_path: Path) -> None:
    before = descriptors()
    asyncio.run(opened(log_path))
    gc.collect()
    assert descriptors() == before


def test_a_cancelled_close_goes_on(log_path: Path, tmp_path: Path) -> None:
    """The eventfd stays until the sync thread has ended: another file could get its number meanwhile."""

    async def main() -> None:
        log = await AsyncLog.open(log_path)
        log._log._maintenance.acquire()  # as compaction would
        appends = [asyncio.create_task(log.append(b"value")) for _ in range(10)]
        closes = [asyncio.create_task(log.close()) for _ in range(2)]
        await asyncio.gather(*appends)
        for task in closes:
            task.cancel()
        await asyncio.wait(closes)
        assert all(task.cancelled() for task in closes)
        other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
        assert await log.append(b"more") == 10
        log._log._maintenance.release()
        await log.close()
        assert log.closed
        assert os.fstat(other).st_size == 0
        os.close(other)
        await log.close()

    before = descriptors()
    asyncio.run(main())
    assert descriptors() == before


def test_a_cancelled_open_leaves_no_lock(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Log):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.set()
            go_on.wait(20)

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("striate.storage.async_log.Log", Slow)
            opening = asyncio.create_task(AsyncLog.open(log_path))
            await asyncio.to_thread(begun.wait, 20)
            for _ in range(3):
                opening.cancel()
                await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await opening
        async with AsyncLog(log_path) as log:
            assert await log.append(b"value") == 0

    asyncio.run(main())


def test_no_descriptor_for_an_eventfd(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("os.eventfd", none_left)
            with pytest.raises(DiskError) as caught:
                await AsyncLog.open(log_path)
        assert caught.value.errno == errno.EMFILE
        async with AsyncLog(log_path):
            pass

    asyncio.run(main())


async def opened(path: Path, **options: Any) -> AsyncLog:
    return await AsyncLog.open(path, **options)


async def closing(log: AsyncLog) -> None:
    await log.close()


def test_errors_reach_the_caller(log_path: Path) -> None:
    async def main() -> None:
        async with AsyncLog(log_path, segment_bytes=4096) as log:
            with pytest.raises(TypeError):
                await log.append("text")  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="limit"):
                await log.append(bytes(9000))
            with pytest.raises(LogLockedError):
                await AsyncLog.open(log_path)
            with pytest.raises(LookupError):
                log.read(0)
            assert await log.append(b"on") == 0
        with pytest.raises(LogClosedError):
            await log.append(b"closed")
        with pytest.raises(LogClosedError):
            log.read(0)

    asyncio.run(main())


def test_long_work_does_not_stop_the_loop(log_path: Path) -> None:
    """Compaction, verification and snapshots run aside: other tasks append and tick meanwhile."""

    async def main() -> None:
        async with AsyncLog(log_path, durability="process", segment_bytes=1 << 16) as log:
            for number in range(300):
                await log.append_many([b"%d" % number * 30] * 20, [b"key-%d" % part for part in range(20)])
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await log.append(b"tick", b"tick")
                    await asyncio.sleep(0)

            ticker = asyncio.create_task(tick())
            for work in (log.verify(), log.compact(), log.snapshot(log_path.with_name("snapshot"))):
                before = ticks
                await work
                assert ticks > before
            ticker.cancel()
            await asyncio.gather(ticker, return_exceptions=True)
            assert {record.key for record in log} == {b"tick", *(b"key-%d" % part for part in range(20))}

    asyncio.run(main())


def test_uvloop(log_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        async with AsyncLog(log_path, segment_bytes=8192) as log:
            follower = asyncio.create_task(first_records(log, 100))
            await asyncio.gather(*(log.append(b"%d" % number) for number in range(100)))
            assert len(await asyncio.wait_for(follower, 10)) == 100

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def first_records(log: AsyncLog, count: int) -> list[Any]:
    seen = []
    async for record in log.follow(0):
        seen.append(record)
        if len(seen) == count:
            break
    return seen


def test_a_loop_that_ends_with_the_log_open(log_path: Path) -> None:
    """Left open, the log is collected without noise, and what was acknowledged is there."""

    async def main() -> None:
        log = await AsyncLog.open(log_path, durability="process")
        await log.append(b"value")
        log.close  # noqa: B018

    asyncio.run(main())
    import gc

    gc.collect()
    with Log(log_path, mode="r") as log:
        assert log.read(0).value == b"value"
