"""One face over `Log` and `AsyncLog`, so that a table of cases runs against both.

An `AsyncDriver` owns a private event loop; every method that is to be awaited is run on it to its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
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
