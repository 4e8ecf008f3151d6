"""Keyspace notifications: a message on a channel for each change of a key, of the kinds that a setting names.

``notify-keyspace-events``: ``K`` for channels ``__keyspace@0__:key``, ``E`` for ``__keyevent@0__:event``, and letters
of the kinds; ``A`` stands for all of them but ``m`` and ``n``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from striate.commands.pubsub import PubSub

if TYPE_CHECKING:
    from striate.commands.session import Server

SETTING: Final = "notify-keyspace-events"
ALL: Final = "g$lshzxetd"
_STRING: Final = {"set", "setrange", "append", "incrby", "incrbyfloat", "getset"}
_OTHERS: Final = {"expired": "x", "evicted": "e", "new": "n"}


def kind_of(event: str) -> str:
    """The letter of an event's kind."""
    if event in _STRING:
        return "$"
    # All of streams begin with an x, and of others none does.
    return _OTHERS.get(event) or ("t" if event.startswith("x") else "g")


class Notifications:
    """Tells channels of changes, while the setting asks for any."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._flags: frozenset[str] = frozenset()
        server.on_settings.append(self._on_settings)
        self._on_settings({SETTING})

    def _on_settings(self, names: set[str]) -> None:
        if SETTING in names:
            self._set(self._server.settings.values.get(SETTING, ""))

    def _set(self, text: str) -> None:
        flags = set(text)
        if "A" in flags:
            flags |= set(ALL)
        wanted = bool(flags & {"K", "E"} and flags - {"K", "E", "A"})
        if wanted != bool(self._flags):
            if wanted:
                self._server.on_change.append(self._on_change)
            else:
                self._server.on_change.remove(self._on_change)
            self._server.watch_all("notifications", wanted)
        self._flags = frozenset(flags) if wanted else frozenset()

    def _on_change(self, number: int, event: str, key: bytes) -> None:
        if kind_of(event) not in self._flags:
            return
        channels = self._server.part(PubSub)
        if "K" in self._flags:
            channels.publish(b"__keyspace@%d__:%s" % (number, key), event.encode())
        if "E" in self._flags:
            channels.publish(b"__keyevent@%d__:%s" % (number, event.encode()), key)
