"""Writes a history to a file as it happens, one JSON object a line, and reads such files.

The lines of a transaction, in this order: ``invoke``, then ``append`` and ``read`` as they are made, then ``ok``,
``fail`` or ``unknown``; a transaction without such an end is of unknown outcome. Each line is one ``write`` to a file
opened for appending, so it survives the death of its process (not a power cut), and several recorders, also of several
processes, may share a file. Times are of ``CLOCK_MONOTONIC``: comparable within one boot of one machine.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeAlias

from striate.errors import InvalidArgumentError
from striate.storage.history.model import Outcome, Transaction

__all__ = ["Recorder", "Recording", "load"]

Scalar: TypeAlias = "str | int | float | bool | None"
_NEEDED = {
    "open": {"run"},
    "invoke": {"id", "process", "time"},
    "append": {"id", "key", "value"},
    "read": {"id", "key", "value"},
    "ok": {"id", "time"},
    "fail": {"id", "time"},
    "unknown": {"id", "time"},
}


class Recording:
    """One transaction that is being recorded. Made by :meth:`Recorder.invoke`."""

    def __init__(self, write: Callable[[dict[str, Any]], None], number: str) -> None:
        self._write = write
        self._number = number

    def append(self, key: Scalar, value: Scalar) -> None:
        """Note that a value will be appended; before the append is made, or a crash would hide it."""
        self._write({"event": "append", "id": self._number, "key": key, "value": value})

    def read(self, key: Scalar, values: Sequence[Scalar]) -> None:
        """Note what a key was seen to hold: the whole list."""
        self._write({"event": "read", "id": self._number, "key": key, "value": list(values)})

    def ok(self) -> None:
        """It happened: the commit returned."""
        self._end("ok")

    def fail(self) -> None:
        """It certainly did not happen: rolled back, refused, in conflict."""
        self._end("fail")

    def unknown(self) -> None:
        """It may have happened: the commit raised something else."""
        self._end("unknown")

    def _end(self, outcome: Outcome) -> None:
        self._write({"event": outcome, "id": self._number, "time": time.monotonic_ns()})


class Recorder:
    """Appends to a file what transactions do. Safe to share between threads and tasks; make one in each process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, or make it."""
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._processes: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()
        self._run = os.urandom(6).hex()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._write({"event": "open", "run": self._run})
        except OSError:
            self.close()
            raise

    def _write(self, event: dict[str, Any]) -> None:
        # The newline goes first: whatever line another process tore as it was killed ends there.
        left = memoryview(b"\n" + json.dumps(event, separators=(",", ":")).encode())
        with self._lock:
            while left:
                left = left[os.write(self._descriptor, left) :]

    def _process(self) -> str:
        """The running task, or the thread: each does one thing at a time."""
        try:
            who: object = asyncio.current_task() or threading.current_thread()
        except RuntimeError:  # no loop runs here
            who = threading.current_thread()
        with self._lock:
            return self._processes.setdefault(who, f"{self._run}/{next(self._numbers)}")

    def invoke(self, process: str | int | None = None) -> Recording:
        """Note that a transaction begins; before anything of it is done.

        Args:
            process: who runs it, one transaction at a time. Default: the running task, or the thread.
        """
        process = self._process() if process is None else process
        with self._lock:
            number = f"{self._run}-{next(self._numbers)}"
        self._write({"event": "invoke", "id": number, "process": process, "time": time.monotonic_ns()})
        return Recording(self._write, number)

    @contextmanager
    def transaction(
        self, fail: type[Exception] | tuple[type[Exception], ...] = (), process: str | int | None = None
    ) -> Iterator[Recording]:
        """Record the transaction that is made inside, its commit included.

        It is ``ok`` when the block ends, ``fail`` when one of the exceptions ``fail`` leaves it, and ``unknown`` when
        anything else does. The exception goes on.
        """
        recording = self.invoke(process)
        try:
            yield recording
        except fail:
            recording.fail()
            raise
        except BaseException:
            recording.unknown()
            raise
        recording.ok()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def load(path: str | os.PathLike[str]) -> list[Transaction]:
    """Read a recorded history, also while it is being written.

    A process that is killed tears at most one line; what the line would have said had not been done by then, or is
    not claimed. More torn lines than recorders mean that the file is damaged.

    Raises:
        InvalidArgumentError: the file is no history, or a damaged one.
    """
    history: dict[str, Transaction] = {}
    runs = torn = 0
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line == "\n":
                continue
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                torn += 1
                continue
            if not isinstance(event, dict) or not _NEEDED.get(str(event.get("event")), {""}) <= set(event):
                raise InvalidArgumentError("path", "a history made by a Recorder", line)
            if event["event"] == "open":
                runs += 1
            else:
                _apply(event, history)
    if torn > runs:
        raise InvalidArgumentError("path", f"a history of {runs} recorders with as many torn lines at most", torn)
    return list(history.values())


def _apply(event: dict[str, Any], history: dict[str, Transaction]) -> None:
    what, number = event["event"], event["id"]
    if what == "invoke":
        history[number] = Transaction([], event["process"], event["time"], None, "unknown")
        return
    transaction = history.get(number)
    if transaction is None:
        raise InvalidArgumentError("path", "a history that invokes what it ends", number)
    if what in ("append", "read"):
        key: Hashable = event["key"]
        transaction.operations.append((what, key, event["value"]))
    else:
        transaction.outcome = what
        transaction.completed = event["time"]
