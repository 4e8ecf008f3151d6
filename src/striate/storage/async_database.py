"""Tables and transactions for asyncio: :class:`AsyncDatabase`.

The same engine as :class:`striate.Database`. Work is done in the calling task, as it is memory copies; only the wait
for the disk is awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from striate.errors import ConflictError, LogClosedError, WrongLoopError
from striate.storage.arguments import absolute_path, check_retries
from striate.storage.arrivals import Arrivals
from striate.storage.async_stream import AsyncStream
from striate.storage.async_table import AsyncTable
from striate.storage.caches import CacheOwner
from striate.storage.catalog import Name
from striate.storage.codecs import Codec
from striate.storage.database import DEFAULT_RETRIES, Database, StreamIds
from striate.storage.syncs import Syncs
from striate.storage.transaction import Transaction
from striate.types import CompactionResult, Durability, RecoveryReport, SnapshotInfo, VerifyReport

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")


class AsyncTransaction(Transaction):
    """A transaction for tasks: ``async with db.transaction() as tx``. Reads and writes are plain calls, as they are
    memory copies; what is awaited is that the commit is durable."""

    _database: AsyncDatabase

    async def commit(self) -> None:  # type: ignore[override]  # the same, awaited
        """Make all writes take effect; see :meth:`striate.Transaction.commit`."""
        if self._commit_nowait():
            await self._database._wait()

    def __enter__(self) -> Transaction:
        raise TypeError("use `async with` for a transaction of an AsyncDatabase")

    async def __aenter__(self) -> AsyncTransaction:
        super().__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        if kind is None:
            await self.commit()
        else:
            self.rollback()


class AsyncDatabase(CacheOwner):
    """Named tables with transactions over them, for one event loop.

    Takes the arguments of :class:`striate.Database`; open it with ``async with striate.aopen(path) as db`` or ``db =
    await striate.aopen(path)``. Cancelling a call never harms another: a cancelled write or commit may or may not be
    in the database.

    Bound to the loop it was opened in; not thread-safe (use :class:`~striate.Database` from threads).
    """

    def __init__(self, path: str | os.PathLike[str], durability: Durability = "power", **options: Any) -> None:
        self._path = absolute_path(path, "path")
        self._durability: Durability = durability
        self._options = options
        self._opened: Database | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._syncs: Syncs | None = None
        self._arrivals: Arrivals | None = None
        self._closing: asyncio.Future[None] | None = None
        self._retrying = asyncio.Lock()

    def __await__(self) -> Generator[Any, None, AsyncDatabase]:
        return self._open().__await__()

    async def _open(self) -> AsyncDatabase:
        if self._opened is not None:
            return self
        self._loop = get_running_loop()
        opening = self._loop.run_in_executor(None, lambda: Database(self._path, self._durability, **self._options))
        try:
            database = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await _undo(opening)
            raise
        try:
            self._arrivals = Arrivals(database._partition, self._loop)
            if database.durability == "power":
                self._syncs = Syncs(database.log, self._loop, database._partition._sweep)
        except BaseException:
            self._closed(None)
            database.close()
            raise
        self._opened = database
        return self

    async def __aenter__(self) -> AsyncDatabase:
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def _database(self) -> Database:
        if self._opened is None:
            raise LogClosedError(self._path)
        if get_running_loop() is not self._loop:
            raise WrongLoopError(self._path)
        return self._opened

    def _settled(self) -> Awaitable[None] | None:
        if get_running_loop() is not self._loop:
            raise WrongLoopError(self._path)
        return None if self._syncs is None else self._syncs.durable()

    async def _wait(self) -> None:
        if (waits := self._settled()) is not None:
            await waits

    # ------------------------------------------------------------ tables and transactions

    @overload
    def table(self, name: Name) -> AsyncTable[bytes]: ...
    @overload
    def table(self, name: Name, codec: str | Codec[Any], type: type[T]) -> AsyncTable[T]: ...
    @overload
    def table(self, name: Name, codec: str | Codec[T] | None, type: None = None) -> AsyncTable[Any]: ...
    def table(self, name: Name, codec: Any = None, type: Any = None) -> AsyncTable[Any]:
        """A table by its name, made if it is not there; see :meth:`striate.Database.table`."""
        return AsyncTable(self._database.table(name, codec, type), self._settled)

    @overload
    def stream(self, name: Name, *, ids: StreamIds = "time") -> AsyncStream[bytes]: ...
    @overload
    def stream(
        self, name: Name, codec: str | Codec[Any], type: type[T], *, ids: StreamIds = "time"
    ) -> AsyncStream[T]: ...
    @overload
    def stream(
        self, name: Name, codec: str | Codec[T] | None, type: None = None, *, ids: StreamIds = "time"
    ) -> AsyncStream[Any]: ...
    def stream(self, name: Name, codec: Any = None, type: Any = None, *, ids: StreamIds = "time") -> AsyncStream[Any]:
        """A stream by its name, made if it is not there; see :meth:`striate.Database.stream`."""
        made = self._database.stream(name, codec, type, ids=ids)
        assert self._arrivals is not None, "it is there while the database is open"
        return AsyncStream(made, self._settled, self._arrivals)

    def streams(self) -> dict[str, dict[str, Any]]:
        """Names of the streams and the options they were made with."""
        return self._database.streams()

    def tables(self) -> dict[str, dict[str, Any]]:
        """Names of the tables and the options they were made with."""
        return self._database.tables()

    def names(self) -> dict[bytes, str]:
        """All names and what they are of; see :meth:`striate.Database.names`."""
        return self._database.names()

    async def drop_table(self, name: Name) -> bool:
        """Drop a table, whatever is in it; see :meth:`striate.Database.drop_table`."""
        there = self._database._drop_nowait(name, "table")
        await self._wait()
        return there

    async def drop_stream(self, name: Name) -> bool:
        """Drop a stream with its groups; see :meth:`striate.Database.drop_stream`."""
        there = self._database._drop_nowait(name, "stream")
        await self._wait()
        return there

    async def rename_stream(self, name: Name, new: Name) -> None:
        """Let a stream have another name; see :meth:`striate.Database.rename_stream`."""
        self._database._rename_nowait(name, new)
        await self._wait()

    def _cache_database(self) -> Database:
        return self._database

    def transaction(self) -> AsyncTransaction:
        """A transaction over any tables: ``async with db.transaction() as tx: tx[table][key] = value``."""
        self._database._log._check_usable()
        transaction = AsyncTransaction(self._path, self._database._catalog)
        transaction._database = self
        return transaction

    async def transact(
        self, function: Callable[[AsyncTransaction], T | Awaitable[T]], *, retries: int = DEFAULT_RETRIES
    ) -> T:
        """Call a function or coroutine function with a transaction and commit, again after a conflict; see
        :meth:`striate.Database.transact`."""
        retries = check_retries(retries, function)
        for attempt in range(retries + 1):
            transaction = self.transaction()
            async with self._retrying if attempt else contextlib.nullcontext():
                try:
                    result = function(transaction)
                    if isinstance(result, Awaitable):
                        result = await result
                    waits = transaction._commit_nowait()
                except ConflictError:
                    transaction.rollback()
                    if attempt == retries:
                        raise
                    continue
                except BaseException:
                    transaction.rollback()
                    raise
            if waits:
                await self._wait()
            return result
        raise AssertionError("the last attempt returns or raises")

    # ------------------------------------------------------------ the whole

    @property
    def path(self) -> str:
        """The directory."""
        return self._path

    @property
    def durability(self) -> Durability:
        """``"power"`` or ``"process"``."""
        return self._durability

    @property
    def closed(self) -> bool:
        """Whether the database is closed, or was never opened."""
        return self._opened is None or self._opened.closed

    @property
    def recovery(self) -> RecoveryReport:
        """What opening the log found."""
        return self._database.recovery

    async def sync(self) -> None:
        """Make everything written so far durable; at ``"power"`` it is already."""
        await asyncio.to_thread(self._database.sync)

    async def compact(self, *, live_below: float = 2.0) -> CompactionResult:
        """Write segments anew without what does not count, in a thread; see :meth:`striate.Database.compact`."""
        return await asyncio.to_thread(self._database.compact, live_below=live_below)

    async def snapshot(self, path: str | os.PathLike[str]) -> SnapshotInfo:
        """Copy the database as it is now, in a thread; see :meth:`striate.Database.snapshot`."""
        return await asyncio.to_thread(self._database.snapshot, path)

    async def verify(self) -> VerifyReport:
        """Read and check every byte, in a thread; see :meth:`striate.Database.verify`."""
        return await asyncio.to_thread(self._database.verify)

    async def close(self) -> None:
        """Make everything durable and close; waiting writes complete first. Cancelled, it is closed all the same."""
        if self._opened is None or (self._closing is not None and self._closing.done()):
            return
        if self._closing is None:
            self._closing = get_running_loop().run_in_executor(None, self._opened.close)
            self._closing.add_done_callback(self._closed)
        await asyncio.shield(self._closing)

    def _closed(self, _: object) -> None:
        if self._syncs is not None:
            self._syncs.stop()
            self._syncs = None
        if self._arrivals is not None:
            self._arrivals.stop()

    def __repr__(self) -> str:
        if self._opened is None:
            return "<striate.AsyncDatabase not open>"
        return repr(self._opened).replace("striate.Database", "striate.AsyncDatabase", 1)


def aopen(path: str | os.PathLike[str], durability: Durability = "power", **options: Any) -> AsyncDatabase:
    """The database in a directory, to be opened by ``async with`` or ``await``; arguments as of
    :class:`~striate.Database`."""
    return AsyncDatabase(path, durability, **options)


async def _undo(opening: asyncio.Future[Database]) -> None:
    """Close a database whose opening was cancelled: the thread that opens it goes on, and would leave it locked."""
    while not opening.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([opening])
    if opening.exception() is None:
        opening.result().close()
