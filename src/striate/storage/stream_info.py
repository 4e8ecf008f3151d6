"""What streams and groups are asked for and say of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from striate._native.streamentry import StreamEntry, StreamId
from striate.storage.arguments import integer

Id = StreamId | StreamEntry | str | int | tuple[int, int]
_MOST = 65536


def how_many(count: int | None) -> int:
    """Entries of one call."""
    return _MOST if count is None else integer(count, "count", 1, _MOST)


@dataclass(frozen=True)
class StreamInfo:
    """Figures of a stream at one moment.

    Attributes:
        length: entries that readers see. added: entries ever appended; the next one's ``offset``.
        last_id: the highest id ever given, ``StreamId("0-0")`` before the first. removed_id: the highest id that was
            removed one by one. trimmed_id: entries before it were trimmed.
        groups: names of the consumer groups.
    """

    length: int
    added: int
    last_id: StreamId
    removed_id: StreamId
    trimmed_id: StreamId
    groups: list[str]


@dataclass(frozen=True)
class GroupInfo:
    """Figures of a consumer group at one moment.

    Attributes:
        name: the group's. last_id: the last entry it gave to a consumer. offset: entries of the stream up to it.
        committed: entries of the stream before the first that is not acknowledged.
        pending: entries given and not acknowledged. first_pending, last_pending: their ids, or ``None``.
        lag: entries of the stream that no consumer has got yet. consumers: how many there are.
    """

    name: str
    last_id: StreamId
    offset: int
    committed: int
    pending: int
    first_pending: StreamId | None
    last_pending: StreamId | None
    lag: int
    consumers: int


@dataclass(frozen=True)
class ConsumerInfo:
    """Figures of a consumer of a group.

    Attributes:
        name: the consumer's. pending: entries it has got and not acknowledged. idle: seconds since it last asked.
        inactive: seconds since it last got something, or ``None`` when it never did.
    """

    name: str
    pending: int
    idle: float
    inactive: float | None


@dataclass(frozen=True)
class PendingEntry:
    """An entry that was given to a consumer and not acknowledged.

    Attributes:
        id: the entry's. consumer: who has it. idle: seconds since it was given. deliveries: how often it was.
    """

    id: StreamId
    consumer: str
    idle: float
    deliveries: int
