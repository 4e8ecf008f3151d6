"""entries-read and lag of XINFO GROUPS."""

from __future__ import annotations

from support.clients import Run


def figures(run: Run) -> tuple[int | None, int]:
    about = run("XINFO", "GROUPS", "s")[0]
    return about[b"entries-read"], about[b"lag"]


def test_entries_that_a_client_says_were_read(run: Run) -> None:
    run("XADD", "s", "1-1", "f", "v")
    run("XADD", "s", "1-2", "f", "v")
    run("XGROUP", "CREATE", "s", "g", 0, "ENTRIESREAD", 7)
    assert figures(run) == (7, 2)
    run("XGROUP", "SETID", "s", "g", "1-1", "ENTRIESREAD", 1)
    assert figures(run) == (None, 1)
    run("XGROUP", "SETID", "s", "g", "1-1", "ENTRIESREAD", 2)
    assert figures(run) == (2, 0)
    run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    assert figures(run) == (2, 0)
    run("XADD", "s", "1-3", "f", "v")
    assert figures(run) == (2, 1)


def test_lag_is_counted_after_removals(run: Run) -> None:
    for number in range(1, 5):
        run("XADD", "s", f"1-{number}", "f", "v")
    run("XGROUP", "CREATE", "s", "g", 0)
    run("XDEL", "s", "1-2")
    assert figures(run) == (None, 3)
    run("XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "STREAMS", "s", ">")
    assert figures(run) == (3, 1)
