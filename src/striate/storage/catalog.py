"""The catalog of a database: what its names stand for, kept as records of view 0 in its log.

The record of a name has the name as its key; the last one counts. What may not live here: tables and caches themselves,
what a transaction does to names (catalog_changes.py).
"""

from __future__ import annotations

import json
import threading
from typing import Any

from striate._native.commit import Commit
from striate._native.partition import Partition, StreamView, View
from striate.errors import (
    CorruptRecordError,
    InvalidArgumentError,
    InvalidTypeError,
    OptionMismatchError,
)
from striate.storage.arguments import integer
from striate.storage.log import Log

Name = bytes | str
Entry = dict[str, Any]
_MAX_VIEWS = 0xFFFFFFFE
_MAX_NAME_BYTES = 65_535  # of a record's key
DROPPED = "dropped"  # the kind of a name that is free again, and what it stood for is no more
RENAMED = "renamed"  # the kind of a name that is free again, because what it stood for has another
FREE = (DROPPED, RENAMED)


def as_name(name: Name) -> bytes:
    """The bytes of a name: bytes as they are, text in UTF-8; where :func:`text_of` has put escapes, what these mean."""
    if isinstance(name, str):
        try:
            encoded = name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise InvalidArgumentError("name", "text that UTF-8 can express", name) from None
    elif type(name) is bytes:
        encoded = name
    else:
        raise InvalidTypeError("name", "a str or bytes", name.__class__)
    if not 0 < len(encoded) <= _MAX_NAME_BYTES:
        raise InvalidArgumentError("name", f"1 to {_MAX_NAME_BYTES} bytes", name)
    return encoded


def text_of(name: bytes) -> str:
    """A name as text; bytes that are not UTF-8 become surrogate escapes, as in names of files."""
    return name.decode("utf-8", "surrogateescape")


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

    ``lock`` is held by those who look a name up in order to make what it stands for, and while records of it are
    written. Those who hold it may wait for locks of views, not the other way round.
    """

    def __init__(self, path: str, log: Log, partition: Partition) -> None:
        self.path, self._log, self.partition = path, log, partition
        self._entries: dict[bytes, Entry] = {}
        self._next_view = 1
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return sum(entry["kind"] not in FREE for entry in self._entries.values())

    # ------------------------------------------------------------ opening and closing

    def take_in(self, name: bytes, text: bytes, version: int) -> None:
        """A record of the log."""
        try:
            entry = json.loads(text)
            number, kind, options = integer(entry["id"], "id", 1, _MAX_VIEWS), entry["kind"], entry["options"]
            made = {"id": number, "kind": kind, "options": options}
        except (ValueError, KeyError, TypeError, InvalidArgumentError) as error:
            raise CorruptRecordError(self._log.path, f"a record of the catalog cannot be read: {error!r}") from error
        self.apply(name, made, version)

    def load(self, dumped: bytes) -> None:
        """What :meth:`dump` gave, or nothing."""
        known = json.loads(dumped or b'{"names": {}, "dropped": {}}')
        for number, (version, name) in known["dropped"].items():
            self.partition.dropped[int(number)] = version, as_name(name)
        for name, (entry, version) in known["names"].items():
            self._take(as_name(name), entry, version)

    def dump(self) -> bytes:
        """All of it, for the hint file."""
        names = {text_of(name): (entry, self.partition.names[name]) for name, entry in self._entries.items()}
        dropped = {number: (version, text_of(name)) for number, (version, name) in self.partition.dropped.items()}
        return json.dumps({"names": names, "dropped": dropped}).encode()

    # ------------------------------------------------------------ looking up

    def find(self, name: bytes) -> Entry | None:
        """What a name stands for, if it is not free."""
        known = self._entries.get(name)
        return None if known is None or known["kind"] in FREE else known

    def number_of(self, name: Name, kind: str) -> int | None:
        """The number of a view of that kind, if there is one."""
        known = self._entries.get(as_name(name))
        return known["id"] if known is not None and known["kind"] == kind else None

    def options_of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Names of one kind and their options."""
        known = list(self._entries.items())
        return {text_of(name): dict(entry["options"]) for name, entry in known if entry["kind"] == kind}

    def names(self) -> dict[bytes, str]:
        """All names and their kinds."""
        return {name: entry["kind"] for name, entry in list(self._entries.items()) if entry["kind"] not in FREE}

    def check(self, name: Name, kind: str, options: dict[str, Any]) -> None:
        """Refuse a name that is there with another kind or other options: OptionMismatchError."""
        known = self.find(as_name(name))
        if known is not None:
            check_entry(self.path, as_name(name), known, kind, options)

    # ------------------------------------------------------------ changing, with the lock

    def enter(self, name: Name, kind: str, options: dict[str, Any]) -> int:
        """The number of a name, which is entered if it is not there.

        Raises:
            OptionMismatchError: it is there with another kind or other options.
        """
        encoded = as_name(name)
        self._log._check_usable()
        self.check(encoded, kind, options)
        known = self.find(encoded)
        if known is None:
            known = {"id": self.reserve(), "kind": kind, "options": options}
            self.write([(encoded, known)])
        number: int = known["id"]
        return number

    def reserve(self) -> int:
        """A number that nothing has had or will have."""
        self._next_view += 1
        return self._next_view - 1

    def drop(self, name: Name, kind: str) -> bool:
        """Make a name free, and let what it stands for hold nothing any more; whether it was taken."""
        encoded = as_name(name)
        self._log._check_usable()
        known = self.find(encoded)
        if known is None:
            return False
        check_entry(self.path, encoded, known, kind, {})
        self.write([(encoded, dropped_entry(known))])
        return True

    def write(self, records: list[tuple[bytes, Entry]]) -> None:
        """Commit these changes of the catalog."""
        commit = Commit(self.partition, len(records))
        self.prepare(records, commit)
        commit.run()
        self.finish(records, commit, {})

    def prepare(self, records: list[tuple[bytes, Entry]], commit: Commit) -> None:
        """Tell a commit of these changes of the catalog, before anything else."""
        for name, entry in records:
            commit.enter(name, json.dumps(entry).encode())
            view = self.partition._views.get(entry["id"])
            if entry["kind"] == DROPPED and view is not None:
                commit.drop(view)

    def finish(self, records: list[tuple[bytes, Entry]], commit: Commit, made: dict[int, StreamView]) -> None:
        """Take them in after the commit, with views that were made for them."""
        self.partition._views.update(made)
        for at, (name, entry) in enumerate(records):
            self.apply(name, entry, commit.first_version + at)

    def apply(self, name: bytes, entry: Entry, version: int) -> None:
        """Take in a record that is in the log."""
        before = self._entries.get(name)
        if entry["kind"] == DROPPED and (before is None or before["kind"] != "cache"):
            self.partition.dropped[entry["id"]] = version, name
            self.partition._views.pop(entry["id"], None)
        self._take(name, entry, version)

    def forget(self, version: int) -> None:
        """Forget free names whose records up to a version compaction has left out, and views that these dropped."""
        highest = self.partition.highest
        with self.lock:
            for name, entry in list(self._entries.items()):
                if entry["kind"] in FREE and self.partition.names[name] <= version and entry["id"] != highest:
                    del self._entries[name], self.partition.names[name]
            for number, (dropped, _) in list(self.partition.dropped.items()):
                if dropped <= version and number != highest:
                    del self.partition.dropped[number]

    def _take(self, name: bytes, entry: Entry, version: int) -> None:
        self._entries[name] = entry
        self.partition.names[name] = version
        self.partition.highest = max(self.partition.highest, entry["id"])
        self._next_view = max(self._next_view, entry["id"] + 1)
        # A stream is there before its first record comes; a table is made by it.
        if entry["kind"] == "stream":
            set_options(stream_view(self.partition, entry["id"]), entry["options"])


def set_options(view: StreamView, options: dict[str, Any]) -> None:
    """Let a stream have the options of its entry."""
    view._set_offset_ids(options.get("ids") == "offset")


def dropped_entry(entry: Entry) -> Entry:
    """The entry that says that what another says is no more."""
    return {**entry, "kind": DROPPED, "options": {}}


def check_entry(path: str, name: bytes, known: Entry, kind: str, options: dict[str, Any]) -> None:
    """Refuse what is known of a name where it is of another kind or has other options."""
    if known["kind"] != kind:
        raise OptionMismatchError(path, f"kind of {text_of(name)!r}", known["kind"], kind)
    for option, value in options.items():
        if known["options"].get(option) != value:
            raise OptionMismatchError(path, f"{option} of {text_of(name)!r}", known["options"].get(option), value)
