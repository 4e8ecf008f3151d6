"""What a transaction does to the names of a database: streams made and renamed, streams and tables dropped.

Its records of the catalog come first in its commit, in the order of the calls.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from striate._native.commit import Commit
from striate._native.partition import StreamView
from striate.errors import ConflictError, OptionMismatchError, StreamNotFoundError
from striate.storage.catalog import (
    FREE,
    RENAMED,
    Catalog,
    Entry,
    Name,
    as_name,
    check_entry,
    dropped_entry,
    set_options,
    stream_view,
    text_of,
)


class CatalogChanges:
    """The catalog as one transaction sees it, and what it changes there."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._seen: dict[bytes, Entry | None] = {}  # names it looked at, and what they stood for
        self._made: dict[int, StreamView] = {}
        self.records: list[tuple[bytes, Entry]] = []

    def find(self, name: bytes) -> Entry | None:
        """What a name stands for, if it is not free."""
        for changed, entry in reversed(self.records):
            if changed == name:
                return None if entry["kind"] in FREE else entry
        if name not in self._seen:
            self._seen[name] = self._catalog.find(name)
        return self._seen[name]

    def stream(self, name: Name, options: dict[str, Any]) -> StreamView:
        """The stream of a name, made if it is not there; OptionMismatchError as of :meth:`Catalog.enter`."""
        encoded = as_name(name)
        known = self.find(encoded)
        if known is not None:
            check_entry(self._catalog.path, encoded, known, "stream", options)
            made = self._made.get(known["id"])
            return stream_view(self._catalog.partition, known["id"]) if made is None else made
        with self._catalog.lock:
            number = self._catalog.reserve()
        made = self._made[number] = StreamView(self._catalog.partition, number, False)
        set_options(made, options)
        self.records.append((encoded, {"id": number, "kind": "stream", "options": options}))
        return made

    def drop(self, name: Name, kind: str) -> int | None:
        """Let what a name stands for be no more: its number, or ``None`` where the name is free."""
        encoded = as_name(name)
        known = self.find(encoded)
        if known is None:
            return None
        check_entry(self._catalog.path, encoded, known, kind, {})
        self.records.append((encoded, dropped_entry(known)))
        number: int = known["id"]
        return number

    def rename(self, name: Name, new: Name) -> None:
        """Let a stream have another name, which must be free."""
        before, after = as_name(name), as_name(new)
        known = self.find(before)
        if known is None or known["kind"] != "stream":
            raise StreamNotFoundError(self._catalog.path, text_of(before))
        if (taken := self.find(after)) is not None:
            raise OptionMismatchError(self._catalog.path, f"kind of {text_of(after)!r}", taken["kind"], None)
        self.records += [(after, known), (before, {**known, "kind": RENAMED, "options": {}})]

    def is_gone(self, number: int) -> bool:
        """Whether a stream was made here, and that was taken back by a savepoint."""
        return number in self._made and all(entry["id"] != number for _, entry in self.records)

    # ------------------------------------------------------------ committing

    def commit(self, commit: Commit) -> None:
        """Commit nothing else."""
        with self.lock():
            self.prepare(commit)
            commit.run()
            self.finish(commit)

    def lock(self) -> AbstractContextManager[Any]:
        """What to hold while it is committed."""
        return self._catalog.lock if self._seen else nullcontext()

    def prepare(self, commit: Commit) -> None:
        """Tell a commit of the records, before anything else.

        Raises:
            ConflictError: a name that was looked at stands for something else now.
        """
        for name, entry in self._seen.items():
            if self._catalog.find(name) != entry:
                raise ConflictError(self._catalog.path, name, f"the name {text_of(name)!r} stands for something else")
        self._catalog.prepare(self.records, commit)

    def finish(self, commit: Commit) -> None:
        """Take them in after the commit."""
        made = {number: view for number, view in self._made.items() if not self.is_gone(number)}
        self._catalog.finish(self.records, commit, made)
