"""``striate db import`` of streams: what is checked before anything is changed, and appending under given ids."""

from __future__ import annotations

from typing import Any, cast

import striate
from striate import StreamId
from striate.cli.export_batches import Entry, StreamBatch, read_bytes, read_id
from striate.errors import GroupExistsError, ImportFormatError, StreamIdError

__all__ = ["StreamPlan", "append_entries", "finish"]

_ZERO = StreamId(0, 0)
_MOST_FILLED = 1_000_000
_FILLED_AT_ONCE = 256


class StreamPlan:
    """What a file has of one stream, gathered batch by batch."""

    def __init__(self, name: str, options: dict[str, Any], path: str) -> None:
        self.name, self._head, self._path = name, options, path
        self.options = {"codec": options.get("codec"), "ids": options["ids"]}
        self.last_id = read_id(options["last_id"], path)
        self.groups = [(read_bytes(g["group"], path), read_id(g["last_id"], path)) for g in options["groups"]]
        self._first: StreamId | None = None
        self._latest = _ZERO
        self._count = 0

    def add(self, batch: StreamBatch) -> None:
        """Check the next entries."""
        if batch.options != self._head:
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
            for name in {group for group, _ in self.groups} & set(stream._group_names()):
                raise GroupExistsError(database.path, name)
        missing = self.last_id.ms - last.ms - self._count
        if self.options["ids"] == "offset" and missing > _MOST_FILLED:
            reason = f"{missing:,} entries of {self.name!r:.100} were removed, of which {_MOST_FILLED:,} are the most"
            raise ImportFormatError(self._path, f"{reason} for a stream whose ids are offsets")


def append_entries(stream: striate.Stream[bytes], plan: StreamPlan, entries: list[Entry]) -> None:
    """Append entries under their ids."""
    offsets = plan.options["ids"] == "offset"
    for key, value, id in entries:
        if offsets:
            _fill(stream, id.ms - 1)
        stream._append_nowait(value, key, id)


def _fill(stream: striate.Stream[bytes], last: int) -> None:
    """Let the next id of a stream with offsets be the one behind ``last``: entries that were removed are so again."""
    while (missing := last - stream._figures()[0].ms) > 0:
        stream._remove_nowait(stream._append_many_nowait([b""] * min(missing, _FILLED_AT_ONCE)))


def finish(stream: striate.Stream[bytes], plan: StreamPlan) -> None:
    """After the entries: the last id, so that ids go on behind it, and the groups."""
    if plan.options["ids"] == "offset":
        _fill(stream, plan.last_id.ms)
    elif stream._figures()[0] < plan.last_id:
        stream._remove_nowait([stream._append_nowait(b"", None, plan.last_id)])
    for name, position in plan.groups:
        striate.Group(stream, cast("str", name))._set_nowait(position, 1)
