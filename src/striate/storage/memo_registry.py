"""Which functions are memoized, in which cache: for what concerns them all, invalidation and forks."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from striate.storage import memo_names, memo_runs
from striate.storage.memo_runs import Run

if TYPE_CHECKING:
    from striate.storage.cache import Cache


class Memo(Protocol):
    """A memoized function's side of this."""

    cache: Cache[Any]

    def disown(self, concerned: Callable[[Run], bool]) -> None:
        """Keep nothing of such runs as are under way."""
        ...

    def after_fork(self) -> None:
        """In the child."""
        ...


class _Registry:
    """The lock guards every set of memos: a WeakSet may not grow while another thread goes through it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.memos: weakref.WeakSet[Memo] = weakref.WeakSet()


_registry = _Registry()


def register(memo: Memo) -> None:
    """Let the memo hear of what is invalidated, and of forks."""
    striped = memo.cache.striped
    with _registry.lock:
        if striped.memos is None:
            striped.memos = weakref.WeakSet()
        striped.memos.add(memo)
        _registry.memos.add(memo)


def disown_runs(cache: Cache[Any], prefix: bytes = b"", tag: bytes | None = None) -> None:
    """What is being made for the cache, with keys that begin so or with that tag, is not to be kept."""

    def concerned(run: Run) -> bool:
        return run.key.startswith(prefix) and (tag is None or tag in run.tags)

    with _registry.lock:
        memos = list(cache.striped.memos)
    for memo in memos:
        if memo.cache.space == cache.space:
            memo.disown(concerned)


def _after_fork() -> None:
    _registry.lock = threading.Lock()
    memo_names.after_fork()
    memo_runs.after_fork()
    for memo in list(_registry.memos):
        memo.after_fork()


os.register_at_fork(after_in_child=_after_fork)
