"""CLIENT: connections that are listed, killed, paused and woken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.clients import FakeEffects, Run

from striate.commands.dispatch import dispatch
from striate.commands.registry import LATER
from striate.commands.session import Server, Session
from striate.protocol.replies import OK

Connect = Callable[[], Session]


def fields(text: bytes) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.decode().split(" "))


def test_a_client_is_described(run: Run, session: Session) -> None:
    run("CLIENT", "SETNAME", "carl")
    run("CLIENT", "SETINFO", "LIB-NAME", "redis-py(x)")
    run("CLIENT", "SETINFO", "lib-ver", "8.1.0")
    run("SELECT", 3)
    text = run("CLIENT", "INFO")
    assert text.endswith(b"\n")
    told = fields(text.strip())
    expected = {
        "id": "1",
        "addr": "127.0.0.1:50000",
        "laddr": "127.0.0.1:7379",
        "name": "carl",
        "flags": "N",
        "db": "3",
        "multi": "-1",
        "cmd": "select",
        "user": "default",
        "resp": "2",
        "lib-name": "redis-py(x)",
        "lib-ver": "8.1.0",
    }
    assert told.items() >= expected.items()
    run("CLIENT", "NO-EVICT", "on")
    run("CLIENT", "NO-TOUCH", "on")
    session.subscriptions = {b"channel"}
    session.protocol = 3
    assert fields(run("CLIENT", "INFO").strip())["flags"] == "PeT"


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        (["FOO", "x"], "-ERR Unrecognized option 'FOO'"),
        (["LIB-NAME", "a b"], "-ERR lib-name cannot contain spaces, newlines or special characters."),
        (["lib-ver", "a\n"], "-ERR lib-ver cannot contain spaces, newlines or special characters."),
    ],
)
def test_setinfo_refuses(run: Run, words: list[str], reply: str) -> None:
    assert run("CLIENT", "SETINFO", *words) == reply


def test_clients_are_listed(run: Run, connect: Connect) -> None:
    other = connect()
    assert [fields(line)["id"] for line in run("CLIENT", "LIST").splitlines()] == ["1", "2"]
    assert [fields(line)["id"] for line in run("CLIENT", "LIST", "ID", 2, 9).splitlines()] == ["2"]
    other.subscriptions = {b"channel"}
    assert fields(run("CLIENT", "LIST", "TYPE", "pubsub").strip())["id"] == "2"
    assert run("CLIENT", "LIST", "TYPE", "replica") == b""


def test_clients_are_killed(run: Run, session: Session, connect: Connect) -> None:
    other, third = connect(), connect()
    assert run("CLIENT", "KILL", "ID", 2, "USER", "nobody") == 0
    assert run("CLIENT", "KILL", "ID", 2) == 1
    assert other.line.closed
    assert not third.line.closed
    assert run("CLIENT", "KILL", "ADDR", "127.0.0.1:50000", "LADDR", "127.0.0.1:7379", "TYPE", "normal") == 2
    assert not session.line.closed
    assert run("CLIENT", "KILL", "ID", 1, "SKIPME", "no") == 1
    assert session.line.closes_after_reply
    assert run("CLIENT", "KILL", "127.0.0.1:50000") == OK


def test_quitting_closes_behind_the_reply(run: Run, session: Session) -> None:
    assert run("QUIT") == OK
    assert session.line.closes_after_reply


def test_a_blocked_client_is_woken(run: Run, connect: Connect) -> None:
    other = connect()
    told: list[bool] = []
    assert run("CLIENT", "UNBLOCK", other.id) == 0
    other.unblock = told.append
    assert "b" in fields(run("CLIENT", "LIST", "ID", other.id).strip())["flags"]
    assert run("CLIENT", "UNBLOCK", other.id) == 1
    assert run("CLIENT", "UNBLOCK", other.id, "ERROR") == 1
    assert told == [False, True]


# ---------------------------------------------------------------- pauses


def test_a_pause_holds_commands_until_it_is_over(
    run: Run, session: Session, connect: Connect, effects: FakeEffects
) -> None:
    other = connect()
    assert run("CLIENT", "PAUSE", 100) == OK
    assert other.line.plain == (False, 0)
    assert run("PING") is LATER
    assert run(other, "SET", "k", "v") is LATER
    assert run(other, "GET", "k") is LATER
    effects.pass_ms(99)
    assert session.line.replies == other.line.replies == []
    effects.pass_ms(1)
    assert session.line.replies == [b"PONG"]
    assert other.line.replies == [OK, b"v"]
    assert other.line.plain == (True, 0)
    assert run("PING") == b"PONG"


def test_a_pause_of_writes_lets_reads_pass(run: Run, effects: FakeEffects, session: Session) -> None:
    run("CLIENT", "PAUSE", 100, "WRITE")
    assert run("GET", "k") is None
    assert run("SET", "k", "v") is LATER
    assert run("CLIENT", "UNPAUSE") == OK
    assert session.line.replies == [OK]
    effects.pass_ms(100)
    assert session.line.replies == [OK]


def test_the_longest_and_strictest_pause_counts(run: Run, effects: FakeEffects, session: Session) -> None:
    run("CLIENT", "PAUSE", 100, "WRITE")
    run("CLIENT", "PAUSE", 50, "ALL")
    effects.pass_ms(60)
    assert run("PING") is LATER
    effects.pass_ms(40)
    assert session.line.replies == [b"PONG"]


def test_who_left_during_a_pause_gets_nothing(run: Run, effects: FakeEffects, connect: Connect) -> None:
    other = connect()
    run("CLIENT", "PAUSE", 100)
    assert run(other, "SET", "k", "v") is LATER
    other.end()
    effects.pass_ms(100)
    assert run("GET", "k") is None


def test_pauses_can_follow_each_other(run: Run, server: Server, session: Session, effects: FakeEffects) -> None:
    run("CLIENT", "PAUSE", 10)
    dispatch(session, [b"CLIENT", b"PAUSE", b"10"])
    dispatch(session, [b"PING"])
    effects.pass_ms(10)
    assert session.line.replies == [OK]
    assert server.pause is not None
    effects.pass_ms(10)
    assert session.line.replies == [OK, b"PONG"]
    assert server.pause is None
    assert not server.watchful
