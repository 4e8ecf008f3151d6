"""The hint file: the indexes of a database as they were at one offset, so that opening need not read the log.

Derived data, never trusted: every part has a checksum, and the file names the record before its offset; where anything
differs from the log it is left aside and the log is read.

Layout, little-endian: header (magic ``SHNT``, version u16, size u16, log id u64, next offset u64, id u64 of
the segment before it, timestamp u64 and CRC32C u32 of key and value of the record before it, 16 bytes that key the hash
of the indexes, CRC32C u32 of the header so far); parts (view u32, size u32, CRC32C u32 of the other three and of what
follows, kind u32: 0 of a table, 1 of a stream, then what ``striate._native.hintparts`` makes of it); an end part with
view 0 and the number of parts as its size. View 0xFFFFFFFF is the catalog, as JSON.

With the same key of the hash, entries come in the order in which they stand in the index: loading them goes through
memory once instead of waiting for it at each.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from striate._native.frame import crc32c
from striate._native.hintparts import dump_entries, dump_stream, hash_key, load_entries, load_stream, use_hash_key
from striate._native.partition import Partition, StreamView, View
from striate.errors import OffsetOutOfRangeError, RecordCompactedError, StorageError
from striate.storage.log import Log

if TYPE_CHECKING:
    from striate._native.io import Disk

NAME = "hints"
_MAGIC = b"SHNT"
_VERSION = 3
_HEADER = struct.Struct("<4sHHQQQQI16s")
_PART = struct.Struct("<IIII")
_CRC = struct.Struct("<I")
_CATALOG = 0xFFFFFFFF
_TABLE, _STREAM = range(2)
_WORTH_TWO_THREADS = 64


class _Part(NamedTuple):
    number: int
    position: int
    size: int
    checksum: int
    kind: int


def _anchor(log: Log, next_offset: int) -> tuple[int, int, int] | None:
    """What tells whether a log still has the course it had up to an offset: the id of the segment there, which no other
    ever gets, and time and checksum of the record, zeros if compaction has dropped it."""
    segments = [segment for segment in log._segments if segment.base_offset < next_offset]
    if not segments:
        return None
    try:
        record = log.read(next_offset - 1)
    except RecordCompactedError:
        return segments[-1].store.segment_id, 0, 0
    except (OffsetOutOfRangeError, StorageError):
        return None
    return segments[-1].store.segment_id, record.timestamp, crc32c((record.key or b"") + record.value)


def save(log: Log, partition: Partition, path: str, catalog: bytes) -> None:
    """Write the indexes and the catalog of a log that takes no writes meanwhile, everything durable."""
    anchor = _anchor(log, log.next_offset)
    if anchor is None:
        return
    target = os.path.join(path, NAME)
    size = _HEADER.size + _CRC.size
    head = _HEADER.pack(_MAGIC, _VERSION, size, log._log_id, log.next_offset, *anchor, hash_key(partition))
    pieces = itertools.chain([head + _CRC.pack(crc32c(head))], _parts(partition, catalog))
    if not log._disk.background:
        log._disk.replace_file(target, b"".join(pieces))  # a simulated disk, which wants to know
        return
    with open(target + ".new", "wb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    os.replace(target + ".new", target)
    log._disk.sync_directory(path)


def _checksum(number: int, kind: int, content: bytes) -> int:
    """That of a part: of its view too, lest entries get into another table."""
    return crc32c(content, crc32c(struct.pack("<III", number, len(content), kind)))


def _parts(partition: Partition, catalog: bytes) -> Iterator[bytes]:
    yield _PART.pack(_CATALOG, len(catalog), _checksum(_CATALOG, 0, catalog), 0) + catalog
    count = 1
    for number, view in partition._views.items():
        kind, pieces = (_STREAM, _stream(view)) if isinstance(view, StreamView) else (_TABLE, _table(view))
        for piece in pieces:
            yield _PART.pack(number, len(piece), _checksum(number, kind, piece), kind)
            yield piece
            count += 1
    yield _PART.pack(0, count, 0, 0)


def _table(view: View) -> Iterator[bytes]:
    cursor = 0
    while True:
        cursor, entries = dump_entries(view, cursor)
        if entries:
            yield entries
        if not cursor:
            return


def _stream(view: StreamView) -> Iterator[bytes]:
    cursor: tuple[int, int] | None = None
    while True:
        cursor, piece = dump_stream(view, cursor)
        yield piece
        if cursor is None:
            return


def drop(disk: Disk, path: str) -> None:
    """Remove the hints, durably."""
    target = os.path.join(path, NAME)
    if os.path.lexists(target):
        disk.unlink(target)
        disk.sync_directory(path)


def load(log: Log, partition: Partition, path: str) -> tuple[int, bytes]:
    """Take in the hints, if there are any and they are right.

    Returns:
        The offset from which on the log must be read, and the catalog, empty without hints.
    """
    next_offset, catalog = 0, b""
    try:
        with open(os.path.join(path, NAME), "rb") as file:
            next_offset, secret = _check_header(log, file.read(_HEADER.size + _CRC.size))
            if next_offset:
                use_hash_key(partition, secret)
                catalog = _load_parts(partition, file)
    except OSError:
        catalog = b""
    if catalog:
        return next_offset, catalog
    # Half of it is worse than none of it.
    partition._views.clear()
    return log.lowest_offset, b""


def _check_header(log: Log, head: bytes) -> tuple[int, bytes]:
    """The offset that the hints are of, 0 where they are of another log or of another course of this one; the key of
    their hash."""
    if len(head) != _HEADER.size + _CRC.size or crc32c(head[: _HEADER.size]) != _CRC.unpack(head[-_CRC.size :])[0]:
        return 0, b""
    magic, version, _, log_id, next_offset, *anchor, secret = _HEADER.unpack(head[: _HEADER.size])
    if (magic, version, log_id) != (_MAGIC, _VERSION, log._log_id):
        return 0, b""
    if not log.lowest_offset < next_offset <= log.next_offset or _anchor(log, next_offset) != tuple(anchor):
        return 0, b""
    return next_offset, secret


def _load_parts(partition: Partition, file: BinaryIO) -> bytes:
    """Take in all parts; the catalog, or nothing if any part is not right."""
    parts = _list_parts(file)
    if not parts or parts[0].number != _CATALOG:
        return b""
    catalog, *entries = parts
    for part in entries:
        if part.number not in partition._views:
            (StreamView if part.kind == _STREAM else View)(partition, part.number)
    # Two threads meet no more than once in the same stripe, since entries come in the order of stripes.
    tables = [part for part in entries if part.kind == _TABLE]
    half = len(tables) // 2 if len(tables) >= _WORTH_TWO_THREADS else 0
    with ThreadPoolExecutor(1) as helper:
        first = helper.submit(_load_all, partition, file, tables[:half])
        right = _load_all(partition, file, tables[half:])
        if not first.result() or not right:
            return b""
    streams = [part for part in entries if part.kind != _TABLE]
    return (_read_part(file, catalog) or b"") if _load_all(partition, file, streams) else b""


def _list_parts(file: BinaryIO) -> list[_Part]:
    """Where the parts are; none if they do not end as they should."""
    parts: list[_Part] = []
    while len(head := file.read(_PART.size)) == _PART.size:
        number, size, checksum, kind = _PART.unpack(head)
        if number == 0:
            return parts if size == len(parts) else []
        parts.append(_Part(number, file.tell(), size, checksum, kind))
        file.seek(size, os.SEEK_CUR)
    return []


def _read_part(file: BinaryIO, part: _Part) -> bytes | None:
    content = os.pread(file.fileno(), part.size, part.position)
    whole = len(content) == part.size and _checksum(part.number, part.kind, content) == part.checksum
    return content if whole else None


def _load_all(partition: Partition, file: BinaryIO, parts: list[_Part]) -> bool:
    for part in parts:
        content, view = _read_part(file, part), partition._views[part.number]
        if content is None:
            return False
        if not (load_entries(view, content) if isinstance(view, View) else load_stream(view, content)):
            return False
    return True
