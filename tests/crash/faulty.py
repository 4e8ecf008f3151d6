"""Workloads in which calls fail at random, and the power fails as well."""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random

from striate.errors import DiskError, SyncFailedError

from .contents import Contents, survivors
from .driver import Driver, observe
from .registry import workload
from .rewriting import any_step

OPERATIONS = "open size allocate truncate map read write sync sync_directory rename unlink".split()


def _under_way(driver: Driver) -> tuple[str, Contents]:
    """The operation that has failed and what it was to lead to; the state before it when none had begun."""
    notes = [operation for operation in driver.disk.operations if operation[0] == "note"]
    _, kind, name, state = notes[-1]
    return (name, driver.states[state]) if kind == "begin" else ("", driver.contents)


def _complete(after: Contents, before: Contents, seen: Contents) -> None:
    """Of a retention or compaction that was begun only the log knows what it was to drop: `after` becomes that."""
    if after is before or after.rows is not before.rows:
        return
    missing = {offset for offset in before.rows if offset >= seen.lowest} - seen.rows.keys()
    if before.lowest < seen.lowest:
        after.become(before.cut_before(seen.lowest))
    elif not missing & survivors(before.rows):
        after.optional = before.optional | missing


def _accept(seen: Contents, before: Contents, after: Contents, *, alive: bool) -> None:
    """A failed operation was done or was not done."""
    _complete(after, before, seen)
    problems = [state.accepts(seen, killed=alive) for state in (before, after)]
    assert "" in problems, f"after a failed call: {problems}"


def _check_failed(driver: Driver, before: Contents, after: Contents) -> None:
    """A log that has seen a failed sync shows what it has shown, and takes nothing more."""
    _accept(observe(driver.log), before, after, alive=True)
    calls = driver.disk.calls["sync"]
    value = b"x" * driver.options.get("record_size", 1)
    for write in (lambda: driver.log.append(value), lambda: driver.log.append_many([value, value]), driver.log.sync):
        try:
            write()
        except SyncFailedError:
            continue
        raise AssertionError("a log whose sync has failed goes on")
    assert driver.disk.calls["sync"] == calls, "a failed sync was tried again"


def _go_on(driver: Driver, error: DiskError, operation: str, after: Contents) -> None:
    """Look what a failed operation has left; open the log again when it has to be."""
    before = driver.contents
    distrusted = isinstance(error, SyncFailedError)
    if distrusted and not driver.closed:
        # The files of a copy are thrown away, so their syncs may fail and the log goes on.
        distrusted = bool(driver.log._failed) or operation not in ("snapshot", "compact")
        if distrusted:
            _check_failed(driver, before, after)
    if distrusted:
        driver.disk.note("failed")
        driver.close_failed()
    elif driver.closed:
        driver.kill()
    candidates = [before, after]
    if driver.closed:
        _accept(driver.recover(candidates), before, after, alive=not distrusted)
    else:
        seen = observe(driver.log)
        _accept(seen, before, after, alive=True)
        driver.take(seen, candidates)


def attempt(driver: Driver, random: Random, step: Callable[[Driver, Random], None]) -> None:
    """Do something while a call fails, and go on whatever becomes of it."""
    number = random.choice((errno.EIO, errno.ENOSPC))
    driver.disk.fail(random.choice(OPERATIONS), random.randrange(1, 6), number, forever=random.random() < 0.2)
    try:
        step(driver, random)
    except DiskError as error:
        driver.disk.heal()
        _go_on(driver, error, *_under_way(driver))
    finally:
        driver.disk.heal()


@workload(both=True)
def faulty(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(25):
        step = any_step(driver, random)
        if random.random() < 0.5:
            attempt(driver, random, step)
        else:
            step(driver, random)
    driver.close()


@workload(both=True, record_size=400)
def faulty_fixed_length(driver: Driver, random: Random) -> None:
    faulty(driver, random)


def _prepare_and_append(driver: Driver, random: Random) -> None:
    driver.prepare()
    driver.append(random.choice((10, 5000, 20_000, 32_000)))


@workload(both=True, segment_bytes=160_000)
def faulty_prepared(driver: Driver, random: Random) -> None:
    """Faults while blocks are made ready ahead of the appends: the append after them has to tell of a failed sync."""
    driver.open()
    for _ in range(10):
        attempt(driver, random, _prepare_and_append)
        driver.append(random.choice((10, 5000, 20_000)))
    driver.close()
