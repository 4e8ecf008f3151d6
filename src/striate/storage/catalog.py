"""The catalog of a database: what its names stand for, kept as records of view 0 in its log.

The record of a name has the name as its key; the last one counts. What may not live here: tables and caches themselves.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from striate._native.inputs import as_utf8
from striate._native.partition import Partition, StreamView, View
from striate.errors import (
    CorruptRecordError,
    InvalidArgumentError,
    InvalidTypeError,
    OptionMismatchError,
)
from striate.storage.arguments import integer
from striate.storage.log import Log

_MAX_VIEWS = 0xFFFFFFFE
_MAX_NAME_BYTES = 1024
_DROPPED = "dropped"  # the kind of a name that is free again


def table_view(partition: Partition, number: int) -> View:
    """The view of a number that is a table's; made if it is not there."""
    view = partition._views.get(number) or View(partition, number)
    assert isinstance(view, View), "the catalog says which kind"
    return view


def stream_view(partition: Partition, number: int) -> StreamView:
    """The view of a number that is a stream's; made if it is not there."""
    view = partition._views.get(number) or StreamView(partition, number)
    assert isinstance(view, StreamView), "the catalog says which kind"
    return view


class Catalog:
    """Names, their kinds, their numbers and the options they were made with.

    ``lock`` is held by those who look a name up in order to make what it stands for.
    """

    def __init__(self, path: str, log: Log, partition: Partition) -> None:
        self._path, self._log, self._partition = path, log, partition
        self._entries: dict[str, dict[str, Any]] = {}
        self._next_view = 1
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return sum(entry["kind"] != _DROPPED for entry in self._entries.values())

    def take_in(self, name: bytes, text: bytes) -> None:
        """A record of the log."""
        try:
            entry = json.loads(text)
            number, kind, options = integer(entry["id"], "id", 1, _MAX_VIEWS), entry["kind"], entry["options"]
            self._entries[name.decode()] = {"id": number, "kind": kind, "options": options}
        except (ValueError, KeyError, TypeError, InvalidArgumentError) as error:
            raise CorruptRecordError(self._log.path, f"a record of the catalog cannot be read: {error!r}") from error
        self._prepare(self._entries[name.decode()])
        self._next_view = max(self._next_view, number + 1)

    def load(self, dumped: bytes) -> None:
        """What :meth:`dump` gave, or nothing."""
        for name, entry in json.loads(dumped or b"{}").items():
            self.take_in(name.encode(), json.dumps(entry).encode())

    def dump(self) -> bytes:
        """All of it, for the hint file."""
        return json.dumps(self._entries).encode()

    def number_of(self, name: str, kind: str) -> int | None:
        """The number of a view of that kind, if there is one."""
        known = self._entries.get(name)
        return known["id"] if known is not None and known["kind"] == kind else None

    def options_of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Names of one kind and their options."""
        return {name: dict(entry["options"]) for name, entry in self._entries.items() if entry["kind"] == kind}

    def enter(self, name: str, kind: str, options: dict[str, Any]) -> int:
        """The number of a name, which is entered if it is not there. With the lock.

        Raises:
            OptionMismatchError: it is there with another kind or other options.
        """
        if not isinstance(name, str):
            raise InvalidTypeError("name", "a str", name.__class__)
        encoded = as_utf8(name, "name")
        if not 0 < len(encoded) <= _MAX_NAME_BYTES:
            raise InvalidArgumentError("name", f"1 to {_MAX_NAME_BYTES} bytes of UTF-8", name)
        self._log._check_usable()
        self.check(name, kind, options)
        known = self._entries.get(name)
        if known is None or known["kind"] == _DROPPED:
            known = {"id": self._next_view, "kind": kind, "options": options}
            self._append(name, known)
            self._next_view += 1
        number: int = known["id"]
        return number

    def check(self, name: str, kind: str, options: dict[str, Any]) -> None:
        """Refuse a name that is there with another kind or other options: OptionMismatchError."""
        known = self._entries.get(name)
        if known is None or known["kind"] == _DROPPED:
            return
        self._check_kind(name, known, kind)
        for option, value in options.items():
            if known["options"].get(option) != value:
                raise OptionMismatchError(self._path, f"{option} of {name!r}", known["options"].get(option), value)

    def drop(self, name: str, kind: str) -> bool:
        """Make a name free; whether it was taken. With the lock. Its number is never used again."""
        self._log._check_usable()
        known = self._entries.get(name)
        if known is None or known["kind"] == _DROPPED:
            return False
        self._check_kind(name, known, kind)
        self._append(name, {**known, "kind": _DROPPED, "options": {}})
        return True

    def _append(self, name: str, entry: dict[str, Any]) -> None:
        self._partition._append_catalog(name.encode(), json.dumps(entry).encode())
        self._entries[name] = entry
        self._prepare(entry)

    def _prepare(self, entry: dict[str, Any]) -> None:
        # A stream is there before its first record comes; a table is made by it.
        if entry["kind"] == "stream":
            stream_view(self._partition, entry["id"])._set_offset_ids(entry["options"].get("ids") == "offset")

    def _check_kind(self, name: str, known: dict[str, Any], kind: str) -> None:
        if known["kind"] != kind:
            raise OptionMismatchError(self._path, f"kind of {name!r}", known["kind"], kind)
