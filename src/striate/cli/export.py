"""``striate db export`` and ``import``: all of a database, or some tables and streams of it, as a file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import click

import striate
from striate.cli.database import open_database
from striate.cli.export_arrow import ArrowWriter
from striate.cli.export_batches import Batch, Entry, Row, StreamBatch, TableBatch, Writer, in_batches
from striate.cli.export_formats import JsonLinesWriter, read
from striate.cli.import_streams import StreamPlan, append_entries, finish
from striate.cli.output import print_json, print_line, progress
from striate.cli.parameters import json_option, path_argument
from striate.cli.stream_figures import group_head, groups_of
from striate.errors import ImportFormatError, RecordTooLargeError

__all__ = ["export", "import_"]

_SPOOL_BYTES = 16 << 20
# docs/format.md: what a segment has beside the payload of one record, and a payload beside key and value
_FRAME_BYTES = 96
_VIEW_BYTES, _END_BYTES, _ENTRY_BYTES = 8, 8, 24


@click.command()
@path_argument
@click.option("--table", "tables", multiple=True, help="Only this table, and what else is named. Repeatable.")
@click.option("--stream", "streams", multiple=True, help="Only this stream, and what else is named. Repeatable.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "arrow"]),
    default="jsonl",
    show_default=True,
    help="JSON lines, or an Arrow file (needs pyarrow).",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write this file, in place of one there.")
def export(path: str, tables: tuple[str, ...], streams: tuple[str, ...], form: str, output: str | None) -> None:
    r"""Write the database at PATH to stdout or a file, which `striate db import` takes.

    Keys and values of tables as they are stored, with their expiry and codecs; entries of streams with their ids and
    keys, and of each consumer group the last entry it gave, so that it goes on behind that, its consumers, and what is
    pending of the entries that are there. A file appears when it is complete.

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
        every = not tables and not streams
        chosen = {name: known[name] for name in (sorted(known) if every else tables)}
        names = sorted(database.streams()) if every else streams
        heads = {name: _stream_head(database, name) for name in names}
        with _target(output) as file:
            writer: Writer = ArrowWriter(file, chosen, heads) if form == "arrow" else JsonLinesWriter(file)
            for name, options in chosen.items():
                stored = database.stored(name)
                _write(name, len(stored), "keys", writer, _table_batches(stored, name, options))
            for name, head in heads.items():
                stream = database.stored_stream(name)
                _write(name, len(stream), "entries", writer, _stream_batches(stream, name, head))
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


def _stream_head(database: striate.Database, name: str) -> dict[str, Any]:
    stream = database.stored_stream(name)
    groups = [group_head(stream, group) for group in groups_of(stream)]
    return {**database.streams()[name], "last_id": str(stream.info().last_id), "groups": groups}


def _write(name: str, total: int, unit: str, writer: Writer, batches: Iterator[tuple[Batch, int]]) -> None:
    done = 0
    with progress(f"exporting {name}", total, unit) as advance:
        for batch, size in batches:
            writer.write(batch)
            done += size
            advance(done, max(done, total))


def _table_batches(
    stored: striate.Table[bytes], name: str, options: dict[str, Any]
) -> Iterator[tuple[TableBatch, int]]:
    for rows in in_batches(_rows(stored)):
        yield TableBatch(name, options, rows), len(rows)


def _stream_batches(
    stream: striate.Stream[bytes], name: str, head: dict[str, Any]
) -> Iterator[tuple[StreamBatch, int]]:
    entries: Iterator[Entry] = ((entry.key, entry.value, entry.id) for entry in stream)
    for some in in_batches(entries):
        yield StreamBatch(name, head, some), len(some)


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

    The database is made if it is not there. All of the file is checked before anything is changed. A stream that is
    there with entries at or above the first of the file is refused.
    """
    with _seekable(file) as source:
        name = getattr(file, "name", "stdin")
        found = _check(source, name)
        with open_database(path, make=True) as database:
            _check_target(database, found)
            _import(database, source, name, found)
    if as_json:
        print_json({"path": path, "imported": found.keys + found.entries, "entries": found.entries})
    else:
        print_line(f"{found.keys:,} keys" + (f", {found.entries:,} entries" if found.streams else ""))


@contextmanager
def _seekable(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """The file, or a copy of it where it can be read only once."""
    if file.seekable():
        yield file
        return
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as copy:
        shutil.copyfileobj(file, copy)
        yield copy


@dataclass
class _Found:
    """What a file has: tables with their options, streams, how many of all there are, the size of the largest."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    streams: dict[str, StreamPlan] = field(default_factory=dict)
    keys: int = 0
    entries: int = 0
    largest: int = 0


def _check(source: IO[bytes], path: str) -> _Found:
    """Read all of an export."""
    found = _Found()
    with progress("checking", unit="keys and entries") as advance:
        for batch in read(source, path):
            if isinstance(batch, TableBatch):
                kept = {"codec": batch.options.get("codec")}
                if found.tables.setdefault(batch.table, kept) != kept:
                    raise ImportFormatError(path, f"the table {batch.table!r:.100} has two different codecs")
                found.keys += len(batch.rows)
                sizes = [len(key) + len(value) + (_END_BYTES if end else 0) for key, value, end in batch.rows]
            else:
                if batch.stream not in found.streams:
                    found.streams[batch.stream] = StreamPlan(batch.stream, batch.options, path)
                found.streams[batch.stream].add(batch)
                found.entries += len(batch.entries)
                sizes = [len(key or b"") + len(value) + _ENTRY_BYTES for key, value, _ in batch.entries]
            found.largest = max(found.largest, max(sizes, default=0) + _VIEW_BYTES)
            advance(found.keys + found.entries)
    for name in found.tables.keys() & found.streams.keys():
        raise ImportFormatError(path, f"{name!r:.100} is a table and a stream")
    return found


def _check_target(database: striate.Database, found: _Found) -> None:
    if found.largest > (limit := database.log.segment_bytes - _FRAME_BYTES):
        raise RecordTooLargeError(found.largest, limit)
    for name, options in found.tables.items():
        database._catalog.check(name, "table", options)
    for plan in found.streams.values():
        plan.check(database)


def _import(database: striate.Database, source: IO[bytes], path: str, found: _Found) -> None:
    for name, options in found.tables.items():
        with database._catalog.lock:
            database._catalog.enter(name, "table", options)
    for name, plan in found.streams.items():
        with database._catalog.lock:
            database._catalog.enter(name, "stream", plan.options)
    done = 0
    with progress("importing", found.keys + found.entries, "keys and entries") as advance:
        for batch in read(source, path):
            if isinstance(batch, TableBatch):
                _store_rows(database.stored(batch.table), batch.rows)
                done += len(batch.rows)
            else:
                append_entries(database.stored_stream(batch.stream), found.streams[batch.stream], batch.entries)
                done += len(batch.entries)
            advance(done)
    for name, plan in found.streams.items():
        finish(database.stored_stream(name), plan)
    database.sync()


def _store_rows(table: striate.Table[bytes], rows: list[Row]) -> None:
    table._set_many_nowait([(key, value) for key, value, end in rows if not end])
    for key, value, end in rows:
        if end:
            table._write_nowait(key, value, end)
