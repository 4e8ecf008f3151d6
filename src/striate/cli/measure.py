"""``striate demo`` and ``striate bench``: the commands that show and measure."""

from __future__ import annotations

import os
import platform
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

import striate
from striate.cli.output import plain, print_json, print_table, progress, size_text
from striate.cli.parameters import json_option

__all__ = ["bench", "demo", "print_rates"]


@click.command()
@click.option("--keep", type=click.Path(), help="Leave the log in this directory, which must be new or empty.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=25.0,
    show_default=True,
    help="About how long it may take; a machine too slow for all lines gets fewer.",
)
@click.option("--max-lines", type=click.IntRange(1000), default=3_000_000, hidden=True)
@json_option
def demo(keep: str | None, seconds: float, max_lines: int, as_json: bool) -> None:
    """Write the standard library of this Python into a log, kill the writer half-way, and check every line.

    Also shown: random reads, a columnar batch, a lookup by time, compaction by key, and the speed beside a
    plain file and SQLite. It takes less than half a minute and leaves nothing behind, unless --keep names a
    directory.
    """
    from striate.cli.demo_report import Narrator, Silent
    from striate.demo import Options, run

    observer = Silent() if as_json else Narrator()
    with _signals_unwind():
        report = run(Options(keep=keep, seconds=seconds, max_lines=max_lines), observer)
    if as_json:
        print_json({"striate": striate.__version__, **_machine(), **plain(report)})


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that the temporary directory and the child go, too."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    ignored = signal.SIG_IGN  # by nohup: leave it so
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    numbers = [number for number, handler in previous.items() if handler is not ignored]
    for number in numbers:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, previous[number])


@click.command()
@click.option("--records", type=click.IntRange(1000), default=100_000, show_default=True, help="Records a round.")
@click.option("--size-bytes", type=click.IntRange(1, 1 << 20), default=128, show_default=True, help="Of a record.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds; the median counts.")
@click.option("--durable", type=click.IntRange(0), default=2000, show_default=True, help="Records synced one by one.")
@click.option("--directory", type=click.Path(file_okay=False, exists=True), help="Where.  [default: temporary files]")
@json_option
def bench(records: int, size_bytes: int, rounds: int, durable: int, directory: str | None, as_json: bool) -> None:
    """Measure striate beside a plain buffered file and SQLite on this machine.

    The contenders take turns in every round; a ratio above 1 means striate is faster. Nothing is left
    behind. The full benchmark, with more contenders, is bench/ in the repository.
    """
    from striate.demo import rates

    generator = random.Random(1)
    values = [generator.randbytes(size_bytes) for _ in range(records)]
    with (
        _signals_unwind(),
        tempfile.TemporaryDirectory(prefix="striate-bench-", dir=directory) as scratch,
        progress("measuring", rounds * len(rates.CONTENDERS), "parts") as advance,
    ):
        result = rates.measure(scratch, values, rounds=rounds, durable_count=durable, advance=advance)
    if as_json:
        print_json({"striate": striate.__version__, **_machine(), **result})
    else:
        print_rates(result, f"records of {size_text(size_bytes)}")


def _machine() -> dict[str, Any]:
    return {"python": platform.python_version(), "platform": platform.platform(), "cpus": os.cpu_count()}


def print_rates(result: dict[str, Any], what: str) -> None:
    """Print the table of :func:`striate.demo.rates.measure`."""
    from striate.demo.rates import CASES

    names = list(next(iter(result["cases"].values()))["per_second"])
    others = [name for name in names if name != "striate"]
    columns = ["thousand records a second", *names, *(f"striate ÷ {name}" for name in others)]
    rows = []
    for case, figures in result["cases"].items():
        rates = [round(figures["per_second"][name] / 1000, 1) for name in names]
        rows.append([CASES[case], *rates, *(f"{figures['ratio'][name]:.1f} ×" for name in others)])
    print_table(columns, rows, f"{result['records']:,} {what}, median of {result['rounds']} rounds")
