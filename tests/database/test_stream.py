"""Streams: ids, ranges, bad input, waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import striate
from striate.types import Durability


@pytest.fixture
def stream(db: striate.Database) -> striate.Stream[bytes]:
    return db.stream("events")


def values(entries: Any) -> list[bytes]:
    return [entry.value for entry in entries]


# ------------------------------------------------------------ ids


def test_ids_follow_the_clock_and_never_go_back(tmp_path: Path) -> None:
    now = [5_000_000]
    with striate.open(tmp_path / "db", "process", clock=lambda: now[0]) as db:
        stream = db.stream("events")
        assert [str(stream.append(b"")) for _ in range(2)] == ["5000-0", "5000-1"]
        now[0] = 4_000_000
        assert str(stream.append(b"")) == "5000-2"
        now[0] = 6_000_000
        assert str(stream.append(b"")) == "6000-0"
        assert [str(id) for id in stream.append_many([b""] * 2)] == ["6000-1", "6000-2"]
    with striate.open(tmp_path / "db", "process", clock=lambda: 1) as db:
        assert str(db.stream("events").append(b"")) == "6000-3"


def test_given_ids(stream: striate.Stream[bytes]) -> None:
    assert str(stream.append(b"a", id="5-1")) == "5-1"
    assert str(stream.append(b"b", id="5-*")) == "5-2"
    assert str(stream.append(b"c", id=7)) == "7-0"
    assert str(stream.append(b"d", id=(7, 3))) == "7-3"
    assert str(stream.append(b"e", id=striate.StreamId("7-4"))) == "7-4"
    for low in ("0-0", "7-4", "6-*", (7, 3), b"1-1"):
        with pytest.raises(striate.StreamIdError) as caught:
            stream.append(b"x", id=low)  # type: ignore[arg-type]
        assert caught.value.last == "7-4"
    highest = (1 << 64) - 1
    assert str(stream.append(b"f", id=(highest, highest))) == f"{highest}-{highest}"
    with pytest.raises(striate.StreamIdError):
        stream.append(b"x")
    with pytest.raises(striate.StreamIdError):
        stream.append_many([b"x"])
    assert values(stream) == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert values(stream.reverse_range(count=2)) == [b"f", b"e"]
    assert stream.read((highest, highest)) == []


def test_offset_ids(db: striate.Database) -> None:
    stream = db.stream("numbered", ids="offset")
    assert [str(id) for id in stream.append_many([b"a", b"b"])] == ["1-0", "2-0"]
    assert str(stream.append(b"c", id=3)) == "3-0"
    with pytest.raises(striate.StreamIdError):
        stream.append(b"c", id=5)
    assert [entry.offset for entry in stream] == [0, 1, 2]
    with pytest.raises(striate.InvalidArgumentError):
        stream.trim(max_age=5)
    assert values(stream.range(2, 3)) == [b"b", b"c"] and values(stream.read("1")) == [b"b", b"c"]


def test_an_id_is_a_value() -> None:
    one, two = striate.StreamId(5, 1), striate.StreamId("5-2")
    assert one < two and one <= two and two > one and two >= one and one != two and one == striate.StreamId("5-1")
    assert (one.ms, one.seq, str(one), repr(one)) == (5, 1, "5-1", "StreamId('5-1')")
    assert {one, striate.StreamId(5, 1)} == {one} and one != "5-1"
    with pytest.raises(TypeError):
        assert one < 3  # type: ignore[operator]


# ------------------------------------------------------------ entries


def test_ranges(stream: striate.Stream[bytes]) -> None:
    for number in range(1, 6):
        stream.append(b"%d" % number, id=(number, 1))
    assert values(stream.range("2", "4")) == [b"2", b"3", b"4"]
    assert values(stream.range((2, 2), (4, 0))) == [b"3"]
    assert values(stream.range(4, 2)) == [] and values(stream.range(count=0)) == []
    assert values(stream.range(count=2)) == [b"1", b"2"]
    assert values(stream.reverse_range("4-1", 2)) == [b"4", b"3", b"2"]
    assert stream["3-1"].value == b"3" and stream.get("3-0") is None and "3-1" in stream and (3, 2) not in stream
    with pytest.raises(KeyError):
        stream["3-0"]
    assert values(stream.read("3-1")) == [b"4", b"5"] and values(stream.read(3)) == [b"4", b"5"]
    assert stream.delete(["2-1", "2-1", (9, 9)]) == 1 and len(stream) == 4
    assert stream.trim(before="4-0") == 2 and values(stream) == [b"4", b"5"]
    info = stream.info()
    assert (info.length, info.added, str(info.last_id), str(info.removed_id)) == (2, 5, "5-1", "2-1")
    assert stream.trim(max_length=0) == 2 and len(stream) == 0 and list(stream) == []
    assert str(stream.append(b"6", id="5-2")) == "5-2" and stream["5-2"].offset == 5


def test_trimming_by_age(tmp_path: Path) -> None:
    now = [1_000_000_000]
    with striate.open(tmp_path / "db", "process", clock=lambda: now[0]) as db:
        stream = db.stream("events")
        for second in range(5):
            now[0] = 1_000_000_000 + second * 1_000_000
            stream.append(b"%d" % second)
        assert stream.trim(max_age=2) == 2 and values(stream) == [b"2", b"3", b"4"]
        assert stream.trim(max_age=10_000) == 0


def test_keys_and_values(stream: striate.Stream[bytes]) -> None:
    for key in (None, b"", b"key", "text", b"k" * 65_511):
        id = stream.append(bytearray(b"value"), key)
        expected = key.encode() if isinstance(key, str) else key
        assert stream[id].key == expected and stream[id].value == b"value"
    ids = stream.append_many([b"", memoryview(b"b")], [b"x", None])
    assert [(stream[id].key, stream[id].value) for id in ids] == [(b"x", b""), (None, b"b")]
    assert stream[ids[0]] == next(stream.range(ids[0])) and stream[ids[0]] != stream[ids[1]]


@dataclass
class Order:
    """What a codec may carry."""

    item: str
    count: int


def test_codecs_and_options_are_kept(tmp_path: Path, durability: Durability) -> None:
    with striate.open(tmp_path / "db", durability) as db:
        orders = db.stream("orders", "json", Order)
        id = orders.append(Order("tea", 2))
        assert orders[id].value == Order("tea", 2)
        db.table("table")
    with striate.open(tmp_path / "db", durability) as db:
        assert db.streams() == {"orders": {"codec": "json", "ids": "time"}} and list(db.tables()) == ["table"]
        assert db.stream("orders", "json", Order)[id].value == Order("tea", 2)
        wrong: list[Callable[[], object]] = [
            lambda: db.stream("orders"),
            lambda: db.stream("orders", "json", ids="offset"),
            lambda: db.stream("table"),
            lambda: db.table("orders"),
        ]
        for call in wrong:
            with pytest.raises(striate.OptionMismatchError):
                call()


BAD: dict[str, tuple[Callable[[striate.Stream[Any]], object], type[Exception]]] = {
    "value of a wrong type": (lambda s: s.append(5), striate.InvalidTypeError),
    "key of a wrong type": (lambda s: s.append(b"", 5), striate.InvalidTypeError),  # type: ignore[arg-type]
    "key too large": (lambda s: s.append(b"", b"k" * 65_512), striate.KeyTooLargeError),
    "value larger than a segment": (lambda s: s.append(bytes(2 << 20)), striate.RecordTooLargeError),
    "one of many of a wrong type": (lambda s: s.append_many([b"", None]), striate.InvalidTypeError),
    "values that are bytes": (lambda s: s.append_many(b"abc"), striate.InvalidTypeError),  # type: ignore[arg-type]
    "too few keys": (lambda s: s.append_many([b"", b""], [None]), striate.InvalidArgumentError),
    "text that is no id": (lambda s: s.append(b"", id="5-x"), striate.InvalidArgumentError),
    "id too large": (lambda s: s.append(b"", id=1 << 64), striate.InvalidArgumentError),
    "id below 0": (lambda s: s.get(-1), striate.InvalidArgumentError),
    "id of a wrong type": (lambda s: s.get(1.5), striate.InvalidTypeError),  # type: ignore[arg-type]
    "ids that are text": (lambda s: s.delete("5-1"), striate.InvalidTypeError),
    "count below 0": (lambda s: list(s.range(count=-1)), striate.InvalidArgumentError),
    "no reason to trim": (lambda s: s.trim(), striate.InvalidArgumentError),
    "two reasons to trim": (lambda s: s.trim(max_length=1, before=5), striate.InvalidArgumentError),
    "negative length": (lambda s: s.trim(max_length=-1), striate.InvalidArgumentError),
    "negative timeout": (lambda s: s.read(0, timeout=-1), striate.InvalidArgumentError),
    "group without a name": (lambda s: s.group(""), striate.InvalidArgumentError),
    "consumer without a name": (lambda s: s.group("g").read(""), striate.InvalidArgumentError),
    "group of a wrong type": (lambda s: s.group(5), striate.InvalidTypeError),  # type: ignore[arg-type]
    "none at once": (lambda s: s.group("g").read("c", count=0), striate.InvalidArgumentError),
    "too many at once": (lambda s: s.group("g").read("c", count=65_537), striate.InvalidArgumentError),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_changes_nothing(stream: striate.Stream[bytes], name: str) -> None:
    call, error = BAD[name]
    id = stream.append(b"there")
    with pytest.raises(error):
        call(stream)
    assert [entry.id for entry in stream] == [id] and stream.info().added == 1
    assert stream.append(b"next") > id


def test_bad_names(db: striate.Database) -> None:
    for name in ("", "x" * 65_536):
        with pytest.raises(striate.InvalidArgumentError):
            db.stream(name)
    assert db.stream("x" * 1024).name == "x" * 1024
    with pytest.raises(striate.InvalidArgumentError):
        db.stream("s", ids="other")  # type: ignore[call-overload]


def test_a_closed_database(tmp_path: Path) -> None:
    db = striate.open(tmp_path / "db")
    stream = db.stream("s")
    group = stream.group("g")
    db.close()
    calls: list[Callable[[], object]] = [
        lambda: stream.append(b""),
        lambda: stream.append_many([b""]),
        lambda: len(stream),
        lambda: list(stream),
        stream.info,
        lambda: stream.delete([1]),
        lambda: stream.trim(max_length=0),
        lambda: group.read("c"),
        lambda: group.acknowledge([1]),
        group.info,
        lambda: next(stream.follow()),
        lambda: db.stream("s"),
    ]
    for call in calls:
        with pytest.raises(striate.LogClosedError):
            call()


# ------------------------------------------------------------ what is seen


def test_entries_are_seen_when_they_are_durable(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "power") as db:
        stream = db.stream("events")
        group = stream.group("g")
        with db.log._exclusive():
            db.log._quiesce()
        id = stream._append_nowait(b"one")
        assert len(stream) == 0 and list(stream) == [] and id not in stream and group.read("c") == []
        stream._wait()
        assert len(stream) == 1 and values(group.read("c")) == [b"one"]
        with db.log._exclusive():
            db.log._quiesce()
        stream._remove_nowait([id])
        assert db.log.durable_offset < db.log._written_next and len(stream) == 0, "what is removed is gone at once"


# ------------------------------------------------------------ waiting


def test_following(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    stream.append(b"before")
    met: list[bytes] = []
    ready = threading.Event()

    def follow(after: Any, count: int) -> None:
        following = stream.follow(after)
        ready.set()
        for entry in following:
            met.append(entry.value)
            if len(met) == count:
                return

    thread = threading.Thread(target=follow, args=(0, 301))
    thread.start()
    ready.wait()
    for number in range(100):
        stream.append(b"%d" % number)
        stream.append_many([b"a", b"b"])
    thread.join()
    assert met == values(stream)


def test_waits_end(stream: striate.Stream[bytes]) -> None:
    assert stream.read(0, timeout=0.01) == [] and list(stream.follow(timeout=0.01)) == []
    stream.append(b"one")
    assert values(stream.read(0, timeout=60)) == [b"one"] and list(stream.follow(timeout=0.0)) == []
    group = stream.group("g")
    assert group.read("c", timeout=0.01) == []


def test_closing_wakes_whoever_waits(tmp_path: Path, durability: Durability) -> None:
    db = striate.open(tmp_path / "db", durability)
    stream = db.stream("s")
    group = stream.group("g")
    raised: list[type[BaseException]] = []
    waits: list[Callable[[], object]] = [
        lambda: next(stream.follow()),
        lambda: stream.read(0, timeout=None),
        lambda: group.read("c", timeout=None),
    ]

    def work(wait: Callable[[], object]) -> None:
        try:
            wait()
        except striate.StriateError as error:
            raised.append(type(error))

    threads = [threading.Thread(target=work, args=(wait,)) for wait in waits]
    for thread in threads:
        thread.start()
    while stream._waiters < 3:
        os.sched_yield()
    db.close()
    for thread in threads:
        thread.join()
    assert raised == [striate.LogClosedError] * 3


def test_waiting_beside_a_busy_table_uses_no_processor(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    used: list[float] = []

    def wait() -> None:
        before = time.thread_time()
        stream.read(0, timeout=None)
        used.append(time.thread_time() - before)

    thread = threading.Thread(target=wait)
    thread.start()
    while not stream._waiters:
        os.sched_yield()
    table = db.table("busy")
    for _ in range(200):
        table.set_many({b"%d" % number: b"x" for number in range(10)})
    stream.append(b"end")
    thread.join()
    assert used[0] < 0.01


_MEMORY = """
import sys, striate

def resident():
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))

count = 200_000
with striate.open(sys.argv[1], "process", compaction_interval_s=None) as db:
    stream = db.stream("events")
    values_of_one_call = [b"x"] * 1000
    stream.append_many(values_of_one_call)
    before = resident()
    for _ in range(count // 1000):
        stream.append_many(values_of_one_call)
    print((resident() - before) / count)
    group = stream.group("g", "0")
    group.read("c", count=1000)
    before = resident()
    for _ in range(count // 1000):
        group.read("c", count=1000)
    print((resident() - before) / count)
"""


@pytest.mark.skipif("STRIATE_SANITIZED" in os.environ, reason="the sanitizer's allocator keeps what is freed")
def test_memory_of_entries_and_of_what_is_pending(tmp_path: Path) -> None:
    """What the README says: 20 bytes an entry, 32 to 64 for each that is pending."""
    command = [sys.executable, "-c", _MEMORY, tmp_path / "db"]  # a process that has freed nothing
    printed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    entries, pending = map(float, printed.split())
    assert 14 <= entries <= 24 and 28 <= pending <= 70, (entries, pending)
