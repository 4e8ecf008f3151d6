"""What commands show of streams and their groups."""

from __future__ import annotations

import base64
from typing import Any, cast

import striate
from striate.cli.output import plain, print_table, safe_text

__all__ = ["group_figures", "group_head", "groups_of", "print_streams", "stream_figures"]

_PENDING_AT_ONCE = 10_000
_HIGHEST = (1 << 64) - 1


def groups_of(stream: striate.Stream[bytes]) -> list[striate.Group[bytes]]:
    """The groups of a stream, also those whose names are no text."""
    return [striate.Group(stream, cast("str", name)) for name in sorted(stream._group_names())]


def group_head(stream: striate.Stream[bytes], group: striate.Group[bytes]) -> dict[str, Any]:
    """What an export has of a group; of each pending entry id, number of the consumer, ms when given, deliveries."""
    names = sorted(name for _, name, *_ in group._consumers())
    numbers = {name: number for number, name in enumerate(names)}
    pending: list[list[Any]] = []
    after: striate.StreamId | None = None
    while part := group._pending(after, None, _PENDING_AT_ONCE, since=True):
        pending += [[str(id), numbers[name], ms, count] for id, name, ms, count in part if id in stream]
        after = _next(part[-1][0])
        if after is None:
            break
    consumers = [plain(name) for name in names]
    last_id = str(group.info().last_id)
    return {"group": plain(group._name), "last_id": last_id, "consumers": consumers, "pending": pending}


def _next(id: striate.StreamId) -> striate.StreamId | None:
    if id.seq < _HIGHEST:
        return striate.StreamId(id.ms, id.seq + 1)
    return striate.StreamId(id.ms + 1, 0) if id.ms < _HIGHEST else None


def group_figures(group: striate.Group[bytes]) -> dict[str, Any]:
    """What is known of a group, as JSON knows it."""
    figures = plain(group.info())
    del figures["name"]
    return {"group": plain(group._name), **figures}


def stream_figures(database: striate.Database, name: str) -> dict[str, Any]:
    """What is known of a stream and its groups, as JSON knows it."""
    stream = database.stored_stream(name)
    info = stream.info()
    groups = [group_figures(group) for group in groups_of(stream)]
    return {
        "stream": plain(name),
        "length": info.length,
        "added": info.added,
        "last_id": str(info.last_id),
        **database.streams()[name],
        "groups": [{key: group[key] for key in ("group", "lag", "pending")} for group in groups],
    }


def print_streams(streams: list[dict[str, Any]]) -> None:
    """Print a table of streams."""
    rows = []
    for stream in streams:
        groups = "; ".join(f"{_name(g['group'])}: lag {g['lag']:,}, pending {g['pending']:,}" for g in stream["groups"])
        codec = str(stream["codec"] or "-")
        name = _name(stream["stream"])
        rows.append([name, f"{stream['length']:,}", stream["last_id"], stream["ids"], codec, groups or "-"])
    print_table(["stream", "entries", "last id", "ids", "codec", "groups"], rows)


def _name(name: str | dict[str, str]) -> str:
    return safe_text(name if isinstance(name, str) else base64.b64decode(name["base64"]))
