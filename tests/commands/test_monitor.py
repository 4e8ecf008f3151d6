"""MONITOR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.clients import Run

from striate.commands.monitor import quoted
from striate.commands.session import Server, Session


def test_commands_are_shown(run: Run, connect: Callable[[], Session], server: Server) -> None:
    watcher = connect()
    line: Any = watcher.line
    assert run(watcher, "MONITOR") == b"OK"
    run("SET", "k", 'a "b"\r\n')
    run("MULTI")
    run("SELECT", 2)
    run("get", b"\x00\xff")
    run("EXEC")
    start = b"1700000000.000000 [0 127.0.0.1:50000] "
    assert [shown.replace(b"[2", b"[0").removeprefix(start) for shown in line.pushed] == [
        rb'"SET" "k" "a \"b\"\r\n"',
        b'"MULTI"',
        b'"EXEC"',
        b'"SELECT" "2"',
        rb'"get" "\x00\xff"',
    ]
    watcher.end()
    run("SET", "k", "v")
    assert len(line.pushed) == 5
    assert server.watchful == set()


def test_passwords_are_not_shown(run: Run, connect: Callable[[], Session]) -> None:
    watcher = connect()
    line: Any = watcher.line
    run(watcher, "MONITOR")
    run("AUTH", "secret")
    run("HELLO", 3, "AUTH", "default", "secret")
    assert line.pushed == []


def test_quoting() -> None:
    assert quoted(b'a\\"\n\r\t\a\b\x1b\x7f') == '"a\\\\\\"\\n\\r\\t\\a\\b\\x1b\\x7f"'
