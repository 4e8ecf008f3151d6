"""SIGKILL in the middle of transactions, over and over in one directory; the oracle is in this process.

Money is moved, and its journal must explain the balances; lists are appended to and read, and the history must be
serializable from the first child to the last. In threads and in tasks; compaction runs all the time, and the next child
finds hints, or what the last one left.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support import appends, pipeline, transfers
from support.child import DEADLINE_S, TESTS

import striate
from striate import history

KILLS = 38  # of each of the eight; 304 in all
PIPELINE_KILLS = 30  # of each of the two
WORKERS = 4


def hear_until(process: subprocess.Popen[bytes], heard: bytearray, end: float, word: bytes) -> None:
    """Take what the child says until a moment or a word."""
    assert process.stdout is not None
    while word not in heard and (left := end - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            data = os.read(process.stdout.fileno(), 1 << 20)
            if not data:
                return
            heard += data


def killed(chance: random.Random, module: str, *arguments: object) -> bytes:
    """Run a child until a random moment; what it said before it was killed."""
    command = [sys.executable, "-m", f"support.{module}", *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONFAULTHANDLER="1")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    heard = bytearray()
    word, longest_s = chance.choice([(b"opening", 0.006), (b"open\n", 0.004), (b"open\n", 0.05), (b"open\n", 0.2)])
    hear_until(process, heard, time.monotonic() + DEADLINE_S, word)
    hear_until(process, heard, time.monotonic() + chance.uniform(0, longest_s), b"\0")
    process.kill()
    hear_until(process, heard, time.monotonic() + DEADLINE_S, b"\0")
    errors = process.communicate(timeout=DEADLINE_S)[1]
    assert process.returncode == -9, f"ended by itself: {errors.decode()}"
    return bytes(heard)


def looked_at(path: Path, chance: random.Random) -> Path:
    """Where to look what a kill has left: there, closed in order and with hints afterwards, or at a copy; then the next
    child meets it as it is."""
    if chance.random() < 0.5 or not path.exists():
        return path
    copy = path.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    return copy


def check_compaction(path: Path, durability: str) -> None:
    """The children have compacted."""
    with striate.open(path, durability, **appends.OPTIONS) as db:
        assert db.log.stats().records < db.log.next_offset, "compaction has dropped nothing"


# ---------------------------------------------------------------- money


def move_money(path: Path, durability: str, style: str, kills: int) -> int:
    """How many transfers were made and found again."""
    done: dict[bytes, int] = {}
    chance = random.Random(f"{durability} {style}")
    transfers_done = with_hints = 0
    for cycle in range(kills):
        with_hints += (path / "hints").exists()
        seed = f"{style}-{cycle}"
        heard = killed(chance, "transfers", path, seed, durability, style, WORKERS)
        for worker in range(WORKERS):
            done[b"%s %d" % (seed.encode(), worker)] = 0
        for line in heard.split(b"\n")[:-1]:
            if line.startswith(b"done "):
                _, number, step = line.split()
                done[b"%s %s" % (seed.encode(), number)] = int(step) + 1
                transfers_done += 1
        found = transfers.check(looked_at(path, chance), durability, done)
        done = {own: found.get(own, 0) for own in done}
    assert with_hints > kills / 8 - 1
    return transfers_done


def kill_the_pipeline(path: Path, durability: str, kills: int) -> int:
    chance = random.Random(f"pipeline {durability}")
    done = 0
    for cycle in range(kills):
        heard = killed(chance, "pipeline", path, f"pipeline {durability} {cycle}", durability, 3)
        said = [int(line.split()[1]) for line in heard.split(b"\n")[:-1] if line.startswith(b"done ")]
        done = pipeline.check(path, durability, max([done, *said]))
    return done


def test_a_few_kills_of_a_pipeline(tmp_path: Path, durability: str) -> None:
    kill_the_pipeline(tmp_path / "db", durability, 4)


@pytest.mark.kill
@pytest.mark.timeout(1200)
def test_kills_of_a_pipeline(tmp_path: Path, durability: str) -> None:
    assert kill_the_pipeline(tmp_path / "db", durability, PIPELINE_KILLS) > PIPELINE_KILLS


@pytest.mark.parametrize("style", ["threads", "tasks"])
def test_a_few_kills_while_money_moves(tmp_path: Path, durability: str, style: str) -> None:
    move_money(tmp_path / "db", durability, style, 2)


@pytest.mark.kill
@pytest.mark.timeout(600)
@pytest.mark.parametrize("style", ["threads", "tasks"])
def test_kills_while_money_moves(tmp_path: Path, durability: str, style: str) -> None:
    assert move_money(tmp_path / "db", durability, style, KILLS) > KILLS
    check_compaction(tmp_path / "db", durability)


# ---------------------------------------------------------------- lists


def append(path: Path, durability: str, style: str, kills: int) -> Counter[str]:
    """How the transactions ended that were found serializable."""
    chance = random.Random(f"{durability} {style}")
    file = path.with_name("history.jsonl")
    met: set[str] = set()
    with_hints = 0
    for cycle in range(kills):
        with_hints += (path / "hints").exists()
        killed(chance, "appends", path, f"{style}-{cycle}", durability, style, WORKERS, file)
        keys = set(appends.keys_of(history.load(file)))
        with striate.open(looked_at(path, chance), durability, **appends.OPTIONS) as db:
            # Those of this child, and some of those before.
            appends.read_all(db, file, sorted(keys - met) + chance.sample(sorted(met), min(len(met), 5)))
        met = keys
    with striate.open(path, durability, **appends.OPTIONS) as db:
        appends.read_all(db, file, sorted(met))
        appends.check_groups(db)
    made = history.load(file)
    report = history.check(made)
    assert report.valid, str(report)
    assert with_hints > kills / 8 - 1
    return Counter(one.outcome for one in made)


@pytest.mark.parametrize("style", ["threads", "tasks"])
def test_a_few_kills_while_lists_grow(tmp_path: Path, durability: str, style: str) -> None:
    append(tmp_path / "db", durability, style, 2)


@pytest.mark.kill
@pytest.mark.timeout(600)
@pytest.mark.parametrize("style", ["threads", "tasks"])
def test_kills_while_lists_grow(tmp_path: Path, durability: str, style: str) -> None:
    outcomes = append(tmp_path / "db", durability, style, KILLS)
    assert outcomes["ok"] > 5 * KILLS and outcomes["unknown"] > KILLS / 4, "the kills met transactions under way"
    check_compaction(tmp_path / "db", durability)
