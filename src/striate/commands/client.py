"""CLIENT: connections as clients ask about them and set them up. Tracking has a file of its own."""

from __future__ import annotations

from striate.commands.client_list import (
    check_type,
    describe,
    describe_all,
    parse_filters,
    type_of,
)
from striate.commands.connection import check_name
from striate.commands.numbers import SYNTAX, integer, integer_or_none, option
from striate.commands.pause import Paused, pause
from striate.commands.registry import SILENCE, Arguments, command, help_of
from striate.commands.session import Session
from striate.protocol.replies import OK, Failure, Reply, Verbatim


@command(
    "client id",
    2,
    "noscript loading stale",
    summary="Returns the unique client ID of the connection.",
    group="connection",
    since="5.0.0",
)
def client_id(session: Session, arguments: Arguments) -> Reply:
    """CLIENT ID."""
    return session.id


@command(
    "client getname",
    2,
    "noscript loading stale",
    summary="Returns the name of the connection.",
    group="connection",
    since="2.6.9",
)
def client_getname(session: Session, arguments: Arguments) -> Reply:
    """CLIENT GETNAME."""
    return session.name or None


@command(
    "client setname",
    3,
    "noscript loading stale",
    summary="Sets the connection name.",
    group="connection",
    since="2.6.9",
)
def client_setname(session: Session, arguments: Arguments) -> Reply:
    """CLIENT SETNAME <name>."""
    check_name(arguments[0], "Client names")
    session.name = arguments[0]
    return OK


@command(
    "client setinfo",
    4,
    "noscript loading stale",
    summary="Sets information specific to the client or connection.",
    group="connection",
    since="7.2.0",
)
def client_setinfo(session: Session, arguments: Arguments) -> Reply:
    """CLIENT SETINFO <LIB-NAME name | LIB-VER version>."""
    what, value = option(arguments[0]), arguments[1]
    if what not in ("lib-name", "lib-ver"):
        raise Failure(f"ERR Unrecognized option '{arguments[0].decode('utf-8', 'surrogateescape')}'")
    check_name(value, what)
    if what == "lib-name":
        session.library = value
    else:
        session.library_version = value
    return OK


@command(
    "client info",
    2,
    "noscript loading stale",
    summary="Returns information about the connection.",
    group="connection",
    since="6.2.0",
)
def client_info(session: Session, arguments: Arguments) -> Reply:
    """CLIENT INFO."""
    return Verbatim(f"{describe(session)}\n".encode("utf-8", "surrogateescape"))


@command(
    "client list",
    -2,
    "admin noscript loading stale",
    summary="Lists open connections.",
    group="connection",
    since="2.4.0",
)
def client_list(session: Session, arguments: Arguments) -> Reply:
    """CLIENT LIST [TYPE type | ID id [id ...]]."""
    sessions = list(session.server.sessions.values())
    if arguments:
        what, values = option(arguments[0]), arguments[1:]
        if what == "type" and len(values) == 1:
            wanted = check_type(values[0])
            sessions = [one for one in sessions if type_of(one) == wanted]
        elif what == "id" and values:
            ids = {integer(value, "ERR Invalid client ID") for value in values}
            sessions = [one for one in sessions if one.id in ids]
        else:
            raise Failure(SYNTAX)
    return Verbatim(describe_all(sessions))


@command(
    "client kill",
    -3,
    "admin noscript loading stale",
    summary="Terminates open connections.",
    group="connection",
    since="2.4.0",
)
def client_kill(session: Session, arguments: Arguments) -> Reply:
    """CLIENT KILL <ip:port> | <[ID id] [ADDR address] [LADDR address] [TYPE type] [USER name] [SKIPME YES | NO]>."""
    by_address = len(arguments) == 1
    words = [b"addr", arguments[0], b"skipme", b"no"] if by_address else arguments
    fits = parse_filters(session, words)
    found = [one for one in session.server.sessions.values() if fits(one)]
    for one in found:
        one.closing = True
        one.line.close(after_reply=one is session)
    if by_address and not found:
        raise Failure("ERR No such client")
    return OK if by_address else len(found)


def _is_on(text: bytes) -> bool:
    if option(text) not in ("on", "off"):
        raise Failure(SYNTAX)
    return option(text) == "on"


@command(
    "client no-evict",
    3,
    "admin noscript loading stale",
    summary="Sets the client eviction mode of the connection.",
    group="connection",
    since="7.0.0",
)
def client_no_evict(session: Session, arguments: Arguments) -> Reply:
    """CLIENT NO-EVICT <ON | OFF>."""
    session.no_evict = _is_on(arguments[0])
    return OK


@command(
    "client no-touch",
    3,
    "noscript loading stale",
    summary="Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
    group="connection",
    since="7.2.0",
)
def client_no_touch(session: Session, arguments: Arguments) -> Reply:
    """CLIENT NO-TOUCH <ON | OFF>."""
    session.no_touch = _is_on(arguments[0])
    return OK


@command(
    "client strict",
    3,
    "noscript loading stale",
    summary="Controls whether an error inside EXEC takes back the whole transaction of this connection.",
    group="connection",
    since="7.2.0",
)
def client_strict(session: Session, arguments: Arguments) -> Reply:
    """CLIENT STRICT <ON | OFF>. striate's own; until it is called, the setting ``strict-transactions`` decides."""
    session.strict_transactions = _is_on(arguments[0])
    return OK


@command(
    "client reply",
    3,
    "noscript loading stale",
    summary="Instructs the server whether to reply to commands.",
    group="connection",
    since="3.2.0",
)
def client_reply(session: Session, arguments: Arguments) -> Reply:
    """CLIENT REPLY <ON | OFF | SKIP>."""
    mode = option(arguments[0])
    if mode not in ("on", "off", "skip"):
        raise Failure(SYNTAX)
    if mode == "skip":
        # The next command goes through Python, which then knows not to answer.
        session.skips_reply = not session.muted
    else:
        session.muted = mode == "off"
    session.watch_all("muted", mode != "on")
    return OK if mode == "on" else SILENCE


@command(
    "client pause",
    -3,
    "admin noscript loading stale",
    summary="Suspends commands processing.",
    group="connection",
    since="3.0.0",
)
def client_pause(session: Session, arguments: Arguments) -> Reply:
    """CLIENT PAUSE <milliseconds> [WRITE | ALL]."""
    if len(arguments) > 2:
        raise Failure(SYNTAX)
    mode = option(arguments[1]) if len(arguments) == 2 else "all"
    if mode not in ("write", "all"):
        raise Failure("ERR CLIENT PAUSE mode must be WRITE or ALL")
    milliseconds = integer(arguments[0], "ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        raise Failure("ERR timeout is negative")
    pause(session.server, min(milliseconds, 1 << 40), mode == "all")
    return OK


@command(
    "client unpause",
    2,
    "admin noscript loading stale",
    summary="Resumes processing commands from paused clients.",
    group="connection",
    since="6.2.0",
)
def client_unpause(session: Session, arguments: Arguments) -> Reply:
    """CLIENT UNPAUSE."""
    if isinstance(session.server.pause, Paused):
        session.server.pause.end()
    return OK


@command(
    "client unblock",
    -3,
    "admin noscript loading stale",
    summary="Unblocks a client blocked by a blocking command from a different connection.",
    group="connection",
    since="5.0.0",
)
def client_unblock(session: Session, arguments: Arguments) -> Reply:
    """CLIENT UNBLOCK <id> [TIMEOUT | ERROR]."""
    reason = option(arguments[1]) if len(arguments) == 2 else "timeout"
    if len(arguments) > 2 or reason not in ("timeout", "error"):
        raise Failure("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    if integer_or_none(arguments[0]) is None:
        raise Failure("ERR value is not an integer or out of range")
    blocked = session.server.sessions.get(int(arguments[0]))
    if blocked is None or blocked.unblock is None:
        return 0
    blocked.unblock(reason == "error")
    return 1


@command(
    "client help",
    2,
    "loading stale",
    summary="Returns helpful text about the different subcommands.",
    group="connection",
    since="5.0.0",
)
def client_help(session: Session, arguments: Arguments) -> Reply:
    """CLIENT HELP."""
    return help_of("client")
