"""The commit log for asyncio: :class:`AsyncLog`.

The same engine as :class:`striate.Log`. Appends run in the calling task (they are a copy into mapped memory); only the
wait for the disk is awaited: the native sync thread makes one sync for all tasks that wait and tells the loop through
an eventfd.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from striate._native.record import Record
from striate.errors import InvalidTypeError, LogClosedError, WrongLoopError
from striate.storage.arguments import absolute_path, check_timeout, integer
from striate.storage.info import SegmentInfo
from striate.storage.log import (
    DEFAULT_BATCH_BYTES,
    DEFAULT_SEGMENT_BYTES,
    DEFAULT_SYNC_INTERVAL_MS,
    DEFAULT_TOMBSTONE_GRACE,
    Log,
)
from striate.storage.syncs import Syncs
from striate.storage.watcher import Watcher
from striate.types import (
    BytesLike,
    CompactionResult,
    Durability,
    LogStats,
    Mode,
    RecordKind,
    RecoveryReport,
    SnapshotInfo,
    VerifyReport,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from striate._native.io import Disk
    from striate.storage.columnar import RecordBatch, RecordBatches

__all__ = ["AsyncLog"]


class AsyncLog:
    """A segmented commit log for one event loop.

    Takes the arguments of :class:`striate.Log`; open it with ``async with AsyncLog(path) as log`` or ``await
    AsyncLog.open(path)``. Methods have the names and results of :class:`~striate.Log`. Those that may wait for the disk
    are coroutines; reads are not, they are memory copies. Cancelling a call never harms another: a cancelled append may
    or may not be in the log.

    Bound to the loop it was opened in; not thread-safe (use :class:`~striate.Log` from threads).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Durability = "power",
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        initial_offset: int = 0,
        record_size: int | None = None,
        codec: None = None,
        mode: Mode = "a",
        *,
        sync_interval_ms: int = DEFAULT_SYNC_INTERVAL_MS,
        clock: Callable[[], int] | None = None,
        _disk: Disk | None = None,
    ) -> None:
        self._path = absolute_path(path, "path")
        self._arguments = (self._path, durability, segment_bytes, initial_offset, record_size, codec, mode)
        self._options: dict[str, Any] = {"sync_interval_ms": sync_interval_ms, "clock": clock, "_disk": _disk}
        self._opened: Log | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._syncs: Syncs | None = None  # with "power" durability
        self._watcher: Watcher | None = None
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *arguments: Any, **options: Any) -> AsyncLog:
        """Open a log; recovery, if it takes any, does not block the loop. Arguments and errors as of
        :class:`~striate.Log`. Cancelled, it ends once the log is closed again."""
        self = cls(path, *arguments, **options)
        await self._open()
        return self

    async def _open(self) -> None:
        if self._opened is not None:
            return
        self._loop = get_running_loop()
        opening = self._loop.run_in_executor(None, lambda: Log(*self._arguments, **self._options))
        try:
            log = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await _undo(opening)
            raise
        if log.mode == "a" and log.durability == "power":
            try:
                self._syncs = Syncs(log, self._loop)
            except BaseException:
                log.close()
                raise
        self._opened = log
        self._append_nowait = log._append_nowait

    @property
    def _log(self) -> Log:
        if self._opened is None:
            raise LogClosedError(self._path)
        return self._opened

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "set when the log was opened"
        return self._loop

    async def __aenter__(self) -> AsyncLog:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        log = getattr(self, "_opened", None)
        return repr(log).replace("striate.Log", "striate.AsyncLog", 1) if log else "<striate.AsyncLog not open>"

    def _refuse(self) -> None:
        """Called outside the log's loop, or before it was opened."""
        if self._opened is None:
            raise LogClosedError(self._path)
        raise WrongLoopError(self._path)

    def _check_loop(self) -> None:
        if get_running_loop() is not self._loop:
            self._refuse()

    # ------------------------------------------------------------ writing

    async def append(self, value: BytesLike, key: BytesLike | None = None) -> int:
        """Append one record; see :meth:`striate.Log.append`."""
        if get_running_loop() is not self._loop:
            self._refuse()
        offset = self._append_nowait(value, key)
        if self._syncs is not None:
            await self._syncs.durable()
        return offset

    async def append_tombstone(self, key: BytesLike) -> int:
        """Append a record that deletes its key; see :meth:`striate.Log.append_tombstone`."""
        self._check_loop()
        if key is None:
            raise InvalidTypeError("key", "bytes", type(None))
        offset = self._log._append_nowait(b"", key, RecordKind.TOMBSTONE)
        if self._syncs is not None:
            await self._syncs.durable()
        return offset

    async def append_many(
        self,
        values: Sequence[BytesLike] | BytesLike,
        keys: Sequence[BytesLike | None] | None = None,
        *,
        lengths: npt.NDArray[np.integer[Any]] | None = None,
    ) -> range:
        """Append a batch, all or nothing; see :meth:`striate.Log.append_many`."""
        self._check_loop()
        offsets = self._log._append_many_nowait(values, keys, lengths)
        if self._syncs is not None and offsets:
            await self._syncs.durable()
        return offsets

    async def sync(self) -> int:
        """Make everything appended so far durable; see :meth:`striate.Log.sync`."""
        return await asyncio.to_thread(self._log.sync)

    async def truncate_before(self, offset: int) -> int:
        """Drop records before an offset; see :meth:`striate.Log.truncate_before`."""
        return await asyncio.to_thread(self._log.truncate_before, offset)

    async def truncate_after(self, offset: int) -> int:
        """Drop records after an offset; see :meth:`striate.Log.truncate_after`."""
        return await asyncio.to_thread(self._log.truncate_after, offset)

    async def reset(self, initial_offset: int | None = None) -> None:
        """Drop all records; see :meth:`striate.Log.reset`."""
        await asyncio.to_thread(self._log.reset, initial_offset)

    async def retain(
        self,
        *,
        max_bytes: int | None = None,
        max_age: float | timedelta | None = None,
        min_offset: int | None = None,
        keep_records: int = 0,
    ) -> int:
        """Drop the oldest segments by rule; see :meth:`striate.Log.retain`."""
        log = self._log
        return await asyncio.to_thread(
            lambda: log.retain(max_bytes=max_bytes, max_age=max_age, min_offset=min_offset, keep_records=keep_records)
        )

    async def compact(
        self,
        *,
        tombstone_grace: float | timedelta = DEFAULT_TOMBSTONE_GRACE,
        progress: Callable[[int, int], None] | None = None,
    ) -> CompactionResult:
        """Keep the latest record of each key; see :meth:`striate.Log.compact`. ``progress`` is called in another
        thread."""
        log = self._log
        return await asyncio.to_thread(lambda: log.compact(tombstone_grace=tombstone_grace, progress=progress))

    async def snapshot(self, path: str | os.PathLike[str]) -> SnapshotInfo:
        """Copy the log as it is now; see :meth:`striate.Log.snapshot`."""
        return await asyncio.to_thread(self._log.snapshot, path)

    @classmethod
    async def restore(cls, snapshot: str | os.PathLike[str], path: str | os.PathLike[str], **options: Any) -> AsyncLog:
        """Copy a snapshot into a new directory and open it; see :meth:`striate.Log.restore`."""

        def copy() -> None:
            Log.restore(snapshot, path, **options).close()

        await asyncio.to_thread(copy)
        return await cls.open(path, **options)

    async def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Read and check every byte; see :meth:`striate.Log.verify`. ``progress`` is called in another thread."""
        return await asyncio.to_thread(self._log.verify, progress)

    # ------------------------------------------------------------ reading

    def read(self, offset: int) -> Record:
        """Read one record; see :meth:`striate.Log.read`."""
        return self._log.read(offset)

    def view(self, offset: int) -> memoryview:
        """One value without a copy; see :meth:`striate.Log.view`."""
        return self._log.view(offset)

    def read_many(self, offsets: Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[Record]:
        """Read records by their offsets; see :meth:`striate.Log.read_many`."""
        return self._log.read_many(offsets)

    def scan(self, start: int | None = None, stop: int | None = None) -> Iterator[Record]:
        """Iterate over the records there are; see :meth:`striate.Log.scan`."""
        return self._log.scan(start, stop)

    def __iter__(self) -> Iterator[Record]:
        return self.scan()

    def read_batch(self, start: int | None = None, max_bytes: int = DEFAULT_BATCH_BYTES) -> RecordBatch:
        """Records as columns; see :meth:`striate.Log.read_batch`."""
        return self._log.read_batch(start, max_bytes)

    def batches(
        self, start: int | None = None, stop: int | None = None, max_bytes: int = DEFAULT_BATCH_BYTES
    ) -> RecordBatches:
        """Iterate over columnar batches; see :meth:`striate.Log.batches`."""
        return self._log.batches(start, stop, max_bytes)

    def open_reader(self, start: int | None = None, stop: int | None = None) -> io.BufferedReader:
        """All values as one byte stream; see :meth:`striate.Log.open_reader`."""
        return self._log.open_reader(start, stop)

    def offset_for_time(self, timestamp: int | datetime) -> int:
        """The first offset at or after a time; see :meth:`striate.Log.offset_for_time`."""
        return self._log.offset_for_time(timestamp)

    async def wait(self, offset: int, timeout: float | None = None) -> bool:
        """Sleep until an offset can be read; see :meth:`striate.Log.wait`. Other tasks run meanwhile."""
        check_timeout(timeout)
        return await self._wait(integer(offset, "offset", 0, (1 << 63) - 1), timeout, False)

    async def _wait(self, offset: int, timeout: float | None, following: bool) -> bool:
        self._check_loop()
        log = self._log
        if log._sleep(offset, 0, following):
            return True
        if self._watcher is None:
            self._watcher = Watcher(log, self._own_loop())
        future = self._watcher.wait_for(offset, following)
        try:
            return await asyncio.wait_for(future, None if timeout is None else min(timeout, 1e9))
        except TimeoutError:
            return False

    def follow(self, start: int | None = None, *, timeout: float | None = None) -> AsyncIterator[Record]:
        """Iterate over records as they come; see :meth:`striate.Log.follow`."""
        log = self._log
        position = log.next_offset if start is None else start
        log.scan(position)  # checks the offset
        check_timeout(timeout)
        return self._follow_from(position, timeout)

    async def _follow_from(self, position: int, timeout: float | None) -> AsyncIterator[Record]:
        self._check_loop()
        log = self._log
        with contextlib.suppress(LogClosedError):
            while True:
                end = log.next_offset
                for steps, record in enumerate(log.scan(position, end), 1):
                    position = record.offset + 1
                    yield record
                    if log.closed:
                        return
                    if steps % 256 == 0:
                        await asyncio.sleep(0)  # let other tasks run while a backlog is read
                position = max(position, end)  # compaction may have dropped the last ones
                if not await self._wait(position, timeout, True) and timeout is not None:
                    return

    # ------------------------------------------------------------ figures

    @property
    def path(self) -> str:
        """The directory."""
        return self._log.path

    @property
    def durability(self) -> Durability:
        """``"power"`` or ``"process"``."""
        return self._log.durability

    @property
    def mode(self) -> Mode:
        """``"a"`` or ``"r"``."""
        return self._log.mode

    @property
    def record_size(self) -> int | None:
        """Bytes of every value in a log of fixed-length records."""
        return self._log.record_size

    @property
    def segment_bytes(self) -> int:
        """Size at which a segment ends."""
        return self._log.segment_bytes

    @property
    def recovery(self) -> RecoveryReport:
        """What opening the log found."""
        return self._log.recovery

    @property
    def closed(self) -> bool:
        """Whether the log is closed, or was never opened."""
        return self._opened is None or self._opened.closed

    @property
    def lowest_offset(self) -> int:
        """The first offset."""
        return self._log.lowest_offset

    @property
    def next_offset(self) -> int:
        """One past the last offset that can be read."""
        return self._log.next_offset

    @property
    def durable_offset(self) -> int:
        """Every record below it is on disk."""
        return self._log.durable_offset

    def segments(self) -> list[SegmentInfo]:
        """The segments, oldest first."""
        return self._log.segments()

    def stats(self) -> LogStats:
        """Figures of this moment."""
        return self._log.stats()

    async def close(self) -> None:
        """Make everything durable and close; waiting appends complete first. See :meth:`striate.Log.close`.

        Cancelled, the log is closed all the same. In another loop it works once the log's own is closed.
        """
        log = self._opened
        if log is None or (self._closing is not None and self._closing.done()):
            return
        if not self._own_loop().is_closed():
            self._check_loop()
        if self._closing is None:
            # No task, which the end of the loop would cancel, and shielded: the sync thread writes to the eventfd until
            # it has ended.
            self._closing = get_running_loop().run_in_executor(None, log.close)
            self._closing.add_done_callback(self._closed)
        await asyncio.shield(self._closing)

    def _closed(self, _: object) -> None:
        if self._syncs is not None:
            self._syncs.stop()
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher = None


async def _undo(opening: asyncio.Future[Log]) -> None:
    """Close a log whose opening was cancelled: the thread that opens it goes on, and would leave it locked."""
    while not opening.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([opening])
    if opening.exception() is None:
        opening.result().close()
