"""A request that was understood, and what its operation may do: :class:`Call`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from striate.commands.dispatch import check_may_run
from striate.commands.keyspace import Keyspace
from striate.commands.registry import COMMANDS
from striate.commands.session import Server, Session
from striate.net.http.errors import HttpError
from striate.net.http.models import decode
from striate.storage.async_database import AsyncDatabase

if TYPE_CHECKING:
    from striate.net.http.operations import Operation
    from striate.net.http.server import HttpServer

MOST_BODY_BYTES: Final = 64 << 20
BODY_SECONDS: Final = 60.0
"""How long a body may take before its first byte, and from each piece to the next."""
JSON: Final = "application/json"


class Call:
    """One request.

    Attributes:
        path, query, headers: what the operation's parameters are given, checked; of the path decoded bytes.
    """

    def __init__(
        self,
        owner: HttpServer,
        session: Session,
        request: web.BaseRequest,
        operation: Operation,
        path: Mapping[str, bytes],
        query: Mapping[str, Any],
        headers: Mapping[str, str],
    ) -> None:
        self.owner, self.session, self.request, self.operation = owner, session, request, operation
        self.path, self.query, self.headers = path, query, headers

    @property
    def server(self) -> Server:
        """What all sessions share."""
        return self.owner.server

    @property
    def database(self) -> AsyncDatabase:
        """What is served."""
        return self.owner.database

    @property
    def number(self) -> int:
        """Which of the numbered databases is meant."""
        return int(self.query.get("database", 0))

    @property
    def keyspace(self) -> Keyspace:
        """That database."""
        return self.server.keyspaces[self.number]

    def require(self, command: str, *arguments: bytes) -> None:
        """Refuse a client that may not call the command that does the same for Redis clients."""
        entry, words = COMMANDS[command], list[bytes](arguments)
        check_may_run(self.session, entry, words)
        if self.server.pause is not None and self.server.pause.holds(entry):
            raise HttpError(503, "clients are paused", {"Retry-After": "1"})

    def end_of(self, ttl: float | None) -> int:
        """When something ends that has so many seconds to live; 0: never."""
        return 0 if ttl is None else self.server.effects.now_ms() + max(int(ttl * 1000), 1)

    async def durable(self) -> None:
        """Return when everything written so far is on disk."""
        if self.server.effects.is_durable():
            return
        waits = self.database._settled()
        if waits is not None:
            await waits

    # ------------------------------------------------------------ the body

    async def body(self) -> bytes:
        """All of it, within the bounds."""
        request = self.request
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise HttpError(415, "bodies must not be compressed", close=True)
        if (request.content_length or 0) > MOST_BODY_BYTES:
            raise _too_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        content = request.content
        if content.is_eof() and content.exception() is None:  # it came with the headers
            return content.read_nowait()
        pieces: list[bytes] = []
        size = 0
        while True:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    piece = await content.readany()
            except TimeoutError:
                raise HttpError(408, "the body stopped coming", close=True) from None
            except web.RequestPayloadError as error:
                raise HttpError(400, f"the body is broken: {error}".partition("\n")[0], close=True) from None
            if not piece:
                return b"".join(pieces)
            size += len(piece)
            if size > MOST_BODY_BYTES:
                raise _too_large()
            pieces.append(piece)

    async def json(self, type: Any) -> Any:
        """The body as JSON of that form."""
        if self.request.content_type != JSON:
            raise HttpError(415, f"the body must be {JSON}")
        body = await self.body()
        try:
            return decode(body, type)
        except ValueError as error:  # msgspec's errors are of it
            raise HttpError(400, f"the body: {error}") from None

    # ------------------------------------------------------------ answers

    def answer(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
        """An answer in JSON."""
        return web.Response(status=status, body=msgspec.json.encode(value), content_type=JSON, headers=headers)


def _too_large() -> HttpError:
    return HttpError(413, f"a body has {MOST_BODY_BYTES} bytes at most", close=True)
