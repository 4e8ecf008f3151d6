"""A child process that consumes, processes and produces: a stream of numbers, workers of a group, a stream of results.

One thread appends numbers and says which were acknowledged; each worker reads through the group and, in one
transaction, appends results, counts them and acknowledges. After any death each number has given one result or is
still to be worked on, never both and never twice.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

import striate

OPTIONS: dict[str, Any] = {"segment_bytes": 65536}


def process(db: striate.Database, group: striate.Group[bytes], chance: random.Random, name: str) -> None:
    """Work for ever; now and then forget what was read, and take over what others forgot."""
    results, counts = db.stream("results"), db.table("counts")
    while True:
        entries = group.read(name, count=chance.randrange(1, 20), timeout=0.01)
        if chance.random() < 0.1:
            continue
        if chance.random() < 0.2:
            entries = group.auto_claim(name, 0.0, count=10)[1]

        def work(tx: striate.Transaction, entries: list[striate.StreamEntry] = entries) -> None:
            tx[results].append_many([entry.value for entry in entries])
            tx[counts].increment("results", len(entries))
            tx[group].acknowledge(entries)

        try:
            if entries:
                db.transact(work, retries=100)
        except striate.ConflictError:
            pass  # another worker has taken some of them over and was quicker


def run(path: Path, seed: str, durability: Any, worker_count: int) -> None:
    os.write(1, b"opening\n")
    with striate.open(path, durability, compaction_interval_s=0.02, **OPTIONS) as db:
        os.write(1, b"open\n")
        numbers = db.stream("numbers")
        group = numbers.group("workers", "0")
        chance = random.Random(seed)
        for worker in range(worker_count):
            own = random.Random(f"{seed} {worker}")
            threading.Thread(target=process, args=(db, group, own, f"worker {worker}"), daemon=True).start()
        next_number = int(next(numbers.reverse_range(count=1)).value) + 1 if len(numbers) else 0
        while True:
            count = chance.choice([1, 1, 1, 10])
            numbers.append_many([b"%d" % number for number in range(next_number, next_number + count)])
            next_number += count
            os.write(1, b"done %d\n" % next_number)
            if chance.random() < 0.02 and (info := group.info()).first_pending is not None:
                numbers.trim(before=min(info.first_pending, info.last_id))


def check(path: Path, durability: Any, done: int) -> int:
    """Open what a killed child left.

    Args:
        done: how many numbers were acknowledged, of this and earlier children.

    Returns:
        How many there are.
    """
    with striate.open(path, durability, compaction_interval_s=None, **OPTIONS) as db:
        numbers, results, counts = db.stream("numbers"), db.stream("results"), db.table("counts")
        added = numbers.info().added
        assert done <= added, f"{done} numbers were acknowledged, {added} are there"
        there = {entry.id: int(entry.value) for entry in numbers}
        assert list(there.values()) == list(range(added - len(there), added))
        got = [int(entry.value) for entry in results]
        assert len(set(got)) == len(got) == int(counts.get("results", b"0")), "a number has two results"
        if "workers" not in numbers.groups():
            assert not got
            return added
        group = numbers.group("workers")
        pending = {there[one.id] for one in group.pending(count=None)}
        to_come = {number for id, number in there.items() if id > group.info().last_id}
        assert len(pending) == group.info().pending and len(to_come) == group.info().lag
        assert sorted([*got, *pending, *to_come]) == list(range(added)), "each number once: done, pending or to come"
        return added


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
