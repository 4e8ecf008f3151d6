"""Streams inside MULTI and EXEC: seen with the transaction's own changes, committed with its keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients import FakeEffects, FakeLine, Run, shown

import striate
from striate.commands.dispatch import dispatch, load_commands
from striate.commands.keyspace import Keyspace
from striate.commands.session import DATABASES, Server, Session, Settings
from striate.protocol.replies import NULL_ARRAY

Connect = Callable[[], Session]


def test_own_changes_are_seen(run: Run) -> None:
    run("XADD", "s", "1-1", "f", "v")
    run("MULTI")
    run("XADD", "s", "1-2", "f", "w")
    run("XADD", "s", "1-2", "f", "w")
    run("XLEN", "s")
    run("XDEL", "s", "1-1")
    run("XRANGE", "s", "-", "+")
    run("XADD", "new", "*", "f", "v")
    run("XLEN", "new")
    run("SET", "k", "v")
    replies = run("EXEC")
    assert replies[:5] == [
        b"1-2",
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
        2,
        1,
        [[b"1-2", [b"f", b"w"]]],
    ]
    assert replies[5:] == [b"1700000000000-0", 1, b"OK"]
    assert (run("XLEN", "s"), run("XLEN", "new"), run("GET", "k")) == (1, 1, b"v")


def test_nobody_sees_a_part(run: Run, database: striate.Database, server: Server) -> None:
    lengths = []
    server.before_command.append(lambda *_: lengths.append(len(database.stream("s"))))
    run("MULTI")
    run("XADD", "s", "1-1", "f", "v")
    run("XADD", "s", "1-2", "f", "v")
    run("XTRIM", "s", "MAXLEN", 1)
    run("EXEC")
    assert set(lengths) == {0}
    assert len(database.stream("s")) == 1


def test_groups(run: Run) -> None:
    run("XADD", "s", "1-1", "f", "v")
    run("MULTI")
    run("XGROUP", "CREATE", "s", "g", "0")
    run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    run("XPENDING", "s", "g")
    run("XACK", "s", "g", "1-1")
    assert run("EXEC") == [
        b"OK",
        [[b"s", [[b"1-1", [b"f", b"v"]]]]],
        [1, b"1-1", b"1-1", [[b"c", b"1"]]],
        1,
    ]
    assert run("XPENDING", "s", "g") == [0, None, None, NULL_ARRAY]


def test_kinds_of_keys_change(run: Run) -> None:
    run("XADD", "s", "1-1", "f", "v")
    run("MULTI")
    run("DEL", "s")
    run("EXISTS", "s")
    run("SET", "s", "text")
    run("XADD", "s", "1-1", "f", "v")
    run("DEL", "s")
    run("XADD", "s", "5-1", "f", "v")
    run("KEYS", "*")
    assert run("EXEC") == [
        1,
        0,
        b"OK",
        "-WRONGTYPE Operation against a key holding the wrong kind of value",
        1,
        b"5-1",
        [b"s"],
    ]
    assert run("XRANGE", "s", "-", "+") == [[b"5-1", [b"f", b"v"]]]


def test_a_strict_transaction_takes_streams_back(run: Run, session: Session) -> None:
    run("XADD", "s", "1-1", "f", "v")
    session.strict_transactions = True
    run("MULTI")
    run("XADD", "s", "1-2", "f", "v")
    run("XADD", "new", "1-1", "f", "v")
    run("DEL", "s")
    run("INCRBY", "k", "x")
    assert run("EXEC").startswith("-EXECABORT ")
    assert (run("XLEN", "s"), run("EXISTS", "new")) == (1, 0)


def test_another_thread_appends_meanwhile(run: Run, server: Server, database: striate.Database) -> None:
    stream = database.stream("s")
    left = [1]

    def interfere(session: Session, *_: object) -> None:
        if session.executing and left:
            left.pop()
            stream.append(b"theirs")

    server.before_command.append(interfere)
    run("MULTI")
    run("XLEN", "s")
    run("XADD", "s", "*", "data", "ours")
    run("XLEN", "s")
    replies = run("EXEC")
    assert (replies[0], replies[2]) == (1, 2)
    assert [entry.value for entry in stream] == [b"theirs", b"ours"]


def test_a_watched_stream_that_another_thread_changes(run: Run, server: Server, database: striate.Database) -> None:
    run("XADD", "s", "1-1", "f", "v")
    run("WATCH", "s")
    database.stream("s").append(b"theirs")
    run("MULTI")
    run("SET", "k", "v")
    assert run("EXEC") is NULL_ARRAY


@pytest.mark.parametrize("durability", ["power", "process"])
def test_all_of_it_is_there_after_opening_again(fast_path: Path, durability: striate.Durability) -> None:
    load_commands()
    effects = FakeEffects()
    words = ["MULTI", "SET k v", "XADD s 1-1 f v", "XGROUP CREATE s g 0", "XLEN s", "SETRANGE k 1 w", "EXEC"]
    with striate.open(fast_path / "again", durability) as database:
        keyspaces = [Keyspace(database, number, effects.now_ms) for number in range(DATABASES)]
        session = Session(Server(database, effects, Settings(), keyspaces), FakeLine())
        replies = [shown(dispatch(session, [word.encode() for word in line.split()])) for line in words]
        assert replies[-1] == [b"OK", b"1-1", b"OK", 1, 2]
        database.sync()
    with striate.open(fast_path / "again") as database:
        assert database.table("keys")["k"] == b"vw"
        assert (len(database.stream("s")), database.stream("s").groups()) == (1, ["g"])


def test_xsetid(run: Run) -> None:
    run("XADD", "s", "1-1", "f", "v")
    assert run("XSETID", "s", "5-5", "ENTRIESADDED", 9, "MAXDELETEDID", "4-4") == b"OK"
    about = run("XINFO", "STREAM", "s")
    assert [about[name] for name in (b"last-generated-id", b"entries-added", b"max-deleted-entry-id")] == [
        b"5-5",
        9,
        b"4-4",
    ]
    assert run("XSETID", "s", "5-0").startswith("-ERR ")
    assert run("XSETID", "s", "5-5", "ENTRIESADDED", 1).startswith("-ERR ")
    assert run("XADD", "s", "5-*", "f", "v") == b"5-6"


def test_streams_are_renamed(run: Run) -> None:
    run("XADD", "s", "1-1", "f", "v")
    run("MULTI")
    run("RENAME", "s", "t")
    run("XADD", "t", "1-2", "f", "v")
    run("XLEN", "t")
    run("EXISTS", "s")
    assert run("EXEC") == [b"OK", b"1-2", 2, 0]
    assert (run("XLEN", "t"), run("EXISTS", "s")) == (2, 0)
