"""One entry of a stream as Python sees it, and its id."""

cimport cython
from cpython.bytes cimport PyBytes_CheckExact
from libc.string cimport memcpy

import re

from striate.errors import InvalidArgumentError, InvalidTypeError

cdef object _ID = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?", re.ASCII)
cdef object _HIGHEST = 0xFFFFFFFFFFFFFFFF


cdef StreamId make_id(striate_id id):
    cdef StreamId made = StreamId.__new__(StreamId)
    made.id = id
    return made


cdef StreamEntry make_entry(const striate_met *found, object key, object value, object decode):
    cdef StreamEntry entry = StreamEntry.__new__(StreamEntry)
    entry.id_, entry.number, entry.deliveries_ = found.id, found.ordinal, found.deliveries
    entry.key_, entry.value_, entry.decode, entry.settled = key, value, decode, True
    return entry


cdef void settle_entry(StreamEntry entry, const char *head) noexcept:
    memcpy(&entry.id_, head, sizeof(striate_id))
    memcpy(&entry.number, head + sizeof(striate_id), 8)
    entry.settled = True


cdef int load_id(object given, str argument, uint64_t seq, striate_id *into) except -1:
    cdef object match, ms, low
    if isinstance(given, StreamId):
        into[0] = (<StreamId>given).id
        return 0
    if isinstance(given, StreamEntry):
        if not (<StreamEntry>given).settled:
            raise InvalidArgumentError(argument, "an entry of a committed transaction", given)
        into[0] = (<StreamEntry>given).id_
        return 0
    if PyBytes_CheckExact(given):
        given = given.decode("ascii", "replace")
    if isinstance(given, str):
        match = _ID.fullmatch(given)
        if match is None:
            raise InvalidArgumentError(argument, "an id such as 1700000000000-0", given)
        ms = int(match[1])
        low = seq if match[2] is None else int(match[2])
    elif isinstance(given, int) and not isinstance(given, bool):
        ms, low = given, seq
    elif isinstance(given, tuple) and len(given) == 2:
        ms, low = given
    elif isinstance(getattr(given, "id", None), StreamId):
        into[0] = (<StreamId>given.id).id
        return 0
    else:
        raise InvalidTypeError(argument, "a StreamId, StreamEntry, str, int or pair of int", type(given))
    if not (isinstance(ms, int) and isinstance(low, int) and 0 <= ms <= _HIGHEST and 0 <= low <= _HIGHEST):
        raise InvalidArgumentError(argument, "two unsigned 64-bit numbers", given)
    into.ms, into.seq = ms, low
    return 0


@cython.final
@cython.no_gc
@cython.freelist(256)
cdef class StreamId:
    """The id of an entry: milliseconds since the epoch and a sequence number within them; ids of a stream ascend.

    >>> StreamId("1700000000000-3") > StreamId(1700000000000, 2)
    True

    Args:
        ms: unsigned 64-bit; or text such as ``"1700000000000-3"``. seq: unsigned 64-bit.
    """

    def __init__(self, ms, seq=None):
        load_id(ms if seq is None else (ms, seq), "id", 0, &self.id)

    @property
    def ms(self):
        """Milliseconds since the epoch, unless the stream has other ids."""
        return self.id.ms

    @property
    def seq(self):
        return self.id.seq

    def __richcmp__(self, other, int operation):
        cdef striate_id a, b
        if not isinstance(other, StreamId):
            return NotImplemented
        a, b = (<StreamId>self).id, (<StreamId>other).id
        return _compare(operation, -1 if a.ms < b.ms or (a.ms == b.ms and a.seq < b.seq)
                        else a.ms != b.ms or a.seq != b.seq)

    def __hash__(self):
        return hash((self.id.ms, self.id.seq))

    def __str__(self):
        return f"{self.id.ms}-{self.id.seq}"

    def __repr__(self):
        return f"StreamId({str(self)!r})"

    def __reduce__(self):
        return StreamId, (self.id.ms, self.id.seq)


cdef bint _compare(int operation, int order) noexcept:
    # Py_LT, LE, EQ, NE, GT, GE
    if operation == 0:
        return order < 0
    if operation == 1:
        return order <= 0
    if operation == 2:
        return order == 0
    if operation == 3:
        return order != 0
    if operation == 4:
        return order > 0
    return order >= 0


@cython.final
@cython.freelist(256)
cdef class StreamEntry:
    """One entry of a stream.

    Attributes:
        id: its :class:`StreamId`; ``None`` for an entry that a transaction appends, until it is committed or reads the
            stream. value: ``bytes``, or what the stream's codec gives, which is asked when the value is: so one that
            the codec refuses, or whose record does not verify, raises here and holds up no others; ``None`` for an
            entry that is pending and has been removed from the stream. key: ``bytes`` or ``None``. offset: how many
            entries were added to the stream before it. deliveries: how often a group has given it to a consumer; 0 when
            it was not read through one.
    """

    def __init__(self):
        raise TypeError("entries are made by a stream")

    def _unsettle(self):
        """Take its id away: a savepoint was gone back to."""
        self.settled = False

    @property
    def id(self):
        return make_id(self.id_) if self.settled else None

    @property
    def value(self):
        if self.broken is not None:
            raise self.broken
        if self.decode is not None:
            self.value_, self.decode = self.decode(self.value_), None
        return self.value_

    @property
    def key(self):
        return self.key_

    @property
    def offset(self):
        return self.number if self.settled else None

    @property
    def deliveries(self):
        return self.deliveries_

    def __eq__(self, other):
        if not isinstance(other, StreamEntry):
            return NotImplemented
        return (self.id, self.key, self.value) == (other.id, other.key, other.value)

    def __hash__(self):
        return hash((self.id_.ms, self.id_.seq))

    def __repr__(self):
        # Stored bytes as long as nobody has asked for more.
        key = "" if self.key_ is None else f", key={self.key_!r}"
        return f"StreamEntry(id={self.id!s}, value={self.value_!r}{key})"
