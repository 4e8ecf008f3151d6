"""One HTTP connection: aiohttp's protocol, with bounds on how slowly a client may write headers and read answers.

What may not live here: what requests mean.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from striate.commands.session import Session
from striate.net.http.errors import HttpError

if TYPE_CHECKING:
    from striate.net.http.server import HttpServer

_logger = logging.getLogger("striate.server.http")

HEADER_SECONDS: Final = 10.0
"""How long the headers of a request may take."""
IDLE_SECONDS: Final = 75.0
"""How long a connection may be kept between requests."""
STALLED_SECONDS: Final = 30.0
"""How long a client may read nothing of an answer that waits for it."""
MOST_LINE_BYTES: Final = 32 << 10
MOST_FIELD_BYTES: Final = 8190
MOST_HEADERS: Final = 100


class HttpLine:
    """An HTTP connection as commands see it (:class:`striate.commands.effects.Line`): nothing is pushed to it."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        self._since = time.monotonic()
        self.active = self._since

    def push(self, reply: Any) -> None:
        """HTTP has no place for it."""

    def reply(self, reply: Any) -> None:
        """Nothing waits for it."""

    def close(self, after_reply: bool = False) -> None:
        """End the connection."""
        if after_reply:
            self._protocol.close()
        elif self._protocol.transport is not None:
            self._protocol.transport.abort()

    def set_protocol(self, version: int) -> None:
        """There is one."""

    def set_plain(self, plain: bool, database: int) -> None:
        """Nothing passes by Python here."""

    def set_trusted(self, trusted: bool) -> None:
        """The bounds are the same for all."""

    def _address(self, name: str) -> str:
        transport = self._protocol.transport
        address = None if transport is None else transport.get_extra_info(name)
        if isinstance(address, tuple):
            host, port = address[:2]
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return address if isinstance(address, str) else ""

    @property
    def peer(self) -> str:
        """Address and port of the client."""
        return self._address("peername")

    @property
    def local(self) -> str:
        """Ours."""
        return self._address("sockname")

    @property
    def figures(self) -> dict[str, Any]:
        """As of other lines; what the parser holds is not counted."""
        transport, now = self._protocol.transport, time.monotonic()
        socket = None if transport is None else transport.get_extra_info("socket")
        return {
            "fd": -1 if socket is None else socket.fileno(),
            "input": 0,
            "output": 0 if transport is None else transport.get_write_buffer_size(),
            "age_s": now - self._since,
            "idle_s": now - self.active,
            "memory": 0,
        }


class HttpProtocol(RequestHandler):
    """A connection that was handed over with what had been read of it."""

    __slots__ = ("_first", "_header_timer", "_server", "_stall_timer", "_unread", "accepted", "session")

    def __init__(self, manager: web.Server, server: HttpServer, first: bytes, **options: Any) -> None:
        super().__init__(
            manager,
            keepalive_timeout=IDLE_SECONDS,
            access_log=None,  # type: ignore[arg-type]  # for none, as its own documentation says
            max_line_size=MOST_LINE_BYTES,
            max_field_size=MOST_FIELD_BYTES,
            max_headers=MOST_HEADERS,
            lingering_time=1.0,
            auto_decompress=False,
            **options,
        )
        self._server, self._first = server, first
        self._header_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._unread = 0
        self.session: Session | None = None
        # The Authorization header that was found good last: scrypt is slow on purpose.
        self.accepted = ""

    # ------------------------------------------------------------ the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there: begin with the bytes that were read already."""
        super().connection_made(transport)
        self.session = self._server.begin(HttpLine(self))
        first, self._first = self._first, b""
        self._server.received_bytes -= len(first)  # the reactor has counted them
        self.data_received(first)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        for timer in (self._header_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        session, self.session = self.session, None
        if session is not None:
            self._server.end(session)

    # ------------------------------------------------------------ slow clients

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        super().data_received(data)
        self._server.received_bytes += len(data)
        if self._messages or self._request_in_progress:
            if self._header_timer is not None:
                self._header_timer.cancel()
                self._header_timer = None
        elif self._header_timer is None:
            self._header_timer = self._loop.call_later(HEADER_SECONDS, self._headers_late, self._request_count)

    def _headers_late(self, count: int) -> None:
        self._header_timer = None
        waits = self._waiter is not None and not self._waiter.done()
        if not waits or count != self._request_count or self.transport is None:
            return
        message = f"the headers did not come within {HEADER_SECONDS:g} seconds"
        self._server.count("none", 408, 0.0)
        response = HttpError(408, message).response()
        body = response.body
        assert isinstance(body, bytes), "errors are small"
        head = "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.force_close()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        super().pause_writing()
        self._unread = -1
        self._look_for_progress()

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _look_for_progress(self) -> None:
        self._stall_timer = None
        if self.transport is None:
            return
        unread = self.transport.get_write_buffer_size()
        if unread == self._unread:
            self._server.dropped += 1
            self.transport.abort()
            return
        self._unread = unread
        self._stall_timer = self._loop.call_later(STALLED_SECONDS, self._look_for_progress)

    # ------------------------------------------------------------ answers

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, and say so."""
        if not resp.prepared:
            resp.headers["Server"] = "striate"
            resp.headers["X-Content-Type-Options"] = "nosniff"
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._server.sent_bytes += request.writer.output_size

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, and to what nobody foresaw. The connection ends."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already")
        if isinstance(exc, ConnectionError):
            raise exc  # the client went in the middle of its body
        if status != 400:
            _logger.error("a request failed", exc_info=exc)
            status, message = 500, "internal error, see the server's log"
        elif isinstance(exc, LineTooLong):
            status, message = 431, "the request line, a header or all of them are too long"
        self._server.count("none", status, 0.0)
        return HttpError(status, (message or "not HTTP").partition("\n")[0], close=True).response()
