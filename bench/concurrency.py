"""Durable appends by many at once: threads on a ``Log``, tasks on an ``AsyncLog``."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from bench.contenders import StriateLog
from bench.rounds import Arm, Bench
from bench.workload import Writes, make_writes

if TYPE_CHECKING:
    import striate

WRITER_COUNT = 64
ONE_THREAD = "striate, one thread"
ONE_TASK = "striate, one task"
MANY_THREADS = f"striate, {WRITER_COUNT} threads"
MANY_TASKS = f"striate, {WRITER_COUNT} tasks"


def concurrent_arms(bench: Bench, stack: ExitStack) -> list[Arm]:
    """One and many writers, as threads and as tasks; each of the many appends a share of its own."""
    one = make_writes(bench.sizes.durable_count, 128).parts(bench.sizes.durable_count)
    share_count = bench.sizes.concurrent_share_count
    many = make_writes(share_count * WRITER_COUNT, 128).parts(share_count)
    return [
        _threads_arm(bench, ONE_THREAD, one),
        _tasks_arm(bench, ONE_TASK, one),
        _threads_arm(bench, MANY_THREADS, many),
        _tasks_arm(bench, MANY_TASKS, many),
    ]


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes uvloop's loop if uvloop is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _threads_arm(bench: Bench, label: str, shares: list[Writes]) -> Arm:
    record_count = sum(map(len, shares))

    @contextmanager
    def ready(round_index: int) -> Iterator[Callable[[], None]]:
        with (
            bench.workspace.fresh() as directory,
            closing(StriateLog(directory, durable=True)) as store,
            ThreadPoolExecutor(len(shares)) as pool,
        ):
            barrier = threading.Barrier(len(shares) + 1)

            def append_share(share: Writes) -> None:
                barrier.wait()
                store.append_each(share)

            futures = [pool.submit(append_share, share) for share in shares]

            def work() -> None:
                barrier.wait()
                for future in futures:
                    future.result()

            try:
                yield work
            finally:
                barrier.abort()
            _check_count(label, store.record_count(), record_count)

    return Arm(label, record_count, ready)


def _tasks_arm(bench: Bench, label: str, shares: list[Writes]) -> Arm:
    record_count = sum(map(len, shares))

    @contextmanager
    def ready(round_index: int) -> Iterator[Callable[[], None]]:
        import striate

        with bench.workspace.fresh() as directory, asyncio.Runner(loop_factory=loop_factory()) as runner:
            log = runner.run(striate.AsyncLog.open(directory / "log", durability="power"))
            try:
                yield lambda: runner.run(_append_shares(log, shares))
                _check_count(label, log.next_offset, record_count)
            finally:
                runner.run(log.close())

    return Arm(label, record_count, ready)


async def _append_shares(log: striate.AsyncLog, shares: list[Writes]) -> None:
    async def append_share(share: Writes) -> None:
        append = log.append
        for value in share.values:
            await append(value)

    async with asyncio.TaskGroup() as group:
        for share in shares:
            group.create_task(append_share(share))


def _check_count(label: str, got_count: int, wanted_count: int) -> None:
    if got_count != wanted_count:
        raise RuntimeError(f"{label}: the log holds {got_count} records, not {wanted_count}")
