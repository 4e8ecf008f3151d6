"""Clients that wait for a key: who, for what, in which order they are served.

A command that finds nothing calls :meth:`Blocking.wait` and returns ``LATER``. When a key is changed, those that wait
for it try again in the order in which they came, once the change is on disk; the first that finds something is
answered. A client waits for one thing at most, so there are no more waits than connections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from striate.commands.registry import LATER
from striate.protocol.replies import Failure, Reply

if TYPE_CHECKING:
    from striate.commands.effects import Timer
    from striate.commands.session import Server, Session

NOTHING: Final = object()
"""What an attempt gives that goes on waiting."""
Place = tuple[int, bytes]

_UNBLOCKED: Final = "UNBLOCKED client unblocked via CLIENT UNBLOCK"


@dataclass(eq=False, slots=True)
class Wait:
    """One client that waits."""

    session: Session
    places: Sequence[Place]
    attempt: Callable[[], Reply]
    in_vain: Reply
    timer: Timer | None = None


class Blocking:
    """The waits of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._by_place: dict[Place, dict[Wait, None]] = {}
        self._by_session: dict[int, Wait] = {}
        self._changed: dict[Place, None] = {}
        self._asked = self._serving = False
        server.on_change.append(self._on_change)
        server.on_flush.append(self._on_flush)
        server.when_left(self.forget)

    def __len__(self) -> int:
        return len(self._by_session)

    def is_waited_for(self, number: int, key: bytes) -> bool:
        """Whether a client waits for this key."""
        return (number, key) in self._by_place

    def wait(
        self, session: Session, keys: Sequence[bytes], seconds: float, attempt: Callable[[], Reply], in_vain: Reply
    ) -> Reply:
        """Let a client wait for keys of its database.

        Args:
            seconds: how long; 0: for ever. attempt: gives the reply, ``NOTHING`` to go on, or raises Failure.
            in_vain: the reply when the time is over.

        Returns:
            ``LATER``, for the command to return.
        """
        places = [(session.database, key) for key in dict.fromkeys(keys)]
        wait = Wait(session, places, attempt, in_vain)
        self._by_session[session.id] = wait
        session.unblock = lambda with_error: self._unblock(wait, with_error)
        for place in places:
            self._by_place.setdefault(place, {})[wait] = None
            self._server.appended.forget(*place)
        if seconds > 0:
            wait.timer = self._server.effects.call_later(seconds, lambda: self._finish(wait, in_vain))
        return LATER

    def _unblock(self, wait: Wait, with_error: bool) -> None:
        self._finish(wait, Failure(_UNBLOCKED) if with_error else wait.in_vain)

    def forget(self, session: Session) -> None:
        """The client is gone."""
        wait = self._by_session.get(session.id)
        if wait is not None:
            self._remove(wait)

    def look_again(self) -> None:
        """Something may have been changed by others than clients: let all try again."""
        self._changed.update(dict.fromkeys(self._by_place))
        self._ask()

    # ------------------------------------------------------------ serving

    def _on_change(self, number: int, event: str, key: bytes) -> None:
        if (number, key) in self._by_place:
            self._changed[number, key] = None
            self._ask()

    def _on_flush(self, number: int) -> None:
        self._changed.update(dict.fromkeys(place for place in self._by_place if place[0] == number))
        self._ask()

    def _ask(self) -> None:
        if self._changed and not self._asked:
            self._asked = True
            self._server.effects.when_durable(self._serve)

    def _serve(self) -> None:
        self._asked = False
        if self._serving:  # an attempt has changed a key: the loop below takes it up
            return
        self._serving = True
        try:
            while self._changed:
                place = next(iter(self._changed))
                del self._changed[place]
                for wait in list(self._by_place.get(place, ())):
                    self._try(wait)
        finally:
            self._serving = False

    def _try(self, wait: Wait) -> None:
        if self._by_session.get(wait.session.id) is not wait:
            return
        try:
            reply = wait.attempt()
        except Failure as failure:
            reply = failure
        if reply is not NOTHING:
            self._finish(wait, reply)

    def _finish(self, wait: Wait, reply: Reply) -> None:
        if self._by_session.get(wait.session.id) is wait:
            self._remove(wait)
            wait.session.line.reply(reply)

    def _remove(self, wait: Wait) -> None:
        del self._by_session[wait.session.id]
        wait.session.unblock = None
        for place in wait.places:
            waits = self._by_place[place]
            del waits[wait]
            if not waits:
                del self._by_place[place]
        if wait.timer is not None:
            wait.timer.cancel()
