"""What the contenders write and read: the same values, keys and random offsets for all of them.

Everything here is made before the clock starts. Only data may live here, no contender and no timing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

POOL_COUNT = 1_000
"""Distinct values that appends cycle through: too many to guess, few enough to stay in the cache."""

BATCH_COUNT = 1_000
"""Records per ``append_many`` and ``read_many``."""

_SEED = 20_260_731


@dataclass(frozen=True)
class Sizes:
    """How much work one round of each case is, in records unless the name says otherwise."""

    append_count: int = 1_000_000
    """Single appends of the plain file and striate."""
    append_slow_count: int = 100_000
    """Single appends of the contenders that commit each record."""
    batch_count: int = 1_000_000
    batch_1k_count: int = 200_000
    durable_count: int = 5_000
    concurrent_share_count: int = 500
    """Durable appends of each of the concurrent tasks or threads."""
    stored_count: int = 1_000_000
    """Data set of reads and scans of 128 B records; larger than any cache but the last level."""
    read_count: int = 200_000
    stored_1k_count: int = 200_000
    read_1k_count: int = 100_000
    reopen_count: int = 10_000_000
    killed_count: int = 2_500_000
    killed_segment_bytes: int = 512 << 20
    """Segment size of the killed writer: all its records lie in one unsealed segment."""
    import_repeat_count: int = 3
    """Interpreters started per round, with and without the import; the fastest of each counts."""


SMOKE_SIZES = Sizes(
    append_count=20_000,
    append_slow_count=5_000,
    batch_count=50_000,
    batch_1k_count=10_000,
    durable_count=200,
    concurrent_share_count=20,
    stored_count=50_000,
    read_count=10_000,
    stored_1k_count=10_000,
    read_1k_count=5_000,
    reopen_count=200_000,
    killed_count=100_000,
    killed_segment_bytes=32 << 20,
    import_repeat_count=1,
)
"""Every code path in a few seconds; far too small to judge a bar by."""


@dataclass(frozen=True)
class Writes:
    """Records to append: values, and for the key-value stores the big-endian sequence number of each."""

    values: list[bytes]
    keys: list[bytes]

    def __len__(self) -> int:
        return len(self.values)

    def parts(self, part_count: int) -> list[Writes]:
        """Cut into consecutive pieces of ``part_count`` records."""
        starts = range(0, len(self), part_count)
        return [Writes(self.values[i : i + part_count], self.keys[i : i + part_count]) for i in starts]


@dataclass(frozen=True)
class Reads:
    """Random records to read, in the same order for every contender."""

    offsets: list[int]
    keys: list[bytes]
    batches: list[npt.NDArray[np.uint64]]

    def __len__(self) -> int:
        return len(self.offsets)


def sequence_key(offset: int) -> bytes:
    """The key under which a key-value store keeps the record of this offset; sorts in offset order."""
    return offset.to_bytes(8, "big")


def value_pool(value_bytes: int) -> list[bytes]:
    """``POOL_COUNT`` random values of ``value_bytes`` each, the same in every run."""
    random = np.random.default_rng(_SEED + value_bytes)
    return [random.bytes(value_bytes) for _ in range(POOL_COUNT)]


def make_writes(count: int, value_bytes: int) -> Writes:
    """``count`` records whose values cycle through the pool."""
    pool = value_pool(value_bytes)
    values = (pool * (count // POOL_COUNT + 1))[:count]
    return Writes(values, [sequence_key(offset) for offset in range(count)])


def make_reads(stored_count: int, read_count: int) -> list[Reads]:
    """One random permutation of all stored offsets, cut into rounds of ``read_count``, which divides it."""
    permutation = np.random.default_rng(_SEED).permutation(stored_count).astype(np.uint64)
    rounds = []
    for start in range(0, stored_count, read_count):
        part = permutation[start : start + read_count]
        offsets: list[int] = part.tolist()
        batches = [part[i : i + BATCH_COUNT] for i in range(0, read_count, BATCH_COUNT)]
        rounds.append(Reads(offsets, [sequence_key(offset) for offset in offsets], batches))
    return rounds
