"""The table of commands: name, arity, flags, where its keys are, and the function that does it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from striate.protocol.replies import Reply, Simple

if TYPE_CHECKING:
    from striate.commands.session import Session

Arguments = list[bytes]
Handler = Callable[["Session", Arguments], Reply]


class _NoReply:
    """The type of what a handler returns in place of a reply."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


LATER: Final = _NoReply("LATER")
"""What a handler returns when the reply comes by :meth:`striate.commands.effects.Line.reply`; until then the connection
takes no further command."""
RETRY: Final = _NoReply("RETRY")
"""What a handler returns when it reads what only durable state shows and some of it is on its way to the disk: it is
called again, with the same arguments, when :meth:`striate.commands.effects.Effects.is_durable`."""
SILENCE: Final = _NoReply("SILENCE")
"""What a handler returns that answers nothing (CLIENT REPLY OFF), or all of it by
:meth:`striate.commands.effects.Line.push`."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or one subcommand of a container.

    ``arity`` counts the name (and the subcommand's), below 0: at least so many. ``flags`` are Redis's words. ``keys``
    is (first, last, step) among all arguments with the name as 0; (0, 0, 0): none. ``find_keys`` is given what the
    handler gets.
    """

    name: str
    arity: int
    flags: frozenset[str]
    keys: tuple[int, int, int]
    handler: Handler | None
    summary: str = ""
    group: str = "generic"
    since: str = "1.0.0"
    find_keys: Callable[[Arguments], Sequence[bytes]] | None = None
    subcommands: dict[str, Command] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """As errors and tools name it: ``get``, ``client|id``."""
        return self.name.replace(" ", "|")

    def takes(self, count: int) -> bool:
        """Whether so many arguments fit, names included."""
        return count == self.arity if self.arity >= 0 else count >= -self.arity


HELP_TAIL: Final = ("HELP", "    Print this help.")


def help_of(container: str) -> Reply:
    """What HELP of a container answers, made of its subcommands' first lines of documentation and summaries."""
    lines = [f"{container.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for name, entry in sorted(COMMANDS[container].subcommands.items()):
        if name != "help" and entry.handler is not None:
            usage = re.split(r"(?<!\.)[.:](?: |$)", (entry.handler.__doc__ or "").partition("\n")[0])[0]
            lines += [usage.partition(" ")[2], f"    {entry.summary}"]
    return [Simple(line.encode()) for line in (*lines, *HELP_TAIL)]


def keys_of(entry: Command, arguments: Arguments) -> list[bytes]:
    """The keys of a request, given what the command's handler gets."""
    if entry.find_keys is not None:
        return list(entry.find_keys(arguments))
    first, last, step = entry.keys
    if not first:
        return []
    # The places count the names as well.
    names = entry.name.count(" ") + 1
    stop = last + 1 - names if last >= 0 else len(arguments) + last + 1
    return arguments[first - names : max(stop, 0) : step]


COMMANDS: Final[dict[str, Command]] = {}
"""By name in lower case. Each file of a family fills in its own when it is imported."""


def command(
    name: str,
    arity: int,
    flags: str,
    keys: tuple[int, int, int] = (0, 0, 0),
    *,
    summary: str,
    group: str,
    since: str = "1.0.0",
    find_keys: Callable[[Arguments], Sequence[bytes]] | None = None,
) -> Callable[[Handler], Handler]:
    """Enter a function in the table: ``@command("get", 2, "readonly fast", (1, 1, 1), ...)``; ``"client id"`` is a
    subcommand, and its container is entered with it. The function gets the session and what stands behind the name."""

    def enter(handler: Handler) -> Handler:
        words = frozenset(flags.split())
        container, _, subcommand = name.partition(" ")
        entry = Command(name, arity, words, keys, handler, summary, group, since, find_keys)
        if not subcommand:
            COMMANDS[name] = entry
            return handler
        if container not in COMMANDS:
            summary_of_all = f"A container for {container.upper()} commands."
            COMMANDS[container] = Command(container, -2, frozenset(), (0, 0, 0), None, summary_of_all, group, since)
        COMMANDS[container].subcommands[subcommand] = entry
        return handler

    return enter
