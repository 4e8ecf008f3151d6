"""What lets the tasks of an event loop wait for the disk: :class:`Syncs`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable

from striate.errors import DiskError, LogClosedError, SyncFailedError
from striate.storage.log import Log


class Syncs:
    """The waits of one event loop for syncs of a log. One sync serves all tasks that wait; no thread of a pool is used:
    the log's own sync thread tells the loop through an eventfd.

    Args:
        after: called after each sync.
    """

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop, after: Callable[[], None] | None = None) -> None:
        self._log = log
        self._loop = loop
        self._after = after
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        try:
            self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError as error:
            raise DiskError(log.path, "make an eventfd for", error.errno or 0, error.strerror or "") from None
        loop.add_reader(self._descriptor, self._on_sync)
        log._notify_on(self._descriptor)

    def durable(self) -> asyncio.Future[None]:
        """A future that is done when everything appended so far is on disk.

        Raises, awaited: SyncFailedError: what is waited for may or may not be on disk. LogClosedError.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        if not self._waiting:
            self._log._request_sync()
        self._waiting.append((self._log._appends, future))
        return future

    def _on_sync(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)
        self.complete()
        if self._after is not None:
            self._after()

    def complete(self) -> None:
        """End the waits that are over."""
        log, waiting = self._log, self._waiting
        if not waiting:
            return
        if log._failed:
            self.fail(SyncFailedError(log.path, "sync", log._failed, os.strerror(log._failed)))
            return
        durable = log._durable_appends
        while waiting and waiting[0][0] <= durable:
            future = waiting.popleft()[1]
            if not future.done():
                future.set_result(None)
        if waiting:
            log._request_sync()

    def fail(self, error: Exception) -> None:
        """End all waits with an error."""
        while self._waiting:
            future = self._waiting.popleft()[1]
            if not future.done():
                future.set_exception(error)

    def stop(self) -> None:
        """The log is closed: nobody waits any longer."""
        if self._descriptor < 0:
            return
        if not self._loop.is_closed():
            self.complete()
            self.fail(LogClosedError(self._log.path))
            self._loop.remove_reader(self._descriptor)
        self._waiting.clear()
        os.close(self._descriptor)
        self._descriptor = -1

    def __del__(self) -> None:
        # Dropped without stop(), after its loop, which held it until then.
        if getattr(self, "_descriptor", -1) >= 0:
            if self._log._is_ours():
                self._log._notify_on(-1)
            os.close(self._descriptor)
