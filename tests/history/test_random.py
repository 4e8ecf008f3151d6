"""Histories by chance: serial ones are never refused, broken ones always are, small ones as brute force says."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.histories import has_serial_order, history, reads_of, serial, weak

from striate.storage.history import Transaction, check

SEEDS = st.integers(0, 2**32)
QUICK = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


@QUICK
@given(SEEDS, st.integers(0, 120), st.integers(1, 8), st.sampled_from([0.0, 0.5, 3.0, 30.0]))
def test_a_serial_execution_is_never_refused(seed: int, transactions: int, keys: int, width: float) -> None:
    made = serial(random.Random(seed), transactions, keys=keys, width=width)
    report = check(made)
    assert report.valid, str(report)


@settings(QUICK, max_examples=1500)
@given(SEEDS, st.integers(1, 6), st.booleans())
def test_as_brute_force_says(seed: int, transactions: int, realtime: bool) -> None:
    made = weak(random.Random(seed), transactions)
    report = check(made, "strict serializable" if realtime else "serializable")
    allowed = has_serial_order(made, realtime=realtime)
    assert report.valid or not allowed, f"refused, but there is an order: {report}"
    # Without real time the last reads need not come last, so what they miss proves nothing.
    assert not realtime or allowed or not report.valid, "accepted, but there is no order"


def test_brute_force_meets_both() -> None:
    verdicts = [has_serial_order(weak(random.Random(seed), 5)) for seed in range(60)]
    assert 5 < sum(verdicts) < 55


# ---------------------------------------------------------------- broken on purpose


def element_twice(rng: random.Random, made: list[Transaction]) -> set[str]:
    values = rng.choice([read[2] for read in made[-1].operations if read[2]])
    values.append(rng.choice(values))
    return {"duplicate element"}


def element_of_nobody(rng: random.Random, made: list[Transaction]) -> set[str]:
    values = rng.choice([read[2] for read in made[-1].operations])
    values.insert(rng.randint(0, len(values)), 10**9)
    return {"phantom element"}


def two_elements_swapped(rng: random.Random, made: list[Transaction]) -> set[str]:
    values = [t.operations[place][2] for t, place in reads_of(made[:-1]) if len(t.operations[place][2]) > 1]
    chosen = rng.choice(values)
    first, second = rng.sample(range(len(chosen)), 2)
    chosen[first], chosen[second] = chosen[second], chosen[first]
    return {"incompatible order", "internal"}


def seen_one_failed(rng: random.Random, made: list[Transaction]) -> set[str]:
    seen = {(key, value) for _, key, values in made[-1].operations for value in values}
    writers = [
        t for t in made if t.outcome == "ok" and any((key, v) in seen for k, key, v in t.operations if k != "read")
    ]
    rng.choice(writers).outcome = "fail"
    return {"G1a"}


def append_is_gone(rng: random.Random, made: list[Transaction]) -> set[str]:
    certain = {(k, v) for t in made if t.outcome == "ok" for kind, k, v in t.operations if kind == "append"}
    key, value = rng.choice([(k, v) for _, k, values in made[-1].operations for v in values if (k, v) in certain])
    for transaction in made:
        transaction.operations = [
            (kind, k, [v for v in seen if v != value]) if kind == "read" and k == key else (kind, k, seen)
            for kind, k, seen in transaction.operations
        ]
    return {"lost append", "internal", "G1b"}  # half of what one transaction appended may be left


def last_read_is_old(rng: random.Random, made: list[Transaction]) -> set[str]:
    reads = [place for place, (_, key, values) in enumerate(made[-1].operations) if values]
    place = rng.choice(reads)
    kind, key, values = made[-1].operations[place]
    made.append(Transaction([(kind, key, values[:-1])], "later", 1e6, 1e6 + 1))
    return {"G-single-realtime", "G1b"}


def read_before_it_was_invoked(rng: random.Random, made: list[Transaction]) -> set[str]:
    seen = [(key, values) for _, key, values in made[-1].operations if values]
    key, values = rng.choice(seen)
    made.append(Transaction([("read", key, list(values))], "early", -1e6, -1e6 + 1))
    return {"G1c-realtime"}


BREAKS = [
    element_twice,
    element_of_nobody,
    two_elements_swapped,
    seen_one_failed,
    append_is_gone,
    last_read_is_old,
    read_before_it_was_invoked,
]


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.__name__)
@QUICK
@given(seed=SEEDS)
def test_what_is_broken_is_found(broken: Callable[[random.Random, list[Transaction]], set[str]], seed: int) -> None:
    rng = random.Random(seed)
    made = serial(rng, 60)
    expected = broken(rng, made)
    assert check(made).names & expected


@QUICK
@given(SEEDS, st.sampled_from(["rx ax1", "rx ay1", "ax1 ay1"]), st.integers(0, 40))
def test_a_bad_one_is_found_in_a_crowd(seed: int, kind: str, transactions: int) -> None:
    bad = {
        "rx ax1": (["rx ax1", "rx ax2", "rx12"], "lost update"),
        "rx ay1": (["rx ay1", "ry ax1"], "G2"),
        "ax1 ay1": (["ax1 ay1", "rx ry1"], "G-single"),
    }[kind]
    made = [*serial(random.Random(seed), transactions), *history(*bad[0])]
    for number, transaction in enumerate(made[-len(bad[0]) :]):
        transaction.process = f"bad {number}"
    assert bad[1] in check(made).names


def test_time_is_linear() -> None:
    """Counted, not timed: the edges of a history with many unread appends and many readers stay in proportion."""
    from striate.storage.history.dependencies import build_graph
    from striate.storage.history.lists import Lists

    made = [Transaction([("append", "x", n)], n, 0, 1) for n in range(2000)]
    made += [Transaction([("read", "x", [])], 2000 + n, 0, 1) for n in range(2000)]
    made += [Transaction([], 4000 + n, 2, 3) for n in range(2000)]
    graph = build_graph(made, Lists(made), process=True, realtime=True)
    assert sum(map(len, graph.edges)) < 5 * len(made)
