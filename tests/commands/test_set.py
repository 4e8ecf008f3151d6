"""SET with each of its options, and GET."""

from __future__ import annotations

from support.clients import Run


def test_set_then_get(run: Run) -> None:
    assert run("SET", "k", "v") == b"OK"
    assert run("GET", "k") == b"v"
    assert run("get", "other") is None
