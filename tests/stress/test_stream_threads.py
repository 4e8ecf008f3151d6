"""Sixteen threads on the streams of one database: a million operations on streams of their own against models, and on
one that they share, whose groups give each entry once."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import striate
from striate import StreamEntry, StreamId
from striate.types import Durability

pytestmark = pytest.mark.stress

THREADS = 16
STEPS = int(os.environ.get("STRIATE_STEPS", "62500"))  # a million in all
LONGEST = 300  # of a stream that one thread has
OPTIONS = {"segment_bytes": 8 << 20, "compaction_interval_s": 0.2}


class Own:
    """A stream that one thread has, with a group, and a model of both."""

    def __init__(self, db: striate.Database, number: int, rng: random.Random) -> None:
        self.number = number
        self.stream = self.opened(db)
        self.group = self.stream.group("g", "0")
        self.rng = rng
        self.entries: dict[StreamId, bytes] = {}
        self.pending: dict[StreamId, int] = {}  # how often each was given
        self.given = StreamId(0, 0)

    def opened(self, db: striate.Database) -> striate.Stream[bytes]:
        return db.stream(f"own {self.number}", ids="offset" if self.number % 2 else "time")

    def some(self, ids: dict[StreamId, int] | dict[StreamId, bytes]) -> list[StreamId]:
        return self.rng.sample(list(ids), min(len(ids), self.rng.randrange(20)))

    def append(self) -> int:
        values = [self.rng.randbytes(self.rng.choice([0, 8, 100])) for _ in range(self.rng.choice([1, 1, 1, 20]))]
        ids = self.stream.append_many(values) if len(values) > 1 else [self.stream.append(values[0])]
        assert ids == sorted(set(ids)) and ids[0] > max(self.entries, default=StreamId(0, 0))
        self.entries.update(zip(ids, values, strict=True))
        return len(ids)

    def look(self) -> int:
        ids = list(self.entries)
        first = self.rng.randrange(len(ids) + 1)
        if first == len(ids):
            assert [entry.id for entry in self.stream] == ids
            return 1
        backwards = self.rng.random() < 0.3
        expected = ids[first::-1][:20] if backwards else ids[first:][:20]
        read = self.stream.reverse_range if backwards else self.stream.range
        found = {entry.id: entry.value for entry in read(ids[first], count=20)}
        assert list(found.items()) == [(id, self.entries[id]) for id in expected]
        assert self.stream[ids[first]].value == self.entries[ids[first]]
        return len(found) + 1

    def take(self) -> int:
        expected = [id for id in self.entries if id > self.given][:20]
        found = self.group.read("c", count=20)
        assert [(entry.id, entry.value, entry.deliveries) for entry in found] == [
            (id, self.entries[id], 1) for id in expected
        ]
        if expected:
            self.given = expected[-1]
        self.pending.update(dict.fromkeys(expected, 1))
        return max(len(found), 1)

    def take_again(self) -> int:
        due = sorted(self.pending)[:5]
        found = self.group.read_again("c", count=5)
        self.pending.update({id: self.pending[id] + 1 for id in due})
        assert [(entry.id, entry.value, entry.deliveries) for entry in found] == [
            (id, self.entries.get(id), self.pending[id]) for id in due
        ]
        return max(len(found), 1)

    def acknowledge(self) -> int:
        ids = list({*self.some(self.pending), *self.some(self.entries)[:2]})
        assert self.group.acknowledge(ids) == sum(self.pending.pop(id, 0) > 0 for id in ids)
        return max(len(ids), 1)

    def remove(self) -> int:
        if self.rng.random() < 0.5 and len(self.entries) < LONGEST:
            gone = self.some(self.entries)[:3]
            assert self.stream.delete([*gone, *gone[:1]]) == len(gone)
        else:
            gone = list(self.entries)[: -self.rng.randrange(1, LONGEST)]
            assert self.stream.trim(max_length=len(self.entries) - len(gone)) == len(gone)
        for id in gone:
            del self.entries[id]
        return max(len(gone), 1)

    def check(self, db: striate.Database) -> None:
        stream = self.opened(db)
        group = stream.group("g")
        assert {entry.id: entry.value for entry in stream} == self.entries and len(stream) == len(self.entries)
        assert {one.id: one.deliveries for one in group.pending(count=None)} == self.pending
        assert group.info().lag == sum(id > self.given for id in self.entries)


class Shared:
    """What one thread does to the stream of all: it appends numbers, and consumes from two groups."""

    def __init__(self, db: striate.Database, number: int, rng: random.Random) -> None:
        self.db, self.number, self.rng = db, number, rng
        self.stream, self.results, self.counts = db.stream("shared"), db.stream("results"), db.table("counts")
        self.counted, self.worked = self.stream.group("count", "0"), self.stream.group("work", "0")
        self.name = f"consumer {number}"
        self.appended = self.acknowledged = self.conflicts = 0
        self.given: dict[str, dict[StreamId, bytes]] = {"count": {}, "work": {}}

    def append(self) -> int:
        count = self.rng.choice([1, 1, 10])
        values = [b"%d %d" % (self.number, self.appended + number) for number in range(count)]
        made = self.stream.append_many(values) if count > 1 else [self.stream.append(values[0])]
        self.appended += count
        return len(made)

    def read(self, group: striate.Group[bytes]) -> list[StreamEntry]:
        entries = group.read(self.name, count=20)
        given = self.given[group.name]
        assert all(entry.deliveries == 1 for entry in entries)
        assert not entries or entries[0].id > next(reversed(given), StreamId(0, 0))
        given.update((entry.id, entry.value) for entry in entries)
        return entries

    def count(self) -> int:
        """Acknowledge what was read; or leave it, or take over what others have left."""
        entries = self.read(self.counted)
        if self.rng.random() < 0.2:
            entries = self.counted.auto_claim(self.name, 0.0, count=40)[1]
        if self.rng.random() < 0.8:
            self.acknowledged += self.counted.acknowledge(entries)
        return max(len(entries), 1)

    def work(self) -> int:
        """The same as a transaction that has a result for each entry."""
        entries = self.read(self.worked)
        if self.rng.random() < 0.2:
            entries = self.worked.auto_claim(self.name, 0.0, count=40)[1]

        def done(tx: striate.Transaction) -> None:
            tx[self.results].append_many([entry.value for entry in entries])
            tx[self.counts].increment(self.name, len(entries))
            tx[self.worked].acknowledge(entries)

        if entries and self.rng.random() < 0.8:
            try:
                self.db.transact(done, retries=0)
            except striate.ConflictError:  # another has taken them over, and was quicker
                self.conflicts += 1
        return max(2 * len(entries), 1)

    def trim(self) -> int:
        """Drop what both groups have done with."""
        infos = [self.counted.info(), self.worked.info()]
        self.stream.trim(before=min(info.first_pending or info.last_id for info in infos))
        return 1


@contextmanager
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Worker:
    """One thread."""

    def __init__(self, db: striate.Database, number: int, seed: int) -> None:
        self.rng = random.Random(seed * THREADS + number)
        self.own, self.shared = Own(db, number, self.rng), Shared(db, number, self.rng)

    def run(self) -> int:
        own, shared = self.own, self.shared
        steps = [own.append, own.look, own.take, own.take_again, own.acknowledge, own.remove]
        steps += [shared.append, shared.count, shared.work, shared.trim]
        done = 0
        while done < STEPS:
            done += self.rng.choices(steps, [8, 8, 8, 2, 8, 4, 10, 8, 8, 1])[0]()
        return done


def numbers(workers: list[Worker]) -> list[bytes]:
    """All that was appended to the stream that is shared."""
    return sorted(b"%d %d" % (each.shared.number, at) for each in workers for at in range(each.shared.appended))


def to_come(stream: striate.Stream[bytes], group: striate.Group[bytes]) -> Iterator[StreamEntry]:
    last = group.info().last_id
    return (entry for entry in stream.range(last) if entry.id != last)


def check(db: striate.Database, workers: list[Worker]) -> None:
    for worker in workers:
        worker.own.check(db)
    stream, results, counts = db.stream("shared"), db.stream("results"), db.table("counts")
    all_given = {}
    for name in ("count", "work"):
        given = all_given[name] = [value for worker in workers for value in worker.shared.given[name].values()]
        left = [entry.value for entry in to_come(stream, stream.group(name))]
        assert sorted(given + left) == numbers(workers), "each was given once, or is to come"
    acknowledged = sum(worker.shared.acknowledged for worker in workers)
    assert acknowledged + stream.group("count").info().pending == len(all_given["count"])
    pending = [stream[one.id].value for one in stream.group("work").pending(count=None)]
    got = [entry.value for entry in results]
    assert sorted(got + pending) == sorted(all_given["work"]), "each gave one result, or is pending"
    assert sum(int(count) for count in counts.values()) == len(got)


def check_order(workers: list[Worker]) -> None:
    """What one thread has appended, the groups have given in its order."""
    for name in ("count", "work"):
        given = sorted(pair for worker in workers for pair in worker.shared.given[name].items())
        for number in range(THREADS):
            mine = [int(value.split()[1]) for _, value in given if value.startswith(b"%d " % number)]
            assert mine == sorted(mine)


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.timeout(900)
def test_a_million_operations_without_a_difference(tmp_path: Path, durability: Durability, seed: int) -> None:
    path = tmp_path / "db"
    with striate.open(path, durability, **OPTIONS) as db:
        workers = [Worker(db, number, seed) for number in range(THREADS)]
        with switching_often(), ThreadPoolExecutor(THREADS) as pool:
            done = sum(pool.map(Worker.run, workers))
        assert done >= THREADS * STEPS
        check(db, workers)
        db.compact()
        check(db, workers)
    check_order(workers)
    assert any(worker.shared.conflicts for worker in workers), "hardly anything was at the same time"
    for _ in range(2):
        with striate.open(path, durability, **OPTIONS) as db:
            check(db, workers)
        (path / "hints").unlink()
