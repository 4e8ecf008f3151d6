"""A client's session, and the server that sessions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from striate import Database
    from striate.commands.effects import Effects, Line
    from striate.commands.keyspace import Keyspace

DATABASES = 16


@dataclass(slots=True)
class Settings:
    """What CONFIG GET shows and the server keeps to."""

    compatible_version: str = "7.2.4"
    values: dict[str, str] = field(default_factory=dict)


class Server:
    """What all sessions share: the keyspaces, the effects, the settings, who is connected, who waits for what."""

    def __init__(self, database: Database, effects: Effects, settings: Settings, keyspaces: list[Keyspace]) -> None:
        self.database, self.effects, self.settings, self.keyspaces = database, effects, settings, keyspaces
        self.sessions: dict[int, Session] = {}
        self.last_session_id = 0
        # Called with (database number, event, key) after each change of a key: tracking, notifications, WATCH, blocked.
        self.on_change: list[Callable[[int, str, bytes], None]] = []

    def changed(self, number: int, event: str, key: bytes) -> None:
        """A key was changed by a command: ``event`` is Redis's word (set, del, expire, xadd, ...)."""
        for listener in self.on_change:
            listener(number, event, key)


class Session:
    """One connection's state."""

    def __init__(self, server: Server, line: Line) -> None:
        server.last_session_id += 1
        self.server, self.line = server, line
        self.id = server.last_session_id
        self.database = 0
        self.protocol = 2
        self.name = b""
        self.user = "default"
        self.authenticated = True
        self.library = self.library_version = b""
        self.closing = False
        # Families keep their own state here, by a name of theirs: transaction, subscriptions, tracking.
        self.transaction: Any = None
        self.subscriptions: Any = None
        self.tracking: Any = None
        server.sessions[self.id] = self

    @property
    def keyspace(self) -> Keyspace:
        """The selected database; inside EXEC as its transaction sees it."""
        return self.server.keyspaces[self.database]

    def end(self) -> None:
        """The connection is gone."""
        self.server.sessions.pop(self.id, None)
