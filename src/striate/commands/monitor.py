"""MONITOR: every command that is executed, to clients that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from striate.commands.registry import Arguments, Command, command
from striate.protocol.replies import OK, Reply, Simple

if TYPE_CHECKING:
    from striate.commands.session import Server, Session

_ESCAPES: Final = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b", 0x22: '\\"', 0x5C: "\\\\"}
_UNSEEN: Final = frozenset({"admin", "skip_monitor", "no_auth"})
"""Flags of commands that are not shown: some have passwords."""


def quoted(text: bytes) -> str:
    """Bytes as Redis shows them in quotes."""
    shown = (_ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in text)
    return '"' + "".join(shown) + '"'


class Monitors:
    """Who wants to see all commands."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sessions: dict[Session, None] = {}
        server.when_left(self.remove)

    def add(self, session: Session) -> None:
        """Show a session all commands from now on."""
        if not self._sessions:
            self._server.before_command.append(self._show)
            self._server.watch_all("monitor", True)
        self._sessions[session] = None

    def remove(self, session: Session) -> None:
        """Show it none any more."""
        if session in self._sessions:
            del self._sessions[session]
            if not self._sessions:
                self._server.before_command.remove(self._show)
                self._server.watch_all("monitor", False)

    def _show(self, session: Session, command: Command, arguments: Arguments) -> None:
        if _UNSEEN & command.flags:
            return
        now = self._server.effects.now_ms()
        words = [*session.names, *arguments]
        line = f"{now // 1000}.{now % 1000:03}000 [{session.database} {session.line.peer}] "
        shown = Simple((line + " ".join(map(quoted, words))).encode())
        for each in list(self._sessions):
            each.line.push(shown)


@command(
    "monitor", 1, "admin noscript loading stale no_multi", summary="Shows all commands as they are executed.",
    group="server", since="1.0.0",
)  # fmt: skip
def monitor(session: Session, arguments: Arguments) -> Reply:
    """MONITOR."""
    session.server.part(Monitors).add(session)
    return OK
