"""``striate log append``, ``truncate``, ``compact`` and ``repair``: what changes a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import click

from striate import Log
from striate.cli.output import confirm, plain, print_json, print_line, progress, size_text
from striate.cli.parameters import DURATION, OFFSET, SEPARATORS, json_option, path_argument, require_log
from striate.errors import RecordTooLargeError, StriateError

__all__ = ["append", "compact", "repair", "truncate"]

BATCH_BYTES = 1 << 20

Batch = tuple[list[bytes], list[bytes | None] | None]


def line_batches(stream: BinaryIO, end: bytes, batch_bytes: int, limit_bytes: int) -> Iterator[list[bytes]]:
    """The lines of a stream, without their ends, in batches of what could be read at once.

    Slow input is handed on as it comes; fast input in batches of about ``batch_bytes``.

    Raises:
        RecordTooLargeError: a line is longer than ``limit_bytes``; nothing of it was kept.
    """
    parts: list[bytes] = []
    held_bytes = 0
    while chunk := stream.read1(batch_bytes):  # type: ignore[attr-defined]
        lines: list[bytes] = chunk.split(end)
        held_bytes += len(lines[0])
        if held_bytes > limit_bytes:
            raise RecordTooLargeError(held_bytes, limit_bytes)
        parts.append(lines[0])
        if len(lines) > 1:
            lines[0] = b"".join(parts)
            parts = [lines.pop()]
            held_bytes = len(parts[0])
            yield lines
    if held_bytes:
        yield [b"".join(parts)]


def _split_keys(lines: Sequence[bytes], separator: bytes) -> Batch:
    parted = [line.partition(separator) for line in lines]
    values = [value if found else key for key, found, value in parted]
    return values, [key if found else None for key, found, _ in parted]


def _with_keys(batches: Iterable[list[bytes]], key: bytes | None, separator: bytes | None) -> Iterator[Batch]:
    for lines in batches:
        if separator is not None:
            yield _split_keys(lines, separator)
        else:
            yield lines, None if key is None else [key] * len(lines)


def _append_all(log: Log, batches: Iterable[Batch]) -> int:
    """Append the batches, each whole or not at all; an error carries a note of how much went before it."""
    count = 0
    try:
        with progress("appending") as advance:
            for values, keys in batches:
                count += len(log.append_many(values, keys))
                advance(count)
    except StriateError as error:
        if count:
            error.add_note(f"{count} records were appended before this")
        raise
    return count


@click.command()
@path_argument
@click.argument("values", nargs=-1)
@click.option("--key", help="The key of every record.")
@click.option("--key-separator", metavar="TEXT", help="Split each value at the first TEXT: key before, value behind.")
@click.option("--tombstone", is_flag=True, help="Append a tombstone for --key instead of a value.")
@click.option(
    "--durability",
    type=click.Choice(["power", "process"]),
    default="power",
    show_default=True,
    help="What an append survives: a power cut, or only the end of the process.",
)
@click.option(
    "--separator",
    type=click.Choice(["newline", "null"]),
    default="newline",
    show_default=True,
    help="What ends a record on stdin.",
)
@click.option("--segment-bytes", type=click.IntRange(4096), help="Size of a segment.  [default: 128 MiB]")
@click.option("--record-size", type=click.IntRange(1), help="Create a log whose values all have this many bytes.")
@json_option
def append(
    path: str,
    values: tuple[str, ...],
    key: str | None,
    key_separator: str | None,
    tombstone: bool,
    durability: str,
    separator: str,
    segment_bytes: int | None,
    record_size: int | None,
    as_json: bool,
) -> None:
    r"""Append VALUES to the log at PATH, which is created when there is none.

    Without VALUES, or with -, each line of stdin is a record, appended as it arrives. VALUES from the
    command line become visible together or not at all. Prints the range of offsets.

    \b
    striate log append events "first" "second" --key user:1
    tail -F access.log | striate log append events --durability process
    """
    if tombstone and (key is None or values or key_separator is not None):
        raise click.UsageError("--tombstone needs --key and takes no values")
    if key is not None and key_separator is not None:
        raise click.UsageError("--key and --key-separator exclude each other")
    if key_separator == "":
        raise click.UsageError("--key-separator must not be empty")
    options: dict[str, Any] = {"durability": durability, "record_size": record_size}
    if segment_bytes is not None:
        options["segment_bytes"] = segment_bytes
    key_bytes, separator_bytes = _argument_bytes(key), _argument_bytes(key_separator)
    with Log(path, **options) as log:
        first = log.next_offset
        if tombstone and key_bytes is not None:
            log.append_tombstone(key_bytes)
            count = 1
        else:
            lines = _lines(log, values, SEPARATORS[separator])
            count = _append_all(log, _with_keys(lines, key_bytes, separator_bytes))
    _print_appended(path, first, count, as_json)


def _argument_bytes(text: str | None) -> bytes | None:
    """The bytes of an argument exactly as the shell passed them."""
    return None if text is None else text.encode(sys.getfilesystemencoding(), "surrogateescape")


def _lines(log: Log, values: Sequence[str], end: bytes) -> Iterable[list[bytes]]:
    if values and tuple(values) != ("-",):
        return [[_argument_bytes(value) or b"" for value in values]]
    batch_bytes = min(BATCH_BYTES, max(4096, log.segment_bytes // 4))
    return line_batches(sys.stdin.buffer, end, batch_bytes, log.segment_bytes)


def _print_appended(path: str, first: int, count: int, as_json: bool) -> None:
    if as_json:
        offsets = {"first_offset": first if count else None, "next_offset": first + count}
        print_json({"path": path, "count": count, **offsets})
    elif count:
        print_line(
            f"appended 1 record at offset {first}"
            if count == 1
            else f"appended {count:,} records at offsets {first} to {first + count - 1}"
        )
    else:
        print_line("appended nothing: the input was empty")


@click.command()
@path_argument
@click.option("--before", type=OFFSET, help="Drop the records before this offset.")
@click.option("--after", type=click.IntRange(-1, 2**63 - 1), help="Drop the records after this offset, which is kept.")
@json_option
def truncate(path: str, before: int | None, after: int | None, as_json: bool) -> None:
    r"""Drop records at one end of the log at PATH. They cannot be had back.

    \b
    striate log truncate events --before 1000     the lowest offset is then 1000
    striate log truncate events --after 1999      the next append gets offset 2000
    """
    if (before is None) == (after is None):
        raise click.UsageError("give --before or --after, one of the two")
    require_log(path)
    with Log(path) as log:
        records_before = log.stats().records
        if before is not None:
            log.truncate_before(before)
        elif after is not None:
            log.truncate_after(after)
        dropped = records_before - log.stats().records
        lowest_offset, next_offset = log.lowest_offset, log.next_offset
    if as_json:
        print_json({"path": path, "dropped": dropped, "lowest_offset": lowest_offset, "next_offset": next_offset})
    else:
        print_line(f"dropped {dropped:,} records; lowest offset {lowest_offset}, next offset {next_offset}")


@click.command()
@path_argument
@click.option("--grace", type=DURATION, default="24h", show_default=True, help="Keep tombstones younger than this.")
@json_option
def compact(path: str, grace: float, as_json: bool) -> None:
    """Keep only the latest record of each key in the log at PATH.

    Records without a key are kept. Tombstones go when they are older than --grace. Offsets do not change.
    """
    require_log(path)
    with Log(path) as log, progress("compacting", unit="steps") as advance:
        result = log.compact(tombstone_grace=grace, progress=advance)
    if as_json:
        print_json({"path": path, **plain(result)})
    else:
        sizes = f"{size_text(result.bytes_before)} to {size_text(result.bytes_after)}"
        print_line(
            f"{result.records_before:,} records became {result.records_after:,}, {sizes}, "
            f"{result.segments_before:,} segments {result.segments_after:,}"
        )


@click.command()
@path_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def repair(path: str, yes: bool, as_json: bool) -> None:
    """Make the damaged log at PATH take appends again, giving up what cannot be read.

    The unreadable bytes are set aside in *.broken files, never deleted. Stop the writer first, and prefer
    restoring a snapshot where there is one. `striate log verify` shows what is damaged.
    """
    from striate.storage.check import repair as repair_log

    require_log(path)
    if not yes and as_json:
        raise click.UsageError("--json does not ask: give --yes")
    if not yes:
        confirm(f"Repair {path}? Records that cannot be read are given up (their bytes are set aside). [y/N] ")
    report = repair_log(path)
    if as_json:
        print_json({"path": path, **plain(report)})
        return
    print_line(f"kept {report.records_kept:,} records, set {size_text(report.bytes_set_aside)} aside")
    for name in report.broken_files:
        print_line(f"  {name}")
