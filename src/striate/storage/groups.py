"""Consumer groups of streams: :class:`Group`. What single calls do is native (:mod:`striate._native.streamgroups`)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from striate._native.streamentry import StreamEntry, StreamId
from striate._native.streamgroups import GroupCore
from striate.errors import GroupExistsError
from striate.storage.arguments import milliseconds, nanoseconds
from striate.storage.stream_info import ConsumerInfo, GroupInfo, Id, PendingEntry, how_many

if TYPE_CHECKING:
    from striate.storage.stream import Stream

V = TypeVar("V")
_Duration = float | timedelta


class Group(GroupCore, Generic[V]):
    """Consumers that share the entries of a stream: each entry is given to one of them, and is pending until that one
    acknowledges it or another claims it. Made by :meth:`Stream.group`.

    What is given, pending and acknowledged is in the log like all else. That an entry was given is not waited for:
    after a power cut it may be given again, as any entry that was not acknowledged. For any number of threads.
    """

    def __new__(cls, stream: Stream[V], name: str | bytes) -> Group[V]:
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
        """Make the group if it is not there; whether it was made."""
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
        deadline = time.monotonic_ns() + limit
        entries = self._read_nowait(consumer, most, acknowledged)
        while not entries and limit and self._sleep(limit):
            entries = self._read_nowait(consumer, most, acknowledged)
            if limit > 0:  # another consumer was quicker: what is left of the time
                limit = max(deadline - time.monotonic_ns(), 0)
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
        """Pending entries from one id to another, of one consumer or all, given at least ``min_idle`` ago; at most
        ``count``, ``None``: all."""
        most, idle_ms = how_many(count), milliseconds(min_idle, "min_idle")
        found = part = self._pending(start, stop, most, consumer, idle_ms)
        while count is None and len(part) == most:
            part = self._pending(_next(part[-1][0]), stop, most, consumer, idle_ms)
            found += part
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


def _next(id: StreamId) -> StreamId:
    return StreamId(id.ms, id.seq + 1) if id.seq < (1 << 64) - 1 else StreamId(id.ms + 1, 0)
