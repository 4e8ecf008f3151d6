"""Random programs against a dictionary: the whole API, sync and async, with kills and a live reader.

A kill is the copy of the directory of an open log: what a killed process leaves. STRIATE_MODEL_EXAMPLES and
STRIATE_MODEL_STEPS make longer runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from bisect import bisect_left
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.driver import open_driver
from support.model import Entry, LogModel, held

from striate import Log, OffsetOutOfRangeError, RecordCompactedError

EXAMPLES = int(os.environ.get("STRIATE_MODEL_EXAMPLES", "60"))
STEPS = int(os.environ.get("STRIATE_MODEL_STEPS", "35"))
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
GRACE_S = 100

sizes = st.one_of(st.integers(0, 40), st.integers(0, 400), st.sampled_from([0, 1, 8, 1000, 1500]))
keys = st.one_of(st.none(), st.just(b""), st.integers(0, 6).map(lambda number: b"key-%d" % number))
fractions = st.floats(0, 1)


class LogMachine(RuleBasedStateMachine):
    """One log, its model and a reader that stays open as long as the directory is the same."""

    kind = "sync"

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="striate-model-", dir=MEMORY))
        self.now = 10**15
        self.written = 0
        self.paths = 0

    @initialize(
        initial=st.sampled_from([0, 0, 5, 2**32 - 20, 2**40]),
        segment_bytes=st.sampled_from([4096, 4099, 5001, 9000, 1 << 20]),
        durability=st.sampled_from(["process", "power"]),
        record_size=st.sampled_from([None, None, None, 24]),
    )
    def begin(self, initial: int, segment_bytes: int, durability: str, record_size: int | None) -> None:
        self.record_size = record_size
        self.options = {"segment_bytes": segment_bytes, "durability": durability, "clock": lambda: self.now}
        self.model = LogModel(initial)
        self.times: dict[int, int] = {}
        self.last_time = 0
        self.path = self.new_path()
        self.open(initial_offset=initial, record_size=record_size)
        self.reader = Log(self.path, mode="r")

    def new_path(self) -> Path:
        self.paths += 1
        return self.root / f"log-{self.paths}"

    def open(self, **options: Any) -> None:
        self.log = open_driver(self.kind, self.path, **self.options, **options)

    def teardown(self) -> None:
        try:
            if hasattr(self, "log"):
                self.compare()
                self.compare_reader()
                self.reader.close()
                self.log.dispose()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    # ------------------------------------------------------------ writing

    def value(self, size: int) -> bytes:
        self.written += 1
        size = size if self.record_size is None else self.record_size
        return (b"%d|" % self.written * (size // 2 + 1))[:size]

    def wrote(self, entries: list[Entry], given: Any) -> None:
        if entries:  # an empty batch appends nothing and looks at no clock
            held_last = max((self.times[offset] for offset in self.model.records), default=0)
        expected = self.model.append(entries)
        assert given == expected
        if expected:
            # Times of records that were dropped count until the log is opened anew.
            time = self.log.read(expected.start).timestamp
            assert max(held_last, self.now) <= time <= max(self.last_time, self.now)
            self.last_time = time
            self.times.update(dict.fromkeys(expected, time))

    @rule(size=sizes, key=keys)
    def append(self, size: int, key: bytes | None) -> None:
        value = self.value(size)
        key = None if self.record_size else key
        offset = self.log.append(value, key)
        self.wrote([Entry(key, value)], range(offset, offset + 1))

    @rule(items=st.lists(st.tuples(sizes, keys), max_size=40), form=st.sampled_from(["plain", "keys", "buffer"]))
    def append_many(self, items: list[tuple[int, bytes | None]], form: str) -> None:
        values = [self.value(size) for size, _ in items]
        chosen = [key if form == "keys" and not self.record_size else None for _, key in items]
        if form == "buffer":
            lengths = np.array([len(value) for value in values], dtype=np.uint32)
            given = self.log.append_many(b"".join(values), lengths=lengths)
        else:
            given = self.log.append_many(values, chosen if form == "keys" else None)
        self.wrote([Entry(*pair) for pair in zip(chosen, values, strict=True)], given)

    @precondition(lambda self: self.record_size is None)
    @rule(key=keys.filter(lambda key: key is not None))
    def tombstone(self, key: bytes) -> None:
        offset = self.log.append_tombstone(key)
        self.wrote([Entry(key, b"", True)], range(offset, offset + 1))

    @rule(step=st.sampled_from([-(10**7), 0, 1, 1000, 10**6, GRACE_S * 10**6]))
    def time_goes_by(self, step: int) -> None:
        self.now += step

    @rule()
    def sync(self) -> None:
        assert self.log.sync() == self.model.next
        assert self.log.durable_offset == self.model.next

    # ------------------------------------------------------------ reading

    def place(self, fraction: float, beyond: int = 0) -> int:
        """An offset of the log, or up to `beyond` past its end."""
        return self.model.low + int(fraction * (self.model.next - self.model.low + beyond))

    @rule(fraction=fractions)
    def read(self, fraction: float) -> None:
        offset = self.place(fraction, beyond=2)
        if offset in self.model.records:
            record = self.log.read(offset)
            entry = self.model.records[offset]
            assert (record.offset, record.key, record.value, record.is_tombstone) == (offset, *entry)
            assert record.timestamp == self.times[offset]
            assert self.log.view(offset) == entry.value
            return
        for read in (self.log.read, self.log.view, lambda wanted: self.log.read_many([wanted])):
            with pytest.raises(OffsetOutOfRangeError) as caught:
                read(offset)
            error = caught.value
            assert (error.offset, error.lowest_offset, error.next_offset) == (
                offset,
                self.model.low,
                self.model.next,
            )
            assert isinstance(error, RecordCompactedError) == (offset < self.model.next)

    @precondition(lambda self: self.model.low > 0)
    @rule(below=st.integers(1, 10))
    def read_below(self, below: int) -> None:
        with pytest.raises(OffsetOutOfRangeError):
            self.log.read(max(0, self.model.low - below))

    @rule(picks=st.lists(fractions, max_size=30))
    def read_many(self, picks: list[float]) -> None:
        present = list(self.model.records)
        offsets = [present[int(pick * (len(present) - 1))] for pick in picks] if present else []
        records = self.log.read_many(offsets)
        assert [(r.offset, r.key, r.value) for r in records] == [
            (offset, *self.model.records[offset][:2]) for offset in offsets
        ]

    @rule(first=fractions, second=fractions, max_bytes=st.sampled_from([1, 500, 5000, 1 << 20]))
    def ranges(self, first: float, second: float, max_bytes: int) -> None:
        start, stop = sorted((self.place(first), self.place(second)))
        wanted = {offset: entry for offset, entry in self.model.records.items() if start <= offset < stop}
        scanned = {r.offset: Entry(r.key, r.value, r.is_tombstone) for r in self.log.scan(start, stop)}
        assert scanned == wanted
        in_batches: dict[int, Entry] = {}
        for batch in self.log.batches(start, stop, max_bytes=max_bytes):
            assert len(batch) > 0
            in_batches.update({r.offset: Entry(r.key, r.value, r.is_tombstone) for r in batch})
        assert in_batches == wanted
        with self.log.open_reader(start, stop) as reader:
            parts = [len(entry.value).to_bytes(4, "little") + entry.value for entry in wanted.values()]
            assert reader.read() == b"".join(parts)

    @rule(fraction=fractions, shift=st.sampled_from([-1, 0, 1]))
    def offset_for_time(self, fraction: float, shift: int) -> None:
        present = list(self.model.records)
        stamps = [self.times[offset] for offset in present]
        asked = (stamps[int(fraction * (len(stamps) - 1))] if stamps else self.now) + shift
        place = bisect_left(stamps, asked)
        assert self.log.offset_for_time(asked) == (present[place] if place < len(present) else self.model.next)

    # ------------------------------------------------------------ dropping

    @rule(fraction=st.floats(0, 0.6))
    def truncate_before(self, fraction: float) -> None:
        offset = self.place(fraction)
        assert self.log.truncate_before(offset) == self.model.truncate_before(offset)

    @rule(fraction=st.floats(0.4, 1))
    def truncate_after(self, fraction: float) -> None:
        offset = min(self.place(fraction), self.model.next - 1)
        assert self.log.truncate_after(offset) == self.model.truncate_after(offset)

    @rule(offset=st.sampled_from([None, None, 0, 77, 2**33]))
    def reset(self, offset: int | None) -> None:
        self.log.reset(offset)
        self.model.reset(offset)

    @rule(fraction=fractions, keep=st.integers(0, 30), what=st.sampled_from(["offset", "bytes", "age"]))
    def retain(self, fraction: float, keep: int, what: str) -> None:
        before = dict(self.model.records)
        rules = {
            "offset": {"min_offset": self.place(fraction)},
            "bytes": {"max_bytes": int(fraction * 20_000)},
            "age": {"max_age": fraction * 300},
        }
        dropped = self.log.retain(keep_records=keep, **rules[what])
        self.model.truncate_before(self.log.lowest_offset)
        assert dropped == len(before) - len(self.model.records)
        assert len(self.model.records) >= min(keep, len(before))
        if what == "offset":
            assert self.model.low <= max(self.place(fraction), min(before, default=self.model.low))

    @rule(grace=st.sampled_from([0, GRACE_S]))
    def compact(self, grace: int) -> None:
        result = self.log.compact(tombstone_grace=grace)
        after = held(self.log)
        problem = self.model.unsound(after)
        assert not problem, problem
        for offset, entry in self.model.records.items():
            young = self.times[offset] > self.now - grace * 10**6
            if entry.tombstone and young and offset not in after:
                last = max(o for o, e in self.model.records.items() if e.key == entry.key)
                assert last != offset, f"the young tombstone at {offset} is gone"
        assert self.log.next_offset == self.model.next
        assert self.model.low <= self.log.lowest_offset <= min(after, default=self.model.next)
        assert result.records_after <= result.records_before
        self.model.adopt(self.log)

    # ------------------------------------------------------------ ending and going on

    @rule()
    def reopen(self) -> None:
        self.log.dispose()
        self.open()
        self.compare()

    @rule()
    def kill(self) -> None:
        """Go on in a copy of the directory that was taken while the log was open."""
        copied = self.new_path()
        shutil.copytree(self.path, copied)
        self.move_to(copied)
        self.open()
        self.compare()
        self.reader = Log(self.path, mode="r")

    @rule()
    def snapshot_and_restore(self) -> None:
        snapshot, restored = self.new_path(), self.new_path()
        self.log.snapshot(snapshot)
        old = self.log
        self.log = old.restored(snapshot, restored, **self.options)
        self.reader.close()
        old.dispose()
        self.path = restored
        self.compare()
        self.reader = Log(self.path, mode="r")

    def move_to(self, path: Path) -> None:
        self.reader.close()
        self.log.dispose()
        shutil.rmtree(self.path)
        self.path = path

    @rule()
    def verify(self) -> None:
        report = self.log.verify()
        assert report.ok, report.problems
        assert report.records >= len(self.model.records)

    @rule()
    def compare(self) -> None:
        problem = self.model.difference(self.log)
        assert not problem, problem
        stats = self.log.stats()
        assert stats.records == len(self.model.records)

    @rule()
    def compare_reader(self) -> None:
        problem = self.model.difference(self.reader)
        assert not problem, f"the reader: {problem}"


class AsyncLogMachine(LogMachine):
    """The same with AsyncLog on a private loop."""

    kind = "async"


@pytest.mark.parametrize("machine", [LogMachine, AsyncLogMachine], ids=["sync", "async"])
@pytest.mark.timeout(0 if EXAMPLES > 100 else 600)  # a failure takes time to shrink
def test_against_the_model(machine: type[LogMachine], seed: int) -> None:
    seeded = hypothesis.seed(seed)(type(machine.__name__, (machine,), {}))
    run_state_machine_as_test(
        seeded,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
