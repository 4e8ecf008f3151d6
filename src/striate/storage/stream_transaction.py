"""Streams and groups as a transaction sees them: :class:`TransactionStream` and :class:`TransactionGroup`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from striate._native.inputs import as_list
from striate._native.streamentry import StreamEntry
from striate.storage.groups import Group
from striate.storage.stream import Stream
from striate.storage.stream_info import Id

if TYPE_CHECKING:
    from striate.storage.transaction import Transaction

V = TypeVar("V")


class StreamsSeen:
    """What a transaction has read and written of streams."""

    def __init__(self) -> None:
        self.changes: dict[int, tuple[Stream[Any], int]] = {}  # of each that was read, when it was
        self.entries: list[tuple[Stream[Any], StreamEntry, bytes, bytes | str | None]] = []
        self.acknowledged: list[tuple[Group[Any], list[Id]]] = []

    def writes(self) -> int:
        """How many records the commit will have of streams."""
        return len(self.entries) + len(self.acknowledged)


class TransactionStream(Generic[V]):
    """A stream inside a transaction: what it appends is seen by itself, and by others when it commits."""

    def __init__(self, transaction: Transaction, stream: Stream[V], seen: StreamsSeen) -> None:
        self._transaction = transaction
        self._stream = stream
        self._seen = seen

    def append(self, value: V, key: bytes | str | None = None) -> StreamEntry:
        """Append an entry when the transaction commits; then the entry that this gives has its id."""
        self._transaction._check_open()
        entry, stored = self._stream._new_entry(value, key)
        self._seen.entries.append((self._stream, entry, stored, key))
        return entry

    def append_many(self, values: Iterable[V]) -> list[StreamEntry]:
        """Append many entries when the transaction commits. If this raises, none of them."""
        self._transaction._check_open()
        made = [self._stream._new_entry(value, None) for value in as_list(values, "values", "a sequence of values")]
        self._seen.entries += [(self._stream, entry, stored, None) for entry, stored in made]
        return [entry for entry, _ in made]

    def range(
        self, start: Id | None = None, stop: Id | None = None, *, count: int | None = None
    ) -> Iterator[StreamEntry]:
        """Entries from one id to another, and behind the last one those that the transaction has appended. Any change
        of the stream by others until the commit is then a conflict."""
        self._transaction._check_open()
        stream = self._stream
        self._seen.changes.setdefault(stream._view.number, (stream, stream._changes))
        left = 1 << 62 if count is None else count
        for entry in stream._chunks(start, stop, False, count, latest=True):
            left -= 1
            yield entry
        if stop is None:
            for owner, entry, *_ in self._seen.entries:
                if owner._view is stream._view and left > 0:
                    left -= 1
                    yield entry

    def __iter__(self) -> Iterator[StreamEntry]:
        return self.range()

    def __len__(self) -> int:
        return sum(1 for _ in self)


class TransactionGroup:
    """A consumer group inside a transaction."""

    def __init__(self, transaction: Transaction, group: Group[Any], seen: StreamsSeen) -> None:
        self._transaction = transaction
        self._group = group
        self._seen = seen

    def acknowledge(self, ids: Iterable[Id]) -> None:
        """Acknowledge entries when the transaction commits. If any of them is not pending then, because another
        transaction has acknowledged it, that is a conflict: so each is done with once."""
        self._transaction._check_open()
        wanted = as_list(ids, "ids", "a sequence of ids")
        self._group._check_ids(wanted)
        self._seen.acknowledged.append((self._group, wanted))
