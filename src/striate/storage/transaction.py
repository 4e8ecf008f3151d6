"""Transactions over the tables and streams of a database: :class:`Transaction`.

Optimistic: a transaction notes the version of each key it reads and keeps its writes to itself. Committing checks the
versions and appends the writes as one batch, all under the locks of the keys (:mod:`striate._native.commit`), so
transactions are serializable in the order of the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from striate._native.commit import Commit
from striate._native.inputs import as_list, as_pairs, as_utf8
from striate.errors import (
    ConflictError,
    DroppedError,
    InvalidArgumentError,
    InvalidTypeError,
    TransactionClosedError,
)
from striate.storage.arguments import any_integer, as_bytes
from striate.storage.catalog import Catalog, Name, as_name, text_of
from striate.storage.catalog_changes import CatalogChanges
from striate.storage.codecs import Codec, codec_name, make_codec
from striate.storage.groups import Group
from striate.storage.stream import Stream
from striate.storage.stream_transaction import StreamSeen, TransactionGroup, TransactionStream
from striate.storage.table import Table, walk

if TYPE_CHECKING:
    from types import TracebackType

    from striate.storage.async_stream import AsyncGroup, AsyncStream
    from striate.storage.async_table import AsyncTable

V = TypeVar("V")
_Key = bytes | str
_Write = tuple[bytes | None, int]  # stored bytes, or None to remove; the end in milliseconds, or 0


def _name(key: _Key) -> bytes:
    if isinstance(key, str):
        return as_utf8(key, "key")
    if type(key) is not bytes:
        raise InvalidTypeError("key", "bytes or str", type(key))
    return key


def _conflict(path: str, where: object, key: bytes | None) -> ConflictError:
    if not isinstance(where, Stream):
        return ConflictError(path, key)
    if key is None:
        return ConflictError(path, None, f"another transaction has changed the stream {where.name!r}")
    return ConflictError(path, key, f"the entry {key.decode()} of the stream {where.name!r} is not pending")


class _Seen:
    """What a transaction has read and written of one table."""

    def __init__(self) -> None:
        self.reads: dict[bytes, int] = {}
        self.writes: dict[bytes, _Write] = {}
        self.changes: int | None = None


class TransactionTable(Generic[V]):
    """A table as one transaction sees it: its own writes, and else the latest state.

    Nothing it does is seen by others before the transaction commits.
    """

    def __init__(self, transaction: Transaction, table: Table[V], seen: _Seen) -> None:
        self._transaction = transaction
        self._table = table
        self._seen = seen

    def _stored(self, key: _Key) -> tuple[bytes | None, int]:
        self._transaction._check_open()
        name = _name(key)
        written = self._seen.writes.get(name)
        if written is not None:
            return written
        version, stored, end = self._table._read_latest(name)
        if self._seen.reads.setdefault(name, version) != version:
            raise ConflictError(self._transaction._path, name)
        return stored, end

    def get(self, key: _Key, default: Any = None) -> V | Any:
        """The value of a key, or ``default``."""
        stored = self._stored(key)[0]
        return default if stored is None else self._table._decode(stored)

    def __getitem__(self, key: _Key) -> V:
        stored = self._stored(key)[0]
        if stored is None:
            raise KeyError(key)
        return self._table._decode(stored)

    def __contains__(self, key: _Key) -> bool:
        return self._stored(key)[0] is not None

    def get_many(self, keys: Iterable[_Key], default: Any = None) -> list[V | Any]:
        """The values of many keys, in their order."""
        return [self.get(key, default) for key in as_list(keys, "keys", "a sequence of keys")]

    def set(self, key: _Key, value: V, *, ttl: float | timedelta | None = None) -> None:
        """Store a value when the transaction commits; ``ttl`` counts from now."""
        self._transaction._check_open()
        self._seen.writes[_name(key)] = (self._table._encode(value), self._table._end_of(ttl))

    def __setitem__(self, key: _Key, value: V) -> None:
        self.set(key, value)

    def set_many(self, items: Mapping[Any, V] | Iterable[tuple[_Key, V]]) -> None:
        """Store many values when the transaction commits. If this raises, none of them."""
        self._transaction._check_open()
        encode = self._table._encode
        self._seen.writes.update({_name(key): (encode(value), 0) for key, value in as_pairs(items)})

    def delete(self, key: _Key) -> bool:
        """Remove a key when the transaction commits; whether it is there."""
        there = self._stored(key)[0] is not None
        if there:
            self._seen.writes[_name(key)] = (None, 0)
        return there

    def __delitem__(self, key: _Key) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def increment(self, key: _Key, delta: int = 1, *, initial: int = 0) -> int:
        """Add to a number and give the sum; an absent key counts as ``initial``. Its expiry stays."""
        delta, initial = any_integer(delta, "delta"), any_integer(initial, "initial")
        stored, end = self._stored(key)
        total = initial + delta if stored is None else self._table._number(stored) + delta
        self._seen.writes[_name(key)] = (self._table._encode(self._table._numeral(total)), end)
        return total

    def scan(self, prefix: _Key = b"") -> Iterator[tuple[bytes, V]]:
        """Keys that begin with a prefix and their values. Any change of the table by others until the commit is then a
        conflict: also keys that are not there have been read."""
        start = as_bytes(prefix, "prefix")
        self._transaction._check_open()
        if self._seen.changes is None:
            self._seen.changes = self._table._changes
        own = sorted(name for name in self._seen.writes if name.startswith(start))
        for name in own:
            stored = self._seen.writes.get(name, (None, 0))[0]
            if stored is not None:
                yield name, self._table._decode(stored)
        met = set(own)
        for name in walk(self._table, start, True):
            if name not in met and (stored := self._stored(name)[0]) is not None:
                yield name, self._table._decode(stored)

    def __iter__(self) -> Iterator[bytes]:
        for name, _ in self.scan():
            yield name

    def items(self) -> Iterator[tuple[bytes, V]]:
        """All keys and values; as :meth:`scan`."""
        return self.scan()

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Transaction:
    """Reads and writes that take effect together or not at all.

    ``tx[table]`` is a table as the transaction sees it, ``tx[stream]`` a stream, ``tx[group]`` a consumer group.
    Leaving the ``with`` block commits; an exception rolls back.

    What it reads before committing may never have been together if it is going to fail: act on it only afterwards.

    Not for several threads or tasks at once.
    """

    def __init__(self, path: str, catalog: Catalog) -> None:
        self._path = path
        self._partition = catalog.partition
        self._names = CatalogChanges(catalog)
        self._seen: dict[int, tuple[Table[Any], _Seen]] = {}
        self._streams: dict[int, StreamSeen] = {}
        self._dropped: dict[int, bytes] = {}  # numbers of what it has dropped, and names
        self._open = True
        self._entered = False

    def _check_open(self) -> None:
        if not self._open:
            raise TransactionClosedError(self._path)

    @overload
    def __getitem__(self, view: Table[V] | AsyncTable[V]) -> TransactionTable[V]: ...
    @overload
    def __getitem__(self, view: Stream[V] | AsyncStream[V]) -> TransactionStream[V]: ...
    @overload
    def __getitem__(self, view: Group[V] | AsyncGroup[V]) -> TransactionGroup: ...
    def __getitem__(self, view: Any) -> Any:
        self._check_open()
        # Those of an AsyncDatabase have one inside.
        own = getattr(view, "_own", view)
        if isinstance(own, Table) and own._partition is self._partition:
            self._check_number(own._view.number)
            seen = self._seen.setdefault(own._view.number, (own, _Seen()))[1]
            return TransactionTable(self, own, seen)
        if isinstance(own, Stream) and own._partition is self._partition:
            return TransactionStream(self, own, self._stream_seen(own))
        if isinstance(own, Group) and own._core._partition is self._partition:
            return TransactionGroup(self, own, self._stream_seen(own._stream))
        raise InvalidTypeError("view", "a table, stream or group of this database", type(view))

    def _stream_seen(self, stream: Stream[Any]) -> StreamSeen:
        self._check_number(stream._view.number)
        return self._streams.setdefault(stream._view.number, StreamSeen(stream))

    def _check_number(self, number: int) -> None:
        if number in self._dropped or self._names.is_gone(number):
            raise DroppedError(self._path, self._dropped.get(number))

    def _check_there(self, seen: StreamSeen) -> None:
        self._check_number(seen.stream._view.number)

    # ------------------------------------------------------------ names

    def stream(
        self, name: Name, codec: Any = None, type: Any = None, *, ids: Literal["time", "offset"] = "time"
    ) -> TransactionStream[Any]:
        """A stream by its name. Where it is not there, the transaction makes it, when it commits.

        Args:
            name, codec, type, ids: as of :meth:`striate.Database.stream`.

        Raises:
            OptionMismatchError: it was made with other options, or is not a stream.
        """
        self._check_open()
        if ids not in ("time", "offset"):
            raise InvalidArgumentError("ids", '"time" or "offset"', ids)
        made: Codec[Any] | None = make_codec(codec, type)
        view = self._names.stream(name, {"codec": codec_name(codec), "ids": ids})
        stream = Stream(view, made, text_of(as_name(name)))
        return TransactionStream(self, stream, self._stream_seen(stream))

    def drop_stream(self, name: Name) -> bool:
        """Drop a stream when the transaction commits; whether there is one. See :meth:`striate.Database.drop_stream`.

        Inside, the name is free from now on: :meth:`stream` makes another of it.
        """
        return self._drop(name, "stream")

    def drop_table(self, name: Name) -> bool:
        """Drop a table when the transaction commits; see :meth:`striate.Database.drop_table`."""
        return self._drop(name, "table")

    def _drop(self, name: Name, kind: str) -> bool:
        self._check_open()
        number = self._names.drop(name, kind)
        if number is None:
            return False
        self._dropped[number] = as_name(name)
        if number in self._streams:
            self._streams[number].go_back(None)
        if number in self._seen:
            self._seen[number][1].writes.clear()
        return True

    def rename_stream(self, name: Name, new: Name) -> None:
        """Let a stream have another name when the transaction commits; see :meth:`striate.Database.rename_stream`."""
        self._check_open()
        self._names.rename(name, new)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part that may fail alone: an exception takes back its writes and goes on from the ``with`` statement."""
        self._check_open()
        before = {number: dict(seen.writes) for number, (_, seen) in self._seen.items()}
        kept = {number: seen.mark() for number, seen in self._streams.items()}
        records, dropped = len(self._names.records), dict(self._dropped)
        try:
            yield
        except BaseException:
            for number, stream in self._streams.items():
                stream.go_back(kept.get(number))
            del self._names.records[records:]
            self._dropped = dropped
            for number, (_, seen) in self._seen.items():
                seen.writes = before.get(number, {})
            raise

    def rollback(self) -> None:
        """Forget all writes; the transaction is over."""
        self._open = False

    def commit(self) -> None:
        """Make all writes take effect; the transaction is over.

        Raises:
            ConflictError: somebody changed what this transaction read; nothing was written. Others as of
            :meth:`striate.Table.set`.
        """
        if self._commit_nowait() and self._partition.power:
            self._partition._wait_durable()

    def _commit_nowait(self) -> bool:
        """Commit without waiting for the disk; whether there is anything to wait for."""
        self._check_open()
        self._open = False
        parts, streams = list(self._seen.values()), list(self._streams.values())
        changes = sum(len(seen.reads) + len(seen.writes) for _, seen in parts)
        writes = sum(stream.writes() for stream in streams) + len(self._names.records)
        commit = Commit(self._partition, changes + writes)
        with self._names.lock():
            self._names.prepare(commit)
            self._add_to(commit, parts)
            failed = commit.run()
            if failed is not None:
                raise _conflict(self._path, *failed)
            self._names.finish(commit)
        if writes or any(s.look is not None for s in streams) or any(seen.writes for _, seen in parts):
            return True
        # What was only read may be on its way to the disk as well; an absent key may be a deletion that is.
        reads = [version for _, seen in parts for version in seen.reads.values()]
        absent = 0 in reads or any(seen.changes is not None for _, seen in parts)
        return absent or max(reads, default=0) > self._partition.log.durable_offset

    def _add_to(self, commit: Commit, parts: list[tuple[Table[Any], _Seen]]) -> None:
        for table, seen in parts:
            if seen.changes is not None:
                commit.watch(table, seen.changes)
            for name, version in seen.reads.items():
                commit.check(table, name, version)
            for name, (stored, end) in seen.writes.items():
                commit.add(table, name, stored, end)
        for stream in self._streams.values():
            stream.add_to(commit)

    def __enter__(self) -> Transaction:
        self._check_open()
        if self._entered:
            raise TransactionClosedError(self._path, "it has been entered already")
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        if kind is None:
            self.commit()
        else:
            self.rollback()
