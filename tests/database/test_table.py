"""A table as a mapping, one thread."""

from __future__ import annotations

import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import striate
from striate._native.hintparts import dump_entries


def test_set_and_get(table: striate.Table[bytes]) -> None:
    assert table.get(b"a") is None
    version = table.set(b"a", b"1")
    assert version > 0 and table.version(b"a") == version
    assert table.get(b"a") == b"1" and table[b"a"] == b"1" and table["a"] == b"1"
    assert table.set("a", bytearray(b"2")) > version
    assert table[b"a"] == b"2"
    assert b"a" in table and b"b" not in table and 3 not in table
    assert len(table) == 1


def test_an_empty_value_and_an_empty_key_are_values(table: striate.Table[bytes]) -> None:
    table.set(b"", b"")
    assert table[b""] == b"" and b"" in table and table.get(b"", b"x") == b""


def test_delete(table: striate.Table[bytes]) -> None:
    table[b"a"] = b"1"
    assert table.delete(b"a") and not table.delete(b"a")
    assert b"a" not in table and len(table) == 0 and table.version(b"a") == 0
    with pytest.raises(KeyError):
        del table[b"a"]
    with pytest.raises(KeyError):
        table[b"a"]
    table[b"a"] = b"2"
    assert table[b"a"] == b"2"


def test_many(table: striate.Table[bytes]) -> None:
    pairs = {b"%d" % i: b"v%d" % i for i in range(2000)}
    table.set_many(pairs)
    assert table.get_many([*pairs, b"none"], b"?") == [*pairs.values(), b"?"]
    assert len(table) == 2000
    assert table.delete_many([b"5", "6", b"none", b"5"]) == 2
    assert len(table) == 1998 and table.get_many([b"5", b"6", b"7"]) == [None, None, b"v7"]
    table.set_many([(b"7", b"first"), (b"7", b"last")])
    assert table[b"7"] == b"last"
    table.set_many({})


def test_conditions(table: striate.Table[bytes]) -> None:
    assert not table.replace(b"a", b"0") and table.add(b"a", b"1") and not table.add(b"a", b"2")
    assert table.replace(b"a", b"3")
    value, version = table.get_with_version(b"a")
    assert value == b"3" and version
    assert table.cas(b"a", b"4", version + 100) == 0 and table[b"a"] == b"3"
    newer = table.cas(b"a", b"4", version)
    assert newer > version and table[b"a"] == b"4"
    assert table.cas(b"new", b"1", 0) and not table.cas(b"new", b"2", 0)


def test_increment(table: striate.Table[bytes]) -> None:
    assert table.increment(b"n") == 1 and table.increment(b"n", 41) == 42 and table[b"n"] == b"42"
    assert table.increment(b"m", -5, initial=2) == -3 and table[b"m"] == b"-3"
    table[b"x"] = b"word"
    with pytest.raises(striate.InvalidArgumentError):
        table.increment(b"x")
    assert table[b"x"] == b"word"


def test_mapping(table: striate.Table[bytes]) -> None:
    table.update({"a": b"1", b"b": b"2"}, c=b"3")
    assert dict(table) == {b"a": b"1", b"b": b"2", b"c": b"3"} == dict(table.items())
    assert sorted(table.keys()) == [b"a", b"b", b"c"] and sorted(table.values()) == [b"1", b"2", b"3"]
    assert table.pop(b"a") == b"1" and table.pop(b"a", b"x") == b"x"
    with pytest.raises(KeyError):
        table.pop(b"a")
    assert table.setdefault(b"b", b"9") == b"2" and table.setdefault(b"z", b"9") == b"9"
    key, value = table.popitem()
    assert key not in table and value in (b"2", b"3", b"9")
    table.clear()
    assert len(table) == 0 and list(table) == []
    with pytest.raises(KeyError):
        table.popitem()


def test_scans(table: striate.Table[bytes]) -> None:
    table.set_many((f"{kind}:{i}", b"%d" % i) for kind in ("user", "item") for i in range(500))
    assert sorted(table.scan_keys("user:")) == sorted(b"user:%d" % i for i in range(500))
    assert dict(table.scan(b"item:49")) == {b"item:%d" % i: b"%d" % i for i in (49, *range(490, 500))}
    assert len(list(table)) == 1000


def test_a_scan_tolerates_writes(table: striate.Table[bytes]) -> None:
    table.set_many((f"stays{i}", b"1") for i in range(3000))
    met: list[bytes] = []
    for number, key in enumerate(table):
        met.append(key)
        if number % 10 == 0:
            table._write_nowait(f"comes{number}", b"2")
            table.set(f"stays{number}", b"3")
            table.delete(f"comes{number - 10}")
    staying = [key for key in met if key.startswith(b"stays")]
    assert len(staying) == 3000 == len(set(staying)) and len(met) == len(set(met))


def test_views_are_of_the_mapped_log(table: striate.Table[bytes]) -> None:
    table[b"a"] = bytes(range(256)) * 100
    view = table.view(b"a")
    table[b"a"] = b"other"
    assert view.readonly and bytes(view) == bytes(range(256)) * 100
    with pytest.raises(KeyError):
        table.view(b"b")


def test_odd_arguments(table: striate.Table[bytes]) -> None:
    with pytest.raises(striate.InvalidTypeError):
        table.set(3, b"")  # type: ignore[arg-type]
    with pytest.raises(striate.InvalidTypeError):
        table.set(b"a", None)  # type: ignore[arg-type]
    with pytest.raises(striate.InvalidTypeError):
        table.set(b"a", "text")  # type: ignore[arg-type]
    with pytest.raises(striate.KeyTooLargeError):
        table.set(b"k" * 65536, b"")
    with pytest.raises(striate.RecordTooLargeError):
        table.set(b"k", bytes(2 << 20))
    with pytest.raises(striate.InvalidTypeError):
        table.get_many(b"abc")
    for ttl in (0, -1, float("nan"), 1e300):
        with pytest.raises(striate.InvalidArgumentError):
            table.set(b"a", b"", ttl=ttl)
    assert len(table) == 0
    table.set(b"k" * 65535, b"v")
    assert table[b"k" * 65535] == b"v"


# ------------------------------------------------------------ expiry


class Clock:
    def __init__(self) -> None:
        self.us = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.us


def test_keys_expire_exactly(tmp_path: Path) -> None:
    clock = Clock()
    with striate.open(tmp_path / "db", "process", clock=clock) as db:
        table = db.table("t")
        table.set(b"a", b"1", ttl=1)
        table.set(b"b", b"2", ttl=timedelta(seconds=2))
        table.set(b"c", b"3")
        assert table.ttl(b"a") == 1 and table.ttl(b"c") is None
        clock.us += 999_999
        assert table[b"a"] == b"1" and len(table) == 3
        clock.us += 1
        assert table.get(b"a") is None and b"a" not in table and table.get_many([b"a", b"b"]) == [None, b"2"]
        assert len(table) == 2 and sorted(table) == [b"b", b"c"] and table.version(b"a") == 0
        assert table.add(b"a", b"again") and not table.delete(b"none")
        assert table.touch(b"b", 10) and table.touch(b"c", 1) and not table.touch(b"none", 1)
        clock.us += 5_000_000
        assert table[b"b"] == b"2" and b"c" not in table
        table.set(b"b", b"4")
        assert table.ttl(b"b") is None
        table.set(b"n", b"1", ttl=10)
        table.increment(b"n")
        assert table.ttl(b"n") == 10 and table[b"n"] == b"2"
    clock.us += 10_000_000
    with striate.open(tmp_path / "db", "process", clock=clock) as db:
        assert dict(db.table("t")) == {b"a": b"again", b"b": b"4"}


def test_a_later_value_is_not_uncovered_by_an_expired_one(tmp_path: Path) -> None:
    clock = Clock()
    with striate.open(tmp_path / "db", "process", clock=clock) as db:
        db.table("t").set(b"a", b"old")
        db.table("t").set(b"a", b"new", ttl=1)
    clock.us += 2_000_000
    with striate.open(tmp_path / "db", "process", clock=clock) as db:
        assert db.table("t").get(b"a") is None


def test_the_index_says_where_each_record_stands(db: striate.Database, table: striate.Table[bytes]) -> None:
    """A wrong position is found out and costs time, so only this tells."""
    for i in range(200):
        table.set(b"%d" % (i % 60), b"x" * (i * 7 % 700))
        table.add(b"a%d" % i, b"")
        if i % 9 == 0:
            table.set_many({b"m%d" % (i % 4): b"1", b"%d" % i: b"2"}, ttl=1000 if i % 2 else None)
            table.delete(b"%d" % (i % 60))
    cursor, found = dump_entries(table._view, 0)
    assert cursor == 0
    count = 0
    while found:
        size, position, version, _ = struct.unpack_from("<IIQq", found)
        key, found = found[24 : 24 + size], found[24 + size :]
        segment = [s for s in db.log._segments if s.base_offset < version][-1]
        record = db.log.read(version - 1)
        assert segment.store.read_record(8 * position) == (record.timestamp, key, record.value)
        count += 1
    assert count == len(table)


@pytest.mark.parametrize("codec", ["json", "msgpack", striate.PickleCodec()])
def test_increment_with_a_codec(db: striate.Database, codec: Any) -> None:
    numbers = db.table("numbers", codec)
    numbers["n"] = 5
    assert numbers.increment("n") == 6 and numbers["n"] == 6 and numbers.increment("n", 2) == 8
    with db.transaction() as tx:
        assert tx[numbers].increment("n") == 9 and tx[numbers].increment("n") == 10 and tx[numbers].increment("m") == 1
    assert numbers["n"] == 10 and numbers["m"] == 1


def test_views_tolerate_writes(table: striate.Table[bytes]) -> None:
    keys = [b"%d" % number for number in range(5000)]  # more than one step of a walk
    table.set_many(dict.fromkeys(keys, b"v"))
    items, values = iter(table.items()), iter(table.values())
    met = {next(items)[0]}
    next(values)
    table.delete_many(keys[1000:])
    met |= {key for key, _ in items}
    assert met >= set(keys[:1000]) and sum(1 for _ in values) < 5000
    assert len(table.items()) == len(table.values()) == 1000 and (b"5", b"v") in table.items()
    assert b"v" in table.values() and b"w" not in table.values()


def test_views_do_not_look_keys_up_that_are_gone(table: striate.Table[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    table["a"] = b"1"
    # As if another thread deleted it between the key and its value.
    monkeypatch.setattr(striate.Table, "scan_keys", lambda self, prefix=b"": iter([b"gone"]))
    assert list(table.items()) == [(b"a", b"1")] and list(table.values()) == [b"1"]
