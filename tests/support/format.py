"""Format version 1 in pure Python, written from docs/format.md alone: the second opinion on the core.

Nothing here imports striate. `encode_*` make bytes, `decode_*` check and take apart, `patch_version` changes
one field and makes the checksum right again.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path

from support.stores import (  # noqa: F401
    CHECKSUM,
    CONTINUES,
    ENCODED,
    FOOTER_BYTES,
    FRAME_BYTES,
    HAS_BATCH,
    HAS_KEY,
    HAS_SYNC,
    HAS_VIEW,
    HEADER_BYTES,
    SEGMENT_HAS_GAPS,
    SYNCED_BEFORE,
    TOMBSTONE,
    UNIT,
    VALUE,
    VERSION,
    Footer,
    Frame,
    Store,
    StoreHeader,
    chain_checksum,
    checksum,
    decode_footer,
    decode_frame,
    decode_index,
    decode_store,
    decode_store_header,
    encode_footer,
    encode_frame,
    encode_index,
    encode_store_header,
    with_checksum,
)

ENTRY_BYTES = 72
SLOT_POSITIONS = (0, 4096)  # of the checkpoint
ENTRY_SEALED, ENTRY_GAPS = 1, 2

_MANIFEST = struct.Struct("<4sHHQ QQ QII IIII")
_ENTRY = struct.Struct("<QQ QQ QQ IIII II")
_SLOT = struct.Struct("<4sHHQ QQ QQ QII")

assert (_MANIFEST.size, _SLOT.size, _ENTRY.size) == (HEADER_BYTES, HEADER_BYTES, ENTRY_BYTES)


# ---------------------------------------------------------------- manifest and checkpoint


@dataclass(frozen=True)
class Entry:
    """A segment as the manifest names it."""

    base_offset: int
    segment_id: int
    next_offset: int
    end_position: int
    first_timestamp_us: int
    last_timestamp_us: int
    record_count: int
    revision: int
    chain_checksum: int
    index_checksum: int
    flags: int


@dataclass(frozen=True)
class Manifest:
    """The manifest."""

    log_id: int
    sequence: int
    lowest_offset: int
    initial_offset: int
    record_size: int
    flags: int
    codec: int
    entries: tuple[Entry, ...]


def encode_manifest(manifest: Manifest) -> bytes:
    head = _MANIFEST.pack(
        b"SMAN",
        VERSION,
        HEADER_BYTES,
        manifest.log_id,
        manifest.sequence,
        manifest.lowest_offset,
        manifest.initial_offset,
        manifest.record_size,
        len(manifest.entries),
        manifest.flags,
        manifest.codec,
        0,
        0,
    )
    body = head + b"".join(
        _ENTRY.pack(*(getattr(entry, name) for name in Entry.__dataclass_fields__), 0) for entry in manifest.entries
    )
    return _manifest_with_checksum(body)


def _manifest_with_checksum(body: bytes) -> bytes:
    zeroed = body[:60] + bytes(4) + body[64:]
    return zeroed[:60] + CHECKSUM.pack(checksum(zeroed)) + zeroed[64:]


def decode_manifest(data: bytes) -> Manifest:
    assert _manifest_with_checksum(data) == data, "manifest checksum"
    magic, version, size, log_id, sequence, lowest, initial, record_size, count, flags, codec, zero, _ = (
        _MANIFEST.unpack_from(data)
    )
    assert (magic, version, size, zero) == (b"SMAN", VERSION, HEADER_BYTES, 0)
    assert len(data) == HEADER_BYTES + count * ENTRY_BYTES
    entries = []
    for *fields, reserved in _ENTRY.iter_unpack(data[HEADER_BYTES:]):
        assert reserved == 0
        entries.append(Entry(*fields))
    return Manifest(log_id, sequence, lowest, initial, record_size, flags, codec, tuple(entries))


@dataclass(frozen=True)
class Slot:
    """One slot of the checkpoint."""

    log_id: int
    sequence: int
    segment_id: int
    base_offset: int
    synced_position: int
    next_offset: int


def encode_slot(slot: Slot) -> bytes:
    return with_checksum(
        _SLOT.pack(
            b"SCHK",
            VERSION,
            HEADER_BYTES,
            slot.log_id,
            slot.sequence,
            slot.segment_id,
            slot.base_offset,
            slot.synced_position,
            slot.next_offset,
            0,
            0,
        )
    )


def decode_checkpoint(data: bytes) -> list[Slot]:
    """The slots that are written, in the order of the file."""
    slots = []
    for position in SLOT_POSITIONS:
        raw = data[position : position + HEADER_BYTES]
        if len(raw) < HEADER_BYTES or not any(raw):
            continue
        assert checksum(raw[:60]) == CHECKSUM.unpack_from(raw, 60)[0], "checkpoint checksum"
        magic, version, size, log_id, sequence, segment_id, base, synced, next_offset, zero, _ = _SLOT.unpack(raw)
        assert (magic, version, size, zero) == (b"SCHK", VERSION, HEADER_BYTES, 0)
        slots.append(Slot(log_id, sequence, segment_id, base, synced, next_offset))
    return slots


# ---------------------------------------------------------------- patches and names


def patch_version(data: bytes, version: int, position: int = 0) -> bytes:
    """The structure at a position with another version, and a checksum that is right again."""
    changed = data[: position + 4] + struct.pack("<H", version) + data[position + 6 :]
    if position == 0 and data[:4] == b"SMAN":
        return _manifest_with_checksum(changed)
    structure = changed[position : position + HEADER_BYTES]
    return changed[:position] + with_checksum(structure) + changed[position + HEADER_BYTES :]


def segment_names(base_offset: int, revision: int = 0) -> tuple[str, str]:
    """Names of the store and the index."""
    stem = f"{base_offset:020d}" + (f".r{revision}" if revision else "")
    return f"{stem}.store", f"{stem}.index"


def read_log(path: Path) -> tuple[Manifest, list[Store]]:
    """A whole directory, by the manifest."""
    manifest = decode_manifest((path / "manifest").read_bytes())
    stores = [
        decode_store((path / segment_names(entry.base_offset, entry.revision)[0]).read_bytes())
        for entry in manifest.entries
    ]
    return manifest, stores


def visible_frames(path: Path) -> dict[int, Frame]:
    """Offset → frame of every record a reader may see: complete batches from the lowest offset on."""
    manifest, stores = read_log(path)
    seen: dict[int, Frame] = {}
    for store in stores:
        pending: list[Frame] = []
        for frame in store.frames:
            pending.append(frame)
            if not frame.flags & CONTINUES:
                for part in pending:
                    offset = store.header.base_offset + part.relative_offset
                    if offset >= manifest.lowest_offset:
                        seen[offset] = replace(part)
                pending = []
    return seen
