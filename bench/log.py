"""Measure every bar of the commit log and print one table: ``python -m bench.log``.

A missed bar is reported, not an error: the exit code is 0 unless something breaks (1) or nothing can be
run (2).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench import report
from bench.cases import RATIO_CASES
from bench.contenders import Lmdb, RocksDict, StriateLog, missing
from bench.limits import LIMIT_CASES
from bench.machine import in_memory, machine
from bench.rounds import Bench, Case, Row, Workspace
from bench.workload import SMOKE_SIZES, Sizes

CASES: tuple[Case, ...] = (*RATIO_CASES, *LIMIT_CASES)

_EXIT_BROKEN = 1
_EXIT_UNUSABLE = 2
_ROUND_COUNT = 5
_SMOKE_ROUND_COUNT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    cases = _chosen(options.cases, parser)
    if reason := missing(StriateLog):
        parser.exit(_EXIT_UNUSABLE, f"bench: {reason}\n")
    if not options.dir.is_dir():
        parser.error(f"--dir: {options.dir} is not a directory")
    if in_memory(options.dir):
        parser.error(f"{options.dir} lies in memory (tmpfs): choose a directory on a disk with --dir")
    signal.signal(signal.SIGTERM, _exit_cleanly)

    problems = [reason for kind in (Lmdb, RocksDict) if (reason := missing(kind))]
    for problem in problems:
        _say(problem)
    round_count = options.rounds or (_SMOKE_ROUND_COUNT if options.smoke else _ROUND_COUNT)
    facts = machine(options.dir)
    with Workspace(options.dir) as workspace:
        bench = Bench(workspace, SMOKE_SIZES if options.smoke else Sizes(), round_count, _progress)
        rows, failures = _run(cases, bench)
    _progress("")
    _give(options, rows, facts, _notes(round_count, options.smoke), problems + failures)
    return _EXIT_BROKEN if problems or failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.log", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("--cases", help=f"comma-separated, default all of {','.join(names)}")
    parser.add_argument("--rounds", type=_positive, help=f"rounds of each case (default {_ROUND_COUNT})")
    parser.add_argument("--smoke", action="store_true", help="run everything, tiny, in seconds")
    parser.add_argument("--dir", type=Path, default=Path(), help="where to work, on a real disk; needs 6 GiB")
    parser.add_argument("--json", metavar="FILE", help="also write every figure as JSON; - prints only that")
    parser.add_argument("--markdown", action="store_true", help="print a section for the README")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _chosen(names: str | None, parser: argparse.ArgumentParser) -> list[Case]:
    if names is None:
        return list(CASES)
    wanted = set(names.split(","))
    if unknown := wanted - {case.name for case in CASES}:
        parser.error(f"--cases: no such case: {', '.join(sorted(unknown))}")
    return [case for case in CASES if case.name in wanted]


def _run(cases: list[Case], bench: Bench) -> tuple[list[Row], list[str]]:
    """All rows, and what broke; one broken case does not stop the others."""
    rows: list[Row] = []
    failures: list[str] = []
    for case in cases:
        try:
            rows += case.run(bench)
        except Exception as error:  # the report must name whatever broke
            traceback.print_exc()
            failures.append(f"{case.name} broke: {type(error).__name__}: {error}")
    return rows, failures


def _notes(round_count: int, smoke: bool) -> list[str]:
    notes = [f"Ratios of speed: above 1 striate is faster. One per round, {round_count} interleaved rounds."]
    if smoke:
        notes.append("Smoke run: everything was exercised, nothing was measured long enough to judge.")
    elif round_count < _ROUND_COUNT:
        notes.append(f"The bars are medians of at least {_ROUND_COUNT} rounds: these are not.")
    return notes


def _give(
    options: argparse.Namespace, rows: list[Row], facts: dict[str, str], notes: list[str], problems: list[str]
) -> None:
    if options.json:
        text = json.dumps(report.as_json(rows, facts, notes, problems), indent=2, ensure_ascii=False) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
        else:
            Path(options.json).write_text(text, encoding="utf-8")
    if options.json != "-":
        notes = notes + [f"NOT MEASURED: {problem}" for problem in problems]
        if options.markdown:
            print(report.markdown(rows, facts, notes))
        else:
            report.show(rows, facts, notes)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)


def _progress(text: str) -> None:
    """Overwrite one line on a terminal; be silent in a file."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _exit_cleanly(signal_number: int, frame: FrameType | None) -> None:
    """Leave through the ``with`` blocks, so that nothing stays on the disk."""
    sys.exit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main())
