"""The log as a dictionary: what it must hold after any operation, what compaction may and may not drop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A record without its offset and time."""

    key: bytes | None
    value: bytes
    tombstone: bool = False


def held(log: Any) -> dict[int, Entry]:
    """What a scan of a log gives."""
    return {record.offset: Entry(record.key, record.value, record.is_tombstone) for record in log.scan()}


def latest(records: dict[int, Entry]) -> dict[bytes, int]:
    """Key → offset of its last record."""
    return {entry.key: offset for offset, entry in records.items() if entry.key is not None}


class LogModel:
    """Records by offset, the lowest offset and the next one."""

    def __init__(self, initial_offset: int = 0) -> None:
        self.records: dict[int, Entry] = {}
        self.initial = self.low = self.next = initial_offset

    def copied(self) -> LogModel:
        """An independent copy."""
        other = copy(self)
        other.records = dict(self.records)
        return other

    def append(self, entries: Iterable[Entry]) -> range:
        start = self.next
        for entry in entries:
            self.records[self.next] = entry
            self.next += 1
        return range(start, self.next)

    def truncate_before(self, offset: int) -> int:
        self.low = max(self.low, offset)
        self.records = {o: entry for o, entry in self.records.items() if o >= self.low}
        return self.low

    def truncate_after(self, offset: int) -> int:
        self.records = {o: entry for o, entry in self.records.items() if o <= offset}
        self.next = min(self.next, offset + 1)
        return self.next

    def reset(self, offset: int | None = None) -> None:
        self.records = {}
        self.low = self.next = self.initial if offset is None else offset

    # ------------------------------------------------------------ comparing

    def difference(self, log: Any) -> str:
        """What a log gets wrong, or an empty string."""
        ends = log.lowest_offset, log.next_offset
        if ends != (self.low, self.next):
            return f"range is {ends}, wanted {(self.low, self.next)}"
        return difference(held(log), self.records)

    def unsound(self, after: dict[int, Entry], *, tombstones_may_go: bool = True) -> str:
        """Why `after` cannot be what compaction makes of this log, or an empty string."""
        for offset, entry in after.items():
            if self.records.get(offset) != entry:
                return f"offset {offset} is {entry}, was {self.records.get(offset)}"
        last = latest(self.records)
        kept: dict[bytes, list[int]] = {}
        for offset, entry in after.items():
            if entry.key is not None:
                kept.setdefault(entry.key, []).append(offset)
        for key, offset in last.items():
            if offset in after:
                continue
            if not self.records[offset].tombstone or not tombstones_may_go:
                return f"the latest record of {key!r}, offset {offset}, is gone"
            if kept.get(key):
                return f"the tombstone of {key!r} is gone, but its records at {kept[key]} are not"
        for offset, entry in self.records.items():
            if entry.key is None and offset not in after:
                return f"the record without key at offset {offset} is gone"
        return ""

    def adopt(self, log: Any) -> None:
        """Take what compaction or retention left as the state to compare with from now on."""
        self.records = held(log)
        self.low, self.next = log.lowest_offset, log.next_offset


def difference(got: dict[int, Entry], wanted: dict[int, Entry]) -> str:
    """The first few places where two sets of records differ, or an empty string."""
    if got == wanted and list(got) == list(wanted):
        return ""
    parts = []
    if lost := [offset for offset in wanted if offset not in got]:
        parts.append(f"lost {shortened(lost)}")
    if added := [offset for offset in got if offset not in wanted]:
        parts.append(f"never written {shortened(added)}")
    if changed := [offset for offset in got if offset in wanted and got[offset] != wanted[offset]]:
        first = changed[0]
        parts.append(f"changed {shortened(changed)}, first {got[first]!r:.120} for {wanted[first]!r:.120}")
    return "; ".join(parts) or "the order of offsets differs"


def shortened(offsets: Sequence[int]) -> str:
    return f"{len(offsets)} records: {list(offsets[:8])}"
