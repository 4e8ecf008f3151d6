"""SIGKILL at random moments: nothing acknowledged is lost, nothing appears unwritten, batches stay whole.

A child writes and tells the oracle in this process before and after each operation (see support.workload).
It is killed while it opens, recovers, appends, rolls, truncates, compacts, syncs or closes, over and over
in the same directory.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.child import DEADLINE_S, TESTS
from support.workload import SerialOracle, ThreadedOracle

from striate import Log

KILLS = 75  # of each of the four; 300 in all
CYCLES_A_DIRECTORY = 25


class Writer:
    """One child, from its start to its death."""

    def __init__(self, path: Path, seed: str, operation: int, durability: str, threads: int) -> None:
        arguments = [str(path), seed, str(operation), durability, str(threads)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.workload", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=str(TESTS), PYTHONFAULTHANDLER="1"),
        )
        assert self.process.stdout is not None
        self.out = self.process.stdout
        self.heard = b""

    def hear_until(self, end: float, word: bytes = b"\0") -> bool:
        """Take what the child says until a moment or a word; False when it has ended."""
        while word not in self.heard and (left := end - time.monotonic()) > 0:
            if select.select([self.out], [], [], left)[0]:
                data = os.read(self.out.fileno(), 1 << 20)
                if not data:
                    return False
                self.heard += data
        return True

    def kill(self) -> None:
        self.process.kill()
        self.hear_until(time.monotonic() + DEADLINE_S)
        errors = self.process.communicate(timeout=DEADLINE_S)[1]
        assert self.process.returncode == -9, f"ended by itself: {errors.decode()}"

    def lines(self) -> list[tuple[str, Any]]:
        """What it said in whole lines."""
        whole = self.heard.decode().split("\n")[:-1]
        return [(word, json.loads(rest)) for word, _, rest in (line.partition(" ") for line in whole)]


def killed_writer(writer: Writer, chance: random.Random) -> None:
    """Let it run for a random while, from when it begins to open the log or has opened it; then kill it."""
    word, longest_s = chance.choice([(b"opening", 0.006), (b"open ", 0.004), (b"open ", 0.05), (b"open ", 0.3)])
    assert writer.hear_until(time.monotonic() + DEADLINE_S, word), writer.process.communicate()[1].decode()
    writer.hear_until(time.monotonic() + chance.uniform(0, longest_s))
    writer.kill()


def tell(oracle: SerialOracle | ThreadedOracle, writer: Writer) -> None:
    for word, rest in writer.lines():
        if word == "before":
            oracle.before(*rest)
        elif word == "after":
            oracle.after(*rest)


def check(oracle: SerialOracle | ThreadedOracle, path: Path, durability: str, chance: random.Random) -> None:
    """Open what the kill left, in place or as a copy (then the next writer meets it unrecovered as well)."""
    looked_at = path
    if chance.random() < 0.5:
        looked_at = path.with_name("copy")
        shutil.copytree(path, looked_at)
    with Log(looked_at, durability=durability, segment_bytes=4096) as log:
        oracle.check(log)
        report = log.verify()
        assert report.ok, report.problems
    with Log(looked_at, mode="r") as reader:
        assert reader.next_offset == log_end(oracle)
    if looked_at != path:
        shutil.rmtree(looked_at)


def log_end(oracle: SerialOracle | ThreadedOracle) -> int:
    if isinstance(oracle, SerialOracle):
        return oracle.model.next
    return max(oracle.present, default=-1) + 1


def kill_again_and_again(path: Path, seed: int, durability: str, threads: int, kills: int) -> int:
    acknowledged = 0
    chance = random.Random(seed)
    oracle: SerialOracle | ThreadedOracle
    for cycle in range(kills):
        if cycle % CYCLES_A_DIRECTORY == 0:
            shutil.rmtree(path, ignore_errors=True)
            oracle = SerialOracle() if threads == 1 else ThreadedOracle()
        writer = Writer(path, f"{seed}/{cycle}", oracle.operation, durability, threads)
        try:
            killed_writer(writer, chance)
        finally:
            if writer.process.poll() is None:
                writer.process.kill()
                writer.process.communicate()
        known = oracle.acknowledged
        tell(oracle, writer)
        acknowledged += oracle.acknowledged - known
        if path.exists() and any(path.iterdir()):
            check(oracle, path, durability, chance)
        else:
            assert oracle.acknowledged == 0
    return acknowledged


CASES = [("process", 1), ("power", 1), ("process", 4), ("power", 4)]


@pytest.mark.parametrize(("durability", "threads"), CASES)
def test_a_few_kills(fast_path: Path, tmp_path: Path, seed: int, durability: str, threads: int) -> None:
    path = (tmp_path if durability == "power" else fast_path) / "log"
    kill_again_and_again(path, seed, durability, threads, kills=3)


@pytest.mark.kill
@pytest.mark.timeout(280)
@pytest.mark.parametrize(("durability", "threads"), CASES)
def test_many_kills(tmp_path: Path, seed: int, durability: str, threads: int) -> None:
    acknowledged = kill_again_and_again(tmp_path / "log", seed, durability, threads, KILLS)
    print(f"{KILLS} kills, {acknowledged} acknowledged operations")
    assert acknowledged > KILLS, "the writers were killed before they wrote anything"
