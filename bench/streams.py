"""Streams with a consumer group, against a Redis server on this machine through redis-py."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import striate
from bench.rounds import Arm, Bench

STRIATE, ONE_BY_ONE, REDIS = "striate", "striate, one by one", "Redis, redis-py"
_VALUE_BYTES = 100
_BATCH = 100


def missing() -> list[str]:
    """Why the contender cannot run here."""
    reasons = []
    if importlib.util.find_spec("redis") is None:
        reasons.append(f"{REDIS}: no module named redis")
    if shutil.which("redis-server") is None:
        reasons.append(f"{REDIS}: no redis-server")
    return reasons


@contextmanager
def _redis(path: Path) -> Iterator[Any]:
    """A client of a server of its own, without persistence."""
    import redis

    socket = os.path.relpath(path / "socket")  # of at most 107 bytes
    arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(
        ["redis-server", *arguments, "--daemonize", "no"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stdout is not None
        if not any("ready to accept connections" in line.lower() for line in server.stdout):
            raise RuntimeError("redis-server did not start")
        client = redis.Redis(unix_socket_path=socket)
        yield client
        client.close()
    finally:
        server.terminate()
        server.communicate()


def _redis_work(client: Any, count: int, value: bytes) -> Callable[[], int]:
    client.delete("stream")
    client.xgroup_create("stream", "group", id="0", mkstream=True)

    def work() -> int:
        done = 0
        for _ in range(count // _BATCH):
            pipeline = client.pipeline(transaction=False)
            for _ in range(_BATCH):
                pipeline.xadd("stream", {b"value": value})
            pipeline.execute()
            entries = client.xreadgroup("group", "worker", {"stream": ">"}, count=_BATCH)[0][1]
            done += client.xack("stream", "group", *[id for id, _ in entries])
        return done

    return work


def _striate_work(db: striate.Database, name: str, count: int, value: bytes, single: bool) -> Callable[[], int]:
    stream = db.stream(name)
    group = stream.group("group", "0")
    values = [value] * _BATCH

    def work() -> int:
        done = 0
        for _ in range(count // _BATCH):
            if single:
                for _ in range(_BATCH):
                    stream.append(value)
            else:
                stream.append_many(values)
            done += group.acknowledge(group.read("worker", count=_BATCH))
        return done

    return work


def arms(count: int, bench: Bench, stack: ExitStack) -> list[Arm]:
    """Append so many entries, read them through a group and acknowledge them, 100 at a time."""
    value = os.urandom(_VALUE_BYTES)
    path = stack.enter_context(bench.workspace.fresh())
    db = stack.enter_context(striate.open(path / "db", "process", compaction_interval_s=None))

    def arm(label: str, work: Callable[[int], Callable[[], int]], count: int) -> Arm:
        @contextmanager
        def ready(round_index: int) -> Iterator[Callable[[], object]]:
            prepared = work(round_index)

            def run() -> None:
                if prepared() != count:
                    raise AssertionError(f"{label} lost entries")

            yield run

        return Arm(label, count, ready)

    made = [
        arm(STRIATE, lambda number: _striate_work(db, f"many {number}", count, value, False), count),
        arm(ONE_BY_ONE, lambda number: _striate_work(db, f"single {number}", count, value, True), count),
    ]
    if not missing():
        client = stack.enter_context(_redis(path))
        made.append(arm(REDIS, lambda number: _redis_work(client, count, value), count))
    return made
