"""Values that tell what they are (operation, index in the batch, its count): each can be checked alone."""

from __future__ import annotations

import random
import struct
from typing import NamedTuple

_TAG = struct.Struct("<QIII")
TAG_BYTES = _TAG.size


class Tag(NamedTuple):
    """What a value says of itself."""

    operation: int
    index: int
    count: int
    size_bytes: int


def make_value(operation: int, index: int = 0, count: int = 1, size_bytes: int = TAG_BYTES) -> bytes:
    """The value of a record: its tag, repeated until the size is reached."""
    size_bytes = max(size_bytes, TAG_BYTES)
    tag = _TAG.pack(operation, index, count, size_bytes)
    return (tag * (size_bytes // TAG_BYTES + 1))[:size_bytes]


def read_tag(value: bytes) -> Tag:
    """The tag of a value, after a check of every byte of it."""
    assert len(value) >= TAG_BYTES, f"value of {len(value)} bytes was never written"
    tag = Tag(*_TAG.unpack_from(value))
    assert value == make_value(*tag), f"value does not match its own tag {tag}"
    return tag


def planned_batch(seed: int, operation: int, count: int, largest: int = 300) -> list[bytes]:
    """The values of a batch, from its number alone: writer and checker compute the same."""
    random_sizes = random.Random(seed * 1_000_003 + operation)
    return [make_value(operation, index, count, random_sizes.randrange(TAG_BYTES, largest)) for index in range(count)]
