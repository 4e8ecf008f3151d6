"""Memoizing functions and coroutines in a cache: one execution for a key, however many ask.

How it goes: :func:`memoize` makes a wrapper, which looks into the cache; at a miss the caller joins the :class:`Run` of
that key, or begins one. What may not live here: how values are stored.
"""

from __future__ import annotations

import functools
import inspect
import math
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from striate.errors import InvalidArgumentError, InvalidTypeError
from striate.storage import memo_registry
from striate.storage.argument_keys import arguments_key, key_bytes
from striate.storage.arguments import as_bytes, microseconds
from striate.storage.memo_names import name_for
from striate.storage.memo_runs import MISSING, Run, begin_wait, end_wait, inside

if TYPE_CHECKING:
    from striate.storage.cache import Cache

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
Tags = Iterable[bytes | str] | Callable[..., Iterable[bytes | str]] | None

_MOST_REFRESHES = 8


class MemoizeInfo(NamedTuple):
    """Figures of one memoized function. ``entries`` counts the results that are held now."""

    hits: int
    misses: int
    stale_hits: int
    executions: int
    entries: int


class Memoized(Protocol[P, R]):
    """A memoized function or coroutine function."""

    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result, from the cache or by execution."""
        ...

    def cache_info(self) -> MemoizeInfo:
        """Figures since it was memoized."""
        ...

    def cache_clear(self) -> int:
        """Forget all results; how many there were."""
        ...

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> bytes:
        """The key under which the cache holds the result for these arguments."""
        ...

    def cache_invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Forget the result for these arguments; whether there was one."""
        ...


# ---------------------------------------------------------------- what both kinds share


def _seconds(duration: float | timedelta, name: str) -> float:
    return math.inf if duration == math.inf else microseconds(duration, name) / 1e6


def _tags(tags: Iterable[bytes | str] | None) -> list[bytes]:
    if isinstance(tags, (bytes, str)) or not (tags is None or hasattr(tags, "__iter__")):
        raise InvalidTypeError("tags", "an iterable of str or bytes", type(tags))
    return [as_bytes(tag, "tag") for tag in tags or ()]


class _Memo:
    """The cache side of one memoized function, and its runs."""

    def __init__(
        self,
        cache: Cache[Any],
        function: Callable[..., Any],
        ttl: float | timedelta | None,
        stale: float | timedelta | None,
        key: Callable[..., Any] | None,
        tags: Tags,
        name: str | None,
    ) -> None:
        self.cache, self.function = cache, function
        self.tags = tags if callable(tags) else _tags(tags)
        self.make_key = arguments_key if key is None else key
        self.ttl = None if ttl is None else _seconds(ttl, "ttl")
        self.stale = 0.0 if stale is None else _seconds(stale, "stale")
        if self.stale and self.ttl is None:
            raise InvalidArgumentError("stale", "given together with a ttl", stale)
        self.prefix = as_bytes(name_for(cache, function) if name is None else name, "name") + b"\0"
        self.lock = threading.Lock()
        self.runs: dict[Any, Run] = {}
        self.hits = self.misses = self.stale_hits = self.executions = 0

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        return self.prefix + key_bytes(self.make_key(*args, **kwargs))

    def look(self, key: bytes) -> tuple[Any, bool]:
        """``(value or MISSING, whether it should be made anew)``."""
        value = self.cache.get(key, MISSING)
        if value is MISSING:
            with self.lock:
                self.misses += 1
            return value, True
        aging = self.is_aging(key)
        with self.lock:
            self.hits += 1
            self.stale_hits += aging
        return value, aging

    def is_aging(self, key: bytes) -> bool:
        """Whether the result is past its ttl, and served only until there is a new one."""
        if not self.stale:
            return False
        left = self.cache.expires_in(key)
        return left is None or left <= self.stale

    def new_run(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        return Run(key, _tags(self.tags(*args, **kwargs)) if callable(self.tags) else self.tags)

    def store(self, run: Run, value: Any) -> None:
        with run.keeping:
            if run.keeps:
                ttl = None if self.ttl is None else self.ttl + self.stale
                self.cache.set(run.key, value, ttl=ttl, tags=run.tags or None)

    def count_execution(self) -> None:
        with self.lock:
            self.executions += 1

    def land(self, place: Any, run: Run) -> None:
        """Nobody joins the run any more."""
        with self.lock:
            if self.runs.get(place) is run:
                del self.runs[place]

    def disown(self, concerned: Callable[[Run], bool]) -> None:
        """What has begun is out of date: nothing of it is stored, and nobody joins it any more."""
        with self.lock:
            found = [(place, run) for place, run in self.runs.items() if concerned(run)]
            for place, _ in found:
                del self.runs[place]
        for _, run in found:
            run.disown()

    def clear(self) -> int:
        return self.cache.delete_prefix(self.prefix)  # which disowns

    def invalidate(self, key: bytes) -> bool:
        self.disown(lambda run: run.key == key)
        return self.cache.delete(key)

    def info(self) -> MemoizeInfo:
        entries = sum(1 for _ in self.cache.scan(self.prefix))
        return MemoizeInfo(self.hits, self.misses, self.stale_hits, self.executions, entries)

    def after_fork(self) -> None:
        """A child has no threads but its own: the runs of others end nowhere."""
        self.lock = threading.Lock()
        own = threading.get_ident()
        self.runs = {place: run for place, run in self.runs.items() if run.task is None and run.leader == own}

    def dress(self, wrapper: Any) -> Any:
        """Give the wrapper the name and the methods of a memoized function."""
        functools.update_wrapper(wrapper, self.function)
        wrapper.cache_info = self.info
        wrapper.cache_clear = self.clear
        wrapper.cache_key = lambda *args, **kwargs: self.key(args, kwargs)
        wrapper.cache_invalidate = lambda *args, **kwargs: self.invalidate(self.key(args, kwargs))
        return wrapper


# ---------------------------------------------------------------- functions


class _Functions:
    """Single flight for threads."""

    def __init__(self, memo: _Memo) -> None:
        self.memo = memo

    def call(self, *args: Any, **kwargs: Any) -> Any:
        key = self.memo.key(args, kwargs)
        value, wanted = self.memo.look(key)
        if value is not MISSING:
            if wanted:
                self.refresh(key, args, kwargs)
            return value
        while True:
            run, leading = self.join(key, args, kwargs)
            if leading:
                return self.execute(run, args, kwargs)
            # The function asks for itself, or for one that waits for it.
            if run.leader == threading.get_ident() or not begin_wait(run):
                return self.memo.function(*args, **kwargs)
            try:
                run.landed.wait()
            finally:
                end_wait(run)
            if run.error is not None:
                raise run.error
            if run.value is not MISSING:
                # From the cache, so that nobody shares an object with another caller.
                return self.memo.cache.peek(key, run.value)

    def join(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Run, bool]:
        with self.memo.lock:
            if key in self.memo.runs:
                return self.memo.runs[key], False
        mine = self.memo.new_run(key, args, kwargs)  # calls the user's function of tags: without the lock
        with self.memo.lock:
            run = self.memo.runs.setdefault(key, mine)
            return run, run is mine

    def execute(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leading = begin_wait(run)
        try:
            # Another run may have landed between this caller's look and its joining.
            value = MISSING if run.refreshes else self.memo.cache.peek(run.key, MISSING)
            if value is MISSING:
                self.memo.count_execution()
                with inside(run):
                    value = self.memo.function(*args, **kwargs)
                self.memo.store(run, value)
            run.value = value
            return value
        except Exception as error:
            run.error = error
            raise
        finally:
            # Without a value or an error (an interrupt) the next of those who wait takes over.
            if leading:
                end_wait(run)
            self.memo.land(run.key, run)
            run.landed.set()

    def refresh(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if key in self.memo.runs:
            return
        run = self.memo.new_run(key, args, kwargs)
        run.refreshes = True
        with self.memo.lock:
            refreshes = sum(each.refreshes for each in self.memo.runs.values())
            if key in self.memo.runs or refreshes >= _MOST_REFRESHES:
                return
            # One that has landed since the caller looked has left a fresh result.
            if not self.memo.is_aging(key):
                return
            self.memo.runs[key] = run

        def execute() -> None:
            run.leader = threading.get_ident()
            try:
                self.execute(run, args, kwargs)
            except Exception:
                pass  # the stale value serves until it expires; then the caller gets the error

        threading.Thread(target=execute, name="striate-refresh", daemon=True).start()


# ---------------------------------------------------------------- coroutines


class _Coroutines:
    """Single flight for the tasks of each event loop: the execution is a task of its own, which its callers await."""

    def __init__(self, memo: _Memo) -> None:
        self.memo = memo

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        key = self.memo.key(args, kwargs)
        value, wanted = self.memo.look(key)
        if value is not MISSING:
            if wanted and len(self.memo.runs) < _MOST_REFRESHES:
                self.join(key, args, kwargs).callers += 1  # its own reason to go on
            return value
        run = self.join(key, args, kwargs)
        if not begin_wait(run):  # the function asks for itself, or for one that waits for it
            return await self.memo.function(*args, **kwargs)
        value = await self.wait(run)
        return self.memo.cache.peek(key, value)

    async def wait(self, run: Run) -> Any:
        import asyncio

        run.callers += 1
        try:
            return await asyncio.shield(run.task)
        finally:
            end_wait(run)
            run.callers -= 1
            if run.callers == 0 and not run.task.done():  # every caller was cancelled
                run.task.cancel()

    def join(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        import asyncio

        loop = asyncio.get_running_loop()
        place = id(loop), key
        run = self.memo.runs.get(place)
        if run is None or run.task.cancelling():
            run = self.memo.new_run(key, args, kwargs)
            run.task = loop.create_task(self.execute(run, args, kwargs))
            run.task.add_done_callback(functools.partial(self.land, place, run))
            with self.memo.lock:
                self.memo.runs[place] = run
        return run

    async def execute(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.memo.count_execution()
        with inside(run):
            value = await self.memo.function(*args, **kwargs)
        self.memo.store(run, value)
        return value

    def land(self, place: tuple[int, bytes], run: Run, task: Any) -> None:
        self.memo.land(place, run)
        if not task.cancelled():
            task.exception()  # seen: a refresh has nobody else to look


def memoize(
    cache: Cache[Any],
    function: Callable[P, R],
    *,
    ttl: float | timedelta | None,
    stale: float | timedelta | None,
    key: Callable[..., Any] | None,
    tags: Tags,
    name: str | None,
) -> Memoized[P, R]:
    """See :meth:`striate.Cache.memoize`."""
    if not callable(function):
        raise InvalidTypeError("function", "a function or coroutine function", type(function))
    if key is not None and not callable(key):
        raise InvalidTypeError("key", "a function of the arguments", type(key))
    if name is not None and not isinstance(name, str):
        raise InvalidTypeError("name", "a str", type(name))
    memo = _Memo(cache, function, ttl, stale, key, tags, name)
    memo_registry.register(memo)
    if inspect.iscoroutinefunction(function):
        coroutines = _Coroutines(memo)

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await coroutines.call(*args, **kwargs)

        return cast(Memoized[P, R], memo.dress(awaited))
    functions = _Functions(memo)

    def called(*args: Any, **kwargs: Any) -> Any:
        return functions.call(*args, **kwargs)

    return cast(Memoized[P, R], memo.dress(called))
