"""The whole log as one byte stream: :meth:`striate.Log.open_reader`."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from striate.storage.columnar import RecordBatches

_LENGTH = struct.Struct("<I")


class LengthPrefixed(io.RawIOBase):
    """Values, each behind its length as a little-endian u32. Wrap it in ``io.BufferedReader``."""

    def __init__(self, batches: RecordBatches) -> None:
        super().__init__()
        self._pieces = self._split(batches)
        self._rest = memoryview(b"")

    @staticmethod
    def _split(batches: RecordBatches) -> Iterator[bytes]:
        for batch in batches:
            pieces: list[bytes | memoryview] = []
            for row in range(len(batch)):
                value = batch.value(row)
                pieces += (_LENGTH.pack(len(value)), value)
            yield b"".join(pieces)

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer; 0 at the end."""
        target = memoryview(buffer).cast("B")
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
