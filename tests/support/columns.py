"""Batches laid out by hand, for tests that need no log under them."""

from __future__ import annotations

import numpy as np
import pytest

from striate._native.columnar import RecordColumns
from striate.storage.columnar import RecordBatch

Rows = list[tuple[bytes | None, bytes]]

BASE = 100
TIME = 1_700_000_000_000_000

ROWS: dict[str, Rows] = {
    "no records": [],
    "one empty value": [(None, b"")],
    "inline values": [(None, b"a"), (None, b"b" * 12)],
    "long values": [(None, b"c" * 13), (None, b"d" * 300)],
    "values of all lengths": [(None, b"v" * n) for n in (0, 1, 3, 4, 5, 11, 12, 13, 14, 255, 300)],
    "keys of all lengths": [(bytes([n % 256]) * n, b"value") for n in (0, 1, 12, 13, 65535)],
    "some keys": [(b"k" * n if n % 3 else None, b"v" * (2 * n)) for n in range(100)],
    "no keys at all": [(None, b"w" * n) for n in range(9)],
    "binary": [(b"\x00\xff\x00", bytes(range(256)))],
}

every_kind_of_row = pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())


class Segment(bytearray):
    """Stands for a mapped segment; can be watched dying."""


def columns_of(rows: Rows, base: int = BASE) -> RecordColumns:
    """Lay the rows out as frames do: key before value, each record behind something that is neither."""
    columns = RecordColumns()
    data = Segment()
    for number, (key, value) in enumerate(rows):
        data += b"-frame header of 24 B--"
        key_position = len(data)
        data += key or b""
        columns.append(
            base + number,
            TIME + number,
            len(data),
            len(value),
            key_position=key_position,
            key_length=-1 if key is None else len(key),
            kind=1 + number % 4,
        )
        data += value
    columns.attach(data)
    return columns


def batch_of(rows: Rows, base: int = BASE) -> RecordBatch:
    return RecordBatch(columns_of(rows, base))


def address_of(buffer: memoryview) -> int:
    return np.frombuffer(buffer, np.uint8).ctypes.data


class Source:
    """A log of 95 records in batches of 10, as `read(start)` of RecordBatches sees it."""

    def __init__(self, records: int = 95) -> None:
        self.rows: Rows = [(b"key %d" % i if i % 2 else None, b"value %d " % i * (i % 5)) for i in range(records)]
        self.reads: list[int] = []
        self.fail_at: int | None = None

    def __call__(self, start: int) -> RecordBatch:
        self.reads.append(start)
        if self.fail_at is not None and start >= self.fail_at:
            raise RuntimeError("the disk is on fire")
        return batch_of(self.rows[start : start + 10], base=start)
