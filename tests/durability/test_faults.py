"""Every call to the disk fails once, and from some call on for ever; the log says so and loses nothing.

For each kind of call the Nth one fails, for N from 1 until a run comes through without meeting the fault.
Whatever the log has answered until then has to be there when it is opened on a healthy disk.
"""

from __future__ import annotations

import errno
import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crash.ledger import Ledger

from striate._native.simulation import OPERATIONS, SimulatedDisk
from striate.errors import CorruptError, DiskError, DiskFullError, StorageError, SyncFailedError
from striate.storage.log import Log
from striate.types import Durability

SEGMENT_BYTES = 4096
ERRNOS = {
    "open": errno.EMFILE,
    "allocate": errno.ENOSPC,
    "map": errno.ENOMEM,
    "make_directory": errno.ENOSPC,
}


Scenario = Callable[[str, SimulatedDisk, Ledger, dict[str, Any]], None]


def run_and_recover(path: str, disk: SimulatedDisk, ledger: Ledger, options: dict[str, Any]) -> None:
    """Create, append over several rolls, crash, recover, go on."""
    log = Log(path, _disk=disk, **options)
    try:
        for size in (10, 600, 1500, 1900, 10):
            ledger.append(log, size)
        ledger.append(log, 10, 2000, 10)
    except StorageError:
        close_and_expect_storage_errors(log)
        raise
    del log  # without close(): to the next writer that is a killed process
    log = Log(path, _disk=disk, **options)
    try:
        ledger.check(log)
        ledger.append(log, 700)
        log.close()
    except StorageError:
        close_and_expect_storage_errors(log)
        raise


def truncate_and_close(path: str, disk: SimulatedDisk, ledger: Ledger, options: dict[str, Any]) -> None:
    """Create, append, cut on both sides, append, close, open."""
    log = Log(path, _disk=disk, **options)
    try:
        for size in (10, 1500, 1900, 1500, 10, 20):
            ledger.append(log, size)
        ledger.truncate_before(log, 2)
        ledger.truncate_after(log, 4)
        ledger.append(log, 30)
        log.close()
        log = Log(path, _disk=disk, **options)
        ledger.check(log)
        log.close()
    except StorageError:
        close_and_expect_storage_errors(log)
        raise


SCENARIOS: dict[str, Scenario] = {"recover": run_and_recover, "truncate": truncate_and_close}


def close_and_expect_storage_errors(log: Log) -> None:
    try:
        log.close()
    except StorageError:
        pass


@pytest.fixture
def path(fast_path: Path) -> Iterator[str]:
    gc.collect()
    gc.freeze()  # thousands of collections below look at what a test has made and at nothing else
    yield str(fast_path / "log")
    gc.unfreeze()
    gc.collect()


def run_with_fault(scenario: Scenario, path: str, fault: dict[str, Any], **options: Any) -> bool:
    """Whether the fault was met; then everything that was acknowledged is still there."""
    shutil.rmtree(path, ignore_errors=True)
    disk = SimulatedDisk()
    disk.recording = False
    disk.fail(**fault)
    ledger = Ledger()
    options = {"segment_bytes": SEGMENT_BYTES, **options}
    raised = None
    try:
        scenario(path, disk, ledger, options)
    except StorageError as error:
        raised = error
        if isinstance(error, SyncFailedError):
            ledger.distrust()
    assert not disk.misuses, "a file was used that is not open"
    check_error(raised, fault, disk)
    disk.heal()
    check_healthy(path, ledger, options)
    return disk.faults_hit > 0


def check_error(error: StorageError | None, fault: dict[str, Any], disk: SimulatedDisk) -> None:
    assert disk.faults_hit or error is None
    assert not isinstance(error, CorruptError), f"a failing call was taken for rot: {error}"
    if isinstance(error, DiskError):
        assert error.errno == fault["errno"]
        assert error.path
        assert error.operation
        assert str(error).startswith("cannot ")
        full = fault["errno"] == errno.ENOSPC and fault["operation"] != "sync"
        assert isinstance(error, DiskFullError) or not full


def check_healthy(path: str, ledger: Ledger, options: dict[str, Any]) -> None:
    """On a disk that works again, nothing is missing and the log goes on."""
    disk = SimulatedDisk()
    disk.recording = False
    with Log(path, _disk=disk, **options) as log:
        assert not log.recovery.problems
        ledger.check(log)
        ledger.append(log, 100)
        ledger.append(log, 10, 1900)
        assert log.verify().ok
    with Log(path, _disk=disk, **options) as log:
        ledger.check(log)
    del log  # its mappings live as long as it does
    assert not disk.open_files
    assert not disk.mapped_files


# ---------------------------------------------------------------- every Nth call


@pytest.mark.parametrize("forever", [False, True], ids=["once", "forever"])
@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_nth_call_fails(path: str, operation: str, scenario: str, durability: str, forever: bool) -> None:
    number = ERRNOS.get(operation, errno.EIO)
    met = 0
    for nth in range(1, 1000):
        fault = {"operation": operation, "nth": nth, "errno": number, "forever": forever}
        if not run_with_fault(SCENARIOS[scenario], path, fault, durability=durability):
            break
        met += 1
    assert met or (operation, scenario) in UNUSED, f"{operation} is never called"


UNUSED = {("unlink", "recover"), ("remove_directory", "recover"), ("remove_directory", "truncate")}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("operation", ["write", "sync", "allocate"])
def test_every_nth_call_fails_with_every_error(path: str, operation: str, number: int) -> None:
    for nth in range(1, 1000):
        fault = {"operation": operation, "nth": nth, "errno": number, "partial": operation == "write"}
        if not run_with_fault(run_and_recover, path, fault):
            break


def test_nothing_is_leaked_by_failures(path: str) -> None:
    """After each failure, descriptors and mappings of the log that failed are given back."""
    for operation in ("open", "map", "allocate", "read", "write", "sync", "rename", "sync_directory"):
        for nth in range(1, 1000):
            shutil.rmtree(path, ignore_errors=True)
            disk = SimulatedDisk()
            disk.recording = False
            disk.fail(operation, nth, ERRNOS.get(operation, errno.EIO))
            try:
                run_and_recover(path, disk, Ledger(), {"segment_bytes": SEGMENT_BYTES})
            except StorageError:
                pass
            gc.collect()
            assert not disk.open_files, f"{operation} {nth}"
            assert not disk.mapped_files, f"{operation} {nth}"
            if not disk.faults_hit:
                break


def again(call: Callable[..., object], *arguments: object) -> None:
    """Do what a program does on a full disk: try once more."""
    try:
        call(*arguments)
    except SyncFailedError:
        raise
    except DiskError:
        call(*arguments)


def write_all_trying_twice(path: str, disk: SimulatedDisk, ledger: Ledger, nth: int, operation: str) -> None:
    with Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk) as log:
        disk.fail(operation, nth, errno.EIO)
        for size in (10, 1500, 1900, 1500, 20, 1900):
            again(ledger.append, log, size)
        again(ledger.truncate_before, log, 2)
        again(ledger.truncate_after, log, 4)
        again(ledger.append, log, 30, 1900)
        ledger.check(log)
        assert log.next_offset == 7
        disk.heal()


@pytest.mark.parametrize("operation", ["open", "allocate", "map", "truncate", "write", "rename", "unlink", "read"])
def test_what_failed_can_be_tried_again(path: str, operation: str) -> None:
    """Unless a sync failed, a failed operation has changed nothing and succeeds when the disk lets it."""
    for nth in range(1, 1000):
        shutil.rmtree(path, ignore_errors=True)
        disk = SimulatedDisk()
        disk.recording = False
        ledger = Ledger()
        write_all_trying_twice(path, disk, ledger, nth, operation)
        check_healthy(path, ledger, {"segment_bytes": SEGMENT_BYTES})
        if not disk.faults_hit:
            break


# ---------------------------------------------------------------- a full disk


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_full_disk_is_waited_out(path: str, disk: SimulatedDisk, durability: Durability) -> None:
    ledger = Ledger()
    log = Log(path, durability=durability, segment_bytes=SEGMENT_BYTES, _disk=disk)
    ledger.append(log, 100)
    disk.fail("allocate", errno=errno.ENOSPC, forever=True)
    disk.fail("write", errno=errno.ENOSPC, forever=True)
    refused = 0
    for _ in range(40):
        try:
            ledger.append(log, 500)
        except DiskFullError:
            refused += 1
            ledger.begun = {}
    assert refused >= 20, "records were stored into blocks that nobody had allocated"
    ledger.check(log)
    assert log.read(0).value == ledger.kept[0]
    disk.heal()
    for _ in range(20):
        ledger.append(log, 500)
    ledger.check(log)
    log.close()
    check_healthy(path, ledger, {"segment_bytes": SEGMENT_BYTES})


def test_a_refused_batch_leaves_nothing_behind(path: str, disk: SimulatedDisk) -> None:
    ledger = Ledger()
    with Log(path, segment_bytes=1 << 20, _disk=disk) as log:
        ledger.append(log, 10)
        disk.fail("allocate", errno=errno.ENOSPC, forever=True)
        with pytest.raises(DiskFullError) as caught:
            log.append_many([b"y" * 50_000] * 10)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.hint
        disk.heal()
        assert log.next_offset == 1
        ledger.append(log, 10, 20)
        ledger.check(log)
    check_healthy(path, ledger, {"segment_bytes": 1 << 20})


@pytest.mark.parametrize("forever", [False, True], ids=["once", "forever"])
def test_a_log_can_be_closed_and_opened_on_a_full_disk(path: str, disk: SimulatedDisk, forever: bool) -> None:
    ledger = Ledger()
    log = Log(path, segment_bytes=SEGMENT_BYTES, _disk=disk)
    for _ in range(10):
        ledger.append(log, 900)
    disk.fail("allocate", errno=errno.ENOSPC, forever=forever)
    close_and_expect_storage_errors(log)
    with Log(path, segment_bytes=SEGMENT_BYTES, mode="r", _disk=disk) as reader:
        ledger.check(reader)
    disk.heal()
    check_healthy(path, ledger, {"segment_bytes": SEGMENT_BYTES})
