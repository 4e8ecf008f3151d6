"""Keyspaces: strings and streams under the same keys, their ends, walks over all of them."""

from __future__ import annotations

import threading

import pytest
from support.clients import NOW_MS, FakeEffects, Run

import striate
from striate.commands.keyspace import LATEST_END, Keyspace
from striate.commands.session import Server, Session
from striate.protocol.replies import Failure


@pytest.fixture
def keyspace(server: Server) -> Keyspace:
    return server.keyspaces[0]


def test_an_embedding_program_and_clients_share_strings_and_streams(run: Run, database: striate.Database) -> None:
    database.table("keys")["k"] = b"v"
    database.stream("s").append(b"entry")
    database.stream("3:s").append(b"entry")
    assert run("GET", "k") == b"v"
    assert run("TYPE", "s") == b"stream"
    run("SELECT", 3)
    assert run("KEYS", "*") == [b"s"]
    run("SET", "k", "w")
    assert database.table("keys:3")["k"] == b"w"


def test_keys_that_look_like_those_of_another_database_are_other_keys(server: Server) -> None:
    first, fourth = server.keyspaces[0], server.keyspaces[3]
    first.create_stream(b"3:s")
    assert fourth.kind(b"s") is None
    assert list(first.keys()) == [b"3:s"]
    fourth.create_stream(b"s")
    assert first.kind(b"3:s") == fourth.kind(b"s") == "stream"
    assert list(fourth.keys()) == [b"s"]
    assert fourth.delete(b"s")
    assert first.kind(b"3:s") == "stream"


def test_commands_on_strings_refuse_streams_but_set_replaces_them(run: Run, keyspace: Keyspace) -> None:
    wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
    keyspace.create_stream(b"s")
    for request in ("GET s", "APPEND s x", "INCR s", "GETRANGE s 0 1", "GETSET s x", "GETDEL s", "SET s x GET"):
        assert run(*request.split()) == wrong, request
    assert run("SETNX", "s", "x") == run("MSETNX", "s", "x", "t", "y") == 0
    assert run("MGET", "s") == [None]
    assert run("SET", "s", "x") == b"OK"
    assert run("TYPE", "s") == b"string"
    keyspace.create_stream(b"t")
    assert run("MSET", "t", "x", "u", "y") == b"OK"
    assert run("MGET", "t", "u") == [b"x", b"y"]


def test_a_stream_is_no_string(keyspace: Keyspace) -> None:
    keyspace.set(b"k", b"v")
    with pytest.raises(Failure, match="WRONGTYPE"):
        keyspace.stream(b"k")
    with pytest.raises(Failure, match="WRONGTYPE"):
        keyspace.create_stream(b"k")
    assert keyspace.stream(b"other") is None


def test_streams_are_deleted_counted_and_flushed(run: Run, keyspace: Keyspace) -> None:
    for number in range(5):
        keyspace.create_stream(b"s%d" % number).append(b"entry")
    run("SET", "k", "v")
    assert run("DBSIZE") == 6
    assert run("DEL", "s0", "s9", "k") == 2
    assert run("EXISTS", "s0", "s1") == 1
    again = keyspace.create_stream(b"s0")
    assert len(again) == 0
    run("FLUSHDB")
    assert run("DBSIZE") == 0
    assert run("KEYS", "*") == []


def test_streams_end_when_they_were_told_to(run: Run, keyspace: Keyspace, effects: FakeEffects) -> None:
    keyspace.create_stream(b"s")
    assert run("TTL", "s") == -1
    assert run("EXPIRE", "s", 10) == 1
    assert run("TTL", "s") == 10
    assert run("PERSIST", "s") == 1
    assert run("PEXPIRE", "s", 10) == 1
    effects.pass_ms(9)
    assert run("EXISTS", "s") == 1
    effects.pass_ms(1)
    assert run("EXISTS", "s") == 0
    assert run("TTL", "s") == -2
    keyspace.create_stream(b"s")
    assert run("TTL", "s") == -1


def test_the_end_of_a_stream_is_not_that_of_a_later_one(keyspace: Keyspace, database: striate.Database) -> None:
    keyspace.create_stream(b"s")
    keyspace.set_end(b"s", NOW_MS + 1000)
    ended = database.table("keys:ends")["s"]
    keyspace.delete(b"s")
    keyspace.create_stream(b"s")
    database.table("keys:ends")["s"] = ended
    assert keyspace.end_ms(b"s") == 0


def test_ends_of_streams_are_durable(run: Run, server: Server, effects: FakeEffects) -> None:
    server.keyspaces[2].create_stream(b"s")
    server.keyspaces[2].set_end(b"s", NOW_MS + 1000)
    again = Keyspace(server.database, 2, effects.now_ms)
    assert again.end_ms(b"s") == NOW_MS + 1000


def test_strings_expire(run: Run, effects: FakeEffects) -> None:
    run("SET", "k", "v", "PX", 10)
    effects.pass_ms(10)
    assert run("GET", "k") is None
    assert run("DBSIZE") == 0


def test_ends_far_away_stop_in_2262(run: Run) -> None:
    run("SET", "k", "v", "PXAT", 1 << 62)
    assert run("PEXPIRETIME", "k") == LATEST_END
    assert run("GET", "k") == b"v"


def all_of(run: Run, *words: object) -> list[bytes]:
    met: list[bytes] = []
    cursor = b"0"
    for _ in range(1000):
        cursor, keys = run("SCAN", cursor, *words)
        met += keys
        if cursor == b"0":
            return met
    raise AssertionError("the walk does not end")


def test_a_scan_meets_all_strings_and_streams(run: Run, keyspace: Keyspace, database: striate.Database) -> None:
    strings = {b"string:%d" % number for number in range(5000)}
    streams = {b"stream:%d" % number for number in range(25)}
    database.table("keys").set_many(dict.fromkeys(strings, b""))
    for key in streams:
        keyspace.create_stream(key)
    met = all_of(run)
    assert set(met) == strings | streams
    assert len(met) == len(strings) + len(streams)
    assert set(all_of(run, "TYPE", "stream", "COUNT", 3)) == streams
    assert set(all_of(run, "TYPE", "string")) == strings
    assert set(all_of(run, "MATCH", "*:7")) == {b"string:7", b"stream:7"}
    assert run("SCAN", 0, "COUNT", 100_000)[0] == b"0"


@pytest.mark.parametrize("cursor", [1 << 36, (1 << 40) - 1, (1 << 64) - 1, 15 << 32 | 0xFFFFFFFF, 1 << 41])
def test_a_cursor_that_is_none_does_no_harm(run: Run, cursor: int) -> None:
    run("SET", "k", "v")
    following, keys = run("SCAN", cursor)
    assert int(following) < 1 << 64
    assert keys in ([], [b"k"])


def test_a_scan_in_steps_meets_streams_that_stay(run: Run, keyspace: Keyspace) -> None:
    for number in range(10):
        keyspace.create_stream(b"s%d" % number)
    cursor, met = run("SCAN", 0, "COUNT", 20_000)
    assert cursor == b"0"
    cursor, first = keyspace.scan(1 << 40, 4)
    keyspace.delete(first[0])
    keyspace.create_stream(b"new")
    rest = []
    while cursor:
        cursor, keys = keyspace.scan(cursor, 4)
        rest += keys
    assert set(first) | set(rest) >= set(met)


def test_any_key_may_be_the_random_one(keyspace: Keyspace) -> None:
    assert keyspace.random_key(lambda bound: 0) is None
    keyspace.create_stream(b"s")
    assert keyspace.random_key(lambda bound: 0) == b"s"
    for number in range(100):
        keyspace.set(b"%d" % number, b"")
    chosen = {keyspace.random_key(lambda bound, at=at: min(at, bound - 1)) for at in range(101)}
    assert None not in chosen
    assert len(chosen) > 10


def test_keys_may_be_any_bytes(run: Run) -> None:
    key = bytes(range(256))
    assert run("SET", key, key) == b"OK"
    assert run("GET", key) == key
    assert run("KEYS", "*") == [key]
    assert run("SET", "", "empty") == b"OK"
    assert run("GET", "") == b"empty"
    assert run("GET", b"\xff") is None


def test_a_key_too_long_is_refused(run: Run) -> None:
    assert run("SET", b"k" * 65_536, "v").startswith("-ERR key of 65536 bytes exceeds the limit")


def test_other_threads_lose_no_counts(run: Run, server: Server, connect: object, database: striate.Database) -> None:
    table = database.table("keys")
    other = threading.Thread(target=lambda: [table.increment("n") for _ in range(2000)])
    other.start()
    for _ in range(2000):
        run("INCR", "n")
    other.join()
    assert run("GET", "n") == b"4000"


def test_set_with_conditions_and_another_thread(
    run: Run, database: striate.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("SET", "k", "old")
    read, others = Keyspace.entry, [b"another"]

    def entry(self: Keyspace, key: bytes) -> object:
        found = read(self, key)
        if others:
            database.table("keys")[key] = others.pop()
        return found

    monkeypatch.setattr(Keyspace, "entry", entry)
    assert run("SET", "k", "new", "GET") == b"another"
    assert run("GET", "k") == b"new"


def test_a_change_of_many_keys_is_one_transaction(keyspace: Keyspace) -> None:
    keyspace.set(b"a", b"1")
    entry = keyspace.entry(b"a")
    assert entry is not None
    assert keyspace.update({b"a": (b"2", 0), b"b": (b"2", 0)}, {b"a": entry.version})
    assert not keyspace.update({b"a": (b"3", 0), b"c": (b"3", 0)}, {b"a": entry.version})
    assert keyspace.get(b"a") == b"2"
    assert keyspace.kind(b"c") is None


def test_versions_tell_changes(keyspace: Keyspace) -> None:
    seen = [keyspace.version(b"k")]
    keyspace.set(b"k", b"1")
    seen.append(keyspace.version(b"k"))
    keyspace.set(b"k", b"1")
    seen.append(keyspace.version(b"k"))
    keyspace.delete(b"k")
    stream = keyspace.create_stream(b"k")
    seen.append(keyspace.version(b"k"))
    stream.append(b"entry")
    seen.append(keyspace.version(b"k"))
    keyspace.delete(b"k")
    keyspace.create_stream(b"k")
    seen.append(keyspace.version(b"k"))
    assert seen[0] == 0
    assert len(set(seen)) == len(seen)


def test_dump_and_restore(run: Run, session: Session) -> None:
    run("SET", "k", b"\0value")
    payload = run("DUMP", "k")
    assert run("RESTORE", "k", 0, payload) == "-BUSYKEY Target key name already exists."
    assert run("RESTORE", "k2", 1000, payload) == b"OK"
    assert run("GET", "k2") == b"\0value"
    assert run("PTTL", "k2") == 1000
    assert run("RESTORE", "k2", NOW_MS + 5000, payload, "REPLACE", "ABSTTL") == b"OK"
    assert run("PTTL", "k2") == 5000
    bad = payload[:-5] + bytes([payload[-5] ^ 1]) + payload[-4:]
    assert run("RESTORE", "k3", 0, bad) == "-ERR DUMP payload version or checksum are wrong"


def test_an_end_that_is_past_is_told_as_a_deletion(run: Run, server: Server) -> None:
    told: list[str] = []
    server.on_change.append(lambda number, event, key: told.append(event))
    for request in (f"PEXPIREAT k {NOW_MS}", f"GETEX k PXAT {NOW_MS}"):
        run("SET", "k", "v")
        run(*request.split())
    assert told == ["set", "del", "set", "del"]


def test_changes_are_announced(run: Run, server: Server) -> None:
    told: list[tuple[int, str, bytes]] = []
    server.on_change.append(lambda *change: told.append(change))
    for request in ("SET a 1 EX 10", "INCR a", "RENAME a b", "MOVE b 2", "DEL b", "APPEND c x", "GETDEL c", "GET c"):
        run(*request.split())
    assert told == [
        (0, "set", b"a"),
        (0, "expire", b"a"),
        (0, "incrby", b"a"),
        (0, "rename_from", b"a"),
        (0, "rename_to", b"b"),
        (0, "move_from", b"b"),
        (2, "move_to", b"b"),
        (0, "append", b"c"),
        (0, "del", b"c"),
    ]
