"""Runs of memoized functions: who is inside which, who waits for whom, and which of them count no longer.

What may not live here: what runs, and where results are kept (memoize.py).
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MISSING: Any = object()


class Run:
    """One execution under way. It lands with a value or an exception, or is given up."""

    def __init__(self, key: bytes, tags: list[bytes]) -> None:
        self.key, self.tags = key, tags
        self.keeps = True  # its result; not after an invalidation
        self.keeping = threading.RLock()  # held while the result is stored
        self.waits: list[Run] = []  # for these
        # Of threads:
        self.landed = threading.Event()
        self.leader = threading.get_ident()
        self.refreshes = False  # while the stale value is still served
        self.value: Any = MISSING
        self.error: Exception | None = None
        # Of tasks:
        self.task: Any = None
        self.callers = 0

    def disown(self) -> None:
        """Its result is not stored from now on; if it is being stored, wait until it is."""
        with self.keeping:
            self.keeps = False


# The runs that a thread or task is inside of, outermost first.
_inside: contextvars.ContextVar[tuple[Run, ...]] = contextvars.ContextVar("striate_inside", default=())


class _Guard:
    def __init__(self) -> None:
        self.lock = threading.Lock()


_waiting = _Guard()


@contextmanager
def inside(run: Run) -> Iterator[None]:
    """What is called here is called by the run."""
    token = _inside.set((*_inside.get(), run))
    try:
        yield
    finally:
        _inside.reset(token)


def begin_wait(wanted: Run) -> bool:
    """Note that one is about to wait for a run; False if that would never end, as the run waits for the caller.

    After True :func:`end_wait` must follow.
    """
    around = _inside.get()
    if not around:
        return True
    with _waiting.lock:
        if _reaches(wanted, around):
            return False
        around[-1].waits.append(wanted)
    return True


def end_wait(wanted: Run) -> None:
    """The wait is over."""
    around = _inside.get()
    if around:
        with _waiting.lock:
            around[-1].waits.remove(wanted)


def _reaches(run: Run, targets: tuple[Run, ...]) -> bool:
    seen: set[int] = set()
    ahead = [run]
    while ahead:
        each = ahead.pop()
        if any(each is target for target in targets):
            return True
        if id(each) not in seen:
            seen.add(id(each))
            ahead.extend(each.waits)
    return False


def after_fork() -> None:
    """The lock may have been held by a thread that a child does not have."""
    _waiting.lock = threading.Lock()
