"""The thread that drops expired entries of caches nobody writes to. One for the process; it ends with the last cache.

What may not live here: any decision about what has expired, which is the table's.
"""

from __future__ import annotations

import os
import threading
import time
import weakref

from striate._native.table import StripedTable

INTERVAL_S = 0.5


class Sweeper:
    """Sweeps tables for as long as they live; keeps none alive."""

    def __init__(self) -> None:
        self._tables: weakref.WeakSet[StripedTable] = weakref.WeakSet()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, table: StripedTable) -> None:
        """Sweep a table from now on."""
        with self._lock:
            self._tables.add(table)
            self._start()

    @property
    def running(self) -> bool:
        """Whether there is a thread."""
        return self._thread is not None

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="striate-sweeper", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        while self._sweep():
            pause.wait(INTERVAL_S)

    def _sweep(self) -> bool:
        """One round; whether there is reason for another. Its references to the tables end with it."""
        with self._lock:
            tables = list(self._tables)
            if not tables:
                self._thread = None
                return False
        for table in tables:
            table.expire(time.monotonic_ns())
        return True

    def after_fork(self) -> None:
        """A child has no threads but its own, and the lock may have been held by one of the parent's."""
        self._begin()
        if len(self._tables):
            self._start()


sweeper = Sweeper()
os.register_at_fork(after_in_child=sweeper.after_fork)
