"""Hand-made histories that look odd and are allowed; several are a bad one with the one thing put right."""

from __future__ import annotations

import pytest
from support.histories import has_serial_order, history

from striate.errors import InvalidArgumentError
from striate.storage.history import Transaction, check

GOOD: list[tuple[str, list[str]]] = [
    ("nothing", []),
    ("an empty transaction", [""]),
    ("an append", ["ax1"]),
    ("a read of nothing", ["rx"]),
    ("own append read", ["ax1 rx1"]),
    ("own append read behind another's", ["ax1 rx21", "ax2"]),
    ("own appends read one by one", ["ax1 rx1 ax2 rx12"]),
    ("read, append, read", ["rx1 ax2 rx12", "ax1"]),
    ("the same read twice", ["rx1 rx1", "ax1"]),
    ("an own read of what came before", ["ax1", "ax2 rx12"]),
    ("failed and never seen", ["ax1 | fail", "rx"]),
    ("failed after reading", ["rx ax1 | fail", "rx ax2", "rx2"]),
    ("a failed one may have read anything", ["rx12 ry9 | fail", "ax1"]),
    ("unknown and never seen", ["ax1 | unknown", "rx | 20-21"]),
    ("unknown and seen", ["ax1 | unknown", "rx1"]),
    ("unknown and seen late", ["ax1 | 0- unknown", "rx | 5-6", "rx1 | 8-9"]),
    ("unknown with an end, seen after it", ["ax1 | 0-1 unknown", "rx | 5-6", "rx1 | 8-9"]),
    ("a crashed one seen at once in both keys", ["ax1 ay1 | unknown", "rx1 ry1"]),
    ("a crashed one that did not happen read nonsense", ["rx7 ay1 | unknown", "ry"]),
    ("a crashed one whose reads are not known", ["ax1 | unknown", "rx1"]),
    ("two crashed, one happened", ["rx ax1 | unknown", "rx ax2 | unknown", "rx2"]),
    ("two appends of one seen together", ["ax1 ax2", "rx12"]),
    ("two appends of one seen or not", ["ax1 ax2", "rx12", "rx"]),
    ("reads of every prefix", ["ax1", "ax2", "ax3", "rx", "rx1", "rx12", "rx123"]),
    ("two appends, never read", ["ax1", "ax2"]),
    ("two orders in two keys", ["ax1", "ax2", "ay1", "ay2", "rx12 ry21"]),
    ("one before the other in both", ["ax1 ay1", "ax2 ay2", "rx12 ry12"]),
    ("three in a row", ["ax1 az1", "ax2 ay1", "ay2 az2", "rx12", "ry12", "rz12"]),
    ("a chain of reads", ["ax1", "rx1 ay1", "ry1 az1", "rz1"]),
    ("no skew", ["ax1 ay1", "rx1 ry1"]),
    ("no skew, before", ["ax1 ay1", "rx ry"]),
    ("one overwritten read", ["rx ay1", "ax1 ry1"]),
    ("one overwritten read of three", ["rx ay1", "ry1 az1", "rz ax1"]),
    ("updates in a row", ["rx ax1", "rx1 ax2", "rx12 ax3", "rx123"]),
    ("an update and a blind append", ["rx ax1", "ax2", "rx12"]),
    ("an update and blind appends that are never seen", ["rx ax1", "ax2", "ax3"]),
    ("updates of two keys", ["rx ax1", "ry ay1"]),
    ("the last update failed", ["rx ax1", "rx ax2 | fail", "rx1"]),
    ("fork that is none", ["ax1", "ay1", "rx1 ry", "rx1 ry1"]),
    ("read while it commits", ["ax1 | 0-5", "rx | 1-2", "rx1 | 3-4"]),
    ("end and begin at one time are concurrent", ["ax1 | 0-1", "rx | 1-2", "rx1 | 1-2"]),
    ("read after commit", ["ax1 | 0-1", "rx1 | 2-3"]),
    ("append not yet there", ["rx | 0-1", "ax1 | 2-3", "rx1 | 4-5"]),
    ("long transaction takes effect last", ["ax2 | 0-9", "ax1 | 1-2", "rx1 | 3-4", "rx12 | 5-9"]),
    ("long transaction takes effect first", ["ax1 | 0-9", "ax2 | 4-5", "rx12 | 6-7"]),
    ("appends of a process", ["ax1 | 0-1 pA", "ax2 | 2-3 pA", "rx12 | 4-5 pA"]),
    ("two processes take turns", ["ax1 | 0-1 pA", "rx1 ax2 | 2-3 pB", "rx12 ax3 | 4-5 pA", "rx123 | 6-7 pB"]),
    ("a process goes on after a crash", ["ax1 | 0-1 unknown pA", "rx | 2-3 pA", "rx1 | 4-5 pA"]),
    ("a process goes on after a failure", ["ax1 | 0-1 fail pA", "rx ax2 | 2-3 pA", "rx2 | 4-5 pA"]),
    ("transfer and audit", ["rx ry ax1 ay1", "rx1 ry1", "rx1 ry1 ax2 ay2", "rx12 ry12"]),
    ("order in the file is not time", ["rx12 | 6-7", "ax2 | 3-4", "ax1 | 0-1"]),
    ("an append seen by nobody, then none reads", ["ax1", "rx ay1", "ry1"]),
    ("keys that have nothing to do with each other", ["ax1", "ay1", "rz", "rx1"]),
    ("every outcome", ["ax1", "ax2 | fail", "ax3 | unknown", "rx13 | 10-11"]),
    ("own append behind a crashed one", ["ax1 | unknown", "rx1 ax2", "rx12"]),
    ("append after the last read", ["ax1", "rx1 | 10-11", "ax2 | 12-13"]),
    ("a read that began before the acknowledgement", ["ax1 | 0-2", "rx | 1-5"]),
    ("a failed audit", ["ax1 ay1", "rx ry1 | fail"]),
    ("a writer reads another key late", ["ax1 ry1", "ay1", "rx1 ry1"]),
    ("a writer reads another key early", ["ax1 ry", "ay1 rx1"]),
]


@pytest.mark.parametrize("texts", [case[1] for case in GOOD], ids=[case[0] for case in GOOD])
def test_good(texts: list[str]) -> None:
    made = history(*texts)
    report = check(made)
    assert report.valid, str(report)
    assert has_serial_order(made)
    assert str(report).endswith(": strict serializable")


def test_enough_of_them() -> None:
    assert len({name for name, _ in GOOD}) == len(GOOD) >= 60


def test_reads_that_are_not_known_say_nothing() -> None:
    made = history("ax1", "rx1")
    made[1].operations[0] = ("read", "x", None)
    assert check(made).valid


def test_figures() -> None:
    report = check(history("ax1 ay1", "ax2 | unknown", "ax3 | unknown", "rx12"))
    assert (report.transactions, report.operations, report.happened) == (4, 5, 1)


IMPOSSIBLE = {
    "appended twice": history("ax1", "ax1"),
    "ends before it begins": [Transaction([], 0, 5, 4)],
    "acknowledged without an end": [Transaction([], 0, 5, None)],
    "failed without an end": [Transaction([], 0, 5, None, "fail")],
    "two things at once": [Transaction([], 0, 0, 5), Transaction([], 0, 4, 6)],
    "no such operation": [Transaction([("write", "x", 1)], 0, 0, 5)],
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_histories(name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        check(IMPOSSIBLE[name])


def test_unknown_model() -> None:
    with pytest.raises(InvalidArgumentError):
        check([], "linearizable")  # type: ignore[arg-type]
