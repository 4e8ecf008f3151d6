"""INFO, and the small commands that tell about the server: TIME, ROLE, LOLWUT, WAIT, MEMORY."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from striate.commands.numbers import SYNTAX, integer, natural, option
from striate.commands.registry import LATER, Arguments, command, help_of
from striate.commands.session import Server, Session
from striate.commands.settings import setting
from striate.protocol.replies import OK, Failure, Reply, Verbatim

Fields = Mapping[str, object]
_UNITS: Final = (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10))
_NO_REPLICATION_ID: Final = "0" * 40


def human(size: float) -> str:
    """A size as INFO shows it: ``2.57M``."""
    for unit, scale in _UNITS:
        if size >= scale:
            return f"{size / scale:.2f}{unit}"
    return f"{int(size)}B"


def _server(server: Server) -> Fields:
    figures = server.effects.process_figures()
    uptime = int(figures.get("uptime_s", 0))
    return {
        "redis_version": server.settings.compatible_version,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_mode": "standalone",
        "server_name": "striate",
        "striate_version": server.settings.version,
        "arch_bits": 64,
        "multiplexing_api": "epoll",
        "process_id": figures.get("pid", 0),
        "run_id": _NO_REPLICATION_ID,
        "tcp_port": figures.get("port", 0),
        "server_time_usec": server.effects.now_ms() * 1000,
        "uptime_in_seconds": uptime,
        "uptime_in_days": uptime // 86400,
        "hz": 10,
        "configured_hz": 10,
        "config_file": "",
    }


def _clients(server: Server) -> Fields:
    sessions = server.sessions.values()
    return {
        "connected_clients": len(sessions),
        "cluster_connections": 0,
        "maxclients": setting(server.settings, "maxclients"),
        "blocked_clients": sum(one.unblock is not None for one in sessions),
        "tracking_clients": sum(bool(one.tracking) for one in sessions),
        "pubsub_clients": sum(bool(one.subscriptions) for one in sessions),
    }


def _memory(server: Server) -> Fields:
    figures = server.effects.process_figures()
    used = int(figures.get("memory_bytes", 0))
    peak = max(int(figures.get("peak_bytes", 0)), used)
    machine = int(figures.get("machine_bytes", 0))
    return {
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": used,
        "used_memory_rss_human": human(used),
        "used_memory_peak": peak,
        "used_memory_peak_human": human(peak),
        "total_system_memory": machine,
        "total_system_memory_human": human(machine),
        "maxmemory": setting(server.settings, "maxmemory"),
        "maxmemory_human": human(int(setting(server.settings, "maxmemory"))),
        "maxmemory_policy": setting(server.settings, "maxmemory-policy"),
        "mem_fragmentation_ratio": "1.00",
        "mem_allocator": "libc",
    }


def _persistence(server: Server) -> Fields:
    statistics = server.statistics
    return {
        "loading": 0,
        "async_loading": 0,
        "rdb_bgsave_in_progress": int(statistics.saving),
        "rdb_last_save_time": statistics.last_save_s,
        "rdb_last_bgsave_status": "err" if statistics.last_save_failed else "ok",
        "aof_enabled": 1,
        "aof_rewrite_in_progress": int(server.database.compacting),
        "aof_last_bgrewrite_status": "ok" if server.database.compaction_error is None else "err",
        "aof_last_write_status": "ok",
        "striate_durability": server.database.durability,
    }


def _stats(server: Server) -> Fields:
    statistics, figures = server.statistics, server.effects.process_figures()
    executed = sum(calls.count for calls in statistics.calls.values())

    def since_reset(name: str, otherwise: int = 0) -> int:
        return int(figures[name] - statistics.figures_before.get(name, 0)) if name in figures else otherwise

    return {
        "total_connections_received": since_reset("connections", server.last_session_id),
        "total_commands_processed": since_reset("requests", executed),
        "total_net_input_bytes": since_reset("input_bytes"),
        "total_net_output_bytes": since_reset("output_bytes"),
        "rejected_connections": since_reset("rejected_connections"),
        "total_error_replies": sum(statistics.errors.values()),
        "evicted_keys": 0,
    }


def _replication(server: Server) -> Fields:
    return {
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": _NO_REPLICATION_ID,
        "master_replid2": _NO_REPLICATION_ID,
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
    }


def _cpu(server: Server) -> Fields:
    figures = server.effects.process_figures()
    return {
        "used_cpu_sys": f"{figures.get('system_s', 0):.6f}",
        "used_cpu_user": f"{figures.get('user_s', 0):.6f}",
    }


def _commandstats(server: Server) -> Fields:
    return {
        f"cmdstat_{name}": f"calls={calls.count},usec={calls.microseconds},"
        f"usec_per_call={calls.microseconds / calls.count:.2f}"
        for name, calls in server.statistics.calls.items()
    }


def _errorstats(server: Server) -> Fields:
    return {f"errorstat_{code}": f"count={count}" for code, count in server.statistics.errors.items()}


def _cluster(server: Server) -> Fields:
    return {"cluster_enabled": 0}


def _keyspace(server: Server) -> Fields:
    shown = {}
    for keyspace in server.keyspaces:
        if keys := len(keyspace):
            shown[f"db{keyspace.number}"] = f"keys={keys},expires={keyspace.expiring()},avg_ttl=0"
    return shown


_SECTIONS: Final[dict[str, Callable[[Server], Fields]]] = {
    "server": _server,
    "clients": _clients,
    "memory": _memory,
    "persistence": _persistence,
    "stats": _stats,
    "replication": _replication,
    "cpu": _cpu,
    "modules": lambda server: {},
    "commandstats": _commandstats,
    "errorstats": _errorstats,
    "cluster": _cluster,
    "keyspace": _keyspace,
}
_NOT_BY_DEFAULT: Final = {"commandstats"}


@command(
    "info",
    -1,
    "loading stale",
    summary="Returns information and statistics about the server.",
    group="server",
)
def info(session: Session, arguments: Arguments) -> Reply:
    """INFO [section ...]."""
    wanted = {option(argument) for argument in arguments} or {"default"}
    parts = []
    for name, read in _SECTIONS.items():
        if name in wanted or wanted & {"all", "everything"} or ("default" in wanted and name not in _NOT_BY_DEFAULT):
            title = "CPU" if name == "cpu" else name.capitalize()
            parts.append(
                "".join([f"# {title}\r\n", *(f"{key}:{value}\r\n" for key, value in read(session.server).items())])
            )
    return Verbatim("\r\n".join(parts).encode("utf-8", "surrogateescape"))


@command("time", 1, "loading stale fast", summary="Returns the server time.", group="server", since="2.6.0")
def time_(session: Session, arguments: Arguments) -> Reply:
    """TIME."""
    seconds, milliseconds = divmod(session.server.effects.now_ms(), 1000)
    return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]


@command(
    "role", 1, "noscript loading stale fast", summary="Returns the replication role.", group="server", since="2.8.12"
)
def role(session: Session, arguments: Arguments) -> Reply:
    """ROLE."""
    return [b"master", 0, []]


@command("lolwut", -1, "readonly fast", summary="Displays computer art and the version.", group="server", since="5.0.0")
def lolwut(session: Session, arguments: Arguments) -> Reply:
    """LOLWUT [VERSION version]. No art."""
    settings = session.server.settings
    return Verbatim(f"Redis ver. {settings.compatible_version} (striate {settings.version})\n".encode())


# ---------------------------------------------------------------- waiting for copies

_NOT_LOCAL: Final = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


@command(
    "wait",
    3,
    "noscript blocking",
    summary="Blocks until the asynchronous replication of all preceding write commands is completed.",
    group="generic",
    since="3.0.0",
)
def wait(session: Session, arguments: Arguments) -> Reply:
    """WAIT replicas milliseconds. There are no replicas, so nothing is waited for."""
    integer(arguments[0])
    _timeout(arguments[1])
    return 0


def _timeout(text: bytes) -> int:
    milliseconds = integer(text, "ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        raise Failure("ERR timeout is negative")
    return milliseconds


@command(
    "waitaof",
    4,
    "noscript blocking",
    summary="Blocks until all preceding write commands are on disk.",
    group="generic",
    since="7.2.0",
)
def waitaof(session: Session, arguments: Arguments) -> Reply:
    """WAITAOF local replicas milliseconds. There are no replicas; the log is synced at durability ``power`` only."""
    out_of_range = "ERR value is out of range, must be between 0 and 1"
    local = natural(arguments[0], out_of_range)
    if local > 1:
        raise Failure(out_of_range)
    natural(arguments[1], "ERR value is out of range, must be positive")
    milliseconds = _timeout(arguments[2])
    effects = session.server.effects
    if local and session.server.database.durability != "power":
        raise Failure(_NOT_LOCAL)
    if effects.is_durable() or not local:
        return [int(effects.is_durable()), 0]
    answered = False

    def answer(synced: int) -> None:
        nonlocal answered
        if not answered:
            answered = True
            session.line.reply([synced, 0])

    timer = effects.call_later(milliseconds / 1000, lambda: answer(0)) if milliseconds else None

    def is_synced() -> None:
        if timer is not None:
            timer.cancel()
        answer(1)

    effects.when_durable(is_synced)
    return LATER


# ---------------------------------------------------------------- MEMORY

_OVERHEAD: Final = 56  # of a key in the index and of its record's frame, about


@command(
    "memory usage",
    -3,
    "readonly",
    (2, 2, 1),
    summary="Estimates the memory usage of a key.",
    group="server",
    since="4.0.0",
)
def memory_usage(session: Session, arguments: Arguments) -> Reply:
    """MEMORY USAGE <key> [SAMPLES count]: bytes of the key and its value in the log and the index."""
    key, *words = arguments
    if words and (len(words) != 2 or option(words[0]) != "samples" or integer(words[1]) < 0):
        raise Failure(SYNTAX)
    if session.keyspace.kind(key) == "stream":
        stream = session.keyspace.stream(key)
        return _OVERHEAD + len(key) + (0 if stream is None else len(stream) * _OVERHEAD)
    value = session.keyspace.get(key)
    return None if value is None else _OVERHEAD + len(key) + len(value)


@command(
    "memory stats",
    2,
    "",
    summary="Returns details about memory usage.",
    group="server",
    since="4.0.0",
)
def memory_stats(session: Session, arguments: Arguments) -> Reply:
    """MEMORY STATS."""
    figures = session.server.effects.process_figures()
    used = int(figures.get("memory_bytes", 0))
    keys = sum(len(keyspace) for keyspace in session.server.keyspaces)
    return {
        b"peak.allocated": max(int(figures.get("peak_bytes", 0)), used),
        b"total.allocated": used,
        b"startup.allocated": 0,
        b"replication.backlog": 0,
        b"clients.slaves": 0,
        b"clients.normal": 0,
        b"aof.buffer": 0,
        b"overhead.total": 0,
        b"keys.count": keys,
        b"keys.bytes-per-key": used // keys if keys else 0,
        b"dataset.bytes": used,
    }


@command("memory doctor", 2, "", summary="Outputs a memory problems report.", group="server", since="4.0.0")
def memory_doctor(session: Session, arguments: Arguments) -> Reply:
    """MEMORY DOCTOR."""
    return Verbatim(b"No problems are looked for; see MEMORY STATS and INFO MEMORY.\n")


@command("memory purge", 2, "", summary="Asks the allocator to release memory.", group="server", since="4.0.0")
def memory_purge(session: Session, arguments: Arguments) -> Reply:
    """MEMORY PURGE. Memory goes back by itself."""
    return OK


@command("memory malloc-stats", 2, "", summary="Returns the allocator statistics.", group="server", since="4.0.0")
def memory_malloc_stats(session: Session, arguments: Arguments) -> Reply:
    """MEMORY MALLOC-STATS."""
    return Verbatim(b"Stats not supported for the current allocator")


@command("memory help", 2, "loading stale", summary="Returns helpful text.", group="server", since="4.0.0")
def memory_help(session: Session, arguments: Arguments) -> Reply:
    """MEMORY HELP."""
    return help_of("memory")
