"""Changes of a stream, for :class:`striate.Stream`: appending, removing.

What may not live here: the index of entries (streamindex.c), what records say (streamrecord.c), reading
(streamreading.pyx), groups (streamgroups.pyx), commits (partition.pyx).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from striate._native.frame cimport HAS_VIEW, KIND_VALUE, MAX_KEY_BYTES, record_input
from striate._native.inputs cimport MAX_RECORD_BYTES, as_list, as_stored, as_utf8
from striate._native.lock cimport striate_give_lock
from striate._native.partition cimport KEYED_ENTRY, VIEW_EXTENSION_BYTES, work
from striate._native.stream cimport (
    STRIATE_ENTRY,
    STRIATE_ENTRY_HEAD_BYTES,
    STRIATE_ID_GIVEN,
    STRIATE_ID_MS_GIVEN,
    STRIATE_ID_TOO_LOW,
    STRIATE_IDS_EXHAUSTED,
    STRIATE_LAST,
    STRIATE_PIECE_HEAD_BYTES,
    STRIATE_REMOVED,
    STRIATE_STATE,
    STRIATE_TO_APPEND,
    STRIATE_TO_REMOVE,
    STRIATE_TO_SAVE,
    STRIATE_TO_SET_LAST,
    STRIATE_TO_TRIM,
    STRIATE_TOO_LONG,
    STRIATE_TRIMMED,
    striate_id,
    striate_ids_sort,
    striate_met,
    striate_stream_edit,
    striate_stream_state_size,
)
from striate._native.streamentry cimport StreamEntry, load_id, make_entry, make_id, settle_entry
from striate._native.streamreading cimport StreamReader
from striate._native.table cimport STRIATE_MISFIT

from striate.errors import InvalidArgumentError, InvalidTypeError, KeyTooLargeError, RecordTooLargeError, StreamIdError

cdef enum:
    ENTRIES_ON_STACK = 16
    STATE_SLACK_BYTES = 1024
    PIECE_BYTES = 1048576             # of a state, in one record


cdef striate_id *load_ids(object ids, int64_t *count) except NULL:
    # Ascending, each once; malloc.
    cdef tuple items
    cdef striate_id *loaded
    cdef int64_t number
    items = tuple(as_list(ids, "ids", "a sequence of ids"))
    loaded = <striate_id *>malloc(sizeof(striate_id) * <size_t>max(len(items), 1))
    if loaded == NULL:
        raise MemoryError
    try:
        for number in range(len(items)):
            load_id(items[number], "id", 0, &loaded[number])
        count[0] = striate_ids_sort(loaded, len(items))
    except BaseException:
        free(loaded)
        raise
    return loaded


cdef class StreamCore(StreamReader):
    """The native half of :class:`striate.Stream`."""

    cdef object load_value(self, object value):
        cdef bytes stored = as_stored(value, self.encode)
        if PyBytes_GET_SIZE(stored) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(len(stored), min(self._partition.log.segment_bytes, MAX_RECORD_BYTES))
        return stored

    # ------------------------------------------------------------ changing

    cdef int commit_edit(self, striate_stream_edit *edit, record_input *records) except -1:
        cdef work job
        cdef uint32_t few[ENTRIES_ON_STACK]
        cdef uint32_t *positions = few
        memset(&job, 0, sizeof(job))
        edit.stream, edit.record = self.stream, 0
        job.now = self._partition.now_ns()
        edit.now_ms = job.now // 1_000_000
        if self.look is not None:
            return self.look.apply(edit, records)
        edit.visible = self._partition.visible()
        job.streams, job.stream_count = &edit.stream, 1
        job.edits, job.edit_count = edit, 1
        job.records, job.record_count = records, edit.count
        if edit.count > ENTRIES_ON_STACK:
            positions = <uint32_t *>malloc(sizeof(uint32_t) * <size_t>edit.count)
            if positions == NULL:
                raise MemoryError
        job.positions = positions
        try:
            return self._partition.commit(&job)
        finally:
            if positions != few:
                free(positions)

    cdef int make_room(self, striate_stream_edit *edit, record_input *records, uint32_t kind,
                       int64_t capacity) except -1:
        if capacity > MAX_RECORD_BYTES:
            raise RecordTooLargeError(capacity, min(self._partition.log.segment_bytes, MAX_RECORD_BYTES))
        edit.value = <char *>malloc(<size_t>capacity)
        if edit.value == NULL:
            raise MemoryError
        edit.value_capacity, edit.count = <uint32_t>capacity, 1
        self.set_record(&records[0], kind)
        records[0].value, records[0].value_size = edit.value, edit.value_capacity
        return 0

    cdef void set_record(self, record_input *record, uint32_t kind) noexcept:
        memset(record, 0, sizeof(record_input))
        record.kind, record.flags = KIND_VALUE, HAS_VIEW
        record.extension, record.extension_size = <const char *>self._view.extensions[kind], VIEW_EXTENSION_BYTES

    cdef int refuse_id(self, int status, striate_id given) except -1:
        cdef striate_id last = self.stream.last
        if status == STRIATE_IDS_EXHAUSTED:
            raise StreamIdError(self._partition.log.path, None, str(make_id(last)))
        if status == STRIATE_ID_TOO_LOW:
            raise StreamIdError(self._partition.log.path, str(make_id(given)), str(make_id(last)))
        return 0

    def _append_nowait(self, value, key=None, id=None):
        """Append one entry without waiting for the disk; its id. ``id``: one, or ``"5-*"`` for the next of a
        millisecond."""
        cdef striate_stream_edit edit
        cdef record_input record
        cdef char head[STRIATE_ENTRY_HEAD_BYTES]
        cdef bytes full
        cdef int status
        self._partition.log.check_open()
        memset(&edit, 0, sizeof(edit))
        edit.kind, edit.count = STRIATE_TO_APPEND, 1
        if id is not None:
            self.load_wanted_id(id, &edit)
        stored = self.load_value(value)
        self.set_record(&record, STRIATE_ENTRY)
        record.key, record.key_size = head, STRIATE_ENTRY_HEAD_BYTES
        if key is not None:
            full = self.keyed(key)
            record.key, record.key_size = PyBytes_AS_STRING(full), <uint32_t>PyBytes_GET_SIZE(full)
            record.extension = <const char *>self._view.extensions[KEYED_ENTRY]
        record.value, record.value_size = PyBytes_AS_STRING(stored), <uint32_t>PyBytes_GET_SIZE(stored)
        status = self.commit_edit(&edit, &record)
        if status != 0:
            self.refuse_id(status, edit.id)
        memcpy(&edit.id, record.key, sizeof(striate_id))
        return make_id(edit.id)

    def _settle_entry(self, StreamEntry entry not None, bytes stored not None, key=None, id=None):
        """Append an entry of :meth:`_new_entry`, which gets its id now."""
        cdef striate_stream_edit edit
        cdef record_input record
        cdef bytes full = self.keyed(b"" if key is None else key)
        cdef int status
        memset(&edit, 0, sizeof(edit))
        edit.kind, edit.count = STRIATE_TO_APPEND, 1
        if id is not None:
            self.load_wanted_id(id, &edit)
        self.set_record(&record, STRIATE_ENTRY if key is None else KEYED_ENTRY)
        record.key, record.key_size = PyBytes_AS_STRING(full), <uint32_t>PyBytes_GET_SIZE(full)
        record.value, record.value_size = PyBytes_AS_STRING(stored), <uint32_t>PyBytes_GET_SIZE(stored)
        status = self.commit_edit(&edit, &record)
        self.refuse_id(status, edit.id)
        settle_entry(entry, record.key)

    def _set_last_nowait(self, id, added=None, removed=None):
        """Set the last id without waiting for the disk."""
        cdef striate_stream_edit edit
        cdef record_input record
        cdef int status
        memset(&edit, 0, sizeof(edit))
        self._partition.log.check_open()
        edit.kind, edit.read = STRIATE_TO_SET_LAST, -1 if added is None else added
        load_id(id, "id", 0, &edit.id)
        if removed is not None:
            load_id(removed, "removed_id", 0, &edit.next)
        try:
            self.make_room(&edit, &record, STRIATE_LAST, 40)
            status = self.commit_edit(&edit, &record)
            self.refuse_id(status, edit.id)
            if status == STRIATE_MISFIT:
                raise InvalidArgumentError("added or removed_id", f"at least {self.stream.added} and at most the id; "
                                           "with ids that are offsets, an id of as many and 0", id)
        finally:
            free(edit.value)

    cdef int load_wanted_id(self, object id, striate_stream_edit *edit) except -1:
        edit.id_given = STRIATE_ID_GIVEN
        cdef object given = id.decode("ascii", "replace") if isinstance(id, bytes) else id
        if isinstance(given, str) and given.endswith("-*"):
            edit.id_given = STRIATE_ID_MS_GIVEN
            given = given.removesuffix("-*")
        return load_id(given, "id", 0, &edit.id)

    cdef bytes keyed(self, object key):
        # Room for the head, and the key.
        if isinstance(key, str):
            key = as_utf8(key, "key")
        if not isinstance(key, bytes):
            raise InvalidTypeError("key", "bytes, str or None", type(key))
        if len(key) > MAX_KEY_BYTES - STRIATE_ENTRY_HEAD_BYTES:
            raise KeyTooLargeError(len(key), MAX_KEY_BYTES - STRIATE_ENTRY_HEAD_BYTES)
        # Written to before anybody else sees it.
        return bytes(STRIATE_ENTRY_HEAD_BYTES) + key

    def _new_entry(self, value, key):
        """An entry for a transaction, without an id, and what will be stored for it."""
        cdef striate_met none
        cdef bytes stored = self.load_value(value)
        cdef StreamEntry entry
        self._partition.log.check_open()
        name = None if key is None else self.keyed(key)[STRIATE_ENTRY_HEAD_BYTES:]
        memset(&none, 0, sizeof(none))
        entry = make_entry(&none, name, stored, self.decode)
        entry.settled = False
        return entry, stored

    def _append_many_nowait(self, values, keys=None):
        """Append entries as one batch without waiting for the disk; their ids."""
        cdef list stored, heads
        cdef object key
        cdef striate_stream_edit edit
        cdef record_input *records
        cdef char *room
        cdef int64_t count, number
        cdef striate_id id
        self._partition.log.check_open()
        stored = [self.load_value(value) for value in as_list(values, "values", "a sequence of values")]
        count = len(stored)
        names = [None] * count if keys is None else as_list(keys, "keys", "a sequence of keys")
        if len(names) != count:
            raise InvalidArgumentError("keys", f"as many as values, {count}", len(names))
        if count == 0:
            return []
        memset(&edit, 0, sizeof(edit))
        edit.kind, edit.count = STRIATE_TO_APPEND, count
        heads = []
        records = <record_input *>malloc(sizeof(record_input) * <size_t>count)
        room = <char *>malloc(STRIATE_ENTRY_HEAD_BYTES * <size_t>count)
        try:
            if records == NULL or room == NULL:
                raise MemoryError
            for number in range(count):
                self.set_record(&records[number], STRIATE_ENTRY)
                records[number].key = room + STRIATE_ENTRY_HEAD_BYTES * number
                records[number].key_size = STRIATE_ENTRY_HEAD_BYTES
                key = names[number]
                if key is not None:
                    key = self.keyed(key)
                    heads.append(key)
                    records[number].key = PyBytes_AS_STRING(key)
                    records[number].key_size = <uint32_t>PyBytes_GET_SIZE(key)
                    records[number].extension = <const char *>self._view.extensions[KEYED_ENTRY]
                key = stored[number]
                records[number].value = PyBytes_AS_STRING(key)
                records[number].value_size = <uint32_t>PyBytes_GET_SIZE(key)
            self.refuse_id(self.commit_edit(&edit, records), edit.id)
            made = []
            for number in range(count):
                memcpy(&id, records[number].key, sizeof(id))
                made.append(make_id(id))
            return made
        finally:
            free(records)
            free(room)

    def _remove_nowait(self, ids):
        """Remove entries without waiting for the disk; how many were there."""
        cdef striate_stream_edit edit
        cdef record_input record
        memset(&edit, 0, sizeof(edit))
        self._partition.log.check_open()
        edit.ids = load_ids(ids, &edit.id_count)
        try:
            edit.kind = STRIATE_TO_REMOVE
            self.make_room(&edit, &record, STRIATE_REMOVED, max(16 * edit.id_count, 1))
            return edit.changed if self.commit_edit(&edit, &record) == 0 else 0
        finally:
            free(<void *>edit.ids)
            free(edit.value)

    def _trim_nowait(self, low, int64_t length):
        """Remove all entries before an id, or all but the last ``length`` where that is not below 0, without waiting
        for the disk; how many."""
        cdef striate_stream_edit edit
        cdef record_input record
        memset(&edit, 0, sizeof(edit))
        self._partition.log.check_open()
        edit.kind, edit.length = STRIATE_TO_TRIM, length
        if length < 0:
            load_id(low, "before", 0, &edit.id)
        try:
            self.make_room(&edit, &record, STRIATE_TRIMMED, 16)
            return edit.changed if self.commit_edit(&edit, &record) == 0 else 0
        finally:
            free(edit.value)

    cdef int64_t state_size(self):
        # Of the state as it is, or -1 where nothing has changed since it was written.
        cdef int64_t size
        self.lock()
        size = <int64_t>striate_stream_state_size(self.stream) if self.stream.version > self.stream.state_end else -1
        striate_give_lock(&self.stream.lock)
        return size

    cdef int64_t piece_bytes(self):
        return min(PIECE_BYTES, self._partition.log.segment_bytes // 4)

    def _pieces_to_save(self):
        """How many records :meth:`_save_nowait` would write."""
        cdef int64_t size = self.state_size()
        return 0 if size < 0 else 1 + (size + STATE_SLACK_BYTES) // self.piece_bytes()

    def _save_nowait(self):
        """Write everything but the entries into the log, where anything came since the last time, so that compaction
        can drop what was written before."""
        cdef striate_stream_edit edit
        cdef record_input *records
        cdef int64_t piece = self.piece_bytes()
        cdef int64_t size, number
        cdef int status = STRIATE_TOO_LONG
        while status == STRIATE_TOO_LONG:
            size = self.state_size()
            if size < 0:
                return
            # It may grow before it is written.
            size += STATE_SLACK_BYTES
            memset(&edit, 0, sizeof(edit))
            edit.kind, edit.length, edit.count = STRIATE_TO_SAVE, piece, 1 + size // piece
            edit.dropped_capacity = <uint32_t>size
            edit.dropped = <char *>malloc(<size_t>size)
            edit.value = <char *>malloc(<size_t>(edit.count * (STRIATE_PIECE_HEAD_BYTES + piece)))
            records = <record_input *>malloc(sizeof(record_input) * <size_t>edit.count)
            try:
                if edit.dropped == NULL or edit.value == NULL or records == NULL:
                    raise MemoryError
                for number in range(edit.count):
                    self.set_record(&records[number], STRIATE_STATE)
                    records[number].value = edit.value
                    records[number].value_size = <uint32_t>(STRIATE_PIECE_HEAD_BYTES + piece)
                status = self.commit_edit(&edit, records)
            finally:
                free(edit.dropped)
                free(edit.value)
                free(records)
