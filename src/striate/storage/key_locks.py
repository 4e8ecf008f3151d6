"""A lock for each key that somebody uses, and one reading for all who ask for the same key at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from striate.errors import UsageError

R = TypeVar("R")
_BUCKETS = 4096


class _Turn:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.holder = 0


class _Flight(Generic[R]):
    """One reading under way."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.leader = threading.get_ident()
        self.results: list[R] = []  # one, unless the reading failed
        self.error: Exception | None = None


def _reentered() -> UsageError:
    return UsageError("a storage has used the cache it belongs to", hint="a storage must not use its own cache")


class KeyLocks(Generic[R]):
    """Locks by key, and shared readings that give an ``R``."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._turns: dict[bytes, _Turn] = {}
        self._flights: dict[bytes, _Flight[R]] = {}
        self.forgotten = 0  # how often what was read before must not be kept
        # How many writes of keys with one hash have ended.
        self._written = [0] * _BUCKETS

    @contextmanager
    def hold(self, key: bytes, *, writing: bool = False) -> Iterator[None]:
        """Nobody else holds the key meanwhile."""
        with self._guard:
            turn = self._turns.setdefault(key, _Turn())
            if turn.holder == threading.get_ident():
                raise _reentered()
            turn.users += 1
        try:
            with turn.lock:
                turn.holder = threading.get_ident()
                try:
                    yield
                finally:
                    turn.holder = 0
                    if writing:
                        with self._guard:
                            self._written[hash(key) % _BUCKETS] += 1
        finally:
            with self._guard:
                turn.users -= 1
                if turn.users == 0:
                    del self._turns[key]

    def writes(self) -> list[int]:
        """For :meth:`unwritten`."""
        with self._guard:
            return self._written.copy()

    def unwritten(self, key: bytes, since: list[int]) -> bool:
        """Whether no write of a key has ended since :meth:`writes`; it may be told of one of another key. Held."""
        bucket = hash(key) % _BUCKETS
        return self._written[bucket] == since[bucket]

    def share(self, key: bytes, read: Callable[[], R]) -> R:
        """What ``read`` gives while it holds the key; all who ask meanwhile get the same, or what it raises."""
        while True:
            with self._guard:
                flight = self._flights.get(key)
                leading = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight()
            if leading:
                return self._fly(flight, key, read)
            if flight.leader == threading.get_ident():
                raise _reentered()
            flight.landed.wait()
            if flight.error is not None:
                raise flight.error
            if flight.results:
                return flight.results[0]

    def _fly(self, flight: _Flight[R], key: bytes, read: Callable[[], R]) -> R:
        try:
            with self.hold(key):
                try:
                    result = read()
                    flight.results.append(result)
                    return result
                finally:
                    # Before the key is free: who comes after the next write must not get what was read before it.
                    with self._guard:
                        del self._flights[key]
        except Exception as error:
            flight.error = error
            raise
        finally:
            # Without a result or an error (an interrupt) the next of those who wait takes over.
            with self._guard:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.landed.set()
