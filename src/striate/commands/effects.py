"""What commands ask of the world outside: time, chance, later calls, the other connections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from striate.protocol.replies import Reply


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """It is not to come."""
        ...


class Effects(Protocol):
    """Given to the server by whoever runs it: the network layer, or a test."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by the database's clock."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds from some moment on, for how long things take."""
        ...

    def random_below(self, bound: int) -> int:
        """A number from 0 to ``bound`` - 1."""
        ...

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, later, from the same thread."""
        ...

    def is_durable(self) -> bool:
        """Whether what is written so far is on disk; always, where nothing waits for the disk."""
        ...

    def when_durable(self, call: Callable[[], None]) -> None:
        """Call when what is written so far is on disk: at once where nothing is on its way."""
        ...

    def save(self, done: Callable[[str | None], None]) -> None:
        """Copy the database to where the server was told to keep snapshots, without stopping the loop; then call with
        why it failed, or ``None``."""
        ...

    def process_figures(self) -> Mapping[str, int | float]:
        """What the process knows of itself, each figure if it is known: ``pid``, ``port``, ``uptime_s``,
        ``memory_bytes`` and ``peak_bytes`` (resident), ``machine_bytes``, ``user_s`` and ``system_s`` of the processor,
        ``connections`` and ``requests`` so far, ``input_bytes``, ``output_bytes``, ``rejected_connections``."""
        ...

    def shut_down(self) -> None:
        """Stop serving, after the reply under way."""
        ...


class Line(Protocol):
    """A client's connection, as commands see it."""

    def push(self, reply: Reply) -> None:
        """Send what no request asked for, behind the replies so far. Never blocks; a reader too slow is dropped."""
        ...

    def reply(self, reply: Reply) -> None:
        """Answer the command that returned :data:`striate.commands.registry.LATER`; the next one is taken then.

        :data:`striate.commands.registry.SILENCE`: nothing is sent, but the next one is taken.
        """
        ...

    def close(self, after_reply: bool = False) -> None:
        """End the connection, perhaps after the reply under way."""
        ...

    def set_protocol(self, version: int) -> None:
        """Write replies in RESP2 or RESP3 from now on."""
        ...

    def set_plain(self, plain: bool, database: int) -> None:
        """Whether GET and SET may be answered without asking Python: authenticated, no MULTI, nobody to be told."""
        ...

    def set_trusted(self, trusted: bool) -> None:
        """Whether the client has shown who it is: larger requests are taken."""
        ...

    @property
    def peer(self) -> str:
        """Address and port, or the path of a socket."""
        ...

    @property
    def local(self) -> str:
        """Ours."""
        ...

    @property
    def figures(self) -> dict[str, Any]:
        """Bytes waiting: ``input``, ``output``; ``fd``; ``age_s``; ``idle_s``."""
        ...
