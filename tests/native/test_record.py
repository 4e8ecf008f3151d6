"""The record: immutable, comparable, hashable, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from striate import Record, RecordKind
from striate._native.record import make_record


def a_record(**changes: object) -> Record:
    fields: dict[str, object] = {"offset": 5, "timestamp": 99, "key": b"key", "value": b"value", "kind": 1}
    return make_record(**{**fields, **changes})  # type: ignore[arg-type]


def test_attributes() -> None:
    record = a_record()
    assert (record.offset, record.timestamp) == (5, 99)
    assert (record.key, record.value) == (b"key", b"value")
    assert record.kind is RecordKind.VALUE
    assert not record.is_tombstone


@pytest.mark.parametrize("kind", list(RecordKind))
def test_kinds(kind: RecordKind) -> None:
    record = a_record(kind=int(kind))
    assert record.kind is kind
    assert record.is_tombstone is (kind is RecordKind.TOMBSTONE)


@pytest.mark.parametrize(
    ("offset", "timestamp"), [(0, 0), ((1 << 63) - 1, (1 << 63) - 1), ((1 << 64) - 1, (1 << 64) - 1)]
)
def test_extremes(offset: int, timestamp: int) -> None:
    record = a_record(offset=offset, timestamp=timestamp)
    assert (record.offset, record.timestamp) == (offset, timestamp)


@pytest.mark.parametrize("name", ["offset", "timestamp", "key", "value", "kind", "is_tombstone", "other"])
def test_nothing_can_be_set(name: str) -> None:
    record = a_record()
    with pytest.raises(AttributeError):
        setattr(record, name, getattr(record, name, None))


DIFFERENCES = [("offset", 6), ("timestamp", 98), ("key", b"other"), ("key", None), ("value", b""), ("kind", 2)]


@pytest.mark.parametrize(("name", "value"), DIFFERENCES)
def test_equality_is_of_everything(name: str, value: object) -> None:
    record = a_record()
    assert record == a_record()
    assert hash(record) == hash(a_record())
    assert record != a_record(**{name: value})


def test_an_empty_key_is_a_key() -> None:
    assert a_record(key=b"") != a_record(key=None)


@pytest.mark.parametrize("other", [None, 5, b"value", (5, 99, b"key", b"value", 1), object()])
def test_nothing_else_is_equal(other: object) -> None:
    assert a_record() != other
    assert other != a_record()


def test_in_sets() -> None:
    assert len({a_record(), a_record(), a_record(offset=6)}) == 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Record(offset=5, timestamp=99, key=b'key', value=b'value')"),
        ({"key": None}, "Record(offset=5, timestamp=99, value=b'value')"),
        ({"kind": 2, "value": b""}, "Record(offset=5, timestamp=99, key=b'key', value=b'', kind=TOMBSTONE)"),
    ],
)
def test_how_it_is_shown(changes: dict[str, object], expected: str) -> None:
    assert repr(a_record(**changes)) == expected


def test_a_long_value_is_cut_when_shown() -> None:
    assert len(repr(a_record(key=b"k" * 1000, value=b"v" * 1_000_000))) < 250


FORBIDDEN: list[tuple[str, Callable[..., object]]] = [
    ("make", lambda record: Record()),
    ("iterate", list),
    ("index", lambda record: record[0]),  # type: ignore[index]
    ("length", len),
    ("order", lambda record: record < record),  # type: ignore[operator]
    ("subclass", lambda record: type("Mine", (Record,), {})),
]


@pytest.mark.parametrize("use", [case[1] for case in FORBIDDEN], ids=[case[0] for case in FORBIDDEN])
def test_what_it_is_not_for(use: Callable[[Record], object]) -> None:
    with pytest.raises(TypeError):
        use(a_record())


@pytest.mark.parametrize("changes", [{"value": None}, {"value": "text"}, {"key": "text"}, {"offset": -1}])
def test_wrong_parts(changes: dict[str, object]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        a_record(**changes)
