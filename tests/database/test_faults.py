"""Calls to the disk that fail, over tables; and what has to be on the disk before what."""

from __future__ import annotations

import gc
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash.database_driver import DatabaseDriver
from crash.database_workloads import fill, go_on, under_way
from crash.faulty import OPERATIONS
from crash.tables import Tables
from support.child import run_child

import striate
from striate._native.simulation import SimulatedDisk
from striate.errors import DiskError, SyncFailedError
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


# ---------------------------------------------------------------- memory runs out

OUT_OF_MEMORY = """
import striate
db = striate.open(path, "process", segment_bytes=1 << 27, compaction_interval_s=None, sync_interval_ms=3_600_000)
table = db.table("t")
table.set(b"first", b"1")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
none = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), none))
done = 0
try:
    while True:
        table.set_many(((b"a%d" % done, b"x"), (b"b%d" % done, b"x")))
        done += 1
except MemoryError:
    pass
resource.setrlimit(resource.RLIMIT_AS, (none, none))
refused = 0
for call in (lambda: table.set(b"more", b"x"), db.compact, lambda: table.delete(b"first")):
    try:
        call()
    except MemoryError:
        refused += 1
right = all(table.get(b"a%d" % number) == b"x" for number in range(done))
db.close()
say(done, db._partition.poisoned, refused, right)
"""


@pytest.mark.skipif("STRIATE_SANITIZED" in os.environ, reason="sanitizers take terabytes of addresses")
def test_memory_that_runs_out_between_log_and_index(fast_path: Path) -> None:
    """The index does not know the last transaction, or half of it: no hints of that, no compaction by it."""
    path = fast_path / "db"
    said, poisoned, refused, right = run_child(OUT_OF_MEMORY, path)[0].split()
    done = int(said)
    assert (poisoned, refused, right) == ("True", "3", "True") and done > 1000
    for _ in range(2):
        with striate.open(path, "process", compaction_interval_s=None) as db:
            table = db.table("t")
            end = table.get_many([b"a%d" % done, b"b%d" % done])
            assert end in ([None, None], [b"x", b"x"]), "half of a transaction"
            assert len(table) == 1 + 2 * done + 2 * (end[0] is not None) and b"more" not in table
            assert set(table.get_many([b"b%d" % number for number in range(done)])) == {b"x"}
            db.compact()


# ---------------------------------------------------------------- every call once


def do_everything(driver: DatabaseDriver, chance: random.Random) -> None:
    driver.open()
    driver.transaction(chance)
    fill(driver, chance, 6)
    driver.delete("a", b"k0")
    driver.compact(0.5)
    driver.reopen()
    driver.set_many("c", [b"x", b"y"], 100, 1.0)
    driver.snapshot(f"copy{driver.serial}")
    driver.compact()
    driver.transaction(chance)
    driver.close()


def fail_nth(root: Path, durability: Durability, operation: str, nth: int, forever: bool) -> bool:
    """Do everything while the nth call fails, once or from then on; whether that many were made."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    disk = SimulatedDisk()
    driver = DatabaseDriver(str(root), disk, {"segment_bytes": 4096, "durability": durability}, Tables())
    disk.fail(operation, nth, forever=forever)
    chance = random.Random(nth)
    try:
        do_everything(driver, chance)
    except DiskError:
        disk.heal()
        go_on(driver, under_way(driver))
        driver.set("a", b"after", 10)
        driver.reopen()
        driver.close()
    disk.heal()
    return disk.faults_hit > 0


@pytest.mark.parametrize("operation", [*OPERATIONS, "make_directory"])
def test_every_call_fails_once(fast_path: Path, durability: Durability, operation: str) -> None:
    for forever in (False, True):
        nth = 1
        while fail_nth(fast_path / "root", durability, operation, nth, forever):
            nth += 1
        assert nth > 1
