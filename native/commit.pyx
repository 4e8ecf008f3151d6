"""Commits of several changes, of any tables, as one transaction (partition.pxd says how they are made)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from striate._native.durable cimport load_key
from striate._native.frame cimport HAS_VIEW, KIND_TOMBSTONE, KIND_VALUE
from striate._native.inputs cimport MAX_RECORD_BYTES
from striate._native.keyindex cimport (
    STRIATE_HOLD_ALL,
    STRIATE_MUST_EQUAL,
    STRIATE_MUST_NOTHING,
    striate_hold,
    striate_hold_of,
)
from striate._native.partition cimport VIEW_EXTENSION_BYTES, View, watched, work
from striate._native.table cimport STRIATE_NEVER, striate_table_hash

from striate.errors import RecordTooLargeError


cdef class Commit:
    """Changes of any tables of a partition, and what must still hold for them. To be run once."""

    def __cinit__(self, Partition partition not None, int64_t capacity):
        self.partition, self.capacity = partition, capacity
        self.tables, self.held, self.watched_tables, self.watched_changes = [], [], [], []
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

    def run(self):
        """Commit; not yet durable. ``None``, or ``(table, key)`` of what did not hold, the key None for a whole
        table."""
        cdef dict stripes = {}
        cdef striate_hold *holds
        cdef watched *watches
        cdef work job
        cdef int64_t number
        cdef TableCore table
        cdef View view
        for number in range(self.count):
            view = (<TableCore>self.tables[number])._view
            stripes[view] = stripes.get(view, 0) | striate_hold_of(view.index, self.changes[number].key.hash)
        for table in self.watched_tables:
            stripes[table._view] = STRIATE_HOLD_ALL
        memset(&job, 0, sizeof(job))
        holds = <striate_hold *>malloc(sizeof(striate_hold) * <size_t>max(len(stripes), 1))
        watches = <watched *>malloc(sizeof(watched) * <size_t>max(len(self.watched_tables), 1))
        try:
            if holds == NULL or watches == NULL:
                raise MemoryError
            for view in sorted(stripes, key=_number):
                holds[job.hold_count].index, holds[job.hold_count].stripes = view.index, stripes[view]
                job.hold_count += 1
            for table, changes in zip(self.watched_tables, self.watched_changes):
                watches[job.watch_count].index, watches[job.watch_count].changes = table.index, changes
                job.watch_count += 1
            job.holds, job.watches = holds, watches
            job.changes, job.change_count = self.changes, self.count
            job.records, job.record_count = self.records, self.record_count
            job.now = self.partition.now_ns()
            if self.partition.commit(&job) == 0:
                return None
        finally:
            free(holds)
            free(watches)
        if job.failed >= self.count:
            return self.watched_tables[job.failed - self.count], None
        return self.tables[job.failed], self.changes[job.failed].key.bytes[:self.changes[job.failed].key.size]


def _number(View view):
    return view.number
