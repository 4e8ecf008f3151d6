"""Options of XADD and XTRIM, and trimming by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from striate.commands.numbers import SYNTAX, integer
from striate.commands.registry import Arguments
from striate.commands.stream_ids import LOWEST, Id, id_after, id_before, pair, parse_id
from striate.commands.stream_keys import entries_between
from striate.protocol.replies import Failure

if TYPE_CHECKING:
    from striate.storage.stream import Stream

STEP: Final = 100
"""``~`` removes so many entries at once, or all, as Redis does with its nodes: so not each XADD writes a trim mark."""


@dataclass(slots=True)
class Options:
    """What stands between the key and the id, or behind the key of XTRIM."""

    make: bool = True
    length: int | None = None
    low: Id | None = None
    roughly: bool = False
    limit: int | None = None

    @property
    def trims(self) -> bool:
        """Whether anything is to be removed."""
        return self.length is not None or self.low is not None


def parse_options(arguments: Arguments, at: int, adding: bool) -> tuple[Options, int]:
    """Options from a place on, and where they end."""
    options = Options()
    while at < len(arguments):
        word, more = arguments[at].upper(), len(arguments) - 1 - at
        if adding and word == b"*":
            break
        if word in (b"MAXLEN", b"MINID") and more:
            at = _parse_threshold(arguments, at, options, word == b"MAXLEN")
        elif word == b"LIMIT" and more:
            options.limit = integer(arguments[at + 1])
            if options.limit < 0:
                raise Failure("ERR The LIMIT argument must be >= 0.")
            at += 2
        elif adding and word == b"NOMKSTREAM":
            options.make = False
            at += 1
        elif adding:
            break
        else:
            raise Failure(SYNTAX)
    _check(options, adding)
    return options, at


def _parse_threshold(arguments: Arguments, at: int, options: Options, by_length: bool) -> int:
    if options.trims:
        raise Failure("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
    at += 1
    if arguments[at] in (b"~", b"=") and at + 1 < len(arguments):
        options.roughly = arguments[at] == b"~"
        at += 1
    if by_length:
        options.length = integer(arguments[at])
        if options.length < 0:
            raise Failure("ERR The MAXLEN argument must be >= 0.")
    else:
        options.low = parse_id(arguments[at])
    return at + 1


def _check(options: Options, adding: bool) -> None:
    if not options.trims:
        if options.limit:
            raise Failure("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
        if not adding:
            raise Failure("ERR syntax error, XTRIM must be called with a trimming strategy")
    if options.limit is not None and not options.roughly:
        raise Failure("ERR syntax error, LIMIT cannot be used without the special ~ option")


def trim(stream: Stream[bytes], options: Options) -> int:
    """Remove entries from the beginning; how many."""
    if not options.roughly:
        if options.length is not None:
            return stream._trim_nowait(None, options.length)
        return stream._trim_nowait(options.low, -1)
    most = STEP * STEP if options.limit is None else options.limit or 1 << 62
    length, last = stream._figures()[4], pair(stream._figures()[0])
    if length <= most and (options.length == 0 or (options.low is not None and last < options.low)):
        return stream._trim_nowait(None, 0)
    if options.length is not None:
        surplus = min(length - options.length, most) // STEP * STEP
        return stream._trim_nowait(None, length - surplus) if surplus > 0 else 0
    return _trim_below(stream, options.low or LOWEST, most)


def _trim_below(stream: Stream[bytes], low: Id, most: int) -> int:
    stop = id_before(low)
    start: Id | None = LOWEST
    steps = 0
    while stop is not None and start is not None and (steps + 1) * STEP <= most:
        part = entries_between(stream, start, stop, STEP)
        if len(part) < STEP:
            break
        steps, start = steps + 1, id_after(pair(part[-1].id))
    return stream._trim_nowait(start, -1) if steps else 0
