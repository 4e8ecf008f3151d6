"""Tables, streams and transactions over one log: :class:`Database`.

The log is the database: a table is a view of it, an index from key to the latest record, and so is a stream, an index
of its entries. What may not live here: the operations on keys (table.py) and entries (stream.py), transactions
(transaction.py), the indexes (native/).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from striate._native.partition import Partition, StreamView
from striate._native.replay import take_in
from striate.errors import (
    ConflictError,
    InvalidArgumentError,
    InvalidTypeError,
    LogLockedError,
    NotADatabaseError,
    PathExistsError,
    StorageError,
    StreamNotFoundError,
    StriateError,
    TableNotFoundError,
)
from striate.storage import hints
from striate.storage.arguments import absolute_path, check_outside, check_progress, check_retries, integer
from striate.storage.caches import CacheOwner, Caches
from striate.storage.catalog import Catalog, Name, as_name, stream_view, table_view, text_of
from striate.storage.codecs import Codec, codec_name, make_codec
from striate.storage.log import DEFAULT_SEGMENT_BYTES, DEFAULT_SYNC_INTERVAL_MS, Log
from striate.storage.names import NameOwner
from striate.storage.segment_list import OPEN
from striate.storage.stream import Stream
from striate.storage.table import Table
from striate.storage.table_compaction import Compactor, compact
from striate.storage.transaction import Transaction
from striate.types import CompactionResult, Durability, RecoveryReport, SnapshotInfo, VerifyReport

if TYPE_CHECKING:
    from striate._native.io import Disk

T = TypeVar("T")
StreamIds = Literal["time", "offset"]

LOG = "log"
DEFAULT_RETRIES = 100


class Database(NameOwner, CacheOwner):
    """Named tables and streams with transactions over them, in a directory; :func:`striate.open` opens one.

    Args:
        path: the directory; made with mode 0700 when it is not there.
        durability: ``"power"``: a write or a commit returns when it is on disk, and readers see it then; concurrent
            ones share a sync. ``"process"``: it returns when it is in the page cache; a killed process loses nothing, a
            power cut at most the last ``sync_interval_ms`` of work.
        segment_bytes: size at which a file of the log ends and the next begins.
        sync_interval_ms: time between syncs at ``"process"`` durability.
        clock: gives the time in microseconds since the epoch, in place of the system's clock.
        progress: called with ``(bytes done, bytes in all)`` while the log is read at opening: not of what hints save.
        compaction_interval_s: seconds between looks for segments of which little counts any more; ``None``: only
            :meth:`compact` does.
        compaction_bytes_per_s: the most of segments that the background compaction reads in a second, to leave the disk
            to others; below the rate at which values are overwritten the log grows. ``None``: as much as it can.

    Raises:
        LogLockedError: another process, or this one, has it open. NotADatabaseError: the directory holds other things.
        DamagedLogError, CorruptRecordError: the log has lost what keys were changed to, so tables would show what they
        were before; restore a snapshot, or give it up with ``striate log repair``. Others as of :class:`striate.Log`.

    Thread-safe. Not for use in a forked child.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Durability = "power",
        *,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        sync_interval_ms: int = DEFAULT_SYNC_INTERVAL_MS,
        clock: Callable[[], int] | None = None,
        progress: Callable[[int, int], None] | None = None,
        compaction_interval_s: float | None = 10.0,
        compaction_bytes_per_s: int | None = None,
        _disk: Disk | None = None,
    ) -> None:
        self._path = absolute_path(path, "path")
        check_progress(progress)
        if compaction_bytes_per_s is not None:
            compaction_bytes_per_s = integer(compaction_bytes_per_s, "compaction_bytes_per_s", 1, 1 << 62)
        _check_directory(self._path)
        try:
            self._log = Log(
                os.path.join(self._path, LOG),
                durability,
                segment_bytes,
                sync_interval_ms=sync_interval_ms,
                clock=clock,
                _disk=_disk,
            )
        except LogLockedError as error:
            raise LogLockedError(self._path, error.pid, "database") from None
        self._partition = Partition(self._log)
        try:
            if self._log.recovery.problems:
                self._log._raise_damaged()
            self._catalog = Catalog(self._path, self._log, self._partition)
            self._caches = Caches()
            self._retrying = threading.Lock()
            self._compactor: Compactor | None = None
            start, catalog = hints.load(self._log, self._partition, self._path)
            self._catalog.load(catalog)
            self._loaded = start
            take_in(self._partition, start, self._catalog.take_in, progress)
            if compaction_interval_s is not None and self._log._disk.background:
                self._compactor = Compactor(self, compaction_interval_s, compaction_bytes_per_s)
        except BaseException:
            self._release()
            raise

    # ------------------------------------------------------------ tables

    @overload
    def table(self, name: Name) -> Table[bytes]: ...
    @overload
    def table(self, name: Name, codec: str | Codec[Any], type: type[T]) -> Table[T]: ...
    @overload
    def table(self, name: Name, codec: str | Codec[T] | None, type: None = None) -> Table[Any]: ...
    def table(self, name: Name, codec: Any = None, type: Any = None) -> Table[Any]:
        """A table by its name, made if it is not there.

        Args:
            name: 1 to 65,535 bytes, taken as they are; a str is the same as its UTF-8 bytes.
            codec: ``"json"`` or ``"msgpack"`` (msgspec), or an object with ``encode`` and ``decode``; ``None``: values
                are bytes. The database remembers which.
            type: what a msgspec codec decodes to and checks, for example a dataclass.

        Raises:
            OptionMismatchError: it was made with another codec, or is not a table.
        """
        made = make_codec(codec, type)
        with self._catalog.lock:
            view = table_view(self._partition, self._catalog.enter(name, "table", {"codec": codec_name(codec)}))
        return Table(view, made)

    def stored(self, name: Name) -> Table[bytes]:
        """A table as the bytes that are stored, whatever its codec: for tools.

        Raises:
            TableNotFoundError: there is none of that name.
        """
        number = self._catalog.number_of(name, "table")
        if number is None:
            raise TableNotFoundError(self._path, text_of(as_name(name)))
        with self._catalog.lock:
            view = table_view(self._partition, number)
        return Table(view, None)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Names of the tables and the options they were made with."""
        return self._catalog.options_of("table")

    # ------------------------------------------------------------ streams

    @overload
    def stream(self, name: Name, *, ids: StreamIds = "time") -> Stream[bytes]: ...
    @overload
    def stream(self, name: Name, codec: str | Codec[Any], type: type[T], *, ids: StreamIds = "time") -> Stream[T]: ...
    @overload
    def stream(
        self, name: Name, codec: str | Codec[T] | None, type: None = None, *, ids: StreamIds = "time"
    ) -> Stream[Any]: ...
    def stream(self, name: Name, codec: Any = None, type: Any = None, *, ids: StreamIds = "time") -> Stream[Any]:
        """A stream by its name, made if it is not there.

        Args:
            name, codec, type: as of :meth:`table`; a name is of a table or of a stream.
            ids: ``"time"``: an entry's id is the millisecond in which it was appended, and a number within it;
                ``"offset"``: how many entries were appended up to it, and 0.

        Raises:
            OptionMismatchError: it was made with other options, or is not a stream.
        """
        if ids not in ("time", "offset"):
            raise InvalidArgumentError("ids", '"time" or "offset"', ids)
        made = make_codec(codec, type)
        with self._catalog.lock:
            number = self._catalog.enter(name, "stream", {"codec": codec_name(codec), "ids": ids})
        return Stream(stream_view(self._partition, number), made, text_of(as_name(name)))

    def stored_stream(self, name: Name) -> Stream[bytes]:
        """A stream with values as the bytes that are stored, whatever its codec: for tools; see :meth:`stored`.

        Raises:
            StreamNotFoundError: there is none of that name.
        """
        number = self._catalog.number_of(name, "stream")
        if number is None:
            raise StreamNotFoundError(self._path, text_of(as_name(name)))
        return Stream(stream_view(self._partition, number), None, text_of(as_name(name)))

    def _stream_views(self) -> list[StreamView]:
        return [view for view in list(self._partition._views.values()) if isinstance(view, StreamView)]

    def streams(self) -> dict[str, dict[str, Any]]:
        """Names of the streams and the options they were made with."""
        return self._catalog.options_of("stream")

    # ------------------------------------------------------------ transactions

    def transaction(self) -> Transaction:
        """A transaction over any tables: ``with db.transaction() as tx: tx[table][key] = value``.

        Raises:
            ConflictError: at the end of the ``with`` block, when another transaction changed what this one read;
            nothing was written, and it may be tried again. See :meth:`transact`.
        """
        self._log._check_usable()
        return Transaction(self._path, self._catalog)

    def transact(self, function: Callable[[Transaction], T], *, retries: int = DEFAULT_RETRIES) -> T:
        """Call a function with a transaction and commit, again after a conflict.

        Args:
            function: must have no effect but on the transaction, since it may be called several times.
            retries: how often it is called again.

        Returns:
            What the function returned in the transaction that was committed.

        Raises:
            ConflictError: there was a conflict each time. Whatever the function raises; nothing was written.
        """
        retries = check_retries(retries, function)
        for attempt in range(retries + 1):
            # Those who lost once take turns, so that they do not lose to each other for ever.
            with self._retrying if attempt else contextlib.nullcontext(), self.transaction() as tx:
                try:
                    result = function(tx)
                    if isinstance(result, Coroutine):
                        result.close()
                        wanted = "no coroutine function, which AsyncDatabase.transact takes"
                        raise InvalidTypeError("function", wanted, type(function))
                    waits = tx._commit_nowait()
                except ConflictError:
                    if attempt == retries:
                        raise
                    tx.rollback()
                    continue
            if waits:
                self._wait()
            return result
        raise AssertionError("the last attempt returns or raises")

    def _wait(self) -> None:
        if self._partition.power:
            self._partition._wait_durable()

    # ------------------------------------------------------------ the whole

    @property
    def path(self) -> str:
        """The directory."""
        return self._path

    @property
    def durability(self) -> Durability:
        """``"power"`` or ``"process"``."""
        return self._log.durability

    @property
    def log(self) -> Log:
        """The log below, for figures and reading; records appended to it directly are in no table."""
        return self._log

    @property
    def closed(self) -> bool:
        """Whether the database was closed."""
        return self._log.closed

    @property
    def recovery(self) -> RecoveryReport:
        """What opening the log found."""
        return self._log.recovery

    # ------------------------------------------------------------ upkeep

    def compact(
        self, *, live_below: float = 2.0, progress: Callable[[int, int], None] | None = None
    ) -> CompactionResult:
        """Write segments anew without what does not count any more. Reads and writes go on.

        Args:
            live_below: only segments of which less than this part still counts; by default all, the active one too.
            progress: called with ``(bytes done, bytes in all)``.

        A crash leaves the segments as they were or as they are wanted. A background thread does this for segments of
        which less than half counts.
        """
        check_progress(progress)
        if isinstance(live_below, bool) or not isinstance(live_below, (int, float)):
            raise InvalidTypeError("live_below", "a number", type(live_below))
        self._log._raise_unless_open()
        return compact(self, live_below, progress)

    @contextlib.contextmanager
    def compaction_paused(self) -> Iterator[None]:
        """Within the ``with`` block no background compaction begins, and one that runs waits for its end."""
        with contextlib.nullcontext() if self._compactor is None else self._compactor.paused():
            yield

    @property
    def compacting(self) -> bool:
        """Whether segments are being written anew, or waiting to be while that is paused."""
        return self._log._compacting

    @property
    def compaction_error(self) -> StriateError | None:
        """Why the last compaction in the background failed, ``None`` when it did not; the next look tries again."""
        return None if self._compactor is None else self._compactor.error

    def snapshot(self, path: str | os.PathLike[str]) -> SnapshotInfo:
        """Copy the database as it is now, every checksum verified, into a new directory; reads and writes go on.

        The copy is a database. Raises as :meth:`striate.Log.snapshot`; then nothing is left of the copy.
        """
        target = absolute_path(path, "path")
        check_outside(target, "path", self._path)
        if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
            raise PathExistsError(target)
        return self._log.snapshot(os.path.join(target, LOG))

    @classmethod
    def restore(cls, snapshot: str | os.PathLike[str], path: str | os.PathLike[str], **options: Any) -> Database:
        """Copy a snapshot, every checksum verified, into a new directory and open it.

        Args:
            snapshot: directory made by :meth:`snapshot`. path: new or empty directory. options: as for the class.
        """
        source, target = absolute_path(snapshot, "snapshot"), absolute_path(path, "path")
        if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
            raise PathExistsError(target)
        Log.restore(os.path.join(source, LOG), os.path.join(target, LOG)).close()
        return cls(target, **options)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Read and check every byte of the log; see :meth:`striate.Log.verify`."""
        return self._log.verify(progress)

    def sync(self) -> None:
        """Make everything written so far durable; at ``"power"`` it is already."""
        self._log.sync()

    def _cache_database(self) -> Database:
        return self

    def close(self) -> None:
        """Make everything durable and let the next one open it, quickly; its caches are emptied. Again: nothing
        happens."""
        if self.closed:
            return
        self._caches.close()
        try:
            if self._log._is_ours():
                if self._compactor is not None:
                    self._compactor.stop()
                self._save_hints()
        finally:
            self._release()

    def _release(self) -> None:
        try:
            self._log.close()
        finally:
            for view in self._stream_views():
                view._wake()
            # A view and its partition know each other: the indexes would live until the next garbage collection.
            if self._log._is_ours():
                self._partition._views.clear()

    def _save_hints(self) -> None:
        """Let the next opening be quick; where that fails, it is slow."""
        there = self._log._written_next == self._loaded and os.path.lexists(os.path.join(self._path, hints.NAME))
        if self._log._state != OPEN or there or self._partition.poisoned:
            return
        with self._log._maintenance, self._log._exclusive():
            self._log._quiesce()
            with contextlib.suppress(OSError, StorageError):
                hints.save(self._log, self._partition, self._path, self._catalog.dump())

    def __enter__(self) -> Database:
        self._log._check_usable()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._catalog)} names"
        return f"<striate.Database {self._path!r} {state}>"


def open(path: str | os.PathLike[str], durability: Durability = "power", **options: Any) -> Database:
    """Open the database in a directory, making it if it is not there; arguments as of :class:`Database`."""
    return Database(path, durability, **options)


def _check_directory(path: str) -> None:
    """A directory for a database is new, empty, or has nothing but its parts."""
    if not os.path.isdir(path):
        return
    others = sorted(set(os.listdir(path)) - {LOG, hints.NAME, hints.NAME + ".new"})
    if others:
        raise NotADatabaseError(path, others[0])
