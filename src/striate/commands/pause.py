"""CLIENT PAUSE: commands are held for a time, one of each connection, and dispatched when it is over."""

from __future__ import annotations

from striate.commands.dispatch import dispatch
from striate.commands.effects import Timer
from striate.commands.registry import LATER, RETRY, Arguments, Command
from striate.commands.session import Server, Session

_WRITES_TOO = frozenset({"exec", "publish", "spublish"})


class Paused:
    """A pause that lasts until ``end_ms``; of all commands or of those that write."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._end_ms = 0
        self._all = False
        self._held: list[tuple[Session, Arguments]] = []
        self._timer: Timer | None = None

    def extend(self, milliseconds: int, all_commands: bool) -> None:
        """Let it last so long from now, unless it lasts longer already."""
        now = self._server.effects.now_ms()
        self._end_ms, self._all = max(self._end_ms, now + milliseconds), self._all or all_commands
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._server.effects.call_later((self._end_ms - now) / 1000, self.end)

    def holds(self, command: Command) -> bool:
        """Whether a command is to wait."""
        return self._all or "write" in command.flags or command.name in _WRITES_TOO

    def hold(self, session: Session, request: Arguments) -> None:
        """Dispatch the request when the pause is over, and answer it then."""
        self._held.append((session, request))

    def end(self) -> None:
        """It is over."""
        if self._timer is not None:
            self._timer.cancel()
        self._server.pause = None
        self._server.watch_all("pause", False)
        for session, request in self._held:
            answer(session, request)


def answer(session: Session, request: Arguments) -> None:
    """Dispatch a request whose connection waits for :meth:`striate.commands.effects.Line.reply`."""
    if session.id not in session.server.sessions:
        return
    reply = dispatch(session, request)
    if reply is RETRY:
        session.server.effects.when_durable(lambda: answer(session, request))
    elif reply is not LATER:
        session.line.reply(reply)


def pause(server: Server, milliseconds: int, all_commands: bool) -> None:
    """Begin a pause, or make the one there is longer or stricter."""
    held = server.pause
    if not isinstance(held, Paused):
        held = server.pause = Paused(server)
        server.watch_all("pause", True)
    held.extend(milliseconds, all_commands)
