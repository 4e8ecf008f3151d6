"""GET, SET and the other commands on strings."""

from __future__ import annotations

from dataclasses import dataclass

from striate.commands.expiry import UNITS, end_of
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
        before = keyspace.get(key) if options.gets else None
        version = keyspace.version(key)
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
