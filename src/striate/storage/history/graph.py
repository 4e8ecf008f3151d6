"""Directed graphs with kinds of edges: strongly connected components and short cycles. Knows nothing of transactions.

An edge is one integer, ``target << 3 | kind``, because there are millions. Nodes from ``real`` upwards are helpers:
they stand for a bundle of edges (whatever enters reaches all that leaves), have no place in a cycle that is shown, and
what leaves them is of kind ``PASS``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["PASS", "Cycle", "Graph", "Subgraph"]

PASS = 7
Cycle: TypeAlias = list[tuple[int, int]]
"""Nodes, each with the kind of the edge that leaves it; the last one's edge leads to the first."""

ARRIVED = -1  # the end of a path that may be its start as well
MOST_STEPS = 3_000_000  # edges looked at in one component before the shortest cycle so far is taken


class Graph:
    """Nodes 0, 1, ... and their edges."""

    def __init__(self, real: int) -> None:
        self.real = real
        self.edges: list[list[int]] = [[] for _ in range(real)]

    def helper(self) -> int:
        """Add a node that stands for a bundle of edges."""
        self.edges.append([])
        return len(self.edges) - 1

    def add(self, source: int, target: int, kind: int) -> None:
        """Add an edge; of a node to itself, none."""
        if source != target:
            self.edges[source].append(target << 3 | kind)

    def components(self) -> list[list[int]]:
        """The strongly connected components of more than one node."""
        return list(components(self.edges, range(len(self.edges))))

    def within(self, nodes: Iterable[int], kinds: Iterable[int]) -> Subgraph:
        """Only these nodes, only edges of these kinds (and ``PASS``) between them."""
        chosen = set(nodes)
        allowed = {*kinds, PASS}
        edges = {
            node: [edge for edge in self.edges[node] if edge & 7 in allowed and edge >> 3 in chosen] for node in chosen
        }
        return Subgraph(edges, self.real)


def components(edges: Sequence[list[int]] | Mapping[int, list[int]], nodes: Iterable[int]) -> Iterator[list[int]]:
    """Tarjan's algorithm (1972) without recursion; components of one node are left out."""
    order: dict[int, int] = {}
    lowest: dict[int, int] = {}
    stack: list[int] = []
    open_nodes: set[int] = set()
    for root in nodes:
        if root in order:
            continue
        order[root] = lowest[root] = len(order)
        stack.append(root)
        open_nodes.add(root)
        path = [(root, iter(edges[root]))]
        while path:
            node, left = path[-1]
            for edge in left:
                target = edge >> 3
                if target not in order:
                    order[target] = lowest[target] = len(order)
                    stack.append(target)
                    open_nodes.add(target)
                    path.append((target, iter(edges[target])))
                    break
                if target in open_nodes and order[target] < lowest[node]:
                    lowest[node] = order[target]
            else:
                path.pop()
                if path and lowest[node] < lowest[path[-1][0]]:
                    lowest[path[-1][0]] = lowest[node]
                if lowest[node] == order[node]:
                    found: list[int] = []
                    while not found or found[-1] != node:
                        found.append(stack.pop())
                    open_nodes.difference_update(found)
                    if len(found) > 1:
                        yield found


class Subgraph:
    """A part of a graph in which cycles are looked for."""

    def __init__(self, edges: dict[int, list[int]], real: int) -> None:
        self.edges = edges
        self.real = real
        self.steps = 0

    def components(self) -> Iterator[list[int]]:
        """The strongly connected components of more than one node."""
        return components(self.edges, sorted(self.edges))

    def shortest_cycle(self, starts: Sequence[int]) -> Cycle | None:
        """A cycle through one of the starts, the shortest unless the component is huge."""
        return self._best(self._cycle_of, list(starts))

    def shortest_cycle_with(self, first: Sequence[tuple[int, int]]) -> Cycle | None:
        """A shortest cycle that takes one of these edges (source, edge) and otherwise only edges of this subgraph."""
        return self._best(self._cycle_by, list(first))

    def _best(self, find: Callable[[Any, int], Cycle | None], candidates: list[Any]) -> Cycle | None:
        best: Cycle | None = None
        self.steps = 0
        for candidate in candidates:
            if (best and (len(best) <= 2 or self.steps > MOST_STEPS)) or self.steps > 10 * MOST_STEPS:
                break
            best = find(candidate, len(best) if best else len(self.edges) + 1) or best
        return best

    def _cycle_of(self, start: int, less_than: int) -> Cycle | None:
        return self._path(start, start, less_than)

    def _cycle_by(self, first: tuple[int, int], less_than: int) -> Cycle | None:
        source, edge = first
        if edge >> 3 not in self.edges:
            return None
        rest = self._path(edge >> 3, source, less_than - 1)
        if rest is None:
            return None
        return [(source, edge & 7), *(step for step in rest if step[0] < self.real)]

    def _path(self, start: int, end: int, less_than: int) -> Cycle | None:
        """The path of fewest edges, those of helpers not counted, as steps from ``start`` up to before ``end``."""
        came_from: dict[int, tuple[int, int]] = {}
        distance = {start: 0}
        queue = deque([start])
        done: set[int] = set()
        while queue:
            node = queue.popleft()
            if node == ARRIVED:
                return self._walk(came_from, start)
            if node in done:
                continue
            done.add(node)
            self.steps += len(self.edges[node])
            for edge in self.edges[node]:
                target, kind = edge >> 3, edge & 7
                if target == end:
                    target = ARRIVED
                further = distance[node] + (kind != PASS)
                if further < distance.get(target, less_than):
                    distance[target] = further
                    came_from[target] = (node, kind)
                    if kind == PASS:
                        queue.appendleft(target)
                    else:
                        queue.append(target)
        return None

    def _walk(self, came_from: dict[int, tuple[int, int]], start: int) -> Cycle:
        steps = [came_from[ARRIVED]]
        while steps[-1][0] != start:
            steps.append(came_from[steps[-1][0]])
        return [step for step in reversed(steps) if step[0] < self.real]
