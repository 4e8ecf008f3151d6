from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Generic, Self, TypeVar, overload

from striate._native.table import StripedTable

_V = TypeVar("_V")
_D = TypeVar("_D")

class Entries(Generic[_V]):
    def __new__(
        cls,
        striped: StripedTable,
        *,
        space: int = 0,
        ttl: float | timedelta | None = None,
        idle: float | timedelta | None = None,
        clock: Callable[[], int] | None = None,
        encode: Callable[[_V], bytes] | None = None,
        decode: Callable[[bytes], _V] | None = None,
        compress_from: int | None = None,
        numbers_are_digits: bool = True,
    ) -> Self: ...
    @property
    def striped(self) -> StripedTable: ...
    @property
    def space(self) -> int: ...
    @property
    def source(self) -> int: ...
    @property
    def clock(self) -> Callable[[], int] | None: ...
    def begin_sweeping(self) -> None: ...
    def time_ns(self) -> int: ...
    def decode_stored(self, stored: bytes, flags: int) -> _V: ...
    @overload
    def get(self, key: bytes | str, default: None = None) -> _V | None: ...
    @overload
    def get(self, key: bytes | str, default: _D) -> _V | _D: ...
    @overload
    def peek(self, key: bytes | str, default: None = None) -> _V | None: ...
    @overload
    def peek(self, key: bytes | str, default: _D) -> _V | _D: ...
    def __getitem__(self, key: bytes | str, /) -> _V: ...
    def __setitem__(self, key: bytes | str, value: _V, /) -> None: ...
    def __delitem__(self, key: bytes | str, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def get_versioned(self, key: bytes | str) -> tuple[_V, int] | None: ...
    def expires_in(self, key: bytes | str) -> float | None: ...
    def set(
        self,
        key: bytes | str,
        value: _V,
        *,
        ttl: float | timedelta | None = None,
        idle: float | timedelta | None = None,
        tags: Iterable[bytes | str] | None = None,
    ) -> None: ...
    def add(
        self,
        key: bytes | str,
        value: _V,
        *,
        ttl: float | timedelta | None = None,
        idle: float | timedelta | None = None,
        tags: Iterable[bytes | str] | None = None,
    ) -> bool: ...
    def replace(
        self,
        key: bytes | str,
        value: _V,
        *,
        ttl: float | timedelta | None = None,
        idle: float | timedelta | None = None,
        tags: Iterable[bytes | str] | None = None,
    ) -> bool: ...
    def cas(
        self,
        key: bytes | str,
        value: _V,
        version: int,
        *,
        ttl: float | timedelta | None = None,
        idle: float | timedelta | None = None,
        tags: Iterable[bytes | str] | None = None,
    ) -> bool: ...
    def touch(
        self, key: bytes | str, *, ttl: float | timedelta | None = None, idle: float | timedelta | None = None
    ) -> bool: ...
    def delete(self, key: bytes | str) -> bool: ...
    @overload
    def pop(self, key: bytes | str) -> _V: ...
    @overload
    def pop(self, key: bytes | str, default: _D, /) -> _V | _D: ...
