"""What listeners are told, in which order, and what a slow one is told instead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from striate import Cache, CacheChange
from tests.cache.conftest import Clock

# what is done to a cache that holds key b"k" with b"old" → changes as (kind, key, old, new)
DONE: dict[str, tuple[Callable[[Cache[bytes]], Any], list[tuple[str, bytes, Any, Any]]]] = {
    "set anew": (lambda c: c.set("n", b"1"), [("created", b"n", None, b"1")]),
    "set": (lambda c: c.set("k", b"new"), [("replaced", b"k", b"old", b"new")]),
    "set to nothing": (lambda c: c.set("k", b""), [("replaced", b"k", b"old", b"")]),
    "add in vain": (lambda c: c.add("k", b"new"), []),
    "replace": (lambda c: c.replace("k", b"new"), [("replaced", b"k", b"old", b"new")]),
    "delete": (lambda c: c.delete("k"), [("deleted", b"k", b"old", None)]),
    "delete in vain": (lambda c: c.delete("none"), []),
    "pop": (lambda c: c.pop("k", None), [("deleted", b"k", b"old", None)]),
    "incr": (lambda c: (c.incr("n"), c.incr("n")), [("created", b"n", None, b"1"), ("patched", b"n", b"1", b"2")]),
    "touch": (lambda c: (c.touch("k"), c.touch("k", ttl=5)), []),
    "get": (lambda c: c.get("k"), []),
    "set_many": (lambda c: c.set_many({"k": b"x"}), [("replaced", b"k", b"old", b"x")]),
    "delete_many": (lambda c: c.delete_many(["k"]), [("deleted", b"k", b"old", None)]),
    "delete_prefix": (lambda c: c.delete_prefix("k"), [("deleted", b"k", b"old", None)]),
    "delete_tag": (lambda c: c.delete_tag("t"), [("deleted", b"k", b"old", None)]),
    "clear": (lambda c: c.clear(), [("deleted", b"k", b"old", None)]),
}


def told(changes: list[CacheChange]) -> list[tuple[str, bytes, Any, Any]]:
    return [(change.kind, change.key, change.old, change.new) for change in changes]


@pytest.mark.parametrize("name", DONE)
def test_what_is_told(name: str, cache: Cache[bytes]) -> None:
    act, expected = DONE[name]
    cache.set("k", b"old", tags=["t"])
    with cache.changes() as changes:
        act(cache)
        assert told(changes.poll()) == expected
    act(cache)  # nobody listens
    with cache.changes() as changes:
        assert changes.poll() == []


def test_expiry_and_eviction(make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    cache = make(max_items=2)
    with cache.changes() as changes:
        cache.set("a", b"1", ttl=5)
        clock.move(5)
        assert cache.get("a") is None
        for number in range(4):
            cache.set(str(number), b"")
        kinds = [change.kind for change in changes.poll()]
    assert kinds.count("expired") == 1 and kinds.count("evicted") == 2 and kinds.count("created") == 5


def test_sequences_grow_strictly_and_namespaces_are_told_apart() -> None:
    cache = Cache()
    users = cache.namespace("users", codec="json")
    with cache.changes() as own, users.changes() as theirs:
        for number in range(100):
            cache.set(str(number), b"")
            users.set(str(number), {"n": number})
        both = [own.poll(), theirs.poll()]
    for found in both:
        sequences = [change.sequence for change in found]
        assert len(found) == 100 and sequences == sorted(set(sequences))
    assert both[1][7].new == {"n": 7}


def test_a_slow_listener_is_told_what_it_missed(cache: Cache[bytes]) -> None:
    with cache.changes(limit=10) as slow, cache.changes(limit=1000) as quick:
        for number in range(100):
            cache.set(b"%d" % number, b"")
        assert len(quick.poll()) == 100
        found = slow.poll()
    assert (found[0].kind, found[0].missed) == ("missed", 90)
    assert [change.key for change in found[1:]] == [b"%d" % number for number in range(90, 100)]


def test_what_nobody_takes_is_bounded(cache: Cache[bytes]) -> None:
    with cache.changes(limit=65_536) as changes:
        for _ in range(70):
            cache.set_many({b"%d" % number: b"" for number in range(1_000)})
        found = changes.poll()
    assert found[0].kind == "missed" and found[0].missed + len(found) - 1 == 70_000


def test_get_waits(cache: Cache[bytes]) -> None:
    with cache.changes() as changes:
        assert changes.get(timeout=0) is None and changes.get(timeout=0.001) is None
        writer = threading.Thread(target=cache.set, args=("k", b"v"))
        writer.start()
        change = changes.get(timeout=60)
        writer.join()
        assert change is not None and (change.kind, change.key, change.new) == ("created", b"k", b"v")
    assert changes.get() is None and list(changes) == []


def test_every_change_reaches_every_listener_under_threads(cache: Cache[bytes]) -> None:
    """Replaying what one listener was told gives what the cache holds."""

    def write(factor: int) -> None:
        for number in range(2_000):
            cache.set(b"%d" % (number % 50), b"%d" % (number * factor))

    with cache.changes(limit=65_536) as changes:
        workers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        replayed = {}
        for change in changes.poll():
            assert change.old == replayed.get(change.key)
            replayed[change.key] = change.new
    assert replayed == dict(cache.items())
