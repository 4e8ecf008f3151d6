"""The caches of a database: names and options in its catalog, contents in memory only.

What may not live here: how a cache works (cache.py), how the catalog is written (database.py).
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from striate.errors import OptionMismatchError
from striate.storage.cache import Cache, Policy
from striate.storage.codecs import Codec, codec_name

if TYPE_CHECKING:
    from striate.storage.database import Database

T = TypeVar("T")
_Duration = float | timedelta | None


class _Opened(NamedTuple):
    cache: Cache[Any]
    type: Any


class Caches:
    """The caches that one database has open: one object for a name."""

    def __init__(self) -> None:
        self._opened: dict[str, _Opened] = {}

    def open(self, database: Database, name: str, codec: Any, type: Any, options: dict[str, Any]) -> Cache[Any]:
        """The cache of a name, made if it is not there; ``options`` are those of :class:`~striate.Cache`."""
        made: Cache[Any] | None = None
        if name not in self._opened:
            made = Cache(**options, codec=codec, type=type)  # refuses what is wrong before it is stored
        stored = {**options, "codec": codec_name(codec)}
        for option in ("ttl", "idle"):
            stored[option] = _seconds(stored[option])
        with database._catalog.lock:
            database._catalog.enter(name, "cache", stored)
            opened = self._opened.get(name)
            if opened is None:  # it may have been dropped since the look
                opened = self._opened[name] = _Opened(made or Cache(**options, codec=codec, type=type), type)
        if opened.type != type:
            raise OptionMismatchError(database.path, f"type of {name!r}", opened.type, type)
        return opened.cache

    def drop(self, database: Database, name: str) -> bool:
        """Forget a cache and its options; whether there was one."""
        with database._catalog.lock:
            if not database._catalog.drop(name, "cache"):
                return False
            opened = self._opened.pop(name, None)
        if opened is not None:
            _end(opened.cache)
        return True

    def close(self) -> None:
        """Empty all of them."""
        while self._opened:
            _end(self._opened.popitem()[1].cache)


def _end(cache: Cache[Any]) -> None:
    """Empty a cache and let nobody wait for its changes any more."""
    cache.clear()
    if cache.striped.hub is not None:
        cache.striped.hub.close()


def _seconds(duration: _Duration) -> float | None:
    """A duration as it is stored: seconds, ``None`` for ever."""
    if isinstance(duration, timedelta):
        duration = duration.total_seconds()
    return None if duration is None or duration == math.inf else float(duration)


class CacheOwner:
    """What :class:`~striate.Database` and :class:`~striate.AsyncDatabase` have in common about caches."""

    def _cache_database(self) -> Database:
        raise NotImplementedError

    @overload
    def cache(
        self,
        name: str,
        max_bytes: int | None = None,
        max_items: int | None = None,
        ttl: _Duration = None,
        idle: _Duration = None,
        *,
        policy: Policy = "adaptive",
        codec: None = None,
        compress_from: int | None = None,
    ) -> Cache[bytes]: ...
    @overload
    def cache(
        self,
        name: str,
        max_bytes: int | None = None,
        max_items: int | None = None,
        ttl: _Duration = None,
        idle: _Duration = None,
        *,
        policy: Policy = "adaptive",
        codec: str | Codec[Any],
        type: type[T],
        compress_from: int | None = None,
    ) -> Cache[T]: ...
    @overload
    def cache(
        self,
        name: str,
        max_bytes: int | None = None,
        max_items: int | None = None,
        ttl: _Duration = None,
        idle: _Duration = None,
        *,
        policy: Policy = "adaptive",
        codec: str | Codec[T] | None,
        compress_from: int | None = None,
    ) -> Cache[Any]: ...
    def cache(
        self,
        name: str,
        max_bytes: int | None = None,
        max_items: int | None = None,
        ttl: _Duration = None,
        idle: _Duration = None,
        *,
        policy: Policy = "adaptive",
        codec: Any = None,
        type: Any = None,
        compress_from: int | None = None,
    ) -> Cache[Any]:
        """A cache by its name, made if it is not there: one object while the database is open, empty when it is opened.

        Its name and options are kept in the database; of a codec that is an object the name of its class, so give the
        object each time. What it holds is in memory only: it takes no part in transactions, and closing the database
        empties it.

        Args:
            name: as of a table; caches, tables and streams share the names.
            type: what a msgspec codec decodes to; not kept, but the same while the database is open.
            max_bytes, max_items, ttl, idle, policy, codec, compress_from: as for :class:`~striate.Cache`.

        Raises:
            OptionMismatchError: it was made with other options, or is no cache; see :meth:`drop_cache`.
        """
        options = {
            "max_bytes": max_bytes,
            "max_items": max_items,
            "ttl": ttl,
            "idle": idle,
            "policy": policy,
            "compress_from": compress_from,
        }
        database = self._cache_database()
        return database._caches.open(database, name, codec, type, options)

    def caches(self) -> dict[str, dict[str, Any]]:
        """Names of the caches and the options they were made with; durations in seconds."""
        return self._cache_database()._catalog.options_of("cache")

    def drop_cache(self, name: str) -> bool:
        """Empty a cache and forget its options, so that the name is free; whether there was one.

        Raises:
            OptionMismatchError: the name is that of something else.
        """
        database = self._cache_database()
        return database._caches.drop(database, name)
