"""The hint file: the indexes of a database as they were at one offset, so that opening need not read the log.

Derived data, never trusted: every part has a checksum, and the file names the record before its offset; where anything
differs from the log it is left aside and the log is read.

Layout, little-endian: header (magic ``SHNT``, version u16, size u16, log id u64, next offset u64, id u64 of
the segment before it, timestamp u64 and CRC32C u32 of key and value of the record before it, CRC32C u32 of the header
so far); parts (view u32, size u32, CRC32C u32, kind u32: 0 of a table, 1 of a stream, then what
``striate._native.upkeep`` makes of it); an end part with view 0 and the number of parts as its size. View 0xFFFFFFFF is
the catalog, as JSON.
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from striate._native.frame import crc32c
from striate._native.partition import Partition, StreamView, View
from striate._native.upkeep import dump_entries, dump_stream, load_entries, load_stream
from striate.errors import OffsetOutOfRangeError, RecordCompactedError, StorageError
from striate.storage.log import Log

if TYPE_CHECKING:
    from striate._native.io import Disk

NAME = "hints"
_MAGIC = b"SHNT"
_VERSION = 1
_HEADER = struct.Struct("<4sHHQQQQI")
_PART = struct.Struct("<IIII")
_CRC = struct.Struct("<I")
_CATALOG = 0xFFFFFFFF
_TABLE, _STREAM = range(2)


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
    head = _HEADER.pack(_MAGIC, _VERSION, _HEADER.size + _CRC.size, log._log_id, log.next_offset, *anchor)
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


def _parts(partition: Partition, catalog: bytes) -> Iterator[bytes]:
    yield _PART.pack(_CATALOG, len(catalog), crc32c(catalog), 0) + catalog
    count = 1
    for number, view in partition._views.items():
        kind, pieces = (_STREAM, _stream(view)) if isinstance(view, StreamView) else (_TABLE, _table(view))
        for piece in pieces:
            yield _PART.pack(number, len(piece), crc32c(piece), kind)
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
    next_offset = 0
    try:
        with open(os.path.join(path, NAME), "rb") as file:
            next_offset = _check_header(log, file.read(_HEADER.size + _CRC.size))
            catalog = _load_parts(partition, file) if next_offset else b""
    except OSError:
        catalog = b""
    if catalog:
        return next_offset, catalog
    # Half of it is worse than none of it.
    partition._views.clear()
    return log.lowest_offset, b""


def _check_header(log: Log, head: bytes) -> int:
    """The offset that the hints are of; 0 where they are of another log, or of another course of this one."""
    if len(head) != _HEADER.size + _CRC.size or crc32c(head[: _HEADER.size]) != _CRC.unpack(head[-_CRC.size :])[0]:
        return 0
    magic, version, _, log_id, next_offset, *anchor = _HEADER.unpack(head[: _HEADER.size])
    if (magic, version, log_id) != (_MAGIC, _VERSION, log._log_id):
        return 0
    if not log.lowest_offset < next_offset <= log.next_offset or _anchor(log, next_offset) != tuple(anchor):
        return 0
    return int(next_offset)


def _load_parts(partition: Partition, file: BinaryIO) -> bytes:
    """Take in all parts; the catalog, or nothing if any part is not right."""
    catalog = b""
    count = 0
    while len(head := file.read(_PART.size)) == _PART.size:
        number, size, expected, kind = _PART.unpack(head)
        if number == 0:
            return catalog if size == count else b""
        content = file.read(size)
        if len(content) != size or crc32c(content) != expected:
            return b""
        if number == _CATALOG:
            catalog = content
        elif not _load_part(partition, number, kind, content):
            return b""
        count += 1
    return b""


def _load_part(partition: Partition, number: int, kind: int, content: bytes) -> bool:
    view = partition._views.get(number)
    if kind == _STREAM:
        if view is None:
            view = StreamView(partition, number)
        return isinstance(view, StreamView) and load_stream(view, content)
    if view is None:
        view = View(partition, number)
    return isinstance(view, View) and load_entries(view, content)
