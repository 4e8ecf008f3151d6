"""Streams and consumer groups for asyncio: :class:`AsyncStream` and :class:`AsyncGroup`."""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from striate._native.streamentry import StreamEntry, StreamId
from striate.storage.arguments import check_timeout, milliseconds
from striate.storage.groups import Group
from striate.storage.stream import Stream
from striate.storage.stream_info import ConsumerInfo, GroupInfo, Id, PendingEntry, StreamInfo, how_many

if TYPE_CHECKING:
    from striate.storage.arrivals import Arrivals

V = TypeVar("V")
_Duration = float | timedelta
_CHUNK = 256


class AsyncStream(Generic[V]):
    """Entries of a :class:`striate.Stream`, for one event loop; made by :meth:`striate.AsyncDatabase.stream`.

    Methods have the names and results of :class:`~striate.Stream`. Those that write or wait are coroutines; reads are
    not, they are memory copies. A cancelled write may or may not be in the stream.
    """

    def __init__(self, stream: Stream[V], settled: Callable[[], Awaitable[None] | None], arrivals: Arrivals) -> None:
        self._own = stream
        # Gives what to await until everything written is durable, or None.
        self._settled = settled
        self._arrivals = arrivals

    async def _wait(self) -> None:
        if (waits := self._settled()) is not None:
            await waits

    def __repr__(self) -> str:
        return repr(self._own).replace("striate.Stream", "striate.AsyncStream", 1)

    @property
    def name(self) -> str:
        """Its name in the database."""
        return self._own.name

    # ------------------------------------------------------------ changing

    async def append(self, value: V, key: bytes | str | None = None, *, id: Id | None = None) -> StreamId:
        """Append one entry; see :meth:`striate.Stream.append`."""
        made = self._own._append_nowait(value, key, id)
        if (waits := self._settled()) is not None:
            await waits
        return made

    async def append_many(
        self, values: Iterable[V], keys: Iterable[bytes | str | None] | None = None
    ) -> list[StreamId]:
        """Append many entries as one transaction; their ids."""
        made = self._own._append_many_nowait(values, keys)
        await self._wait()
        return made

    async def delete(self, ids: Iterable[Id]) -> int:
        """Remove entries; how many were there."""
        removed = self._own._remove_nowait(ids)
        await self._wait()
        return removed

    async def trim(
        self, *, max_length: int | None = None, max_age: _Duration | None = None, before: Id | None = None
    ) -> int:
        """Remove entries from the beginning; see :meth:`striate.Stream.trim`."""
        removed = self._own._trim_by(max_length, max_age, before)
        await self._wait()
        return removed

    async def set_last_id(self, id: Id, *, added: int | None = None, removed_id: Id | None = None) -> None:
        """Let ids go on behind one; see :meth:`striate.Stream.set_last_id`."""
        self._own._set_last_to(id, added, removed_id)
        await self._wait()

    # ------------------------------------------------------------ reading

    def get(self, id: Id, default: Any = None) -> Any:
        """The entry with an id, or ``default``."""
        return self._own.get(id, default)

    def __getitem__(self, id: Id) -> StreamEntry:
        return self._own[id]

    def __contains__(self, id: object) -> bool:
        return id in self._own

    def __len__(self) -> int:
        return len(self._own)

    def __iter__(self) -> Iterator[StreamEntry]:
        return self._own.range()

    def range(
        self, start: Id | None = None, stop: Id | None = None, *, count: int | None = None
    ) -> Iterator[StreamEntry]:
        """Entries from one id to another; see :meth:`striate.Stream.range`. Other tasks run only where the caller lets
        them."""
        return self._own.range(start, stop, count=count)

    def reverse_range(
        self, start: Id | None = None, stop: Id | None = None, *, count: int | None = None
    ) -> Iterator[StreamEntry]:
        """Entries from one id down to another; see :meth:`striate.Stream.reverse_range`."""
        return self._own.reverse_range(start, stop, count=count)

    async def read(self, after: Id, *, count: int | None = 100, timeout: float | None = 0.0) -> list[StreamEntry]:
        """Entries behind an id; see :meth:`striate.Stream.read`."""
        most = how_many(count)
        timeout = check_timeout(timeout)
        entries = self._own._read(after, None, False, most, True)
        if entries or timeout == 0:
            return entries
        await self._arrival(partial(self._own._next, after), timeout)
        return self._own._read(after, None, False, most, True)

    async def follow(self, after: Id | None = None, *, timeout: float | None = None) -> AsyncIterator[StreamEntry]:
        """Entries behind an id, then those that come, as they come; see :meth:`striate.Stream.follow`. Ends when the
        database is closed."""
        timeout = check_timeout(timeout)
        last: Id = self._own._figures()[0] if after is None else after
        while True:
            entries = self._own._read(last, None, False, _CHUNK, True)
            for entry in entries:
                yield entry
            if entries:
                last = entries[-1].id
            elif not await self._arrival(partial(self._own._next, last), timeout):
                return

    async def _arrival(self, state: Callable[[], int], timeout: float | None) -> bool:
        """Wait until ``state`` gives 2, that is, until there is an entry that readers see; false after ``timeout``
        seconds or when the database is closed."""
        deadline = None if timeout is None else get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    arrival = self._arrivals.next()
                    self._own._want()
                    # Looked at behind the wish to be told, so that nothing can come in between.
                    match state():
                        case 2:
                            return True
                        case 1:
                            await self._wait()
                        case _:
                            if not await asyncio.shield(arrival):
                                return False
        except TimeoutError:
            return False

    def info(self) -> StreamInfo:
        """Figures at this moment."""
        return self._own.info()

    # ------------------------------------------------------------ groups

    def groups(self) -> list[str]:
        """Names of the consumer groups."""
        return self._own.groups()

    async def group(self, name: str, start: Id | None = None) -> AsyncGroup[V]:
        """A consumer group, made if it is not there; see :meth:`striate.Stream.group`."""
        made = Group(self._own, name)
        if made._ensure_nowait(start):
            await self._wait()
        return AsyncGroup(self, made)


class AsyncGroup(Generic[V]):
    """A :class:`striate.Group` for one event loop; made by :meth:`AsyncStream.group`. Methods have the names and
    results of the group's; those that write or wait are coroutines. Cancelling :meth:`read` gives no entry away: one
    that is cancelled while it waits has got none."""

    def __init__(self, stream: AsyncStream[V], group: Group[V]) -> None:
        self._stream = stream
        self._own = group

    def __repr__(self) -> str:
        return repr(self._own).replace("striate.Group", "striate.AsyncGroup", 1)

    @property
    def name(self) -> str:
        """Its name."""
        return self._own.name

    async def read(
        self, consumer: str, *, count: int | None = 100, timeout: float | None = 0.0, acknowledged: bool = False
    ) -> list[StreamEntry]:
        """Entries that no consumer of the group has got yet; see :meth:`striate.Group.read`."""
        most = how_many(count)
        timeout = check_timeout(timeout)
        clock = get_running_loop().time
        deadline = None if timeout is None else clock() + timeout
        while True:
            entries = self._own._read_nowait(consumer, most, acknowledged)
            if entries or timeout == 0:
                return entries
            left = None if deadline is None else max(deadline - clock(), 0)
            if not await self._stream._arrival(partial(self._stream._own._next, 0, self._own._name), left):
                return []

    def read_again(self, consumer: str, start: Id | None = None, *, count: int | None = 100) -> list[StreamEntry]:
        """Entries that the consumer has got and not acknowledged; see :meth:`striate.Group.read_again`."""
        return self._own.read_again(consumer, start, count=count)

    async def acknowledge(self, ids: Iterable[Id]) -> int:
        """Say that entries are done with; how many of them were pending."""
        done = self._own._acknowledge_nowait(ids)
        if (waits := self._stream._settled()) is not None:
            await waits
        return done

    def pending(
        self,
        start: Id | None = None,
        stop: Id | None = None,
        *,
        count: int | None = 100,
        consumer: str | None = None,
        min_idle: _Duration = 0.0,
    ) -> list[PendingEntry]:
        """Pending entries; see :meth:`striate.Group.pending`."""
        return self._own.pending(start, stop, count=count, consumer=consumer, min_idle=min_idle)

    async def claim(
        self, consumer: str, ids: Iterable[Id], *, min_idle: _Duration = 0.0, count_delivery: bool = True
    ) -> list[StreamEntry]:
        """Take over pending entries; see :meth:`striate.Group.claim`."""
        claimed = self._own._claim_nowait(consumer, ids, milliseconds(min_idle, "min_idle"), count_delivery)
        await self._stream._wait()
        return claimed

    async def auto_claim(
        self,
        consumer: str,
        min_idle: _Duration,
        start: Id | None = None,
        *,
        count: int | None = 100,
        count_delivery: bool = True,
    ) -> tuple[StreamId | None, list[StreamEntry]]:
        """Take over pending entries, whichever they are; see :meth:`striate.Group.auto_claim`."""
        idle = milliseconds(min_idle, "min_idle")
        next_id, entries, _ = self._own._auto_claim_nowait(consumer, idle, start, how_many(count), count_delivery)
        await self._stream._wait()
        return next_id, entries

    async def set_position(self, id: Id | None) -> None:
        """Let the group go on behind an id; see :meth:`striate.Group.set_position`."""
        self._own._set_nowait(id, 2)
        await self._stream._wait()

    async def add_consumer(self, consumer: str) -> bool:
        """Make a consumer; whether it was not there."""
        made = self._own._set_consumer_nowait(consumer)
        await self._stream._wait()
        return made

    async def delete_consumer(self, consumer: str) -> int:
        """Delete a consumer; see :meth:`striate.Group.delete_consumer`."""
        dropped = self._own._delete_consumer_nowait(consumer)
        await self._stream._wait()
        return dropped or 0

    async def delete(self) -> None:
        """Delete the group and what is pending in it."""
        self._own._delete_nowait()
        await self._stream._wait()

    def info(self) -> GroupInfo:
        """Figures at this moment."""
        return self._own.info()

    def consumers(self) -> list[ConsumerInfo]:
        """Figures of each consumer."""
        return self._own.consumers()
