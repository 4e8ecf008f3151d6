"""How the tasks of event loops wait for changes of a cache: one thread for a table, while any of them waits."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from striate._native.table import StripedTable

_LINGER_S = 1.0  # so that a thread serves many waits
_LOOK_NS = 10_000_000_000  # between looks for loops that were closed without ending their tasks


class ChangeWaiter:
    """Futures that are done when the change word of a table is no longer what it was."""

    def __init__(self) -> None:
        self._asked = threading.Condition()
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._running = False

    def wait_for(self, table: StripedTable, word: int) -> asyncio.Future[None]:
        """A future of the running loop; cancel it to wait no longer."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def forget(future: asyncio.Future[None]) -> None:
            with self._asked:
                self._waiting.pop(future, None)
            if future.cancelled():
                table.wake_listeners()  # the thread may sleep for nobody else

        future.add_done_callback(forget)
        with self._asked:
            self._waiting[future] = word
            self._asked.notify()
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, args=(table,), name="striate-changes", daemon=True).start()
        return future

    def _run(self, table: StripedTable) -> None:
        while True:
            with self._asked:
                if not self._asked.wait_for(lambda: self._waiting, _LINGER_S):
                    self._running = False
                    return
                word = table.change_word
                due = [future for future, seen in self._waiting.items() if seen != word or _is_over(future)]
                for future in due:
                    del self._waiting[future]
            for future in due:
                with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits any more
                    future.get_loop().call_soon_threadsafe(_finish, future)
            if not due:
                # Whoever comes meanwhile with an older word has been overtaken by a change, which ends this too.
                table.wait_change(word, _LOOK_NS)


def _is_over(future: asyncio.Future[None]) -> bool:
    return future.get_loop().is_closed()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
