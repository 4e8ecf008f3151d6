"""What is done to the log before the power fails: short programs over tiny segments, each with a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from .driver import Driver, Options

SEGMENT_BYTES = 4096
Program = Callable[[Driver, Random], None]


@dataclass(frozen=True, slots=True)
class Workload:
    """A program and the options of the log it drives."""

    name: str
    program: Program
    options: Options = field(default_factory=dict)
    deferred: bool = False  # full segments are sealed by the next sync and not at once


WORKLOADS: dict[str, Workload] = {}


def workload(**options: Any) -> Callable[[Program], Program]:
    """Enter a program into :data:`WORKLOADS` under its own name."""

    def enter(program: Program) -> Program:
        whole = {"segment_bytes": SEGMENT_BYTES, "durability": "power", **options}
        WORKLOADS[program.__name__] = Workload(program.__name__, program, whole)
        return program

    return enter


def _sizes(random: Random, most: int = 300) -> int:
    return random.choice((0, 1, 7, 8, 40, 100, random.randrange(most + 1)))


def _key(random: Random) -> bytes | None:
    return random.choice((None, b"", b"a", b"b", b"c", b"k%d" % random.randrange(6)))


# ---------------------------------------------------------------- appending


@workload()
def append_one_by_one(driver: Driver, random: Random) -> None:
    driver.open()
    for number in range(25):
        driver.append(_sizes(random), _key(random))
        if number % 8 == 5:
            driver.checkpoint()
    driver.close()


@workload()
def append_batches(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(10):
        driver.append_many([_sizes(random) for _ in range(random.randrange(1, 6))])
    driver.close()


@workload(durability="process")
def process_mode(driver: Driver, random: Random) -> None:
    driver.open()
    for number in range(24):
        if number % 4 == 3:
            driver.append_many([_sizes(random) for _ in range(random.randrange(1, 5))])
        else:
            driver.append(_sizes(random))
        if number % 7 == 6:
            driver.sync()
            driver.checkpoint()
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


@workload(initial_offset=70_000)
def keyed(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(20):
        if random.random() < 0.25:
            driver.append_tombstone(random.choice((b"a", b"b", b"c")))
        else:
            driver.append(_sizes(random), _key(random))
    driver.close()


# ---------------------------------------------------------------- cutting


def _fill(driver: Driver, random: Random, records: int) -> None:
    for _ in range(records):
        driver.append(random.choice((200, 700, 1300)), _key(random))


@workload()
def truncate_before(driver: Driver, random: Random) -> None:
    driver.open()
    _fill(driver, random, 12)
    driver.truncate_before(random.randrange(1, 12))
    driver.append(10)
    driver.truncate_before(random.randrange(driver.contents.lowest, 14))
    _fill(driver, random, 3)
    driver.truncate_before(driver.contents.end)
    driver.append(10)
    driver.close()


def _cut_tails(driver: Driver, random: Random) -> None:
    driver.open()
    _fill(driver, random, 10)
    driver.truncate_after(random.randrange(4, 10))
    driver.append_many([30, 40])
    driver.truncate_after(driver.contents.end - 2)
    driver.append(700)
    driver.truncate_after(driver.contents.end - 1)
    driver.close()
    driver.open()
    driver.truncate_after(random.randrange(-1, driver.contents.end))
    _fill(driver, random, 3)
    driver.close()


workload()(_cut_tails)
WORKLOADS["truncate_after"] = Workload("truncate_after", _cut_tails, WORKLOADS.pop("_cut_tails").options)
WORKLOADS["process_truncate_after"] = Workload(
    "process_truncate_after", _cut_tails, {**WORKLOADS["truncate_after"].options, "durability": "process"}
)


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


@workload()
def reset(driver: Driver, random: Random) -> None:
    driver.open()
    _fill(driver, random, 6)
    driver.reset(random.choice((0, 3, 100)))
    driver.append(50)
    driver.append(2000)
    driver.reset(random.choice((0, 1_000_000)))
    driver.close()
    driver.open()
    driver.append(50)
    driver.close()


@workload()
def retain(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(3):
        _fill(driver, random, 7)
        driver.retain(max_bytes=random.choice((4096, 8000)))
    driver.retain(min_offset=driver.contents.end)
    driver.append(10)
    driver.close()


# ---------------------------------------------------------------- rewriting and copying


@workload()
def compact(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(2):
        for _ in range(14):
            if random.random() < 0.2:
                driver.append_tombstone(random.choice((b"a", b"b")))
            else:
                driver.append(
                    random.choice((100, 500, 900)), random.choice((None, b"a", b"b", b"a", b"b", b"c"))
                )
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


@workload()
def snapshot(driver: Driver, random: Random) -> None:
    driver.open()
    _fill(driver, random, 5)
    driver.snapshot("copy1")
    _fill(driver, random, 3)
    driver.truncate_before(2)
    driver.snapshot("copy2")
    driver.append(10)
    driver.close()


# ---------------------------------------------------------------- failed syncs


@workload()
def failed_sync(driver: Driver, random: Random) -> None:
    driver.open()
    for size in (10, 700, 1900, 10):
        _fill(driver, random, random.randrange(3))
        before = driver.contents
        driver.append_failing(size)
        driver.close_failed()
        driver.recover([before, driver.states[-1]])
    driver.append(10)
    driver.close()


@workload()
def failed_recovery(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(4):
        _fill(driver, random, 1 + random.randrange(3))
        driver.kill()
        for nth in range(1, random.randrange(2, 6)):
            driver.recover_failing(nth)
        driver.recover([driver.contents])
    driver.close()


WORKLOADS["process_failed_recovery"] = replace(
    WORKLOADS["failed_recovery"],
    name="process_failed_recovery",
    options={**WORKLOADS["failed_recovery"].options, "durability": "process"},
)


# ---------------------------------------------------------------- everything


_STEPS: tuple[tuple[int, Callable[[Driver, Random], None]], ...] = (
    (8, lambda driver, random: driver.append(_sizes(random, 1500), _key(random))),
    (
        4,
        lambda driver, random: driver.append_many(
            [_sizes(random, 900) for _ in range(random.randrange(1, 5))]
        ),
    ),
    (2, lambda driver, random: driver.append_tombstone(random.choice((b"a", b"b", b"")))),
    (2, lambda driver, random: driver.sync()),
    (1, lambda driver, random: driver.checkpoint()),
    (
        1,
        lambda driver, random: driver.truncate_before(
            random.randint(driver.contents.lowest, driver.contents.end)
        ),
    ),
    (
        1,
        lambda driver, random: driver.truncate_after(
            random.randint(driver.contents.lowest, driver.contents.end) - 1
        ),
    ),
    (1, lambda driver, random: driver.reset(random.randrange(100)) if random.random() < 0.3 else None),
    (1, lambda driver, random: driver.retain(max_bytes=6000)),
    (1, lambda driver, random: driver.compact(tombstone_grace=random.choice((0.0, 86400.0)))),
    (1, lambda driver, random: driver.snapshot(f"copy{driver.serial}x{len(driver.states)}")),
    (1, lambda driver, random: (driver.close(), driver.open(), None)[2]),
)


def _everything(driver: Driver, random: Random) -> None:
    driver.open()
    weights = [weight for weight, _ in _STEPS]
    for _ in range(25):
        random.choices(_STEPS, weights)[0][1](driver, random)
    driver.close()


for _durability in ("power", "process"):
    _name = f"everything_{_durability}"
    WORKLOADS[_name] = Workload(
        _name, _everything, {"segment_bytes": SEGMENT_BYTES, "durability": _durability}
    )

# At process durability full segments are sealed later, by another thread: several may be unsealed in a crash.
for _name in [name for name in WORKLOADS if "process" in name]:
    WORKLOADS[_name + "_deferred"] = replace(WORKLOADS[_name], name=_name + "_deferred", deferred=True)


def _toy(driver: Driver, random: Random) -> None:
    driver.open()
    for _ in range(3):
        driver.append(100)
        driver.append_many([10, 600])
    driver.truncate_after(4)
    driver.append_many([10, 20])
    driver.truncate_before(2)
    driver.close()
    driver.open()
    driver.append(20)
    driver.close()


TOY = Workload("toy", _toy, {"segment_bytes": SEGMENT_BYTES})
