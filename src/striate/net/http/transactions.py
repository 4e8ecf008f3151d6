"""/v1/transactions: operations on keys and streams that take effect together or not at all."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from striate.commands.keyspace import WRONG_TYPE, Keyspace, New, Write
from striate.commands.stream_ids import id_bytes
from striate.net.http.call import Call
from striate.net.http.errors import HttpError
from striate.net.http.models import Append, Check, Committed, Delete, Done, Operations, Set, shown, to_bytes
from striate.protocol.replies import Failure

_COMMANDS: Final[dict[type, str]] = {Set: "set", Delete: "del", Check: "get"}


class _Plan:
    """What a list of operations comes to."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self.writes: dict[bytes, Write] = {}
        self.versions: dict[bytes, int] = {}
        # (place in the list, key, value, the entry's key)
        self.entries: list[tuple[int, bytes, bytes, bytes | None]] = []

    def condition(self, key: bytes, version: float | None) -> None:
        """Let all depend on the version of a key."""
        if self._keyspace.kind(key) == "stream":
            raise Failure(WRONG_TYPE)
        if version is not None and self.versions.setdefault(key, int(version)) != version:
            raise HttpError(400, f"two different versions are asked of the key {shown(key)}")

    def append(self, place: int, operation: Append) -> None:
        """Append an entry."""
        try:
            self.entries.append((place, operation.stream.encode(), *operation.stored()))
        except ValueError as error:
            raise HttpError(400, f"operation {place}: {error}") from None

    def check(self) -> None:
        """409 where it is clear already that it fails."""
        for key, version in self.versions.items():
            if self._keyspace.version(key) != version:
                raise HttpError(409, f"the key {shown(key)} has another version; nothing was changed")
        for _, name, _, _ in self.entries:
            if name in self.writes:
                raise HttpError(400, f"{shown(name)} cannot be a string and a stream")
            self._keyspace.stream(name)


async def transact(call: Call) -> web.Response:
    """Do all operations, or none."""
    operations = await call.json(Operations)
    keyspace, plan = call.keyspace, _Plan(call.keyspace)
    for place, operation in enumerate(operations):
        if isinstance(operation, Append):
            call.require("xadd", operation.stream.encode())
            plan.append(place, operation)
            continue
        key = to_bytes(operation.key)
        call.require(_COMMANDS[type(operation)], key)
        plan.condition(key, operation.version)
        if isinstance(operation, Set):
            plan.writes[key] = to_bytes(operation.value), call.end_of(operation.ttl)
        elif isinstance(operation, Delete):
            plan.writes[key] = None, 0
    plan.check()
    made: list[New] = []
    for _, name, value, own_key in plan.entries:
        stream = keyspace.create_stream(name)
        made.append((stream, *stream._new_entry(value, own_key), own_key))
    if not keyspace.update(plan.writes, plan.versions, made):
        raise HttpError(409, "a key has another version; nothing was changed")
    _announce(call, plan)
    results = _results(keyspace, operations, plan, made)
    await call.durable()
    return call.answer(Committed(results))


def _announce(call: Call, plan: _Plan) -> None:
    for key, (value, end) in plan.writes.items():
        call.server.changed(call.number, "del" if value is None else "set", key)
        if end:
            call.server.changed(call.number, "expire", key)
    for _, name, _, _ in plan.entries:
        call.server.changed(call.number, "xadd", name)


def _results(
    keyspace: Keyspace,
    operations: list[Set | Delete | Check | Append],
    plan: _Plan,
    made: list[New],
) -> list[Done]:
    results = [Done() for _ in operations]
    for (place, *_), (_, entry, _, _) in zip(plan.entries, made, strict=True):
        results[place].id = id_bytes(entry.id).decode()
    for result, operation in zip(results, operations, strict=True):
        if isinstance(operation, Set):
            stored = keyspace.entry(to_bytes(operation.key))
            # Not what a later operation, or another thread since, has stored.
            if stored is not None and stored.value == to_bytes(operation.value):
                result.version = stored.version
    return results
