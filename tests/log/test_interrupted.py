"""Ctrl-C in the middle of a change or of closing: raised once a call that waits returns, and nothing stays held."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.child import limit

from striate import Log
from striate.storage.segment_list import CLOSED, FROZEN


class Interrupted(Log):
    """A log in which a signal comes right after a call, once."""

    after: tuple[Any, ...] = ()

    def _signal(self, *call: Any) -> None:
        if call == self.after:
            self.after = ()
            raise KeyboardInterrupt

    def _lead(self) -> None:
        super()._lead()
        self._signal("lead")

    def _set_state(self, state: int) -> None:
        super()._set_state(state)
        self._signal("state", state)

    def _stop_threads(self) -> None:
        super()._stop_threads()
        self._signal("stop")

    def _release(self) -> None:
        if self.after == ("release",):  # here before the call
            self._signal("release")
        super()._release()


CHANGES: dict[str, Callable[[Log], object]] = {
    "truncate_after": lambda log: log.truncate_after(5),
    "truncate_before": lambda log: log.truncate_before(5),
    "reset": lambda log: log.reset(10),
    "compact": lambda log: log.compact(),
    "roll": lambda log: log.append_many([b"value" * 200] * 3),
}


@pytest.mark.parametrize("durability", ["power", "process"])
@pytest.mark.parametrize("after", [("lead",), ("state", FROZEN)], ids=lambda after: after[0])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change(log_path: Path, durability: Any, after: Any, change: Callable[[Log], object]) -> None:
    log = Interrupted(log_path, durability, segment_bytes=4096)
    log.append_many([b"value"] * 10)
    log.append_many([b"value" * 200] * 3)
    log.after = after
    try:
        change(log)
    except KeyboardInterrupt:
        assert log.next_offset == 13
    else:
        assert after == ("lead",), "a roll at process durability leads only when it must"
    log.after = ()
    with limit(10, "going on"):
        log.append(b"more")
        log.sync()
        change(log)
        log.close()
    with Log(log_path) as again:
        assert again.recovery.clean
        assert again.verify().ok


@pytest.mark.parametrize(
    "after",
    [("lead",), ("state", FROZEN), ("state", CLOSED), ("stop",), ("release",)],
    ids=lambda after: str(after[-1]),
)
def test_closing(log_path: Path, after: Any) -> None:
    log = Interrupted(log_path, durability="process")
    log.append(b"value")
    log.after = after
    with pytest.raises(KeyboardInterrupt):
        log.close()
    assert log.closed
    log.close()
    with Log(log_path) as again:
        assert again.read(0).value == b"value"
    log.close()


def test_locking(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: int) -> None:
        raise KeyboardInterrupt

    descriptors = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Log(log_path)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    with Log(log_path) as log:
        assert log.append(b"value") == 0
