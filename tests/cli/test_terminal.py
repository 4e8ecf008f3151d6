"""The command line among other programs: pipes that close, Ctrl-C, full disks, terminals and NO_COLOR."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from striate import Log

Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def long_log(log_path: Path) -> Path:
    with Log(log_path, durability="process") as log:
        for _ in range(20):
            log.append_many([b"a line of some length"] * 1000)
    return log_path


def shell(line: str, path: Path) -> subprocess.CompletedProcess[bytes]:
    command = line.replace("striate", f"{sys.executable} -m striate").replace("LOG", str(path))
    return subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "command",
    ["read LOG", "read LOG --json", "read LOG --raw", "dump LOG", "dump LOG --json", "follow LOG --all"],
)
def test_a_reader_that_has_enough(command: str, long_log: Path) -> None:
    result = shell(f"striate log {command} | head -n 1; exit ${{PIPESTATUS[0]}}", long_log)
    assert (result.returncode, result.stderr) == (141, b"")
    assert len(result.stdout.splitlines()) == 1


def test_a_demo_whose_reader_has_enough(filled: Path, tmp_path: Path) -> None:
    line = f"TMPDIR={tmp_path} striate demo --max-lines 1000 | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = shell(line, filled)
    assert (result.returncode, result.stderr) == (141, b"")
    assert not list(tmp_path.glob("striate-demo-*"))


def test_a_pipe_closed_before_the_last_flush(filled: Path) -> None:
    """What was printed fits the buffer, so that only the end of the program finds the pipe closed."""
    result = shell("{ sleep 0.1; striate log verify LOG; echo $? >&2; } | true", filled)
    assert result.stderr.strip() in {b"141", b"0"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["log read LOG", "log stat LOG", "version", "--help"])
def test_a_full_disk_under_stdout(command: str, filled: Path) -> None:
    result = shell(f"striate {command} > /dev/full", filled)
    assert result.returncode == 1
    assert result.stderr == b"Error: input or output: No space left on device\n"


def test_ctrl_c_while_reading_stdin(spawn: Spawn, log_path: Path) -> None:
    process = spawn("log", "append", log_path, "--json")
    assert process.stdin is not None
    process.stdin.write(b"kept\n")
    process.stdin.flush()
    follower = spawn("log", "follow", wait_for(log_path / "manifest").parent, "--all", "--count", 1, "--raw")
    assert follower.communicate(timeout=30)[0] == b"kept\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


def wait_for(path: Path) -> Path:
    import time

    for _ in range(3000):
        if path.exists():
            return path
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def on_terminal(*arguments: object, **environment: str) -> tuple[int, bytes]:
    """Run with stdout and stderr on a pseudo-terminal; return the exit code and what was shown."""
    master, slave = pty.openpty()
    base = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "striate", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env={**base, "TERM": "xterm-256color", **environment},
    )
    os.close(slave)
    shown = b""
    try:
        while chunk := os.read(master, 65536):
            shown += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(master)
    return process.wait(30), shown


def test_styles_on_a_terminal_only(filled: Path) -> None:
    code, shown = on_terminal("log", "stat", filled)
    assert code == 0
    assert b"\x1b[1m" in shown
    code, shown = on_terminal("log", "stat", filled, NO_COLOR="1")
    assert code == 0
    assert b"\x1b" not in shown


def test_progress_on_a_terminal(long_log: Path) -> None:
    code, shown = on_terminal("log", "verify", long_log)
    assert code == 0
    assert b"verifying" in shown


def test_no_color_leaves_no_style(long_log: Path) -> None:
    _, shown = on_terminal("log", "verify", long_log, NO_COLOR="1")
    assert b"\x1b[3" not in shown


def test_python_m_striate(spawn: Spawn) -> None:
    out, err = spawn("version").communicate(timeout=30)
    assert out.startswith(b"striate ")
    assert err == b""


def test_output_is_utf8_whatever_the_locale(log_path: Path, spawn: Spawn) -> None:
    with Log(log_path) as log:
        log.append("ü€".encode())
    out, _ = spawn("log", "read", log_path, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}).communicate(timeout=30)
    assert "ü€" in out.decode()
