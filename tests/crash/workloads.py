"""What is done to a log or a database before the power fails: short programs over tiny segments, each with a seed."""

from __future__ import annotations

from random import Random

from . import appending, database_workloads, faulty, rewriting, stream_workloads
from .driver import Driver
from .registry import SEGMENT_BYTES, WORKLOADS, Workload

__all__ = ["TOY", "WORKLOADS", "appending", "database_workloads", "faulty", "rewriting", "stream_workloads"]


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
