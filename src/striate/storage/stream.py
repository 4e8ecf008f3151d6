"""Streams of entries: :class:`Stream`.

What single calls do is native (:mod:`striate._native.streams`); here are iteration, checks of arguments and the waits.
What may not live here: consumer groups (groups.py), transactions, opening and closing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from striate._native.partition import StreamView
from striate._native.streamentry import StreamEntry, StreamId
from striate._native.streamlook import StreamLook
from striate._native.streams import StreamCore
from striate.errors import InvalidArgumentError
from striate.storage.arguments import integer, milliseconds, nanoseconds
from striate.storage.codecs import Codec
from striate.storage.groups import Group
from striate.storage.stream_info import Id, StreamInfo, how_many

if TYPE_CHECKING:
    _Base = StreamCore
else:

    class _Base(StreamCore, Generic[TypeVar("V")]):
        """The native class is not generic at run time."""


V = TypeVar("V")
_Duration = float | timedelta
_CHUNK = 256


class Stream(_Base[V]):
    """Entries in the order of their ids, as durable as the log they are in; made by :meth:`striate.Database.stream`.

    A value is bytes, or what the stream's codec takes. An id is a :class:`StreamId`, an entry, text such as ``"5-1"``,
    a pair or a number of milliseconds; where a range begins, ``5`` means ``5-0``, and where one ends, all ids of that
    millisecond. Reads see what is durable and never wait for the disk. For any number of threads.
    """

    _name: str
    _codec: Codec[V] | None

    def __new__(cls, view: StreamView, codec: Codec[V] | None, name: str) -> Stream[V]:
        """A stream over a view."""
        encode, decode = (None, None) if codec is None else (codec.encode, codec.decode)
        self = cast("Stream[V]", super().__new__(cls, view, encode, decode))
        self._name, self._codec = name, codec
        return self

    def _looked_at(self, look: StreamLook) -> Stream[V]:
        """The same as a transaction sees it, and to be changed by it only."""
        made = Stream(self._view, self._codec, self._name)
        made._look_through(look)
        return made

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

    def set_last_id(self, id: Id, *, added: int | None = None, removed_id: Id | None = None) -> None:
        """Let ids go on behind one, as if an entry with it had been appended and removed.

        Args:
            id: at least the stream's last. added: how many entries shall count as ever appended, at least as many as
                do; with ids that are offsets, as many as the id says. removed_id: the highest id that shall count as
                removed.

        Raises:
            StreamIdError: the id is below the stream's last. InvalidArgumentError: another figure would be lower than
            it is, or the id removed is higher than the last.
        """
        self._set_last_to(id, added, removed_id)
        self._wait()

    def _set_last_to(self, id: Id, added: int | None, removed_id: Id | None) -> None:
        self._set_last_nowait(id, None if added is None else integer(added, "added", 0, 1 << 62), removed_id)

    def _trim_by(self, max_length: int | None, max_age: _Duration | None, before: Id | None) -> int:
        reasons = {"max_length": max_length, "max_age": max_age, "before": before}
        given = [name for name, value in reasons.items() if value is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            raise InvalidArgumentError("trim", "called with exactly one of max_length, max_age and before", got)
        if max_length is not None:
            return self._trim_nowait(None, integer(max_length, "max_length", 0, (1 << 62)))
        if max_age is not None:
            if self._view._offset_ids:
                raise InvalidArgumentError("max_age", "a stream whose ids are times", max_age)
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
        last, removed, low, added, length = self._figures()
        return StreamInfo(length, added, last, removed, low, self.groups())

    # ------------------------------------------------------------ groups

    def groups(self) -> list[str]:
        """Names of the consumer groups."""
        return [name.decode(errors="backslashreplace") for name in self._group_names()]

    def group(self, name: str | bytes, start: Id | None = None) -> Group[V]:
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


def _before(id: StreamId) -> StreamId | None:
    if id.seq:
        return StreamId(id.ms, id.seq - 1)
    return StreamId(id.ms - 1, (1 << 64) - 1) if id.ms else None
