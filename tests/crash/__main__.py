"""Crash states by the thousand or million, or one of them again: ``python -m tests.crash --help``."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests' helpers

from .check import check
from .explore import Explorer, Tally, Task, parse_replay, run_task
from .state import BrokenPromiseError
from .workloads import WORKLOADS

_PER_TASK = 3000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--states", type=int, default=20_000, help="how many different states to check")
    parser.add_argument("--seed", type=int, default=0, help="of the first run of each workload")
    parser.add_argument("--workload", action="append", choices=sorted(WORKLOADS), help="only this; may be repeated")
    parser.add_argument("--stop-after", type=int, default=30, metavar="N", help="failed states")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--replay", help="check one state again and show it; failures print what to give here")
    return parser.parse_args()


def _tasks(arguments: argparse.Namespace) -> Iterator[Task]:
    """Workloads in turn, with ever new seeds."""
    names = arguments.workload or list(WORKLOADS)
    budget = max(50, min(_PER_TASK, arguments.states // len(names)))
    for seed in count(arguments.seed):
        for name in names:
            yield name, seed, budget


def _results(arguments: argparse.Namespace) -> Iterator[tuple[Task, Tally]]:
    tasks = _tasks(arguments)
    if arguments.jobs == 1:
        yield from map(run_task, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        running = {pool.submit(run_task, next(tasks)) for _ in range(2 * arguments.jobs)}
        try:
            while True:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    running.add(pool.submit(run_task, next(tasks)))
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _explore(arguments: argparse.Namespace) -> int:
    total = Tally()
    began = time.perf_counter()
    for task, tally in _results(arguments):
        total.add(tally)
        seconds = time.perf_counter() - began
        line = f"{total.states:>9,} states ({total.nested:,} during recovery), {total.states / seconds:,.0f}/s"
        print(f"{line}, {len(total.failures)} failed; last: {task[0]} seed {task[1]}", flush=True)
        for replay, problem in tally.failures:
            print(f"FAILED: {problem}\n  again: python -m tests.crash --replay {replay}", flush=True)
        if total.states >= arguments.states or len(total.failures) >= arguments.stop_after:
            break
    print(f"{total.states:,} different states ({total.repeated:,} repeated), {len(total.failures)} failed")
    return 1 if total.failures else 0


def _replay(argument: str) -> int:
    name, seed, path = parse_replay(argument)
    state = Explorer(name, seed).find(path)
    for index, operation in enumerate(state.trace.operations[: path[-1][0] + 2]):
        mark = ">" if index == path[-1][0] else " "
        print(mark, index, *(_short(part) for part in operation))
    print(f"\ncrash before {path[-1][0]}, {'the process only' if state.killed else 'power'}; the disk holds:")
    for file, (size, data) in sorted(state.image.files.items()):
        print(f"  {file}: {size} bytes, the last but zeros at {len(data)}")
    for candidate in state.expectation.candidates():
        floors = f"durable to {candidate.durable}, alive to {candidate.alive}"
        print(f"  expected: {candidate.lowest} to {candidate.end}, {floors}")
    try:
        check(state)
    except BrokenPromiseError as broken:
        print(f"\nFAILED: {broken}")
        if broken.__cause__ is not None:
            raise
        return 1
    print("\nrecovered")
    return 0


def _short(part: object) -> str:
    if isinstance(part, bytes):
        return f"<{len(part)} bytes {part[:12].hex()}>"
    text = str(part)
    return text if len(text) < 80 else f"…{text[-60:]}"


def main() -> int:
    """Do what the command line says; 1 when a promise was broken."""
    arguments = _arguments()
    return _replay(arguments.replay) if arguments.replay else _explore(arguments)


if __name__ == "__main__":
    sys.exit(main())
