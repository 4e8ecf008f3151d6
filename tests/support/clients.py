"""What tests of commands give the server in place of a network, a clock and chance."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from striate.protocol.replies import Failure, Reply

Run = Callable[..., Reply]
NOW_MS = 1_700_000_000_000


class FakeTimer:
    """A call that is to come when the test moves the clock on."""

    def __init__(self, at_ms: int, call: Callable[[], None]) -> None:
        self.at_ms, self.call = at_ms, call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeEffects:
    """Time and chance as the test wants them."""

    def __init__(self) -> None:
        self.time_ms = NOW_MS
        self.us = 0
        self.durable = True
        self.waiting: list[Callable[[], None]] = []
        self.timers: list[FakeTimer] = []
        self.stopped = False
        self.saving: Callable[[str | None], None] | None = None

    def now_ms(self) -> int:
        return self.time_ms

    def monotonic_us(self) -> int:
        return self.us

    def random_below(self, bound: int) -> int:
        return bound - 1

    def call_later(self, seconds: float, call: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.time_ms + int(seconds * 1000), call)
        self.timers.append(timer)
        return timer

    def is_durable(self) -> bool:
        return self.durable

    def when_durable(self, call: Callable[[], None]) -> None:
        self.waiting.append(call)
        if self.durable:
            self.become_durable()

    def become_durable(self) -> None:
        self.durable = True
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()

    def save(self, done: Callable[[str | None], None]) -> None:
        self.saving = done

    def process_figures(self) -> dict[str, int | float]:
        return {"pid": 7, "port": 7379, "uptime_s": 90_000, "memory_bytes": 2_621_440, "requests": 12}

    def shut_down(self) -> None:
        self.stopped = True

    def pass_ms(self, milliseconds: int) -> None:
        """Move the clock on and call what is due then."""
        self.time_ms += milliseconds
        due = [timer for timer in self.timers if timer.at_ms <= self.time_ms]
        self.timers = [timer for timer in self.timers if timer.at_ms > self.time_ms]
        for timer in sorted(due, key=lambda timer: timer.at_ms):
            if not timer.cancelled:
                timer.call()


class FakeLine:
    """A client's connection that keeps what is sent."""

    peer, local = "127.0.0.1:50000", "127.0.0.1:7379"

    def __init__(self) -> None:
        self.pushed: list[Reply] = []
        self.replies: list[Reply] = []
        self.closed = self.closes_after_reply = False
        self.protocol = 2
        self.plain = (False, 0)
        self.figures: dict[str, Any] = {"input": 0, "output": 0, "fd": 8, "age_s": 5, "idle_s": 1}

    def push(self, reply: Reply) -> None:
        self.pushed.append(reply)

    def reply(self, reply: Reply) -> None:
        self.replies.append(reply)

    def close(self, after_reply: bool = False) -> None:
        self.closed, self.closes_after_reply = True, after_reply

    def set_protocol(self, version: int) -> None:
        self.protocol = version

    def set_trusted(self, trusted: bool) -> None:
        self.trusted = trusted

    def set_plain(self, plain: bool, database: int) -> None:
        self.plain = (plain, database)


def shown(reply: Reply) -> Reply:
    """Failures as text that compares equal."""
    if isinstance(reply, Failure):
        return "-" + reply.line.decode()
    if isinstance(reply, list):
        return [shown(element) for element in reply]
    return reply


Steps = list[tuple[str, Any]]


def converse(run: Run, steps: Steps) -> None:
    """Send requests one behind another and compare each reply."""
    got = [(line, plain(run(*shlex.split(line)))) for line, _ in steps]
    assert got == steps


def plain(reply: Reply) -> Reply:
    """A reply whose texts compare equal whatever kind of string they are."""
    if isinstance(reply, bytes):
        return bytes(reply)
    return [plain(element) for element in reply] if isinstance(reply, list) else reply
