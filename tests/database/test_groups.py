"""Consumer groups, alone, among threads and in transactions."""

from __future__ import annotations

import os
import random
import threading
import time
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


def test_a_day_of_a_group(stream: striate.Stream[bytes]) -> None:
    stream.append_many([b"%d" % number for number in range(6)])
    group = stream.group("billing", "0")
    assert stream.group("billing").info() == group.info() and stream.groups() == ["billing"]
    first = group.read("anna", count=2)
    second = group.read("ben", count=3)
    assert values(first) == [b"0", b"1"] and values(second) == [b"2", b"3", b"4"]
    assert [entry.deliveries for entry in first] == [1, 1]
    info = group.info()
    assert (info.pending, info.lag, info.offset, info.committed, info.consumers) == (5, 1, 5, 0, 2)
    assert group.acknowledge(first) == 2 and group.acknowledge(first) == 0
    assert group.acknowledge([second[1].id, second[1], "9-9"]) == 1
    assert group.info().committed == 2 and [one.consumer for one in group.pending()] == ["ben", "ben"]
    assert group.pending(consumer="anna") == [] and group.pending(consumer="nobody") == []
    assert values(group.read_again("ben")) == [b"2", b"4"] and group.pending()[0].deliveries == 2
    claimed = group.claim("anna", [second[0]])
    assert values(claimed) == [b"2"] and claimed[0].deliveries == 3
    assert group.claim("anna", [second[0]], min_idle=60) == []
    stream.delete([second[2]])
    assert [entry.value for entry in group.read_again("ben")] == [None]
    next_id, entries = group.auto_claim("carl", 0.0)
    assert next_id is None and values(entries) == [b"2"] and group.info().pending == 1
    assert {one.name: one.pending for one in group.consumers()} == {"anna": 0, "ben": 0, "carl": 1}
    assert group.delete_consumer("carl") == 1 and group.delete_consumer("carl") == 0 and group.info().pending == 0
    group.set_position("0")
    assert values(group.read("anna", acknowledged=True)) == [b"0", b"1", b"2", b"3", b"5"]
    assert group.info().pending == 0 and group.info().lag == 0
    group.delete()
    assert stream.groups() == []
    for call in (lambda: group.read("anna"), group.info, lambda: group.acknowledge([1]), group.delete):
        with pytest.raises(striate.GroupNotFoundError):
            call()


def test_a_new_group_begins_at_the_end(stream: striate.Stream[bytes]) -> None:
    stream.append(b"old")
    group = stream.group("late")
    assert group.read("c") == []
    stream.append(b"new")
    assert values(group.read("c")) == [b"new"]


def test_each_entry_goes_to_one_consumer(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    group = stream.group("workers", "0")
    met: list[list[bytes]] = [[] for _ in range(4)]

    def consume(number: int) -> None:
        while True:
            entries = group.read(f"worker {number}", count=3, timeout=None)
            met[number] += values(entries)
            done = group.acknowledge(entries)
            assert done == len(entries)
            if entries[-1].value == b"end" or b"end" in met[number]:
                return

    threads = [threading.Thread(target=consume, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(200):
        stream.append(b"%d" % number)
    for thread in threads:
        while thread.is_alive():
            stream.append(b"end")
            thread.join(0.01)
    together = [value for one in met for value in one if value != b"end"]
    assert sorted(together) == sorted(b"%d" % number for number in range(200))
    assert group.info().pending == 0


def until_asleep(stream: striate.Stream[bytes], count: int) -> None:
    """Until so many threads sleep on the stream, or have nothing between them and that but a look at its word."""
    while stream._waiters < count:
        os.sched_yield()


def test_a_wait_ends_in_time_though_others_are_quicker(stream: striate.Stream[bytes]) -> None:
    group = stream.group("g")
    found: list[Any] = []
    begun = time.monotonic()
    thread = threading.Thread(target=lambda: found.append(group.read("slow", timeout=0.3)))
    thread.start()
    while thread.is_alive():
        stream.append(b"x")
        group._read_nowait("quick", 100)
    assert time.monotonic() - begun < 5 and len(found) == 1


def test_whoever_waits_learns_what_becomes_of_the_group(stream: striate.Stream[bytes]) -> None:
    stream.append(b"old")
    moved, deleted = stream.group("moved"), stream.group("deleted")
    got: list[Any] = []

    def wait(group: striate.Group[bytes]) -> None:
        try:
            got.append(values(group.read("c", timeout=None)))
        except striate.GroupNotFoundError as error:
            got.append(error.group)

    threads = [threading.Thread(target=wait, args=(group,)) for group in (moved, deleted)]
    for thread in threads:
        thread.start()
    until_asleep(stream, 2)
    moved.set_position("0")
    deleted.delete()
    for thread in threads:
        thread.join()
    assert sorted(got, key=str) == sorted([[b"old"], b"deleted"], key=str)


# ------------------------------------------------------------ transactions


def test_a_transaction_over_everything(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    done, table = db.stream("done", ids="offset"), db.table("counts")
    stream.append_many([b"a", b"b"])
    group = stream.group("g", "0")
    entries = group.read("c")
    with db.transaction() as tx:
        made = tx[done].append(b"first", "key")
        tx[table].increment("n")
        tx[group].acknowledge(entries)
        assert made.id is None and values(tx[done]) == [b"first"] and len(tx[done]) == 1
        assert len(done) == 0 and "n" not in table and group.info().pending == 2
    assert made.id == striate.StreamId("1-0") and made.offset == 0 and done[made.id].key == b"key"
    assert table["n"] == b"1" and group.info().pending == 0
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx[done].append(b"never")
        raise ZeroDivisionError
    assert values(done) == [b"first"]


def test_a_savepoint_takes_back_entries_and_acknowledgements(
    db: striate.Database, stream: striate.Stream[bytes]
) -> None:
    stream.append(b"a")
    group = stream.group("g", "0")
    entries = group.read("c")
    with db.transaction() as tx:
        tx[stream].append(b"b")
        with pytest.raises(ZeroDivisionError), tx.savepoint():
            tx[stream].append(b"c")
            tx[group].acknowledge(entries)
            raise ZeroDivisionError
        tx[stream].append_many([b"d"])
    assert values(stream) == [b"a", b"b", b"d"] and group.info().pending == 1


def test_conflicts(db: striate.Database, stream: striate.Stream[bytes]) -> None:
    stream.append_many([b"a", b"b"])
    group, table = stream.group("g", "0"), db.table("t")
    entries = group.read("c")
    tx = db.transaction()
    tx[group].acknowledge(entries)
    tx[table]["done"] = b"1"
    group.acknowledge(entries[:1])
    with pytest.raises(striate.ConflictError) as caught:
        tx.commit()
    assert caught.value.key == str(entries[0].id).encode() and "done" not in table and group.info().pending == 1
    tx = db.transaction()
    assert len(tx[stream]) == 2
    tx[table]["count"] = b"2"
    stream.append(b"c")
    with pytest.raises(striate.ConflictError):
        tx.commit()
    assert "count" not in table
    group.delete()
    tx = db.transaction()
    tx[group].acknowledge(entries)
    with pytest.raises(striate.GroupNotFoundError):
        tx.commit()


def test_what_a_transaction_refuses(db: striate.Database, stream: striate.Stream[bytes], tmp_path: Path) -> None:
    with striate.open(tmp_path / "other") as other, db.transaction() as tx:
        with pytest.raises(striate.InvalidTypeError):
            tx[other.stream("s")]
        with pytest.raises(striate.InvalidTypeError):
            tx[5]  # type: ignore[call-overload]
        with pytest.raises(striate.InvalidTypeError):
            tx[stream].append(5)  # type: ignore[arg-type]
        with pytest.raises(striate.InvalidTypeError):
            tx[stream.group("g")].acknowledge([None])  # type: ignore[list-item]
    with pytest.raises(striate.TransactionClosedError):
        tx[stream].append(b"late")
    assert len(stream) == 0


def test_consume_process_produce_exactly_once(tmp_path: Path, durability: Durability) -> None:
    count, workers = 300, 4
    with striate.open(tmp_path / "db", durability, compaction_interval_s=None) as db:
        source, target, table = db.stream("in"), db.stream("out"), db.table("t")
        group = source.group("g", "0")
        source.append_many([b"%d" % number for number in range(count)])
        problems: list[BaseException] = []

        def work(number: int) -> None:
            chance = random.Random(number)
            try:
                while group.info().pending or group.info().lag:
                    entries = group.read(f"w{number}", count=chance.randrange(1, 8))
                    if chance.random() < 0.3:
                        continue  # forgets them; somebody else takes them over, perhaps while they are worked on
                    if not entries:
                        entries = group.auto_claim(f"w{number}", 0.0, count=5)[1]

                    def process(tx: striate.Transaction, entries: list[striate.StreamEntry] = entries) -> None:
                        for entry in entries:
                            tx[target].append(entry.value)
                            tx[table].increment("sum", int(entry.value))
                        tx[group].acknowledge(entries)

                    try:
                        db.transact(process, retries=3)
                    except striate.ConflictError:
                        continue  # another one was quicker
            except BaseException as error:
                problems.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
        assert sorted(int(value) for value in values(target)) == list(range(count))
        assert int(table["sum"]) == sum(range(count))
    with striate.open(tmp_path / "db", durability) as db:
        assert len(db.stream("out")) == count and db.stream("in").group("g").info().committed == count


def test_compaction_drops_what_a_state_stands_for(tmp_path: Path, durability: Durability) -> None:
    options: dict[str, Any] = {"segment_bytes": 8192, "compaction_interval_s": None}
    with striate.open(tmp_path / "db", durability, **options) as db:
        stream = db.stream("events")
        group = stream.group("g", "0")
        for _ in range(50):
            stream.append_many([b"x" * 20] * 4)
            group.acknowledge(group.read("c", count=3))
            stream.trim(max_length=60)
        held = group.read("c", count=None)
        assert len(held) == 50
        db.compact()
        # Sixty entries, the pieces of the state, the catalog; not two hundred entries and a hundred operations.
        assert db.log.stats().records < 60 + 10
        info, pending = group.info(), group.pending(count=None)
    (tmp_path / "db" / "hints").unlink()
    with striate.open(tmp_path / "db", durability, **options) as db:
        group = striate.Group(db.stream("events"), "g")
        assert group.info() == info and [one.id for one in group.pending(count=None)] == [one.id for one in pending]
        db.compact()
        assert group.info() == info


class Brittle:
    """Refuses some values when they are decoded."""

    def encode(self, value: str) -> bytes:
        return value.encode()

    def decode(self, stored: bytes) -> str:
        if stored == b"bad":
            raise ValueError("bad")
        return stored.decode()


def test_one_bad_entry_holds_up_no_others(tmp_path: Path, durability: Durability) -> None:
    path = tmp_path / "db"
    with striate.open(path, durability) as db:
        stream = db.stream("events", Brittle())
        stream.append_many(["one", "bad", "rotten", "two"])
    store = next((path / "log").glob("*.store"))
    data = bytearray(store.read_bytes())
    data[data.index(b"rotten")] ^= 1
    store.write_bytes(data)
    with striate.open(path, durability) as db:
        group = db.stream("events", Brittle()).group("g", "0")
        entries = group.read("c")
        assert [entries[at].value for at in (0, 3)] == ["one", "two"]
        with pytest.raises(ValueError, match="bad"):
            entries[1].value  # noqa: B018
        with pytest.raises(striate.CorruptRecordError):
            entries[2].value  # noqa: B018
        assert group.acknowledge(entries) == 4


def test_compaction_drops_what_a_busy_stream_has_trimmed(tmp_path: Path, durability: Durability) -> None:
    """Also while it goes on being trimmed, and although nothing of that is durable yet."""
    with striate.open(tmp_path / "db", durability, segment_bytes=65536, compaction_interval_s=None) as db:
        stream = db.stream("events")

        def work(*_: int) -> None:
            stream._append_many_nowait([b"x" * 1000] * 10)
            stream._trim_nowait(None, 10)

        for _ in range(60):
            work()
        db.compact(live_below=0.5, progress=work)
        work()
        assert db.log.stats().size_bytes < 300_000 and len(list(stream)) <= 10
        db.sync()
        assert [len(entry.value) for entry in stream] == [1000] * 10


def test_all_that_is_pending(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "process") as db:
        stream = db.stream("events")
        group = stream.group("g", "0")
        ids = stream.append_many([b""] * 70_000)
        while group.read("anna" if group.info().pending < 1000 else "ben", count=1000):
            pass
        assert [one.id for one in group.pending(count=None)] == ids
        assert [one.id for one in group.pending(ids[10], ids[-10], count=None)] == ids[10:-9]
        assert [one.id for one in group.pending(count=None, consumer="ben")] == ids[1000:]
        assert len(group.pending()) == 100
        last = stream.append(b"", id=((1 << 64) - 1, (1 << 64) - 1))
        group.read("ben")
        assert group.pending(last, count=None)[0].id == last
