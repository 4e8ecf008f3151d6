"""XINFO: what a stream, its groups and their consumers are like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from striate.commands.numbers import integer
from striate.commands.registry import Arguments, command
from striate.commands.stream_fields import entry_reply
from striate.commands.stream_groups import pending_between
from striate.commands.stream_ids import HIGHEST, LOWEST, id_bytes, pair
from striate.commands.stream_keys import (
    NO_LIMIT,
    entries_between,
    existing,
    group_handle,
    has_group,
    reads_streams,
    shown,
)
from striate.protocol.replies import Failure, Reply, Simple

if TYPE_CHECKING:
    from striate.commands.session import Session
    from striate.storage.groups import Group
    from striate.storage.stream import Stream

_NODE_ENTRIES: Final = 100
_HELP: Final = """XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CONSUMERS <key> <groupname>
    Show consumers of <groupname>.
GROUPS <key>
    Show the stream consumer groups.
STREAM <key> [FULL [COUNT <count>]
    Show information about the stream.
HELP
    Prints this help."""


@command("xinfo stream", -3, "readonly", (2, 2, 1), summary="Tell about a stream.", group="stream", since="5.0.0")
@reads_streams
def xinfo_stream(session: Session, arguments: Arguments) -> Reply:
    """``XINFO STREAM key [FULL [COUNT count]]``."""
    rest = arguments[1:]
    full, count = bool(rest), 10
    if full:
        if rest[0].upper() != b"FULL" or len(rest) not in (1, 3) or (len(rest) == 3 and rest[1].upper() != b"COUNT"):
            raise Failure("ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.")
        if len(rest) == 3:
            count = integer(rest[2])
            count = 10 if count < 0 else count or NO_LIMIT
    stream = existing(session, arguments[0])
    last, removed, _, added, length = stream._figures()
    first = stream._read(None, None, False, 1)
    nodes = -(-length // _NODE_ENTRIES)
    about: dict[bytes, Any] = {
        b"length": length,
        # Redis keeps entries in a tree of nodes; these are the figures of one with as many entries.
        b"radix-tree-keys": nodes,
        b"radix-tree-nodes": nodes + 1,
        b"last-generated-id": id_bytes(last),
        b"max-deleted-entry-id": id_bytes(removed),
        b"entries-added": added,
        b"recorded-first-entry-id": id_bytes(first[0].id if first else LOWEST),
    }
    names = stream._group_names()
    if not full:
        about[b"groups"] = len(names)
        about[b"first-entry"] = entry_reply(first[0]) if first else None
        final = stream._read(None, None, True, 1)
        about[b"last-entry"] = entry_reply(final[0]) if final else None
        return about
    about[b"entries"] = [entry_reply(entry) for entry in entries_between(stream, LOWEST, HIGHEST, count)]
    now_ms = session.server.effects.now_ms()
    about[b"groups"] = [_full_group(stream, group_handle(stream, name), name, count, now_ms) for name in names]
    return about


def _group_figures(stream: Stream[bytes], group: Group[bytes]) -> tuple[dict[bytes, Any], int]:
    last, read, pending, lag, _, _, _, _ = group._figures()
    _, removed, low, added, length = stream._figures()
    # Redis does not know the count before the group has given an entry to somebody, unless a client has said it.
    said = pair(removed) == pair(low) == LOWEST and read != added - lag
    known = said or any(active is not None for *_, active in group._consumers())
    return {
        b"last-delivered-id": id_bytes(last),
        b"entries-read": read if known else None,
        b"lag": added - read if said and lag != length else lag,
    }, pending


def _full_group(stream: Stream[bytes], group: Group[bytes], name: bytes, count: int, now_ms: int) -> dict[bytes, Any]:
    figures, pending = _group_figures(stream, group)
    consumers = []
    for _, consumer, owned, idle, inactive in sorted(group._consumers(), key=lambda each: each[1]):
        own = pending_between(group, LOWEST, HIGHEST, count, consumer) if owned else []
        consumers.append(
            {
                b"name": consumer,
                b"seen-time": now_ms - idle,
                b"active-time": -1 if inactive is None else now_ms - inactive,
                b"pel-count": owned,
                b"pending": [[id_bytes(id), now_ms - idle, deliveries] for id, _, idle, deliveries in own],
            }
        )
    given = pending_between(group, LOWEST, HIGHEST, count)
    return {
        b"name": name,
        **figures,
        b"pel-count": pending,
        b"pending": [[id_bytes(id), owner, now_ms - idle, deliveries] for id, owner, idle, deliveries in given],
        b"consumers": consumers,
    }


@command(
    "xinfo groups", 3, "readonly", (2, 2, 1), summary="Tell about a stream's groups.", group="stream", since="5.0.0"
)
@reads_streams
def xinfo_groups(session: Session, arguments: Arguments) -> Reply:
    """``XINFO GROUPS key``."""
    stream = existing(session, arguments[0])
    about = []
    for name in stream._group_names():
        group = group_handle(stream, name)
        figures, pending = _group_figures(stream, group)
        about.append({b"name": name, b"consumers": len(group._consumers()), b"pending": pending, **figures})
    return about


@command(
    "xinfo consumers",
    4,
    "readonly",
    (2, 2, 1),
    summary="Tell about a group's consumers.",
    group="stream",
    since="5.0.0",
)
@reads_streams
def xinfo_consumers(session: Session, arguments: Arguments) -> Reply:
    """``XINFO CONSUMERS key group``."""
    stream, name = existing(session, arguments[0]), arguments[1]
    if not has_group(stream, name):
        raise Failure(f"NOGROUP No such consumer group '{shown(name)}' for key name '{shown(arguments[0])}'")
    return [
        {b"name": consumer, b"pending": pending, b"idle": idle, b"inactive": -1 if inactive is None else inactive}
        for _, consumer, pending, idle, inactive in sorted(
            group_handle(stream, name)._consumers(), key=lambda each: each[1]
        )
    ]


@command("xinfo help", 2, "loading stale", summary="Tell what XINFO can do.", group="stream", since="5.0.0")
def xinfo_help(session: Session, arguments: Arguments) -> Reply:
    """``XINFO HELP``."""
    return [Simple(line.encode()) for line in _HELP.split("\n")]
