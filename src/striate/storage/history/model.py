"""What goes in and what comes out: transactions as they were observed, anomalies as they are reported."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Anomaly", "Edge", "EdgeKind", "Model", "Operation", "Outcome", "Report", "Transaction"]

Outcome: TypeAlias = Literal["ok", "fail", "unknown"]
Model: TypeAlias = Literal["serializable", "strong session serializable", "strict serializable"]
Operation: TypeAlias = tuple[str, Hashable, Any]
"""``("append", key, value)``, with a value that no other append to the key has, or ``("read", key, values)``, where
``values`` is the whole list that was read: empty for a key that is not there, ``None`` if what was read is not known.
"""


class EdgeKind(enum.IntEnum):
    """Why one transaction must come before another."""

    WW = 0  # the second overwrote (appended behind) what the first wrote
    WR = 1  # the second read what the first wrote
    RW = 2  # the second overwrote (appended behind) what the first read
    PROCESS = 3  # the same process ran the first, then the second
    REALTIME = 4  # the first completed before the second was invoked


@dataclass(slots=True)
class Transaction:
    """One transaction as its client saw it.

    Attributes:
        operations: in the order they were made.
        process: who ran it; a process runs one transaction at a time.
        invoked, completed: any clock that all processes share; ``completed`` is ``None`` when it never did.
        outcome: ``ok``, ``fail`` (it certainly did not happen) or ``unknown`` (it may have: a crash, a timeout).
    """

    operations: list[Operation]
    process: Hashable
    invoked: float
    completed: float | None
    outcome: Outcome = "ok"


@dataclass(frozen=True)
class Edge:
    """``source`` must come before ``target`` (places in the history), and why."""

    source: int
    target: int
    kind: EdgeKind
    reason: str

    def __str__(self) -> str:
        return f"T{self.source} -{self.kind.name.lower()}-> T{self.target}: {self.reason}"


@dataclass(frozen=True)
class Anomaly:
    """One thing that cannot happen in the model that was checked.

    Attributes:
        name: see the table in :mod:`striate.storage.history`.
        transactions: places in the history of those that show it.
        explanation: a line for a reader.
        cycle: for what is shown by a cycle, its edges, each transaction once; else empty.
    """

    name: str
    transactions: tuple[int, ...]
    explanation: str
    cycle: tuple[Edge, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.name}: {self.explanation}", *(f"  {edge}" for edge in self.cycle)])


@dataclass(frozen=True)
class Report:
    """What :func:`check` found.

    Attributes:
        model: what was checked. anomalies: none if the history is one that the model allows.
        transactions, operations: how many there were. happened: how many of unknown outcome were seen to have happened.
    """

    model: Model
    anomalies: list[Anomaly]
    transactions: int
    operations: int
    happened: int

    @property
    def valid(self) -> bool:
        """Whether nothing was found."""
        return not self.anomalies

    @property
    def names(self) -> set[str]:
        """The names of the anomalies."""
        return {anomaly.name for anomaly in self.anomalies}

    def __str__(self) -> str:
        verdict = self.model if self.valid else f"not {self.model}: {', '.join(sorted(self.names))}"
        head = f"{self.transactions} transactions, {self.operations} operations: {verdict}"
        return "\n".join([head, *(str(anomaly) for anomaly in self.anomalies)])
