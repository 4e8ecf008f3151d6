"""One of the numbered databases that commands work on: strings in a durable table, streams beside them.

Reads are of the latest state and writes do not wait for the disk: whoever answers clients holds the replies back until
the log is durable so far. What may not live here: what single commands check and answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, NamedTuple

from striate._native.commit import Commit
from striate._native.streamentry import StreamEntry
from striate.commands.appended import Appended
from striate.commands.patterns import literal, matches, prefix
from striate.commands.stream_names import StreamNames
from striate.protocol.replies import Failure
from striate.storage.catalog import as_name
from striate.storage.database import Database
from striate.storage.stream import Stream
from striate.storage.table import MUST_BE_PRESENT, MUST_EQUAL, MUST_NOTHING, Table, walk

WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"
LATEST_END: Final = 9_223_372_036_000
"""The last millisecond that an expiry can have, in the year 2262; later ones count as this one."""

# A cursor is the table's: one of its 16 parts and a place in that; the table may be asked for no part beyond them.
# Behind its last key it is so much and the number of the next stream.
_TABLE_CURSORS: Final = 16 << 32
_PLACES: Final = 1 << 16
_COUNTED: Final = 10_000
_STREAM_CURSORS: Final = 1 << 40

Kind = Literal["string", "stream"]
Write = tuple[bytes | None, int]
"""A value and the end of its time in milliseconds since the epoch, 0 for never; ``None`` removes the key."""
New = tuple[Stream[bytes], StreamEntry, bytes, bytes | None]
"""A stream and what is to be appended to it: the entry that gets the id, its value, its key."""


class Entry(NamedTuple):
    """A string: its bytes, when it ends (0: never) and its version."""

    value: bytes
    end_ms: int
    version: int


class Keyspace:
    """Database ``number`` as commands see it.

    A key is a string or a stream. What reads a string raises WRONGTYPE for a stream; what writes one removes the stream
    of that key first.
    """

    def __init__(self, database: Database, number: int, now_ms: Callable[[], int]) -> None:
        self.number = number
        self._now_ms = now_ms
        self._table: Table[bytes] = database.table("keys" if number == 0 else f"keys:{number}")
        self._streams = StreamNames(database, number, now_ms)

    # ------------------------------------------------------------ reading

    def entry(self, key: bytes) -> Entry | None:
        """A string and all that is known of it, ``None`` for an absent key."""
        version, value, end = self._table._read_latest(key)
        if value is None:
            if self._streams.has(key):
                raise Failure(WRONG_TYPE)
            return None
        return Entry(value, end, version)

    def get(self, key: bytes) -> bytes | None:
        """A string, ``None`` for an absent key."""
        value = self._table._read_latest(key)[1]
        if value is None and self._streams.has(key):
            raise Failure(WRONG_TYPE)
        return value

    def kind(self, key: bytes) -> Kind | None:
        """What a key is, ``None`` for an absent one."""
        if self._table._read_latest(key)[0]:
            return "string"
        return "stream" if self._streams.has(key) else None

    def version(self, key: bytes) -> int:
        """What every write of a key changes, 0 for an absent one; two of one key are the same only if nobody wrote."""
        version = self._table._read_latest(key)[0]
        if version:
            return version
        stream = self.stream(key)
        # Numbers of streams are never used again, and every record of one has a higher version.
        return 0 if stream is None else -(stream._view.number << 64 | stream._last_version + 1)

    def end_ms(self, key: bytes) -> int | None:
        """When a key ends, 0 for never, ``None`` for an absent one."""
        version, _, end = self._table._read_latest(key)
        if version:
            return end
        return self._streams.end_ms(key) if self._streams.has(key) else None

    # ------------------------------------------------------------ writing

    def set(self, key: bytes, value: bytes, end_ms: int = 0, version: int | None = None) -> bool:
        """Store a string, ``version``: if the key has that one still (0: is absent); whether it was stored.

        An end that is past removes the key.
        """
        return self._write(key, self._in_time((value, end_ms)), version)

    def change(self, key: bytes, make: Callable[[Entry | None], Write | None]) -> None:
        """Let a function say what becomes of a string; it is asked again when another thread was faster.

        ``None`` leaves the key as it is.
        """
        while True:
            entry = self.entry(key)
            made = make(entry)
            if made is None or self._write(key, self._in_time(made), 0 if entry is None else entry.version):
                return

    def update(
        self, writes: Mapping[bytes, Write], versions: Mapping[bytes, int] | None = None, entries: Sequence[New] = ()
    ) -> bool:
        """Write many strings and append entries to streams as one change, if the keys of ``versions`` have these still;
        whether it was made."""
        commit = self._commit(len(writes) + len(versions or ()) + len(entries))
        for stream, entry, stored, own_key in entries:
            commit.append(stream, entry, stored, own_key)
        for key, version in (versions or {}).items():
            commit.check(self._table, key, version)
        for key, write in writes.items():
            value, end = self._in_time(write)
            if value is None and not self._table._read_latest(key)[0]:
                continue
            commit.add(
                self._table, key, value, min(end, LATEST_END), MUST_BE_PRESENT if value is None else MUST_NOTHING
            )
        if commit.run() is not None:
            return False
        for key in writes:
            self._streams.drop(key)
        return True

    def _commit(self, count: int) -> Commit:
        """A change of at most so many keys."""
        return Commit(self._table._partition, count)

    def _in_time(self, write: Write) -> Write:
        return (None, 0) if 0 < write[1] <= self._now_ms() else write

    def _write(self, key: bytes, write: Write, version: int | None) -> bool:
        value, end = write
        if value is None:
            if version is None:
                self.delete(key)
                return True
            return version == 0 or self._table._remove_nowait(key, version)
        # The stream goes last: a crash between the two leaves a string, which is what a reader then finds.
        condition = MUST_NOTHING if version is None else MUST_EQUAL
        done = self._table._write_nowait(key, value, min(end, LATEST_END), condition, version or 0) > 0
        if done:
            self._streams.drop(key)
        return done

    def delete(self, key: bytes) -> bool:
        """Remove a key of any kind; whether it was there."""
        return self._table._remove_nowait(key) or self._streams.drop(key)

    def set_end(self, key: bytes, end_ms: int) -> bool:
        """Let a key of any kind end then, 0: never; past: at once. Whether it was there."""
        if 0 < end_ms <= self._now_ms():
            return self.delete(key)
        while True:
            version, value, _ = self._table._read_latest(key)
            if value is None:
                return self._streams.set_end(key, min(end_ms, LATEST_END))
            if self._table._write_nowait(key, value, min(end_ms, LATEST_END), MUST_EQUAL, version) > 0:
                return True

    def transfer(self, key: bytes, target: Keyspace, name: bytes, *, keep: bool) -> bool:
        """Give a value and its end to ``name`` of this or another database as well, or (not ``keep``) instead; as one
        change if it is a string. Whether it was there."""
        while True:
            version, value, end = self._table._read_latest(key)
            if value is None:
                return self._transfer_stream(key, target, name, keep=keep)
            commit = self._commit(2)
            commit.add(target._table, name, value, end, MUST_NOTHING, 0)
            if keep:
                commit.check(self._table, key, version)
            else:
                commit.add(self._table, key, None, 0, MUST_EQUAL, version)
            if commit.run() is None:
                target._streams.drop(name)
                return True

    def _transfer_stream(self, key: bytes, target: Keyspace, name: bytes, *, keep: bool) -> bool:
        if not self._streams.has(key):
            return False
        if keep:
            raise Failure("ERR a stream cannot be copied")
        target.delete(name)
        self._streams.rename(key, target._streams, name)
        return True

    def swap(self, other: Keyspace) -> None:
        """Exchange all keys with another database as one change. Failure: one of them has streams."""
        if any(True for one in (self, other) for _ in one._streams):
            raise Failure("ERR databases with streams cannot be swapped")
        while True:
            here, there = (list(walk(one._table, b"", True)) for one in (self, other))
            commit = self._commit(2 * (len(here) + len(there)))
            commit.watch(self._table, self._table._changes)
            commit.watch(other._table, other._table._changes)
            for source, target, keys in ((self, other, here), (other, self, there)):
                for key in keys:
                    _, value, end = source._table._read_latest(key)
                    commit.add(target._table, key, value, end, MUST_NOTHING, 0)
                    if not target._table._read_latest(key)[0]:
                        commit.add(source._table, key, None, 0, MUST_BE_PRESENT, 0)
            if commit.run() is None:
                return

    def clear(self) -> None:
        """Remove all keys."""
        self._table._clear_nowait()
        for key in self._streams:
            self._streams.drop(key)

    # ------------------------------------------------------------ all keys

    def scan(self, cursor: int, count: int, pattern: bytes = b"*", kind: Kind | None = None) -> tuple[int, list[bytes]]:
        """Some keys, ``count`` or more being looked at, and the cursor for more: 0 at the beginning and the end.

        A key that is there all the time is met at least once.
        """
        start = prefix(pattern)
        met: list[bytes] = []
        looked = 0
        if cursor < _TABLE_CURSORS:
            while looked < count:
                cursor, found = self._table._walk(start, True, False, cursor)
                looked += max(len(found), 1)
                met += [key for key, _ in found]
                if not cursor:
                    cursor = _STREAM_CURSORS
                    break
            if kind == "stream":
                met.clear()
        if cursor >= _STREAM_CURSORS:
            number, keys = self._streams.scan(cursor - _STREAM_CURSORS, max(count - looked, 1))
            met += keys if kind != "string" else ()
            cursor = _STREAM_CURSORS + number if number else 0
        elif cursor >= _TABLE_CURSORS:
            cursor = 0
        return cursor, [key for key in met if matches(pattern, key)]

    def keys(self, pattern: bytes = b"*") -> Iterator[bytes]:
        """All keys that fit a pattern, each once."""
        only = literal(pattern)
        if only is not None:
            yield from (only,) if self.kind(only) else ()
            return
        for key in walk(self._table, prefix(pattern), True):
            if matches(pattern, key):
                yield key
        yield from (key for key in self._streams if matches(pattern, key))

    def random_key(self, random_below: Callable[[int], int]) -> bytes | None:
        """Some key; which, is chance's."""
        streams = list(self._streams)
        strings = len(self._table)
        if not strings + len(streams):
            return None
        at = random_below(strings + len(streams))
        if at >= strings:
            return streams[at - strings]
        for cursor in (random_below(_TABLE_CURSORS >> 32) << 32 | random_below(_PLACES), 0):
            while True:
                cursor, found = self._table._walk(b"", True, False, cursor)
                if found:
                    return found[random_below(len(found))][0]
                if not cursor:
                    break
        return None

    def __len__(self) -> int:
        return len(self._table) + sum(1 for _ in self._streams)

    def expiring(self) -> int:
        """How many keys have an end: counted among the first 10,000, beyond them estimated."""
        first = list(islice(walk(self._table, b"", True), _COUNTED))
        timed = sum(1 for key in first if self._table._read_latest(key)[2])
        if len(first) == _COUNTED:
            timed = timed * len(self._table) // _COUNTED
        return timed + sum(1 for key in self._streams if self._streams.end_ms(key))

    # ------------------------------------------------------------ streams

    def stream(self, key: bytes) -> Stream[bytes] | None:
        """The stream of a key, ``None`` for an absent key; WRONGTYPE for a string."""
        if self._table._read_latest(key)[0]:
            raise Failure(WRONG_TYPE)
        return self._streams.open(key)

    def admit_appends(self, key: bytes, stream: Stream[Any], appended: Appended) -> None:
        """Let XADD append to a stream of this database without asking, if it has no end."""
        name = self._streams.name(key)
        if name is not None and not self._streams.end_ms(key):
            appended.admit(self.number, key, stream, as_name(name))

    def create_stream(self, key: bytes) -> Stream[Any]:
        """The stream of a key, made if it is not there."""
        return self.stream(key) or self._streams.create(key)
