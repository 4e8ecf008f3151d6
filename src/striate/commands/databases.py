"""The numbered databases as a whole: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB, SELECT."""

from __future__ import annotations

from striate.commands.keys import database_number
from striate.commands.numbers import SYNTAX, integer_or_none, option
from striate.commands.registry import Arguments, command
from striate.commands.session import DATABASES, Session
from striate.protocol.replies import OK, Failure, Reply


@command("select", 2, "loading stale fast", summary="Changes the selected database.", group="connection")
def select(session: Session, arguments: Arguments) -> Reply:
    """SELECT number."""
    session.database = database_number(arguments[0])
    session.update_plain()
    return OK


@command("dbsize", 1, "readonly fast", summary="Returns the number of keys in the database.", group="server")
def dbsize(session: Session, arguments: Arguments) -> Reply:
    """DBSIZE."""
    return len(session.keyspace)


def _check_flush(arguments: Arguments) -> None:
    if len(arguments) > 1 or (arguments and option(arguments[0]) not in ("async", "sync")):
        raise Failure(SYNTAX)


@command("flushdb", -1, "write", summary="Remove all keys from the current database.", group="server")
def flushdb(session: Session, arguments: Arguments) -> Reply:
    """FLUSHDB [ASYNC | SYNC]."""
    _check_flush(arguments)
    session.keyspace.clear()
    session.server.flushed(session.database)
    return OK


@command("flushall", -1, "write", summary="Removes all keys from all databases.", group="server")
def flushall(session: Session, arguments: Arguments) -> Reply:
    """FLUSHALL [ASYNC | SYNC]."""
    _check_flush(arguments)
    for number in range(DATABASES):
        session.keyspace_of(number).clear()
        session.server.flushed(number)
    return OK


@command("swapdb", 3, "write fast", summary="Swaps two Redis databases.", group="server", since="4.0.0")
def swapdb(session: Session, arguments: Arguments) -> Reply:
    """SWAPDB one other."""
    numbers = [integer_or_none(text) for text in arguments]
    for number, place in zip(numbers, ("first", "second"), strict=True):
        if number is None:
            raise Failure(f"ERR invalid {place} DB index")
    one, other = (database_number(text) for text in arguments)
    if one != other:
        session.keyspace_of(one).swap(session.keyspace_of(other))
        session.server.flushed(one)
        session.server.flushed(other)
    return OK
