"""Read the files of a log raw and name every field as docs/format.md does: what ``striate log dump`` prints.

Nothing of the engine is used but its checksum, so that the files can be looked at when the engine refuses
them. Each item is a plain dict: ``type``, ``path`` (the file's name), ``at`` (the byte place in it), then the
fields in the order of the format. An item that is not what the format says carries ``problems``, a list of
sentences. Nothing here writes, maps a file, or raises for damage.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from striate._native.frame import crc32c
from striate.errors import LogNotFoundError
from striate.storage.layout import (
    ENTRY_BYTES,
    FRAME_HEADER_BYTES,
    HEADER_BYTES,
    KINDS,
    RESERVED_FLAG,
    Fields,
    parse_entry,
    parse_fixed,
    parse_frame,
)

__all__ = ["Fields", "dump_checkpoint", "dump_index", "dump_log", "dump_manifest", "dump_store"]

UNIT_BYTES = 8
CHECKPOINT_POSITIONS = (0, 4096)
SEARCH_BYTES = 1 << 20
SEALED = 1
_STORE_NAME = re.compile(r"^(\d{20})(?:\.r(\d+))?\.(store|index)$")


def _item(kind: str, path: str, at: int, fields: Fields, problems: list[str]) -> Fields:
    item: Fields = {"type": kind, "path": os.path.basename(path), "at": at, **fields}
    if problems:
        item["problems"] = problems
    return item


def dump_manifest(path: str) -> Iterator[Fields]:
    """The ``manifest`` item, then one ``entry`` item for each segment."""
    with open(path, "rb") as file:
        data = file.read()
    fields, problems = parse_fixed("manifest", data, data[:60] + bytes(4) + data[HEADER_BYTES:])
    entry_count, rest = divmod(max(0, len(data) - HEADER_BYTES), ENTRY_BYTES)
    if fields and (fields["segment_count"] != entry_count or rest):
        found = f"{entry_count} entries and {rest} bytes"
        problems.append(f"segment_count is {fields['segment_count']}, the file holds {found}")
    yield _item("manifest", path, 0, fields, problems)
    for at in range(HEADER_BYTES, HEADER_BYTES + entry_count * ENTRY_BYTES, ENTRY_BYTES):
        yield _item("entry", path, at, parse_entry(data, at), [])


def dump_checkpoint(path: str) -> Iterator[Fields]:
    """One ``checkpoint`` item for each of the two slots that was ever written."""
    with open(path, "rb") as file:
        for position in CHECKPOINT_POSITIONS:
            file.seek(position)
            data = file.read(HEADER_BYTES)
            if data.strip(b"\0"):
                yield _item("checkpoint", path, position, *parse_fixed("checkpoint", data))


def _pairs(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """The pairs of an index file up to the first zero position."""
    while data := file.read(1 << 16):
        for pair in struct.iter_unpack("<II", data[: len(data) & ~7]):
            if pair[1] == 0:
                return
            yield pair


def dump_index(path: str, entry: Fields | None = None) -> Iterator[Fields]:
    """One ``index_entry`` item a record (``position`` in units of 8), then an ``index`` item with figures.

    Args:
        path: the file.
        entry: the segment's entry in the manifest; if it is SEALED the figures have to agree with it.
    """
    at, checksum, previous = 0, 0, (-1, 0)
    with open(path, "rb") as file:
        for pair in _pairs(file):
            grows = pair[0] > previous[0] and pair[1] > previous[1]
            problems = [] if grows else ["the pair does not follow the one before it"]
            fields: Fields = {"relative_offset": pair[0], "position": pair[1]}
            yield _item("index_entry", path, at, fields, problems)
            checksum = crc32c(struct.pack("<II", *pair), checksum)
            at, previous = at + 8, pair
    found: Fields = {"record_count": at // 8, "index_checksum": checksum}
    sealed = entry is not None and entry["flags"] & SEALED
    wrong = [name for name in found if entry is not None and sealed and entry[name] != found[name]]
    told = {name: entry[name] for name in wrong} if entry is not None else {}
    yield _item("index", path, 0, found, [f"{name} is {told[name]} in the manifest" for name in wrong])


# ---------------------------------------------------------------- store files


_Frame = tuple[Fields, list[str], int]


class _Store:
    """One store file while it is read; knows where frames may stand and how to check them."""

    def __init__(self, file: BinaryIO, path: str, segment_id: int | None, base_offset: int) -> None:
        self.file = file
        self.path = path
        self.size_bytes = os.fstat(file.fileno()).st_size
        self.segment_id = segment_id
        self.base_offset = base_offset
        self.chain_checksum = 0
        self.record_count = 0

    def read(self, position: int, size_bytes: int) -> bytes:
        self.file.seek(position)
        return self.file.read(size_bytes)

    def frame_at(self, position: int) -> _Frame | None:
        """Fields, problems and length of the frame at a position, or None when no frame can stand there."""
        head = self.read(position, FRAME_HEADER_BYTES)
        if len(head) < FRAME_HEADER_BYTES or head[22] not in KINDS or head[23] & RESERVED_FLAG:
            return None
        payload_size = int.from_bytes(head[4:8], "little")
        length = (FRAME_HEADER_BYTES + payload_size + UNIT_BYTES - 1) & ~(UNIT_BYTES - 1)
        if position + length > self.size_bytes:
            return None
        payload = self.read(position + FRAME_HEADER_BYTES, length - FRAME_HEADER_BYTES)
        fields, problems = parse_frame(head + payload, self.segment_id)
        offset: Fields = {"offset": self.base_offset + fields["relative_offset"]}
        return offset | fields, problems, length

    def footer_at(self, position: int) -> tuple[Fields, list[str]] | None:
        """Fields and problems of the footer at a position, or None when none stands there."""
        data = self.read(position, HEADER_BYTES)
        if data[:4] != b"SEND" or len(data) < HEADER_BYTES:
            return None
        fields, problems = parse_fixed("footer", data)
        if problems and int.from_bytes(data[8:16], "little") != self.segment_id:
            return None
        if fields["end_position"] != position:
            problems.append(f"end_position is {fields['end_position']}, the footer stands at {position}")
        return fields, problems

    def sound_at(self, position: int) -> bool:
        frame = self.frame_at(position)
        return not frame[1] if frame else self.footer_at(position) is not None

    def find_next(self, position: int) -> int | None:
        """The next position with a sound frame or a footer, or None.

        Only places whose byte 22 could be a kind, or that begin with the footer's magic, are tried.
        """
        for chunk_position in range(position, self.size_bytes, SEARCH_BYTES):
            data = self.read(chunk_position, SEARCH_BYTES + FRAME_HEADER_BYTES)
            places = {match.start() * UNIT_BYTES for match in re.finditer(rb"[\x01-\x04]", data[22::UNIT_BYTES])}
            places |= {match.start() for match in re.finditer(rb"SEND", data)}
            for place in sorted(places):
                if place < SEARCH_BYTES and place % UNIT_BYTES == 0 and self.sound_at(chunk_position + place):
                    return chunk_position + place
        return None

    def last_nonzero(self, position: int) -> int:
        """The position behind the last byte from ``position`` on that is not zero."""
        end = position
        for chunk_position in range(position, self.size_bytes, SEARCH_BYTES):
            rest = self.read(chunk_position, SEARCH_BYTES).rstrip(b"\0")
            end = chunk_position + len(rest) if rest else end
        return end

    def items(self, sealed: bool) -> Iterator[Fields]:
        """All that stands behind the store header."""
        position = HEADER_BYTES
        while position < self.size_bytes:
            footer = self.footer_at(position)
            if footer:
                yield self._footer(position, *footer)
                return
            frame = self.frame_at(position)
            if frame is None or frame[1]:
                following = self.find_next(position + UNIT_BYTES)
                if following is None:
                    yield from self._tail(position, sealed)
                    return
                yield from self._damage(position, following, frame)
                position = following
                continue
            yield self._frame(position, frame[0])
            position += frame[2]
        if sealed:
            yield _item("footer", self.path, position, {}, ["the footer of this sealed segment is missing"])

    def _frame(self, position: int, fields: Fields) -> Fields:
        self.chain_checksum = crc32c(fields["checksum"].to_bytes(4, "little"), self.chain_checksum)
        self.record_count += 1
        return _item("frame", self.path, position, fields, [])

    def _footer(self, position: int, fields: Fields, problems: list[str]) -> Fields:
        found: Fields = {"record_count": self.record_count, "chain_checksum": self.chain_checksum}
        wrong = [name for name in found if fields[name] != found[name]]
        problems += [f"{name} is {fields[name]}, the frames give {found[name]}" for name in wrong]
        return _item("footer", self.path, position, fields, problems)

    def _damage(self, position: int, end: int, frame: _Frame | None) -> Iterator[Fields]:
        """A frame that fails its checks, and the bytes up to the next sound one."""
        if frame and position + frame[2] <= end:
            yield _item("frame", self.path, position, frame[0], frame[1])
            position += frame[2]
        if position < end:
            problems = ["no frame can be made out here"]
            yield _item("gap", self.path, position, {"size_bytes": end - position}, problems)

    def _tail(self, position: int, sealed: bool) -> Iterator[Fields]:
        """What stands behind the last frame: of an unsealed segment a torn append, then zeros."""
        end = self.last_nonzero(position)
        if end > position:
            problems = ["no sound frame or footer stands from here to the end of the file"] if sealed else []
            yield _item("tail", self.path, position, {"size_bytes": end - position}, problems)
        elif sealed:
            yield _item("footer", self.path, position, {}, ["the footer of this sealed segment is missing"])
        if self.size_bytes > end:
            yield _item("zeros", self.path, end, {"size_bytes": self.size_bytes - end}, [])


def dump_store(path: str, *, segment_id: int | None = None, sealed: bool = False) -> Iterator[Fields]:
    """The ``store_header`` item of a store file, then ``frame``, ``gap``, ``tail``, ``footer``, ``zeros``.

    Args:
        path: the file.
        segment_id: what the manifest says; used when the header is damaged.
        sealed: whether the manifest says SEALED, so that a missing footer is a problem.
    """
    with open(path, "rb") as file:
        fields, problems = parse_fixed("store_header", file.read(HEADER_BYTES))
        sound = bool(fields) and not problems
        if segment_id is not None and sound and fields["segment_id"] != segment_id:
            problems.append(f"segment_id is {fields['segment_id']}, the manifest says {segment_id}")
        yield _item("store_header", path, 0, fields, problems)
        name = _STORE_NAME.match(os.path.basename(path))
        base_offset = fields["base_offset"] if sound else int(name[1]) if name else 0
        known_id = fields["segment_id"] if sound else segment_id
        yield from _Store(file, path, known_id, base_offset).items(sealed)


# ---------------------------------------------------------------- directories


def dump_log(path: str, *, index: bool = False) -> Iterator[Fields]:
    """Everything in a log's directory, or in one file of it.

    Args:
        path: the directory, or a file of a log (told by its name).
        index: whether to list the entries of the index files as well.

    Yields:
        ``file`` items (name and size), then those of manifest, checkpoint, and each store (and index) by base
        offset. A file that cannot be read gives a ``file`` item with the problem.

    Raises:
        LogNotFoundError: nothing stands at the path.
    """
    if not os.path.exists(path):
        raise LogNotFoundError(path)
    if not os.path.isdir(path):
        yield from _dump_file(path, {}, index=True)
        return
    names = sorted(name for name in os.listdir(path) if not name.startswith("."))
    for name in names:
        yield _item("file", name, 0, {"size_bytes": os.lstat(os.path.join(path, name)).st_size}, [])
    entries: dict[str, Fields] = {}
    order = {"manifest": 0, "checkpoint": 1}
    for name in sorted(names, key=lambda name: (order.get(name, 2), name)):
        for item in _dump_file(os.path.join(path, name), entries, index):
            if item["type"] == "entry":
                entries[_store_name(item)] = item
            yield item
    for name in sorted(set(entries) - set(names)):
        yield _item("file", name, 0, {}, ["the manifest names this file, but it is missing"])


def _store_name(entry: Fields) -> str:
    revision = f".r{entry['revision']}" if entry["revision"] else ""
    return f"{entry['base_offset']:020d}{revision}.store"


def _dump_file(path: str, entries: dict[str, Fields], index: bool) -> Iterator[Fields]:
    name = os.path.basename(path)
    match = _STORE_NAME.match(name)
    entry = entries.get(f"{os.path.splitext(name)[0]}.store")
    try:
        if name == "manifest":
            yield from dump_manifest(path)
        elif name == "checkpoint":
            yield from dump_checkpoint(path)
        elif match and match[3] == "store":
            segment_id = entry["segment_id"] if entry else None
            sealed = bool(entry and entry["flags"] & SEALED)
            yield from dump_store(path, segment_id=segment_id, sealed=sealed)
        elif match and index:
            yield from dump_index(path, entry)
    except OSError as error:
        yield _item("file", path, 0, {}, [f"cannot be read: {error.strerror}"])
