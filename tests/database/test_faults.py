"""Calls to the disk that fail, over tables; and what has to be on the disk before what."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import striate
from striate._native.simulation import SimulatedDisk
from striate.errors import SyncFailedError
from striate.types import Durability


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def path(fast_path: Path) -> Iterator[str]:
    yield str(fast_path / "db")
    gc.collect()  # what a failed opening has left


def opened(path: str, disk: SimulatedDisk, durability: Durability = "power", **options: Any) -> striate.Database:
    return striate.open(path, durability, segment_bytes=4096, _disk=disk, **options)


def test_close_tells_of_a_failed_sync(path: str, disk: SimulatedDisk) -> None:
    """It makes all durable, hints or not; else what was written since the last sync would be gone without a word."""
    db = opened(path, disk, "process")
    db.table("t")[b"a"] = b"1"
    db.sync()
    db.table("t")[b"a"] = b"2"
    disk.fail("sync")
    with pytest.raises(SyncFailedError):
        db.close()
    assert db.closed
    with opened(path, disk, "process") as db:
        assert db.table("t")[b"a"] == b"1"


def test_hints_that_cannot_be_written_are_no_trouble(path: str, disk: SimulatedDisk, durability: Durability) -> None:
    for operation in ("open", "write", "sync", "rename"):
        with opened(path, disk, durability) as db:
            db.table("t")[b"a"] = operation.encode()
            disk.fail(operation, path_contains="hints")
        disk.heal()
        with opened(path, disk, durability) as db:
            assert db.table("t")[b"a"] == operation.encode()


def test_what_compaction_drops_has_a_successor_on_the_disk(path: str, disk: SimulatedDisk) -> None:
    """At process durability the successor may be in memory only; a power cut would take both."""
    with opened(path, disk, "process") as db:
        table = db.table("t")
        for number in range(20):
            table[b"a"] = b"%d" % number + b"x" * 500
        db.sync()
        table[b"a"] = b"last"
        end = db.log._written_next
        assert db.log.durable_offset < end
        db.compact(live_below=1.0)
        assert db.log.durable_offset == end


@pytest.mark.parametrize("operation", ["make_directory", "sync_directory"])
def test_the_directory_of_a_database_is_made_for_good(path: str, disk: SimulatedDisk, operation: str) -> None:
    """Whoever began it may have been killed between making the directory and syncing its name."""
    disk.fail(operation, 2)
    with pytest.raises(striate.StorageError):
        opened(path, disk)
    assert os.path.isdir(path) and not os.listdir(path)
    disk.operations.clear()
    opened(path, disk).close()
    assert ("sync_directory", os.path.dirname(path)) in disk.operations


def test_a_snapshot_into_an_empty_directory_is_there_for_good(path: str, disk: SimulatedDisk) -> None:
    copy = path + "-copy"
    os.mkdir(copy)
    with opened(path, disk) as db:
        db.table("t")[b"a"] = b"1"
        db.snapshot(copy)
        assert ("sync_directory", os.path.dirname(copy)) in disk.operations
        disk.operations.clear()
        os.mkdir(copy + "2")
        db.log.snapshot(copy + "2")
        assert ("sync_directory", os.path.dirname(copy)) in disk.operations


def test_a_closed_database_lets_its_memory_go(path: str, disk: SimulatedDisk) -> None:
    gc.disable()
    try:
        db = opened(path, disk)
        db.table("t")[b"a"] = b"1"
        db.close()
        del db
        assert not disk.mapped_files, "the indexes wait for the garbage collector"
    finally:
        gc.enable()
