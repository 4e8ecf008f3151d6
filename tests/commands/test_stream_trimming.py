"""Trimming about so far: whole hundreds of entries, or all."""

from __future__ import annotations

import pytest
from support.clients import Run


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        ("MAXLEN ~ 250", 0),
        ("MAXLEN ~ 200", 100),
        ("MAXLEN ~ 199", 100),
        ("MAXLEN ~ 50", 200),
        ("MAXLEN ~ 0", 300),
        ("MAXLEN ~ 0 LIMIT 250", 200),
        ("MAXLEN ~ 0 LIMIT 99", 0),
        ("MAXLEN ~ 0 LIMIT 0", 300),
        ("MAXLEN = 250", 50),
        ("MAXLEN 0", 300),
        ("MINID ~ 1-251", 200),
        ("MINID ~ 1-99", 0),
        ("MINID ~ 1-100", 100),
        ("MINID ~ 2 LIMIT 150", 100),
        ("MINID ~ 2", 300),
        ("MINID = 1-251", 251),
    ],
)
def test_how_many_go(run: Run, options: str, removed: int) -> None:
    for number in range(300):
        run("XADD", "s", f"1-{number}" if number else "0-1", "f", "v")
    assert run("XTRIM", "s", *options.split()) == removed
    assert run("XLEN", "s") == 300 - removed
