"""Bad options and paths, fixed-length logs that get something else, and clocks that do not tell the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.odd import HUGE, filled

from striate import (
    AsyncLog,
    InvalidArgumentError,
    InvalidTypeError,
    Log,
    LogClosedError,
    RecordTooLargeError,
    StriateError,
    UsageError,
)

Opener = Callable[..., Any]
Call = Callable[[Any], Any]

OPTIONS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "durability unknown": ({"durability": "fast"}, InvalidArgumentError),
    "durability empty": ({"durability": ""}, InvalidArgumentError),
    "durability None": ({"durability": None}, InvalidTypeError),
    "durability a number": ({"durability": 1}, InvalidTypeError),
    "mode w": ({"mode": "w"}, InvalidArgumentError),
    "mode a+": ({"mode": "a+"}, InvalidArgumentError),
    "mode None": ({"mode": None}, InvalidTypeError),
    "segment_bytes too small": ({"segment_bytes": 4095}, InvalidArgumentError),
    "segment_bytes zero": ({"segment_bytes": 0}, InvalidArgumentError),
    "segment_bytes below zero": ({"segment_bytes": -4096}, InvalidArgumentError),
    "segment_bytes beyond 32 GiB": ({"segment_bytes": (32 << 30) + 1}, InvalidArgumentError),
    "segment_bytes huge": ({"segment_bytes": HUGE}, InvalidArgumentError),
    "segment_bytes text": ({"segment_bytes": "4096"}, InvalidTypeError),
    "segment_bytes a float": ({"segment_bytes": 4096.0}, InvalidTypeError),
    "initial_offset below zero": ({"initial_offset": -1}, InvalidArgumentError),
    "initial_offset huge": ({"initial_offset": HUGE}, InvalidArgumentError),
    "initial_offset text": ({"initial_offset": "0"}, InvalidTypeError),
    "record_size zero": ({"record_size": 0}, InvalidArgumentError),
    "record_size below zero": ({"record_size": -8}, InvalidArgumentError),
    "record_size larger than a segment": ({"record_size": 5000, "segment_bytes": 4096}, InvalidArgumentError),
    "record_size text": ({"record_size": "8"}, InvalidTypeError),
    "codec unknown": ({"codec": "morse"}, InvalidArgumentError),
    "codec a number": ({"codec": 7}, InvalidArgumentError),
    "sync_interval_ms zero": ({"sync_interval_ms": 0}, InvalidArgumentError),
    "sync_interval_ms below zero": ({"sync_interval_ms": -1}, InvalidArgumentError),
    "sync_interval_ms text": ({"sync_interval_ms": "often"}, InvalidTypeError),
    "clock a number": ({"clock": 7}, InvalidTypeError),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS.keys())
def test_options(log_path: Path, options: dict[str, Any], expected: type[StriateError]) -> None:
    with pytest.raises(expected) as caught:
        Log(log_path, **options)
    assert caught.value.argument in options  # type: ignore[attr-defined]
    assert not log_path.exists(), "nothing is made by a call that is refused"


@pytest.mark.parametrize("path", [None, 7, 1.5, ["log"]], ids=["None", "int", "float", "list"])
def test_path_types(path: Any) -> None:
    with pytest.raises(InvalidTypeError):
        Log(path)


@pytest.mark.parametrize("path", ["", "with\0zero", "no text \ud800", "long" * 2000])
def test_path_values(path: str) -> None:
    with pytest.raises(StriateError):
        Log(path)


def test_an_async_log_that_was_never_opened() -> None:
    with pytest.raises(InvalidTypeError):
        AsyncLog(7)  # type: ignore[arg-type]
    with pytest.raises(LogClosedError):
        AsyncLog(Path("anywhere")).read(0)


@pytest.mark.parametrize("options", [{"durability": "fast"}, {"segment_bytes": 1}, {"mode": 7}, {"unknown": 1}])
def test_restoring_with_bad_options_makes_nothing(open_log: Opener, tmp_path: Path, options: dict[str, Any]) -> None:
    log = filled(open_log)
    log.snapshot(tmp_path / "snapshot")
    with pytest.raises((UsageError, TypeError)):
        log.restored(tmp_path / "snapshot", tmp_path / "restored", **options)
    assert not (tmp_path / "restored").exists()


def test_a_bad_clock_of_retention(open_log: Opener) -> None:
    log = open_log(clock=lambda: answers[0])
    answers: list[Any] = [10**15]
    log.append(b"value")
    answers[0] = "noon"
    for call in (lambda: log.retain(max_age=1), log.compact):
        with pytest.raises(InvalidTypeError):
            call()


def test_fixed_length_logs_take_no_keys(open_log: Opener) -> None:
    log = open_log(record_size=8)
    calls: list[Call] = [
        lambda log: log.append(b"12345678", b"key"),
        lambda log: log.append(b"12345678", b""),
        lambda log: log.append_many([b"12345678"], [b"key"]),
        lambda log: log.append_tombstone(b"key"),
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call(log)
    for wrong in (b"", b"1234567", b"123456789"):
        with pytest.raises(RecordTooLargeError):
            log.append(wrong)
        with pytest.raises(RecordTooLargeError):
            log.append_many([b"12345678", wrong])
    assert log.append_many([b"12345678"], [None]) == range(1)
    assert log.append(b"12345678") == 1


def test_a_bad_clock(log_path: Path) -> None:
    answers: list[Any] = [1.5, "noon", None, -1, HUGE]
    with Log(log_path, clock=lambda: answers[0], durability="process") as log:
        while answers:
            with pytest.raises((StriateError, TypeError, OverflowError, ValueError)):
                log.append(b"value")
            answers.pop(0)
            if len(answers) == 0:
                answers.append(10**15)
                break
        assert log.append(b"value") == 0
        assert log.read(0).timestamp == 10**15
