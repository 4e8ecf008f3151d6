"""What a log may hold after a crash, as plain data: the oracle the recovered log is compared with.

What may not live here: the log itself, and the disk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

VALUE, TOMBSTONE = 1, 2


class Row:
    """A record that was appended; its timestamp is filled in when the log has told it."""

    __slots__ = ("key", "kind", "timestamp", "value")

    def __init__(self, value: bytes, key: bytes | None = None, kind: int = VALUE) -> None:
        self.value = value
        self.key = key
        self.kind = kind
        self.timestamp: int | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        same = (self.value, self.key, self.kind) == (other.value, other.key, other.kind)
        return same and (None in (self.timestamp, other.timestamp) or self.timestamp == other.timestamp)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Row({self.value[:20]!r}{'…' if len(self.value) > 20 else ''}, {self.key!r}, {self.kind})"


@dataclass(slots=True)
class Contents:
    """A state of a log, and how much of its end a crash may take.

    Attributes:
        lowest, end: the offsets, half-open. rows: the records by offset.
        durable, alive: what is below this is left by a power cut, and by the process being killed.
        ends: the offsets at which the log may end: a batch is kept or lost as a whole.
        optional: offsets whose records may or may not be there (a compaction is under way).
    """

    lowest: int = 0
    end: int = 0
    durable: int = 0
    alive: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    ends: frozenset[int] = frozenset({0})
    optional: frozenset[int] = frozenset()

    @classmethod
    def empty(cls, offset: int) -> Contents:
        """A log without records whose next offset is this."""
        return cls(offset, offset, offset, offset, {}, frozenset({offset}))

    def appended(self, rows: Iterable[Row]) -> Contents:
        """With a batch more at the end, not known to be durable or alive."""
        both = dict(self.rows)
        end = self.end
        for row in rows:
            both[end] = row
            end += 1
        return replace(self, end=end, rows=both, ends=self.ends | {end})

    def cut_before(self, offset: int) -> Contents:
        """Without the records below an offset."""
        rows = {number: row for number, row in self.rows.items() if number >= offset}
        return replace(
            self,
            lowest=offset,
            durable=max(self.durable, offset),
            alive=max(self.alive, offset),
            rows=rows,
            ends=frozenset({offset, *(end for end in self.ends if end >= offset)}),
        )

    def cut_after(self, end: int) -> Contents:
        """Without the records from `end` on."""
        rows = {number: row for number, row in self.rows.items() if number < end}
        return replace(
            self,
            end=end,
            durable=min(self.durable, end),
            alive=min(self.alive, end),
            rows=rows,
            ends=frozenset({end, *(number for number in self.ends if number <= end)}),
        )

    def become(self, other: Contents) -> None:
        """Take over another state, in place: notes point here, and only now has the log told what it dropped."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def settled(self, durable: int) -> Contents:
        """After the operation has returned: a kill loses nothing, a power cut nothing below `durable`."""
        return replace(self, durable=max(self.durable, min(durable, self.end)), alive=self.end)

    def compacted(self, rows: dict[int, Row]) -> Contents:
        """With only these rows left."""
        return replace(self, rows=rows, optional=frozenset())

    def accepts(self, seen: Contents, *, killed: bool) -> str:
        """Whether a recovered log may hold `seen`: an empty string, or what is wrong with it."""
        floor = self.alive if killed else self.durable
        if seen.lowest != self.lowest:
            return f"the lowest offset is {seen.lowest} and not {self.lowest}"
        if seen.end < floor:
            return f"lost: the log ends at {seen.end}, acknowledged up to {floor}"
        if seen.end > self.end:
            return f"ghosts: the log ends at {seen.end}, only {self.end} were ever appended"
        if seen.end not in self.ends:
            return f"a batch was broken: the log ends at {seen.end}, batches at {sorted(self.ends)}"
        return self._compare_rows(seen)

    def _compare_rows(self, seen: Contents) -> str:
        for offset, row in seen.rows.items():
            wanted = self.rows.get(offset)
            if wanted is None:
                return f"ghost: offset {offset} holds {row}, which is not there"
            if wanted != row:
                return f"wrong record: offset {offset} holds {row}, appended was {wanted}"
        for offset, row in self.rows.items():
            if self.lowest <= offset < seen.end and offset not in seen.rows and offset not in self.optional:
                return f"lost: offset {offset} with {row}"
        return ""


def survivors(rows: dict[int, Row]) -> set[int]:
    """Offsets that no compaction may drop: records without a key, and each key's newest unless it deletes."""
    newest = {row.key: offset for offset, row in sorted(rows.items()) if row.key is not None}
    kept = {offset for offset in newest.values() if rows[offset].kind != TOMBSTONE}
    return {offset for offset, row in rows.items() if row.key is None} | kept


@dataclass(slots=True)
class Expectation:
    """What a log may hold at one place of a trace: any of `settled`, or `begun` if something is under way."""

    settled: list[Contents]
    begun: Contents | None = None
    snapshots: dict[str, Contents] = field(default_factory=dict)
    copying: dict[str, Contents] = field(default_factory=dict)  # begun, perhaps never finished
    rotten: bool = False  # the log has to be repaired before it can be used
    operation: str = ""

    def follow(self, note: tuple[object, ...], states: list[Contents]) -> None:
        """Take in a note of the driver."""
        kind = note[1]
        if kind == "begin":
            self.operation = str(note[2])
            self.begun = states[int(str(note[3]))]
        elif kind == "end":
            self.settled = [states[int(str(note[3]))]]
            self.begun = None
        elif kind == "failed":  # a sync: nobody can say whether it was done
            self.settled = [replace(state, alive=state.durable) for state in self.candidates()]
            self.begun = None
        elif kind == "snapshot":
            self.snapshots = {**self.snapshots, str(note[2]): states[int(str(note[3]))]}
        elif kind in ("rotten", "repaired"):
            self.rotten = kind == "rotten"
        elif kind == "copying":
            self.copying = {**self.copying, str(note[2]): states[int(str(note[3]))]}

    def candidates(self) -> list[Contents]:
        """Every state the log may be in."""
        return [*self.settled, self.begun] if self.begun is not None else self.settled

    def accepts(self, seen: Contents, *, killed: bool) -> str:
        """Whether a recovered log may hold `seen`: an empty string, or what is wrong with it."""
        problems = [state.accepts(seen, killed=killed) for state in self.candidates()]
        return "" if "" in problems else "; or ".join(dict.fromkeys(problems))

    def after_crash(self, *, killed: bool) -> list[Contents]:
        """The states recovery starts from; what a power cut has taken once may be missing for ever."""
        if killed:
            return self.candidates()
        return [replace(state, alive=state.durable) for state in self.candidates()]
