"""A child process that moves money between accounts, in threads or tasks, and says what was acknowledged.

Each transfer is one transaction over three tables: two balances, and a line of the journal. After any death the
journal must explain the balances, hold every acknowledged transfer, and no more than one of each thread beyond those.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

import striate
from support.appends import OPTIONS

ACCOUNTS = 12
START = 1000


def name(number: int) -> bytes:
    return b"account %d" % number


class Worker:
    """The transfers of one thread or task: each is planned, and then tried until it is committed."""

    def __init__(self, db: striate.Database | striate.AsyncDatabase, seed: str, number: int) -> None:
        self.balances, self.journal, self.counts = db.table("balances"), db.table("journal"), db.table("counts")
        self.chance = random.Random(f"{seed} {number}")
        self.own = b"%s %d" % (seed.encode(), number)
        self.line = self.before = b""

    def plan(self, step: int) -> None:
        self.step = step
        self.source, self.target = self.chance.sample(range(ACCOUNTS), 2)
        self.amount = self.chance.randrange(50)
        self.line = b"%d %d %d" % (self.source, self.target, self.amount)
        self.padding = b" " * self.chance.choice([0, 0, 500])

    def transfer(self, tx: Any) -> None:
        balances, journal = tx[self.balances], tx[self.journal]
        balances[name(self.source)] = b"%d" % (int(balances.get(name(self.source), START)) - self.amount)
        balances[name(self.target)] = b"%d" % (int(balances.get(name(self.target), START)) + self.amount)
        journal[b"%s %d" % (self.own, self.step)] = self.line + self.padding
        tx[self.counts][self.own] = b"%d" % (self.step + 1)
        if self.step % 3 == 2:
            # Something is taken away in each third.
            del journal[b"%s %d" % (self.own, self.step - 1)]
            journal[b"%s %d merged" % (self.own, self.step - 1)] = self.before


def run(path: str, seed: str, durability: Any, style: str, workers: int) -> None:
    """Open the database and move money until killed; says when it opens, when it is open, and what is done."""
    os.write(1, b"opening\n")
    if style == "tasks":
        asyncio.run(_run_tasks(path, seed, durability, workers))
        return
    with striate.open(path, durability, **OPTIONS) as db:
        os.write(1, b"open\n")

        def work(number: int) -> None:
            worker = Worker(db, seed, number)
            for step in range(1_000_000):
                worker.plan(step)
                db.transact(worker.transfer, retries=100_000)
                worker.before = worker.line
                os.write(1, b"done %d %d\n" % (number, step))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


async def _run_tasks(path: str, seed: str, durability: Any, workers: int) -> None:
    async with striate.aopen(path, durability, **OPTIONS) as db:
        os.write(1, b"open\n")

        async def work(number: int) -> None:
            worker = Worker(db, seed, number)

            async def body(tx: Any) -> None:
                worker.transfer(tx)
                await asyncio.sleep(0)  # lets others in between

            for step in range(1_000_000):
                worker.plan(step)
                await db.transact(body, retries=100_000)
                worker.before = worker.line
                os.write(1, b"done %d %d\n" % (number, step))

        await asyncio.gather(*(work(number) for number in range(workers)))


def check(path: Path, durability: Any, done: dict[bytes, int]) -> dict[bytes, int]:
    """Open what a killed child left.

    Args:
        done: how many transfers of each worker (seed and number) were acknowledged, of this and earlier children.

    Returns:
        How many there are.
    """
    with striate.open(path, durability, **OPTIONS) as db:
        balances, journal, counts = db.table("balances"), db.table("journal"), db.table("counts")
        found = {own: int(count) for own, count in counts.items()}
        expected = dict.fromkeys(map(name, range(ACCOUNTS)), START)
        met: dict[bytes, set[int]] = {own: set() for own in found}
        for key, line in journal.items():
            words = key.removesuffix(b" merged").rpartition(b" ")
            met[words[0]].add(int(words[2]))
            source, target, amount = map(int, line.split())
            expected[name(source)] -= amount
            expected[name(target)] += amount
        assert met == {own: set(range(count)) for own, count in found.items()}, "the journal has every step once"
        actual = {key: int(value) for key, value in balances.items()}
        assert actual == {key: value for key, value in expected.items() if key in actual}
        assert sum(expected.values()) == ACCOUNTS * START
        assert all(expected[key] == START for key in set(expected) - set(actual))
        for own, count in done.items():
            assert count <= found.get(own, 0) <= count + 1, f"{own!r}: {count} acknowledged, {found.get(own, 0)} there"
        assert set(found) <= set(done)
    return found


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
