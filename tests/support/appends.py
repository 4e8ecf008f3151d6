"""Transactions that append to lists and read them, recorded for striate.history; and a child that does nothing else.

Lists are values of two tables, numbers with commas between, and streams. A transaction reads and appends at random,
reads whole tables by scans, and takes back what it does after savepoints: of that no read may ever show anything.

A group hands out the entries of each stream. Who acknowledges one appends to a list of that entry alone, having read
that it is empty; so the history is refused if two do. The lists are found in one more stream.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import striate
from striate import history

TABLES = ("odd", "even")
LISTS = 3  # at once, in each table
STREAMS = 2  # at once
GROUP = "workers"
STREAM = "stream"
DONE = "done"  # the stream of what was acknowledged
WORK = {"read": 30, "append": 30, "scan": 10, "undo": 10, "read_stream": 10, "append_to_stream": 20, "acknowledge": 20}
LONGEST = 60  # transactions on the same lists, then they move on to new ones


class Undone(Exception):  # noqa: N818
    """Takes back what came after a savepoint."""


def decoded(stored: bytes | None) -> list[str]:
    """A list as it is stored."""
    return stored.decode().split(",") if stored else []


class Appender:
    """Makes transactions for one worker; all of a database share the numbers.

    Args:
        seed: told apart the values and keys of all appenders that ever use the database.
    """

    def __init__(self, db: Any, recorder: history.Recorder, seed: str, started: Iterator[int]) -> None:
        self.db = db
        self.tables = [db.table(name) for name in TABLES]
        self.overwritten = db.table("overwritten")
        self.recorder = recorder
        self.seed = seed
        self.started = started
        self.chance = random.Random(seed)
        self.values = itertools.count()

    def value(self) -> str:
        return f"{self.seed}.{next(self.values)}"

    def begin(self) -> None:
        """Choose the lists of one transaction."""
        self.prefix = f"{self.seed.partition('/')[0]}.{next(self.started) // LONGEST}."
        self.number = self.chance.randrange(len(self.tables))
        self.name = f"{self.prefix}{self.chance.randrange(LISTS)}"
        self.stream = self.db.stream(f"{self.prefix}{self.chance.randrange(STREAMS)}")
        self.given: list[striate.StreamEntry] = []

    def body(self, tx: Any, recording: history.Recording) -> Iterator[None]:
        """The steps of a transaction; others may come in between."""
        for step in self.chance.choices(list(WORK), list(WORK.values()), k=self.chance.randrange(1, 5)):
            self.number = self.chance.randrange(len(self.tables))
            self.name = f"{self.prefix}{self.chance.randrange(LISTS)}"
            getattr(self, step)(tx, recording)
            yield

    def read(self, tx: Any, recording: history.Recording) -> None:
        recording.read(f"{self.number} {self.name}", decoded(tx[self.tables[self.number]].get(self.name)))

    def append(self, tx: Any, recording: history.Recording) -> None:
        value, rows = self.value(), tx[self.tables[self.number]]
        recording.append(f"{self.number} {self.name}", value)
        rows[self.name] = ",".join([*decoded(rows.get(self.name)), value]).encode()
        tx[self.overwritten]["always"] = bytes(200)  # for compaction, which finds little to do in streams

    def scan(self, tx: Any, recording: history.Recording) -> None:
        found = dict(tx[self.tables[self.number]].scan(self.prefix))
        for each in range(LISTS):
            name = f"{self.prefix}{each}"
            recording.read(f"{self.number} {name}", decoded(found.get(name.encode())))

    def undo(self, tx: Any, recording: history.Recording) -> None:
        with suppress(Undone), tx.savepoint():
            self.read(tx, recording)
            for table in self.tables:
                tx[table][self.name] = b"taken back"
            tx[self.stream].append(b"taken back")
            tx[self.group].acknowledge(self.given)
            raise Undone

    def read_stream(self, tx: Any, recording: history.Recording) -> None:
        recording.read(f"{STREAM} {self.stream.name}", values_of(tx[self.stream]))

    def append_to_stream(self, tx: Any, recording: history.Recording) -> None:
        value = self.value()
        recording.append(f"{STREAM} {self.stream.name}", value)
        tx[self.stream].append(value.encode())

    def acknowledge(self, tx: Any, recording: history.Recording) -> None:
        if self.given:
            entry, value = self.given.pop(), self.value()
            recording.read(f"{DONE} {entry.value.decode()}", [])
            recording.append(f"{DONE} {entry.value.decode()}", value)
            tx[self.group].acknowledge([entry])
            tx[self.db.stream(DONE)].append(value.encode(), entry.value)

    def glance(self) -> None:
        """A read without a transaction: all at one moment too, in one table, stream or group."""
        which = self.chance.randrange(3)
        with self.recorder.transaction() as recording:
            if which == 0:
                keys = [f"{self.prefix}{each}" for each in range(LISTS)]
                for key, stored in zip(keys, self.tables[self.number].get_many(keys), strict=True):
                    recording.read(f"{self.number} {key}", decoded(stored))
            elif which == 1:
                recording.read(f"{STREAM} {self.stream.name}", values_of(self.stream))
            else:
                for one in self.group.pending(count=None):
                    recording.read(f"{DONE} {self.stream[one.id].value.decode()}", [])

    def once(self, db: striate.Database) -> None:
        """One transaction of a thread."""
        self.begin()
        self.group = self.stream.group(GROUP, "0")
        if self.chance.random() < 0.1:
            self.glance()
            return
        if self.chance.random() < 0.7:
            self.given = self.group.read(self.seed, count=3)
        else:  # also what another is about to acknowledge
            self.given = self.group.auto_claim(self.seed, 0.0, count=3)[1]
        refused = striate.ConflictError
        with suppress(refused), self.recorder.transaction(fail=refused) as recording, db.transaction() as tx:
            for _ in self.body(tx, recording):
                pass

    async def once_async(self, db: striate.AsyncDatabase) -> None:
        """One transaction of a task."""
        self.begin()
        self.group = await self.stream.group(GROUP, "0")
        if self.chance.random() < 0.1:
            self.glance()
            return
        if self.chance.random() < 0.7:
            self.given = await self.group.read(self.seed, count=3)
        else:
            self.given = (await self.group.auto_claim(self.seed, 0.0, count=3))[1]
        refused = striate.ConflictError
        with suppress(refused), self.recorder.transaction(fail=refused) as recording:
            async with db.transaction() as tx:
                for _ in self.body(tx, recording):
                    await asyncio.sleep(0)


def values_of(stream: Any) -> list[str]:
    """A list that is a stream."""
    return [entry.value.decode() for entry in stream.range()]


def done_lists(stream: Any) -> dict[str, list[str]]:
    """By entry, what those appended who acknowledged it."""
    found: dict[str, list[str]] = {}
    for entry in stream.range():
        found.setdefault(entry.key.decode(), []).append(entry.value.decode())
    return found


def read_all(db: striate.Database, file: Path, keys: Sequence[str]) -> None:
    """Record one more transaction, which reads these lists."""
    refused = striate.ConflictError
    with history.Recorder(file) as recorder:
        for last in (False, False, True):  # a stream that compaction saves has changed
            try:
                with recorder.transaction(fail=refused) as recording, db.transaction() as tx:
                    read_each(db, tx, recording, keys)
                return
            except refused:
                if last:
                    raise


def read_each(db: striate.Database, tx: Any, recording: history.Recording, keys: Sequence[str]) -> None:
    rows = [tx[db.table(name)] for name in TABLES]
    done = done_lists(tx[db.stream(DONE)])
    for key in keys:
        where, _, name = key.partition(" ")
        if where == DONE:
            recording.read(key, done.get(name, []))
        elif where == STREAM:
            recording.read(key, values_of(tx[db.stream(name)]))
        else:
            recording.read(key, decoded(rows[int(where)].get(name)))


def check_groups(db: striate.Database) -> int:
    """Each entry is done with, pending or to come; how many are done with."""
    done = done_lists(db.stream(DONE))
    for name in db.streams():
        if GROUP not in db.stream(name).groups():
            continue
        group = db.stream(name).group(GROUP)
        pending, last = {one.id for one in group.pending(count=None)}, group.info().last_id
        for entry in db.stream(name):
            assert (entry.value.decode() in done) == (entry.id <= last and entry.id not in pending)
    return len(done)


def keys_of(transactions: Sequence[history.Transaction]) -> list[str]:
    """The lists that a history tells of."""
    return sorted({str(key) for made in transactions for _, key, _ in made.operations})


def run_threads(db: striate.Database, recorder: history.Recorder, seed: str, workers: int, steps: int) -> None:
    """Some threads, so many transactions each."""
    started = itertools.count()

    def work(number: int) -> None:
        appender = Appender(db, recorder, f"{seed}/{number}", started)
        for _ in range(steps):
            appender.once(db)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    try:
        for thread in threads:
            thread.start()
    finally:
        for thread in threads:
            thread.join()
        sys.setswitchinterval(before)


async def run_tasks(db: striate.AsyncDatabase, recorder: history.Recorder, seed: str, workers: int, steps: int) -> None:
    """Some tasks, so many transactions each."""
    started = itertools.count()

    async def work(number: int) -> None:
        appender = Appender(db, recorder, f"{seed}/{number}", started)
        for _ in range(steps):
            await appender.once_async(db)

    await asyncio.gather(*(work(number) for number in range(workers)))


# ---------------------------------------------------------------- a child to be killed

OPTIONS: dict[str, Any] = {"segment_bytes": 16384, "compaction_interval_s": 0.005}
FOREVER = 10**9


def run(path: str, seed: str, durability: Any, style: str, workers: int, file: str) -> None:
    """Open the database and append until killed; says when it opens and when it is open."""
    os.write(1, b"opening\n")
    with history.Recorder(file) as recorder:
        if style == "threads":
            with striate.open(path, durability, **OPTIONS) as db:
                os.write(1, b"open\n")
                run_threads(db, recorder, seed, workers, FOREVER)
        else:
            asyncio.run(_run_tasks(path, seed, durability, workers, recorder))


async def _run_tasks(path: str, seed: str, durability: Any, workers: int, recorder: history.Recorder) -> None:
    async with striate.aopen(path, durability, **OPTIONS) as db:
        os.write(1, b"open\n")
        await run_tasks(db, recorder, seed, workers, FOREVER)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6])
