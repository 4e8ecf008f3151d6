"""What a stream and its groups may hold, as rows that a state of a database can have beside those of its tables.

All that is known of a stream is in its rows, so the model of it is made from them anew for every operation.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from striate import Database, Group

from .tables import Changes, Key, Value

Id = tuple[int, int]
_ENTRY, _FIGURES, _GROUP = "entry of ", "figures of ", "group of "


@dataclass
class ModelGroup:
    """A consumer group: pending entries with their consumer, time in ms and deliveries."""

    last: Id = (0, 0)
    read: int = 0
    pending: dict[Id, tuple[str, int, int]] = field(default_factory=dict)
    consumers: list[str] = field(default_factory=list)


@dataclass
class ModelStream:
    """A stream: values and ordinals of entries, and the figures that go on when these are gone."""

    name: str
    entries: dict[Id, tuple[bytes, int]] = field(default_factory=dict)
    added: int = 0
    last: Id = (0, 0)
    removed: Id = (0, 0)
    low: Id = (0, 0)
    groups: dict[str, ModelGroup] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, rows: dict[Key, Value]) -> ModelStream:
        """The stream that some rows tell of."""
        made = cls(name)
        if (figures := rows.get((_FIGURES + name, b""))) is not None:
            made.added, made.last, made.removed, made.low = ast.literal_eval(figures.stored.decode())
        for (section, key), value in rows.items():
            if section == _ENTRY + name:
                made.entries[ast.literal_eval(key.decode())] = ast.literal_eval(value.stored.decode())
            elif section == _GROUP + name:
                made.groups[key.decode()] = ModelGroup(*ast.literal_eval(value.stored.decode()))
        made.entries = dict(sorted(made.entries.items()))
        return made

    def rows(self) -> dict[Key, bytes]:
        """The rows that tell of it."""
        rows = {(_ENTRY + self.name, repr(id).encode()): repr(entry).encode() for id, entry in self.entries.items()}
        for name, group in self.groups.items():
            told = (group.last, group.read, group.pending, sorted(group.consumers))
            rows[_GROUP + self.name, name.encode()] = repr(told).encode()
        if self.added:
            rows[_FIGURES + self.name, b""] = repr((self.added, self.last, self.removed, self.low)).encode()
        return rows

    def changes_from(self, before: dict[Key, Value]) -> Changes:
        """What has to change in the rows of the state before."""
        own = {_ENTRY + self.name, _FIGURES + self.name, _GROUP + self.name}
        after = self.rows()
        changes: Changes = {key: None for key in before if key[0] in own and key not in after}
        for key, stored in after.items():
            if key not in before or before[key].stored != stored:
                changes[key] = Value(stored)
        return changes

    # ------------------------------------------------------------ what happens to it

    def append(self, values: list[bytes], now_ms: int) -> None:
        """Entries of one batch."""
        for value in values:
            self.last = (now_ms, 0) if now_ms > self.last[0] else (self.last[0], self.last[1] + 1)
            self.entries[self.last] = value, self.added
            self.added += 1

    def remove(self, ids: list[Id]) -> int:
        """Remove single entries; how many there were."""
        there = {id for id in ids if id in self.entries}
        self.entries = {id: entry for id, entry in self.entries.items() if id not in there}
        self.removed = max([self.removed, *there])
        return len(there)

    def trim(self, length: int) -> int:
        """Keep the last entries; how many went."""
        gone = list(self.entries)[: max(len(self.entries) - length, 0)]
        if gone:
            self.entries = {id: entry for id, entry in self.entries.items() if id > gone[-1]}
            # The id of the first that stays, or the one behind the last.
            self.low = next(iter(self.entries), (self.last[0], self.last[1] + 1))
        return len(gone)

    def deliver(self, group: ModelGroup, consumer: str, count: int, now_ms: int) -> list[Id]:
        """Give entries to a consumer."""
        ids = [id for id in self.entries if id > group.last][:count]
        if ids:
            group.last, group.read = ids[-1], self.entries[ids[-1]][1] + 1
            group.pending |= dict.fromkeys(ids, (consumer, now_ms, 1))
            group.consumers = sorted({*group.consumers, consumer})
        return ids

    def auto_claim(self, group: ModelGroup, consumer: str, count: int, now_ms: int) -> tuple[list[Id], bool]:
        """Take over the first pending entries, and drop those that are gone; whether anything was written."""
        ids: list[Id] = []
        dropped = 0
        for id in sorted(group.pending):
            if count in (len(ids), dropped):
                break
            if id in self.entries:
                ids.append(id)
                group.pending[id] = consumer, now_ms, group.pending[id][2] + 1
            else:
                dropped += 1
                del group.pending[id]
        if ids or dropped:
            group.consumers = sorted({*group.consumers, consumer})
        group.pending = dict(sorted(group.pending.items()))
        return ids, bool(ids or dropped)


def observed(db: Database, name: str, now_us: int) -> dict[Key, bytes]:
    """The rows that a stream of a database shows."""
    stream = db.stream(name)
    info = stream.info()
    made = ModelStream(name, added=info.added)
    made.last, made.removed, made.low = ((id.ms, id.seq) for id in (info.last_id, info.removed_id, info.trimmed_id))
    entries = list(stream)
    assert [entry.id for entry in stream.reverse_range()] == [entry.id for entry in reversed(entries)]
    assert info.length == len(entries)
    made.entries = {(entry.id.ms, entry.id.seq): (entry.value, entry.offset) for entry in entries}
    for group_name in info.groups:
        group = Group(stream, group_name)
        figures = group.info()
        told = made.groups[group_name] = ModelGroup((figures.last_id.ms, figures.last_id.seq), figures.offset)
        for one in group.pending(count=None):
            since = round(now_us / 1000 - one.idle * 1000)
            told.pending[one.id.ms, one.id.seq] = one.consumer, since, one.deliveries
        told.consumers = sorted(consumer.name for consumer in group.consumers())
        # After a failed sync the lag counts entries that readers never see.
        assert figures.lag == sum(id > told.last for id in made.entries) or db.log._failed
    return made.rows()
