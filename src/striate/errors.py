"""Every error striate raises, one class per cause a caller can act on.

Three branches tell whose fault it is: :class:`UsageError` (yours), :class:`StorageError` (the disk's) and
:class:`PeerError` (the other side of a connection). All carry fields and a ``hint`` that says what to do next.
A bug in striate is an ``AssertionError``, never one of these.

Nothing else may live here: no I/O, no imports from the rest of striate.
"""

from __future__ import annotations

from typing import Any, Self, TypeVar

__all__ = [
    "BatchTooLargeError",
    "ConflictError",
    "CorruptError",
    "CorruptManifestError",
    "CorruptRecordError",
    "CorruptSegmentError",
    "DamagedLogError",
    "DatabaseLogError",
    "DiskError",
    "DiskFullError",
    "DroppedError",
    "EntryTooLargeError",
    "ForkedError",
    "GroupExistsError",
    "GroupNotFoundError",
    "ImportFormatError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "KeyTooLargeError",
    "LogClosedError",
    "LogLockedError",
    "LogNotFoundError",
    "NetworkFilesystemError",
    "NotADatabaseError",
    "NotALogError",
    "NotANumberError",
    "OffsetOutOfRangeError",
    "OptionMismatchError",
    "PathExistsError",
    "PeerError",
    "ReadOnlyError",
    "RecordCompactedError",
    "RecordTooLargeError",
    "StorageError",
    "StrayFileError",
    "StreamIdError",
    "StreamNotFoundError",
    "StriateError",
    "SyncFailedError",
    "TableNotFoundError",
    "TransactionClosedError",
    "UnknownVersionError",
    "UsageError",
    "WrongLoopError",
]

_Error = TypeVar("_Error", bound="StriateError")


class StriateError(Exception):
    """Base of every error of striate.

    Attributes:
        message: what happened, one line.
        hint: what the caller can do about it, or an empty string.
    """

    default_hint = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    # The constructors take fields, not the message in `args`, so copies are made from the attributes.

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args), {name: _portable(value) for name, value in self._state().items()}

    def __copy__(self) -> Self:
        error = _made_again(type(self), self.args)
        error.__setstate__(self._state())
        return error

    def __deepcopy__(self, memo: object) -> Self:
        return self.__copy__()

    def _state(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if isinstance(self, OSError):  # which keeps these elsewhere
            state.update(errno=self.errno, strerror=self.strerror, filename=self.filename)
        return state


def _made_again(kind: type[_Error], args: tuple[Any, ...]) -> _Error:
    error = kind.__new__(kind)
    error.args = args
    return error


def _portable(value: object) -> object:
    """The value, or what it looks like if it cannot be pickled: a caller's argument may be anything."""
    import pickle

    try:
        pickle.dumps(value)
    except Exception:
        return _shown(value)
    return value


class UsageError(StriateError):
    """The call cannot be carried out as it was made; nothing was changed."""


class StorageError(StriateError):
    """The disk, the file system or the stored bytes are at fault."""


class PeerError(StriateError):
    """The other side of a connection is at fault."""


# ---------------------------------------------------------------- usage


def _shown(value: object) -> str:
    """The beginning of a value's repr; of its type when it has none, as integers of thousands of digits."""
    try:
        return f"{value!r:.100}"
    except Exception:
        return f"{type(value).__name__}, which cannot be shown"


class InvalidArgumentError(UsageError, ValueError):
    """An argument has a value that is never valid.

    Attributes:
        argument: its name. expected: what would be valid, in words. got: the value.
    """

    def __init__(self, argument: str, expected: str, got: object, *, hint: str | None = None) -> None:
        super().__init__(f"{argument} must be {expected}, got {_shown(got)}", hint=hint)
        self.argument = argument
        self.expected = expected
        self.got = got


class InvalidTypeError(UsageError, TypeError):
    """An argument has the wrong type.

    Attributes:
        argument: its name. expected: what would be valid, in words. got: the type that came.
    """

    def __init__(self, argument: str, expected: str, got: type, *, hint: str | None = None) -> None:
        super().__init__(f"{argument} must be {expected}, got {got.__name__}", hint=hint)
        self.argument = argument
        self.expected = expected
        self.got = got


class OffsetOutOfRangeError(UsageError, LookupError):
    """The offset is not in the log.

    Attributes:
        offset: what was asked for. lowest_offset, next_offset: the valid range, half-open.
    """

    def __init__(self, offset: int, lowest_offset: int, next_offset: int, message: str = "") -> None:
        held = f"{lowest_offset} to {next_offset - 1}" if next_offset > lowest_offset else "no records"
        super().__init__(message or f"offset {offset} is out of range: the log holds {held}, next is {next_offset}")
        self.offset = offset
        self.lowest_offset = lowest_offset
        self.next_offset = next_offset


class RecordCompactedError(OffsetOutOfRangeError):
    """The offset lies within the log, but compaction has dropped its record."""

    def __init__(self, offset: int, lowest_offset: int, next_offset: int) -> None:
        super().__init__(offset, lowest_offset, next_offset, f"the record at offset {offset} was dropped by compaction")


class _SizeError(UsageError, ValueError):
    what = "value"

    def __init__(self, size_bytes: int, limit_bytes: int, *, hint: str | None = None) -> None:
        super().__init__(f"{self.what} of {size_bytes} bytes exceeds the limit of {limit_bytes} bytes", hint=hint)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class RecordTooLargeError(_SizeError):
    """The record does not fit a segment, or is not of a fixed-length log's record size.

    Attributes:
        size_bytes: of the record. limit_bytes: the most this log takes.
    """

    what = "record"
    default_hint = "open the log with a larger segment_bytes, or split the value"


class KeyTooLargeError(_SizeError):
    """The key is longer than 65,535 bytes."""

    what = "key"


class BatchTooLargeError(_SizeError):
    """The batch does not fit one segment of the largest size (32 GiB)."""

    what = "batch"


class EntryTooLargeError(UsageError, ValueError):
    """The entry is larger than the cache may be, or than 4 GiB; it was not stored.

    Attributes:
        size_bytes: of the value as it would be stored, or None for one of a bulk call.
    """

    default_hint = "give the cache a larger max_bytes, or split the value"

    def __init__(self, size_bytes: int | None = None) -> None:
        what = "an entry" if size_bytes is None else f"an entry with a value of {size_bytes} bytes"
        super().__init__(f"{what} does not fit the cache")
        self.size_bytes = size_bytes


class NotANumberError(UsageError, ValueError):
    """The value to increment is no decimal number, or the sum would not fit 64 bits.

    Attributes:
        key: of the value. delta: what was to be added.
    """

    def __init__(self, key: object, delta: int) -> None:
        super().__init__(f"cannot add {delta} to the value of {_shown(key)}: no number of 64 bits, before or after")
        self.key = key
        self.delta = delta


class LogClosedError(UsageError):
    """The log is closed."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the log {path} is closed")
        self.path = path


class ReadOnlyError(UsageError):
    """The log was opened with mode="r"."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the log {path} is open for reading only", hint='open it with mode="a" to write')
        self.path = path


class ForkedError(UsageError):
    """The log was opened before a fork and is used in the child."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the log {path} was opened by the parent of this process",
            hint="open the log after the fork; the parent stays its writer",
        )
        self.path = path


class WrongLoopError(UsageError, RuntimeError):
    """An AsyncLog is used outside the event loop it was opened in."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the log {path} was opened in another event loop", hint="use striate.Log across loops")
        self.path = path


class LogLockedError(UsageError):
    """Another writer, in this or another process, has the log open."""

    def __init__(self, path: str, pid: int | None = None, what: str = "log") -> None:
        holder = f" by process {pid}" if pid else ""
        hint = 'a log has one writer; any number of readers may use mode="r"'
        if what == "database":
            hint = "one process at a time opens a database, and once; all its threads share it"
        super().__init__(f"the {what} {path} is open for writing{holder}", hint=hint)
        self.path = path
        self.pid = pid


class LogNotFoundError(UsageError, FileNotFoundError):
    """There is no log at the path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no log at {path}", hint='mode="a" creates one')
        self.path = path


class NotALogError(UsageError):
    """The path is a file, or a directory with other things in it and no manifest."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path} is not a log: {found}", hint="give a new or empty directory, or one made by striate")
        self.path = path
        self.found = found


class NotADatabaseError(UsageError):
    """The directory holds things that are no part of a database."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path} is not a database: it holds {found}", hint="give a new or empty directory")
        self.path = path
        self.found = found


class ImportFormatError(UsageError, ValueError):
    """The file to import is no export of striate, or is damaged; nothing was changed.

    Attributes:
        path: the file, and the line where there are lines. reason: what is wrong.
    """

    default_hint = "give a file that `striate db export` wrote"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be imported: {reason}")
        self.path = path
        self.reason = reason


class DatabaseLogError(UsageError):
    """The log belongs to a database: keys of several tables are in it, which must not be taken for one another."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is the log of a database", hint="use Database.compact(), or `striate db compact`")
        self.path = path


class ConflictError(UsageError):
    """Another transaction changed what this one had read; nothing was written.

    Attributes:
        path: the database. key: what was changed, as bytes, or the id of an entry that is not pending; ``None``: some
            key of a table that was scanned, or some entry of a stream.
    """

    default_hint = "try again, or let transact() do so"

    def __init__(self, path: str, key: bytes | None, message: str = "") -> None:
        what = "a table that was scanned" if key is None else f"the key {_shown(key)}"
        super().__init__(message or f"another transaction has changed {what}")
        self.path = path
        self.key = key


class TableNotFoundError(UsageError, LookupError):
    """The database has no such table."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(f"{path} has no table {_shown(name)}")
        self.path = path
        self.name = name


class StreamNotFoundError(UsageError, LookupError):
    """The database has no such stream."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(f"{path} has no stream {_shown(name)}")
        self.path = path
        self.name = name


class DroppedError(UsageError, LookupError):
    """The table or stream of this handle was dropped. Its name is free; what has it now needs a handle of its own."""

    def __init__(self, path: str, name: bytes | None) -> None:
        super().__init__(f"{'a table or stream' if name is None else _shown(name)} of {path} was dropped")
        self.path = path
        self.name = name


class GroupNotFoundError(UsageError, LookupError):
    """The stream has no such consumer group."""

    default_hint = "make it with stream.group(name)"

    def __init__(self, path: str, group: bytes) -> None:
        super().__init__(f"no consumer group {_shown(group)} in {path}")
        self.path = path
        self.group = group


class GroupExistsError(UsageError):
    """The stream has a consumer group of that name already."""

    def __init__(self, path: str, group: bytes) -> None:
        super().__init__(f"there is a consumer group {_shown(group)} in {path} already")
        self.path = path
        self.group = group


class StreamIdError(UsageError, ValueError):
    """The id is not above that of the stream's last entry; nothing was appended.

    Attributes:
        path: the database. id: what was asked for, ``None`` when there is no higher one left. last: the stream's last.
    """

    def __init__(self, path: str, id: str | None, last: str) -> None:
        what = "there is no higher id than" if id is None else f"the id {id} must be higher than"
        super().__init__(f"{what} {last}, the last of the stream")
        self.path = path
        self.id = id
        self.last = last


class TransactionClosedError(UsageError):
    """The transaction is over, or is entered for the second time."""

    def __init__(self, path: str, reason: str = "it was committed or rolled back") -> None:
        super().__init__(f"the transaction on {path} cannot be used: {reason}")
        self.path = path
        self.reason = reason


class PathExistsError(UsageError, FileExistsError):
    """The target of a snapshot or restore is there already."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists and is not empty", hint="give a new or empty directory")
        self.path = path


class StrayFileError(UsageError):
    """A file that is no part of the log lies in its directory."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is no part of this log", hint="move it elsewhere; striate never deletes it")
        self.path = path


class OptionMismatchError(UsageError, ValueError):
    """An option disagrees with what the log was created with.

    Attributes:
        option: its name. stored: the log's value. got: the caller's.
    """

    def __init__(self, path: str, option: str, stored: object, got: object) -> None:
        super().__init__(f"the log {path} was created with {option}={stored!r}, got {got!r}")
        self.path = path
        self.option = option
        self.stored = stored
        self.got = got


class UnknownVersionError(UsageError):
    """The file was written by another, unknown version of the format."""

    def __init__(self, path: str, got: int, supported: int) -> None:
        super().__init__(
            f"{path} has format version {got}; this striate reads version {supported}", hint="upgrade striate"
        )
        self.path = path
        self.got = got
        self.supported = supported


class NetworkFilesystemError(UsageError):
    """The path lies on a network file system, where locks and mappings cannot be relied on."""

    def __init__(self, path: str, filesystem: str) -> None:
        super().__init__(f"{path} is on {filesystem}", hint="put the log on a local disk")
        self.path = path
        self.filesystem = filesystem


# ---------------------------------------------------------------- storage


class CorruptError(StorageError):
    """Stored bytes are not what was written. Nothing was cut away.

    Attributes:
        path: the file. position: byte place in it, or None. offset: the record, or None. reason: what is wrong.
    """

    default_hint = "run `striate log verify`; restore the range from a snapshot, or `striate log repair`"

    def __init__(self, path: str, reason: str, *, position: int | None = None, offset: int | None = None) -> None:
        where = f" at position {position}" if position is not None else ""
        which = f", offset {offset}" if offset is not None else ""
        super().__init__(f"{path} is corrupt{where}{which}: {reason}")
        self.path = path
        self.reason = reason
        self.position = position
        self.offset = offset


class CorruptRecordError(CorruptError):
    """One record cannot be verified."""


class CorruptSegmentError(CorruptError):
    """A segment's header, footer or file is damaged or missing."""


class CorruptManifestError(CorruptError):
    """The manifest is damaged or missing."""


class DamagedLogError(CorruptError):
    """The log has damage that recovery would not cut away, so it takes no appends; reads go on."""

    default_hint = "restore a snapshot, or accept the loss with `striate log repair`"


class DiskError(StorageError, OSError):
    """A system call on one of the log's files failed.

    Attributes:
        errno: the error number. path: the file. operation: open, map, write, sync, rename, …
    """

    errno: int

    def __init__(self, path: str, operation: str, errno: int, strerror: str, *, hint: str | None = None) -> None:
        StorageError.__init__(self, f"cannot {operation} {path}: {strerror}", hint=hint)
        self.errno = errno
        self.strerror = strerror
        self.filename = path
        self.path = path
        self.operation = operation

    def __str__(self) -> str:
        return StorageError.__str__(self)


class DiskFullError(DiskError):
    """No space, quota or write permission is left for the operation. Everything acknowledged is kept; reads go on."""

    default_hint = "free some space; the log goes on without being reopened"


class SyncFailedError(DiskError):
    """fdatasync failed, so what was not yet acknowledged may or may not be on disk. The log takes no more writes."""

    default_hint = "reopen the log: it keeps everything that was acknowledged and distrusts the rest"
