"""Channels, patterns, sharded channels, and notifications of changes of keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.clients import Run

from striate.commands.notifications import kind_of
from striate.commands.pubsub import PubSub
from striate.commands.registry import SILENCE
from striate.commands.session import Server, Session
from striate.protocol.replies import Push

Connect = Callable[[], Session]


def taken(session: Session) -> list[tuple[Any, ...]]:
    """What was pushed to a session since the last look."""
    line: Any = session.line
    pushed, line.pushed = line.pushed, []
    assert all(isinstance(reply, Push) for reply in pushed)
    return [tuple(reply) for reply in pushed]


def test_channels(run: Run, connect: Connect) -> None:
    reader = connect()
    assert run(reader, "SUBSCRIBE", "a", "b", "a") is SILENCE
    assert taken(reader) == [(b"subscribe", b"a", 1), (b"subscribe", b"b", 2), (b"subscribe", b"a", 2)]
    assert run("PUBLISH", "a", "hello") == 1
    assert run("PUBLISH", "other", "hello") == 0
    assert taken(reader) == [(b"message", b"a", b"hello")]
    run(reader, "UNSUBSCRIBE", "a", "none")
    assert taken(reader) == [(b"unsubscribe", b"a", 1), (b"unsubscribe", b"none", 1)]
    run(reader, "UNSUBSCRIBE")
    run(reader, "UNSUBSCRIBE")
    assert taken(reader) == [(b"unsubscribe", b"b", 0), (b"unsubscribe", None, 0)]
    assert run("PUBLISH", "a", "hello") == 0


def test_patterns(run: Run, connect: Connect) -> None:
    reader = connect()
    run(reader, "SUBSCRIBE", "news.x")
    run(reader, "PSUBSCRIBE", "news.*", "*")
    assert taken(reader)[1:] == [(b"psubscribe", b"news.*", 2), (b"psubscribe", b"*", 3)]
    assert run("PUBLISH", "news.x", "m") == 3
    assert taken(reader) == [
        (b"message", b"news.x", b"m"),
        (b"pmessage", b"news.*", b"news.x", b"m"),
        (b"pmessage", b"*", b"news.x", b"m"),
    ]
    run(reader, "PUNSUBSCRIBE")
    assert taken(reader) == [(b"punsubscribe", b"news.*", 2), (b"punsubscribe", b"*", 1)]


def test_sharded_channels_are_apart(run: Run, connect: Connect) -> None:
    reader = connect()
    run(reader, "SSUBSCRIBE", "a")
    run(reader, "SUBSCRIBE", "a")
    assert taken(reader) == [(b"ssubscribe", b"a", 1), (b"subscribe", b"a", 1)]
    assert run("SPUBLISH", "a", "m") == 1
    assert taken(reader) == [(b"smessage", b"a", b"m")]
    assert run("PUBSUB", "SHARDCHANNELS") == [b"a"]
    assert run("PUBSUB", "SHARDNUMSUB", "a", "b") == [b"a", 1, b"b", 0]
    run(reader, "SUNSUBSCRIBE")
    assert taken(reader) == [(b"sunsubscribe", b"a", 0)]


def test_what_is_in_use(run: Run, connect: Connect) -> None:
    for reader in (connect(), connect()):
        run(reader, "SUBSCRIBE", "a")
        run(reader, "PSUBSCRIBE", "p*")
    assert run("PUBSUB", "CHANNELS") == [b"a"]
    assert run("PUBSUB", "CHANNELS", "b*") == []
    assert run("PUBSUB", "NUMSUB", "a", "b") == [b"a", 2, b"b", 0]
    assert run("PUBSUB", "NUMSUB") == []
    assert run("PUBSUB", "NUMPAT") == 1


def test_with_resp2_only_few_commands_are_allowed(run: Run, session: Session) -> None:
    run("SUBSCRIBE", "a")
    assert run("GET", "k") == (
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
        "context"
    )
    session.protocol = 3
    assert run("GET", "k") is None
    session.protocol = 2
    run("UNSUBSCRIBE")
    assert run("GET", "k") is None


def test_nothing_stays_of_a_client_that_is_gone(run: Run, connect: Connect, server: Server) -> None:
    for leave in (Session.end, lambda session: run(session, "RESET")):
        reader = connect()
        run(reader, "SUBSCRIBE", "a")
        run(reader, "PSUBSCRIBE", "a")
        run(reader, "SSUBSCRIBE", "a")
        leave(reader)
        channels = server.part(PubSub)
        assert (channels.channels, channels.patterns, channels.shards) == ({}, {}, {})
        assert not reader.subscriptions


def test_messages_of_a_transaction_come_when_it_is_committed(run: Run, connect: Connect, session: Session) -> None:
    reader = connect()
    run(reader, "SUBSCRIBE", "a")
    taken(reader)
    run("MULTI")
    run("PUBLISH", "a", "m")
    assert run("EXEC") == [1]
    assert taken(reader) == [(b"message", b"a", b"m")]
    session.strict_transactions = True
    run("MULTI")
    run("PUBLISH", "a", "m")
    run("INCRBY", "k", "x")
    assert run("EXEC").startswith("-EXECABORT")
    assert taken(reader) == []


# ---------------------------------------------------------------- notifications


@pytest.mark.parametrize(
    ("flags", "messages"),
    [
        ("", []),
        ("K", []),
        ("A", []),
        ("K$", [(b"__keyspace@0__:k", b"set")]),
        ("Eg", [(b"__keyevent@0__:del", b"k")]),
        ("Et", [(b"__keyevent@0__:xadd", b"s")]),
        (
            "KEA",
            [
                (b"__keyspace@0__:k", b"set"),
                (b"__keyevent@0__:set", b"k"),
                (b"__keyspace@0__:k", b"del"),
                (b"__keyevent@0__:del", b"k"),
                (b"__keyspace@0__:s", b"xadd"),
                (b"__keyevent@0__:xadd", b"s"),
            ],
        ),
    ],
)
def test_flags(run: Run, connect: Connect, server: Server, flags: str, messages: list[tuple[bytes, bytes]]) -> None:
    reader = connect()
    run(reader, "PSUBSCRIBE", "*")
    taken(reader)
    server.change_settings({"notify-keyspace-events": flags})
    assert ("notifications" in server.watchful) == bool(messages)
    run("SET", "k", "v")
    run("DEL", "k")
    run("XADD", "s", "*", "f", "v")
    assert [message[2:] for message in taken(reader)] == messages
    server.change_settings({"notify-keyspace-events": ""})
    run("SET", "k", "v")
    assert taken(reader) == []


def test_another_database(run: Run, connect: Connect, server: Server) -> None:
    reader = connect()
    run(reader, "SUBSCRIBE", "__keyspace@3__:k")
    server.change_settings({"notify-keyspace-events": "KA"})
    run("SELECT", 3)
    run("SET", "k", "v")
    assert taken(reader)[1:] == [(b"message", b"__keyspace@3__:k", b"set")]


def test_kinds_of_events() -> None:
    found = {event: kind_of(event) for event in ("set", "incrby", "expire", "expired", "evicted", "xgroup-create")}
    assert found == {
        "set": "$", "incrby": "$", "expire": "g", "expired": "x", "evicted": "e", "xgroup-create": "t",
    }  # fmt: skip
