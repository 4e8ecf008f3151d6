"""What the server counts of commands: calls, errors, the slow ones, when it was last saved."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SLOW_ARGUMENTS: Final = 32
SLOW_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """An entry of the slow log."""

    id: int
    time_s: int
    took_us: int
    words: list[bytes]
    peer: str
    name: bytes


@dataclass(slots=True)
class Calls:
    """How often a command was executed, and for how long in all."""

    count: int = 0
    microseconds: int = 0


class Statistics:
    """Counted from the start, or since CONFIG RESETSTAT."""

    def __init__(self, started_s: int) -> None:
        self.calls: dict[str, Calls] = {}
        self.errors: dict[str, int] = {}
        self.slow: deque[SlowCommand] = deque()
        self.next_slow_id = 0
        # The process's own figures at CONFIG RESETSTAT: they are never set back.
        self.figures_before: Mapping[str, int | float] = {}
        # Before the first save it is the start, as in Redis.
        self.last_save_s = started_s
        self.last_save_failed = self.saving = False

    def note(self, name: str, took_us: int) -> None:
        """A command was executed."""
        calls = self.calls.get(name)
        if calls is None:
            calls = self.calls[name] = Calls()
        calls.count += 1
        calls.microseconds += took_us

    def note_error(self, line: bytes) -> None:
        """An error was answered."""
        code = line.partition(b" ")[0].decode("latin-1")
        # Codes are the server's own words, so that there is a bound.
        self.errors[code] = self.errors.get(code, 0) + 1

    def note_slow(self, entry: SlowCommand, most: int) -> None:
        """A command took long; the latest ``most`` of them are kept."""
        self.slow.appendleft(entry)
        self.next_slow_id += 1
        self.shorten(most)

    def shorten(self, most: int) -> None:
        """Keep no more than so many slow commands."""
        while len(self.slow) > most:
            self.slow.pop()

    def reset(self, figures: Mapping[str, int | float]) -> None:
        """Count from 0 again, from what the process's figures are now; the slow log stays."""
        self.figures_before = figures
        self.calls.clear()
        self.errors.clear()


def shortened(words: list[bytes]) -> list[bytes]:
    """A request as the slow log shows it."""
    shown = [_cut(word) for word in words[:SLOW_ARGUMENTS]]
    if len(words) > SLOW_ARGUMENTS:
        shown[-1] = b"... (%d more arguments)" % (len(words) - SLOW_ARGUMENTS + 1)
    return shown


def _cut(word: bytes) -> bytes:
    return word if len(word) <= SLOW_BYTES else word[:SLOW_BYTES] + b"... (%d more bytes)" % (len(word) - SLOW_BYTES)
