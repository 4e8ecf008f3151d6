"""Power cuts on a real file system: ext4 on a loop device, cut off with FS_IOC_SHUTDOWN.

`python -m support.power SCENARIO DIRECTORY SEED` as root, under `unshare -m`. An error is an AssertionError
on stderr.
"""

from __future__ import annotations

import ast
import errno
import fcntl
import gc
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.model import difference, held
from support.values import make_value, read_tag

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
DEADLINE_S = 30.0
# How old an acknowledgement has to be at the cut. `process`: what is a second old was long synced. `power`: from before
# the cut began. A real cut ends the machine, so there are no later ones; FS_IOC_SHUTDOWN lets it run on, and fdatasync
# may then return 0 for blocks that were allocated and never written (docs/decisions/0010-power-cut-test.md).
NOT_DUE_S = {"power": 0.0, "process": 1.0}


def run(*command: object) -> None:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}: {result.stderr}"


class Machine:
    """A file system that can lose its power."""

    def __init__(self, directory: Path, size_mib: int) -> None:
        self.image, self.mounted = directory / "image", directory / "mounted"
        self.mounted.mkdir()
        with self.image.open("wb") as file:
            file.truncate(size_mib << 20)
        run("mkfs.ext4", "-q", "-F", "-m", 0, "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.mount()

    def mount(self) -> None:
        run("mount", "-o", "loop", self.image, self.mounted)

    def unmount(self) -> None:
        run("umount", self.mounted)

    def cut(self) -> None:
        """From now on nothing reaches the disk, not even the journal."""
        descriptor = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def restart(self) -> None:
        """Back with what the disk has. Nothing may have a file of it open or mapped."""
        gc.collect()
        self.unmount()
        self.mount()

    def check(self) -> None:
        """The file system itself is sound."""
        self.unmount()
        run("e2fsck", "-f", "-y", self.image)
        self.mount()


@contextmanager
def machine(directory: Path, size_mib: int) -> Iterator[Machine]:
    made = Machine(directory, size_mib)
    try:
        yield made
    finally:
        run("umount", "-l", made.mounted)  # a failed check may still have the log open


# ---------------------------------------------------------------- power cuts

WRITER = """
import json, os, random, sys, threading, time
from striate import Log, StriateError
from support.workload import carry_out, planned
path, seed, operation, durability, threads = sys.argv[1], sys.argv[2], *map(str, sys.argv[3:])
log = Log(path, durability=durability, segment_bytes=65536, sync_interval_ms=50)
def say(*words): os.write(1, (json.dumps(words) + "\\n").encode())
say("open", log.next_offset)
def work(thread):
    chance, number = random.Random(f"{seed}/{thread}"), int(operation) + thread
    try:
        while True:
            plan = planned(number, chance, 0, 0, True)
            say("before", plan)
            result = carry_out(log, plan)
            say("after", number, result, log.durable_offset, time.monotonic())
            number += int(threads)
    except (StriateError, OSError) as error:
        say("failed", type(error).__name__)
for thread in range(int(threads)): threading.Thread(target=work, args=(thread,)).start()
"""


def load_and_cut(made: Machine, arguments: list[object], run_s: float) -> tuple[list[Any], float]:
    """Run a writer, cut the power after a while, kill it. Returns what it said and when the power went."""
    with subprocess.Popen([sys.executable, "-c", WRITER, *map(str, arguments)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        heard = b""

        def hear(end: float, word: bytes = b"\0") -> None:
            nonlocal heard
            while word not in heard and (left := end - time.monotonic()) > 0:
                if select.select([process.stdout], [], [], left)[0]:
                    data = os.read(process.stdout.fileno(), 1 << 20)
                    if not data:
                        return
                    heard += data

        hear(time.monotonic() + DEADLINE_S, b'"open"')
        assert b'"open"' in heard
        hear(time.monotonic() + run_s)
        cut_at = time.monotonic()
        made.cut()
        process.kill()
        hear(time.monotonic() + DEADLINE_S)
    return [json.loads(line) for line in heard.decode().split("\n")[:-1]], cut_at


def power_cuts(
    directory: Path, seed: int, durability: str, cycles: int, longest_s: float, shortest_s: float = 0.0
) -> None:
    """Acknowledged `power` appends are there; `process` loses a tail not older than its sync interval."""
    from support.workload import ThreadedOracle

    chance = random.Random(seed)
    oracle, acknowledged = ThreadedOracle(), 0
    with machine(directory, 96) as made:
        path = made.mounted / "log"
        for cycle in range(cycles):
            arguments = [path, f"{seed}/{cycle}", oracle.operation, durability, 4]
            said, cut_at = load_and_cut(made, arguments, chance.uniform(shortest_s, longest_s))
            for line in said:
                if line[0] == "before":
                    oracle.before(line[1])
                elif line[0] == "after" and line[4] < cut_at - NOT_DUE_S[durability]:
                    oracle.after(line[1], line[2])
            known_durable = max((line[3] for line in said if line[0] == "after" and line[4] < cut_at), default=0)
            made.restart()
            if check_after_cut(path, durability, oracle, known_durable):
                acknowledged += oracle.acknowledged
                oracle = ThreadedOracle()
            if cycle % 20 == 19:
                made.check()
    acknowledged += oracle.acknowledged
    assert acknowledged or shortest_s == 0, "the writers never got to write"
    print(f"{cycles} power cuts, {acknowledged} acknowledged and due to be there")


def check_after_cut(path: Path, durability: str, oracle: Any, known_durable: int) -> bool:
    """Open what the disk has and compare; True when the log was emptied because it has grown large."""
    from striate import Log

    with Log(path, durability=durability, segment_bytes=65536) as log:
        assert log.next_offset >= known_durable, (log.next_offset, known_durable)
        oracle.check(log)
        report = log.verify()
        assert report.ok, report.problems
        if large := log.next_offset > 30_000:
            log.reset(0)
    return large


# ---------------------------------------------------------------- a full disk


def fill_up(made: Machine) -> Path:
    """Leave no free block, whatever the log has set aside for itself."""
    ballast = made.mounted / "ballast"
    descriptor = os.open(ballast, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for size in (1 << 20, 1 << 16, 4096, 512):
            try:
                while True:
                    os.write(descriptor, bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017
    finally:
        os.close(descriptor)
    return ballast


def append_until_full(log: Any, wanted: dict[int, Any], operation: int) -> int:
    """Append until the log says that the disk is full; every acknowledged value goes into `wanted`."""
    from striate import DiskFullError
    from support.model import Entry

    for number in range(operation, operation + 1_000_000):
        values = [make_value(number, index, 3, 700) for index in range(3)]
        try:
            if number % 2:
                offsets = log.append_many(values)
            else:
                values = [make_value(number, 0, 1, 900)]
                offsets = range(start := log.append(values[0]), start + 1)
        except DiskFullError as error:
            assert error.errno in (errno.ENOSPC, errno.EDQUOT)  # noqa: PT017
            return number + 1
        wanted.update(zip(offsets, (Entry(None, value) for value in values), strict=True))
    raise AssertionError("the disk never filled")


def reads_go_on(log: Any, wanted: dict[int, Any]) -> None:
    assert (problem := difference(held(log), wanted)) == "", problem
    for offset in list(wanted)[:: max(1, len(wanted) // 50)]:
        assert read_tag(log.read(offset).value)
        assert log.view(offset) == wanted[offset].value
    assert len(log.read_batch(min(wanted))) > 0
    assert log.next_offset == max(wanted) + 1


KILLED = """
import os, signal, sys
from striate import Log
from support.power import append_until_full
path, durability, segment_bytes, operation = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
wanted = {}
log = Log(path, durability=durability, segment_bytes=segment_bytes)
end = append_until_full(log, wanted, operation)
said = repr((end, [(offset, entry.value) for offset, entry in wanted.items()])).encode() + b"\\n"
while said: said = said[os.write(1, said):]
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_when_full(path: Path, options: dict[str, Any], wanted: dict[int, Any], operation: int) -> int:
    """Let another process write until the disk is full, and kill it; what it was told goes into `wanted`."""
    from support.model import Entry

    command = [sys.executable, "-c", KILLED, path, options["durability"], options["segment_bytes"], operation]
    result = subprocess.run(list(map(str, command)), capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr.decode()
    operation, entries = ast.literal_eval(result.stdout.decode())
    wanted.update((offset, Entry(None, value)) for offset, value in entries)
    return operation


def full_disk(directory: Path, seed: int, durability: str, segment_bytes: int) -> None:
    """ENOSPC: a typed error, reads go on, nothing acknowledged is lost; freed space is used at once."""
    from striate import Log, StriateError

    wanted: dict[int, Any] = {}
    options = {"durability": durability, "segment_bytes": segment_bytes}
    with machine(directory, 16) as made:
        path = made.mounted / "log"
        log = Log(path, **options)
        operation = append_until_full(log, wanted, 0)
        for _ in range(3):
            reads_go_on(log, wanted)
            operation = append_until_full(log, wanted, operation)
        lowest = log.lowest_offset
        half = lowest + len(wanted) // 2
        log.truncate_before(half)  # making room is possible on a full disk
        for offset in range(lowest, half):
            del wanted[offset]
        reads_go_on(log, wanted)
        operation = append_until_full(log, wanted, operation)
        ballast = fill_up(made)
        with_ballast = append_until_full(log, wanted, operation)
        reads_go_on(log, wanted)
        ballast.unlink()
        operation = append_until_full(log, wanted, with_ballast)
        reads_go_on(log, wanted)
        fill_up(made)
        log.close()
        for _ in range(3):  # killed on a full disk, which recovery makes no fuller
            operation = kill_when_full(path, options, wanted, operation)
            fill_up(made)
        for attempt in range(2):  # reopened on a full disk: reads, and a clear error for appends
            with Log(path, mode="r") as reader:
                reads_go_on(reader, wanted)
            log = Log(path, **options)
            reads_go_on(log, wanted)
            operation = append_until_full(log, wanted, operation)
            if attempt == 0:
                log.close()
        (made.mounted / "ballast").unlink()
        log.sync()
        before = len(wanted)
        operation = append_until_full(log, wanted, operation)
        assert len(wanted) >= before
        reads_go_on(log, wanted)
        for call in (log.compact, lambda: log.snapshot(made.mounted / "snapshot")):
            try:
                call()
            except StriateError:
                pass
            reads_go_on(log, wanted)
        log.close()
        with Log(path, **options) as log:
            reads_go_on(log, wanted)
            assert log.verify().ok


SCENARIOS = {
    "power": lambda directory, seed: power_cuts(directory, seed, "power", 60, 0.12),
    "process": lambda directory, seed: power_cuts(directory, seed, "process", 30, 0.12),
    "process-long": lambda directory, seed: power_cuts(directory, seed, "process", 3, 2.5, 1.5),
    "full-power": lambda directory, seed: full_disk(directory, seed, "power", 1 << 20),
    "full-process": lambda directory, seed: full_disk(directory, seed, "process", 1 << 20),
    "full-tiny-segments": lambda directory, seed: full_disk(directory, seed, "process", 16384),
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
