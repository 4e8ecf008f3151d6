"""What a database may hold after a crash, as plain data: the oracle its tables are compared with.

A state is a list of commits, each with the offset at which the log ends after it. Whatever is lost is lost from the
end, and a commit as a whole; so what a recovered database shows tells which commits it has, and must be exactly what
they lead to. The names of the tables are keys too, of a table without a name.

What may not live here: the database itself, and the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

CATALOG = ""
Key = tuple[str, bytes]  # table and key


def section_of(key: Key) -> str:
    """The table or stream that a key is of; of a key of the catalog, that which it names."""
    return key[1].decode() if key[0] == CATALOG else key[0].rpartition(" of ")[2]


def _at_once(key: Key) -> bool:
    return key[0] == CATALOG or key[0].startswith(("figures of ", "group of "))


class Value:
    """What a key was given; its version is filled in when the database has told it."""

    __slots__ = ("deadline_ms", "stored", "version")

    def __init__(self, stored: bytes, deadline_ms: int | None = None) -> None:
        self.stored = stored
        self.deadline_ms = deadline_ms
        self.version: int | None = None

    def __repr__(self) -> str:
        return f"Value({self.stored[:20]!r}{'…' if len(self.stored) > 20 else ''}, {self.deadline_ms})"


Changes = dict[Key, Value | None]


@dataclass(slots=True)
class Seen:
    """What a database shows: values and versions by key, at a moment of its clock."""

    end: int
    now_us: int
    rows: dict[Key, tuple[bytes, int]]


@dataclass(slots=True)
class Tables:
    """A state of a database, and how many of its last commits a crash may take.

    Attributes:
        end: the next offset of the log.
        durable, alive: what is below this is left by a power cut, and by the process being killed.
        commits: what changed, by the offset at which the log ends with it; in order.
    """

    end: int = 0
    durable: int = 0
    alive: int = 0
    commits: dict[int, Changes] = field(default_factory=dict)
    lowest: int = 0

    def committed(self, changes: Changes, records: int | None = None) -> Tables:
        """With a commit more, of a record for each change unless it is said how many; not known to be durable."""
        end = self.end + (len(changes) if records is None else records)
        return replace(self, end=end, commits={**self.commits, end: changes}) if end > self.end else self

    def cut(self, end: int) -> Tables:
        """With the commits up to an end only."""
        commits = {at: changes for at, changes in self.commits.items() if at <= end}
        return replace(self, end=end, durable=min(self.durable, end), alive=min(self.alive, end), commits=commits)

    def settled(self, durable: int) -> Tables:
        """After the operation has returned: a kill loses nothing, a power cut nothing below `durable`."""
        return replace(self, durable=max(self.durable, min(durable, self.end)), alive=self.end)

    def rows(self, now_us: int, end: int | None = None) -> dict[Key, Value]:
        """What the commits up to an end lead to."""
        found: dict[Key, Value] = {}
        for at, changes in self.commits.items():
            if end is not None and at > end:
                break
            for key, value in changes.items():
                if value is None:
                    found.pop(key, None)
                else:
                    found[key] = value
        return {
            key: value for key, value in found.items() if value.deadline_ms is None or value.deadline_ms * 1000 > now_us
        }

    def _dropped_after(self, end: int) -> set[str]:
        later = [changes for at, changes in self.commits.items() if at > end]
        return {
            section_of(key) for changes in later for key, value in changes.items() if (key[0], value) == (CATALOG, None)
        }

    def accepts(self, seen: Seen, *, killed: bool, running: bool = False) -> str:
        """Whether a recovered database may show `seen`, or a running one: an empty string, or what is wrong with it."""
        floor = self.alive if killed else self.durable
        if seen.end < floor:
            return f"lost: the log ends at {seen.end}, acknowledged up to {floor}"
        if seen.end > self.end:
            return f"ghosts: the log ends at {seen.end}, only {self.end} were ever appended"
        if seen.end and seen.end not in self.commits:
            return f"a transaction was broken: the log ends at {seen.end}, commits at {list(self.commits)}"
        return self.compare(seen, running=running)

    def compare(self, seen: Seen, *, running: bool) -> str:
        """Whether `seen` is what the commits up to its end lead to: an empty string, or what is wrong.

        A running database shows the names of tables and streams, what groups do and figures of streams also before they
        are durable, and does not show what is dropped or removed.
        """
        wanted = self.rows(seen.now_us, seen.end)
        if running:
            gone, latest = self._dropped_after(seen.end), self.rows(seen.now_us)
            stays = {key: value for key, value in wanted.items() if section_of(key) not in gone and not _at_once(key)}
            # An entry that is removed is so at once, one that is added when it is durable.
            wanted = {key: value for key, value in stays.items() if key in latest or not key[0].startswith("entry of ")}
            wanted |= {key: value for key, value in latest.items() if _at_once(key)}
        for key, (stored, version) in seen.rows.items():
            if key not in wanted:
                return f"back from the dead: {key} is {stored[:20]!r}, of version {version}"
            if stored != wanted[key].stored:
                return f"wrong value: {key} is {stored[:20]!r}, of version {version}; wanted is {wanted[key]}"
            if wanted[key].version not in (None, version):
                return f"wrong version: {key} has {version} and not {wanted[key].version}"
        missing = {key: wanted[key] for key in wanted.keys() - seen.rows.keys()}
        return f"lost: {missing}" if missing else ""
