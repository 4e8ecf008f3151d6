"""Options of XCLAIM: what an entry counts as afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from support.clients import FakeEffects, Run


@pytest.fixture
def claimed(run: Run, effects: FakeEffects) -> Run:
    """Two entries, the first pending for ``a`` for a minute."""
    run("XADD", "s", "1-1", "f", "v")
    run("XADD", "s", "1-2", "f", "v")
    run("XGROUP", "CREATE", "s", "g", 0)
    run("XREADGROUP", "GROUP", "g", "a", "COUNT", 1, "STREAMS", "s", ">")
    effects.time_ms += 60_000
    return run


@pytest.mark.parametrize(
    ("options", "pending"),
    [
        ("0 1-1", [[b"1-1", b"b", 0, 2]]),
        ("60000 1-1", [[b"1-1", b"b", 0, 2]]),
        ("60001 1-1", [[b"1-1", b"a", 60000, 1]]),
        ("0 1-1 JUSTID", [[b"1-1", b"b", 0, 1]]),
        ("0 1-1 RETRYCOUNT 7", [[b"1-1", b"b", 0, 7]]),
        ("0 1-1 IDLE 500", [[b"1-1", b"b", 500, 2]]),
        ("0 1-1 TIME 1700000050000", [[b"1-1", b"b", 10000, 2]]),
        ("0 1-2", [[b"1-1", b"a", 60000, 1]]),
        ("0 1-2 FORCE", [[b"1-1", b"a", 60000, 1], [b"1-2", b"b", 0, 2]]),
        ("0 1-2 FORCE JUSTID", [[b"1-1", b"a", 60000, 1], [b"1-2", b"b", 0, 1]]),
        ("0 1-2 FORCE RETRYCOUNT 3", [[b"1-1", b"a", 60000, 1], [b"1-2", b"b", 0, 3]]),
        ("0 9-9 FORCE", [[b"1-1", b"a", 60000, 1]]),
    ],
)
def test_options(claimed: Run, options: str, pending: list[Any]) -> None:
    claimed("XCLAIM", "s", "g", "b", *options.split())
    assert claimed("XPENDING", "s", "g", "-", "+", 10) == pending


def test_lastid(claimed: Run) -> None:
    claimed("XCLAIM", "s", "g", "b", 0, "1-1", "LASTID", "1-2")
    assert claimed("XINFO", "GROUPS", "s")[0][b"last-delivered-id"] == b"1-2"
    claimed("XCLAIM", "s", "g", "b", 0, "1-1", "LASTID", "1-1")
    assert claimed("XINFO", "GROUPS", "s")[0][b"last-delivered-id"] == b"1-2"
