"""Child processes that run a piece of Python and speak in lines.

Every wait has a deadline, and its failure shows what the child said on stderr. Synchronisation is by lines on
pipes, never by sleeping.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

TESTS = Path(__file__).resolve().parent.parent
DEADLINE_S = 30.0

_PREAMBLE = """\
import json, os, resource, signal, sys, threading, time
def say(*words): print(*words, flush=True)
def heard(): return sys.stdin.readline().strip()
path = sys.argv[1]
"""


class Child:
    """A Python process running `source`; `path` is its argument, `say` and `heard` its words."""

    def __init__(self, source: str, path: str | Path, *arguments: object) -> None:
        code = _PREAMBLE + textwrap.dedent(source)
        environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONFAULTHANDLER="1")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, os.fspath(path), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            bufsize=1,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        """The next line the child says; an ended child is a failure with its stderr."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the child ended ({self.process.wait(DEADLINE_S)}): {self.errors()}")
        return line.strip()

    def expect(self, wanted: str) -> None:
        line = self.line()
        assert line == wanted, f"the child said {line!r}, wanted {wanted!r}"

    def tell(self, words: object = "") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def ask(self, words: object = "") -> str:
        self.tell(words)
        return self.line()

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def finish(self) -> str:
        """Wait for a clean end; return what was left on stdout."""
        out, errors = self.process.communicate(timeout=DEADLINE_S)
        assert self.process.returncode == 0, f"the child failed ({self.process.returncode}): {errors}"
        return out

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_child(source: str, path: str | Path, *arguments: object) -> list[str]:
    """Run `source` to its end and return the lines it said."""
    with Child(source, path, *arguments) as child:
        return child.finish().splitlines()


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll until `condition()` holds: for what nothing announces, such as a thread being asleep."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.0005)


def thread_state(pid: int, thread: int | None = None) -> str:
    """R running, S sleeping, …, as the kernel sees it."""
    text = Path(f"/proc/{pid}/task/{thread or pid}/stat").read_text()
    return text.rpartition(")")[2].split()[0]


def until_asleep(pid: int, thread: int | None = None) -> None:
    """Wait until the thread has slept at three looks in a row."""
    looks = 0

    def asleep() -> bool:
        nonlocal looks
        looks = looks + 1 if thread_state(pid, thread) == "S" else 0
        return looks >= 3

    until(asleep, f"thread {thread or pid} asleep")


@contextmanager
def limit(seconds: float, what: str) -> Iterator[None]:
    """Fail when the block took longer than `seconds`."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"{what} took {took:.3f} s, the limit is {seconds} s"
