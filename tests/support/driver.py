"""One face over `Log` and `AsyncLog`, so that a table of cases runs against both.

An `AsyncDriver` owns a private event loop; every method that is to be awaited is run on it to its end.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from striate import AsyncLog, Log

AWAITED = frozenset(
    """append append_many append_tombstone sync wait truncate_before truncate_after reset retain
    compact snapshot verify close""".split()
)


class SyncDriver:
    """`Log` as it is, plus `dispose`."""

    kind = "sync"

    def __init__(self, path: str | Path, *arguments: Any, log: Log | None = None, **options: Any) -> None:
        self.log = Log(path, *arguments, **options) if log is None else log

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.log)

    def restored(self, snapshot: Path, path: Path, **options: Any) -> SyncDriver:
        return SyncDriver(path, log=Log.restore(snapshot, path, **options))

    def dispose(self) -> None:
        self.log.close()


class AsyncDriver:
    """`AsyncLog` driven from synchronous code."""

    kind = "async"

    def __init__(self, path: str | Path, *arguments: Any, **options: Any) -> None:
        self.runner = asyncio.Runner()
        try:
            self.log = self.runner.run(self._opened(AsyncLog.open(path, *arguments, **options)))
        except BaseException:
            self.runner.close()
            raise

    @staticmethod
    async def _opened(opening: Any) -> AsyncLog:
        opened: AsyncLog = await opening
        return opened

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.log, name)
        if name not in AWAITED:
            return attribute

        async def awaited(*arguments: Any, **options: Any) -> Any:
            return await attribute(*arguments, **options)

        return lambda *arguments, **options: self.runner.run(awaited(*arguments, **options))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.log.scan())

    def follow(self, start: int | None = None, *, timeout: float | None = None) -> Iterator[Any]:
        stream = self.log.follow(start, timeout=timeout)

        async def following() -> Any:
            return await anext(stream)

        while True:
            try:
                yield self.runner.run(following())
            except StopAsyncIteration:
                return

    def restored(self, snapshot: Path, path: Path, **options: Any) -> AsyncDriver:
        made = AsyncDriver.__new__(AsyncDriver)
        made.runner = asyncio.Runner()
        try:
            made.log = made.runner.run(self._opened(AsyncLog.restore(snapshot, path, **options)))
        except BaseException:
            made.runner.close()
            raise
        return made

    def dispose(self) -> None:
        try:
            self.close()
        finally:
            self.runner.close()


def open_driver(kind: str, path: str | Path, *arguments: Any, **options: Any) -> SyncDriver | AsyncDriver:
    made = SyncDriver if kind == "sync" else AsyncDriver
    return made(path, *arguments, **options)


def in_task(runner: asyncio.Runner, call: Callable[[], Any]) -> Any:
    """What a call gives that is made in a task of its own; a coroutine is run to its end."""

    async def run() -> Any:
        result = call()
        return await result if inspect.isawaitable(result) else result

    return runner.run(run())


class InTasks:
    """An object of the async interface with the face of its sync twin: each call is a task."""

    def __init__(self, runner: asyncio.Runner, own: Any) -> None:
        self.runner, self.own = runner, own

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: in_task(
            self.runner, lambda: getattr(self.own, name)(*arguments, **options)
        )

    def __contains__(self, key: object) -> bool:
        return key in self.own

    def __iter__(self) -> Iterator[Any]:
        return iter(self.own)
