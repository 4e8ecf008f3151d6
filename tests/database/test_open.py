"""Opening, reopening, names and options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import striate
from striate.types import Durability


def test_everything_is_there_after_reopening(tmp_path: Path, durability: Durability) -> None:
    expected: dict[str, dict[bytes, bytes]] = {"one": {}, "two": {}}
    for round_ in range(4):
        with striate.open(tmp_path / "db", durability, segment_bytes=16384) as db:
            for name, rows in expected.items():
                table = db.table(name)
                assert dict(table) == rows and len(table) == len(rows)
                for i in range(300 if durability == "process" else 30):
                    key = b"%d" % ((i * 7 + round_) % 400)
                    if i % 5 == 0 and key in rows:
                        assert table.delete(key)
                        del rows[key]
                    else:
                        table.set(key, b"%s %d %d" % (name.encode(), round_, i))
                        rows[key] = b"%s %d %d" % (name.encode(), round_, i)
                more = {b"m%d" % i: b"%d" % round_ for i in range(50)}
                table.set_many(more)
                rows.update(more)
            assert set(db.tables()) == {"one", "two"}


def test_versions_survive(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db") as db:
        version = db.table("t").set(b"a", b"1")
    with striate.open(tmp_path / "db") as db:
        assert db.table("t").version(b"a") == version
        assert db.table("t").cas(b"a", b"2", version) > version


@dataclass
class Point:
    x: int
    y: int


def test_codecs_are_remembered(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db") as db:
        points = db.table("points", "json", Point)
        points[b"a"] = Point(1, 2)
        assert points[b"a"] == Point(1, 2) and db.table("points", "json")[b"a"] == {"x": 1, "y": 2}
        nothing = db.table("nothing", "json")
        nothing[b"n"] = None
        assert b"n" in nothing and nothing[b"n"] is None and nothing.get(b"n", 5) is None
        numbers = db.table("numbers", "msgpack")
        assert numbers.increment(b"n", 3) == 3 and numbers[b"n"] == 3
        assert nothing.pop(b"n") is None and nothing.setdefault(b"n", 5) == 5
    with striate.open(tmp_path / "db") as db:
        with pytest.raises(striate.OptionMismatchError) as caught:
            db.table("points")
        assert caught.value.stored == "json" and caught.value.got is None
        assert db.table("points", "json", Point)[b"a"] == Point(1, 2)
        assert db.tables()["numbers"] == {"codec": "msgpack"}


def test_names(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db") as db:
        for name in ("", "n" * 65_536):
            with pytest.raises(striate.InvalidArgumentError):
                db.table(name)
        with pytest.raises(striate.InvalidTypeError):
            db.table(5)  # type: ignore[call-overload]
        assert db.table("ünïcode") is not None


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(striate.NotADatabaseError):
        striate.open(tmp_path)
    with striate.open(tmp_path / "db"), pytest.raises(striate.LogLockedError):
        striate.open(tmp_path / "db")


def test_a_closed_database(tmp_path: Path) -> None:
    db = striate.open(tmp_path / "db")
    table = db.table("t")
    table[b"a"] = b"1"
    db.close()
    db.close()
    for call in (
        lambda: table[b"a"],
        lambda: table.set(b"a", b""),
        lambda: table.get_many([b"a"]),
        lambda: table.set_many({b"a": b""}),
        lambda: len(table),
        lambda: list(table),
        lambda: db.table("t"),
        db.transaction,
    ):
        with pytest.raises(striate.LogClosedError):
            call()
    assert "closed" in repr(db)


def test_progress_of_opening(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "process", segment_bytes=16384) as db:
        for part in range(20):
            db.table("t").set_many((b"%d %d" % (part, number), b"x" * 100) for number in range(50))
    told: list[tuple[int, int]] = []
    with striate.open(tmp_path / "db", progress=lambda done, total: told.append((done, total))):
        with_hints = told.copy()
    (tmp_path / "db" / "hints").unlink()
    told.clear()
    with striate.open(tmp_path / "db", progress=lambda done, total: told.append((done, total))) as db:
        assert len(db.table("t")) == 1000
    assert told == sorted(told) and told[-1][0] == told[-1][1] > 100_000 and len(told) > 5
    assert len(with_hints) < len(told) and with_hints[-1] == told[-1]
    with pytest.raises(striate.InvalidTypeError):
        striate.open(tmp_path / "db", progress=5)


def test_no_snapshot_into_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "db")
    with striate.open(tmp_path / "db", "process") as db:
        db.table("t")["a"] = b"1"
        for inside in ("db", "db/backup", "db/log/a/b", "link/backup", "other/../db/backup"):
            with pytest.raises(striate.InvalidArgumentError, match="outside"):
                db.snapshot(tmp_path / inside)
        with pytest.raises(striate.InvalidArgumentError, match="outside"):
            db.log.snapshot(tmp_path / "db" / "log" / "backup")
        assert {path.name for path in (tmp_path / "db").iterdir()} == {"log"}
        db.snapshot(tmp_path / "db2")
    with striate.open(tmp_path / "db", "process") as db:
        assert db.table("t")["a"] == b"1"
