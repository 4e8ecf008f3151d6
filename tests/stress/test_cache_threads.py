"""Sixteen threads on one cache against models, and the table's C core under sanitizers."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.sanitized import TABLE_SOURCES, check_sanitized

from striate import Cache

pytestmark = pytest.mark.stress

THREADS = 16
STEPS = int(os.environ.get("STRIATE_STEPS", "62500"))  # a million in all


class Worker:
    """One thread with keys of its own, whose values it always knows, and counters that it shares."""

    def __init__(self, cache: Cache[bytes], number: int, seed: int) -> None:
        self.cache, self.number = cache, number
        self.rng = random.Random(seed * THREADS + number)
        self.model: dict[bytes, bytes] = {}
        self.added = 0

    def key(self) -> bytes:
        return b"%d of %d" % (self.rng.randrange(500), self.number)

    def value(self) -> bytes:
        return self.rng.randbytes(8) * self.rng.choice([0, 1, 10, 200, 2_000 if self.rng.random() < 0.05 else 5])

    def step(self) -> int:
        """One operation; how many keys it was about."""
        key, value, chance = self.key(), self.value(), self.rng.random()
        if chance < 0.3:
            assert self.cache.get(key) == self.model.get(key)
        elif chance < 0.5:
            self.cache.set(key, value, ttl=1_000 if chance < 0.4 else None)
            self.model[key] = value
        elif chance < 0.6:
            assert self.cache.delete(key) == (self.model.pop(key, None) is not None)
        elif chance < 0.7:
            found = self.cache.get_versioned(key)
            assert (found and found[0]) == self.model.get(key)
            if found:
                assert self.cache.cas(key, value, found[1])
                self.model[key] = value
        elif chance < 0.8:
            assert self.cache.add(key, value) == (key not in self.model)
            self.model.setdefault(key, value)
        elif chance < 0.9:
            self.cache.incr(b"shared %d" % self.rng.randrange(3))
            self.added += 1
        elif chance < 0.95:
            items = {self.key(): self.value() for _ in range(20)}
            self.cache.set_many(items)
            self.model.update(items)
            return len(items)
        else:
            keys = [self.key() for _ in range(20)]
            assert self.cache.get_many(keys) == [self.model.get(each) for each in keys]
            return len(keys)
        return 1

    def run(self) -> int:
        done = 0
        while done < STEPS:
            done += self.step()
        return done


@pytest.mark.parametrize("stripes", [1, 64])
@pytest.mark.timeout(900)
def test_a_million_operations_without_a_difference(stripes: int, seed: int) -> None:
    cache = Cache(stripes=stripes)
    workers = [Worker(cache, number, seed) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        done = sum(pool.map(Worker.run, workers))
    assert done >= THREADS * STEPS
    expected = {key: value for worker in workers for key, value in worker.model.items()}
    shared = sum(int(cache.pop(b"shared %d" % number)) for number in range(3))
    assert shared == sum(worker.added for worker in workers)
    assert dict(cache.items()) == expected
    assert cache.stats().entries == len(expected)


@pytest.mark.timeout(900)
def test_a_bounded_cache_keeps_its_bounds_under_threads(seed: int) -> None:
    cache = Cache(max_items=3_000, max_bytes=200_000, stripes=8)

    def work(number: int) -> None:
        rng = random.Random(seed + number)
        for _ in range(STEPS // 10):
            keys = [b"%d" % rng.randrange(20_000) for _ in range(10)]
            cache.set_many({key: key * rng.randrange(20) for key in keys})
            for key, value in zip(keys, cache.get_many(keys), strict=True):
                assert value is None or value == key * (len(value) // len(key))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    stats = cache.stats()
    assert len(cache) == stats.entries <= 3_000 and stats.bytes <= 200_000
    assert stats.insertions == stats.entries + stats.evictions


@pytest.mark.parametrize("sanitizers", ["thread", "address,undefined"])
@pytest.mark.timeout(600)
def test_the_core_under_sanitizers(sanitizers: str, tmp_path: Path) -> None:
    """No data race, no byte out of place: the C sources with a program of threads around them."""
    check_sanitized(Path(__file__).with_name("table_stress.c"), TABLE_SOURCES, sanitizers, tmp_path)
