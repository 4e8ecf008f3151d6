"""striate: a segmented commit log inside your process.

>>> import striate, tempfile
>>> with tempfile.TemporaryDirectory() as directory, striate.Log(directory) as log:
...     log.append(b"first"), log.read(0).value
(0, b'first')
"""

from striate import errors
from striate._native.record import Record
from striate.errors import *  # noqa: F403  (errors.__all__ is the list)
from striate.storage.async_log import AsyncLog
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

__version__ = "0.1.0"

__all__ = [
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
    *errors.__all__,
]
