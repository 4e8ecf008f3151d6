"""Histories for the checker: a short notation, a serial execution, a weak one, and brute force."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence

from striate.storage.history import Operation, Transaction

WORD = re.compile(r"([ar])([a-z])(\w*)$")


def transaction(text: str, number: int = 0) -> Transaction:
    """``ax1 rx12 | 0-9 fail pA``: append 1 to x, read x as [1, 2]; from 0 to 9, failed, by process A.

    By default all are concurrent (0-9), ok, and each of its own process.
    """
    body, _, rest = text.partition("|")
    operations: list[Operation] = []
    for word in body.split():
        match = WORD.match(word)
        assert match, word
        values = [int(digit) for digit in match[3]]
        operations.append(("append", match[2], values[0]) if match[1] == "a" else ("read", match[2], values))
    made = Transaction(operations, number, 0, 9)
    for word in rest.split():
        if word in ("ok", "fail", "unknown"):
            made.outcome = word  # type: ignore[assignment]
            made.completed = None if word == "unknown" else made.completed
        elif word[0] == "p":
            made.process = word
        else:
            first, last = word.split("-")
            made.invoked, made.completed = int(first), int(last) if last else None
    return made


def history(*texts: str) -> list[Transaction]:
    return [transaction(text, number) for number, text in enumerate(texts)]


# ---------------------------------------------------------------- executions


def serial(
    rng: random.Random, transactions: int, *, keys: int = 4, width: float = 3.0, doubtful: float = 0.15
) -> list[Transaction]:
    """A really serial execution: each takes effect at one moment between invocation and completion, or not at all.

    ``width``: how many run at once, about. ``doubtful``: how many fail, and how many are of unknown outcome.
    The last transaction reads every key, after all others have completed.
    """
    state: dict[int, list[int]] = {}
    value = itertools.count(1)
    free: dict[int, float] = {}
    found = []
    for moment in range(transactions):
        outcome = rng.choices(["ok", "fail", "unknown"], [1 - 2 * doubtful, doubtful, doubtful])[0]
        effective = outcome == "ok" or (outcome == "unknown" and rng.random() < 0.5)
        seen = {key: list(values) for key, values in state.items()}
        operations: list[Operation] = []
        for _ in range(rng.randint(1, 5)):
            key = rng.randrange(keys)
            if rng.random() < 0.5:
                operations.append(("read", key, list(seen.get(key, []))))
            else:
                operations.append(("append", key, next(value)))
                seen.setdefault(key, []).append(operations[-1][2])
        if effective:
            state = seen
        process = next((name for name, until in free.items() if until < moment - 0.5), len(free))
        invoked = max(free.get(process, -1.0) + 0.01, moment - rng.random() * width)
        completed = moment + 0.01 + rng.random() * width
        ended = None if outcome == "unknown" and rng.random() < 0.5 else completed
        free[process] = completed if ended is not None else float("inf")
        found.append(Transaction(operations, process, min(invoked, moment), ended, outcome))  # type: ignore[arg-type]
    reads: list[Operation] = [("read", key, list(state.get(key, []))) for key in range(keys)]
    return [*found, Transaction(reads, "last", transactions + 100.0, transactions + 101.0)]


def weak(rng: random.Random, transactions: int, keys: int = 2) -> list[Transaction]:
    """Transactions that read old states at random and append blindly: many anomalies, and often none."""
    versions: list[list[list[int]]] = [[[]] for _ in range(keys)]
    value = itertools.count(1)
    found = []
    for moment in range(transactions):
        outcome = rng.choices(["ok", "fail", "unknown"], [0.7, 0.1, 0.2])[0]
        effective = outcome == "ok" or rng.random() < (0.5 if outcome == "unknown" else 0.05)
        operations: list[Operation] = []
        for _ in range(rng.randint(1, 3)):
            key = rng.randrange(keys)
            if rng.random() < 0.5:
                back = rng.choice([1, 1, 1, 2, 3])
                operations.append(("read", key, versions[key][-min(back, len(versions[key]))]))
            else:
                operations.append(("append", key, next(value)))
                if effective and rng.random() < 0.95:
                    versions[key].append([*versions[key][-1], operations[-1][2]])
        invoked, completed = moment - rng.random() * 3, moment + rng.random() * 3
        ended = None if outcome == "unknown" else completed
        found.append(Transaction(operations, moment, invoked, ended, outcome))  # type: ignore[arg-type]
    reads: list[Operation] = [("read", key, versions[key][-1]) for key in range(keys)]
    return [*found, Transaction(reads, "last", transactions + 100.0, transactions + 101.0)]


# ---------------------------------------------------------------- brute force


def has_serial_order(history: Sequence[Transaction], *, realtime: bool = True) -> bool:
    """Whether some order of the transactions (unknown ones in or out) explains every read. Exponential."""
    certain = [t for t in history if t.outcome == "ok"]
    doubtful = [t for t in history if t.outcome == "unknown"]
    for count in range(len(doubtful) + 1):
        for chosen in itertools.combinations(doubtful, count):
            if _extends({}, certain + list(chosen), realtime):
                return True
    return False


def _extends(state: dict[object, list[int]], left: list[Transaction], realtime: bool) -> bool:
    if not left:
        return True
    for place, candidate in enumerate(left):
        others = left[:place] + left[place + 1 :]
        if realtime and any(_precedes(other, candidate) for other in others):
            continue
        after = _executed(state, candidate)
        if after is not None and _extends(after, others, realtime):
            return True
    return False


def _precedes(first: Transaction, second: Transaction) -> bool:
    return first.outcome == "ok" and first.completed is not None and first.completed < second.invoked


def _executed(state: dict[object, list[int]], candidate: Transaction) -> dict[object, list[int]] | None:
    state = dict(state)
    for kind, key, value in candidate.operations:
        if kind == "append":
            state[key] = [*state.get(key, []), value]
        elif state.get(key, []) != value:
            return None
    return state


def reads_of(history: Sequence[Transaction]) -> Iterator[tuple[Transaction, int]]:
    """The places of reads in transactions that are ok."""
    for made in history:
        for place, (kind, _, _) in enumerate(made.operations):
            if made.outcome == "ok" and kind == "read":
                yield made, place
