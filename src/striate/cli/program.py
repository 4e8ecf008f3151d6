"""How the program ends: exit codes, the one line (or JSON object) an error becomes, Ctrl-C and closed pipes.

Exit codes: 0 success; 1 failure: the data or the disk, or what was asked for is not there; 2 wrong use; 130
Ctrl-C; 141 the reader of a pipe went away. A traceback is shown only with STRIATE_TRACEBACK=1.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from striate.cli.output import plain
from striate.errors import LogLockedError, LogNotFoundError, StriateError, UsageError

__all__ = ["Program", "exit_code", "report"]

EXIT_FAILURE, EXIT_USAGE, EXIT_INTERRUPTED, EXIT_PIPE = 1, 2, 130, 141

# Hints that name Python arguments, in the words of the command line.
_HINTS: Mapping[type[StriateError], str] = {
    LogNotFoundError: "`striate log append` creates one",
    LogLockedError: "stop that writer first; read, follow, stat, dump and verify work beside it",
}

_NO_FIELDS = {"message", "hint", "__notes__"}


class Program(click.Group):
    """The top command group; turns every ending into an exit code and at most one line on stderr."""

    def main(  # type: ignore[override]  # always ends the process
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run one command line and exit. ``extra`` goes to click's context."""
        _open_missing_streams()
        arguments = list(sys.argv[1:] if args is None else args)
        if "_STRIATE_COMPLETE" in os.environ:
            super().main(arguments, "striate", **extra)
        options = arguments[: arguments.index("--")] if "--" in arguments else arguments
        sys.exit(self._run(arguments, as_json="--json" in options, **extra))

    def _run(self, arguments: list[str], *, as_json: bool, **extra: Any) -> int:
        try:
            code = self._invoke(arguments, **extra)
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return EXIT_USAGE
        except (KeyboardInterrupt, click.Abort):
            return EXIT_INTERRUPTED
        except BrokenPipeError:
            _discard_output()
            return EXIT_PIPE
        except Exception as error:
            report(error, as_json)
            return exit_code(error)
        return code

    def _invoke(self, arguments: list[str], **extra: Any) -> int:
        try:
            with self.make_context("striate", arguments, **extra) as context:
                self.invoke(context)
        except click.exceptions.Exit as end:
            return end.exit_code
        return 0


def _open_missing_streams() -> None:
    """Put the null device where the caller closed stdin, stdout or stderr."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open until the end, like any stdout


def exit_code(error: Exception) -> int:
    """The exit code of a command that ended so."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    not_found = isinstance(error, FileNotFoundError | LookupError)
    return EXIT_USAGE if isinstance(error, UsageError) and not not_found else EXIT_FAILURE


def _describe(error: Exception) -> dict[str, Any]:
    """The error as the JSON object for stderr: class, message, hint, its fields, and notes if any."""
    name, message, hint = type(error).__name__, str(error), ""
    fields: dict[str, Any] = {}
    if isinstance(error, StriateError):
        message, hint = error.message, _HINTS.get(type(error), error.hint)
        fields = {key: plain(value) for key, value in vars(error).items() if key not in _NO_FIELDS}
    elif isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "striate"
        name, message, hint = "UsageError", error.format_message(), f"see `{path} --help`"
    elif isinstance(error, click.ClickException):
        message = error.format_message()
    elif isinstance(error, OSError):
        message = f"{error.filename or 'input or output'}: {error.strerror or error}"
    else:
        message = f"internal error: {name}: {error}"
        hint = "a bug in striate: please report it with the traceback that STRIATE_TRACEBACK=1 shows"
    notes: list[str] = getattr(error, "__notes__", [])
    return {"error": name, "message": message, "hint": hint, **fields} | ({"notes": notes} if notes else {})


def report(error: Exception, as_json: bool) -> None:
    """Write the error to stderr: one JSON object, or one line with the hint in parentheses."""
    if os.environ.get("STRIATE_TRACEBACK"):
        traceback.print_exception(error)
    fields = _describe(error)
    if as_json:
        line = json.dumps(fields, ensure_ascii=False)
    else:
        message = "; ".join([str(fields["message"]), *fields.get("notes", [])])
        hint = f" ({fields['hint']})" if fields["hint"] else ""
        line = " ".join(f"Error: {message}{hint}".splitlines())
    try:
        sys.stdout.flush()
    except OSError:
        _discard_output()
    try:
        click.echo(line.encode("utf-8", "backslashreplace"), err=True)
    except OSError:  # nobody listens
        pass


def _discard_output() -> None:
    """Point stdout at the null device, so that the interpreter's last flush has nowhere to fail."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):  # stdout is no file: nothing to protect
        pass
