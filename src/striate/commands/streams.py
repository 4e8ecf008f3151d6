"""Commands of streams: adding, removing, ranges. Groups are in stream_groups.py, XREAD in stream_reading.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.commands.blocking import Blocking
from striate.commands.numbers import SYNTAX, integer
from striate.commands.registry import Arguments, command
from striate.commands.stream_fields import as_entry, entry_reply
from striate.commands.stream_ids import (
    HIGHEST,
    LOWEST,
    Id,
    id_bytes,
    pair,
    parse_id,
    parse_start,
    parse_stop,
)
from striate.commands.stream_keys import NO_LIMIT, entries_between, existing, last_id, reads_streams
from striate.commands.stream_trimming import parse_options, trim
from striate.errors import InvalidArgumentError, RecordTooLargeError, StreamIdError
from striate.protocol.replies import NULL_ARRAY, OK, Failure, Reply

if TYPE_CHECKING:
    from striate.commands.session import Session
    from striate.storage.stream import Stream

_TOO_LOW = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
_EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more items"


@command(
    "xadd", -5, "write denyoom fast", (1, 1, 1), summary="Append an entry to a stream.", group="stream", since="5.0.0"
)
def xadd(session: Session, arguments: Arguments) -> Reply:
    """``XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] <* | id> field value ...``."""
    key = arguments[0]
    options, at = parse_options(arguments, 1, True)
    fields = arguments[at + 1 :]
    if len(fields) < 2 or len(fields) % 2:
        if at < len(arguments):
            _parse_new_id(arguments[at])
        raise Failure("ERR wrong number of arguments for 'xadd' command")
    id = _parse_new_id(arguments[at])
    keyspace = session.keyspace
    stream = keyspace.stream(key)
    if stream is None:
        if not options.make:
            return None
        stream = keyspace.create_stream(key)
    value, own_key = as_entry(fields)
    try:
        made = stream._append_nowait(value, own_key, id)
    except StreamIdError:
        raise Failure(_EXHAUSTED if last_id(stream) == HIGHEST else _TOO_LOW) from None
    except RecordTooLargeError:
        raise Failure("ERR Elements are too large to be stored") from None
    trimmed = options.trims and trim(stream, options)
    session.changed("xadd", key)
    if not session.executing and not session.server.part(Blocking).is_waited_for(session.database, key):
        keyspace.admit_appends(key, stream, session.server.appended)
    if trimmed:
        session.changed("xtrim", key)
    return id_bytes(made)


def _parse_new_id(text: bytes) -> Id | str | None:
    """An id, ``"5-*"``, or ``None`` for one by the clock."""
    if text == b"*":
        return None
    if text.endswith(b"-*"):
        return f"{parse_id(text[:-2])[0]}-*" if b"-" not in text[:-2] else parse_id(text)
    id = parse_id(text)
    if id == LOWEST:
        raise Failure("ERR The ID specified in XADD must be greater than 0-0")
    return id


@command("xlen", 2, "readonly fast", (1, 1, 1), summary="Count a stream's entries.", group="stream", since="5.0.0")
@reads_streams
def xlen(session: Session, arguments: Arguments) -> Reply:
    """``XLEN key``."""
    stream = session.keyspace.stream(arguments[0])
    return 0 if stream is None else len(stream)


@command(
    "xrange",
    -4,
    "readonly",
    (1, 1, 1),
    summary="Give a stream's entries between two IDs.",
    group="stream",
    since="5.0.0",
)
@reads_streams
def xrange(session: Session, arguments: Arguments) -> Reply:
    """``XRANGE key start end [COUNT count]``."""
    return _range(session, arguments, arguments[1], arguments[2], False)


@command(
    "xrevrange",
    -4,
    "readonly",
    (1, 1, 1),
    summary="Give a stream's entries between two IDs, the latest first.",
    group="stream",
    since="5.0.0",
)
@reads_streams
def xrevrange(session: Session, arguments: Arguments) -> Reply:
    """``XREVRANGE key end start [COUNT count]``."""
    return _range(session, arguments, arguments[2], arguments[1], True)


def _range(session: Session, arguments: Arguments, start: bytes, stop: bytes, backwards: bool) -> Reply:
    low, high = parse_start(start), parse_stop(stop)
    count = NO_LIMIT
    for at in range(3, len(arguments), 2):
        if arguments[at].upper() != b"COUNT" or at + 1 == len(arguments):
            raise Failure(SYNTAX)
        count = max(integer(arguments[at + 1]), 0)
    stream = session.keyspace.stream(arguments[0])
    if stream is None:
        return []
    if count == 0:
        return NULL_ARRAY
    return [entry_reply(entry) for entry in entries_between(stream, low, high, count, backwards=backwards)]


@command("xdel", -3, "write fast", (1, 1, 1), summary="Remove entries of a stream.", group="stream", since="5.0.0")
def xdel(session: Session, arguments: Arguments) -> Reply:
    """``XDEL key id [id ...]``."""
    stream = session.keyspace.stream(arguments[0])
    ids = [parse_id(text) for text in arguments[1:]]
    removed = 0 if stream is None else stream._remove_nowait(ids)
    if removed:
        session.changed("xdel", arguments[0])
    return removed


@command("xtrim", -4, "write", (1, 1, 1), summary="Remove a stream's oldest entries.", group="stream", since="5.0.0")
def xtrim(session: Session, arguments: Arguments) -> Reply:
    """``XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count]``."""
    options, _ = parse_options(arguments, 1, False)
    stream = session.keyspace.stream(arguments[0])
    removed = 0 if stream is None else trim(stream, options)
    if removed:
        session.changed("xtrim", arguments[0])
    return removed


@command(
    "xsetid",
    -3,
    "write denyoom fast",
    (1, 1, 1),
    summary="Set a stream's last ID and counters.",
    group="stream",
    since="5.0.0",
)
@reads_streams
def xsetid(session: Session, arguments: Arguments) -> Reply:
    """``XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]``."""
    id = parse_id(arguments[1])
    added: int | None = None
    removed: Id | None = None
    at = 2
    while at < len(arguments):
        word = arguments[at].upper()
        if word == b"ENTRIESADDED" and at + 1 < len(arguments):
            added = integer(arguments[at + 1])
            if added < 0:
                raise Failure("ERR entries_added must be positive")
        elif word == b"MAXDELETEDID" and at + 1 < len(arguments):
            removed = parse_id(arguments[at + 1])
            if id < removed:
                raise Failure("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
        else:
            raise Failure(SYNTAX)
        at += 2
    stream = existing(session, arguments[0])
    _set_last(stream, id, added, removed)
    session.changed("xsetid", arguments[0])
    return OK


def _set_last(stream: Stream[bytes], id: Id, added: int | None, removed: Id | None) -> None:
    _, highest_removed, _, _, length = stream._figures()
    if id < pair(highest_removed):
        raise Failure("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    top = stream._read(None, None, True, 1) if length else []
    if top:
        if id < pair(top[0].id):
            raise Failure("ERR The ID specified in XSETID is smaller than the target stream top item")
        if added is not None and length > added:
            raise Failure("ERR The entries_added specified in XSETID is smaller than the target stream length")
    try:
        stream._set_last_nowait(id, added, removed)
    except StreamIdError:
        raise Failure("ERR The ID specified in XSETID is smaller than the last ID, which only grows here") from None
    except InvalidArgumentError:
        raise Failure("ERR entries_added and max_deleted_entry_id only grow here") from None
