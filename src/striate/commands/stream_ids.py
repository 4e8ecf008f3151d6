"""Ids of entries as Redis clients write them."""

from __future__ import annotations

import re
from typing import Final

from striate._native.streamentry import StreamId
from striate.protocol.replies import Failure

Id = tuple[int, int]
HIGHEST_PART: Final = (1 << 64) - 1
LOWEST: Final[Id] = (0, 0)
HIGHEST: Final[Id] = (HIGHEST_PART, HIGHEST_PART)
_ID: Final = re.compile(rb"(\d{1,20})(?:-(\d{1,20}))?")


def parse_id(text: bytes, seq: int = 0) -> Id:
    """An id; ``seq``: its second half where only the first is given."""
    match = _ID.fullmatch(text)
    if match is not None:
        ms = int(match[1])
        second = seq if match[2] is None else int(match[2])
        if ms <= HIGHEST_PART and second <= HIGHEST_PART:
            return ms, second
    raise Failure("ERR Invalid stream ID specified as stream command argument")


def _parse_end(text: bytes, seq: int) -> Id:
    if text == b"-":
        return LOWEST
    if text == b"+":
        return HIGHEST
    return parse_id(text, seq)


def parse_start(text: bytes) -> Id:
    """Where a range begins: an id, one to leave out after ``(``, or an end of the stream."""
    if not text.startswith(b"(") or len(text) == 1:
        return _parse_end(text, 0)
    after = id_after(parse_id(text[1:], 0))
    if after is None:
        raise Failure("ERR invalid start ID for the interval")
    return after


def parse_stop(text: bytes) -> Id:
    """Where a range ends, as :func:`parse_start`."""
    if not text.startswith(b"(") or len(text) == 1:
        return _parse_end(text, HIGHEST_PART)
    before = id_before(parse_id(text[1:], HIGHEST_PART))
    if before is None:
        raise Failure("ERR invalid end ID for the interval")
    return before


def id_after(id: Id) -> Id | None:
    """The next id, ``None`` behind the highest."""
    if id[1] < HIGHEST_PART:
        return id[0], id[1] + 1
    return None if id[0] == HIGHEST_PART else (id[0] + 1, 0)


def id_before(id: Id) -> Id | None:
    """The id before, ``None`` for the lowest."""
    if id[1]:
        return id[0], id[1] - 1
    return (id[0] - 1, HIGHEST_PART) if id[0] else None


def pair(id: StreamId) -> Id:
    """Both halves."""
    return id.ms, id.seq


def id_bytes(id: StreamId | Id) -> bytes:
    """An id in a reply."""
    return b"%d-%d" % (id if isinstance(id, tuple) else (id.ms, id.seq))
