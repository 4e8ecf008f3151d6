"""SIGKILL in the middle of transactions, over and over in one directory; the oracle is in this process."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import pipeline, transfers
from support.child import DEADLINE_S, TESTS

KILLS = 75  # of each of the four; 300 in all
PIPELINE_KILLS = 30  # of each of the two


def hear_until(process: subprocess.Popen[bytes], heard: bytearray, end: float, word: bytes) -> None:
    """Take what the child says until a moment or a word."""
    assert process.stdout is not None
    while word not in heard and (left := end - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            data = os.read(process.stdout.fileno(), 1 << 20)
            if not data:
                return
            heard += data


def killed(
    path: Path, seed: str, durability: str, thread_count: int, chance: random.Random, work: str = "transfers"
) -> bytes:
    """Run a child until a random moment; what it said before it was killed."""
    command = [sys.executable, "-m", f"support.{work}", str(path), seed, durability, str(thread_count)]
    environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONFAULTHANDLER="1")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    heard = bytearray()
    word, longest_s = chance.choice([(b"opening", 0.006), (b"open\n", 0.004), (b"open\n", 0.05), (b"open\n", 0.3)])
    hear_until(process, heard, time.monotonic() + DEADLINE_S, word)
    hear_until(process, heard, time.monotonic() + chance.uniform(0, longest_s), b"\0")
    process.kill()
    hear_until(process, heard, time.monotonic() + DEADLINE_S, b"\0")
    errors = process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == -9, f"ended by itself: {errors.decode()}"
    return bytes(heard)


def kill_again_and_again(path: Path, durability: str, thread_count: int, kills: int) -> int:
    done: dict[bytes, int] = {}
    seed_base = f"{durability}-{thread_count}"
    chance = random.Random(seed_base)
    transfers_done = 0
    for cycle in range(kills):
        seed = f"{seed_base}-{cycle}"
        heard = killed(path, seed, durability, thread_count, chance)
        for thread in range(thread_count):
            done[b"%s %d" % (seed.encode(), thread)] = 0
        for line in heard.split(b"\n")[:-1]:
            if line.startswith(b"done "):
                _, thread_number, step = line.split()
                done[b"%s %s" % (seed.encode(), thread_number)] = int(step) + 1
                transfers_done += 1
        found = transfers.check(path, durability, done)
        done = {own: found.get(own, 0) for own in done}
    return transfers_done


def kill_the_pipeline(path: Path, durability: str, kills: int) -> int:
    chance = random.Random(f"pipeline {durability}")
    done = 0
    for cycle in range(kills):
        heard = killed(path, f"pipeline {durability} {cycle}", durability, 3, chance, "pipeline")
        said = [int(line.split()[1]) for line in heard.split(b"\n")[:-1] if line.startswith(b"done ")]
        done = pipeline.check(path, durability, max([done, *said]))
    return done


def test_a_few_kills_of_a_pipeline(tmp_path: Path, durability: str) -> None:
    kill_the_pipeline(tmp_path / "db", durability, 4)


@pytest.mark.kill
@pytest.mark.timeout(1200)
def test_kills_of_a_pipeline(tmp_path: Path, durability: str) -> None:
    assert kill_the_pipeline(tmp_path / "db", durability, PIPELINE_KILLS) > PIPELINE_KILLS


@pytest.mark.parametrize("thread_count", [1, 4])
def test_a_few_kills(tmp_path: Path, durability: str, thread_count: int) -> None:
    kill_again_and_again(tmp_path / "db", durability, thread_count, 3)


@pytest.mark.kill
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("thread_count", [1, 4])
def test_kills(tmp_path: Path, durability: str, thread_count: int) -> None:
    assert kill_again_and_again(tmp_path / "db", durability, thread_count, KILLS) > KILLS
