"""The reading half of a cache over a :class:`~striate.Storage`; the writing half is stored_cache.py.

What memory lacks is read from the storage while its key is held, as writes hold it: so no reading can put an old value
into memory after a new one was acknowledged. In memory are the bytes that are in the storage; they are encoded and
decoded here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from datetime import timedelta
from hashlib import blake2b
from typing import Any, TypeVar, cast

from striate._native import inputs
from striate.errors import EntryTooLargeError, InvalidTypeError
from striate.storage.arguments import lifetime
from striate.storage.cache import Cache
from striate.storage.codecs import Codec
from striate.storage.key_locks import KeyLocks
from striate.storage.storages import Storage, Stored

V = TypeVar("V")
_Key = bytes | str
_Duration = float | timedelta | None
_MISSING: Any = object()
_memory_get: Any = Cache.get  # super() would take as long as the look-up


class StoredReads(Cache[V]):
    """What reads, of a :class:`~striate.Cache` with a storage."""

    _storage: Storage
    _codec: Codec[V] | None
    _default_ttl: float
    _locks: KeyLocks[bytes | None]

    # ------------------------------------------------------------ values and times

    def decode_stored(self, stored: bytes, flags: int) -> V:
        """The value of an entry of the table."""
        return self._decoded(cast(bytes, super().decode_stored(stored, flags)))

    def _decoded(self, stored: bytes) -> V:
        return cast(V, stored) if self._codec is None else self._codec.decode(stored)

    def _encoded(self, value: V) -> bytes:
        return inputs.stored_bytes(value, None if self._codec is None else self._codec.encode)

    def _name(self, key: object) -> bytes:
        super().__contains__(key)  # which refuses what is no key
        return key.encode() if isinstance(key, str) else cast(bytes, key)

    def _now(self) -> float:
        return time.time() if self.clock is None else self.clock() / 1e9

    def _end(self, ttl: _Duration) -> float | None:
        seconds = self._default_ttl if ttl is None else lifetime(ttl, "ttl")
        return None if seconds == math.inf else self._now() + seconds

    # ------------------------------------------------------------ the storage, with the key held

    def _fetch(self, name: bytes) -> Stored | None:
        found = self._storage.get(name)
        return None if found is None or (found[1] is not None and found[1] <= self._now()) else found

    def _keep(self, name: bytes, stored: bytes, expires: float | None, idle: _Duration = None) -> bool:
        """Hold in memory what the storage has, unless it may not or cannot be held; whether it is."""
        left = math.inf if expires is None else expires - self._now()
        kept = False
        try:
            if left > 0 and self._storage.cache_enabled:
                super().set(name, cast(V, stored), ttl=left, idle=idle)
                kept = True
        except EntryTooLargeError:
            pass
        finally:
            if not kept:
                super().delete(name)
        return kept

    def _put(self, name: bytes, stored: bytes, expires: float | None, idle: _Duration = None) -> None:
        self._storage.put(name, stored, expires)
        self._keep(name, stored, expires, idle)

    def _keep_unless_forgotten(self, name: bytes, stored: bytes, expires: float | None, forgotten: int) -> bool:
        kept = self._keep(name, stored, expires)
        if self._locks.forgotten == forgotten:  # asked afterwards: a forget() that comes later drops it itself
            return kept
        super().delete(name)
        return False

    def _take(self, name: bytes) -> bool:
        there = self._storage.delete(name)
        super().delete(name)
        return bool(there)

    # ------------------------------------------------------------ reading

    def _look(self, key: _Key) -> Any:
        """The stored bytes, or ``None``."""
        stored = _memory_get(self, key, _MISSING)
        if stored is _MISSING or not self._storage.cache_enabled:
            return self._read(self._name(key))
        return stored

    def _read(self, name: bytes) -> bytes | None:
        return self._locks.share(name, lambda: self._read_through(name))

    def _read_through(self, name: bytes) -> bytes | None:
        # A write may have come between the look into memory and the turn of this reading.
        stored = super().peek(name, _MISSING)
        if stored is not _MISSING and self._storage.cache_enabled:
            return cast(bytes, stored)
        forgotten = self._locks.forgotten
        found = self._fetch(name)
        if found is None:
            return None
        value = bytes(found[0])
        self._keep_unless_forgotten(name, value, found[1], forgotten)
        return value

    def get(self, key: _Key, default: Any = None) -> Any:
        """The value of a key, or ``default``; from the storage where memory lacks it."""
        stored = self._look(key)
        if stored is None:
            return default
        return stored if self._codec is None else self._codec.decode(stored)

    def __getitem__(self, key: _Key, /) -> V:
        stored = self._look(key)
        if stored is None:
            raise KeyError(key)
        return self._decoded(stored)

    def get_versioned(self, key: _Key) -> tuple[V, int] | None:
        """``(value, version)`` for :meth:`cas`; the version is a digest of the value, so it survives eviction."""
        stored = self._look(key)
        return None if stored is None else (self._decoded(stored), digest(stored))

    def peek(self, key: _Key, default: Any = None) -> Any:
        """The value that memory holds, or ``default``; the storage is not asked."""
        stored: Any = super().peek(key, _MISSING)
        return default if stored is _MISSING else self._decoded(stored)

    def expires_in(self, key: _Key) -> float | None:
        """Seconds until a key expires, infinity if it does not; ``None`` if there is no such key."""
        name = self._name(key)
        left = super().expires_in(name) if self._storage.cache_enabled else None
        if left is not None:
            return left
        with self._locks.hold(name):
            found = self._fetch(name)
        if found is None:
            return None
        return math.inf if found[1] is None else found[1] - self._now()

    def __contains__(self, key: object, /) -> bool:
        there = super().__contains__(key) and self._storage.cache_enabled
        return there or self._read(self._name(key)) is not None

    def get_many(self, keys: Iterable[_Key], default: Any = None) -> list[Any]:
        """The values of many keys; those that memory lacks are read from the storage one by one."""
        names = names_of(keys)
        found: list[Any] = super().get_many(names, _MISSING)
        enabled = self._storage.cache_enabled
        for number, name in enumerate(names):
            stored = found[number]
            if stored is _MISSING or not enabled:
                stored = self._read(self._name(name))
            found[number] = default if stored is None else self._decoded(stored)
        return found

    # ------------------------------------------------------------ memory only

    def forget(self, key: _Key | None = None) -> None:
        """Drop what memory holds of a key, or of all; the storage keeps it."""
        if key is None:
            self._locks.forgotten += 1  # what is being read now may be old
            super().clear()
            return
        name = self._name(key)
        with self._locks.hold(name, writing=True):
            super().delete(name)

    def load(self) -> int:
        """Take into memory what the storage has; how many entries."""
        if not self._storage.cache_enabled:
            return 0
        writes, forgotten, count = self._locks.writes(), self._locks.forgotten, 0
        for name, (stored, expires) in self._storage.collect():
            with self._locks.hold(name):
                # One that was written since may be older here than in memory.
                if self._locks.unwritten(name, writes):
                    count += self._keep_unless_forgotten(name, stored, expires, forgotten)
        return count


def digest(stored: bytes) -> int:
    """The version of a value."""
    return int.from_bytes(blake2b(stored, digest_size=8).digest(), "little")


def names_of(keys: Any) -> list[_Key]:
    """The keys of a call with many, also those in a numpy array."""
    if isinstance(keys, (bytes, str)) or not hasattr(keys, "__iter__"):
        raise InvalidTypeError("keys", "many keys", type(keys))
    if not hasattr(keys, "__array_interface__"):
        return list(keys)
    try:
        memoryview(keys)
    except (BufferError, ValueError):
        raise InvalidTypeError("keys", "a sequence of bytes or str, or an array", type(keys)) from None
    names: list[_Key] = keys.tolist() if keys.dtype.kind == "S" else [item.tobytes() for item in keys]
    return names
