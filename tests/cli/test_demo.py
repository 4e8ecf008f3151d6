"""The demo and the short benchmark, end to end, on little data."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate import Log

Run = Callable[..., Any]
Spawn = Callable[..., subprocess.Popen[bytes]]

LINES = 5000


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files, so that what is left behind can be seen."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return path


def test_demo(run: Run, temporary: Path) -> None:
    result = run("demo", "--max-lines", LINES, "--json")
    assert (result.code, result.err) == (0, "")
    report = result.json
    lines = report["source"]["lines"]
    assert LINES // 2 < lines <= LINES
    assert report["kill"]["acknowledged_lines"] <= report["kill"]["recovered_lines"] < lines
    assert report["kill"]["lost_lines"] == 0
    assert (report["comparison"]["lines"], report["comparison"]["differences"]) == (lines, 0)
    assert report["columnar"]["total_bytes"] == report["source"]["size_bytes"]
    assert report["columnar"]["records"] == lines
    assert report["compaction"]["records_before"] == lines
    assert report["compaction"]["records_after"] < lines
    assert set(report["rates"]["cases"]) == {"append", "append_many", "read", "scan"}
    assert report["end"]["kept"] is None
    assert os.listdir(temporary) == []


def test_demo_in_words(run: Run, temporary: Path) -> None:
    result = run("demo", "--max-lines", LINES)
    assert (result.code, result.err) == (0, "")
    for words in ("SIGKILL", "0 differences", "offset_for_time", "became", "striate ÷ sqlite", "--keep DIR"):
        assert words in result.text
    assert "\x1b" not in result.text
    assert os.listdir(temporary) == []


def test_demo_keeps_the_files(run: Run, tmp_path: Path, temporary: Path) -> None:
    keep = tmp_path / "kept"
    report = run("demo", "--max-lines", LINES, "--keep", keep, "--json").json
    assert sorted(os.listdir(keep)) == ["latest", "lines"]
    with Log(keep / "lines", mode="r") as log:
        assert log.next_offset == report["source"]["lines"]
    assert run("log", "verify", keep / "lines").code == 0
    assert run("log", "verify", keep / "latest").code == 0
    again = run("demo", "--max-lines", LINES, "--keep", keep, "--json")
    assert (again.code, again.error["error"]) == (2, "PathExistsError")
    assert os.listdir(temporary) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_demo_interrupted(number: signal.Signals, code: int, spawn: Spawn, temporary: Path) -> None:
    process = spawn("demo")
    deadline = time.monotonic() + 30
    while not list(temporary.glob("*/lines/*.store")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, b"")
    assert b"Traceback" not in out
    assert os.listdir(temporary) == []


def test_demo_whose_writer_fails(run: Run, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.demo.show.SEGMENT_BYTES", 1)
    result = run("demo", "--max-lines", LINES, "--json")
    assert (result.code, result.error["error"]) == (1, "StorageError")
    assert "the writer process of the demo failed: InvalidArgumentError" in result.error["message"]
    assert os.listdir(temporary) == []


def test_demo_finds_a_difference(run: Run, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is real: a line that is not as in its file ends the demo."""
    from striate.demo import kill

    def forged(path: str, line_count: int, segment_bytes: int, advance: Callable[[int], None]) -> int:
        with Log(path, durability="process", segment_bytes=segment_bytes) as log:
            log.append(b"not in any file\n", b"forged")
        return 1

    monkeypatch.setattr("striate.demo.steps.write_until_killed", forged)
    assert kill.write_until_killed is not forged
    result = run("demo", "--max-lines", LINES, "--json")
    assert (result.code, result.error["error"], result.error["offset"]) == (1, "CorruptRecordError", 0)
    assert os.listdir(temporary) == []


def test_demo_without_a_standard_library(
    run: Run, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("striate.demo.source.standard_library", lambda: str(tmp_path))
    result = run("demo", "--json")
    assert (result.code, result.error["error"]) == (1, "StorageError")
    assert "only 0 lines" in result.error["message"]
    assert os.listdir(temporary) == []


def test_every_module_has_its_own_key() -> None:
    from striate.demo.source import list_modules

    modules = list_modules()
    assert len(modules) > 100
    assert len({module.key for module in modules}) == len({module.path for module in modules}) == len(modules)
    keys = {module.key for module in modules}
    assert {b"json", b"json.decoder", b"os"} <= keys
    assert not any("site-packages" in module.path for module in modules)


def test_lines_are_found_again() -> None:
    from striate.demo.source import Source

    source = Source.load(LINES)
    everything = list(source.lines())
    assert len(everything) == source.line_count
    assert sum(len(line) for _, line in everything) == source.size_bytes
    for offset in (0, 1, source.line_count // 2, source.line_count - 1):
        module, _, line = source.locate(offset)
        assert (module.key, line) == everything[offset]


def test_bench(run: Run, temporary: Path) -> None:
    options = ("--records", 1000, "--rounds", 2, "--durable", 10)
    report = run("bench", *options, "--json").json
    assert (report["records"], report["size_bytes"], report["rounds"]) == (1000, 128_000, 2)
    assert set(report["cases"]) == {"append", "append_many", "read", "scan", "durable"}
    for case in report["cases"].values():
        assert set(case["per_second"]) == {"striate", "file", "sqlite"}
        assert all(ratio > 0 for ratio in case["ratio"].values())
    text = run("bench", *options).text
    assert "1,000 records of 128 B, median of 2 rounds" in text
    assert os.listdir(temporary) == []
