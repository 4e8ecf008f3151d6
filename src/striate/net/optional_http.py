"""HTTP if aiohttp is there, and what is answered if it is not."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from striate._native.reactor import Reactor
    from striate.commands.session import Server
    from striate.net.http.server import HttpServer
    from striate.storage.async_database import AsyncDatabase

_SENTENCE: Final = b'{"error":"bad_request","message":"this server has no HTTP: pip install \'striate[server]\'"}'
NO_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
    % (len(_SENTENCE), _SENTENCE)
)


def new_http_server(database: AsyncDatabase, server: Server, reactor: Reactor) -> HttpServer | None:
    """The HTTP side of a server; ``None`` where aiohttp is not installed.

    It is imported when a server starts and not when the first request comes: that would hold up all clients.
    """
    if find_spec("aiohttp") is None:
        return None
    from striate.net.http.server import HttpServer

    return HttpServer(database, server, reactor)
