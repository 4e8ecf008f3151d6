"""What the commands of streams share: finding a stream and a group, reading what is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from striate._native.streamentry import StreamEntry
from striate.commands.registry import RETRY, Arguments, Handler
from striate.commands.stream_ids import HIGHEST, Id, id_after, id_before, pair
from striate.protocol.replies import Failure, Reply
from striate.storage.groups import Group
from striate.storage.stream import Stream

if TYPE_CHECKING:
    from striate.commands.session import Session

READERS: Final[set[Handler]] = set()
"""Handlers of commands that read entries."""
NO_LIMIT: Final = (1 << 63) - 1
_CHUNK: Final = 4096


def reads_streams(handler: Handler) -> Handler:
    """For a command that reads entries, which are seen when they are on disk: it runs again when all is."""

    def run(session: Session, arguments: Arguments) -> Reply:
        if not session.executing and not session.server.effects.is_durable():
            return RETRY  # EXEC has looked before
        return handler(session, arguments)

    run.__doc__, run.__name__ = handler.__doc__, handler.__name__
    READERS.add(run)
    return run


def existing(session: Session, key: bytes) -> Stream[bytes]:
    """The stream of a key."""
    stream = session.keyspace.stream(key)
    if stream is None:
        raise Failure("ERR no such key")
    return stream


def group_handle(stream: Stream[bytes], name: bytes) -> Group[bytes]:
    """A handle on a group, which need not be there."""
    return Group(stream, name)


def has_group(stream: Stream[bytes] | None, name: bytes) -> bool:
    """Whether there is a stream with such a group."""
    return stream is not None and name in stream._group_names()


def shown(name: bytes) -> str:
    """A name within the text of an error."""
    return name.decode("utf-8", "surrogateescape")


def check_name(name: bytes, what: str) -> bytes:
    """The engine has no groups and consumers without a name."""
    if not name:
        raise Failure(f"ERR the name of a {what} must not be empty")
    return name


def entries_between(
    stream: Stream[bytes], start: Id, stop: Id, count: int = NO_LIMIT, *, backwards: bool = False
) -> list[StreamEntry]:
    """Entries from one id to another, at most ``count``."""
    found: list[StreamEntry] = []
    low: Id | None = start
    high: Id | None = stop
    while low is not None and high is not None and count > 0:
        part = stream._read(low, high, backwards, min(count, _CHUNK))
        found += part
        count -= len(part)
        if len(part) < _CHUNK:
            break
        if backwards:
            high = id_before(pair(part[-1].id))
        else:
            low = id_after(pair(part[-1].id))
    return found


def entries_after(stream: Stream[bytes], id: Id, count: int) -> list[StreamEntry]:
    """Entries behind an id."""
    start = id_after(id)
    return [] if start is None else entries_between(stream, start, HIGHEST, count)


def last_id(stream: Stream[Any]) -> Id:
    """The highest id that the stream ever had."""
    return pair(stream._figures()[0])
