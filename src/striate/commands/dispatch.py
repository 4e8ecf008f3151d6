"""From a request to the reply: look the command up, check whether it may be called, call it.

What may not live here: what single commands do.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from striate.commands.registry import COMMANDS, LATER, RETRY, SILENCE, Arguments, Command
from striate.commands.session import Session
from striate.commands.slowlog import note_if_slow
from striate.errors import DiskFullError, StriateError
from striate.protocol.replies import QUEUED, Failure, Reply

FAMILIES: Final = (
    "client",
    "client_tracking",
    "config_commands",
    "connection",
    "databases",
    "introspection",
    "key_ends",
    "keys",
    "monitor",
    "pubsub",
    "saving",
    "server_info",
    "slowlog",
    "stream_claims",
    "stream_groups",
    "stream_info",
    "stream_reading",
    "streams",
    "string_values",
    "strings",
    "transactions",
)
"""The files of commands; importing one enters its commands in the table."""

_NEVER_QUEUED: Final = frozenset({"exec", "discard", "multi", "watch", "quit", "reset"})
_WHILE_SUBSCRIBED: Final = frozenset(
    {"subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe", "ping", "quit", "reset"}
)


def load_commands() -> None:
    """Fill the table of commands; again: nothing happens."""
    for family in FAMILIES:
        import_module(f"striate.commands.{family}")


def dispatch(session: Session, request: Arguments) -> Reply:
    """The reply to a request (its name and arguments, one element or more), or LATER, RETRY or SILENCE."""
    skips, session.skips_reply = session.skips_reply, False
    try:
        command, arguments = find(request)
        session.names = request[: len(request) - len(arguments)]
        check_may_run(session, command, arguments)
        pause = session.server.pause
        if pause is not None and pause.holds(command):
            session.skips_reply = skips
            pause.hold(session, request)
            return LATER
        if session.in_transaction and command.name not in _NEVER_QUEUED:
            queue(session, command, arguments)
            reply: Reply = QUEUED
        else:
            reply = execute(session, command, arguments)
    except Failure as failure:
        if session.in_transaction and session.transaction is not None:
            session.transaction.poison()
        session.server.statistics.note_error(failure.line)
        reply = failure
    if reply is RETRY:
        session.skips_reply = skips
        return reply
    if skips:
        session.watch_all("muted", session.muted)
    return SILENCE if (skips or session.muted) and reply is not LATER else reply


def find(request: Arguments) -> tuple[Command, Arguments]:
    """The command or subcommand of a request, and what its handler gets. Failure: there is none, or not with so many
    arguments."""
    command = COMMANDS.get(request[0].decode("latin-1").lower())
    behind = 1
    if command is None:
        raise Failure(f"ERR {_unknown(request)}")
    if command.subcommands and len(request) > 1:
        subcommand = command.subcommands.get(request[1].decode("latin-1").lower())
        if subcommand is None:
            shown = _shown(request[1])
            raise Failure(f"ERR unknown subcommand '{shown}'. Try {command.name.upper()} HELP.")
        command, behind = subcommand, 2
    if not command.takes(len(request)) or command.handler is None:
        raise Failure(f"ERR wrong number of arguments for '{command.full_name}' command")
    return command, request[behind:]


def _unknown(request: Arguments) -> str:
    shown = ""
    for argument in request[1:]:
        if len(shown) >= 128:
            break
        shown += f"'{_shown(argument, 128 - len(shown))}' "
    return f"unknown command '{_shown(request[0])}', with args beginning with: {shown}"


def _shown(argument: bytes, most: int = 128) -> str:
    return argument.partition(b"\0")[0][:most].decode("utf-8", "surrogateescape")


def check_may_run(session: Session, command: Command, arguments: Arguments) -> None:
    """Failure when a session may not call a command now."""
    if not session.authenticated and "no_auth" not in command.flags:
        raise Failure("NOAUTH Authentication required.")
    if session.protocol == 2 and session.subscriptions and command.name not in _WHILE_SUBSCRIBED:
        raise Failure(
            f"ERR Can't execute '{command.full_name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
            "are allowed in this context"
        )
    for check in session.server.may_run:
        check(session, command, arguments)


def queue(session: Session, command: Command, arguments: Arguments) -> None:
    """Keep a command for EXEC."""
    if "no_multi" in command.flags:
        raise Failure("ERR Command not allowed inside a transaction")
    assert session.transaction is not None, "somebody has called MULTI"
    session.transaction.queue(command, arguments, session.names)


def execute(session: Session, command: Command, arguments: Arguments) -> Reply:
    """Call a command that may be called; its failure is the reply."""
    server = session.server
    assert command.handler is not None, "containers are refused"
    started = server.effects.monotonic_us()
    try:
        for before in server.before_command:
            before(session, command, arguments)
        reply = command.handler(session, arguments)
    except (Failure, StriateError) as error:
        reply = failure_of(error)
    session.last_command = command.full_name
    if reply is RETRY:
        return reply
    if isinstance(reply, Failure):
        server.statistics.note_error(reply.line)
    took_us = server.effects.monotonic_us() - started
    server.statistics.note(session.last_command, took_us)
    note_if_slow(session, command, arguments, took_us)
    for after in server.after_command:
        after(session, command, arguments, took_us)
    return reply


def failure_of(error: Failure | StriateError) -> Failure:
    """What a client is told of an error."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, DiskFullError):
        return Failure(f"MISCONF the disk is full, and nothing was written: {error}")
    return Failure(f"ERR {error}")
