"""The asyncio face: one engine, one loop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import striate
from striate.types import Durability


@pytest.mark.asyncio
async def test_tables(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability) as db:
        table = db.table("t")
        version = await table.set(b"a", b"1")
        assert table[b"a"] == b"1" and table.version("a") == version and b"a" in table and len(table) == 1
        assert await table.add(b"b", b"2") and not await table.add(b"b", b"3")
        assert await table.replace(b"b", b"3") and not await table.replace(b"c", b"3")
        assert await table.cas(b"a", b"2", version) > version and await table.cas(b"a", b"3", version) == 0
        assert await table.increment(b"n", 4) == 4
        await table.set_many({b"x": b"1", b"y": b"2"}, ttl=60)
        assert await table.touch(b"x", None) and table.ttl(b"x") is None and (table.ttl(b"y") or 0) > 50
        assert table.get_many([b"x", b"?"]) == [b"1", None]
        assert await table.delete(b"x") and not await table.delete(b"x")
        assert await table.delete_many([b"y", b"y", b"z"]) == 1
        assert await table.pop(b"n") == b"4" and await table.pop(b"n", None) is None
        with pytest.raises(KeyError):
            await table.pop(b"n")
        assert dict(table.scan()) == {b"a": b"2", b"b": b"3"} and sorted(table) == [b"a", b"b"]
        await table.clear()
        assert len(table) == 0
    assert db.closed
    db = await striate.aopen(tmp_path / "db", durability)
    assert len(db.table("t")) == 0 and db.tables() == {"t": {"codec": None}}
    await db.close()
    await db.close()


@pytest.mark.asyncio
async def test_transactions(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability) as db:
        table = db.table("t")
        async with db.transaction() as tx:
            tx[table][b"a"] = b"1"
            assert b"a" not in table
        assert table[b"a"] == b"1"
        with pytest.raises(striate.ConflictError):
            async with db.transaction() as tx:
                tx[table].increment(b"a")
                await table.set(b"a", b"5")
        with pytest.raises(ZeroDivisionError):
            async with db.transaction() as tx:
                tx[table][b"a"] = b"6"
                raise ZeroDivisionError
        with pytest.raises(TypeError), db.transaction():
            pass
        assert table[b"a"] == b"5"
        assert await db.transact(lambda tx: tx[table].increment(b"a")) == 6


@pytest.mark.timeout(60)
@pytest.mark.asyncio
async def test_tasks_move_money(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability) as db:
        table = db.table("accounts")
        await table.set_many((b"%d" % i, b"100") for i in range(8))
        lost = 0

        async def move(seed: int) -> None:
            nonlocal lost
            for step in range(10):
                tries = 0

                async def body(tx: striate.AsyncTransaction, target: bytes = b"%d" % ((seed + step) % 8)) -> None:
                    nonlocal tries
                    tries += 1
                    rows = tx[table]
                    rows.increment(b"%d" % (seed % 8), -1)
                    await asyncio.sleep(0)  # lets others in between
                    rows.increment(target, 1)

                await db.transact(body, retries=10_000)
                lost += tries - 1
                assert sum(map(int, table.get_many([b"%d" % i for i in range(8)], b"0"))) == 800

        await asyncio.gather(*(move(seed) for seed in range(16)))
        assert lost > 0, "there were conflicts"
        assert sum(int(value) for _, value in table.scan()) == 800


@pytest.mark.asyncio
async def test_one_sync_serves_many_tasks(tmp_path: Path) -> None:
    async with striate.aopen(tmp_path / "db", "power") as db:
        table = db.table("t")
        assert db._opened is not None
        before = db._opened.log._counters[1]
        await asyncio.gather(*(table.set(b"%d" % i, b"x") for i in range(1000)))
        assert db._opened.log._counters[1] - before < 20 and len(table) == 1000


@pytest.mark.asyncio
async def test_a_cancelled_write_harms_no_other(tmp_path: Path) -> None:
    async with striate.aopen(tmp_path / "db", "power") as db:
        table = db.table("t")
        one = asyncio.create_task(table.set(b"a", b"1"))
        two = asyncio.create_task(table.set(b"b", b"1"))
        await asyncio.sleep(0)
        one.cancel()
        assert await two > 0
        with pytest.raises(asyncio.CancelledError):
            await one
        assert table[b"b"] == b"1"


def test_another_loop(tmp_path: Path) -> None:
    async def opened() -> tuple[striate.AsyncDatabase, striate.AsyncTable[bytes]]:
        db = await striate.aopen(tmp_path / "db", "power")
        return db, db.table("t")

    async def elsewhere() -> None:
        with pytest.raises(striate.WrongLoopError):
            db.table("t")
        with pytest.raises(striate.WrongLoopError):
            await table.set(b"a", b"1")

    db, table = asyncio.run(opened())
    asyncio.run(elsewhere())
    asyncio.run(db.close())


@pytest.mark.asyncio
async def test_not_open(tmp_path: Path) -> None:
    db = striate.aopen(tmp_path / "db")
    with pytest.raises(striate.LogClosedError):
        db.table("t")
    assert db.closed
    await db.close()


@pytest.mark.asyncio
async def test_upkeep(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability, compaction_interval_s=None) as db:
        table = db.table("t")
        for number in range(50):
            await table.set(b"k", b"%d" % number)
        assert (await db.compact()).records_after == 2 and (await db.verify()).ok
        await db.snapshot(tmp_path / "copy")
        await table.set(b"k", b"later")
    async with striate.aopen(tmp_path / "copy", durability) as copy:
        assert copy.table("t")[b"k"] == b"49"
