"""How work is timed and compared: rounds outermost, one ratio per round.

An :class:`Arm` is one contender doing one thing. A :class:`RatioCase` runs all its arms in turn, round
by round, and compares pairs of them; a :class:`LimitCase` measures one figure against a fixed limit.
Both give :class:`Row` objects. Nothing here knows a contender.
"""

from __future__ import annotations

import gc
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.workload import Sizes


class Workspace:
    """A directory on a real disk that vanishes at the end.

    Args:
        parent: an existing directory on the disk to measure.
    """

    def __init__(self, parent: Path) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=".bench-tmp-", dir=parent))

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """An empty directory, deleted afterwards so that its dirty pages burden nobody's turn."""
        path = Path(tempfile.mkdtemp(dir=self.path))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True)
class Bench:
    """What a case needs to run."""

    workspace: Workspace
    sizes: Sizes
    round_count: int
    progress: Callable[[str], None] = lambda text: None

    _built: dict[str, Path] = field(default_factory=dict)

    def once(self, name: str, build: Callable[[Path], None]) -> Path:
        """A directory that several cases use, filled by the first and kept until the end."""
        if name not in self._built:
            path = self.workspace.path / name
            path.mkdir()
            build(path)
            self._built[name] = path
        return self._built[name]


@dataclass(frozen=True)
class Figures:
    """One number per round."""

    samples: list[float]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        subject_label: what was measured, and ``subject`` its rates or amounts.
        peer_label: what it is compared with; empty if ``peer`` is None.
        score: what the bar is about: the ratios, or the amounts themselves.
        bar: least score wanted if ``more_is_better``, else the greatest; None for a row that only informs.
    """

    case: str
    title: str
    subject_label: str
    subject: Figures
    peer_label: str
    peer: Figures | None
    score: Figures
    bar: float | None
    more_is_better: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the bar; None without a bar."""
        if self.bar is None:
            return None
        return self.score.median >= self.bar if self.more_is_better else self.score.median <= self.bar


@dataclass(frozen=True)
class Arm:
    """One contender doing one thing.

    Attributes:
        label: unique within its case.
        record_count: records handled by one call of the work.
        ready: prepares one round, given its number; yields the work to time; checks it and cleans up.
    """

    label: str
    record_count: int
    ready: Callable[[int], AbstractContextManager[Callable[[], object]]]


@dataclass(frozen=True)
class Pair:
    """Two arms to compare by their labels; ``at_least`` is the bar, None for a pair that only informs."""

    subject: str
    peer: str
    at_least: float | None = None


class Case(Protocol):
    """Something that can be run by name."""

    @property
    def name(self) -> str: ...

    def run(self, bench: Bench) -> list[Row]:
        """Measure; raises if any part breaks."""
        ...


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of one call, with the collector off and the disk idle."""
    gc.collect()
    os.sync()
    gc.disable()
    try:
        started_ns = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - started_ns) / 1e9
    finally:
        gc.enable()


@dataclass(frozen=True)
class RatioCase:
    """Arms run in turn, compared in pairs.

    Attributes:
        arms: builds the arms, given a stack for what must outlive the rounds (data sets, open stores). Arms
            whose contender is missing are left out, and so are their pairs.
        pairs: what to compare.
    """

    name: str
    title: str
    arms: Callable[[Bench, ExitStack], list[Arm]]
    pairs: tuple[Pair, ...]

    def run(self, bench: Bench) -> list[Row]:
        with ExitStack() as stack:
            arms = self.arms(bench, stack)
            rates: dict[str, list[float]] = {arm.label: [] for arm in arms}
            for round_index in range(bench.round_count):
                for arm in arms:
                    bench.progress(f"{self.name} {round_index + 1}/{bench.round_count}: {arm.label}")
                    with arm.ready(round_index) as work:
                        rates[arm.label].append(arm.record_count / seconds_of(work))
        return [self._row(pair, rates) for pair in self.pairs if {pair.subject, pair.peer} <= rates.keys()]

    def _row(self, pair: Pair, rates: dict[str, list[float]]) -> Row:
        subject, peer = rates[pair.subject], rates[pair.peer]
        ratios = [one / other for one, other in zip(subject, peer, strict=True)]
        return Row(
            case=self.name,
            title=self.title,
            subject_label=pair.subject,
            subject=Figures(subject, "records/s"),
            peer_label=pair.peer,
            peer=Figures(peer, "records/s"),
            score=Figures(ratios, "×"),
            bar=pair.at_least,
        )


@dataclass(frozen=True)
class Sample:
    """One round of a :class:`LimitCase`: the figure the bar is about, and the amounts it was made from."""

    score: float
    subject: float
    peer: float | None = None


@dataclass(frozen=True)
class LimitCase:
    """One figure against a fixed limit.

    Attributes:
        unit: of the score; ``amount_unit`` is that of the raw amounts.
        measure: measures one round, given its number.
        single: one round tells all, because the figure does not depend on the machine's speed.
    """

    name: str
    title: str
    subject_label: str
    amount_unit: str
    unit: str
    at_most: float
    measure: Callable[[Bench, int], Sample]
    peer_label: str = ""
    peer_unit: str = ""
    single: bool = False

    def run(self, bench: Bench) -> list[Row]:
        samples = []
        round_count = 1 if self.single else bench.round_count
        for round_index in range(round_count):
            bench.progress(f"{self.name} {round_index + 1}/{round_count}")
            samples.append(self.measure(bench, round_index))
        peers = [sample.peer for sample in samples if sample.peer is not None]
        return [
            Row(
                case=self.name,
                title=self.title,
                subject_label=self.subject_label,
                subject=Figures([sample.subject for sample in samples], self.amount_unit),
                peer_label=self.peer_label,
                peer=Figures(peers, self.peer_unit) if peers else None,
                score=Figures([sample.score for sample in samples], self.unit),
                bar=self.at_most,
                more_is_better=False,
            )
        ]
