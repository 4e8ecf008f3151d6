"""The manifest: which segments a log consists of (docs/format.md, "Manifest").

Pure encoding and decoding plus one durable replacement; what the entries mean for opening a log is in recovery.py.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from striate._native.frame import crc32c
from striate.errors import CorruptManifestError, UnknownVersionError

if TYPE_CHECKING:
    from striate._native.io import Disk
    from striate._native.segment import Segment

NAME = "manifest"
VERSION = 1
_MAGIC = b"SMAN"
_HEADER = struct.Struct("<4sHHQQQQIIIIII")  # 64 bytes; the last field is the checksum
_ENTRY = struct.Struct("<QQQQQQIIIIII")  # 72 bytes
_SEALED = 1
_GAPS = 2


@dataclass(frozen=True)
class SegmentEntry:
    """One segment as the manifest names it; an unsealed one has only base, id and revision."""

    base_offset: int
    segment_id: int
    revision: int = 0
    sealed: bool = False
    has_gaps: bool = False
    next_offset: int = 0
    end_position: int = 0
    first_timestamp_us: int = 0
    last_timestamp_us: int = 0
    record_count: int = 0
    chain_checksum: int = 0
    index_checksum: int = 0

    @classmethod
    def of(cls, segment: Segment, *, sealed: bool | None = None) -> SegmentEntry:
        """The entry of an open segment; ``sealed=False`` names one that is about to be appended to again."""
        if not (segment.sealed if sealed is None else sealed):
            return cls(segment.base_offset, segment.store.segment_id, segment.revision)
        return cls(
            base_offset=segment.base_offset,
            segment_id=segment.store.segment_id,
            revision=segment.revision,
            sealed=True,
            has_gaps=bool(segment.gaps),
            next_offset=segment.next_offset,
            end_position=segment.end_position,
            first_timestamp_us=segment.first_timestamp_us,
            last_timestamp_us=segment.last_timestamp_us,
            record_count=segment.record_count,
            chain_checksum=segment.chain_checksum,
            index_checksum=segment.index_checksum,
        )


@dataclass(frozen=True)
class Manifest:
    """A log's identity and its segments, by base offset."""

    log_id: int
    sequence: int = 0
    lowest_offset: int = 0
    initial_offset: int = 0
    record_size: int = 0
    codec: int = 0
    entries: tuple[SegmentEntry, ...] = field(default=())

    def encode(self) -> bytes:
        """The file's bytes."""
        body = b"".join(_encode_entry(entry) for entry in self.entries)
        header = _HEADER.pack(
            _MAGIC,
            VERSION,
            _HEADER.size,
            self.log_id,
            self.sequence,
            self.lowest_offset,
            self.initial_offset,
            self.record_size,
            len(self.entries),
            0,
            self.codec,
            0,
            0,
        )
        checksum = crc32c(header + body)
        return header[:-4] + struct.pack("<I", checksum) + body


def size_bytes(segments: int) -> int:
    """Size of the file for so many segments."""
    return _HEADER.size + segments * _ENTRY.size


def _encode_entry(entry: SegmentEntry) -> bytes:
    flags = (_SEALED if entry.sealed else 0) | (_GAPS if entry.has_gaps else 0)
    return _ENTRY.pack(
        entry.base_offset,
        entry.segment_id,
        entry.next_offset,
        entry.end_position,
        entry.first_timestamp_us,
        entry.last_timestamp_us,
        entry.record_count,
        entry.revision,
        entry.chain_checksum,
        entry.index_checksum,
        flags,
        0,
    )


def decode(data: bytes, path: str) -> Manifest:
    """Parse a manifest.

    Raises:
        CorruptManifestError: too short, wrong magic, length, checksum or order. UnknownVersionError: another format
        version.
    """
    if len(data) < _HEADER.size:
        raise CorruptManifestError(path, f"{len(data)} bytes are too few", position=len(data))
    fields = _HEADER.unpack_from(data)
    magic, version, _, log_id, sequence, lowest, initial, record_size, count, _, codec, _, checksum = fields
    if magic != _MAGIC:
        raise CorruptManifestError(path, "wrong magic", position=0)
    # Before the checksum: another version may keep it elsewhere.
    if version != VERSION:
        raise UnknownVersionError(path, version, VERSION)
    if checksum != crc32c(data[: _HEADER.size - 4] + b"\0\0\0\0" + data[_HEADER.size :]):
        raise CorruptManifestError(path, "the checksum is wrong", position=_HEADER.size - 4)
    if len(data) != _HEADER.size + count * _ENTRY.size:
        raise CorruptManifestError(path, f"{len(data)} bytes do not hold {count} entries", position=len(data))
    entries = tuple(_decode_entry(fields) for fields in _ENTRY.iter_unpack(data[_HEADER.size :]))
    for number, (entry, following) in enumerate(pairwise(entries)):
        if entry.base_offset >= following.base_offset:
            raise CorruptManifestError(
                path, "base offsets do not ascend", position=_HEADER.size + (number + 1) * _ENTRY.size
            )
    return Manifest(log_id, sequence, lowest, initial, record_size, codec, entries)


def _decode_entry(fields: tuple[int, ...]) -> SegmentEntry:
    base, segment_id, following, end, first_time, last_time, records, revision, chain, index, flags, _ = fields
    return SegmentEntry(
        base,
        segment_id,
        revision,
        bool(flags & _SEALED),
        bool(flags & _GAPS),
        following,
        end,
        first_time,
        last_time,
        records,
        chain,
        index,
    )


def load(disk: Disk, directory: str) -> Manifest:
    """Read the manifest of a log directory.

    Raises:
        DiskError: not there or unreadable. CorruptManifestError, UnknownVersionError: as :func:`decode`.
    """
    path = os.path.join(directory, NAME)
    return decode(disk.read_file(path), path)


def save(disk: Disk, directory: str, manifest: Manifest) -> None:
    """Replace the manifest durably: temporary file, sync, rename, directory sync."""
    disk.replace_file(os.path.join(directory, NAME), manifest.encode())
