"""Shared fixtures: seeds that replay, logs opened by either driver, directories on memory-backed storage."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

SEED_VARIABLE = "STRIATE_SEED"


def replay_command(node_id: str, seed: int) -> str:
    return f"{SEED_VARIABLE}={seed} python -m pytest -m '' '{node_id}'"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of everything random in this test: STRIATE_SEED, or a fresh one that is printed."""
    given = os.environ.get(SEED_VARIABLE)
    value = int(given) if given else secrets.randbelow(2**32)
    print(f"seed {value}; replay: {replay_command(request.node.nodeid, value)}")
    return value


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Put the replaying command into the failure itself, whatever is captured."""
    report = yield
    used = getattr(item, "funcargs", {}).get("seed")
    if report.failed and used is not None:
        report.sections.append(("replay", replay_command(item.nodeid, used)))
    return report


@pytest.fixture
def fast_path() -> Iterator[Path]:
    """A directory in memory when the machine has one: for tests that open thousands of logs."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    made = tempfile.mkdtemp(prefix="striate-test-", dir=parent)
    yield Path(made)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(params=["sync", "async"])
def open_log(request: pytest.FixtureRequest, log_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens a log, by default at `log_path`, with the sync or async class behind one face.

    Segments are tiny and durability is "process" unless told otherwise; all are closed at the end.
    """
    from support.driver import open_driver

    opened: list[Any] = []

    def opener(path: Path | None = None, **options: Any) -> Any:
        options.setdefault("durability", "process")
        if options.get("mode") != "r":
            options.setdefault("segment_bytes", 4096)
        log = open_driver(request.param, log_path if path is None else path, **options)
        opened.append(log)
        return log

    yield opener
    for log in reversed(opened):
        log.dispose()
