"""Workloads in which calls fail at random, and the power fails as well."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from random import Random

from striate.errors import DiskError, SyncFailedError

from .contents import Contents, survivors
from .driver import Driver, observe
from .registry import workload
from .rewriting import any_step

_OPERATIONS = "open size allocate truncate map read write sync sync_directory rename unlink".split()


def _under_way(driver: Driver) -> Contents:
    """What the operation that has failed was to lead to; the state before it when none had begun."""
    notes = [operation for operation in driver.disk.operations if operation[0] == "note"]
    return driver.states[notes[-1][3]] if notes[-1][1] == "begin" else driver.contents


def _accept(seen: Contents, before: Contents, after: Contents, *, alive: bool) -> None:
    """A failed operation was done or was not done; a compaction or retention was perhaps half done."""
    missing = before.rows.keys() - seen.rows.keys()
    if after.rows is before.rows and before.lowest < seen.lowest:
        cut = before.cut_before(seen.lowest)
        after.lowest, after.rows, after.ends, after.durable, after.alive = (
            cut.lowest,
            cut.rows,
            cut.ends,
            cut.durable,
            cut.alive,
        )
    elif after.rows is before.rows and after is not before and not missing & survivors(before.rows):
        after.optional = before.optional | missing
    problems = [state.accepts(seen, killed=alive) for state in (before, after)]
    assert "" in problems, f"after a failed call: {problems}"


def _go_on(driver: Driver, error: DiskError, after: Contents) -> None:
    """Look what a failed operation has left; open the log again when it has to be."""
    before = driver.contents
    distrusted = isinstance(error, SyncFailedError)
    if distrusted:
        driver.disk.note("failed")
        before, after = (replace(state, alive=state.durable) for state in (before, after))
        driver.close_failed()
    elif driver.closed:
        driver.kill()
    if driver.closed:
        _accept(driver.recover([before, after]), before, after, alive=not distrusted)
    else:
        seen = observe(driver.log)
        _accept(seen, before, after, alive=True)
        driver.take(seen, [before, after])


def attempt(driver: Driver, random: Random, step: Callable[[Driver, Random], None]) -> None:
    """Do something while a call fails, and go on whatever becomes of it."""
    number = random.choice((errno.EIO, errno.ENOSPC))
    driver.disk.fail(random.choice(_OPERATIONS), random.randrange(1, 6), number, forever=random.random() < 0.2)
    try:
        step(driver, random)
    except DiskError as error:
        driver.disk.heal()
        _go_on(driver, error, _under_way(driver))
    finally:
        driver.disk.heal()


@workload(both=True)
def faulty(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(25):
        if random.random() < 0.5:
            attempt(driver, random, any_step(random))
        else:
            any_step(random)(driver, random)
    driver.close()
