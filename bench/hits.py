"""Hit ratios of caches and of eviction policies on the traces: ``python -m bench.hits``.

Each cache is asked for a key and given it when it has not got it. The policies are simulations (policies.py); the
caches are the real ones, ours first.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bench.policies import POLICIES
from bench.traces import TRACES

_KEYS = 100_000
_REQUESTS = 1_000_000


def _requests_of(cache: Any, get: Callable[[bytes], object], put: Callable[[bytes, bytes], object]) -> Any:
    def run(requests: Sequence[int]) -> int:
        hits = 0
        for number in requests:
            key = b"%d" % number
            if get(key) is None:
                put(key, b"value")
            else:
                hits += 1
        return hits

    return run


def _striate(capacity: int, policy: str = "adaptive") -> Any:
    cache = importlib.import_module("striate").Cache(max_items=capacity, policy=policy, hash_key=bytes(16))
    return _requests_of(cache, cache.get, cache.set)


def _cachebox(capacity: int) -> Any:
    cache = importlib.import_module("cachebox").LRUCache(capacity)
    return _requests_of(cache, cache.get, cache.insert)


def _moka(capacity: int) -> Any:
    cache = importlib.import_module("moka_py").Moka(capacity)
    return _requests_of(cache, cache.get, cache.set)


def _theine(capacity: int) -> Any:
    cache = importlib.import_module("theine").Cache(capacity)

    def get(key: bytes) -> object:
        return cache.get(key.decode())[0]

    return _requests_of(cache, get, lambda key, value: cache.set(key.decode(), value))


CACHES: dict[str, Callable[[int], Any]] = {
    "striate": _striate,
    "striate, frequency": partial(_striate, policy="frequency"),
    "striate, recency": partial(_striate, policy="recency"),
    "cachebox LRU": _cachebox,
    "moka-py": _moka,
    "theine": _theine,
}


def measure(name: str, trace: str, keys: int, requests: int, share: float) -> float:
    """The hit ratio of one cache or policy that holds a share of the keys."""
    sequence = TRACES[trace](keys, requests).tolist()
    capacity = int(keys * share)
    if name in POLICIES:
        return POLICIES[name](sequence, capacity) / requests
    hits: int = CACHES[name](capacity)(sequence)
    return hits / requests


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each contender."""
    parser = argparse.ArgumentParser(prog="python -m bench.hits", description=__doc__)
    parser.add_argument("--only", help="comma-separated contenders, default all")
    parser.add_argument("--share", type=float, default=0.1, help="capacity as a share of the keys (default 0.1)")
    parser.add_argument("--keys", type=int, default=_KEYS)
    parser.add_argument("--requests", type=int, default=_REQUESTS)
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else [*CACHES, *POLICIES]
    print("| | " + " | ".join(TRACES) + " | mean |\n|---|" + "---|" * (len(TRACES) + 1))
    for name in names:
        try:
            ratios = [measure(name, trace, options.keys, options.requests, options.share) for trace in TRACES]
        except ImportError as error:
            print(f"| {name} | not measured: {error} |")
            continue
        ratios.append(sum(ratios) / len(ratios))
        print(f"| {name} | " + " | ".join(f"{ratio:.3f}" for ratio in ratios) + " |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
