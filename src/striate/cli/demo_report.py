"""The demo in plain words: one function a step turns its figures into a few sentences."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from striate.cli.measure import print_rates
from striate.cli.output import (
    console,
    duration_text,
    progress,
    recovery_lines,
    safe_text,
    size_text,
    time_text,
)

__all__ = ["Narrator", "Silent"]

Figures = Mapping[str, Any]


class Silent:
    """Shows progress (where stderr is a terminal) and nothing else: for --json."""

    def done(self, step: str, figures: Figures) -> None:
        """Show nothing."""

    def progress(self, description: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A progress bar on stderr."""
        return progress(description, total, "")


class Narrator(Silent):
    """Prints a heading and the figures of each step when it is done."""

    def __init__(self) -> None:
        self.console = console()
        self.number = 0

    def done(self, step: str, figures: Figures) -> None:
        """Print what the step did."""
        heading, describe = _STEPS[step]
        if heading:
            self.number += 1
            self.console.print(f"{self.number}. {heading}", style="bold")
        for line in describe(figures):
            self.console.print(f"   {line}", soft_wrap=True)
        if step == "rates":
            print_rates(dict(figures), "lines")
        self.console.print()


def _source(figures: Figures) -> list[str]:
    lines = [
        f"The standard library of Python {figures['python']}, {figures['path']}:",
        f"{figures['modules']:,} modules, {figures['lines']:,} lines, {size_text(figures['size_bytes'])}. "
        "Each line becomes one record; its key is the name of its module.",
    ]
    if figures["capped"]:
        lines.append("Some modules, of tests first, are left out to stay within the time on this machine.")
    return lines


def _kill(figures: Figures) -> list[str]:
    recovered, rest = figures["recovered_lines"], figures["lines"] - figures["recovered_lines"]
    rate = recovered / figures["child_seconds"]
    return [
        f"A child process appended line by line ({rate:,.0f} a second, its start included) until SIGKILL;",
        f"through a pipe it had acknowledged {figures['acknowledged_lines']:,} lines by then.",
        f"Reopening took {duration_text(figures['reopen_seconds'])} and found {recovered:,} lines:",
        "all that were acknowledged, and those whose acknowledgement was still on its way.",
        *recovery_lines(figures["recovery"]),
        f"This process appended the other {rest:,} lines in {duration_text(figures['resume_seconds'])}.",
    ]


def _comparison(figures: Figures) -> list[str]:
    rate = figures["lines"] / figures["seconds"]
    return [
        f"All {figures['lines']:,} lines were read back and compared with the files: offset, key and bytes.",
        f"{figures['differences']} differences. {rate:,.0f} lines a second, reading the files included.",
    ]


def _reads(figures: Figures) -> list[str]:
    lines = []
    for read in figures["shown"]:
        place = f"{safe_text(read['module'])}:{read['line_number']}"
        lines.append(f"offset {read['offset']:>9,}  {place}  {safe_text(read['line'], 60)}")
    each = duration_text(figures["seconds"] / max(1, figures["count"]))
    return [*lines, f"{figures['count']:,} reads at random took {each} each, checksums verified."]


def _columnar(figures: Figures) -> list[str]:
    first, total = figures["first_batch"], figures["total_bytes"]
    return [
        f"read_batch() gives numpy columns over one buffer; the first has {first['records']:,} records,",
        f"their lengths begin with {first['lengths']}.",
        f"The lengths of all {figures['batches']:,} batches add up to {total:,} bytes, as do the files;",
        f"the longest line has {figures['longest_line_bytes']:,}.",
        f"{figures['records']:,} records in {duration_text(figures['seconds'])}.",
    ]


def _time_lookup(figures: Figures) -> list[str]:
    moment = time_text(figures["timestamp"])
    return [
        f"{moment} is when the first line after the kill was written.",
        f"offset_for_time() found offset {figures['offset']:,} in {duration_text(figures['seconds'])};",
        f"the record before it is of {time_text(figures['timestamp_before'])}.",
    ]


def _compaction(figures: Figures) -> list[str]:
    before = f"{figures['records_before']:,} records in {figures['segments_before']:,} segments"
    after = f"{figures['records_after']:,} in {figures['segments_after']:,}"
    sizes = size_text(figures["bytes_before"]), size_text(figures["bytes_after"])
    return [
        f"A snapshot of the log was restored beside it (in {duration_text(figures['copy_seconds'])}).",
        "In this copy only the latest record of each key was kept:",
        f"{before} ({sizes[0]}) became {after} ({sizes[1]}), in {duration_text(figures['seconds'])}.",
        f"The last line of each of the {figures['modules']:,} modules is there.",
    ]


def _rates(figures: Figures) -> list[str]:
    return [
        "Some of the same lines; the contenders take turns. The plain file has neither checksums nor an",
        "index and is read at known positions; SQLite uses WAL and commits every 1,000 rows.",
    ]


def _end(figures: Figures) -> list[str]:
    took = f"The demo took {figures['seconds']:.1f} s."
    if not figures["kept"]:
        return [f"{took} Its files are removed (--keep DIR keeps them)."]
    path = shlex.quote(f"{figures['kept']}/lines")
    return [
        f"{took} Its logs are {figures['kept']}/lines and /latest. Look at them with",
        f"  striate log stat {path}",
    ]


_STEPS: dict[str, tuple[str, Callable[[Figures], list[str]]]] = {
    "source": ("The data", _source),
    "kill": ("Append, kill, recover", _kill),
    "comparison": ("Compare", _comparison),
    "reads": ("Read at random", _reads),
    "columnar": ("Read in columns", _columnar),
    "time_lookup": ("Look up by time", _time_lookup),
    "compaction": ("Compact by key", _compaction),
    "rates": ("Rates on this machine", _rates),
    "end": ("", _end),
}
