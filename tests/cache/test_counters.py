"""What predicates count is what a look at all entries gives, at any time."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import striate
from striate import Cache, MemoryStorage
from tests.cache.conftest import Clock


@dataclass
class User:
    name: str
    age: int


def test_counters_follow_every_change(make: Callable[..., Cache[Any]], clock: Clock) -> None:
    users = make(codec="msgpack", type=User, max_items=3)
    users.set("1", User("ann", 40))
    users.add_counter("adults", lambda key, user: user.age >= 18)
    users.add_counter("ones", lambda key, user: key.startswith(b"1"))

    def counted() -> dict[str, int]:
        return users.stats().counters

    assert counted() == {"adults": 1, "ones": 1}
    users.set("2", User("bob", 5), ttl=10)
    users.set("10", User("eve", 18), ttl=5)
    assert counted() == {"adults": 2, "ones": 2}
    users.set("1", User("ann", 4))
    assert counted() == {"adults": 1, "ones": 2}
    clock.move(5)
    assert counted() == {"adults": 0, "ones": 1}
    for number in range(20, 30):
        users.set(str(number), User("x", 18))
    assert counted()["adults"] == sum(user.age >= 18 for user in users.values())
    users.clear()
    assert counted() == {"adults": 0, "ones": 0}
    assert users.remove_counter("ones") and not users.remove_counter("ones") and counted() == {"adults": 0}


@pytest.mark.parametrize("seed", range(5))
def test_against_a_look_at_all(seed: int, make: Callable[..., Cache[Any]], clock: Clock) -> None:
    choose = random.Random(seed)
    cache = make(max_items=20, codec="json", stripes=1)
    other = cache.namespace("other", codec="json")
    for each in (cache, other):
        each.add_counter("even", lambda key, value: value is None or value % 2 == 0)
    for _ in range(2000):
        each, key = choose.choice([cache, other]), str(choose.randrange(40))
        match choose.randrange(8):
            case 0:
                each.delete(key)
            case 1:
                each.set_many({str(choose.randrange(40)): choose.choice([None, 1, 2]) for _ in range(5)})
            case 2:
                clock.move(0.5)
            case 3 if choose.random() < 0.05:
                each.clear()
            case _:
                each.set(key, choose.randrange(10), ttl=choose.choice([None, 1, 3]))
        if choose.random() < 0.3:
            for looked in (cache, other):
                expected = sum(value is None or value % 2 == 0 for value in looked.values())
                assert looked.stats().counters == {"even": expected}


def test_more_changes_than_are_kept() -> None:
    cache = Cache()
    cache.add_counter("all", lambda key, value: True)
    for _ in range(70):
        cache.set_many({b"%d" % number: b"" for number in range(1000)})
    cache.delete("5")
    assert cache.stats().counters == {"all": 999}


def test_a_predicate_that_fails(cache: Cache[bytes]) -> None:
    def picky(key: bytes, value: bytes) -> bool:
        return int(value) > 5

    cache.set("a", b"no number")
    with pytest.raises(ValueError, match="no number"):
        cache.add_counter("large", picky)
    assert cache.stats().counters == {}
    cache.set("a", b"7")
    cache.add_counter("large", picky)
    cache.set_many({"b": b"8", "c": b"none", "d": b"9"})
    for _ in range(2):
        with pytest.raises(ValueError, match="none"):
            cache.stats()
    cache.set("c", b"1")
    assert cache.stats().counters == {"large": 3}


def test_wrong_arguments(cache: Cache[bytes]) -> None:
    with pytest.raises(striate.InvalidTypeError):
        cache.add_counter(5, bool)  # type: ignore[arg-type]
    with pytest.raises(striate.InvalidTypeError):
        cache.add_counter("a", 5)  # type: ignore[arg-type]


def test_the_same_name_again_and_whoever_looks(cache: Cache[bytes]) -> None:
    cache.set_many({"a": b"1", "b": b"2"})
    cache.add_counter("n", lambda key, value: value == b"1")
    cache.add_counter("n", lambda key, value: True)
    assert cache.from_source("node-2").stats().counters == {"n": 2}
    cache.add_counter("self", lambda key, value: cache.stats().entries == 2)
    assert cache.stats().counters["self"] == 2


def test_a_cache_with_a_storage_counts_what_is_in_memory() -> None:
    cache = Cache(storage=MemoryStorage())
    cache.add_counter("all", lambda key, value: True)
    cache.set("a", b"1")
    assert cache.stats().counters == {"all": 1}
    cache.forget()
    assert cache.stats().counters == {"all": 0} and cache["a"] == b"1" and cache.stats().counters == {"all": 1}


def test_threads_write_while_others_look() -> None:
    cache = Cache(max_items=500, codec="json")
    cache.add_counter("even", lambda key, value: value % 2 == 0)
    done = threading.Event()
    looks = 0

    def write(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(3000):
            key = choose.randrange(600)
            if choose.random() < 0.2:
                cache.delete(str(key))
            else:
                cache.set(str(key), choose.randrange(10))

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            assert 0 <= cache.stats().counters["even"] <= 600
            looks += 1

    looker = threading.Thread(target=look)
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in (looker, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    looker.join()
    assert looks and cache.stats().counters["even"] == sum(value % 2 == 0 for value in cache.values())
