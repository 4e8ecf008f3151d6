"""The views of a cache that a mapping has."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from typing import TYPE_CHECKING, Any

from striate.errors import InvalidArgumentError, InvalidTypeError

if TYPE_CHECKING:
    from striate.storage.cache import Cache

_Key = bytes | str


class CacheItems(ItemsView[Any, Any]):
    """Keys and values of a cache."""

    _mapping: Cache[Any]

    def __iter__(self) -> Iterator[tuple[bytes, Any]]:
        return self._mapping._scan_items()


class CacheValues(ValuesView[Any]):
    """The values of a cache."""

    _mapping: Cache[Any]

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._scan_items())

    def __contains__(self, value: object) -> bool:
        return any(value == other for other in self)


def as_bytes(text: _Key, name: str) -> bytes:
    """The bytes that a key, prefix or tag stands for."""
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(name, "text that UTF-8 can express", text) from None
    if not isinstance(text, bytes):
        raise InvalidTypeError(name, "bytes or str", type(text))
    return text
