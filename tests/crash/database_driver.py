"""Drives a database over a recording disk and writes beside each operation what it promises; as ``driver`` for logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from striate import ConflictError, Database, Table
from striate._native.simulation import SimulatedDisk
from striate.errors import SyncFailedError
from striate.storage import hints
from striate.storage.log import Log

from .driver import Options, Recorded
from .streams import observed
from .tables import CATALOG, Changes, Key, Seen, Tables, Value, section_of

NAMES = ("a", "b", "c")


class StoppedClock:
    """Microseconds that pass only when they are told to, in whole milliseconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


def observe(db: Database, now_us: int) -> Seen:
    """What readers see of a database, each way of reading compared with the others."""
    rows = {(CATALOG, name.encode()): (b"", 0) for name in db.tables()}
    for name in db.tables():
        table = db.stored(name)
        found = {key: (value, table.version(key)) for key, value in table.scan()}
        assert table.get_many([*found, b"never"]) == [*(value for value, _ in found.values()), None]
        assert all(key in table and table[key] == value for key, (value, _) in found.items())
        rows |= {(name, key): row for key, row in found.items()}
    for name in db.streams():
        rows[CATALOG, name.encode()] = b"", 0
        rows |= {key: (stored, 0) for key, stored in observed(db, name, now_us).items()}
    return Seen(db.log.next_offset, now_us, rows)


class DatabaseDriver(Recorded):
    """A database over a simulated disk, and the states it has gone through."""

    contents: Tables
    states: list[Tables]

    def __init__(
        self, root: str, disk: SimulatedDisk, options: Options, start: Tables, log_class: type[Log] = Log
    ) -> None:
        super().__init__(root, disk, options, start, log_class)
        self.path = root + "/db"
        self.clock = StoppedClock()
        self._db: Database | None = None

    @classmethod
    def empty(cls, options: Options) -> Tables:
        """A database without tables."""
        return Tables()

    @property
    def db(self) -> Database:
        """The open database."""
        assert self._db is not None, "the database is closed"
        return self._db

    @property
    def is_open(self) -> bool:
        """Whether a database is open."""
        return self._db is not None and not self._db.closed

    @property
    def power(self) -> bool:
        """Whether writes are durable when they return."""
        return self.options["durability"] == "power"

    def table(self, name: str) -> Table[bytes]:
        """A table, which is made if it is not there."""
        if (CATALOG, name.encode()) not in self.rows():
            self._run("table", [{(CATALOG, name.encode()): Value(b"")}], lambda: self.db.table(name), waits=False)
        return self.db.table(name)

    def rows(self) -> dict[Key, Value]:
        """What the tables hold now, on disk or not."""
        return self.contents.rows(self.clock.now)

    # ------------------------------------------------------------ what is noted around each call

    def _run(
        self,
        name: str,
        commits: Sequence[Changes],
        call: Callable[[], Any],
        *,
        records: int | None = None,
        waits: bool = True,
    ) -> Any:
        """Make a call that leads to these commits; `waits`: it returns when they are durable, if that is promised."""
        after = self.contents
        for changes in commits:
            after = after.committed(changes, records)
        self._begin(name, after)
        result = call()
        self._settle(name, after, waits=waits and bool(commits))
        return result

    def _settle(self, name: str, after: Tables, *, waits: bool = True) -> None:
        log = self.db.log
        assert log._written_next == after.end, f"{name} left the log at {log._written_next} and not {after.end}"
        if waits and self.power:
            assert log.durable_offset == after.end, f"{name} returned, and what it did is not durable"
        after = after.settled(log.durable_offset)
        seen = self.observe()
        problem = after.compare(seen, running=True)
        assert not problem, f"after {name}: {problem}"
        if seen.end == after.end:
            self._learn_versions(after, seen)
        self._end(name, after)

    def _learn_versions(self, after: Tables, seen: Seen) -> None:
        for key, value in after.rows(self.clock.now).items():
            if key[0] != CATALOG:
                assert value.version in (None, seen.rows[key][1]), f"{key} has got another version"
                value.version = seen.rows[key][1]
        for name in self.db.tables():
            assert len(self.db.stored(name)) == sum(key[0] == name for key in seen.rows)

    def observe(self) -> Seen:
        """What readers see."""
        return observe(self.db, self.clock.now)

    # ------------------------------------------------------------ opening and closing

    def _opened(self) -> Database:
        options = {"compaction_interval_s": None, **self.options}
        return Database(self.path, clock=self.clock, _disk=self.disk, **options)

    def open(self) -> None:
        """Open the database."""
        self._begin("open", self.contents)
        self._db = self._opened()
        self._settle("open", self.contents)

    def recover(self, candidates: Sequence[Tables], *, killed: bool) -> str:
        """Open a database after a crash, and go on from what it shows; empty, or what is wrong with that."""
        self._db = self._opened()
        return self.take(candidates, killed=killed, running=False)

    def take(self, candidates: Sequence[Tables], *, killed: bool, running: bool) -> str:
        """Go on from what the database shows, which one of the candidates must accept."""
        seen = self.observe()
        problems = {state.accepts(seen, killed=killed, running=running): state for state in candidates}
        if "" not in problems:
            return "; or ".join(problems)
        log = self.db.log
        self._settle("take", problems[""].cut(log._written_next), waits=False)
        return ""

    def close(self) -> None:
        """Close the database in order: all of it is durable then, in any mode."""
        self._begin("close", self.contents)
        self.db.close()
        self._db = None
        self._end("close", self.contents.settled(self.contents.end))

    def close_failed(self) -> None:
        """Close a database that has seen a failed sync."""
        with suppress(SyncFailedError):
            if self._db is not None:
                self._db.close()
        self._db = None

    def reopen(self) -> None:
        """Close and open."""
        self.close()
        self.open()

    def forget_hints(self) -> None:
        """Remove the hints of a closed database, which may be done at any time."""
        self._begin("forget_hints", self.contents)
        hints.drop(self.disk, self.path)
        self._end("forget_hints", self.contents)

    # ------------------------------------------------------------ writing

    def _value(self, size: int, ttl: float | None = None) -> Value:
        end = None if ttl is None else self.clock.now // 1000 + int(ttl * 1000)
        return Value(self.value(size), end)

    def set(self, name: str, key: bytes, size: int, ttl: float | None = None) -> None:
        """Store a value of about this size."""
        table, value = self.table(name), self._value(size, ttl)
        self._run("set", [{(name, key): value}], lambda: table.set(key, value.stored, ttl=ttl))

    def delete(self, name: str, key: bytes) -> None:
        """Remove a key, if it is there."""
        table, there = self.table(name), (name, key) in self.rows()
        result = self._run("delete", [{(name, key): None}] if there else [], lambda: table.delete(key))
        assert result == there, "delete() does not know whether the key was there"

    def increment(self, name: str, key: bytes) -> None:
        """Count."""
        table, before = self.table(name), self.rows().get((name, key))
        wanted = int(before.stored) + 1 if before else 1
        after = Value(b"%d" % wanted, before.deadline_ms if before else None)
        assert self._run("increment", [{(name, key): after}], lambda: table.increment(key)) == wanted

    def touch(self, name: str, key: bytes, ttl: float | None) -> None:
        """Let a key expire at another time, if it is there."""
        table, before = self.table(name), self.rows().get((name, key))
        end = None if ttl is None else self.clock.now // 1000 + int(ttl * 1000)
        commits: list[Changes] = [{(name, key): Value(before.stored, end)}] if before else []
        assert self._run("touch", commits, lambda: table.touch(key, ttl)) == bool(before)

    def set_many(self, name: str, keys: Sequence[bytes], size: int, ttl: float | None = None) -> None:
        """Store many values as one transaction; of a key that comes twice the last one stays."""
        table = self.table(name)
        pairs = [(key, self._value(size, ttl)) for key in keys]
        changes: Changes = {(name, key): value for key, value in pairs}
        stored = [(key, value.stored) for key, value in pairs]
        self._run("set_many", [changes], lambda: table.set_many(stored, ttl=ttl), records=len(pairs))

    def delete_many(self, name: str, keys: Sequence[bytes]) -> None:
        """Remove many keys as one transaction."""
        table = self.table(name)
        changes: Changes = {(name, key): None for key in keys if (name, key) in self.rows()}
        assert self._run("delete_many", [changes], lambda: table.delete_many(keys)) == len(changes)

    def dropping(self, name: str) -> Changes:
        """What changes when a table or stream is dropped."""
        return {key: None for key in self.rows() if section_of(key) == name}

    def drop(self, name: str) -> None:
        """Drop a table, if it is there; one record, whatever is in it."""
        changes = self.dropping(name)
        assert self._run("drop", [changes] if changes else [], lambda: self.db.drop_table(name), records=1) == bool(
            changes
        )

    # ------------------------------------------------------------ transactions

    def _planned(self, random: Random, count: int) -> Iterator[tuple[str, bytes, Value | None]]:
        """Changes of some keys, each once; removals of what is there only, since others write nothing."""
        keys = {(random.choice(NAMES), b"k%d" % random.randrange(6)) for _ in range(count)}
        for name, key in sorted(keys):
            self.table(name)
            removed = (name, key) in self.rows() and random.random() < 0.3
            ttl = random.choice((None, None, 1.0, 100.0))
            yield name, key, None if removed else self._value(random.choice((1, 40, 300)), ttl)

    def transaction(self, random: Random, count: int = 4) -> None:
        """Change keys of several tables at once, and within it take back what came after a savepoint."""
        planned = list(self._planned(random, count))
        self.table("a")

        def call() -> None:
            with self.db.transaction() as tx:
                self._apply(tx, planned[: count // 2])
                with suppress(LookupError), tx.savepoint():
                    tx[self.db.table("a")][b"never"] = b"never"
                    self._apply(tx, [(name, key, Value(b"never")) for name, key, _ in planned])
                    raise LookupError
                self._apply(tx, planned[count // 2 :])

        changes: Changes = {(name, key): value for name, key, value in planned}
        self._run("transaction", [changes], call)

    def _apply(self, tx: Any, planned: Sequence[tuple[str, bytes, Value | None]]) -> None:
        for name, key, value in planned:
            if value is None:
                assert tx[self.db.table(name)].delete(key)
            else:
                end = value.deadline_ms
                ttl = None if end is None else end / 1000 - self.clock.now / 1e6
                tx[self.db.table(name)].set(key, value.stored, ttl=ttl)

    def conflict(self, name: str, key: bytes) -> None:
        """A transaction that loses to another write: of it there must be nothing."""
        table, value = self.table(name), self._value(20)

        def call() -> None:
            try:
                with self.db.transaction() as tx:
                    tx[table].get(key)
                    tx[table][b"never"] = b"never"
                    table.set(key, value.stored)
            except ConflictError:
                return
            raise AssertionError("a transaction was committed over another")

        self._run("conflict", [{(name, key): value}], call)

    def group(self, random: Random, count: int, *, compact: bool = False) -> None:
        """Several writes that wait for the disk together; `compact`: while they are not durable."""
        tables = {name: self.table(name) for name in NAMES}
        planned = list(self._planned(random, count))

        def call() -> None:
            for name, key, value in planned:
                if value is None:
                    assert tables[name]._remove_nowait(key)
                else:
                    assert tables[name]._write_nowait(key, value.stored, value.deadline_ms or 0) > 0
            problem = self.states[-1].compare(self.observe(), running=True)
            assert not problem, f"not durable and not as before: {problem}"
            if compact:
                self.db.compact(live_below=1.0)
            self.db._wait()

        self._run("group", [{(name, key): value} for name, key, value in planned], call)

    # ------------------------------------------------------------ upkeep

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.now += int(seconds * 1000) * 1000

    def sync(self) -> None:
        """Make everything durable."""
        self._run("sync", [], self.db.sync)
        assert self.contents.durable == self.contents.end, "sync() returned and left something behind"

    def compact(self, live_below: float = 2.0) -> None:
        """Write segments anew."""
        self._run("compact", [], lambda: self.db.compact(live_below=live_below))

    def snapshot(self, name: str) -> None:
        """Copy the database to a directory beside it; once it has returned, the copy is durable too."""
        self.states.append(replace(self.contents, durable=self.contents.end, alive=self.contents.end))
        copy = len(self.states) - 1
        self.disk.note("copying", name, copy)
        self._run("snapshot", [], lambda: self.db.snapshot(f"{self.root}/{name}"))
        self.disk.note("snapshot", name, copy)
