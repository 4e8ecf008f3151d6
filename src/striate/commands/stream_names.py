"""Streams as keys of one of the numbered databases: their names, and when they end.

The stream of key ``K`` of database 0 is the one that an embedding program opens as ``db.stream(K)``; that of database
``n`` has the name ``n:K``. A key of database 0 that looks like such a name has ``0:`` before it.

Streams have no expiry of their own. Ends of those that clients gave one stand in the durable table ``keys:ends``; a
stream behind its end is dropped when a command next comes upon it, and is shown to nobody until then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from striate.protocol.replies import Failure
from striate.storage.database import Database
from striate.storage.stream import Stream

ENDS: Final = "keys:ends"
MOST_BYTES: Final = 65_532  # with a prefix, those of a record's key
_OF_A_DATABASE = re.compile(r"([0-9]|1[0-5]):")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


class StreamNames:
    """The streams of database ``number``."""

    def __init__(self, database: Database, number: int, now_ms: Callable[[], int]) -> None:
        self._database, self._number, self._now_ms = database, number, now_ms
        self._ends = database.table(ENDS)

    def name(self, key: bytes) -> str | None:
        """What the stream of a key is called; ``None`` for a key that no stream can have."""
        # What is not UTF-8 becomes surrogate escapes, as in names of files.
        text = key.decode("utf-8", "surrogateescape")
        prefix = "" if self._number == 0 and not _OF_A_DATABASE.match(text) else f"{self._number}:"
        return prefix + text if 0 < len(key) <= MOST_BYTES else None

    def _key(self, name: str) -> bytes | None:
        """The key of a stream of this database; ``None`` for a name of another one."""
        database = _OF_A_DATABASE.match(name)
        if database is None:
            return _bytes(name) if self._number == 0 else None
        key = name[database.end() :]
        if int(database[1]) != self._number or (self._number == 0 and not _OF_A_DATABASE.match(key)):
            return None
        return _bytes(key)

    def _view_number(self, name: str | None) -> int | None:
        return None if name is None else self._database._catalog.number_of(name, "stream")

    def has(self, key: bytes) -> bool:
        """Whether there is one, and its time is not over."""
        name = self.name(key)
        number = self._view_number(name)
        return name is not None and number is not None and not self._drop_ended(name, number)

    def open(self, key: bytes) -> Stream[bytes] | None:
        """The stream, if it is there."""
        name = self.name(key)
        return self._database.stored_stream(name) if name is not None and self.has(key) else None

    def create(self, key: bytes) -> Stream[Any]:
        """The stream, which is not there."""
        name = self.name(key)
        if name is None:
            raise Failure(f"ERR the key of a stream must have 1 to {MOST_BYTES} bytes")
        return self._database.stream(name)

    def drop(self, key: bytes) -> bool:
        """Remove the stream with its entries and groups; whether it was there."""
        name = self.name(key)
        if name is None or not self.has(key):
            return False
        self._drop(name)
        return True

    def _drop(self, name: str) -> None:
        self._database._drop_nowait(name, "stream")
        self._ends._remove_nowait(_bytes(name))

    def rename(self, key: bytes, target: StreamNames, new: bytes) -> None:
        """Give the stream another key, of this database or another, which is free. Failure: it cannot be."""
        name, other = self.name(key), target.name(new)
        number = self._view_number(name)
        if name is None or other is None or number is None:
            raise Failure("ERR a stream cannot be renamed or moved")
        end = self._end(name, number)
        self._rename(name, other)
        if end:
            self._ends._write_nowait(_bytes(other), b"%d %d" % (number, end))
            self._ends._remove_nowait(_bytes(name))

    def _rename(self, name: str, other: str) -> None:
        self._database._rename_nowait(name, other)

    # ------------------------------------------------------------ ends

    def end_ms(self, key: bytes) -> int:
        """When it ends; 0: never."""
        name = self.name(key)
        number = self._view_number(name)
        return 0 if name is None or number is None else self._end(name, number)

    def _end(self, name: str, number: int) -> int:
        noted = self._ends._read_latest(_bytes(name))[1]
        if noted is None:
            return 0
        # The number tells a stream from another one of that name that is there no more.
        of, _, end = noted.partition(b" ")
        return int(end) if int(of) == number else 0

    def set_end(self, key: bytes, end_ms: int) -> bool:
        """Let it end then, 0: never; whether it is there."""
        name = self.name(key)
        number = self._view_number(name)
        if name is None or number is None or self._drop_ended(name, number):
            return False
        if end_ms:
            self._ends._write_nowait(_bytes(name), b"%d %d" % (number, end_ms))
        else:
            self._ends._remove_nowait(_bytes(name))
        return True

    def _drop_ended(self, name: str, number: int) -> bool:
        end = self._end(name, number)
        if not 0 < end <= self._now_ms():
            return False
        self._drop(name)
        return True

    # ------------------------------------------------------------ all of them

    def _names(self) -> list[str]:
        return list(self._database.streams())

    def __iter__(self) -> Iterator[bytes]:
        """All keys, in no order."""
        for name in self._names():
            key = self._key(name)
            if key is not None and self.has(key):
                yield key

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """``count`` keys in the order in which they were made, and the cursor for more, 0 at the end."""
        numbered = sorted((self._view_number(self.name(key)) or 0, key) for key in self)
        rest = [(number, key) for number, key in numbered if number >= cursor]
        following = rest[count][0] if len(rest) > count else 0
        return following, [key for _, key in rest[:count]]
