"""Views of mappings that are walked rather than asked for one key after another."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any, Protocol


class Scanned(Protocol):
    """A mapping whose keys and values can be walked together while it changes."""

    def _scan_items(self) -> Iterator[tuple[bytes, Any]]: ...


class ScannedItems(ItemsView[Any, Any]):
    """Its keys and values."""

    _mapping: Scanned

    def __iter__(self) -> Iterator[tuple[bytes, Any]]:
        return self._mapping._scan_items()


class ScannedValues(ValuesView[Any]):
    """Its values."""

    _mapping: Scanned

    def __iter__(self) -> Iterator[Any]:
        return (value for _, value in self._mapping._scan_items())

    def __contains__(self, value: object) -> bool:
        return any(value == other for other in self)
