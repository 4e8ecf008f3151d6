"""The stores that are compared, each a small class with the same operations.

Each operation holds its own loop, written the fastest way we know for that store with public calls,
because a shared loop with a call per record would add the same 40 ns to everybody and so flatter the
slow. Reads return the last value so that the caller can check it; nothing else is done with the values.
"""

from __future__ import annotations

import importlib
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from bench.workload import Reads, Writes

_FILE_BUFFER_BYTES = 64 << 10
_LMDB_MAP_BYTES = 16 << 30
_PREFIX = struct.Struct("<I")


class Contender:
    """A store opened in an empty or a filled directory.

    Args:
        directory: where all its files go; exists.
        durable: each append is on the disk when it returns; else it only survives the death of the process.
            (The plain file keeps its last 64 KiB in the process and does not even promise that.)

    An operation that a store is not measured in raises ``NotImplementedError``.
    """

    label: ClassVar[str]
    module_name: ClassVar[str | None] = None
    """What must be importable."""

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Release everything; not timed."""
        raise NotImplementedError

    def record_count(self) -> int:
        """How many records the store holds now; used to check that the timed work was really done."""
        raise NotImplementedError

    def append_each(self, writes: Writes) -> None:
        """Append record by record, each by a call of its own."""
        raise NotImplementedError

    def append_batches(self, batches: list[Writes]) -> None:
        """Append batch by batch, each by one call or one transaction."""
        raise NotImplementedError

    def read_each(self, reads: Reads) -> bytes:
        """Read random records one by one."""
        raise NotImplementedError

    def read_batches(self, reads: Reads) -> bytes:
        """Read random records, ``BATCH_COUNT`` a call."""
        raise NotImplementedError

    def scan(self) -> bytes:
        """Visit the value of every record in order."""
        raise NotImplementedError

    def scan_columns(self) -> int:
        """Visit every record in columnar batches; returns the total size of the values."""
        raise NotImplementedError


def missing(kind: type[Contender]) -> str | None:
    """Why this contender cannot run here, or None."""
    if kind.module_name is None:
        return None
    try:
        importlib.import_module(kind.module_name)
    except ImportError as error:
        install = "pip install ." if kind is StriateLog else "pip install '.[bench]'"
        return f"{kind.label} cannot be imported: {error} (try {install})"
    return None


class PlainFile(Contender):
    """What one writes by hand: a buffered file, each value behind its length; no checksum, no index."""

    label = "plain file"

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self._file = open(directory / "records", "ab", buffering=_FILE_BUFFER_BYTES)  # noqa: SIM115
        self._durable = durable
        self._record_count = 0

    def close(self) -> None:
        self._file.close()

    def record_count(self) -> int:
        position = record_count = 0
        content = (Path(self._file.name)).read_bytes()
        while position < len(content):
            position += _PREFIX.size + _PREFIX.unpack_from(content, position)[0]
            record_count += 1
        return record_count

    def append_each(self, writes: Writes) -> None:
        file, write, pack = self._file, self._file.write, _PREFIX.pack
        if self._durable:
            descriptor = file.fileno()
            for value in writes.values:
                write(pack(len(value)) + value)
                file.flush()
                os.fdatasync(descriptor)
        else:
            for value in writes.values:
                write(pack(len(value)) + value)
            file.flush()

    def append_batches(self, batches: list[Writes]) -> None:
        write, pack = self._file.write, _PREFIX.pack
        for batch in batches:
            parts: list[bytes] = []
            append = parts.append
            for value in batch.values:
                append(pack(len(value)))
                append(value)
            write(b"".join(parts))
        self._file.flush()


class Lmdb(Contender):
    """py-lmdb, keyed by sequence number; without ``durable`` it never syncs (``sync=False``)."""

    label = "py-lmdb"
    module_name = "lmdb"

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        lmdb: Any = importlib.import_module("lmdb")
        self._environment = lmdb.open(str(directory), map_size=_LMDB_MAP_BYTES, sync=durable)
        self._reader: Any = None

    def close(self) -> None:
        if self._reader is not None:
            self._reader.abort()
        self._environment.close()

    def record_count(self) -> int:
        entry_count: int = self._environment.stat()["entries"]
        return entry_count

    def _long_reader(self) -> Any:
        """One read transaction for all rounds: the cheapest way LMDB has to read."""
        if self._reader is None:
            self._reader = self._environment.begin()
        return self._reader

    def append_each(self, writes: Writes) -> None:
        begin = self._environment.begin
        for key, value in zip(writes.keys, writes.values, strict=True):
            transaction = begin(write=True)
            transaction.put(key, value, append=True)
            transaction.commit()

    def append_batches(self, batches: list[Writes]) -> None:
        for batch in batches:
            with self._environment.begin(write=True) as transaction:
                items = zip(batch.keys, batch.values, strict=True)
                transaction.cursor().putmulti(items, append=True)

    def read_each(self, reads: Reads) -> bytes:
        get = self._long_reader().get
        value = b""
        for key in reads.keys:
            value = get(key)
        return value

    def scan(self) -> bytes:
        value = b""
        for value in self._long_reader().cursor().iternext(keys=False, values=True):  # noqa: B007
            pass
        return value


class RocksDict(Contender):
    """rocksdict, keyed by sequence number, with its write-ahead log, which ``durable`` syncs at each put."""

    label = "rocksdict"
    module_name = "rocksdict"

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        rocksdict: Any = importlib.import_module("rocksdict")
        self._store = rocksdict.Rdict(str(directory / "rocks"), rocksdict.Options(raw_mode=True))
        options = rocksdict.WriteOptions()
        options.sync = durable
        self._store.set_write_options(options)

    def close(self) -> None:
        self._store.close()

    def record_count(self) -> int:
        put_count: int = self._store.latest_sequence_number()
        return put_count

    def append_each(self, writes: Writes) -> None:
        store = self._store
        for key, value in zip(writes.keys, writes.values, strict=True):
            store[key] = value


class StriateLog(Contender):
    """striate's synchronous log, checksums and index included."""

    label = "striate"
    module_name = "striate"

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        import striate

        self.log = striate.Log(directory / "log", durability="power" if durable else "process")

    def close(self) -> None:
        self.log.close()

    def record_count(self) -> int:
        record_count: int = self.log.next_offset - self.log.lowest_offset
        return record_count

    def append_each(self, writes: Writes) -> None:
        append = self.log.append
        for value in writes.values:
            append(value)

    def append_batches(self, batches: list[Writes]) -> None:
        append_many = self.log.append_many
        for batch in batches:
            append_many(batch.values)

    def read_each(self, reads: Reads) -> bytes:
        read = self.log.read
        value = b""
        for offset in reads.offsets:
            value = read(offset).value
        return value

    def read_batches(self, reads: Reads) -> bytes:
        read_many = self.log.read_many
        value = b""
        for offsets in reads.batches:
            for record in read_many(offsets):
                value = record.value
        return value

    def scan(self) -> bytes:
        value = b""
        for record in self.log.scan():
            value = record.value
        return value

    def scan_columns(self) -> int:
        log = self.log
        read_batch = log.read_batch
        offset, end = log.lowest_offset, log.next_offset
        total_bytes = 0
        while offset < end:
            batch = read_batch(offset)
            total_bytes += int(batch.lengths.sum())
            offset = batch.next_offset
        return total_bytes
