"""Streams of entries and their consumer groups: :class:`Stream` and :class:`Group`.

What single calls do is native (:mod:`striate._native.streams`); here are iteration, checks of arguments and the waits.
What may not live here: transactions, opening and closing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from striate._native.partition import StreamView
from striate._native.streamentry import StreamEntry, StreamId
from striate._native.streamgroups import GroupCore
from striate._native.streams import StreamCore
from striate.errors import GroupExistsError, InvalidArgumentError
from striate.storage.arguments import check_timeout, integer, microseconds
from striate.storage.codecs import Codec
from striate.storage.stream_info import ConsumerInfo, GroupInfo, PendingEntry, StreamInfo

if TYPE_CHECKING:
    _Base = StreamCore
else:

    class _Base(StreamCore, Generic[TypeVar("V")]):
        """The native class is not generic at run time."""


V = TypeVar("V")
_Duration = float | timedelta
Id = StreamId | StreamEntry | str | int | tuple[int, int]
_CHUNK = 256
_MOST = 65536


def nanoseconds(timeout: float | None) -> int:
    """For a native wait; ``None``: for ever."""
    check_timeout(timeout)
    return -1 if timeout is None else min(int(timeout * 1e9), 1 << 62)


def milliseconds(value: _Duration, name: str) -> int:
    """A duration, rounded up."""
    return -(-microseconds(value, name) // 1000)


def how_many(count: int | None) -> int:
    """Entries of one call."""
    return _MOST if count is None else integer(count, "count", 1, _MOST)


class Stream(_Base[V]):
    """Entries in the order of their ids, as durable as the log they are in; made by :meth:`striate.Database.stream`.

    A value is bytes, or what the stream's codec takes. An id is a :class:`StreamId`, an entry, text such as ``"5-1"``,
    a pair or a number of milliseconds; where a range begins, ``5`` means ``5-0``, and where one ends, all ids of that
    millisecond. Reads see what is durable and never wait for the disk. For any number of threads.
    """

    _name: str

    def __new__(cls, view: StreamView, codec: Codec[V] | None, name: str) -> Stream[V]:
        """A stream over a view."""
        encode, decode = (None, None) if codec is None else (codec.encode, codec.decode)
        self = cast("Stream[V]", super().__new__(cls, view, encode, decode))
        self._name = name
        return self

    @property
    def name(self) -> str:
        """Its name in the database."""
        return self._name

    # ------------------------------------------------------------ changing

    def append(self, value: V, key: bytes | str | None = None, *, id: Id | None = None) -> StreamId:
        """Append one entry.

        Args:
            value: bytes-like, or what the codec takes. key: bytes or str that the entry carries, or ``None``.
            id: the entry's id, higher than the stream's last, or ``"5-*"`` for the next of a millisecond; by default
                the time now, or one more than the last.

        Returns:
            The entry's id.

        Raises:
            StreamIdError: the id is not higher than the last. InvalidTypeError, KeyTooLargeError, RecordTooLargeError,
            LogClosedError, DiskFullError: nothing was appended. SyncFailedError: the entry may or may not be on disk,
            and the database takes no more.

        With ``"power"`` durability it is on disk when this returns. Thread-safe.
        """
        made = self._append_nowait(value, key, id)
        self._wait()
        return made

    def append_many(self, values: Iterable[V], keys: Iterable[bytes | str | None] | None = None) -> list[StreamId]:
        """Append many entries as one transaction; their ids."""
        made = self._append_many_nowait(values, keys)
        self._wait()
        return made

    def delete(self, ids: Iterable[Id]) -> int:
        """Remove entries; how many were there. Groups keep them as pending until they are acknowledged or claimed."""
        removed = self._remove_nowait(ids)
        self._wait()
        return removed

    def trim(self, *, max_length: int | None = None, max_age: _Duration | None = None, before: Id | None = None) -> int:
        """Remove entries from the beginning; how many.

        Args:
            max_length: so many stay. max_age: those stay whose ids are not older (seconds or a ``timedelta``).
            before: those stay with this id or a higher one. Exactly one of the three.
        """
        removed = self._trim_by(max_length, max_age, before)
        self._wait()
        return removed

    def _trim_by(self, max_length: int | None, max_age: _Duration | None, before: Id | None) -> int:
        if (max_length is not None) + (max_age is not None) + (before is not None) != 1:
            raise InvalidArgumentError("trim", "one of max_length, max_age and before", "another number of them")
        if max_length is not None:
            return self._trim_nowait(None, integer(max_length, "max_length", 0, (1 << 62)))
        if max_age is not None:
            before = max(self._now_ms() - milliseconds(max_age, "max_age"), 0)
        return self._trim_nowait(before, -1)

    # ------------------------------------------------------------ reading

    def get(self, id: Id, default: Any = None) -> Any:
        """The entry with an id, or ``default``."""
        entry = self._get(id)
        return default if entry is None else entry

    def __getitem__(self, id: Id) -> StreamEntry:
        entry = self._get(id)
        if entry is None:
            raise KeyError(id)
        return entry

    def __contains__(self, id: object) -> bool:
        return self._get(cast("Id", id)) is not None

    def __iter__(self) -> Iterator[StreamEntry]:
        return self.range()

    def range(
        self, start: Id | None = None, stop: Id | None = None, *, count: int | None = None
    ) -> Iterator[StreamEntry]:
        """Entries from one id to another, both included; ``None``: an end. At most ``count``. Writes meanwhile do no
        harm."""
        return self._chunks(start, stop, False, count)

    def reverse_range(
        self, start: Id | None = None, stop: Id | None = None, *, count: int | None = None
    ) -> Iterator[StreamEntry]:
        """Entries from one id down to another, the latest first; as :meth:`range`."""
        return self._chunks(stop, start, True, count)

    def _chunks(
        self, low: Id | None, high: Id | None, backwards: bool, count: int | None, latest: bool = False
    ) -> Iterator[StreamEntry]:
        left = (1 << 62) if count is None else integer(count, "count", 0, 1 << 62)
        after = False
        while left > 0:
            entries = self._read(low, high, backwards, min(left, _CHUNK), after, latest)
            yield from entries
            left -= len(entries)
            if not entries:
                return
            if backwards:
                high = _before(entries[-1].id)
                if high is None:
                    return
            else:
                low, after = entries[-1].id, True

    def read(self, after: Id, *, count: int | None = 100, timeout: float | None = 0.0) -> list[StreamEntry]:
        """Entries behind an id, at most ``count``; waits up to ``timeout`` seconds for the first, ``None``: for ever.

        Returns:
            An empty list when there is none in time.
        """
        most, limit = how_many(count), nanoseconds(timeout)
        entries = self._read(after, None, False, most, True)
        if not entries and limit and self._sleep(after, limit):
            entries = self._read(after, None, False, most, True)
        return entries

    def follow(self, after: Id | None = None, *, timeout: float | None = None) -> Iterator[StreamEntry]:
        """Entries behind an id, then those that come, as they come.

        Args:
            after: ``None``: from now on; ``"0"``: from the beginning. timeout: seconds without an entry after which
                iteration ends; ``None``: it goes on until the database is closed, which raises LogClosedError.
        """
        limit = nanoseconds(timeout)
        last = self._figures()[0] if after is None else after
        return self._follow_from(last, limit)

    def _follow_from(self, last: Id, limit: int) -> Iterator[StreamEntry]:
        while True:
            entries = self._read(last, None, False, _CHUNK, True)
            yield from entries
            if entries:
                last = entries[-1].id
            elif not self._sleep(last, limit):
                return

    def info(self) -> StreamInfo:
        """Figures at this moment."""
        last, removed, low, added = self._figures()
        return StreamInfo(len(self), added, last, removed, low, self.groups())

    # ------------------------------------------------------------ groups

    def groups(self) -> list[str]:
        """Names of the consumer groups."""
        return [name.decode(errors="backslashreplace") for name in self._group_names()]

    def group(self, name: str, start: Id | None = None) -> Group[V]:
        """A consumer group, made if it is not there.

        Args:
            start: a new group gets the entries behind this id, by default those that come from now on; ``"0"``: all.
        """
        made = Group(self, name)
        if made._ensure_nowait(start):
            self._wait()
        return made

    def __repr__(self) -> str:
        return f"<striate.Stream {self._name!r} of {self._partition.log.path!r}>"


class Group(GroupCore, Generic[V]):
    """Consumers that share the entries of a stream: each entry is given to one of them, and is pending until that one
    acknowledges it or another claims it. Made by :meth:`Stream.group`.

    What is given, pending and acknowledged is in the log like all else. That an entry was given is not waited for:
    after a power cut it may be given again, as any entry that was not acknowledged. For any number of threads.
    """

    def __new__(cls, stream: Stream[V], name: str) -> Group[V]:
        """A handle on a group of a stream, which may not be there."""
        return cast("Group[V]", super().__new__(cls, stream, name))

    @property
    def name(self) -> str:
        """Its name."""
        return self._name.decode(errors="backslashreplace")

    @property
    def _stream(self) -> Stream[V]:
        return cast("Stream[V]", self._core)

    def _ensure_nowait(self, start: Id | None) -> bool:
        if self._name in self._core._group_names():
            return False
        try:
            self._set_nowait(start, 1)
        except GroupExistsError:
            return False
        return True

    # ------------------------------------------------------------ reading

    def read(
        self, consumer: str, *, count: int | None = 100, timeout: float | None = 0.0, acknowledged: bool = False
    ) -> list[StreamEntry]:
        """Entries that no consumer of the group has got yet, at most ``count``.

        Args:
            consumer: who asks; it need not be made before. timeout: seconds to wait for the first, ``None``: for ever.
            acknowledged: take them as acknowledged at once; a consumer that dies loses them.

        Returns:
            The entries, in their order; an empty list when there are none in time.

        Raises:
            GroupNotFoundError: there is no such group (any more). InvalidTypeError, InvalidArgumentError,
            LogClosedError, DiskFullError: nothing was given.
        """
        most, limit = how_many(count), nanoseconds(timeout)
        entries = self._read_nowait(consumer, most, acknowledged)
        while not entries and limit and self._sleep(limit):  # another consumer may have been quicker
            entries = self._read_nowait(consumer, most, acknowledged)
        return entries

    def read_again(self, consumer: str, start: Id | None = None, *, count: int | None = 100) -> list[StreamEntry]:
        """Entries that the consumer has got and not acknowledged, from an id on; each counts as given once more. Those
        that are no longer in the stream have ``None`` for their value."""
        return self._read_again_nowait(consumer, start, how_many(count))

    def acknowledge(self, ids: Iterable[Id]) -> int:
        """Say that entries are done with; how many of them were pending. On disk when this returns, with ``"power"``
        durability. Inside a transaction: ``tx[group].acknowledge``."""
        done = self._acknowledge_nowait(ids)
        self._core._wait()
        return done

    # ------------------------------------------------------------ entries that stay pending

    def pending(
        self,
        start: Id | None = None,
        stop: Id | None = None,
        *,
        count: int | None = 100,
        consumer: str | None = None,
        min_idle: _Duration = 0.0,
    ) -> list[PendingEntry]:
        """Pending entries from one id to another, of one consumer or all, given at least ``min_idle`` ago."""
        found = self._pending(start, stop, how_many(count), consumer, milliseconds(min_idle, "min_idle"))
        return [
            PendingEntry(id, name.decode(errors="backslashreplace"), idle / 1000, deliveries)
            for id, name, idle, deliveries in found
        ]

    def claim(
        self, consumer: str, ids: Iterable[Id], *, min_idle: _Duration = 0.0, count_delivery: bool = True
    ) -> list[StreamEntry]:
        """Take over pending entries that were given at least ``min_idle`` ago; those that this got. Entries that are no
        longer in the stream are dropped from what is pending."""
        claimed = self._claim_nowait(consumer, ids, milliseconds(min_idle, "min_idle"), count_delivery)
        self._core._wait()
        return claimed

    def auto_claim(
        self,
        consumer: str,
        min_idle: _Duration,
        start: Id | None = None,
        *,
        count: int | None = 100,
        count_delivery: bool = True,
    ) -> tuple[StreamId | None, list[StreamEntry]]:
        """Take over pending entries that were given at least ``min_idle`` ago, whichever they are, from an id on.

        Returns:
            Where to go on, ``None`` at the end, and the entries.
        """
        idle = milliseconds(min_idle, "min_idle")
        next_id, entries, _ = self._auto_claim_nowait(consumer, idle, start, how_many(count), count_delivery)
        self._core._wait()
        return next_id, entries

    # ------------------------------------------------------------ the group

    def set_position(self, id: Id | None) -> None:
        """Let the group go on behind an id; ``None``: at the end, ``"0"``: from the beginning. What is pending
        stays."""
        self._set_nowait(id, 2)
        self._core._wait()

    def add_consumer(self, consumer: str) -> bool:
        """Make a consumer; whether it was not there."""
        made = self._set_consumer_nowait(consumer)
        self._core._wait()
        return made

    def delete_consumer(self, consumer: str) -> int:
        """Delete a consumer. What is pending for it is given to nobody: claim it before. Gives how many that were."""
        dropped = self._delete_consumer_nowait(consumer)
        self._core._wait()
        return dropped or 0

    def delete(self) -> None:
        """Delete the group and what is pending in it."""
        self._delete_nowait()
        self._core._wait()

    def info(self) -> GroupInfo:
        """Figures at this moment."""
        last, read, pending, lag, first, end, committed, consumers = self._figures()
        return GroupInfo(self.name, last, read, committed, pending, first, end, lag, consumers)

    def consumers(self) -> list[ConsumerInfo]:
        """Figures of each consumer."""
        return [
            ConsumerInfo(
                name.decode(errors="backslashreplace"),
                pending,
                idle / 1000,
                None if inactive is None else inactive / 1000,
            )
            for _, name, pending, idle, inactive in self._consumers()
        ]

    def __repr__(self) -> str:
        return f"<striate.Group {self.name!r} of {self._stream._name!r}>"


def _before(id: StreamId) -> StreamId | None:
    if id.seq:
        return StreamId(id.ms, id.seq - 1)
    return StreamId(id.ms - 1, (1 << 64) - 1) if id.ms else None
