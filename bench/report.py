"""Rows as a table for people, as Markdown for the README, as JSON for machines."""

from __future__ import annotations

import itertools
import sys
from typing import Any

from bench.rounds import Figures, Row

HEADINGS = ("case", "measured", "against", "median (min–max)", "bar", "met")
_MET_WORDS = {True: "yes", False: "no", None: "–"}


def cells(row: Row) -> tuple[str, ...]:
    """One table line."""
    sign = "≥" if row.more_is_better else "≤"
    unit = _unit_suffix(row.score.unit)
    low, high = _number(min(row.score.samples)), _number(max(row.score.samples))
    return (
        row.title,
        _amount(row.subject_label, row.subject),
        _amount(row.peer_label, row.peer) if row.peer else "",
        f"{_number(row.score.median)}{unit} ({low}–{high})",
        "" if row.bar is None else f"{sign} {row.bar:g}{unit}",
        _MET_WORDS[row.met],
    )


def show(rows: list[Row], facts: dict[str, str], notes: list[str]) -> None:
    """Print to standard output: in colour on a terminal, else as plain text with aligned columns."""
    for name, fact in facts.items():
        print(f"{name:>9}  {fact}")
    print()
    if sys.stdout.isatty():
        _show_rich(rows)
    else:
        _show_plain(rows)
    for note in notes:
        print(note)


def markdown(rows: list[Row], facts: dict[str, str], notes: list[str]) -> str:
    """A section for the README."""
    lines = [f"Measured on {facts['cpu']}, {facts['memory']}, {facts['kernel']}, {facts['disk']},"]
    lines += [f"{facts['python'].partition(' (')[0]}, {facts['packages']}; {facts['date']}.", ""]
    lines += [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows]
    return "\n".join([*lines, "", *notes])


def as_json(rows: list[Row], facts: dict[str, str], notes: list[str], problems: list[str]) -> dict[str, Any]:
    """Everything measured, every round of it."""
    return {
        "machine": facts,
        "notes": notes,
        "problems": problems,
        "rows": [
            {
                "case": row.case,
                "title": row.title,
                "subject": row.subject_label,
                "subject_figures": _json(row.subject),
                "peer": row.peer_label or None,
                "peer_figures": _json(row.peer) if row.peer else None,
                "score": _json(row.score),
                "bar": row.bar,
                "more_is_better": row.more_is_better,
                "met": row.met,
            }
            for row in rows
        ],
    }


def _json(figures: Figures) -> dict[str, Any]:
    return {
        "unit": figures.unit,
        "median": figures.median,
        "min": min(figures.samples),
        "max": max(figures.samples),
        "samples": figures.samples,
    }


def _unit_suffix(unit: str) -> str:
    return f" {unit}" if unit[0].isalpha() else unit


def _number(number: float) -> str:
    """Three digits, with k or M from ten thousand on."""
    for limit, divisor, suffix in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(number) >= limit:
            return _three_digits(number / divisor) + suffix
    return _three_digits(number)


def _three_digits(number: float) -> str:
    size = abs(number)
    return f"{number:.0f}" if size >= 100 else f"{number:.1f}" if size >= 10 else f"{number:.2f}"


def _amount(label: str, figures: Figures) -> str:
    return f"{label} {_number(figures.median)}{_unit_suffix(figures.unit).removesuffix(' records/s')}" + (
        "/s" if figures.unit == "records/s" else ""
    )


def _grouped(rows: list[Row]) -> list[tuple[str, ...]]:
    """Table lines in which a case is named once."""
    lines = list(map(cells, rows))
    return lines[:1] + [("", *line[1:]) if line[0] == before[0] else line for before, line in itertools.pairwise(lines)]


def _show_plain(rows: list[Row]) -> None:
    table = [HEADINGS, *_grouped(rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _show_rich(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*HEADINGS)
    styles = {True: "green", False: "bold red", None: "dim"}
    for row, line in zip(rows, _grouped(rows), strict=True):
        *others, met = line
        table.add_row(*map(Text, others), Text(met, style=styles[row.met]))
    Console().print(table)
