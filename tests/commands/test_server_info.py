"""INFO, SLOWLOG, settings, snapshots: what the server tells of itself, with the figures of a test."""

from __future__ import annotations

from typing import Any

import pytest
from support.clients import NOW_MS, FakeEffects, Run

from striate.commands.registry import COMMANDS, LATER, SILENCE
from striate.commands.server_info import human
from striate.commands.session import Server, Session
from striate.protocol.replies import OK


def info(run: Run, *sections: str) -> dict[str, str]:
    lines = run("INFO", *sections).decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if line and not line.startswith("#"))


def test_info_has_what_clients_read(run: Run, effects: FakeEffects) -> None:
    run("SET", "a", 1)
    run("SET", "b", 1, "EX", 10)
    run("NOSUCH")
    told = info(run)
    expected = {
        "redis_version": "7.2.4",
        "server_name": "striate",
        "arch_bits": "64",
        "cluster_enabled": "0",
        "redis_mode": "standalone",
        "role": "master",
        "process_id": "7",
        "tcp_port": "7379",
        "uptime_in_days": "1",
        "used_memory": "2621440",
        "used_memory_human": "2.50M",
        "connected_clients": "1",
        "loading": "0",
        "db0": "keys=2,expires=1,avg_ttl=0",
        "errorstat_ERR": "count=1",
        "connected_slaves": "0",
        "total_commands_processed": "12",
    }
    assert told.items() >= expected.items()
    assert "cmdstat_set" not in told


def test_info_gives_the_sections_asked_for(run: Run) -> None:
    assert run("INFO", "replication").startswith(b"# Replication\r\nrole:master\r\n")
    assert run("INFO", "nosuch") == b""
    assert run("INFO", "CPU", "cluster").split(b"\r\n")[0] == b"# CPU"
    assert {"redis_version", "cluster_enabled"} <= info(run, "everything").keys()
    run("SET", "k", "v")
    assert info(run, "commandstats")["cmdstat_set"] == "calls=1,usec=0,usec_per_call=0.00"
    assert run("CONFIG", "RESETSTAT") == OK
    assert "cmdstat_set" not in info(run, "commandstats")


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1023, "1023B"), (1536, "1.50K"), (5 << 30, "5.00G")])
def test_sizes_as_info_shows_them(size: int, text: str) -> None:
    assert human(size) == text


def test_slow_commands_are_logged(run: Run, effects: FakeEffects, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10**9, 15_000))
    monkeypatch.setattr(effects, "monotonic_us", lambda: next(ticks))
    run("CLIENT", "SETNAME", "carl")
    run("MSET", *(str(number) for number in range(40)))
    run("SET", "k", "v" * 200)
    run("CONFIG", "SET", "slowlog-log-slower-than", "-1")
    assert run("SLOWLOG", "LEN") == 3
    last, before, first = run("SLOWLOG", "GET", -1)
    cut = b"v" * 128 + b"... (72 more bytes)"
    assert last == [2, NOW_MS // 1000, 15_000, [b"SET", b"k", cut], b"127.0.0.1:50000", b"carl"]
    assert len(before[3]) == 32
    assert before[3][-1] == b"... (10 more arguments)"
    assert first[0] == 0
    assert run("SLOWLOG", "GET", 1) == [last]
    assert run("SLOWLOG", "RESET") == OK
    assert run("SLOWLOG", "GET") == []


def test_a_slow_log_of_all_commands_has_get_and_set_as_well(run: Run, session: Session) -> None:
    line: Any = session.line
    for limit, plain in ((-1, True), (0, False), (99, False), (100, True), (10_000, True)):
        run("CONFIG", "SET", "slowlog-log-slower-than", limit)
        assert line.plain == (plain, 0)


def test_the_slow_log_has_a_bound(run: Run, server: Server) -> None:
    run("CONFIG", "SET", "slowlog-log-slower-than", 0, "slowlog-max-len", 3)
    for _ in range(10):
        run("PING")
    assert run("SLOWLOG", "LEN") == 3
    run("CONFIG", "SET", "slowlog-max-len", 0)
    assert run("SLOWLOG", "LEN") == 0


def test_requests_are_counted_from_0_again(run: Run, server: Server) -> None:
    assert info(run, "stats")["total_commands_processed"] == "12"
    assert run("CONFIG", "RESETSTAT") == OK
    assert info(run, "stats")["total_commands_processed"] == "0"
    assert server.effects.process_figures()["requests"] == 12, "what is measured only grows"


def test_settings_are_changed_together_or_not_at_all(run: Run, server: Server) -> None:
    told: list[set[str]] = []
    server.on_settings.append(told.append)
    assert run("CONFIG", "SET", "timeout", 5, "slowlog-max-len", "x").startswith("-ERR CONFIG SET failed")
    assert run("CONFIG", "GET", "timeout") == {b"timeout": b"0"}
    assert run("CONFIG", "SET", "timeout", 5, "SLOWLOG-max-len", 7) == OK
    assert run("CONFIG", "GET", "timeout", "slowlog-*") == {
        b"slowlog-log-slower-than": b"10000",
        b"slowlog-max-len": b"7",
        b"timeout": b"5",
    }
    assert told == [{"timeout", "slowlog-max-len"}]


def test_what_benchmarks_ask(run: Run) -> None:
    assert run("CONFIG", "GET", "save") == {b"save": b""}
    assert run("CONFIG", "GET", "appendonly") == {b"appendonly": b"yes"}


# ---------------------------------------------------------------- snapshots and the end


def test_a_snapshot_is_made_beside_the_loop(run: Run, session: Session, effects: FakeEffects) -> None:
    assert run("LASTSAVE") == NOW_MS // 1000, "when the server was started"
    effects.pass_ms(5000)
    assert run("SAVE") is LATER
    assert run("BGSAVE") == "-ERR Background save already in progress"
    assert info(run, "persistence")["rdb_bgsave_in_progress"] == "1"
    assert effects.saving is not None
    effects.saving(None)
    assert session.line.replies == [OK]
    assert run("LASTSAVE") == NOW_MS // 1000 + 5
    assert run("BGSAVE", "SCHEDULE") == b"Background saving started"
    effects.saving("the disk is full")
    assert info(run, "persistence")["rdb_last_bgsave_status"] == "err"
    run("SAVE")
    effects.saving("the disk is full")
    assert session.line.replies[1].line == b"ERR the disk is full"


def test_the_server_is_shut_down(run: Run, effects: FakeEffects) -> None:
    assert run("SHUTDOWN", "NOSAVE", "SAVE") == "-ERR syntax error"
    assert not effects.stopped
    assert run("SHUTDOWN", "NOSAVE", "NOW") is SILENCE
    assert effects.stopped


# ---------------------------------------------------------------- waiting for the disk


def test_waitaof_waits_for_the_log(
    run: Run, server: Server, session: Session, effects: FakeEffects, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("WAITAOF", 1, 0, 0).startswith("-ERR WAITAOF cannot be used")
    monkeypatch.setattr(type(server.database), "durability", "power")
    assert run("WAITAOF", 2, 0, 0) == "-ERR value is out of range, must be between 0 and 1"
    assert run("WAITAOF", 1, 0, 0) == [1, 0]
    effects.durable = False
    assert run("WAITAOF", 0, 1, 0) == [0, 0]
    assert run("WAITAOF", 1, 0, 50) is LATER
    effects.become_durable()
    effects.pass_ms(50)
    assert session.line.replies == [[1, 0]]
    effects.durable = False
    assert run("WAITAOF", 1, 0, 50) is LATER
    effects.pass_ms(50)
    effects.become_durable()
    assert session.line.replies == [[1, 0], [0, 0]]


def test_the_rest(run: Run) -> None:
    assert run("TIME") == [b"1700000000", b"0"]
    assert run("LOLWUT").startswith(b"Redis ver. 7.2.4 (striate ")
    assert run("WAIT", 1, 0) == 0
    run("SET", "k", "v" * 100)
    assert run("MEMORY", "USAGE", "k") > 100
    assert run("MEMORY", "STATS")[b"keys.count"] == 1


@pytest.mark.parametrize("container", ["client", "object", "command", "config", "slowlog", "latency", "memory"])
def test_help_names_every_subcommand(run: Run, container: str) -> None:
    lines = [line.decode() for line in run(container, "HELP")]
    assert lines[0] == f"{container.upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    told = {line.split()[0].lower() for line in lines[1:] if not line.startswith(" ")}
    assert told == set(COMMANDS[container].subcommands)


def test_all_commands_are_described(run: Run) -> None:
    assert run("COMMAND", "COUNT") == len(COMMANDS) == len(run("COMMAND"))
    assert b"client|id" in run("COMMAND", "LIST")
    documents = run("COMMAND", "DOCS")
    assert documents[b"get"][b"group"] == b"string"
    assert b"client|id" in documents[b"client"][b"subcommands"]
    assert set(run("COMMAND", "LIST", "FILTERBY", "ACLCAT", "dangerous")) > {b"keys", b"flushall", b"shutdown"}
