"""``striate db``: look into a database and change it: tables and the whole. Values are shown as bytes; codecs are for
programs. What may not live here: streams (streams.py)."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import click

import striate
from striate.cli.output import (
    confirm,
    json_line,
    plain,
    print_json,
    print_line,
    print_table,
    progress,
    safe_text,
    size_text,
)
from striate.cli.parameters import DURATION, json_option, path_argument
from striate.cli.stream_figures import print_streams, stream_figures
from striate.errors import NotADatabaseError

__all__ = ["db", "open_database"]

table_argument = click.argument("table")
key_argument = click.argument("key")


@click.group()
def db() -> None:
    """Look into a database and change it: PATH is its directory, which no other process may have open.

    Keys are given as text; values are read and printed as bytes, as they are stored.
    """


def open_database(path: str, *, make: bool = False) -> AbstractContextManager[striate.Database]:
    """The database at a path, which must be there unless it may be made; in the shell the one that is open."""
    shared = click.get_current_context().find_object(striate.Database)
    if shared is not None:
        return nullcontext(shared)
    if not make and not os.path.isdir(os.path.join(path, "log")):
        raise NotADatabaseError(path, "no log")
    return striate.open(path, compaction_interval_s=None)


@db.command()
@path_argument
@json_option
def stat(path: str, as_json: bool) -> None:
    """Show the tables, the streams, the names of the caches and the size of the database at PATH."""
    with open_database(path) as database:
        stats = database.log.stats()
        rows = [
            {"table": name, "keys": len(database.stored(name)), **options}
            for name, options in sorted(database.tables().items())
        ]
        streams = [stream_figures(database, name) for name in sorted(database.streams())]
        caches = [{"cache": name, **options} for name, options in sorted(database.caches().items())]
    if as_json:
        print_json({"path": path, "tables": rows, "streams": streams, "caches": caches, "log": plain(stats)})
        return
    print_table(
        ["table", "keys", "codec"],
        [[safe_text(str(r["table"])), f"{r['keys']:,}", str(r["codec"] or "-")] for r in rows],
    )
    if streams:
        print_streams(streams)
    for cache in caches:
        options = ", ".join(f"{option} {value}" for option, value in list(cache.items())[1:] if value is not None)
        print_line(f"cache {safe_text(str(cache['cache']))}: {safe_text(options or 'no bounds')}; in memory only")
    print_line(f"log: {stats.records:,} records, {size_text(stats.size_bytes)}")


@db.command()
@path_argument
@json_option
def tables(path: str, as_json: bool) -> None:
    """List the tables of the database at PATH."""
    with open_database(path) as database:
        found = database.tables()
    for name in sorted(found):
        if as_json:
            sys.stdout.buffer.write(json_line(plain({"table": name, **found[name]})))
        else:
            print_line(safe_text(name))


@db.command()
@path_argument
@table_argument
@key_argument
@json_option
def get(path: str, table: str, key: str, as_json: bool) -> None:
    """Print the value of KEY in TABLE; exit code 1 when there is none."""
    with open_database(path) as database:
        value, version = database.stored(table).get_with_version(key)
    if not version:
        raise KeyNotFoundException(key)
    if as_json:
        print_json({"table": table, "key": key, "value": value, "version": version})
    else:
        sys.stdout.buffer.write(value + b"\n")


class KeyNotFoundException(click.ClickException):
    """There is no such key: exit code 1."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no such key: {key}")


@db.command("set")
@path_argument
@table_argument
@key_argument
@click.argument("value", required=False)
@click.option("--ttl", type=DURATION, help="The key expires after this time.")
@json_option
def set_(path: str, table: str, key: str, value: str | None, ttl: float | None, as_json: bool) -> None:
    """Store VALUE, or what comes on stdin, under KEY in TABLE, which is made if it is not there."""
    data = sys.stdin.buffer.read() if value is None else value.encode("utf-8", "surrogateescape")
    with open_database(path, make=True) as database:
        if table not in database.tables():
            database.table(table)
        version = database.stored(table).set(key, data, ttl=ttl)
    if as_json:
        print_json({"table": table, "key": key, "version": version})
    else:
        print_line(f"version {version}")


@db.command()
@path_argument
@table_argument
@key_argument
@json_option
def delete(path: str, table: str, key: str, as_json: bool) -> None:
    """Remove KEY from TABLE; exit code 1 when it is not there."""
    with open_database(path) as database:
        deleted = database.stored(table).delete(key)
    if not deleted:
        raise KeyNotFoundException(key)
    if as_json:
        print_json({"table": table, "key": key, "deleted": True})


@db.command()
@path_argument
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def drop(path: str, name: str, yes: bool, as_json: bool) -> None:
    """Drop the table, stream or cache NAME with all that is in it; exit code 1 when there is none."""
    if not yes and as_json:
        raise click.UsageError("--json does not ask: give --yes")
    with open_database(path) as database:
        kind = database.names().get(name.encode("utf-8", "surrogateescape"))
        if kind is None:
            raise NameNotFoundException(name)
        if not yes:
            confirm(f"Drop the {kind} {safe_text(name)} of {path} with all that is in it? [y/N] ")
        {"table": database.drop_table, "stream": database.drop_stream, "cache": database.drop_cache}[kind](name)
    if as_json:
        print_json({"name": name, "kind": kind, "dropped": True})
    else:
        print_line(f"dropped the {kind} {safe_text(name)}")


class NameNotFoundException(click.ClickException):
    """There is no such name: exit code 1."""

    def __init__(self, name: str) -> None:
        super().__init__(f"nothing of that name: {safe_text(name)}")


@db.command()
@path_argument
@table_argument
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--count", type=click.IntRange(0), help="The most keys to print.")
@json_option
def scan(path: str, table: str, prefix: str, count: int | None, as_json: bool) -> None:
    """Print the keys and values of TABLE, in no order."""
    with open_database(path) as database:
        for key, value in islice(database.stored(table).scan(prefix), count):
            if as_json:
                sys.stdout.buffer.write(json_line({"key": plain(key), "value": plain(value)}))
            else:
                print_line(f"{safe_text(key)}  {safe_text(value)}")


@db.command()
@path_argument
@json_option
def verify(path: str, as_json: bool) -> None:
    """Read and check every byte of the database at PATH; exit code 1 when something is wrong."""
    with open_database(path) as database, progress("verifying", unit="steps") as advance:
        report = database.verify(advance)
    if as_json:
        print_json({"path": path, **plain(report)})
    elif report.ok:
        print_line(f"{report.records:,} records, no problems")
    for problem in [] if as_json else report.problems:
        print_line(f"{problem.path}: {problem.reason}")
    if not report.ok:
        raise click.exceptions.Exit(1)


@db.command()
@path_argument
@json_option
def compact(path: str, as_json: bool) -> None:
    """Drop from the log of the database at PATH what does not count any more."""
    with open_database(path) as database, progress("compacting", unit="B") as advance:
        result = database.compact(progress=advance)
    if as_json:
        print_json({"path": path, **plain(result)})
    else:
        print_line(
            f"{result.records_before:,} records became {result.records_after:,}, "
            f"{size_text(result.bytes_before)} to {size_text(result.bytes_after)}"
        )


@db.command()
@path_argument
@click.argument("target", type=click.Path())
@json_option
def snapshot(path: str, target: str, as_json: bool) -> None:
    """Copy the database at PATH, every checksum verified, to the new directory TARGET, which is then a database."""
    with open_database(path) as database:
        info = database.snapshot(target)
    if as_json:
        print_json(plain(info))
    else:
        print_line(f"{target}: {size_text(info.size_bytes)}")
