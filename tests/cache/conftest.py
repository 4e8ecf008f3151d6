"""A clock that stands until it is moved, caches that use it, and children that are forked."""

from __future__ import annotations

import os
import signal
import warnings
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


def child_ends_well(use: Callable[[], object]) -> bool:
    """Whether a forked child gets through ``use``; an alarm ends one that hangs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)
            use()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0
