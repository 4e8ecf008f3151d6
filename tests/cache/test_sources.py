"""Changes that are made on behalf of others say so, and those of the cache itself do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import striate
from striate import Cache, MemoryStorage
from tests.cache.conftest import Clock
from tests.cache.test_changes import DONE


@pytest.mark.parametrize("name", DONE)
def test_every_change_says_whose_it_is(name: str, cache: Cache[bytes]) -> None:
    act, expected = DONE[name]
    cache.set("k", b"old", tags=["t"])
    replica = cache.from_source("node-2")
    with cache.changes() as changes:
        act(replica)
        told = changes.poll()
        assert [(change.kind, change.source) for change in told] == [(kind, "node-2") for kind, *_ in expected]
        cache.set("k", b"old", tags=["t"])
        changes.poll()
        act(cache)
        assert {change.source for change in changes.poll()} <= {None}


def test_it_is_the_same_cache() -> None:
    cache: Cache[Any] = Cache(max_items=100, ttl=60, codec="json", compress_from=10)
    replica = cache.from_source("node-2")
    replica.set("a", {"x": "y" * 100})
    assert cache["a"] == replica["a"] == {"x": "y" * 100} and 59 < (replica.expires_in("a") or 0) <= 61
    assert cache.stats() == replica.stats() and isinstance(replica, Cache) and replica.incr("n") == cache.incr("n") - 1
    replica.clear()
    assert len(cache) == 0


def test_two_sources_and_arrays_of_keys(cache: Cache[bytes]) -> None:
    one, two = cache.from_source("one"), cache.from_source("two")
    keys = np.array([b"a", b"b"])
    with cache.changes() as changes:
        one.set_many({b"a": b"", b"b": b""})
        two.delete_many(keys)
        cache.from_source("one")[b"c"] = b""  # keys that are bytes go another way than text
        two.pop(b"c")
        assert [change.source for change in changes.poll()] == ["one", "one", "two", "two", "one", "two"]


def test_what_the_cache_does_itself_is_its_own(make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    cache = make(max_items=2)
    replica = cache.from_source("node-2")
    with cache.changes() as changes:
        replica.set("a", b"", ttl=5)
        clock.move(5)
        assert replica.get("a") is None
        for number in range(4):
            replica.set(str(number), b"")
        found = [(change.kind, change.source) for change in changes.poll()]
    assert sorted(set(found)) == [("created", "node-2"), ("evicted", None), ("expired", None)]


def test_a_removal_leaves_no_mark_for_the_next_one(make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    cache = make(stripes=1)
    replica = cache.from_source("node-2")
    cache.set_many({"a": b"", "b": b""})
    cache.set("c", b"", ttl=1)
    with cache.changes() as changes:
        replica.delete("a")
        clock.move(1)
        cache.expire()
        cache.delete("b")
        assert [change.source for change in changes.poll()] == ["node-2", None, None]
    replica.delete_prefix("none")
    cache.set("d", b"")
    with cache.changes() as changes:
        cache.clear()
        assert [change.source for change in changes.poll()] == [None]


def test_namespaces_and_storages(cache: Cache[bytes]) -> None:
    users = cache.from_source("node-2").namespace("users")
    with cache.namespace("users").changes() as changes:
        users.set("a", b"1")
        assert [change.source for change in changes.poll()] == ["node-2"]
    stored = Cache(storage=MemoryStorage())
    replica = stored.from_source("node-2")
    with stored.changes() as changes:
        replica.set("a", b"1")
        stored.forget()
        assert replica["a"] == b"1" and stored.delete("a")
        found = [(change.kind, change.source) for change in changes.poll()]
    assert found == [("created", "node-2"), ("deleted", None), ("created", "node-2"), ("deleted", None)]


def test_wrong_sources(cache: Cache[bytes]) -> None:
    with pytest.raises(striate.InvalidTypeError):
        cache.from_source(5)  # type: ignore[arg-type]


def test_two_nodes_that_pass_changes_on_announce_nothing_twice() -> None:
    nodes: dict[str, Cache[bytes]] = {"a": Cache(), "b": Cache()}
    listeners = {name: cache.changes() for name, cache in nodes.items()}
    nodes["a"].set("k", b"1")
    nodes["b"].set("l", b"2")
    passed = []
    for _ in range(3):
        for name, other in (("a", "b"), ("b", "a")):
            for change in listeners[name].poll():
                if change.source is None:
                    passed.append((name, change.key))
                    nodes[other].from_source(name).set(change.key, change.new)  # type: ignore[arg-type]
    assert passed == [("a", b"k"), ("b", b"l")] and dict(nodes["a"]) == dict(nodes["b"]) == {b"k": b"1", b"l": b"2"}
