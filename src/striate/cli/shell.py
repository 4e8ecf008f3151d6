"""``striate db shell``: the commands of ``striate db``, one a line, on a database that stays open.

The commands are those of the group as they are, without their PATH: they find the open database in click's context.
"""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress

import click

import striate
from striate.cli.database import db, open_database
from striate.cli.output import print_line
from striate.cli.parameters import path_argument
from striate.cli.program import exit_code, report

__all__ = ["shell"]

_HELP_NAMES = {"help_option_names": ["-h", "--help"]}
_LEAVING = {"exit", "quit"}


class _LeaveError(Exception):
    """`exit` was typed."""


@click.command()
@path_argument
@click.option("-c", "--command", "lines", multiple=True, help="Run this line and no others. Repeatable.")
def shell(path: str, lines: tuple[str, ...]) -> None:
    r"""Take commands on the database at PATH, one a line: those of `striate db` without the path; `help` lists them.

    Words are quoted as in a shell, # begins a comment. At a terminal there is a prompt, with history. Otherwise the
    first command that fails is the last, and its exit code is that of the shell.

    \b
    striate db shell shop -c 'set stock tea 5' -c 'get stock tea'
    striate db shell shop < commands
    """
    commands = {name: _without_path(command, path) for name, command in db.commands.items() if command is not shell}
    with open_database(path) as database, suppress(_LeaveError):
        if not lines and sys.stdin.isatty():
            _talk(commands, database)
        else:
            _run_script(commands, database, lines or _decoded(sys.stdin.buffer))


def _without_path(command: click.Command, path: str) -> click.Command:
    """The same command for the shell: without PATH, and with all values given, as stdin has the commands."""
    if isinstance(command, click.Group):
        inner = {name: _without_path(each, path) for name, each in command.commands.items()}
        return click.Group(command.name, inner, help=command.help, context_settings=_HELP_NAMES)
    assert command.callback is not None
    return click.Command(
        command.name,
        context_settings=_HELP_NAMES,
        callback=functools.partial(command.callback, path=path),
        params=[_required(each) for each in command.params if each.name != "path"],
        help=command.help,
    )


def _required(parameter: click.Parameter) -> click.Parameter:
    if not isinstance(parameter, click.Argument) or parameter.required or parameter.nargs != 1:
        return parameter
    return click.Argument([str(parameter.name)], type=parameter.type, required=True)


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    return (line.decode("utf-8", "surrogateescape") for line in lines)


def _run_script(commands: dict[str, click.Command], database: striate.Database, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines, 1):
        code = _run_line(commands, database, line, f"line {number}")
        if code:
            raise click.exceptions.Exit(code)


def _talk(commands: dict[str, click.Command], database: striate.Database) -> None:
    try:
        import readline  # noqa: F401  (gives input() its history)
    except ImportError:
        pass
    print_line(f"{database.path}: `help` lists the commands, `exit` leaves")
    while True:
        sys.stdout.flush()
        try:
            _run_line(commands, database, input("striate> "))
        except KeyboardInterrupt:
            print_line("")
            continue
        except EOFError:
            print_line("")
            return


def _run_line(commands: dict[str, click.Command], database: striate.Database, line: str, place: str = "") -> int:
    """Run one line; its exit code. An error becomes one line on stderr."""
    words: list[str] = []
    try:
        words = shlex.split(line, comments=True)
        if words and words[0] in _LEAVING:
            raise _LeaveError
        if words:
            _run(commands, database, words)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except (BrokenPipeError, _LeaveError):
        raise
    except Exception as error:
        if isinstance(error, ValueError) and not words:
            error = click.UsageError(f"{error}: {line.strip()}")
        if place:
            error.add_note(place)
        report(error, "--json" in words)
        return exit_code(error)
    return 0


def _run(commands: dict[str, click.Command], database: striate.Database, words: list[str]) -> None:
    name, *arguments = words
    if name == "help":
        if not arguments:
            _list(commands)
            return
        name, arguments = arguments[0], ["--help"]
    command = commands.get(name)
    if command is None:
        raise click.UsageError(f"no such command: {name}; `help` lists them")
    with command.make_context(name, arguments, obj=database) as context:
        command.invoke(context)


def _list(commands: dict[str, click.Command]) -> None:
    texts = {name: command.get_short_help_str(90) for name, command in commands.items()}
    texts |= {"help": "List the commands, or show the help of one.", "exit": "Leave."}
    for name in sorted(texts):
        print_line(f"{name:10} {texts[name]}")
