"""Truncation and reset while appends wait for the disk: every one of them comes back, whatever became of its offset."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from striate import AsyncLog, Log

ROUNDS = 120
DEADLINE_S = 30


def cut(log: Log, number: int) -> None:
    if number % 3 == 0:
        log.reset()
    elif number % 3 == 1:
        log.truncate_after(log.lowest_offset)
    else:
        log.truncate_before(log.next_offset)


@pytest.mark.parametrize("durability", ["power", "process"])
def test_threads_that_wait_come_back(fast_path: Path, durability: str) -> None:
    log = Log(fast_path / "log", segment_bytes=1 << 16, durability=durability)
    stop = threading.Event()

    def append() -> None:
        while not stop.is_set():
            log.append(b"x" * 100)
            log.sync()

    threads = [threading.Thread(target=append, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(ROUNDS):
        cut(log, number)
    stop.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads), "an append waits for an offset that was cut"
    assert [record.offset for record in log] == list(range(log.lowest_offset, log.next_offset))
    assert log.verify().ok
    log.close()


def test_tasks_that_wait_come_back(fast_path: Path) -> None:
    async def append(log: AsyncLog, count: int) -> None:
        for _ in range(count):
            await log.append(b"x" * 100)

    async def main() -> None:
        async with AsyncLog(fast_path / "log", segment_bytes=1 << 16) as log:
            for number in range(ROUNDS // 4):
                appends = asyncio.gather(*(append(log, 5) for _ in range(16)))
                await asyncio.sleep(0)
                await (log.reset() if number % 2 else log.truncate_after(log.lowest_offset))
                await asyncio.wait_for(appends, DEADLINE_S)
            assert (await log.verify()).ok

    asyncio.run(main())
