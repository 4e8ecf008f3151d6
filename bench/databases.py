"""Stores that a database is compared with, and the cases: a million keys, durable writes, transactions, opening."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import random
import sqlite3
import threading
import time
from array import array
from bisect import bisect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import striate
from bench import streams
from bench.rounds import Arm, Bench, LimitCase, Pair, RatioCase, Sample

_VALUE_BYTES = 100
_MAP_BYTES = 8 << 30
_TASKS = 64
_HOT_KEYS = 16
_BUSY_S = 60
_BEGINS_WITHIN_S = 5
STRIATE, ROCKS, LMDB, DISKCACHE, SQLITE = "striate", "rocksdict", "py-lmdb", "diskcache", "sqlite WAL/FULL"


@dataclass(frozen=True)
class DatabaseSizes:
    """How much of everything."""

    key_count: int = 1_000_000
    request_count: int = 200_000
    slow_request_count: int = 10_000  # of stores that take a thousand times as long
    durable_each: int = 40  # writes of each task
    stream_count: int = 50_000
    open_count: int = 10_000_000


SMOKE_DATABASE_SIZES = DatabaseSizes(2_000, 1_000, 200, 3, 1_000, 5_000)


def key_of(number: int) -> bytes:
    return b"user:%016d" % number


def zipf_keys(key_count: int, count: int, seed: int) -> list[bytes]:
    """Keys by Zipf's law with exponent 0.99, each a new object, in no order of popularity."""
    chance = random.Random(seed)
    sums = list(accumulate(1 / rank**0.99 for rank in range(1, key_count + 1)))
    return [key_of(bisect(sums, chance.random() * sums[-1]) * 7919 % key_count) for _ in range(count)]


# ---------------------------------------------------------------- stores: (set, get, close) of single keys


def _open_striate(path: Path) -> Store:
    db = striate.open(path, "process", compaction_interval_s=None)
    table = db.table("t")
    return Store(table.set, table.get, table.set_many, db.close)


def _open_rocks(path: Path) -> Store:
    import rocksdict

    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    db = rocksdict.Rdict(str(path), options=options)

    def many(pairs: list[tuple[bytes, bytes]]) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in pairs:
            batch.put(key, value)
        db.write(batch)

    return Store(db.put, db.get, many, db.close)


def _open_lmdb(path: Path) -> Store:
    import lmdb

    env = lmdb.open(str(path), map_size=_MAP_BYTES, sync=False, metasync=False, writemap=True, map_async=True)

    def put(key: bytes, value: bytes) -> None:
        with env.begin(write=True) as tx:
            tx.put(key, value)

    def get(key: bytes) -> bytes | None:
        with env.begin() as tx:
            found: bytes | None = tx.get(key)
            return found

    def many(pairs: list[tuple[bytes, bytes]]) -> None:
        with env.begin(write=True) as tx:
            for key, value in pairs:
                tx.put(key, value)

    return Store(put, get, many, env.close)


def _open_diskcache(path: Path) -> Store:
    import diskcache

    cache = diskcache.Cache(str(path), eviction_policy="none", size_limit=1 << 40, cull_limit=0)

    def many(pairs: list[tuple[bytes, bytes]]) -> None:
        with cache.transact():
            for key, value in pairs:
                cache.set(key, value)

    return Store(cache.set, cache.get, many, cache.close)


@dataclass(frozen=True)
class Store:
    """One open store, by its fastest public calls for single keys."""

    set: Callable[[bytes, bytes], object]
    get: Callable[[bytes], bytes | None]
    set_many: Callable[[list[tuple[bytes, bytes]]], object]
    close: Callable[[], object]


_OPENERS: dict[str, tuple[str, Callable[[Path], Store]]] = {
    STRIATE: ("striate", _open_striate),
    LMDB: ("lmdb", _open_lmdb),
    ROCKS: ("rocksdict", _open_rocks),
    DISKCACHE: ("diskcache", _open_diskcache),
}


def missing() -> list[str]:
    """Why some contenders cannot run here."""
    reasons = []
    for label, (module, _) in _OPENERS.items():
        try:
            importlib.import_module(module)
        except ImportError as error:
            reasons.append(f"{label}: {error}")
    return reasons


class _Stage:
    """Stores with all keys in them, and what is asked of them: new key objects in each round."""

    def __init__(self, sizes: DatabaseSizes, bench: Bench, stack: ExitStack) -> None:
        self.sizes, self.bench, self.stack = sizes, bench, stack
        self.stores: dict[str, Store] = {}
        self.value = os.urandom(_VALUE_BYTES)
        self.requests = zipf_keys(sizes.key_count, sizes.request_count, 1)

    def store(self, label: str) -> Store:
        if label not in self.stores:
            path = self.stack.enter_context(self.bench.workspace.fresh()) / label
            path.mkdir()
            self.stores[label] = store = _OPENERS[label][1](path)
            self.stack.callback(store.close)
            for start in range(0, self.sizes.key_count, 1000):
                numbers = range(start, min(start + 1000, self.sizes.key_count))
                store.set_many([(key_of(number), self.value) for number in numbers])
        return self.stores[label]


def _single(writes: bool, sizes: DatabaseSizes, bench: Bench, stack: ExitStack) -> list[Arm]:
    stage = _Stage(sizes, bench, stack)

    def arm(label: str) -> Arm:
        count = sizes.slow_request_count if label == DISKCACHE else sizes.request_count

        @contextmanager
        def ready(round_index: int) -> Iterator[Callable[[], object]]:
            store, value = stage.store(label), stage.value
            keys = [bytes(bytearray(key)) for key in stage.requests[:count]]
            set_, get = store.set, store.get

            def write() -> None:
                for key in keys:
                    set_(key, value)

            def read() -> None:
                for key in keys:
                    get(key)

            yield write if writes else read
            if get(keys[-1]) != value:
                raise AssertionError(f"{label} lost a key")

        return Arm(label, count, ready)

    unusable = {reason.partition(":")[0] for reason in missing()}
    return [arm(label) for label in _OPENERS if label not in unusable]


# ---------------------------------------------------------------- durable writes by many at once


def _in_threads(work: Callable[[int], object]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(_TASKS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path / "db", timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table if not exists t (k blob primary key, v blob) without rowid")
    return connection


def _striate_durable(path: Path, each: int, transactions: bool) -> None:
    value = os.urandom(_VALUE_BYTES)

    async def run() -> None:
        async with striate.aopen(path / "db", "power", compaction_interval_s=None) as db:
            table = db.table("t")

            async def write(task: int) -> None:
                for step in range(each):
                    await table.set(key_of(task * each + step), value)

            async def change(task: int) -> None:
                for step in range(each):
                    name = key_of((task + step) % _HOT_KEYS)
                    await db.transact(lambda tx, name=name: tx[table].increment(name))

            await asyncio.gather(*((change if transactions else write)(task) for task in range(_TASKS)))
            if transactions:
                assert sum(int(number) for _, number in table.scan()) == _TASKS * each
            else:
                assert len(table) == _TASKS * each

    asyncio.run(run())


def _sqlite_durable(path: Path, each: int, transactions: bool) -> None:
    value = os.urandom(_VALUE_BYTES)
    _sqlite(path).close()

    def work(task: int) -> None:
        connection = _sqlite(path)
        for step in range(each):
            if not transactions:
                connection.execute("insert or replace into t values (?, ?)", (key_of(task * each + step), value))
                continue
            name = key_of((task + step) % _HOT_KEYS)
            connection.execute("begin immediate")
            row = connection.execute("select v from t where k = ?", (name,)).fetchone()
            number = int(row[0]) if row else 0
            connection.execute("insert or replace into t values (?, ?)", (name, b"%d" % (number + 1)))
            connection.execute("commit")
        connection.close()

    _in_threads(work)


def _lmdb_durable(path: Path, each: int, transactions: bool) -> None:
    import lmdb

    env = lmdb.open(str(path), map_size=1 << 30, max_readers=2 * _TASKS)

    def work(task: int) -> None:
        for step in range(each):
            with env.begin(write=True) as tx:
                name = key_of((task + step) % _HOT_KEYS)
                tx.put(name, b"%d" % (int(tx.get(name, b"0")) + 1))

    _in_threads(work)
    env.close()


def _durable(transactions: bool, sizes: DatabaseSizes, bench: Bench, stack: ExitStack) -> list[Arm]:
    works: dict[str, Callable[[Path, int, bool], None]] = {STRIATE: _striate_durable, SQLITE: _sqlite_durable}
    if transactions:
        works[LMDB] = _lmdb_durable

    def arm(label: str) -> Arm:
        each = sizes.durable_each * (10 if label == STRIATE else 1)

        @contextmanager
        def ready(round_index: int) -> Iterator[Callable[[], object]]:
            with bench.workspace.fresh() as path:
                yield partial(works[label], path, each, transactions)

        return Arm(label, _TASKS * each, ready)

    return [arm(label) for label in works]


# ---------------------------------------------------------------- opening


def _build(sizes: DatabaseSizes, path: Path) -> None:
    with striate.open(path / "db", "process", compaction_interval_s=None) as db:
        table, value = db.table("t"), os.urandom(_VALUE_BYTES)
        for start in range(0, sizes.open_count, 10_000):
            numbers = range(start, min(start + 10_000, sizes.open_count))
            table.set_many([(key_of(number), value) for number in numbers])


def _resident_bytes() -> int:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


def _open_time(sizes: DatabaseSizes, bench: Bench, round_index: int) -> Sample:
    path = bench.once("open", partial(_build, sizes)) / "db"
    start = time.perf_counter()
    db = striate.open(path, "process", compaction_interval_s=None)
    seconds = time.perf_counter() - start
    assert len(db.table("t")) == sizes.open_count
    db.close()
    return Sample(seconds, seconds)


def _memory(sizes: DatabaseSizes, bench: Bench, round_index: int) -> Sample:
    path = bench.once("open", partial(_build, sizes)) / "db"
    gc.collect()
    before = _resident_bytes()
    db = striate.open(path, "process", compaction_interval_s=None)
    gc.collect()
    per_key = (_resident_bytes() - before) / sizes.open_count - len(key_of(0))
    db.close()
    return Sample(per_key, per_key)


# ---------------------------------------------------------------- reads while segments are written anew


def _worst_of_hundred(get: Callable[[bytes], object], keys: list[bytes], going_on: Callable[[], bool]) -> float:
    """The 99th percentile of the times of single reads, in seconds, for as long as something goes on."""
    times = array("q")
    note, now = times.append, time.perf_counter_ns
    while going_on() or not times:
        for key in keys:
            before = now()
            get(key)
            note(now() - before)
    return sorted(times)[len(times) * 99 // 100] / 1e9


def _reads_while_compacting(sizes: DatabaseSizes, bench: Bench, round_index: int) -> Sample:
    options: dict[str, Any] = {"durability": "process", "segment_bytes": 32 * sizes.key_count}
    with bench.workspace.fresh() as path:
        with striate.open(path / "db", compaction_interval_s=None, **options) as db:
            table, value = db.table("t"), os.urandom(_VALUE_BYTES)
            chance = random.Random(round_index)
            for part in (1.0, 0.7):
                for start in range(0, sizes.key_count, 1000):
                    numbers = [n for n in range(start, min(start + 1000, sizes.key_count)) if chance.random() < part]
                    table.set_many([(key_of(number), value) for number in numbers])
        requests = zipf_keys(sizes.key_count, sizes.request_count // 4, round_index)
        with striate.open(path / "db", compaction_interval_s=0.01, **options) as db:
            table = db.table("t")
            with db.compaction_paused():
                for _ in table.scan():
                    pass
                rounds = iter(range(20))
                idle = _worst_of_hundred(table.get, requests, lambda: next(rounds, None) is not None)
            deadline = time.monotonic() + _BEGINS_WITHIN_S
            while not db.compacting and time.monotonic() < deadline:
                table.get(requests[0])
            busy = _worst_of_hundred(table.get, requests, lambda: db.compacting)
    return Sample(busy / idle, busy * 1e6, idle * 1e6)


def cases(sizes: DatabaseSizes) -> list[RatioCase | LimitCase]:
    """All of them, in the order of the table."""
    count = f"{sizes.key_count:,} keys"
    sets = (Pair(STRIATE, ROCKS, 6), Pair(STRIATE, LMDB, 8), Pair(STRIATE, DISKCACHE, 50))
    gets = (Pair(STRIATE, LMDB, 2.5), Pair(STRIATE, DISKCACHE, 50), Pair(STRIATE, ROCKS))
    return [
        RatioCase("set", f"Table.set, process, {count}", partial(_single, True, sizes), sets),
        RatioCase("get", f"Table.get, {count}", partial(_single, False, sizes), gets),
        RatioCase("durable", f"durable set, {_TASKS} tasks", partial(_durable, False, sizes),
                  (Pair(STRIATE, SQLITE, 10),)),
        RatioCase("transact", f"durable transactions on {_HOT_KEYS} keys, {_TASKS} tasks",
                  partial(_durable, True, sizes), (Pair(STRIATE, SQLITE, 5), Pair(STRIATE, LMDB, 5))),
        RatioCase("stream", "stream append, group read, acknowledge", partial(streams.arms, sizes.stream_count),
                  (Pair(STRIATE, streams.REDIS, 10), Pair(streams.ONE_BY_ONE, streams.REDIS))),
        LimitCase("memory", f"memory of a key beyond its bytes, {sizes.open_count:,} keys", STRIATE, "B", "B", 48,
                  partial(_memory, sizes), single=True),
        LimitCase("open", f"open {sizes.open_count:,} keys with hints", STRIATE, "s", "s", 3,
                  partial(_open_time, sizes)),
        LimitCase("compaction", f"99th percentile of Table.get, {count}", "while compacting", "µs", "×", 2,
                  partial(_reads_while_compacting, sizes), peer_label="idle", peer_unit="µs"),
    ]  # fmt: skip
