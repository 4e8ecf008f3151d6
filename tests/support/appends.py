"""Transactions that append to lists and read them, recorded for striate.history; and a child that does nothing else.

Lists are values of two tables: numbers with commas between. A transaction reads and appends at random, reads whole
tables by scans, and takes back what it does after savepoints: of that no read may ever show anything.
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
LISTS = 4  # at once, in each table
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

    def __init__(self, tables: Sequence[Any], recorder: history.Recorder, seed: str, started: Iterator[int]) -> None:
        self.tables = tables
        self.recorder = recorder
        self.seed = seed
        self.started = started
        self.chance = random.Random(seed)
        self.values = itertools.count()

    def value(self) -> str:
        return f"{self.seed}.{next(self.values)}"

    def prefix(self) -> str:
        """What the keys of now begin with."""
        return f"{self.seed.partition('/')[0]}.{next(self.started) // LONGEST}."

    def body(self, tx: Any, recording: history.Recording) -> Iterator[None]:
        """The steps of a transaction; others may come in between."""
        prefix = self.prefix()
        for _ in range(self.chance.randrange(1, 5)):
            number = self.chance.randrange(len(self.tables))
            rows, key = tx[self.tables[number]], f"{prefix}{self.chance.randrange(LISTS)}"
            step = self.chance.random()
            if step < 0.4:
                recording.read(f"{number} {key}", decoded(rows.get(key)))
            elif step < 0.8:
                self.append(rows, key, recording, number)
            elif step < 0.9:
                found = dict(rows.scan(prefix))
                for each in range(LISTS):
                    recording.read(f"{number} {prefix}{each}", decoded(found.get(f"{prefix}{each}".encode())))
            else:
                with suppress(Undone), tx.savepoint():
                    recording.read(f"{number} {key}", decoded(rows.get(key)))
                    for table in self.tables:
                        tx[table][key] = b"taken back"
                    raise Undone
            yield

    def append(self, rows: Any, key: str, recording: history.Recording, number: int) -> None:
        value = self.value()
        recording.append(f"{number} {key}", value)
        rows[key] = ",".join([*decoded(rows.get(key)), value]).encode()

    def glance(self) -> None:
        """A read without a transaction: all at one moment too, in one table."""
        prefix, number = self.prefix(), self.chance.randrange(len(self.tables))
        keys = [f"{prefix}{each}" for each in range(LISTS)]
        with self.recorder.transaction() as recording:
            for key, stored in zip(keys, self.tables[number].get_many(keys), strict=True):
                recording.read(f"{number} {key}", decoded(stored))

    def once(self, db: striate.Database) -> None:
        """One transaction of a thread."""
        if self.chance.random() < 0.1:
            self.glance()
            return
        refused = striate.ConflictError
        with suppress(refused), self.recorder.transaction(fail=refused) as recording, db.transaction() as tx:
            for _ in self.body(tx, recording):
                pass

    async def once_async(self, db: striate.AsyncDatabase) -> None:
        """One transaction of a task."""
        if self.chance.random() < 0.1:
            self.glance()
            return
        refused = striate.ConflictError
        with suppress(refused), self.recorder.transaction(fail=refused) as recording:
            async with db.transaction() as tx:
                for _ in self.body(tx, recording):
                    await asyncio.sleep(0)


def read_all(db: striate.Database, file: Path, keys: Sequence[str]) -> None:
    """Record one more transaction, which reads these lists."""
    with history.Recorder(file) as recorder, recorder.transaction() as recording, db.transaction() as tx:
        rows = [tx[db.table(name)] for name in TABLES]
        for key in keys:
            number, _, name = key.partition(" ")
            recording.read(key, decoded(rows[int(number)].get(name)))


def keys_of(transactions: Sequence[history.Transaction]) -> list[str]:
    """The lists that a history tells of."""
    return sorted({str(key) for made in transactions for _, key, _ in made.operations})


def run_threads(db: striate.Database, recorder: history.Recorder, seed: str, workers: int, steps: int) -> None:
    """Some threads, so many transactions each."""
    started = itertools.count()

    def work(number: int) -> None:
        appender = Appender([db.table(name) for name in TABLES], recorder, f"{seed}/{number}", started)
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
        appender = Appender([db.table(name) for name in TABLES], recorder, f"{seed}/{number}", started)
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
