"""Following in asyncio: woken by tasks and processes, cancelled, ended by close, never blocking the loop."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import pytest
from support.child import Child

from striate import AsyncLog, InvalidTypeError, Log, LogClosedError, OffsetOutOfRangeError
from striate.storage.watcher import Watcher
from striate.types import Mode

TYPICAL_LATENCY_S = 0.005  # the promise is 1 ms on an idle machine


def test_async_follow_is_woken_and_cancelled(log_path: Path) -> None:
    async def main() -> None:
        async with AsyncLog(log_path, segment_bytes=4096, durability="process") as log:
            seen: list[int] = []
            enough = asyncio.Event()

            async def follow() -> None:
                async for record in log.follow(0):
                    seen.append(record.offset)
                    if len(seen) == 500:
                        enough.set()

            task = asyncio.create_task(follow())
            for number in range(500):
                await log.append(b"%d" % number * 9)
            await asyncio.wait_for(enough.wait(), 10)
            assert seen == list(range(500))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await log.append(b"on") == 500

    asyncio.run(main())


def test_async_close_ends_followers(log_path: Path) -> None:
    async def main() -> None:
        log = await AsyncLog.open(log_path, durability="process")

        async def follow() -> list[int]:
            return [record.offset async for record in log.follow(0)]

        async def wait() -> Any:
            try:
                return await log.wait(10)
            except LogClosedError:
                return False

        followers = [asyncio.create_task(follow()) for _ in range(3)]
        waiter = asyncio.create_task(wait())
        await log.append(b"value")
        assert await log.wait(0, 5) is True
        await asyncio.sleep(0)
        await log.close()
        ended = await asyncio.wait_for(asyncio.gather(*followers), 5)
        assert all(offsets in ([], [0]) for offsets in ended)
        assert await asyncio.wait_for(waiter, 5) is False

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["a", "r"])
@pytest.mark.parametrize("when", ["before the first step", "between records", "at the end"])
def test_async_follow_ends_when_the_log_is_closed(log_path: Path, when: str, mode: Mode) -> None:
    async def main(log: AsyncLog) -> None:
        stream = log.follow(0)
        if when != "before the first step":
            assert (await anext(stream)).offset == 0
        if when == "at the end":
            assert (await anext(stream)).offset == 1
        await log.close()
        assert [record async for record in stream] == []
        with pytest.raises(LogClosedError):
            log.follow(0)

    async def opened() -> None:
        await main(await AsyncLog.open(log_path, mode=mode, durability="process"))

    with Log(log_path, durability="process") as writer:
        writer.append_many([b"a", b"b"])
        if mode == "r":
            asyncio.run(opened())
    if mode == "a":
        asyncio.run(opened())


@pytest.mark.parametrize("method", ["scan", "_sleep"])
def test_async_follow_ends_when_the_log_is_closed_under_it(log_path: Path, method: str) -> None:
    """Close runs in a thread, so it may come between any two steps."""

    async def main() -> None:
        log = await AsyncLog.open(log_path, durability="process")
        await log.append(b"value")
        stream = log.follow(0)
        close_before(log._log, method)
        assert [record.offset async for record in stream] in ([], [0])
        await log.close()

    asyncio.run(main())


@pytest.mark.parametrize("method", ["scan", "_sleep"])
def test_follow_ends_when_the_log_is_closed_under_it(log_path: Path, method: str) -> None:
    log = Log(log_path, durability="process")
    log.append(b"value")
    stream = log.follow(0)
    close_before(log, method)
    assert [record.offset for record in stream] in ([], [0])


def close_before(log: Any, method: str) -> None:
    """Close the log as if by another thread, when the method is called next."""
    real = getattr(log, method)

    def closing(*arguments: Any) -> Any:
        log.close()
        return real(*arguments)

    setattr(log, method, closing)


def test_an_async_follow_begins_where_it_was_called(log_path: Path) -> None:
    async def main() -> None:
        async with AsyncLog(log_path, durability="process") as log:
            stream = log.follow(timeout=0)
            await log.append(b"value")
            assert [record.offset async for record in stream] == [0]
            with pytest.raises(OffsetOutOfRangeError):
                log.follow(5)
            with pytest.raises(InvalidTypeError):
                log.follow(timeout="soon")  # type: ignore[arg-type]

    asyncio.run(main())


def test_the_loop_goes_on_while_a_task_waits(log_path: Path) -> None:
    """Waiting in one task never blocks the loop: others tick, and an append by another task wakes it."""

    async def main() -> None:
        async with AsyncLog(log_path, durability="process") as log:
            ticks = 0
            waiter = asyncio.create_task(log.wait(0, 10))
            for _ in range(1000):
                await asyncio.sleep(0)
                ticks += 1
            assert not waiter.done()
            await log.append(b"value")
            assert await asyncio.wait_for(waiter, 5) is True
            assert ticks == 1000

    asyncio.run(main())


def test_waiters_for_different_offsets(log_path: Path) -> None:
    """Each wakes for its own, in whatever order they came; those that gave up disturb nobody."""

    async def main() -> None:
        async with AsyncLog(log_path, durability="process") as log:
            far = asyncio.create_task(log.wait(100))
            given_up = asyncio.create_task(log.wait(50))
            for _ in range(20):
                await asyncio.sleep(0)
            assert await log.wait(60, 0.02) is False
            near = [asyncio.create_task(log.wait(offset)) for offset in (7, 0, 3)]
            given_up.cancel()
            for _ in range(20):
                await asyncio.sleep(0)
            await log.append_many([b"x"] * 8)
            assert await asyncio.wait_for(asyncio.gather(*near), 5) == [True] * 3
            assert not far.done()
            await log.append_many([b"x"] * 93)
            assert await asyncio.wait_for(far, 5) is True

    asyncio.run(main())


def test_async_follow_of_another_process(log_path: Path) -> None:
    writer = """
    from striate import Log
    with Log(path, segment_bytes=4096, durability="process") as log:
        say("open")
        while heard(): log.append(b"%r" % time.perf_counter())
    """

    async def main(child: Child) -> list[float]:
        took = []
        async with AsyncLog(log_path, mode="r") as log:
            stream = log.follow(0)
            for _ in range(40):
                child.tell("append")
                record = await asyncio.wait_for(anext(stream), 10)
                took.append(time.perf_counter() - float(record.value))
            await stream.aclose()
        return took

    with Child(writer, log_path) as child:
        child.expect("open")
        took = asyncio.run(main(child))
        child.tell()
        child.finish()
    assert statistics.median(took) < TYPICAL_LATENCY_S, sorted(took)


@pytest.mark.parametrize("mode", ["a", "r"])
def test_a_cut_ends_who_follows_behind_it(log_path: Path, mode: Mode) -> None:
    async def main() -> None:
        async with AsyncLog(log_path, durability="process") as writer:
            await writer.append_many([b"value"] * 100)
            follower = writer if mode == "a" else await AsyncLog.open(log_path, mode="r")
            step = asyncio.create_task(anext(follower.follow(100)))  # type: ignore[arg-type]
            waiter = asyncio.create_task(follower.wait(100))
            await asyncio.sleep(0)
            await writer.truncate_after(49)
            with pytest.raises(OffsetOutOfRangeError):
                await asyncio.wait_for(step, 10)
            assert not waiter.done()
            await writer.append_many([b"value"] * 51)
            assert await asyncio.wait_for(waiter, 10)
            await follower.close()

    asyncio.run(main())


def test_a_cut_before_the_watcher_looks(log_path: Path) -> None:
    """The task saw the log at 100 records; when its wait begins there are 50, and nothing more will happen."""

    async def main() -> None:
        with Log(log_path, durability="process") as log:
            log.append_many([b"value"] * 50)
            watcher = Watcher(log, asyncio.get_running_loop())
            assert await asyncio.wait_for(watcher.wait_for(100, True), 10)
            assert await asyncio.wait_for(watcher.wait_for(49, False), 10)
            waiting = watcher.wait_for(100, False)
            log.close()
            watcher.stop()
            assert not await waiting

    asyncio.run(main())
