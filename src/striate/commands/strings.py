"""Strings as a whole: GET, SET and their kin.

What may not live here: what changes a part of a string or counts (string_values.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from striate.commands.expiry import UNITS, end_of
from striate.commands.keyspace import Entry, Keyspace, Write
from striate.commands.numbers import SYNTAX, option
from striate.commands.registry import Arguments, command
from striate.commands.session import Session
from striate.protocol.replies import OK, Failure, Reply


@command("get", 2, "readonly fast", (1, 1, 1), summary="Returns the string value of a key.", group="string")
def get(session: Session, arguments: Arguments) -> Reply:
    """GET key."""
    return session.keyspace.get(arguments[0])


@dataclass(slots=True)
class _SetOptions:
    must_be_absent: bool = False
    must_be_present: bool = False
    gets: bool = False
    keeps_end: bool = False
    end_ms: int = 0


def _set_options(session: Session, words: Arguments) -> _SetOptions:
    made = _SetOptions()
    waiting = iter(words)
    for word in waiting:
        name = option(word)
        timed = made.end_ms or made.keeps_end
        if name == "nx" and not made.must_be_present:
            made.must_be_absent = True
        elif name == "xx" and not made.must_be_absent:
            made.must_be_present = True
        elif name == "get":
            made.gets = True
        elif name == "keepttl" and not made.end_ms:
            made.keeps_end = True
        elif name in UNITS and not timed and (text := next(waiting, None)) is not None:
            made.end_ms = end_of(session, text, name, "set")
        else:
            raise Failure(SYNTAX)
    return made


@command("set", -3, "write denyoom", (1, 1, 1), summary="Sets the string value of a key.", group="string")
def set_(session: Session, arguments: Arguments) -> Reply:
    """SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]."""
    key, value, *words = arguments
    if not words:
        session.keyspace.set(key, value)
        session.changed("set", key)
        return OK
    options = _set_options(session, words)
    keyspace = session.keyspace
    while True:
        entry = keyspace.entry(key) if options.gets else None
        before = None if entry is None else entry.value
        version = keyspace.version(key) if entry is None else entry.version
        there = version != 0
        if there if options.must_be_absent else options.must_be_present and not there:
            return before
        end = (keyspace.end_ms(key) or 0) if options.keeps_end else options.end_ms
        conditional = options.must_be_absent or options.must_be_present or options.gets or options.keeps_end
        if keyspace.set(key, value, end, max(version, 0) if conditional else None):
            break
    session.changed("set", key)
    if options.end_ms:
        session.changed("expire", key)
    return before if options.gets else OK


def _set_with_end(session: Session, arguments: Arguments, unit: str, name: str) -> Reply:
    key, text, value = arguments
    session.keyspace.set(key, value, end_of(session, text, unit, name))
    session.changed("set", key)
    session.changed("expire", key)
    return OK


@command(
    "setex",
    4,
    "write denyoom",
    (1, 1, 1),
    summary="Sets the string value and expiration time of a key.",
    group="string",
    since="2.0.0",
)
def setex(session: Session, arguments: Arguments) -> Reply:
    """SETEX key seconds value."""
    return _set_with_end(session, arguments, "ex", "setex")


@command(
    "psetex",
    4,
    "write denyoom",
    (1, 1, 1),
    summary="Sets both string value and expiration time in milliseconds of a key.",
    group="string",
    since="2.6.0",
)
def psetex(session: Session, arguments: Arguments) -> Reply:
    """PSETEX key milliseconds value."""
    return _set_with_end(session, arguments, "px", "psetex")


@command(
    "setnx",
    3,
    "write denyoom fast",
    (1, 1, 1),
    summary="Set the string value of a key only when the key doesn't exist.",
    group="string",
)
def setnx(session: Session, arguments: Arguments) -> Reply:
    """SETNX key value."""
    key, value = arguments
    if session.keyspace.kind(key) is not None or not session.keyspace.set(key, value, version=0):
        return 0
    session.changed("set", key)
    return 1


@command(
    "getset",
    3,
    "write denyoom fast",
    (1, 1, 1),
    summary="Returns the previous string value of a key after setting it to a new value.",
    group="string",
)
def getset(session: Session, arguments: Arguments) -> Reply:
    """GETSET key value."""
    key, value = arguments
    keyspace = session.keyspace
    while True:
        entry = keyspace.entry(key)
        if keyspace.set(key, value, version=0 if entry is None else entry.version):
            break
    session.changed("set", key)
    return None if entry is None else entry.value


@command(
    "getdel",
    2,
    "write fast",
    (1, 1, 1),
    summary="Returns the string value of a key after deleting the key.",
    group="string",
    since="6.2.0",
)
def getdel(session: Session, arguments: Arguments) -> Reply:
    """GETDEL key."""
    before: list[bytes] = []

    def remove(entry: Entry | None) -> Write | None:
        before[:] = () if entry is None else (entry.value,)
        return None if entry is None else (None, 0)

    session.keyspace.change(arguments[0], remove)
    if not before:
        return None
    session.changed("del", arguments[0])
    return before[0]


def _new_end(session: Session, words: Arguments) -> int | None:
    """What GETEX is asked for: an end, 0 for none from now on, ``None`` for the one there is."""
    if not words:
        return None
    name = option(words[0])
    if name == "persist" and len(words) == 1:
        return 0
    if name in UNITS and len(words) == 2:
        return end_of(session, words[1], name, "getex")
    raise Failure(SYNTAX)


@command(
    "getex",
    -2,
    "write fast",
    (1, 1, 1),
    summary="Returns the string value of a key after setting its expiration time.",
    group="string",
    since="6.2.0",
)
def getex(session: Session, arguments: Arguments) -> Reply:
    """GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]."""
    key, *words = arguments
    entry = session.keyspace.entry(key)
    end = _new_end(session, words)
    if entry is None or end is None or end == entry.end_ms:
        return None if entry is None else entry.value
    session.keyspace.set_end(key, end)
    if 0 < end <= session.server.effects.now_ms():
        session.changed("del", key)
    else:
        session.changed("expire" if end else "persist", key)
    return entry.value


@command(
    "mget",
    -2,
    "readonly fast",
    (1, -1, 1),
    summary="Atomically returns the string values of one or more keys.",
    group="string",
)
def mget(session: Session, arguments: Arguments) -> Reply:
    """MGET key [key ...]."""
    return [_value_or_none(session.keyspace, key) for key in arguments]


def _value_or_none(keyspace: Keyspace, key: bytes) -> bytes | None:
    try:
        return keyspace.get(key)
    except Failure:  # WRONGTYPE
        return None


def _pairs(arguments: Arguments, name: str) -> dict[bytes, Write]:
    if len(arguments) % 2:
        raise Failure(f"ERR wrong number of arguments for '{name}' command")
    return {key: (value, 0) for key, value in zip(arguments[::2], arguments[1::2], strict=True)}


@command(
    "mset",
    -3,
    "write denyoom",
    (1, -1, 2),
    summary="Atomically creates or modifies the string values of one or more keys.",
    group="string",
    since="1.0.1",
)
def mset(session: Session, arguments: Arguments) -> Reply:
    """MSET key value [key value ...]."""
    session.keyspace.update(_pairs(arguments, "mset"))
    for key in arguments[::2]:
        session.changed("set", key)
    return OK


@command(
    "msetnx",
    -3,
    "write denyoom",
    (1, -1, 2),
    summary="Atomically modifies the string values of one or more keys only when all keys don't exist.",
    group="string",
    since="1.0.1",
)
def msetnx(session: Session, arguments: Arguments) -> Reply:
    """MSETNX key value [key value ...]."""
    writes = _pairs(arguments, "msetnx")
    if any(session.keyspace.kind(key) for key in writes):
        return 0
    if not session.keyspace.update(writes, dict.fromkeys(writes, 0)):
        return 0
    for key in arguments[::2]:
        session.changed("set", key)
    return 1
