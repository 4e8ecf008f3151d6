"""Sequences of requests for caches: which keys are asked for, in which order.

Each trace is an array of key numbers, the same for every contender and every run. The shapes are those on which
eviction policies differ: skew, scans of keys that never come again, loops larger than the cache, changes of mind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Trace = npt.NDArray[np.int64]

_SEED = 20_260_731
_SCAN_SHARE = 0.3
_PHASES = 10


def _zipf_ranks(rng: np.random.Generator, key_count: int, exponent: float, count: int) -> Trace:
    """Ranks from 0 on; rank r comes with a probability in proportion to 1 / (r + 1) ** exponent."""
    cumulated = np.cumsum(1 / np.arange(1, key_count + 1) ** exponent)
    return np.searchsorted(cumulated / cumulated[-1], rng.random(count)).astype(np.int64)


def zipf(key_count: int, count: int, exponent: float = 0.99) -> Trace:
    """Keys of unequal popularity that does not change."""
    rng = np.random.default_rng(_SEED)
    return rng.permutation(key_count)[_zipf_ranks(rng, key_count, exponent, count)]


def zipf_with_scans(key_count: int, count: int) -> Trace:
    """Zipf 0.99, interrupted by runs of keys that come once: nightly jobs, crawlers, exports."""
    requests = zipf(key_count, count)
    run = key_count // 20
    period = int(run / _SCAN_SHARE)
    fresh = key_count
    for start in range(period - run, count, period):
        stop = min(start + run, count)
        requests[start:stop] = np.arange(fresh, fresh + stop - start)
        fresh += stop - start
    return requests


def loop(key_count: int, count: int) -> Trace:
    """A fifth of the keys, twice what the cache holds, over and over in the same order."""
    return np.arange(count) % (key_count // 5)


def shifting(key_count: int, count: int) -> Trace:
    """Zipf 0.99, but which keys are popular changes altogether some times."""
    rng = np.random.default_rng(_SEED)
    ranks = _zipf_ranks(rng, key_count, 0.99, count)
    phases = [rng.permutation(key_count) for _ in range(_PHASES)]
    phase_of = np.minimum(np.arange(count) * _PHASES // count, _PHASES - 1)
    return np.array(phases)[phase_of, ranks]


TRACES: dict[str, Callable[[int, int], Trace]] = {
    "zipf 0.8": lambda keys, count: zipf(keys, count, 0.8),
    "zipf 0.99": lambda keys, count: zipf(keys, count, 0.99),
    "zipf 1.2": lambda keys, count: zipf(keys, count, 1.2),
    "zipf with scans": zipf_with_scans,
    "loop": loop,
    "shifting hot set": shifting,
}
