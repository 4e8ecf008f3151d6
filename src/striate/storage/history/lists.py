"""What reads of lists say by themselves: the order of appends, and what is wrong without a cycle."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from striate.errors import InvalidArgumentError
from striate.storage.history.model import Anomaly, Transaction

__all__ = ["KeyHistory", "Lists", "shown"]

MOST_SHOWN = 8


def shown(values: Sequence[Any]) -> str:
    """A list for a reader: its end, when it is long."""
    if len(values) <= MOST_SHOWN:
        return repr(list(values))
    return f"[… {len(values) - MOST_SHOWN} more …, {repr(list(values[-MOST_SHOWN:]))[1:]}"


class KeyHistory:
    """Everything that is known of one key.

    Attributes:
        writers: value → its transaction. replaced: value → the value the same transaction appended after it.
        reads: (transaction, what it read before its own appends), in order of discovery.
        order: the values in the order of their appends, as the longest read has them.
        positions: (transaction, how many of ``order`` it saw) of the reads that agree with ``order``.
        unobserved: transactions with an append that surely happened and is in no read.
    """

    __slots__ = ("key", "order", "positions", "reads", "replaced", "unobserved", "writers")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.writers: dict[Any, int] = {}
        self.replaced: dict[Any, Any] = {}
        self.reads: list[tuple[int, list[Any]]] = []
        self.order: list[Any] = []
        self.positions: list[tuple[int, int]] = []
        self.unobserved: list[int] = []


class Lists:
    """The keys of a history, and the anomalies that one key or one transaction shows alone.

    Attributes:
        keys: key → what is known of it. happened: for each transaction whether it certainly took effect.
    """

    def __init__(self, history: Sequence[Transaction]) -> None:
        self.history = history
        self.anomalies: list[Anomaly] = []
        self.keys: dict[Hashable, KeyHistory] = {}
        self.happened = [transaction.outcome == "ok" for transaction in history]
        self._collect_appends()
        for number, certain in enumerate(self.happened):
            if certain:
                self._collect_reads(number)
        self._discover_unknown()
        for known in self.keys.values():
            self._set_order(known)
            self._judge_elements(known)

    # ---------------------------------------------------------------- collecting

    def key(self, key: Hashable) -> KeyHistory:
        """What is known of a key, made when it is new."""
        known = self.keys.get(key)
        if known is None:
            known = self.keys[key] = KeyHistory(key)
        return known

    def _collect_appends(self) -> None:
        for number, transaction in enumerate(self.history):
            last: dict[Hashable, Any] = {}
            for kind, key, value in transaction.operations:
                if kind == "append":
                    known = self.key(key)
                    if value in known.writers:
                        raise InvalidArgumentError(
                            "history", "of appends whose value is unique in the key", (key, value)
                        )
                    known.writers[value] = number
                    if key in last:
                        known.replaced[last[key]] = value
                    last[key] = value
                elif kind != "read":
                    raise InvalidArgumentError("history", "of the operations 'append' and 'read'", kind)

    def _collect_reads(self, number: int) -> list[KeyHistory]:
        """Note what a transaction read of others; whatever contradicts its own earlier operations is internal."""
        before: dict[Hashable, list[Any]] = {}
        own: dict[Hashable, list[Any]] = {}
        touched = []
        for kind, key, value in self.history[number].operations:
            if kind == "append":
                own.setdefault(key, []).append(value)
                if key in before and value in before[key]:
                    self._report("internal", (number,), f"T{number} read {value!r} in {key!r} before it appended it")
                continue
            if value is None:
                continue
            mine = own.get(key, [])
            rest = len(value) - len(mine)
            sound = rest >= 0 and (not mine or value[rest:] == mine)
            if key in before:
                sound = sound and value[:rest] == before[key]
            elif sound:
                before[key] = value[:rest] if mine else value
                known = self.key(key)
                known.reads.append((number, before[key]))
                touched.append(known)
            if not sound:
                expected = f"{shown(before[key] + mine)}" if key in before else f"… and then {shown(mine)}"
                text = f"T{number} read {key!r} = {shown(value)}, but by its own operations it should be {expected}"
                self._report("internal", (number,), text)
        return touched

    def _discover_unknown(self) -> None:
        """Of unknown outcome, those whose append was read did happen; then their reads count as well."""
        waiting = list(self.keys.values())
        while waiting:
            known = waiting.pop()
            longest = max(known.reads, key=lambda read: len(read[1]), default=None)
            for value in longest[1] if longest else ():
                writer = known.writers.get(value)
                if writer is None or self.happened[writer] or self.history[writer].outcome == "fail":
                    continue
                self.happened[writer] = True
                waiting += self._collect_reads(writer)

    # ---------------------------------------------------------------- one key

    def _report(self, name: str, transactions: tuple[int, ...], text: str) -> None:
        self.anomalies.append(Anomaly(name, transactions, text))

    def _set_order(self, known: KeyHistory) -> None:
        key, reads = known.key, known.reads
        longest: tuple[int, list[Any]] | None = None
        for number, values in sorted(reads, key=lambda read: len(read[1]), reverse=True):
            if len(set(values)) == len(values):
                longest = number, values
                break
            twice = next(value for place, value in enumerate(values) if value in values[:place])
            self._report("duplicate element", (number,), f"T{number} read {key!r} = {shown(values)}, {twice!r} twice")
        known.order = order = longest[1] if longest else []
        seen = set(order)
        contradicted = False
        for number, values in reads:
            if order[: len(values)] == values:
                if not self._is_intermediate(known, number, values):
                    known.positions.append((number, len(values)))
                continue
            self._judge_stray(known, number, values, seen)
            seen.update(values)
            if longest and not contradicted and len(set(values)) == len(values):
                contradicted = True
                text = f"T{longest[0]} read {key!r} = {shown(order)}, T{number} read {shown(values)}"
                self._report("incompatible order", (longest[0], number), text)
        found = (writer for value, writer in known.writers.items() if value not in seen and self.happened[writer])
        known.unobserved = list(dict.fromkeys(found))

    def _is_intermediate(self, known: KeyHistory, number: int, values: list[Any]) -> bool:
        if not values or values[-1] not in known.replaced or known.writers[values[-1]] == number:
            return False
        writer, later = known.writers[values[-1]], known.replaced[values[-1]]
        text = f"T{number} read {known.key!r} = {shown(values)}, but T{writer} had still to append {later!r}"
        self._report("G1b", (writer, number), text)
        return True

    def _judge_elements(self, known: KeyHistory) -> None:
        """Elements of the order that nobody appended, or a transaction that failed."""
        spoiled: tuple[Any, int] | None = None
        for place, value in enumerate(known.order):
            writer = known.writers.get(value)
            if writer is not None and self.history[writer].outcome != "fail":
                if spoiled is not None:
                    wrong, failed = spoiled
                    text = f"T{writer} appended {value!r} to {known.key!r} behind {wrong!r} of T{failed}, which failed"
                    self._report("dirty update", (failed, writer), text)
                    spoiled = None
                continue
            reader = next(number for number, values in known.reads if len(values) > place and values[place] == value)
            self._judge_element(known, value, reader)
            spoiled = (value, writer) if writer is not None else None

    def _judge_stray(self, known: KeyHistory, number: int, values: list[Any], seen: set[Any]) -> None:
        for value in values:
            if value not in seen:
                self._judge_element(known, value, number)

    def _judge_element(self, known: KeyHistory, value: Any, reader: int) -> None:
        writer = known.writers.get(value)
        if writer is None:
            text = f"T{reader} read {value!r} in {known.key!r}, which nobody appended"
            self._report("phantom element", (reader,), text)
        elif self.history[writer].outcome == "fail":
            text = f"T{reader} read {value!r} in {known.key!r}, which T{writer} appended, and T{writer} failed"
            self._report("G1a", (writer, reader), text)

    # ---------------------------------------------------------------- for the graph

    def writers_in_order(self, known: KeyHistory) -> list[int | None]:
        """Who appended each element of the order; ``None`` for one that should not be there."""
        return [
            writer if writer is not None and self.happened[writer] else None
            for writer in map(known.writers.get, known.order)
        ]

    def lost_updates(self) -> Iterator[tuple[KeyHistory, int, int]]:
        """Pairs that read the same version of a key and both appended to it."""
        for known in self.keys.values():
            appenders = set(known.writers.values())
            first: dict[int, int] = {}
            for number, position in known.positions:
                if number in appenders and first.setdefault(position, number) != number:
                    yield known, first[position], number

    def lost_appends(self) -> Iterator[tuple[KeyHistory, int, int]]:
        """Acknowledged appends that no read has, though one was invoked after the acknowledgement, and that read."""
        history = self.history
        for known in self.keys.values():
            if not known.unobserved or not known.positions:
                continue
            reader = max((number for number, _ in known.positions), key=lambda number: history[number].invoked)
            for writer in known.unobserved:
                completed = history[writer].completed
                if history[writer].outcome == "ok" and completed is not None and completed < history[reader].invoked:
                    yield known, writer, reader
