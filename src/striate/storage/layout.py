"""The layouts of docs/format.md as Python structs: take a header or a frame apart and check each field.

Used by :mod:`striate.storage.dump` and by tests, never by the engine, whose own definitions are in
``native/frame.pxd``: two independent readings of one specification. Nothing here does I/O or raises for
damaged bytes.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from striate._native.frame import crc32c

__all__ = [
    "ENTRY_BYTES",
    "FRAME_HEADER_BYTES",
    "HEADER_BYTES",
    "KINDS",
    "RESERVED_FLAG",
    "Fields",
    "parse_entry",
    "parse_fixed",
    "parse_frame",
]

Fields = dict[str, Any]

FORMAT_VERSION = 1
HEADER_BYTES = 64
FRAME_HEADER_BYTES = 24
ENTRY_BYTES = 72

KINDS = {1: "value", 2: "tombstone", 3: "control", 4: "transaction"}
FRAME_FLAGS = "HAS_KEY CONTINUES SYNCED_BEFORE HAS_SYNC HAS_VIEW HAS_BATCH ENCODED RESERVED"
HAS_KEY, RESERVED_FLAG = 1, 128

_FRAME = struct.Struct("<IIqIHBB")
_FRAME_NAMES = ("checksum", "payload_size", "timestamp_us", "relative_offset", "key_size", "kind", "flags")
_BATCH_NAMES = ("producer_id", "leader_epoch", "first_sequence", "producer_epoch", "batch_count")
_EXTENSIONS = (
    (8, struct.Struct("<I4x"), ("synced_position",)),
    (16, struct.Struct("<I4x"), ("view_id",)),
    (32, struct.Struct("<QIIH2xI"), _BATCH_NAMES),
)
_ENTRY = struct.Struct("<QQQQqqIIIIII")
_ENTRY_NAMES = (
    "base_offset segment_id next_offset end_position first_timestamp_us last_timestamp_us "
    "record_count revision chain_checksum index_checksum flags reserved"
)


class _Layout(NamedTuple):
    """A header of 64 bytes: magic, struct, the names of its fields, and of its flags from bit 0 on."""

    magic: bytes
    struct: struct.Struct
    names: str
    flags: str


_LAYOUTS = {
    "store_header": _Layout(
        b"SLOG",
        struct.Struct("<4sHHQQQqIIIHHII"),
        "magic version size log_id segment_id base_offset base_timestamp_us leader_epoch "
        "record_size capacity codec flags reserved checksum",
        "",
    ),
    "footer": _Layout(
        b"SEND",
        struct.Struct("<4sHHQQqqIIIIII"),
        "magic version size segment_id end_position first_timestamp_us last_timestamp_us "
        "record_count last_relative chain_checksum index_checksum flags checksum",
        "GAPS",
    ),
    "manifest": _Layout(
        b"SMAN",
        struct.Struct("<4sHHQQQQIIIIII"),
        "magic version size log_id sequence lowest_offset initial_offset "
        "record_size segment_count flags codec reserved checksum",
        "",
    ),
    "checkpoint": _Layout(
        b"SCHK",
        struct.Struct("<4sHHQQQQQQII"),
        "magic version size log_id sequence segment_id base_offset synced_position next_offset reserved checksum",
        "",
    ),
}

assert all(layout.struct.size == HEADER_BYTES for layout in _LAYOUTS.values())
assert _FRAME.size == FRAME_HEADER_BYTES
assert _ENTRY.size == ENTRY_BYTES


def _flag_names(flags: int, names: str) -> list[str]:
    """The names of the bits that are set, of names given from bit 0 on."""
    return [name for bit, name in enumerate(names.split()) if flags >> bit & 1]


def parse_fixed(kind: str, data: bytes, covered: bytes | None = None) -> tuple[Fields, list[str]]:
    """Take a header of 64 bytes apart.

    Args:
        kind: ``store_header``, ``footer``, ``manifest`` or ``checkpoint``.
        data: the bytes; what stands behind the 64th is not looked at.
        covered: what the checksum covers; by default the 60 bytes before it.

    Returns:
        The fields by name (none if there are too few bytes), and what is wrong: magic, version, size and
        checksum are told apart.
    """
    layout = _LAYOUTS[kind]
    if len(data) < HEADER_BYTES:
        return {}, [f"{len(data)} bytes are too few for the {HEADER_BYTES} of this header"]
    fields: Fields = dict(zip(layout.names.split(), layout.struct.unpack_from(data), strict=True))
    expected = {"magic": layout.magic, "version": FORMAT_VERSION, "size": HEADER_BYTES}
    wrong = [name for name in expected if fields[name] != expected[name]]
    problems = [f"{name} is {fields[name]!r}, expected {expected[name]!r}" for name in wrong]
    problems += _checksum_problems(fields["checksum"], crc32c(data[:60] if covered is None else covered))
    fields["magic"] = fields["magic"].decode("ascii", "backslashreplace")
    if "flags" in fields:
        fields["flag_names"] = _flag_names(fields["flags"], layout.flags)
    return fields, problems


def parse_entry(data: bytes, place: int) -> Fields:
    """The fields of the manifest entry that begins at ``place``."""
    fields: Fields = dict(zip(_ENTRY_NAMES.split(), _ENTRY.unpack_from(data, place), strict=True))
    fields["flag_names"] = _flag_names(fields["flags"], "SEALED GAPS")
    return fields


def parse_frame(data: bytes, segment_id: int | None) -> tuple[Fields, list[str]]:
    """Take a frame apart.

    Args:
        data: its bytes: header, payload and padding.
        segment_id: of the segment, which seeds the checksum; None leaves the checksum unchecked.

    Returns:
        The fields by name, extensions, key and value among them, and what is wrong with them.
    """
    fields: Fields = dict(zip(_FRAME_NAMES, _FRAME.unpack_from(data), strict=True))
    kind, flags, key_size = fields["kind"], fields["flags"], fields["key_size"]
    fields["kind_name"] = KINDS.get(kind, "unknown")
    fields["flag_names"] = _flag_names(flags, FRAME_FLAGS)
    end = FRAME_HEADER_BYTES + fields["payload_size"]
    problems = []
    if segment_id is not None:
        computed = crc32c(data[4:end], crc32c(segment_id.to_bytes(8, "little")))
        problems += _checksum_problems(fields["checksum"], computed)
    if kind not in KINDS or flags & RESERVED_FLAG:
        problems.append(f"kind {kind} or flags {flags:#04x} are unknown")
    place = FRAME_HEADER_BYTES
    for flag, layout, names in _EXTENSIONS:
        if flags & flag and place + layout.size <= end:
            fields |= zip(names, layout.unpack_from(data, place), strict=True)
            place += layout.size
    if place + key_size > end or (key_size and not flags & HAS_KEY):
        room = max(0, end - place)
        problems.append(f"key_size is {key_size}, the payload has {room} bytes for key and value")
    fields["key"] = data[place : place + key_size] if flags & HAS_KEY else None
    fields["value"] = data[place + key_size : end]
    if data[end:].strip(b"\0"):
        problems.append("the padding is not zero")
    return fields, problems


def _checksum_problems(stored: int, computed: int) -> list[str]:
    return [] if stored == computed else [f"checksum is {stored:#010x}, the bytes give {computed:#010x}"]
