"""``striate db export`` and ``import``: all of a database, or some tables of it, as a file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

import striate
from striate.cli.database import open_database
from striate.cli.export_formats import ArrowWriter, JsonLinesWriter, Row, Writer, in_batches, read
from striate.cli.output import print_json, print_line, progress
from striate.cli.parameters import json_option, path_argument
from striate.errors import ImportFormatError, RecordTooLargeError

__all__ = ["export", "import_"]

_SPOOL_BYTES = 16 << 20
# docs/format.md: what a segment has beside the payload of one record, and a payload beside key and value
_FRAME_BYTES = 96
_VIEW_BYTES, _END_BYTES = 8, 8


@click.command()
@path_argument
@click.option("--table", "tables", multiple=True, help="Only this table. Repeatable.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "arrow"]),
    default="jsonl",
    show_default=True,
    help="JSON lines, or an Arrow file (needs pyarrow).",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write this file, in place of one there.")
def export(path: str, tables: tuple[str, ...], form: str, output: str | None) -> None:
    r"""Write the database at PATH to stdout or a file, which `striate db import` takes.

    Tables only, not streams: keys and values as they are stored, with their expiry and the tables' codecs. A file
    appears when it is complete.

    \b
    striate db export shop > shop.jsonl
    striate db export shop --format arrow -o shop.arrow
    """
    if form == "arrow" and output is None and sys.stdout.isatty():
        raise click.UsageError("an Arrow file is not for a terminal: give --output")
    with open_database(path) as database:
        for name in tables:
            database.stored(name)  # refuses one that is not there, before there is any output
        known = database.tables()
        chosen = {name: known[name] for name in tables or sorted(known)}
        with _target(output) as file:
            writer: Writer = ArrowWriter(file, chosen) if form == "arrow" else JsonLinesWriter(file)
            for name, options in chosen.items():
                _export(database, name, options, writer)
            writer.close()


@contextmanager
def _target(output: str | None) -> Iterator[IO[bytes]]:
    """Where an export goes: stdout, or a file that takes its name when all went well."""
    if output is None:
        yield sys.stdout.buffer
        return
    directory, name = os.path.split(os.path.abspath(output))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, output)
    except BaseException:
        os.unlink(temporary)
        raise


def _export(database: striate.Database, name: str, options: dict[str, Any], writer: Writer) -> None:
    stored = database.stored(name)
    total, done = len(stored), 0
    with progress(f"exporting {name}", total, "keys") as advance:
        for batch in in_batches(name, options, _rows(stored)):
            writer.write(batch)
            done += len(batch.rows)
            advance(done, max(done, total))


def _rows(stored: striate.Table[bytes]) -> Iterator[Row]:
    for key in stored.scan_keys():
        _, value, end = stored._read_latest(key)
        if value is not None:
            yield key, value, end


@click.command("import")
@path_argument
@click.argument("file", type=click.File("rb"), default="-")
@json_option
def import_(path: str, file: IO[bytes], as_json: bool) -> None:
    """Store what `striate db export` wrote, FILE or stdin in either format, in the database at PATH.

    The database is made if it is not there. All of the file is checked before anything is changed.
    """
    with _seekable(file) as source:
        name = getattr(file, "name", "stdin")
        tables, total, largest = _check(source, name)
        with open_database(path, make=True) as database:
            if largest > (limit := database.log.segment_bytes - _FRAME_BYTES):
                raise RecordTooLargeError(largest, limit)
            for table, options in tables.items():
                database._catalog.check(table, "table", options)
            for table, options in tables.items():
                with database._catalog.lock:
                    database._catalog.enter(table, "table", options)
            _import(database, source, name, total)
    if as_json:
        print_json({"path": path, "imported": total})
    else:
        print_line(f"{total:,} keys")


@contextmanager
def _seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file, or a copy of it where it can be read only once."""
    if file.seekable():
        yield file
        return
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as copy:
        shutil.copyfileobj(file, copy)
        yield copy


def _check(source: IO[bytes], name: str) -> tuple[dict[str, dict[str, Any]], int, int]:
    """Read all of an export; its tables with their options, how many rows there are, and the size of the largest."""
    tables: dict[str, dict[str, Any]] = {}
    total = largest = 0
    with progress("checking", unit="keys") as advance:
        for table, options, rows in read(source, name):
            kept = {"codec": options.get("codec")}
            if tables.setdefault(table, kept) != kept:
                raise ImportFormatError(name, f"the table {table!r:.100} has two different codecs")
            total += len(rows)
            sizes = (len(key) + len(value) + _VIEW_BYTES + (_END_BYTES if end else 0) for key, value, end in rows)
            largest = max(largest, max(sizes, default=0))
            advance(total)
    return tables, total, largest


def _import(database: striate.Database, source: IO[bytes], path: str, total: int) -> None:
    done = 0
    with progress("importing", total, "keys") as advance:
        for name, _, rows in read(source, path):
            table = database.stored(name)
            table._set_many_nowait([(key, value) for key, value, end in rows if not end])
            for key, value, end in rows:
                if end:
                    table._write_nowait(key, value, end)
            done += len(rows)
            advance(done)
    database.sync()
