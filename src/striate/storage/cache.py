"""The cache: values in memory, bounded, with expiry, eviction and statistics.

The operations on keys are native (:class:`~striate._native.cache.CacheCore`); here is what surrounds them. What may not
live here: memoizing (memoize.py) and the telling of changes (events.py).
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, Self, TypeVar, cast, overload

from striate._native import scan
from striate._native.cache import CacheCore
from striate._native.table import StripedTable
from striate.errors import InvalidArgumentError, InvalidTypeError
from striate.storage.arguments import as_bytes, integer
from striate.storage.codecs import Codec, make_codec
from striate.storage.mapping_views import ScannedItems, ScannedValues
from striate.types import CacheStats

V = TypeVar("V")
P = ParamSpec("P")
R = TypeVar("R")
_Key = bytes | str
_Duration = float | timedelta | None

_MAX_BOUND = 1 << 60
_MAX_STRIPES = 1024
Policy = Literal["adaptive", "frequency", "recency"]
_POLICIES: tuple[Policy, ...] = ("adaptive", "frequency", "recency")  # numbers as in native/table.h

if TYPE_CHECKING:
    from striate.storage.changes import Changes
    from striate.storage.memoize import Memoized, Tags
    from striate.storage.storages import Storage

    _Base = CacheCore
else:

    class _Base(CacheCore, Generic[V]):
        """The native class is not generic at run time."""


class Cache(_Base[V], MutableMapping[_Key, V]):
    """Keys and values in memory, with bounds, expiry and statistics; for any number of threads.

    A key is bytes or str, a str key the same as its UTF-8 bytes; iteration gives bytes. A value is bytes, or what the
    codec takes. Values are copied in and out. A miss stores nothing, and an empty value is a value.

    Args:
        max_bytes: of all entries as :class:`~striate.CacheStats` counts them; ``None``: no bound.
        max_items: how many entries; ``None``: no bound. A bound is never exceeded: what is used least makes room.
        ttl: seconds or a ``timedelta`` that an entry lives unless ``set`` says otherwise; ``None``: for ever.
        idle: seconds or a ``timedelta`` without an access after which an entry expires.
        policy: what makes room: ``"frequency"``: what is asked for least over a long time; ``"recency"``: what was not
            asked for lately; ``"adaptive"``: whichever does better on the requests that come.
        codec: ``"json"`` or ``"msgpack"`` (msgspec), or an object with ``encode`` and ``decode`` such as
            :class:`~striate.PickleCodec`; ``None``: values are bytes.
        type: what a msgspec codec decodes to and checks, for example a dataclass.
        compress_from: values of at least so many bytes are compressed (zlib, level 1) where that makes them smaller.
        storage: a :class:`~striate.Storage` that is written first and read where memory lacks a key; memory then holds
            a part of what it has.
        clock: gives nanoseconds that never decrease, for tests; ``None``: the system's monotonic clock.
        stripes: how many locks the table has, a power of two; ``None``: by its bounds, at most 32.
        hash_key: 16 secret bytes for the hash of keys; ``None``: random.
    """

    _names: dict[str, int]

    def __new__(
        cls,
        max_bytes: int | None = None,
        max_items: int | None = None,
        ttl: _Duration = None,
        idle: _Duration = None,
        *,
        policy: Policy = "adaptive",
        codec: str | Codec[V] | None = None,
        type: Any = None,
        compress_from: int | None = None,
        storage: Storage | None = None,
        clock: Callable[[], int] | None = None,
        stripes: int | None = None,
        hash_key: bytes | None = None,
    ) -> Cache[V]:
        """As the class says."""
        if max_bytes is not None:
            max_bytes = integer(max_bytes, "max_bytes", 1, _MAX_BOUND)
        if max_items is not None:
            max_items = integer(max_items, "max_items", 1, _MAX_BOUND)
        if stripes is not None:
            stripes = integer(stripes, "stripes", 1, _MAX_STRIPES)
        if clock is not None and not callable(clock):
            raise InvalidTypeError("clock", "a callable", clock.__class__)
        if hash_key is not None and not isinstance(hash_key, bytes):
            raise InvalidTypeError("hash_key", "16 bytes", hash_key.__class__)
        if policy not in _POLICIES:
            raise InvalidArgumentError("policy", " or ".join(_POLICIES), policy)
        number = _POLICIES.index(policy)
        striped = StripedTable(max_items, max_bytes, stripes=stripes, hash_key=hash_key, policy=number)
        if storage is not None:
            from striate.storage.stored_cache import over_storage

            return over_storage(cls, storage, striped, (ttl, idle), codec, type, (compress_from, clock))
        self = cls._over(striped, 0, ttl, idle, codec, type, compress_from, clock)
        self._names = {}
        return self

    @classmethod
    def _over(
        cls,
        striped: StripedTable,
        space: int,
        ttl: _Duration,
        idle: _Duration,
        codec: object,
        value_type: Any,
        compress_from: int | None,
        clock: Callable[[], int] | None,
    ) -> Cache[V]:
        """A cache over one namespace of a table."""
        if compress_from is not None:
            compress_from = integer(compress_from, "compress_from", 0, (1 << 32) - 2)
        made = make_codec(codec, value_type)
        return super().__new__(
            cls,
            striped,
            space=space,
            ttl=ttl,
            idle=idle,
            clock=clock,
            encode=None if made is None else made.encode,
            decode=None if made is None else made.decode,
            compress_from=compress_from,
            numbers_are_digits=made is None or codec == "json",
        )

    def begin_sweeping(self) -> None:
        """Have expired entries dropped in the background; the table calls this when it gets its first timer.

        With a ``clock`` of your own nothing runs in the background: operations notice what has expired, and
        :meth:`expire` drops the rest.
        """
        if self.clock is None:
            from striate.storage.sweeper import sweeper

            sweeper.watch(self.striped)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} of {self.striped.counts(self.space)['entries']} entries>"

    # ---------------------------------------------------------------- namespaces

    def namespace(
        self,
        name: str,
        *,
        ttl: _Duration = None,
        idle: _Duration = None,
        codec: str | Codec[Any] | None = None,
        type: Any = None,
        compress_from: int | None = None,
    ) -> Cache[Any]:
        """A cache of its own keys and statistics within the bounds of this one; at most 255 of them.

        The same name gives the same entries again, whatever the other arguments; they are as for :class:`Cache`.
        """
        if not isinstance(name, str):
            raise InvalidTypeError("name", "a str", name.__class__)
        if self.space != 0:
            raise InvalidArgumentError("name", "of a namespace of the cache itself, not of another namespace", name)
        if name not in self._names:
            self._names[name] = self.striped.add_space()
        space = self._names[name]
        found = self._over(self.striped, space, ttl, idle, codec, type, compress_from, self.clock)
        return found._marked(self.source) if self.source else found

    @overload
    def memoize(
        self,
        function: Callable[P, R],
        /,
        *,
        ttl: _Duration = None,
        stale: _Duration = None,
        key: Callable[..., Any] | None = None,
        tags: Tags = None,
        name: str | None = None,
    ) -> Memoized[P, R]: ...
    @overload
    def memoize(
        self,
        *,
        ttl: _Duration = None,
        stale: _Duration = None,
        key: Callable[..., Any] | None = None,
        tags: Tags = None,
        name: str | None = None,
    ) -> Callable[[Callable[P, R]], Memoized[P, R]]: ...
    def memoize(  # type: ignore[misc]
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        ttl: _Duration = None,
        stale: _Duration = None,
        key: Callable[..., Any] | None = None,
        tags: Tags = None,
        name: str | None = None,
    ) -> Any:
        """Keep the results of a function or a coroutine function in this cache: a decorator, with or without arguments.

        However many threads, or tasks of one event loop, ask for the same arguments at once, the function runs once.
        What it raises goes to all of them and is not kept. A task that is cancelled stops waiting; the run goes on
        while anybody waits. A run during which its result is invalidated (``cache_clear``, ``cache_invalidate``,
        :meth:`delete_tag`, :meth:`delete_prefix`, :meth:`clear`) is not kept, and whoever asks then begins another.
        A run that asks for itself, also through others, is not waited for: the function is called again.
        The results are values of this cache, so give it a codec that can take them.

        Args:
            ttl: seconds or a ``timedelta`` that a result is fresh; ``None``: the cache's.
            stale: seconds after that in which a caller gets the old result while one new run goes on.
            key: makes bytes, str, or a tuple or other plain data of the arguments, as cachetools' key functions do; by
                default :func:`~striate.arguments_key`. :func:`~striate.method_key` leaves ``self`` out.
            tags: for :meth:`delete_tag`, or a function that makes them of the arguments.
            name: what the keys begin with; by default the function's module and name, with a number for another
                function of that name (lambdas, inner functions), unless its code is the same and without closure.
        """
        from striate.storage.memoize import memoize

        if function is not None:
            return memoize(self, function, ttl=ttl, stale=stale, key=key, tags=tags, name=name)
        return lambda wanted: memoize(self, wanted, ttl=ttl, stale=stale, key=key, tags=tags, name=name)

    def changes(self, limit: int = 1024) -> Changes:
        """Listen: what is created, replaced, patched, deleted, expired or evicted here from now on.

        At most ``limit`` changes wait for this listener; a slow one is told how many it missed. Without a listener
        nothing is kept. Namespaces are told apart: this is about the cache's, or the namespace's, own keys.
        """
        from striate.storage.changes import Changes

        return Changes(self.striped, self.space, limit, self.decode_stored)

    def from_source(self, source: str) -> Self:
        """The same cache for whoever passes on what was done elsewhere, say on another node.

        Listeners find ``source`` in the changes that are made by it: so one that announces changes to others can leave
        out those that came from there, and nothing is announced twice.
        """
        from striate.storage.changes import hub_of

        if not isinstance(source, str):
            raise InvalidTypeError("source", "a str", source.__class__)
        marked = self._marked(hub_of(self.striped).number_of(source))
        marked.__dict__.update(self.__dict__)
        return marked

    # ---------------------------------------------------------------- figures

    def expire(self) -> int:
        """Drop at once whatever has expired, in all namespaces; how many entries that were."""
        return self.striped.expire(self.time_ns())

    def stats(self) -> CacheStats:
        """Figures of this cache, without those of its namespaces; what has expired is dropped first."""
        self.expire()
        counters = {} if self.striped.hub is None else self.striped.hub.counters.get(self.space, {})
        counted = {name: counter.count() for name, counter in tuple(counters.items())}
        return CacheStats(**self.striped.counts(self.space), memory_bytes=self.striped.memory_bytes, counters=counted)

    def add_counter(self, name: str, predicate: Callable[[bytes, V], object]) -> None:
        """Count the entries for which ``predicate(key, value)`` is true: ``stats().counters[name]``, exact at any time.

        Another of that name makes way. It costs each write a copy of the old and the new value; between two looks at
        the figures 65,536 changes are kept, beyond them the next look goes over all entries. It may run in any thread
        that looks, and what it raises comes out there.
        """
        from striate.storage.counters import Counter, counters_of

        if not isinstance(name, str):
            raise InvalidTypeError("name", "a str", name.__class__)
        if not callable(predicate):
            raise InvalidTypeError("predicate", "a callable", predicate.__class__)
        counter = Counter(self, predicate)
        counter.count()
        self.remove_counter(name)
        counters_of(self)[name] = counter

    def remove_counter(self, name: str) -> bool:
        """Count no longer; whether there was such a counter."""
        from striate.storage.counters import counters_of

        counter = counters_of(self).pop(name, None)
        if counter is not None:
            counter.close()
        return counter is not None

    def __len__(self) -> int:
        self.expire()
        return self.striped.counts(self.space)["entries"]

    # ---------------------------------------------------------------- walking

    def scan(self, prefix: _Key = b"") -> Iterator[bytes]:
        """The keys that begin with ``prefix``, in no order.

        Writes may go on meanwhile: a key that stays comes exactly once, one that comes or goes at most once.
        """
        wanted = as_bytes(prefix, "prefix")
        cursor = 0
        while True:
            keys, cursor = scan.batch(self.striped, self.space, cursor, self.time_ns(), prefix=wanted)
            yield from keys
            if cursor == 0:
                return

    def _scan_items(self) -> Iterator[tuple[bytes, V]]:
        cursor = 0
        while True:
            found, cursor = scan.batch(self.striped, self.space, cursor, self.time_ns(), values=True)
            for key, stored, flags in found:
                yield key, self.decode_stored(stored, flags)
            if cursor == 0:
                return

    def __iter__(self) -> Iterator[bytes]:
        return self.scan()

    def items(self) -> ItemsView[_Key, V]:
        """Keys and values; walking them is no access, and tolerates writes as :meth:`scan` does."""
        return ScannedItems(self)

    def values(self) -> ValuesView[V]:
        """The values, as :meth:`items`."""
        return ScannedValues(self)

    # ---------------------------------------------------------------- a storage

    def load(self) -> int:
        """Take into memory what the storage has, at the start for example; how many entries. Reads and writes may go
        on meanwhile."""
        raise InvalidArgumentError("storage", "given to a cache that is to be loaded", None)

    def forget(self, key: _Key | None = None) -> None:
        """Drop what memory holds of a key, or of all, where a storage was changed by others; the storage keeps it.

        Without a storage it is :meth:`delete` or :meth:`clear`.
        """
        if key is None:
            self.clear()
        else:
            self.delete(key)

    # ---------------------------------------------------------------- dropping

    def clear(self) -> None:
        """Drop all entries of this cache; those of its namespaces stay, as do the statistics."""
        self._disown_runs()
        if self.space == 0 and not self._names and self.striped.hub is None:  # else each is told, or stays
            self.striped.clear()
        else:
            scan.discard_prefix(self.striped, self.space, self.time_ns(), b"", self.source)

    def delete_prefix(self, prefix: _Key) -> int:
        """Drop the keys that begin with ``prefix``; how many. Looks at every entry, without the GIL."""
        wanted = as_bytes(prefix, "prefix")
        self._disown_runs(wanted)
        return scan.discard_prefix(self.striped, self.space, self.time_ns(), wanted, self.source)

    def delete_tag(self, tag: _Key) -> int:
        """Drop the entries that were stored with ``tag``; how many. Looks at every entry, without the GIL."""
        wanted = as_bytes(tag, "tag")
        self._disown_runs(tag=wanted)
        return scan.discard_tag(self.striped, self.space, self.time_ns(), wanted, self.source)

    def _disown_runs(self, prefix: bytes = b"", tag: bytes | None = None) -> None:
        # Before anything is dropped: so what a memoized function stores too late is dropped as well.
        if self.striped.memos is not None:
            from striate.storage.memo_registry import disown_runs

            disown_runs(self, prefix, tag)

    def popitem(self) -> tuple[bytes, V]:
        """Drop some entry and give it; a ``KeyError`` when there is none."""
        missing = object()
        for key in self:
            value = self.pop(key, missing)
            if value is not missing:
                return key, cast(V, value)
        raise KeyError("the cache is empty")

    # ---------------------------------------------------------------- the rest of a mapping

    @overload
    def setdefault(self, key: _Key, default: V) -> V: ...
    @overload
    def setdefault(self, key: _Key) -> V: ...
    def setdefault(self, key: _Key, default: Any = b"") -> V:
        """The value of a key, which becomes ``default`` if there is none."""
        missing = object()
        while True:
            value = self.get(key, missing)
            if value is not missing:
                return cast(V, value)
            if self.add(key, default):
                return cast(V, default)

    def update(self, other: Any = (), /, **more: V) -> None:
        """Store the items of a mapping, or pairs, and those given by name."""
        self.set_many(other)
        if more:
            self.set_many(more)
