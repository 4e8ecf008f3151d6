"""Recovers a database from a crash state, uses it, and opens it again in every way."""

from __future__ import annotations

import os

from striate import Database
from striate._native.simulation import SimulatedDisk
from striate.errors import StriateError
from striate.storage.log import Log

from .database_driver import DatabaseDriver, StoppedClock, observe
from .state import BrokenPromiseError, CrashState
from .tables import Seen


def judge_database(driver: DatabaseDriver, state: CrashState) -> None:
    """Check all that is promised of a database after a crash.

    Raises:
        BrokenPromiseError, AssertionError: something was lost, invented or changed, or the database does not work.
    """
    problem = driver.recover(state.expectation.candidates(), killed=state.killed)
    if problem:
        raise BrokenPromiseError(problem)
    if driver.db.recovery.problems:
        raise BrokenPromiseError(f"a crash was taken for damage: {driver.db.recovery.problems}")
    _use(driver)
    _check_snapshots(driver, state)


def _use(driver: DatabaseDriver) -> None:
    """The recovered database has to take changes, and to show the same with hints, without, and compacted."""
    driver.set("a", b"k0", 50)
    driver.set_many("d", [b"k1", b"k2"], 10)
    driver.delete("a", b"k1")
    driver.reopen()
    driver.close()
    driver.forget_hints()
    driver.open()
    report = driver.db.verify()
    if not report.ok:
        raise BrokenPromiseError(f"verify() found {report.problems}")
    driver.compact()
    driver.close()
    driver.open()
    driver.increment("b", b"count")
    driver.close()


def _check_snapshots(driver: DatabaseDriver, state: CrashState) -> None:
    """A finished snapshot is whole; an unfinished one is either whole or has no log."""
    for name in state.image.directories:
        if name == "db" or "/" in name:
            continue
        wanted = state.expectation.snapshots.get(name)
        clock = StoppedClock()
        clock.now = driver.clock.now
        try:
            seen = _observe_copy(f"{driver.root}/{name}", driver, clock)
        except StriateError as error:
            if wanted is not None:
                raise BrokenPromiseError(f"the snapshot {name} does not open: {error}") from error
            continue
        problem = (wanted or state.expectation.copying[name]).accepts(seen, killed=True)
        if problem:
            raise BrokenPromiseError(f"the snapshot {name}: {problem}")
    missing = [name for name in state.expectation.snapshots if not os.path.isdir(f"{driver.root}/{name}")]
    if missing:
        raise BrokenPromiseError(f"lost snapshots: {missing}")


def _observe_copy(path: str, driver: DatabaseDriver, clock: StoppedClock) -> Seen:
    disk = SimulatedDisk()
    disk.recording = False
    Log(f"{path}/log", mode="r", _disk=disk).close()  # a database would begin anew where there is no whole log
    with Database(path, clock=clock, compaction_interval_s=None, _disk=disk, **driver.options) as db:
        return observe(db, clock.now)
