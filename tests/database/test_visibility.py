"""At power durability readers see what is on disk, transactions what is in the log, and nobody waits for a sync."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import striate


@pytest.fixture
def db(tmp_path: Path) -> Iterator[striate.Database]:
    with striate.open(tmp_path / "db", "power") as database:
        yield database


@pytest.fixture
def table(db: striate.Database) -> striate.Table[bytes]:
    return db.table("t")


def seen(table: striate.Table[bytes], keys: list[bytes]) -> list[bytes | None]:
    """What readers see of some keys, by each way there is."""
    one_by_one = [table.get(key) for key in keys]
    assert one_by_one == table.get_many(keys)
    there = {key: value for key, value in zip(keys, one_by_one, strict=True) if value is not None}
    assert dict(table.scan()) == there and sorted(table) == sorted(there)
    assert [key in table for key in keys] == [key in there for key in keys]
    assert [table.version(key) > 0 for key in keys] == [key in there for key in keys]
    return one_by_one


def test_a_new_value_is_seen_when_it_is_durable(db: striate.Database, table: striate.Table[bytes]) -> None:
    table.set_many({b"old": b"1", b"gone": b"1", b"back": b"1"})
    table._write_nowait(b"old", b"2")
    table._write_nowait(b"new", b"2")
    table._remove_nowait(b"gone")
    table._remove_nowait(b"back")
    table._write_nowait(b"back", b"2")
    keys = [b"old", b"new", b"gone", b"back", b"none"]
    assert seen(table, keys) == [b"1", None, b"1", b"1", None]
    assert [table._read_latest(key)[1] for key in keys] == [b"2", b"2", None, b"2", None]
    # Again over what is not durable yet: what readers see stays.
    table._write_nowait(b"old", b"3")
    table._remove_nowait(b"new")
    table._write_nowait(b"gone", b"3")
    table._remove_nowait(b"back")
    assert seen(table, keys) == [b"1", None, b"1", b"1", None]
    db.sync()
    assert seen(table, keys) == [b"3", None, b"3", None, None]
    # And the same once more, over entries that are left over.
    table._remove_nowait(b"old")
    table._write_nowait(b"new", b"4")
    assert seen(table, keys) == [b"3", None, b"3", None, None]
    db.sync()
    assert seen(table, keys) == [None, b"4", b"3", None, None]


def test_a_state_that_became_durable_replaces_the_one_before(db: striate.Database, table: striate.Table[bytes]) -> None:
    table._write_nowait(b"a", b"1")
    db.sync()
    table._write_nowait(b"a", b"2")
    assert seen(table, [b"a"]) == [b"1"]
    db.sync()
    table._remove_nowait(b"a")
    assert seen(table, [b"a"]) == [b"2"]


def test_what_is_left_over_is_swept(db: striate.Database, table: striate.Table[bytes]) -> None:
    for round_ in range(5):
        for number in range(2000):
            table._write_nowait(b"%d" % number, b"%d" % round_)
        assert table.get(b"0") == (b"%d" % (round_ - 1) if round_ else None)
        table.set(b"x", b"")
        assert table.get(b"1999") == b"%d" % round_
        assert len(list(table._walk(b"", False, True)[1])) == 0
    assert len(table) == 2001


def test_a_transaction_is_seen_as_a_whole(db: striate.Database, table: striate.Table[bytes]) -> None:
    other = db.table("other")
    with db.transaction() as tx:
        tx[table][b"a"] = b"1"
        tx[other][b"b"] = b"1"
        assert table.get(b"a") is None and other.get(b"b") is None
    assert table[b"a"] == b"1" and other[b"b"] == b"1"
    table._set_many_nowait({b"a": b"2", b"c": b"2"})
    assert table.get_many([b"a", b"c"]) == [b"1", None]


def test_a_reading_transaction_ends_when_what_it_read_is_durable(
    db: striate.Database, table: striate.Table[bytes]
) -> None:
    version = table._write_nowait(b"a", b"1")
    assert db.log.durable_offset < version
    with db.transaction() as tx:
        assert tx[table][b"a"] == b"1"
    assert db.log.durable_offset >= version
    version = table._write_nowait(b"b", b"1")
    with db.transaction() as tx:
        assert tx[table][b"a"] == b"1"
    assert db.log.durable_offset < version, "that was durable before, so there was nothing to wait for"
    with db.transaction() as tx:
        assert b"c" not in tx[table]
    assert db.log.durable_offset >= version, "the absent key may have been a deletion on its way"


def test_what_a_sync_under_way_will_make_visible(db: striate.Database, table: striate.Table[bytes]) -> None:
    """A key that is written again while a sync runs: once that has ended, readers see what it covered, and not the
    state before. ``x`` is written whenever a ``y`` is, and more often, so it is never behind."""
    names = [b"y%d" % i for i in range(500)]
    table.set_many(dict.fromkeys([b"x", *names], b"0"))
    stop = threading.Event()
    problems: list[object] = []

    def sync() -> None:
        while not stop.is_set():
            db.sync()

    def read() -> None:
        before = 0
        while not stop.is_set():
            x, *ys = map(int, table.get_many([b"x", *names], b"0"))
            y = max(ys)
            if not before <= y <= x:
                problems.append((before, y, x))
                return
            before = y

    threads = [threading.Thread(target=sync), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        number = 1
        enough = db.log._counters[1] + 200
        while db.log._counters[1] < enough and not problems:
            table._set_many_nowait({b"x": b"%d" % number, names[number % 500]: b"%d" % number})
            table._set_many_nowait({b"x": b"%d" % (number + 1), b"z": b""})
            table._write_nowait(b"x", b"%d" % (number + 2))
            number += 3
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        for thread in threads:
            thread.join()
    assert not problems
