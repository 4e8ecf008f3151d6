"""The recorder's file: complete, shared by threads, tasks and processes, whole after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from striate import history
from striate.errors import InvalidArgumentError

TRANSACTIONS = 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


class Conflict(Exception):  # noqa: N818
    pass


def refused(recorder: history.Recorder, value: int, error: Exception) -> None:
    with recorder.transaction(fail=Conflict) as tx:
        tx.append("x", value)
        raise error


def test_outcomes(path: Path) -> None:
    with history.Recorder(path) as recorder:
        with recorder.transaction(process="A") as tx:
            tx.append("x", 1)
            tx.read("x", [1])
        with pytest.raises(Conflict):
            refused(recorder, 2, Conflict())
        with pytest.raises(OSError, match="disk"):
            refused(recorder, 3, OSError("disk"))
        with pytest.raises(KeyboardInterrupt), recorder.transaction(fail=Conflict):
            raise KeyboardInterrupt
        recorder.invoke().append("x", 4)
    made = history.load(path)
    assert [t.outcome for t in made] == ["ok", "fail", "unknown", "unknown", "unknown"]
    assert [t.operations for t in made[:2]] == [[("append", "x", 1), ("read", "x", [1])], [("append", "x", 2)]]
    assert [t.completed is None for t in made] == [False, False, False, False, True]
    assert made[0].process == "A" and len({t.process for t in made[1:]}) == 1
    assert all(t.completed is None or t.invoked <= t.completed for t in made)
    assert history.check(made).valid


def test_an_append_is_in_the_file_before_it_is_made(path: Path) -> None:
    with history.Recorder(path) as recorder, recorder.transaction() as tx:
        tx.append("x", 1)
        made = history.load(path)
        assert made[0].operations == [("append", "x", 1)] and made[0].outcome == "unknown"


def test_threads(path: Path) -> None:
    lock, state = threading.Lock(), []

    def work(recorder: history.Recorder, name: int) -> None:
        for number in range(TRANSACTIONS):
            with recorder.transaction() as tx:
                value = name * TRANSACTIONS + number
                tx.append("x", value)
                with lock:
                    tx.read("x", [*state, value])
                    state.append(value)

    with history.Recorder(path) as recorder:
        threads = [threading.Thread(target=work, args=(recorder, name)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    made = history.load(path)
    assert len(made) == 4 * TRANSACTIONS and len({t.process for t in made}) == 4
    report = history.check(made)
    assert report.valid, str(report)


def test_tasks(path: Path) -> None:
    state: list[int] = []

    async def work(recorder: history.Recorder, name: int) -> None:
        for number in range(20):
            with recorder.transaction() as tx:
                value = name * 20 + number
                tx.append("x", value)
                await asyncio.sleep(0)
                tx.read("x", [*state, value])
                state.append(value)
                await asyncio.sleep(0)

    async def main() -> None:
        with history.Recorder(path) as recorder:
            await asyncio.gather(*(work(recorder, name) for name in range(8)))

    asyncio.run(main())
    made = history.load(path)
    assert len({t.process for t in made}) == 8
    report = history.check(made)
    assert report.valid, str(report)


def test_a_race_is_found(path: Path) -> None:
    """Read, let others run, write: what a database without transactions would do."""
    state: list[int] = []

    async def work(recorder: history.Recorder, value: int) -> None:
        nonlocal state
        with recorder.transaction() as tx:
            seen = state
            tx.read("x", seen)
            tx.append("x", value)
            await asyncio.sleep(0)
            state = [*seen, value]

    async def main() -> None:
        with history.Recorder(path) as recorder:
            await asyncio.gather(*(work(recorder, value) for value in range(3)))
            with recorder.transaction() as tx:
                tx.read("x", state)

    asyncio.run(main())
    assert "lost update" in history.check(history.load(path)).names


CHILD = """
import sys
from striate import history
with history.Recorder(sys.argv[1]) as recorder:
    for number in range(3000):
        with recorder.transaction() as tx:
            tx.append(sys.argv[2], number)
            tx.read(sys.argv[2], list(range(number + 1))[-5:])
        if number == 50:
            print("going", flush=True)
    sys.stdin.read()
"""


def test_killed_processes(path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([*command, name], **pipes) for name in "ab"]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "going\n"
    history.load(path)  # while they write
    for child in children:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=30)
    made = history.load(path)
    for name in "ab":
        mine = [t for t in made if t.operations and t.operations[0][1] == name]
        assert len(mine) > 50
        assert all(t.outcome == "ok" for t in mine[:-1])
    assert [t.outcome for t in made].count("unknown") <= 2


def test_torn_lines(path: Path) -> None:
    with history.Recorder(path) as recorder, recorder.transaction() as tx:
        tx.append("x", 1)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with history.Recorder(path) as recorder, recorder.transaction() as tx:
            tx.append("x", 2)
        made = history.load(path)
        assert [t.operations[-1] for t in made if t.outcome == "ok"][-1] == ("append", "x", 2)
        assert history.check(made).valid


DAMAGED = {
    "no object": [b"7"],
    "a field is missing": [b'{"event":"invoke","id":"7"}'],
    "garbage": [b"what", b"ever"],
    "ends what was not invoked": [json.dumps({"event": "ok", "id": "7", "time": 1}).encode()],
    "unknown event": [
        json.dumps({"event": "invoke", "id": "7", "process": 1, "time": 1}).encode(),
        json.dumps({"event": "write", "id": "7"}).encode(),
    ],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(name: str, path: Path) -> None:
    path.write_bytes(b"\n".join(DAMAGED[name]))
    with pytest.raises(InvalidArgumentError):
        history.load(path)


def test_closed_twice(path: Path) -> None:
    recorder = history.Recorder(path)
    recorder.close()
    recorder.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        recorder.invoke()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_is_told() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="space"):
        history.Recorder("/dev/full")
