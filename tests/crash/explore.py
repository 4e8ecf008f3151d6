"""Walks through the crash states of traces: every moment of a workload, and of the recoveries that follow."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from striate.storage.log import Log

from .check import check
from .contents import Expectation
from .driver import Driver, Trace
from .model import DiskModel
from .recording import record
from .state import BrokenPromiseError, CrashState
from .variants import KILLED_TORN, is_kill, make_image

Path = tuple[tuple[int, int], ...]  # (moment, variant) of the crash, then of the crash during its recovery, …

Task = tuple[str, int, int]  # workload, seed, states

NESTED_SHARE = 0.12  # of the states, recovery is recorded and crashed as well
NESTED_STATES = 6
DEEPEST = 3
_DULL_ROUNDS = 6  # so many variants in a row without a new state: the trace is exhausted


@dataclass(slots=True)
class Tally:
    """What was tried. `states` counts those that differ in the disk's bytes or in what was promised."""

    states: int = 0
    nested: int = 0
    repeated: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Sum up."""
        self.states += other.states
        self.nested += other.nested
        self.repeated += other.repeated
        self.failures += other.failures


def moments(trace: Trace) -> Iterator[tuple[int, DiskModel, Expectation]]:
    """Every moment at which the disk differs from the one before, with all that is promised by then.

    The model and the expectation that are yielded change with the next step.
    """
    model = trace.model.clone()
    expectation = trace.expectation()
    changed = True
    for index, operation in enumerate(trace.operations):
        if changed and (operation[0] != "note" or operation[1] == "begin"):
            yield index, model, expectation
            changed = False
        if operation[0] == "note":
            expectation.follow(operation, trace.states)
            model.serial += operation[1] == "end"  # the last store was done whole: no kill tears it
        elif model.apply(operation):
            changed = True
    if changed:
        yield len(trace.operations), model, expectation


def _seed(name: str, seed: int, path: Path) -> int:
    number = zlib.crc32(name.encode()) + (seed << 32)
    for moment, variant in path:
        number = (number * 1_000_003 + moment * 1009 + variant) % (1 << 61)
    return number


def _state(trace: Trace, model: DiskModel, expectation: Expectation, variant: int, seed: int, path: Path) -> CrashState:
    moment = path[-1][0]
    image = make_image(model, variant, _seed(trace.name, seed, (*path[:-1], (moment, 0))))
    reads = trace.of is Driver and trace.log_class is Log and not expectation.rotten
    peek = reads and (moment + variant) % 5 == 0
    return CrashState(trace, image, model, expectation, is_kill(variant), peek)


class Explorer:
    """Crash states of one workload with one seed."""

    def __init__(self, name: str, seed: int = 0, log_class: type[Log] = Log, *, trace: Trace | None = None) -> None:
        self.name = name
        self.seed = seed
        self.trace = trace or record(name, seed, log_class)
        self.tally = Tally()
        self.most_failures = 3
        self._seen: set[int] = set()

    def replay_argument(self, path: Path) -> str:
        """What `--replay` takes to come back to a state."""
        return f"{self.name}:{self.seed}:" + "/".join(f"{moment}.{variant}" for moment, variant in path)

    def run(self, budget: int, *, first_variant: int = 0) -> Tally:
        """Check up to so many new states, all moments with one variant before the next variant."""
        dull = 0
        variant = first_variant
        while self.tally.states < budget and dull < _DULL_ROUNDS:
            before = self.tally.states
            for moment, model, expectation in moments(self.trace):
                path = ((moment, variant),)
                self._visit(_state(self.trace, model, expectation, variant, self.seed, path), path)
                if self.tally.states >= budget or len(self.tally.failures) >= self.most_failures:
                    return self.tally
            dull = dull + 1 if self.tally.states == before else 0
            variant += 1
        return self.tally

    def run_sample(self, budget: int) -> Tally:
        """Check so many new states, at moments drawn from the whole trace."""
        random = Random(_seed(self.name, self.seed, ()))
        steps = sum(1 for _ in moments(self.trace))
        at_once = max(8, budget // 4)
        variant = 0
        while self.tally.states < budget and variant < 50 * budget:
            for moment, model, expectation in moments(self.trace):
                if random.random() * steps < at_once and self.tally.states < budget:
                    path = ((moment, variant),)
                    self._visit(_state(self.trace, model, expectation, variant, self.seed, path), path)
                    variant += 1
                    if len(self.tally.failures) >= self.most_failures:
                        return self.tally
        return self.tally

    def _visit(self, state: CrashState, path: Path) -> None:
        promised = tuple(map(id, state.expectation.candidates()))  # alive as long as the trace is
        key = hash((path[:-1], state.image.key(), promised, state.killed))
        if key in self._seen:
            self.tally.repeated += 1
            return
        self._seen.add(key)
        self.tally.states += 1
        self.tally.nested += len(path) > 1
        random = Random(_seed(self.name, self.seed, path))
        deeper = len(path) < DEEPEST and path[-1][1] != KILLED_TORN and random.random() < NESTED_SHARE
        try:
            trace = check(state, record=deeper)
        except BrokenPromiseError as broken:
            self.tally.failures.append((self.replay_argument(path), str(broken)))
            return
        if trace is not None:
            self._descend(trace, path, random)

    def _descend(self, trace: Trace, path: Path, random: Random) -> None:
        """Crash during the recovery that was just recorded, at a few moments."""
        steps = sum(operation[0] != "note" for operation in trace.operations) + 1
        for moment, model, expectation in moments(trace):
            if random.random() * steps > NESTED_STATES:
                continue
            deeper = (*path, (moment, random.choice((0, 1, 2, random.randrange(4, 100)))))
            state = _state(trace, model, expectation, deeper[-1][1], self.seed, deeper)
            self._visit(state, deeper)

    def find(self, path: Path) -> CrashState:
        """The state that a path leads to."""
        trace = self.trace
        for depth in range(1, len(path)):
            deeper = check(self._find_one(trace, path[:depth]), record=True)
            assert deeper is not None
            trace = deeper
        return self._find_one(trace, path)

    def _find_one(self, trace: Trace, path: Path) -> CrashState:
        for moment, model, expectation in moments(trace):
            if moment == path[-1][0]:
                return _state(trace, model, expectation, path[-1][1], self.seed, path)
        raise LookupError(f"there is no crash at {path[-1][0]}: other code, or another seed")


def parse_replay(argument: str) -> tuple[str, int, Path]:
    """Workload, seed and path of a `--replay` argument."""
    name, seed, steps = argument.split(":")
    path = tuple((int(moment), int(variant)) for moment, variant in (step.split(".") for step in steps.split("/")))
    return name, int(seed), path


def run_task(task: Task, *, sample: bool = False) -> tuple[Task, Tally]:
    """Explore a workload with a seed, for so many states; `sample`: drawn from all of it, where they are few."""
    name, seed, budget = task
    try:
        explorer = Explorer(name, seed)
        return task, explorer.run_sample(budget) if sample else explorer.run(budget)
    except Exception as error:
        error.add_note(f"in workload {name} with seed {seed}")
        raise
