"""Commands of consumer groups: making and deleting them, acknowledging, what is pending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from striate._native.streamentry import StreamId
from striate.commands.numbers import SYNTAX, integer
from striate.commands.registry import Arguments, command
from striate.commands.stream_ids import Id, id_after, id_bytes, pair, parse_id, parse_start, parse_stop
from striate.commands.stream_keys import NO_LIMIT, check_name, group_handle, has_group, reads_streams, shown
from striate.errors import GroupExistsError, GroupNotFoundError
from striate.protocol.replies import NULL_ARRAY, OK, Failure, Reply, Simple

if TYPE_CHECKING:
    from striate.commands.session import Session
    from striate.storage.groups import Group
    from striate.storage.stream import Stream

_NO_KEY: Final = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option "
    "to create an empty stream automatically."
)
_MOST_AT_ONCE: Final = 65536
_Pending = tuple[StreamId, bytes, int, int]
_HELP: Final = """XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CREATE <key> <groupname> <id|$> [option]
    Create a new consumer group. Options are:
    * MKSTREAM
      Create the empty stream if it does not exist.
    * ENTRIESREAD entries_read
      Set the group's entries_read counter (internal use).
CREATECONSUMER <key> <groupname> <consumer>
    Create a new consumer in the specified group.
DELCONSUMER <key> <groupname> <consumer>
    Remove the specified consumer.
DESTROY <key> <groupname>
    Remove the specified group.
SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]
    Set the current group ID and entries_read counter.
HELP
    Prints this help."""


def _position(text: bytes) -> Id | None:
    """Where a group begins; ``None``: at the end."""
    return None if text == b"$" else parse_id(text)


def _wrong(name: str) -> Failure:
    return Failure(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try XGROUP HELP.")


def _stream_of(session: Session, key: bytes) -> Stream[bytes]:
    stream = session.keyspace.stream(key)
    if stream is None:
        raise Failure(_NO_KEY)
    return stream


def _group_of(session: Session, key: bytes, name: bytes) -> Group[bytes]:
    stream = _stream_of(session, key)
    if not has_group(stream, name):
        raise Failure(f"NOGROUP No such consumer group '{shown(name)}' for key name '{shown(key)}'")
    return group_handle(stream, name)


def _entries_read(text: bytes) -> int:
    read = integer(text)
    if read < -1:
        raise Failure("ERR value for ENTRIESREAD must be positive or -1")
    return read


# ---------------------------------------------------------------- XGROUP


@command(
    "xgroup create",
    -5,
    "write denyoom",
    (2, 2, 1),
    summary="Make a consumer group.",
    group="stream",
    since="5.0.0",
)
def xgroup_create(session: Session, arguments: Arguments) -> Reply:
    """``XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]``."""
    key, name = arguments[0], check_name(arguments[1], "group")
    make, read, at = False, -1, 3
    while at < len(arguments):
        word = arguments[at].upper()
        if word == b"MKSTREAM":
            make = True
            at += 1
        elif word == b"ENTRIESREAD" and at + 1 < len(arguments):
            read = _entries_read(arguments[at + 1])
            at += 2
        else:
            raise _wrong("CREATE")
    stream = session.keyspace.stream(key)
    if stream is None and not make:
        raise Failure(_NO_KEY)
    position = _position(arguments[2])
    if stream is None:
        stream = session.keyspace.create_stream(key)
    try:
        group_handle(stream, name)._set_nowait(position, 1, read)
    except GroupExistsError:
        raise Failure("BUSYGROUP Consumer Group name already exists") from None
    session.changed("xgroup-create", key)
    return OK


@command("xgroup setid", -5, "write", (2, 2, 1), summary="Move a consumer group.", group="stream", since="5.0.0")
def xgroup_setid(session: Session, arguments: Arguments) -> Reply:
    """``XGROUP SETID key group <id | $> [ENTRIESREAD entries-read]``."""
    rest = arguments[3:]
    if rest and (len(rest) != 2 or rest[0].upper() != b"ENTRIESREAD"):
        raise _wrong("SETID")
    read = _entries_read(rest[1]) if rest else -1
    group = _group_of(session, arguments[0], arguments[1])
    group._set_nowait(_position(arguments[2]), 2, read)
    session.changed("xgroup-setid", arguments[0])
    return OK


@command("xgroup destroy", 4, "write", (2, 2, 1), summary="Delete a consumer group.", group="stream", since="5.0.0")
def xgroup_destroy(session: Session, arguments: Arguments) -> Reply:
    """``XGROUP DESTROY key group``."""
    stream = _stream_of(session, arguments[0])
    if not has_group(stream, arguments[1]):
        return 0
    group_handle(stream, arguments[1])._delete_nowait()
    session.changed("xgroup-destroy", arguments[0])
    return 1


@command(
    "xgroup createconsumer",
    5,
    "write denyoom",
    (2, 2, 1),
    summary="Make a consumer of a group.",
    group="stream",
    since="6.2.0",
)
def xgroup_createconsumer(session: Session, arguments: Arguments) -> Reply:
    """``XGROUP CREATECONSUMER key group consumer``."""
    group = _group_of(session, arguments[0], arguments[1])
    made = group._set_consumer_nowait(check_name(arguments[2], "consumer"))
    if made:
        session.changed("xgroup-createconsumer", arguments[0])
    return int(made)


@command("xgroup delconsumer", 5, "write", (2, 2, 1), summary="Delete a consumer.", group="stream", since="5.0.0")
def xgroup_delconsumer(session: Session, arguments: Arguments) -> Reply:
    """``XGROUP DELCONSUMER key group consumer``."""
    group = _group_of(session, arguments[0], arguments[1])
    dropped = group._delete_consumer_nowait(arguments[2]) if arguments[2] else None
    if dropped is None:
        return 0
    session.changed("xgroup-delconsumer", arguments[0])
    return dropped


@command("xgroup help", 2, "loading stale", summary="Tell what XGROUP can do.", group="stream", since="5.0.0")
def xgroup_help(session: Session, arguments: Arguments) -> Reply:
    """``XGROUP HELP``."""
    return [Simple(line.encode()) for line in _HELP.split("\n")]


# ---------------------------------------------------------------- XACK, XPENDING


@command(
    "xack",
    -4,
    "write fast",
    (1, 1, 1),
    summary="Acknowledge entries that a group has given to consumers.",
    group="stream",
    since="5.0.0",
)
def xack(session: Session, arguments: Arguments) -> Reply:
    """``XACK key group id [id ...]``."""
    stream = session.keyspace.stream(arguments[0])
    if stream is None or not arguments[1]:
        return 0
    try:
        return group_handle(stream, arguments[1])._acknowledge_nowait([parse_id(text) for text in arguments[2:]])
    except GroupNotFoundError:
        return 0


@command(
    "xpending",
    -3,
    "readonly",
    (1, 1, 1),
    summary="Tell which entries were given to consumers and not acknowledged.",
    group="stream",
    since="5.0.0",
)
@reads_streams
def xpending(session: Session, arguments: Arguments) -> Reply:
    """``XPENDING key group [[IDLE min-idle-time] start end count [consumer]]``."""
    key, name, rest = arguments[0], arguments[1], arguments[2:]
    idle_ms = 0
    if rest and rest[0].upper() == b"IDLE":
        if len(rest) < 2:
            raise Failure(SYNTAX)
        idle_ms = integer(rest[1])
        rest = rest[2:]
        if not rest:
            raise Failure(SYNTAX)
    if rest and len(rest) not in (3, 4):
        raise Failure(SYNTAX)
    bounds = None
    if rest:
        count = max(integer(rest[2]), 0)
        bounds = parse_start(rest[0]), parse_stop(rest[1]), count, rest[3] if len(rest) == 4 else None
    stream = session.keyspace.stream(key)
    if stream is None or not has_group(stream, name):
        raise Failure(f"NOGROUP No such key '{shown(key)}' or consumer group '{shown(name)}'")
    group = group_handle(stream, name)
    if bounds is None:
        return _summary(group)
    low, high, count, consumer = bounds
    if consumer == b"":
        return []
    return [
        [id_bytes(id), owner, idle, deliveries]
        for id, owner, idle, deliveries in pending_between(group, low, high, count, consumer, idle_ms)
    ]


def _summary(group: Group[bytes]) -> Reply:
    _, _, pending, _, first, last, _, _ = group._figures()
    if first is None or last is None:
        return [0, None, None, NULL_ARRAY]
    owners = sorted((name, count) for _, name, count, _, _ in group._consumers() if count)
    return [pending, id_bytes(first), id_bytes(last), [[name, b"%d" % count] for name, count in owners]]


def pending_between(
    group: Group[bytes], low: Id, high: Id, count: int = NO_LIMIT, consumer: bytes | None = None, idle_ms: int = 0
) -> list[_Pending]:
    """Pending entries from one id to another: id, consumer, milliseconds idle, deliveries."""
    found: list[_Pending] = []
    start: Id | None = low
    while start is not None and count > 0:
        most = min(count, _MOST_AT_ONCE)
        part = group._pending(start, high, most, consumer, idle_ms)
        found += part
        count -= len(part)
        if len(part) < most:
            break
        start = id_after(pair(part[-1][0]))
    return found
