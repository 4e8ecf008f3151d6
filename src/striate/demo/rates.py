"""Speed of striate beside a plain buffered file and SQLite, measured in the same run.

The machine's speed changes by a factor of two for seconds at a time, so the rounds are outermost (A, B, C,
A, B, C, …), ratios are taken within a round, and the median of the rounds counts. What the contenders are:

- striate: ``process`` durability; checksums are written, and verified by every read.
- file: a length prefix and the bytes through Python's buffered writer, no checksum; read back with
``pread`` at
  positions kept in memory.
- sqlite: one table, WAL, ``synchronous=NORMAL``, a commit every 1,000 rows.

The case ``durable`` syncs every single record: striate in ``power`` durability, the file with
``fdatasync``, SQLite with ``synchronous=FULL`` and a commit a row.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol

from striate import Log

__all__ = ["CASES", "CONTENDERS", "measure"]

BATCH_COUNT = 1000

CASES = {
    "append": "append, one call a record",
    "append_many": "append, 1,000 a call",
    "read": "read at random",
    "scan": "scan in order",
    "durable": "append, one by one, each synced",
}


class Contender(Protocol):
    """One store under measurement; each call is timed as a whole. Reads return how many bytes they saw."""

    def append(self, values: Sequence[bytes]) -> None:
        """Write one by one."""

    def append_many(self, batches: Sequence[Sequence[bytes]]) -> None:
        """Write a batch a call."""

    def read(self, offsets: Sequence[int]) -> int:
        """Read the records of these numbers one by one."""

    def scan(self) -> int:
        """Read all records in order."""

    def close(self) -> None:
        """Release everything."""


class StriateLog:
    """striate.Log."""

    def __init__(self, directory: str, durable: bool) -> None:
        self.log = Log(os.path.join(directory, "log"), durability="power" if durable else "process")

    def append(self, values: Sequence[bytes]) -> None:
        append = self.log.append
        for value in values:
            append(value)

    def append_many(self, batches: Sequence[Sequence[bytes]]) -> None:
        for batch in batches:
            self.log.append_many(batch)

    def read(self, offsets: Sequence[int]) -> int:
        read = self.log.read
        return sum(len(read(offset).value) for offset in offsets)

    def scan(self) -> int:
        return sum(len(record.value) for record in self.log.scan())

    def close(self) -> None:
        self.log.close()


class PlainFile:
    """Length prefix and bytes in a buffered file."""

    prefix = struct.Struct("<I")

    def __init__(self, directory: str, durable: bool) -> None:
        self.path = os.path.join(directory, "records")
        self.durable = durable
        self.file = open(self.path, "wb")  # noqa: SIM115 - closed by close()
        self.positions: list[int] = []

    def append(self, values: Sequence[bytes]) -> None:
        write, pack, descriptor = self.file.write, self.prefix.pack, self.file.fileno()
        for value in values:
            write(pack(len(value)) + value)
            if self.durable:
                self.file.flush()
                os.fdatasync(descriptor)
        self.file.flush()

    def append_many(self, batches: Sequence[Sequence[bytes]]) -> None:
        pack = self.prefix.pack
        for batch in batches:
            self.file.write(b"".join([part for value in batch for part in (pack(len(value)), value)]))
        self.file.flush()

    def index(self) -> None:
        """Make the list of positions that ``read`` uses, outside of its time."""
        position = 0
        for value in self._values():
            self.positions.append(position + self.prefix.size)
            position += self.prefix.size + len(value)
        self.positions.append(position + self.prefix.size)

    def read(self, offsets: Sequence[int]) -> int:
        positions, pread, total = self.positions, os.pread, 0
        prefix_bytes = self.prefix.size
        with open(self.path, "rb", buffering=0) as file:
            descriptor = file.fileno()
            for offset in offsets:
                position = positions[offset]
                total += len(pread(descriptor, positions[offset + 1] - position - prefix_bytes, position))
        return total

    def scan(self) -> int:
        return sum(len(value) for value in self._values())

    def _values(self) -> Iterator[bytes]:
        unpack, prefix_bytes = self.prefix.unpack, self.prefix.size
        with open(self.path, "rb", buffering=1 << 16) as file:
            read = file.read
            while prefix := read(prefix_bytes):
                yield read(unpack(prefix)[0])

    def close(self) -> None:
        self.file.close()


class SqliteTable:
    """One table of an SQLite database in WAL mode."""

    insert = "INSERT INTO record (value) VALUES (?)"

    def __init__(self, directory: str, durable: bool) -> None:
        import sqlite3

        self.durable = durable
        self.database = sqlite3.connect(os.path.join(directory, "records.sqlite"), isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self.database.execute("CREATE TABLE record (id INTEGER PRIMARY KEY, value BLOB)")

    def append(self, values: Sequence[bytes]) -> None:
        execute, insert = self.database.execute, self.insert
        step = 1 if self.durable else BATCH_COUNT
        for start in range(0, len(values), step):
            execute("BEGIN")
            for value in values[start : start + step]:
                execute(insert, (value,))
            execute("COMMIT")

    def append_many(self, batches: Sequence[Sequence[bytes]]) -> None:
        for batch in batches:
            self.database.execute("BEGIN")
            self.database.executemany(self.insert, ((value,) for value in batch))
            self.database.execute("COMMIT")

    def read(self, offsets: Sequence[int]) -> int:
        execute, total = self.database.execute, 0
        for offset in offsets:
            total += len(execute("SELECT value FROM record WHERE id = ?", (offset + 1,)).fetchone()[0])
        return total

    def scan(self) -> int:
        return sum(len(value) for (value,) in self.database.execute("SELECT value FROM record ORDER BY id"))

    def close(self) -> None:
        self.database.close()


CONTENDERS: dict[str, Callable[[str, bool], Contender]] = {
    "striate": StriateLog,
    "file": PlainFile,
    "sqlite": SqliteTable,
}


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - started, result


@contextmanager
def _opened(name: str, directory: str, durable: bool = False) -> Iterator[Contender]:
    """A contender with a new directory, which is removed afterwards."""
    place = os.path.join(directory, name)
    os.mkdir(place)
    try:
        with closing(CONTENDERS[name](place, durable)) as store:
            yield store
    finally:
        shutil.rmtree(place)


def _round(name: str, directory: str, values: Sequence[bytes], durable_count: int) -> dict[str, float]:
    """Records per second of one contender, by case."""
    count = len(values)
    batches = [values[start : start + BATCH_COUNT] for start in range(0, count, BATCH_COUNT)]
    offsets = random.Random(1).sample(range(count), count)
    seconds = {}
    with _opened(name, directory) as store:
        seconds["append"], _ = _timed(store.append, values)
        if isinstance(store, PlainFile):
            store.index()
        seconds["read"], read_bytes = _timed(store.read, offsets)
        seconds["scan"], scan_bytes = _timed(store.scan)
    assert read_bytes == scan_bytes == sum(map(len, values)), f"{name} did not give back what it was given"
    with _opened(name, directory) as store:
        seconds["append_many"], _ = _timed(store.append_many, batches)
    rates = {case: count / elapsed for case, elapsed in seconds.items()}
    synced = values[:durable_count]
    if synced:
        with _opened(name, directory, durable=True) as store:
            rates["durable"] = len(synced) / _timed(store.append, synced)[0]
    return rates


def measure(
    directory: str,
    values: Sequence[bytes],
    *,
    rounds: int,
    durable_count: int = 0,
    advance: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Measure all contenders in turn.

    Args:
        directory: where the files go meanwhile; nothing is left there.
        values: the records.
        rounds: how often; the median counts.
        durable_count: how many records to append one by one with a sync each; 0 leaves the case out.
        advance: is told how many of the ``rounds × contenders`` parts are done.

    Returns:
        ``records``, ``size_bytes``, ``rounds`` and ``cases``: for each case ``per_second`` (records,
        median, by contender) and ``ratio`` (striate's speed ÷ the contender's, median of the rounds'
        ratios).
    """
    names = [name for name in CONTENDERS if name != "sqlite" or _has_sqlite()]
    results: list[dict[str, dict[str, float]]] = []
    for number in range(rounds):
        result = {}
        for place, name in enumerate(names):
            result[name] = _round(name, directory, values, durable_count)
            advance(number * len(names) + place + 1)
        results.append(result)
    cases = {case: _summary(results, names, case) for case in CASES if case in results[0]["striate"]}
    return {"records": len(values), "size_bytes": sum(map(len, values)), "rounds": rounds, "cases": cases}


def _summary(results: Sequence[dict[str, dict[str, float]]], names: Sequence[str], case: str) -> dict[str, Any]:
    rates = {name: [result[name][case] for result in results] for name in names}
    ratios = {
        name: statistics.median(ours / theirs for ours, theirs in zip(rates["striate"], rates[name], strict=True))
        for name in names
        if name != "striate"
    }
    return {
        "per_second": {name: round(statistics.median(values)) for name, values in rates.items()},
        "ratio": {name: round(ratio, 2) for name, ratio in ratios.items()},
    }


def _has_sqlite() -> bool:
    """Whether this Python was built with SQLite; some are not."""
    try:
        import sqlite3  # noqa: F401
    except ImportError:
        return False
    return True
