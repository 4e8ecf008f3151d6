"""Bounds are never passed, figures are exact, and what goes is what is used least."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from striate import Cache, errors


def cost_of(key: bytes, value: bytes, *, timed: bool = False, idle: bool = False, tags: int = 0) -> int:
    """What an entry counts, as the documentation has it."""
    size = 16 + 16 * timed + 16 * idle + (8 + 8 * tags if tags else 0) + len(key) + len(value)
    if size > 8192:
        return -(-size // 8) * 8 + 16
    step = 8
    while size > 32 * step:
        step *= 2  # eight steps for each doubling beyond 256
    step = step if step == 8 else step * 2
    return -(-size // step) * step + 16


@pytest.mark.parametrize("size", [0, 1, 100, 223, 224, 225, 240, 241, 480, 481, 1000, 5000, 8_150, 8_177, 20_000])
def test_an_entry_counts_what_the_documentation_says(size: int, cache: Cache[bytes]) -> None:
    cache.set(b"key", bytes(size))
    assert cache.stats().bytes == cost_of(b"key", bytes(size))
    cache.set(b"key", bytes(size), ttl=10, tags=["a", "b"])
    assert cache.stats().bytes == cost_of(b"key", bytes(size), timed=True, tags=2)
    cache.set(b"key", bytes(size), idle=10)
    assert cache.stats().bytes == cost_of(b"key", bytes(size), timed=True, idle=True)
    cache.delete(b"key")
    assert (cache.stats().bytes, cache.stats().entries) == (0, 0)


def test_figures_stay_exact(make: Callable[..., Cache[bytes]], rng: random.Random) -> None:
    cache = make(max_bytes=300_000, max_items=700, stripes=4)
    model: dict[bytes, bytes] = {}
    for step in range(30_000):
        key = b"%d" % rng.randrange(2_000)
        if rng.random() < 0.7:
            model[key] = rng.randbytes(rng.choice([0, 10, 100, 500, 3_000]))
            cache.set(key, model[key])
        elif rng.random() < 0.5:
            assert cache.delete(key) <= (key in model)
        else:
            assert cache.get(key, model.get(key)) == model.get(key)
        if step % 500 == 0:
            held = dict(cache.items())
            stats = cache.stats()
            assert held.items() <= model.items()
            assert stats.bytes == sum(cost_of(bytes(key), value) for key, value in held.items()) <= 300_000
            assert stats.entries == len(held) == len(cache) <= 700
            assert stats.insertions == stats.entries + stats.evictions + stats.deletions
    assert cache.stats().evictions > 1000


@pytest.mark.parametrize("bound", [1, 2, 7, 100, 1_000, 5_000])
def test_the_number_of_entries_reaches_its_bound_and_no_more(bound: int) -> None:
    cache = Cache(max_items=bound)
    for number in range(3 * bound):
        cache.set(b"%d" % number, b"")
        assert cache.striped.counts()["entries"] <= bound
        assert cache.peek(b"%d" % number) == b""  # what was just stored is there
    assert len(cache) == bound


@pytest.mark.parametrize("stripes", [1, 8, 64])
def test_bytes_never_pass_their_bound(stripes: int, rng: random.Random) -> None:
    cache = Cache(max_bytes=200_000, stripes=stripes)
    for number in range(5_000):
        value = rng.randbytes(rng.choice([10, 1_000, 5_000, 150_000 if number % 100 == 0 else 1]))
        cache.set(b"%d" % number, value)
        assert cache.striped.counts()["bytes"] <= 200_000
        assert cache.peek(b"%d" % number) == value


def test_bulk_calls_keep_the_bounds(rng: random.Random) -> None:
    cache = Cache(max_bytes=100_000, max_items=500, stripes=8)
    for _ in range(50):
        cache.set_many({rng.randbytes(8): bytes(rng.randrange(2_000)) for _ in range(300)})
        assert cache.striped.counts()["bytes"] <= 100_000 and len(cache) <= 500


def test_an_entry_larger_than_the_cache(cache: Cache[bytes]) -> None:
    small = Cache(max_bytes=10_000)
    small.set_many({b"%d" % number: bytes(100) for number in range(20)})
    small.set(b"kept", b"value")
    with pytest.raises(errors.EntryTooLargeError) as caught:
        small.set(b"k", bytes(10_001))
    assert caught.value.size_bytes == 10_001
    with pytest.raises(errors.EntryTooLargeError):
        small.set_many({b"k": bytes(10_001)})
    with pytest.raises(errors.EntryTooLargeError):
        small.set(b"kept", bytes(10_001))
    assert small.get(b"k") is None and small.get(b"kept") == b"value" and len(small) == 21  # nothing made room for it


def test_growing_a_value_evicts_others_and_not_itself() -> None:
    cache = Cache(max_bytes=20_000, stripes=1)
    for number in range(100):
        cache.set(b"%d" % number, bytes(100))
    cache.set(b"99", bytes(15_000))
    assert cache.peek(b"99") == bytes(15_000) and 1 < len(cache) < 60


def test_what_is_used_stays(rng: random.Random) -> None:
    cache = Cache(max_items=1_000)
    used = [b"used %d" % number for number in range(500)]
    for key in used:
        cache.set(key, b"")
    for number in range(20_000):
        cache.get(rng.choice(used))
        cache.set(b"once %d" % number, b"")
    assert sum(key in cache for key in used) >= 495


def test_a_scan_leaves_the_popular_alone(rng: random.Random) -> None:
    cache = Cache(max_items=10_000)
    popular = [b"popular %d" % number for number in range(5_000)]
    for _ in range(3):
        for key in popular:
            if cache.get(key) is None:
                cache.set(key, b"")
    for number in range(50_000):
        cache.set(b"scan %d" % number, b"")
    # The sixteenth of the stripes that always judges by recency does forget them.
    assert sum(key in cache for key in popular) >= 4_600


# ---------------------------------------------------------------- statistics


def test_statistics(make: Callable[..., Cache[bytes]], clock: Any) -> None:
    cache = make(ttl=10)
    cache.set_many({b"a": b"1", b"b": b"2", b"c": b"3"})
    cache.set(b"a", b"4")
    cache.get(b"a")
    cache.get_many([b"b", b"none"])
    cache.get(b"none")
    assert b"a" in cache and cache.peek(b"none") is None  # not counted
    cache.delete(b"b")
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.hit_ratio) == (2, 2, 0.5)
    assert (stats.insertions, stats.updates, stats.deletions) == (3, 1, 1)
    assert (stats.entries, stats.expirations, stats.evictions) == (2, 0, 0)
    clock.move(10)
    assert (cache.stats().entries, cache.stats().expirations) == (0, 2)
    assert cache.stats().memory_bytes > 0 and Cache().stats().hit_ratio == 0


def test_memory_goes_back(cache: Cache[bytes]) -> None:
    empty = cache.stats().memory_bytes
    for number in range(20_000):
        cache.set(b"%d" % number, bytes(1_000))
    full = cache.stats().memory_bytes
    assert 20_000 * 1_000 < full < 20_000 * 1_300
    for number in range(20_000):
        cache.delete(b"%d" % number)
    assert cache.stats().memory_bytes < full / 4  # cells in use again: at most one chunk of each size and stripe
    cache.clear()
    assert cache.stats().memory_bytes < empty + 100_000


# ------------------------------------------------------------ policies


def hit_ratio(policy: Any, requests: list[int]) -> float:
    cache: Cache[bytes] = Cache(max_items=1000, policy=policy, hash_key=bytes(16), stripes=1)
    hits = 0
    for number in requests:
        key = b"%d" % number
        if cache.get(key) is None:
            cache.set(key, b"value")
        else:
            hits += 1
    return hits / len(requests)


def test_policies_differ_in_what_goes() -> None:
    chance = random.Random(1)
    shifting = [800 * part + chance.randrange(800) for part in range(20) for _ in range(4000)]
    scanned = []
    for _ in range(60):
        scanned += [chance.randrange(500) for _ in range(300)]
        scanned += [chance.randrange(1000, 1_000_000) for _ in range(1500)]
    assert hit_ratio("recency", shifting) > hit_ratio("frequency", shifting) + 0.3
    assert hit_ratio("frequency", scanned) > hit_ratio("recency", scanned) + 0.03
    for policy in ("lru", "", None, 1):
        with pytest.raises(errors.InvalidArgumentError):
            Cache(policy=policy)  # type: ignore[arg-type]
