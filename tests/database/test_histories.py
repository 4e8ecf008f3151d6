"""Recorded histories of concurrent transactions are strictly serializable: real time and the order of each included."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from support import appends

import striate
from striate import history
from striate.types import Durability

WORKERS = 8
STEPS = 60  # of each, in the default run
MANY_STEPS = 1500


def checked(db: striate.Database, file: Path) -> list[history.Transaction]:
    """What was recorded, and found serializable; lists nobody has read are read first."""
    appends.read_all(db, file, appends.keys_of(history.load(file)))
    made = history.load(file)
    report = history.check(made)
    assert report.valid, str(report)
    assert not any(made_one.outcome == "unknown" for made_one in made)
    assert appends.check_groups(db) > len(made) / 200, "hardly anything was acknowledged"
    return made


def by_threads(path: Path, durability: Durability, steps: int, *, compact: bool = True) -> list[history.Transaction]:
    file = path / "history.jsonl"
    with striate.open(path / "db", durability, segment_bytes=65536, compaction_interval_s=None) as db:
        done = threading.Event()

        def compact_again_and_again() -> None:
            while not done.wait(0.01):
                db.compact(live_below=0.5)

        compactor = threading.Thread(target=compact_again_and_again)
        if compact:
            compactor.start()
        try:
            with history.Recorder(file) as recorder:
                appends.run_threads(db, recorder, "t", WORKERS, steps)
        finally:
            done.set()
            if compact:
                compactor.join()
        return checked(db, file)


def by_tasks(path: Path, durability: Durability, steps: int) -> list[history.Transaction]:
    file = path / "history.jsonl"

    async def main() -> None:
        async with striate.aopen(path / "db", durability, segment_bytes=65536) as db:
            with history.Recorder(file) as recorder:
                await appends.run_tasks(db, recorder, "t", WORKERS, steps)

    asyncio.run(main())
    with striate.open(path / "db", durability) as db:
        return checked(db, file)


def check_mixture(made: list[history.Transaction]) -> None:
    """There was something to check: conflicts, and transactions of several lists that were committed."""
    outcomes = [one.outcome for one in made]
    assert outcomes.count("fail") > len(made) / 100, "hardly anything was at the same time"
    assert sum(one.outcome == "ok" and len(one.operations) > 2 for one in made) > len(made) / 10


def test_threads(tmp_path: Path, durability: Durability) -> None:
    made = by_threads(tmp_path, durability, STEPS)
    assert len(made) == WORKERS * STEPS + 1


def test_tasks(tmp_path: Path, durability: Durability) -> None:
    check_mixture(by_tasks(tmp_path, durability, STEPS))


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_many_by_threads(tmp_path: Path, durability: Durability) -> None:
    check_mixture(by_threads(tmp_path, durability, MANY_STEPS))


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_many_by_tasks(tmp_path: Path, durability: Durability) -> None:
    check_mixture(by_tasks(tmp_path, durability, MANY_STEPS))
