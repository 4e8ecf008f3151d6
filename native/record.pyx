"""One record as Python sees it."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize

from striate._native.frame cimport KIND_TOMBSTONE

from striate.types import RecordKind

cdef tuple _KINDS = (None, RecordKind.VALUE, RecordKind.TOMBSTONE, RecordKind.CONTROL, RecordKind.TRANSACTION)


@cython.final
@cython.freelist(256)
cdef class Record:
    """One record of a log: immutable, independent of the log it came from.

    Attributes:
        offset: its number in the log. timestamp: microseconds since the epoch. key: ``bytes``, or ``None`` for no key.
        value: ``bytes``. kind: a :class:`~striate.RecordKind`. is_tombstone: whether it deletes its key.
    """

    def __init__(self):
        raise TypeError("records are made by a log")

    @property
    def offset(self):
        return self._offset

    @property
    def timestamp(self):
        return self._timestamp_us

    @property
    def kind(self):
        return _KINDS[self._kind]

    @property
    def is_tombstone(self):
        return self._kind == KIND_TOMBSTONE

    def __eq__(self, other):
        cdef Record that
        if not isinstance(other, Record):
            return NotImplemented
        that = <Record>other
        return (self._offset == that._offset and self._timestamp_us == that._timestamp_us and self._kind == that._kind
                and self.key == that.key and self.value == that.value)

    def __hash__(self):
        return hash((self._offset, self._timestamp_us, self.key, self.value))

    def __repr__(self):
        key = "" if self.key is None else f", key={self.key!r:.60}"
        kind = "" if self._kind == 1 else f", kind={_KINDS[self._kind].name}"
        return f"Record(offset={self._offset}, timestamp={self._timestamp_us}{key}, value={self.value!r:.60}{kind})"


cdef Record record_of(uint64_t base_offset, const frame_view *view):
    cdef Record self = Record.__new__(Record)
    self._offset = base_offset + view.relative_offset
    self._timestamp_us = view.timestamp_us
    self._kind = view.kind
    self.key = None if view.key == NULL else PyBytes_FromStringAndSize(view.key, view.key_size)
    self.value = PyBytes_FromStringAndSize(view.value, view.value_size)
    return self


def make_record(uint64_t offset, uint64_t timestamp, bytes key, bytes value not None, uint8_t kind=1):
    """A record from its parts, as columnar batches and tests need it."""
    cdef Record self = Record.__new__(Record)
    self._offset, self._timestamp_us, self.key, self.value, self._kind = offset, timestamp, key, value, kind
    return self
