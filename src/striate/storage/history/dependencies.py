"""The edges between transactions, and in words why each is there."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from striate.errors import InvalidArgumentError
from striate.storage.history.graph import PASS, Graph
from striate.storage.history.lists import KeyHistory, Lists, shown
from striate.storage.history.model import Edge, EdgeKind, Transaction

__all__ = ["build_graph", "explained"]

WW, WR, RW, PROCESS, REALTIME = EdgeKind
MOST_DIRECT = 8


def build_graph(history: Sequence[Transaction], lists: Lists, *, process: bool, realtime: bool) -> Graph:
    """All edges of the transactions that happened. Linear in the size of the history."""
    graph = Graph(len(history))
    for known in lists.keys.values():
        _add_key(graph, known, lists.writers_in_order(known))
    invoked = sorted((n for n, certain in enumerate(lists.happened) if certain), key=lambda n: history[n].invoked)
    if process:
        _add_processes(graph, history, invoked)
    if realtime:
        _add_realtime(graph, history, invoked)
    return graph


def _add_key(graph: Graph, known: KeyHistory, writers: list[int | None]) -> None:
    last: list[int | None] = [None]  # who wrote the latest element before each position
    for writer in writers:
        if writer is not None and last[-1] is not None:
            graph.add(last[-1], writer, WW)
        last.append(last[-1] if writer is None else writer)
    following: list[int | None] = [None] * (len(writers) + 1)
    for place in range(len(writers) - 1, -1, -1):
        following[place] = following[place + 1] if writers[place] is None else writers[place]
    at_end = []
    for reader, position in known.positions:
        before, after = last[position], following[position]
        if before is not None:
            graph.add(before, reader, WR)
        if after is not None:
            graph.add(reader, after, RW)
        else:
            at_end.append(reader)
    if known.unobserved:
        _add_unobserved(graph, known.unobserved, last[-1], at_end)


def _add_unobserved(graph: Graph, writers: list[int], last: int | None, readers: list[int]) -> None:
    """What no read has stands behind all that was read. A helper bundles readers × writers."""
    for writer in writers:
        if last is not None:
            graph.add(last, writer, WW)
    if not readers:
        return
    helper = graph.helper()
    for writer in writers:
        graph.add(helper, writer, PASS)
    own = set(writers)
    for reader in readers:
        if reader not in own:
            graph.add(reader, helper, RW)
            continue
        for writer in writers[:MOST_DIRECT]:  # all of these lost updates, or at least one is
            graph.add(reader, writer, RW)


def _add_processes(graph: Graph, history: Sequence[Transaction], invoked: list[int]) -> None:
    """Each transaction after the one that its process completed before. What is unknown may take effect later."""
    last: dict[Hashable, int] = {}
    for number in invoked:
        transaction = history[number]
        before = last.get(transaction.process)
        if before is not None:
            graph.add(before, number, PROCESS)
        if transaction.outcome == "ok":
            last[transaction.process] = number


def _add_realtime(graph: Graph, history: Sequence[Transaction], invoked: list[int]) -> None:
    """A chain of helpers along the time: completions enter it, later invocations leave it."""
    ended = [(history[n].completed, n) for n in invoked if history[n].outcome == "ok"]
    completed = sorted((time, n) for time, n in ended if time is not None)
    place, moment = 0, -1
    for number in invoked:
        first = place
        while place < len(completed) and completed[place][0] < history[number].invoked:
            place += 1
        if place > first:
            following = graph.helper()
            if moment >= 0:
                graph.add(moment, following, PASS)
            moment = following
            for _, earlier in completed[first:place]:
                graph.add(earlier, moment, REALTIME)
        if moment >= 0:
            graph.add(moment, number, PASS)


def check_times(history: Sequence[Transaction]) -> None:
    """Refuse times that cannot be: a completion before its invocation, a process in two transactions at once."""
    busy: dict[Hashable, float] = {}
    for number in sorted(range(len(history)), key=lambda n: history[n].invoked):
        transaction = history[number]
        completed = transaction.completed
        if completed is None:
            if transaction.outcome != "unknown":
                raise InvalidArgumentError("history", "of completed transactions, or of unknown outcome", f"T{number}")
        elif completed < transaction.invoked:
            raise InvalidArgumentError("history", "completed after it was invoked", f"T{number}")
        if busy.get(transaction.process, transaction.invoked) > transaction.invoked:
            raise InvalidArgumentError("history", "of processes that do one thing at a time", f"T{number}")
        if completed is not None:
            busy[transaction.process] = completed


# ---------------------------------------------------------------- in words


def explained(history: Sequence[Transaction], lists: Lists, source: int, target: int, kind: int) -> Edge:
    """An edge of the graph with its reason."""
    if kind == PROCESS:
        reason = f"process {history[source].process!r} completed T{source} before it invoked T{target}"
    elif kind == REALTIME:
        first, second = history[source].completed, history[target].invoked
        reason = f"T{source} completed (at {first}) before T{target} was invoked (at {second})"
    else:
        reasons = (_reason(lists, known, source, target, kind) for known in _keys_of(history[source], lists))
        reason = next(filter(None, reasons))
    return Edge(source, target, EdgeKind(kind), reason)


def _keys_of(transaction: Transaction, lists: Lists) -> Iterator[KeyHistory]:
    for key in dict.fromkeys(key for _, key, _ in transaction.operations):
        if key in lists.keys:
            yield lists.keys[key]


def _reason(lists: Lists, known: KeyHistory, source: int, target: int, kind: int) -> str | None:
    """What this key says of the edge, if anything."""
    key, order, writers = known.key, known.order, lists.writers_in_order(known)
    if kind == WW:
        before = next((place for place, writer in enumerate(writers) if writer == source), len(order))
        after = next((place for place in range(before, len(order)) if writers[place] == target), None)
        if after is not None:
            return f"T{target} appended {order[after]!r} to {key!r} behind {order[before]!r} of T{source}"
        if before < len(order) and target in known.unobserved:
            return f"{_unseen(known, target)}, so it came after {order[before]!r} of T{source}"
        return None
    reader, writer = (target, source) if kind == WR else (source, target)
    position = next((position for number, position in known.positions if number == reader), None)
    if position is None:
        return None
    read = f"T{reader} read {key!r} = {shown(order[:position])}"
    if kind == WR:
        place = next((place for place in range(position - 1, -1, -1) if writers[place] == writer), None)
        return None if place is None else f"{read}, with {order[place]!r} of T{writer}"
    place = next((place for place in range(position, len(order)) if writers[place] == writer), None)
    if place is not None:
        return f"{read}, without {order[place]!r} of T{writer}"
    return f"{read}, and {_unseen(known, writer)}" if writer in known.unobserved else None


def _unseen(known: KeyHistory, writer: int) -> str:
    value = next(value for value, number in known.writers.items() if number == writer and value not in known.order)
    return f"{value!r} that T{writer} appended to {known.key!r} is in no read"
