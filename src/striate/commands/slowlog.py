"""SLOWLOG, and LATENCY as far as it tells of commands."""

from __future__ import annotations

from striate.commands.numbers import integer
from striate.commands.registry import COMMANDS, Arguments, Command, command, help_of
from striate.commands.session import Session
from striate.commands.settings import setting
from striate.commands.statistics import SlowCommand, shortened
from striate.protocol.replies import OK, Failure, Reply, Verbatim


def note_if_slow(session: Session, entry: Command, arguments: Arguments, took_us: int) -> None:
    """Keep a command that took longer than the setting says."""
    server = session.server
    limit = int(setting(server.settings, "slowlog-log-slower-than"))
    if limit < 0 or took_us < limit or "skip_slowlog" in entry.flags:
        return
    words = session.names + arguments
    now_s = server.effects.now_ms() // 1000
    number = server.statistics.next_slow_id
    slow = SlowCommand(number, now_s, took_us, shortened(words), session.line.peer, session.name)
    server.statistics.note_slow(slow, int(setting(server.settings, "slowlog-max-len")))


@command(
    "slowlog get",
    -2,
    "admin loading stale",
    summary="Returns the slow log's entries.",
    group="server",
    since="2.2.12",
)
def slowlog_get(session: Session, arguments: Arguments) -> Reply:
    """SLOWLOG GET [count]."""
    if len(arguments) > 1:
        raise Failure("ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.")
    failure = "ERR count should be greater than or equal to -1"
    count = integer(arguments[0], failure) if arguments else 10
    if count < -1:
        raise Failure(failure)
    slow = list(session.server.statistics.slow)
    return [
        [one.id, one.time_s, one.took_us, one.words, one.peer.encode(), one.name]
        for one in (slow if count == -1 else slow[:count])
    ]


@command(
    "slowlog len",
    2,
    "admin loading stale",
    summary="Returns the number of entries in the slow log.",
    group="server",
    since="2.2.12",
)
def slowlog_len(session: Session, arguments: Arguments) -> Reply:
    """SLOWLOG LEN."""
    return len(session.server.statistics.slow)


@command(
    "slowlog reset",
    2,
    "admin loading stale",
    summary="Clears all entries from the slow log.",
    group="server",
    since="2.2.12",
)
def slowlog_reset(session: Session, arguments: Arguments) -> Reply:
    """SLOWLOG RESET."""
    session.server.statistics.slow.clear()
    return OK


@command(
    "slowlog help",
    2,
    "loading stale",
    summary="Show helpful text about the different subcommands.",
    group="server",
    since="6.2.0",
)
def slowlog_help(session: Session, arguments: Arguments) -> Reply:
    """SLOWLOG HELP."""
    return help_of("slowlog")


# ---------------------------------------------------------------- LATENCY: no event of the server's own is watched


@command(
    "latency latest",
    2,
    "admin noscript loading stale",
    summary="Returns the latest latency samples for all events.",
    group="server",
    since="2.8.13",
)
def latency_latest(session: Session, arguments: Arguments) -> Reply:
    """LATENCY LATEST."""
    return []


@command(
    "latency history",
    3,
    "admin noscript loading stale",
    summary="Returns timestamp-latency samples for an event.",
    group="server",
    since="2.8.13",
)
def latency_history(session: Session, arguments: Arguments) -> Reply:
    """LATENCY HISTORY <event>."""
    return []


@command(
    "latency reset",
    -2,
    "admin noscript loading stale",
    summary="Resets the latency data for one or more events.",
    group="server",
    since="2.8.13",
)
def latency_reset(session: Session, arguments: Arguments) -> Reply:
    """LATENCY RESET [event ...]."""
    return 0


@command(
    "latency graph",
    3,
    "admin noscript loading stale",
    summary="Returns a latency graph for an event.",
    group="server",
    since="2.8.13",
)
def latency_graph(session: Session, arguments: Arguments) -> Reply:
    """LATENCY GRAPH <event>."""
    raise Failure(f"ERR No samples available for event '{arguments[0].decode('utf-8', 'surrogateescape')}'")


@command(
    "latency doctor",
    2,
    "admin noscript loading stale",
    summary="Returns a human-readable latency analysis report.",
    group="server",
    since="2.8.13",
)
def latency_doctor(session: Session, arguments: Arguments) -> Reply:
    """LATENCY DOCTOR."""
    return Verbatim(b"No latency of events is recorded here; see SLOWLOG GET and INFO COMMANDSTATS.\n")


@command(
    "latency histogram",
    -2,
    "admin noscript loading stale",
    summary="Returns the cumulative distribution of latencies of a subset or all commands.",
    group="server",
    since="7.0.0",
)
def latency_histogram(session: Session, arguments: Arguments) -> Reply:
    """LATENCY HISTOGRAM [command ...]: calls only, their mean being the one bucket."""
    wanted = {argument.decode("latin-1").lower() for argument in arguments}
    shown = {}
    for name, calls in session.server.statistics.calls.items():
        if not wanted or name in wanted or name.partition("|")[0] in wanted & COMMANDS.keys():
            mean = max(calls.microseconds // calls.count, 1)
            shown[name.encode()] = {b"calls": calls.count, b"histogram_usec": {mean: calls.count}}
    return shown


@command(
    "latency help",
    2,
    "loading stale",
    summary="Returns helpful text about the different subcommands.",
    group="server",
    since="2.8.13",
)
def latency_help(session: Session, arguments: Arguments) -> Reply:
    """LATENCY HELP."""
    return help_of("latency")
