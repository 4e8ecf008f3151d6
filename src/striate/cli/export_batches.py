"""What an export is made of, whatever its format: batches of a table's rows or of a stream's entries, and their checks.

What may not live here: databases, formats.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from striate import StreamId
from striate.errors import ImportFormatError, StriateError

Row = tuple[bytes, bytes, int]  # key, value, the end in milliseconds since the epoch or 0
Entry = tuple[bytes | None, bytes, StreamId]  # key, value, id

BATCH_ROWS, _BATCH_BYTES = 1000, 8 << 20
_MOST_KEY_BYTES = 0xFFFF
_ENTRY_HEAD_BYTES = 24  # docs/format.md: id and ordinal, which stand before an entry's key
_MOST_NAME_BYTES = 65_535
_LAST_MS = (1 << 63) // 1_000_000 - 1
_T = TypeVar("_T", Row, Entry)


class TableBatch(NamedTuple):
    """Some rows of a table; a table has at least one batch, perhaps an empty one."""

    table: str
    options: dict[str, Any]
    rows: list[Row]


class StreamBatch(NamedTuple):
    """Some entries of a stream, in their order; a stream has at least one batch, perhaps an empty one.

    ``options``: ``codec``, ``ids``, ``last_id`` and ``groups``, each with ``group``, ``last_id``, ``consumers`` and
    ``pending`` (id, number of the consumer, ms since the epoch, deliveries), as JSON has them.
    """

    stream: str
    options: dict[str, Any]
    entries: list[Entry]


Batch = TableBatch | StreamBatch


class Writer(Protocol):
    """Writes an export."""

    def write(self, batch: Batch) -> None:
        """Write a batch; those of one table or stream follow each other."""

    def close(self) -> None:
        """Write what belongs at the end."""


def in_batches(rows: Iterator[_T]) -> Iterator[list[_T]]:
    """Rows in lists of a moderate size, the last of them perhaps empty."""
    taken: list[_T] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += len(row[0] or b"") + len(row[1])
        if len(taken) == BATCH_ROWS or size >= _BATCH_BYTES:
            yield taken
            taken, size = [], 0
    yield taken


def check_head(path: str, kind: str, name: object, options: dict[str, Any]) -> str:
    """Refuse what is no name of a table or stream (``kind``), and options it cannot have; the name as text."""
    encoded = read_bytes(name, path)
    name = encoded.decode("utf-8", "surrogateescape")
    if not 0 < len(encoded) <= _MOST_NAME_BYTES:
        raise ImportFormatError(path, f"{name!r:.100} is no name of a {kind}")
    if not isinstance(options.get("codec"), str | None):
        raise ImportFormatError(path, f"the codec of {name!r:.100} is no name")
    if kind == "stream":
        _check_stream(path, name, options)
    return name


def _check_stream(path: str, name: str, options: dict[str, Any]) -> None:
    if options.get("ids") not in ("time", "offset"):
        raise ImportFormatError(path, f"the ids of {name!r:.100} are neither time nor offset")
    read_id(options.get("last_id"), path)
    groups = options.get("groups")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ImportFormatError(path, f"the groups of {name!r:.100} are missing")
    names = [read_bytes(group.get("group"), path) for group in groups]
    if len(set(names)) < len(names) or not all(0 < len(group) <= _MOST_KEY_BYTES for group in names):
        raise ImportFormatError(path, f"two groups of {name!r:.100} have one name, or one has none that it can have")
    for group in groups:
        read_id(group.get("last_id"), path)
        _check_pending(path, group)


def _check_pending(path: str, group: dict[str, Any]) -> None:
    consumers, pending = group.setdefault("consumers", []), group.setdefault("pending", [])
    if not isinstance(consumers, list) or not isinstance(pending, list):
        raise ImportFormatError(path, "the consumers of a group, or what is pending, is no list")
    names = [read_bytes(name, path) for name in consumers]
    if len(set(names)) < len(names) or not all(0 < len(name) <= _MOST_KEY_BYTES for name in names):
        raise ImportFormatError(path, "two consumers have one name, or one has none that it can have")
    bounds = (len(names) - 1, _LAST_MS, 0xFFFFFFFF)
    for row in pending:
        if not isinstance(row, list) or len(row) != 4:
            raise ImportFormatError(path, f"{row!r:.100} is no pending entry")
        read_id(row[0], path)
        for number, most in zip(row[1:], bounds, strict=True):
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= most:
                raise ImportFormatError(path, f"{row!r:.100} is no pending entry")


def check_row(path: str, key: bytes, end_ms: object) -> int:
    """Refuse a key that is too long and what is no time; the time."""
    if len(key) > _MOST_KEY_BYTES:
        raise ImportFormatError(path, f"a key of {len(key)} bytes, of which {_MOST_KEY_BYTES} are the most")
    if not isinstance(end_ms, int) or isinstance(end_ms, bool) or not 0 <= end_ms <= _LAST_MS:
        raise ImportFormatError(path, f"{end_ms!r:.100} is no time in milliseconds since the epoch")
    return end_ms


def check_entry_key(path: str, key: bytes | None) -> None:
    """Refuse a key that an entry cannot carry."""
    most = _MOST_KEY_BYTES - _ENTRY_HEAD_BYTES
    if key is not None and len(key) > most:
        raise ImportFormatError(path, f"a key of {len(key)} bytes, of which {most} are the most")


def read_id(text: object, place: str) -> StreamId:
    """An id that is written as text."""
    try:
        if isinstance(text, str):
            return StreamId(text)
    except StriateError:
        pass
    raise ImportFormatError(place, f"{text!r:.100} is no id such as 1700000000000-0")


def read_bytes(text: object, place: str) -> bytes:
    """Bytes as JSON has them: text, or an object with base64."""
    try:
        if isinstance(text, str):
            return text.encode()
        if isinstance(text, dict) and isinstance(text.get("base64"), str):
            return base64.b64decode(text["base64"], validate=True)
    except ValueError:
        pass
    raise ImportFormatError(place, f'{text!r:.100} is neither text nor {{"base64": "..."}}')
