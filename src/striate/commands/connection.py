"""The connection itself: HELLO, AUTH, PING, ECHO, QUIT, RESET. What may not live here: CLIENT (client.py)."""

from __future__ import annotations

from typing import Final

from striate.commands.numbers import integer, option
from striate.commands.registry import Arguments, command
from striate.commands.session import Session
from striate.protocol.replies import OK, Failure, Reply, Simple

_WRONG_PASSWORD: Final = "WRONGPASS invalid username-password pair or user is disabled."
_NO_PASSWORD: Final = (
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    "is correct?"
)
_NOT_IN: Final = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)


def check_name(text: bytes, what: str) -> None:
    """Failure unless a text has only printable characters and no blanks, as CLIENT LIST needs."""
    if any(not 33 <= byte <= 126 for byte in text):
        raise Failure(f"ERR {what} cannot contain spaces, newlines or special characters.")


def _log_in(session: Session, user: bytes, password: bytes) -> None:
    if not session.server.users.admits(user, password):
        raise Failure(_WRONG_PASSWORD)
    session.user, session.authenticated = user.decode("utf-8", "surrogateescape"), True
    session.update_plain()


@command(
    "auth",
    -2,
    "noscript loading stale fast no_auth allow_busy",
    summary="Authenticates the connection.",
    group="connection",
)
def auth(session: Session, arguments: Arguments) -> Reply:
    """AUTH [username] password."""
    if len(arguments) > 2:
        raise Failure("ERR syntax error")
    if len(arguments) == 1 and session.server.users.is_open():
        raise Failure(_NO_PASSWORD)
    user = arguments[0] if len(arguments) == 2 else b"default"
    _log_in(session, user, arguments[-1])
    return OK


@command(
    "hello",
    -1,
    "noscript loading stale fast no_auth allow_busy",
    summary="Handshakes with the Redis server.",
    group="connection",
    since="6.0.0",
)
def hello(session: Session, arguments: Arguments) -> Reply:
    """HELLO [protocol [AUTH username password] [SETNAME name]]."""
    version = session.protocol
    if arguments:
        version = integer(arguments[0], "ERR Protocol version is not an integer or out of range")
        if version not in (2, 3):
            raise Failure("NOPROTO unsupported protocol version")
    name = None
    words = list(arguments[1:])
    while words:
        word = words.pop(0)
        what = option(word)
        if what == "auth" and len(words) >= 2:
            _log_in(session, words.pop(0), words.pop(0))
        elif what == "setname" and words:
            name = words.pop(0)
            check_name(name, "Client names")
        else:
            raise Failure(f"ERR Syntax error in HELLO option '{word.decode('utf-8', 'surrogateescape')}'")
    if not session.authenticated:
        raise Failure(_NOT_IN)
    if name is not None:
        session.name = name
    session.protocol = version
    session.line.set_protocol(version)
    return {
        b"server": b"redis",
        b"version": session.server.settings.compatible_version.encode(),
        b"proto": version,
        b"id": session.id,
        b"mode": b"standalone",
        b"role": b"master",
        b"modules": [],
    }


@command("ping", -1, "fast", summary="Returns the server's liveliness response.", group="connection")
def ping(session: Session, arguments: Arguments) -> Reply:
    """PING [message]."""
    if len(arguments) > 1:
        raise Failure("ERR wrong number of arguments for 'ping' command")
    if session.protocol == 2 and session.subscriptions:
        return [b"pong", arguments[0] if arguments else b""]
    return arguments[0] if arguments else Simple(b"PONG")


@command("echo", 2, "loading stale fast", summary="Returns the given string.", group="connection")
def echo(session: Session, arguments: Arguments) -> Reply:
    """ECHO message."""
    return arguments[0]


@command(
    "quit",
    -1,
    "noscript loading stale fast no_auth allow_busy",
    summary="Closes the connection.",
    group="connection",
)
def quit_(session: Session, arguments: Arguments) -> Reply:
    """QUIT."""
    session.closing = True
    session.line.close(after_reply=True)
    return OK


@command(
    "reset",
    1,
    "noscript loading stale fast no_auth allow_busy",
    summary="Resets the connection.",
    group="connection",
    since="6.2.0",
)
def reset(session: Session, arguments: Arguments) -> Reply:
    """RESET."""
    for listener in session.server.on_reset:
        listener(session)
    session.transaction = None
    session.database, session.protocol, session.name = 0, 2, b""
    session.no_evict = session.no_touch = session.muted = session.skips_reply = False
    session.user, session.authenticated = "default", session.server.users.is_open()
    session.watchful.clear()
    session.line.set_protocol(2)
    session.update_plain()
    return Simple(b"RESET")
