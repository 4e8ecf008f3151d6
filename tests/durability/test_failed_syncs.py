"""A sync fails: waiters are told, the log takes nothing more, and the next opening believes only what was durable."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
from crash.ledger import Ledger
from durability.test_faults import SEGMENT_BYTES, check_healthy, close_and_expect_storage_errors

from striate._native.simulation import SimulatedDisk
from striate.errors import DiskError, SyncFailedError
from striate.storage import manifest
from striate.storage.log import Log
from striate.types import Durability


@pytest.fixture
def path(fast_path: Path) -> str:
    return str(fast_path / "log")


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failed_sync_ends_the_writing(path: str, disk: SimulatedDisk, number: int) -> None:
    ledger = Ledger()
    log = Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk)
    for _ in range(3):
        ledger.append(log, 100)
    disk.fail("sync", errno=number)
    with pytest.raises(SyncFailedError) as caught:
        ledger.append(log, 100)
    assert (caught.value.errno, caught.value.operation) == (number, "sync")
    assert log.next_offset == log.durable_offset == 3
    calls = disk.calls["sync"]
    for attempt in (lambda: log.append(b"x"), lambda: log.append_many([b"x"]), log.sync):
        with pytest.raises(SyncFailedError):
            attempt()
    assert disk.calls["sync"] == calls, "a failed sync was tried again"
    for offset, value in ledger.kept.items():
        assert log.read(offset).value == value
    assert [record.value for record in log] == list(ledger.kept.values())
    close_and_expect_storage_errors(log)
    check_healthy(path, ledger, {"segment_bytes": SEGMENT_BYTES})


def fill_a_segment(log: Log, ledger: Ledger) -> None:
    while len(log.segments()) < 2:
        ledger.append(log, 100)


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_no_descriptor_for_the_directory_is_no_failed_sync(
    path: str, disk: SimulatedDisk, number: int, durability: Durability
) -> None:
    """The log goes on; were it taken for one, what was appended since the last sync would be distrusted."""
    ledger = Ledger()
    log = Log(path, durability, segment_bytes=SEGMENT_BYTES, _disk=disk)
    ledger.append(log, 100)
    disk.fail("sync_directory", errno=number)
    with pytest.raises(DiskError) as caught:
        fill_a_segment(log, ledger)
    assert (type(caught.value), caught.value.errno, caught.value.operation) == (DiskError, number, "open")
    for _ in range(3):
        ledger.append(log, 100)
    assert len(log.segments()) == 2
    log.close()
    check_healthy(path, ledger, {"segment_bytes": SEGMENT_BYTES})


def test_no_descriptor_after_the_manifest_was_renamed(path: str, disk: SimulatedDisk) -> None:
    log = Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk)
    log.append(b"value")
    disk.fail("sync_directory", 2, errno.EMFILE)
    with pytest.raises(SyncFailedError):
        fill_a_segment(log, Ledger())
    with pytest.raises(SyncFailedError):
        log.append(b"value")


def test_what_a_failed_sync_left_is_not_believed(path: str, disk: SimulatedDisk) -> None:
    """The page cache shows the record that could not be written; a power cut would take it away again."""
    ledger = Ledger()
    log = Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk)
    ledger.append(log, 100)
    disk.fail("sync")
    with pytest.raises(SyncFailedError):
        ledger.append(log, 100)
    close_and_expect_storage_errors(log)
    with Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk) as log:
        assert log.next_offset == 1
        assert [segment.verdict for segment in log.recovery.segments] == ["distrusted"]
        assert log.append(b"again") == 1
    stored = b"".join(file.read_bytes() for file in Path(path).glob("*.broken"))
    assert b"2-" + b"x" * 100 in stored, "what was set aside is not in a .broken file"


def test_process_mode_learns_of_a_failed_sync(path: str, disk: SimulatedDisk) -> None:
    ledger = Ledger()
    log = Log(path, durability="process", segment_bytes=SEGMENT_BYTES, _disk=disk)
    ledger.append(log, 100)
    log.sync()
    ledger.append(log, 100)
    disk.fail("sync")
    with pytest.raises(SyncFailedError):
        log.sync()
    with pytest.raises(SyncFailedError):
        log.append(b"x")
    assert log.durable_offset == 1
    close_and_expect_storage_errors(log)
    with Log(path, durability="process", segment_bytes=SEGMENT_BYTES, _disk=disk) as log:
        assert log.read(0).value == ledger.kept[0]
        assert log.next_offset <= 2


def resume_and_roll(path: str, disk: SimulatedDisk, nth: int, operation: str) -> Log | None:
    """Open a closed log again and append until it has rolled; the log once a call has failed."""
    with Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk) as log:
        log.append(b"before")
    log = Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk)
    disk.fail(operation, nth)
    try:
        for _ in range(3):
            log.append(b"x" * 1900)
        log.truncate_after(2)
        log.reset()
    except SyncFailedError:
        return log
    log.close()
    return None


@pytest.mark.parametrize("operation", ["sync", "sync_directory"])
def test_whichever_sync_fails_the_log_takes_nothing_more(path: str, operation: str) -> None:
    """Also one of a file that is made for a roll, resumed, cut or removed: no call of the log syncs it again."""
    for nth in range(1, 100):
        shutil.rmtree(path, ignore_errors=True)
        disk = SimulatedDisk()
        disk.recording = False
        log = resume_and_roll(path, disk, nth, operation)
        if log is None:
            break
        calls = disk.calls["sync"] + disk.calls["sync_directory"]
        for attempt, arguments in ((log.append, (b"x",)), (log.sync, ()), (log.reset, ()), (log.truncate_before, (1,))):
            with pytest.raises(SyncFailedError):
                attempt(*arguments)
        assert log.read(0).value == b"before", f"{operation} {nth}"
        assert disk.calls["sync"] + disk.calls["sync_directory"] == calls
        close_and_expect_storage_errors(log)
    assert nth > 5


def test_no_two_manifests_have_one_sequence(path: str, disk: SimulatedDisk) -> None:
    """Readers tell manifests apart by it; a segment that cannot be resumed has had one written for nothing."""
    with Log(path, segment_bytes=SEGMENT_BYTES, durability="process", _disk=disk) as log:
        ledger = Ledger()
        ledger.append(log, 10, 10, 10)
    log = Log(path, segment_bytes=SEGMENT_BYTES, durability="process", _disk=disk)
    reader = Log(path, mode="r")
    seen = {manifest.load(disk, path).sequence}
    disk.fail("map", 2, errno.ENOMEM)
    with pytest.raises(DiskError):
        log.append(b"not now")
    seen.add(manifest.load(disk, path).sequence)
    assert reader.next_offset == 3
    log.truncate_after(0)
    assert manifest.load(disk, path).sequence not in seen
    assert reader.next_offset == 1
    assert [record.value for record in reader] == [ledger.kept[0]]
    reader.close()
    log.close()


@pytest.mark.parametrize("nth", [1, 2])
def test_the_preparing_thread_tells_of_its_failed_sync(path: str, disk: SimulatedDisk, nth: int) -> None:
    """The kernel reports a failed write-back once for a descriptor: the next sync would be told nothing."""
    log = Log(path, segment_bytes=1 << 20, _disk=disk)
    log.append(b"x" * 20_000)
    disk.fail("sync", nth)
    if nth == 2:
        log.append(b"y" * 20_000)
    log._prepare_ahead()
    with pytest.raises(SyncFailedError):
        log.append(b"z")
    assert log.read(0).value == b"x" * 20_000
    close_and_expect_storage_errors(log)
    with Log(path, segment_bytes=1 << 20, _disk=disk) as log:
        assert log.next_offset == nth
        assert log.read(0).value == b"x" * 20_000
        assert log.append(b"again") == nth


def test_blocks_are_filled_before_they_are_announced(path: str, disk: SimulatedDisk) -> None:
    """Else the zeros could fall on records that were appended meanwhile."""
    filled: list[int] = []
    with Log(path, segment_bytes=1 << 20, _disk=disk) as log:
        log.append(b"x" * 20_000)
        active = log._active

        def check_fill(_: str, position: int, size: int) -> None:
            filled.append(size)
            assert active.allocated_bytes <= position

        disk.before_fill = check_fill
        log._prepare_ahead()
        disk.before_fill = None
    assert sum(filled) >= 65536
