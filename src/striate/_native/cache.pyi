from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Self, TypeVar, overload

from striate._native.entries import Entries

_V = TypeVar("_V")
_D = TypeVar("_D")

class CacheCore(Entries[_V]):
    def _marked(self, source: int) -> Self: ...
    def incr(
        self,
        key: bytes | str,
        delta: int = 1,
        *,
        initial: int | None = 0,
        ttl: float | timedelta | None = None,
        idle: float | timedelta | None = None,
    ) -> int: ...
    @overload
    def get_many(self, keys: Iterable[bytes | str], default: None = None) -> list[_V | None]: ...
    @overload
    def get_many(self, keys: Iterable[bytes | str], default: _D) -> list[_V | _D]: ...
    def set_many(
        self,
        items: Mapping[bytes, _V] | Mapping[str, _V] | Iterable[tuple[bytes | str, _V]],
        *,
        ttl: float | timedelta | None = None,
        idle: float | timedelta | None = None,
        tags: Iterable[bytes | str] | None = None,
    ) -> None: ...
    def delete_many(self, keys: Iterable[bytes | str]) -> int: ...
