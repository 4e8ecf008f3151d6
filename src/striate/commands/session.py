"""A client's session, and the server that sessions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from striate.commands.appended import Appended
from striate.commands.notifications import Notifications
from striate.commands.statistics import Statistics

if TYPE_CHECKING:
    from striate.commands.effects import Effects, Line
    from striate.commands.keyspace import Keyspace
    from striate.commands.registry import Arguments, Command
    from striate.storage.database import Database

T = TypeVar("T")
DATABASES = 16
PLAIN_US = 100
"""What GET and SET take at most, as long as the disk keeps up."""


class Users(Protocol):
    """Who may come in."""

    def is_open(self) -> bool:
        """Whether a new connection is the user ``default`` without a password."""
        ...

    def admits(self, name: bytes, password: bytes) -> bool:
        """Whether that is a user and the user's password."""
        ...


class Everybody:
    """:class:`Users` of a server without passwords."""

    def is_open(self) -> bool:
        """Always."""
        return True

    def admits(self, name: bytes, password: bytes) -> bool:
        """The one user there is."""
        return name == b"default"


class Transaction(Protocol):
    """What a session keeps between WATCH or MULTI and EXEC."""

    open: bool
    """Whether MULTI was called, so that commands are queued."""

    def queue(self, command: Command, arguments: Arguments, names: Arguments) -> None:
        """Take a command to be executed at EXEC, with what its handler gets and its names as the client wrote them."""
        ...

    def poison(self) -> None:
        """Let EXEC fail: a command could not be queued."""
        ...


class Pause(Protocol):
    """CLIENT PAUSE while it lasts."""

    def holds(self, command: Command) -> bool:
        """Whether a command is to wait."""
        ...

    def hold(self, session: Session, request: Arguments) -> None:
        """Dispatch the request when the pause is over, and answer it then."""
        ...


@dataclass(slots=True)
class Settings:
    """What CONFIG GET shows and the server keeps to."""

    compatible_version: str = "7.2.4"
    version: str = "0"
    values: dict[str, str] = field(default_factory=dict)


class Server:
    """What all sessions share: the keyspaces, the effects, the settings, who is connected, who waits for what."""

    def __init__(self, database: Database, effects: Effects, settings: Settings, keyspaces: list[Keyspace]) -> None:
        self.database, self.effects, self.settings, self.keyspaces = database, effects, settings, keyspaces
        self.sessions: dict[int, Session] = {}
        self.last_session_id = 0
        self.statistics = Statistics(effects.now_ms() // 1000)
        # Called with the names of settings that CONFIG SET has changed.
        self.on_settings: list[Callable[[set[str]], None]] = []
        # Called with (database number, event, key) after each change of a key: tracking, notifications, WATCH, blocked.
        self.on_change: list[Callable[[int, str, bytes], None]] = []
        # Called with the number of a database after all its keys were removed at once.
        self.on_flush: list[Callable[[int], None]] = []
        # Called before a command is executed or queued, with its arguments as the handler gets them; raises Failure
        # when the session may not call it.
        self.may_run: list[Callable[[Session, Command, Arguments], None]] = []
        # Called before a command is executed.
        self.before_command: list[Callable[[Session, Command, Arguments], None]] = []
        # Called after it, with the microseconds that it took.
        self.after_command: list[Callable[[Session, Command, Arguments, int], None]] = []
        # Called with a session that becomes as new (RESET), and with one that is gone.
        self.on_reset: list[Callable[[Session], None]] = []
        self.on_end: list[Callable[[Session], None]] = []
        self.appended = Appended(self, DATABASES)
        self.users: Users = Everybody()
        self.pause: Pause | None = None
        # Who has to be told of every command, by a name of theirs: monitor, pause, notifications.
        self.watchful: set[str] = set()
        # What is to be told to others once the transaction that runs is committed, while there is one.
        self.held: list[Callable[[], object]] | None = None
        self._parts: dict[type, Any] = {}
        self.part(Notifications)
        self._watch_for_slow_log()

    def part(self, kind: Callable[[Server], T]) -> T:
        """The server's one object of a class, made when it is first asked for: who waits, who subscribes."""
        made = self._parts.get(kind)  # type: ignore[call-overload]
        if made is None:
            made = self._parts[kind] = kind(self)  # type: ignore[index]
        return made  # type: ignore[no-any-return]

    def changed(self, number: int, event: str, key: bytes) -> None:
        """A key was changed by a command: ``event`` is Redis's word (set, del, expire, xadd, ...)."""
        if self.held is not None:
            self.held.append(lambda: self.changed(number, event, key))
            return
        for listener in self.on_change:
            listener(number, event, key)

    def change_settings(self, changes: dict[str, str]) -> None:
        """Settings are other ones now; they have been checked."""
        self.settings.values.update(changes)
        self._watch_for_slow_log()
        for listener in self.on_settings:
            listener(set(changes))

    def _watch_for_slow_log(self) -> None:
        # What passes by Python is not in the slow log.
        limit = int(self.settings.values.get("slowlog-log-slower-than", -1))
        self.watch_all("slowlog", 0 <= limit < PLAIN_US)

    def when_committed(self, call: Callable[[], object]) -> None:
        """Call now, or when the transaction that runs is committed; never, if it is not."""
        if self.held is None:
            call()
        else:
            self.held.append(call)

    def when_left(self, call: Callable[[Session], None]) -> None:
        """Call with each session that is gone or becomes as new: it has to let go of what is kept for it."""
        self.on_reset.append(call)
        self.on_end.append(call)

    def flushed(self, number: int) -> None:
        """All keys of a database were removed by a command."""
        if self.held is not None:
            self.held.append(lambda: self.flushed(number))
            return
        for listener in self.on_flush:
            listener(number)

    def watch_all(self, name: str, watch: bool) -> None:
        """Let no command pass by Python, or let them pass again; ``name`` says who wants it."""
        if watch:
            self.watchful.add(name)
        else:
            self.watchful.discard(name)
        for session in self.sessions.values():
            session.update_plain()


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
        self.authenticated = server.users.is_open()
        self.library = self.library_version = b""
        self.closing = False
        self.no_evict = self.no_touch = False
        self.last_command = ""
        # The command that runs as the client wrote its name (and its subcommand's): MONITOR and SLOWLOG show that.
        self.names: Arguments = []
        # CLIENT REPLY: none at all, and none to the next command.
        self.muted = self.skips_reply = False
        # While it waits in a blocking command: ends the wait, as a timeout does or (true) with the error UNBLOCKED.
        self.unblock: Callable[[bool], None] | None = None
        # Why its commands must not pass by Python: multi, tracking, subscribed, restricted, muted.
        self.watchful: set[str] = set()
        # Families keep their own state here, by a name of theirs: transaction, subscriptions, tracking.
        self.transaction: Transaction | None = None
        # Empty or None while it subscribes to nothing.
        self.subscriptions: Any = None
        self.tracking: Any = None
        # Whether an error inside EXEC rolls all of it back; None: as the server's settings say.
        self.strict_transactions: bool | None = None
        # While EXEC runs the queue: the databases as its transaction sees them.
        self.views: Sequence[Keyspace] | None = None
        server.sessions[self.id] = self
        self.update_plain()

    @property
    def keyspace(self) -> Keyspace:
        """The selected database; inside EXEC as its transaction sees it."""
        return self.keyspace_of(self.database)

    @property
    def executing(self) -> bool:
        """Whether EXEC runs the queue: no command may wait then."""
        return self.views is not None

    def keyspace_of(self, number: int) -> Keyspace:
        """Another database; inside EXEC as its transaction sees it."""
        return (self.server.keyspaces if self.views is None else self.views)[number]

    def changed(self, event: str, key: bytes) -> None:
        """As :meth:`Server.changed` for a key of the selected database."""
        self.server.changed(self.database, event, key)

    @property
    def in_transaction(self) -> bool:
        """Whether commands are queued for EXEC."""
        return self.transaction is not None and self.transaction.open

    def watch_all(self, name: str, watch: bool) -> None:
        """As :meth:`Server.watch_all` for this session."""
        if watch:
            self.watchful.add(name)
        else:
            self.watchful.discard(name)
        self.update_plain()

    def update_plain(self) -> None:
        """Tell the line whether GET and SET may pass by Python, and of which database they are."""
        plain = self.authenticated and not self.watchful and not self.server.watchful
        self.line.set_trusted(self.authenticated)
        self.line.set_plain(plain, self.database)

    def end(self) -> None:
        """The connection is gone; again: nothing happens."""
        if self.server.sessions.pop(self.id, None) is not None:
            for listener in self.server.on_end:
                listener(self)
