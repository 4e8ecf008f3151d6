"""Clients that wait for entries of streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.clients import FakeEffects, Run

from striate.commands.blocking import Blocking
from striate.commands.registry import LATER, RETRY
from striate.commands.session import Server, Session
from striate.protocol.replies import NULL_ARRAY, Failure

Connect = Callable[[], Session]
FIRST = [[b"s", [[b"1-1", [b"f", b"v"]]]]]


def replies(session: Session) -> list[Any]:
    line: Any = session.line
    return [f"-{reply}" if isinstance(reply, Failure) else reply for reply in line.replies]


def test_a_reader_gets_what_comes(run: Run, connect: Connect) -> None:
    reader = connect()
    assert run(reader, "XREAD", "BLOCK", 0, "STREAMS", "s", "t", "$", "$") is LATER
    run("XADD", "other", "1-1", "f", "v")
    assert replies(reader) == []
    run("XADD", "s", "1-1", "f", "v")
    assert replies(reader) == [FIRST]
    run("XADD", "s", "1-2", "f", "v")
    assert len(replies(reader)) == 1


def test_a_reader_with_resp3_gets_a_map(run: Run, connect: Connect) -> None:
    reader = connect()
    reader.protocol = 3
    run(reader, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    run("XADD", "s", "1-1", "f", "v")
    assert replies(reader) == [{b"s": [[b"1-1", [b"f", b"v"]]]}]


def test_what_is_there_is_not_waited_for(run: Run) -> None:
    run("XADD", "s", "1-1", "f", "v")
    assert run("XREAD", "BLOCK", 0, "STREAMS", "s", "0") == FIRST
    assert run("XREAD", "STREAMS", "s", "+") == FIRST


def test_the_time_is_over(run: Run, effects: FakeEffects, server: Server, session: Session) -> None:
    assert run(session, "XREAD", "BLOCK", 100, "STREAMS", "s", "$") is LATER
    effects.pass_ms(99)
    assert replies(session) == []
    effects.pass_ms(1)
    assert replies(session) == [NULL_ARRAY]
    assert len(server.part(Blocking)) == 0
    run("XADD", "s", "1-1", "f", "v")
    assert len(replies(session)) == 1


def test_consumers_of_a_group_are_served_in_the_order_they_came(run: Run, connect: Connect) -> None:
    run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    first, second = connect(), connect()
    for consumer in (first, second):
        request = ("XREADGROUP", "GROUP", "g", f"c{consumer.id}", "COUNT", 1, "BLOCK", 0, "STREAMS", "s", ">")
        assert run(consumer, *request) is LATER
    run("XADD", "s", "1-1", "f", "v")
    assert (replies(first), replies(second)) == ([FIRST], [])
    run("XADD", "s", "1-2", "f", "v")
    assert replies(second) == [[[b"s", [[b"1-2", [b"f", b"v"]]]]]]


def test_a_group_that_goes_is_told(run: Run, connect: Connect) -> None:
    run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    reader = connect()
    run(reader, "XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
    run("XGROUP", "DESTROY", "s", "g")
    assert replies(reader) == ["-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"]


def test_at_power_a_reader_gets_only_what_is_durable(run: Run, connect: Connect, effects: FakeEffects) -> None:
    reader = connect()
    run(reader, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    effects.durable = False
    run("XADD", "s", "1-1", "f", "v")
    run("XADD", "s", "1-2", "f", "v")
    assert replies(reader) == []
    assert run("XLEN", "s") is RETRY
    effects.become_durable()
    assert replies(reader) == [[[b"s", [[b"1-1", [b"f", b"v"]], [b"1-2", [b"f", b"v"]]]]]]


def test_client_unblock(run: Run, connect: Connect) -> None:
    first, second = connect(), connect()
    for reader in (first, second):
        run(reader, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    assert first.unblock is not None
    assert second.unblock is not None
    first.unblock(False)
    second.unblock(True)
    assert replies(first) == [NULL_ARRAY]
    assert replies(second) == ["-UNBLOCKED client unblocked via CLIENT UNBLOCK"]
    assert first.unblock is None


def test_a_client_that_is_gone_waits_for_nothing(
    run: Run, connect: Connect, server: Server, effects: FakeEffects
) -> None:
    reader = connect()
    run(reader, "XREAD", "BLOCK", 100, "STREAMS", "s", "$")
    reader.end()
    assert len(server.part(Blocking)) == 0
    run("XADD", "s", "1-1", "f", "v")
    effects.pass_ms(100)
    assert replies(reader) == []


def test_a_string_in_the_place_of_the_stream(run: Run, connect: Connect) -> None:
    reader = connect()
    run(reader, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    run("SET", "s", "x")
    assert replies(reader) == []


def test_an_entry_of_the_program_is_seen_when_all_look_again(
    run: Run, connect: Connect, server: Server, database: Any
) -> None:
    reader = connect()
    run(reader, "XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    database.stream("s").append(b"v", id="1-1")
    server.part(Blocking).look_again()
    assert replies(reader) == [[[b"s", [[b"1-1", [b"data", b"v"]]]]]]
