"""One record as Python sees it."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject

from striate._native.frame cimport KIND_TOMBSTONE

from striate.types import RecordKind

cdef extern from "structmember.h":
    ctypedef struct PyMemberDef:
        const char *name
        int type
        Py_ssize_t offset
        int flags
        const char *doc
    enum:
        T_OBJECT_EX
        READONLY

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        PyObject *tp_dict
    object PyDescr_NewMember(PyTypeObject *type, PyMemberDef *member)
    int PyDict_SetItemString(PyObject *dictionary, const char *key, object value) except -1
    void PyType_Modified(PyTypeObject *type)

cdef tuple _KINDS = (None, RecordKind.VALUE, RecordKind.TOMBSTONE, RecordKind.CONTROL, RecordKind.TRANSACTION)


# Holds nothing but bytes, so it can be in no cycle and the collector need not know it.
@cython.final
@cython.no_gc
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
                and self._key == that._key and self._value == that._value)

    def __hash__(self):
        return hash((self._offset, self._timestamp_us, self._key, self._value))

    def __repr__(self):
        key = "" if self._key is None else f", key={self._key!r:.60}"
        if self._value is None:
            return "<Record, half made>"
        kind = "" if self._kind == 1 else f", kind={_KINDS[self._kind].name}"
        return f"Record(offset={self._offset}, timestamp={self._timestamp_us}{key}, value={self._value!r:.60}{kind})"


cdef Record record_of(uint64_t base_offset, const frame_view *view):
    cdef Record self = Record.__new__(Record)
    self._offset = base_offset + view.relative_offset
    self._timestamp_us = view.timestamp_us
    self._kind = view.kind
    self._key = None if view.key == NULL else PyBytes_FromStringAndSize(view.key, view.key_size)
    self._value = PyBytes_FromStringAndSize(view.value, view.value_size)
    return self


def make_record(uint64_t offset, uint64_t timestamp, bytes key, bytes value not None, uint8_t kind=1):
    """A record from its parts, as columnar batches and tests need it."""
    cdef Record self = Record.__new__(Record)
    self._offset, self._timestamp_us, self._key, self._value, self._kind = offset, timestamp, key, value, kind
    return self


# `key` and `value` as slots: the interpreter reads those in place, where a Cython property costs a call for each record
# of a scan. (A scan that touches every value runs a sixth faster.)
cdef PyMemberDef[2] _slots


cdef _add_slot(int number, const char *name, Record of, const char *doc):
    cdef PyTypeObject *record_type = <PyTypeObject *>Record
    # The objects stand right behind the timestamp, in the order of record.pxd: Cython gives no address of an object
    # field.
    cdef char *first = <char *>&of._timestamp_us + sizeof(of._timestamp_us)
    _slots[number].name, _slots[number].type, _slots[number].flags = name, T_OBJECT_EX, READONLY
    _slots[number].offset = first - <char *><void *>of + number * <Py_ssize_t>sizeof(PyObject *)
    _slots[number].doc = doc
    PyDict_SetItemString(record_type.tp_dict, name, PyDescr_NewMember(record_type, &_slots[number]))
    PyType_Modified(record_type)


cdef Record _sample = make_record(0, 0, b"key", b"value")
_add_slot(0, b"key", _sample, b"The key: bytes, or None for a record without one.")
_add_slot(1, b"value", _sample, b"The value: bytes.")
if _sample.key is not _sample._key or _sample.value is not _sample._value:
    raise AssertionError("the fields of Record are not where record.pxd puts them")
_sample = None
