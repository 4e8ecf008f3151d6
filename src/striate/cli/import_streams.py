"""``striate db import`` of streams: what is checked before anything is changed, and appending under given ids."""

from __future__ import annotations

from typing import Any

import striate
from striate import StreamId
from striate.cli.export_batches import Entry, StreamBatch, read_bytes, read_id
from striate.errors import GroupExistsError, ImportFormatError, StreamIdError

__all__ = ["StreamPlan", "append_entries", "finish"]

_ZERO = StreamId(0, 0)
_CLAIMED_AT_ONCE = 1000


class _GroupPlan:
    """What a file has of one group."""

    def __init__(self, head: dict[str, Any], path: str) -> None:
        self.name = read_bytes(head["group"], path)
        self._position = read_id(head["last_id"], path)
        self._consumers = [read_bytes(name, path) for name in head["consumers"]]
        self._pending: list[tuple[str, int, int, int]] = head["pending"]

    def make(self, stream: striate.Stream[bytes]) -> None:
        """The group, with its consumers and what is pending for them."""
        group = striate.Group(stream, self.name)
        group._set_nowait(self._position, 1)
        for name in self._consumers:
            group._set_consumer_nowait(name)
        alike: dict[tuple[int, int, int], list[str]] = {}
        for id, *given in self._pending:
            alike.setdefault((given[0], given[1], given[2]), []).append(id)
        for (consumer, ms, deliveries), ids in alike.items():
            for at in range(0, len(ids), _CLAIMED_AT_ONCE):
                some = ids[at : at + _CLAIMED_AT_ONCE]
                group._claim_nowait(self._consumers[consumer], some, 0, False, deliveries, ms, force=True)


class StreamPlan:
    """What a file has of one stream, gathered batch by batch."""

    def __init__(self, name: str, options: dict[str, Any], path: str) -> None:
        self.name, self._head, self._path = name, options, path
        self.options = {"codec": options.get("codec"), "ids": options["ids"]}
        self.last_id = read_id(options["last_id"], path)
        self.groups = [_GroupPlan(group, path) for group in options["groups"]]
        self._first: StreamId | None = None
        self._latest = _ZERO
        self._count = 0

    def add(self, batch: StreamBatch) -> None:
        """Check the next entries."""
        if batch.options is not self._head and batch.options != self._head:
            raise ImportFormatError(self._path, f"the stream {self.name!r:.100} is described in two ways")
        for _, _, id in batch.entries:
            if not self._latest < id <= self.last_id or (id.seq and self.options["ids"] == "offset"):
                raise ImportFormatError(self._path, f"the id {id} cannot follow {self._latest} in {self.name!r:.100}")
            self._first = self._first or id
            self._latest = id
        self._count += len(batch.entries)

    def check(self, database: striate.Database) -> None:
        """Refuse a database in which this cannot be stored; nothing is changed."""
        database._catalog.check(self.name, "stream", self.options)
        last = _ZERO
        if self.name in database.streams():
            stream = database.stored_stream(self.name)
            last = stream._figures()[0]
            lowest = self._first or self.last_id
            if _ZERO < lowest <= last:
                raise StreamIdError(database.path, str(lowest), str(last))
            for name in {group.name for group in self.groups} & set(stream._group_names()):
                raise GroupExistsError(database.path, name)


def append_entries(stream: striate.Stream[bytes], plan: StreamPlan, entries: list[Entry]) -> None:
    """Append entries under their ids."""
    offsets = plan.options["ids"] == "offset"
    for key, value, id in entries:
        if offsets:
            _skip_to(stream, StreamId(id.ms - 1, 0))
        stream._append_nowait(value, key, id)


def _skip_to(stream: striate.Stream[bytes], last: StreamId) -> None:
    """Let ids go on behind one: those before it that are not there have been removed."""
    if stream._figures()[0] < last:
        stream._set_last_nowait(last)


def finish(stream: striate.Stream[bytes], plan: StreamPlan) -> None:
    """After the entries: the last id, so that ids go on behind it, and the groups."""
    _skip_to(stream, plan.last_id)
    stream._wait()  # only what readers see is pending for somebody
    for group in plan.groups:
        group.make(stream)
