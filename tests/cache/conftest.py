"""A clock that stands until it is moved, and caches that use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from striate import Cache

SECOND = 10**9


class Clock:
    """Nanoseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Cache[Any]]:
    """Makes a cache on the test's clock."""
    return lambda *args, **options: Cache(*args, clock=clock, **options)


@pytest.fixture
def cache(make: Callable[..., Cache[bytes]]) -> Cache[bytes]:
    return make()
