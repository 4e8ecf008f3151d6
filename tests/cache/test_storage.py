"""A cache with a storage: what goes where, and in which order."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import striate
from striate import Cache, MemoryStorage
from tests.cache.conftest import Clock

Make = Callable[..., Cache[Any]]


class Recording(MemoryStorage):
    """Notes what it is asked, and fails when told to."""

    def __init__(self, *, cache_enabled: bool = True) -> None:
        super().__init__(cache_enabled=cache_enabled)
        self.asked: list[str] = []
        self.failing = False

    def _note(self, what: str) -> None:
        if self.failing:
            raise OSError("the storage is away")
        self.asked.append(what)

    def put(self, key: bytes, value: bytes, expires: float | None, /) -> None:
        self._note(f"put {key!r}")
        super().put(key, value, expires)

    def get(self, key: bytes, /) -> tuple[bytes, float | None] | None:
        self._note(f"get {key!r}")
        return super().get(key)

    def delete(self, key: bytes, /) -> bool:
        self._note(f"delete {key!r}")
        return super().delete(key)

    def collect(self) -> Iterator[tuple[bytes, tuple[bytes, float | None]]]:
        self._note("collect")
        return super().collect()


@pytest.fixture
def storage() -> Recording:
    return Recording()


def test_writes_go_through_and_reads_come_from_memory(storage: Recording) -> None:
    cache = Cache(storage=storage)
    cache.set("a", b"1")
    assert cache["a"] == b"1" and cache.get("a") == b"1" and "a" in cache and cache.get_many(["a"]) == [b"1"]
    assert storage.rows == {b"a": (b"1", None)} and storage.asked == ["put b'a'"]
    assert cache.delete("a") and not cache.delete("a") and cache.get("a") is None
    assert storage.rows == {} and len(cache) == 0


def test_a_miss_reads_through_and_is_kept(storage: Recording) -> None:
    storage.rows[b"a"] = (b"1", None)
    cache = Cache(storage=storage)
    assert cache.peek("a") is None and len(cache) == 0
    assert cache.get("a") == b"1" and cache.get("a") == b"1" and cache.peek("a") == b"1"
    assert cache.get("none") is None and cache.get("none", 5) == 5 and cache.get_many(["a", "none"], b"") == [b"1", b""]
    assert storage.asked == ["get b'a'", "get b'none'", "get b'none'", "get b'none'"]
    with pytest.raises(KeyError):
        cache["none"]


def test_evicted_entries_are_read_again(storage: Recording) -> None:
    cache = Cache(max_items=10, storage=storage)
    cache.set_many({b"%d" % number: b"v%d" % number for number in range(100)})
    assert len(cache) == 10 and len(storage.rows) == 100
    assert [cache[b"%d" % number] for number in range(100)] == [b"v%d" % number for number in range(100)]
    assert len(cache) == 10 and cache.stats().evictions > 0


def test_without_memory(clock: Clock) -> None:
    storage = Recording(cache_enabled=False)
    cache = Cache(storage=storage, clock=clock)
    cache.set("a", b"1", ttl=5)
    assert cache["a"] == b"1" and cache["a"] == b"1" and "a" in cache and cache.expires_in("a") == 5
    assert cache.get_many(["a", "b"]) == [b"1", None]
    assert len(cache) == 0 and cache.peek("a") is None and cache.load() == 0 and storage.asked.count("get b'a'") == 5
    found = cache.get_versioned("a")
    assert found is not None and cache.cas("a", b"2", found[1]) and not cache.cas("a", b"3", found[1])
    assert cache.pop("a") == b"2" and storage.rows == {}


def test_switching_memory_off_and_on_gives_nothing_old(storage: Recording) -> None:
    cache = Cache(storage=storage)
    cache.set("a", b"1")
    storage.cache_enabled = False
    assert cache["a"] == b"1" and storage.asked[-1] == "get b'a'"
    cache.set("a", b"2")
    storage.cache_enabled = True
    assert cache["a"] == b"2"


WRITES: dict[str, Callable[[Cache[bytes]], Any]] = {
    "set": lambda c: c.set("k", b"new"),
    "item": lambda c: c.__setitem__("k", b"new"),
    "set_many": lambda c: c.set_many({"k": b"new"}),
    "update": lambda c: c.update(k=b"new"),
    "replace": lambda c: c.replace("k", b"new"),
    "add": lambda c: c.add("n", b"new"),
    "cas": lambda c: c.cas("k", b"new", 1),
    "incr": lambda c: c.incr("k"),
    "touch": lambda c: c.touch("k", ttl=1),
    "delete": lambda c: c.delete("k"),
    "del": lambda c: c.__delitem__("k"),
    "pop": lambda c: c.pop("k"),
    "pop or": lambda c: c.pop("k", None),
    "popitem": lambda c: c.popitem(),
    "delete_many": lambda c: c.delete_many(["k"]),
    "delete_prefix": lambda c: c.delete_prefix("k"),
    "clear": lambda c: c.clear(),
    "load": lambda c: c.load(),
    "get": lambda c: c.get("none"),
    "in": lambda c: "none" in c,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_failing_storage_changes_nothing(name: str, storage: Recording) -> None:
    cache = Cache(storage=storage)
    cache.set("k", b"5")
    storage.failing = True
    with pytest.raises(OSError, match="away"):
        WRITES[name](cache)
    assert dict(cache.items()) == {b"k": b"5"} and storage.rows == {b"k": (b"5", None)}
    storage.failing = False
    assert cache["k"] == b"5" and cache.add("n", b"1")


# name → what is done to a cache that has "k" = b"5" with 100 s to live, what it gives, and the rows that are left
DONE: dict[str, tuple[Callable[[Cache[bytes]], Any], Any, dict[bytes, tuple[bytes, float | None]]]] = {
    "add": (lambda c: c.add("k", b"n"), False, {b"k": (b"5", 1100)}),
    "add new": (lambda c: c.add("n", b"n", ttl=7), True, {b"k": (b"5", 1100), b"n": (b"n", 1007)}),
    "replace": (lambda c: c.replace("k", b"n"), True, {b"k": (b"n", 1010)}),
    "replace none": (lambda c: c.replace("n", b"n"), False, {b"k": (b"5", 1100)}),
    "set for ever": (lambda c: c.set("k", b"n", ttl=math.inf), None, {b"k": (b"n", None)}),
    "incr": (lambda c: c.incr("k", 3), 8, {b"k": (b"8", 1100)}),
    "incr new": (lambda c: c.incr("n", initial=10), 11, {b"k": (b"5", 1100), b"n": (b"11", 1010)}),
    "touch": (lambda c: c.touch("k", ttl=3), True, {b"k": (b"5", 1003)}),
    "touch default": (lambda c: c.touch("k"), True, {b"k": (b"5", 1010)}),
    "touch none": (lambda c: c.touch("n"), False, {b"k": (b"5", 1100)}),
    "pop": (lambda c: c.pop("k"), b"5", {}),
    "pop none": (lambda c: c.pop("n", 1), 1, {b"k": (b"5", 1100)}),
    "setdefault": (lambda c: c.setdefault("k", b"n"), b"5", {b"k": (b"5", 1100)}),
    "delete_many": (lambda c: c.delete_many(["k", "n"]), 1, {}),
    "delete_prefix": (lambda c: c.delete_prefix("k"), 1, {}),
    "clear": (lambda c: c.clear(), None, {}),
    "forget": (lambda c: c.forget("k"), None, {b"k": (b"5", 1100)}),
    "forget all": (lambda c: c.forget(), None, {b"k": (b"5", 1100)}),
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("name", DONE)
def test_what_depends_on_the_value_asks_the_storage(name: str, in_memory: bool, make: Make, storage: Recording) -> None:
    act, result, rows = DONE[name]
    cache = make(ttl=10, storage=storage)
    cache.set("k", b"5", ttl=100)
    if not in_memory:
        cache.forget("k")
    assert act(cache) == result and storage.rows == rows
    for key, (value, _) in rows.items():
        assert cache[key] == value
    assert dict(cache.items()) == {key: value for key, (value, _) in rows.items()}


def test_expiry(make: Make, clock: Clock, storage: Recording) -> None:
    cache = make(storage=storage, idle=3)
    cache.set("a", b"1", ttl=5)
    cache.forget("a")
    assert cache["a"] == b"1"
    clock.move(2.5)
    assert cache["a"] == b"1" and cache.expires_in("a") == 2.5
    clock.move(2.5)
    assert cache.get("a") is None and "a" not in cache and storage.rows != {}  # whose own it is to drop it
    assert cache.expires_in("a") is None and cache.add("a", b"2", ttl=math.inf)
    clock.move(100)
    assert len(cache) == 0 and cache["a"] == b"2"  # idle is of memory only


def test_values_are_encoded_once(storage: Recording) -> None:
    cache: Cache[Any] = Cache(storage=storage, codec="json", compress_from=10)
    cache.set("a", {"long": "x" * 1000})
    assert storage.rows[b"a"][0].startswith(b'{"long":"xxx')
    assert cache["a"] == {"long": "x" * 1000} and cache["a"] is not cache["a"]
    cache.forget()
    with cache.changes() as changes:
        assert cache["a"]["long"].startswith("x")
        assert [(change.kind, change.new) for change in changes.poll()] == [("created", {"long": "x" * 1000})]
    assert list(cache.values()) == [{"long": "x" * 1000}]
    assert cache.incr("n", 2) == 2 and cache.incr("n") == 3 and cache["n"] == 3
    with pytest.raises(striate.NotANumberError):
        cache.incr("a")


def test_numbers(storage: Recording) -> None:
    cache = Cache(storage=storage)
    cache.set("n", b"9223372036854775807")
    for bad in ("n", "text"):
        cache.add("text", b" 5")
        with pytest.raises(striate.NotANumberError):
            cache.incr(bad)
    with pytest.raises(KeyError):
        cache.incr("none", initial=None)
    assert cache.incr("n", -1) == 9223372036854775806 and cache.incr("m", -3) == -3 and cache.incr("m") == -2


def test_what_memory_cannot_hold_is_stored_all_the_same(storage: Recording) -> None:
    cache = Cache(max_bytes=1000, storage=storage)
    cache.set("a", b"small")
    cache.set("a", bytes(5000))
    assert cache["a"] == bytes(5000) and len(cache) == 0 and storage.rows[b"a"][0] == bytes(5000)


def test_versions_survive_eviction(storage: Recording) -> None:
    cache = Cache(storage=storage)
    cache.set("a", b"1")
    found = cache.get_versioned("a")
    assert found is not None
    cache.forget()
    assert cache.cas("a", b"2", found[1]) and not cache.cas("a", b"3", found[1]) and not cache.cas("n", b"3", 0)
    assert cache.get_versioned("none") is None


def test_wrong_calls_never_reach_the_storage(storage: Recording) -> None:
    cache = Cache(storage=storage)
    for wrong in (
        lambda: cache.set(5, b""),  # type: ignore[arg-type]
        lambda: cache.set("a", "text"),  # type: ignore[arg-type]
        lambda: cache.set("a", 5),  # type: ignore[arg-type]
        lambda: cache.set("a", b"", ttl=0),
        lambda: cache.set("a", b"", idle=-1),
        lambda: cache.set("a" * 70_000, b""),
        lambda: cache.set("a", b"", tags=["t"]),
        lambda: cache.set_many([("a", b""), ("b", 5)]),
        lambda: cache.delete_many("abc"),
        lambda: cache.delete_tag("t"),
        lambda: cache.namespace("n"),
        lambda: cache.get(5),  # type: ignore[call-overload]
    ):
        with pytest.raises((striate.InvalidArgumentError, striate.InvalidTypeError, striate.KeyTooLargeError)):
            wrong()
    assert storage.asked == [] and storage.rows == {}


def test_what_is_no_storage() -> None:
    class Half:
        def put(self) -> None: ...

    class Mine(Cache[bytes]):
        pass

    for wrong in (Half(), MemoryStorage, 5):
        with pytest.raises(striate.InvalidTypeError):
            Cache(storage=wrong)  # type: ignore[arg-type]
    with pytest.raises(striate.InvalidArgumentError):
        Mine(storage=MemoryStorage())
    with pytest.raises(striate.InvalidArgumentError):
        Cache().load()
    plain = Cache()
    plain.set("a", b"1")
    plain.set("b", b"1")
    plain.forget("a")
    assert list(plain) == [b"b"]
    plain.forget()
    assert not list(plain)


def test_a_storage_that_uses_its_own_cache_is_told() -> None:
    class Circular(MemoryStorage):
        def get(self, key: bytes, /) -> Any:
            return cache.get(key), None

        def put(self, key: bytes, value: bytes, expires: float | None, /) -> None:
            cache.delete(key)

    cache = Cache(storage=Circular())
    with pytest.raises(striate.UsageError, match="own cache"):
        cache.get("a")
    with pytest.raises(striate.UsageError, match="own cache"):
        cache.set("a", b"")


def test_load(make: Make, storage: Recording) -> None:
    rows = {b"%d" % number: (b"v%d" % number, None) for number in range(50)}
    storage.rows.update(rows)
    storage.rows[b"old"] = (b"", 999.0)
    cache = make(storage=storage)
    assert cache.load() == 50
    assert dict(cache.items()) == {key: value for key, (value, _) in rows.items()}
    assert cache["7"] == b"v7" and storage.asked == ["collect"]


def test_what_is_written_while_loading_wins() -> None:
    class Slow(MemoryStorage):
        def collect(self) -> Iterator[tuple[bytes, tuple[bytes, float | None]]]:
            rows = list(super().collect())
            cache.set("a", b"new")
            cache.delete("b")
            cache.forget("c")
            return iter(rows)

    storage = Slow()
    storage.rows = {b"a": (b"old", None), b"b": (b"old", None), b"c": (b"old", None), b"d": (b"d", None)}
    cache = Cache(storage=storage)
    assert cache.load() == 1
    assert dict(cache.items()) == {b"a": b"new", b"d": b"d"} and cache.get("b") is None


def test_arrays_of_keys(storage: Recording) -> None:
    cache = Cache(storage=storage)
    names = np.array([b"a", b"bb"])
    numbers = np.arange(3)
    cache.set_many([(b"a", b"1"), (numbers[2].tobytes(), b"2")])
    cache.forget()
    assert cache.get_many(names) == [b"1", None] and cache.get_many(numbers) == [None, None, b"2"]
    assert cache.delete_many(names) == 1 and cache.delete_many(numbers) == 1


def test_memoize(storage: Recording) -> None:
    cache: Cache[Any] = Cache(storage=storage, codec="json")
    runs = []

    @cache.memoize(ttl=60)
    def double(number: int) -> int:
        runs.append(number)
        return 2 * number

    assert double(2) == double(2) == 4
    cache.forget()
    assert double(2) == 4 and runs == [2]
    assert double.cache_clear() == 1 and storage.rows == {}


@pytest.mark.parametrize("max_items", [None, 3])
@pytest.mark.parametrize("enabled", [True, False])
def test_against_a_dict(max_items: int | None, enabled: bool) -> None:
    choose = random.Random(f"{max_items} {enabled}")
    storage = MemoryStorage(cache_enabled=enabled)
    cache, model = Cache(max_items=max_items, storage=storage), {}
    for _ in range(3000):
        key = b"%d" % choose.randrange(8)
        value = b"%d" % choose.randrange(100)
        match choose.randrange(10):
            case 0 | 1:
                cache[key] = value
                model[key] = value
            case 2:
                assert cache.add(key, value) == (key not in model)
                model.setdefault(key, value)
            case 3:
                assert cache.delete(key) == (model.pop(key, None) is not None)
            case 4:
                assert cache.incr(key) == int(model.get(key, b"0")) + 1
                model[key] = b"%d" % (int(model.get(key, b"0")) + 1)
            case 5:
                found = cache.get_versioned(key)
                if found is not None:
                    assert cache.cas(key, value, found[1])
                    model[key] = value
            case 6:
                assert cache.pop(key, None) == model.pop(key, None)
            case 7:
                cache.forget(choose.choice([key, None]))
            case 8:
                cache.load()
            case _:
                assert cache.get_many(list(model)) == list(model.values())
        assert cache.get(key) == model.get(key) and (key in cache) == (key in model)
        assert {key: value for key, (value, _) in storage.rows.items()} == model
        assert dict(cache.items()).items() <= model.items()
