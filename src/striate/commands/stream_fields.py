"""Entries as Redis shows them, lists of fields and values, and as striate keeps them, a value and perhaps a key.

==========================  ============  ================================================================
fields                      entry's key   entry's value
==========================  ============  ================================================================
``data`` V                  none          V
``data`` V ``key`` K        K             V, where K has 1 to 1,024 bytes
any others                  empty         each field and each value: its length, then its bytes
==========================  ============  ================================================================

A length is a varint: seven bits a byte, the lowest first, the high bit on all but the last. So every list of fields has
one form and every entry one list; an entry with an empty key whose value is not of that form is shown as the second
row (docs/decisions/0022).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from striate._native.streamentry import StreamEntry
from striate.protocol.replies import NULL_ARRAY, Reply

DATA: Final = b"data"
KEY: Final = b"key"
MOST_KEY_BYTES: Final = 1024
_EMPTY: Final = b""


def as_entry(fields: Sequence[bytes]) -> tuple[bytes, bytes | None]:
    """Value and key of the entry for fields and values in turn."""
    if fields[0] == DATA:
        if len(fields) == 2:
            return fields[1], None
        if len(fields) == 4 and fields[2] == KEY and 0 < len(fields[3]) <= MOST_KEY_BYTES:
            return fields[1], fields[3]
    return pack(fields), _EMPTY


def as_fields(value: bytes, key: bytes | None) -> list[bytes]:
    """Fields and values in turn of an entry."""
    if key is None:
        return [DATA, value]
    if not key:
        fields = unpack(value)
        if fields is not None:
            return fields
    return [DATA, value, KEY, key]


def pack(parts: Iterable[bytes]) -> bytes:
    """Parts, each behind its length."""
    packed = bytearray()
    for part in parts:
        length = len(part)
        while length > 0x7F:
            packed.append(length & 0x7F | 0x80)
            length >>= 7
        packed.append(length)
        packed += part
    return bytes(packed)


def unpack(packed: bytes) -> list[bytes] | None:
    """The parts of :func:`pack`; ``None`` for bytes that it does not make of fields and values."""
    parts: list[bytes] = []
    at, end = 0, len(packed)
    while at < end:
        length = packed[at]
        at += 1
        if length > 0x7F:
            length &= 0x7F
            shift = 7
            while True:
                if at == end or shift > 28:
                    return None
                more = packed[at]
                at += 1
                length |= (more & 0x7F) << shift
                shift += 7
                if more <= 0x7F:
                    break
        if length > end - at:
            return None
        parts.append(packed[at : at + length])
        at += length
    return parts if parts and len(parts) % 2 == 0 else None


def entry_reply(entry: StreamEntry) -> Reply:
    """An id and fields with values; without these for an entry that is pending and no longer in the stream."""
    id = entry.id
    value = entry.value
    return [b"%d-%d" % (id.ms, id.seq), NULL_ARRAY if value is None else as_fields(value, entry.key)]
