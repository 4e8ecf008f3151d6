"""A durable table for asyncio: :class:`AsyncTable`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from striate.storage.arguments import integer
from striate.storage.table import MUST_BE_ABSENT, MUST_BE_PRESENT, MUST_EQUAL, Table

V = TypeVar("V")
D = TypeVar("D")
_Key = bytes | str
_Duration = float | timedelta | None
_MISSING: Any = object()


class AsyncTable(Generic[V]):
    """Keys and values of a :class:`striate.Table`, for one event loop; made by :meth:`striate.AsyncDatabase.table`.

    Methods have the names and results of :class:`~striate.Table`. Those that write are coroutines, which end when the
    write is durable; reads are not, they are memory copies. A cancelled write may or may not be in the table.
    """

    def __init__(self, table: Table[V], settled: Callable[[], Awaitable[None] | None]) -> None:
        self._table = self._own = table
        # Gives what to await until everything written is durable, or None.
        self._settled = settled
        self._write_nowait = table._write_nowait

    def __repr__(self) -> str:
        return repr(self._table).replace("striate.Table", "striate.AsyncTable", 1)

    # ------------------------------------------------------------ reading

    @overload
    def get(self, key: _Key) -> V | None: ...
    @overload
    def get(self, key: _Key, default: D) -> V | D: ...
    def get(self, key: _Key, default: Any = None) -> Any:
        """The value of a key, or ``default``."""
        return self._table.get(key, default)

    def __getitem__(self, key: _Key) -> V:
        return self._table[key]

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._table)

    def get_many(self, keys: Iterable[_Key], default: Any = None) -> list[V | Any]:
        """The values of many keys, all of one moment; see :meth:`striate.Table.get_many`."""
        return self._table.get_many(keys, default)

    def get_with_version(self, key: _Key, default: Any = None) -> tuple[V | Any, int]:
        """``(value, version)`` of a key, or ``(default, 0)``."""
        return self._table.get_with_version(key, default)

    def version(self, key: _Key) -> int:
        """The version of a key; 0 when it is absent."""
        return self._table.version(key)

    def view(self, key: _Key) -> memoryview:
        """The stored bytes of a key without a copy; see :meth:`striate.Table.view`."""
        return self._table.view(key)

    def ttl(self, key: _Key) -> float | None:
        """Seconds until a key expires; see :meth:`striate.Table.ttl`."""
        return self._table.ttl(key)

    def scan(self, prefix: _Key = b"") -> Iterator[tuple[bytes, V]]:
        """Keys that begin with a prefix and their values; see :meth:`striate.Table.scan`. Other tasks run only where
        the caller lets them."""
        return self._table.scan(prefix)

    def scan_keys(self, prefix: _Key = b"") -> Iterator[bytes]:
        """Keys that begin with a prefix; see :meth:`striate.Table.scan_keys`."""
        return self._table.scan_keys(prefix)

    # ------------------------------------------------------------ writing

    async def _wait(self) -> None:
        if (waits := self._settled()) is not None:
            await waits

    async def set(self, key: _Key, value: V, *, ttl: _Duration = None) -> int:
        """Store a value; see :meth:`striate.Table.set`."""
        version = self._write_nowait(key, value, 0 if ttl is None else self._table._end_of(ttl))
        if (waits := self._settled()) is not None:
            await waits
        return version

    async def _if(self, key: _Key, value: V, ttl: _Duration, condition: int, expected: int = 0) -> int:
        version = self._write_nowait(key, value, self._table._end_of(ttl), condition, expected)
        await self._wait()
        return max(version, 0)

    async def add(self, key: _Key, value: V, *, ttl: _Duration = None) -> bool:
        """Store a value unless the key is there; whether it was stored."""
        return await self._if(key, value, ttl, MUST_BE_ABSENT) > 0

    async def replace(self, key: _Key, value: V, *, ttl: _Duration = None) -> bool:
        """Store a value if the key is there; whether it was stored."""
        return await self._if(key, value, ttl, MUST_BE_PRESENT) > 0

    async def cas(self, key: _Key, value: V, version: int, *, ttl: _Duration = None) -> int:
        """Store a value if the key still has this version; see :meth:`striate.Table.cas`."""
        expected = integer(version, "version", 0, (1 << 64) - 1)
        return await self._if(key, value, ttl, MUST_EQUAL, expected)

    async def delete(self, key: _Key) -> bool:
        """Remove a key; whether it was there."""
        there = self._table._remove_nowait(key)
        await self._wait()
        return there

    async def set_many(self, items: Any, *, ttl: _Duration = None) -> None:
        """Store many values as one transaction; see :meth:`striate.Table.set_many`."""
        self._table._set_many_nowait(items, ttl)
        await self._wait()

    async def delete_many(self, keys: Iterable[_Key]) -> int:
        """Remove many keys as one transaction; how many were there."""
        deleted = self._table._delete_many_nowait(keys)
        await self._wait()
        return deleted

    async def increment(self, key: _Key, delta: int = 1, *, initial: int = 0) -> int:
        """Add to a number and give the sum; see :meth:`striate.Table.increment`."""
        total = self._table._increment_nowait(key, delta, initial)
        await self._wait()
        return total

    async def touch(self, key: _Key, ttl: _Duration) -> bool:
        """Let a key expire so long from now, or never with ``None``; whether it was there."""
        touched = self._table._touch_nowait(key, ttl)
        await self._wait()
        return touched

    async def pop(self, key: _Key, default: Any = _MISSING) -> V | Any:
        """Remove a key and give its value, or ``default``. KeyError: no such key and no default."""
        stored = self._table._pop_nowait(key)
        await self._wait()
        if stored is not None:
            return self._table._decode(stored)
        if default is _MISSING:
            raise KeyError(key)
        return default

    async def clear(self) -> None:
        """Remove all keys; see :meth:`striate.Table.clear`."""
        self._table._clear_nowait()
        await self._wait()
