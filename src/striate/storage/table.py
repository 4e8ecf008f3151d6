"""A durable table: :class:`Table`.

Reading and writing single keys and many is native (:mod:`striate._native.durable`); here is what of a mapping surrounds
them. What may not live here: transactions, opening and closing.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from striate._native.durablebulk import DurableTable
from striate._native.inputs import as_pairs
from striate._native.partition import View
from striate.errors import InvalidArgumentError
from striate.storage.arguments import any_integer, as_bytes
from striate.storage.codecs import Codec
from striate.storage.mapping_views import ScannedItems, ScannedValues

if TYPE_CHECKING:
    _Base = DurableTable
else:

    class _Base(DurableTable, Generic[TypeVar("V")]):
        """The native class is not generic at run time."""


V = TypeVar("V")
D = TypeVar("D")
_Key = bytes | str
_Duration = float | timedelta | None

MUST_NOTHING, MUST_BE_ABSENT, MUST_BE_PRESENT, MUST_EQUAL = range(4)  # as in native/keyindex.h
_MISSING: Any = object()
_NOTHING: Any = b""


def walk(table: DurableTable[Any], prefix: bytes, latest: bool = False) -> Iterator[bytes]:
    """Each key of a table once, if it stays there meanwhile; in no order."""
    met = set()
    if not latest:
        # Their entries in the index are of changes that nobody sees yet, or gone.
        for key, _ in table._walk(prefix, False, True)[1]:
            met.add(key)
            yield key
    cursor = 0
    while True:
        cursor, keys = table._walk(prefix, latest, False, cursor)
        for key, _ in keys:
            if key not in met:
                yield key
        if not cursor:
            return


class Table(_Base[V], MutableMapping[_Key, V]):
    """Keys and values that are as durable as the log they are in; made by :meth:`striate.Database.table`.

    A key is bytes or str, a str the same as its UTF-8 bytes; iteration gives bytes. A value is bytes, or what the
    table's codec takes. Reads see what is durable and never wait for the disk. For any number of threads.
    """

    _plain: bool

    def __new__(cls, view: View, codec: Codec[V] | None) -> Table[V]:
        """A table over a view."""
        encode, decode = (None, None) if codec is None else (codec.encode, codec.decode)
        self = cast("Table[V]", super().__new__(cls, view, encode, decode))
        self._plain = codec is None
        return self

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    # ------------------------------------------------------------ scans

    def __iter__(self) -> Iterator[bytes]:
        return self.scan_keys()

    def scan_keys(self, prefix: _Key = b"") -> Iterator[bytes]:
        """Keys that begin with a prefix, in no order; writes meanwhile do no harm.

        A key that is there all the time is met exactly once; one that comes or goes meanwhile, once or not at all.
        """
        for key in walk(self, as_bytes(prefix, "prefix")):
            if key in self:
                yield key

    def scan(self, prefix: _Key = b"") -> Iterator[tuple[bytes, V]]:
        """Keys that begin with a prefix and their values; as :meth:`scan_keys`."""
        for key in walk(self, as_bytes(prefix, "prefix")):
            value = self.get(key, _MISSING)
            if value is not _MISSING:
                yield key, value

    def _scan_items(self) -> Iterator[tuple[bytes, V]]:
        return self.scan()

    # ------------------------------------------------------------ mapping

    def items(self) -> ItemsView[_Key, V]:
        """Its keys and values; iteration as :meth:`scan`."""
        return ScannedItems(self)

    def values(self) -> ValuesView[V]:
        """Its values; iteration as :meth:`scan`."""
        return ScannedValues(self)

    def update(self, other: Any = (), /, **items: V) -> None:
        """Store many values as one transaction; as :meth:`set_many`."""
        self.set_many([*as_pairs(other), *items.items()])

    @overload
    def pop(self, key: _Key, /) -> V: ...
    @overload
    def pop(self, key: _Key, default: D, /) -> V | D: ...
    def pop(self, key: _Key, default: Any = _MISSING, /) -> Any:
        """Remove a key and give its value, or ``default``. KeyError: no such key and no default."""
        stored = self._pop_nowait(key)
        self._wait()
        if stored is not None:
            return self._decode(stored)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def _pop_nowait(self, key: _Key) -> bytes | None:
        while True:
            version, stored, _ = self._read_latest(key)
            if stored is None or self._remove_nowait(key, version):
                return stored

    def popitem(self) -> tuple[bytes, V]:
        """Remove and give some key and its value. KeyError: the table is empty."""
        for key in self:
            value = self.pop(key, _MISSING)
            if value is not _MISSING:
                return key, value
        raise KeyError("the table is empty")

    def setdefault(self, key: _Key, default: V = _NOTHING) -> V:
        """The value of a key, after storing ``default`` if it was absent."""
        while True:
            stored = self._read_latest(key)[1]
            if stored is not None:
                self._wait()
                return self._decode(stored)
            if self.add(key, default):
                return default

    def clear(self) -> None:
        """Remove all keys there are at the time of the call, some thousand in each transaction."""
        self._clear_nowait()
        self._wait()

    def _clear_nowait(self) -> None:
        batch: list[bytes] = []
        for key in walk(self, b"", True):
            batch.append(key)
            if len(batch) == 4096:
                self._delete_many_nowait(batch)
                batch = []
        self._delete_many_nowait(batch)

    # ------------------------------------------------------------ changing what is there

    def increment(self, key: _Key, delta: int = 1, *, initial: int = 0) -> int:
        """Add to a number and give the sum; an absent key counts as ``initial``. Its expiry stays.

        Raises:
            InvalidArgumentError: the value is no number; nothing was changed.
        """
        total = self._increment_nowait(key, delta, initial)
        self._wait()
        return total

    def _increment_nowait(self, key: _Key, delta: int, initial: int) -> int:
        delta, initial = any_integer(delta, "delta"), any_integer(initial, "initial")
        while True:
            version, stored, end = self._read_latest(key)
            total = initial + delta if stored is None else self._number(stored) + delta
            if self._write_nowait(key, self._numeral(total), end, MUST_EQUAL, version) > 0:
                return total

    def _number(self, stored: bytes) -> int:
        value: Any = self._decode(stored)
        if isinstance(value, bytes):
            digits = value.removeprefix(b"-")
            if not digits.isdigit() or len(digits) > 4000:
                raise InvalidArgumentError("value", "decimal digits, to be incremented", value)
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidArgumentError("value", "a number, to be incremented", value)
        return value

    def _numeral(self, number: int) -> Any:
        """A number as a value: decimal digits where values are bytes."""
        return b"%d" % number if self._plain else number

    def touch(self, key: _Key, ttl: _Duration) -> bool:
        """Let a key expire so long from now, or never with ``None``; whether it was there."""
        touched = self._touch_nowait(key, ttl)
        self._wait()
        return touched

    def _touch_nowait(self, key: _Key, ttl: _Duration) -> bool:
        end = self._end_of(ttl)
        while True:
            version, stored, _ = self._read_latest(key)
            if stored is None:
                return False
            if self._write_nowait(key, self._decode(stored), end, MUST_EQUAL, version) > 0:
                return True

    def __repr__(self) -> str:
        return f"<striate.Table {self._view.number} of {self._partition.log.path!r}>"
