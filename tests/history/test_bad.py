"""Hand-made histories that must be refused, each under its very name."""

from __future__ import annotations

import pytest
from support.histories import history

from striate.storage.history import Anomaly, EdgeKind, check

# name, the anomalies, the transactions (see support.histories.transaction)
BAD: list[tuple[str, str, list[str]]] = [
    ("own append not read", "internal", ["ax1 rx"]),
    ("another's append instead of the own", "internal", ["ax1 rx2", "ax2"]),
    ("own append not last", "internal", ["ax1 rx12", "ax2"]),
    ("two reads differ", "internal", ["rx rx1", "ax1"]),
    ("second read is shorter", "internal", ["rx1 rx", "ax1"]),
    ("own append replaces what was read", "internal", ["rx1 ax2 rx2", "ax1"]),
    ("own appends in the wrong order", "internal", ["ax1 ax2 rx21"]),
    ("own append read before it is made", "internal", ["rx1 ax1"]),
    ("aborted read", "G1a", ["ax1 | fail", "rx1"]),
    ("aborted read of one key of two", "G1a", ["ax1 ay1 | fail", "rx ry1"]),
    ("aborted read in the middle", "G1a, dirty update", ["ax1 | fail", "ax2", "rx12"]),
    ("aborted read, then undone", "G1a, incompatible order", ["ax1 | fail", "ax2", "rx1", "rx2"]),
    ("dirty update over two aborted", "G1a, dirty update", ["ax1 | fail", "ax2 | fail", "ax3", "rx123"]),
    ("intermediate read", "G1b", ["ax1 ax2", "rx1"]),
    ("intermediate read, order known", "G1b", ["ax1 ax2", "rx1", "rx12"]),
    ("intermediate read of three", "G1b", ["ax1 ax2 ax3", "rx12", "rx123"]),
    ("intermediate read of a crashed one", "G1b", ["ax1 ax2 | unknown", "rx1"]),
    ("element twice", "duplicate element", ["ax1", "rx11"]),
    ("element twice, far", "duplicate element", ["ax1", "ax2", "rx121"]),
    ("element twice in one of two reads", "duplicate element", ["ax1", "ax2", "rx12", "rx122"]),
    ("element of nobody", "phantom element", ["rx7"]),
    ("element of nobody in the middle", "phantom element", ["ax1", "ax2", "rx192"]),
    ("element of another key", "phantom element", ["ax1", "ay2", "rx12 ry2"]),
    ("two orders", "incompatible order", ["ax1", "ax2", "rx12", "rx21"]),
    ("forked", "incompatible order", ["ax1", "ax2", "rx1", "rx2"]),
    ("first element gone", "incompatible order", ["ax1", "ax2", "rx12", "rx2"]),
    ("middle element gone", "incompatible order", ["ax1", "ax2", "ax3", "rx123", "rx13"]),
    ("write cycle", "G0", ["ax1 ay1", "ax2 ay2", "rx12 ry21"]),
    ("write cycle of three", "G0", ["ax1 az1", "ax2 ay1", "ay2 az2", "rx12", "ry12", "rz21"]),
    ("append between two of one transaction", "G0", ["ax1 ax3", "ax2", "rx123"]),
    ("write cycle with a crashed one", "G0", ["ax1 ay1 | unknown", "ax2 ay2", "rx12 ry21"]),
    ("circular reads", "G1c", ["ax1 ry1", "ay1 rx1"]),
    ("circular reads of three", "G1c", ["ax1 rz1", "ay1 rx1", "az1 ry1"]),
    ("circular by a write and a read", "G1c", ["ax1 ry2", "ax2 ay2", "rx12"]),
    ("read skew", "G-single", ["ax1 ay1", "rx ry1"]),
    ("read skew over a write", "G-single", ["ax1 ay1", "rx ay2", "ry12"]),
    ("read skew through a third", "G-single", ["ax1", "rx1 ay1", "rx ry1"]),
    ("half of a crashed one", "G-single", ["ax1 ay1 | unknown", "rx1 ry"]),
    ("a crashed one proves another", "G-single", ["ax1 ay1 | unknown", "rx1 az1 | unknown", "rz1 ry"]),
    ("appends of one transaction, only some read", "G-single", ["ax1 ay1", "rx1 ry", "rx1 ry1"]),
    ("write skew", "G2", ["rx ay1", "ry ax1"]),
    ("write skew, seen", "G2", ["rx ay1", "ry ax1", "rx1 ry1"]),
    ("write skew of three", "G2", ["rx ay1", "ry az1", "rz ax1"]),
    ("write skew with a crashed one", "G2", ["ry ax1 | unknown", "rx ay1", "rx1 ry1"]),
    ("read-only anomaly", "G2", ["ry ay1", "rx ry ax1", "rx ry1"]),
    ("long fork", "G2", ["ax1", "ay1", "rx1 ry", "rx ry1"]),
    ("lost update", "lost update", ["rx ax1", "rx ax2", "rx12"]),
    ("lost update that nobody read", "lost update", ["rx ax1", "rx ax2"]),
    ("lost update of a version", "lost update", ["ax1", "rx1 ax2", "rx1 ax3", "rx123"]),
    ("lost update, the other order", "lost update", ["rx ax1", "rx ax2", "rx21"]),
    ("lost update with a crashed one", "lost update", ["rx ax1 | unknown", "rx ax2", "rx12"]),
    ("lost update found by an own read", "lost update", ["rx ax1 rx1", "ax2 rx2", "rx12"]),
    ("two lost updates", "lost update", ["rx ax1", "rx ax2", "ry ay1", "ry ay2"]),
    ("acknowledged append gone", "lost append", ["ax1 | 0-1", "rx | 2-3"]),
    ("acknowledged append gone, read by its process", "lost append", ["ax1 | 0-1 pA", "rx | 2-3 pB", "rx | 4-5 pC"]),
    ("acknowledged append gone, a later one kept", "lost append, G0-realtime", ["ax1 | 0-1", "ax2 | 2-3", "rx2 | 4-5"]),
    ("stale read", "G-single-realtime", ["ax1 | 0-1", "rx | 2-3", "rx1 | 2-3"]),
    ("stale read after others", "G-single-realtime", ["ax1 | 0-1", "ay1 | 0-3", "rz | 2-9", "rx | 4-5", "rx1 | 4-5"]),
    ("stale read of a version", "G-single-realtime", ["ax1 | 0-1", "ax2 | 2-3", "rx1 | 4-5", "rx12 | 6-7"]),
    ("a crashed append comes and goes", "G-single-realtime", ["ax1 | 0- unknown", "rx1 | 1-2", "rx | 3-4"]),
    ("reads go back in time", "G-single-realtime", ["ax1", "rx1 | 1-2", "rx | 3-4"]),
    ("read of the future", "G1c-realtime", ["rx1 | 0-1", "ax1 | 2-3"]),
    ("read of a crashed future", "G1c-realtime", ["rx1 | 0-1", "ax1 | 2- unknown"]),
    ("appends against time", "G0-realtime", ["ax1 | 0-1", "ax2 | 2-3", "rx21 | 4-5"]),
    ("overwritten reads against time", "G2-realtime", ["rx | 5-6", "ax1 ry", "ay1 | 3-4", "rx1 ry1 | 10-11"]),
    ("own write not read later", "G-single-process", ["ax1 | 0-1 pA", "rx | 2-3 pA", "rx1"]),
    ("reads of a process go back", "G-single-process", ["ax1", "rx1 | 1-2 pA", "rx | 3-4 pA"]),
    ("appends against a process", "G0-process", ["ax1 | 0-1 pA", "ax2 | 2-3 pA", "rx21"]),
    ("a process reads its future", "G1c-process", ["rx1 | 0-1 pA", "ax1 | 2-3 pA"]),
    ("write skew through a process", "G2-process", ["rx | 3-4 pA", "ax1 ry", "ay1 | 1-2 pA", "rx1 ry1 | 10-11"]),
    ("two at once", "G0, G1a", ["ax1 ay1", "ax2 ay2", "rx12 ry21", "az1 | fail", "rz1"]),
    ("two knots", "G-single, G2", ["ax1 ay1", "rx ry1", "rz aw1", "rw az1"]),
]


@pytest.mark.parametrize(("names", "texts"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad(names: str, texts: list[str]) -> None:
    report = check(history(*texts))
    assert report.names == set(names.split(", ")), str(report)
    assert not report.valid
    for anomaly in report.anomalies:
        assert anomaly.explanation and all(0 <= number < len(texts) for number in anomaly.transactions)
        if anomaly.cycle:
            is_cycle_of_its_name(anomaly)


def is_cycle_of_its_name(anomaly: Anomaly) -> None:
    sources = [edge.source for edge in anomaly.cycle]
    assert sources == list(anomaly.transactions) and len(set(sources)) == len(sources)
    assert [edge.target for edge in anomaly.cycle] == sources[1:] + sources[:1]
    assert all(edge.reason for edge in anomaly.cycle)
    kinds = [edge.kind for edge in anomaly.cycle]
    missed = kinds.count(EdgeKind.RW)
    if anomaly.name.startswith("G"):
        assert {"G0": missed == 0, "G1c": missed == 0, "G-single": missed == 1, "G2": missed > 1}[
            anomaly.name.removesuffix("-realtime").removesuffix("-process")
        ]
    assert (EdgeKind.REALTIME in kinds) == (anomaly.name.endswith("-realtime") or anomaly.name == "lost append")
    assert (EdgeKind.PROCESS in kinds) >= anomaly.name.endswith("-process")


def test_names_are_not_used_twice() -> None:
    names = [name for name, _, _ in BAD]
    assert len(set(names)) == len(names) >= 60


REALTIME_ONLY = [case for case in BAD if case[1] in ("lost append", "G-single-realtime", "G0-realtime", "G1c-realtime")]
PROCESS_ONLY = [case for case in BAD if case[1].endswith("-process")]


@pytest.mark.parametrize("texts", [case[2] for case in REALTIME_ONLY], ids=[case[0] for case in REALTIME_ONLY])
def test_time_matters_only_to_strict(texts: list[str]) -> None:
    assert check(history(*texts), "serializable").valid
    assert check(history(*texts), "strong session serializable").valid


@pytest.mark.parametrize("texts", [case[2] for case in PROCESS_ONLY], ids=[case[0] for case in PROCESS_ONLY])
def test_processes_matter_to_sessions(texts: list[str]) -> None:
    assert check(history(*texts), "serializable").valid
    assert not check(history(*texts), "strong session serializable").valid


def test_the_explanation_names_what_was_read() -> None:
    report = check(history("ax1 ay1", "rx ry1"))
    assert str(report).splitlines() == [
        "2 transactions, 4 operations: not strict serializable: G-single",
        "G-single: read skew: one transaction saw another's effects and missed others that came before",
        "  T1 -rw-> T0: T1 read 'x' = [], and 1 that T0 appended to 'x' is in no read",
        "  T0 -wr-> T1: T1 read 'y' = [1], with 1 of T0",
    ]


def test_the_cycle_is_a_shortest() -> None:
    ring = [f"a{chr(97 + n)}1 r{chr(97 + (n + 1) % 20)}1" for n in range(20)]
    assert [len(a.cycle) for a in check(history(*ring)).anomalies] == [20]
    ring[11] += " au2"
    assert [len(a.cycle) for a in check(history(*ring, "rk1 au1", "ru12")).anomalies] == [3]
