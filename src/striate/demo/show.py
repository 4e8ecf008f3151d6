"""The steps of the demo, in the order they are shown, and the directory they work in."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from striate import Log
from striate.demo import rates, steps
from striate.demo.source import Source, standard_library
from striate.errors import PathExistsError, StorageError

__all__ = ["Observer", "Options", "run"]

SEGMENT_BYTES = 8 << 20
RATE_LINES = 100_000
RATE_ROUNDS = 3
MIN_LINES = 100
CALIBRATION_LINES = 20_000
COST_FACTOR = 10.0  # the whole demo's time for a line ÷ that of one append, read and comparison


class Observer(Protocol):
    """Who watches the demo: shows each step's figures when it is done, and how far a long one is."""

    def done(self, step: str, figures: Mapping[str, Any]) -> None:
        """A step is done."""

    def progress(self, description: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A long piece of work begins; the function is told how many of ``total`` are done."""


class _Silent:
    """An observer who shows nothing."""

    def done(self, step: str, figures: Mapping[str, Any]) -> None:
        pass

    def progress(self, description: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        return nullcontext(lambda done: None)


@dataclass(frozen=True)
class Options:
    """How large a demo.

    Attributes:
        keep: directory for the files, created or empty; None for a temporary one that is removed.
        seconds: about how long the demo may take; lines are left out where the machine is too slow for all.
        max_lines: the most lines, whatever the time.
    """

    keep: str | None = None
    seconds: float = 25.0
    max_lines: int = 3_000_000


def run(options: Options, observer: Observer | None = None) -> dict[str, Any]:
    """Run the demo.

    Returns:
        The figures of all steps, by step.

    Raises:
        PathExistsError: the directory to keep is there and not empty.
        CorruptRecordError: the log does not hold what was written. StorageError: the disk failed.
    """
    if options.keep is None:
        directory = tempfile.mkdtemp(prefix="striate-demo-")
        try:
            return _run_in(directory, options, observer or _Silent())
        finally:
            shutil.rmtree(directory)
    if os.path.exists(options.keep) and (not os.path.isdir(options.keep) or os.listdir(options.keep)):
        raise PathExistsError(options.keep)
    os.makedirs(options.keep, exist_ok=True)
    return _run_in(os.path.abspath(options.keep), options, observer or _Silent())


def _run_in(directory: str, options: Options, observer: Observer) -> dict[str, Any]:
    started = time.perf_counter()
    report: dict[str, Any] = {}

    def done(step: str, figures: dict[str, Any]) -> None:
        report[step] = figures
        observer.done(step, figures)

    scratch = os.path.join(directory, "scratch")
    os.mkdir(scratch)
    try:
        source = Source.load(min(options.max_lines, _affordable_lines(scratch, options.seconds)))
        if source.line_count < MIN_LINES:
            raise StorageError(
                f"only {source.line_count} lines of the standard library were found in {standard_library()}",
                hint="install the standard library's .py files; the demo uses them as its data",
            )
        done("source", _source_figures(source))
        path = os.path.join(directory, "lines")
        done("kill", steps.append_through_kill(path, source, SEGMENT_BYTES, observer.progress))
        with Log(path, durability="process", segment_bytes=SEGMENT_BYTES) as log:
            done("comparison", steps.compare(log, source, observer.progress))
            done("reads", steps.random_reads(log, source))
            done("columnar", steps.columnar(log, source))
            done("time_lookup", steps.time_lookup(log, report["kill"]["recovered_lines"]))
            compacted = os.path.join(directory, "latest")
            done("compaction", steps.compaction(log, source, compacted, scratch, observer.progress))
        done("rates", _rates(scratch, source, observer))
    finally:
        shutil.rmtree(scratch)
    done("end", {"seconds": time.perf_counter() - started, "kept": options.keep and directory})
    return report


def _affordable_lines(scratch: str, seconds: float) -> int:
    """How many lines the demo can go through in the time, from a short trial on this machine."""
    trial = Source.load(CALIBRATION_LINES)
    with Log(os.path.join(scratch, "trial"), durability="process") as log:
        started = time.perf_counter()
        for key, line in trial.lines():
            log.append(line, key)
        steps.compare(log, trial, _Silent().progress)
        line_seconds = (time.perf_counter() - started) / max(1, trial.line_count)
    return max(CALIBRATION_LINES, int(seconds / (COST_FACTOR * line_seconds)))


def _source_figures(source: Source) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "path": standard_library(),
        "modules": len(source.modules),
        "lines": source.line_count,
        "size_bytes": source.size_bytes,
        "capped": source.capped,
    }


def _rates(scratch: str, source: Source, observer: Observer) -> dict[str, Any]:
    values = [line for _, line in islice(source.lines(), RATE_LINES)]
    with observer.progress("measuring", RATE_ROUNDS * len(rates.CONTENDERS)) as advance:
        return rates.measure(scratch, values, rounds=RATE_ROUNDS, advance=advance)
