"""Every wrong use and every failure: the exit code, and one line on stderr, as text and as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate import Log

Run = Callable[..., Any]

LOG, NONE, FILE, FOREIGN, EMPTY = "{log}", "{none}", "{file}", "{foreign}", "{empty}"

# name: (command line, exit code, class, words of the message or hint)
BAD: dict[str, tuple[list[str], int, str, str]] = {
    "no such command": (["log", "frobnicate"], 2, "UsageError", "frobnicate"),
    "no such option": (
        ["log", "read", LOG, "--frobnicate"],
        2,
        "UsageError",
        "see `striate log read --help`",
    ),
    "no path": (["log", "read"], 2, "UsageError", "PATH"),
    "no number": (["log", "read", LOG, "--start", "x"], 2, "UsageError", "'x'"),
    "negative offset": (["log", "read", LOG, "--start", "-1"], 2, "UsageError", "-1"),
    "offset too large": (["log", "read", LOG, "--start", str(2**64)], 2, "UsageError", "--start"),
    "no time": (["log", "read", LOG, "--time", "noon"], 2, "UsageError", "ISO 8601"),
    "time and start": (["log", "read", LOG, "--time", "0", "--start", "1"], 2, "UsageError", "exclude"),
    "offset and stop": (["log", "read", LOG, "--offset", "0", "--stop", "1"], 2, "UsageError", "excludes"),
    "no log": (["log", "read", NONE], 1, "LogNotFoundError", "striate log append"),
    "read a file": (["log", "read", FILE], 2, "NotALogError", "not a log"),
    "read a foreign directory": (["log", "read", FOREIGN], 2, "NotALogError", "not a log"),
    "offset not there": (["log", "read", LOG, "--offset", "10"], 1, "OffsetOutOfRangeError", "0 to 9"),
    "start behind the end": (["log", "read", LOG, "--start", "11"], 1, "OffsetOutOfRangeError", "0 to 9"),
    "append to a file": (["log", "append", FILE, "x"], 2, "NotALogError", "not a log"),
    "append to a foreign directory": (["log", "append", FOREIGN, "x"], 2, "NotALogError", "not a log"),
    "key and separator": (
        ["log", "append", LOG, "x", "--key", "k", "--key-separator", "="],
        2,
        "UsageError",
        "exclude",
    ),
    "empty separator": (["log", "append", LOG, "x", "--key-separator", ""], 2, "UsageError", "empty"),
    "tombstone without key": (["log", "append", LOG, "--tombstone"], 2, "UsageError", "--key"),
    "tombstone with value": (
        ["log", "append", LOG, "x", "--tombstone", "--key", "k"],
        2,
        "UsageError",
        "--key",
    ),
    "key too long": (["log", "append", LOG, "x", "--key", "k" * 65_536], 2, "KeyTooLargeError", "65535"),
    "other record size": (
        ["log", "append", LOG, "x", "--record-size", "4"],
        2,
        "OptionMismatchError",
        "record_size",
    ),
    "tiny segments": (["log", "append", LOG, "x", "--segment-bytes", "64"], 2, "UsageError", "4096"),
    "no such durability": (["log", "append", LOG, "x", "--durability", "some"], 2, "UsageError", "power"),
    "follow no log": (["log", "follow", NONE], 1, "LogNotFoundError", "no log"),
    "follow all and start": (["log", "follow", LOG, "--all", "--start", "1"], 2, "UsageError", "exclude"),
    "no duration": (["log", "follow", LOG, "--timeout", "1y"], 2, "UsageError", "15m"),
    "stat no log": (["log", "stat", NONE], 1, "LogNotFoundError", "no log"),
    "stat a foreign directory": (["log", "stat", FOREIGN], 2, "NotALogError", "not a log"),
    "verify no log": (["log", "verify", NONE], 1, "LogNotFoundError", "no log"),
    "dump nothing": (["log", "dump", NONE], 1, "LogNotFoundError", "no log"),
    "repair no log": (["log", "repair", NONE, "--yes"], 1, "LogNotFoundError", "no log"),
    "repair unasked": (["log", "repair", LOG], 2, "UsageError", "--yes"),
    "truncate nothing": (["log", "truncate", LOG], 2, "UsageError", "--before or --after"),
    "truncate both": (
        ["log", "truncate", LOG, "--before", "1", "--after", "1"],
        2,
        "UsageError",
        "one of the two",
    ),
    "truncate no log": (["log", "truncate", NONE, "--before", "1"], 1, "LogNotFoundError", "no log"),
    "truncate an empty directory": (
        ["log", "truncate", EMPTY, "--before", "1"],
        1,
        "LogNotFoundError",
        "no log",
    ),
    "truncate beyond": (["log", "truncate", LOG, "--before", "11"], 1, "OffsetOutOfRangeError", "0 to 9"),
    "compact no log": (["log", "compact", NONE], 1, "LogNotFoundError", "no log"),
    "no grace": (["log", "compact", LOG, "--grace", "-1"], 2, "UsageError", "-1"),
    "too few records": (["bench", "--records", "1"], 2, "UsageError", "1000"),
    "demo into a file": (["demo", "--keep", FILE], 2, "PathExistsError", "empty"),
    "demo into a full directory": (["demo", "--keep", FOREIGN], 2, "PathExistsError", "empty"),
}


@pytest.fixture
def places(tmp_path: Path, filled: Path) -> dict[str, str]:
    file, foreign, empty = tmp_path / "file", tmp_path / "foreign", tmp_path / "empty"
    file.write_text("not a log")
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear reader")
    empty.mkdir()
    paths = {"log": filled, "none": tmp_path / "none", "file": file, "foreign": foreign, "empty": empty}
    return {name: str(path) for name, path in paths.items()}


def contents(path: str) -> dict[str, bytes]:
    return {name: (Path(path) / name).read_bytes() for name in os.listdir(path) if name not in {"lock", "live"}}


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("name", BAD)
def test_bad(name: str, as_json: bool, run: Run, places: dict[str, str]) -> None:
    arguments, code, error, words = BAD[name]
    line = [argument.format_map(places) if argument.startswith("{") else argument for argument in arguments]
    before = contents(places["foreign"]), os.listdir(places["empty"])
    result = run(*line, *(["--json"] if as_json else []))
    assert result.code == code, result.err
    assert result.out == b""
    if as_json:
        assert result.error["error"] == error
        assert words in f"{result.error['message']} {result.error['hint']}"
    elif name == "repair unasked":
        assert result.err.startswith("Repair ")  # the question stands before the error
        assert words in result.err
    else:
        assert len(result.err.splitlines()) == 1, result.err
        assert result.err.startswith("Error: ")
        assert words in result.err
    assert not os.path.exists(places["none"])
    assert (contents(places["foreign"]), os.listdir(places["empty"])) == before


def test_json_and_raw(run: Run, filled: Path) -> None:
    assert run("log", "read", filled, "--json", "--raw").code == 2


def test_fields_of_an_error(run: Run, filled: Path) -> None:
    error = run("log", "read", filled, "--offset", 99, "--json").error
    assert error["message"] == "offset 99 is out of range: the log holds 0 to 9, next is 10"
    assert {name: error[name] for name in ("offset", "lowest_offset", "next_offset")} == {
        "offset": 99,
        "lowest_offset": 0,
        "next_offset": 10,
    }


def test_a_second_writer(run: Run, filled: Path) -> None:
    with Log(filled):
        result = run("log", "append", filled, "x", "--json")
        assert (result.code, result.error["error"]) == (2, "LogLockedError")
        assert result.error["pid"] == os.getpid()
        assert "stop that writer" in result.error["hint"]
        assert run("log", "read", filled, "--count", 1).code == 0


def test_a_bug_is_one_line(run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("two\nlines")

    monkeypatch.setattr("striate.cli.log_read._print", broken)
    monkeypatch.delenv("STRIATE_TRACEBACK", raising=False)
    result = run("log", "read", filled)
    assert result.code == 1
    assert result.err.startswith("Error: internal error: AssertionError: two lines (a bug in striate")
    assert len(result.err.splitlines()) == 1


def test_errors_of_the_system(run: Run, filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr("striate.cli.log_read._print", refused)
    result = run("log", "read", filled, "--json")
    assert (result.code, result.error["error"]) == (1, "PermissionError")
    assert result.error["message"] == "/some/file: Permission denied"
