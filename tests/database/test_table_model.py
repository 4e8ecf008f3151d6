"""Tables and transactions against plain dicts, step by step: from a thread and from tasks, with reopening, hints,
compaction, snapshots and a clock that moves.

A longer run: ``STRIATE_MODEL_EXAMPLES=1500 pytest tests/database/test_table_model.py``.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.driver import in_task

import striate
from striate.types import Durability

EXAMPLES = int(os.environ.get("STRIATE_MODEL_EXAMPLES", "40"))

names = st.sampled_from(["a", "b"])
keys = st.one_of(st.integers(0, 8).map(lambda number: b"key %d" % number), st.binary(max_size=3))
values = st.one_of(st.binary(max_size=40), st.just(b"x" * 1500))
ttls = st.sampled_from([None, None, 0.001, 5, 1000])
# What a transaction does: an operation, a table, a key, a value.
steps = st.lists(
    st.tuples(st.sampled_from(["get", "set", "delete", "increment", "scan", "savepoint"]), names, keys, values),
    max_size=8,
)
meddling = st.none() | st.tuples(names, keys, values)


class Row:
    """What the model knows of a key."""

    def __init__(self, value: bytes, end: float) -> None:
        self.value, self.end = value, end


class TableMachine(RuleBasedStateMachine):
    """Every operation on two tables, with its result. Calls go to the database, or in tasks to the async one."""

    durability: Durability = "process"
    tasks = False

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.now = 1_000_000_000_000_000
        self.rows: dict[str, dict[bytes, Row]] = {"a": {}, "b": {}}
        self.copies = 0
        self.runner = asyncio.Runner()
        self.open()

    def do(self, call: Callable[[], Any]) -> Any:
        """What a call gives, here or in a task."""
        return in_task(self.runner, call) if self.tasks else call()

    def open(self) -> None:
        path = Path(self.directory.name) / "db"
        options: dict[str, Any] = {"segment_bytes": 8192, "compaction_interval_s": None, "clock": lambda: self.now}
        opener = striate.aopen if self.tasks else striate.open
        self.db: Any = self.do(lambda: opener(path, self.durability, **options))
        self.engine: striate.Database = self.db._opened if self.tasks else self.db
        self.tables: dict[str, Any] = {name: self.do(lambda name=name: self.db.table(name)) for name in "ab"}

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.do(self.db.close)
            self.directory.cleanup()
            self.runner.close()

    # ------------------------------------------------------------ the model

    def live(self, name: str) -> dict[bytes, Row]:
        self.rows[name] = {key: row for key, row in self.rows[name].items() if row.end > self.now}
        return self.rows[name]

    def end_of(self, ttl: float | None) -> float:
        # Whole milliseconds, rounded up.
        return float("inf") if ttl is None else -(-(self.now + round(ttl * 1e6)) // 1000) * 1000

    def put(self, name: str, key: bytes, value: bytes, ttl: float | None = None) -> None:
        self.rows[name][key] = Row(value, self.end_of(ttl))

    def counted(self, row: Row | None) -> int | None:
        """A number that can be incremented, or None."""
        if row is None:
            return 0
        digits = row.value.removeprefix(b"-")
        return int(row.value) if digits.isdigit() else None

    # ------------------------------------------------------------ single keys

    @rule(name=names, key=keys, value=values, ttl=ttls)
    def set(self, name: str, key: bytes, value: bytes, ttl: float | None) -> None:
        before = self.tables[name].version(key)
        assert self.do(lambda: self.tables[name].set(key, value, ttl=ttl)) > before
        self.put(name, key, value, ttl)

    @rule(name=names, key=keys, value=values, there=st.booleans(), ttl=ttls)
    def set_if(self, name: str, key: bytes, value: bytes, there: bool, ttl: float | None) -> None:
        table = self.tables[name]
        call = table.replace if there else table.add
        expected = (key in self.live(name)) == there
        assert self.do(lambda: call(key, value, ttl=ttl)) == expected
        if expected:
            self.put(name, key, value, ttl)

    @rule(name=names, key=keys, value=values, right=st.booleans())
    def compare_and_set(self, name: str, key: bytes, value: bytes, right: bool) -> None:
        table = self.tables[name]
        version = table.version(key)
        assert (version > 0) == (key in self.live(name))
        written = self.do(lambda: table.cas(key, value, version if right else version + 1))
        assert (written > version) if right else written == 0
        if right:
            self.put(name, key, value)

    @rule(name=names, key=keys)
    def delete(self, name: str, key: bytes) -> None:
        assert self.do(lambda: self.tables[name].delete(key)) == (self.live(name).pop(key, None) is not None)

    @rule(name=names, key=keys)
    def pop(self, name: str, key: bytes) -> None:
        row = self.live(name).pop(key, None)
        assert self.do(lambda: self.tables[name].pop(key, None)) == (row and row.value)

    @rule(name=names, key=keys, delta=st.integers(-5, 5))
    def increment(self, name: str, key: bytes, delta: int) -> None:
        row = self.live(name).get(key)
        number = self.counted(row)
        if number is None:
            with pytest.raises(striate.InvalidArgumentError):
                self.do(lambda: self.tables[name].increment(key, delta))
            return
        assert self.do(lambda: self.tables[name].increment(key, delta)) == number + delta
        self.rows[name][key] = Row(b"%d" % (number + delta), row.end if row else float("inf"))

    @rule(name=names, key=keys, ttl=ttls)
    def touch(self, name: str, key: bytes, ttl: float | None) -> None:
        row = self.live(name).get(key)
        assert self.do(lambda: self.tables[name].touch(key, ttl)) == (row is not None)
        if row is not None:
            row.end = self.end_of(ttl)

    # ------------------------------------------------------------ many

    @rule(name=names, items=st.lists(st.tuples(keys, values), max_size=6), ttl=ttls)
    def set_many(self, name: str, items: list[tuple[bytes, bytes]], ttl: float | None) -> None:
        self.do(lambda: self.tables[name].set_many(items, ttl=ttl))
        for key, value in items:
            self.put(name, key, value, ttl)

    @rule(name=names, chosen=st.lists(keys, max_size=5))
    def delete_many(self, name: str, chosen: list[bytes]) -> None:
        there = {key for key in chosen if key in self.live(name)}
        assert self.do(lambda: self.tables[name].delete_many(chosen)) == len(there)
        for key in there:
            del self.rows[name][key]

    @rule(name=names)
    def clear(self, name: str) -> None:
        self.do(self.tables[name].clear)
        self.rows[name] = {}

    # ------------------------------------------------------------ transactions

    def transact(
        self, own: dict[str, dict[bytes, Row]], tx: Any, work: list[tuple[str, str, bytes, bytes]]
    ) -> set[Any]:
        """Do some steps in a transaction and in a copy of the rows; what the transaction has read of others: keys
        and whole tables."""
        read: set[Any] = set()
        for operation, name, key, value in work:
            table, rows = tx[self.tables[name]], own[name]
            touched = (name, key) in self.written
            if operation == "set":
                table[key] = value
                rows[key] = Row(value, float("inf"))
                self.written.add((name, key))
            elif operation == "scan":
                assert dict(table.scan()) == {key: row.value for key, row in rows.items()}
                read.add(name)
            elif operation == "savepoint":
                with suppress(ZeroDivisionError), tx.savepoint():
                    table[key] = b"never"
                    raise ZeroDivisionError
            else:
                if not touched:
                    read.add((name, key))
                read |= self.change(operation, table, rows, name, key)
        return read

    def change(self, operation: str, table: Any, rows: dict[bytes, Row], name: str, key: bytes) -> set[Any]:
        row = rows.get(key)
        if operation == "get":
            assert table.get(key) == (row and row.value)
        elif operation == "delete":
            assert table.delete(key) == (row is not None)
            if rows.pop(key, None) is not None:
                self.written.add((name, key))
        elif (number := self.counted(row)) is None:
            with pytest.raises(striate.InvalidArgumentError):
                table.increment(key)
        else:
            assert table.increment(key) == number + 1
            rows[key] = Row(b"%d" % (number + 1), row.end if row else float("inf"))
            self.written.add((name, key))
        return set()

    @rule(work=steps, other=meddling, commits=st.booleans())
    def transaction(
        self, work: list[tuple[str, str, bytes, bytes]], other: tuple[str, bytes, bytes] | None, commits: bool
    ) -> None:
        """A transaction, and somebody who changes a key before it commits: a conflict if it had read that."""
        own = {name: {key: Row(row.value, row.end) for key, row in self.live(name).items()} for name in "ab"}
        self.written: set[tuple[str, bytes]] = set()
        tx = self.do(self.db.transaction)
        read = self.transact(own, tx, work)
        if other is not None:
            name, key, value = other
            self.do(lambda: self.tables[name].set(key, value))
            self.put(name, key, value)
        if not commits:
            tx.rollback()
            return
        if other is not None and ((name, key) in read or name in read):
            with pytest.raises(striate.ConflictError) as caught:
                self.do(tx.commit)
            assert caught.value.key in (key, None)
            return
        self.do(tx.commit)
        for changed_name, changed in self.written:
            if changed in own[changed_name]:
                self.rows[changed_name][changed] = own[changed_name][changed]
            else:
                self.rows[changed_name].pop(changed, None)

    # ------------------------------------------------------------ around it

    @rule(seconds=st.sampled_from([0.0005, 1, 10, 2000]))
    def tick(self, seconds: float) -> None:
        self.now += int(seconds * 1e6)

    @rule(with_hints=st.booleans())
    def reopen(self, with_hints: bool) -> None:
        self.do(self.db.close)
        if not with_hints:
            (Path(self.directory.name) / "db" / "hints").unlink(missing_ok=True)
        self.open()

    @rule(live_below=st.sampled_from([0.5, 2.0]))
    def compact(self, live_below: float) -> None:
        self.engine.compact(live_below=live_below)

    @rule()
    def snapshot(self) -> None:
        self.copies += 1
        target = Path(self.directory.name) / f"copy {self.copies}"
        self.engine.snapshot(target)
        with striate.open(target, "process", compaction_interval_s=None, clock=lambda: self.now) as copy:
            for name in copy.tables():
                assert dict(copy.table(name)) == {key: row.value for key, row in self.live(name).items()}

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "tables"):
            return
        for name, table in self.tables.items():
            rows = self.live(name)
            assert dict(table.scan()) == {key: row.value for key, row in rows.items()}
            assert len(table) == len(rows) and sorted(table) == sorted(rows)
            asked = [*rows, b"never"]
            assert table.get_many(asked) == [*(row.value for row in rows.values()), None]
            for key, row in rows.items():
                left = table.ttl(key)
                assert (left is None) == (row.end == float("inf")) and (
                    left is None or left == (row.end - self.now) / 1e6
                )


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("tasks", [False, True], ids=["thread", "tasks"])
def test_against_the_model(durability: Durability, tasks: bool) -> None:
    run_state_machine_as_test(
        type("Machine", (TableMachine,), {"durability": durability, "tasks": tasks}),
        settings=settings(
            max_examples=EXAMPLES // 4,
            stateful_step_count=30,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
