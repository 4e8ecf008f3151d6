"""A program that is made for Redis: tasks go through a stream to a worker, their results come back."""

from __future__ import annotations

import asyncio
import sys

from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker


async def job(url: str) -> None:
    broker = RedisStreamBroker(url).with_result_backend(RedisAsyncResultBackend(url))

    @broker.task
    async def add(one: int, other: int) -> int:
        return one + other

    await broker.startup()
    worker = asyncio.create_task(run_receiver_task(broker))
    tasks = [await add.kiq(number, 1) for number in range(20)]
    done = [await task.wait_result(check_interval=0.05, timeout=20) for task in tasks]
    assert [result.return_value for result in done] == list(range(1, 21))
    worker.cancel()
    await asyncio.wait([worker])
    await broker.shutdown()


asyncio.run(job(sys.argv[1]))
