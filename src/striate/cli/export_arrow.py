"""The Arrow format of ``striate db export``, which needs pyarrow.

Version 1 has tables only: columns ``table``, ``key``, ``value``, ``expires``. Version 2 is written where there are
streams: ``table`` and ``stream``, one of them null, ``id_ms`` and ``id_seq`` of an entry, ``key``, ``value`` and
``expires``. The names and options of tables and streams are JSON in the schema's metadata, so that an empty one is not
lost. Version 3 is written where a name is not UTF-8: names are binary there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any

import click

from striate import StreamId
from striate.cli.export_batches import (
    Batch,
    Entry,
    Row,
    StreamBatch,
    TableBatch,
    check_entry_key,
    check_head,
    check_row,
)
from striate.cli.output import plain
from striate.errors import ImportFormatError

ARROW_MAGIC = b"ARROW1"
_VERSION_NAME, _TABLES_NAME, _STREAMS_NAME = b"striate.export", b"striate.tables", b"striate.streams"
_NAMES_TYPE = "dictionary<values=string, indices=int32, ordered=0>"
_TABLE_COLUMNS = {
    "table": _NAMES_TYPE,
    "key": "binary",
    "value": "large_binary",
    "expires": "timestamp[ms, tz=UTC]",
}
_STREAM_COLUMNS = {"table": _NAMES_TYPE, "stream": _NAMES_TYPE, "id_ms": "uint64", "id_seq": "uint64"} | _TABLE_COLUMNS
_BYTES_TYPE = _NAMES_TYPE.replace("string", "binary")
_COLUMNS = {
    b"1": _TABLE_COLUMNS,
    b"2": _STREAM_COLUMNS,
    b"3": _STREAM_COLUMNS | {"table": _BYTES_TYPE, "stream": _BYTES_TYPE},
}
_Named = dict[str, dict[str, Any]]


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    """See :class:`striate.cli.export_batches.Writer`; ``tables`` and ``streams`` are all that will come, with their
    options."""

    def __init__(self, file: IO[bytes], tables: _Named, streams: _Named) -> None:
        self._arrow = arrow = _pyarrow()
        self._names = {"table": list(tables), "stream": list(streams)}
        # The dictionary of a file's column never changes, so every batch has all names.
        version = b"2" if streams else b"1"
        made: Any = self._names
        if not all(map(_is_utf8, [*tables, *streams])):
            version = b"3"
            made = {kind: [_encoded(name) for name in names] for kind, names in self._names.items()}
        names_type = arrow.binary() if version == b"3" else arrow.string()
        self._dictionaries = {kind: arrow.array(names, names_type) for kind, names in made.items()}
        metadata = {_VERSION_NAME: version, _TABLES_NAME: json.dumps(tables).encode()}
        if version != b"1":
            metadata[_STREAMS_NAME] = json.dumps(streams).encode()
        types = {
            _NAMES_TYPE: arrow.dictionary(arrow.int32(), arrow.string()),
            _BYTES_TYPE: arrow.dictionary(arrow.int32(), arrow.binary()),
            "binary": arrow.binary(),
            "large_binary": arrow.large_binary(),
            "uint64": arrow.uint64(),
            "timestamp[ms, tz=UTC]": arrow.timestamp("ms", "UTC"),
        }
        always = {"value"} if version != b"1" else {"table", "key", "value"}
        columns = _COLUMNS[version].items()
        fields = [arrow.field(name, types[kind], nullable=name not in always) for name, kind in columns]
        self._schema = arrow.schema(fields, metadata)
        self._writer = arrow.ipc.new_file(arrow.PythonFile(_Pipe(file), mode="w"), self._schema)

    def write(self, batch: Batch) -> None:
        """See :class:`striate.cli.export_batches.Writer`."""
        arrow = self._arrow
        found: list[Any] = batch.rows if isinstance(batch, TableBatch) else batch.entries
        nothing = [None] * len(found)
        columns: dict[str, Any] = {"key": [row[0] for row in found], "value": [row[1] for row in found]}
        if isinstance(batch, TableBatch):
            columns |= {"expires": [row[2] or None for row in batch.rows], "id_ms": nothing, "id_seq": nothing}
            columns |= {"table": [self._names["table"].index(batch.table)] * len(found), "stream": nothing}
        else:
            ids = [entry[2] for entry in batch.entries]
            columns |= {"expires": nothing, "id_ms": [id.ms for id in ids], "id_seq": [id.seq for id in ids]}
            columns |= {"table": nothing, "stream": [self._names["stream"].index(batch.stream)] * len(found)}
        if found:
            arrays = [self._array(field, columns[field.name]) for field in self._schema]
            self._writer.write_batch(arrow.record_batch(arrays, schema=self._schema))

    def _array(self, field: Any, values: list[Any]) -> Any:
        arrow = self._arrow
        if field.name in self._dictionaries:
            numbers = arrow.array(values, arrow.int32())
            return arrow.DictionaryArray.from_arrays(numbers, self._dictionaries[field.name])
        if field.name == "expires":
            return arrow.array(values, arrow.int64()).cast(field.type)
        return arrow.array(values, field.type)

    def close(self) -> None:
        """See :class:`striate.cli.export_batches.Writer`."""
        self._writer.close()


def read_arrow(file: IO[bytes], path: str) -> Iterator[Batch]:
    """The batches of an Arrow file; see :func:`striate.cli.export_formats.read`."""
    arrow = _pyarrow()
    try:
        reader = arrow.ipc.open_file(arrow.PythonFile(file, mode="r"))
        _check_columns(reader.schema, path)
        tables = _named(reader.schema, "table", _TABLES_NAME, path)
        streams = _named(reader.schema, "stream", _STREAMS_NAME, path) if "stream" in reader.schema.names else {}
        yield from (TableBatch(name, options, []) for name, options in tables.items())
        yield from (StreamBatch(name, options, []) for name, options in streams.items())
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            batch.validate(full=True)
            yield from _batches_of(batch, tables, streams, path)
    except (arrow.ArrowException, OSError, ValueError, KeyError, IndexError) as error:
        if isinstance(error, ImportFormatError):
            raise
        raise ImportFormatError(path, f"the Arrow file cannot be read: {error}") from None


def _check_columns(schema: Any, path: str) -> None:
    wanted = _COLUMNS.get((schema.metadata or {}).get(_VERSION_NAME, b""), {})
    if not wanted or schema.names != list(wanted):
        raise ImportFormatError(path, "an Arrow file of something else, or of another version")
    kinds = [str(field.type) for field in schema]
    if kinds != list(wanted.values()):
        raise ImportFormatError(path, f"columns of the types {', '.join(kinds)}")


def _named(schema: Any, kind: str, place: bytes, path: str) -> _Named:
    named = json.loads(schema.metadata.get(place, b"null"))
    if not isinstance(named, dict) or not all(isinstance(options, dict) for options in named.values()):
        raise ImportFormatError(path, f"the names of its {kind}s are missing")
    for name, options in named.items():
        check_head(path, kind, plain(name), options)
    return named


def _batches_of(batch: Any, tables: _Named, streams: _Named, path: str) -> Iterator[Batch]:
    columns = {name: batch.column(name) for name in batch.schema.names}
    columns["expires"] = columns["expires"].cast("int64").fill_null(0)
    lists = {name: column.to_pylist() for name, column in columns.items()}
    for kind in ("table", "stream"):
        lists[kind] = [
            name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
            for name in lists.get(kind, [None] * batch.num_rows)
        ]
    nothing = [None] * batch.num_rows
    order = ("table", "stream", "id_ms", "id_seq", "key", "value", "expires")
    rows: dict[str, list[Row]] = {}
    entries: dict[str, list[Entry]] = {}
    for table, stream, ms, seq, key, value, end in zip(*(lists.get(name, nothing) for name in order), strict=True):
        if value is None or (table is None) == (stream is None):
            raise ImportFormatError(path, "a value or a name is missing, or there are two names")
        if table is not None:
            if key is None or ms is not None or seq is not None:
                raise ImportFormatError(path, f"the table {table!r:.100} has a row without a key, or with an id")
            rows.setdefault(table, []).append((key, value, check_row(path, key, end)))
        else:
            if ms is None or seq is None or end:
                raise ImportFormatError(path, f"the stream {stream!r:.100} has an entry without an id, or that expires")
            check_entry_key(path, key)
            entries.setdefault(stream, []).append((key, value, StreamId(ms, seq)))
    for name in [*(rows.keys() - tables.keys()), *(entries.keys() - streams.keys())]:
        raise ImportFormatError(path, f"{name!r:.100} has no options")
    yield from (TableBatch(name, tables[name], found) for name, found in rows.items())
    yield from (StreamBatch(name, streams[name], found) for name, found in entries.items())
