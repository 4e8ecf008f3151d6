"""Frames, store headers, footers and indexes of format version 1 in pure Python (see support.format)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from crc32c import crc32c

VERSION = 1
HEADER_BYTES = 64
FOOTER_BYTES = 64
FRAME_BYTES = 24
UNIT = 8  # positions on disk count units of 8 bytes

VALUE, TOMBSTONE, CONTROL, TRANSACTION = 1, 2, 3, 4

HAS_KEY, CONTINUES, SYNCED_BEFORE, HAS_SYNC, HAS_VIEW, HAS_BATCH, ENCODED = (1 << bit for bit in range(7))

SEGMENT_HAS_GAPS = 1  # flag of a footer

CHECKSUM = struct.Struct("<I")
_STORE_HEADER = struct.Struct("<4sHHQ QQ QII IHHII")
_FRAME = struct.Struct("<IIQ IHBB")
_FOOTER = struct.Struct("<4sHHQ QQ QII IIII")
_BATCH = struct.Struct("<QIIHHI")
_PAIR = struct.Struct("<II")

assert {_STORE_HEADER.size, _FOOTER.size} == {HEADER_BYTES}
assert (_FRAME.size, _BATCH.size) == (FRAME_BYTES, 24)


def checksum(*parts: bytes) -> int:
    value = 0
    for part in parts:
        value = crc32c(part, value)
    return value


def padded(size: int) -> int:
    return -size % UNIT + size


def with_checksum(body: bytes) -> bytes:
    """Put CRC32C of bytes 0-59 into bytes 60-63."""
    return body[:60] + CHECKSUM.pack(checksum(body[:60])) + body[64:]


# ---------------------------------------------------------------- frames


@dataclass(frozen=True)
class Frame:
    """One frame, by the names of docs/format.md."""

    relative_offset: int
    timestamp_us: int
    value: bytes = b""
    key: bytes | None = None
    kind: int = VALUE
    flags: int = 0  # HAS_KEY is derived from the key
    synced_position: int = 0  # in bytes; written when flags has HAS_SYNC
    view_id: int = 0
    batch: tuple[int, int, int, int, int] | None = None
    position: int = 0  # where it was found; not encoded
    size_bytes: int = 0  # with padding, where it was found
    stored_checksum: int = 0


def encode_frame(frame: Frame, segment_id: int) -> bytes:
    """Bytes of the frame with its padding."""
    flags = frame.flags | (HAS_KEY if frame.key is not None else 0)
    extensions = b""
    if flags & HAS_SYNC:
        extensions += _PAIR.pack(frame.synced_position // UNIT, 0)
    if flags & HAS_VIEW:
        extensions += _PAIR.pack(frame.view_id, 0)
    if flags & HAS_BATCH:
        assert frame.batch is not None
        producer_id, leader_epoch, first_sequence, producer_epoch, batch_count = frame.batch
        extensions += _BATCH.pack(producer_id, leader_epoch, first_sequence, producer_epoch, 0, batch_count)
    key = frame.key or b""
    payload = extensions + key + frame.value
    head = _FRAME.pack(0, len(payload), frame.timestamp_us, frame.relative_offset, len(key), frame.kind, flags)
    answer = checksum(struct.pack("<Q", segment_id), head[4:], payload)
    whole = CHECKSUM.pack(answer) + head[4:] + payload
    return whole.ljust(padded(len(whole)), b"\0")


def decode_frame(data: bytes, position: int, segment_id: int) -> Frame | None:
    """The frame at a position, or None where none stands. Every bit of it is checked."""
    if position + FRAME_BYTES > len(data):
        return None
    stored, payload_size, timestamp, relative, key_size, kind, flags = _FRAME.unpack_from(data, position)
    end = position + FRAME_BYTES + payload_size
    if kind == 0 or end > len(data):
        return None
    if checksum(struct.pack("<Q", segment_id), data[position + 4 : end]) != stored:
        return None
    assert not flags & 0x80, "bit 7 of flags is reserved"
    assert not any(data[end : position + padded(end - position)]), "padding is zero"
    at = position + FRAME_BYTES
    synced = view = 0
    batch = None
    if flags & HAS_SYNC:
        synced, zero = _PAIR.unpack_from(data, at)
        assert zero == 0
        at += 8
    if flags & HAS_VIEW:
        view, zero = _PAIR.unpack_from(data, at)
        assert zero == 0
        at += 8
    if flags & HAS_BATCH:
        producer_id, epoch, sequence, producer_epoch, zero, count = _BATCH.unpack_from(data, at)
        assert zero == 0
        batch = (producer_id, epoch, sequence, producer_epoch, count)
        at += 24
    has_key = bool(flags & HAS_KEY)
    assert has_key or key_size == 0
    return Frame(
        relative_offset=relative,
        timestamp_us=timestamp,
        key=data[at : at + key_size] if has_key else None,
        value=data[at + key_size : end],
        kind=kind,
        flags=flags & ~HAS_KEY,
        synced_position=synced * UNIT,
        view_id=view,
        batch=batch,
        position=position,
        size_bytes=padded(end - position),
        stored_checksum=stored,
    )


# ---------------------------------------------------------------- stores


@dataclass(frozen=True)
class StoreHeader:
    """The first 64 bytes of a store."""

    log_id: int
    segment_id: int
    base_offset: int
    base_timestamp_us: int
    leader_epoch: int = 0
    record_size: int = 0
    capacity: int = 0  # in bytes
    codec: int = 0


@dataclass(frozen=True)
class Footer:
    """The last 64 bytes of a sealed store."""

    segment_id: int
    end_position: int
    first_timestamp_us: int
    last_timestamp_us: int
    record_count: int
    last_relative: int
    chain_checksum: int
    index_checksum: int
    flags: int = 0


@dataclass
class Store:
    """A store taken apart."""

    header: StoreHeader
    frames: list[Frame] = field(default_factory=list)
    end_position: int = HEADER_BYTES
    footer: Footer | None = None


def encode_store_header(header: StoreHeader) -> bytes:
    return with_checksum(
        _STORE_HEADER.pack(
            b"SLOG",
            VERSION,
            HEADER_BYTES,
            header.log_id,
            header.segment_id,
            header.base_offset,
            header.base_timestamp_us,
            header.leader_epoch,
            header.record_size,
            header.capacity // UNIT,
            header.codec,
            0,
            0,
            0,
        )
    )


def decode_store_header(data: bytes) -> StoreHeader:
    assert checksum(data[:60]) == CHECKSUM.unpack_from(data, 60)[0], "store header checksum"
    (
        magic,
        version,
        size,
        log_id,
        segment_id,
        base,
        timestamp,
        epoch,
        record_size,
        capacity,
        codec,
        flags,
        zero,
        _,
    ) = _STORE_HEADER.unpack_from(data)
    assert (magic, version, size, flags, zero) == (b"SLOG", VERSION, HEADER_BYTES, 0, 0)
    return StoreHeader(log_id, segment_id, base, timestamp, epoch, record_size, capacity * UNIT, codec)


def encode_footer(footer: Footer) -> bytes:
    return with_checksum(
        _FOOTER.pack(
            b"SEND",
            VERSION,
            FOOTER_BYTES,
            footer.segment_id,
            footer.end_position,
            footer.first_timestamp_us,
            footer.last_timestamp_us,
            footer.record_count,
            footer.last_relative,
            footer.chain_checksum,
            footer.index_checksum,
            footer.flags,
            0,
        )
    )


def decode_footer(data: bytes, position: int) -> Footer | None:
    if position + FOOTER_BYTES > len(data) or data[position : position + 4] != b"SEND":
        return None
    raw = data[position : position + FOOTER_BYTES]
    assert checksum(raw[:60]) == CHECKSUM.unpack_from(raw, 60)[0], "footer checksum"
    magic, version, size, *fields, _ = _FOOTER.unpack(raw)
    assert (magic, version, size) == (b"SEND", VERSION, FOOTER_BYTES)
    return Footer(*fields)


def chain_checksum(frames: Iterable[bytes]) -> int:
    """CRC32C over the checksums of all frames in order."""
    return checksum(b"".join(frame[:4] for frame in frames))


def encode_index(pairs: Iterable[tuple[int, int]]) -> bytes:
    """Pairs of relative offset and position in bytes."""
    return b"".join(_PAIR.pack(relative, position // UNIT) for relative, position in pairs)


def decode_index(data: bytes) -> list[tuple[int, int]]:
    pairs = []
    for relative, position in _PAIR.iter_unpack(data[: len(data) // 8 * 8]):
        if position == 0:
            break
        pairs.append((relative, position * UNIT))
    return pairs


def decode_store(data: bytes) -> Store:
    """Header, frames until none stands, footer."""
    store = Store(decode_store_header(data))
    position = HEADER_BYTES
    while (frame := decode_frame(data, position, store.header.segment_id)) is not None:
        store.frames.append(frame)
        position += frame.size_bytes
    store.end_position = position
    store.footer = decode_footer(data, position)
    rest = position + (FOOTER_BYTES if store.footer else 0)
    assert not any(data[rest:]), "zero bytes follow the last frame or the footer"
    return store
