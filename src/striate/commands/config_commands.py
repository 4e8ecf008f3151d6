"""CONFIG: the settings of settings.py, shown and changed."""

from __future__ import annotations

from striate.commands.numbers import option
from striate.commands.patterns import matches
from striate.commands.registry import Arguments, command, help_of
from striate.commands.session import Session
from striate.commands.settings import SETTINGS, setting
from striate.protocol.replies import OK, Failure, Reply


@command(
    "config get",
    -3,
    "admin noscript loading stale",
    summary="Returns the effective values of configuration parameters.",
    group="server",
    since="2.0.0",
)
def config_get(session: Session, arguments: Arguments) -> Reply:
    """CONFIG GET <pattern> [pattern ...]."""
    return {
        name.encode(): setting(session.server.settings, name).encode("utf-8", "surrogateescape")
        for name in SETTINGS
        if any(matches(pattern, name.encode(), ignore_case=True) for pattern in arguments)
    }


def _failure(name: str, reason: object) -> Failure:
    return Failure(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")


@command(
    "config set",
    -4,
    "admin noscript loading stale",
    summary="Sets configuration parameters in-flight.",
    group="server",
    since="2.0.0",
)
def config_set(session: Session, arguments: Arguments) -> Reply:
    """CONFIG SET <parameter> <value> [parameter value ...]. All of them or none."""
    if len(arguments) % 2:
        raise Failure("ERR syntax error")
    changes: dict[str, str] = {}
    for word, value in zip(arguments[::2], arguments[1::2], strict=True):
        name = option(word)
        known = SETTINGS.get(name)
        if known is None:
            raise Failure(f"ERR Unknown option or number of arguments for CONFIG SET - '{_text(word)}'")
        if not known.mutable:
            raise _failure(name, "can't set immutable config")
        if name in changes:
            raise _failure(name, "duplicate parameter")
        try:
            changes[name] = known.parse(_text(value))
        except ValueError as error:
            raise _failure(name, error) from None
    session.server.change_settings(changes)
    return OK


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


@command(
    "config resetstat",
    2,
    "admin noscript loading stale",
    summary="Resets the server's statistics.",
    group="server",
    since="2.0.0",
)
def config_resetstat(session: Session, arguments: Arguments) -> Reply:
    """CONFIG RESETSTAT."""
    session.server.statistics.reset(session.server.effects.process_figures())
    return OK


@command(
    "config rewrite",
    2,
    "admin noscript loading stale",
    summary="Persists the effective configuration to file.",
    group="server",
    since="2.8.0",
)
def config_rewrite(session: Session, arguments: Arguments) -> Reply:
    """CONFIG REWRITE: the file is its author's, so it is left alone."""
    raise Failure("ERR The server is running without a config file")


@command(
    "config help",
    2,
    "loading stale",
    summary="Returns helpful text about the different subcommands.",
    group="server",
    since="5.0.0",
)
def config_help(session: Session, arguments: Arguments) -> Reply:
    """CONFIG HELP."""
    return help_of("config")
