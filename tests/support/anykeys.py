"""A cache for the test suites of others: its keys and values are what they use, any objects."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from striate import Cache, PickleCodec


class AnyKeyCache(MutableMapping[Any, Any]):
    """A :class:`striate.Cache` whose keys are pickled, and nothing else added."""

    def __init__(self, other: Any = (), **more: Any) -> None:
        self.cache: Cache[Any] = Cache(codec=PickleCodec())
        self.update(other, **more)

    @staticmethod
    def key(key: Any) -> bytes:
        hash(key)
        return PickleCodec().encode(key)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.cache[self.key(key)]
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: Any, value: Any) -> None:
        self.cache[self.key(key)] = value

    def __delitem__(self, key: Any) -> None:
        del self.cache[self.key(key)]

    def __iter__(self) -> Iterator[Any]:
        return (PickleCodec().decode(key) for key in self.cache)

    def __len__(self) -> int:
        return len(self.cache)
