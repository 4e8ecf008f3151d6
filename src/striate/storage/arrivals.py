"""What lets the tasks of an event loop wait for entries of streams: :class:`Arrivals`."""

from __future__ import annotations

import asyncio
import contextlib
import os

from striate._native.partition import Partition
from striate.errors import DiskError


class Arrivals:
    """One descriptor that the engine writes to when an entry comes that a task has asked for."""

    def __init__(self, partition: Partition, loop: asyncio.AbstractEventLoop) -> None:
        self._partition = partition
        self._loop = loop
        self._future: asyncio.Future[bool] | None = None
        self._closed = False
        try:
            self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError as error:
            path = partition.log.path
            raise DiskError(path, "make an eventfd for", error.errno or 0, error.strerror or "") from None
        loop.add_reader(self._descriptor, self._on_arrival)
        partition._notify_on(self._descriptor)

    def next(self) -> asyncio.Future[bool]:
        """Done, and true, when an entry has come to some stream that was asked for since; false when all is closed. All
        who wait share it, so it must not be cancelled: await it shielded."""
        if self._future is None or self._future.done():
            self._future = self._loop.create_future()
            if self._closed:
                self._future.set_result(False)
        return self._future

    def _on_arrival(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)
        if self._future is not None and not self._future.done():
            self._future.set_result(True)

    def stop(self) -> None:
        """The database is closed: nobody waits any longer."""
        if self._closed:
            return
        self._closed = True
        self._partition._notify_on(-1)
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
            if self._future is not None and not self._future.done():
                self._future.set_result(False)
        os.close(self._descriptor)

    def __del__(self) -> None:
        # Dropped without stop(), after its loop.
        if not getattr(self, "_closed", True) and hasattr(self, "_descriptor"):
            self._closed = True
            self._partition._notify_on(-1)
            os.close(self._descriptor)
