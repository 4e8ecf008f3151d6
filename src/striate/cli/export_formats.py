"""The formats of ``striate db export``: JSON lines here, an Arrow file in export_arrow.py where pyarrow is installed.

Both are read and written as batches. What may not live here: databases.

JSON lines: an object with ``table`` and the table's options, then one for each of its keys: ``key``, ``value``, and
``expires_ms`` where it expires. Or an object with ``stream``, the stream's options, its last id and its groups, then
one for each entry: ``id``, ``value``, and ``key`` where it has one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from striate.cli.export_arrow import ARROW_MAGIC, read_arrow
from striate.cli.export_batches import (
    BATCH_ROWS,
    Batch,
    Entry,
    Row,
    StreamBatch,
    TableBatch,
    check_entry_key,
    check_head,
    check_row,
    read_bytes,
    read_id,
)
from striate.cli.output import json_line, plain
from striate.errors import ImportFormatError

# What the lines may say: one that says more was meant to say something else.
_FIELDS = (
    {"table", "codec"},
    {"stream", "codec", "ids", "last_id", "groups"},
    {"key", "value", "expires_ms"},
    {"id", "key", "value"},
)


def read(file: IO[bytes], path: str) -> Iterator[Batch]:
    """The batches of an export in either format, from the beginning of a file that can seek.

    Raises:
        ImportFormatError: it is something else, or damaged.
    """
    file.seek(0)
    magic = file.read(len(ARROW_MAGIC))
    file.seek(0)
    return read_arrow(file, path) if magic == ARROW_MAGIC else _read_json_lines(file, path)


class JsonLinesWriter:
    """See :class:`striate.cli.export_batches.Writer`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._name: str | None = None  # tables and streams do not share names

    def write(self, batch: Batch) -> None:
        """See :class:`striate.cli.export_batches.Writer`."""
        kind, name = ("table", batch.table) if isinstance(batch, TableBatch) else ("stream", batch.stream)
        if name != self._name:
            self._file.write(json_line({kind: plain(name), **batch.options}))
            self._name = name
        if isinstance(batch, TableBatch):
            for key, value, end in batch.rows:
                line = {"key": plain(key), "value": plain(value)}
                self._file.write(json_line(line | ({"expires_ms": end} if end else {})))
            return
        for own_key, value, id in batch.entries:
            carried = {} if own_key is None else {"key": plain(own_key)}
            self._file.write(json_line({"id": str(id), **carried, "value": plain(value)}))

    def close(self) -> None:
        """See :class:`striate.cli.export_batches.Writer`."""


def _read_json_lines(file: IO[bytes], path: str) -> Iterator[Batch]:
    """Tables and streams are made of runs of lines; each run is cut into batches."""
    documents = _documents(file, path)
    found = next(documents, None)
    while found is not None:
        number, head = found
        kind = _kind(head)
        if kind is None:
            raise ImportFormatError(path, f"line {number}: no table or stream has been named before this line")
        name = check_head(f"{path}: line {number}", kind, head.pop(kind), head)
        lines: list[tuple[int, dict[str, Any]]] = []
        while (found := next(documents, None)) is not None and _kind(found[1]) is None:
            lines.append(found)
            if len(lines) == BATCH_ROWS:
                yield _batch(kind, name, head, lines, path)
                lines = []
        yield _batch(kind, name, head, lines, path)


def _kind(document: dict[str, Any]) -> str | None:
    """What a line names, where it does."""
    return next((kind for kind in ("table", "stream") if kind in document), None)


def _batch(kind: str, name: str, head: dict[str, Any], lines: list[tuple[int, dict[str, Any]]], path: str) -> Batch:
    if kind == "table":
        return TableBatch(name, head, [_row(line, f"{path}: line {number}") for number, line in lines])
    return StreamBatch(name, head, [_entry(line, f"{path}: line {number}") for number, line in lines])


def _documents(file: IO[bytes], path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or not any(document.keys() <= fields for fields in _FIELDS):
            raise ImportFormatError(path, f"line {number} is no object of an export")
        yield number, document


def _row(document: dict[str, Any], place: str) -> Row:
    if not {"key", "value"} <= document.keys() or "id" in document:
        raise ImportFormatError(place, "this is no key of a table")
    key, value = read_bytes(document["key"], place), read_bytes(document["value"], place)
    return key, value, check_row(place, key, document.get("expires_ms", 0))


def _entry(document: dict[str, Any], place: str) -> Entry:
    if not {"id", "value"} <= document.keys():
        raise ImportFormatError(place, "this is no entry of a stream")
    key = read_bytes(document["key"], place) if "key" in document else None
    check_entry_key(place, key)
    return key, read_bytes(document["value"], place), read_id(document["id"], place)
