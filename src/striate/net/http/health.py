"""Whether the process lives, may be sent requests, has started: for those who watch it."""

from __future__ import annotations

from aiohttp import web

from striate.net.http.call import Call
from striate.net.http.errors import HttpError


async def live(call: Call) -> web.Response:
    """The loop turns."""
    return web.Response(text="ok\n")


async def ready(call: Call) -> web.Response:
    """Requests are taken: the log works and the server does not stop."""
    if call.owner.draining:
        raise HttpError(503, "the server stops")
    if call.server.database.closed or call.server.database.log._failed:
        raise HttpError(503, "the log has failed")
    return web.Response(text="ok\n")


async def started(call: Call) -> web.Response:
    """The log was recovered: before that nobody listens."""
    return web.Response(text="ok\n")
