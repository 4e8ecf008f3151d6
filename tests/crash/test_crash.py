"""No crash state of any workload loses a record, invents one, or keeps the log or the database from opening.

A few hundred states in the default run, 35,000 with ``-m crash``, a million with
``python -m tests.crash --states 1000000``. Failures name the state and the command that shows it again.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pytest

from striate.storage import table_compaction
from striate.storage.log import Log

from .database_driver import DatabaseDriver
from .driver import Driver
from .explore import Explorer, Tally, parse_replay, run_task
from .rot import check_rot, rot_states
from .stream_driver import StreamDriver
from .toy import FLAWS, flawed
from .workloads import WORKLOADS

FEW = 5
ROTTING = ["append_one_by_one", "append_batches", "rolls", "reopening", "keyed", "fixed_length"]
MANY = {Driver: 300, DatabaseDriver: 500, StreamDriver: 500}  # about 35,000 in all
PROCESSES = 2


def report(tally: Tally) -> str:
    return "\n".join(
        f"{problem}\n  again: python -m tests.crash --replay {replay}" for replay, problem in tally.failures
    )


@pytest.mark.parametrize("workload", WORKLOADS)
def test_some_crash_states(workload: str) -> None:
    explorer = Explorer(workload)
    explorer.run_sample(FEW)
    assert not explorer.tally.failures, report(explorer.tally)
    assert explorer.tally.states >= FEW


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.crash
@pytest.mark.parametrize("workload", WORKLOADS)
def test_many_crash_states(pool: ProcessPoolExecutor, workload: str) -> None:
    total = Tally()
    seed = 1
    many = MANY[WORKLOADS[workload].of]
    while total.states < many and not total.failures:
        share = (many - total.states) // PROCESSES + 1
        tasks = [(workload, seed + number, share) for number in range(PROCESSES)]
        for _, tally in pool.map(partial(run_task, sample=True), tasks):
            total.add(tally)
        seed += PROCESSES
    assert not total.failures, report(total)


@pytest.mark.parametrize("workload", ROTTING)
def test_some_rot(workload: str) -> None:
    seen = {check_rot(state) for state in rot_states(Explorer(workload).trace, 15)}
    assert seen - {"harmless"}, "no flipped bit was ever noticed"


@pytest.mark.crash
@pytest.mark.parametrize("workload", ROTTING)
def test_much_rot(workload: str) -> None:
    for state in rot_states(Explorer(workload, 1).trace, 400):
        check_rot(state)


# ---------------------------------------------------------------- do the checks check?


def test_the_sound_toy_passes() -> None:
    tally = Explorer("toy", 0, flawed("")).run(600)
    assert not tally.failures, report(tally)
    assert tally.nested > 100


@pytest.mark.parametrize("flaw", FLAWS)
def test_every_known_mistake_is_caught(flaw: str) -> None:
    assert Explorer("toy", 0, flawed(flaw)).run(1500).failures


@pytest.mark.parametrize("workload", ["append_one_by_one", "tables"])
@pytest.mark.parametrize("ignored", ["sync", "sync_directory"])
def test_a_disk_that_lies_is_caught(ignored: str, workload: str) -> None:
    """The same over a disk that says "synced" and is not: records have to be missed."""
    explorer = Explorer(workload)
    operations = explorer.trace.operations
    operations[:] = [operation for operation in operations if operation[0] != ignored]
    assert explorer.run(500).failures


@pytest.mark.parametrize(("workload", "name"), [("append_one_by_one", "append"), ("transactions", "transaction")])
def test_early_acknowledgements_are_caught(workload: str, name: str) -> None:
    """What is acknowledged before its sync is a record that a crash may take."""
    explorer = Explorer(workload)
    explorer.trace.operations[:] = acknowledged_early(explorer.trace.operations, name)
    assert explorer.run(1000).failures


def acknowledged_early(operations: list[tuple[object, ...]], name: str) -> list[tuple[object, ...]]:
    """Put every "end" note in front of the last sync before it."""
    early: list[tuple[object, ...]] = []
    for operation in operations:
        place = len(early)
        if operation[:3] == ("note", "end", name):
            while early[place - 1][0] != "sync":
                place -= 1
            place -= 1
        early.insert(place, operation)
    return early


def test_a_compaction_that_forgets_deletions_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they hide is in a segment that stays, and would be back."""
    rewrite = table_compaction._rewrite
    monkeypatch.setattr(table_compaction, "_rewrite", lambda db, run, first, durable: rewrite(db, run, True, durable))
    assert Explorer("deletions_that_hide").run_sample(500).failures


def test_a_compaction_that_trusts_memory_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """At process durability a power cut takes what has taken the place of the records that are gone."""
    monkeypatch.setattr(Log, "sync", lambda log: log.durable_offset)
    assert Explorer("process_compacted").run_sample(1000).failures


def test_replays_find_the_same_state() -> None:
    explorer = Explorer("toy", 0, flawed("files removed before the manifest"))
    explorer.run(1500)
    replay, _ = explorer.tally.failures[0]
    _, _, path = parse_replay(replay)
    again = Explorer("toy", 0, flawed("files removed before the manifest"))
    assert again.find(path).image == explorer.find(path).image
