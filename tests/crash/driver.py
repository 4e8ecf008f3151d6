"""Drives the real log over a recording disk and writes beside each operation what it promises.

Around every call stand two notes in the record: "begin" with the state the log may change to, "end" with
the state it has by then acknowledged. What the log answers is checked on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from glob import glob
from pathlib import Path
from typing import Any

from striate._native.simulation import SimulatedDisk
from striate.errors import SyncFailedError
from striate.storage.check import repair
from striate.storage.log import Log

from .contents import TOMBSTONE, VALUE, Contents, Expectation, Row, survivors
from .model import DiskModel, Operation

Options = dict[str, Any]


@dataclass(slots=True)
class Trace:
    """The record of a run: what was on the disk before, what was done to it, and what the log promised."""

    name: str
    model: DiskModel
    operations: list[Operation]
    states: list[Any]
    start: list[Any]
    options: Options
    log_class: type[Log]
    of: type[Recorded]  # what was driven, by its driver
    deferred: bool = False
    snapshots: dict[str, Contents] = field(default_factory=dict)
    copying: dict[str, Contents] = field(default_factory=dict)
    rotten: bool = False

    def expectation(self) -> Expectation:
        """What holds before the first operation."""
        return Expectation(list(self.start), None, self.snapshots, self.copying, self.rotten)


class Clock:
    """Microseconds that pass only when somebody looks."""

    def __init__(self, start: int = 1_700_000_000_000_000) -> None:
        self.now = start

    def __call__(self) -> int:
        self.now += 1000
        return self.now


def observe(log: Log) -> Contents:
    """What the log says it holds, all of it visible and therefore never to be lost again in power mode."""
    rows = {}
    for record in log.scan():
        row = Row(record.value, record.key, int(record.kind))
        row.timestamp = record.timestamp
        rows[record.offset] = row
    end = log.next_offset
    lowest = log.lowest_offset
    return Contents(lowest, end, log.durable_offset, end, rows, frozenset(range(lowest, end + 1)))


class Recorded:
    """Something over a simulated disk, and the states it has gone through."""

    def __init__(
        self, root: str, disk: SimulatedDisk, options: Options, start: Any, log_class: type[Log] = Log
    ) -> None:
        self.root = root
        self.log_class = log_class
        self.disk = disk
        self.options = options
        self.contents = start
        self.states: list[Any] = []
        self.serial = 0

    @classmethod
    def empty(cls, options: Options) -> Any:
        """The state of what is not there yet."""
        raise NotImplementedError

    def value(self, size: int) -> bytes:
        """A value that no other record has."""
        self.serial += 1
        head = b"#%d:" % self.serial  # so that none is a part of another
        return (head + b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[: max(size, len(head))]

    def _begin(self, name: str, after: Any) -> int:
        self.states.append(after)
        self.disk.note("begin", name, len(self.states) - 1)
        return len(self.states) - 1

    def _end(self, name: str, after: Any) -> None:
        self.contents = after
        self.states.append(after)
        self.disk.note("end", name, len(self.states) - 1)


class Driver(Recorded):
    """A log over a simulated disk, and the states it has gone through."""

    contents: Contents
    states: list[Contents]

    def __init__(
        self, root: str, disk: SimulatedDisk, options: Options, start: Contents, log_class: type[Log] = Log
    ) -> None:
        super().__init__(root, disk, options, start, log_class)
        self.path = root + "/log"
        self.clock = Clock()
        self._log: Log | None = None

    @classmethod
    def empty(cls, options: Options) -> Contents:
        """A log without records."""
        return Contents.empty(options.get("initial_offset", 0))

    @property
    def log(self) -> Log:
        """The open log."""
        assert self._log is not None, "the log is closed"
        return self._log

    @property
    def closed(self) -> bool:
        """Whether no log is open."""
        return self._log is None or self._log.closed

    def _durable(self) -> int:
        durable = self.log.durable_offset
        assert durable <= self.log.next_offset
        if self.options.get("durability", "power") == "power":
            assert durable == self.log.next_offset, "power mode shows records that are not durable"
        return durable

    def _run(self, name: str, after: Contents, call: Callable[[], Any]) -> Any:
        self._begin(name, after)
        result = call()
        log = self.log
        assert (log.lowest_offset, log.next_offset) == (after.lowest, after.end), f"{name} left other offsets"
        self._end(name, after.settled(self._durable()))
        return result

    # ------------------------------------------------------------ opening and closing

    def open(self, **options: Any) -> None:
        """Open the log; the options stay for later openings."""
        self.options = {**self.options, **options}
        self._begin("open", self.contents)
        self._log = self.log_class(self.path, clock=self.clock, _disk=self.disk, **self.options)
        assert (self.log.lowest_offset, self.log.next_offset) == (self.contents.lowest, self.contents.end)
        self._end("open", self.contents.settled(self._durable()))

    def recover(self, candidates: Sequence[Contents]) -> Contents:
        """Open a log after a crash; whatever it holds is from now on what it has to keep."""
        self._log = self.log_class(self.path, clock=self.clock, _disk=self.disk, **self.options)
        return self.take(observe(self.log), candidates)

    def take(self, seen: Contents, candidates: Sequence[Contents]) -> Contents:
        """Go on from what the log shows; it was one of the candidates, or the first batches of one."""
        ends = {end for state in candidates for end in state.ends if end <= seen.end}
        seen.ends = frozenset(ends | {seen.end})
        self._end("take", seen.settled(self._durable()))
        return self.contents

    def close(self) -> None:
        """Close the log in order: all of it is durable then, in any mode."""
        self._begin("close", self.contents)
        self.log.close()
        self._log = None
        self._end("close", self.contents.settled(self.contents.end))

    def rot(self, offset: int) -> None:
        """Turn a bit of a record over, on the disk and while the log is closed, and so lose the record."""
        value = self.contents.rows[offset].value
        path, start = next(
            (path, Path(path).read_bytes().index(value))
            for path in glob(f"{self.path}/*.store")
            if value in Path(path).read_bytes()
        )
        position = start + len(value) // 2
        byte = value[len(value) // 2] ^ 4
        with open(path, "r+b") as file:
            file.seek(position)
            file.write(bytes((byte,)))
        self.disk.operations.append(("rot", path, position, byte))
        self._end("rot", replace(self.contents, optional=self.contents.optional | {offset}))
        self.disk.note("rotten")

    def repair(self) -> None:
        """Give up what is rotten; then open the log, which must hold all the rest."""
        repair(self.path, self.disk)
        self.disk.note("repaired")
        before = self.contents
        problem = before.accepts(self.recover([before]), killed=True)
        assert not problem, problem

    def reopen(self) -> None:
        """Close and open."""
        self.close()
        self.open()

    # ------------------------------------------------------------ writing

    def _append(self, name: str, rows: list[Row], call: Callable[[], Any]) -> None:
        start = self.contents.end
        result = self._run(name, self.contents.appended(rows), call)
        wanted = range(start, start + len(rows)) if isinstance(result, range) else start
        assert result == wanted, f"{name} returned {result}"
        for offset, row in enumerate(rows, start):
            record = self.log.read(offset)
            seen = Row(record.value, record.key, int(record.kind))
            assert seen == row, f"offset {offset} reads as {seen}"
            row.timestamp = record.timestamp

    def append(self, size: int, key: bytes | None = None) -> None:
        """Append a value of about this size."""
        value = self.value(size)
        self._append("append", [Row(value, key)], lambda: self.log.append(value, key))

    def append_tombstone(self, key: bytes) -> None:
        """Delete a key."""
        self._append("append_tombstone", [Row(b"", key, TOMBSTONE)], lambda: self.log.append_tombstone(key))

    def append_many(self, sizes: Sequence[int], keys: Sequence[bytes | None] | None = None) -> None:
        """Append a batch."""
        values = [self.value(size) for size in sizes]
        rows = [Row(value, key, VALUE) for value, key in zip(values, keys or [None] * len(values), strict=True)]
        self._append("append_many", rows, lambda: self.log.append_many(values, keys))

    def append_failing(self, size: int, nth: int = 1) -> None:
        """Append while the nth sync from now on fails; what becomes of the record nobody knows."""
        value = self.value(size)
        self._begin("append", self.contents.appended([Row(value)]))
        self.disk.fail("sync", nth)
        try:
            self.log.append(value)
        except SyncFailedError:
            self.disk.note("failed")
        else:
            raise AssertionError("the sync failed and the append did not")
        self.disk.heal()

    def kill(self) -> None:
        """Leave the log as a killed process does: nothing is written any more."""
        self._log = None

    def recover_failing(self, nth: int) -> None:
        """Open the log while the nth sync fails; a failed opening has shown nothing and promises nothing."""
        self._end("distrust", replace(self.contents, alive=self.contents.durable))
        before = self.contents
        self.disk.fail("sync", nth)
        try:
            self.recover([before])
        except SyncFailedError:
            self._log = None
        else:
            self.disk.heal()
            problem = before.accepts(self.contents, killed=True)
            assert not problem, problem
            self.close()
        self.disk.heal()

    def close_failed(self) -> None:
        """Close a log that has seen a failed sync."""
        try:
            if self._log is not None:
                self._log.close()
        except SyncFailedError:
            pass
        self._log = None

    def sync(self) -> None:
        """Make everything durable."""
        self._run("sync", self.contents, self.log.sync)
        assert self.contents.durable == self.contents.end, "sync() returned and left something behind"

    def checkpoint(self) -> None:
        """Write down how far the log is durable, as the sync thread does now and then."""
        self._run("checkpoint", self.contents, self._checkpoint)

    def _checkpoint(self) -> None:
        with self.log._exclusive():
            if self.log.durability == "process":
                self.log._drain()
            self.log._write_checkpoint()

    def append_around_checkpoint(self, size: int) -> None:
        """Append while the sync thread writes down how far the log is durable, which the new record is not yet."""
        value = self.value(size)

        def call() -> int:
            offset = int(self.log._append_nowait(value))
            with self.log._exclusive():
                self.log._write_checkpoint()
            self.log.sync()
            return offset

        self._append("append", [Row(value)], call)

    def prepare(self) -> None:
        """Allocate and fill blocks ahead, as the preparing thread does while nobody waits for it."""
        self._run("prepare", self.contents, self._prepare)

    def _prepare(self) -> None:
        log = self.log
        active = log._active

        def check_fill(path: str, position: int, size: int) -> None:
            assert active is None or position >= active.allocated_bytes, "zeros fall on blocks that appends may use"

        self.disk.before_fill = check_fill
        log._prepare_ahead()
        self.disk.before_fill = None

    # ------------------------------------------------------------ cutting

    def truncate_before(self, offset: int) -> None:
        """Drop the records below an offset."""
        self._run("truncate_before", self.contents.cut_before(offset), lambda: self.log.truncate_before(offset))

    def truncate_after(self, offset: int) -> None:
        """Drop the records above an offset."""
        self._run("truncate_after", self.contents.cut_after(offset + 1), lambda: self.log.truncate_after(offset))

    def reset(self, offset: int) -> None:
        """Drop everything."""
        self._run("reset", Contents.empty(offset), lambda: self.log.reset(offset))

    def retain(self, **limits: int) -> None:
        """Drop whole segments; which ones, the log says."""
        after = replace(self.contents)
        self._begin("retain", after)
        self.log.retain(**limits)
        lowest = self.log.lowest_offset
        assert self.log.next_offset == after.end
        after.become(self.contents.cut_before(lowest))
        self._end("retain", after.settled(self._durable()))

    def compact(self, tombstone_grace: float) -> None:
        """Drop records that newer ones of their key replace; which ones, the log says."""
        before = self.contents
        after = replace(before)
        self._begin("compact", after)
        self.log.compact(tombstone_grace=tombstone_grace)
        seen = observe(self.log)
        assert (seen.lowest, seen.end) == (before.lowest, before.end)
        must_stay = survivors(before.rows)
        assert must_stay <= set(seen.rows), f"compaction dropped {sorted(must_stay - set(seen.rows))}"
        after.optional = before.optional | (set(before.rows) - set(seen.rows))
        rows = {offset: before.rows[offset] for offset in seen.rows}
        assert rows == seen.rows, "compaction changed a record"
        self._end("compact", before.compacted(rows).settled(self._durable()))

    def snapshot(self, name: str) -> None:
        """Copy the log to a directory beside it; once it has returned, the copy is durable too."""
        self.states.append(replace(self.contents, durable=self.contents.end, alive=self.contents.end))
        copy = len(self.states) - 1
        self.disk.note("copying", name, copy)
        self._run("snapshot", self.contents, lambda: self.log.snapshot(f"{self.root}/{name}"))
        self.disk.note("snapshot", name, copy)
