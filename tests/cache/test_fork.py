"""Forks while other threads use a cache: both processes go on."""

from __future__ import annotations

import threading

import pytest

from striate import Cache
from tests.cache.conftest import child_ends_well

FORKS = 30
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.mark.parametrize("ttl", [None, 0.01])
@pytest.mark.parametrize("listening", [False, True])
def test_forks_under_load(ttl: float | None, listening: bool) -> None:
    caches = [Cache(max_items=1_000, ttl=ttl), Cache(max_bytes=300_000, ttl=ttl, stripes=16)]
    listeners = [cache.changes() for cache in caches] if listening else []
    keys = [str(number) for number in range(3_000)]
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            for cache in caches:
                cache.set_many(dict.fromkeys(keys, b"x" * 100))
                cache.get_many(keys[:1_000])

    def use() -> None:
        for cache in caches:
            cache.set("x", b"1")
            cache.set_many(dict.fromkeys(keys[:100], b"y"))
            assert cache.get_many(["none"]) == [None]
            list(cache)
            cache.stats()
            cache.clear()
            assert len(cache) == 0

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert all(child_ends_well(use) for _ in range(FORKS))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for listener in listeners:
        listener.close()
    for cache in caches:
        cache["x"] = b"1"  # the parent's locks are given back too
        assert cache.striped.counts()["entries"] >= 1


def test_caches_come_and_go_between_forks() -> None:
    caches = [Cache() for _ in range(5)]
    del caches[3], caches[0]
    assert child_ends_well(lambda: [cache.set("a", b"1") for cache in caches] + [Cache().set("a", b"1")])
    caches.clear()
    assert child_ends_well(lambda: Cache().set("a", b"1"))
