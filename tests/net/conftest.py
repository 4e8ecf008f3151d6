from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


class Served:
    """A `striate serve` of its own, at a free port."""

    def __init__(self, path: Path, durability: str = "process", *options: str) -> None:
        command = [sys.executable, "-m", "striate", "serve", "--data", str(path), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--durability", durability, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("serving"), line + self._errors()
        self.port = int(line.rpartition(" (")[0].rpartition(":")[2])

    def _errors(self) -> str:
        assert self.process.stderr is not None
        self.process.kill()
        return self.process.stderr.read()

    def connect(self) -> socket.socket:
        """A plain connection to it."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def stop(self) -> str:
        """End it as a service manager does; what it said on stderr."""
        self.process.terminate()
        return self.ended()

    def ended(self) -> str:
        """Wait for the end that is under way; what it said on stderr."""
        errors = self.process.communicate(timeout=30)[1]
        assert self.process.returncode == 0, errors
        return errors


@pytest.fixture(params=["process", "power"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    server = Served(tmp_path / "db", request.param)
    yield server
    if server.process.poll() is None:
        assert server.stop() == ""


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests that change nothing that others look at."""
    server = Served(tmp_path_factory.mktemp("shared") / "db", "power")
    yield server
    assert server.stop() == ""
