"""Compaction by the database's own thread: pace, pauses, failures."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

import striate
from striate._native.segment import Segment
from striate.errors import DiskFullError
from striate.storage import table_compaction

OPTIONS = {"segment_bytes": 16384, "compaction_interval_s": None}


@pytest.mark.timeout(60)
def test_the_background_thread_compacts(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "process", segment_bytes=16384, compaction_interval_s=0.01) as db:
        table = db.table("t")
        written = 0
        while db.log.stats().size_bytes > written / 4 or written < 1_000_000:
            table.set_many((b"%d" % i, b"x" * 100) for i in range(100))
            written += 14_000
        with db.compaction_paused():
            assert len(table) == 100
        assert db._compactor is not None and db._compactor.error is None


def half_dead(db: striate.Database) -> None:
    for _ in range(5):
        db.table("t").set_many((b"%d" % i, b"x" * 100) for i in range(400))


def test_background_compaction_keeps_to_its_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    waits: list[float] = []

    class Clock(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            assert timeout is not None
            waits.append(timeout)
            now += timeout
            return False

    monkeypatch.setattr(table_compaction.time, "monotonic", lambda: now)
    with striate.open(tmp_path / "db", compaction_interval_s=3600, compaction_bytes_per_s=1000) as db:
        compactor = db._compactor
        assert compactor is not None
        with monkeypatch.context() as patch:
            patch.setattr(compactor, "_stopping", Clock())
            compactor.pace(500)
            now += 0.25  # what copying took counts
            compactor.pace(500)
            now += 60  # no credit is saved up
            compactor.pace(2000)
    assert waits == pytest.approx([0.5, 0.5, 2.0])


@pytest.mark.timeout(60)
def test_only_background_compaction_is_paced_and_all_it_reads_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    written_anew: list[int] = []
    done = threading.Event()
    monkeypatch.setattr(table_compaction.Compactor, "pace", lambda compactor, size: read.append(size))
    rewrite = table_compaction._rewrite

    def rewrite_and_tell(db: striate.Database, run: list[Segment], *rest: Any) -> list[Segment]:
        written_anew.extend(segment.end_position for segment in run)
        result = rewrite(db, run, *rest)
        done.set()
        return result

    with striate.open(tmp_path / "db", "process", **OPTIONS) as db:
        half_dead(db)
        db.compact()
        assert read == []
    monkeypatch.setattr(table_compaction, "_rewrite", rewrite_and_tell)
    with striate.open(tmp_path / "again", "process", **OPTIONS | {"compaction_interval_s": 0.01}) as db:
        half_dead(db)
        assert done.wait(30)
    assert sum(read) == sum(written_anew) > 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize("closed", [False, True])
def test_compaction_that_runs_can_be_paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: bool) -> None:
    paused, waits = threading.Event(), threading.Event()
    begun = threading.Event()
    copy_current = table_compaction.copy_current

    def copy(*arguments: Any) -> int:
        begun.set()
        assert paused.wait(30)
        return copy_current(*arguments)

    class Gate(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.set()
            return super().wait(timeout)

    monkeypatch.setattr(table_compaction, "copy_current", copy)
    with striate.open(tmp_path / "db", "process", **OPTIONS | {"compaction_interval_s": 0.01}) as db:
        compactor = db._compactor
        assert compactor is not None
        compactor._going_on = Gate()
        compactor._going_on.set()
        half_dead(db)
        assert begun.wait(30)
        with db.compaction_paused():
            paused.set()
            assert waits.wait(30) and db.compacting
            if closed:
                db.close()
                return
        finished = threading.Event()
        monkeypatch.setattr(compactor, "pace", lambda size: None)
        while db.compacting:
            finished.wait(0.01)
        assert len(db.table("t")) == 400 and compactor.error is None


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1", True])
def test_a_rate_is_a_number_of_bytes(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises((striate.InvalidArgumentError, striate.InvalidTypeError)):
        striate.open(tmp_path / "db", compaction_bytes_per_s=wrong)
    assert not (tmp_path / "db").exists()


@pytest.mark.timeout(60)
def test_a_compaction_that_fails_in_the_background_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, tried = threading.Event(), threading.Event()
    failing.set()
    compact = table_compaction.compact

    def sometimes(*arguments: Any) -> Any:
        tried.set()
        if failing.is_set():
            raise DiskFullError("x", "write", 28, "no space")
        return compact(*arguments)

    monkeypatch.setattr(table_compaction, "compact", sometimes)
    with striate.open(tmp_path / "db", "process", segment_bytes=16384, compaction_interval_s=0.01) as db:
        for number in range(400):
            db.table("t")[b"k"] = b"%d" % number + b"x" * 200
        tried.wait()
        while db.compaction_error is None:
            os.sched_yield()
        assert isinstance(db.compaction_error, DiskFullError)
        failing.clear()
        while db.compaction_error is not None or db.log.stats().size_bytes > 50_000:
            os.sched_yield()  # no segment is filled meanwhile: it is the one that failed that is tried again
