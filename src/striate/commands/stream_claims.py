"""XCLAIM and XAUTOCLAIM: taking over entries that another consumer has got and not acknowledged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from striate._native.streamentry import StreamEntry
from striate.commands.numbers import SYNTAX, integer
from striate.commands.registry import Arguments, command
from striate.commands.stream_fields import entry_reply
from striate.commands.stream_groups import pending_between
from striate.commands.stream_ids import HIGHEST, LOWEST, Id, id_after, id_bytes, pair, parse_id, parse_start
from striate.commands.stream_keys import check_name, group_handle, has_group, reads_streams, shown
from striate.protocol.replies import Failure, Reply

if TYPE_CHECKING:
    from striate.commands.session import Session
    from striate.storage.groups import Group
    from striate.storage.stream import Stream

_MOST_AT_ONCE: Final = 65536
_MOST_DELIVERIES: Final = (1 << 32) - 1


@dataclass(slots=True)
class _Claim:
    """Options of XCLAIM."""

    min_idle_ms: int
    delivered_ms: int | None = None
    deliveries: int | None = None
    force: bool = False
    only_ids: bool = False
    last_id: Id | None = None


def _group_of(session: Session, key: bytes, name: bytes) -> tuple[Stream[bytes], Group[bytes]]:
    stream = session.keyspace.stream(key)
    if stream is None or not has_group(stream, name):
        raise Failure(f"NOGROUP No such key '{shown(key)}' or consumer group '{shown(name)}'")
    return stream, group_handle(stream, name)


def _make_consumer(session: Session, key: bytes, group: Group[bytes], consumer: bytes) -> None:
    if group._set_consumer_nowait(consumer):
        session.changed("xgroup-createconsumer", key)


def _answer(entries: list[StreamEntry], only_ids: bool) -> list[Reply]:
    return [id_bytes(entry.id) if only_ids else entry_reply(entry) for entry in entries]


@command(
    "xclaim", -6, "write fast", (1, 1, 1), summary="Take over pending entries by ID.", group="stream", since="5.0.0"
)
@reads_streams
def xclaim(session: Session, arguments: Arguments) -> Reply:
    """``XCLAIM key group consumer min-idle-time id ... [option ...]``."""
    key = arguments[0]
    _, group = _group_of(session, key, arguments[1])
    consumer = check_name(arguments[2], "consumer")
    claim = _Claim(max(integer(arguments[3], "ERR Invalid min-idle-time argument for XCLAIM"), 0))
    ids, at = _parse_ids(arguments)
    _parse_options(arguments, at, claim, session.server.effects.now_ms())
    if claim.last_id is not None and pair(group._figures()[0]) < claim.last_id:
        group._set_nowait(claim.last_id, 2)
    _make_consumer(session, key, group, consumer)
    claimed = {pair(entry.id): entry for entry in _claim(group, consumer, ids, claim)}
    return _answer([claimed[id] for id in dict.fromkeys(ids) if id in claimed], claim.only_ids)


def _parse_ids(arguments: Arguments) -> tuple[list[Id], int]:
    ids = [parse_id(arguments[4])]
    for at in range(5, len(arguments)):
        try:
            ids.append(parse_id(arguments[at]))
        except Failure:
            return ids, at
    return ids, len(arguments)


def _parse_options(arguments: Arguments, at: int, claim: _Claim, now_ms: int) -> None:
    while at < len(arguments):
        word, more = arguments[at].upper(), at + 1 < len(arguments)
        if word in (b"FORCE", b"JUSTID"):
            claim.force |= word == b"FORCE"
            claim.only_ids |= word == b"JUSTID"
            at += 1
            continue
        if not more or word not in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID"):
            raise Failure(f"ERR Unrecognized XCLAIM option '{shown(arguments[at])}'")
        text = arguments[at + 1]
        if word == b"LASTID":
            claim.last_id = parse_id(text)
        else:
            value = integer(text, f"ERR Invalid {word.decode()} option argument for XCLAIM")
            if word == b"IDLE":
                claim.delivered_ms = min(max(now_ms - value, 0), now_ms)
            elif word == b"TIME":
                claim.delivered_ms = min(max(value, 0), now_ms)
            else:
                claim.deliveries = min(max(value, 0), _MOST_DELIVERIES)
        at += 2


def _claim(group: Group[bytes], consumer: bytes, ids: list[Id], claim: _Claim) -> list[StreamEntry]:
    raised = not claim.only_ids
    forced: list[Id] = []
    if claim.force and claim.deliveries is None:
        # Redis counts an entry that it makes pending as given once before.
        forced = [id for id in ids if not group._pending(id, id, 1)]
        ids = [id for id in ids if id not in set(forced)]
    found = group._claim_nowait(
        consumer, ids, claim.min_idle_ms, raised, claim.deliveries, claim.delivered_ms, claim.force
    )
    if forced:
        found += group._claim_nowait(
            consumer, forced, claim.min_idle_ms, raised, 2 if raised else 1, claim.delivered_ms, True
        )
    return found


@command(
    "xautoclaim",
    -6,
    "write fast",
    (1, 1, 1),
    summary="Take over entries that have been pending for long.",
    group="stream",
    since="6.2.0",
)
@reads_streams
def xautoclaim(session: Session, arguments: Arguments) -> Reply:
    """``XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]``."""
    min_idle_ms = max(integer(arguments[3], "ERR Invalid min-idle-time argument for XAUTOCLAIM"), 0)
    start = parse_start(arguments[4])
    count, only_ids, at = 100, False, 5
    while at < len(arguments):
        word = arguments[at].upper()
        if word == b"COUNT" and at + 1 < len(arguments):
            count = integer(arguments[at + 1], "ERR COUNT must be > 0")
            if not 0 < count <= (1 << 63) // 16 - 1:
                raise Failure("ERR COUNT must be > 0")
            at += 2
        elif word == b"JUSTID":
            only_ids = True
            at += 1
        else:
            raise Failure(SYNTAX)
    stream, group = _group_of(session, arguments[0], arguments[1])
    consumer = check_name(arguments[2], "consumer")
    _make_consumer(session, arguments[0], group, consumer)
    count = min(count, _MOST_AT_ONCE)
    gone = _gone(stream, group, start, count, min_idle_ms)
    if not gone:
        following, entries, _ = group._auto_claim_nowait(consumer, min_idle_ms, start, count, not only_ids)
        return [id_bytes(following or LOWEST), _answer(entries, only_ids), []]
    # As Redis: entries that are gone count too, and are named.
    met = [pair(id) for id, *_ in pending_between(group, start, HIGHEST, count, None, min_idle_ms)]
    group._acknowledge_nowait(gone)
    entries = group._claim_nowait(consumer, [id for id in met if id not in gone], min_idle_ms, not only_ids)
    after = id_after(met[-1])
    rest = group._pending(after, None, 1) if after is not None and len(met) == count else []
    return [id_bytes(rest[0][0] if rest else LOWEST), _answer(entries, only_ids), [id_bytes(id) for id in sorted(gone)]]


def _gone(stream: Stream[bytes], group: Group[bytes], start: Id, count: int, min_idle_ms: int) -> set[Id]:
    """Those of the next pending entries that are no longer in the stream."""
    _, removed, low, _, _ = stream._figures()
    highest = max(pair(removed), pair(low))
    if highest == LOWEST:
        return set()
    pending = pending_between(group, start, highest, count, None, min_idle_ms)
    return {pair(id) for id, *_ in pending if stream._get(id) is None}
