"""Strings of which a part is read or changed, and strings that are numbers: APPEND, GETRANGE, INCR and their kin."""

from __future__ import annotations

from striate.commands.extended import add_extended, parse_extended, show_extended
from striate.commands.keyspace import Entry, Write
from striate.commands.numbers import HIGHEST, LOWEST, integer
from striate.commands.registry import Arguments, command
from striate.commands.session import Session
from striate.protocol.replies import Failure, Reply

MOST_BYTES = 512 << 20  # proto-max-bulk-len


@command(
    "strlen",
    2,
    "readonly fast",
    (1, 1, 1),
    summary="Returns the length of a string value.",
    group="string",
    since="2.2.0",
)
def strlen(session: Session, arguments: Arguments) -> Reply:
    """STRLEN key."""
    return len(session.keyspace.get(arguments[0]) or b"")


# ---------------------------------------------------------------- parts


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise Failure("ERR string exceeds maximum allowed size (proto-max-bulk-len)")


@command(
    "append",
    3,
    "write denyoom fast",
    (1, 1, 1),
    summary="Appends a string to the value of a key. Creates the key if it doesn't exist.",
    group="string",
    since="2.0.0",
)
def append(session: Session, arguments: Arguments) -> Reply:
    """APPEND key value."""
    key, tail = arguments
    size = 0

    def extend(entry: Entry | None) -> Write:
        nonlocal size
        value, end = (b"", 0) if entry is None else entry[:2]
        size = len(value) + len(tail)
        _check_size(size)
        return value + tail, end

    session.keyspace.change(key, extend)
    session.changed("append", key)
    return size


@command(
    "setrange",
    4,
    "write denyoom",
    (1, 1, 1),
    summary="Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
    group="string",
    since="2.2.0",
)
def setrange(session: Session, arguments: Arguments) -> Reply:
    """SETRANGE key offset value."""
    key, text, piece = arguments
    offset = integer(text)
    if offset < 0:
        raise Failure("ERR offset is out of range")
    size = 0

    def overwrite(entry: Entry | None) -> Write | None:
        nonlocal size
        value, end = (b"", 0) if entry is None else entry[:2]
        size = len(value)
        if not piece:
            return None
        _check_size(offset + len(piece))
        made = value[:offset].ljust(offset, b"\0") + piece + value[offset + len(piece) :]
        size = len(made)
        return made, end

    session.keyspace.change(key, overwrite)
    if piece:
        session.changed("setrange", key)
    return size


def _range(session: Session, arguments: Arguments) -> Reply:
    start, stop = integer(arguments[1]), integer(arguments[2])
    value = session.keyspace.get(arguments[0]) or b""
    if start < 0 and stop < 0 and start > stop:
        return b""
    start = max(start + len(value), 0) if start < 0 else start
    stop = max(stop + len(value), 0) if stop < 0 else stop
    return value[start : stop + 1]


@command(
    "getrange",
    4,
    "readonly",
    (1, 1, 1),
    summary="Returns a substring of the string stored at a key.",
    group="string",
    since="2.4.0",
)
def getrange(session: Session, arguments: Arguments) -> Reply:
    """GETRANGE key start end."""
    return _range(session, arguments)


@command("substr", 4, "readonly", (1, 1, 1), summary="Returns a substring from a string value.", group="string")
def substr(session: Session, arguments: Arguments) -> Reply:
    """SUBSTR key start end: GETRANGE's old name."""
    return _range(session, arguments)


# ---------------------------------------------------------------- counting


def _count(session: Session, key: bytes, delta: int) -> int:
    total = 0

    def add(entry: Entry | None) -> Write:
        nonlocal total
        value, end = (b"0", 0) if entry is None else entry[:2]
        total = integer(value) + delta
        if not LOWEST <= total <= HIGHEST:
            raise Failure("ERR increment or decrement would overflow")
        return b"%d" % total, end

    session.keyspace.change(key, add)
    session.changed("incrby", key)
    return total


@command(
    "incr",
    2,
    "write denyoom fast",
    (1, 1, 1),
    summary="Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
    group="string",
)
def incr(session: Session, arguments: Arguments) -> Reply:
    """INCR key."""
    return _count(session, arguments[0], 1)


@command(
    "decr",
    2,
    "write denyoom fast",
    (1, 1, 1),
    summary="Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
    group="string",
)
def decr(session: Session, arguments: Arguments) -> Reply:
    """DECR key."""
    return _count(session, arguments[0], -1)


@command(
    "incrby",
    3,
    "write denyoom fast",
    (1, 1, 1),
    summary="Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
    group="string",
)
def incrby(session: Session, arguments: Arguments) -> Reply:
    """INCRBY key increment."""
    return _count(session, arguments[0], integer(arguments[1]))


@command(
    "decrby",
    3,
    "write denyoom fast",
    (1, 1, 1),
    summary="Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
    group="string",
)
def decrby(session: Session, arguments: Arguments) -> Reply:
    """DECRBY key decrement."""
    delta = integer(arguments[1])
    if delta == LOWEST:
        raise Failure("ERR decrement would overflow")
    return _count(session, arguments[0], -delta)


@command(
    "incrbyfloat",
    3,
    "write denyoom fast",
    (1, 1, 1),
    summary="Increments the floating point value of a key by a number. 0 is the value of an absent key.",
    group="string",
    since="2.6.0",
)
def incrbyfloat(session: Session, arguments: Arguments) -> Reply:
    """INCRBYFLOAT key increment."""
    key, text = arguments
    shown = b""

    def add(entry: Entry | None) -> Write:
        nonlocal shown
        value, end = (b"0", 0) if entry is None else entry[:2]
        total = add_extended(parse_extended(value), parse_extended(text))
        shown = show_extended(total)
        return shown, end

    session.keyspace.change(key, add)
    session.changed("incrbyfloat", key)
    return shown
