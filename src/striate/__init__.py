"""striate: a segmented commit log inside your process.

>>> import striate, tempfile
>>> with tempfile.TemporaryDirectory() as directory, striate.Log(directory) as log:
...     log.append(b"first"), log.read(0).value
(0, b'first')
"""

from typing import TYPE_CHECKING

from striate import errors
from striate._native.record import Record
from striate.errors import *  # noqa: F403  (errors.__all__ is the list)
from striate.storage.columnar import RecordBatch, RecordBatches
from striate.storage.info import SegmentInfo
from striate.storage.log import Log
from striate.types import (
    CompactionResult,
    LogStats,
    Problem,
    RecordKind,
    RecoveredSegment,
    RecoveryReport,
    RepairReport,
    SnapshotInfo,
    VerifyReport,
)

if TYPE_CHECKING:
    from striate.storage import history
    from striate.storage.async_log import AsyncLog

__version__ = "0.1.0"

__all__ = [  # noqa: PLE0604  (errors.__all__ is a list of str)
    "AsyncLog",
    "CompactionResult",
    "Log",
    "LogStats",
    "Problem",
    "Record",
    "RecordBatch",
    "RecordBatches",
    "RecordKind",
    "RecoveredSegment",
    "RecoveryReport",
    "RepairReport",
    "SegmentInfo",
    "SnapshotInfo",
    "VerifyReport",
    "errors",
    "history",
    *errors.__all__,
]

if not TYPE_CHECKING:  # a type checker would let any name pass

    def __getattr__(name: str) -> object:
        """Load what is not for everyone when it is first asked for: asyncio takes longer than the rest of striate."""
        if name == "AsyncLog":
            from striate.storage import async_log

            globals()[name] = async_log.AsyncLog
        elif name == "history":
            from striate.storage import history

            globals()[name] = history
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]
