"""Memoizing functions and coroutines in a cache: one execution for a key, however many ask.

How it goes: :func:`memoize` makes a wrapper, which looks into the cache; at a miss the caller joins the *flight* of
that key, or begins one. What may not live here: how values are stored.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from striate.errors import InvalidArgumentError, InvalidTypeError
from striate.storage.arguments import microseconds

if TYPE_CHECKING:
    from striate.storage.cache import Cache

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
Tags = Iterable[bytes | str] | Callable[..., Iterable[bytes | str]] | None

_MISSING: Any = object()
_LONGEST_KEY_BYTES = 200
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


# ---------------------------------------------------------------- key functions


def arguments_key(*args: Any, **kwargs: Any) -> bytes:
    """A key made of the arguments' values and types: ``1``, ``1.0`` and ``True`` are different.

    Raises:
        InvalidTypeError: an argument is not made of plain data; give ``memoize`` a ``key`` function.
    """
    import msgspec

    try:
        encoded = msgspec.msgpack.encode((args, kwargs), order="deterministic")
    except (TypeError, OverflowError) as error:
        raise InvalidTypeError(
            "an argument", "plain data", type(args), hint=f"{error}; give memoize(key=...) a function"
        ) from None
    if len(encoded) <= _LONGEST_KEY_BYTES:
        return encoded
    return hashlib.blake2b(encoded, digest_size=32).digest()


def method_key(self: object, *args: Any, **kwargs: Any) -> bytes:
    """As :func:`arguments_key` for a method whose object does not matter."""
    return arguments_key(*args, **kwargs)


# ---------------------------------------------------------------- what both kinds share


def _seconds(duration: float | timedelta, name: str) -> float:
    return math.inf if duration == math.inf else microseconds(duration, name) / 1e6


class _Memo:
    """The cache side of one memoized function."""

    def __init__(
        self,
        cache: Cache[Any],
        function: Callable[..., Any],
        ttl: float | timedelta | None,
        stale: float | timedelta | None,
        key: Callable[..., bytes | str] | None,
        tags: Tags,
        name: str | None,
    ) -> None:
        self.cache, self.function, self.tags = cache, function, tags
        self.make_key = arguments_key if key is None else key
        self.prefix = (name or f"{function.__module__}.{function.__qualname__}").encode() + b"\0"
        self.ttl = None if ttl is None else _seconds(ttl, "ttl")
        self.stale = 0.0 if stale is None else _seconds(stale, "stale")
        if self.stale and self.ttl is None:
            raise InvalidArgumentError("stale", "given together with a ttl", stale)
        self.lock = threading.Lock()
        self.hits = self.misses = self.stale_hits = self.executions = 0

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        made = self.make_key(*args, **kwargs)
        return self.prefix + (made.encode() if isinstance(made, str) else made)

    def look(self, key: bytes) -> tuple[Any, bool]:
        """``(value or _MISSING, whether it should be made anew)``."""
        value = self.cache.get(key, _MISSING)
        if value is _MISSING:
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

    def store(self, key: bytes, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tags = self.tags(*args, **kwargs) if callable(self.tags) else self.tags
        self.cache.set(key, value, ttl=None if self.ttl is None else self.ttl + self.stale, tags=tags)

    def count_execution(self) -> None:
        with self.lock:
            self.executions += 1

    def info(self) -> MemoizeInfo:
        entries = sum(1 for _ in self.cache.scan(self.prefix))
        return MemoizeInfo(self.hits, self.misses, self.stale_hits, self.executions, entries)

    def dress(self, wrapper: Any) -> Any:
        """Give the wrapper the name and the methods of a memoized function."""
        functools.update_wrapper(wrapper, self.function)
        wrapper.cache_info = self.info
        wrapper.cache_clear = lambda: self.cache.delete_prefix(self.prefix)
        wrapper.cache_key = lambda *args, **kwargs: self.key(args, kwargs)
        wrapper.cache_invalidate = lambda *args, **kwargs: self.cache.delete(self.key(args, kwargs))
        return wrapper


# ---------------------------------------------------------------- functions


class _Flight:
    """One execution under way. It lands with a value or an exception, or is given up."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.leader = threading.get_ident()
        self.value: Any = _MISSING
        self.error: Exception | None = None


class _Functions:
    """Single flight for threads."""

    def __init__(self, memo: _Memo) -> None:
        self.memo = memo
        self.flights: dict[bytes, _Flight] = {}

    def call(self, *args: Any, **kwargs: Any) -> Any:
        key = self.memo.key(args, kwargs)
        value, wanted = self.memo.look(key)
        if value is not _MISSING:
            if wanted:
                self.refresh(key, args, kwargs)
            return value
        while True:
            flight, leading = self.join(key)
            if leading:
                return self.fly(flight, key, args, kwargs)
            if flight.leader == threading.get_ident():  # the function asks for itself
                return self.memo.function(*args, **kwargs)
            flight.landed.wait()
            if flight.error is not None:
                raise flight.error
            if flight.value is not _MISSING:
                # From the cache, so that nobody shares an object with another caller.
                return self.memo.cache.peek(key, flight.value)

    def join(self, key: bytes) -> tuple[_Flight, bool]:
        with self.memo.lock:
            flight = self.flights.get(key)
            if flight is not None:
                return flight, False
            flight = self.flights[key] = _Flight()
            return flight, True

    def fly(self, flight: _Flight, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            # Another flight may have landed between this caller's look and its joining.
            value = _MISSING if isinstance(flight, _Refresh) else self.memo.cache.peek(key, _MISSING)
            if value is _MISSING:
                self.memo.count_execution()
                value = self.memo.function(*args, **kwargs)
                self.memo.store(key, value, args, kwargs)
            flight.value = value
            return value
        except Exception as error:
            flight.error = error
            raise
        finally:
            # Without a value or an error (an interrupt) the next of those who wait takes over.
            with self.memo.lock:
                del self.flights[key]
            flight.landed.set()

    def refresh(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.memo.lock:
            refreshes = sum(isinstance(each, _Refresh) for each in self.flights.values())
            if key in self.flights or refreshes >= _MOST_REFRESHES:
                return
            # One that has landed since the caller looked has left a fresh result.
            if not self.memo.is_aging(key):
                return
            flight = self.flights[key] = _Refresh()

        def run() -> None:
            flight.leader = threading.get_ident()
            try:
                self.fly(flight, key, args, kwargs)
            except Exception:
                pass  # the stale value serves until it expires; then the caller gets the error

        threading.Thread(target=run, name="striate-refresh", daemon=True).start()


class _Refresh(_Flight):
    """One that is made while its stale value is still served."""


# ---------------------------------------------------------------- coroutines


class _Coroutines:
    """Single flight for the tasks of event loops: the execution is a task of its own, which its callers only await."""

    def __init__(self, memo: _Memo) -> None:
        self.memo = memo
        self.flights: dict[tuple[int, bytes], Any] = {}
        self.waiting: dict[Any, int] = {}

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        import asyncio

        key = self.memo.key(args, kwargs)
        value, wanted = self.memo.look(key)
        if value is not _MISSING:
            if wanted and len(self.flights) < _MOST_REFRESHES:
                task = self.join(key, args, kwargs)
                self.waiting[task] = self.waiting.get(task, 0) + 1  # its own reason to go on
            return value
        task = self.join(key, args, kwargs)
        self.waiting[task] = self.waiting.get(task, 0) + 1
        try:
            value = await asyncio.shield(task)
        finally:
            if task in self.waiting:
                self.waiting[task] -= 1
                if self.waiting[task] == 0 and not task.done():  # every caller was cancelled
                    task.cancel()
        return self.memo.cache.peek(key, value)

    def join(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        import asyncio

        place = id(asyncio.get_running_loop()), key
        task = self.flights.get(place)
        if task is None or task.cancelling():
            task = self.flights[place] = asyncio.get_running_loop().create_task(self.fly(key, args, kwargs))
            task.add_done_callback(functools.partial(self.land, place))
        return task

    async def fly(self, key: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.memo.count_execution()
        value = await self.memo.function(*args, **kwargs)
        self.memo.store(key, value, args, kwargs)
        return value

    def land(self, place: tuple[int, bytes], task: Any) -> None:
        self.waiting.pop(task, None)
        if self.flights.get(place) is task:
            del self.flights[place]
        if not task.cancelled():
            task.exception()  # seen: a refresh has nobody else to look


def memoize(
    cache: Cache[Any],
    function: Callable[P, R],
    *,
    ttl: float | timedelta | None,
    stale: float | timedelta | None,
    key: Callable[..., bytes | str] | None,
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
    if inspect.iscoroutinefunction(function):
        coroutines = _Coroutines(memo)

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            return await coroutines.call(*args, **kwargs)

        return cast(Memoized[P, R], memo.dress(awaited))
    functions = _Functions(memo)

    def called(*args: Any, **kwargs: Any) -> Any:
        return functions.call(*args, **kwargs)

    return cast(Memoized[P, R], memo.dress(called))
