"""HTTP for a database that is served: :class:`HttpServer`."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import ipaddress
import logging
import socket
import time
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from striate._native.reactor import Reactor
from striate.commands.session import Server, Session
from striate.errors import StriateError
from striate.net.http.call import Call
from striate.net.http.errors import HttpError, as_http_error
from striate.net.http.operations import Routes
from striate.net.http.protocol import HttpLine, HttpProtocol
from striate.net.http.table import OPERATIONS
from striate.protocol.replies import Failure
from striate.storage.async_database import AsyncDatabase

_logger = logging.getLogger("striate.server.http")
MOST_WAITING: Final = 1000
"""Long polls and server-sent events at once."""
_NO_MORE: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class HttpServer:
    """Answers HTTP on connections that the reactor hands over; :meth:`adopt` takes one.

    One event loop's; not thread-safe.
    """

    def __init__(self, database: AsyncDatabase, server: Server, reactor: Reactor) -> None:
        self.database, self.server, self.reactor = database, server, reactor
        self.draining = False
        self._waits: set[asyncio.Timeout] = set()
        self.received_bytes = self.sent_bytes = self.dropped = self.accepted = self.refused = 0
        # (operation, status) -> [requests, seconds]
        self.requests: dict[tuple[str, int], list[float]] = {}
        self.sessions: set[Session] = set()
        self._routes = Routes(OPERATIONS)
        self._web: web.Server = web.Server(self._answer, handler_cancellation=True)
        self._tasks: set[asyncio.Task[Any]] = set()

    # ------------------------------------------------------------ connections

    def adopt(self, client: socket.socket, read: bytes) -> None:
        """Serve a connected socket from which some bytes were read. It is the server's from now on."""
        if self.draining or len(self.sessions) + len(self.reactor.connections) >= self.reactor.most_connections:
            self.refused += 1
            with client:
                try:
                    client.send(_NO_MORE)
                except OSError:
                    _logger.debug("a client went before it was refused")
            return
        self.accepted += 1
        task = asyncio.ensure_future(self._connect(client, read))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, client: socket.socket, read: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: HttpProtocol(self._web, self, read, loop=loop), client)
        except OSError as error:
            client.close()
            _logger.debug("a client went at once: %s", error)

    def begin(self, line: HttpLine) -> Session:
        """A connection is there."""
        session = Session(self.server, line)
        self.sessions.add(session)
        return session

    def end(self, session: Session) -> None:
        """A connection is gone."""
        self.sessions.discard(session)
        session.end()

    async def stop(self, seconds: float) -> None:
        """Take no more requests; answer those under way, at most so long; end the connections."""
        self.draining = True
        for wait in self._waits:
            wait.reschedule(0.0)
        for session in list(self.sessions):
            session.line.close(after_reply=True)
        if self.sessions:
            await self._web.shutdown(seconds)

    # ------------------------------------------------------------ requests

    @contextlib.asynccontextmanager
    async def waiting(self, seconds: float | None) -> AsyncIterator[None]:
        """For what waits for entries: ends after so many seconds, and when the server stops."""
        if len(self._waits) >= MOST_WAITING:
            raise HttpError(503, f"{MOST_WAITING} requests wait already", {"Retry-After": "1"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self.draining else seconds) as wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)

    def count(self, operation: str, status: int, seconds: float) -> None:
        """Note a request that was answered."""
        figures = self.requests.setdefault((operation, status), [0, 0.0])
        figures[0] += 1
        figures[1] += seconds

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        started, name, status = time.monotonic(), "none", 500
        try:
            protocol = request.protocol
            assert isinstance(protocol, HttpProtocol) and protocol.session is not None
            path, _, query = _target(request)
            operation, parts = self._routes.find(request.method, path)
            name = operation.id
            _check_origin(request, self.server.users.is_open())
            if not operation.open:
                self._authenticate(request, protocol)
            given = operation.read_path(parts), operation.read_query(query), operation.read_headers(request.headers)
            response = await operation.handler(Call(self, protocol.session, request, operation, *given))
            status = response.status
            if self.draining and not response.prepared:
                response.force_close()
            return response
        except (HttpError, Failure, StriateError) as error:
            refused = error if isinstance(error, HttpError) else as_http_error(error)
            status = refused.status
            if request.writer.output_size > 0:
                raise ConnectionError("a part of the answer is sent already") from error
            if status in (500, 507):
                _logger.error("%s failed: %s", name, error)
            return refused.response()
        finally:
            self.count(name, status, time.monotonic() - started)

    def _authenticate(self, request: web.BaseRequest, protocol: HttpProtocol) -> None:
        """Let in whom the server's users admit: Basic authentication, none where the server is open."""
        session = protocol.session
        assert session is not None
        given = request.headers.get("Authorization", "")
        if not given:
            session.authenticated, session.user = self.server.users.is_open(), "default"
        elif not protocol.accepted or not hmac.compare_digest(given.encode(), protocol.accepted.encode()):
            name, password = _credentials(given)
            protocol.accepted = ""
            session.authenticated = self.server.users.admits(name, password)
            session.user = name.decode("utf-8", "replace")
            if session.authenticated:
                protocol.accepted = given
        if not session.authenticated:
            raise HttpError(401, "a name and a password are needed", {"WWW-Authenticate": 'Basic realm="striate"'})


def _target(request: web.BaseRequest) -> tuple[str, str, str]:
    """Path and query as they were sent: nothing is decoded, so that a key may have any bytes."""
    target: str = request.raw_path
    if not target.startswith("/"):  # "http://host/path", as proxies are asked
        parts = urlsplit(target)
        target = f"{parts.path or '/'}?{parts.query}"
    return target.partition("#")[0].partition("?")


def _credentials(given: str) -> tuple[bytes, bytes]:
    scheme, _, encoded = given.partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        name = colon = password = b""
    if scheme.lower() != "basic" or not colon:
        raise HttpError(401, "only Basic authentication is known", {"WWW-Authenticate": 'Basic realm="striate"'})
    return name, password


def _check_origin(request: web.BaseRequest, is_open: bool) -> None:
    """Refuse what a web page of somebody else sends: with its own name as origin, or (DNS rebinding) as host."""
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise HttpError(403, "pages of other origins may not use this server")
    if is_open and host and not _is_address(host):
        raise HttpError(421, "a server without users is reached by its address or as localhost")


@lru_cache(maxsize=64)
def _is_address(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost":
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
