"""A cache with a storage under threads: no update is lost, nothing old is read after a write was acknowledged, and one
reading serves all who ask at once."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from striate import Cache, MemoryStorage
from striate.storage.key_locks import KeyLocks


class Gated(MemoryStorage):
    """Stops in ``get`` after it has read, until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.gate = threading.Event(), threading.Event()
        self.reads = 0
        self.error: BaseException | None = None

    def get(self, key: bytes, /) -> tuple[bytes, float | None] | None:
        found = super().get(key)
        self.reads += 1
        self.begun.set()
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error
        return found


class Yielding(MemoryStorage):
    """Lets other threads run between its steps."""

    def get(self, key: bytes, /) -> tuple[bytes, float | None] | None:
        found = super().get(key)
        os.sched_yield()
        return found

    def put(self, key: bytes, value: bytes, expires: float | None, /) -> None:
        os.sched_yield()
        super().put(key, value, expires)
        os.sched_yield()


def started(*functions: Callable[[], Any]) -> list[threading.Thread]:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    return threads


@contextmanager
def running(*functions: Callable[[], Any]) -> Iterator[None]:
    """The functions in threads; what one raises fails the test."""
    failures: list[BaseException] = []

    def guarded(function: Callable[[], Any]) -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    threads = started(*(lambda function=function: guarded(function) for function in functions))
    yield
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


WRITES: dict[str, tuple[Callable[[Cache[bytes]], Any], bytes | None]] = {
    "set": (lambda c: c.set("k", b"new"), b"new"),
    "set_many": (lambda c: c.set_many({"k": b"new"}), b"new"),
    "delete": (lambda c: c.delete("k"), None),
    "delete_many": (lambda c: c.delete_many(["k"]), None),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_reading_under_way_does_not_bring_back_what_was_there(name: str) -> None:
    act, expected = WRITES[name]
    storage = Gated()
    storage.rows[b"k"] = (b"old", None)
    cache = Cache(storage=storage)
    (reader,) = started(lambda: cache.get("k"))
    assert storage.begun.wait(60)
    (writer,) = started(lambda: act(cache))
    writer.join(0.05)  # it must wait for the reading
    storage.gate.set()
    reader.join()
    writer.join()
    assert cache.get("k") == expected and dict(cache.items()) == ({b"k": expected} if expected else {})


@pytest.mark.parametrize("one", [True, False])
def test_what_is_forgotten_during_a_reading_is_read_again(one: bool) -> None:
    storage = Gated()
    storage.rows[b"k"] = (b"old", None)
    cache = Cache(storage=storage)
    (reader,) = started(lambda: cache.get("k"))
    assert storage.begun.wait(60)
    storage.rows[b"k"] = (b"changed by others", None)
    (forgetter,) = started(lambda: cache.forget("k" if one else None))
    forgetter.join(0.05)
    storage.gate.set()
    reader.join()
    forgetter.join()
    assert cache.get("k") == b"changed by others"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("enabled", [True, False])
def test_one_reading_for_all_who_ask_at_once(there: bool, enabled: bool) -> None:
    storage = Gated()
    storage.cache_enabled = enabled
    if there:
        storage.rows[b"k"] = (b"v", None)
    cache = Cache(storage=storage)
    found: list[Any] = []
    threads = started(*[lambda: found.append(cache.get("k"))] * 50)
    wait_for(lambda: cache.stats().misses == 50)
    storage.gate.set()
    for thread in threads:
        thread.join()
    assert found == [b"v" if there else None] * 50
    # Who had looked into memory, but not yet for a reading under way, when that one ended may begin one more.
    assert storage.reads < 25


def test_a_failing_reading_fails_for_all_and_the_next_one_begins_anew() -> None:
    storage = Gated()
    storage.error = OSError("away")
    cache = Cache(storage=storage)
    failed: list[Exception] = []

    def read() -> None:
        try:
            cache.get("k")
        except OSError as error:
            failed.append(error)

    threads = started(*[read] * 10)
    wait_for(lambda: cache.stats().misses == 10)
    storage.gate.set()
    for thread in threads:
        thread.join()
    assert len(failed) == 10 and storage.reads < 10
    storage.error = None
    storage.rows[b"k"] = (b"v", None)
    assert cache.get("k") == b"v"


def test_an_interrupted_reading_is_taken_over() -> None:
    class Interrupted(Gated):
        def get(self, key: bytes, /) -> tuple[bytes, float | None] | None:
            found = super().get(key)
            if self.reads == 1:
                raise KeyboardInterrupt
            return found

    storage = Interrupted()
    storage.rows[b"k"] = (b"v", None)
    cache = Cache(storage=storage)
    found: list[Any] = []

    def first() -> None:
        with pytest.raises(KeyboardInterrupt):
            cache.get("k")

    with running(first):
        assert storage.begun.wait(60)
        with running(*[lambda: found.append(cache.get("k"))] * 3):
            wait_for(lambda: cache.stats().misses == 4)
            storage.gate.set()
    assert found == [b"v"] * 3 and storage.reads == 2


def test_nobody_joins_a_reading_whose_key_is_free_again() -> None:
    """A write may have come by then."""
    after: list[Callable[[], Any]] = []

    class Held(KeyLocks[str]):
        @contextmanager
        def hold(self, key: bytes, *, writing: bool = False) -> Iterator[None]:
            with super().hold(key, writing=writing):
                yield
            while after:
                after.pop()()

    locks, found = Held(), []
    after.append(lambda: found.append(locks.share(b"k", lambda: "new")))
    assert locks.share(b"k", lambda: "old") == "old" and found == ["new"]
    assert not locks._flights and not locks._turns


def test_one_slow_key_holds_up_no_other() -> None:
    storage = Gated()
    cache = Cache(storage=storage)
    (reader,) = started(lambda: cache.get("slow"))
    assert storage.begun.wait(60)
    for number in range(1000):
        cache.set(b"%d" % number, b"v")
        assert cache.get(b"%d" % number) == b"v" and cache.delete(b"%d" % number)
    storage.gate.set()
    reader.join()


@pytest.mark.parametrize("max_items", [1, None])
@pytest.mark.parametrize("enabled", [True, False])
def test_no_update_is_lost(max_items: int | None, enabled: bool) -> None:
    cache = Cache(max_items=max_items, storage=Yielding(cache_enabled=enabled))
    rounds, workers = 150, 6

    def count(key: str) -> None:
        for _ in range(rounds):
            cache.incr(key)

    def exchange(key: str) -> None:
        for _ in range(rounds):
            while True:
                value, version = cache.get_versioned(key) or (b"", 0)
                if cache.cas(key, b"%d" % (int(value) + 1), version):
                    break

    cache.set_many({"a": b"0", "b": b"0"})
    forget = threading.Event()

    def churn() -> None:
        while not forget.wait(0.001):
            cache.forget("a")
            cache.get_many(["a", "b", "c"])

    (churner,) = started(churn)
    with running(*[lambda: count("a")] * workers, *[lambda: exchange("b")] * 3):
        pass
    forget.set()
    churner.join()
    assert cache["a"] == b"%d" % (rounds * workers) and cache["b"] == b"%d" % (rounds * 3)


def test_nobody_reads_what_is_older_than_what_was_acknowledged() -> None:
    """One writer for each key stores growing numbers, while readers, eviction, loading and forgetting go on."""
    cache = Cache(max_items=2, storage=Yielding())
    keys = ["a", "b", "c", "d"]
    acknowledged = dict.fromkeys(keys, 0)
    cache.set_many(dict.fromkeys(keys, b"0"))
    done = threading.Event()

    def write(key: str) -> None:
        for number in itertools.count(1):
            if done.is_set():
                return
            cache.set(key, b"%d" % number)
            acknowledged[key] = number

    def read() -> None:
        for number in range(2000):
            key = keys[number % len(keys)]
            least = acknowledged[key]
            value = cache.get(key) if number % 2 else cache.get_many([key])[0]
            assert value is not None and int(value) >= least
            if number % 50 == 0:
                cache.load()
            if number % 70 == 0:
                cache.forget()

    def stop_after() -> None:
        try:
            with running(*[read] * 3):
                pass
        finally:
            done.set()

    with running(*(lambda key=key: write(key) for key in keys), stop_after):
        pass
