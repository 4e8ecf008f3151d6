"""The checker: builds the graph, finds its cycles, names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from striate.errors import InvalidArgumentError
from striate.storage.history.dependencies import build_graph, check_times, explained
from striate.storage.history.graph import Cycle, Graph, Subgraph
from striate.storage.history.lists import Lists
from striate.storage.history.model import Anomaly, EdgeKind, Model, Report, Transaction

__all__ = ["check"]

WW, WR, RW, PROCESS, REALTIME = EdgeKind
MODELS: dict[Model, tuple[EdgeKind, ...]] = {
    "serializable": (),
    "strong session serializable": (PROCESS,),
    "strict serializable": (PROCESS, REALTIME),
}
MEANING = {
    "G0": "dirty write: transactions overwrite each other in both directions",
    "G1c": "circular information flow: each depends on what the other wrote",
    "G-single": "read skew: one transaction saw another's effects and missed others that came before",
    "G2": "write skew: transactions each missed what the other wrote",
}


def check(history: Sequence[Transaction], model: Model = "strict serializable") -> Report:
    """Whether a history is one that the model allows, and if not, why.

    Time and memory are linear in the size of the history (operations and the elements of all reads), except for the
    search of short cycles in a history that is refused.

    Args:
        history: the transactions, in any order.
        model: ``serializable``; with the order of each process, ``strong session serializable``; with the order of
            real time as well, ``strict serializable``.

    Raises:
        InvalidArgumentError: the history contradicts itself: a value is appended twice to a key, times run backwards,
            a process does two things at once.
    """
    if model not in MODELS:
        raise InvalidArgumentError("model", f"one of {', '.join(MODELS)}", model)
    check_times(history)
    lists = Lists(history)
    extra = MODELS[model]
    graph = build_graph(history, lists, process=PROCESS in extra, realtime=REALTIME in extra)
    search = _Search(history, lists, graph)
    search.lost_updates()
    search.find(())
    for upto in range(1, len(extra) + 1):
        if extra[upto - 1] == REALTIME:
            search.lost_appends()
        search.find(extra[:upto])
    seen = sum(happened and history[n].outcome == "unknown" for n, happened in enumerate(lists.happened))
    operations = sum(len(transaction.operations) for transaction in history)
    return Report(model, lists.anomalies + search.anomalies, len(history), operations, seen)


class _Search:
    """Cycles from the strongest anomaly to the weakest; a component that shows one already is left alone after that."""

    def __init__(self, history: Sequence[Transaction], lists: Lists, graph: Graph) -> None:
        self.history = history
        self.lists = lists
        self.graph = graph
        self.tangled = [node for component in graph.components() for node in component]
        self.anomalies: list[Anomaly] = []

    # ---------------------------------------------------------------- cycles of known shape

    def lost_updates(self) -> None:
        """Two transactions that read the same version of a key and both appended to it."""
        for known, first, second in self.lists.lost_updates():
            writers = self.lists.writers_in_order(known)
            if first in writers and second in writers and writers.index(first) > writers.index(second):
                first, second = second, first
            text = f"T{first} and T{second} read the same version of {known.key!r} and both appended to it"
            self._report("lost update", text, [(first, RW), (second, RW)])

    def lost_appends(self) -> None:
        """Acknowledged appends that are gone."""
        for known, writer, reader in self.lists.lost_appends():
            text = f"T{writer} was acknowledged, but no read of {known.key!r} has what it appended"
            if reader != writer:
                self._report("lost append", text, [(writer, REALTIME), (reader, RW)])

    # ---------------------------------------------------------------- any cycle

    def find(self, extra: Sequence[EdgeKind]) -> None:
        """One shortest cycle of each component: of writes, then with reads, then with overwritten reads."""
        if not self.tangled:
            return
        for kinds in ((WW,), (WW, WR)):
            part = self.graph.within(self.tangled, (*kinds, *extra))
            for component in self._unexplained(part):
                self._name(self.graph.within(component, (*kinds, *extra)).shortest_cycle(self._starts(component)))
        for component in self._unexplained(self.graph.within(self.tangled, (WW, WR, RW, *extra))):
            whole = self.graph.within(component, (WW, WR, RW, *extra))
            part = self.graph.within(component, (WW, WR, *extra))
            missed = [(node, edge) for node in self._starts(component) for edge in whole.edges[node] if edge & 7 == RW]
            self._name(part.shortest_cycle_with(missed) or whole.shortest_cycle(self._starts(component)))

    def _unexplained(self, part: Subgraph) -> Iterator[list[int]]:
        explained_by: dict[int, list[Anomaly]] = {}
        for anomaly in self.anomalies:
            explained_by.setdefault(anomaly.transactions[0], []).append(anomaly)
        for component in part.components():
            inside = set(component)
            near = (anomaly for node in component for anomaly in explained_by.get(node, ()))
            if not any(inside.issuperset(anomaly.transactions) for anomaly in near):
                yield component

    def _starts(self, component: list[int]) -> list[int]:
        """Transactions first of which an edge leads back in time: every cycle has one, the short ones are near."""
        history, real = self.history, self.graph.real

        def leads_back(node: int) -> bool:
            for edge in self.graph.edges[node]:
                if edge >> 3 < real and edge & 7 <= RW:
                    completed = history[edge >> 3].completed
                    if completed is not None and completed < history[node].invoked:
                        return True
            return any(edge >> 3 >= real and edge & 7 == RW for edge in self.graph.edges[node])

        return sorted((node for node in component if node < real), key=lambda node: (not leads_back(node), node))

    def _name(self, cycle: Cycle | None) -> None:
        if cycle is None:
            return
        kinds = [kind for _, kind in cycle]
        missed = kinds.count(RW)
        name = ("G1c" if WR in kinds else "G0") if not missed else "G-single" if missed == 1 else "G2"
        suffix = "-realtime" if REALTIME in kinds else "-process" if PROCESS in kinds else ""
        text = MEANING[name]
        if suffix:
            text += f", given the order of {'real time' if suffix == '-realtime' else 'one process'}"
        self._report(name + suffix, text, cycle)

    def _report(self, name: str, text: str, cycle: Cycle) -> None:
        nodes = [node for node, _ in cycle]
        edges = [
            explained(self.history, self.lists, node, following, kind)
            for (node, kind), following in zip(cycle, nodes[1:] + nodes[:1], strict=True)
        ]
        self.anomalies.append(Anomaly(name, tuple(nodes), text, tuple(edges)))
