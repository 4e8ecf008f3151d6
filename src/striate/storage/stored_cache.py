"""A cache over a :class:`~striate.Storage`: what ``Cache(storage=...)`` makes.

A write holds its key, goes to the storage, then to memory. Whatever depends on the value that is there (``add``,
``cas``, ``incr``, ...) asks the storage for it, with the key held.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

from striate._native import inputs
from striate._native.table import StripedTable
from striate.errors import InvalidArgumentError, NotANumberError
from striate.storage.arguments import integer, lifetime
from striate.storage.cache import Cache
from striate.storage.codecs import make_codec
from striate.storage.key_locks import KeyLocks
from striate.storage.storages import Storage, check_storage
from striate.storage.stored_reads import StoredReads, digest, names_of

V = TypeVar("V")
_Key = bytes | str
_Duration = float | timedelta | None
_Tags = Iterable[bytes | str] | None
_NUMBER = re.compile(rb"-?\d{1,19}")


class StoredCache(StoredReads[V]):
    """A :class:`~striate.Cache` with a storage; see there."""

    # ------------------------------------------------------------ writing

    def _prepare(self, key: _Key, value: V, ttl: _Duration, idle: _Duration, tags: object) -> tuple[Any, ...]:
        """What :meth:`_put` takes; whatever is wrong with a call is found before the storage is asked."""
        if tags is not None:
            _refuse_tags(tags)
        if idle is not None:
            lifetime(idle, "idle")
        return self._name(key), self._encoded(value), self._end(ttl), idle

    def set(self, key: _Key, value: V, *, ttl: _Duration = None, idle: _Duration = None, tags: _Tags = None) -> None:
        """Store a value, in the storage first."""
        entry = self._prepare(key, value, ttl, idle, tags)
        with self._locks.hold(entry[0], writing=True):
            self._put(*entry)

    def __setitem__(self, key: _Key, value: V, /) -> None:
        self.set(key, value)

    def set_many(self, items: Any, *, ttl: _Duration = None, idle: _Duration = None, tags: _Tags = None) -> None:
        """Store many values, one by one; when the storage fails, those before it are stored."""
        for entry in [self._prepare(key, value, ttl, idle, tags) for key, value in inputs.as_pairs(items)]:
            with self._locks.hold(entry[0], writing=True):
                self._put(*entry)

    def _set_if(self, wanted: Callable[[bytes | None], bool], *arguments: Any) -> bool:
        entry = self._prepare(*arguments)
        with self._locks.hold(entry[0], writing=True):
            found = self._fetch(entry[0])
            if not wanted(None if found is None else found[0]):
                return False
            self._put(*entry)
            return True

    def add(self, key: _Key, value: V, *, ttl: _Duration = None, idle: _Duration = None, tags: _Tags = None) -> bool:
        """Store a value if the storage has none; whether it was stored."""
        return self._set_if(lambda stored: stored is None, key, value, ttl, idle, tags)

    def replace(
        self, key: _Key, value: V, *, ttl: _Duration = None, idle: _Duration = None, tags: _Tags = None
    ) -> bool:
        """Store a value if the storage has one; whether it was stored."""
        return self._set_if(lambda stored: stored is not None, key, value, ttl, idle, tags)

    def cas(
        self, key: _Key, value: V, version: int, *, ttl: _Duration = None, idle: _Duration = None, tags: _Tags = None
    ) -> bool:
        """Store a value if the storage still has one of that version; whether it was stored."""
        version = integer(version, "version", 0, (1 << 64) - 1)
        return self._set_if(
            lambda stored: stored is not None and digest(stored) == version, key, value, ttl, idle, tags
        )

    def incr(
        self,
        key: _Key,
        delta: int = 1,
        *,
        initial: int | None = 0,
        ttl: _Duration = None,
        idle: _Duration = None,
    ) -> int:
        """Add to a number; the sum. A missing key begins at ``initial``, with these times; others keep theirs."""
        delta = integer(delta, "delta", -(1 << 63), (1 << 63) - 1)
        if initial is not None:
            initial = integer(initial, "initial", -(1 << 63), (1 << 63) - 1)
        name, _, end, idle = self._prepare(key, cast(V, self._numeral(0)), ttl, idle, None)
        with self._locks.hold(name, writing=True):
            found = self._fetch(name)
            if found is None and initial is None:
                raise KeyError(key)
            total = delta + (initial or 0 if found is None else self._number(found[0], key, delta))
            if not -(1 << 63) <= total < 1 << 63:
                raise NotANumberError(key, delta)
            self._put(name, self._encoded(cast(V, self._numeral(total))), end if found is None else found[1], idle)
            return total

    def _numeral(self, number: int) -> bytes | int:
        return b"%d" % number if self._codec is None else number

    def _number(self, stored: bytes, key: _Key, delta: int) -> int:
        if self._codec is None and _NUMBER.fullmatch(stored):
            return int(stored)
        value = self._decoded(stored)
        if isinstance(value, bool) or not isinstance(value, int):
            raise NotANumberError(key, delta)
        return value

    def touch(self, key: _Key, *, ttl: _Duration = None, idle: _Duration = None) -> bool:
        """Begin the time of an entry anew, in the storage too; whether there is one."""
        name, end = self._name(key), self._end(ttl)
        with self._locks.hold(name, writing=True):
            found = self._fetch(name)
            if found is None:
                return False
            self._put(name, found[0], end, idle)
            return True

    # ------------------------------------------------------------ dropping

    def delete(self, key: _Key) -> bool:
        """Drop a key, in the storage first; whether that had it."""
        name = self._name(key)
        with self._locks.hold(name, writing=True):
            return self._take(name)

    def __delitem__(self, key: _Key, /) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def pop(self, key: _Key, *default: Any) -> Any:
        """Drop a key and give its value; ``default``, if given, or a ``KeyError`` where there is none."""
        if len(default) > 1:
            raise TypeError(f"pop takes one or two arguments, got {1 + len(default)}")
        name = self._name(key)
        with self._locks.hold(name, writing=True):
            found = self._fetch(name)
            if found is not None:
                value = self._decoded(found[0])
                self._take(name)
                return value
        if default:
            return default[0]
        raise KeyError(key)

    def delete_many(self, keys: Iterable[_Key]) -> int:
        """Drop many keys, one by one; how many the storage had."""
        return sum(map(self.delete, [self._name(name) for name in names_of(keys)]))

    def delete_prefix(self, prefix: _Key) -> int:
        """Drop the keys that begin with ``prefix``, one by one, of all that the storage has; how many."""
        wanted = self._name(prefix)
        self._disown_runs(wanted)
        return self.delete_many([key for key, _ in self._storage.collect() if key.startswith(wanted)])

    def clear(self) -> None:
        """Drop all entries, one by one, in the storage too; :meth:`forget` empties memory only."""
        self.delete_prefix(b"")
        self.forget()

    # ------------------------------------------------------------ what a storage has no place for

    def delete_tag(self, tag: _Key) -> int:
        """Refused: a storage keeps no tags."""
        _refuse_tags(tag)

    def namespace(self, name: str, **_: Any) -> NoReturn:
        """Refused: the keys of namespaces would meet in the storage."""
        raise InvalidArgumentError("namespace", "asked of a cache without a storage", name, hint="make another cache")


def over_storage(
    cls: type,
    storage: Storage,
    striped: StripedTable,
    times: tuple[_Duration, _Duration],
    codec: object,
    value_type: Any,
    rest: tuple[Any, Any],
) -> StoredCache[Any]:
    """A cache with a storage; ``times`` are ttl and idle, ``rest`` is as of ``Cache._over``."""
    check_storage(storage)
    if cls is not Cache:
        raise InvalidArgumentError("storage", "given to Cache itself, not to a class made of it", storage)
    # In memory it has bytes; the codec is used before and after.
    self = cast(StoredCache[Any], StoredCache._over(striped, 0, *times, None, None, *rest))
    self._names = {}
    self._storage, self._codec = storage, make_codec(codec, value_type)
    self._default_ttl = math.inf if times[0] is None else lifetime(times[0], "ttl")
    self._locks = KeyLocks()
    return self


def _refuse_tags(tags: object) -> NoReturn:
    raise InvalidArgumentError("tags", "left out: a storage keeps none", tags, hint="use delete_prefix")
