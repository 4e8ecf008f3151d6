"""XREAD and XREADGROUP: entries that came after others, waiting for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from striate._native.streamentry import StreamEntry
from striate.commands.blocking import NOTHING, Blocking
from striate.commands.numbers import SYNTAX, integer
from striate.commands.registry import Arguments, command
from striate.commands.stream_fields import entry_reply
from striate.commands.stream_ids import LOWEST, Id, id_after, id_before, pair, parse_id
from striate.commands.stream_keys import (
    NO_LIMIT,
    check_name,
    entries_after,
    group_handle,
    has_group,
    last_id,
    reads_streams,
    shown,
)
from striate.protocol.replies import NULL_ARRAY, Failure, Reply

if TYPE_CHECKING:
    from striate.commands.session import Session
    from striate.storage.groups import Group

_MOST_AT_ONCE: Final = 65536
_MEANINGLESS = (
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by "
    "specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
)


@dataclass(slots=True)
class _Request:
    """What was asked for."""

    keys: list[bytes]
    ids: list[bytes]
    count: int = NO_LIMIT
    block_ms: int | None = None
    group: bytes | None = None
    consumer: bytes = b""
    acknowledged: bool = False


def _find_keys(arguments: Arguments) -> list[bytes]:
    for at, word in enumerate(arguments):
        if word.upper() == b"STREAMS":
            rest = arguments[at + 1 :]
            return rest[: len(rest) // 2]
    return []


def _parse(arguments: Arguments, grouped: bool) -> _Request:
    request = _Request([], [])
    name = "xreadgroup" if grouped else "xread"
    at = 0
    while at < len(arguments):
        word, more = arguments[at].upper(), len(arguments) - 1 - at
        if word == b"BLOCK" and more:
            request.block_ms = integer(arguments[at + 1], "ERR timeout is not an integer or out of range")
            if request.block_ms < 0:
                raise Failure("ERR timeout is negative")
            at += 2
        elif word == b"COUNT" and more:
            count = integer(arguments[at + 1])
            request.count = count if count > 0 else NO_LIMIT
            at += 2
        elif word == b"STREAMS" and more:
            if more % 2:
                symbol = ">" if grouped else "$"
                raise Failure(
                    f"ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be "
                    "specified."
                )
            request.keys, request.ids = arguments[at + 1 : at + 1 + more // 2], arguments[at + 1 + more // 2 :]
            break
        elif word == b"GROUP" and more >= 2:
            if not grouped:
                raise Failure("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
            request.group, request.consumer = arguments[at + 1 : at + 3]
            at += 3
        elif word == b"NOACK":
            if not grouped:
                raise Failure("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
            request.acknowledged = True
            at += 1
        else:
            raise Failure(SYNTAX)
    if not request.keys:
        raise Failure(SYNTAX)
    if grouped and request.group is None:
        raise Failure("ERR Missing GROUP option for XREADGROUP")
    return request


def _answer(session: Session, found: list[tuple[bytes, list[StreamEntry]]]) -> Reply:
    parts = [(key, [entry_reply(entry) for entry in entries]) for key, entries in found]
    return dict(parts) if session.protocol >= 3 else [list(part) for part in parts]


def _wait(session: Session, request: _Request, attempt: Callable[[], Reply]) -> Reply:
    if request.block_ms is None or session.executing:
        return NULL_ARRAY
    return session.server.part(Blocking).wait(session, request.keys, request.block_ms / 1000, attempt, NULL_ARRAY)


# ---------------------------------------------------------------- XREAD


@command(
    "xread",
    -4,
    "readonly blocking movablekeys",
    summary="Give the entries of streams behind IDs, waiting for them if asked to.",
    group="stream",
    since="5.0.0",
    find_keys=_find_keys,
)
@reads_streams
def xread(session: Session, arguments: Arguments) -> Reply:
    """``XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]``."""
    request = _parse(arguments, False)
    places = [(key, _position(session, key, id)) for key, id in zip(request.keys, request.ids, strict=True)]
    keyspace = session.keyspace

    def attempt() -> Reply:
        found = []
        for key, id in places:
            stream = keyspace.stream(key)
            entries = [] if stream is None else entries_after(stream, id, request.count)
            if entries:
                found.append((key, entries))
        return _answer(session, found) if found else NOTHING

    def attempt_again() -> Reply:
        try:
            return attempt()
        except Failure:  # a string has taken the key's place: a stream may come again
            return NOTHING

    reply = attempt()
    return _wait(session, request, attempt_again) if reply is NOTHING else reply


def _position(session: Session, key: bytes, text: bytes) -> Id:
    """The id behind which a reader begins."""
    if text == b">":
        raise Failure(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
        )
    stream = session.keyspace.stream(key)
    if text not in (b"$", b"+"):
        return parse_id(text)
    if stream is None:
        return LOWEST
    if text == b"+" and len(stream):
        return id_before(pair(stream._read(None, None, True, 1)[0].id)) or LOWEST
    return last_id(stream)


# ---------------------------------------------------------------- XREADGROUP


@command(
    "xreadgroup",
    -7,
    "write blocking movablekeys",
    summary="Give a consumer of a group entries that none has got, or its own again.",
    group="stream",
    since="5.0.0",
    find_keys=_find_keys,
)
@reads_streams
def xreadgroup(session: Session, arguments: Arguments) -> Reply:
    """``XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key ... id ...``."""
    request = _parse(arguments, True)
    name = check_name(request.group or b"", "group")
    consumer = check_name(request.consumer, "consumer")
    keyspace = session.keyspace

    def open_groups() -> list[Group[bytes]]:
        groups = []
        for key in request.keys:
            stream = keyspace.stream(key)
            if stream is None or not has_group(stream, name):
                raise Failure(
                    f"NOGROUP No such key '{shown(key)}' or consumer group '{shown(name)}' in XREADGROUP with GROUP "
                    "option"
                )
            groups.append(group_handle(stream, name))
        return groups

    def attempt() -> Reply:
        groups = open_groups()
        found = []
        for key, group, start in zip(request.keys, groups, starts, strict=True):
            if start is None:
                entries = _new_entries(group, consumer, request)
            else:
                entries = _own_entries(group, consumer, start, request.count)
            if not entries and group._set_consumer_nowait(consumer):
                session.changed("xgroup-createconsumer", key)
            if entries or start is not None:
                found.append((key, entries))
        return _answer(session, found) if found else NOTHING

    open_groups()
    starts = [_start(text) for text in request.ids]
    reply = attempt()
    return _wait(session, request, attempt) if reply is NOTHING else reply


def _start(text: bytes) -> Id | None:
    """Behind which of its own entries a consumer begins; ``None``: with new ones."""
    if text == b">":
        return None
    if text == b"$":
        raise Failure(_MEANINGLESS)
    return parse_id(text)


def _new_entries(group: Group[bytes], consumer: bytes, request: _Request) -> list[StreamEntry]:
    found: list[StreamEntry] = []
    while len(found) < request.count:
        most = min(request.count - len(found), _MOST_AT_ONCE)
        part = group._read_nowait(consumer, most, request.acknowledged)
        found += part
        if len(part) < most:
            break
    return found


def _own_entries(group: Group[bytes], consumer: bytes, id: Id, count: int) -> list[StreamEntry]:
    found: list[StreamEntry] = []
    start = id_after(id)
    while start is not None and len(found) < count:
        most = min(count - len(found), _MOST_AT_ONCE)
        part = group._read_again_nowait(consumer, start, most)
        found += part
        if len(part) < most:
            break
        start = id_after(pair(part[-1].id))
    return found
