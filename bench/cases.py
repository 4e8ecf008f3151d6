"""The bars that are ratios: who is compared with whom, at what, and how much faster striate has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from bench.concurrency import MANY_TASKS, MANY_THREADS, ONE_TASK, ONE_THREAD, concurrent_arms
from bench.contenders import Contender, Lmdb, PlainFile, RocksDict, StriateLog, missing
from bench.rounds import Arm, Bench, Pair, RatioCase
from bench.workload import BATCH_COUNT, Reads, Sizes, make_reads, make_writes

READ_MANY = "striate read_many"
SCAN_COLUMNS = "striate batches"

_COMMITTING = (Lmdb, RocksDict)
"""Contenders that commit each record, and so get fewer of them in the same time."""


def _write_arm(
    bench: Bench,
    kind: type[Contender],
    work: Callable[[Contender], None],
    record_count: int,
    *,
    durable: bool = False,
) -> Arm:
    """An arm that fills a new, empty store in each round."""

    @contextmanager
    def ready(round_index: int) -> Iterator[Callable[[], None]]:
        with bench.workspace.fresh() as directory, closing(kind(directory, durable=durable)) as store:
            yield lambda: work(store)
            _expect(kind, store.record_count(), record_count)

    return Arm(kind.label, record_count, ready)


def _expect(kind: type[Contender], got: object, wanted: object) -> None:
    if got != wanted:
        raise RuntimeError(f"{kind.label} gave {got!r}, not {wanted!r}")


def _append_arm(bench: Bench, kind: type[Contender], record_count: int, *, durable: bool = False) -> Arm:
    writes = make_writes(record_count, 128)
    return _write_arm(bench, kind, lambda store: store.append_each(writes), record_count, durable=durable)


def _append_arms(bench: Bench, stack: ExitStack) -> list[Arm]:
    sizes = bench.sizes
    return [
        _append_arm(bench, kind, sizes.append_slow_count if kind in _COMMITTING else sizes.append_count)
        for kind in (PlainFile, RocksDict, Lmdb, StriateLog)
        if not missing(kind)
    ]


def _durable_arms(bench: Bench, stack: ExitStack) -> list[Arm]:
    return [
        _append_arm(bench, kind, bench.sizes.durable_count, durable=True)
        for kind in (PlainFile, RocksDict, Lmdb, StriateLog)
        if not missing(kind)
    ]


def _batch_arms(value_bytes: int, count_of: Callable[[Sizes], int], bench: Bench, stack: ExitStack) -> list[Arm]:
    record_count = count_of(bench.sizes)
    batches = make_writes(record_count, value_bytes).parts(BATCH_COUNT)
    return [
        _write_arm(bench, kind, lambda store: store.append_batches(batches), record_count)
        for kind in (PlainFile, Lmdb, StriateLog)
        if not missing(kind)
    ]


class _Filled:
    """Copies of one data set in LMDB and striate: filled, reopened, and read once to map their pages."""

    def __init__(self, bench: Bench, stack: ExitStack, record_count: int, value_bytes: int) -> None:
        writes = make_writes(record_count, value_bytes)
        self.values = writes.values
        self._stores: dict[type[Contender], Contender] = {}
        for kind in (Lmdb, StriateLog):
            if missing(kind):
                continue
            directory = stack.enter_context(bench.workspace.fresh())
            with closing(kind(directory)) as store:
                store.append_batches(writes.parts(BATCH_COUNT))
            store = stack.enter_context(closing(kind(directory)))
            _expect(kind, store.record_count(), record_count)
            _expect(kind, store.scan(), self.values[-1])
            self._stores[kind] = store

    def arms(
        self,
        label: str,
        kind: type[Contender],
        record_count: int,
        work: Callable[[Contender, int], object],
        wanted: Callable[[int], object],
    ) -> list[Arm]:
        """One arm, or none if the contender is missing; ``wanted`` tells what a round's work must return."""
        store = self._stores.get(kind)
        if store is None:
            return []

        @contextmanager
        def ready(round_index: int) -> Iterator[Callable[[], None]]:
            results: list[object] = []
            yield lambda: results.append(work(store, round_index))
            _expect(kind, results[-1], wanted(round_index))

        return [Arm(label, record_count, ready)]


def _read_arms(
    value_bytes: int,
    stored_of: Callable[[Sizes], int],
    count_of: Callable[[Sizes], int],
    bench: Bench,
    stack: ExitStack,
) -> list[Arm]:
    record_count = count_of(bench.sizes)
    filled = _Filled(bench, stack, stored_of(bench.sizes), value_bytes)
    rounds = make_reads(len(filled.values), record_count)

    def reads(round_index: int) -> Reads:
        return rounds[round_index % len(rounds)]

    def wanted(round_index: int) -> bytes:
        return filled.values[reads(round_index).offsets[-1]]

    def one_by_one(store: Contender, round_index: int) -> bytes:
        return store.read_each(reads(round_index))

    def in_batches(store: Contender, round_index: int) -> bytes:
        return store.read_batches(reads(round_index))

    return [
        *filled.arms(Lmdb.label, Lmdb, record_count, one_by_one, wanted),
        *filled.arms(StriateLog.label, StriateLog, record_count, one_by_one, wanted),
        *filled.arms(READ_MANY, StriateLog, record_count, in_batches, wanted),
    ]


def _scan_arms(bench: Bench, stack: ExitStack) -> list[Arm]:
    record_count = bench.sizes.stored_count
    filled = _Filled(bench, stack, record_count, 128)

    def records(store: Contender, round_index: int) -> bytes:
        return store.scan()

    def columns(store: Contender, round_index: int) -> int:
        return store.scan_columns()

    last_value = filled.values[-1]
    return [
        *filled.arms(Lmdb.label, Lmdb, record_count, records, lambda _: last_value),
        *filled.arms(StriateLog.label, StriateLog, record_count, records, lambda _: last_value),
        *filled.arms(SCAN_COLUMNS, StriateLog, record_count, columns, lambda _: record_count * len(last_value)),
    ]


RATIO_CASES = (
    RatioCase(
        "append",
        "append, one call, `process` durability, 128 B",
        _append_arms,
        (
            Pair(StriateLog.label, PlainFile.label, 2.5),
            Pair(StriateLog.label, RocksDict.label, 12),
            Pair(StriateLog.label, Lmdb.label, 25),
        ),
    ),
    RatioCase(
        "append_many",
        "append_many of 1,000, 128 B",
        partial(_batch_arms, 128, lambda sizes: sizes.batch_count),
        (Pair(StriateLog.label, PlainFile.label, 2.5), Pair(StriateLog.label, Lmdb.label, 5)),
    ),
    RatioCase(
        "append_many_1k",
        "append_many of 1,000, 1 KiB",
        partial(_batch_arms, 1024, lambda sizes: sizes.batch_1k_count),
        (Pair(StriateLog.label, PlainFile.label, 1.3), Pair(StriateLog.label, Lmdb.label, 2)),
    ),
    RatioCase(
        "durable",
        "durable append, one by one, one thread, 128 B",
        _durable_arms,
        (
            Pair(StriateLog.label, PlainFile.label, 1.3),
            Pair(StriateLog.label, Lmdb.label, 1.8),
            Pair(StriateLog.label, RocksDict.label, 1.8),
        ),
    ),
    RatioCase(
        "concurrent",
        "durable append, 64 at once, 128 B",
        concurrent_arms,
        (
            Pair(MANY_TASKS, ONE_THREAD, 20),
            Pair(MANY_THREADS, ONE_THREAD, 20),
            Pair(MANY_TASKS, ONE_TASK),
            Pair(ONE_TASK, ONE_THREAD),
        ),
    ),
    RatioCase(
        "read",
        "random read, checksum verified, 128 B",
        partial(_read_arms, 128, lambda sizes: sizes.stored_count, lambda sizes: sizes.read_count),
        (Pair(StriateLog.label, Lmdb.label, 2.5), Pair(READ_MANY, Lmdb.label, 6)),
    ),
    RatioCase(
        "read_1k",
        "random read, checksum verified, 1 KiB",
        partial(_read_arms, 1024, lambda sizes: sizes.stored_1k_count, lambda sizes: sizes.read_1k_count),
        (Pair(StriateLog.label, Lmdb.label, 1.6), Pair(READ_MANY, Lmdb.label)),
    ),
    RatioCase(
        "scan",
        "scan in order, 128 B",
        _scan_arms,
        (Pair(StriateLog.label, Lmdb.label, 3), Pair(SCAN_COLUMNS, Lmdb.label, 12)),
    ),
)
"""In the order of the table."""
