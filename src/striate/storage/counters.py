"""Counting the entries of a cache that a predicate of the user's holds for, as the changes come.

A counter listens to the changes of its cache and keeps the keys that count. It looks at the changes when it is asked;
when it has missed some, at all entries.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate.storage.changes import MOST_KEPT, Changes, hub_of

if TYPE_CHECKING:
    from striate.storage.cache import Cache

Predicate = Callable[[bytes, Any], object]

_REMOVALS = {"deleted", "expired", "evicted"}
_MOST_LOOKS = 3  # while others write more than can be kept


class Counter:
    """The number of entries for which a predicate holds."""

    def __init__(self, cache: Cache[Any], predicate: Predicate) -> None:
        self._cache, self._predicate = cache, predicate
        self._lock = threading.RLock()  # a predicate may ask for figures
        self._keys: set[bytes] = set()
        self._changes: Changes | None = None
        self._stale = True

    def count(self) -> int:
        """How many there are now. What the predicate raises comes through."""
        with self._lock:
            if self._changes is None or self._changes.closed:
                self._changes, self._stale = self._cache.changes(MOST_KEPT), True
            for _ in range(_MOST_LOOKS):
                if self._stale:
                    self._look_at_all()
                self._follow(self._changes)
                if not self._stale:
                    break
            return len(self._keys)

    def close(self) -> None:
        """Listen no longer."""
        with self._lock:
            if self._changes is not None:
                self._changes.close()

    def _look_at_all(self) -> None:
        # What is written meanwhile is among the changes that follow, which come out the same if it was met here.
        self._keys.clear()
        for key, value in self._cache.items():
            self._judge(key, value)  # type: ignore[arg-type]  # a cache gives keys as bytes
        self._stale = False

    def _follow(self, changes: Changes) -> None:
        was_stale, self._stale = self._stale, True  # until all of it has gone well
        missed = False
        for change in changes.poll():
            if change.kind == "missed":
                missed = True
            elif change.kind in _REMOVALS:
                self._keys.discard(change.key)
            else:
                self._judge(change.key, change.new)
        self._stale = missed or was_stale

    def _judge(self, key: bytes, value: Any) -> None:
        if self._predicate(key, value):
            self._keys.add(key)
        else:
            self._keys.discard(key)


def counters_of(cache: Cache[Any]) -> dict[str, Counter]:
    """The counters of a cache or of one of its namespaces, by name."""
    hub = hub_of(cache.striped)
    with hub.lock:
        found: dict[str, Counter] = hub.counters.setdefault(cache.space, {})
    return found
