"""Records in and out: append, read, follow."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate import Log

Run = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[bytes]]


def values(path: Path) -> list[bytes]:
    with Log(path, mode="r") as log:
        return [record.value for record in log]


def keys(path: Path) -> list[bytes | None]:
    with Log(path, mode="r") as log:
        return [record.key for record in log]


# ---------------------------------------------------------------- append


APPENDED: dict[str, tuple[list[str], bytes, list[bytes], list[bytes | None]]] = {
    "arguments": (["a", "", "c"], b"", [b"a", b"", b"c"], [None, None, None]),
    "one key for all": (["a", "b", "--key", "k"], b"", [b"a", b"b"], [b"k", b"k"]),
    "an empty key is a key": (["a", "--key", ""], b"", [b"a"], [b""]),
    "keys in the values": (["k=a=b", "c", "--key-separator", "="], b"", [b"a=b", b"c"], [b"k", None]),
    "behind --": (["--", "--json"], b"", [b"--json"], [None]),
    "stdin": ([], b"a\n\nb\xff\r\n", [b"a", b"", b"b\xff\r"], [None] * 3),
    "stdin by name": (["-"], b"a\nb", [b"a", b"b"], [None] * 2),
    "stdin, ended by zeros": (["--separator", "null"], b"a\nb\0c", [b"a\nb", b"c"], [None] * 2),
    "stdin with keys": (["--key-separator", "\t"], b"k\tv\n", [b"v"], [b"k"]),
    "nothing": ([], b"", [], []),
    "a tombstone": (["--tombstone", "--key", "k"], b"", [b""], [b"k"]),
    "every option": (["x", "--durability", "process", "--segment-bytes", "8192"], b"", [b"x"], [None]),
}


@pytest.mark.parametrize("name", APPENDED)
def test_append(name: str, run: Run, log_path: Path) -> None:
    arguments, stdin, expected_values, expected_keys = APPENDED[name]
    result = run("log", "append", log_path, *arguments, stdin=stdin)
    assert (result.code, result.err) == (0, "")
    assert values(log_path) == expected_values
    assert keys(log_path) == expected_keys


def test_append_says_where(run: Run, log_path: Path) -> None:
    assert run("log", "append", log_path, "a").text == "appended 1 record at offset 0\n"
    assert run("log", "append", log_path, "b", "c").text == "appended 2 records at offsets 1 to 2\n"
    appended = run("log", "append", log_path, "--json", stdin=b"d\ne\n").json
    assert appended == {"path": str(log_path), "count": 2, "first_offset": 3, "next_offset": 5}
    nothing = run("log", "append", log_path, "--json").json
    assert (nothing["count"], nothing["first_offset"], nothing["next_offset"]) == (0, None, 5)


def test_append_long_input_in_batches(run: Run, log_path: Path) -> None:
    """Lines across the borders of what is read at once stay whole."""
    lines = [b"%d:" % number + b"x" * (number * 37 % 3000) for number in range(3000)]
    result = run("log", "append", log_path, "--json", stdin=b"\n".join(lines))
    assert result.json["count"] == len(lines)
    assert values(log_path) == lines


def test_append_fixed_length(run: Run, log_path: Path) -> None:
    assert run("log", "append", log_path, "abcd", "--record-size", 4).code == 0
    assert run("log", "append", log_path, "efgh").code == 0
    failed = run("log", "append", log_path, "toolong", "--json")
    assert (failed.code, failed.error["error"]) == (2, "RecordTooLargeError")
    assert values(log_path) == [b"abcd", b"efgh"]


def test_append_error_says_how_much_went_before(run: Run, log_path: Path) -> None:
    stdin = b"".join(b"%08d\n" % number for number in range(1000)) + b"x" * 100_000
    result = run("log", "append", log_path, "--segment-bytes", 4096, "--json", stdin=stdin)
    assert (result.code, result.error["error"]) == (2, "RecordTooLargeError")
    kept = len(values(log_path))
    assert result.error["notes"] == [f"{kept} records were appended before this"]


def test_append_takes_slow_input_as_it_comes(spawn: Spawn, log_path: Path) -> None:
    process = spawn("log", "append", log_path)
    assert process.stdin is not None
    process.stdin.write(b"first\nsec")
    process.stdin.flush()
    follower = spawn("log", "follow", _wait_for_log(log_path), "--all", "--count", 1, "--raw")
    assert follower.communicate(timeout=30)[0] == b"first\n"
    out, _ = process.communicate(b"ond\n", timeout=30)
    assert out == b"appended 2 records at offsets 0 to 1\n"


def _wait_for_log(path: Path) -> Path:
    import time

    for _ in range(3000):
        if (path / "manifest").exists():
            return path
        time.sleep(0.01)
    raise AssertionError("no log appeared")


# ---------------------------------------------------------------- read


READ: dict[str, tuple[list[object], bytes]] = {
    "all": ([], b"v0 v1 v2 v3 v4 v5 v6 v7 v8 v9"),
    "from": (["--start", 8], b"v8 v9"),
    "up to": (["--stop", 2], b"v0 v1"),
    "between": (["--start", 3, "--stop", 5], b"v3 v4"),
    "some": (["--start", 3, "--count", 2], b"v3 v4"),
    "none": (["--count", 0], b""),
    "at the end": (["--start", 10], b""),
    "by offset": (["--offset", 7, "--offset", 2], b"v7 v2"),
    "from long ago": (["--time", "2001-01-01", "--count", 1], b"v0"),
    "from the future": (["--time", "2101-01-01T00:00:00+01:00"], b""),
    "from a number of microseconds": (["--time", "0", "--count", 1], b"v0"),
}


@pytest.mark.parametrize("name", READ)
def test_read(name: str, run: Run, filled: Path) -> None:
    arguments, expected = READ[name]
    result = run("log", "read", filled, "--raw", *arguments)
    assert (result.code, result.err) == (0, "")
    assert result.out.split() == expected.split()


def test_read_by_the_time_of_a_record(run: Run, filled: Path) -> None:
    with Log(filled, mode="r") as log:
        timestamp = log.read(6).timestamp
        expected = log.offset_for_time(timestamp)
    first = run("log", "read", filled, "--time", timestamp, "--count", 1, "--json").json
    assert first["offset"] == expected


FORMS = {
    "text": (["--count", "1"], r"0  2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z  v0\n"),
    "text with keys": (["--count", "1", "--keys"], r"0  \S+Z  k0  v0\n"),
    "raw": (["--count", "2", "--raw"], r"v0\nv1\n"),
    "raw with keys": (["--count", "1", "--raw", "--keys"], r"k0\tv0\n"),
    "raw, zeros between": (["--count", "2", "--raw", "--separator", "null"], r"v0\x00v1\x00"),
    "raw, nothing between": (["--count", "2", "--raw", "--separator", "none"], r"v0v1"),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str, run: Run, filled: Path) -> None:
    import re

    arguments, pattern = FORMS[name]
    result = run("log", "read", filled, *arguments)
    assert re.fullmatch(pattern, result.text), result.text


def test_json_gives_the_very_bytes(run: Run, log_path: Path) -> None:
    import base64

    stored = [b"text", "ü€😀".encode(), b"\xff\x00", b"", b'{"base64": "AA=="}', b"\x1b[2J\n"]
    with Log(log_path) as log:
        log.append_many(stored, [b"\xfe", *stored[1:]])
        log.append_tombstone(b"text")

    def back(value: Any) -> bytes:
        return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])

    records = run("log", "read", log_path, "--json").json_lines
    assert [back(record["value"]) for record in records] == [*stored, b""]
    assert back(records[0]["key"]) == b"\xfe"
    assert [record["kind"] for record in records] == ["value"] * 6 + ["tombstone"]
    assert list(records[0]) == ["offset", "timestamp", "kind", "key", "value"]
    assert records[0]["value"] == "text"
    assert records[2]["value"] == {"base64": "/wA="}


def test_text_cannot_move_the_cursor(run: Run, log_path: Path) -> None:
    with Log(log_path) as log:
        log.append(b"\x1b[2Ja\nb\tc\xff\x9b", b"\x07")
        log.append_tombstone(b"k")
        log.append("ü\u202eé".encode())
    text = run("log", "read", log_path, "--keys").text
    assert [line.split("  ", 2)[2] for line in text.splitlines()] == [
        r"\x07  \x1b[2Ja\nb\tc\xff\x9b",
        "k  (tombstone)",
        r"-  ü\u202eé",
    ]


# ---------------------------------------------------------------- follow


def test_follow_what_is_there(run: Run, filled: Path) -> None:
    assert run("log", "follow", filled, "--all", "--count", 3, "--raw").text == "v0\nv1\nv2\n"
    assert run("log", "follow", filled, "--start", 8, "--timeout", "0.05", "--raw").text == "v8\nv9\n"
    assert run("log", "follow", filled, "--timeout", "0.05").text == ""


def test_follow_what_comes(spawn: Spawn, filled: Path) -> None:
    process = spawn("log", "follow", filled, "--start", 9, "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["value"] == "v9"
    with Log(filled, durability="process") as log:
        for number in range(3):
            log.append(b"new %d" % number)
            assert json.loads(process.stdout.readline())["value"] == f"new {number}"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_follow_ends_after_a_count_of_new_records(spawn: Spawn, filled: Path) -> None:
    process = spawn("log", "follow", filled, "--start", 10, "--count", 1, "--raw")
    with Log(filled, durability="process") as log:
        log.append_many([b"ten", b"eleven"])
    assert process.communicate(timeout=30) == (b"ten\n", b"")
    assert process.returncode == 0
