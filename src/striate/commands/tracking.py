"""Client tracking: which keys a client may have in a cache of its own, and telling it when they change.

Either the server remembers which keys a client has read (at most so many as ``tracking-table-max-keys`` says for all
clients; beyond them the oldest are told as changed), or the client names prefixes (BCAST). What may not live here: the
commands (client_tracking.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from striate.commands.registry import Arguments, Command, keys_of
from striate.protocol.replies import Push

if TYPE_CHECKING:
    from striate.commands.session import Server, Session

CHANNEL: Final = b"__redis__:invalidate"
MOST_KEYS: Final = 1_000_000
NO_REDIRECT: Final = 0


@dataclass(slots=True)
class Tracking:
    """How one session wants to be told."""

    redirect: int = NO_REDIRECT
    broadcast: bool = False
    prefixes: list[bytes] = field(default_factory=list)
    opt_in: bool = False
    opt_out: bool = False
    no_loop: bool = False
    caching: bool | None = None  # CLIENT CACHING, for the next command
    broken: bool = False  # the session of the redirect is gone


class TrackingTable:
    """Who has to be told of changes of which keys."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sessions: dict[int, Session] = {}
        self._readers: dict[bytes, dict[int, None]] = {}  # of keys, the oldest first
        self._prefixes: dict[bytes, dict[int, None]] = {}
        self._current: Session | None = None
        server.when_left(self.stop)

    def __len__(self) -> int:
        return len(self._readers)

    # ------------------------------------------------------------ who tracks

    def start(self, session: Session, tracking: Tracking) -> None:
        """Tell a session from now on, or in another way."""
        if not self._sessions:
            self._listen()
        session.tracking = tracking
        session.watch_all("tracking", True)
        self._sessions[session.id] = session
        for prefix in tracking.prefixes or ([b""] if tracking.broadcast else []):
            self._prefixes.setdefault(prefix, {})[session.id] = None

    def stop(self, session: Session) -> None:
        """Tell a session no more."""
        if session.tracking is None:
            return
        session.tracking = None
        session.watch_all("tracking", False)
        del self._sessions[session.id]
        for prefix in [prefix for prefix, ids in self._prefixes.items() if session.id in ids]:
            del self._prefixes[prefix][session.id]
            if not self._prefixes[prefix]:
                del self._prefixes[prefix]
        if not self._sessions:
            self._listen_no_more()

    def _listen(self) -> None:
        server = self._server
        server.before_command.append(self._before)
        server.after_command.append(self._after)
        server.on_change.append(self._on_change)
        server.on_flush.append(self._on_flush)
        server.watch_all("tracking", True)

    def _listen_no_more(self) -> None:
        server = self._server
        server.before_command.remove(self._before)
        server.after_command.remove(self._after)
        server.on_change.remove(self._on_change)
        server.on_flush.remove(self._on_flush)
        server.watch_all("tracking", False)
        self._readers.clear()

    # ------------------------------------------------------------ what is read

    def _before(self, session: Session, command: Command, arguments: Arguments) -> None:
        self._current = session

    def _after(self, session: Session, command: Command, arguments: Arguments, us: int) -> None:
        self._current = session if session.executing else None
        own: Tracking | None = session.tracking
        if own is None:
            return
        if "readonly" in command.flags and not own.broadcast and _remembers(own):
            for key in keys_of(command, arguments):
                self._remember(key, session)
        # It is for one command, and one transaction is one.
        if command.name not in ("client caching", "multi") and not session.executing:
            own.caching = None

    def _remember(self, key: bytes, session: Session) -> None:
        self._readers.setdefault(key, {})[session.id] = None
        most = int(self._server.settings.values.get("tracking-table-max-keys", MOST_KEYS)) or MOST_KEYS
        while len(self._readers) > most:
            self._invalidate(next(iter(self._readers)), None)

    # ------------------------------------------------------------ what changes

    def _on_change(self, number: int, event: str, key: bytes) -> None:
        self._invalidate(key, self._current)
        for prefix, ids in list(self._prefixes.items()):
            if key.startswith(prefix):
                for id in list(ids):
                    self._tell(self._sessions.get(id), key, self._current)

    def _invalidate(self, key: bytes, changer: Session | None) -> None:
        for id in self._readers.pop(key, ()):
            self._tell(self._sessions.get(id), key, changer)

    def _on_flush(self, number: int) -> None:
        self._readers.clear()
        for session in list(self._sessions.values()):
            self._tell(session, None, None)

    def _tell(self, session: Session | None, key: bytes | None, changer: Session | None) -> None:
        own: Tracking | None = None if session is None else session.tracking
        if session is None or own is None or (own.no_loop and session is changer):
            return
        keys = None if key is None else [key]
        if own.redirect == NO_REDIRECT:
            if session.protocol >= 3:
                session.line.push(Push((b"invalidate", keys)))
            return
        target = self._server.sessions.get(own.redirect)
        if target is None:
            if session.protocol >= 3 and not own.broken:
                session.line.push(Push((b"tracking-redir-broken", own.redirect)))
            own.broken = True
        elif target.protocol >= 3:
            target.line.push(Push((b"invalidate", keys)))
        elif target.subscriptions and CHANNEL in target.subscriptions.channels:
            target.line.push(Push((b"message", CHANNEL, keys)))


def _remembers(own: Tracking) -> bool:
    if own.opt_in:
        return own.caching is True
    return not (own.opt_out and own.caching is False)
