"""Signals end what waits in the main thread, also those that interrupt no system call of its own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.child import limit, until_asleep

import striate


class SignalledError(Exception):
    """Raised by the handler."""


WAITS: dict[str, Callable[[striate.Database], object]] = {
    "stream.read": lambda db: db.stream("events").read(0, timeout=None),
    "group.read": lambda db: db.stream("events").group("group", "0").read("consumer", timeout=None),
    "log.wait": lambda db: db.log.wait(db.log.next_offset),
    "changes.get": lambda db: striate.Cache().changes().get(),
}


@contextmanager
def raising() -> Iterator[None]:
    def handler(*_: object) -> None:
        raise SignalledError

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("sender", ["to the main thread", "to another"])
@pytest.mark.parametrize("wait", list(WAITS.values()), ids=list(WAITS))
def test_a_signal_ends_a_wait(db: striate.Database, wait: Callable[[striate.Database], object], sender: str) -> None:
    """A signal to another thread is as one to this thread just before its sleep: Python knows of it, no sleep ends."""
    main = threading.main_thread()
    target = main.ident if sender == "to the main thread" else None

    def send() -> None:
        until_asleep(os.getpid())
        signal.pthread_kill(target or threading.get_ident(), signal.SIGUSR1)

    thread = threading.Thread(target=send)
    with raising(), limit(10, "the signal"), pytest.raises(SignalledError):
        thread.start()
        wait(db)
    thread.join()
