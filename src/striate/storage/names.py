"""The names of a database: what there is of them, dropping and renaming what they stand for."""

from __future__ import annotations

from striate._native.commit import Commit
from striate.storage.catalog import Catalog, Name
from striate.storage.catalog_changes import CatalogChanges


class NameOwner:
    """The part of :class:`~striate.Database` that is about names."""

    _catalog: Catalog

    def _wait(self) -> None:
        raise NotImplementedError

    def names(self) -> dict[bytes, str]:
        """All names and what they are of: ``"table"``, ``"stream"`` or ``"cache"``."""
        return self._catalog.names()

    def drop_table(self, name: Name) -> bool:
        """Drop a table, whatever is in it, so that the name is free; whether there was one.

        One record, so it takes as long for many keys as for none; compaction gives the disk space back. Tables that are
        still held raise :class:`DroppedError`, and so does a transaction that used one when it commits. After a power
        cut during the call the table may be there, whole.

        Raises:
            OptionMismatchError: the name is that of something else.
        """
        return self._drop(name, "table")

    def drop_stream(self, name: Name) -> bool:
        """Drop a stream with its groups, so that the name is free; whether there was one. As :meth:`drop_table`; those
        who wait for entries of it get the error too."""
        return self._drop(name, "stream")

    def _drop(self, name: Name, kind: str) -> bool:
        there = self._drop_nowait(name, kind)
        self._wait()
        return there

    def _drop_nowait(self, name: Name, kind: str) -> bool:
        with self._catalog.lock:
            return self._catalog.drop(name, kind)

    def rename_stream(self, name: Name, new: Name) -> None:
        """Let a stream have another name; its entries and groups stay as they are.

        Raises:
            StreamNotFoundError: there is no such stream. OptionMismatchError: the new name is taken.
        """
        self._rename_nowait(name, new)
        self._wait()

    def _rename_nowait(self, name: Name, new: Name) -> None:
        changes, commit = CatalogChanges(self._catalog), Commit(self._catalog.partition, 2)
        changes.rename(name, new)
        changes.commit(commit)
