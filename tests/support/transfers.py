"""A child process that moves money between accounts, in threads, and says what was acknowledged.

Each transfer is one transaction over three tables: two balances, and a line of the journal. After any death the
journal must explain the balances, hold every acknowledged transfer, and no more than one of each thread beyond those.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

import striate

ACCOUNTS = 12
START = 1000


def name(number: int) -> bytes:
    return b"account %d" % number


def run(path: Path, seed: str, durability: Any, thread_count: int) -> None:
    os.write(1, b"opening\n")
    with striate.open(path, durability, segment_bytes=65536) as db:
        os.write(1, b"open\n")
        balances, journal, counts = db.table("balances"), db.table("journal"), db.table("counts")

        def work(thread: int) -> None:
            chance = random.Random(f"{seed} {thread}")
            own = b"%s %d" % (seed.encode(), thread)
            for step in range(1_000_000):
                source, target = chance.sample(range(ACCOUNTS), 2)
                amount = chance.randrange(50)

                def transfer(tx: striate.Transaction) -> None:
                    before = int(tx[balances].get(name(source), START))
                    tx[balances][name(source)] = b"%d" % (before - amount)
                    tx[balances][name(target)] = b"%d" % (int(tx[balances].get(name(target), START)) + amount)
                    line = b"%d %d %d" % (source, target, amount)
                    tx[journal].set(b"%s %d" % (own, step), line + b" " * chance.choice([0, 0, 500]))
                    tx[counts][own] = b"%d" % (step + 1)
                    if step % 3 == 2:
                        # Something is taken away in each third.
                        del tx[journal][b"%s %d" % (own, step - 1)]
                        tx[journal].set(b"%s %d merged" % (own, step - 1), line_before[0])

                db.transact(transfer, retries=100_000)
                line_before = [b"%d %d %d" % (source, target, amount)]
                os.write(1, b"done %d %d\n" % (thread, step))

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(thread_count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def check(path: Path, durability: Any, done: dict[bytes, int]) -> dict[bytes, int]:
    """Open what a killed child left.

    Args:
        done: how many transfers of each worker (seed and thread) were acknowledged, of this and earlier children.

    Returns:
        How many there are.
    """
    with striate.open(path, durability, segment_bytes=65536) as db:
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
    run(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
