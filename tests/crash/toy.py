"""A small log with the face of striate.Log and, on request, one of the mistakes that real stores have made.

It exists to test the tests: without a flaw it has to pass every crash state, with any of the flaws it has
to be caught. Every batch is a file of its own; the file `manifest` says which of them count.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from striate._native.simulation import SimulatedDisk
from striate.storage.log import Log

FLAWS = (
    "new files are not synced",
    "new names are not synced",
    "no checksum",
    "batches in two files",
    "manifest replaced in place",
    "manifest renamed without a sync",
    "manifest's name not synced",
    "files removed before the manifest",
    "restart does not sync names",
)


@dataclass(frozen=True, slots=True)
class ToyRecord:
    offset: int
    value: bytes
    key: bytes | None = None
    kind: int = 1
    timestamp: int = 0


class ToyLog:
    """Files `<offset>.<generation>`: a checksum and the values of one batch."""

    flaw = ""

    def __init__(self, path: str, *, _disk: SimulatedDisk, clock: object = None, **options: object) -> None:
        self.path = path
        self.disk = _disk
        self.lowest_offset = 0
        self.next_offset = 0
        self.generation = 0
        self.records: list[ToyRecord] = []
        if not os.path.isdir(path):
            self.disk.make_directory(path)
        self._sync_names(os.path.dirname(path), "new names are not synced")
        if os.path.exists(f"{path}/manifest"):
            self._load()
        else:
            self._write_manifest()

    @property
    def durable_offset(self) -> int:
        return self.next_offset

    def _sync_names(self, path: str, flaw: str) -> None:
        if self.flaw != flaw:
            self.disk.sync_directory(path)

    def _write(self, path: str, data: bytes, flaw: str) -> None:
        if self.flaw != flaw:
            self.disk.write_file(path, data)
            return
        recording, self.disk.recording = self.disk.recording, False
        self.disk.write_file(path, data)
        self.disk.recording = recording
        if recording:
            created = ("open", path, os.O_CREAT, 10**9 + len(self.disk.operations), True)
            self.disk.operations.append(created)
            self.disk.operations.append(("write", created[3], 0, data))

    # ------------------------------------------------------------ manifest and recovery

    def _write_manifest(self) -> None:
        data = json.dumps([self.lowest_offset, self.next_offset, self.generation]).encode()
        data = zlib.crc32(data).to_bytes(4, "little") + data
        path = f"{self.path}/manifest"
        if self.flaw == "manifest replaced in place":
            self.disk.write_file(path, data)
        else:
            self._write(path + ".new", data, "manifest renamed without a sync")
            self.disk.rename(path + ".new", path)
        self._sync_names(self.path, "manifest's name not synced")

    def _read(self, name: str) -> list[bytes] | None:
        data = self.disk.read_file(f"{self.path}/{name}")
        if self.flaw != "no checksum" and zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
            return None
        try:
            return [bytes.fromhex(part) for part in data[4:].decode().splitlines()]
        except ValueError:
            return []

    def _load(self) -> None:
        data = self.disk.read_file(f"{self.path}/manifest")
        if zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little") or not data:
            raise ValueError("the manifest is damaged")
        self.lowest_offset, self.next_offset, self.generation = json.loads(data[4:])
        while True:
            name = f"{self.next_offset}.{self.generation}"
            values = self._read(name) if os.path.exists(f"{self.path}/{name}") else None
            if not values:
                break
            self._add(values)
        if self.flaw == "restart does not sync names":
            return
        stale = f"{self.next_offset}.{self.generation}"
        if os.path.exists(f"{self.path}/{stale}"):
            self.disk.unlink(f"{self.path}/{stale}")
        self.generation += 1
        self._copy_all()

    def _copy_all(self) -> None:
        """Give every record a file of the new generation, so that the old ones never count again."""
        old = [name for name in os.listdir(self.path) if not name.startswith("manifest")]
        records = self.records
        offset = max(self.lowest_offset, self.next_offset - len(records))
        if self.flaw == "files removed before the manifest":
            self._remove(old)
        for record in records:
            self._write_batch(record.offset, [record.value])
        self._sync_names(self.path, "new names are not synced")
        end, self.next_offset = self.next_offset, offset
        self._write_manifest()
        self.next_offset = end
        self._remove(old)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            if os.path.exists(f"{self.path}/{name}") and not name.endswith(f".{self.generation}"):
                self.disk.unlink(f"{self.path}/{name}")

    def _add(self, values: Sequence[bytes]) -> None:
        for value in values:
            self.records.append(ToyRecord(self.next_offset, value))
            self.next_offset += 1

    def _write_batch(self, offset: int, values: Sequence[bytes]) -> None:
        data = "\n".join(value.hex() for value in values).encode()
        data = zlib.crc32(data).to_bytes(4, "little") + data
        self._write(f"{self.path}/{offset}.{self.generation}", data, "new files are not synced")

    # ------------------------------------------------------------ the face of a log

    def append(self, value: bytes, key: bytes | None = None) -> int:
        return self.append_many([value])[0]

    def append_many(self, values: Sequence[bytes], keys: object = None) -> range:
        start = self.next_offset
        if self.flaw == "batches in two files" and len(values) > 1:
            self._write_batch(start, values[:1])
            self._write_batch(start + 1, values[1:])
        else:
            self._write_batch(start, values)
        self._sync_names(self.path, "new names are not synced")
        self._add(values)
        return range(start, self.next_offset)

    def read(self, offset: int) -> ToyRecord:
        return next(record for record in self.records if record.offset == offset)

    def scan(self) -> Iterator[ToyRecord]:
        return iter(self.records)

    def sync(self) -> int:
        return self.next_offset

    def truncate_before(self, offset: int) -> int:
        self.lowest_offset = offset
        self.records = [record for record in self.records if record.offset >= offset]
        self.generation += 1
        self._copy_all()
        return offset

    def truncate_after(self, offset: int) -> int:
        self.records = [record for record in self.records if record.offset <= offset]
        self.next_offset = offset + 1
        self.generation += 1
        self._copy_all()
        return self.next_offset

    def verify(self) -> Any:
        return type("Report", (), {"ok": True, "problems": []})()

    def close(self) -> None:
        pass


def flawed(flaw: str) -> type[Log]:
    """The toy with a flaw of :data:`FLAWS`, or without one for an empty string."""
    return cast("type[Log]", type("FlawedLog", (ToyLog,), {"flaw": flaw}))
