"""Workloads over the tables of a database, at both durabilities; calls fail in the last of them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random
from typing import Any

from striate.errors import DiskError, SyncFailedError

from .database_driver import NAMES, DatabaseDriver
from .faulty import OPERATIONS
from .registry import Program, workload
from .tables import Tables

Step = Callable[[DatabaseDriver, Random], None]


def of_a_database(**options: Any) -> Callable[[Program], Program]:
    """A workload whose program gets a database, at both durabilities."""
    return workload(both=True, of=DatabaseDriver, **options)


def a_key(random: Random) -> bytes:
    return random.choice((b"", b"k%d" % random.randrange(6)))


def write(driver: DatabaseDriver, random: Random) -> None:
    """Write or delete some key."""
    name, key = random.choice(NAMES), a_key(random)
    chance = random.random()
    if chance < 0.5:
        driver.set(name, key, random.choice((0, 10, 200, 900)), random.choice((None, None, 0.5, 100.0)))
    elif chance < 0.7:
        driver.delete(name, key)
    elif chance < 0.8:
        driver.increment(name, b"count")
    elif chance < 0.9:
        driver.set_many(name, [a_key(random) for _ in range(random.randrange(1, 5))], random.choice((0, 300)))
    else:
        driver.delete_many(name, sorted({a_key(random) for _ in range(3)}))


def fill(driver: DatabaseDriver, random: Random, writes: int) -> None:
    """Write few keys over and over, so that few of the records of a segment still count."""
    for _ in range(writes):
        driver.set(random.choice("ab"), b"k%d" % random.randrange(3), random.choice((300, 700, 1300)))


@of_a_database()
def tables(driver: DatabaseDriver, random: Random) -> None:
    driver.open()
    for number in range(18):
        write(driver, random)
        if number % 7 == 6 and not driver.power:
            driver.sync()
        if number == 9:
            driver.reopen()
    driver.close()


@of_a_database()
def transactions(driver: DatabaseDriver, random: Random) -> None:
    driver.open()
    for number in range(8):
        driver.transaction(random, random.randrange(1, 7))
        if number % 3 == 1:
            driver.conflict("b", a_key(random))
        elif number % 3 == 2:
            driver.group(random, random.randrange(1, 5))
    driver.close()


@of_a_database()
def expiring(driver: DatabaseDriver, random: Random) -> None:
    """Values that end, some before the crash, some until the recovery, some never; nothing that they hid comes back."""
    driver.open()
    for number in range(16):
        key = b"k%d" % random.randrange(3)
        chance = random.random()
        if chance < 0.6:
            driver.set("a", key, random.choice((10, 700)), random.choice((None, 1.0, 60.0, 10_000.0)))
        elif chance < 0.75:
            driver.touch("a", key, random.choice((None, 1.0, 60.0)))
        elif chance < 0.9:
            driver.set_many("b", [key, b"other"], 10, 60.0)
        else:
            driver.delete("a", key)
        driver.pass_time(random.choice((0, 0, 0.5, 30)))
        if number % 6 == 5:
            driver.compact(random.choice((0.7, 2.0)))
    driver.close()


@of_a_database()
def compacted(driver: DatabaseDriver, random: Random) -> None:
    driver.open()
    for _ in range(2):
        fill(driver, random, 9)
        driver.delete(random.choice("ab"), b"k0")
        driver.compact(random.choice((0.5, 0.9, 2.0)))
        write(driver, random)
    driver.close()
    driver.open()
    driver.delete("b", b"k1")
    driver.compact()
    driver.close()


@of_a_database()
def compacted_while_it_settles(driver: DatabaseDriver, random: Random) -> None:
    """Compaction meets records whose successors are in the log and not on the disk."""
    driver.open()
    fill(driver, random, 8)
    for _ in range(3):
        driver.group(random, 4, compact=True)
        fill(driver, random, 2)
    driver.close()


@of_a_database()
def deletions_that_hide(driver: DatabaseDriver, random: Random) -> None:
    """Segments are written anew while an older one stays, with values that were deleted or expired since."""
    driver.open()
    driver.set_many("a", [b"kept%d" % number for number in range(6)], 300)
    driver.set_many("a", [b"gone", b"over", b"both"], 300)
    driver.set("a", b"more", 1200)  # begins a segment
    driver.reopen()
    driver.delete("a", b"gone")
    driver.set_many("a", [b"over", b"both"], 10, 1.0)
    driver.delete("a", b"both")
    driver.pass_time(random.choice((0.5, 2)))
    for _ in range(random.randrange(8, 12)):
        driver.set("b", b"k", 900)
    driver.compact(0.5)
    driver.reopen()
    driver.delete("a", b"kept0")
    driver.compact(random.choice((0.5, 2.0)))
    driver.close()


@of_a_database()
def hinted(driver: DatabaseDriver, random: Random) -> None:
    driver.open()
    for _ in range(5):
        for _ in range(random.randrange(4)):
            write(driver, random)
        if random.random() < 0.4:
            driver.compact(random.choice((0.9, 2.0)))
        driver.close()
        if random.random() < 0.3:
            driver.forget_hints()
        driver.open()
    driver.close()


@of_a_database()
def dropped(driver: DatabaseDriver, random: Random) -> None:
    """Tables that go and come again, and compaction that gives their space back."""
    driver.open()
    for _ in range(4):
        fill(driver, random, random.randrange(1, 6))
        driver.set_many("c", [b"k%d" % number for number in range(5)], 100)
        driver.drop(random.choice(NAMES))
        if random.random() < 0.5:
            write(driver, random)
        if random.random() < 0.6:
            driver.compact(random.choice((0.5, 0.9, 2.0)))
        if random.random() < 0.5:
            driver.reopen()
    driver.close()
    driver.forget_hints()
    driver.open()
    driver.drop("a")
    driver.close()


@of_a_database()
def copied(driver: DatabaseDriver, random: Random) -> None:
    driver.open()
    fill(driver, random, 4)
    driver.snapshot("copy1")
    driver.transaction(random)
    driver.compact()
    driver.snapshot("copy2")
    driver.set("a", b"k0", 10)
    driver.close()


# ---------------------------------------------------------------- everything

_STEPS: tuple[tuple[int, Step], ...] = (
    (10, write),
    (4, lambda driver, random: driver.transaction(random, random.randrange(1, 7))),
    (2, lambda driver, random: driver.group(random, random.randrange(1, 5))),
    (1, lambda driver, random: driver.conflict(random.choice(NAMES), a_key(random))),
    (1, lambda driver, random: driver.touch(random.choice(NAMES), a_key(random), random.choice((None, 1.0)))),
    (1, lambda driver, random: driver.sync()),
    (1, lambda driver, random: driver.drop(random.choice(NAMES))),
    (2, lambda driver, random: driver.compact(random.choice((0.5, 0.9, 2.0)))),
    (1, lambda driver, random: driver.snapshot(f"copy{driver.serial}x{len(driver.states)}")),
    (2, lambda driver, random: driver.reopen()),
    (1, lambda driver, random: driver.pass_time(random.choice((0.1, 1, 30)))),
)


def any_step(random: Random) -> Step:
    """Something that can be done to an open database."""
    return random.choices(_STEPS, [weight for weight, _ in _STEPS])[0][1]


@of_a_database()
def all_of_it(driver: DatabaseDriver, random: Random) -> None:
    driver.open()
    for _ in range(22):
        any_step(random)(driver, random)
    driver.close()


# ---------------------------------------------------------------- calls that fail


def under_way(driver: DatabaseDriver) -> Tables:
    """What the operation that has failed was to lead to; the state before it when none had begun."""
    notes = [operation for operation in driver.disk.operations if operation[0] == "note"]
    return driver.states[notes[-1][3]] if notes[-1][1] == "begin" else driver.contents


def _check_failed(driver: DatabaseDriver) -> None:
    """A database that has seen a failed sync takes nothing more, and does not try the sync again."""
    calls = driver.disk.calls["sync"]
    calls_to_make: list[Callable[[], object]] = [driver.db.sync]
    for table in map(driver.db.stored, driver.db.tables()):
        calls_to_make += [
            lambda table=table: table.set(b"k0", b"never"),
            lambda table=table: table.set_many({b"k0": b""}),
        ]
        calls_to_make.append(lambda table=table: driver.db.transact(lambda tx: tx[table].set(b"k0", b"never")))
    for call in calls_to_make:
        try:
            call()
        except SyncFailedError:
            continue
        raise AssertionError("a database whose sync has failed goes on")
    assert driver.disk.calls["sync"] == calls, "a failed sync was tried again"


def go_on(driver: DatabaseDriver, after: Tables) -> None:
    """Look what a failed operation has left; open the database again when it has to be."""
    candidates = [driver.contents, after]
    failed = driver.is_open and bool(driver.db.log._failed)
    if failed:
        problems = [state.accepts(driver.observe(), killed=False, running=True) for state in candidates]
        assert "" in problems, f"after a failed sync: {problems}"
        _check_failed(driver)
    elif driver.is_open:
        problem = driver.take(candidates, killed=True, running=True)
        assert not problem, f"after a failed call: {problem}"
        return
    driver.disk.note("failed")
    driver.close_failed()
    problem = driver.recover(candidates, killed=False)
    assert not problem, f"opened after a failed call: {problem}"


def attempt(driver: DatabaseDriver, random: Random, step: Step) -> None:
    """Do something while a call fails, and go on whatever becomes of it."""
    number = random.choice((errno.EIO, errno.ENOSPC))
    driver.disk.fail(random.choice(OPERATIONS), random.randrange(1, 6), number, forever=random.random() < 0.2)
    try:
        step(driver, random)
    except DiskError:
        driver.disk.heal()
        go_on(driver, under_way(driver))
    finally:
        driver.disk.heal()


def fail_now_and_then(driver: Any, random: Random, count: int, choose: Callable[[Random], Any]) -> None:
    """So many steps, a call failing in half of them."""
    for _ in range(count):
        step = choose(random)
        if random.random() < 0.5:
            attempt(driver, random, step)
        else:
            step(driver, random)


@of_a_database()
def failing(driver: DatabaseDriver, random: Random) -> None:
    driver.open()
    driver.table("a")
    fail_now_and_then(driver, random, 22, any_step)
    driver.close()
