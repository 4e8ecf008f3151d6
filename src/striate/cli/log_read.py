"""``striate log read`` and ``follow``: records out of a log, as text, JSON lines or raw bytes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import click

from striate import Log, Record
from striate.cli.output import json_line, record_fields, safe_text, time_text
from striate.cli.parameters import (
    DURATION,
    OFFSET,
    SEPARATORS,
    TIME,
    json_option,
    path_argument,
    separator_option,
)

__all__ = ["follow", "read"]

Format = Callable[[Record], bytes]


def record_format(*, as_json: bool, raw: bool, keys: bool, separator: str) -> Format:
    """The function that turns a record into what is printed for it."""
    if as_json and raw:
        raise click.UsageError("--json and --raw exclude each other")
    if as_json:
        return lambda record: json_line(record_fields(record))
    if raw:
        end = SEPARATORS[separator]
        if keys:
            return lambda record: b"".join((record.key or b"", b"\t", record.value, end))
        return lambda record: record.value + end
    return lambda record: _text(record, keys).encode("utf-8", "backslashreplace")


def _text(record: Record, keys: bool) -> str:
    columns = [str(record.offset), time_text(record.timestamp)]
    if keys:
        columns.append("-" if record.key is None else safe_text(record.key) or '""')
    columns.append("(tombstone)" if record.is_tombstone else safe_text(record.value))
    return "  ".join(columns) + "\n"


def format_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of :func:`record_format`."""
    command = separator_option(command)
    command = click.option("--raw", is_flag=True, help="Print the bytes of the values and nothing else.")(command)
    command = click.option("--keys", is_flag=True, help="Show the keys (with --raw: the key and a tab first).")(command)
    return json_option(command)


@click.command()
@path_argument
@click.option("--start", type=OFFSET, help="First offset.  [default: the lowest]")
@click.option("--stop", type=OFFSET, help="Offset to stop before.  [default: the end]")
@click.option("--count", type=click.IntRange(0), help="The most records to print.")
@click.option("--offset", "offsets", type=OFFSET, multiple=True, help="Print the record at this offset. Repeatable.")
@click.option("--time", type=TIME, help="Begin at the first record of this time or later: ISO 8601 (UTC) or µs.")
@format_options
def read(
    path: str,
    start: int | None,
    stop: int | None,
    count: int | None,
    offsets: tuple[int, ...],
    time: int | None,
    as_json: bool,
    raw: bool,
    keys: bool,
    separator: str,
) -> None:
    r"""Print the records of the log at PATH.

    A line is the offset, the time and the value; bytes that cannot be printed are shown as escapes. --json
    gives one object a line: offset, timestamp (µs since the epoch), kind, key, value.

    \b
    striate log read events --start 100 --count 10 --keys
    striate log read events --time 2026-11-21T08:00 --json | jq .value
    striate log read events --offset 5 --raw --separator none > value.bin
    """
    if time is not None and start is not None:
        raise click.UsageError("--time and --start exclude each other")
    if offsets and not (start is stop is time is None):
        raise click.UsageError("--offset excludes --start, --stop and --time")
    form = record_format(as_json=as_json, raw=raw, keys=keys, separator=separator)
    with Log(path, mode="r") as log:
        if time is not None:
            start = log.offset_for_time(time)
        records = map(log.read, offsets) if offsets else log.scan(start, stop)
        _print(islice(records, count), form)


def _print(records: Iterable[Record], form: Format) -> None:
    output = sys.stdout.buffer
    for record in records:
        output.write(form(record))


@click.command()
@path_argument
@click.option("--start", type=OFFSET, help="First offset.  [default: only records that are yet to come]")
@click.option("--all", "from_lowest", is_flag=True, help="Begin with the records that are there already.")
@click.option("--count", type=click.IntRange(0), help="End after this many records.")
@click.option("--timeout", type=DURATION, help="End when no record came for this long: 90, 90s, 15m.")
@format_options
def follow(
    path: str,
    start: int | None,
    from_lowest: bool,
    count: int | None,
    timeout: float | None,
    as_json: bool,
    raw: bool,
    keys: bool,
    separator: str,
) -> None:
    r"""Print the records of the log at PATH as they are appended, by whichever process.

    It sleeps while there are none. Ctrl-C ends it.

    \b
    striate log follow events --json
    striate log follow events --all --timeout 5
    """
    if from_lowest and start is not None:
        raise click.UsageError("--all and --start exclude each other")
    form = record_format(as_json=as_json, raw=raw, keys=keys, separator=separator)
    with Log(path, mode="r") as log:
        first = log.lowest_offset if from_lowest else start
        _print_live(log, islice(log.follow(first, timeout=timeout), count), form)


def _print_live(log: Log, records: Iterator[Record], form: Format) -> None:
    """Print each record; flush whenever there is no next one yet."""
    output = sys.stdout.buffer
    for record in records:
        output.write(form(record))
        if record.offset + 1 >= log.next_offset:
            output.flush()
