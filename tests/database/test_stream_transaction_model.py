"""The model of a stream (test_stream_model.py) with transactions, in which any of its calls may be, and dropping.

A longer run: ``STRIATE_MODEL_EXAMPLES=1500 pytest tests/database/test_stream_transaction_model.py``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

import striate
from striate.types import Durability
from tests.database.test_stream_model import (
    Id,
    StreamMachine,
    consumer_names,
    group_names,
    keys,
    pair,
    positions,
    run_machine,
    values,
)

# Rules that may run inside a transaction, with what they are called with.
_INSIDE: dict[str, dict[str, Any]] = {
    "append": {"value": values, "key": keys},
    "append_many": {"count": st.sampled_from([0, 1, 3, 40, 700]), "value": values},
    "append_with_id": {"ahead": st.sampled_from([(0, 1), (1, 0), (-1, 5)]), "value": values, "text": st.booleans()},
    "delete": {"chosen": st.lists(positions, max_size=5)},
    "trim_by_length": {"length": st.integers(0, 800)},
    "trim_before": {"position": positions},
    "set_last_id": {"ahead": st.sampled_from([(0, 0), (2, 0)]), "more": st.none() | st.integers(0, 3)},
    "read_range": {
        "first": positions,
        "second": positions,
        "count": st.none() | st.integers(0, 300),
        "backwards": st.booleans(),
    },
    "make_group": {"name": group_names, "position": st.none() | positions},
    "deliver": {
        "name": group_names,
        "consumer": consumer_names,
        "count": st.integers(1, 400),
        "acknowledged": st.booleans(),
    },
    "deliver_again": {
        "name": group_names,
        "consumer": consumer_names,
        "position": positions,
        "count": st.integers(1, 50),
    },
    "acknowledge": {
        "name": group_names,
        "chosen": st.lists(positions, max_size=6),
        "all_of_them": st.booleans(),
    },
    "claim": {
        "name": group_names,
        "consumer": consumer_names,
        "chosen": st.lists(positions, max_size=6),
        "idle": st.sampled_from([0, 10]),
        "raised": st.booleans(),
    },
    "auto_claim": {
        "name": group_names,
        "consumer": consumer_names,
        "position": positions,
        "idle": st.sampled_from([0, 10]),
    },
    "set_position": {"name": group_names, "position": st.none() | positions},
    "change_consumers": {"name": group_names, "consumer": consumer_names, "made": st.booleans()},
    "delete_group": {"name": group_names},
    "tick": {"ms": st.integers(-5, 100)},
}


class TransactionMachine(StreamMachine):
    """Every operation on one stream, alone or several in a transaction."""

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Calls go to a transaction that is under way."""
        outside = self.stream
        self.stream = self.tx[outside]._looked()
        try:
            yield
        finally:
            self.stream = outside

    @rule(
        data=st.data(),
        ending=st.sampled_from(["commit", "commit", "commit", "rollback", "savepoint", "conflict"]),
        count=st.integers(1, 6),
    )
    def transaction(self, data: st.DataObject, ending: str, count: int) -> None:
        """The same calls inside a transaction, seen there at once and outside when it commits."""
        before = copy.deepcopy((self.entries, self.last, self.removed, self.low, self.added, self.groups))
        self.tx = self.db.transaction()
        with pytest.raises(ZeroDivisionError) if ending == "savepoint" else nullcontext(), self.tx.savepoint():
            self.run_inside(data, count)
            if ending == "savepoint":
                raise ZeroDivisionError
        if ending == "savepoint":
            self.entries, self.last, self.removed, self.low, self.added, self.groups = copy.deepcopy(before)
            self.run_inside(data, 2)
        self.same_outside(before)
        if ending == "conflict" and len(self.tx[self.stream]) >= 0:
            self.stream.append(b"theirs", id=(before[1][0] + 1, 0) if self.ids == "time" else None)
            with pytest.raises(striate.ConflictError):
                self.tx.commit()
        elif ending == "rollback":
            self.tx.rollback()
        else:
            self.tx.commit()
            return
        self.entries, self.last, self.removed, self.low, self.added, self.groups = before
        if ending == "conflict":
            self.note((self.last[0] + 1, 0) if self.ids == "time" else self.next_id(), b"theirs", None)

    def run_inside(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            blind = data.draw(st.sampled_from(["append", "acknowledge", "rule", "rule", "rule"]), "kind")
            if blind == "append":
                self.tx[self.stream].append(b"blind", "key")
                self.note(self.next_id(), b"blind", b"key")
            elif blind == "acknowledge" and self.groups:
                name, group = next(iter(self.groups.items()))
                ids = list(group.pending)[:3]
                assert self.tx[self.group(name)].acknowledge(ids) == len(ids)
                for id in ids:
                    del group.pending[id]
            else:
                name = data.draw(st.sampled_from(sorted(_INSIDE)), "call")
                given = {key: data.draw(strategy, key) for key, strategy in _INSIDE[name].items()}
                with self.inside():
                    getattr(self, name)(**given)
        if data.draw(st.booleans(), "looks"):  # else what was appended last waits for the commit
            with self.inside():
                self.same()

    def same_outside(self, before: Any) -> None:
        entries, last, removed, _, added, groups = before
        info = self.stream.info()
        assert [pair(entry) for entry in self.stream] == list(entries) and info.added == added
        assert (pair(info.last_id), pair(info.removed_id)) == (last, removed) and info.groups == sorted(groups)
        for name, group in groups.items():
            self.same_group(self.group(name), group, entries)

    @rule(ahead=st.sampled_from([(0, 0), (0, 3), (2, 0), (-1, 0)]), more=st.none() | st.integers(-1, 3))
    def set_last_id(self, ahead: Id, more: int | None) -> None:
        id = max(self.last[0] + ahead[0], 0), self.last[1] + ahead[1]
        added = None if more is None else self.added + more
        wanted = (id[0] if self.ids == "offset" else self.added) if added is None else added
        allowed = id >= self.last and wanted >= self.added and id >= self.removed
        if self.ids == "offset":
            allowed = allowed and id == (wanted, 0)
        if added == -1 or not allowed:
            with pytest.raises((striate.StreamIdError, striate.InvalidArgumentError)):
                self.stream.set_last_id(id, added=added)
            return
        self.stream.set_last_id(id, added=added)
        self.last, self.added = id, wanted

    @rule(replaced=st.booleans())
    def drop(self, replaced: bool) -> None:
        """Drop the stream and make it again, at once or in one transaction; the old handle is of no use."""
        gone = self.stream
        if replaced:
            with self.db.transaction() as tx:
                assert tx.drop_stream("s") and len(tx.stream("s", ids=self.ids)) == 0
        else:
            assert self.db.drop_stream("s")
        self.stream = self.db.stream("s", ids=self.ids)
        with pytest.raises(striate.DroppedError):
            gone.append(b"never")
        self.entries, self.groups, self.added = {}, {}, 0
        self.last = self.removed = self.low = (0, 0)


@pytest.mark.parametrize("durability", ["process", "power"])
def test_against_the_model(durability: Durability) -> None:
    run_machine(TransactionMachine, durability)
