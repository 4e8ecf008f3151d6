"""Workloads over streams and groups of a database, at both durabilities."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .database_workloads import fail_now_and_then
from .registry import workload
from .stream_driver import STREAMS, StreamDriver

Step = Callable[[StreamDriver, Random], None]

_STEPS: tuple[tuple[int, Step], ...] = (
    (
        6,
        lambda driver, random: driver.append(
            random.choice(STREAMS), random.randrange(1, 6), random.choice((0, 30, 400))
        ),
    ),
    (2, lambda driver, random: driver.remove(random.choice(STREAMS), random)),
    (2, lambda driver, random: driver.trim(random.choice(STREAMS), random.randrange(8))),
    (4, lambda driver, random: driver.deliver("s", random.choice(("one", "two")), random.randrange(1, 6)) and None),
    (3, lambda driver, random: driver.acknowledge("s", random)),
    (2, lambda driver, random: driver.auto_claim("s", random.choice(("one", "two")), random.randrange(1, 5))),
    (4, lambda driver, random: driver.pipeline(random)),
    (4, lambda driver, random: driver.mixed(random)),
    (1, lambda driver, random: driver.drop_stream(random.choice(STREAMS))),
    (2, lambda driver, random: driver.compact(random.choice((0.5, 0.9, 2.0)))),
    (1, lambda driver, random: driver.reopen()),
    (1, lambda driver, random: driver.pass_time(random.choice((0.001, 1)))),
    (1, lambda driver, random: driver.set(random.choice("ab"), b"k0", random.choice((10, 700)))),
)


def stream_step(random: Random) -> Step:
    """Something that can be done to an open database with streams."""
    return random.choices(_STEPS, [weight for weight, _ in _STEPS])[0][1]


@workload(both=True, of=StreamDriver)
def streams(driver: StreamDriver, random: Random) -> None:
    driver.open()
    for _ in range(18):
        stream_step(random)(driver, random)
    driver.close()


@workload(both=True, of=StreamDriver)
def streams_compacted(driver: StreamDriver, random: Random) -> None:
    """Deliveries, acknowledgements and removals are dropped for the state that stands for them."""
    driver.open()
    for _ in range(3):
        for _ in range(4):
            driver.append("s", 3, 300)
            driver.deliver("s", "one", 2)
            driver.acknowledge("s", random)
        driver.remove("s", random)
        driver.trim("s", random.randrange(6))
        driver.compact(random.choice((0.7, 2.0)))
        if random.random() < 0.5:
            driver.reopen()
    driver.close()
    driver.forget_hints()
    driver.open()
    driver.append("s", 1, 10)
    driver.close()


@workload(both=True, of=StreamDriver)
def streams_in_transactions(driver: StreamDriver, random: Random) -> None:
    """Streams change in transactions; others go, and come again."""
    driver.open()
    for _ in range(4):
        driver.append("s", random.randrange(1, 6), 30)
        driver.mixed(random)
        driver.drop_stream("t")
        driver.mixed(random)
        if random.random() < 0.5:
            driver.drop_stream("s")
        if random.random() < 0.5:
            driver.compact(random.choice((0.7, 2.0)))
        if random.random() < 0.3:
            driver.reopen()
    driver.close()


@workload(both=True, of=StreamDriver)
def streams_failing(driver: StreamDriver, random: Random) -> None:
    driver.open()
    driver.table("a")
    driver.stream("s")
    driver.stream("t")
    fail_now_and_then(driver, random, 16, stream_step)
    driver.close()
