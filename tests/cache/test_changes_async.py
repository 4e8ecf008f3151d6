"""Listening with ``async for``: what comes, who else runs, and what ends it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import striate
from striate import Cache, CacheChange, Changes
from tests.cache.conftest import Clock

pytestmark = pytest.mark.asyncio


async def taken(changes: Changes, count: int) -> list[bytes]:
    """The keys of so many changes."""
    found = []
    async for change in changes:
        found.append(change.key)
        if len(found) == count:
            break
    return found


async def test_changes_that_are_there_and_that_come() -> None:
    cache = Cache()
    with cache.changes() as changes:
        cache.set("a", b"1")
        assert await taken(changes, 1) == [b"a"]
        waiting = asyncio.create_task(taken(changes, 2))
        await asyncio.sleep(0)
        writer = threading.Thread(target=cache.set_many, args=({"b": b"", "c": b""},))
        writer.start()
        assert sorted(await asyncio.wait_for(waiting, 60)) == [b"b", b"c"]
        writer.join()


async def test_many_listeners_of_one_cache() -> None:
    before = set(threading.enumerate())
    cache = Cache()
    listeners = [cache.changes() for _ in range(20)]
    tasks = [asyncio.create_task(taken(changes, 100)) for changes in listeners]
    for number in range(100):
        cache.set(b"%d" % number, b"")
        await asyncio.sleep(0)
    found = await asyncio.wait_for(asyncio.gather(*tasks), 60)
    assert found == [[b"%d" % number for number in range(100)]] * 20
    assert len(set(threading.enumerate()) - before) <= 1
    for changes in listeners:
        changes.close()


async def test_closing_ends_the_loop() -> None:
    cache = Cache()
    changes = cache.changes()
    waiting = asyncio.create_task(taken(changes, 1))
    await asyncio.sleep(0)
    changes.close()
    assert await asyncio.wait_for(waiting, 60) == []
    assert [change async for change in changes] == []


async def test_a_cancelled_task_takes_no_change() -> None:
    cache = Cache()
    with cache.changes() as changes:
        for number in range(20):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(changes), 0.001)
            cache.set(b"%d" % number, b"")
            assert (await anext(changes)).key == b"%d" % number


async def test_other_tasks_run_while_there_is_a_backlog() -> None:
    cache = Cache()
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            ran += 1
            await asyncio.sleep(0)

    with cache.changes(limit=65_536) as changes:
        cache.set_many({b"%d" % number: b"" for number in range(10_000)})
        task = asyncio.create_task(other())
        await taken(changes, 10_000)
        task.cancel()
    assert ran > 20


async def test_a_slow_listener_is_told(clock: Clock) -> None:
    cache = Cache(clock=clock)
    with cache.changes(limit=5) as changes:
        for number in range(8):
            cache.set(b"%d" % number, b"")
        first: CacheChange = await anext(changes)
        assert (first.kind, first.missed) == ("missed", 3) and await taken(changes, 5) == [b"3", b"4", b"5", b"6", b"7"]


async def test_a_loop_that_was_closed_holds_up_nobody() -> None:
    cache = Cache()

    async def left() -> None:
        changes._hub.wait_for(cache.striped.change_word)

    with cache.changes() as changes:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=lambda: loop.run_until_complete(left()))
        thread.start()
        thread.join()
        loop.close()
        cache.set("a", b"")
        assert await taken(changes, 1) == [b"a"]
        waiting = asyncio.create_task(taken(changes, 1))
        await asyncio.sleep(0)
        cache.set("b", b"")
        assert await asyncio.wait_for(waiting, 60) == [b"b"]


async def test_closing_a_database_ends_the_loops_of_its_caches(tmp_path: Path) -> None:
    async with striate.aopen(tmp_path / "db") as db:
        changes = db.cache("c").changes()
        waiting = asyncio.create_task(taken(changes, 1))
        blocked = asyncio.create_task(asyncio.to_thread(changes.get))
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(waiting, 60) == [] and await asyncio.wait_for(blocked, 60) is None


async def test_the_thread_ends_when_nobody_waits() -> None:
    cache = Cache()
    before = set(threading.enumerate())
    with cache.changes() as changes:
        waiting = asyncio.create_task(taken(changes, 1))
        await asyncio.sleep(0)
        (thread,) = set(threading.enumerate()) - before
        waiting.cancel()
        await asyncio.to_thread(thread.join, 8)
        assert not thread.is_alive()
        cache.set("a", b"")
        assert await asyncio.wait_for(taken(changes, 1), 60) == [b"a"]
