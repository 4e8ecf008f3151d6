"""COMMAND: the table of commands as clients read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from striate.commands.numbers import SYNTAX, option
from striate.commands.patterns import matches
from striate.commands.registry import COMMANDS, Arguments, Command, command, help_of, keys_of
from striate.commands.session import Session
from striate.protocol.replies import NULL_ARRAY, Failure, Reply, Simple

_CATEGORY_OF_GROUP: Final = {
    "generic": "keyspace",
    "string": "string",
    "stream": "stream",
    "pubsub": "pubsub",
    "transactions": "transaction",
    "connection": "connection",
}
_KEYSPACE_TOO: Final = {"dbsize", "flushdb", "flushall", "swapdb"}
_CONNECTION_TOO: Final = {"wait", "waitaof", "command"}
_DANGEROUS: Final = {
    "flushdb", "flushall", "swapdb", "keys", "info", "role", "restore", "client kill", "client list", "shutdown", "acl",
}  # fmt: skip
_ADMIN_TOO: Final = {"role", "lastsave"}
_ACCESS: Final[dict[str, tuple[str, ...]]] = {
    "append": ("RW", "insert"),
    "exists": ("RO",),
    "strlen": ("RO",),
    "touch": ("RO",),
    "type": ("RO",),
    "set": ("OW", "update"),
    "mset": ("OW", "update"),
    "setnx": ("OW", "insert"),
    "msetnx": ("OW", "insert"),
    "setex": ("OW", "update"),
    "psetex": ("OW", "update"),
    "del": ("RM", "delete"),
    "unlink": ("RM", "delete"),
    "getdel": ("RW", "access", "delete"),
}


def categories(entry: Command) -> set[str]:
    """The ACL categories of a command, without their ``@``."""
    flags = entry.flags
    name = entry.name
    of_group = _CATEGORY_OF_GROUP.get(entry.group)
    found = {"fast" if "fast" in flags else "slow"}
    if of_group is not None and name not in _CONNECTION_TOO and not (entry.subcommands and entry.handler is None):
        found.add(of_group)
    if name.partition(" ")[0] in _CONNECTION_TOO:
        found.add("connection")
    if name in _KEYSPACE_TOO:
        found.add("keyspace")
    found |= {
        word for word, flag in (("write", "write"), ("read", "readonly"), ("blocking", "blocking")) if flag in flags
    }
    if "admin" in flags or name in _ADMIN_TOO:
        found |= {"admin", "dangerous"}
    if name in _DANGEROUS:
        found.add("dangerous")
    return found


def all_commands() -> Iterator[Command]:
    """Every command and, behind it, its subcommands."""
    for entry in list(COMMANDS.values()):
        yield entry
        yield from entry.subcommands.values()


def by_full_name(name: bytes) -> Command | None:
    """A command by its name, or a subcommand by ``client|id``."""
    container, _, subcommand = option(name).partition("|")
    found = COMMANDS.get(container)
    return found.subcommands.get(subcommand) if found is not None and subcommand else found


def access_of(entry: Command) -> tuple[str, ...]:
    """How a command uses its keys, in Redis's words."""
    return _ACCESS.get(entry.name) or (("RW", "access", "update") if "write" in entry.flags else ("RO", "access"))


def _words(words: set[str] | frozenset[str] | tuple[str, ...]) -> Any:
    return [Simple(word.encode()) for word in sorted(words)]


def _key_specs(entry: Command) -> list[Reply]:
    first, last, step = entry.keys
    if not first:
        return []
    relative = last - first if last >= 0 else last
    return [
        {
            b"flags": [Simple(word.encode()) for word in access_of(entry)],
            b"begin_search": {b"type": b"index", b"spec": {b"index": first}},
            b"find_keys": {b"type": b"range", b"spec": {b"lastkey": relative, b"keystep": step, b"limit": 0}},
        }
    ]


def describe(entry: Command) -> Reply:
    """One command as COMMAND INFO shows it."""
    return [
        entry.full_name.encode(),
        entry.arity,
        _words(entry.flags),
        *entry.keys,
        _words({f"@{category}" for category in categories(entry)}),
        [],
        _key_specs(entry),
        [describe(one) for one in entry.subcommands.values()],
    ]


def _document(entry: Command) -> Reply:
    shown: dict[bytes, Reply] = {
        b"summary": entry.summary.encode(),
        b"since": entry.since.encode(),
        b"group": entry.group.encode(),
    }
    if entry.subcommands:
        shown[b"subcommands"] = {one.full_name.encode(): _document(one) for one in entry.subcommands.values()}
    return shown


@command(
    "command",
    -1,
    "loading stale",
    summary="Returns detailed information about all commands.",
    group="server",
    since="2.8.13",
)
def command_(session: Session, arguments: Arguments) -> Reply:
    """COMMAND."""
    return [describe(entry) for entry in COMMANDS.values()]


@command(
    "command count",
    2,
    "loading stale",
    summary="Returns a count of commands.",
    group="server",
    since="2.8.13",
)
def command_count(session: Session, arguments: Arguments) -> Reply:
    """COMMAND COUNT."""
    return len(COMMANDS)


@command(
    "command info",
    -2,
    "loading stale",
    summary="Returns information about one, multiple or all commands.",
    group="server",
    since="2.8.13",
)
def command_info(session: Session, arguments: Arguments) -> Reply:
    """COMMAND INFO [command ...]."""
    if not arguments:
        return command_(session, arguments)
    found = [by_full_name(name) for name in arguments]
    return [NULL_ARRAY if entry is None else describe(entry) for entry in found]


@command(
    "command docs",
    -2,
    "loading stale",
    summary="Returns documentary information about one, multiple or all commands.",
    group="server",
    since="7.0.0",
)
def command_docs(session: Session, arguments: Arguments) -> Reply:
    """COMMAND DOCS [command ...]."""
    found = [by_full_name(name) for name in arguments] if arguments else list(COMMANDS.values())
    return {entry.full_name.encode(): _document(entry) for entry in found if entry is not None}


@command(
    "command list",
    -2,
    "loading stale",
    summary="Returns a list of command names.",
    group="server",
    since="7.0.0",
)
def command_list(session: Session, arguments: Arguments) -> Reply:
    """COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]."""
    if not arguments:
        return [entry.full_name.encode() for entry in all_commands()]
    if len(arguments) != 3 or option(arguments[0]) != "filterby":
        raise Failure(SYNTAX)
    value = arguments[2]
    match option(arguments[1]):
        case "module":
            return []
        case "aclcat":
            return [one.full_name.encode() for one in all_commands() if option(value) in categories(one)]
        case "pattern":
            return [one.full_name.encode() for one in all_commands() if matches(value, one.full_name.encode(), True)]
    raise Failure(SYNTAX)


def _request(words: Arguments) -> tuple[Command, list[bytes]]:
    """The command of a request in arguments, and its keys."""
    entry = by_full_name(words[0]) if b"|" not in words[0] else None
    behind = 1
    if entry is not None and entry.subcommands and len(words) > 1:
        entry, behind = entry.subcommands.get(option(words[1])), 2
    if entry is None:
        raise Failure("ERR Invalid command specified")
    if not entry.keys[0] and entry.find_keys is None:
        raise Failure("ERR The command has no key arguments")
    if not entry.takes(len(words)):
        raise Failure("ERR Invalid number of arguments specified for command")
    keys = keys_of(entry, words[behind:])
    if not keys:
        raise Failure("ERR Invalid arguments specified for command")
    return entry, keys


@command(
    "command getkeys",
    -3,
    "loading stale",
    summary="Extracts the key names from an arbitrary command.",
    group="server",
    since="2.8.13",
)
def command_getkeys(session: Session, arguments: Arguments) -> Reply:
    """COMMAND GETKEYS <full command>."""
    return _request(arguments)[1]


@command(
    "command getkeysandflags",
    -3,
    "loading stale",
    summary="Extracts the key names and access flags for an arbitrary command.",
    group="server",
    since="7.0.0",
)
def command_getkeysandflags(session: Session, arguments: Arguments) -> Reply:
    """COMMAND GETKEYSANDFLAGS <full command>."""
    entry, keys = _request(arguments)
    return [[key, [Simple(word.encode()) for word in access_of(entry)]] for key in keys]


@command(
    "command help",
    2,
    "loading stale",
    summary="Returns helpful text about the different subcommands.",
    group="server",
    since="5.0.0",
)
def command_help(session: Session, arguments: Arguments) -> Reply:
    """COMMAND HELP."""
    return help_of("command")
