"""What commands print: JSON, text that is safe for a terminal, tables, progress bars. No log is opened here.

Bytes in JSON are one of two things, told apart by their type: a string when they are valid UTF-8, else an
object ``{"base64": "..."}``. A key or value is never changed on the way, so the bytes can always be had
back.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console

    from striate import Record

__all__ = [
    "Advance",
    "confirm",
    "console",
    "duration_text",
    "json_line",
    "plain",
    "print_json",
    "print_line",
    "print_table",
    "problem_text",
    "progress",
    "record_fields",
    "recovery_lines",
    "safe_text",
    "size_text",
    "time_text",
]

_NUMBER = re.compile(r"[\d.]+( ×| [KMGT]?i?B)?")


def plain(value: Any) -> Any:
    """A value as JSON knows it: bytes as text or base64, dataclasses as objects, enums by their name."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return value if value.isascii() else _text_json(value)
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes_json(bytes(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | range):
        return [plain(item) for item in value]
    return value.__name__ if isinstance(value, type) else str(value)


def _text_json(text: str) -> str | dict[str, str]:
    # A name of bytes that are no UTF-8 has surrogate escapes.
    try:
        return _bytes_json(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return text


def _bytes_json(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def json_line(document: Any) -> bytes:
    """One JSON document on one line, UTF-8, with the newline."""
    return (json.dumps(document, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def print_json(document: Any) -> None:
    """Print one JSON document on one line of stdout."""
    sys.stdout.buffer.write(json_line(plain(document)))


def print_line(text: str) -> None:
    """Print a line of text to stdout, as UTF-8 whatever the locale."""
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace") + b"\n")


def record_fields(record: Record) -> dict[str, Any]:
    """A record as the JSON object that ``read`` and ``follow`` print."""
    return {
        "offset": record.offset,
        "timestamp": record.timestamp,
        "kind": record.kind.name.lower(),
        "key": None if record.key is None else _bytes_json(record.key),
        "value": _bytes_json(record.value),
    }


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # of bytes that are no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def confirm(question: str) -> None:
    """Go on only if the answer is yes."""
    click.echo(question, nl=False, err=True)
    answer = sys.stdin.readline()
    if answer.strip().lower() not in {"y", "yes"}:
        if not answer.endswith("\n"):
            click.echo(err=True)
        raise click.UsageError("not confirmed: nothing was changed; answer y, or give --yes")


def safe_text(data: bytes | str, limit: int = 0) -> str:
    r"""Bytes as one line of text; what is not printable or not UTF-8 becomes an escape: ``\n``, ``\xff``.

    Args:
        data: the bytes, or text of unknown origin.
        limit: the most characters to return, 0 for all; an ellipsis shows where the rest was.
    """
    if limit and len(data) > 4 * limit:
        data = data[: 4 * limit]
    text = data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
    if not text.isprintable():
        text = "".join(c if c.isprintable() else _escaped(c) for c in text)
    return text if not limit or len(text) <= limit else text[: limit - 1] + "…"


def time_text(timestamp_us: int | None) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC; a dash for none."""
    if timestamp_us is None:
        return "-"
    try:
        moment = datetime.datetime.fromtimestamp(timestamp_us // 1_000_000, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        return f"{timestamp_us} µs"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp_us % 1_000_000:06d}Z"


def size_text(size_bytes: float) -> str:
    """A size in the unit that suits it: ``512 B``, ``3.2 MiB``."""
    size, units = float(size_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:.0f} B" if units[0] == "B" else f"{size:.1f} {units[0]}"


def duration_text(seconds: float) -> str:
    """Seconds in the unit that suits them: ``3.1 µs``, ``12 ms``, ``1.8 s``."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def recovery_lines(recovery: Mapping[str, Any]) -> list[str]:
    """What opening a log found (a ``RecoveryReport`` as a dict), in sentences."""
    lines = []
    for segment in recovery["segments"]:
        found = f"{segment['verdict']}, {segment['records']:,} records verified"
        if segment["set_aside_bytes"]:
            found += f", {size_text(segment['set_aside_bytes'])} set aside in {segment['broken_path']}"
        lines.append(f"recovery: segment {segment['base_offset']}: {found}")
    lines += [f"recovery: problem: {problem_text(problem)}" for problem in recovery["problems"]]
    lines += [f"recovery: removed {safe_text(name)}" for name in recovery["removed"]]
    if not lines:
        lines = ["recovery: nothing to do" if recovery["clean"] else "recovery: not closed in order, nothing lost"]
    return lines


def problem_text(problem: Mapping[str, Any]) -> str:
    """A ``Problem`` as a dict, in one line."""
    place = "" if problem["position"] is None else f" at position {problem['position']}"
    which = "" if problem["offset"] is None else f", offset {problem['offset']}"
    return f"{safe_text(problem['path'])}{place}{which}: {safe_text(problem['reason'])}"


# ---------------------------------------------------------------- rich


def console(*, stderr: bool = False) -> Console:
    """A rich console on stdout or stderr. NO_COLOR takes every style away; a pipe gets no line folding."""
    from rich.console import Console

    class PipedConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # Program says how that ends; rich would exit with 1

    stream = sys.stderr if stderr else sys.stdout
    return PipedConsole(
        file=stream,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if stream.isatty() or "COLUMNS" in os.environ else 160,
        highlight=False,
        markup=False,
        emoji=False,
    )


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "", to: Console | None = None
) -> None:
    """Print a table: text to the left, numbers (with thousands separators) to the right."""
    from rich.table import Table

    rows = [list(row) for row in rows]
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        numeric = all(_NUMBER.fullmatch(str(row[number])) for row in rows)
        table.add_column(name, justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *(f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell) for cell in row)
        )
    (to or console()).print(table)


class Advance(Protocol):
    """Tells a progress bar how many are done by now, and how many there are in all if that was not known."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Show it."""


@contextmanager
def progress(description: str, total: int | None = None, unit: str = "records") -> Iterator[Advance]:
    """A progress bar on stderr while the body runs, when stderr is a terminal.

    Args:
        description: what is going on, in a word or two.
        total: how many there will be, or None while nobody knows.
        unit: what is counted.
    """
    if not sys.stderr.isatty():
        yield lambda done, total=None: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(description, total=total, count="")
        known = total

        def advance(done: int, total: int | None = None) -> None:
            of = known if total is None else total
            count = f"{done:,} {unit}" if of is None else f"{done:,} of {of:,} {unit}"
            bar.update(task, completed=done, total=of, count=count)

        yield advance
