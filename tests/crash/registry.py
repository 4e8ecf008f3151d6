"""The table of workloads, and what their programs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .driver import Driver, Options, Recorded

SEGMENT_BYTES = 4096
Program = Callable[[Any, Random], None]


@dataclass(frozen=True, slots=True)
class Workload:
    """A program, the options of the log or database it drives, and by what driver."""

    name: str
    program: Program
    options: Options = field(default_factory=dict)
    of: type[Recorded] = Driver
    deferred: bool = False  # full segments are sealed by the next sync and not at once


WORKLOADS: dict[str, Workload] = {}


def enter(name: str, program: Program, of: type[Recorded], **options: Any) -> None:
    """Put a program into the table; at process durability also with seals that come later.

    There another thread seals full segments, so several may be unsealed when the power fails.
    """
    assert name not in WORKLOADS, f"two workloads are called {name}"
    WORKLOADS[name] = Workload(name, program, options, of)
    if options["durability"] == "process":
        WORKLOADS[f"{name}_deferred"] = Workload(f"{name}_deferred", program, options, of, deferred=True)


def workload(*, both: bool = False, of: type[Recorded] = Driver, **options: Any) -> Callable[[Program], Program]:
    """Put a program into the table under its own name, and with `both` under process_… at that durability."""

    def decorate(program: Program) -> Program:
        whole = {"segment_bytes": SEGMENT_BYTES, "durability": "power", **options}
        enter(program.__name__, program, of, **whole)
        if both:
            enter(f"process_{program.__name__}", program, of, **{**whole, "durability": "process"})
        return program

    return decorate


def some_size(random: Random, most: int = 300) -> int:
    """Bytes of a value: often an edge."""
    return random.choice((0, 1, 7, 8, 40, 100, random.randrange(most + 1)))


def some_key(random: Random) -> bytes | None:
    """A key that comes again, or none."""
    return random.choice((None, b"", b"a", b"b", b"c", b"k%d" % random.randrange(6)))


def fill(driver: Driver, random: Random, records: int) -> None:
    """Append records of which a segment takes three or four."""
    for _ in range(records):
        driver.append(random.choice((200, 700, 1300)), some_key(random))
