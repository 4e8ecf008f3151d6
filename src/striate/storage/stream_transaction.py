"""Streams and groups as a transaction sees them: :class:`TransactionStream` and :class:`TransactionGroup`.

Appending and acknowledging need nothing of the stream, so they are kept until the commit. Anything else is done at once
on a look at the stream (:mod:`striate._native.streamlook`), after what was kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from striate._native.commit import Commit
from striate._native.inputs import as_list
from striate._native.streamentry import StreamEntry, StreamId
from striate._native.streamlook import StreamLook, StreamMark
from striate.errors import ConflictError
from striate.storage.groups import Group
from striate.storage.stream import Stream
from striate.storage.stream_info import ConsumerInfo, GroupInfo, Id, PendingEntry, StreamInfo

if TYPE_CHECKING:
    from striate.storage.transaction import Transaction

V = TypeVar("V")
_Duration = float | timedelta
_Key = bytes | str | None
_Kept = tuple[list[Any], list[Any], StreamMark | None]


class StreamSeen:
    """What a transaction has read and written of one stream."""

    def __init__(self, stream: Stream[Any]) -> None:
        self.stream = stream
        self.look: StreamLook | None = None
        self.entries: list[tuple[Stream[Any], StreamEntry, bytes, _Key]] = []
        self.acknowledged: list[tuple[Group[Any], list[Id]]] = []

    def through(self, stream: Stream[V]) -> Stream[V]:
        """The stream as the transaction sees it now. Changes of it are changes of the transaction."""
        if self.look is None:
            self.look = StreamLook(self.stream._view)
        looked = stream._looked_at(self.look)
        while self.acknowledged:
            group, ids = self.acknowledged[0]
            acknowledge(Group(looked, group._name), ids)
            del self.acknowledged[0]
        for _, entry, stored, key in self.entries:
            looked._settle_entry(entry, stored, key)
        self.entries.clear()
        return looked

    def writes(self) -> int:
        """How many records the commit will have of it."""
        own = 0 if self.look is None else self.look._record_count
        return own + len(self.entries) + len(self.acknowledged)

    def mark(self) -> _Kept:
        """What to give :meth:`go_back` to undo what comes after this."""
        return list(self.entries), list(self.acknowledged), None if self.look is None else self.look._mark()

    def go_back(self, kept: _Kept | None) -> None:
        """Undo what came after a mark, or everything. What was read stays read."""
        self.entries, self.acknowledged, mark = ([], [], None) if kept is None else kept
        for _, entry, *_ in self.entries:
            entry._unsettle()
        if self.look is not None:
            self.look._go_back(mark)

    def add_to(self, commit: Commit) -> None:
        """Tell a commit of it."""
        if self.look is not None and self.look._matters:
            commit.watch_stream(self.stream, self.look)
            if self.look._record_count:
                commit.replay(self.stream, self.look)
        for stream, entry, value, key in self.entries:
            commit.append(stream, entry, value, key)
        for group, ids in self.acknowledged:
            commit.acknowledge(group, ids)


def acknowledge(group: Group[Any], ids: Iterable[Id]) -> None:
    """Acknowledge entries, each of which must be pending."""
    missing = group._acknowledge_strictly(ids)
    if missing is not None:
        what = f"the entry {missing} of the stream {group._stream.name!r} is not pending"
        raise ConflictError(group._core._partition.log.path, str(missing).encode(), what)


class TransactionStream(Generic[V]):
    """A stream inside a transaction, with the transaction's own changes, which others see when it commits.

    What it reads must not have changed when it commits, or that is a conflict: entries that were removed, entries that
    were added behind the end where the end was looked at, groups where these were. Appending alone conflicts with
    nothing. For the first of other calls the stream is looked at as it is then, which costs some 60 microseconds for
    each million entries.
    """

    def __init__(self, transaction: Transaction, stream: Stream[V], seen: StreamSeen) -> None:
        self._transaction = transaction
        self._stream = stream
        self._seen = seen

    def _looked(self) -> Stream[V]:
        """A :class:`Stream` over what the transaction sees; what is changed there the transaction changes."""
        self._transaction._check_open()
        self._transaction._check_there(self._seen)
        return self._seen.through(self._stream)

    @property
    def name(self) -> str:
        """Its name in the database."""
        return self._stream.name

    # ------------------------------------------------------------ changing

    def append(self, value: V, key: _Key = None, *, id: Id | None = None) -> StreamEntry:
        """Append an entry; arguments as of :meth:`Stream.append`.

        Returns:
            The entry. With ``id`` it has that; else it gets one at the commit, or when the transaction reads the
            stream after this.
        """
        self._transaction._check_open()
        self._transaction._check_there(self._seen)
        entry, stored = self._stream._new_entry(value, key)
        if id is None:
            self._seen.entries.append((self._stream, entry, stored, key))
        else:
            self._looked()._settle_entry(entry, stored, key, id)
        return entry

    def append_many(self, values: Iterable[V], keys: Iterable[_Key] | None = None) -> list[StreamEntry]:
        """Append many entries. If this raises, none of them."""
        self._transaction._check_open()
        self._transaction._check_there(self._seen)
        items = as_list(values, "values", "a sequence of values")
        names = [None] * len(items) if keys is None else as_list(keys, "keys", "a sequence of keys")
        made = [(*self._stream._new_entry(item, key), key) for item, key in zip(items, names, strict=True)]
        self._seen.entries += [(self._stream, entry, stored, key) for entry, stored, key in made]
        return [entry for entry, *_ in made]

    def delete(self, ids: Iterable[Id]) -> int:
        """Remove entries; how many were there."""
        return self._looked().delete(ids)

    def trim(self, *, max_length: int | None = None, max_age: _Duration | None = None, before: Id | None = None) -> int:
        """Remove entries from the beginning; how many. As :meth:`Stream.trim`."""
        return self._looked().trim(max_length=max_length, max_age=max_age, before=before)

    def set_last_id(self, id: Id, *, added: int | None = None, removed_id: Id | None = None) -> None:
        """Set the last id; as :meth:`Stream.set_last_id`."""
        self._looked().set_last_id(id, added=added, removed_id=removed_id)

    # ------------------------------------------------------------ reading

    def range(
        self, start: Id | None = None, stop: Id | None = None, *, count: int | None = None
    ) -> Iterator[StreamEntry]:
        """Entries from one id to another, both included; as :meth:`Stream.range`."""
        return self._looked().range(start, stop, count=count)

    def reverse_range(
        self, start: Id | None = None, stop: Id | None = None, *, count: int | None = None
    ) -> Iterator[StreamEntry]:
        """Entries from one id down to another; as :meth:`Stream.reverse_range`."""
        return self._looked().reverse_range(start, stop, count=count)

    def read(self, after: Id, *, count: int | None = 100) -> list[StreamEntry]:
        """Entries behind an id, at most ``count``."""
        return self._looked().read(after, count=count)

    def get(self, id: Id, default: Any = None) -> Any:
        """The entry with an id, or ``default``."""
        return self._looked().get(id, default)

    def __getitem__(self, id: Id) -> StreamEntry:
        return self._looked()[id]

    def __contains__(self, id: object) -> bool:
        return id in self._looked()

    def __iter__(self) -> Iterator[StreamEntry]:
        return self.range()

    def __len__(self) -> int:
        return len(self._looked())

    def info(self) -> StreamInfo:
        """Figures at this moment."""
        return self._looked().info()

    # ------------------------------------------------------------ groups

    def groups(self) -> list[str]:
        """Names of the consumer groups."""
        return self._looked().groups()

    def group(self, name: str | bytes, start: Id | None = None) -> TransactionGroup:
        """A consumer group, made if it is not there; as :meth:`Stream.group`."""
        Group(self._looked(), name)._ensure_nowait(start)
        return TransactionGroup(self._transaction, Group(self._stream, name), self._seen)


class TransactionGroup:
    """A consumer group inside a transaction, with the transaction's own changes.

    Acknowledging alone conflicts with nothing but others who acknowledge or claim the same entries. Any other call is a
    conflict with whatever else happens to groups of the stream until the commit: where several consumers work at once,
    read entries outside and acknowledge them inside.
    """

    def __init__(self, transaction: Transaction, group: Group[Any], seen: StreamSeen) -> None:
        self._transaction = transaction
        self._group = group
        self._seen = seen

    def _looked(self) -> Group[Any]:
        """A :class:`Group` over what the transaction sees; what is changed there the transaction changes."""
        self._transaction._check_open()
        self._transaction._check_there(self._seen)
        return Group(self._seen.through(self._group._stream), self._group._name)

    def acknowledge(self, ids: Iterable[Id], *, strict: bool = True) -> int:
        """Acknowledge entries; how many.

        Args:
            strict: each must be pending when the transaction commits, else that is a conflict: so each is done with
                once. ``False``: those that are pending are acknowledged, and others passed over.
        """
        self._transaction._check_open()
        self._transaction._check_there(self._seen)
        wanted = as_list(ids, "ids", "a sequence of ids")
        count = self._group._check_ids(wanted)
        if not strict:
            return self._looked().acknowledge(wanted)
        if self._seen.look is None:
            self._seen.acknowledged.append((self._group, wanted))
        else:
            acknowledge(self._looked(), wanted)
        return count

    def read(self, consumer: str, *, count: int | None = 100, acknowledged: bool = False) -> list[StreamEntry]:
        """Entries that no consumer of the group has got yet; as :meth:`Group.read`. That they were given is part of the
        transaction."""
        return self._looked().read(consumer, count=count, acknowledged=acknowledged)

    def read_again(self, consumer: str, start: Id | None = None, *, count: int | None = 100) -> list[StreamEntry]:
        """Entries that the consumer has got and not acknowledged; as :meth:`Group.read_again`."""
        return self._looked().read_again(consumer, start, count=count)

    def pending(
        self,
        start: Id | None = None,
        stop: Id | None = None,
        *,
        count: int | None = 100,
        consumer: str | None = None,
        min_idle: _Duration = 0.0,
    ) -> list[PendingEntry]:
        """Pending entries; as :meth:`Group.pending`."""
        return self._looked().pending(start, stop, count=count, consumer=consumer, min_idle=min_idle)

    def claim(
        self, consumer: str, ids: Iterable[Id], *, min_idle: _Duration = 0.0, count_delivery: bool = True
    ) -> list[StreamEntry]:
        """Take over pending entries; as :meth:`Group.claim`."""
        return self._looked().claim(consumer, ids, min_idle=min_idle, count_delivery=count_delivery)

    def auto_claim(
        self,
        consumer: str,
        min_idle: _Duration,
        start: Id | None = None,
        *,
        count: int | None = 100,
        count_delivery: bool = True,
    ) -> tuple[StreamId | None, list[StreamEntry]]:
        """Take over pending entries, whichever they are; as :meth:`Group.auto_claim`."""
        return self._looked().auto_claim(consumer, min_idle, start, count=count, count_delivery=count_delivery)

    def set_position(self, id: Id | None) -> None:
        """Let the group go on behind an id; as :meth:`Group.set_position`."""
        self._looked().set_position(id)

    def add_consumer(self, consumer: str) -> bool:
        """Make a consumer; whether it was not there."""
        return self._looked().add_consumer(consumer)

    def delete_consumer(self, consumer: str) -> int:
        """Delete a consumer; as :meth:`Group.delete_consumer`."""
        return self._looked().delete_consumer(consumer)

    def delete(self) -> None:
        """Delete the group and what is pending in it."""
        self._looked().delete()

    def info(self) -> GroupInfo:
        """Figures at this moment."""
        return self._looked().info()

    def consumers(self) -> list[ConsumerInfo]:
        """Figures of each consumer."""
        return self._looked().consumers()
