"""Connections as CLIENT LIST shows them, and which of them a filter means."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from striate.commands.numbers import integer, option
from striate.commands.session import Session
from striate.protocol.replies import Failure

Filter = Callable[[Session], bool]
TYPES = ("normal", "master", "replica", "slave", "pubsub")


def type_of(session: Session) -> str:
    """Its type: no replica is ever connected."""
    return "pubsub" if session.subscriptions else "normal"


def check_type(text: bytes) -> str:
    """A type of connections, by a name of it. Failure: there is none."""
    name = option(text)
    if name not in TYPES:
        raise Failure(f"ERR Unknown client type '{text.decode('utf-8', 'surrogateescape')}'")
    return name


def _flags(session: Session) -> str:
    found = {
        "P": bool(session.subscriptions),
        "b": session.unblock is not None,
        "t": bool(session.tracking),
        "x": session.in_transaction,
        "O": "monitor" in session.watchful,
        "e": session.no_evict,
        "T": session.no_touch,
    }
    return "".join(flag for flag, there in found.items() if there) or "N"


def _counts(session: Session) -> dict[str, int]:
    kinds = {"sub": "channels", "psub": "patterns", "ssub": "shards"}
    found = {name: len(getattr(session.subscriptions, kind, ())) for name, kind in kinds.items()}
    queued = len(getattr(session.transaction, "queued", ())) if session.in_transaction else -1
    return {**found, "multi": queued}


def describe(session: Session) -> str:
    """One connection's line of CLIENT LIST."""
    figures = session.line.figures
    fields = {
        "id": session.id,
        "addr": session.line.peer,
        "laddr": session.line.local,
        "fd": figures.get("fd", -1),
        "name": session.name.decode("latin-1"),
        "age": int(figures.get("age_s", 0)),
        "idle": int(figures.get("idle_s", 0)),
        "flags": _flags(session),
        "db": session.database,
        **_counts(session),
        "qbuf": figures.get("input", 0),
        "qbuf-free": 0,
        "argv-mem": 0,
        "multi-mem": 0,
        "rbs": 0,
        "rbp": 0,
        "obl": figures.get("output", 0),
        "oll": 0,
        "omem": 0,
        "tot-mem": figures.get("input", 0) + figures.get("output", 0),
        "events": "r",
        "cmd": session.last_command or "NULL",
        "user": session.user,
        "redir": getattr(session.tracking, "redirect", -1),
        "resp": session.protocol,
        "lib-name": session.library.decode("latin-1"),
        "lib-ver": session.library_version.decode("latin-1"),
    }
    return " ".join(f"{name}={value}" for name, value in fields.items())


def describe_all(sessions: Iterable[Session]) -> bytes:
    """CLIENT LIST of some connections."""
    return "".join(f"{describe(session)}\n" for session in sessions).encode("utf-8", "surrogateescape")


def parse_filters(asking: Session, words: list[bytes]) -> Filter:
    """What CLIENT KILL's options mean. Failure: they are none."""
    filters: list[Filter] = []
    skips_own = True
    if len(words) % 2:
        raise Failure("ERR syntax error")
    for word, value in zip(words[::2], words[1::2], strict=True):
        match option(word):
            case "id":
                filters.append(_has("id", _id(value)))
            case "addr":
                filters.append(_has_text(lambda session: session.line.peer, value))
            case "laddr":
                filters.append(_has_text(lambda session: session.line.local, value))
            case "user":
                filters.append(_has_text(lambda session: session.user, value))
            case "type":
                filters.append(_has_text(type_of, check_type(value).encode()))
            case "skipme" if option(value) in ("yes", "no"):
                skips_own = option(value) == "yes"
            case _:
                raise Failure("ERR syntax error")
    return lambda session: not (skips_own and session is asking) and all(fits(session) for fits in filters)


def _id(text: bytes) -> int:
    failure = "ERR client-id should be greater than 0"
    number = integer(text, failure)
    if number <= 0:
        raise Failure(failure)
    return number


def _has(name: str, value: object) -> Filter:
    return lambda session: getattr(session, name) == value


def _has_text(read: Callable[[Session], str], value: bytes) -> Filter:
    return lambda session: read(session).encode("utf-8", "surrogateescape") == value
