"""The parent's side of the kill: start the writer process, hear what it acknowledged, kill it half-way."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from striate.demo.writer import REPORT
from striate.errors import StorageError

__all__ = ["write_until_killed"]

KILL_BETWEEN = (0.45, 0.55)  # of the lines
STOP_AT = 0.75  # where the writer ends at the latest, so that lines are left for after the kill


def write_until_killed(path: str, line_count: int, segment_bytes: int, advance: Callable[[int], None]) -> int:
    """Let a child process write the log and kill it with SIGKILL at a random line around the middle.

    Args:
        path: of the log.
        line_count: how many lines there are in all.
        segment_bytes: of the log.
        advance: is told how many lines are acknowledged by now.

    Returns:
        The number of lines the child had acknowledged through the pipe before it died.

    Raises:
        StorageError: the child ended by itself.
    """
    every = max(1, min(500, line_count // 100))
    kill_at = random.randint(*(int(line_count * share) for share in KILL_BETWEEN))
    numbers = (int(line_count * STOP_AT), every, segment_bytes)
    command = [sys.executable, "-P", "-m", "striate.demo.writer", path, *map(str, numbers)]
    acknowledged, killed = 0, False
    with tempfile.TemporaryFile() as errors:
        # Its own session: Ctrl-C reaches only the parent, which ends the child. A closed stdin ends it, too.
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        try:
            assert child.stdout is not None
            for acknowledged in _reports(child.stdout):
                advance(acknowledged)
                if acknowledged >= kill_at and not killed:
                    child.send_signal(signal.SIGKILL)
                    killed = True
        finally:
            child.kill()
            child.communicate()
        errors.seek(0)
        if not killed:
            reason = errors.read().decode(errors="replace").strip() or f"exit code {child.returncode}"
            raise StorageError(f"the writer process of the demo failed: {reason.splitlines()[-1]}")
    return acknowledged


def _reports(pipe: IO[bytes]) -> Iterator[int]:
    """The numbers the child sends, until the pipe is closed, which is when the child is dead."""
    while len(message := pipe.read(REPORT.size)) == REPORT.size:
        yield REPORT.unpack(message)[0]
