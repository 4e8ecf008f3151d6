"""What the commands of this directory have in common: options, running cases, and the report."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import report
from bench.machine import machine
from bench.rounds import Bench, LimitCase, RatioCase, Row, Workspace
from bench.workload import Sizes

_ROUND_COUNT = 5
_SMOKE_ROUND_COUNT = 2


def run(
    name: str,
    description: str | None,
    cases: Callable[[bool], Sequence[RatioCase | LimitCase]],
    problems: list[str],
    absent: Sequence[str],
    arguments: Sequence[str] | None,
) -> int:
    """Run a command and print its report.

    Args:
        cases: gives the cases, small ones where it is asked for.
        problems: contenders that must be there and are not. absent: those that need not be there.

    Returns:
        The exit code: 1 when something was missing or broke. A missed bar is reported and no error.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    names = [case.name for case in cases(False)]
    parser.add_argument("--cases", help=f"comma-separated, default all of {','.join(names)}")
    parser.add_argument("--rounds", type=int, help=f"rounds of each case (default {_ROUND_COUNT})")
    parser.add_argument("--smoke", action="store_true", help="run everything, tiny, in seconds")
    parser.add_argument("--json", metavar="FILE", help="also write every figure as JSON")
    parser.add_argument("--markdown", action="store_true", help="print a section for the README")
    options = parser.parse_args(arguments)
    wanted = set(options.cases.split(",")) if options.cases else set(names)
    if unknown := wanted - set(names):
        parser.error(f"--cases: no such case: {', '.join(sorted(unknown))}")
    round_count = options.rounds or (_SMOKE_ROUND_COUNT if options.smoke else _ROUND_COUNT)
    rows: list[Row] = []
    with Workspace(Path()) as workspace:
        bench = Bench(workspace, Sizes(), round_count, _progress)
        for case in cases(options.smoke):
            if case.name not in wanted:
                continue
            try:
                rows += case.run(bench)
            except Exception as error:  # the report must name whatever broke
                traceback.print_exc()
                problems.append(f"{case.name} broke: {type(error).__name__}: {error}")
    _progress("")
    notes = [f"Ratios of speed: above 1 striate is faster. One per round, {round_count} interleaved rounds."]
    notes += [f"NOT MEASURED: {problem}" for problem in [*problems, *absent]]
    facts = machine(Path())
    if options.json:
        text = json.dumps(report.as_json(rows, facts, notes, problems), indent=2, ensure_ascii=False) + "\n"
        Path(options.json).write_text(text, encoding="utf-8")
    if options.markdown:
        print(report.markdown(rows, facts, notes))
    else:
        report.show(rows, facts, notes)
    return 1 if problems else 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
