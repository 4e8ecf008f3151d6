"""striate: a segmented commit log and a cache inside your process.

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
    CacheChange,
    CacheStats,
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
    from striate.storage.cache import Cache
    from striate.storage.codecs import PickleCodec
    from striate.storage.memoize import arguments_key, method_key

__version__ = "0.1.0"

__all__ = [  # noqa: PLE0604  (errors.__all__ is a list of str)
    "AsyncLog",
    "Cache",
    "CacheChange",
    "CacheStats",
    "CompactionResult",
    "Log",
    "LogStats",
    "PickleCodec",
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
    "arguments_key",
    "errors",
    "history",
    "method_key",
    *errors.__all__,
]

if not TYPE_CHECKING:  # a type checker would let any name pass
    _LATER = {
        "AsyncLog": "striate.storage.async_log",
        "Cache": "striate.storage.cache",
        "PickleCodec": "striate.storage.codecs",
        "history": "striate.storage.history",
        "arguments_key": "striate.storage.memoize",
        "method_key": "striate.storage.memoize",
    }

    def __getattr__(name: str) -> object:
        """Load what is not for everyone when it is first asked for: asyncio takes longer than the rest of striate."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found: object = import_module(_LATER[name])
        if name != "history":  # a module of its own
            found = getattr(found, name)
        globals()[name] = found
        return found
