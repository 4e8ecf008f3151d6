"""The types of the public interface, as mypy sees them; run by test_typing.py and never executed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal, assert_type

import numpy as np

import striate
from striate import AsyncLog, Log, Record, RecordBatch, RecordKind, SegmentInfo


def synchronous(path: Path) -> None:
    with Log(path, durability="process", record_size=None, sync_interval_ms=100) as log:
        assert_type(log, Log)
        assert_type(log.append(b"value"), int)
        assert_type(log.append(bytearray(b"value"), key=memoryview(b"key")), int)
        assert_type(log.append_tombstone(b"key"), int)
        assert_type(log.append_many([b"a", b"b"], [b"key", None]), range)
        assert_type(log.append_many(b"ab", lengths=np.array([1, 1])), range)
        assert_type(log.read(0), Record)
        assert_type(log.read(np.uint64(0)), Record)
        assert_type(log.read_many([0, 1]), list[Record])
        assert_type(log.read_many(np.arange(2)), list[Record])
        assert_type(log.scan(0, 5), Iterator[Record])
        assert_type([record.value for record in log], list[bytes])
        assert_type(log.view(0).nbytes, int)
        assert_type(log.lowest_offset, int)
        assert_type(log.next_offset, int)
        assert_type(log.durable_offset, int)
        assert_type(log.durability, Literal["power", "process"])
        assert_type(log.mode, Literal["a", "r"])
        assert_type(log.record_size, int | None)
        assert_type(log.follow(timeout=1.5), Iterator[Record])
        assert_type(log.wait(0, 1), bool)
        assert_type(log.read_batch(), RecordBatch)
        assert_type(log.segments(), list[SegmentInfo])
        assert_type(log.stats(), striate.LogStats)
        assert_type(log.verify(), striate.VerifyReport)
        assert_type(log.compact(), striate.CompactionResult)
        assert_type(log.snapshot(path / "copy"), striate.SnapshotInfo)
        assert_type(log.truncate_before(1), int)
        assert_type(log.retain(max_bytes=1), int)
        assert_type(log.recovery, striate.RecoveryReport)
    assert_type(Log.restore(path / "copy", path / "restored"), Log)


def records(record: Record) -> None:
    assert_type(record.offset, int)
    assert_type(record.timestamp, int)
    assert_type(record.key, bytes | None)
    assert_type(record.value, bytes)
    assert_type(record.kind, RecordKind)
    assert_type(record.is_tombstone, bool)


async def asynchronous(path: Path) -> None:
    async with AsyncLog(path) as log:
        assert_type(log, AsyncLog)
        assert_type(await log.append(b"value", b"key"), int)
        assert_type(await log.append_many([b"a"]), range)
        assert_type(await log.sync(), int)
        assert_type(log.read(0), Record)
        assert_type(log.follow(), AsyncIterator[Record])
        assert_type(await log.verify(), striate.VerifyReport)


class User:
    name: str


def counters(cache: striate.Cache[User]) -> None:
    cache.add_counter("ann", lambda key, user: key.startswith(b"a") and user.name == "ann")
    cache.add_counter("b", lambda key, user: user.nothing)  # type: ignore[attr-defined]
    assert_type(cache.stats().counters, dict[str, int])


async def changes(cache: striate.Cache[bytes]) -> None:
    assert_type(cache.from_source("node-2"), striate.Cache[bytes])
    with cache.changes(limit=10) as listener:
        assert_type(listener, striate.Changes)
        assert_type(listener.get(timeout=1), striate.CacheChange | None)
        async for change in listener:
            assert_type(change.key, bytes)


def caches(db: striate.Database, other: striate.AsyncDatabase) -> None:
    assert_type(db.cache("a", max_items=5, ttl=1.5), striate.Cache[bytes])
    assert_type(db.cache("b", codec="json", type=User), striate.Cache[User])
    assert_type(other.cache("b", codec="msgpack", type=User).get("k"), User | None)
    assert_type(db.drop_cache("a"), bool)
    assert_type(list(other.caches()), list[str])


class Rows:
    cache_enabled = True

    def put(self, key: bytes, value: bytes, expires: float | None) -> None: ...
    def get(self, key: bytes) -> tuple[bytes, float | None] | None:
        return None

    def delete(self, key: bytes) -> None: ...
    def collect(self) -> list[tuple[bytes, tuple[bytes, float | None]]]:
        return []


class NoRows:
    def put(self, key: bytes, value: bytes, expires: float | None) -> None: ...


def storages(table: striate.Table[bytes], typed: striate.Table[int]) -> None:
    for storage in (Rows(), striate.MemoryStorage(), striate.TableStorage(table, cache_enabled=False)):
        own: striate.Storage = storage
        cache: striate.Cache[User] = striate.Cache(storage=own, codec="json", type=User)
        assert_type(cache.load(), int)
        assert_type(cache.get("k"), User | None)
        cache.forget("k")
    striate.Cache(storage=NoRows())  # type: ignore[arg-type]
    striate.TableStorage(typed)  # type: ignore[arg-type]


def streams(db: striate.Database) -> None:
    stream = db.stream("plain")
    assert_type(stream, striate.Stream[bytes])
    typed = db.stream("typed", "json", User, ids="offset")
    assert_type(typed, striate.Stream[User])
    assert_type(stream.append(b"value", "key", id="5-1"), striate.StreamId)
    assert_type(stream.append_many([b"value"], [None]), list[striate.StreamId])
    for entry in stream.range("5", (6, 1), count=2):
        assert_type(entry, striate.StreamEntry)
        assert_type(entry.id, striate.StreamId)
        assert_type(entry.key, bytes | None)
    group = typed.group("workers", "0")
    assert_type(group, striate.Group[User])
    assert_type(group.read("one", timeout=None), list[striate.StreamEntry])
    assert_type(group.acknowledge(group.read("one")), int)
    assert_type(group.pending(), list[striate.PendingEntry])
    assert_type(group.auto_claim("two", 60), tuple[striate.StreamId | None, list[striate.StreamEntry]])
    with db.transaction() as tx:
        assert_type(tx[stream].append(b"value"), striate.StreamEntry)
        tx[typed].append(b"value")  # type: ignore[arg-type]
        tx[group].acknowledge(["5-1"])
    stream.append("text")  # type: ignore[arg-type]
    stream.get(1.5)  # type: ignore[arg-type]


async def async_streams(db: striate.AsyncDatabase) -> None:
    stream = db.stream("typed", "json", User)
    assert_type(stream, striate.AsyncStream[User])
    assert_type(await stream.append(User()), striate.StreamId)
    async for entry in stream.follow("0"):
        assert_type(entry, striate.StreamEntry)
    group = await stream.group("workers")
    assert_type(group, striate.AsyncGroup[User])
    assert_type(await group.read("one", timeout=1), list[striate.StreamEntry])


def errors(error: Exception) -> None:
    if isinstance(error, striate.OffsetOutOfRangeError):
        assert_type(error.lowest_offset, int)
    if isinstance(error, striate.DiskFullError):
        assert_type(error.errno, int)
    if isinstance(error, striate.CorruptError):
        assert_type(error.position, int | None)


def refused(path: Path) -> None:
    """Each line would be an unused ignore if mypy let it pass."""
    log = Log(path)
    striate.nope  # type: ignore[attr-defined]  # noqa: B018
    log.append("text")  # type: ignore[arg-type]
    log.append(b"value", "key")  # type: ignore[arg-type]
    log.append_many(b"ab")  # type: ignore[arg-type]
    log.append_many([b"a"], lengths=[1])  # type: ignore[call-overload]
    log.read("0")  # type: ignore[arg-type]
    log.next_offset = 3  # type: ignore[misc]
    Log(path, durability="maybe")  # type: ignore[arg-type]
    Log(path, mode="w")  # type: ignore[arg-type]
    log.read(0).value = b""  # type: ignore[misc]
