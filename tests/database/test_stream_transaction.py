"""Streams and groups inside transactions: own changes seen, others kept out, all in one batch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import striate
from striate.types import Durability


@pytest.fixture
def stream(db: striate.Database) -> striate.Stream[bytes]:
    made = db.stream("s")
    for number in range(1, 6):
        made.append(b"%d" % number, id=number)
    made.group("g", "0")
    return made


def values(entries: Any) -> list[bytes]:
    return [entry.value for entry in entries]


def test_own_changes_are_seen_inside_and_not_outside(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    group = striate.Group(stream, "g")
    with db.transaction() as tx:
        own, own_group = tx[stream], tx[group]
        added = own.append(b"6", "key", id="6-*")
        assert own.delete(["2-0", "2-0", "9-0"]) == 1 and own.trim(before="2") == 1
        assert values(own) == [b"3", b"4", b"5", b"6"] == values(own.reverse_range())[::-1] and len(own) == 4
        assert values(own_group.read("anna", count=3)) == [b"3", b"4", b"5"]
        assert values(own_group.read("ben")) == [b"6"] and own_group.read("ben") == []
        assert own_group.acknowledge(["3-0"]) == 1 and own_group.acknowledge(["3-0", "4-0"], strict=False) == 1
        assert values(own_group.claim("ben", ["5-0"])) == [b"5"]
        assert own_group.info().pending == 2 and [one.consumer for one in own_group.pending()] == ["ben", "ben"]
        other = own.group(b"\xff", "3")
        assert own.groups() == ["g", "\\xff"] and values(other.read("c", count=1, acknowledged=True)) == [b"4"]
        own_group.set_position("5")
        assert values(own_group.read("anna")) == [b"6"]
        own.set_last_id("100-5", added=50)
        assert own.append(b"7").id is None and own.info().last_id > striate.StreamId("100-5")
        assert own["6-0"] == added and own.get("1-0") is None and "3-0" in own
        assert values(own.read("5-0", count=1)) == [b"6"]
        assert values(stream) == [b"1", b"2", b"3", b"4", b"5"] and stream.groups() == ["g"]
        assert group.info().pending == 0 and stream.info().added == 5
        seen = (own.info(), own_group.info(), own_group.consumers(), other.info(), values(own))
    now = (stream.info(), group.info(), group.consumers(), striate.Group(stream, b"\xff").info(), values(stream))
    assert [str(part) for part in now[:2]] == [str(part) for part in seen[:2]] and now[3:] == seen[3:]
    assert now[0].added == 51 and stream["6-0"].key == b"key"


def test_a_rolled_back_transaction_leaves_nothing(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    group, before = striate.Group(stream, "g"), stream.info()
    end = db.log.next_offset
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx[stream].delete(["1-0"])
        tx[stream].append(b"x", id="9")
        tx[group].read("anna")
        tx[stream].group("new")
        raise ZeroDivisionError
    assert stream.info() == before and group.info().pending == 0 and db.log.next_offset == end


def test_savepoints_take_back_what_was_done_to_streams(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    group = striate.Group(stream, "g")
    with db.transaction() as tx:
        kept = tx[stream].append(b"kept")
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            assert values(tx[stream])[-1] == b"kept" and kept.id is not None
            tx[stream].trim(max_length=0)
            raise ZeroDivisionError
        assert kept.id is None and len(tx[stream]) == 6
        assert values(tx[group].read("anna", count=1)) == [b"1"]
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            tx[stream].delete(["2-0"])
            tx[group].read("anna")
            tx.stream("never").append(b"never")
            tx.drop_stream("s")
            raise ZeroDivisionError
        tx[stream].append(b"last")
    assert values(stream) == [b"1", b"2", b"3", b"4", b"5", b"kept", b"last"]
    assert group.info().pending == 1 and db.names() == {b"s": "stream"}


# What a transaction does with the stream, what others do meanwhile, and whether that is a conflict.
CONFLICTS: dict[str, tuple[Callable[[Any, Any], object], Callable[[Any, Any], object], bool]] = {
    "a length, an append": (lambda s, g: len(s), lambda s, g: s.append(b"x"), True),
    "all of it, an append": (lambda s, g: list(s), lambda s, g: s.append(b"x"), True),
    "a part, an append": (lambda s, g: list(s.range("1", "3")), lambda s, g: s.append(b"x"), False),
    "the first, an append": (lambda s, g: list(s.range(count=2)), lambda s, g: s.append(b"x"), False),
    "the last, an append": (lambda s, g: list(s.reverse_range(count=1)), lambda s, g: s.append(b"x"), True),
    "a part, a removal": (lambda s, g: list(s.range("1", "3")), lambda s, g: s.delete(["2"]), True),
    "a part, a trim": (lambda s, g: list(s.range("1", "3")), lambda s, g: s.trim(before="3"), True),
    "one, an append": (lambda s, g: s.get("2-0"), lambda s, g: s.append(b"x"), False),
    "one to come, an append": (lambda s, g: s.get("9-0"), lambda s, g: s.append(b"x", id=9), True),
    "all of it, a delivery": (lambda s, g: list(s), lambda s, g: g.read("ben"), False),
    "an append, an append": (lambda s, g: s.append(b"y"), lambda s, g: s.append(b"x"), False),
    "an append with an id, an append": (lambda s, g: s.append(b"y", id=7), lambda s, g: s.append(b"x", id=6), True),
    "a removal, an append": (lambda s, g: s.delete(["2"]), lambda s, g: s.append(b"x"), False),
    "a removal, another": (lambda s, g: s.delete(["2"]), lambda s, g: s.delete(["2"]), True),
    "a removal to come, an append": (lambda s, g: s.delete(["9"]), lambda s, g: s.append(b"x", id=9), True),
    "a trim by id, an append": (lambda s, g: s.trim(before="3"), lambda s, g: s.append(b"x"), False),
    "a trim by length, an append": (lambda s, g: s.trim(max_length=3), lambda s, g: s.append(b"x"), True),
    "a delivery, an append": (lambda s, g: g.read("anna", count=2), lambda s, g: s.append(b"x"), False),
    "a delivery of all, an append": (lambda s, g: g.read("anna"), lambda s, g: s.append(b"x"), True),
    "a delivery, another": (lambda s, g: g.read("anna", count=2), lambda s, g: g.read("ben"), True),
    "a delivery, a removal": (lambda s, g: g.read("anna", count=2), lambda s, g: s.delete(["1"]), True),
    "a delivery, a position": (lambda s, g: g.read("anna", count=2), lambda s, g: g.set_position("4"), True),
    "a delivery, a deleted group": (lambda s, g: g.read("anna", count=2), lambda s, g: g.delete(), True),
    "a last id, an append": (lambda s, g: s.set_last_id("50"), lambda s, g: s.append(b"x"), True),
    "a new group, an append": (lambda s, g: s.group("new"), lambda s, g: s.append(b"x"), True),
    "a new group, the same": (lambda s, g: s.group("new"), lambda s, g: s.group("new"), True),
    "what is pending, a delivery": (lambda s, g: g.pending(), lambda s, g: g.read("ben"), True),
    "a claim, an append": (lambda s, g: g.claim("ben", ["1"]), lambda s, g: s.append(b"x"), False),
    "a claim, a removal": (lambda s, g: g.claim("ben", ["1"]), lambda s, g: s.delete(["1"]), True),
    "groups, a new one": (lambda s, g: s.groups(), lambda s, g: s.group("new"), True),
    "figures of a group, an append": (lambda s, g: g.info(), lambda s, g: s.append(b"x"), True),
    "figures, another last id": (lambda s, g: s.info(), lambda s, g: s.set_last_id("50"), True),
    "figures, compaction": (lambda s, g: (s.info(), g.info()), lambda s, g: s._save_nowait(), False),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_conflicts_of_what_was_read(db: striate.Database, stream: striate.Stream[bytes], case: str) -> None:
    inside, outside, conflicts = CONFLICTS[case]
    group = striate.Group(stream, "g")
    if "claim" in case:
        group.read("anna", count=3)
    tx = db.transaction()
    inside(tx[stream], tx[group])
    tx[db.table("t")]["k"] = b"v"
    outside(stream, group)
    if not conflicts:
        tx.commit()
        assert db.table("t")["k"] == b"v"
        return
    with pytest.raises(striate.ConflictError, match="has changed the stream 's'"):
        tx.commit()
    assert "k" not in db.table("t")


def test_acknowledging_what_is_not_pending_is_a_conflict_at_once(
    db: striate.Database, stream: striate.Stream[bytes]
) -> None:
    group = striate.Group(stream, "g")
    group.read("anna")
    group.acknowledge(["1"])
    tx = db.transaction()
    tx[group].acknowledge(["1"])
    with pytest.raises(striate.ConflictError, match="the entry 1-0 of the stream 's' is not pending"):
        len(tx[stream])
    with pytest.raises(striate.ConflictError):
        tx.commit()


def test_ids_go_on_behind_those_of_others(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    """An append that nothing was read after gets its id at the commit, also behind entries that were read."""
    with db.transaction() as tx:
        assert values(tx[stream].range("1", "2")) == [b"1", b"2"]
        entry = tx[stream].append(b"mine")
        theirs = stream.append(b"theirs", id=(1 << 60))
    assert entry.id == striate.StreamId(1 << 60, 1) > theirs and entry.offset == 6


def test_appends_that_wait_come_behind_what_was_done_before(
    db: striate.Database, stream: striate.Stream[bytes]
) -> None:
    with db.transaction() as tx:
        given = tx[stream].append(b"given", id=(1 << 60))
        behind = tx[stream].append(b"behind")
    assert (given.offset, behind.offset) == (5, 6) and behind.id == striate.StreamId(1 << 60, 1)
    with db.transaction() as tx:
        tx[stream].set_last_id((1 << 61), added=20)
        last = tx[stream].append(b"last")
    assert last.offset == 20 and last.id == striate.StreamId(1 << 61, 1) and stream.info().added == 21


def test_long_streams_share_what_does_not_change(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "process") as db:
        stream = db.stream("s", ids="offset")
        stream.append_many([b"%d" % number for number in range(5000)])
        group = stream.group("g", "0")
        group.read("anna", count=2000)
        with db.transaction() as tx:
            own = tx[stream]
            assert own.delete([(number, 0) for number in range(1, 4000, 7)]) == 572
            assert own.trim(before=(600, 0)) == 599 - 86
            own.append_many([b"more"] * 600)
            assert len(own) == 5000 - 572 - 513 + 600 and len(stream) == 5000
            assert tx[group].acknowledge(range(1, 1001), strict=False) == 1000
            assert group.info().pending == 2000 and tx[group].info().pending == 1000
            inside = values(own)
            with pytest.raises(ZeroDivisionError), tx.savepoint():
                own.trim(max_length=3)
                raise ZeroDivisionError
        assert values(stream) == inside and group.info().pending == 1000
    with striate.open(tmp_path / "db", "process") as db:
        assert values(db.stream("s", ids="offset")) == inside


def test_last_ids(db: striate.Database, tmp_path: Path) -> None:
    stream, offsets = db.stream("s"), db.stream("o", ids="offset")
    stream.append(b"a", id="5-5")
    stream.set_last_id("7-0", added=10, removed_id="6-0")
    info = stream.info()
    assert (str(info.last_id), info.added, str(info.removed_id), info.length) == ("7-0", 10, "6-0", 1)
    with pytest.raises(striate.StreamIdError):
        stream.set_last_id("6-9")
    for wrong in ({"added": 9}, {"removed_id": "8"}):
        with pytest.raises(striate.InvalidArgumentError):
            stream.set_last_id("7-0", **wrong)  # type: ignore[arg-type]
    assert stream.append(b"b", id="7-*") == striate.StreamId("7-1") and stream["7-1"].offset == 10
    offsets.set_last_id(41)
    assert offsets.append(b"a") == striate.StreamId(42, 0) and offsets.info().added == 42
    with pytest.raises(striate.InvalidArgumentError):
        offsets.set_last_id((50, 1))
    path, durability = db.path, db.durability
    db.close()
    Path(path, "hints").unlink()
    with striate.open(path, durability) as again:
        assert again.stream("s").info().added == 11 and again.stream("o", ids="offset").info().added == 42


def test_deliveries_are_made_once_among_threads(tmp_path: Path) -> None:
    """Each entry is taken by exactly one transaction that gives it, works and acknowledges in one commit."""
    count, workers = 200, 3
    with striate.open(tmp_path / "db", "process") as db:
        stream, done = db.stream("s"), db.table("done")
        group = stream.group("g", "0")
        problems: list[BaseException] = []

        def work(name: str) -> None:
            def take(tx: striate.Transaction) -> int:
                taken = tx[group].read(name, count=3)
                for entry in taken:
                    tx[done].increment(entry.value)
                tx[group].acknowledge(taken)
                return len(taken)

            try:
                while sum(map(int, done.values())) < count:
                    db.transact(take, retries=10_000)
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for number in range(count):
            stream.append(b"%d" % number)
        for thread in threads:
            thread.join()
        assert not problems and group.info().pending == 0
        assert dict(done) == {b"%d" % number: b"1" for number in range(count)}


@pytest.mark.asyncio
async def test_tasks(tmp_path: Path, durability: Durability) -> None:
    async with striate.aopen(tmp_path / "db", durability) as db:
        stream = db.stream("s")
        group = await stream.group("g", "0")
        async with db.transaction() as tx:
            tx.stream("s").append(b"a", id="1-1")
            assert values(tx[group].read("anna")) == [b"a"] and len(stream) == 0
            tx.stream(b"\xfe").append(b"b")
        assert values(db.stream(b"\xfe")) == [b"b"] and group.info().pending == 1
        await db.rename_stream(b"\xfe", "t")
        assert db.names() == {b"s": "stream", b"t": "stream"}
        assert await db.drop_stream("t") and not await db.drop_stream("t") and not await db.drop_table("no")
        await stream.set_last_id("1-5", added=7)
        assert stream.info().added == 7 and await stream.append(b"z", id="1-*") == striate.StreamId("1-6")
        dropped = db.stream("u")
        assert await db.drop_stream("u")
        with pytest.raises(striate.DroppedError):
            await dropped.append(b"c")
