"""The cases of ``python -m bench.cache``: what is measured, with whom, and how much faster striate has to be.

Keys are 16 to 32 bytes and new objects at every call, values 100 bytes from a pool; the keys come as zipf 0.99. The
cache has bounds (twice what it holds, or a tenth) and a TTL; the others have what they have.
"""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.rounds import Arm, Bench, LimitCase, Pair, RatioCase, Sample
from bench.traces import zipf
from bench.workload import value_pool

BATCH_COUNT = 1_000
STRIATE, DICT, CACHEBOX = "striate", "dict", "cachebox LRU"
STRIATE_2 = "striate, 2 threads"

_VALUE_BYTES = 100
_TTL_S = 3_600


def key_of(number: int) -> bytes:
    """A new object, 16 to 32 bytes long."""
    return b"key:%012d" % number + b"." * (number * 7 % 17)


@dataclass(frozen=True)
class CacheSizes:
    """How much is stored, and how much of it one round asks for."""

    small_count: int = 100_000
    large_count: int = 1_000_000
    request_count: int = 300_000


SMOKE_CACHE_SIZES = CacheSizes(2_000, 5_000, 4_000)


def make(kind: str, capacity: int) -> Any:
    """An empty cache or dict."""
    if kind == DICT:
        return {}
    if kind == CACHEBOX:
        return importlib.import_module("cachebox").LRUCache(capacity)
    return importlib.import_module("striate").Cache(max_items=capacity, ttl=_TTL_S)


def missing_cachebox() -> str | None:
    """Why cachebox cannot run here, or None."""
    try:
        importlib.import_module("cachebox")
    except ImportError as error:
        return f"{CACHEBOX} cannot be imported: {error} (try pip install cachebox)"
    return None


def kinds() -> list[str]:
    """Whoever is installed, striate last."""
    return [DICT, *([] if missing_cachebox() else [CACHEBOX]), STRIATE]


class _Stage:
    """Filled contenders, and for each round fresh keys in the same order for all of them."""

    def __init__(self, count: int, request_count: int, *, capacity_share: float = 2.0) -> None:
        self.values = value_pool(_VALUE_BYTES)
        self.requests = zipf(count, 7 * request_count).reshape(7, request_count).tolist()
        self.stores: dict[str, Any] = {}
        for kind in kinds():
            store = make(kind, int(count * capacity_share))
            for number in range(count):
                store[key_of(number)] = self.values[number % len(self.values)]
            self.stores[kind] = store

    def keys(self, round_index: int) -> list[bytes]:
        return [key_of(number) for number in self.requests[round_index % len(self.requests)]]

    def pairs(self, round_index: int) -> list[tuple[bytes, bytes]]:
        keys = self.keys(round_index)
        return [(key, self.values[place % len(self.values)]) for place, key in enumerate(keys)]


Work = Callable[[Any, "_Stage", int], Callable[[], object]]


def _arm(stage: _Stage, kind: str, prepare: Work, label: str = "") -> Arm:
    @contextmanager
    def ready(round_index: int) -> Iterator[Callable[[], object]]:
        yield prepare(stage.stores[kind], stage, round_index)

    return Arm(label or kind, len(stage.requests[0]), ready)


def _get(store: Any, stage: _Stage, round_index: int) -> Callable[[], object]:
    keys = stage.keys(round_index)

    def work() -> None:
        get = store.get
        for key in keys:
            get(key)

    return work


def _set(store: Any, stage: _Stage, round_index: int) -> Callable[[], object]:
    pairs = stage.pairs(round_index)

    def plain() -> None:
        for key, value in pairs:
            store[key] = value

    def work() -> None:
        set_ = store.set
        for key, value in pairs:
            set_(key, value)

    return work if hasattr(store, "set") else plain


def _batches(things: list[Any]) -> list[list[Any]]:
    return [things[start : start + BATCH_COUNT] for start in range(0, len(things), BATCH_COUNT)]


def _get_many(store: Any, stage: _Stage, round_index: int) -> Callable[[], object]:
    batches = _batches(stage.keys(round_index))

    def plain() -> None:
        for batch in batches:
            list(map(store.get, batch))

    def work() -> None:
        for batch in batches:
            store.get_many(batch)

    return work if hasattr(store, "get_many") else plain


def _set_many(store: Any, stage: _Stage, round_index: int) -> Callable[[], object]:
    batches = [dict(batch) for batch in _batches(stage.pairs(round_index))]

    def work() -> None:
        update = getattr(store, "set_many", store.update)
        for batch in batches:
            update(batch)

    return work


def _in_two_threads(prepare: Work) -> Work:
    """The same work, half of it in each of two threads."""

    def both(store: Any, stage: _Stage, round_index: int) -> Callable[[], object]:
        whole = stage.requests[round_index % len(stage.requests)]
        works = []
        for half in (whole[::2], whole[1::2]):
            part = object.__new__(_Stage)
            part.values, part.requests = stage.values, [half]
            works.append(prepare(store, part, 0))

        def work() -> None:
            threads = [threading.Thread(target=each) for each in works]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return work

    return both


def _get_or_set(store: Any, stage: _Stage, round_index: int) -> Callable[[], object]:
    pairs = stage.pairs(round_index)

    def work() -> None:
        get, set_ = store.get, getattr(store, "set", store.__setitem__)
        for key, value in pairs:
            if get(key) is None:
                set_(key, value)

    return work


def _arms(prepare: Work, large: bool, threads: bool, sizes: CacheSizes, bench: Bench, stack: ExitStack) -> list[Arm]:
    stage = _Stage(sizes.large_count if large else sizes.small_count, sizes.request_count)
    stack.callback(stage.stores.clear)
    arms = [_arm(stage, kind, prepare) for kind in kinds()]
    return [*arms, _arm(stage, STRIATE, _in_two_threads(prepare), STRIATE_2)] if threads else arms


def _evicting_arms(sizes: CacheSizes, bench: Bench, stack: ExitStack) -> list[Arm]:
    stage = _Stage(sizes.small_count, sizes.request_count, capacity_share=0.1)
    stack.callback(stage.stores.clear)
    return [_arm(stage, kind, _get_or_set) for kind in kinds() if kind != DICT]


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def _memory(sizes: CacheSizes, bench: Bench, round_index: int) -> Sample:
    make(STRIATE, 1)  # to import it is no entry's memory
    gc.collect()
    before = _resident_bytes()
    cache = make(STRIATE, 2 * sizes.large_count)
    for number in range(sizes.large_count):
        cache[key_of(number)] = bytes(_VALUE_BYTES)
    gc.collect()
    per_entry = (_resident_bytes() - before) / sizes.large_count
    return Sample(per_entry, per_entry)


_SINGLE = {"get": (_get, 1.0, 1.3), "set": (_set, 1.4, 1.6)}
_MANY = {"get_many": (_get_many, 2.5), "set_many": (_set_many, 2.5)}


def cases(sizes: CacheSizes) -> list[RatioCase | LimitCase]:
    """All of them, in the order of the table; memory first, while the process has touched little."""
    made: list[RatioCase | LimitCase] = [
        LimitCase("memory", f"memory, {sizes.large_count:,} entries", STRIATE, "B", "B", 185,
                  partial(_memory, sizes), single=True)
    ]  # fmt: skip
    for large in (False, True):
        count = f"{sizes.large_count if large else sizes.small_count:,} entries"
        suffix = "_large" if large else ""
        for name, (prepare, than_dict, than_cachebox) in _SINGLE.items():
            pairs = (Pair(STRIATE, DICT, than_dict), Pair(STRIATE, CACHEBOX, than_cachebox))
            made.append(RatioCase(name + suffix, f"{name}, {count}", _bind(prepare, large, False, sizes), pairs))
        for name, (prepare, bar) in _MANY.items():
            pairs = (Pair(STRIATE, DICT, bar), Pair(STRIATE, CACHEBOX, bar), Pair(STRIATE_2, STRIATE, 1.7))
            title = f"{name} of {BATCH_COUNT:,}, {count}"
            made.append(RatioCase(name + suffix, title, _bind(prepare, large, True, sizes), pairs))
    title = f"get, on a miss set; room for a tenth of {sizes.small_count:,} keys"
    made.append(RatioCase("evict", title, partial(_evicting_arms, sizes), (Pair(STRIATE, CACHEBOX, 1.1),)))
    return made


def _bind(prepare: Work, large: bool, threads: bool, sizes: CacheSizes) -> Callable[[Bench, ExitStack], list[Arm]]:
    return partial(_arms, prepare, large, threads, sizes)
