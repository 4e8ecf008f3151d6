"""The databases as a transaction sees them: its own writes over the latest state, committed as one batch of the log.

A keyspace does what it does on its table; here that is a table in a transaction. What may not live here: EXEC.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from striate._native.commit import Commit
from striate.commands.keyspace import Keyspace
from striate.commands.stream_names import StreamNames
from striate.protocol.replies import Failure
from striate.storage.catalog import as_name, stream_view, text_of
from striate.storage.stream import Stream
from striate.storage.table import MUST_BE_ABSENT, MUST_EQUAL, MUST_NOTHING, Table, walk
from striate.storage.transaction import Transaction

_OWN: Final = 1 << 62
"""Versions of writes that are not committed yet, from here up."""
_Write = tuple[bytes | None, int]


class OverlayTable:
    """A table and the writes of a transaction: what :class:`Keyspace` asks of a table."""

    def __init__(self, transaction: Transaction, table: Table[bytes]) -> None:
        self._table, self._partition = table, table._partition
        seen = transaction[table]._seen
        self._reads, self._writes = seen.reads, seen.writes
        self._seen = seen
        self._versions: dict[bytes, int] = {}
        self._last_version = _OWN

    @property
    def _changes(self) -> int:
        if self._seen.changes is None:
            self._seen.changes = self._table._changes
        return self._seen.changes

    def _read_latest(self, key: bytes | str) -> tuple[int, bytes | None, int]:
        name = key.encode() if isinstance(key, str) else key
        written = self._writes.get(name)
        if written is not None:
            return (0, None, 0) if written[0] is None else (self._versions[name], *written)
        version, value, end = self._table._read_latest(name)
        self._reads.setdefault(name, version)
        return version, value, end

    def _write_nowait(
        self, key: bytes | str, value: bytes, end: int = 0, condition: int = MUST_NOTHING, expected: int = 0
    ) -> int:
        name = key.encode() if isinstance(key, str) else key
        if not self._holds(name, condition, expected):
            return 0
        self._last_version += 1
        self._writes[name] = (self._table._encode(value), end)
        self._versions[name] = self._last_version
        return self._last_version

    def _remove_nowait(self, key: bytes | str, expected: int | None = None) -> bool:
        name = key.encode() if isinstance(key, str) else key
        version = self._read_latest(name)[0]
        if not version or expected not in (None, version):
            return False
        self._writes[name] = (None, 0)
        if not self._table._read_latest(name)[0]:
            del self._writes[name]
        return True

    def _holds(self, name: bytes, condition: int, expected: int) -> bool:
        if condition == MUST_NOTHING:
            return True
        version = self._read_latest(name)[0]
        if condition == MUST_EQUAL:
            return version == expected
        return (version == 0) == (condition == MUST_BE_ABSENT)

    def _clear_nowait(self) -> None:
        for key in list(walk(cast("Any", self), b"", True)):
            self._remove_nowait(key)

    def _walk(self, prefix: bytes, latest: bool, hidden: bool, cursor: int = 0) -> tuple[int, list[tuple[bytes, Any]]]:
        following, found = self._table._walk(prefix, latest, hidden, cursor)
        if not cursor:
            for key in self._writes:
                if key.startswith(prefix):
                    found = [*found, (key, 0)]
        there = dict(found)
        return following, [(key, there[key]) for key in there if self._read_latest(key)[0] and self._once(key, cursor)]

    def _once(self, key: bytes, cursor: int) -> bool:
        return not cursor or key not in self._writes

    def __len__(self) -> int:
        count = len(self._table)
        for key, (value, _) in self._writes.items():
            count += (value is not None) - (self._table._read_latest(key)[0] != 0)
        return count


class OverlayCommit:
    """A change of several keys within a transaction: what :class:`Keyspace` asks of a commit."""

    def __init__(self) -> None:
        self._checks: list[tuple[OverlayTable, bytes, int]] = []
        self._changes: list[tuple[OverlayTable, bytes, bytes | None, int, int, int]] = []

    def check(self, table: OverlayTable, key: bytes, version: int) -> None:
        """It must have that version still."""
        self._checks.append((table, key, version))

    def watch(self, table: OverlayTable, changes: int) -> None:
        """Nobody else changes a table meanwhile: noted when its count of changes was asked for."""

    def add(
        self, table: OverlayTable, key: bytes, value: bytes | None, end: int, condition: int = 0, version: int = 0
    ) -> None:
        """Write, or remove with ``None``."""
        self._changes.append((table, key, value, end, condition, version))

    def run(self) -> tuple[OverlayTable, bytes] | None:
        """All of it; or nothing, and which key is the reason."""
        for table, key, version in self._checks:
            if not table._holds(key, MUST_EQUAL, version):
                return table, key
        for table, key, _, _, condition, version in self._changes:
            if not table._holds(key, condition, version):
                return table, key
        for table, key, value, end, _, _ in self._changes:
            if value is None:
                table._remove_nowait(key)
            else:
                table._write_nowait(key, value, end)
        return None


class _TransactionStreams(StreamNames):
    """Streams as the transaction sees them, by their names in it."""

    def __init__(self, streams: StreamNames, transaction: Transaction) -> None:
        self._database, self._number, self._now_ms = streams._database, streams._number, streams._now_ms
        self._ends = cast("Any", OverlayTable(transaction, streams._ends))
        self._transaction = transaction

    def _view_number(self, name: str | None) -> int | None:
        entry = None if name is None else self._transaction._names.find(as_name(name))
        return entry["id"] if entry is not None and entry["kind"] == "stream" else None

    def open(self, key: bytes) -> Stream[bytes] | None:
        """The stream, if it is there."""
        name = self.name(key)
        number = self._view_number(name)
        if name is None or number is None or self._drop_ended(name, number):
            return None
        view = self._transaction._names._made.get(number) or stream_view(self._transaction._partition, number)
        return self._transaction[Stream[bytes](view, None, name)]._looked()

    def create(self, key: bytes) -> Stream[Any]:
        """The stream, which is not there."""
        name = self.name(key)
        if name is None:
            raise Failure("ERR the key of a stream must be 1 to 1021 bytes of UTF-8")
        return self._transaction.stream(name)._looked()

    def _drop(self, name: str) -> None:
        self._transaction.drop_stream(name)
        self._ends._remove_nowait(as_name(name))

    def _rename(self, name: str, other: str) -> None:
        self._transaction.rename_stream(name, other)

    def _names(self) -> list[str]:
        made = {text_of(name) for name, _ in self._transaction._names.records}
        return sorted(made | set(self._database.streams()))


class TransactionKeyspace(Keyspace):
    """A database within a transaction."""

    def __init__(self, keyspace: Keyspace, transaction: Transaction) -> None:
        self.number, self._now_ms = keyspace.number, keyspace._now_ms
        self._table = cast("Any", OverlayTable(transaction, keyspace._table))
        self._streams = _TransactionStreams(keyspace._streams, transaction)

    def _commit(self, count: int) -> Commit:
        return cast("Commit", OverlayCommit())


class Views:
    """All databases within one transaction, made as they are asked for."""

    def __init__(self, keyspaces: list[Keyspace], transaction: Transaction) -> None:
        self._keyspaces, self._transaction = keyspaces, transaction
        self._made: dict[int, Keyspace] = {}

    def __getitem__(self, number: int) -> Keyspace:
        made = self._made.get(number)
        if made is None:
            made = self._made[number] = TransactionKeyspace(self._keyspaces[number], self._transaction)
        return made

    def __iter__(self) -> Iterator[Keyspace]:
        return (self[number] for number in range(len(self._keyspaces)))
