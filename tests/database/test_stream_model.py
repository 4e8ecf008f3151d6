"""A stream and its groups against plain dicts, step by step: from a thread and from tasks, with reopening, hints,
compaction and a clock that moves.

A longer run: ``STRIATE_MODEL_EXAMPLES=1500 pytest tests/database/test_stream_model.py``.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.driver import InTasks, in_task

import striate
from striate.types import Durability

EXAMPLES = int(os.environ.get("STRIATE_MODEL_EXAMPLES", "40"))
Id = tuple[int, int]
HIGHEST = (1 << 64) - 1

values = st.binary(max_size=40)
keys = st.none() | st.binary(max_size=5)
group_names = st.sampled_from(["one", "two"])
consumer_names = st.sampled_from(["anna", "ben"])
positions = st.integers(0, 1 << 20)


@dataclass
class Pending:
    """An entry that was given to a consumer."""

    consumer: str
    since: int
    deliveries: int


@dataclass
class ModelGroup:
    """What the model knows of a group."""

    last: Id
    read: int
    pending: dict[Id, Pending] = field(default_factory=dict)
    consumers: set[str] = field(default_factory=set)


def pair(entry: Any) -> Id:
    """The id as the model has it."""
    made = entry if isinstance(entry, striate.StreamId) else entry.id
    return made.ms, made.seq


class StreamMachine(RuleBasedStateMachine):
    """Every operation on one stream, with its result. Calls go to the database, or in tasks to the async one."""

    durability: Durability = "process"
    tasks = False

    @initialize(offset_ids=st.booleans(), grouped=st.booleans())
    def start(self, offset_ids: bool, grouped: bool) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.now = 1_000_000_000_000
        self.ids: Any = "offset" if offset_ids else "time"
        self.entries: dict[Id, tuple[bytes, bytes | None, int]] = {}
        self.last = self.removed = self.low = (0, 0)
        self.added = 0
        self.groups: dict[str, ModelGroup] = {}
        self.runner = asyncio.Runner()
        self.open()
        if grouped:  # else most runs are over before anything is pending
            self.make_group("one", None)
            self.append_many(40, b"")
            self.deliver("one", "anna", 20, False)

    def open(self) -> None:
        path = Path(self.directory.name) / "db"
        options: dict[str, Any] = {"clock": lambda: self.now * 1000, "segment_bytes": 8192}
        opener = striate.aopen if self.tasks else striate.open
        db = in_task(self.runner, lambda: opener(path, self.durability, compaction_interval_s=None, **options))
        self.db: Any = InTasks(self.runner, db) if self.tasks else db
        stream = self.db.stream("s", ids=self.ids)
        self.stream: Any = InTasks(self.runner, stream) if self.tasks else stream

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.close()
            self.runner.close()
            self.directory.cleanup()

    # ------------------------------------------------------------ the model

    def next_id(self) -> Id:
        if self.ids == "offset":
            return self.added + 1, 0
        return (self.now, 0) if self.now > self.last[0] else (self.last[0], self.last[1] + 1)

    def note(self, id: Id, value: bytes, key: bytes | None) -> None:
        self.entries[id] = value, key, self.added
        self.last = id
        self.added += 1

    def pick(self, position: int) -> Id:
        """Some id that is or was there, or none at all."""
        known = [*self.entries, *(id for group in self.groups.values() for id in group.pending), (5, 5)]
        return known[position % len(known)]

    def added_until(self, id: Id) -> int:
        behind = [ordinal for other, (_, _, ordinal) in self.entries.items() if other > id]
        return behind[0] if behind else self.added

    def idle(self, one: Pending) -> int:
        return max(self.now - one.since, 0)

    def group(self, name: str) -> Any:
        """A handle on a group that may not be there."""
        if not self.tasks:
            return striate.Group(self.stream, name)
        stream = self.stream.own
        return InTasks(self.runner, striate.AsyncGroup(stream, striate.Group(stream._own, name)))

    def forget(self, kept: Any) -> None:
        self.entries = {id: entry for id, entry in self.entries.items() if kept(id)}

    # ------------------------------------------------------------ entries

    @rule(value=values, key=keys)
    def append(self, value: bytes, key: bytes | None) -> None:
        id = self.next_id()
        assert pair(self.stream.append(value, key)) == id
        self.note(id, value, key)

    @rule(count=st.sampled_from([0, 1, 3, 40, 700]), value=values)
    def append_many(self, count: int, value: bytes) -> None:
        made = self.stream.append_many([value + b"%d" % number for number in range(count)])
        for number in range(count):
            self.note(self.next_id(), value + b"%d" % number, None)
        assert [pair(id) for id in made] == list(self.entries)[len(self.entries) - count :]

    @rule(
        ahead=st.sampled_from([(0, 1), (1, 0), (0, 1 << 33), (1 << 33, 7), (0, 0), (-1, 5)]),
        value=values,
        text=st.booleans(),
    )
    def append_with_id(self, ahead: Id, value: bytes, text: bool) -> None:
        id = max(self.last[0] + ahead[0], 0), (self.last[1] if ahead[0] == 0 else 0) + ahead[1]
        wanted = f"{id[0]}-{id[1]}" if text else id
        allowed = id == self.next_id() if self.ids == "offset" else id > self.last
        if not allowed:
            with pytest.raises(striate.StreamIdError):
                self.stream.append(value, id=wanted)
            return
        assert pair(self.stream.append(value, id=wanted)) == id
        self.note(id, value, None)

    @rule(chosen=st.lists(positions, max_size=5))
    def delete(self, chosen: list[int]) -> None:
        ids = [self.pick(position) for position in chosen]
        there = {id for id in ids if id in self.entries}
        assert self.stream.delete(ids) == len(there)
        self.forget(lambda id: id not in there)
        self.removed = max([self.removed, *there])

    @rule(length=st.integers(0, 800))
    def trim_by_length(self, length: int) -> None:
        dropped = max(len(self.entries) - length, 0)
        assert self.stream.trim(max_length=length) == dropped
        if dropped:
            kept = list(self.entries)[dropped:]
            self.forget(lambda id: id in set(kept))
            self.low = (self.stream.info().trimmed_id.ms, self.stream.info().trimmed_id.seq)
            assert self.low <= min(kept, default=(HIGHEST, 0)) and self.low > (0, 0)

    @rule(position=positions)
    def trim_before(self, position: int) -> None:
        low = self.pick(position)
        dropped = sum(id < low for id in self.entries)
        assert self.stream.trim(before=low) == dropped
        if dropped:
            self.forget(lambda id: id >= low)
            self.low = min(low, (self.last[0], self.last[1] + 1))

    @rule(first=positions, second=positions, count=st.none() | st.integers(0, 300), backwards=st.booleans())
    def read_range(self, first: int, second: int, count: int | None, backwards: bool) -> None:
        low, high = self.pick(first), self.pick(second)
        expected = [(id, *entry[:2]) for id, entry in self.entries.items() if low <= id <= high]
        if backwards:
            expected.reverse()
            found = self.stream.reverse_range(high, low, count=count)
        else:
            found = self.stream.range(low, high, count=count)
        assert [(pair(entry), entry.value, entry.key) for entry in found] == expected[:count]
        id = self.pick(first)
        assert (id in self.stream) == (id in self.entries)

    # ------------------------------------------------------------ groups

    @rule(name=group_names, position=st.none() | positions)
    def make_group(self, name: str, position: int | None) -> None:
        start = None if position is None else self.pick(position)
        self.stream.group(name, start)
        if name not in self.groups:
            last = self.last if start is None else start
            self.groups[name] = ModelGroup(last, self.added_until(last))

    def known(self, name: str) -> ModelGroup | None:
        if name not in self.groups:
            with pytest.raises(striate.GroupNotFoundError):
                self.group(name).read("nobody")
        return self.groups.get(name)

    @rule(name=group_names, consumer=consumer_names, count=st.integers(1, 400), acknowledged=st.booleans())
    def deliver(self, name: str, consumer: str, count: int, acknowledged: bool) -> None:
        if (group := self.known(name)) is None:
            return
        found = self.group(name).read(consumer, count=count, acknowledged=acknowledged)
        expected = [id for id in self.entries if id > group.last][:count]
        assert [pair(entry) for entry in found] == expected
        assert all(entry.deliveries == 1 for entry in found)
        if not expected:
            return
        group.consumers.add(consumer)
        group.last, group.read = expected[-1], self.entries[expected[-1]][2] + 1
        if not acknowledged:
            group.pending |= {id: Pending(consumer, self.now, 1) for id in expected}

    @rule(name=group_names, consumer=consumer_names, position=positions, count=st.integers(1, 50))
    def deliver_again(self, name: str, consumer: str, position: int, count: int) -> None:
        if (group := self.known(name)) is None:
            return
        start = self.pick(position)
        found = self.group(name).read_again(consumer, start, count=count)
        own = sorted(id for id, one in group.pending.items() if one.consumer == consumer and id >= start)[:count]
        for id in own:
            group.pending[id].deliveries += 1
            group.pending[id].since = self.now
        expected = [
            (id, self.entries[id][0] if id in self.entries else None, group.pending[id].deliveries) for id in own
        ]
        assert [(pair(entry), entry.value, entry.deliveries) for entry in found] == expected

    @rule(name=group_names, chosen=st.lists(positions, max_size=6), all_of_them=st.booleans())
    def acknowledge(self, name: str, chosen: list[int], all_of_them: bool) -> None:
        if (group := self.known(name)) is None:
            return
        ids = list(group.pending)[: 1 + len(chosen) * 50] if all_of_them else [self.pick(at) for at in chosen]
        there = {id for id in ids if id in group.pending}
        assert self.group(name).acknowledge(ids) == len(there)
        for id in there:
            del group.pending[id]

    def take_over(self, group: ModelGroup, consumer: str, ids: list[Id], raised: bool) -> list[Id]:
        claimed = []
        for id in ids:
            if id not in self.entries:
                del group.pending[id]
                continue
            claimed.append(id)
            group.pending[id] = Pending(consumer, self.now, group.pending[id].deliveries + raised)
        if ids:
            group.consumers.add(consumer)
        return claimed

    @rule(
        name=group_names,
        consumer=consumer_names,
        chosen=st.lists(positions, max_size=6),
        idle=st.sampled_from([0, 10]),
        raised=st.booleans(),
    )
    def claim(self, name: str, consumer: str, chosen: list[int], idle: int, raised: bool) -> None:
        if (group := self.known(name)) is None:
            return
        ids = [self.pick(position) for position in chosen]
        found = self.group(name).claim(consumer, ids, min_idle=idle / 1000, count_delivery=raised)
        due = sorted({id for id in ids if id in group.pending and self.idle(group.pending[id]) >= idle})
        assert [pair(entry) for entry in found] == self.take_over(group, consumer, due, raised)

    @rule(name=group_names, consumer=consumer_names, position=positions, idle=st.sampled_from([0, 10]))
    def auto_claim(self, name: str, consumer: str, position: int, idle: int) -> None:
        if (group := self.known(name)) is None:
            return
        start: Any = self.pick(position)
        found: list[Any] = []
        due = sorted(id for id, one in group.pending.items() if id >= start and self.idle(one) >= idle)
        while start is not None:
            start, entries = self.group(name).auto_claim(consumer, idle / 1000, start, count=7)
            found += entries
        expected = [(id, group.pending[id].deliveries + 1) for id in due if id in self.entries]
        assert [(pair(entry), entry.deliveries) for entry in found] == expected
        self.take_over(group, consumer, due, True)

    @rule(name=group_names, position=st.none() | positions)
    def set_position(self, name: str, position: int | None) -> None:
        if (group := self.known(name)) is None:
            return
        group.last = self.last if position is None else self.pick(position)
        group.read = self.added_until(group.last)
        self.group(name).set_position(None if position is None else group.last)

    @rule(name=group_names, consumer=consumer_names, made=st.booleans())
    def change_consumers(self, name: str, consumer: str, made: bool) -> None:
        if (group := self.known(name)) is None:
            return
        if made:
            assert self.group(name).add_consumer(consumer) == (consumer not in group.consumers)
            group.consumers.add(consumer)
            return
        own = [id for id, one in group.pending.items() if one.consumer == consumer]
        assert self.group(name).delete_consumer(consumer) == len(own)
        group.consumers.discard(consumer)
        for id in own:
            del group.pending[id]

    @rule(name=group_names)
    def delete_group(self, name: str) -> None:
        if self.known(name) is not None:
            self.group(name).delete()
            del self.groups[name]

    # ------------------------------------------------------------ around it

    @rule(ms=st.integers(-5, 100))
    def tick(self, ms: int) -> None:
        self.now += ms

    @rule(with_hints=st.booleans())
    def reopen(self, with_hints: bool) -> None:
        self.db.close()
        if not with_hints:
            (Path(self.directory.name) / "db" / "hints").unlink(missing_ok=True)
        self.open()

    @rule(live_below=st.sampled_from([0.5, 2.0]))
    def compact(self, live_below: float) -> None:
        self.db.compact(live_below=live_below)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "db"):
            return
        info = self.stream.info()
        assert [pair(entry) for entry in self.stream] == list(self.entries)
        assert (info.length, info.added) == (len(self.entries), self.added)
        assert (pair(info.last_id), pair(info.removed_id), pair(info.trimmed_id)) == (self.last, self.removed, self.low)
        assert info.groups == sorted(self.groups)
        for name, group in self.groups.items():
            self.same_group(self.group(name), group)

    def same_group(self, real: Any, group: ModelGroup, entries: Any = None) -> None:
        entries = self.entries if entries is None else entries
        info = real.info()
        assert (pair(info.last_id), info.offset, info.pending) == (group.last, group.read, len(group.pending))
        assert info.lag == sum(id > group.last for id in entries)
        there = [entries[id][2] for id in entries if min(group.pending, default=(HIGHEST, 0)) <= id <= group.last]
        assert info.committed == min([group.read, *there[:1]])
        expected = [
            (id, one.consumer, self.idle(one) / 1000, one.deliveries) for id, one in sorted(group.pending.items())
        ]
        assert [(pair(one), one.consumer, one.idle, one.deliveries) for one in real.pending(count=None)] == expected
        counts = {name: sum(one.consumer == name for one in group.pending.values()) for name in group.consumers}
        assert {one.name: one.pending for one in real.consumers()} == counts


@pytest.mark.parametrize("durability", ["process", "power"])
@pytest.mark.parametrize("tasks", [False, True], ids=["thread", "tasks"])
def test_against_the_model(durability: Durability, tasks: bool) -> None:
    run_machine(StreamMachine, durability, tasks)


def run_machine(machine: type[StreamMachine], durability: Durability, tasks: bool = False) -> None:
    """Run it with other calls each time."""
    run_state_machine_as_test(
        type("Machine", (machine,), {"durability": durability, "tasks": tasks}),
        settings=settings(
            max_examples=EXAMPLES if durability == "process" else EXAMPLES // 2,
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
