"""Following and waiting: asleep until there is something, awake within 1 ms, ended by close and by Ctrl-C."""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.child import Child, limit, until, until_asleep

from striate import InvalidArgumentError, Log, LogClosedError

Opener = Callable[..., Any]

TYPICAL_LATENCY_S = 0.005  # the promise is 1 ms on an idle machine


# ---------------------------------------------------------------- tables, sync and async


def test_follow_gives_what_is_there_then_times_out(open_log: Opener) -> None:
    log = open_log(initial_offset=10)
    for number in range(100):
        log.append(b"%d" % number * 20)
    with limit(5, "following to the end"):
        seen = [(record.offset, record.value) for record in log.follow(10, timeout=0.05)]
    assert seen == [(10 + number, b"%d" % number * 20) for number in range(100)]


def test_follow_starts_at_the_end_by_default(open_log: Opener) -> None:
    log = open_log()
    log.append(b"old")
    assert list(log.follow(timeout=0.01)) == []
    stream = log.follow(timeout=5.0)
    assert list(log.follow(1, timeout=0)) == []
    log.append(b"new")
    if hasattr(log, "runner"):  # an async generator has not begun before its first step
        return
    assert next(iter(stream)).value == b"new"


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01, 0.2])
def test_timeouts(open_log: Opener, timeout: float) -> None:
    log = open_log()
    begin = time.monotonic()
    assert log.wait(0, timeout) is False
    assert list(log.follow(0, timeout=timeout)) == []
    took = time.monotonic() - begin
    assert 2 * timeout * 0.95 <= took < 2 * timeout + 2


def test_what_compaction_dropped_at_the_end_is_passed_over(open_log: Opener) -> None:
    log = open_log(segment_bytes=4096)
    log.append(b"value", b"kept")
    log.append(b"value", b"gone")
    log.append_tombstone(b"gone")
    log.append_many([b"fill" * 200] * 6, [b"gone"] * 6)  # ends the segment
    log.append_tombstone(b"gone")
    log.sync()
    log.truncate_after(8)
    log.append_tombstone(b"gone")
    log.truncate_after(9)  # seals it
    log.compact(tombstone_grace=0)
    end = log.next_offset
    with limit(5, "following over a gap"):
        assert [record.offset for record in log.follow(0, timeout=0)] == [0]
        assert list(log.follow(end - 1, timeout=0)) == []


def test_wait_for_what_is_there(open_log: Opener) -> None:
    log = open_log(initial_offset=3)
    log.append(b"value")
    with limit(1, "waiting for nothing"):
        assert log.wait(3) is True
        assert log.wait(3, timeout=0) is True
        assert log.wait(0, timeout=10) is True
    assert log.wait(4, timeout=0) is False


def test_follow_after_close(open_log: Opener) -> None:
    log = open_log()
    log.append(b"value")
    log.close()
    with pytest.raises(LogClosedError):
        log.wait(1, timeout=1)
    with pytest.raises(LogClosedError):
        list(log.follow(0, timeout=1))


def test_negative_timeouts_are_refused(open_log: Opener) -> None:
    log = open_log()
    with pytest.raises(InvalidArgumentError):
        log.wait(0, timeout=-1)


# ---------------------------------------------------------------- threads


def test_followers_in_threads_see_every_record(log_path: Path) -> None:
    count, followers = 2000, 4
    seen: list[list[int]] = [[] for _ in range(followers)]
    with Log(log_path, segment_bytes=4096, durability="process") as log:

        def follow(into: list[int]) -> None:
            for record in log.follow(0):
                assert record.value == b"%d" % record.offset * 9
                into.append(record.offset)
                if record.offset == count - 1:
                    return

        threads = [threading.Thread(target=follow, args=(into,)) for into in seen]
        for thread in threads:
            thread.start()
        for number in range(0, count, 2):
            log.append(b"%d" % number * 9)
            log.append_many([b"%d" % (number + 1) * 9])
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    assert seen == [list(range(count))] * followers


@pytest.mark.parametrize("how", ["wait", "follow"])
def test_close_wakes_who_waits(log_path: Path, how: str) -> None:
    log = Log(log_path, durability="process")
    ended: list[Any] = []
    started = threading.Event()

    def sleeper() -> None:
        started.set()
        try:
            ended.append(log.wait(0) if how == "wait" else list(log.follow(0)))
        except LogClosedError as error:
            ended.append(error)

    thread = threading.Thread(target=sleeper)
    thread.start()
    started.wait()
    until_asleep(own_pid(), thread.native_id)
    with limit(2, "waking"):
        log.close()
        thread.join(10)
    assert not thread.is_alive()
    assert len(ended) == 1
    if how == "follow":
        assert ended == [[]]
    else:
        assert ended == [False] or isinstance(ended[0], LogClosedError)


def own_pid() -> int:
    return os.getpid()


def test_waking_in_this_process_is_quick(log_path: Path) -> None:
    """Records one at a time, each appended when the follower sleeps."""
    took: list[float] = []
    asked, answered = threading.Event(), threading.Event()
    with Log(log_path, durability="process") as log:

        def follow() -> None:
            for record in log.follow(0):
                took.append(time.perf_counter() - float(record.value))
                answered.set()
                if len(took) == 60:
                    return

        thread = threading.Thread(target=follow)
        thread.start()
        for _ in range(60):
            until_asleep(own_pid(), thread.native_id)
            log.append(b"%r" % time.perf_counter())
            assert answered.wait(10)
            answered.clear()
        thread.join(10)
    asked.set()
    assert statistics.median(took) < TYPICAL_LATENCY_S, sorted(took)


# ---------------------------------------------------------------- other processes

FOLLOWER = """
from striate import Log
log = Log(path, mode="r")
say("open")
for record in log.follow(0):
    arrived = time.perf_counter()
    if record.value == b"stop": break
    say(record.offset, arrived - float(record.value))
say("ended")
"""


def test_waking_another_process_is_quick(log_path: Path) -> None:
    took = []
    with (
        Log(log_path, segment_bytes=4096, durability="process") as log,
        Child(FOLLOWER, log_path) as child,
    ):
        child.expect("open")
        for number in range(60):
            until_asleep(child.pid)
            log.append(b"%r" % time.perf_counter())
            offset, latency = child.line().split()
            assert int(offset) == number
            took.append(float(latency))
        log.append(b"stop")
        child.expect("ended")
        child.finish()
    assert statistics.median(took) < TYPICAL_LATENCY_S, sorted(took)


IDLE = """
from striate import Log
log = Log(path, mode="r")
list(log.follow(timeout=0.05))
before, begin = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
assert list(log.follow(timeout=1.0)) == []
assert log.wait(log.next_offset, 0.2) is False
after = resource.getrusage(resource.RUSAGE_SELF)
say(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - begin)
"""

IDLE_ASYNC = """
import asyncio
from striate import AsyncLog
async def main():
    async with AsyncLog(path, mode="r") as log:
        async for _ in log.follow(timeout=0.05): pass
        before, begin = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        async for _ in log.follow(timeout=1.0): assert False
        assert await log.wait(log.next_offset, 0.2) is False
        after = resource.getrusage(resource.RUSAGE_SELF)
        say(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - begin)
asyncio.run(main())
"""


@pytest.mark.parametrize("source", [IDLE, IDLE_ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("writer", ["open", "closed", "of another boot"])
def test_an_idle_follower_uses_no_processor(log_path: Path, source: str, writer: str) -> None:
    log = Log(log_path, durability="process")
    log.append(b"value")
    if writer != "open":
        log.close()
    if writer == "of another boot":
        (log_path / "live").unlink()  # as good as one that another boot left
    with Child(source, log_path) as child:
        used, took = map(float, child.line().split())
        child.finish()
    log.close()
    assert took >= 1.1
    assert used < 0.020, f"{used * 1000:.1f} ms of processor time in {took:.2f} s"


INTERRUPTED = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
from striate import Log
log = Log(path, mode=sys.argv[2], durability="process")
log_end = log.next_offset
say("waiting")
try:
    if sys.argv[3] == "wait": log.wait(log_end)
    else:
        for record in log.follow(): pass
except KeyboardInterrupt:
    say("interrupted", log.next_offset, log.read(0).value.decode())
"""


@pytest.mark.parametrize("how", ["wait", "follow"])
@pytest.mark.parametrize("mode", ["a", "r"])
def test_ctrl_c_interrupts_waiting(log_path: Path, mode: str, how: str) -> None:
    with Log(log_path, durability="process") as log:
        log.append(b"value")
    with Child(INTERRUPTED, log_path, mode, how) as child:
        child.expect("waiting")
        until_asleep(child.pid)
        with limit(2, "interrupting"):
            child.process.send_signal(signal.SIGINT)
            child.expect("interrupted 1 value")
        child.finish()


@pytest.mark.parametrize("rebooted", [False, True])
def test_a_writer_that_comes_later_is_followed(log_path: Path, rebooted: bool) -> None:
    """The reader opens while there is no writer; writers in other processes come, append and go."""
    writer = """
    from striate import Log
    with Log(path, segment_bytes=4096, durability="process") as log:
        for _ in range(40): log.append(b"%d" % log.next_offset * 30)
    """
    with Log(log_path, segment_bytes=4096, durability="process") as log:
        log.append(b"0" * 30)
    if rebooted:
        (log_path / "live").unlink()
    seen = []
    with Log(log_path, mode="r") as reader:
        stream = reader.follow(0, timeout=20)
        for session in range(3):
            with Child(writer, log_path) as child:
                while len(seen) < 1 + 40 * (session + 1):
                    record = next(stream)
                    assert record.value == b"%d" % record.offset * 30
                    seen.append(record.offset)
                child.finish()
    assert seen == list(range(121))


def test_wait_for_a_batch_wakes_once_it_is_whole(log_path: Path) -> None:
    with Log(log_path, durability="process") as log:
        seen: list[int] = []

        def wait() -> None:
            log.wait(0)
            seen.append(log.next_offset)

        thread = threading.Thread(target=wait)
        thread.start()
        until_asleep(own_pid(), thread.native_id)
        log.append_many([b"x"] * 1000)
        thread.join(10)
        until(lambda: seen, "the waiter")
        assert seen == [1000]
