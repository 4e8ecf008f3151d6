"""Puts a crash state into files, opens the log on it, and compares with what had been acknowledged."""

from __future__ import annotations

import os
from glob import glob

from striate._native.simulation import SimulatedDisk
from striate.errors import LogNotFoundError, NotALogError, StriateError
from striate.storage.check import repair

from .contents import Contents
from .database_check import judge_database
from .database_driver import DatabaseDriver
from .driver import Driver, Trace, observe
from .model import DiskModel, Image
from .recording import scratch
from .state import BrokenPromiseError, CrashState

_LIVE_BYTES, _LIVE_INODE = 256, 24


def check(state: CrashState, *, record: bool = False) -> Trace | None:
    """Recover from a crash state, use the log, and reopen it.

    Args:
        state: the disk, and what may be on it.
        record: whether to return the trace of all this, to crash in the middle of it.

    Raises:
        BrokenPromiseError: the log lost, invented or changed a record, or refused to open or to work.
    """
    with scratch() as root:
        state.image.write(root)
        _keep_inodes(root)
        disk = SimulatedDisk()
        disk.recording = record
        disk.defer_seals(state.trace.deferred)
        trace = state.trace
        driver = trace.of(root, disk, trace.options, trace.start[0], trace.log_class)
        driver.clock.now += 10**9
        driver.serial = 10**6
        try:
            if isinstance(driver, DatabaseDriver):
                judge_database(driver, state)
            else:
                _judge_log(driver, state)
        except BrokenPromiseError:
            raise
        except (StriateError, AssertionError, ValueError, LookupError, TypeError) as error:
            raise BrokenPromiseError(f"{type(error).__name__}: {error}") from error
        if disk.open_files or disk.mapped_files or disk.misuses:
            left = f"left open: {disk.open_files}, mapped: {disk.mapped_files}"
            raise BrokenPromiseError(f"{left}, {disk.misuses} calls on closed files")
        if not record:
            return None
        model = state.model.clone(root) if state.killed else DiskModel(root, state.image)
        start = state.expectation.after_crash(killed=state.killed)
        return Trace(
            trace.name,
            model,
            list(disk.operations),
            driver.states,
            start,
            trace.options,
            trace.log_class,
            trace.of,
            trace.deferred,
            state.expectation.snapshots,
            state.expectation.copying,
            state.expectation.rotten,
        )


def _keep_inodes(root: str) -> None:
    """The page that writer and readers share holds the number of its inode, which a crash does not change."""
    for path in glob(f"{root}/**/live", recursive=True):
        if os.path.getsize(path) < _LIVE_BYTES:
            continue
        with open(path, "r+b") as file:
            file.seek(_LIVE_INODE)
            file.write(os.fstat(file.fileno()).st_ino.to_bytes(8, "little"))


def _judge_log(driver: Driver, state: CrashState) -> None:
    if state.peek:
        _check_reader(state)
    if state.expectation.rotten:
        repair(driver.path, driver.disk)
        driver.disk.note("repaired")
    _recover(driver, state)
    _use(driver)
    _check_snapshots(driver.root, state)


def _recover(driver: Driver, state: CrashState) -> None:
    seen = driver.recover(state.expectation.candidates())
    problem = state.expectation.accepts(seen, killed=state.killed)
    if problem:
        raise BrokenPromiseError(problem)
    report = getattr(driver.log, "recovery", None)
    if report is not None and report.problems:
        raise BrokenPromiseError(f"a crash was taken for damage: {report.problems}")


def _check_reader(state: CrashState) -> None:
    """A reader that comes before the next writer sees the same, and changes nothing but the shared memory."""
    with scratch() as root:
        state.image.write(root)
        _keep_inodes(root)
        _peek(root, state)


def _peek(root: str, state: CrashState) -> None:
    disk = SimulatedDisk()
    try:
        log = state.trace.log_class(f"{root}/log", mode="r", _disk=disk)
    except (LogNotFoundError, NotALogError) as error:
        if all(candidate.durable == candidate.lowest for candidate in state.expectation.candidates()):
            return
        raise BrokenPromiseError(f"a reader finds no log: {error}") from error
    with log:
        seen = observe(log)
    model = DiskModel(root, state.image)
    for operation in disk.operations:
        model.apply(operation)
    if without_live(model.running()) != without_live(state.image):
        raise BrokenPromiseError("a reader has changed the disk")
    problem = state.expectation.accepts(seen, killed=state.killed)
    if problem:
        raise BrokenPromiseError(f"a reader sees something else: {problem}")


def without_live(image: Image) -> Image:
    """The image but for the page of shared memory, which readers may make."""
    return Image(image.directories, {name: file for name, file in image.files.items() if name != "log/live"})


def _use(driver: Driver) -> None:
    """The recovered log has to take records, and to keep them over a reopening."""
    size = driver.options.get("record_size") or 50
    driver.append(size)
    driver.append_many([size, size if driver.options.get("record_size") else 0, size])
    wanted = driver.contents
    driver.close()
    driver.open()
    problem = wanted.accepts(observe(driver.log), killed=True)
    if problem:
        raise BrokenPromiseError(f"after reopening: {problem}")
    report = driver.log.verify()
    if not report.ok:
        raise BrokenPromiseError(f"verify() found {report.problems}")
    driver.append(size)
    driver.close()


def _check_snapshots(root: str, state: CrashState) -> None:
    """A finished snapshot is whole; an unfinished one is either whole or not taken for a log."""
    for name in state.image.directories:
        if name == "log" or "/" in name:
            continue
        wanted = state.expectation.snapshots.get(name)
        try:
            seen = _observe_copy(f"{root}/{name}", state)
        except StriateError as error:
            if wanted is not None:
                raise BrokenPromiseError(f"the snapshot {name} does not open: {error}") from error
            continue
        problem = (wanted or state.expectation.copying[name]).accepts(seen, killed=True)
        if problem:
            raise BrokenPromiseError(f"the snapshot {name}: {problem}")
    missing = [name for name in state.expectation.snapshots if not os.path.isdir(f"{root}/{name}")]
    if missing:
        raise BrokenPromiseError(f"lost snapshots: {missing}")


def _observe_copy(path: str, state: CrashState) -> Contents:
    disk = SimulatedDisk()
    disk.recording = False
    log = state.trace.log_class(path, mode="r", _disk=disk)
    try:
        return observe(log)
    finally:
        log.close()
