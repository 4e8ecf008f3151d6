"""A cache against a dict with deadlines, step by step, with a clock that hypothesis moves."""

from __future__ import annotations

import math
import os

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from striate import Cache
from tests.cache.conftest import SECOND, Clock

EXAMPLES = int(os.environ.get("STRIATE_EXAMPLES", "60"))

keys = st.one_of(st.integers(0, 40).map(lambda n: b"key %d" % n), st.binary(max_size=40))
values = st.one_of(st.binary(max_size=300), st.integers(0, 20_000).map(bytes))
numbers = st.integers(-(10**6), 10**6)
durations = st.sampled_from([None, None, 0.001, 0.5, 3, 60, 4_000, 10**6, 10**8, math.inf])
tag_sets = st.sets(st.sampled_from(["red", "green", "blue"]))


class Entry:
    """What the model knows of a key."""

    def __init__(self, value: bytes, now: int, ttl: float, idle: float, tags: set[str]) -> None:
        self.value, self.tags = value, tags
        self.time(now, ttl, idle)

    def time(self, now: int, ttl: float, idle: float) -> None:
        self.used, self.idle = now, idle
        self.deadline = math.inf if ttl == math.inf else now + int(ttl * 1e9)

    @property
    def end(self) -> float:
        return min(self.deadline, math.inf if self.idle == math.inf else self.used + int(self.idle * 1e9))


class CacheMachine(RuleBasedStateMachine):
    """Every operation, with its result."""

    @initialize(ttl=durations, idle=durations, stripes=st.sampled_from([1, 2, 64]))
    def start(self, ttl: float | None, idle: float | None, stripes: int) -> None:
        self.clock = Clock()
        self.ttl = math.inf if ttl is None else ttl
        self.idle = math.inf if idle is None else idle
        self.cache: Cache[bytes] = Cache(ttl=ttl, idle=idle, clock=self.clock, stripes=stripes)
        self.model: dict[bytes, Entry] = {}

    def live(self, key: bytes) -> Entry | None:
        entry = self.model.get(key)
        if entry is not None and entry.end <= self.clock.now:
            del self.model[key]
            return None
        return entry

    def put(self, key: bytes, value: bytes, ttl: float | None, idle: float | None, tags: set[str]) -> None:
        chosen = self.ttl if ttl is None else ttl, self.idle if idle is None else idle
        self.model[key] = Entry(value, self.clock.now, *chosen, tags)

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        entry = self.live(key)
        assert self.cache.get(key) == (entry and entry.value)
        if entry:
            entry.used = self.clock.now

    @rule(key=keys)
    def look(self, key: bytes) -> None:
        entry = self.live(key)
        assert self.cache.peek(key) == (entry and entry.value)
        assert (key in self.cache) == (entry is not None)
        left = self.cache.expires_in(key)
        assert left == (None if entry is None else pytest.approx((entry.end - self.clock.now) / 1e9))

    @rule(key=keys, value=values, ttl=durations, idle=durations, tags=tag_sets)
    def set(self, key: bytes, value: bytes, ttl: float | None, idle: float | None, tags: set[str]) -> None:
        self.cache.set(key, value, ttl=ttl, idle=idle, tags=tags)
        self.put(key, value, ttl, idle, tags)

    @rule(key=keys, value=values, ttl=durations, add=st.booleans())
    def add_or_replace(self, key: bytes, value: bytes, ttl: float | None, add: bool) -> None:
        stored = (self.cache.add if add else self.cache.replace)(key, value, ttl=ttl)
        assert stored == ((self.live(key) is None) == add)
        if stored:
            self.put(key, value, ttl, None, set())

    @rule(key=keys, value=values, other=keys)
    def compare_and_set(self, key: bytes, value: bytes, other: bytes) -> None:
        found = self.cache.get_versioned(key)
        entry = self.live(key)
        assert (found and found[0]) == (entry and entry.value)
        if found is None or entry is None:
            return
        entry.used = self.clock.now
        if other != key:
            assert self.cache.cas(key, value, found[1])
            self.put(key, value, None, None, set())
        assert not self.cache.cas(key, b"never", found[1] + (other == key))

    @rule(key=keys, ttl=durations, idle=durations)
    def touch(self, key: bytes, ttl: float | None, idle: float | None) -> None:
        entry = self.live(key)
        assert self.cache.touch(key, ttl=ttl, idle=idle) == (entry is not None)
        if entry:
            chosen = self.ttl if ttl is None else ttl, self.idle if idle is None else idle
            entry.time(self.clock.now, *chosen)

    @rule(key=keys, delta=numbers)
    def increment(self, key: bytes, delta: int) -> None:
        key = b"number " + key
        entry = self.live(key)
        total = int(entry.value if entry else b"0") + delta
        assert self.cache.incr(key, delta) == total
        if entry:
            entry.value, entry.used = b"%d" % total, self.clock.now
        else:
            self.put(key, b"%d" % total, None, None, set())

    @rule(key=keys, how=st.sampled_from(["delete", "pop"]))
    def delete(self, key: bytes, how: str) -> None:
        entry = self.live(key)
        if how == "pop":
            assert self.cache.pop(key, None) == (entry and entry.value)
        else:
            assert self.cache.delete(key) == (entry is not None)
        self.model.pop(key, None)

    @rule(wanted=st.lists(keys, max_size=60))
    def get_many(self, wanted: list[bytes]) -> None:
        entries = [self.live(key) for key in wanted]
        assert self.cache.get_many(wanted, b"none") == [entry.value if entry else b"none" for entry in entries]
        for entry in entries:
            if entry:
                entry.used = self.clock.now

    @rule(items=st.lists(st.tuples(keys, values), max_size=60), as_dict=st.booleans(), ttl=durations, tags=tag_sets)
    def set_many(self, items: list[tuple[bytes, bytes]], as_dict: bool, ttl: float | None, tags: set[str]) -> None:
        self.cache.set_many(dict(items) if as_dict else items, ttl=ttl, tags=tags)
        for key, value in items:
            self.put(key, value, ttl, None, tags)

    @rule(wanted=st.lists(keys, max_size=30))
    def delete_many(self, wanted: list[bytes]) -> None:
        there = {key for key in wanted if self.live(key)}
        assert self.cache.delete_many(wanted) == len(there)
        for key in there:
            del self.model[key]

    @rule(prefix=st.sampled_from([b"", b"key 1", b"number ", b"\0"]))
    def delete_prefix(self, prefix: bytes) -> None:
        gone = [key for key in list(self.model) if key.startswith(prefix) and self.live(key)]
        assert sorted(self.cache.scan(prefix)) == sorted(gone)
        assert self.cache.delete_prefix(prefix) == len(gone)
        for key in gone:
            del self.model[key]

    @rule(tag=st.sampled_from(["red", "green", "none"]))
    def delete_tag(self, tag: str) -> None:
        gone = [key for key in list(self.model) if (entry := self.live(key)) and tag in entry.tags]
        assert self.cache.delete_tag(tag) == len(gone)
        for key in gone:
            del self.model[key]

    @rule()
    def clear(self) -> None:
        self.cache.clear()
        self.model.clear()

    @rule(seconds=st.one_of(st.floats(0, 10), st.sampled_from([0.001, 0.008, 60, 5_000, 10**6, 10**7])))
    def wait(self, seconds: float) -> None:
        self.clock.now += int(seconds * SECOND)

    @invariant()
    def same(self) -> None:
        if hasattr(self, "cache"):
            there = {key: entry.value for key in list(self.model) if (entry := self.live(key))}
            assert len(self.cache) == len(there)
            assert dict(self.cache.items()) == there


def test_against_the_model(seed: int) -> None:
    run_state_machine_as_test(
        hypothesis.seed(seed)(CacheMachine),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=60,
            deadline=None,
            database=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
