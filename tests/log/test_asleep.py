"""Falling asleep and waking up: what happens between the last look and the sleep, and what ends a sleep."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.child import limit, until_asleep

from striate import Log, LogClosedError, OffsetOutOfRangeError
from striate.types import Mode


class ClosedOnceItLooked(Log):
    """A reader that is closed in the middle of its look at what the writer did."""

    def _refresh(self) -> None:
        super()._refresh()
        self.close()


def test_closing_wakes_whoever_is_about_to_sleep(log_path: Path) -> None:
    """The close falls between the look at the state of the log and the sleep."""
    with Log(log_path, segment_bytes=4096, durability="process") as writer:
        writer.append_many([b"value"] * 10)
        reader = ClosedOnceItLooked(log_path, mode="r")
        end = reader.next_offset
        ended: list[Any] = []

        writer.truncate_before(1)  # another manifest: the next call of the reader loads it
        thread = threading.Thread(target=lambda: ended.append(reader.wait(end)), daemon=True)
        thread.start()
        thread.join(10)
        assert ended == [False]


def test_closing_wakes_whoever_falls_asleep(log_path: Path) -> None:
    """The close falls between the last look and the system call. Nothing can stop a thread there but the lock of the
    interpreter, which it has to give away just then: to the thread that closes, if that has asked for it meanwhile."""
    Log(log_path).close()
    interval, processors, power = sys.getswitchinterval(), os.sched_getaffinity(0), 30000
    try:
        os.sched_setaffinity(0, {min(processors)})  # so whoever takes the lock goes first
        sys.setswitchinterval(1e-6)
        for turn in range(100):
            log = Log(log_path, mode="r")
            gate = threading.Lock()
            gate.acquire()

            def wait(log: Log = log, gate: threading.Lock = gate, end: int = log.next_offset) -> None:
                with contextlib.suppress(LogClosedError):  # closed before the call
                    gate.release()
                    3**power  # long enough for the other to ask; and no step of the interpreter until the wait
                    log._sleep(end, -1)

            sleeper = threading.Thread(target=wait, daemon=True)
            sleeper.start()
            gate.acquire()
            log.close()
            sleeper.join(10)
            assert not sleeper.is_alive(), f"asleep in turn {turn}"
    finally:
        sys.setswitchinterval(interval)
        os.sched_setaffinity(0, processors)


@pytest.mark.parametrize("mode", ["a", "r"])
def test_a_cut_ends_who_follows_behind_it(log_path: Path, mode: Mode) -> None:
    """Otherwise the follower would sleep until as many records are there again, and miss those before."""
    with Log(log_path, durability="process") as writer:
        writer.append_many([b"value"] * 100)
        follower = writer if mode == "a" else Log(log_path, mode="r")
        ended: list[Any] = []

        def follow() -> None:
            try:
                ended.extend(follower.follow(100))
            except OffsetOutOfRangeError as error:
                ended.append((error.offset, error.next_offset))

        thread = threading.Thread(target=follow)
        thread.start()
        until_asleep(os.getpid(), thread.native_id)
        with limit(10, "ending"):
            writer.truncate_after(49)
            thread.join(10)
        assert ended == [(100, 50)]
        assert not writer.wait(100, timeout=0), "who only waits goes on waiting"
        follower.close()


def test_a_page_that_says_more_than_the_files_is_slept_on(log_path: Path) -> None:
    """After a power cut, or in a copy, the page is of another boot or file: it must not keep a waiting reader awake."""
    with Log(log_path, durability="process") as log:
        log.append_many([b"value"] * 10)
    page = bytearray((log_path / "live").read_bytes())
    page[8] ^= 1  # boot_id
    page[128:136] = (1000).to_bytes(8, "little")  # visible_next
    (log_path / "live").write_bytes(page)
    with Log(log_path, mode="r") as reader:
        assert reader.next_offset == 10
        before = time.thread_time()
        assert not reader.wait(10, timeout=0.5)
        assert time.thread_time() - before < 0.05
