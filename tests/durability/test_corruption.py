"""Every single bit flipped and every length cut: no crash, no wrong byte, no silent loss.

support.damage says which bits and lengths; the damage is done and judged in child processes by support.corruption, so
that a crash is seen and the case is named. A random share of the cases in the default run; all of them with the
marker `crash`.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from support.child import TESTS
from support.corruption import HELPERS, OPTIONS, put
from support.damage import KINDS, Base, Case, cases, make_base
from support.model import held

from striate import Log

A_FEW = 240  # cases of each kind
SHARES = 2


def make_bases(directory: Path) -> dict[str, Base]:
    made = {}
    for kind in KINDS:
        made[kind] = make_base(directory / kind, kind)
        (directory / f"{kind}.pickle").write_bytes(pickle.dumps(made[kind]))
    return made


def try_cases(directory: Path, kind: str, limit: int, seed: int) -> int:
    """Try up to `limit` cases of a kind; problems and crashes fail the test, with the case in hand."""
    environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONFAULTHANDLER="1")
    running = []
    for share in range(SHARES):
        work = directory / f"work-{kind}-{share}"
        command = [
            sys.executable,
            "-m",
            "support.corruption",
            directory,
            kind,
            work,
            share,
            SHARES,
            limit,
            seed,
        ]
        running.append(
            (
                work,
                subprocess.Popen(
                    [str(word) for word in command],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                ),
            )
        )
    problems: list[str] = []
    tried = 0
    for work, process in running:
        out, errors = process.communicate()
        lines = out.splitlines()
        if process.returncode != 0 or not lines or not lines[-1].startswith("tried "):
            case = Path(f"{work}.case").read_text().strip()
            problems.append(f"the process ended with {process.returncode} at {case}: {errors[-3000:]}")
        else:
            tried += int(lines.pop().split()[1])
        problems += lines
    assert not problems, f"{len(problems)} problems, seed {seed}:\n" + "\n".join(problems[:25])
    return tried


@pytest.mark.parametrize("kind", KINDS)
def test_some_damage(fast_path: Path, seed: int, kind: str) -> None:
    make_bases(fast_path)
    assert try_cases(fast_path, kind, A_FEW, seed) == A_FEW


@pytest.mark.crash
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", KINDS)
def test_all_damage(fast_path: Path, seed: int, kind: str) -> None:
    base = make_bases(fast_path)[kind]
    every = sum(1 for _ in cases(base))
    assert try_cases(fast_path, kind, every, seed) == every
    print(f"{every} cases")


def test_the_judge_accepts_the_undamaged(fast_path: Path) -> None:
    """Damage of nothing is nothing: each base opens whole, and a helper file may be anything."""
    for kind, base in make_bases(fast_path).items():
        put(fast_path / "work", base, Case(""))
        with Log(fast_path / "work", **OPTIONS) as log:
            assert held(log) == base.records, kind
            assert log.verify().ok
        for name in HELPERS:
            if name in base.files:
                put(fast_path / "work", base, Case(name, length=0))
                with Log(fast_path / "work", **OPTIONS) as log:
                    assert held(log) == base.records, (kind, name)
