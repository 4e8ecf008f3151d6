"""``striate db`` on streams: look at entries and groups, append, trim. Values are shown as stored."""

from __future__ import annotations

import sys

import click

from striate.cli.database import open_database
from striate.cli.output import duration_text, json_line, plain, print_json, print_line, print_table, safe_text
from striate.cli.parameters import DURATION, json_option, path_argument
from striate.cli.stream_figures import group_figures, groups_of

__all__ = ["append", "groups", "range_", "streams", "trim"]

stream_argument = click.argument("stream")


@click.command()
@path_argument
@json_option
def streams(path: str, as_json: bool) -> None:
    """List the streams of the database at PATH."""
    with open_database(path) as database:
        found = database.streams()
    for name in sorted(found):
        if as_json:
            sys.stdout.buffer.write(json_line(plain({"stream": name, **found[name]})))
        else:
            print_line(safe_text(name))


@click.command("range")
@path_argument
@stream_argument
@click.option("--start", metavar="ID", help="Begin here; by default at the first entry, with --reverse at the last.")
@click.option("--stop", metavar="ID", help="End here, this entry included.")
@click.option("--count", type=click.IntRange(0), help="The most entries to print.")
@click.option("--reverse", is_flag=True, help="The latest first: from --start down to --stop.")
@json_option
def range_(
    path: str, stream: str, start: str | None, stop: str | None, count: int | None, reverse: bool, as_json: bool
) -> None:
    """Print the entries of STREAM: id, key, value. An ID is as 1700000000000-0, or milliseconds."""
    with open_database(path) as database:
        stored = database.stored_stream(stream)
        for entry in (stored.reverse_range if reverse else stored.range)(start, stop, count=count):
            if as_json:
                fields = {"id": str(entry.id), "key": plain(entry.key), "value": plain(entry.value)}
                sys.stdout.buffer.write(json_line(fields))
            else:
                key = "-" if entry.key is None else safe_text(entry.key)
                print_line(f"{entry.id}  {key}  {safe_text(entry.value)}")


@click.command()
@path_argument
@stream_argument
@click.argument("value", required=False)
@click.option("--key", help="The key that the entry carries.")
@click.option("--id", "wanted", metavar="ID", help="The entry's id, higher than the last; 5-*: the next of that 5.")
@json_option
def append(path: str, stream: str, value: str | None, key: str | None, wanted: str | None, as_json: bool) -> None:
    """Append VALUE, or what comes on stdin, to STREAM, which is made if it is not there; print the entry's id."""
    data = sys.stdin.buffer.read() if value is None else value.encode("utf-8", "surrogateescape")
    name = None if key is None else key.encode("utf-8", "surrogateescape")
    with open_database(path, make=True) as database:
        if stream not in database.streams():
            database.stream(stream)
        made = database.stored_stream(stream).append(data, name, id=wanted)
    if as_json:
        print_json({"stream": stream, "id": str(made)})
    else:
        print_line(str(made))


@click.command()
@path_argument
@stream_argument
@click.option("--max-length", type=click.IntRange(0), help="So many of the last entries stay.")
@click.option("--max-age", type=DURATION, help="Entries stay whose ids are not older.")
@click.option("--before", metavar="ID", help="Entries stay with this id or a higher one.")
@json_option
def trim(
    path: str, stream: str, max_length: int | None, max_age: float | None, before: str | None, as_json: bool
) -> None:
    """Remove entries from the beginning of STREAM, by exactly one of the options."""
    if [max_length, max_age, before].count(None) != 2:
        raise click.UsageError("give one of --max-length, --max-age and --before")
    with open_database(path) as database:
        removed = database.stored_stream(stream).trim(max_length=max_length, max_age=max_age, before=before)
    if as_json:
        print_json({"stream": stream, "removed": removed})
    else:
        print_line(f"removed {removed:,} entries")


@click.command()
@path_argument
@stream_argument
@json_option
def groups(path: str, stream: str, as_json: bool) -> None:
    """Show the consumer groups of STREAM and their consumers."""
    with open_database(path) as database:
        stored = database.stored_stream(stream)
        found = [(group, group_figures(group), group.consumers()) for group in groups_of(stored)]
    for group, figures, consumers in found:
        if as_json:
            sys.stdout.buffer.write(json_line({**figures, "consumers": plain(consumers)}))
            continue
        print_line(
            f"{safe_text(group._name)}: at {figures['last_id']}, lag {figures['lag']:,}, pending {figures['pending']:,}"
        )
        if consumers:
            rows = [
                [
                    safe_text(one.name),
                    f"{one.pending:,}",
                    duration_text(one.idle),
                    "-" if one.inactive is None else duration_text(one.inactive),
                ]
                for one in consumers
            ]
            print_table(["consumer", "pending", "idle", "inactive"], rows)
