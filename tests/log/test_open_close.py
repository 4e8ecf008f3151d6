"""Opening and closing: going on where it ended, properties, durable offsets, paths of every kind."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.child import until

from striate import Log

Opener = Callable[..., Any]


def test_reopen_goes_on_where_it_ended(open_log: Opener) -> None:
    expected = []
    for session in range(6):
        log = open_log()
        assert log.next_offset == len(expected)
        assert [record.value for record in log] == expected
        assert log.recovery is not None
        for number in range(session * 12):
            value = b"%d-%d" % (session, number) * 10
            assert log.append(value) == len(expected)
            expected.append(value)
        log.close()


def test_close_is_idempotent_and_a_context_manager(log_path: Path) -> None:
    with Log(log_path, segment_bytes=4096) as log:
        assert not log.closed
        log.append(b"value")
    assert log.closed
    log.close()
    with Log(log_path) as log:
        assert log.read(0).value == b"value"


def test_properties(open_log: Opener, log_path: Path) -> None:
    log = open_log(durability="process", segment_bytes=8192)
    assert os.fspath(log.path) == str(log_path)
    assert (log.durability, log.mode, log.closed) == ("process", "a", False)
    assert (log.record_size, log.segment_bytes) == (None, 8192)
    assert log_path.stat().st_mode & 0o777 == 0o700
    for file in log_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


@pytest.mark.parametrize("durability", ["power", "process"])
def test_durable_offset(open_log: Opener, durability: str) -> None:
    log = open_log(durability=durability, sync_interval_ms=3_600_000)
    for number in range(50):
        log.append(b"value" * 10)
        if durability == "power":
            assert log.durable_offset == number + 1
    assert log.durable_offset <= 50
    assert log.sync() == 50
    assert log.durable_offset == 50
    assert log.sync() == 50


def test_the_interval_syncs_in_process_mode(log_path: Path) -> None:
    with Log(log_path, durability="process", sync_interval_ms=5) as log:
        log.append(b"value")
        until(lambda: log.durable_offset == 1, "the background sync")


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("relative", Path("deeper") / "down" / "log", str(tmp_path / "Größe ☃")):
        with Log(path, durability="process") as log:
            log.append(b"value")
        with Log(path, mode="r") as log:
            assert log.read(0).value == b"value"


def test_records_pickle_or_refuse_cleanly(log_path: Path) -> None:
    with Log(log_path) as log:
        log.append(b"value", b"key")
        try:
            copied = pickle.loads(pickle.dumps(log.read(0)))
        except TypeError:
            return
        assert copied == log.read(0)
