"""Runs of memoized functions that are out of date before they end, ask for themselves, or are forked."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from striate import Cache, MemoryStorage
from tests.cache.conftest import child_ends_well

SECONDS = 30

INVALIDATIONS: dict[str, Callable[[Cache[Any], Any], Any]] = {
    "cache_clear": lambda cache, function: function.cache_clear(),
    "cache_invalidate": lambda cache, function: function.cache_invalidate(1),
    "clear": lambda cache, function: cache.clear(),
    "forget": lambda cache, function: cache.forget(),
    "delete_prefix": lambda cache, function: cache.delete_prefix(function.cache_key(1)),
    "delete_tag": lambda cache, function: cache.delete_tag("row:1"),
}
CACHES: dict[str, Callable[[], Cache[Any]]] = {
    "plain": lambda: Cache(codec="json"),
    "namespace": lambda: Cache().namespace("n", codec="json"),
    "storage": lambda: Cache(codec="json", storage=MemoryStorage()),
}


def cases() -> list[Any]:
    return [pytest.param(make, how, id=f"{name}-{way}") for name, make in CACHES.items()
            for way, how in INVALIDATIONS.items() if (name, way) != ("storage", "delete_tag")]  # fmt: skip


class Row:
    """What a memoized function reads; the first reading stays in it until it is let out."""

    def __init__(self) -> None:
        self.value, self.reads = "old", 0
        self.entered, self.open = threading.Event(), threading.Event()

    def read(self) -> str:
        self.reads += 1
        value = self.value
        if self.reads == 1:
            self.entered.set()
            assert self.open.wait(SECONDS)
        return value


def tags_for(cache: Cache[Any]) -> Any:
    return None if hasattr(cache, "_storage") else lambda number: [f"row:{number}"]


@pytest.mark.parametrize(("make", "how"), cases())
def test_a_run_that_is_invalidated_is_not_kept_nor_joined(make: Callable[[], Cache[Any]], how: Any) -> None:
    cache, row = make(), Row()

    @cache.memoize(tags=tags_for(cache))
    def function(number: int) -> str:
        return row.read()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(function, 1)
        assert row.entered.wait(SECONDS)
        row.value = "new"
        how(cache, function)
        assert function(1) == "new", "it has not waited for the old run"
        row.open.set()
        first.result(SECONDS)
    assert function(1) == "new" and row.reads == 2


@pytest.mark.parametrize(("make", "how"), cases())
def test_a_task_that_is_invalidated_is_not_kept_nor_joined(make: Callable[[], Cache[Any]], how: Any) -> None:
    async def main() -> None:
        cache, value, reads = make(), ["old"], []
        entered, gate = asyncio.Event(), asyncio.Event()

        @cache.memoize(tags=tags_for(cache))
        async def function(number: int) -> str:
            reads.append(value[0])
            found = value[0]
            if len(reads) == 1:
                entered.set()
                await gate.wait()
            return found

        first = asyncio.create_task(function(1))
        await entered.wait()
        value[0] = "new"
        how(cache, function)
        assert await asyncio.wait_for(function(1), SECONDS) == "new"
        gate.set()
        await first
        assert await function(1) == "new" and reads == ["old", "new"]

    asyncio.run(main())


def test_other_runs_are_kept() -> None:
    cache: Cache[Any] = Cache(codec="json")
    row = Row()

    @cache.memoize(tags=lambda number: [f"row:{number}"])
    def function(number: int) -> str:
        return row.read()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(function, 1)
        assert row.entered.wait(SECONDS)
        cache.delete_tag("row:2")
        cache.delete_prefix("something else")
        cache.namespace("n").clear()
        function.cache_invalidate(2)
        row.open.set()
        assert first.result(SECONDS) == function(1) == "old" and row.reads == 1


# ---------------------------------------------------------------- runs that wait for each other


def test_a_coroutine_that_asks_for_itself() -> None:
    async def main() -> None:
        cache: Cache[Any] = Cache(codec="json")
        depth: list[int] = []

        @cache.memoize
        async def itself(number: int) -> int:
            depth.append(number)
            return number if len(depth) >= 3 else int(await itself(number))

        @cache.memoize
        async def endless(number: int) -> int:
            await asyncio.sleep(0)
            return int(await endless(3 - number))

        assert await asyncio.wait_for(itself(5), SECONDS) == 5 and depth == [5] * 3
        for calls in ([endless(1)], [endless(1), endless(2)]):
            results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), SECONDS)
            assert {type(result) for result in results} == {RecursionError}

    asyncio.run(main())


def test_tasks_that_ask_for_each_other_crosswise_end() -> None:
    async def main() -> None:
        cache: Cache[Any] = Cache(codec="json")
        met = [0]

        @cache.memoize
        async def function(number: int, depth: int = 0) -> int:
            met[0] += 1
            await asyncio.sleep(0)
            return number if met[0] > 4 else int(await function(3 - number))

        assert len(await asyncio.wait_for(asyncio.gather(function(1), function(2)), SECONDS)) == 2

    asyncio.run(main())


def test_threads_that_ask_for_each_other_crosswise_end() -> None:
    cache: Cache[Any] = Cache(codec="json")
    both = threading.Barrier(2)
    begun = threading.local()

    @cache.memoize
    def function(number: int) -> int:
        if getattr(begun, "depth", 0):
            return number
        begun.depth = 1
        both.wait(SECONDS)
        return int(function(3 - number))

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(function, (1, 2), timeout=SECONDS)) in ([1, 1], [1, 2], [2, 2])


def test_functions_are_memoized_while_the_cache_is_cleared() -> None:
    cache: Cache[bytes] = Cache()
    kept: list[Any] = []
    clearing = threading.Event()

    def memoize() -> None:
        clearing.wait()
        kept.extend(cache.memoize(name=str(number))(lambda: b"") for number in range(2_000))

    thread = threading.Thread(target=memoize)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        while thread.is_alive():
            cache.clear()
            clearing.set()
    finally:
        sys.setswitchinterval(interval)
        clearing.set()
        thread.join()


# ---------------------------------------------------------------- forks


def test_a_child_does_not_wait_for_a_thread_of_its_parent() -> None:
    cache: Cache[Any] = Cache(codec="json")
    row = Row()

    @cache.memoize
    def function(number: int) -> str:
        return row.read()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(function, 1)
        assert row.entered.wait(SECONDS)
        assert child_ends_well(lambda: function(1))
        row.open.set()
        assert first.result(SECONDS) == "old" and row.reads == 1
