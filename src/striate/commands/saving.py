"""Snapshots and the end: SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF, SHUTDOWN."""

from __future__ import annotations

from collections.abc import Callable

from striate.commands.numbers import SYNTAX, option
from striate.commands.registry import LATER, SILENCE, Arguments, command
from striate.commands.session import Server, Session
from striate.protocol.replies import OK, Failure, Reply, Simple


def _save(server: Server, then: Callable[[str | None], None]) -> None:
    statistics = server.statistics
    if statistics.saving:
        raise Failure("ERR Background save already in progress")
    statistics.saving = True

    def done(problem: str | None) -> None:
        statistics.saving, statistics.last_save_failed = False, problem is not None
        if problem is None:
            statistics.last_save_s = server.effects.now_ms() // 1000
        then(problem)

    server.effects.save(done)


@command(
    "save",
    1,
    "admin noscript no_async_loading no_multi",
    summary="Synchronously saves the database(s) to disk.",
    group="server",
)
def save(session: Session, arguments: Arguments) -> Reply:
    """SAVE: a snapshot. The reply comes when it is there; other connections go on meanwhile."""

    def answer(problem: str | None) -> None:
        session.line.reply(OK if problem is None else Failure(f"ERR {problem}"))

    _save(session.server, answer)
    return LATER


@command(
    "bgsave",
    -1,
    "admin noscript no_async_loading",
    summary="Asynchronously saves the database(s) to disk.",
    group="server",
)
def bgsave(session: Session, arguments: Arguments) -> Reply:
    """BGSAVE [SCHEDULE]."""
    if len(arguments) > 1 or (arguments and option(arguments[0]) != "schedule"):
        raise Failure(SYNTAX)
    _save(session.server, lambda problem: None)
    return Simple(b"Background saving started")


@command(
    "lastsave",
    1,
    "loading stale fast",
    summary="Returns the Unix timestamp of the last successful save to disk.",
    group="server",
)
def lastsave(session: Session, arguments: Arguments) -> Reply:
    """LASTSAVE: when the server was started, before the first."""
    return session.server.statistics.last_save_s


@command(
    "shutdown",
    -1,
    "admin noscript loading stale no_multi allow_busy",
    summary="Synchronously saves the database(s) to disk and shuts down the server.",
    group="server",
)
def shutdown(session: Session, arguments: Arguments) -> Reply:
    """SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]. What was written is on disk in any case."""
    words = {option(argument) for argument in arguments}
    if words - {"nosave", "save", "now", "force", "abort"} or {"save", "nosave"} <= words:
        raise Failure(SYNTAX)
    if "abort" in words:
        if len(words) > 1:
            raise Failure(SYNTAX)
        raise Failure("ERR No shutdown in progress.")
    session.server.effects.shut_down()
    return SILENCE
