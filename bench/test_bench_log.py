"""The arms of ``python -m bench.log`` as pytest-benchmark cases: ``python -m pytest -m bench bench``.

For looking at one operation and for comparing two builds (``--benchmark-compare``); the bars are judged
by the script, because only paired rounds survive a machine whose speed changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bench.cases import RATIO_CASES
from bench.limits import LIMIT_CASES
from bench.rounds import Bench, LimitCase, RatioCase, Workspace
from bench.workload import SMOKE_SIZES

pytest.importorskip("striate")
pytestmark = pytest.mark.bench

_ROUND_COUNT = 5
_ARM_LABELS = [
    (case, label)
    for case in RATIO_CASES
    for label in sorted({label for pair in case.pairs for label in (pair.subject, pair.peer)})
]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Small sizes on the disk of the current directory."""
    with Workspace(Path()) as workspace:
        yield Bench(workspace, SMOKE_SIZES, _ROUND_COUNT)


@pytest.mark.parametrize(("case", "label"), _ARM_LABELS, ids=lambda part: getattr(part, "name", part))
def test_arm(case: RatioCase, label: str, bench: Bench, benchmark: Any) -> None:
    """One contender doing one thing; the round's set-up and clean-up are not timed."""
    benchmark.group = case.title
    with ExitStack() as stack:
        arms = {arm.label: arm for arm in case.arms(bench, stack)}
        if label not in arms:
            pytest.skip(f"{label} is not installed")
        arm = arms[label]
        benchmark.extra_info["record_count"] = arm.record_count
        round_stack = stack.enter_context(ExitStack())

        def prepare() -> tuple[tuple[Callable[[], object]], dict[str, object]]:
            return (round_stack.enter_context(arm.ready(0)),), {}

        def clean_up(work: Callable[[], object]) -> None:
            round_stack.close()

        benchmark.pedantic(lambda work: work(), setup=prepare, teardown=clean_up, rounds=_ROUND_COUNT)


@pytest.mark.parametrize("case", LIMIT_CASES, ids=lambda case: case.name)
def test_limit(case: LimitCase, bench: Bench) -> None:
    """Each limit can be measured; whether it is met is the script's to say."""
    (row,) = case.run(bench)
    assert row.score.samples
