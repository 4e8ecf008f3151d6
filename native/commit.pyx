"""Commits of several changes, of any tables and streams, as one transaction (partition.pxd says how they are made)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from striate._native.durable cimport load_key
from striate._native.frame cimport HAS_VIEW, KIND_TOMBSTONE, KIND_VALUE
from striate._native.inputs cimport MAX_RECORD_BYTES
from striate._native.keyindex cimport (
    STRIATE_HOLD_ALL,
    STRIATE_MUST_EQUAL,
    STRIATE_MUST_NOTHING,
    striate_hold,
    striate_hold_of,
    striate_keyindex,
)
from striate._native.partition cimport (
    KEYED,
    KEYED_ENTRY,
    VIEW_EXTENSION_BYTES,
    StreamView,
    View,
    watched,
    watched_stream,
    work,
)
from striate._native.stream cimport (
    STRIATE_ENTRY,
    STRIATE_GROUP,
    STRIATE_GROUP_ABSENT,
    STRIATE_IDS_EXHAUSTED,
    STRIATE_TO_ACK,
    STRIATE_TO_APPEND,
    STRIATE_TO_DROP,
    STRIATE_TO_REPLAY,
    striate_id,
    striate_stream,
    striate_stream_edit,
)
from striate._native.streamentry cimport StreamEntry, make_id, settle_entry
from striate._native.streamgroups cimport GroupCore
from striate._native.streamlook cimport StreamLook
from striate._native.streams cimport StreamCore, load_ids
from striate._native.table cimport STRIATE_NEVER, striate_table_hash

from striate.errors import GroupNotFoundError, RecordTooLargeError, StreamIdError

cdef uint32_t[2] CATALOG = [0, 0]


cdef class Commit:
    """Changes of any tables and streams of a partition, and what must still hold for them. To be run once."""

    def __cinit__(self, Partition partition not None, int64_t capacity):
        self.partition, self.capacity = partition, capacity
        self.tables, self.held, self.watched_tables, self.watched_changes = [], [], [], []
        self.edited, self.watched_streams, self.dropped = [], [], []
        self.changes = <striate_edit *>malloc(sizeof(striate_edit) * <size_t>max(capacity, 1))
        self.records = <record_input *>malloc(sizeof(record_input) * <size_t>max(capacity, 1))
        if self.changes == NULL or self.records == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.changes)
        free(self.records)

    cdef striate_edit *new_change(self, TableCore table, object key, int condition,
                                  uint64_t expected) except NULL:
        cdef striate_edit *change = &self.changes[self.count]
        assert self.count < self.capacity
        load_key(key, &change.key)
        change.index = table.index
        change.key.hash = striate_table_hash(table.index.latest, change.key.bytes, change.key.size, 0)
        change.condition, change.expected = <uint8_t>condition, expected
        change.deadline, change.record, change.removes, change.alone = STRIATE_NEVER, -1, False, False
        self.held.append(key)
        self.tables.append(table)
        self.count += 1
        return change

    def check(self, TableCore table, key, uint64_t version):
        """The key must have this version, 0 for absent, when the rest is committed."""
        self.new_change(table, key, STRIATE_MUST_EQUAL, version)

    def watch(self, TableCore table, uint64_t changes):
        """No key of the table may have changed since its ``_changes`` was this."""
        self.watched_tables.append(table)
        self.watched_changes.append(changes)

    def add(self, TableCore table, key, bytes value, uint64_t end=0, int condition=STRIATE_MUST_NOTHING,
            uint64_t expected=0):
        """Store bytes, or remove the key where ``value`` is None; ``end``: milliseconds since the epoch, or 0."""
        cdef striate_edit *change = self.new_change(table, key, condition, expected)
        cdef record_input *record = &self.records[self.record_count]
        change.record, change.removes = self.record_count, value is None
        record.kind = KIND_TOMBSTONE if value is None else KIND_VALUE
        record.flags = HAS_VIEW
        record.extension, record.extension_size = <const char *>table._view.extension, VIEW_EXTENSION_BYTES
        if value is None:
            value = b""
        elif end:
            change.deadline = <int64_t>end * 1_000_000
            value = PyBytes_FromStringAndSize(<const char *>&end, 8) + value
            record.extension = <const char *>table._view.timed_extension
        if PyBytes_GET_SIZE(value) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(len(value), min(self.partition.log.segment_bytes, MAX_RECORD_BYTES))
        self.held.append(value)
        record.key, record.key_size = change.key.bytes, change.key.size
        record.value, record.value_size = PyBytes_AS_STRING(value), <uint32_t>PyBytes_GET_SIZE(value)
        self.record_count += 1

    def append(self, StreamCore stream, StreamEntry entry, bytes stored, key=None):
        """Append an entry to a stream; it gets its id when this is run."""
        self.edited.append((stream, entry, None, (stream.keyed(b"" if key is None else key), stored, key is not None)))

    def acknowledge(self, GroupCore group, ids):
        """Acknowledge entries in a group, each of which must be pending."""
        cdef int64_t count = 0
        cdef striate_id *loaded = load_ids(ids, &count)
        try:
            held = PyBytes_FromStringAndSize(<const char *>loaded, sizeof(striate_id) * count)
        finally:
            free(loaded)
        if count:
            room = PyBytes_FromStringAndSize(NULL, 1 + 16 * count)
            self.edited.append((group._core, None, group, (held, room)))

    def watch_stream(self, StreamCore stream, StreamLook look):
        """Nothing of the stream may have changed on which what was seen or done by a look depends."""
        self.watched_streams.append((stream, look))

    def replay(self, StreamCore stream, StreamLook look):
        """Change a stream as a look at it was changed."""
        self.edited.append((stream, None, None, look))

    def enter(self, bytes name not None, bytes text not None):
        """Write a record of the catalog, view 0. To be called before any :meth:`add`."""
        self.add_record(name, text, <const char *>CATALOG)

    def drop(self, view):
        """Let a table or stream hold nothing any more, and take nothing; what the catalog says of it comes with it."""
        self.dropped.append(view)

    cdef int add_record(self, key, bytes value, const char *extension) except -1:
        cdef record_input *record = &self.records[self.record_count]
        cdef bytes name = b"" if key is None else key
        if PyBytes_GET_SIZE(value) > MAX_RECORD_BYTES:
            raise RecordTooLargeError(len(value), min(self.partition.log.segment_bytes, MAX_RECORD_BYTES))
        memset(record, 0, sizeof(record_input))
        record.kind, record.flags = KIND_VALUE, HAS_VIEW
        record.extension, record.extension_size = extension, VIEW_EXTENSION_BYTES
        if key is not None:
            record.key, record.key_size = PyBytes_AS_STRING(name), <uint32_t>PyBytes_GET_SIZE(name)
        record.value, record.value_size = PyBytes_AS_STRING(value), <uint32_t>PyBytes_GET_SIZE(value)
        self.held += [name, value]
        self.record_count += 1
        return 0

    cdef int load_look(self, StreamCore stream, StreamLook look, striate_stream_edit *edit) except -1:
        cdef uint32_t flags
        edit.kind, edit.count = STRIATE_TO_REPLAY, len(look.records)
        for flags, key, value in look.records:
            self.add_record(key, value, <const char *>stream._view.extensions[KEYED_ENTRY if flags & KEYED else flags])
        return 0

    cdef int load_drops(self, work *job) except -1:
        cdef striate_stream_edit *edit
        for view in self.dropped:
            if isinstance(view, StreamView):
                edit = &job.edits[job.edit_count]
                memset(edit, 0, sizeof(striate_stream_edit))
                edit.kind, edit.stream = STRIATE_TO_DROP, (<StreamView>view).stream
                job.edit_count += 1
            else:
                job.drops[job.drop_count] = (<View>view).index
                job.drop_count += 1
        return 0

    cdef int load_edits(self, work *job) except -1:
        cdef StreamCore stream
        cdef StreamEntry entry
        cdef GroupCore group
        cdef striate_stream_edit *edit
        cdef record_input *record
        for stream, entry, group, held in self.edited:
            edit, record = &job.edits[job.edit_count], &self.records[self.record_count]
            memset(edit, 0, sizeof(striate_stream_edit))
            edit.stream, edit.record, edit.count = stream.stream, self.record_count, 1
            edit.now_ms, edit.visible = job.now // 1_000_000, self.partition.visible()
            job.edit_count += 1
            if isinstance(held, StreamLook):
                self.load_look(stream, held, edit)
                continue
            if entry is not None:
                full, stored, keyed = held
                stream.set_record(record, KEYED_ENTRY if keyed else STRIATE_ENTRY)
                edit.kind = STRIATE_TO_APPEND
                record.key, record.key_size = PyBytes_AS_STRING(full), <uint32_t>PyBytes_GET_SIZE(full)
                record.value, record.value_size = PyBytes_AS_STRING(stored), <uint32_t>PyBytes_GET_SIZE(stored)
            else:
                ids, room = held
                stream.set_record(record, STRIATE_GROUP)
                group.set_name(record)
                edit.kind, edit.strict = STRIATE_TO_ACK, True
                edit.group, edit.group_size = record.key, record.key_size
                edit.ids = <const striate_id *>PyBytes_AS_STRING(ids)
                edit.id_count = PyBytes_GET_SIZE(ids) // <int64_t>sizeof(striate_id)
                edit.value, edit.value_capacity = PyBytes_AS_STRING(room), <uint32_t>PyBytes_GET_SIZE(room)
                record.value, record.value_size = edit.value, edit.value_capacity
            self.record_count += 1
        return 0

    cdef int load_streams(self, work *job) except -1:
        # Room for what is about streams, and the streams concerned, each once and in their order.
        cdef StreamCore stream
        cdef StreamLook look
        cdef watched_stream *watch
        cdef size_t most = len(self.edited) + len(self.watched_streams) + len(self.dropped)
        job.edits = <striate_stream_edit *>malloc(sizeof(striate_stream_edit) * most)
        job.streams = <striate_stream **>malloc(sizeof(void *) * most)
        job.stream_watches = <watched_stream *>malloc(sizeof(watched_stream) * most)
        job.positions = <uint32_t *>malloc(sizeof(uint32_t) * <size_t>max(self.capacity, 1))
        if job.edits == NULL or job.streams == NULL or job.stream_watches == NULL or job.positions == NULL:
            raise MemoryError
        views = {stream._view for stream, *_ in self.edited} | {stream._view for stream, _ in self.watched_streams}
        views |= {view for view in self.dropped if isinstance(view, StreamView)}
        for view in sorted(views, key=_stream_number):
            job.streams[job.stream_count] = (<StreamView>view).stream
            job.stream_count += 1
        for stream, look in self.watched_streams:
            watch = &job.stream_watches[job.stream_watch_count]
            watch.stream, watch.parts = stream.stream, look.parts
            memcpy(watch.counts, look.start.counts, sizeof(watch.counts))
            job.stream_watch_count += 1
        return 0

    def run(self):
        """Commit; not yet durable. ``None``, or ``(table or stream, key)`` of what did not hold, the key None for a
        whole one, an id for an entry that was not pending."""
        cdef dict stripes = {}
        cdef work job
        cdef int64_t number
        cdef int status
        cdef TableCore table
        cdef View view
        cdef bint streams = self.edited or self.watched_streams or self.dropped
        for number in range(self.count):
            view = (<TableCore>self.tables[number])._view
            stripes[view] = stripes.get(view, 0) | striate_hold_of(view.index, self.changes[number].key.hash)
        for table in self.watched_tables:
            stripes[table._view] = STRIATE_HOLD_ALL
        for each in self.dropped:
            if isinstance(each, View):
                stripes[each] = STRIATE_HOLD_ALL
        memset(&job, 0, sizeof(job))
        try:
            job.holds = <striate_hold *>malloc(sizeof(striate_hold) * <size_t>max(len(stripes), 1))
            job.watches = <watched *>malloc(sizeof(watched) * <size_t>max(len(self.watched_tables), 1))
            job.drops = <striate_keyindex **>malloc(sizeof(void *) * <size_t>max(len(self.dropped), 1))
            if job.holds == NULL or job.watches == NULL or job.drops == NULL:
                raise MemoryError
            if streams:
                self.load_streams(&job)
            for view in sorted(stripes, key=_number):
                job.holds[job.hold_count].index, job.holds[job.hold_count].stripes = view.index, stripes[view]
                job.hold_count += 1
            for table, changes in zip(self.watched_tables, self.watched_changes):
                job.watches[job.watch_count].index, job.watches[job.watch_count].changes = table.index, changes
                job.watch_count += 1
            job.now = self.partition.now_ns()
            if streams:
                self.load_edits(&job)
                self.load_drops(&job)
            job.changes, job.change_count = self.changes, self.count
            job.records, job.record_count = self.records, self.record_count
            status = self.partition.commit(&job)
            if status != 0:
                return self.refused(status, &job)
            self.first_version = job.first_version
            self.settle()
        finally:
            free(job.holds)
            free(job.watches)
            free(job.drops)
            free(job.edits)
            free(job.streams)
            free(job.stream_watches)
            free(job.positions)

    def settle(self):
        """Give the entries their ids."""
        cdef StreamEntry entry
        for _, entry, _, held in self.edited:
            if entry is not None:
                settle_entry(entry, PyBytes_AS_STRING(held[0]))

    cdef object refused(self, int status, const work *job):
        cdef int64_t failed = job.failed
        cdef GroupCore group
        if failed < self.count:
            return self.tables[failed], self.changes[failed].key.bytes[:self.changes[failed].key.size]
        failed -= self.count
        if failed < job.watch_count:
            return self.watched_tables[failed], None
        failed -= job.watch_count
        if failed < job.stream_watch_count:
            return self.watched_streams[failed][0], None
        failed -= job.stream_watch_count
        stream, _, group, _ = self.edited[failed]
        if status == STRIATE_GROUP_ABSENT:
            raise GroupNotFoundError(self.partition.log.path, group.name)
        if status == STRIATE_IDS_EXHAUSTED:
            raise StreamIdError(self.partition.log.path, None, str(stream._figures()[0]))
        return stream, str(make_id(job.edits[failed].id)).encode()


def _stream_number(StreamView view):
    return view.number


def _number(View view):
    return view.number
