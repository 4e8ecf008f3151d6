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
def compact_and_merge(driver: Driver, random: Random) -> None:
    """Many segments of which little stays become few, twice over; the second time there are gaps to merge."""
    driver.open()
    for _ in range(2):
        for number in range(20):
            driver.append(900, random.choice((b"a", b"b", None if number % 10 == 0 else b"c")))
        driver.compact(tombstone_grace=0.0)
    driver.append(900, b"a")
    driver.close()


@workload(both=True)
def compact_to_nothing(driver: Driver, random: Random) -> None:
    """Nothing stays of the last segment, or of the whole log; the next offset does."""
    driver.open()
    if random.random() < 0.5:
        driver.append(100)
    for _ in range(2):
        for _ in range(6):
            driver.append(random.choice((100, 1900)), b"a")
        driver.append_tombstone(b"a")
        driver.compact(tombstone_grace=0.0)
        driver.reopen()
        if random.random() < 0.5:
            driver.truncate_after(driver.contents.end - random.randrange(1, 4))
            driver.compact(tombstone_grace=0.0)
    driver.append(100, b"a")
    driver.close()


@workload(both=True, record_size=400)
def fixed_length_gaps(driver: Driver, random: Random) -> None:
    """Compaction of segments that are cut in the middle: the places of the records before the cut are empty."""
    driver.open()
    for _ in range(2):
        for _ in range(12):
            driver.append(400)
        driver.truncate_before(driver.contents.lowest + random.randrange(1, 12))
        driver.compact(tombstone_grace=0.0)
        driver.append_many([400, 400])
        driver.truncate_after(driver.contents.end - random.randrange(1, 4))
    driver.reopen()
    driver.append(400)
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


_FIXED_STEPS: tuple[tuple[int, Callable[[Driver, Random], None]], ...] = (
    (8, lambda driver, random: driver.append(400)),
    (4, lambda driver, random: driver.append_many([400] * random.randrange(1, 5))),
    *(step for step in _STEPS[3:] if step[0] == 1),
)


def any_step(driver: Driver, random: Random) -> Callable[[Driver, Random], None]:
    """Something that can be done to an open log."""
    steps = _FIXED_STEPS if "record_size" in driver.options else _STEPS
    return random.choices(steps, [weight for weight, _ in steps])[0][1]


@workload(both=True)
def everything(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(25):
        any_step(driver, random)(driver, random)
    driver.close()
