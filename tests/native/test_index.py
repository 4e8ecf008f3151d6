"""The index alone: pairs of relative offset and position, in a file or in memory."""

from __future__ import annotations

import bisect
import errno
import os
import random
from pathlib import Path

import pytest
from support.format import decode_index, encode_index

from striate._native.index import Index
from striate.errors import DiskError

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "00000000000000000000.index")


def fill(index: Index, relatives: list[int]) -> list[tuple[int, int]]:
    """Add entries; position in bytes follows from the number."""
    for number, relative in enumerate(relatives):
        assert index.add(relative, 8 + 5 * number)
    return [(relative, 8 * (8 + 5 * number)) for number, relative in enumerate(relatives)]


@pytest.mark.parametrize("kind", ["file", "memory"])
@pytest.mark.parametrize(
    "relatives",
    [
        pytest.param([], id="empty"),
        pytest.param([0], id="one"),
        pytest.param([7], id="one, late"),
        pytest.param(list(range(100)), id="dense"),
        pytest.param(list(range(0, 300, 3)), id="gaps"),
        pytest.param([0, 1, 2, 900, 901, 5000], id="islands"),
        pytest.param([0, 0xFFFFFFEF], id="extremes"),
    ],
)
def test_finding(path: str, kind: str, relatives: list[int]) -> None:
    index = Index.create(path, len(relatives) + 1) if kind == "file" else Index.in_memory(path)
    pairs = fill(index, relatives)
    assert index.count == len(relatives)
    assert index.is_in_memory is (kind == "memory")
    known = dict(pairs)
    asked = {near for one in [0, *relatives] for near in (one - 1, one, one + 1) if 0 <= near < 1 << 32}
    for relative in sorted(asked):
        position = known.get(relative)
        assert index.position_of(relative) == (None if position is None else position // 8), relative
        assert index.first_at_or_after(relative) == bisect.bisect_left(relatives, relative), relative


@pytest.mark.parametrize("capacity", [1, 3, 512, 513])
def test_a_full_index(path: str, capacity: int) -> None:
    index = Index.create(path, capacity)
    fill(index, list(range(capacity)))
    assert index.add(capacity, 1) is False
    assert index.count == capacity
    assert index.position_of(capacity) is None
    assert len(decode_index(Path(path).read_bytes())) == capacity


def test_the_file_grows_with_its_content(path: str) -> None:
    capacity = 100_000
    index = Index.create(path, capacity)
    assert os.path.getsize(path) == 0
    sizes = set()
    for number in range(capacity):
        assert index.add(number, number + 8)
        if number % 256 == 0:
            size = os.path.getsize(path)
            assert 8 * index.count <= size <= max(2 * 8 * index.count, PAGE) + PAGE
            assert size % PAGE == 0
            sizes.add(size)
    assert 5 < len(sizes) < 20
    assert not index.add(capacity, 8)


def test_memory_grows_with_its_content(path: str) -> None:
    index = Index.in_memory(path)
    for number in range(5000):
        assert index.add(2 * number, number)
    assert all(index.position_of(2 * number) == number for number in range(5000))
    assert not os.path.exists(path)


@pytest.mark.parametrize("count", [0, 1, 5000])
def test_saving(path: str, count: int) -> None:
    index = Index.in_memory(path)
    pairs = fill(index, [3 * number for number in range(count)])
    index.save()
    assert Path(path).read_bytes() == encode_index(pairs)
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_saving_leaves_the_old_file_to_its_readers(path: str) -> None:
    old = Index.create(path, 10)
    fill(old, [0, 1, 2])
    reader = Index.open(path, 3)
    fresh = Index.in_memory(path)
    fill(fresh, [5])
    fresh.save()
    assert reader.position_of(1) == 13
    assert Index.open(path, 1).position_of(5) == 8


def test_opening(path: str) -> None:
    fill(Index.create(path, 10), [0, 1, 4])
    index = Index.open(path, 3)
    assert (index.count, index.position_of(4), index.position_of(3)) == (3, 18, None)
    assert not index.is_in_memory
    fewer = Index.open(path, 2)
    assert fewer.position_of(4) is None, "entries are there only as far as the caller knows of them"


@pytest.mark.parametrize(("file_bytes", "count"), [(0, 0), (7, 0), (8, 1), (23, 2), (24, 3), (4096, 3)])
def test_a_file_that_is_shorter_than_it_should_be(path: str, file_bytes: int, count: int) -> None:
    fill(Index.create(path, 10), [0, 1, 4])
    os.truncate(path, file_bytes)
    assert Index.open(path, 3).count == count


def test_going_on(path: str) -> None:
    pairs = fill(Index.create(path, 10), [0, 1])
    os.truncate(path, 16)
    index = Index.resume(path, 2, 4)
    assert index.add(2, 100)
    assert index.add(3, 101)
    assert not index.add(4, 102)
    assert decode_index(Path(path).read_bytes()) == [*pairs, (2, 800), (3, 808)]


def test_a_file_that_is_there_is_not_touched(path: str) -> None:
    Path(path).write_bytes(b"precious")
    with pytest.raises(DiskError) as caught:
        Index.create(path, 4)
    assert caught.value.errno == errno.EEXIST
    assert Path(path).read_bytes() == b"precious"
    assert Index.create(path, 4, replace=True).count == 0
    assert Path(path).read_bytes() == b""


@pytest.mark.parametrize("way", ["create", "replace", "open", "resume"])
def test_a_link_is_not_followed(path: str, tmp_path: Path, way: str) -> None:
    target = tmp_path / "target"
    target.write_bytes(encode_index([(0, 64)]))
    Path(path).symlink_to(target)
    with pytest.raises(DiskError):
        {
            "create": lambda: Index.create(path, 4),
            "replace": lambda: Index.create(path, 4, replace=True),
            "open": lambda: Index.open(path, 1),
            "resume": lambda: Index.resume(path, 1, 4),
        }[way]()
    assert target.read_bytes() == encode_index([(0, 64)])


def test_no_descriptor_is_left(path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    fill(Index.create(path, 4), [0])
    Index.open(path, 1)
    Index.resume(path, 1, 4)
    assert len(os.listdir("/proc/self/fd")) == before


def test_searches_agree_with_bisection(path: str, rng: random.Random) -> None:
    relatives = sorted(rng.sample(range(10_000), 700))
    index = Index.in_memory(path)
    fill(index, relatives)
    for relative in range(10_000):
        assert index.first_at_or_after(relative) == bisect.bisect_left(relatives, relative)
