"""What lets the tasks of an event loop wait for new records: :class:`Watcher`."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from striate.errors import LogClosedError
from striate.storage.log import Log


class Watcher:
    """One thread that sleeps on the log for all tasks that wait for new records; it is asked anew for every sleep."""

    def __init__(self, log: Log, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._loop = loop
        self._futures: list[tuple[int, bool, asyncio.Future[bool]]] = []
        self._wanted = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._watch, name="striate-watcher", daemon=True)
        self._thread.start()

    def wait_for(self, offset: int, following: bool) -> asyncio.Future[bool]:
        """A future that becomes true once the offset can be read, false when the log closes.

        ``following``: the log has reached the offset already, so it is true as well once the log ends before it.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        self._futures.append((offset, following, future))
        self._wanted.set()
        return future

    def stop(self) -> None:
        """End the thread (the log is closed by now, which wakes it) and the futures."""
        self._stopped = True
        self._wanted.set()
        self._thread.join()
        if not self._loop.is_closed():
            self._wake()

    def _watch(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopped:
                return
            with contextlib.suppress(LogClosedError):
                visible = self._log.next_offset
                # Who asked before this look may have been overtaken by a record or a cut. From it on any change of the
                # end ends the sleep, whatever offsets are waited for: a task may ask for a nearer one meanwhile.
                if not any(_due(visible, offset, following) for offset, following, _ in tuple(self._futures)):
                    self._log._sleep(visible, -1, True)
            with contextlib.suppress(RuntimeError):  # the loop was closed under us: nobody waits any more
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        try:
            closed, visible = False, self._log.next_offset
        except LogClosedError:
            closed, visible = True, 0
        waiting, self._futures = self._futures, []
        for offset, following, future in waiting:
            if future.done():
                continue
            if closed or _due(visible, offset, following):
                future.set_result(not closed)
            else:
                self._futures.append((offset, following, future))
        if self._futures and not closed:
            self._wanted.set()


def _due(visible: int, offset: int, following: bool) -> bool:
    """Whether the wait for an offset is over when the log ends at ``visible``."""
    return visible > offset or (following and visible < offset)
