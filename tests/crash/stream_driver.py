"""Drives streams and groups of a database over a recording disk, beside its tables."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from striate import Group, Stream

from .database_driver import DatabaseDriver
from .streams import Id, ModelGroup, ModelStream
from .tables import CATALOG, Changes, Value

STREAMS = ("s", "t")


class Batch:
    """What a transaction does with a stream and a group: calls, and how many records they come to."""

    def __init__(
        self, stream: Stream[bytes], group: Group[bytes], model: ModelStream, own: ModelGroup, now_ms: int
    ) -> None:
        self._stream, self._group, self._model, self._own, self._now_ms = stream, group, model, own, now_ms
        self.steps: list[Callable[[Any], None]] = []
        self.records = 0

    def plan(self, random: Random, value: Callable[[int], bytes]) -> None:
        """One call more."""
        stream, group = self._stream, self._group  # the calls must not hold this object, which holds them
        kind = random.choice(("append", "delete", "trim", "deliver", "acknowledge", "claim"))
        if kind == "append":
            values = [value(20) for _ in range(random.randrange(1, 4))]
            self._model.append(values, self._now_ms)
            self.records += len(values)
            self.steps.append(lambda tx: tx[stream].append_many(values) and None)
        elif kind == "delete":
            ids = [id for id in self._model.entries if random.random() < 0.3]
            self._expect(lambda tx: tx[stream].delete(ids), self._model.remove(ids))
        elif kind == "trim":
            length = random.randrange(8)
            self._expect(lambda tx: tx[stream].trim(max_length=length), self._model.trim(length))
        elif kind == "deliver":
            given = self._model.deliver(self._own, "worker", 3, self._now_ms)
            self._expect(lambda tx: len(tx[group].read("worker", count=3)), len(given))
        elif kind == "acknowledge":
            done = [id for id in self._own.pending if random.random() < 0.5]
            for id in done:
                del self._own.pending[id]
            self._expect(lambda tx: tx[group].acknowledge(done, strict=False), len(done))
        else:
            claimed, written = self._model.auto_claim(self._own, "other", 2, self._now_ms)
            self._expect(lambda tx: len(tx[group].auto_claim("other", 0.0, count=2)[1]), len(claimed), 2 * written)

    def _expect(self, call: Callable[[Any], int], count: int, records: int | None = None) -> None:
        self.records += int(count > 0) if records is None else records

        def step(tx: Any) -> None:
            assert call(tx) == count

        self.steps.append(step)


class StreamDriver(DatabaseDriver):
    """A database with streams over a simulated disk, and the states it has gone through."""

    @property
    def now_ms(self) -> int:
        """The clock."""
        return self.clock.now // 1000

    def stream(self, name: str) -> Stream[bytes]:
        """A stream, which is made if it is not there."""
        if (CATALOG, name.encode()) not in self.rows():
            self._run("stream", [{(CATALOG, name.encode()): Value(b"")}], lambda: self.db.stream(name), waits=False)
        return self.db.stream(name)

    def model(self, name: str) -> ModelStream:
        """What the stream holds now."""
        return ModelStream.of(name, self.rows())

    def _change(self, name: str, model: ModelStream, call: Callable[[], Any], records: int) -> Any:
        """Make a call that writes so many records and leads to this."""
        changes = model.changes_from(self.rows())
        return self._run(name, [changes] if records else [], call, records=records)

    # ------------------------------------------------------------ entries

    def append(self, name: str, count: int, size: int) -> None:
        """Append entries as one batch."""
        stream, model = self.stream(name), self.model(name)
        values = [self.value(size) for _ in range(count)]
        model.append(values, self.now_ms)
        self._change("append", model, lambda: stream.append_many(values), count)

    def remove(self, name: str, random: Random) -> None:
        """Remove some entries, and try some that are not there."""
        stream, model = self.stream(name), self.model(name)
        ids = [id for id in model.entries if random.random() < 0.4] + [(5, 5)]
        count = model.remove(ids)
        assert self._change("delete", model, lambda: stream.delete(ids), count > 0) == count

    def trim(self, name: str, length: int) -> None:
        """Keep the last entries."""
        stream, model = self.stream(name), self.model(name)
        count = model.trim(length)
        assert self._change("trim", model, lambda: stream.trim(max_length=length), count > 0) == count

    # ------------------------------------------------------------ groups

    def group(self, name: str) -> tuple[Group[bytes], ModelStream, ModelGroup]:
        """The group of a stream, made if it is not there, and what it is like."""
        stream, model = self.stream(name), self.model(name)
        if "g" not in model.groups:
            group = model.groups["g"] = ModelGroup()
            group.read = next(iter(model.entries.values()), (b"", model.added))[1]
            self._change("group", model, lambda: stream.group("g", "0"), 1)
        return Group(stream, "g"), model, model.groups["g"]

    def deliver(self, name: str, consumer: str, count: int) -> list[Id]:
        """Read through a group; it does not wait for the disk, so that is done here."""
        group, model, own = self.group(name)
        ids = model.deliver(own, consumer, count, self.now_ms)

        def call() -> Any:
            found = group.read(consumer, count=count)
            self.db._wait()
            return found

        found = self._change("read", model, call, bool(ids))
        assert [(entry.id.ms, entry.id.seq) for entry in found] == ids
        return ids

    def acknowledge(self, name: str, random: Random) -> None:
        """Acknowledge some of what is pending."""
        group, model, own = self.group(name)
        ids = [id for id in own.pending if random.random() < 0.6]
        for id in ids:
            del own.pending[id]
        assert self._change("acknowledge", model, lambda: group.acknowledge(ids), bool(ids)) == len(ids)

    def auto_claim(self, name: str, consumer: str, count: int) -> None:
        """Take over what is pending."""
        group, model, own = self.group(name)
        ids, written = model.auto_claim(own, consumer, count, self.now_ms)
        found = self._change(
            "auto_claim", model, lambda: group.auto_claim(consumer, 0.0, count=count), 2 if written else 0
        )
        assert [(entry.id.ms, entry.id.seq) for entry in found[1]] == ids

    def pipeline(self, random: Random) -> None:
        """Consume, change a table and produce in one transaction."""
        ids = self.deliver("s", "worker", random.randrange(1, 5))
        target, table = self.stream("t"), self.table("a")
        group, source, own = self.group("s")
        there = [id for id in ids if id in own.pending]
        if not there:
            return
        for id in there:
            del own.pending[id]
        values = [self.value(20) for _ in there]
        produced = self.model("t")
        produced.append(values, self.now_ms)
        value = self._value(30)

        def call() -> None:
            with self.db.transaction() as tx:
                tx[target].append_many(values)
                tx[table][b"k0"] = value.stored
                tx[group].acknowledge(there)

        changes = source.changes_from(self.rows()) | produced.changes_from(self.rows()) | {("a", b"k0"): value}
        self._run("pipeline", [changes], call, records=len(values) + 2)

    def drop_stream(self, name: str) -> None:
        """Drop a stream, if it is there."""
        changes = self.dropping(name)
        there = self._run("drop_stream", [changes] if changes else [], lambda: self.db.drop_stream(name), records=1)
        assert there == bool(changes)

    def mixed(self, random: Random) -> None:
        """Change a stream and its group in one transaction, and perhaps put another in place of one."""
        group, model, own = self.group("s")
        table, value = self.table("a"), self._value(30)
        self.stream("t")
        batch = Batch(self.db.stream("s"), group, model, own, self.now_ms)
        for _ in range(random.randrange(1, 6)):
            batch.plan(random, self.value)
        changes: Changes = {("a", b"k1"): value}
        replaced = random.random() < 0.4
        if replaced:
            again = ModelStream("t")
            again.append([b"again"], self.now_ms)
            changes |= self.dropping("t") | again.changes_from({}) | {(CATALOG, b"t"): Value(b"")}

        def call() -> None:
            with self.db.transaction() as tx:
                for step in batch.steps:
                    step(tx)
                tx[table][b"k1"] = value.stored
                if replaced:
                    assert tx.drop_stream("t")
                    tx.stream("t").append(b"again")

        changes |= model.changes_from(self.rows())
        self._run("mixed", [changes], call, records=batch.records + 1 + 3 * replaced)

    # ------------------------------------------------------------ upkeep

    def compact(self, live_below: float = 2.0) -> None:
        """Write segments anew, after what compaction would write of the streams, so that it is known how much."""
        for name in self.db.streams():
            stream = self.db.stream(name)
            if pieces := stream._pieces_to_save():
                self._run("save", [{}], lambda stream=stream: (stream._save_nowait(), self.db._wait()), records=pieces)
        super().compact(live_below)
