"""Runs a workload on real files in memory and hands out the record of it."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random

from striate._native.simulation import SimulatedDisk
from striate.storage.log import Log

from .driver import Trace
from .model import DiskModel, Image
from .workloads import TOY, WORKLOADS

_MEMORY = "/dev/shm"
_numbers = count()


@contextmanager
def scratch() -> Iterator[str]:
    """The name of a directory that does not exist yet; in memory where there is memory."""
    base = _MEMORY if os.access(_MEMORY, os.W_OK) else os.environ.get("TMPDIR", "/tmp")
    path = f"{base}/striate-crash-{os.getpid()}-{next(_numbers)}"
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def record(name: str, seed: int = 0, log_class: type[Log] = Log) -> Trace:
    """Run a workload to its end and return the record of it.

    The model's files must be equal to the real ones: a store that went past the io_table would not be in it.
    """
    work = TOY if name == TOY.name else WORKLOADS[name]
    with scratch() as root:
        Path(root).mkdir()
        disk = SimulatedDisk()
        disk.defer_seals(work.deferred)
        driver = work.of(root, disk, work.options, work.of.empty(work.options), log_class)
        start = driver.contents
        work.program(driver, Random(zlib.crc32(name.encode()) + seed))
        trace = Trace(
            name,
            DiskModel(root),
            list(disk.operations),
            driver.states,
            [start],
            driver.options,
            log_class,
            work.of,
            work.deferred,
        )
        check_replay(trace, root)
        assert not disk.open_files, f"left open: {disk.open_files}"
        assert not disk.mapped_files, f"left mapped: {disk.mapped_files}"
    return trace


def check_replay(trace: Trace, root: str) -> None:
    """Replay a trace and compare with the files it was made of."""
    model = trace.model.clone()
    for operation in trace.operations:
        model.apply(operation)
    seen = Image.read(root)
    wanted = model.running()
    for files in (seen.files, wanted.files):
        # Shared memory, and the process id, which is for an error message only.
        for name in [name for name in files if name.endswith(("/live", "/lock"))]:
            del files[name]
    assert seen.directories == wanted.directories
    for path in sorted(seen.files.keys() | wanted.files.keys()):
        assert seen.files.get(path) == wanted.files.get(path), f"{path} was changed behind the io_table's back"
