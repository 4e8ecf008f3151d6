"""Two ways to run the command line: in this process (`run`), and as a process of its own (`spawn`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from striate import Log


@dataclass
class Result:
    """How a command line ended and what it printed."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """The one line of stderr, which must be JSON."""
        assert len(self.err.splitlines()) == 1, self.err
        return json.loads(self.err)


Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run a command line in this process; a traceback fails the test."""

    def runner(*arguments: object, stdin: bytes = b"") -> Result:
        from striate.cli import app

        outcome = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
        assert "Traceback" not in outcome.stderr
        return Result(outcome.exit_code, outcome.stdout_bytes, outcome.stderr)

    return runner


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a command line as a process with pipes; it is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def starter(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        options = {**pipes, **options}
        environment = {**os.environ, **options.pop("env", {})}
        command = [sys.executable, "-m", "striate", *map(str, arguments)]
        started.append(subprocess.Popen(command, env=environment, **options))
        return started[-1]

    yield starter
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def filled(log_path: Path) -> Path:
    """A log of ten records in several segments: values v0 to v9, keys k0 to k2."""
    with Log(log_path, durability="process", segment_bytes=4096) as log:
        for number in range(10):
            log.append(b"v%d" % number, b"k%d" % (number % 3))
    return log_path
