"""/v1/keys/{key}: strings with their time to live and their version."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from striate.commands.keyspace import WRONG_TYPE, Entry
from striate.net.http.call import Call
from striate.net.http.errors import HttpError
from striate.protocol.replies import Failure

TTL: Final = "Striate-TTL"
_OTHER: Final = "the key has another version"


async def get_key(call: Call) -> web.Response:
    """The value is the body."""
    key = call.path["key"]
    call.require("get", key)
    entry = call.keyspace.entry(key)
    await call.durable()
    wanted = call.headers.get("If-None-Match")
    if entry is None:
        raise HttpError(404, "there is no such key")
    headers = {"ETag": f'"{entry.version}"', "Cache-Control": "no-cache"}
    if entry.end_ms:
        headers[TTL] = f"{max(entry.end_ms - call.server.effects.now_ms(), 0) / 1000:.3f}"
    if wanted is not None and _matches(wanted, entry, weak=True):
        return web.Response(status=304, headers=headers)
    return web.Response(body=entry.value, headers=headers, content_type="application/octet-stream")


async def put_key(call: Call) -> web.Response:
    """The body becomes the value."""
    key = call.path["key"]
    call.require("set", key)
    value = await call.body()
    keyspace = call.keyspace
    if keyspace.kind(key) == "stream":
        raise Failure(WRONG_TYPE)
    end = call.end_of(call.query.get("ttl"))
    while True:
        entry = keyspace.entry(key)
        conditional = _check(call, entry)
        version = None if not conditional else 0 if entry is None else entry.version
        if keyspace.set(key, value, end, version):
            break
    call.server.changed(call.number, "set", key)
    if end:
        call.server.changed(call.number, "expire", key)
    stored = keyspace.entry(key)
    await call.durable()
    headers = {}
    # Another thread of the process may have written since: then the tag of this value is not known.
    if stored is not None and stored.value == value:
        headers["ETag"] = f'"{stored.version}"'
    return web.Response(status=204, headers=headers)


async def delete_key(call: Call) -> web.Response:
    """A key of any kind goes."""
    key = call.path["key"]
    call.require("del", key)
    keyspace = call.keyspace
    if call.headers.get("If-Match") is None:
        if not keyspace.delete(key):
            await call.durable()
            raise HttpError(404, "there is no such key")
    else:
        while True:
            entry = keyspace.entry(key)
            _check(call, entry)
            if entry is None or keyspace.update({key: (None, 0)}, {key: entry.version}):
                break
    call.server.changed(call.number, "del", key)
    await call.durable()
    return web.Response(status=204)


def _check(call: Call, entry: Entry | None) -> bool:
    """Whether there are conditions; 412 when they do not hold."""
    headers = call.headers
    match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
    if match is not None and not _matches(match, entry):
        raise HttpError(412, _OTHER if entry is not None else "there is no such key")
    if none_match is not None and _matches(none_match, entry):
        raise HttpError(412, "there is such a key" if none_match.strip() == "*" else "the key has this version")
    return match is not None or none_match is not None


def _matches(tags: str, entry: Entry | None, weak: bool = False) -> bool:
    """Whether an entry is one of those that a list of versions names."""
    if entry is None or tags == "*":
        return entry is not None
    return any(tag.strip(' \t"') == str(entry.version) for tag in (tags.replace("W/", "") if weak else tags).split(","))
