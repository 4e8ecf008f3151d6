"""When keys end: EXPIRE, TTL, PERSIST and their kin."""

from __future__ import annotations

from typing import Final

from striate.commands.numbers import HIGHEST, LOWEST, integer, option
from striate.commands.registry import Arguments, command
from striate.commands.session import Session
from striate.protocol.replies import Failure, Reply

_NX, _XX, _GT, _LT = "nx", "xx", "gt", "lt"


def _conditions(words: Arguments) -> set[str]:
    made = set()
    for word in words:
        name = option(word)
        if name not in (_NX, _XX, _GT, _LT):
            raise Failure(f"ERR Unsupported option {word.decode('utf-8', 'surrogateescape')}")
        made.add(name)
    if _NX in made and len(made) > 1:
        raise Failure("ERR NX and XX, GT or LT options at the same time are not compatible")
    if {_GT, _LT} <= made:
        raise Failure("ERR GT and LT options at the same time are not compatible")
    return made


def _holds(conditions: set[str], before: int, end: int) -> bool:
    """Whether conditions let a key that ends ``before`` (0: never) end at ``end``."""
    if (_NX in conditions and before) or (_XX in conditions and not before):
        return False
    if _GT in conditions:
        return before != 0 and end > before
    return not (_LT in conditions and before and end >= before)


def _expire(session: Session, arguments: Arguments, name: str, scale: int, from_now: bool) -> int:
    key, text, *words = arguments
    conditions = _conditions(words)
    now = session.server.effects.now_ms()
    end = integer(text) * scale + (now if from_now else 0)
    if not LOWEST <= end <= HIGHEST:
        raise Failure(f"ERR invalid expire time in '{name}' command")
    before = session.keyspace.end_ms(key)
    if before is None or not _holds(conditions, before, end):
        return 0
    if end <= now:
        session.keyspace.delete(key)
        session.changed("del", key)
    else:
        session.keyspace.set_end(key, end)
        session.changed("expire", key)
    return 1


def _left(session: Session, key: bytes, scale: int, from_now: bool) -> int:
    end = session.keyspace.end_ms(key)
    if not end:
        return -2 if end is None else -1
    left = max(end - session.server.effects.now_ms(), 0) if from_now else end
    return (left + scale // 2) // scale


_SINCE: Final = {
    "expire": "1.0.0",
    "ttl": "1.0.0",
    "expireat": "1.2.0",
    "pexpire": "2.6.0",
    "pexpireat": "2.6.0",
    "pttl": "2.6.0",
    "expiretime": "7.0.0",
    "pexpiretime": "7.0.0",
}


def _enter_expire(name: str, scale: int, from_now: bool, summary: str) -> None:
    @command(name, -3, "write fast", (1, 1, 1), summary=summary, group="generic", since=_SINCE[name])
    def expire(session: Session, arguments: Arguments) -> Reply:
        return _expire(session, arguments, name, scale, from_now)


def _enter_left(name: str, scale: int, from_now: bool, summary: str) -> None:
    @command(name, 2, "readonly fast", (1, 1, 1), summary=summary, group="generic", since=_SINCE[name])
    def left(session: Session, arguments: Arguments) -> Reply:
        return _left(session, arguments[0], scale, from_now)


_enter_expire("expire", 1000, True, "Sets the expiration time of a key in seconds.")
_enter_expire("pexpire", 1, True, "Sets the expiration time of a key in milliseconds.")
_enter_expire("expireat", 1000, False, "Sets the expiration time of a key to a Unix timestamp.")
_enter_expire("pexpireat", 1, False, "Sets the expiration time of a key to a Unix milliseconds timestamp.")
_enter_left("ttl", 1000, True, "Returns the expiration time in seconds of a key.")
_enter_left("pttl", 1, True, "Returns the expiration time in milliseconds of a key.")
_enter_left("expiretime", 1000, False, "Returns the expiration time of a key as a Unix timestamp.")
_enter_left("pexpiretime", 1, False, "Returns the expiration time of a key as a Unix milliseconds timestamp.")


@command(
    "persist",
    2,
    "write fast",
    (1, 1, 1),
    summary="Removes the expiration time of a key.",
    group="generic",
    since="2.2.0",
)
def persist(session: Session, arguments: Arguments) -> Reply:
    """PERSIST key."""
    if not session.keyspace.end_ms(arguments[0]) or not session.keyspace.set_end(arguments[0], 0):
        return 0
    session.changed("persist", arguments[0])
    return 1
