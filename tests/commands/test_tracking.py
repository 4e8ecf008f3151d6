"""Client tracking: who is told of which changes, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.clients import Run

from striate.commands.session import Server, Session
from striate.commands.tracking import TrackingTable
from striate.protocol.replies import Push

Connect = Callable[[], Session]


@pytest.fixture
def reader(connect: Connect) -> Session:
    made = connect()
    made.protocol = 3
    return made


def told(session: Session) -> list[Any]:
    """Keys that a session was told of since the last look."""
    line: Any = session.line
    pushed, line.pushed = line.pushed, []
    assert all(isinstance(reply, Push) and reply[0] == b"invalidate" for reply in pushed)
    return [reply[1] and reply[1][0] for reply in pushed]


def test_a_key_that_was_read_is_told_once(run: Run, reader: Session) -> None:
    run("MSET", "a", 1, "b", 1)
    assert run(reader, "CLIENT", "TRACKING", "ON") == b"OK"
    run(reader, "GET", "a")
    run(reader, "MGET", "b", "c")
    run(reader, "XRANGE", "s", "-", "+")
    for _ in range(2):
        run("SET", "a", 2)
        run("SET", "other", 2)
    assert told(reader) == [b"a"]
    run("SET", "c", 1)
    run("XADD", "s", "*", "f", "v")
    run("DEL", "b")
    assert told(reader) == [b"c", b"s", b"b"]
    run(reader, "GET", "a")
    run(reader, "CLIENT", "TRACKING", "OFF")
    run("SET", "a", 3)
    assert told(reader) == []


def test_own_changes(run: Run, reader: Session) -> None:
    run(reader, "CLIENT", "TRACKING", "ON")
    run(reader, "GET", "a")
    run(reader, "SET", "a", 1)
    assert told(reader) == [b"a"]
    run(reader, "CLIENT", "TRACKING", "ON", "NOLOOP")
    run(reader, "GET", "a")
    run(reader, "SET", "a", 1)
    run(reader, "GET", "b")
    run(reader, "MULTI")
    run(reader, "SET", "b", 1)
    run(reader, "EXEC")
    assert told(reader) == []
    run(reader, "GET", "a")
    run("SET", "a", 2)
    assert told(reader) == [b"a"]


def test_opt_in(run: Run, reader: Session) -> None:
    run(reader, "CLIENT", "TRACKING", "ON", "OPTIN")
    run(reader, "GET", "a")
    run(reader, "CLIENT", "CACHING", "YES")
    run(reader, "GET", "b")
    run(reader, "GET", "c")
    run(reader, "CLIENT", "CACHING", "YES")
    run(reader, "MULTI")
    run(reader, "GET", "d")
    run(reader, "GET", "e")
    run(reader, "EXEC")
    run("MSET", "a", 1, "b", 1, "c", 1, "d", 1, "e", 1)
    assert told(reader) == [b"b", b"d", b"e"]


def test_opt_out(run: Run, reader: Session) -> None:
    run(reader, "CLIENT", "TRACKING", "ON", "OPTOUT")
    run(reader, "CLIENT", "CACHING", "NO")
    run(reader, "GET", "a")
    run(reader, "GET", "b")
    run("MSET", "a", 1, "b", 1)
    assert told(reader) == [b"b"]


def test_broadcast(run: Run, reader: Session) -> None:
    run(reader, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:", "PREFIX", "item:")
    for _ in range(2):
        run("SET", "user:1", 1)
    run("SET", "other", 1)
    run("SET", "item:1", 1)
    assert told(reader) == [b"user:1", b"user:1", b"item:1"]
    run(reader, "CLIENT", "TRACKING", "OFF")
    run(reader, "CLIENT", "TRACKING", "ON", "BCAST")
    run("SET", "other", 1)
    assert told(reader) == [b"other"]


def test_redirect(run: Run, connect: Connect, server: Server) -> None:
    reader, target = connect(), connect()
    run(target, "SUBSCRIBE", "__redis__:invalidate")
    target.line.pushed.clear()  # type: ignore[attr-defined]
    assert run(reader, "CLIENT", "GETREDIR") == -1
    run(reader, "CLIENT", "TRACKING", "ON", "REDIRECT", target.id)
    assert run(reader, "CLIENT", "GETREDIR") == target.id
    run(reader, "GET", "a")
    run("SET", "a", 1)
    line: Any = target.line
    assert [tuple(push) for push in line.pushed] == [(b"message", b"__redis__:invalidate", [b"a"])]
    target.end()
    reader.protocol = 3
    run(reader, "GET", "a")
    run("SET", "a", 1)
    own: Any = reader.line
    assert [tuple(push) for push in own.pushed] == [(b"tracking-redir-broken", target.id)]
    assert run(reader, "CLIENT", "TRACKINGINFO")[b"flags"] == {b"on", b"broken_redirect"}


def test_a_flush_is_told_to_all(run: Run, reader: Session) -> None:
    run(reader, "CLIENT", "TRACKING", "ON")
    run(reader, "GET", "a")
    run("FLUSHDB")
    assert told(reader) == [None]
    run("SET", "a", 1)
    assert told(reader) == []


def test_the_table_is_bounded(run: Run, reader: Session, server: Server) -> None:
    server.change_settings({"tracking-table-max-keys": "2"})
    run(reader, "CLIENT", "TRACKING", "ON")
    for key in "abc":
        run(reader, "GET", key)
    assert told(reader) == [b"a"]
    assert len(server.part(TrackingTable)) == 2


def test_nothing_stays_when_nobody_tracks(run: Run, reader: Session, server: Server) -> None:
    run(reader, "CLIENT", "TRACKING", "ON")
    assert "tracking" in server.watchful
    run(reader, "GET", "a")
    reader.end()
    assert len(server.part(TrackingTable)) == 0
    assert "tracking" not in server.watchful
    assert (server.before_command, server.after_command) == ([], [])


def test_trackinginfo(run: Run, reader: Session) -> None:
    assert run(reader, "CLIENT", "TRACKINGINFO") == {b"flags": {b"off"}, b"redirect": -1, b"prefixes": []}
    run(reader, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "NOLOOP")
    assert run(reader, "CLIENT", "TRACKINGINFO") == {
        b"flags": {b"on", b"bcast", b"noloop"},
        b"redirect": 0,
        b"prefixes": [b"a"],
    }


SWITCHED = (
    "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a "
    "different mode."
)
OVERLAP = "-ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap."


@pytest.mark.parametrize(
    ("before", "words", "reply"),
    [
        ("", "CLIENT TRACKING MAYBE", "-ERR syntax error"),
        ("", "CLIENT TRACKING ON FOO", "-ERR syntax error"),
        ("", "CLIENT TRACKING ON REDIRECT 99", "-ERR The client ID you want redirect to does not exist"),
        ("", "CLIENT TRACKING ON PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled"),
        ("", "CLIENT TRACKING ON BCAST OPTIN", "-ERR OPTIN and OPTOUT are not compatible with BCAST"),
        ("", "CLIENT TRACKING ON OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode"),
        ("", "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab", OVERLAP),
        ("CLIENT TRACKING ON", "CLIENT TRACKING ON BCAST", SWITCHED),
        (
            "CLIENT TRACKING ON",
            "CLIENT CACHING YES",
            "-ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        (
            "CLIENT TRACKING ON OPTIN",
            "CLIENT CACHING NO",
            "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ),
    ],
)
def test_what_is_refused(run: Run, before: str, words: str, reply: str) -> None:
    if before:
        run(*before.split())
    assert run(*words.split()) == reply
