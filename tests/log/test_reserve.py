"""A full disk never locks a log out of its own files: what the reserve is for, and what keeps it whole."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from striate import DiskFullError, Log
from striate._native.simulation import SimulatedDisk
from striate.storage.reserve import STEP_BYTES, Reserve

SEGMENT_BYTES = 4096
VALUE = b"v" * 1500


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def log_path(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def opened(path: str, disk: SimulatedDisk) -> Log:
    return Log(path, durability="process", segment_bytes=SEGMENT_BYTES, _disk=disk)


def append_ten(log: Log) -> None:
    for _ in range(10):
        log.append(VALUE)


def fill_once(disk: SimulatedDisk, path_contains: str) -> None:
    disk.fail("write", errno=errno.ENOSPC, path_contains=path_contains)


def fill(disk: SimulatedDisk, path_contains: str) -> None:
    disk.fail("write", errno=errno.ENOSPC, forever=True, path_contains=path_contains)


def reserved(path: str) -> int:
    file = Path(path, "reserve")
    return file.stat().st_size if file.exists() else 0


def test_a_manifest_that_finds_no_block_gets_those_of_the_reserve(log_path: str, disk: SimulatedDisk) -> None:
    log = opened(log_path, disk)
    log.append(VALUE)
    fill_once(disk, "manifest.new")
    fill(disk, "reserve")
    log.close()
    assert reserved(log_path) == 0
    with Log(log_path, mode="r") as reader:
        assert reader.read(0).value == VALUE


def test_records_get_no_new_blocks_while_the_reserve_is_not_whole(log_path: str, disk: SimulatedDisk) -> None:
    log = opened(log_path, disk)
    for _ in range(3):
        log.append(VALUE)
    fill_once(disk, "manifest.new")
    fill(disk, "reserve")
    log.truncate_before(2)
    log.append(VALUE)  # still has blocks
    with pytest.raises(DiskFullError, match="reserve"):
        append_ten(log)
    assert log.next_offset == 4
    assert log.read(3).value == VALUE
    log.close()
    disk.heal()
    with opened(log_path, disk) as log:
        assert reserved(log_path) == STEP_BYTES
        assert log.append(VALUE) == log.next_offset - 1


def test_appends_go_on_when_there_is_space_again(log_path: str, disk: SimulatedDisk) -> None:
    with opened(log_path, disk) as log:
        fill(disk, "manifest.new")
        with pytest.raises(DiskFullError):
            append_ten(log)
        assert reserved(log_path) == STEP_BYTES  # appends never get it
        disk.heal()
        before = log.next_offset
        assert [log.append(VALUE) for _ in range(10)] == list(range(before, before + 10))


def test_opening_after_a_kill_gets_the_reserve(log_path: str, disk: SimulatedDisk) -> None:
    log = opened(log_path, disk)
    log.append(VALUE)
    del log  # without close(): to the next writer that is a killed process
    fill_once(disk, "manifest.new")
    fill(disk, "index.new")
    fill(disk, "reserve")
    with opened(log_path, disk) as log:
        assert log.read(0).value == VALUE
        assert reserved(log_path) == 0


def test_opening_a_full_disk_without_a_reserve_says_what_can_be_done(log_path: str, disk: SimulatedDisk) -> None:
    log = opened(log_path, disk)
    log.append(VALUE)
    del log
    fill(disk, "manifest.new")
    fill(disk, "reserve")
    with pytest.raises(DiskFullError, match="mode='r'"):
        opened(log_path, disk)
    with Log(log_path, mode="r") as reader:
        assert reader.read(0).value == VALUE
    disk.heal()
    with opened(log_path, disk) as log:
        assert log.read(0).value == VALUE


@pytest.mark.parametrize(("manifest_bytes", "steps"), [(0, 1), (30_000, 1), (40_000, 2), (720_000, 22)])
def test_size(tmp_path: Path, disk: SimulatedDisk, manifest_bytes: int, steps: int) -> None:
    reserve = Reserve(disk, str(tmp_path))
    assert reserve.refill(manifest_bytes) is None
    assert reserved(str(tmp_path)) == reserve.size_bytes == steps * STEP_BYTES
    assert Reserve(disk, str(tmp_path)).size_bytes == reserve.size_bytes


def test_it_takes_what_the_disk_has(tmp_path: Path, disk: SimulatedDisk) -> None:
    disk.fail("write", errno=errno.ENOSPC, path_contains="reserve")
    reserve = Reserve(disk, str(tmp_path))
    assert isinstance(reserve.refill(0), DiskFullError)
    assert reserved(str(tmp_path)) == STEP_BYTES // 2
    assert reserve.refill(0) is None
    assert reserved(str(tmp_path)) == STEP_BYTES
