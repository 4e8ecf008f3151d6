"""/metrics: what is counted, and what is looked up when somebody asks."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, Final

from aiohttp import web

from striate.errors import StriateError
from striate.net.http.call import Call
from striate.net.http.prometheus import CONTENT_TYPE, Labels, Metrics
from striate.storage.groups import Group

if TYPE_CHECKING:
    from striate.net.http.server import HttpServer

MOST_SERIES: Final = 1000
"""Streams and groups that are shown by name; ``striate_streams`` counts all."""


async def metrics(call: Call) -> web.Response:
    """All figures."""
    call.require("info")
    made = Metrics()
    _connections(made, call.owner)
    _commands(made, call.owner)
    _http(made, call.owner)
    _log(made, call.owner)
    _keys(made, call.owner)
    _streams(made, call.owner)
    _process(made)
    return web.Response(body=made.text().encode(), headers={"Content-Type": CONTENT_TYPE})


def _connections(made: Metrics, owner: HttpServer) -> None:
    reactor = owner.reactor
    current: dict[Labels, float] = {
        ("http",): len(owner.sessions),
        ("resp",): len(owner.server.sessions) - len(owner.sessions),
    }
    made.many("striate_connections", "gauge", "Connections now.", ("protocol",), current)
    # Each connection of HTTP was the reactor's first.
    made.counter("striate_connections_accepted_total", "Connections that were let in.", reactor.accepted)
    refused = reactor.refused + owner.refused
    made.counter("striate_connections_refused_total", "Connections that were one too many.", refused)
    dropped = reactor.dropped + owner.dropped
    made.counter("striate_connections_dropped_total", "Connections ended because they read too slowly.", dropped)
    received: dict[Labels, float] = {("http",): owner.received_bytes, ("resp",): reactor.received_bytes}
    made.many("striate_received_bytes_total", "counter", "Bytes from clients.", ("protocol",), received)
    sent: dict[Labels, float] = {("http",): owner.sent_bytes, ("resp",): reactor.sent_bytes}
    made.many("striate_sent_bytes_total", "counter", "Bytes to clients.", ("protocol",), sent)


def _commands(made: Metrics, owner: HttpServer) -> None:
    statistics, plain = owner.server.statistics, owner.reactor.commands
    calls: dict[Labels, float] = {(name,): one.count for name, one in statistics.calls.items()}
    for name, count in (("get", plain.gets), ("set", plain.sets), ("xadd", plain.appends)):
        calls[name,] = calls.get((name,), 0.0) + count
    help = "Commands of Redis clients that were executed."
    made.many("striate_commands_total", "counter", help, ("command",), calls)
    seconds: dict[Labels, float] = {(name,): one.microseconds / 1e6 for name, one in statistics.calls.items()}
    help = "Time in commands, without the wait for the disk; plain GET, SET and XADD are not timed."
    made.many("striate_commands_seconds_total", "counter", help, ("command",), seconds)
    errors: dict[Labels, float] = {(code,): count for code, count in statistics.errors.items()}
    made.many("striate_command_errors_total", "counter", "Errors that were answered.", ("code",), errors)
    made.counter("striate_key_hits_total", "Plain GETs that found their key.", plain.hits)
    made.counter("striate_key_misses_total", "Plain GETs that did not.", plain.gets - plain.hits)


def _http(made: Metrics, owner: HttpServer) -> None:
    counts: dict[Labels, float] = {
        (name, str(status)): figures[0] for (name, status), figures in owner.requests.items()
    }
    labels = ("operation", "status")
    made.many("striate_http_requests_total", "counter", "HTTP requests that were answered.", labels, counts)
    timed: dict[Labels, float] = {(name, str(status)): figures[1] for (name, status), figures in owner.requests.items()}
    help = "Time until the answer was ready, with the wait for the disk."
    made.many("striate_http_request_seconds_total", "counter", help, labels, timed)


def _log(made: Metrics, owner: HttpServer) -> None:
    stats = owner.server.database.log.stats()
    made.gauge("striate_log_size_bytes", "Bytes of records in the log.", stats.size_bytes)
    made.gauge("striate_log_allocated_bytes", "Bytes that the log has on disk.", stats.allocated_bytes)
    made.gauge("striate_log_segments", "Segments of the log.", stats.segments)
    made.gauge("striate_log_records", "Records in the log.", stats.records)
    made.counter("striate_log_appended_records_total", "Records that were appended since the start.", stats.appends)
    made.counter("striate_log_syncs_total", "Syncs to disk since the start.", stats.syncs)
    made.gauge("striate_log_next_offset", "Offset that the next record gets.", stats.next_offset)
    made.gauge("striate_log_durable_offset", "All records before this offset are on disk.", stats.durable_offset)


def _keys(made: Metrics, owner: HttpServer) -> None:
    counts: dict[Labels, float] = {(str(one.number),): len(one) for one in owner.server.keyspaces}
    help = "Keys, strings and streams."
    made.many("striate_keys", "gauge", help, ("database",), {name: count for name, count in counts.items() if count})


def _streams(made: Metrics, owner: HttpServer) -> None:
    database = owner.server.database
    names = sorted(database.streams())
    entries: dict[Labels, float] = {}
    added: dict[Labels, float] = {}
    lag: dict[Labels, float] = {}
    pending: dict[Labels, float] = {}
    for name in names[:MOST_SERIES]:
        try:
            stream = database.stored_stream(name)
            _, _, _, ever, length = stream._figures()
            entries[name,], added[name,] = length, ever
            for group in stream._group_names()[: max(MOST_SERIES - len(lag), 0)]:
                figures = Group(stream, group)._figures()
                labels = (name, group.decode(errors="backslashreplace"))
                pending[labels], lag[labels] = figures[2], figures[3]
        except StriateError:  # it was removed meanwhile
            continue
    made.gauge("striate_streams", "Streams.", len(names))
    made.many("striate_stream_entries", "gauge", "Entries of a stream.", ("stream",), entries)
    help = "Entries ever appended to a stream."
    made.many("striate_stream_appended_entries_total", "counter", help, ("stream",), added)
    help = "Entries that no consumer of a group has got yet."
    made.many("striate_group_lag_entries", "gauge", help, ("stream", "group"), lag)
    help = "Entries of a group that were given and not acknowledged."
    made.many("striate_group_pending_entries", "gauge", help, ("stream", "group"), pending)


def _process(made: Metrics) -> None:
    with open("/proc/self/statm", "rb") as file:
        virtual, resident = (int(pages) * resource.getpagesize() for pages in file.read().split()[:2])
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    made.gauge("process_virtual_memory_bytes", "Virtual memory.", virtual)
    made.gauge("process_resident_memory_bytes", "Resident memory, mapped segments included.", resident)
    made.counter("process_cpu_seconds_total", "User and system time.", used.ru_utime + used.ru_stime)
    made.gauge("process_open_fds", "Open file descriptors.", len(os.listdir("/proc/self/fd")))
    made.gauge("process_max_fds", "File descriptors that may be open.", float("inf") if most < 0 else most)
