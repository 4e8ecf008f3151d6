"""MULTI, EXEC, DISCARD, WATCH, and transactions that take all back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.clients import FakeEffects, FakeLine, Run

import striate
from striate.commands.registry import LATER, RETRY
from striate.commands.session import Server, Session
from striate.protocol.replies import NULL_ARRAY

Connect = Callable[[], Session]
NOT_A_NUMBER = "-ERR value is not an integer or out of range"


def test_commands_are_queued_and_executed(run: Run) -> None:
    assert run("MULTI") == b"OK"
    assert run("SET", "a", 1) == b"QUEUED"
    assert run("INCR", "a") == b"QUEUED"
    assert run("GET", "a") == b"QUEUED"
    assert run("EXEC") == [b"OK", 2, b"2"]
    assert run("GET", "a") == b"2"
    assert run("EXEC") == "-ERR EXEC without MULTI"


def test_nobody_sees_a_part(run: Run, database: striate.Database, server: Server) -> None:
    seen = []
    server.before_command.append(lambda *_: seen.append(database.table("keys").get("a")))
    run("MULTI")
    run("SET", "a", 1)
    run("SET", "b", 2)
    run("EXEC")
    assert seen == [None] * len(seen)
    assert len(seen) >= 3


def test_it_is_one_batch_of_the_log(run: Run, database: striate.Database) -> None:
    run("SET", "gone", 1)
    run("MULTI")
    run("SET", "a", 1, "PX", 5000)
    run("DEL", "gone")
    run("SELECT", 3)
    run("SET", "b", 2)
    assert run("EXEC") == [b"OK", 1, b"OK", b"OK"]
    assert run("GET", "b") == b"2"
    run("SELECT", 0)
    assert (run("GET", "a"), run("GET", "gone"), run("PTTL", "a")) == (b"1", None, 5000)


def test_errors_of_the_words(run: Run) -> None:
    assert run("DISCARD") == "-ERR DISCARD without MULTI"
    run("MULTI")
    assert run("MULTI") == "-ERR MULTI calls can not be nested"
    assert run("WATCH", "a") == "-ERR WATCH inside MULTI is not allowed"
    assert run("EXEC") == []


@pytest.mark.parametrize("words", [("NOSUCH",), ("GET",)])
def test_what_cannot_be_queued_spoils_it(run: Run, words: tuple[str, ...]) -> None:
    run("MULTI")
    run("SET", "a", 1)
    assert run(*words).startswith("-ERR ")
    assert run("SET", "a", 2) == b"QUEUED"
    assert run("EXEC") == "-EXECABORT Transaction discarded because of previous errors."
    assert run("GET", "a") is None


def test_an_error_inside_leaves_the_rest(run: Run) -> None:
    run("SET", "text", "x")
    run("MULTI")
    run("SET", "a", 1)
    run("INCR", "text")
    run("SET", "b", 2)
    assert run("EXEC") == [b"OK", NOT_A_NUMBER, b"OK"]
    assert run("MGET", "a", "b") == [b"1", b"2"]


@pytest.mark.parametrize("by_server", [True, False])
def test_a_strict_transaction_takes_all_back(run: Run, server: Server, session: Session, by_server: bool) -> None:
    if by_server:
        assert run("CONFIG", "SET", "strict-transactions", "yes") == b"OK"
    else:
        assert run("CLIENT", "STRICT", "ON") == b"OK"
    told = []
    run("SET", "text", "x")
    server.on_change.append(lambda *change: told.append(change))
    run("MULTI")
    run("SET", "a", 1)
    run("SELECT", 1)
    run("SELECT", 0)
    run("INCR", "text")
    assert run("EXEC") == "-EXECABORT Transaction rolled back because of: ERR value is not an integer or out of range"
    assert (run("GET", "a"), told, session.database) == (None, [], 0)


def test_discard(run: Run) -> None:
    run("WATCH", "a")
    run("MULTI")
    run("SET", "a", 1)
    assert run("DISCARD") == b"OK"
    assert run("GET", "a") is None
    assert run("MULTI") == b"OK"
    assert run("EXEC") == []


def test_watch(run: Run, connect: Connect) -> None:
    other = connect()
    run("WATCH", "a", "b")
    run(other, "SET", "b", 1)
    run("MULTI")
    run("SET", "a", 1)
    assert run("EXEC") is NULL_ARRAY
    assert run("GET", "a") is None
    run("MULTI")
    assert run("EXEC") == []


def test_watch_of_a_key_that_stays(run: Run, connect: Connect) -> None:
    run("SET", "a", 1)
    run("WATCH", "a", "none")
    run(connect(), "SET", "other", 1)
    run("MULTI")
    run("INCR", "a")
    assert run("EXEC") == [2]


def test_unwatch(run: Run, connect: Connect) -> None:
    run("WATCH", "a")
    run(connect(), "SET", "a", 1)
    assert run("UNWATCH") == b"OK"
    run("MULTI")
    run("INCR", "a")
    assert run("EXEC") == [2]


def test_watch_of_another_database_and_of_a_stream(run: Run, connect: Connect) -> None:
    other = connect()
    run("XADD", "s", "1-1", "f", "v")
    run("WATCH", "s")
    run(other, "XADD", "s", "1-2", "f", "v")
    run("MULTI")
    assert run("EXEC") is NULL_ARRAY
    run("WATCH", "a")
    run(other, "SELECT", 1)
    run(other, "SET", "a", 1)
    run("MULTI")
    assert run("EXEC") == []


def test_a_watched_key_that_ends(run: Run, effects: FakeEffects) -> None:
    run("SET", "a", 1, "PX", 10)
    run("WATCH", "a")
    effects.time_ms += 11
    run("MULTI")
    assert run("EXEC") is NULL_ARRAY


def test_changes_are_told_when_it_is_committed(run: Run, server: Server, database: striate.Database) -> None:
    told: list[object] = []
    server.on_change.append(lambda number, event, key: told.append((event, key, database.table("keys").get("b"))))
    run("MULTI")
    run("SET", "a", 1)
    run("SET", "b", 2)
    run("EXEC")
    assert told == [("set", b"a", b"2"), ("set", b"b", b"2")]


def test_another_thread_that_is_faster(run: Run, server: Server, database: striate.Database) -> None:
    run("SET", "a", 1)
    table = database.table("keys")
    left = [b"10"]

    def interfere(session: Session, command: object, arguments: list[bytes]) -> None:
        if session.executing and left:
            table["a"] = left.pop()

    run("MULTI")
    run("GET", "a")
    run("INCR", "a")
    server.before_command.append(interfere)
    assert run("EXEC") == [b"10", 11]
    run("WATCH", "a")
    run("MULTI")
    run("INCR", "a")
    left.append(b"20")
    assert run("EXEC") is NULL_ARRAY
    assert run("GET", "a") == b"20"


def test_keys_within_a_transaction(run: Run) -> None:
    run("MSET", "a", 1, "b", 2, "old", 3)
    run("MULTI")
    run("DEL", "old")
    run("SET", "c", 3)
    run("DBSIZE")
    run("KEYS", "*")
    run("EXISTS", "a", "old", "c")
    run("RENAME", "a", "d")
    run("SETNX", "a", "new")
    run("SETNX", "b", "new")
    run("MSETNX", "e", 1, "f", 2)
    replies = run("EXEC")
    assert replies[2] == 3
    assert sorted(replies[3]) == [b"a", b"b", b"c"]
    assert replies[4:] == [2, b"OK", 1, 0, 1]
    assert run("MGET", "a", "b", "c", "d", "e", "f") == [b"new", b"2", b"3", b"1", b"1", b"2"]


def test_flushdb_within_a_transaction(run: Run) -> None:
    run("MSET", "a", 1, "b", 2)
    run("MULTI")
    run("SET", "c", 1)
    run("FLUSHDB")
    run("SET", "d", 1)
    run("DBSIZE")
    assert run("EXEC")[3] == 1
    assert run("KEYS", "*") == [b"d"]


def test_no_command_waits(run: Run) -> None:
    run("MULTI")
    run("XREAD", "BLOCK", 0, "STREAMS", "s", "$")
    assert run("EXEC") == [NULL_ARRAY]


def test_waiting_clients_are_served_behind_it(run: Run, connect: Connect) -> None:
    reader = connect()
    assert run(reader, "XREAD", "BLOCK", 0, "STREAMS", "s", "$") is LATER
    run("MULTI")
    run("XADD", "s", "1-1", "f", "v")
    run("XADD", "s", "1-2", "f", "v")
    assert run("EXEC") == [b"1-1", b"1-2"]
    assert isinstance(reader.line, FakeLine)
    assert reader.line.replies == [[[b"s", [[b"1-1", [b"f", b"v"]], [b"1-2", [b"f", b"v"]]]]]]


def test_a_transaction_that_reads_streams_waits_for_the_disk(run: Run, effects: FakeEffects) -> None:
    run("MULTI")
    run("XLEN", "s")
    effects.durable = False
    assert run("EXEC") is RETRY
    effects.become_durable()
    assert run("EXEC") == [0]


def test_commands_do_not_pass_by_while_they_are_queued(run: Run, session: Session) -> None:
    line = session.line
    assert isinstance(line, FakeLine)
    assert line.plain == (True, 0)
    run("MULTI")
    assert line.plain == (False, 0)
    run("EXEC")
    assert line.plain == (True, 0)


def test_a_client_that_is_gone(run: Run, session: Session, server: Server) -> None:
    run("MULTI")
    run("SET", "a", 1)
    session.end()
    assert server.keyspaces[0].get(b"a") is None
