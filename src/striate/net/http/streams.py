"""/v1/streams/{name}: producing and consuming, also by long polls and server-sent events."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from striate.commands.keyspace import Keyspace
from striate.commands.stream_fields import DATA, KEY, as_entry
from striate.commands.stream_ids import HIGHEST_PART, Id, id_bytes, pair
from striate.commands.stream_keys import entries_after, last_id
from striate.net.http.call import JSON, Call
from striate.net.http.errors import HttpError
from striate.net.http.models import Appended, Entries, NewEntries, shown_entry
from striate.storage.async_stream import AsyncStream
from striate.storage.stream import Stream

MOST_BYTES: Final = 16 << 20
"""Of values in one answer; it has one entry at least."""
EVENT_SECONDS: Final = 15.0
"""After so long without an event a comment is sent, which shows that the connection lives."""
_CHUNK: Final = 64


async def produce(call: Call) -> web.Response:
    """Append the body as one entry, or the entries that it lists."""
    name = call.path["name"]
    call.require("xadd", name)
    key = call.query.get("key")
    if call.request.content_type == JSON:
        try:
            made = [entry.stored(key) for entry in (await call.json(NewEntries)).entries]
        except ValueError as error:
            raise HttpError(400, f"the body: {error}") from None
    else:
        value = await call.body()
        made = [as_entry([DATA, value] if key is None else [DATA, value, KEY, key])]
    stream = call.keyspace.create_stream(name)
    if len(made) == 1:
        ids = [stream._append_nowait(*made[0])]
    else:
        ids = stream._append_many_nowait([value for value, _ in made], [key for _, key in made])
    call.server.changed(call.number, "xadd", name)
    await call.durable()
    return call.answer(Appended([id_bytes(id).decode() for id in ids]), 201)


async def consume(call: Call) -> web.StreamResponse:
    """Entries behind an id."""
    name = call.path["name"]
    call.require("xread", b"STREAMS", name, b"0")
    if call.request.method != "HEAD" and "text/event-stream" in call.request.headers.get("Accept", ""):
        return await _events(call)
    await call.durable()
    stream = _existing(call.keyspace, name)
    after, count = _position(stream, call.query.get("after", b"0")), call.query.get("count", 100)
    entries = _read(stream, after, count)
    if not entries and "wait" in call.query:
        async with call.owner.waiting(call.query["wait"]):
            await _arrival(call, stream, after, None)
        entries = _read(stream, after, count)
    last = pair(entries[-1].id) if entries else after
    return call.answer(Entries([shown_entry(entry) for entry in entries], id_bytes(last).decode()))


def _existing(keyspace: Keyspace, name: bytes) -> Stream[bytes]:
    stream = keyspace.stream(name)
    if stream is None:
        raise HttpError(404, "there is no such stream")
    return stream


def _position(stream: Stream[bytes], text: bytes) -> Id:
    """The id behind which to begin; ``$``: the last one."""
    if text == b"$":
        return last_id(stream)
    ms, _, seq = text.decode().partition("-")
    return min(int(ms), HIGHEST_PART), min(int(seq or 0), HIGHEST_PART)


def _read(stream: Stream[bytes], after: Id, count: int) -> list[Any]:
    found: list[Any] = []
    size = 0
    while len(found) < count and size < MOST_BYTES:
        part = entries_after(stream, after, min(count - len(found), _CHUNK))
        for entry in part:
            found.append(entry)
            size += len(entry.value)
            if size >= MOST_BYTES:
                return found
        if len(part) < _CHUNK:
            break
        after = pair(part[-1].id)
    return found


async def _arrival(call: Call, stream: Stream[bytes], after: Id, seconds: float | None) -> None:
    """Return when there are entries behind an id, or after so long."""
    database = call.database
    assert database._arrivals is not None, "it is there while the database is open"
    await AsyncStream(stream, database._settled, database._arrivals).read(after, count=1, timeout=seconds)


async def _events(call: Call) -> web.StreamResponse:
    """Entries as they come, until the client goes."""
    name = call.path["name"]
    given = call.headers.get("Last-Event-ID")
    start = call.query.get("after", b"0") if given is None else given.encode()
    await call.durable()
    stream = _existing(call.keyspace, name)
    after = _position(stream, start)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    response.headers["Server"], response.headers["X-Content-Type-Options"] = "striate", "nosniff"
    async with call.owner.waiting(None):
        await response.prepare(call.request)
        await response.write(b": entries behind %s\n\n" % id_bytes(after))
        while not call.owner.draining:
            entries = _read(stream, after, _CHUNK)
            for entry in entries:
                after = pair(entry.id)
                event = msgspec.json.encode(shown_entry(entry))
                await response.write(b"id: %s\ndata: %s\n\n" % (id_bytes(after), event))
            if not entries:
                await _arrival(call, stream, after, EVENT_SECONDS)
                await response.write(b"" if entries_after(stream, after, 1) else b": waiting\n\n")
    return response
