"""Small values that cross layers: enums and frozen dataclasses. No behaviour beyond formatting, no I/O."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = [
    "BytesLike",
    "CacheChange",
    "CacheStats",
    "CompactionResult",
    "Durability",
    "LogStats",
    "Mode",
    "Problem",
    "RecordKind",
    "RecoveredSegment",
    "RecoveryReport",
    "RepairReport",
    "SnapshotInfo",
    "VerifyReport",
]

BytesLike: TypeAlias = "bytes | bytearray | memoryview"
Durability: TypeAlias = Literal["power", "process"]
Mode: TypeAlias = Literal["a", "r"]


class RecordKind(enum.IntEnum):
    """What a record is for. The numbers are those on disk."""

    VALUE = 1
    TOMBSTONE = 2
    CONTROL = 3
    TRANSACTION = 4


@dataclass(frozen=True)
class RecoveredSegment:
    """What recovery found in one segment that was not sealed.

    Attributes:
        base_offset: the segment. verdict: ``clean``, ``sealed``, ``torn``, ``suspect``, ``distrusted`` or ``corrupt``.
        records: verified. set_aside_bytes: copied to ``broken_path`` and cut away.
    """

    base_offset: int
    verdict: str
    records: int
    set_aside_bytes: int = 0
    broken_path: str | None = None


@dataclass(frozen=True)
class RecoveryReport:
    """What opening a log found.

    Attributes:
        clean: the log had been closed in order. segments: one entry for each that was not.
        problems: damage that was not cut away; the log takes no appends while there is any.
        removed: leftovers of interrupted work that were deleted; no record was in them.
    """

    clean: bool = True
    segments: list[RecoveredSegment] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    @property
    def suspect(self) -> bool:
        """Whether a batch at the tail could be torn or rotten, and nobody can tell which."""
        return any(segment.verdict == "suspect" for segment in self.segments)

    @property
    def set_aside_bytes(self) -> int:
        """How many bytes were moved to ``.broken`` files."""
        return sum(segment.set_aside_bytes for segment in self.segments)


@dataclass(frozen=True)
class Problem:
    """One place where stored bytes are not what was written."""

    path: str
    position: int | None
    offset: int | None
    reason: str


@dataclass(frozen=True)
class VerifyReport:
    """Result of reading and checking every byte of a log."""

    records: int
    size_bytes: int
    problems: list[Problem]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class RepairReport:
    """Result of making a damaged log writable again."""

    records_kept: int
    records_lost: int
    bytes_set_aside: int
    broken_files: list[str]


@dataclass(frozen=True)
class CompactionResult:
    """Figures of one compaction."""

    records_before: int
    records_after: int
    bytes_before: int
    bytes_after: int
    segments_before: int
    segments_after: int


@dataclass(frozen=True)
class SnapshotInfo:
    """A snapshot that was taken."""

    path: str
    lowest_offset: int
    next_offset: int
    size_bytes: int


@dataclass(frozen=True)
class LogStats:
    """Figures of a log at one moment.

    Attributes:
        records: in the log. size_bytes: of their frames. allocated_bytes: on disk, indexes included.
        lowest_offset, next_offset: the visible range, half-open. durable_offset: everything below is on disk.
        appends: records appended by this object. syncs: fdatasync calls it made for them.
        first_timestamp, last_timestamp: microseconds since the epoch, or ``None`` for an empty log.
    """

    records: int
    size_bytes: int
    allocated_bytes: int
    segments: int
    lowest_offset: int
    next_offset: int
    durable_offset: int
    appends: int
    syncs: int
    first_timestamp: int | None
    last_timestamp: int | None


@dataclass(frozen=True)
class CacheStats:
    """Figures of a cache or of one of its namespaces, counted exactly.

    Attributes:
        hits, misses: of everything that reads a value; ``peek`` and ``in`` do not count.
        insertions, updates: values stored for new keys, and in the place of others.
        deletions: entries that were deleted, cleared or invalidated. evictions: that made room for others.
        expirations: whose time had come. entries: there now.
        bytes: what ``max_bytes`` is about: each entry's key, value and header, and 16 for its place in the index.
        memory_bytes: what the whole cache, index, free space and all namespaces included, has taken from the system.
        counters: how many entries there are for which a predicate holds, by name: :meth:`striate.Cache.add_counter`.
    """

    hits: int
    misses: int
    insertions: int
    updates: int
    deletions: int
    evictions: int
    expirations: int
    entries: int
    bytes: int
    memory_bytes: int
    counters: dict[str, int] = field(default_factory=dict, hash=False)

    @property
    def hit_ratio(self) -> float:
        """Hits among all reads; 0 before the first."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


@dataclass(frozen=True)
class CacheChange:
    """What happened to one key of a cache.

    Attributes:
        sequence: grows strictly over all changes of the cache and its namespaces; gaps are others' or missed ones.
        kind: ``created``, ``replaced``, ``patched`` (``incr``), ``deleted``, ``expired``, ``evicted``; or ``missed``:
            the listener was too slow for ``missed`` changes before this place, and all else is empty.
        key, old, new: the values are as the cache decodes them; ``None`` where there is none.
        source: on whose behalf it was done, as given to :meth:`striate.Cache.from_source`; ``None``: nobody else's.
            Expiry and eviction are the cache's own doing, whoever stored the entry.
    """

    sequence: int
    kind: Literal["created", "replaced", "patched", "deleted", "expired", "evicted", "missed"]
    key: bytes
    old: object = None
    new: object = None
    missed: int = 0
    source: str | None = None
