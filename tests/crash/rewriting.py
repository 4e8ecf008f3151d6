"""Workloads that rewrite and copy the log, see syncs fail, or do everything at random."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .driver import Driver
from .registry import fill, some_key, some_size, workload

# ---------------------------------------------------------------- rewriting and copying


@workload()
def compact(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(2):
        for _ in range(14):
            if random.random() < 0.2:
                driver.append_tombstone(random.choice((b"a", b"b")))
            else:
                driver.append(random.choice((100, 500, 900)), random.choice((None, b"a", b"b", b"a", b"b", b"c")))
        driver.compact(tombstone_grace=random.choice((0.0, 86400.0)))
        driver.append(100, b"a")
    driver.close()
    driver.open()
    driver.append(100, b"b")
    driver.close()


@workload(durability="process")
def process_compact(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(16):
        driver.append(random.choice((100, 500, 900)), random.choice((None, b"a", b"b", b"a", b"b")))
    driver.compact(tombstone_grace=0.0)
    driver.append(500, b"a")
    driver.truncate_after(driver.contents.end - 2)
    driver.append(500, b"a")
    driver.compact(tombstone_grace=0.0)
    driver.close()


@workload(both=True)
def snapshot(driver: Driver, random: Random) -> None:
    driver.open()
    fill(driver, random, 5)
    driver.snapshot("copy1")
    fill(driver, random, 3)
    driver.truncate_before(2)
    driver.snapshot("copy2")
    driver.append(10)
    driver.close()


# ---------------------------------------------------------------- failed syncs


@workload()
def failed_sync(driver: Driver, random: Random) -> None:
    driver.open()
    for size in (10, 700, 1900, 10):
        fill(driver, random, random.randrange(3))
        before = driver.contents
        driver.append_failing(size)
        driver.close_failed()
        driver.recover([before, driver.states[-1]])
    driver.append(10)
    driver.close()


@workload(both=True)
def failed_recovery(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(4):
        fill(driver, random, 1 + random.randrange(3))
        driver.kill()
        for nth in range(1, random.randrange(2, 6)):
            driver.recover_failing(nth)
        driver.recover([driver.contents])
    driver.close()


# ---------------------------------------------------------------- rot and repair


@workload(both=True)
def repaired(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(3):
        fill(driver, random, 8)
        driver.append(50)
        victim = random.choice([offset for offset in driver.contents.rows if offset < driver.contents.end - 2])
        driver.close()
        driver.rot(victim)
        driver.repair()
    driver.close()


# ---------------------------------------------------------------- everything


_STEPS: tuple[tuple[int, Callable[[Driver, Random], None]], ...] = (
    (8, lambda driver, random: driver.append(some_size(random, 1500), some_key(random))),
    (
        4,
        lambda driver, random: driver.append_many([some_size(random, 900) for _ in range(random.randrange(1, 5))]),
    ),
    (2, lambda driver, random: driver.append_tombstone(random.choice((b"a", b"b", b"")))),
    (2, lambda driver, random: driver.sync()),
    (1, lambda driver, random: driver.checkpoint()),
    (
        1,
        lambda driver, random: driver.truncate_before(random.randint(driver.contents.lowest, driver.contents.end)),
    ),
    (
        1,
        lambda driver, random: driver.truncate_after(random.randint(driver.contents.lowest, driver.contents.end) - 1),
    ),
    (1, lambda driver, random: driver.reset(random.randrange(100)) if random.random() < 0.3 else None),
    (1, lambda driver, random: driver.retain(max_bytes=6000)),
    (1, lambda driver, random: driver.compact(tombstone_grace=random.choice((0.0, 86400.0)))),
    (1, lambda driver, random: driver.snapshot(f"copy{driver.serial}x{len(driver.states)}")),
    (1, lambda driver, random: driver.reopen()),
)


def any_step(random: Random) -> Callable[[Driver, Random], None]:
    """Something that can be done to an open log."""
    return random.choices(_STEPS, [weight for weight, _ in _STEPS])[0][1]


@workload(both=True)
def everything(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(25):
        any_step(random)(driver, random)
    driver.close()
