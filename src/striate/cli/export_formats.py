"""The two formats of ``striate db export``: JSON lines, and an Arrow file where pyarrow is installed.

Both are read and written as batches of the rows of one table. What may not live here: databases.

JSON lines: an object with ``table`` and the table's options, then one for each of its keys: ``key``, ``value``, and
``expires_ms`` where it expires. Arrow: columns ``table``, ``key``, ``value``, ``expires``; the names and options of the
tables are JSON in the schema's metadata, so that an empty table is not lost.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any, NamedTuple, Protocol

import click

from striate.cli.output import json_line, plain
from striate.errors import ImportFormatError

Row = tuple[bytes, bytes, int]  # key, value, the end in milliseconds since the epoch or 0

ARROW_MAGIC = b"ARROW1"
_VERSION = b"1"
_VERSION_NAME, _TABLES_NAME = b"striate.export", b"striate.tables"
_MOST_KEY_BYTES = 0xFFFF
_MOST_NAME_BYTES = 1024
_LAST_MS = (1 << 63) // 1_000_000 - 1
_BATCH_ROWS, _BATCH_BYTES = 1000, 8 << 20


class Batch(NamedTuple):
    """Some rows of a table; a table has at least one batch, perhaps an empty one."""

    table: str
    options: dict[str, Any]
    rows: list[Row]


class Writer(Protocol):
    """Writes an export."""

    def write(self, batch: Batch) -> None:
        """Write a batch; those of one table follow each other."""

    def close(self) -> None:
        """Write what belongs at the end."""


def in_batches(table: str, options: dict[str, Any], rows: Iterator[Row]) -> Iterator[Batch]:
    """All rows of a table in batches of a moderate size."""
    taken: list[Row] = []
    size = 0
    for row in rows:
        taken.append(row)
        size += len(row[0]) + len(row[1])
        if len(taken) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield Batch(table, options, taken)
            taken, size = [], 0
    yield Batch(table, options, taken)


def read(file: IO[bytes], path: str) -> Iterator[Batch]:
    """The batches of an export in either format, from the beginning of a file that can seek.

    Raises:
        ImportFormatError: it is something else, or damaged.
    """
    file.seek(0)
    magic = file.read(len(ARROW_MAGIC))
    file.seek(0)
    return _read_arrow(file, path) if magic == ARROW_MAGIC else _read_json_lines(file, path)


def _check_table(path: str, name: object, options: dict[str, Any]) -> str:
    if not isinstance(name, str) or not 0 < len(name.encode("utf-8", "replace")) <= _MOST_NAME_BYTES:
        raise ImportFormatError(path, f"{name!r:.100} is no name of a table")
    if not isinstance(options.get("codec"), str | None):
        raise ImportFormatError(path, f"the codec of {name!r:.100} is no name")
    return name


def _check_row(path: str, key: bytes, end_ms: object) -> int:
    if len(key) > _MOST_KEY_BYTES:
        raise ImportFormatError(path, f"a key of {len(key)} bytes, of which {_MOST_KEY_BYTES} are the most")
    if not isinstance(end_ms, int) or isinstance(end_ms, bool) or not 0 <= end_ms <= _LAST_MS:
        raise ImportFormatError(path, f"{end_ms!r:.100} is no time in milliseconds since the epoch")
    return end_ms


# ---------------------------------------------------------------- JSON lines


class JsonLinesWriter:
    """See :class:`Writer`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._table: str | None = None

    def write(self, batch: Batch) -> None:
        """See :class:`Writer`."""
        if batch.table != self._table:
            self._file.write(json_line({"table": batch.table, **batch.options}))
            self._table = batch.table
        for key, value, end in batch.rows:
            line = {"key": plain(key), "value": plain(value)}
            self._file.write(json_line(line | ({"expires_ms": end} if end else {})))

    def close(self) -> None:
        """See :class:`Writer`."""


def _read_json_lines(file: IO[bytes], path: str) -> Iterator[Batch]:
    """Tables are made of runs of lines; each run is cut into batches."""
    documents = _documents(file, path)
    found = next(documents, None)
    while found is not None:
        number, head = found
        if "table" not in head:
            raise ImportFormatError(path, f"line {number}: no table has been named before this key")
        name = _check_table(path, head.pop("table"), head)
        rows: list[Row] = []
        while (found := next(documents, None)) is not None and "table" not in found[1]:
            rows.append(_row(found[1], f"{path}: line {found[0]}"))
            if len(rows) == _BATCH_ROWS:
                yield Batch(name, head, rows)
                rows = []
        yield Batch(name, head, rows)


def _documents(file: IO[bytes], path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or not ("table" in document or {"key", "value"} <= document.keys()):
            raise ImportFormatError(path, f"line {number} is no object of an export")
        yield number, document


def _row(document: dict[str, Any], place: str) -> Row:
    key, value = _bytes(document["key"], place), _bytes(document["value"], place)
    return key, value, _check_row(place, key, document.get("expires_ms", 0))


def _bytes(text: object, place: str) -> bytes:
    try:
        if isinstance(text, str):
            return text.encode()
        if isinstance(text, dict) and isinstance(text.get("base64"), str):
            return base64.b64decode(text["base64"], validate=True)
    except ValueError:
        pass
    raise ImportFormatError(place, f'{text!r:.100} is neither text nor {{"base64": "..."}}')


# ---------------------------------------------------------------- Arrow


def _pyarrow() -> Any:
    try:
        import_module("pyarrow.ipc")
        return import_module("pyarrow")
    except ImportError:
        raise click.ClickException("the Arrow format needs pyarrow: python3 -m pip install 'striate[arrow]'") from None


class _Pipe:
    """A file that is only written, and so has a place also where it cannot seek."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._position = file, 0

    def write(self, data: Any) -> int:
        self._position += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        self._file.flush()


class ArrowWriter:
    """See :class:`Writer`; ``tables`` are all that will come, with their options."""

    def __init__(self, file: IO[bytes], tables: dict[str, dict[str, Any]]) -> None:
        self._arrow = arrow = _pyarrow()
        self._names = list(tables)
        # The dictionary of a file's column never changes, so every batch has all names.
        self._dictionary = arrow.array(self._names, arrow.string())
        self._schema = arrow.schema(
            [
                arrow.field("table", arrow.dictionary(arrow.int32(), arrow.string()), nullable=False),
                arrow.field("key", arrow.binary(), nullable=False),
                arrow.field("value", arrow.large_binary(), nullable=False),
                arrow.field("expires", arrow.timestamp("ms", "UTC")),
            ],
            {_VERSION_NAME: _VERSION, _TABLES_NAME: json.dumps(tables).encode()},
        )
        self._writer = arrow.ipc.new_file(arrow.PythonFile(_Pipe(file), mode="w"), self._schema)

    def write(self, batch: Batch) -> None:
        """See :class:`Writer`."""
        arrow, count = self._arrow, len(batch.rows)
        number = arrow.array([self._names.index(batch.table)] * count, arrow.int32())
        columns = [
            arrow.DictionaryArray.from_arrays(number, self._dictionary),
            arrow.array([row[0] for row in batch.rows], arrow.binary()),
            arrow.array([row[1] for row in batch.rows], arrow.large_binary()),
            arrow.array([row[2] or None for row in batch.rows], arrow.int64()).cast(self._schema.field("expires").type),
        ]
        if count:
            self._writer.write_batch(arrow.record_batch(columns, schema=self._schema))

    def close(self) -> None:
        """See :class:`Writer`."""
        self._writer.close()


def _read_arrow(file: IO[bytes], path: str) -> Iterator[Batch]:
    arrow = _pyarrow()
    try:
        reader = arrow.ipc.open_file(arrow.PythonFile(file, mode="r"))
        tables = _tables_of(reader.schema, path)
        yield from (Batch(name, options, []) for name, options in tables.items())
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            batch.validate(full=True)
            yield from _batches_of(batch, tables, path)
    except (arrow.ArrowException, OSError, ValueError, KeyError, IndexError) as error:
        if isinstance(error, ImportFormatError):
            raise
        raise ImportFormatError(path, f"the Arrow file cannot be read: {error}") from None


def _tables_of(schema: Any, path: str) -> dict[str, dict[str, Any]]:
    metadata = schema.metadata or {}
    wanted = ["table", "key", "value", "expires"]
    if metadata.get(_VERSION_NAME) != _VERSION or schema.names != wanted:
        raise ImportFormatError(path, "an Arrow file of something else, or of another version")
    kinds = [str(field.type) for field in schema]
    if kinds != [
        "dictionary<values=string, indices=int32, ordered=0>",
        "binary",
        "large_binary",
        "timestamp[ms, tz=UTC]",
    ]:
        raise ImportFormatError(path, f"columns of the types {', '.join(kinds)}")
    tables = json.loads(metadata.get(_TABLES_NAME, b"null"))
    if not isinstance(tables, dict) or not all(isinstance(options, dict) for options in tables.values()):
        raise ImportFormatError(path, "the names of its tables are missing")
    for name, options in tables.items():
        _check_table(path, name, options)
    return tables


def _batches_of(batch: Any, tables: dict[str, dict[str, Any]], path: str) -> Iterator[Batch]:
    if any(batch.column(number).null_count for number in range(3)):
        raise ImportFormatError(path, "a key or value is missing")
    names, keys, values = (batch.column(number).to_pylist() for number in range(3))
    ends = batch.column(3).cast("int64").fill_null(0).to_pylist()
    rows: dict[str, list[Row]] = {}
    for name, key, value, end in zip(names, keys, values, ends, strict=True):
        rows.setdefault(name, []).append((key, value, _check_row(path, key, end)))
    for name, found in rows.items():
        if name not in tables:
            raise ImportFormatError(path, f"the table {name!r:.100} has no options")
        yield Batch(name, tables[name], found)
