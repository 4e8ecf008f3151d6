"""Looking after a log: stat, verify, repair, truncate, compact, version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import striate
from striate import Log

Run = Callable[..., Any]


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x40
    path.write_bytes(data)


@pytest.fixture
def sealed(log_path: Path) -> Path:
    """A log of many small segments, all but the last one sealed."""
    with Log(log_path, durability="process", segment_bytes=4096) as log:
        for number in range(500):
            log.append(b"%0100d" % number, b"key")
        assert len(log.segments()) > 3
    return log_path


@pytest.fixture
def damaged(sealed: Path) -> Path:
    """The same with one bit flipped in the first segment."""
    flip(min(sealed.glob("*.store")), 64 + 24 + 10)
    return sealed


# ---------------------------------------------------------------- stat


def test_stat(run: Run, sealed: Path) -> None:
    document = run("log", "stat", sealed, "--json").json
    stats, segments = document["stats"], document["segments"]
    assert (stats["records"], stats["lowest_offset"], stats["next_offset"]) == (500, 0, 500)
    assert stats["segments"] == len(segments)
    assert [segment["base_offset"] for segment in segments] == sorted({segment["base_offset"] for segment in segments})
    assert sum(segment["record_count"] for segment in segments) == 500
    assert segments[0]["sealed"]
    assert set(document["recovery"]) == {"clean", "segments", "problems", "removed"}
    assert document["path"] == str(sealed)


def test_stat_as_text(run: Run, sealed: Path) -> None:
    text = run("log", "stat", sealed).text
    assert text.startswith(f"{sealed}\n500 records in ")
    assert "offsets: lowest 0, next 500" in text
    assert "00000000000000000000.store" in text
    assert "\x1b" not in text


def test_stat_of_an_empty_log(run: Run, log_path: Path) -> None:
    Log(log_path).close()
    assert run("log", "stat", log_path).code == 0
    assert run("log", "stat", log_path, "--json").json["stats"]["records"] == 0


# ---------------------------------------------------------------- verify and repair


def test_verify_sound(run: Run, sealed: Path) -> None:
    result = run("log", "verify", sealed)
    assert (result.code, result.err) == (0, "")
    assert result.text.startswith("ok: 500 records, ")
    report = run("log", "verify", sealed, "--json").json
    assert (report["ok"], report["records"], report["problems"]) == (True, 500, [])


def test_verify_damaged(run: Run, damaged: Path) -> None:
    result = run("log", "verify", damaged)
    assert (result.code, result.err) == (1, "")
    assert "00000000000000000000.store" in result.text
    report = run("log", "verify", damaged, "--json")
    assert (report.code, report.json["ok"]) == (1, False)
    assert set(report.json["problems"][0]) == {"path", "position", "offset", "reason"}


def test_verify_with_a_damaged_manifest(run: Run, sealed: Path) -> None:
    """Too damaged to open is a finding of verify, not an error of its use."""
    flip(sealed / "manifest", 20)
    result = run("log", "verify", sealed, "--json")
    assert (result.code, result.err, result.json["ok"]) == (1, "", False)
    assert result.json["problems"][0]["path"].endswith("manifest")


def test_reading_damage(run: Run, damaged: Path) -> None:
    result = run("log", "read", damaged, "--offset", 0, "--json")
    assert (result.code, result.error["error"]) == (1, "CorruptRecordError")
    assert "striate log verify" in result.error["hint"]
    assert run("log", "read", damaged, "--offset", 499, "--raw").code == 0


def test_repair(run: Run, damaged: Path) -> None:
    report = run("log", "repair", damaged, "--yes", "--json").json
    assert 0 < report["records_kept"] < 500
    assert report["bytes_set_aside"] > 0
    assert report["broken_files"]
    assert run("log", "verify", damaged).code == 0
    assert run("log", "append", damaged, "goes on").code == 0


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"yes\n", 0), (b"n\n", 2), (b"\n", 2), (b"", 2)])
def test_repair_asks(answer: bytes, code: int, run: Run, damaged: Path) -> None:
    result = run("log", "repair", damaged, stdin=answer)
    assert result.code == code
    assert f"Repair {damaged}?" in result.err
    assert bool(list(damaged.glob("*.broken"))) == (code == 0)


# ---------------------------------------------------------------- truncate and compact


@pytest.mark.parametrize(
    ("option", "offset", "lowest", "following", "dropped"),
    [
        ("--before", 4, 4, 10, 4),
        ("--before", 10, 10, 10, 10),
        ("--before", 0, 0, 10, 0),
        ("--after", 3, 0, 4, 6),
        ("--after", 9, 0, 10, 0),
        ("--after", 99, 0, 10, 0),
        ("--after", -1, 0, 0, 10),
    ],
)
def test_truncate(option: str, offset: int, lowest: int, following: int, dropped: int, run: Run, filled: Path) -> None:
    result = run("log", "truncate", filled, option, offset, "--json")
    assert result.code == 0, result.err
    assert result.json == {
        "path": str(filled),
        "dropped": dropped,
        "lowest_offset": lowest,
        "next_offset": following,
    }
    assert run("log", "append", filled, "x", "--json").json["first_offset"] == following


def test_truncate_as_text(run: Run, filled: Path) -> None:
    text = run("log", "truncate", filled, "--before", 4).text
    assert text == "dropped 4 records; lowest offset 4, next offset 10\n"


def test_compact(run: Run, sealed: Path) -> None:
    result = run("log", "compact", sealed, "--grace", "7d", "--json").json
    assert result["records_before"] == 500
    assert result["records_after"] < 500
    assert result["bytes_after"] < result["bytes_before"]
    kept = run("log", "read", sealed, "--json").json_lines
    assert kept[-1]["offset"] == 499
    assert len(kept) == result["records_after"]
    assert "records became" in run("log", "compact", sealed).text


# ---------------------------------------------------------------- version


def test_version(run: Run) -> None:
    assert run("version").text.startswith(f"striate {striate.__version__} (log format 1, Python ")
    assert run("--version").text == f"striate {striate.__version__}\n"
    document = run("version", "--json").json
    assert (document["striate"], document["format_version"]) == (striate.__version__, 1)


def test_help_everywhere(run: Run) -> None:
    from striate.cli import app

    groups = {name: group for name, group in app.commands.items() if isinstance(group, click.Group)}
    below = [[name, command] for name, group in groups.items() for command in group.commands]
    assert {"log", "db"} <= groups.keys()
    for line in [[], *([name] for name in app.commands), *below]:
        result = run(*line, "--help")
        assert (result.code, result.err) == (0, "")
        assert result.text.startswith("Usage: striate")
        assert "\\b" not in result.text, line
        if line and line[-1] not in {*groups, "export", "shell"}:
            assert "--json" in result.text, line


def test_no_command_shows_the_help(run: Run) -> None:
    result = run()
    assert (result.code, result.out) == (2, b"")
    assert "Commands:" in result.err


@pytest.mark.parametrize("options", [{}, {"record_size": 5}], ids=str)
def test_verify_and_stat_of_a_log_in_use(run: Run, log_path: Path, options: dict[str, Any]) -> None:
    with Log(log_path, durability="process", **options) as log:
        log.append_many([b"value"] * 100)
        verified = run("log", "verify", log_path, "--json")
        assert (verified.code, verified.json["records"]) == (0, 100)
        figures = run("log", "stat", log_path, "--json").json["stats"]
        assert figures["first_timestamp"] == log.read(0).timestamp
