"""Where a cache may keep its values besides memory: the :class:`Storage` protocol, and two that come with striate.

What may not live here: how a cache uses one (stored_cache.py).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from striate.errors import InvalidArgumentError, InvalidTypeError

if TYPE_CHECKING:
    from striate.storage.table import Table

Stored = tuple[bytes, float | None]


class Storage(Protocol):
    """A place for values, such as your own database: ``Cache(storage=...)`` writes to it first and reads from it what
    memory lacks.

    Keys are bytes, values the bytes that the cache's codec makes, ``expires`` seconds since the epoch as of
    ``time.time()``, or ``None`` for never. Methods may be called by many threads at once, though never for one key
    twice at a time; they must not use the cache. What they raise reaches whoever called the cache.
    """

    @property
    def cache_enabled(self) -> bool:
        """Whether values may be kept in memory; a plain attribute will do."""
        ...

    def put(self, key: bytes, value: bytes, expires: float | None, /) -> object:
        """Store a value, in place of another; it is safe when this returns."""
        ...

    def get(self, key: bytes, /) -> Stored | None:
        """``(value, expires)``, or ``None``. One that has expired may be given; it counts as absent."""
        ...

    def delete(self, key: bytes, /) -> object:
        """Remove a key, if it is there; true if it was."""
        ...

    def collect(self) -> Iterable[tuple[bytes, Stored]]:
        """All keys, each with what :meth:`get` gives, in any order; changes meanwhile may be in it or not."""
        ...


class MemoryStorage:
    """A storage in a dict, for tests.

    Args:
        cache_enabled: as of :class:`Storage`.
    """

    def __init__(self, *, cache_enabled: bool = True) -> None:
        self.cache_enabled = cache_enabled
        self.rows: dict[bytes, Stored] = {}
        self._lock = threading.Lock()

    def put(self, key: bytes, value: bytes, expires: float | None, /) -> None:
        """See :class:`Storage`."""
        with self._lock:
            self.rows[key] = (value, expires)

    def get(self, key: bytes, /) -> Stored | None:
        """See :class:`Storage`."""
        with self._lock:
            return self.rows.get(key)

    def delete(self, key: bytes, /) -> bool:
        """See :class:`Storage`."""
        with self._lock:
            return self.rows.pop(key, None) is not None

    def collect(self) -> Iterator[tuple[bytes, Stored]]:
        """See :class:`Storage`."""
        with self._lock:
            rows = list(self.rows.items())
        return iter(rows)


class TableStorage:
    """A storage in a table of a :class:`~striate.Database`, with its durability; what expires goes by itself.

    Args:
        table: without a codec: the cache's codec is the one that counts.
        cache_enabled: as of :class:`Storage`.
    """

    def __init__(self, table: Table[bytes], *, cache_enabled: bool = True) -> None:
        from striate.storage.table import Table

        if not isinstance(table, Table):
            raise InvalidTypeError("table", "a table of a Database", type(table))
        if table._encode(b"\0") != b"\0":
            raise InvalidArgumentError("table", "without a codec", table, hint="give the codec to the cache")
        self.cache_enabled = cache_enabled
        self._table = table

    def put(self, key: bytes, value: bytes, expires: float | None, /) -> None:
        """See :class:`Storage`."""
        self._table._write_nowait(key, value, 0 if expires is None else max(1, math.ceil(expires * 1000)))
        self._table._wait()

    def get(self, key: bytes, /) -> Stored | None:
        """See :class:`Storage`."""
        _, value, end_ms = self._table._read_latest(key)
        return None if value is None else (value, end_ms / 1000 if end_ms else None)

    def delete(self, key: bytes, /) -> bool:
        """See :class:`Storage`."""
        return self._table.delete(key)

    def collect(self) -> Iterator[tuple[bytes, Stored]]:
        """See :class:`Storage`."""
        for key in self._table.scan_keys():
            found = self.get(key)
            if found is not None:
                yield key, found


def check_storage(storage: object) -> None:
    """Refuse what lacks a part of a storage."""
    methods = all(callable(getattr(storage, name, None)) for name in ("put", "get", "delete", "collect"))
    if isinstance(storage, type) or not methods or not hasattr(storage, "cache_enabled"):
        raise InvalidTypeError("storage", "an object with put, get, delete, collect and cache_enabled", type(storage))
