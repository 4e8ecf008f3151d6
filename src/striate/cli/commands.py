"""The tree of commands: which there are and where they stand."""

from __future__ import annotations

import platform

import click

import striate
from striate.cli import database, export, log_inspect, log_read, log_write, measure, serve, shell, streams
from striate.cli.output import print_json, print_line
from striate.cli.parameters import json_option
from striate.cli.program import Program

__all__ = ["app"]

FORMAT_VERSION = 1


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(striate.__version__, message="striate %(version)s")
def app() -> None:
    """A segmented commit log that lives inside a Python process.

    `striate demo` shows what it does, on real data, in half a minute.

    Every command takes --json: one document, or one object a line where there are many. In JSON, bytes are
    a string when they are valid UTF-8, else {"base64": "..."}.

    Exit codes: 0 success; 1 failure: damage, the disk, or what was asked for is not there; 2 wrong use.
    Errors are one line on stderr, with --json one object: error, message, hint and the error's fields.
    """


@app.group()
def log() -> None:
    """Look into a log and change it: PATH is its directory."""


@app.command()
@json_option
def version(as_json: bool) -> None:
    """Show the versions of striate, its file format and Python."""
    versions = {
        "striate": striate.__version__,
        "format_version": FORMAT_VERSION,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if as_json:
        print_json(versions)
    else:
        print_line(
            f"striate {versions['striate']} (log format {FORMAT_VERSION}, "
            f"Python {versions['python']}, {versions['platform']})"
        )


for command in (
    log_write.append,
    log_read.read,
    log_read.follow,
    log_inspect.stat,
    log_inspect.dump,
    log_inspect.verify,
    log_write.repair,
    log_write.truncate,
    log_write.compact,
):
    log.add_command(command)

for command in (
    streams.streams,
    streams.range_,
    streams.append,
    streams.trim,
    streams.groups,
    export.export,
    export.import_,
    shell.shell,
):
    database.db.add_command(command)

app.add_command(database.db)
app.add_command(serve.serve)
app.add_command(measure.demo)
app.add_command(measure.bench)


def _keep_examples(command: click.Command) -> None:
    """Let click leave the lines of an example as they are: docstrings are raw, and what tells it is a backspace."""
    if command.help is not None:
        command.help = command.help.replace("\\b\n", "\b\n")
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _keep_examples(below)


_keep_examples(app)
