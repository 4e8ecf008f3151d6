"""The clock of records against the system's."""

from __future__ import annotations

import time

import pytest

from striate._native.clock import Clock


@pytest.mark.parametrize("has_counter", [True, False], ids=["counter", "system"])
def test_it_tells_the_system_s_time(has_counter: bool) -> None:
    clock = Clock(has_counter)
    until = time.monotonic() + 0.2  # many half milliseconds, in each of which the true clock is read once
    readings = 0
    while time.monotonic() < until:
        before = time.time_ns() // 1000
        now = clock.now_us()
        after = time.time_ns() // 1000
        # The documented error is below a microsecond.
        assert before - 1 <= now <= after + 1
        readings += 1
    assert readings > 1000


def test_a_clock_that_was_idle_does_not_guess() -> None:
    clock = Clock()
    for pause in [0.0001, 0.0006, 0.002, 0.05]:
        until = time.perf_counter() + 0.002
        while time.perf_counter() < until:
            clock.now_us()
        until = time.perf_counter() + pause
        while time.perf_counter() < until:
            pass
        assert time.time_ns() // 1000 - 1 <= clock.now_us() <= time.time_ns() // 1000 + 1
