"""A stream as a transaction sees it: a clone that shares what neither of them changes, and notes of what was read.

The clone takes in the records of the transaction's own changes by the function that the stream itself will take them
in with. They are the same records, so the stream must not have changed in any part that they, or what was read, depend
on. What may not live here: the commit (commit.pyx), reading and changing (streamreading.pyx, streams.pyx).
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from striate._native.lock cimport striate_give_lock
from striate._native.partition cimport lock_stream
from striate._native.stream cimport (
    STRIATE_TO_APPEND,
    STRIATE_TO_AUTO_CLAIM,
    STRIATE_TO_CLAIM,
    STRIATE_TO_DELIVER,
    STRIATE_TO_READ_AGAIN,
    STRIATE_TO_REMOVE,
    STRIATE_TO_SET_GROUP,
    STRIATE_TO_SET_LAST,
    STRIATE_TO_TRIM,
    striate_id_before,
    striate_stream_become,
    striate_stream_clone,
    striate_stream_free,
    striate_stream_plan,
)
from striate._native.streamedit cimport make_records, take_in_edit


cdef bint is_behind(const striate_stream *stream, const striate_stream_edit *edit) noexcept:
    # Whether it is about an id that an entry may get yet.
    if edit.id_count:
        return striate_id_before(stream.last, edit.ids[edit.id_count - 1])
    return edit.length >= 0 or striate_id_before(stream.last, edit.id)


cdef uint32_t parts_of(const striate_stream *stream, const striate_stream_edit *edit) noexcept:
    # What a change depends on, once its records are made: before them, and it would be another.
    cdef int kind = edit.kind
    if kind == STRIATE_TO_APPEND or kind == STRIATE_TO_SET_LAST:
        return DEPENDS_ON_TOP
    if kind == STRIATE_TO_REMOVE or kind == STRIATE_TO_TRIM:
        return DEPENDS_ON_REMOVALS | (DEPENDS_ON_TOP if is_behind(stream, edit) else 0)
    if kind == STRIATE_TO_SET_GROUP:
        return DEPENDS_ON_ALL
    if kind == STRIATE_TO_DELIVER:
        return DEPENDS_ON_GROUPS | DEPENDS_ON_REMOVALS | (DEPENDS_ON_TOP if edit.found_count < edit.most else 0)
    if kind == STRIATE_TO_CLAIM or kind == STRIATE_TO_AUTO_CLAIM or kind == STRIATE_TO_READ_AGAIN:
        return DEPENDS_ON_GROUPS | DEPENDS_ON_REMOVALS | (DEPENDS_ON_TOP if edit.force else 0)
    return DEPENDS_ON_GROUPS


cdef class StreamLook:
    """A stream as one transaction sees it, from the moment on at which this is made."""

    def __cinit__(self, StreamView view not None):
        self.view, self.records = view, []
        lock_stream(view.stream)
        if view.stream.dropped:
            striate_give_lock(&view.stream.lock)
            view.partition.raise_dropped(view.number)
        self.stream, self.start = striate_stream_clone(view.stream), striate_stream_clone(view.stream)
        striate_give_lock(&view.stream.lock)
        if self.stream == NULL or self.start == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.stream != NULL:
            striate_stream_free(self.stream)
        if self.start != NULL:
            striate_stream_free(self.start)

    cdef int apply(self, striate_stream_edit *edit, record_input *records) except -1:
        cdef int64_t at
        cdef uint32_t flags
        cdef int status
        edit.stream, edit.record, edit.visible = self.stream, 0, 0xFFFFFFFFFFFFFFFF
        striate_stream_plan(self.stream)
        status = make_records(edit, records)
        self.parts |= parts_of(self.stream, edit)
        if status != 0:
            return status
        made = len(self.records)
        for at in range(edit.count):
            memcpy(&flags, records[at].extension + 4, 4)
            key = None
            if records[at].key != NULL:
                key = PyBytes_FromStringAndSize(records[at].key, records[at].key_size)
            self.records.append((flags, key, PyBytes_FromStringAndSize(records[at].value, records[at].value_size)))
        if take_in_edit(edit, records, (<uint64_t>1 << 62) + <uint64_t>made, NULL) != 0:
            raise MemoryError
        return 0

    cdef void note_range(self, striate_id low, striate_id high, bint backwards, bint whole) noexcept:
        self.parts |= DEPENDS_ON_REMOVALS
        if (whole or backwards) and not striate_id_before(high, self.stream.last):
            self.parts |= DEPENDS_ON_TOP

    cdef tuple own_entry(self, uint64_t version):
        return self.records[<Py_ssize_t>(version - (<uint64_t>1 << 62))]

    @property
    def _record_count(self):
        """How many records its changes are."""
        return len(self.records)

    @property
    def _matters(self):
        """Whether anything was read or changed."""
        return self.parts != 0

    def _mark(self):
        """What to give :meth:`_go_back` to undo what comes after this."""
        cdef StreamMark mark = StreamMark.__new__(StreamMark)
        mark.stream, mark.records = striate_stream_clone(self.stream), list(self.records)
        if mark.stream == NULL:
            raise MemoryError
        return mark

    def _go_back(self, StreamMark mark):
        """Undo what came after a mark, or all with ``None``. What was read stays read."""
        if striate_stream_become(self.stream, self.start if mark is None else mark.stream) != 0:
            raise MemoryError
        self.records = [] if mark is None else list(mark.records)


cdef class StreamMark:
    """What a :class:`StreamLook` was like at a savepoint."""

    def __dealloc__(self):
        if self.stream != NULL:
            striate_stream_free(self.stream)
