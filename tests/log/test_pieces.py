"""Batches around the sizes at which they are made and written in pieces."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from striate import Log

PIECE = 65536

BATCHES = {
    "one": [10],
    "empty values": [0] * 5000,
    "one byte": [1] * 5000,
    "a piece but one byte": [PIECE - 25, 1],
    "a piece": [PIECE - 24, 1],
    "a piece and one byte": [1, PIECE - 23, 1],
    "large ones only": [PIECE, PIECE * 3 + 1, PIECE],
    "large between small": [5, 100_000, 7, 8, 200_001, 9],
    "many pieces": [128] * 3000,
    "around the size that is written": [1000] * 31,
    "just above it": [1000] * 33,
    "mixed": [i * i % 7919 for i in range(400)],
}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def values_of(sizes: list[int], seed: int) -> list[bytes]:
    source = random.Random(seed)
    return [source.randbytes(size) for size in sizes]


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("sizes", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "keys"])
def test_every_byte_comes_back(path: str, durability: str, sizes: list[int], keyed: bool) -> None:
    values = values_of(sizes, 1)
    keys = [None if i % 3 == 0 else b"k%d" % i for i in range(len(sizes))] if keyed else None
    expected = [(b"before", None), *zip(values, keys or itertools.repeat(None), strict=False), (b"after", None)]
    with Log(path, durability=durability) as log:  # type: ignore[arg-type]
        log.append(b"before")
        assert log.append_many(values, keys) == range(1, len(values) + 1)
        log.append(b"after")
        assert [(r.value, r.key) for r in log] == expected
        assert len({r.timestamp for r in log.scan(1, len(values) + 1)}) == 1
        assert log.verify().ok
        with Log(path, mode="r") as reader:
            assert [(r.value, r.key) for r in reader] == expected
    with Log(path) as log:
        assert [(r.value, r.key) for r in log] == expected


@pytest.mark.parametrize("durability", ["process", "power"])
def test_records_of_one_length(path: str, durability: str) -> None:
    with Log(path, durability=durability, record_size=100) as log:  # type: ignore[arg-type]
        values = values_of([100] * 3000, 2)
        log.append(bytes(100))
        log.append_many(values)
        log.append_many(b"".join(values), lengths=np.full(3000, 100))
        assert [r.value for r in log.scan(1)] == values * 2
        assert log.verify().ok


@pytest.mark.parametrize("durability", ["process", "power"])
def test_segments_full_to_the_last_byte(path: str, durability: str) -> None:
    """Batches that just fit, or just do not: the next segment begins, and nothing is lost."""
    source = random.Random(3)
    written: list[bytes] = []
    with Log(path, durability=durability, segment_bytes=100_000) as log:  # type: ignore[arg-type]
        for _ in range(60):
            batch = [source.randbytes(source.choice([0, 8, 104, 1000])) for _ in range(source.randrange(1, 80))]
            log.append_many(batch)
            written += batch
            log.append(b"x" * source.choice([0, 1, 8]))
            written.append(log.read(log.next_offset - 1).value)
        assert len(log.segments()) > 4
        assert [r.value for r in log] == written
    with Log(path) as log:
        assert [r.value for r in log] == written
