"""A bit turns over in some file of a database: no wrong value, no lost or risen key or entry without a word."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import striate
from striate._native.simulation import ThreadlessDisk
from striate.errors import StriateError
from striate.storage.check import repair

OPTIONS = {"segment_bytes": 4096, "compaction_interval_s": None}
A_FEW = 400
MANY = 10_000  # of each kind
STREAMS = ("s", "t")
IGNORED = {"lock", "live", "reserve"}  # no data, and made anew


@dataclass
class Base:
    """A database that is intact."""

    files: dict[str, bytes]
    rows: dict[tuple[str, Any], Any]  # of tables, and entries of streams
    groups: dict[str, Any]
    killed: bool  # its last segment is not sealed


def write(db: striate.Database, seed: int, steps: int) -> None:
    chance = random.Random(seed)
    for step in range(steps):
        if chance.random() < 0.4:
            change_stream(db.stream(chance.choice(STREAMS)), chance, step)
            continue
        table = db.table(chance.choice("ab"))
        key = b"k%d" % chance.randrange(12)
        if chance.random() < 0.2:
            table.delete(key)
        elif chance.random() < 0.2:
            table.set_many({b"m%d" % number: b"%d" % step for number in range(4)})
        else:
            table.set(key, b"%d " % step + b"x" * chance.randrange(200), ttl=chance.choice((None, 10**6)))


def change_stream(stream: striate.Stream[bytes], chance: random.Random, step: int) -> None:
    group, what = stream.group("g", "0"), chance.random()
    if what < 0.5:
        stream.append(b"%d " % step + b"y" * chance.randrange(100), chance.choice((None, b"key")))
    elif what < 0.6:
        stream.append_many([b"%d" % step, b""])
    elif what < 0.8:
        group.acknowledge(group.read(chance.choice(("anna", "ben")), count=3)[1:])
    elif what < 0.9:
        stream.delete(entry.id for entry in stream.reverse_range(count=1))
    else:
        stream.trim(max_length=max(len(stream) - 1, 0))


def held(db: striate.Database) -> dict[tuple[str, Any], Any]:
    rows = {(name, key): value for name in db.tables() for key, value in db.stored(name).scan()}
    return rows | {(name, entry.id): (entry.value, entry.key) for name in db.streams() for entry in db.stream(name)}


def check_given(db: striate.Database, base: Base) -> bool:
    """Let groups give all that is to come: each with its value or an error; whether there was an error."""
    broken = False
    for name in base.groups:
        group = db.stream(name).group("g")
        lag = group.info().lag
        entries = group.read("new", count=1000)
        assert len(entries) == lag
        for entry in entries:
            try:
                assert (entry.value, entry.key) == base.rows[name, entry.id]
            except StriateError:
                broken = True
    return broken


def look_up(db: striate.Database, name: str, key: Any) -> Any:
    if name not in STREAMS:
        return db.stored(name).get(key)
    entry = db.stream(name).get(key)
    return entry and (entry.value, entry.key)


def groups_of(db: striate.Database) -> dict[str, Any]:
    """All but times."""
    found: dict[str, Any] = {}
    for name in db.streams():
        stream = db.stream(name)
        group = stream.group("g", "0")
        pending = [(one.id, one.consumer, one.deliveries) for one in group.pending(count=None)]
        found[name] = stream.info(), group.info(), [(one.name, one.pending) for one in group.consumers()], pending
    return found


def files_of(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def make_base(path: Path, kind: str) -> Base:
    """``hints``: closed in order. ``older hints``: they end in the middle of the log. ``killed``: also without them."""
    with striate.open(path, "process", _disk=ThreadlessDisk(), **OPTIONS) as db:
        write(db, 1, 50)
    hints = (path / "hints").read_bytes()
    with striate.open(path, "process", _disk=ThreadlessDisk(), **OPTIONS) as db:
        write(db, 2, 30)
        rows, groups = held(db), groups_of(db)
        db.sync()
        files = files_of(path)
    if kind != "killed":
        files = files_of(path)
    if kind == "older hints":
        files["hints"] = hints
    elif kind != "hints":
        files.pop("hints")
    return Base(files, rows, groups, kind == "killed")


KINDS = ["hints", "older hints", "no hints", "killed"]


def put(path: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    (path / "log").mkdir(parents=True)
    for name, data in files.items():
        (path / name).write_bytes(data)


def judge(path: Path, base: Base, name: str, place: int) -> str:
    """Flip a bit, open what that makes, and look at everything: how the damage was noticed, if it was."""
    data = bytearray(base.files[name])
    data[place >> 3] ^= 1 << (place & 7)
    put(path, {**base.files, name: bytes(data)})
    try:
        db = striate.open(path, "process", _disk=ThreadlessDisk(), **OPTIONS)
    except StriateError:
        return "refused"
    with db:
        told = base.killed and db.recovery.set_aside_bytes > 0
        noticed = "reported" if told else ""
        for (where, key), value in base.rows.items():
            try:
                seen = look_up(db, where, key)
            except StriateError:
                noticed = noticed or "error"
                continue
            assert seen == value or told, f"{name} bit {place}: {where} {key!r} is {seen!r}, and not {value!r}"
        if not told:
            assert groups_of(db) == base.groups, f"{name} bit {place}"
            assert not check_given(db, base) or noticed, "a group cannot give what can be read"
        try:
            rows = held(db)
        except StriateError:
            assert noticed, "a scan fails where no read does"
        else:
            assert rows == base.rows or told, f"{name} bit {place}: {rows.keys() ^ base.rows.keys()}"
            assert noticed != "error", "a scan passes over what cannot be read"
        assert not noticed or name.endswith("hints") or told or not db.verify().ok
    return noticed or "harmless"


def bits(base: Base, chance: random.Random) -> list[tuple[str, int]]:
    """A bit of every byte."""
    names = [name for name in base.files if Path(name).name not in IGNORED]
    return [(name, 8 * byte + chance.randrange(8)) for name in names for byte in range(len(base.files[name]))]


def try_bits(path: Path, kind: str, limit: int, seed: int) -> Counter[str]:
    base = make_base(path / "base", kind)
    chance = random.Random(seed)
    chosen = bits(base, chance)
    return Counter(judge(path / "db", base, *case) for case in chance.sample(chosen, min(limit, len(chosen))))


@pytest.mark.parametrize("kind", KINDS)
def test_some_flipped_bits(fast_path: Path, seed: int, kind: str) -> None:
    outcomes = try_bits(fast_path, kind, A_FEW, seed)
    assert outcomes["harmless"] < sum(outcomes.values()), outcomes


@pytest.mark.crash
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_many_flipped_bits(fast_path: Path, seed: int, kind: str) -> None:
    try_bits(fast_path, kind, MANY, seed)


# ---------------------------------------------------------------- what becomes of a rotten record


def written_twice(path: Path) -> Path:
    """A database in which a key was "old" and then "new", and its only segment."""
    with striate.open(path, **OPTIONS) as db:
        db.table("t").set(b"k", b"the old value")
        db.table("t").set(b"k", b"the new value")
        db.table("t").set(b"other", b"1")
    return next((path / "log").glob("*.store"))


def rot(file: Path, value: bytes) -> None:
    data = file.read_bytes()
    assert data.count(value) == 1
    file.write_bytes(data.replace(value, value[:-1] + b"X"))


def test_a_rotten_record_does_not_bring_back_what_was_before(tmp_path: Path) -> None:
    path = tmp_path / "db"
    rot(written_twice(path), b"the new value")
    with striate.open(path, **OPTIONS) as db:  # the hints know where the record is
        assert db.table("t")[b"other"] == b"1"
        with pytest.raises(striate.CorruptRecordError):
            db.table("t")[b"k"]
        assert not db.verify().ok
    (path / "hints").unlink()
    with pytest.raises(striate.CorruptRecordError):
        striate.open(path, **OPTIONS)
    repair(path / "log")
    with striate.open(path, **OPTIONS) as db:  # given up on purpose
        assert dict(db.table("t")) == {b"k": b"the old value", b"other": b"1"}


def test_a_database_over_a_damaged_log_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = written_twice(path)
    store.write_bytes(store.read_bytes()[:-80])
    with pytest.raises(striate.DamagedLogError):
        striate.open(path, **OPTIONS)
