"""What commands show of streams and their groups."""

from __future__ import annotations

import base64
from typing import Any, cast

import striate
from striate.cli.output import plain, print_table, safe_text

__all__ = ["group_figures", "groups_of", "print_streams", "stream_figures"]


def groups_of(stream: striate.Stream[bytes]) -> list[striate.Group[bytes]]:
    """The groups of a stream, also those whose names are no text."""
    return [striate.Group(stream, cast("str", name)) for name in sorted(stream._group_names())]


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
        "stream": name,
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
        name = safe_text(stream["stream"])
        rows.append([name, f"{stream['length']:,}", stream["last_id"], stream["ids"], codec, groups or "-"])
    print_table(["stream", "entries", "last id", "ids", "codec", "groups"], rows)


def _name(name: str | dict[str, str]) -> str:
    return safe_text(name if isinstance(name, str) else base64.b64decode(name["base64"]))
