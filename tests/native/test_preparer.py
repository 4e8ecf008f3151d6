"""What is made ready ahead of the appends."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from striate import Log
from striate._native.simulation import SimulatedDisk

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def test_whole_pages_are_mapped_one_behind_another(path: str) -> None:
    """madvise refuses addresses inside a page, and says nothing that anyone listens to."""
    disk = SimulatedDisk()
    disk.recording = False
    source = random.Random(1)
    with Log(path, segment_bytes=64 << 20, durability="process", _disk=disk) as log:
        log.append(b"first")
        disk.mapped_ahead = []
        for _ in range(60):
            for _ in range(source.randrange(1, 2000)):
                log.append(bytes(source.randrange(200)))
            log._prepare_ahead()
        store = log._active.store
        spans = list(disk.mapped_ahead)
        disk.mapped_ahead = None
        end_position, allocated = log._active.end_position, log._active.allocated_bytes
        assert store is not None
    assert all(address % PAGE == 0 and size % PAGE == 0 and size > 0 for address, _, size in spans)
    files: dict[int, int] = {}
    for address, position, size in spans:
        base = address - position
        assert position >= files.get(base, 0), "mapped twice"
        files[base] = position + size
    assert len(files) == 2  # store and index
    store_end = max(files.values())
    assert end_position < store_end <= allocated
    # No smaller pieces than are worth a call.
    assert len(spans) < store_end // (16 * PAGE)


def test_large_writes_need_neither_zeros_nor_pages(path: str) -> None:
    for durability in ("process", "power"):
        disk = SimulatedDisk()
        disk.recording = False
        fills: list[int] = []
        options: Any = {"durability": durability}
        with Log(path + durability, segment_bytes=64 << 20, _disk=disk, **options) as log:
            log.append_many([bytes(1000)] * 100)
            disk.mapped_ahead = []
            disk.before_fill = lambda _path, _position, size, fills=fills: fills.append(size)  # type: ignore[misc]
            allocated = log._active.allocated_bytes
            for _ in range(5):
                log.append_many([bytes(1000)] * 100)
                log._prepare_ahead()
            assert log._active.allocated_bytes > allocated
            assert (disk.mapped_ahead, fills) == ([], [])
            disk.before_fill = None


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("forever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("partial", [False, True], ids=["nothing", "half"])
def test_a_write_that_fails_is_a_store(path: str, durability: str, forever: bool, partial: bool) -> None:
    """The blocks are allocated, so the mapping always takes what a write would not."""
    disk = SimulatedDisk()
    values = [random.Random(i).randbytes(i * 7 % 3000) for i in range(300)]
    with Log(path, durability=durability, _disk=disk) as log:  # type: ignore[arg-type]
        log.append(b"first")
        disk.fail("write", 2, forever=forever, partial=partial, path_contains="000")
        log.append_many(values)
        log.append(b"last")
        assert disk.faults_hit > 0
        disk.heal()
        assert [record.value for record in log] == [b"first", *values, b"last"]
        assert log.verify().ok
    with Log(path) as log:
        assert log.next_offset == 302
