"""Transactions: atomic, isolated, with typed conflicts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import striate

Tables = tuple[striate.Database, striate.Table[bytes]]


def test_own_writes_are_visible_inside(db: striate.Database, table: striate.Table[bytes]) -> None:
    table.set_many({b"a": b"1", b"b": b"2"})
    with db.transaction() as tx:
        mine = tx[table]
        assert mine[b"a"] == b"1"
        mine[b"a"] = b"10"
        del mine["b"]
        mine.set("c", b"3", ttl=60)
        assert mine[b"a"] == b"10" and b"b" not in mine and mine.get(b"b", b"x") == b"x"
        assert mine.get_many([b"a", b"b", b"c"]) == [b"10", None, b"3"]
        assert dict(mine.items()) == {b"a": b"10", b"c": b"3"} and len(mine) == 2 and sorted(mine) == [b"a", b"c"]
        assert mine.increment(b"n", 5) == 5 and mine[b"n"] == b"5"
        assert not mine.delete(b"none")
        with pytest.raises(KeyError):
            mine[b"b"]
        assert dict(table) == {b"a": b"1", b"b": b"2"}
    assert dict(table) == {b"a": b"10", b"c": b"3", b"n": b"5"} and table.ttl(b"c")


def test_an_exception_rolls_back(db: striate.Database, table: striate.Table[bytes]) -> None:
    table[b"a"] = b"1"
    before = db.log.next_offset
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx[table][b"a"] = b"2"
        tx[table][b"b"] = b"2"
        raise ZeroDivisionError
    assert dict(table) == {b"a": b"1"} and db.log.next_offset == before


def test_savepoints(db: striate.Database, table: striate.Table[bytes]) -> None:
    other = db.table("other")
    with db.transaction() as tx:
        tx[table][b"a"] = b"1"
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            tx[table][b"a"] = b"2"
            tx[other][b"b"] = b"2"
            with tx.savepoint():
                tx[table][b"c"] = b"2"
            raise ZeroDivisionError
        assert tx[table][b"a"] == b"1" and b"b" not in tx[other] and b"c" not in tx[table]
        with tx.savepoint():
            tx[other][b"d"] = b"3"
    assert dict(table) == {b"a": b"1"} and dict(other) == {b"d": b"3"}


def test_a_transaction_ends(db: striate.Database, table: striate.Table[bytes]) -> None:
    with db.transaction() as tx:
        tx[table][b"a"] = b"1"
        tx.commit()
        with pytest.raises(striate.TransactionClosedError):
            tx[table]
    assert table[b"a"] == b"1"
    tx = db.transaction()
    inner = tx[table]
    inner[b"a"] = b"2"
    tx.rollback()
    for call in (tx.commit, lambda: inner[b"a"], lambda: inner.set(b"a", b""), lambda: list(inner.scan())):
        with pytest.raises(striate.TransactionClosedError):
            call()
    with db.transaction() as tx, pytest.raises(striate.TransactionClosedError), tx:
        pass
    assert table[b"a"] == b"1"


def test_a_table_of_another_database(db: striate.Database, table: striate.Table[bytes], tmp_path: Path) -> None:
    with striate.open(tmp_path / "other", "process") as other:
        with db.transaction() as tx, pytest.raises(striate.InvalidTypeError):
            tx[other.table("t")]
        with db.transaction() as tx, pytest.raises(striate.InvalidTypeError):
            tx["t"]  # type: ignore[index]


# ------------------------------------------------------------ conflicts: each kind of read against each kind of write


READS = {
    "get": lambda seen: seen.get(b"a"),
    "contains": lambda seen: b"a" in seen,
    "get_many": lambda seen: seen.get_many([b"x", b"a"]),
    "increment": lambda seen: seen.increment(b"a"),
    "delete": lambda seen: seen.delete(b"a"),
    "scan": lambda seen: dict(seen.scan()),
    "prefix": lambda seen: list(seen.scan(b"a")),
    "len": len,
}
WRITES = {
    "set": lambda table: table.set(b"a", b"2"),
    "same": lambda table: table.set(b"a", b"1"),
    "delete": lambda table: table.delete(b"a"),
    "set_many": lambda table: table.set_many({b"b": b"2", b"a": b"2"}),
    "delete_many": lambda table: table.delete_many([b"a"]),
    "twice": lambda table: (table.delete(b"a"), table.set(b"a", b"1")),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("read", READS)
def test_conflicts(tmp_path: Path, read: str, write: str) -> None:
    with striate.open(tmp_path / "db", "process") as db:
        table = db.table("t")
        table[b"a"] = b"1"
        with pytest.raises(striate.ConflictError) as caught, db.transaction() as tx:
            READS[read](tx[table])
            tx[table][b"out"] = b"x"
            WRITES[write](table)
        assert caught.value.key == b"a"
        assert b"out" not in table


@pytest.mark.parametrize("read", READS)
def test_absent_keys_are_read_too(tmp_path: Path, read: str) -> None:
    with striate.open(tmp_path / "db", "process") as db:
        table = db.table("t")
        with pytest.raises(striate.ConflictError), db.transaction() as tx:
            READS[read](tx[table])
            tx[table][b"out"] = b"x"
            table[b"a"] = b"1"
        assert b"out" not in table


def test_what_is_no_conflict(db: striate.Database, table: striate.Table[bytes]) -> None:
    other = db.table("other")
    table.set_many({b"a": b"1", b"b": b"1"})
    with db.transaction() as tx:
        assert tx[table][b"a"] == b"1"
        tx[table][b"blind"] = b"mine"
        list(tx[table].scan())
        other[b"a"] = b"2"
    with db.transaction() as tx:
        assert tx[table][b"a"] == b"1"
        tx[table][b"blind"] = b"mine"
        table[b"b"] = b"2"
        table[b"blind"] = b"theirs"
    assert table[b"blind"] == b"mine"


def test_a_reader_that_saw_two_states_fails(db: striate.Database, table: striate.Table[bytes]) -> None:
    table.set_many({b"a": b"1", b"b": b"1"})
    with pytest.raises(striate.ConflictError) as caught, db.transaction() as tx:
        assert tx[table][b"a"] == b"1"
        table.set_many({b"a": b"2", b"b": b"2"})
        assert tx[table][b"b"] == b"2"
    assert caught.value.key == b"a"
    with pytest.raises(striate.ConflictError), db.transaction() as tx:
        assert tx[table][b"a"] == b"2"
        table[b"a"] = b"3"
        tx[table][b"a"]


def test_write_skew(db: striate.Database, table: striate.Table[bytes]) -> None:
    """Two that each read what the other writes: one of them fails."""
    table.set_many({b"a": b"1", b"b": b"1"})
    one, two = db.transaction(), db.transaction()
    assert one[table][b"a"] == one[table][b"b"] == two[table][b"a"] == two[table][b"b"] == b"1"
    one[table][b"a"] = b"0"
    two[table][b"b"] = b"0"
    one.commit()
    with pytest.raises(striate.ConflictError):
        two.commit()
    assert dict(table) == {b"a": b"0", b"b": b"1"}


def test_phantoms(db: striate.Database, table: striate.Table[bytes]) -> None:
    one, two = db.transaction(), db.transaction()
    for number, tx in enumerate((one, two)):
        tx[table][b"%d" % len(tx[table])] = b"%d" % number
    one.commit()
    with pytest.raises(striate.ConflictError) as caught:
        two.commit()
    assert caught.value.key is None and dict(table) == {b"0": b"0"}


def test_an_expired_key_is_a_conflict(tmp_path: Path) -> None:
    now = [1_700_000_000_000_000]
    with striate.open(tmp_path / "db", "process", clock=lambda: now[0]) as db:
        table = db.table("t")
        table.set(b"a", b"1", ttl=1)
        with pytest.raises(striate.ConflictError), db.transaction() as tx:
            assert tx[table][b"a"] == b"1"
            tx[table][b"b"] = b"2"
            now[0] += 1_000_000
        with pytest.raises(striate.ConflictError), db.transaction() as tx:
            table.set(b"a", b"1", ttl=1)
            assert list(tx[table].scan()) == [(b"a", b"1")]
            tx[table][b"b"] = b"2"
            now[0] += 1_000_000


# ------------------------------------------------------------ transact


def test_transact_tries_again(db: striate.Database, table: striate.Table[bytes]) -> None:
    calls = []

    def add(tx: striate.Transaction) -> int:
        value = tx[table].increment(b"n")
        calls.append(value)
        if len(calls) < 4:
            table.increment(b"n", 10)
        return value

    assert db.transact(add) == 31 and calls == [1, 11, 21, 31] and table[b"n"] == b"31"
    with pytest.raises(striate.ConflictError):
        db.transact(lambda tx: (tx[table].get(b"n"), table.increment(b"n")), retries=2)
    assert table[b"n"] == b"34"
    with pytest.raises(ZeroDivisionError):
        db.transact(lambda tx: 1 / 0)


@pytest.mark.parametrize("thread_count", [4, 16])
def test_money_is_neither_made_nor_lost(tmp_path: Path, thread_count: int) -> None:
    accounts, total = 16, 1600
    with striate.open(tmp_path / "db", "process") as db:
        table = db.table("accounts")
        table.set_many((b"%d" % i, b"%d" % (total // accounts)) for i in range(accounts))
        problems: list[object] = []

        def transfer(seed: int) -> None:
            def move(tx: striate.Transaction) -> None:
                rows = tx[table]
                amount = min(int(rows[source]), seed % 7 + step % 5)
                rows.increment(source, -amount)
                rows.increment(target, amount)

            try:
                for step in range(300):
                    source, target = b"%d" % ((seed + step) % accounts), b"%d" % ((seed * 3 + step * 5) % accounts)
                    db.transact(move, retries=10_000)
                    if step % 10 == 0:
                        keys = [b"%d" % i for i in range(accounts)]
                        if sum(map(int, table.get_many(keys, b"0"))) != total:
                            problems.append("a reader saw half a transfer")
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=transfer, args=(seed,)) for seed in range(thread_count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
        assert sum(map(int, table.values())) == total and min(map(int, table.values())) >= 0
    with striate.open(tmp_path / "db", "process") as db:
        assert sum(map(int, db.table("accounts").values())) == total


def test_many_that_raise_leave_nothing(db: striate.Database, table: striate.Table[bytes]) -> None:
    stream = db.stream("events")
    with db.transaction() as tx:
        with pytest.raises(striate.InvalidTypeError):
            tx[table].set_many([("a", b"1"), ("b", 5)])  # type: ignore[list-item]
        with pytest.raises(striate.InvalidTypeError):
            tx[stream].append_many([b"1", 5])  # type: ignore[list-item]
        assert tx[table].get("a") is None and len(tx[stream]) == 0
        tx[table].set_many({"c": b"1", b"d": b"2"})
        assert [entry.value for entry in tx[stream].append_many([b"3", b"4"])] == [b"3", b"4"]
    assert dict(table) == {b"c": b"1", b"d": b"2"} and [entry.value for entry in stream] == [b"3", b"4"]
