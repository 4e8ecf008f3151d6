"""Telling listeners what changes in a cache.

The table keeps a bounded list of changes while anybody listens. Whoever asks first moves it into the queues of all
listeners: so a writer pays for one copy and never waits, and there is no thread but for tasks that wait
(changes_wait.py). What may not live here: how a change is decoded.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from striate._native.table import StripedTable
from striate.errors import InvalidArgumentError
from striate.storage.arguments import check_timeout, integer
from striate.types import CacheChange

if TYPE_CHECKING:
    from striate.storage.changes_wait import ChangeWaiter

_KINDS: dict[int, Any] = {1: "created", 2: "replaced", 3: "patched", 4: "deleted", 5: "expired", 6: "evicted"}
MOST_KEPT = 65_536
"""Changes that the table keeps for listeners that do not ask."""
_CREATED, _FIRST_REMOVAL = 1, 4
_STEPS_IN_A_ROW = 256
_MOST_SOURCES = 65_535
_Row = tuple[int, int, int, bytes, bytes, int, bytes, int, int]


class Changes:
    """The changes of one cache from now on, for one listener. Close it, or use it in a ``with`` block.

    It holds at most ``limit`` changes; when more come before they are taken, the oldest go and a change of the kind
    ``missed`` says how many.
    """

    def __init__(self, table: StripedTable, space: int, limit: int, decode: Callable[[bytes, int], Any]) -> None:
        self._hub = hub_of(table)
        self._space, self._decode = space, decode
        self._rows: deque[_Row] = deque()
        self._limit = integer(limit, "limit", 1, MOST_KEPT)
        self._missed = self._sequence = self._steps = 0
        self._hub.join(self)

    def get(self, timeout: float | None = None) -> CacheChange | None:
        """The next change; ``None`` when none comes in time (seconds; ``None``: for ever) or this is closed."""
        check_timeout(timeout)
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            word = self._hub.table.change_word
            self._hub.distribute()
            change = self._next()
            if change is not None or self.closed:
                return change
            left = -1 if until is None else int((until - time.monotonic()) * 1e9)
            if until is not None and left <= 0:
                return None
            self._hub.table.wait_change(word, left)

    def poll(self) -> list[CacheChange]:
        """All changes that are there now."""
        self._hub.distribute()
        found = []
        while (change := self._next()) is not None:
            found.append(change)
        return found

    def close(self) -> None:
        """Listen no longer; whoever waits for the next change gets ``None``, or the end of the loop."""
        self._hub.leave(self)

    @property
    def closed(self) -> bool:
        """Whether this listens no longer."""
        return self not in self._hub.listeners

    def __iter__(self) -> Iterator[CacheChange]:
        """Changes as they come, until this is closed."""
        while (change := self.get()) is not None:
            yield change

    def __aiter__(self) -> Changes:
        """Changes as they come, for ``async for``, until this is closed; other tasks run meanwhile."""
        return self

    async def __anext__(self) -> CacheChange:
        """The next change. Cancelled, it takes none."""
        self._steps += 1
        if self._steps % _STEPS_IN_A_ROW == 0:
            from asyncio import sleep

            await sleep(0)  # let other tasks run while there is a backlog
        while True:
            word = self._hub.table.change_word
            self._hub.distribute()
            change = self._next()
            if change is not None:
                return change
            if self.closed:
                raise StopAsyncIteration
            await self._hub.wait_for(word)

    def __enter__(self) -> Changes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, rows: list[_Row], lost: int) -> None:
        """Under the hub's lock. What the table lost may have been any key's."""
        self._missed += lost
        for row in rows:
            if row[2] == self._space:
                self._rows.append(row)
        while len(self._rows) > self._limit:
            self._sequence = self._rows.popleft()[0]
            self._missed += 1

    def _next(self) -> CacheChange | None:
        with self._hub.lock:
            if self._missed:
                change = CacheChange(self._sequence, "missed", b"", missed=self._missed)
                self._missed = 0
                return change
            if not self._rows:
                return None
            sequence, kind, _, key, old, old_flags, new, new_flags, number = self._rows.popleft()
            source = self._hub.sources[number]
        had, has = kind != _CREATED, kind < _FIRST_REMOVAL
        old_value = self._decode(old, old_flags) if had else None
        new_value = self._decode(new, new_flags) if has else None
        return CacheChange(sequence, _KINDS[kind], key, old_value, new_value, source=source)


class _Hub:
    """Who listens to one table."""

    def __init__(self, table: StripedTable) -> None:
        self._table = weakref.ref(table)
        self.lock = threading.Lock()
        self.listeners: weakref.WeakSet[Changes] = weakref.WeakSet()
        self._waiter: ChangeWaiter | None = None
        self.sources: list[str | None] = [None]  # by number
        self.counters: dict[int, dict[str, Any]] = {}  # by number of the namespace; counters.py

    @property
    def table(self) -> StripedTable:
        table = self._table()
        assert table is not None, "a listener holds its cache"
        return table

    def number_of(self, source: str) -> int:
        """The number of a source, which gets one if it has none."""
        with self.lock:
            if source not in self.sources:
                if len(self.sources) > _MOST_SOURCES:
                    raise InvalidArgumentError("source", f"one of at most {_MOST_SOURCES}", source)
                self.sources.append(source)
            return self.sources.index(source)

    def join(self, listener: Changes) -> None:
        with self.lock:
            self.listeners.add(listener)
            self.table.report(MOST_KEPT)

    def leave(self, listener: Changes) -> None:
        with self.lock:
            self.listeners.discard(listener)
            if not self.listeners:
                self.table.report(0)
                self.table.take_changes()
        self.table.wake_listeners()

    def close(self) -> None:
        """End all listening."""
        with self.lock:
            listeners = list(self.listeners)
        for listener in listeners:
            listener.close()

    def wait_for(self, word: int) -> Awaitable[None]:
        """Until the change word is another."""
        from striate.storage.changes_wait import ChangeWaiter  # which imports asyncio

        with self.lock:
            if self._waiter is None:
                self._waiter = ChangeWaiter()
        return self._waiter.wait_for(self.table, word)

    def distribute(self) -> None:
        with self.lock:
            rows, lost = self.table.take_changes()
            for listener in self.listeners:
                listener._take(rows, lost)


_making = threading.Lock()


def hub_of(table: StripedTable) -> _Hub:
    """The one hub of a table."""
    with _making:
        if table.hub is None:
            table.hub = _Hub(table)
        hub: _Hub = table.hub
        return hub
