"""memoize: one execution however many ask, also when it raises, is cancelled, or its result is stale."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from striate import Cache, arguments_key, errors, method_key
from tests.cache.conftest import Clock

CALLERS = 1_000


@pytest.fixture
def cache(make: Callable[..., Cache[Any]]) -> Cache[Any]:
    return make(codec="json")


class Gate:
    """A function that counts its runs and stays in each until it is let out."""

    def __init__(self, outcome: Any = 42) -> None:
        self.runs = 0
        self.entered, self.open = threading.Event(), threading.Event()
        self.outcome = outcome

    def __call__(self, *args: Any) -> Any:
        self.runs += 1
        self.entered.set()
        assert self.open.wait(60)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def gated(gate: Gate) -> Callable[[int], Any]:
    def function(number: int) -> Any:
        return gate(number)

    return function


# ---------------------------------------------------------------- results


def test_results_are_kept_by_arguments(cache: Cache[Any]) -> None:
    calls = []

    @cache.memoize
    def function(*args: Any, **kwargs: Any) -> list[Any]:
        calls.append((args, kwargs))
        return [len(calls)]

    for _ in range(2):
        assert function(1) == [1]
        assert function(1, named="x") == [2]
        assert function("1") == [3]
        assert function(1.0) == [4] and function(True) == [5]
        assert function((1, None, b"x"), deep={"b": [1], "a": 2}) == [6]
    assert len(calls) == 6
    assert function.cache_info()[:2] == (6, 6) and function.cache_info().entries == 6
    assert function.__name__ == "function"
    assert function.cache_invalidate(1) and not function.cache_invalidate(1)
    assert function(1) == [7]
    assert function.cache_clear() == 6 and function(1) == [8]


def test_a_changed_result_changes_nothing_kept(cache: Cache[Any]) -> None:
    @cache.memoize
    def function() -> list[int]:
        return [1]

    function().append(2)
    function().append(3)
    assert function() == [1]


def test_none_is_a_result(cache: Cache[Any]) -> None:
    runs = []

    @cache.memoize
    def function() -> None:
        runs.append(1)

    assert function() is None and function() is None
    assert len(runs) == 1


def test_two_functions_do_not_meet(cache: Cache[Any]) -> None:
    one = cache.memoize(lambda number: number + 1, name="one")
    two = cache.memoize(lambda number: number + 2, name="two")
    assert (one(1), two(1), one(1), two(1)) == (2, 3, 2, 3)


def test_methods_and_own_keys(cache: Cache[Any]) -> None:
    class Thing:
        @cache.memoize(key=method_key)
        def double(self, number: int) -> int:
            return 2 * number

        @cache.memoize
        def triple(self, number: int) -> int:
            return 3 * number

    assert Thing().double(2) == Thing().double(2) == 4
    assert Thing.double.cache_info().executions == 1
    with pytest.raises(errors.InvalidTypeError, match="key="):
        Thing().triple(2)
    by_parity = cache.memoize(lambda number: number, key=lambda number: f"{number % 2}", name="parity")
    assert [by_parity(number) for number in range(4)] == [0, 1, 0, 1]


def test_long_arguments_make_short_keys() -> None:
    assert len(arguments_key("x" * 10_000)) == 32
    assert arguments_key("x" * 10_000) != arguments_key("x" * 10_001)
    assert arguments_key(a=1, b=2) == arguments_key(b=2, a=1)


def test_tags_and_times(cache: Cache[Any], clock: Clock) -> None:
    runs = []

    @cache.memoize(ttl=10, tags=lambda user: [f"user:{user}"])
    def function(user: str) -> int:
        runs.append(user)
        return len(runs)

    assert function("ann") == 1 and function("bob") == 2
    assert cache.delete_tag("user:ann") == 1
    assert function("ann") == 3 and function("bob") == 2
    clock.move(10)
    assert function("bob") == 4


@pytest.mark.parametrize("options", [{"stale": 5}, {"ttl": -1}, {"ttl": "x"}], ids=str)
def test_options_that_cannot_be(options: dict[str, Any], cache: Cache[Any]) -> None:
    with pytest.raises((errors.InvalidArgumentError, errors.InvalidTypeError)):
        cache.memoize(lambda: 1, **options)()


# ---------------------------------------------------------------- threads


def test_one_execution_for_many_threads(cache: Cache[Any]) -> None:
    gate = Gate()
    function = cache.memoize(gated(gate))
    with ThreadPoolExecutor(64) as pool:
        results = [pool.submit(function, 1) for _ in range(CALLERS)]
        assert gate.entered.wait(60)
        gate.open.set()
        assert {result.result(60) for result in results} == {42}
    assert gate.runs == 1 and function.cache_info().executions == 1


def test_an_exception_goes_to_all_and_is_not_kept(cache: Cache[Any]) -> None:
    gate = Gate(ValueError("no"))
    function = cache.memoize(gated(gate))
    with ThreadPoolExecutor(32) as pool:
        results = [pool.submit(function, 1) for _ in range(32)]
        assert gate.entered.wait(60)
        pause = threading.Event()
        while function.cache_info().misses < 32:
            pause.wait(0.001)
        gate.open.set()
        assert all(isinstance(result.exception(60), ValueError) for result in results)
    assert gate.runs <= 2  # one, unless a thread had looked and not yet joined
    gate.outcome = 1
    assert function(1) == 1


def test_after_an_interrupt_another_takes_over(cache: Cache[Any]) -> None:
    gate = Gate(KeyboardInterrupt())
    function = cache.memoize(gated(gate))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(function, 1)
        assert gate.entered.wait(60)
        second = pool.submit(function, 1)
        pause = threading.Event()
        while function.cache_info().misses < 2:
            pause.wait(0.001)
        gate.open.set()
        with pytest.raises(KeyboardInterrupt):
            first.result(60)
        with pytest.raises(KeyboardInterrupt):
            second.result(60)
    assert gate.runs == 2


def test_a_function_that_asks_for_itself(cache: Cache[Any]) -> None:
    depth = []

    @cache.memoize
    def function(number: int) -> int:
        depth.append(number)
        return function(number) if len(depth) < 3 else number

    assert function(5) == 5 and len(depth) == 3


def test_a_stale_result_serves_while_one_thread_makes_a_new_one(cache: Cache[Any], clock: Clock) -> None:
    gate = Gate("old")
    gate.open.set()
    function = cache.memoize(gated(gate), ttl=10, stale=20)
    assert function(1) == "old"
    gate.outcome = "new"
    gate.open.clear()
    gate.entered.clear()
    clock.move(10)
    assert [function(1) for _ in range(20)] == ["old"] * 20
    assert gate.entered.wait(60) and gate.runs == 2
    gate.open.set()
    pause = threading.Event()
    while function(1) != "new":
        pause.wait(0.001)
    assert gate.runs == 2 and function.cache_info().stale_hits >= 20
    clock.move(31)
    assert function(1) == "new" and gate.runs == 3


# ---------------------------------------------------------------- tasks


def test_one_execution_for_many_tasks(cache: Cache[Any]) -> None:
    async def main() -> None:
        runs = []
        gate = asyncio.Event()

        @cache.memoize
        async def function(number: int) -> int:
            runs.append(number)
            await gate.wait()
            return number

        tasks = [asyncio.create_task(function(1)) for _ in range(CALLERS)]
        await asyncio.sleep(0)
        gate.set()
        assert await asyncio.gather(*tasks) == [1] * CALLERS
        assert len(runs) == 1 and await function(1) == 1 and len(runs) == 1

    asyncio.run(main())


def test_cancelling_callers_leaves_the_others_their_result(cache: Cache[Any]) -> None:
    async def main() -> None:
        runs = []
        gate = asyncio.Event()

        @cache.memoize
        async def function(number: int) -> int:
            runs.append(number)
            await gate.wait()
            return number

        tasks = [asyncio.create_task(function(1)) for _ in range(CALLERS)]
        await asyncio.sleep(0)
        for task in tasks[:-1]:  # the first, who began the run, too
            task.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert await tasks[-1] == 1 and len(runs) == 1
        assert all(isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(
            *tasks[:-1], return_exceptions=True))  # fmt: skip

    asyncio.run(main())


def test_when_every_caller_is_cancelled_so_is_the_run(cache: Cache[Any]) -> None:
    async def main() -> None:
        ended = []

        @cache.memoize
        async def function(number: int) -> int:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(number)
            return number

        tasks = [asyncio.create_task(function(1)) for _ in range(10)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        assert ended == [1] and function.cache_info().entries == 0

    asyncio.run(main())


def test_an_exception_goes_to_all_tasks(cache: Cache[Any]) -> None:
    async def main() -> None:
        runs = []

        @cache.memoize
        async def function(number: int) -> int:
            runs.append(number)
            await asyncio.sleep(0)
            raise ValueError(number)

        results = await asyncio.gather(*[function(1) for _ in range(CALLERS)], return_exceptions=True)
        assert {type(result) for result in results} == {ValueError} and len(runs) == 1

    asyncio.run(main())


def test_a_stale_result_serves_while_a_task_makes_a_new_one(cache: Cache[Any], clock: Clock) -> None:
    async def main() -> None:
        runs = []

        @cache.memoize(ttl=10, stale=20)
        async def function(number: int) -> int:
            runs.append(number)
            await asyncio.sleep(0)
            return len(runs)

        assert await function(1) == 1
        clock.move(15)
        assert [await function(1) for _ in range(5)] == [1] * 5
        for _ in range(5):
            await asyncio.sleep(0)
        assert await function(1) == 2 and len(runs) == 2

    asyncio.run(main())
