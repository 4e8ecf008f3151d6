"""Hints, compaction, snapshots."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

import striate
from striate._native.hintparts import hash_key
from striate.storage import hints
from striate.types import Durability

OPTIONS = {"segment_bytes": 16384, "compaction_interval_s": None}


def fill(db: striate.Database, seed: int, steps: int = 1500) -> dict[bytes, bytes]:
    """Random work on two tables; what they hold afterwards."""
    chance = random.Random(seed)
    rows: dict[bytes, bytes] = {b"t" + key: value for key, value in db.table("t").scan()}
    rows |= {b"u" + key: value for key, value in db.table("u").scan()}
    for step in range(steps):
        name = chance.choice("tu")
        table, key = db.table(name), b"%d" % chance.randrange(300)
        if chance.random() < 0.2:
            table._remove_nowait(key)
            rows.pop(name.encode() + key, None)
        else:
            rows[name.encode() + key] = value = b"%d %d" % (seed, step) + b"." * chance.randrange(100)
            table._write_nowait(key, value)
    db.sync()
    return rows


def contents(db: striate.Database) -> dict[bytes, bytes]:
    both = {name.encode() + key: value for name in "tu" for key, value in db.table(name).scan()}
    for name in "tu":
        table = db.table(name)
        keys = sorted(key[1:] for key in both if key.startswith(name.encode()))
        assert table.get_many(keys) == [both[name.encode() + key] for key in keys] and len(table) == len(keys)
    return both


# ------------------------------------------------------------ hints


def test_hints_save_reading_the_log(tmp_path: Path, durability: Durability) -> None:
    with striate.open(tmp_path / "db", durability, **OPTIONS) as db:
        rows = fill(db, 1)
        end = db.log.next_offset
    assert (tmp_path / "db" / "hints").exists()
    with striate.open(tmp_path / "db", durability, **OPTIONS) as db:
        assert db._loaded == end and contents(db) == rows
        rows = fill(db, 2, 200)
    with striate.open(tmp_path / "db", durability, **OPTIONS) as db:
        assert db._loaded > end and contents(db) == rows


def test_what_follows_the_hints_is_read(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", **OPTIONS) as db:
        fill(db, 1)
    old = (tmp_path / "db" / "hints").read_bytes()
    with striate.open(tmp_path / "db", **OPTIONS) as db:
        rows = fill(db, 2)
        db.table("new")[b"a"] = b"1"
    (tmp_path / "db" / "hints").write_bytes(old)
    with striate.open(tmp_path / "db", **OPTIONS) as db:
        assert 0 < db._loaded < db.log.next_offset
        assert contents(db) == rows and db.table("new")[b"a"] == b"1"


@pytest.fixture(params=[1, 64], ids=["two threads", "one thread"])
def loading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_WORTH_TWO_THREADS", request.param)


def test_the_key_of_the_hash_is_in_the_hints(tmp_path: Path, loading: None) -> None:
    """Without it the entries stand in another order, and loading them takes four times as long."""
    secrets = []
    for name in "aab":
        with striate.open(tmp_path / name, "process", **OPTIONS) as db:
            secrets.append(hash_key(db._partition))
            rows = fill(db, 1, 6000)
            assert contents(db) == rows
    assert secrets[0] == secrets[1] != secrets[2]
    with striate.open(tmp_path / "a", **OPTIONS) as db:
        first = db.table("t")._walk(b"")[1]
    with striate.open(tmp_path / "a", **OPTIONS) as db:
        assert db._loaded and db.table("t")._walk(b"")[1] == first and contents(db) == rows


def test_damaged_hints_are_left_aside(tmp_path: Path, loading: None) -> None:
    with striate.open(tmp_path / "db", **OPTIONS) as db:
        rows = fill(db, 1, 300)
    good = (tmp_path / "db" / "hints").read_bytes()
    chance = random.Random(1)
    damaged = [good[:-16], good[:100], b"", good[: len(good) // 2]]
    at = hints._HEADER.size + hints._CRC.size
    parts = [at]
    while int.from_bytes(good[at : at + 4], "little"):
        parts.append(at := at + 16 + int.from_bytes(good[at + 4 : at + 8], "little"))
    assert len(parts) == 4, "the catalog, two tables and the end"
    positions = [*range(68), *(at + i for at in parts for i in range(8))]
    positions += [chance.randrange(parts[1] + 16, parts[2]) for _ in range(40)]
    damaged += [good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :] for at in positions]
    for data in damaged:
        (tmp_path / "db" / "hints").write_bytes(data)
        with striate.open(tmp_path / "db", **OPTIONS) as db:
            assert not db._loaded and contents(db) == rows


def test_hints_of_another_course_of_the_log_are_left_aside(tmp_path: Path) -> None:
    for seed in (1, 2):
        with striate.open(tmp_path / str(seed), **OPTIONS) as db:
            fill(db, seed, 300)
    (tmp_path / "1" / "hints").write_bytes((tmp_path / "2" / "hints").read_bytes())
    with striate.open(tmp_path / "1", **OPTIONS) as db:
        assert db._loaded == 0


def test_expiry_is_in_the_hints(tmp_path: Path) -> None:
    now = [1_700_000_000_000_000]
    options = {**OPTIONS, "clock": lambda: now[0]}
    with striate.open(tmp_path / "db", **options) as db:
        db.table("t").set_many({b"a": b"1", b"b": b"1"}, ttl=5)
        db.table("t").set_many({b"c": b"1"}, ttl=50)
        db.table("t")[b"d"] = b"1"
    now[0] += 10_000_000
    with striate.open(tmp_path / "db", **options) as db:
        assert db._loaded and sorted(db.table("t")) == [b"c", b"d"] and len(db.table("t")) == 2
        now[0] += 50_000_000
        assert len(db.table("t")) == 1


# ------------------------------------------------------------ compaction


def test_compaction_keeps_what_counts(tmp_path: Path, durability: Durability) -> None:
    with striate.open(tmp_path / "db", durability, **OPTIONS) as db:
        rows = fill(db, 1, 3000)
        versions = {key: db.table(key[:1].decode()).version(key[1:]) for key in rows}
        view = db.table("t").view(next(iter(db.table("t"))))
        result = db.compact()
        assert result.bytes_after < result.bytes_before / 2 and result.segments_after < result.segments_before
        assert result.records_after == len(rows) + 2, "the latest of each key, and two names of tables"
        assert contents(db) == rows and bytes(view)
        assert {key: db.table(key[:1].decode()).version(key[1:]) for key in rows} == versions
        assert not (tmp_path / "db" / "hints").exists()
        rows = fill(db, 2, 100)
        assert contents(db) == rows and db.verify().ok
    for _ in range(2):
        with striate.open(tmp_path / "db", durability, **OPTIONS) as db:
            assert contents(db) == rows
            (tmp_path / "db" / "hints").unlink()
            db.compact(live_below=0.9)


def test_a_part_is_compacted_and_deletions_hide_what_is_older(tmp_path: Path) -> None:
    """Segments in the middle are written anew while older ones still have values that were deleted or expired there."""
    now = [1_700_000_000_000_000]
    options = {**OPTIONS, "clock": lambda: now[0]}
    with striate.open(tmp_path / "db", "process", **options) as db:
        table = db.table("t")
        table.set_many((b"kept%d" % i, b"x" * 100) for i in range(100))  # older segments stay as they are
        table.set_many({b"deleted": b"1", b"expired": b"1", b"both": b"1"})
        table.set_many((b"filler%d" % i, b"x" * 100) for i in range(100))
        table.delete(b"deleted")
        table.set(b"expired", b"2", ttl=1)
        for round_ in range(20):
            table.set_many((b"filler%d" % i, b"%d" % round_ + b"x" * 100) for i in range(100))
        now[0] += 2_000_000
        before = db.log.segments()
        result = db.compact(live_below=0.5)
        assert result.bytes_after < result.bytes_before
        assert db.log.segments()[0].next_offset == before[0].next_offset, "the first segment is as it was"
        assert b"deleted" not in table and b"expired" not in table and len(table) == 201
        rows = dict(table)
    (tmp_path / "db" / "hints").unlink()
    with striate.open(tmp_path / "db", "process", **options) as db:
        assert dict(db.table("t")) == rows and len(rows) == 201
        db.compact()
        assert db.log.stats().records == 202
    (tmp_path / "db" / "hints").unlink()
    with striate.open(tmp_path / "db", "process", **options) as db:
        assert dict(db.table("t")) == rows


def test_what_is_not_durable_yet_does_not_make_the_state_before_go(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "power", **OPTIONS) as db:
        table = db.table("t")
        table.set_many({b"a": b"1", b"b": b"1", b"c": b"1"})
        with db.log._exclusive():
            db.log._quiesce()
        table._write_nowait(b"a", b"2")
        table._remove_nowait(b"b")
        db.compact(live_below=1.0)
        assert table.get_many([b"a", b"b", b"c"]) == [b"1", b"1", b"1"]


def test_compaction_while_everything_goes_on(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "process", **OPTIONS) as db:
        table = db.table("t")
        table.set_many((b"%d" % i, b"0") for i in range(200))
        stop = threading.Event()
        problems: list[object] = []

        def write() -> None:
            try:
                number = 0
                while not stop.is_set():
                    number += 1
                    table.set_many((b"%d" % i, b"%d" % number) for i in range(200))
            except BaseException as error:
                problems.append(error)

        def read() -> None:
            try:
                before = 0
                while not stop.is_set():
                    values = {int(value) for value in table.get_many([b"%d" % i for i in range(200)], b"-1")}
                    assert len(values) == 1 and min(values) >= before, values
                    before = min(values)
                    assert all(int(value) >= before for _, value in table.scan())
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work) for work in (write, read, read)]
        for thread in threads:
            thread.start()
        for _ in range(15):
            db.compact()
        stop.set()
        for thread in threads:
            thread.join()
        assert not problems
        expected = dict(table)
    with striate.open(tmp_path / "db", "process", **OPTIONS) as db:
        assert dict(db.table("t")) == expected


def test_the_log_of_a_database_is_not_compacted_as_a_log(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", **OPTIONS) as db:
        db.table("a")[b"key"] = b"1"
        db.table("b")[b"key"] = b"2"
        with pytest.raises(striate.DatabaseLogError):
            db.log.compact()
    with striate.Log(tmp_path / "db" / "log") as log, pytest.raises(striate.DatabaseLogError):
        log.compact()
    with striate.open(tmp_path / "db", **OPTIONS) as db:
        assert db.table("a")[b"key"] == b"1" and db.table("b")[b"key"] == b"2"


# ------------------------------------------------------------ snapshots


def test_snapshots(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", **OPTIONS) as db:
        rows = fill(db, 1)
        info = db.snapshot(tmp_path / "copy")
        assert info.next_offset == db.log.next_offset
        fill(db, 2)
        with pytest.raises(striate.PathExistsError):
            db.snapshot(tmp_path / "copy")
    with striate.open(tmp_path / "copy", **OPTIONS) as db:
        assert contents(db) == rows
    with striate.Database.restore(tmp_path / "copy", tmp_path / "again", **OPTIONS) as db:
        assert contents(db) == rows
    with pytest.raises(striate.PathExistsError):
        striate.Database.restore(tmp_path / "copy", tmp_path / "again")
