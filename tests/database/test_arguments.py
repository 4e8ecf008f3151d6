"""What callers pass wrongly: one of striate's errors, which says what is wanted."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import striate

SURROGATE = "\ud800"
Database = striate.Database


def _group(db: Database) -> striate.Group[bytes]:
    return db.stream("s").group("g", "0")


WRONG_TYPE: dict[str, Callable[[Any], Any]] = {
    "set_many of nothing": lambda db: db.table("t").set_many(None),
    "set_many of text": lambda db: db.table("t").set_many("kx"),
    "set_many of no pairs": lambda db: db.table("t").set_many([None]),
    "delete_many of text": lambda db: db.table("t").delete_many("kx"),
    "delete_many of bytes": lambda db: db.table("t").delete_many(b"kx"),
    "delete_many of nothing": lambda db: db.table("t").delete_many(None),
    "get_many of a number": lambda db: db.table("t").get_many(5),
    "append_many of nothing": lambda db: db.stream("s").append_many(None),
    "append_many with one key": lambda db: db.stream("s").append_many([b"1"], "k"),
    "delete of a number": lambda db: db.stream("s").delete(5),
    "acknowledge of nothing": lambda db: _group(db).acknowledge(None),
    "claim of nothing": lambda db: _group(db).claim("c", None),
    "prefix that is a number": lambda db: list(db.table("t").scan(5)),
    "prefix that is nothing": lambda db: list(db.table("t").scan_keys(None)),
    "version that is nothing": lambda db: db.table("t").cas("a", b"", None),
    "version that is a fraction": lambda db: db.table("t").cas("a", b"", 1.5),
    "transact nothing": lambda db: db.transact(None),
    "retries that are text": lambda db: db.transact(lambda tx: 1, retries="1"),
    "set_many of nothing in a transaction": lambda db: db.transact(lambda tx: tx[db.table("t")].set_many(None)),
    "get_many of text in a transaction": lambda db: db.transact(lambda tx: tx[db.table("t")].get_many("kx")),
    "append_many of text in a transaction": lambda db: db.transact(lambda tx: tx[db.stream("s")].append_many("kx")),
    "acknowledge of nothing in a transaction": lambda db: db.transact(lambda tx: tx[_group(db)].acknowledge(None)),
}
WRONG_VALUE: dict[str, Callable[[Any], Any]] = {
    "set_many of triples": lambda db: db.table("t").set_many([(b"a", b"b", b"c")]),
    "table": lambda db: db.table(SURROGATE),
    "stream": lambda db: db.stream(SURROGATE),
    "cache": lambda db: db.cache(SURROGATE),
    "group": lambda db: db.stream("s").group(SURROGATE),
    "consumer": lambda db: _group(db).read(SURROGATE),
    "prefix": lambda db: list(db.table("t").scan(SURROGATE)),
    "key of an entry": lambda db: db.stream("s").append(b"", key=SURROGATE),
    "key of many entries": lambda db: db.stream("s").append_many([b""], [SURROGATE]),
    "key to delete": lambda db: db.table("t").delete_many([SURROGATE]),
    "key read in a transaction": lambda db: db.transact(lambda tx: tx[db.table("t")].get(SURROGATE)),
    "key set in a transaction": lambda db: db.transact(lambda tx: tx[db.table("t")].set(SURROGATE, b"")),
    "key of an entry in a transaction": lambda db: db.transact(lambda tx: tx[db.stream("s")].append(b"", SURROGATE)),
    "version below 0": lambda db: db.table("t").cas("a", b"", -1),
    "version too large": lambda db: db.table("t").cas("a", b"", 1 << 64),
    "retries below 0": lambda db: db.transact(lambda tx: 1, retries=-1),
    "ttl that is no number": lambda db: db.table("t").set("a", b"", ttl=math.nan),
    "ttl too large": lambda db: db.table("t").set("a", b"", ttl=10**400),
}


@pytest.mark.parametrize("case", WRONG_TYPE)
def test_wrong_types(db: Database, case: str) -> None:
    with pytest.raises(striate.InvalidTypeError):
        WRONG_TYPE[case](db)


@pytest.mark.parametrize("case", WRONG_VALUE)
def test_wrong_values(db: Database, case: str) -> None:
    with pytest.raises(striate.InvalidArgumentError):
        WRONG_VALUE[case](db)


def test_delete_many_of_text_deletes_nothing(table: striate.Table[bytes]) -> None:
    table.set_many({"k": b"1", "x": b"2"})
    with pytest.raises(striate.InvalidTypeError):
        table.delete_many("kx")
    assert len(table) == 2


def test_one_entry_instead_of_many(db: Database) -> None:
    stream = db.stream("s")
    group = stream.group("g", "0")
    entry = stream.append(b"1")
    with pytest.raises(striate.InvalidTypeError, match="a sequence of ids"):
        group.acknowledge(entry)  # type: ignore[arg-type]


def test_a_pending_entry_is_an_id(db: Database) -> None:
    stream = db.stream("s")
    group = stream.group("g", "0")
    stream.append_many([b"1", b"2"])
    group.read("c")
    one, two = group.pending()
    assert stream[one].value == b"1" and [entry.value for entry in group.claim("d", [two])] == [b"2"]
    assert group.acknowledge([one]) == 1
    with db.transaction() as tx:
        tx[group].acknowledge([two])
    assert group.pending() == []


def test_infinity_is_no_limit(db: Database) -> None:
    table, stream = db.table("t"), db.stream("s")
    table.set("a", b"1", ttl=math.inf)
    assert table.ttl("a") is None and table.touch("a", 60) and table.ttl("a") and table.touch("a", math.inf)
    assert table.ttl("a") is None
    table.set_many({"b": b"2"}, ttl=math.inf)
    with db.transaction() as tx:
        tx[table].set("c", b"3", ttl=math.inf)
    assert table.ttl("b") is None and table.ttl("c") is None
    stream.append(b"1")
    assert len(stream.read("0", timeout=math.inf)) == 1 and len(stream.read("0", timeout=1e300)) == 1
    assert next(stream.follow("0", timeout=math.inf)).value == b"1"
    assert len(stream.group("g", "0").read("c", timeout=math.inf)) == 1


def test_tasks(tmp_path: Path) -> None:
    async def run() -> None:
        async with striate.aopen(tmp_path / "db", "process") as db:
            stream, table = db.stream("s"), db.table("t")
            for wrong in (-1, 1 << 64):
                with pytest.raises(striate.InvalidArgumentError):
                    await table.cas("a", b"", wrong)
            with pytest.raises(striate.InvalidTypeError):
                await table.cas("a", b"", 1.5)  # type: ignore[arg-type]
            with pytest.raises(striate.InvalidTypeError):
                await db.transact(None)  # type: ignore[arg-type]
            with pytest.raises(striate.InvalidArgumentError):
                await db.transact(lambda tx: 1, retries=-1)
            reading = asyncio.create_task(stream.read("0", timeout=math.inf))
            await asyncio.sleep(0)
            await stream.append(b"1")
            assert len(await reading) == 1

    asyncio.run(run())


def test_a_coroutine_function_is_for_an_async_database(db: Database) -> None:
    async def function(tx: striate.Transaction) -> None:
        raise AssertionError

    with pytest.raises(striate.InvalidTypeError, match="AsyncDatabase"):
        db.transact(function)
    with pytest.raises(striate.InvalidTypeError, match="AsyncDatabase"):
        db.transact(lambda tx: asyncio.sleep(0))


# ---------------------------------------------------------------- what messages say


def test_a_database_that_is_open_is_not_advised_to_be_read(db: Database) -> None:
    with pytest.raises(striate.LogLockedError, match=r"the database .* is open") as caught:
        striate.open(db.path)
    assert "mode" not in str(caught.value) and caught.value.path == db.path and caught.value.pid


def test_reasons_to_trim(db: Database) -> None:
    stream = db.stream("s")
    with pytest.raises(striate.InvalidArgumentError, match=r"exactly one of .* got 'none of them'"):
        stream.trim()
    with pytest.raises(striate.InvalidArgumentError, match=r"exactly one of .* got 'max_length and before'"):
        stream.trim(max_length=1, before="5")


def test_ids_must_rise(db: Database) -> None:
    stream = db.stream("s")
    stream.append(b"", id="5-5")
    with pytest.raises(striate.StreamIdError, match="the id 5-5 must be higher than 5-5, the last of the stream"):
        stream.append(b"", id="5-5")


def test_conflicts_about_streams(db: Database) -> None:
    stream = db.stream("s")
    group = stream.group("g", "0")
    stream.append(b"", id="5-5")
    with (
        pytest.raises(striate.ConflictError, match="the entry 5-5 of the stream 's' is not pending"),
        db.transaction() as tx,
    ):
        tx[group].acknowledge(["5-5"])
    with pytest.raises(striate.ConflictError, match="has changed the stream 's'"), db.transaction() as tx:
        list(tx[stream])
        tx[db.table("t")]["a"] = b""
        stream.append(b"")
