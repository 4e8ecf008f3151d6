"""Typed values, compression, namespaces, tags and prefixes; the background sweep; arrays of keys."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from striate import Cache, PickleCodec, errors
from striate.storage import sweeper
from tests.cache.conftest import Clock


@dataclass
class User:
    name: str
    age: int


VALUES: list[tuple[Any, Any]] = [
    ("json", {"a": [1, 2.5, None, "x"]}),
    ("msgpack", {"a": [1, 2.5, None, b"x"]}),
    (PickleCodec(), {"a": {1, 2}, "b": 3 + 4j}),
]


@pytest.mark.parametrize(("codec", "value"), VALUES, ids=["json", "msgpack", "pickle"])
@pytest.mark.parametrize("compress_from", [None, 0, 100])
def test_values_come_back_equal_and_unshared(codec: Any, value: Any, compress_from: int | None) -> None:
    cache: Cache[Any] = Cache(codec=codec, compress_from=compress_from)
    cache.set("k", value)
    cache.set_many({"m": value})
    assert cache.get("k") == cache["m"] == value
    assert cache.get_many(["k", "none"]) == [value, None]
    assert dict(cache.items()) == {b"k": value, b"m": value} and list(cache.values()) == [value, value]
    found = cache.get_versioned("k")
    assert found is not None and cache.cas("k", value, found[1])
    cache.get("k")["a"] = None
    assert cache.get("k") == value
    assert cache.pop("k") == value and cache.setdefault("k", value) == value


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_a_type_is_decoded_to_and_checked(codec: str) -> None:
    cache: Cache[User] = Cache(codec=codec, type=User)
    cache.set("u", User("ann", 3))
    assert cache.get("u") == User("ann", 3)
    cache.set("u", {"name": 5})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="str"):
        cache.get("u")


@pytest.mark.parametrize("codec", ["json", "msgpack", PickleCodec()], ids=str)
def test_numbers_of_a_codec(codec: Any) -> None:
    cache: Cache[Any] = Cache(codec=codec)
    assert cache.incr("n", 5) == 5 and cache.incr("n", -7) == -2
    assert cache.get("n") == -2
    cache.set("n", 10)
    assert cache.incr("n") == cache.get("n") == 11
    cache.set("text", "x")
    with pytest.raises(errors.NotANumberError):
        cache.incr("text")
    with pytest.raises(KeyError):
        cache.incr("none", initial=None)


def test_compression_saves_where_it_can(make: Callable[..., Cache[bytes]]) -> None:
    cache = make(compress_from=100)
    cache.set(b"plain", bytes(99))
    before = cache.stats().bytes
    cache.set(b"packed", bytes(100_000))
    assert cache.stats().bytes - before < 1_000
    cache.set_many({b"packed": bytes(100_000), b"random": np.random.default_rng(1).bytes(1_000)})
    assert cache.get(b"packed") == bytes(100_000) and len(cache.get(b"random", b"")) == 1_000
    assert cache.get_many([b"plain", b"packed"]) == [bytes(99), bytes(100_000)]


# ---------------------------------------------------------------- namespaces, tags


def test_namespaces_keep_their_own(clock: Clock) -> None:
    cache = Cache(max_items=100, clock=clock)
    users, posts = cache.namespace("users", codec="json", ttl=10), cache.namespace("posts")
    for space, value in ((cache, b"0"), (users, {"x": 1}), (posts, b"2")):
        space.set("k", value)
    assert (cache.get("k"), users.get("k"), posts.get("k")) == (b"0", {"x": 1}, b"2")
    assert list(users) == [b"k"] and len(users) == len(posts) == len(cache) == 1
    users.get("none")
    assert (users.stats().misses, posts.stats().misses, cache.stats().misses) == (1, 0, 0)
    assert cache.namespace("users", codec="json").get("k") == {"x": 1}
    clock.move(10)
    assert len(users) == 0 and users.stats().expirations == 1 and len(posts) == 1
    posts.clear()
    assert len(posts) == 0 and len(cache) == 1
    posts.set("k", b"3")
    cache.clear()
    assert len(posts) == 1 and len(cache) == 0


def test_namespaces_share_the_bounds() -> None:
    cache = Cache(max_items=50)
    spaces = [cache, cache.namespace("a"), cache.namespace("b")]
    for number in range(100):
        for space in spaces:
            space.set(str(number), b"")
    assert sum(map(len, spaces)) == 50
    assert sum(space.stats().evictions for space in spaces) == 250


def test_namespaces_that_cannot_be() -> None:
    cache = Cache()
    with pytest.raises(errors.InvalidTypeError):
        cache.namespace(5)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgumentError):
        cache.namespace("a").namespace("b")
    for number in range(254):
        cache.namespace(f"n{number}")
    with pytest.raises(errors.InvalidArgumentError):
        cache.namespace("one too many")


def test_tags(cache: Cache[bytes]) -> None:
    cache.set("a", b"", tags=["red", "green"])
    cache.set_many({"b": b"", "c": b""}, tags=[b"red"])
    cache.set("d", b"", tags=[])
    cache.add("e", b"", tags=("blue",))
    assert cache.delete_tag("green") == 1 and cache.delete_tag("green") == 0
    assert cache.delete_tag("red") == 2
    assert sorted(cache) == [b"d", b"e"]
    for tags in ("red", b"red", [5], ["x"] * 256):
        with pytest.raises((errors.InvalidTypeError, errors.InvalidArgumentError)):
            cache.set("f", b"", tags=tags)  # type: ignore[arg-type]
    cache.set("f", b"", tags=[str(number) for number in range(255)])
    assert cache.delete_tag("254") == 1


def test_prefixes(cache: Cache[bytes]) -> None:
    cache.set_many({f"user:{number}": b"" for number in range(1_000)} | {"used": b""})
    assert len(list(cache.scan("user:99"))) == 11
    assert cache.delete_prefix("user:") == 1_000 and list(cache) == [b"used"]


# ---------------------------------------------------------------- arrays of keys


@pytest.mark.parametrize(
    "array",
    [
        np.array([b"a", b"bb", b"", b"ccc"]),
        np.array([b"a", b"bb", b"", b"ccc"], "S9"),
        np.arange(4, dtype="<u8"),
        np.arange(4, dtype="<i4"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_of_keys(array: Any, cache: Cache[bytes]) -> None:
    keys = [bytes(item) if array.dtype.kind == "S" else item.tobytes() for item in array]
    cache.set_many({key: b"v" + key for key in keys[:3]})
    assert cache.get_many(array) == [b"v" + key for key in keys[:3]] + [None]
    assert cache.delete_many(array) == 3 and len(cache) == 0
    assert cache.get_many(array[:0]) == []


def test_arrays_that_cannot_be(cache: Cache[bytes]) -> None:
    for array in (np.zeros((2, 2)), np.zeros(8)[::2], np.array([None])):
        with pytest.raises((errors.InvalidArgumentError, errors.InvalidTypeError)):
            cache.get_many(array)
    for keys in (b"abc", "abc"):
        with pytest.raises(errors.InvalidTypeError):
            cache.get_many(keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("keys", [[], (), {}, {b"a": 1}, {b"a"}, iter([b"a", b"a"])], ids=str)
def test_any_iterable_of_keys(keys: Any, cache: Cache[bytes]) -> None:
    cache.set(b"a", b"1")
    count = 2 if not hasattr(keys, "__len__") else len(keys)
    assert cache.get_many(keys) == [b"1"] * count


# ---------------------------------------------------------------- the background sweep


def test_expired_entries_go_without_anybody_asking() -> None:
    cache = Cache()
    cache.set_many({str(number): b"" for number in range(1_000)}, ttl=0.05)
    assert sweeper.sweeper.running
    pause = threading.Event()
    for _ in range(600):
        if cache.striped.counts()["entries"] == 0:
            break
        pause.wait(0.05)
    assert cache.striped.counts()["expirations"] == 1_000


def test_an_entry_never_goes_early_on_the_real_clock() -> None:
    cache = Cache()
    pause = threading.Event()
    for _ in range(20):
        cache.set("k", b"", ttl=0.02)
        begun = cache.time_ns()
        while "k" in cache:
            pause.wait(0.001)
        assert cache.time_ns() - begun >= 0.02 * 1e9
