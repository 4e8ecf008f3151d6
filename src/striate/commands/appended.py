"""Streams that XADD may append to without asking Python: found once, nobody waits for them, they have no end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from striate.commands.session import Server
    from striate.storage.stream import Stream

# Of a key, those behind which its stream is still the same, and still has no end.
_HARMLESS: Final = frozenset({"xadd", "xdel", "xtrim", "xsetid"})


class Appended:
    """``known``: for each database, keys with their streams, the streams' names and what stands for those in the
    catalog. The native side looks whether that is still so, which tells of streams that were dropped or renamed."""

    def __init__(self, server: Server, databases: int) -> None:
        self.known: list[dict[bytes, tuple[Stream[Any], bytes, Any]]] = [{} for _ in range(databases)]
        self._server = server
        server.on_change.append(self._on_change)
        server.on_flush.append(lambda number: self.known[number].clear())

    def admit(self, number: int, key: bytes, stream: Stream[Any], name: bytes) -> None:
        """Entries may be appended to the stream of this key without asking."""
        entry = self._server.database._catalog._entries.get(name)
        if entry is not None:
            self.known[number][key] = (stream, name, entry)

    def forget(self, number: int, key: bytes) -> None:
        """Somebody has to be told of what is appended there."""
        self.known[number].pop(key, None)

    def _on_change(self, number: int, event: str, key: bytes) -> None:
        if event not in _HARMLESS and not event.startswith("xgroup"):
            self.forget(number, key)
