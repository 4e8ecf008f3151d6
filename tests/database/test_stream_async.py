"""Streams and groups for asyncio."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import striate
from striate.types import Durability


@pytest.mark.asyncio
async def test_streams_and_groups(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability) as db:
        stream, table = db.stream("s"), db.table("t")
        first = await stream.append(b"a", "key")
        ids = await stream.append_many([b"b", b"c"])
        assert [entry.value for entry in stream] == [b"a", b"b", b"c"] and stream[first].key == b"key"
        assert [entry.id for entry in stream.reverse_range(count=2)] == ids[::-1]
        assert first in stream and stream.get((1, 1)) is None and len(stream) == 3 and db.streams().keys() == {"s"}
        group = await stream.group("g", "0")
        entries = await group.read("one", count=2)
        assert [entry.value for entry in entries] == [b"a", b"b"] and group.info().lag == 1
        assert await group.acknowledge(entries[:1]) == 1 and len(group.pending()) == 1
        assert [entry.deliveries for entry in group.read_again("one")] == [2]
        assert [entry.value for entry in await group.claim("two", entries)] == [b"b"]
        assert (await group.auto_claim("one", 0.0))[1][0].deliveries == 4
        async with db.transaction() as tx:
            tx[group].acknowledge(entries[1:])
            made = tx[stream].append(b"d")
            tx[table][b"k"] = b"v"
        assert made.id in stream and group.info().pending == 0 and table[b"k"] == b"v"
        await group.set_position("0")
        assert await group.add_consumer("three") and await group.delete_consumer("three") == 0
        assert await stream.delete([first]) == 1 and await stream.trim(max_length=1) == 2
        await group.delete()
        assert stream.groups() == [] and stream.info().length == 1


@pytest.mark.asyncio
async def test_waiting(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability) as db:
        stream = db.stream("s")
        group = await stream.group("g")
        assert await stream.read(0, timeout=0.01) == [] and await group.read("c", timeout=0.01) == []
        met: list[bytes] = []

        async def follow() -> None:
            async for entry in stream.follow("0"):
                met.append(entry.value)
                if entry.value == b"end":
                    return

        async def consume(name: str) -> int:
            count = 0
            while entries := await group.read(name, count=3, timeout=0.5):
                count += await group.acknowledge(entries)
                if entries[-1].value == b"end":
                    break
            return count

        tasks = [asyncio.create_task(follow()), *(asyncio.create_task(consume(f"c{n}")) for n in range(3))]
        reading = asyncio.create_task(stream.read(0, timeout=None))
        for number in range(100):
            await stream.append(b"%d" % number)
            if number % 10 == 0:
                await asyncio.sleep(0)
        await stream.append(b"end")
        assert [entry.value for entry in await reading][:1] == [b"0"]
        counts = await asyncio.gather(*tasks)
        assert met == [*(b"%d" % number for number in range(100)), b"end"] and sum(counts[1:]) == 101  # type: ignore
        assert [entry async for entry in stream.follow(timeout=0.01)] == []


@pytest.mark.asyncio
async def test_a_cancelled_read_takes_nothing(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability) as db:
        stream = db.stream("s")
        group = await stream.group("g")
        for _ in range(20):
            waiting = asyncio.create_task(group.read("c", timeout=None))
            other = asyncio.create_task(stream.read(stream.info().last_id, timeout=None))
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await stream.append(b"x")
            assert len(await other) == 1
            assert len(await group.read("c")) == 1


@pytest.mark.asyncio
async def test_closing_ends_waits(tmp_path: Path, durability: Durability) -> None:
    db = await striate.aopen(tmp_path / "db", durability)
    stream = db.stream("s")
    group = await stream.group("g")

    async def follow() -> int:
        return len([entry async for entry in stream.follow()])

    async def read() -> list[striate.StreamEntry]:
        return await group.read("c", timeout=None)

    tasks = [asyncio.create_task(follow()), asyncio.create_task(read())]
    await asyncio.sleep(0)
    await db.close()
    assert await tasks[0] == 0 and await tasks[1] == []
    with pytest.raises(striate.LogClosedError):
        await stream.append(b"late")


@pytest.mark.asyncio
async def test_entries_of_threads_reach_tasks(tmp_path: Path, durability: Durability) -> None:
    """The engine tells the loop, whoever appends."""
    async with striate.aopen(tmp_path / "db", durability) as db:
        stream = db.stream("s")
        own = db._database.stream("s")
        thread = threading.Thread(target=lambda: [own.append(b"%d" % number) for number in range(50)])
        following = stream.follow("0")
        thread.start()
        assert [(await anext(following)).value for _ in range(50)] == [b"%d" % number for number in range(50)]
        thread.join()
