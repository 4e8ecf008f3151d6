"""A database on the network for Redis clients: :class:`RespServer`.

Plain connections live in one native epoll set (:mod:`striate._native.reactor`), whose descriptor the event loop waits
for; a turn of it reads, carries out and answers for every client that is ready. What is here is the rest: listening,
time, waits for the disk, errors that nobody foresaw.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from striate._native.plaincommands import PlainCommands
from striate._native.reactor import Reactor
from striate.commands.dispatch import dispatch, failure_of, load_commands
from striate.commands.keyspace import Keyspace
from striate.commands.registry import LATER, RETRY, SILENCE
from striate.commands.session import DATABASES, Server, Session, Settings
from striate.commands.settings import setting
from striate.errors import StriateError
from striate.net.optional_http import NO_HTTP, new_http_server
from striate.net.process_figures import process_figures
from striate.protocol.replies import Failure, Reply
from striate.storage.async_database import AsyncDatabase

_logger = logging.getLogger("striate.server")
_BACKLOG = 4096


class RespServer:
    """Serves a database to Redis clients.

    Args:
        database: stays its owner's. settings: what CONFIG GET shows. snapshots: the directory for what SAVE and
            BGSAVE copy, each into one of its own; ``None``: beside the database, its name with ``-snapshots`` behind.

    One event loop's; not thread-safe. Call :meth:`start`, at the end :meth:`stop`.
    """

    def __init__(self, database: AsyncDatabase, settings: Settings | None = None, snapshots: str | None = None) -> None:
        load_commands()
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._stopped, self._gone = asyncio.Event(), asyncio.Event()
        self._listeners: list[socket.socket] = []
        self._port, self._started = 0, time.monotonic()
        self._snapshots = Path(f"{database.path}-snapshots" if snapshots is None else snapshots)
        self._saving: asyncio.Task[None] | None = None
        keyspaces = [Keyspace(database._database, number, self.now_ms) for number in range(DATABASES)]
        self.server = Server(database._database, self, settings or Settings(), keyspaces)
        self._reactor = Reactor(
            database._database._partition,
            commands=PlainCommands(
                database._database._partition,
                tables=[keyspace._table for keyspace in keyspaces],
                names=database._database._catalog._entries,
                appended=self.server.appended.known,
            ),
            dispatch=self._dispatch,
            open_session=partial(Session, self.server),
            close_session=self._end,
            hand_over=self._hand_over,
            want_durable=self._want_durable,
            wake=self._wake,
            retry=RETRY,
            later=LATER,
            silence=SILENCE,
        )
        self._loop.add_reader(self._reactor.fileno(), self._reactor.run)
        self.server.on_settings.append(self._on_settings)
        self.server.settings.values |= {
            "dir": database.path,
            "appendfsync": "always" if database._database.durability == "power" else "everysec",
        }
        self._http = new_http_server(database, self.server, self._reactor)

    # ------------------------------------------------------------ listening

    def start(self, host: str = "127.0.0.1", port: int = 7379) -> int:
        """Listen; the port (0: any that is free).

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        listener.setblocking(False)
        self._listeners.append(listener)
        self._reactor.listen(listener.fileno())
        self._port = int(listener.getsockname()[1])
        self.server.settings.values |= {"port": str(self._port), "bind": host}
        return self._port

    def _on_settings(self, names: set[str]) -> None:
        if "maxclients" in names:
            self._reactor.most_connections = int(setting(self.server.settings, "maxclients"))

    async def serve(self) -> None:
        """Until somebody asks to stop."""
        await self._stopped.wait()

    async def stop(self, seconds: float = 5.0) -> None:
        """Take no more clients and requests, send what was answered, end the connections.

        Args:
            seconds: how long clients may take to read what is theirs; then it is dropped.
        """
        for listener in self._listeners:
            self._reactor.stop_listening(listener.fileno())
            listener.close()
        self._listeners.clear()
        if self._http is not None:
            await self._http.stop(seconds)
        if self._reactor.drain():
            try:
                await asyncio.wait_for(self._gone.wait(), seconds)
            except TimeoutError:
                _logger.warning("%d clients did not read their replies", len(self.server.sessions))
        for session in list(self.server.sessions.values()):
            session.line.close()
        self._loop.remove_reader(self._reactor.fileno())
        self._stopped.set()

    def _end(self, session: Session) -> None:
        session.end()
        if not self.server.sessions and not self._listeners:
            self._gone.set()

    def _hand_over(self, descriptor: int, tls: bool, read: bytes) -> None:
        client = socket.socket(fileno=descriptor)
        client.setblocking(False)
        if not tls and self._http is not None:
            self._http.adopt(client, read)
            return
        with client:
            if not tls:
                _send_if_possible(client, NO_HTTP)

    # ------------------------------------------------------------ commands

    def _dispatch(self, session: Session, request: Any) -> Reply:
        try:
            if isinstance(request, Exception):
                raise request
            return dispatch(session, request)
        except (Failure, StriateError) as error:
            return failure_of(error)
        except Exception:
            # A bug must not cost the others their connections.
            _logger.exception("a command failed")
            return Failure("ERR internal error, see the server's log")

    # ------------------------------------------------------------ effects

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def random_below(self, bound: int) -> int:
        """A number from 0 to ``bound`` - 1."""
        return random.randrange(bound)

    def monotonic_us(self) -> int:
        """Microseconds from some moment on."""
        return time.monotonic_ns() // 1000

    def call_later(self, seconds: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call once, later."""
        return self._loop.call_later(seconds, call)

    def is_durable(self) -> bool:
        """Whether everything written is on disk, or need not be."""
        log = self.server.database.log
        return self._database._syncs is None or log._durable_appends >= log._appends

    def when_durable(self, call: Callable[[], None]) -> None:
        """Call when what is written so far is on disk."""
        settled = None if self.is_durable() else self._database._settled()
        if settled is None:
            call()
            return
        future = asyncio.ensure_future(settled)
        future.add_done_callback(lambda done: call() if not done.cancelled() and done.exception() is None else None)

    def save(self, done: Callable[[str | None], None]) -> None:
        """Copy the database into a new directory among the snapshots, then call with why it failed, or ``None``."""
        now_us = time.time_ns() // 1000
        path = self._snapshots / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now_us // 10**6))}.{now_us % 10**6:06}Z"

        async def copy() -> None:
            self._snapshots.mkdir(mode=0o700, parents=True, exist_ok=True)
            await self._database.snapshot(path)

        def copied(task: asyncio.Task[None]) -> None:
            self._saving = None
            failure = asyncio.CancelledError("stopped") if task.cancelled() else task.exception()
            done(None if failure is None else str(failure))

        self._saving = asyncio.ensure_future(copy())
        self._saving.add_done_callback(copied)

    def process_figures(self) -> dict[str, int | float]:
        """Of the process and its connections."""
        reactor = self._reactor
        return process_figures() | {
            "port": self._port,
            "uptime_s": time.monotonic() - self._started,
            "connections": reactor.accepted,
            "requests": reactor.requests,
            "input_bytes": reactor.received_bytes,
            "output_bytes": reactor.sent_bytes,
            "rejected_connections": reactor.refused,
        }

    def shut_down(self) -> None:
        """Stop, after the reply under way."""
        self._loop.call_soon(self._stopped.set)

    def _wake(self) -> None:
        self._loop.call_soon(self._reactor.run)

    def _want_durable(self) -> None:
        settled = self._database._settled()
        assert settled is not None, "replies are held back only where the disk is waited for"
        asyncio.ensure_future(settled).add_done_callback(self._on_durable)

    def _on_durable(self, done: asyncio.Future[None]) -> None:
        if done.cancelled():
            return
        if (error := done.exception()) is None:
            self._reactor.released()
            return
        # What the disk has is unknown: nobody gets an answer that says otherwise.
        _logger.critical("the disk failed, all clients are let go: %s", error)
        for session in list(self.server.sessions.values()):
            session.line.close()
        self.shut_down()


def _send_if_possible(client: socket.socket, data: bytes) -> None:
    try:
        client.send(data)
    except OSError:
        _logger.debug("a client went before it was refused")
