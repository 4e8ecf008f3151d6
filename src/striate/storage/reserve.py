"""The reserve: blocks a log sets aside for itself, so that a full disk cannot lock it out of its own files.

Closing, opening after a crash and making room (truncation, retention) each write a manifest before they free anything.
On a full disk they are given the reserve's blocks. Appends are what fills a disk, so they never are: while the reserve
is not whole, the log takes no new blocks for records (RULES §4.10).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from striate.errors import DiskError, DiskFullError
from striate.storage import directory

if TYPE_CHECKING:
    from striate._native.io import Disk

STEP_BYTES = 65536
_LEAST_BYTES = 4096


class Reserve:
    """The reserve file of one log directory. Not thread-safe: use it under the log's admin lock."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._path = os.path.join(path, directory.RESERVE)
        self.size_bytes = os.path.getsize(self._path) if os.path.isfile(self._path) else 0

    def refill(self, manifest_bytes: int) -> DiskError | None:
        """Make the reserve whole, or as large as the disk lets it be.

        Args:
            manifest_bytes: how large the log's manifest is; a manifest and as much again has to fit.

        Returns:
            ``None`` when it is whole, else what kept it from being so.
        """
        wanted = (2 * manifest_bytes // STEP_BYTES + 1) * STEP_BYTES
        if self.size_bytes >= wanted:
            return None
        size, problem = wanted, None
        while size >= _LEAST_BYTES:
            try:
                self._disk.write_file(self._path, bytes(size))
            except DiskError as error:
                self._release()
                # Without its traceback, which would keep the callers' frames, and so a dropped log, alive.
                size, problem = size // 2, problem or error.with_traceback(None)
                continue
            self.size_bytes = size
            break
        return problem

    def spend(self, action: Callable[[], None]) -> None:
        """Do something that may need a few blocks; when there are none, do it again with those of the reserve.

        Raises:
            DiskFullError: not even these suffice. Whatever the action raises.
        """
        try:
            action()
        except DiskFullError:
            if not self._release():
                raise
            action()

    def _release(self) -> bool:
        """Give the blocks back to the file system; whether there were any."""
        self.size_bytes = 0
        try:
            self._disk.unlink(self._path)
        except DiskError:
            return False
        return True
