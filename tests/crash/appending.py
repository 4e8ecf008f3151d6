"""Workloads that append to the log and cut it."""

from __future__ import annotations

from random import Random

from .driver import Driver
from .registry import fill, some_key, some_size, workload

# ---------------------------------------------------------------- appending


@workload()
def append_one_by_one(driver: Driver, random: Random) -> None:
    driver.open()
    for number in range(25):
        driver.append(some_size(random), some_key(random))
        if number % 8 == 5:
            driver.checkpoint()
        elif number % 8 == 2:
            driver.append_around_checkpoint(some_size(random))
    driver.close()


@workload()
def append_batches(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(10):
        driver.append_many([some_size(random) for _ in range(random.randrange(1, 6))])
    driver.close()


@workload(durability="process")
def process_mode(driver: Driver, random: Random) -> None:
    driver.open()
    for number in range(24):
        if number % 4 == 3:
            driver.append_many([some_size(random) for _ in range(random.randrange(1, 5))])
        else:
            driver.append(some_size(random))
        if number % 7 == 6:
            driver.sync()
            driver.checkpoint()
    driver.close()


@workload(both=True)
def equal_sizes(driver: Driver, random: Random) -> None:
    """What is appended after recovery has the size of what was lost, so stale frames would fit behind it."""
    driver.open()
    for _ in range(4):
        driver.append(50)
        driver.append_many([50] * random.randrange(2, 7))
        if random.random() < 0.3:
            driver.close()
            driver.open()
    driver.close()


@workload()
def rolls(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(14):
        driver.append(random.choice((600, 1200, 1900, 3500)))
    driver.close()


@workload(durability="process")
def process_rolls(driver: Driver, random: Random) -> None:
    driver.open()
    for number in range(20):
        driver.append(random.choice((100, 600, 1200, 1900)))
        if number % 9 == 8:
            driver.sync()
            driver.checkpoint()
        elif number % 9 == 4:
            driver.checkpoint()
        elif number % 9 == 6:
            driver.append_around_checkpoint(600)
    driver.close()


@workload()
def large_batches(driver: Driver, random: Random) -> None:
    driver.open()
    driver.append(100)
    driver.append_many([1500, 1500, 1500, 1500])
    driver.append(10)
    driver.append_many([random.randrange(3000) for _ in range(4)])
    driver.append(3900)
    driver.close()


@workload()
def reopening(driver: Driver, random: Random) -> None:
    for _ in range(5):
        driver.open()
        for _ in range(random.randrange(4)):
            driver.append(random.choice((10, 900)))
        driver.close()


@workload(durability="process")
def process_reopening(driver: Driver, random: Random) -> None:
    for _ in range(5):
        driver.open()
        for _ in range(random.randrange(5)):
            driver.append(random.choice((10, 900)))
        if random.random() < 0.3:
            driver.sync()
        driver.close()


@workload(record_size=24)
def fixed_length(driver: Driver, random: Random) -> None:
    driver.open()
    for number in range(16):
        if number % 3 == 2:
            driver.append_many([24] * random.randrange(1, 40))
        else:
            driver.append(24)
    driver.close()


@workload(record_size=200, durability="process", initial_offset=1000)
def process_fixed_length(driver: Driver, random: Random) -> None:
    driver.open()
    for number in range(30):
        driver.append(200)
        if number % 9 == 8:
            driver.sync()
    driver.close()
    driver.open()
    driver.append(200)
    driver.close()


@workload(both=True, segment_bytes=160_000)
def prepared(driver: Driver, random: Random) -> None:
    """Segments so large that blocks are allocated, and in power mode filled with zeros, ahead of the appends."""
    driver.open()
    for number in range(14):
        driver.append(random.choice((10, 5000, 20_000, 32_000)))
        if number % 2:
            driver.prepare()
        if number % 5 == 4:
            driver.sync()
            driver.checkpoint()
    driver.close()
    driver.open()
    driver.append(10)
    driver.prepare()
    driver.append_many([9000, 9000, 9000])
    driver.close()


@workload(initial_offset=70_000)
def keyed(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(20):
        if random.random() < 0.25:
            driver.append_tombstone(random.choice((b"a", b"b", b"c")))
        else:
            driver.append(some_size(random), some_key(random))
    driver.close()


# ---------------------------------------------------------------- cutting


@workload(both=True)
def truncate_before(driver: Driver, random: Random) -> None:
    driver.open()
    fill(driver, random, 12)
    driver.truncate_before(random.randrange(1, 12))
    driver.append(10)
    driver.truncate_before(random.randrange(driver.contents.lowest, 14))
    fill(driver, random, 3)
    driver.truncate_before(driver.contents.end)
    driver.append(10)
    driver.close()


@workload(both=True)
def truncate_after(driver: Driver, random: Random) -> None:
    driver.open()
    fill(driver, random, 10)
    driver.truncate_after(random.randrange(4, 10))
    driver.append_many([30, 40])
    driver.truncate_after(driver.contents.end - 2)
    driver.append(700)
    driver.truncate_after(driver.contents.end - 1)
    driver.close()
    driver.open()
    driver.truncate_after(random.randrange(-1, driver.contents.end))
    fill(driver, random, 3)
    driver.close()


@workload(record_size=400)
def fixed_length_truncation(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(20):
        driver.append(400)
    driver.truncate_after(random.randrange(3, 20))
    driver.append(400)
    driver.truncate_before(random.randrange(0, 4))
    driver.append_many([400, 400, 400])
    driver.close()


@workload(both=True)
def reset(driver: Driver, random: Random) -> None:
    driver.open()
    fill(driver, random, 6)
    driver.reset(random.choice((0, 3, 100)))
    driver.append(50)
    driver.append(2000)
    driver.reset(random.choice((0, 1_000_000)))
    driver.close()
    driver.open()
    driver.append(50)
    driver.close()


@workload(both=True)
def retain(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(3):
        fill(driver, random, 7)
        driver.retain(max_bytes=random.choice((4096, 8000)))
    driver.retain(min_offset=driver.contents.end)
    driver.append(10)
    driver.close()
