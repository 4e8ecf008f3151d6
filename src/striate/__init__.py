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
    from striate._native.streamentry import StreamEntry, StreamId
    from striate.storage import history
    from striate.storage.argument_keys import arguments_key, method_key
    from striate.storage.async_database import AsyncDatabase, AsyncTransaction, aopen
    from striate.storage.async_log import AsyncLog
    from striate.storage.async_stream import AsyncGroup, AsyncStream
    from striate.storage.async_table import AsyncTable
    from striate.storage.cache import Cache
    from striate.storage.changes import Changes
    from striate.storage.codecs import PickleCodec
    from striate.storage.database import Database, open
    from striate.storage.groups import Group
    from striate.storage.storages import MemoryStorage, Storage, TableStorage
    from striate.storage.stream import Stream
    from striate.storage.stream_info import ConsumerInfo, GroupInfo, PendingEntry, StreamInfo
    from striate.storage.table import Table
    from striate.storage.transaction import Transaction

__version__ = "0.1.0"

__all__ = [  # noqa: PLE0604  (errors.__all__ is a list of str)
    "AsyncDatabase",
    "AsyncLog",
    "AsyncTable",
    "AsyncTransaction",
    "Cache",
    "CacheChange",
    "CacheStats",
    "Changes",
    "CompactionResult",
    "Database",
    "Log",
    "LogStats",
    "MemoryStorage",
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
    "Storage",
    "Table",
    "AsyncGroup",
    "AsyncStream",
    "Group",
    "Stream",
    "StreamEntry",
    "StreamId",
    "StreamInfo",
    "GroupInfo",
    "ConsumerInfo",
    "PendingEntry",
    "TableStorage",
    "Transaction",
    "VerifyReport",
    "aopen",
    "arguments_key",
    "errors",
    "history",
    "method_key",
    "open",
    *errors.__all__,
]

if not TYPE_CHECKING:  # a type checker would let any name pass
    _LATER = {
        "AsyncDatabase": "striate.storage.async_database",
        "AsyncLog": "striate.storage.async_log",
        "AsyncTable": "striate.storage.async_table",
        "AsyncTransaction": "striate.storage.async_database",
        "Cache": "striate.storage.cache",
        "Changes": "striate.storage.changes",
        "Database": "striate.storage.database",
        "MemoryStorage": "striate.storage.storages",
        "PickleCodec": "striate.storage.codecs",
        "Storage": "striate.storage.storages",
        "Table": "striate.storage.table",
        "AsyncGroup": "striate.storage.async_stream",
        "AsyncStream": "striate.storage.async_stream",
        "Group": "striate.storage.groups",
        "Stream": "striate.storage.stream",
        "StreamEntry": "striate._native.streamentry",
        "StreamId": "striate._native.streamentry",
        "StreamInfo": "striate.storage.stream_info",
        "GroupInfo": "striate.storage.stream_info",
        "ConsumerInfo": "striate.storage.stream_info",
        "PendingEntry": "striate.storage.stream_info",
        "TableStorage": "striate.storage.storages",
        "Transaction": "striate.storage.transaction",
        "aopen": "striate.storage.async_database",
        "open": "striate.storage.database",
        "history": "striate.storage.history",
        "arguments_key": "striate.storage.argument_keys",
        "method_key": "striate.storage.argument_keys",
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
