"""Sixteen threads on the tables of one database against models: a million operations without a difference."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.sanitized import TABLE_SOURCES, check_sanitized

import striate
from striate.types import Durability

pytestmark = pytest.mark.stress

THREADS = 16
STEPS = int(os.environ.get("STRIATE_STEPS", "62500"))  # a million in all
SHARED = [b"shared %d" % number for number in range(3)]


class Worker:
    """One thread with keys of its own in two tables, whose values it always knows, and counters that it shares."""

    def __init__(self, db: striate.Database, number: int, seed: int) -> None:
        self.db, self.number = db, number
        self.tables = [db.table("one"), db.table("two")]
        self.counters = db.table("counters")
        self.rng = random.Random(seed * THREADS + number)
        self.models: list[dict[bytes, bytes]] = [{}, {}]
        self.added = 0

    def key(self) -> bytes:
        return b"%d of %d" % (self.rng.randrange(300), self.number)

    def value(self) -> bytes:
        return self.rng.randbytes(8) * self.rng.choice([0, 1, 10, 200 if self.rng.random() < 0.1 else 5])

    def step(self) -> int:
        """One operation; how many keys it was about."""
        which, chance = self.rng.randrange(2), self.rng.random()
        table, model = self.tables[which], self.models[which]
        if chance < 0.6:
            self.single(table, model, chance / 0.6)
        elif chance < 0.75:
            items = {self.key(): self.value() for _ in range(20)}
            table.set_many(items, ttl=1_000 if chance < 0.65 else None)
            model.update(items)
            return len(items)
        elif chance < 0.9:
            keys = [self.key() for _ in range(20)]
            assert table.get_many(keys) == [model.get(each) for each in keys]
            return len(keys)
        elif chance < 0.95:
            self.counters.increment(self.rng.choice(SHARED))
            self.added += 1
        else:
            return self.transaction()
        return 1

    def single(self, table: striate.Table[bytes], model: dict[bytes, bytes], chance: float) -> None:
        key, value = self.key(), self.value()
        if chance < 0.4:
            assert table.get(key) == model.get(key)
        elif chance < 0.65:
            table.set(key, value, ttl=1_000 if chance < 0.5 else None)
            model[key] = value
        elif chance < 0.75:
            assert table.delete(key) == (model.pop(key, None) is not None)
        elif chance < 0.85:
            found, version = table.get_with_version(key)
            assert found == model.get(key) and bool(version) == (key in model)
            assert table.cas(key, value, version)
            model[key] = value
        elif chance < 0.95:
            assert table.add(key, value) == (key not in model)
            model.setdefault(key, value)
        else:
            assert table.pop(key, None) == model.pop(key, None)

    def transaction(self) -> int:
        """Changes in all tables together; taken back with a quarter of them."""
        keys = [self.key() for _ in range(3)]
        value, counter = self.value(), self.rng.choice(SHARED)

        def change(tx: striate.Transaction) -> None:
            for table, model in zip(self.tables, self.models, strict=True):
                assert tx[table].get_many(keys) == [model.get(each) for each in keys]
                tx[table].set_many((each, value) for each in keys)
                tx[table].delete(keys[0])
            tx[self.counters].increment(counter)

        if self.rng.random() < 0.25:
            with self.db.transaction() as tx:
                change(tx)
                tx.rollback()
            return 0
        self.db.transact(change, retries=100_000)
        for model in self.models:
            model.update(dict.fromkeys(keys, value))
            del model[keys[0]]
        self.added += 1
        return 2 * len(keys) + 1

    def run(self) -> int:
        done = 0
        while done < STEPS:
            done += self.step()
        return done


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.timeout(900)
def test_a_million_operations_without_a_difference(tmp_path: Path, durability: Durability, seed: int) -> None:
    options = {"segment_bytes": 8 << 20, "compaction_interval_s": 0.2}
    with striate.open(tmp_path / "db", durability, **options) as db:
        workers = [Worker(db, number, seed) for number in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            done = sum(pool.map(Worker.run, workers))
        assert done >= THREADS * STEPS
        check(db, workers)
        db.compact()
        check(db, workers)
    for _ in range(2):
        with striate.open(tmp_path / "db", durability, **options) as db:
            check(db, workers)
        (tmp_path / "db" / "hints").unlink()


def check(db: striate.Database, workers: list[Worker]) -> None:
    for which, name in enumerate(("one", "two")):
        table = db.table(name)
        expected = {key: value for worker in workers for key, value in worker.models[which].items()}
        assert dict(table.scan()) == expected and len(table) == len(expected)
    assert sum(int(db.table("counters")[key]) for key in SHARED) == sum(worker.added for worker in workers)


@pytest.mark.parametrize("sanitizers", ["thread", "address,undefined"])
@pytest.mark.timeout(600)
def test_the_index_under_sanitizers(sanitizers: str, tmp_path: Path) -> None:
    """Transactions over two indexes, readers of both, a disk that comes behind: nobody sees one by half."""
    sources = [*TABLE_SOURCES, "keyindex", "keywalk"]
    check_sanitized(Path(__file__).with_name("keyindex_stress.c"), sources, sanitizers, tmp_path)
