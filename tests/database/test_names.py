"""Names of tables and streams: any bytes; dropped, renamed and used again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import striate
from striate.types import Durability

NAMES: list[bytes | str] = [b"\xff\x00x", "ünï", b"\xc3", "\udc80", b"n" * 65_535]


def reopened(db: striate.Database, *, with_hints: bool) -> striate.Database:
    """The same database, closed and open again."""
    path, durability = Path(db.path), db.durability
    db.close()
    if not with_hints:
        (path / "hints").unlink()
    return striate.open(path, durability, compaction_interval_s=None)


@pytest.mark.parametrize("with_hints", [True, False])
def test_names_are_bytes(db: striate.Database, with_hints: bool) -> None:
    for number, name in enumerate(NAMES):
        if number % 2:
            db.table(name)[b"k"] = b"%d" % number
        else:
            db.stream(name).append(b"%d" % number)
    known = db.names()
    assert known.keys() == {b"\xff\x00x", "ünï".encode(), b"\xc3", b"\x80", b"n" * 65_535}
    with reopened(db, with_hints=with_hints) as again:
        assert again.names() == known
        for name in again.tables():  # the text of a name stands for it too
            assert again.table(name)[b"k"] in (b"1", b"3")
        for name in again.streams():
            assert len(again.stream(name)) == 1 and again.stream(name).name == name
        assert again.stored(b"\x80")[b"k"] == b"3" and len(again.stored_stream(b"\xff\x00x")) == 1


@pytest.mark.parametrize("with_hints", [True, False])
@pytest.mark.parametrize("compacts", [True, False])
def test_dropping(db: striate.Database, with_hints: bool, compacts: bool) -> None:
    table, stream = db.table("t", "json"), db.stream("s", ids="offset")
    table.set_many({str(number): number for number in range(100)})
    stream.append_many([b"old"] * 100)
    group = stream.group("g", "0")
    group.read("c")
    assert db.drop_table("t") and db.drop_stream(b"s") and db.names() == {} == db.tables() == db.streams()
    assert not db.drop_table("t") and not db.drop_stream("never")
    handles: list[Callable[[], object]] = [
        lambda: table["1"],
        lambda: table.get_many(["1"]),
        lambda: list(table),
        lambda: len(table),
        lambda: table.set("1", 1),
        lambda: table.set_many({"1": 1}),
        lambda: table.delete("1"),
        table.clear,
        lambda: stream.append(b"x"),
        lambda: list(stream),
        lambda: len(stream),
        stream.info,
        lambda: stream.delete(["1"]),
        lambda: stream.read("0", timeout=1),
        lambda: stream.get("1-0"),
        lambda: group.read("c"),
        lambda: group.acknowledge(["1-0"]),
        group.info,
        lambda: stream.group("h"),
    ]
    for call in handles:
        with pytest.raises(striate.DroppedError) as caught:
            call()
        assert caught.value.name in (b"t", b"s")
    new_table, new_stream = db.table("t"), db.stream("s", "json")
    new_table["new"] = b"1"
    new_stream.append("new")
    if compacts:
        assert db.compact().records_after <= 9
    with reopened(db, with_hints=with_hints) as again:
        assert dict(again.table("t")) == {b"new": b"1"}
        assert [entry.value for entry in again.stream("s", "json")] == ["new"] and again.stream(
            "s", "json"
        ).groups() == []
        if not compacts:
            again.compact()
        assert again.log.stats().records <= 9 and again.verify().ok


def test_a_kind_is_not_another(db: striate.Database) -> None:
    db.table("t")
    db.stream("s")
    db.cache("c", max_items=5)
    for call in (
        lambda: db.drop_stream("t"),
        lambda: db.drop_table("s"),
        lambda: db.drop_table("c"),
        lambda: db.rename_stream("s", "t"),
        lambda: db.rename_stream("s", "s"),
    ):
        with pytest.raises(striate.OptionMismatchError):
            call()
    for name in ("t", "never"):
        with pytest.raises(striate.StreamNotFoundError):
            db.rename_stream(name, "new")
    assert db.names() == {b"t": "table", b"s": "stream", b"c": "cache"} and db.drop_cache("c")


@pytest.mark.parametrize("with_hints", [True, False])
def test_renaming(db: striate.Database, with_hints: bool) -> None:
    stream = db.stream("old", ids="offset")
    stream.append(b"1")
    group = stream.group("g", "0")
    db.rename_stream("old", b"\xff")
    stream.append(b"2")
    assert len(group.read("c")) == 2 and db.names() == {b"\xff": "stream"}
    other = db.stream("old")
    assert len(other) == 0
    with reopened(db, with_hints=with_hints) as again:
        renamed = again.stream(b"\xff", ids="offset")
        assert [entry.value for entry in renamed] == [b"1", b"2"] and striate.Group(renamed, "g").info().pending == 2
        assert len(again.stream("old")) == 0 and again.drop_stream(b"\xff") and len(again.stream("old")) == 0
        again.compact()
        assert again.names() == {b"old": "stream"}


def test_waiters_are_told(db: striate.Database) -> None:
    stream = db.stream("s")
    group = stream.group("g")
    got: list[object] = []

    def wait(call: Callable[[], object]) -> None:
        try:
            got.append(call())
        except striate.DroppedError:
            got.append("dropped")

    calls = [lambda: stream.read("0", timeout=None), lambda: group.read("c", timeout=None)]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    while stream._waiters < 2:
        pass
    db.drop_stream("s")
    for thread in threads:
        thread.join()
    assert got == ["dropped", "dropped"]


def test_compaction_keeps_what_was_dropped_since_it_began(tmp_path: Path) -> None:
    """The record that drops it is not on disk: a power cut would bring it back, and must bring back all of it."""
    with striate.open(tmp_path / "db", "process", segment_bytes=4096, sync_interval_ms=60_000) as db:
        stream, table = db.stream("s"), db.table("t")
        for number in range(20):
            stream.append_many([b"x" * 100] * 10)
            table.set_many({b"%d" % number: b"y" * 100, b"k": b"z" * 100})
        kept: list[int] = []

        def drop(done: int, total: int) -> None:
            if db.drop_stream("s"):
                assert db.drop_table("t")
                kept.append(db.log.stats().records)

        assert db.compact(progress=drop).segments_before > 2
        assert len(kept) == 1 and db.log.stats().records >= 200
        assert db.compact().records_after <= 6


@pytest.mark.parametrize("with_hints", [True, False])
def test_names_that_come_and_go_take_no_room(tmp_path: Path, with_hints: bool) -> None:
    db = striate.open(tmp_path / "db", "process", segment_bytes=8192, compaction_interval_s=None)
    kept = db.stream("kept")
    kept.append(b"1")
    for number in range(300):
        name = b"%d" % (number % 150)
        db.stream(name).append(b"x")
        if number % 3 == 0:
            db.rename_stream(name, b"new")
            name = b"new"
        assert db.drop_stream(name)
    last = db.stream("kept")._view.number + 300
    records = db.compact().records_after
    assert records <= 6 and db.names() == {b"kept": "stream"} and len(db._catalog.dump()) < 500
    for _ in range(2):
        db = reopened(db, with_hints=with_hints)
        db.compact()
        assert db.log.stats().records <= records + 1 and len(db.stream("kept")) == 1
    kept = db.stream("kept")
    assert db.stream("0")._view.number > last and kept.append(b"2")
    assert len(db.stream("0")) == 0 and db.drop_stream("0") and len(kept) == 2
    db.close()


def test_a_drop_is_kept_while_what_it_drops_is_in_an_older_segment(tmp_path: Path) -> None:
    db = striate.open(tmp_path / "db", "process", segment_bytes=4096, compaction_interval_s=None)
    gone, kept = db.table("gone"), db.table("kept")
    gone["k"] = b"x" * 100
    for number in range(26):
        kept[b"%d" % number] = b"x" * 100
    db.table("later")["k"] = b"x" * 1000  # begins a segment
    assert db.drop_table("gone")
    for _ in range(20):
        db.table("later")["k"] = b"x" * 1000
    before = db.log.stats().records
    assert db.compact(live_below=0.5).records_after < before and len(kept) == 26
    with reopened(db, with_hints=False) as again:
        assert again.names() == {b"kept": "table", b"later": "table"} and "k" not in again.table("gone")


# ------------------------------------------------------------ in transactions


def test_names_in_a_transaction(db: striate.Database) -> None:
    db.stream("gone").append(b"old")
    db.stream("moved").append(b"kept")
    table = db.table("t")
    table["k"] = b"v"
    end = db.log.next_offset
    with db.transaction() as tx:
        assert tx.drop_stream("gone") and not tx.drop_stream("gone") and not tx.drop_stream("never")
        again = tx.stream("gone", ids="offset")
        again.append(b"new")
        assert len(again) == 1
        tx.rename_stream("moved", b"\xff")
        assert [entry.value for entry in tx.stream(b"\xff")] == [b"kept"]
        tx.stream("brief").append(b"never")
        assert tx.drop_stream("brief") and tx.drop_table("t")
        with pytest.raises(striate.DroppedError):
            tx[table]
        assert db.names() == {b"gone": "stream", b"moved": "stream", b"t": "table"} and db.log.next_offset == end
    for with_hints in (True, False):
        assert db.names() == {b"gone": "stream", b"\xff": "stream"}
        assert [entry.value for entry in db.stream("gone", ids="offset")] == [b"new"]
        assert [entry.value for entry in db.stream(b"\xff")] == [b"kept"]
        db.stream("more").append(b"x")
        assert db.drop_stream("more")
        db = reopened(db, with_hints=with_hints)
    db.close()


def test_what_was_done_to_what_is_dropped_is_not_written(db: striate.Database) -> None:
    stream, table = db.stream("s"), db.table("t")
    stream.append(b"old", id="1-0")
    end = db.log.next_offset
    with db.transaction() as tx:
        tx[stream].delete(["1-0"])
        tx[stream].append(b"x")
        tx[table]["k"] = b"v"
        assert tx.drop_stream("s") and tx.drop_table("t")
    assert db.log.next_offset == end + 2


def test_a_transaction_whose_stream_is_dropped(db: striate.Database) -> None:
    stream, table = db.stream("s"), db.table("t")
    changes: list[Callable[[Any], object]] = [lambda s: s.append(b"x"), len]
    for change in changes:
        tx = db.transaction()
        change(tx[stream])
        tx[table]["k"] = b"v"
        db.drop_stream("s")
        with pytest.raises(striate.DroppedError):
            tx.commit()
        stream = db.stream("s")
    tx = db.transaction()
    tx[table].get("k")
    tx[stream].append(b"x")
    db.drop_table("t")
    with pytest.raises(striate.DroppedError):
        tx.commit()
    assert len(stream) == 0


def test_conflicts_of_names(db: striate.Database) -> None:
    """What a name stood for when a transaction used it, it must stand for when that commits."""
    cases: list[tuple[Callable[[Any], object], Callable[[], object]]] = [
        (lambda tx: tx.stream("new").append(b"1"), lambda: db.stream("new").append(b"2")),
        (lambda tx: tx.stream("new").append(b"1"), lambda: db.drop_stream("new")),
        (lambda tx: tx.drop_stream("other"), lambda: db.stream("other")),
        (lambda tx: tx.rename_stream("other", "third"), lambda: db.stream("third")),
    ]
    for inside, outside in cases:
        tx = db.transaction()
        inside(tx)
        outside()
        with pytest.raises(striate.ConflictError, match="stands for something else"):
            tx.commit()
    assert db.names() == {b"other": "stream", b"third": "stream"}
    assert db.transact(lambda tx: tx.stream("new").append(b"x").key) is None and len(db.stream("new")) == 1


def test_threads_that_make_use_and_drop(tmp_path: Path, durability: Durability) -> None:
    with striate.open(tmp_path / "db", durability, segment_bytes=4096, compaction_interval_s=0.01) as db:
        problems: list[BaseException] = []

        def work(seed: int) -> None:
            try:
                for step in range(60):
                    name = b"n%d" % ((seed + step) % 3)
                    try:
                        db.stream(name).append_many([b"x" * 50] * 3)
                        db.transact(lambda tx, name=name: tx.stream(name).trim(max_length=2), retries=1000)
                        if step % 3 == seed % 3:
                            db.drop_stream(name)
                        db.table(b"t%d" % (step % 2)).set(b"k", b"v")
                        if step % 5 == 0:
                            db.drop_table(b"t%d" % (step % 2))
                    except striate.DroppedError:
                        continue
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems and db.compaction_error is None
        shown = {name: len(db.stored_stream(name)) for name in db.streams()}
    with striate.open(tmp_path / "db", durability) as db:
        assert {name: len(db.stored_stream(name)) for name in db.streams()} == shown and db.verify().ok
