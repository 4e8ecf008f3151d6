"""What is made ready ahead of the appends."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from striate import Log
from striate._native.simulation import SimulatedDisk, ThreadlessDisk

PAGE = 4096
PIECE = 65536


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


@pytest.mark.parametrize("durability", ["process", "power"])
def test_large_writes_need_neither_zeros_nor_pages(path: str, durability: Any) -> None:
    disk = SimulatedDisk()
    disk.recording = False
    fills: list[int] = []

    def note_fill(_path: str, _position: int, size: int) -> None:
        fills.append(size)

    with Log(path, segment_bytes=64 << 20, durability=durability, _disk=disk) as log:
        log.append_many([bytes(1000)] * 100)
        disk.mapped_ahead, disk.before_fill = [], note_fill
        allocated = log._active.allocated_bytes
        for _ in range(5):
            log.append_many([bytes(1000)] * 100)
            log._prepare_ahead()
        assert log._active.allocated_bytes > allocated
        assert (disk.mapped_ahead, fills) == ([], [])
        disk.before_fill = None


def operations_of_appends(path: str, durability: Any, *batches: list[bytes]) -> list[tuple[Any, ...]]:
    """What these appends did to the store file, syncs apart."""
    disk = SimulatedDisk()
    with Log(path, segment_bytes=64 << 20, durability=durability, _disk=disk) as log:
        log.append(b"makes the segment")
        opened = [op for op in disk.operations if op[0] == "open" and op[1].endswith(".store")]
        begin = len(disk.operations)
        for batch in batches:
            log.append(batch[0]) if len(batch) == 1 else log.append_many(batch)
        return [op for op in disk.operations[begin:] if op[0] in ("write", "store") and op[1] == opened[-1][3]]


SMALL, LARGE = [b"small"], [bytes(1000)] * 400
HOW = [("process", SMALL, "store"), ("process", LARGE, "write"), ("power", SMALL, "write"), ("power", LARGE, "write")]


@pytest.mark.parametrize(("durability", "batch", "how"), HOW, ids=["small", "large", "small durable", "large durable"])
def test_what_is_stored_and_what_is_written(path: str, durability: str, batch: list[bytes], how: str) -> None:
    """The table of docs/decisions/0011."""
    assert {op[0] for op in operations_of_appends(path, durability, batch, batch)} == {how}


def test_writes_end_at_multiples_of_a_piece(path: str) -> None:
    writes = operations_of_appends(path, "process", [bytes(i % 1777) for i in range(700)], LARGE)
    ends = [position + len(data) for _, _, position, data in writes]
    assert sum(end % PIECE != 0 for end in ends) == 2, "the last of each batch"
    assert [op[2] for op in writes[1:]] == ends[:-1], "one behind another"


def rss_of(path: str) -> int:
    """Bytes of this process's mappings of a file that are in its page table."""
    total, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            ours = line.endswith(path)
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def test_pages_behind_are_unmapped_by_a_sync(path: str) -> None:
    """Else the sync would interrupt every processor once for each of them."""
    options: dict[str, Any] = {"segment_bytes": 64 << 20, "sync_interval_ms": 3_600_000, "_disk": ThreadlessDisk()}
    with Log(path, durability="process", **options) as log:
        for _ in range(20_000):
            log.append(bytes(200))
        store = log.segments()[0].store_path
        assert rss_of(store) >= 4 << 20
        log.sync()
        assert rss_of(store) <= 2 * PAGE
        assert log.read(0).value == bytes(200)


def test_a_scan_asks_for_pages_in_growing_windows(path: str) -> None:
    """One after another, so that each page is asked for once; and none for a few records."""
    with Log(path, durability="process") as log:
        for _ in range(32):
            log.append_many([bytes(1000)] * 1000)
    disk = SimulatedDisk()
    with Log(path, mode="r", _disk=disk) as log:
        disk.fetched = []
        assert len([*zip(log, range(50), strict=False)]) == 50
        log.read_batch(0, PIECE)
        assert disk.fetched == []
        assert sum(1 for _ in log) == 32_000
        asked = list(disk.fetched)
        disk.fetched = []
        assert sum(len(batch) for batch in log.batches(max_bytes=1 << 20)) == 32_000
        batches = list(disk.fetched)
    assert all(address % PAGE == 0 and size % PAGE == 0 for address, size in asked + batches)
    assert sum(size for _, size in asked) >= 31 << 20
    assert len(asked) <= 40
    assert all(address + size == following for (address, size), (following, _) in pairwise(asked))
    assert sum(size for _, size in batches) >= 30 << 20
    assert len(batches) <= 40


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("forever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("partial", [False, True], ids=["nothing", "half"])
def test_a_write_that_fails_is_a_store(path: str, durability: Any, forever: bool, partial: bool) -> None:
    """The blocks are allocated, so the mapping always takes what a write would not."""
    disk = SimulatedDisk()
    values = [random.Random(i).randbytes(i * 7 % 3000) for i in range(300)]
    with Log(path, durability=durability, _disk=disk) as log:
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
