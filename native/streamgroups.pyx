"""One consumer group of a stream, for :class:`striate.Group`: reading, acknowledging, claiming.

What may not live here: the group itself (streamgroup.c), what its records say (streamrecord.c), entries (streams.pyx).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from striate._native.frame cimport MAX_KEY_BYTES, record_input
from striate._native.inputs cimport as_utf8
from striate._native.lock cimport striate_give_lock
from striate._native.stream cimport (
    STRIATE_GROUP,
    STRIATE_GROUP_ABSENT,
    STRIATE_TO_ACK,
    STRIATE_TO_AUTO_CLAIM,
    STRIATE_TO_CLAIM,
    STRIATE_TO_DELETE_CONSUMER,
    STRIATE_TO_DELETE_GROUP,
    STRIATE_TO_DELIVER,
    STRIATE_TO_READ_AGAIN,
    STRIATE_TO_SET_CONSUMER,
    STRIATE_TO_SET_GROUP,
    striate_consumer,
    striate_met,
    striate_group,
    striate_group_consumer,
    striate_group_seek,
    striate_id,
    striate_pending,
    striate_stream_collect,
    striate_stream_count_from,
    striate_stream_edit,
    striate_stream_group,
)
from striate._native.streamentry cimport load_id, make_id
from striate._native.streamlook cimport DEPENDS_ON_ALL, DEPENDS_ON_GROUPS
from striate._native.streams cimport StreamCore, load_ids
from striate._native.table cimport STRIATE_CHANGED, STRIATE_PRESENT

from striate.errors import (
    GroupExistsError,
    GroupNotFoundError,
    InvalidArgumentError,
    InvalidTypeError,
    KeyTooLargeError,
)

cdef enum:
    MOST_AT_ONCE = 65536              # entries of one call
    CLAIM_HEAD_BYTES = 18


cdef bytes as_name(object name, str argument):
    if isinstance(name, str):
        name = as_utf8(name, argument)
    if not isinstance(name, bytes):
        raise InvalidTypeError(argument, "str or bytes", type(name))
    if not name:
        raise InvalidArgumentError(argument, "at least one character", name)
    if len(name) > MAX_KEY_BYTES:
        raise KeyTooLargeError(len(name), MAX_KEY_BYTES)
    return name


cdef class GroupCore:
    """The native half of :class:`striate.Group`."""

    def __cinit__(self, StreamCore stream not None, name):
        self._core, self.name = stream, as_name(name, "group")

    @property
    def _name(self):
        return self.name

    cdef striate_group *lock_group(self) except NULL:
        cdef striate_group *group
        self._core.lock()
        self._core.need(DEPENDS_ON_GROUPS)
        group = striate_stream_group(self._core.stream, PyBytes_AS_STRING(self.name),
                                     <uint32_t>PyBytes_GET_SIZE(self.name))
        if group == NULL:
            striate_give_lock(&self._core.stream.lock)
            raise GroupNotFoundError(self._core._partition.log.path, self.name)
        return group

    # ------------------------------------------------------------ commits

    cdef int begin(self, striate_stream_edit *edit, int kind, bytes consumer) except -1:
        self._core._partition.log.check_open()
        memset(edit, 0, sizeof(striate_stream_edit))
        edit.kind = <unsigned char>kind
        edit.group, edit.group_size = PyBytes_AS_STRING(self.name), <uint32_t>PyBytes_GET_SIZE(self.name)
        if consumer is not None:
            edit.consumer, edit.consumer_size = PyBytes_AS_STRING(consumer), <uint32_t>PyBytes_GET_SIZE(consumer)
        return 0

    cdef void set_name(self, record_input *record) noexcept:
        record.key, record.key_size = PyBytes_AS_STRING(self.name), <uint32_t>PyBytes_GET_SIZE(self.name)

    cdef int commit(self, striate_stream_edit *edit, record_input *records) except -1:
        cdef int status = self._core.commit_edit(edit, records)
        if status == STRIATE_GROUP_ABSENT:
            raise GroupNotFoundError(self._core._partition.log.path, self.name)
        return status

    cdef int run(self, striate_stream_edit *edit, int64_t capacity) except -1:
        cdef record_input record
        try:
            self._core.make_room(edit, &record, STRIATE_GROUP, capacity)
            self.set_name(&record)
            return self.commit(edit, &record)
        finally:
            free(edit.value)

    cdef int run_claim(self, striate_stream_edit *edit, int64_t most) except -1:
        cdef record_input records[2]
        cdef char *claimed = NULL
        cdef char *dropped = NULL
        try:
            self._core.make_room(edit, &records[1], STRIATE_GROUP, 1 + 16 * most)
            dropped, edit.dropped, edit.dropped_capacity = edit.value, edit.value, edit.value_capacity
            self._core.make_room(edit, &records[0], STRIATE_GROUP, CLAIM_HEAD_BYTES + edit.consumer_size + 16 * most)
            claimed, edit.count = edit.value, 2
            self.set_name(&records[0])
            self.set_name(&records[1])
            return self.commit(edit, records)
        finally:
            free(claimed)
            free(dropped)

    # ------------------------------------------------------------ reading

    def _read_nowait(self, consumer, int64_t most, bint without_ack=False):
        """Give a consumer entries that no other has got; none: an empty list. That they were given is written, but not
        waited for."""
        cdef striate_stream_edit edit
        cdef bytes name = as_name(consumer, "consumer")
        self.begin(&edit, STRIATE_TO_DELIVER, name)
        edit.without_ack, edit.most = without_ack, min(most, MOST_AT_ONCE)
        edit.found = <striate_met *>malloc(sizeof(striate_met) * <size_t>max(edit.most, 1))
        if edit.found == NULL:
            raise MemoryError
        try:
            if self.run(&edit, 58 + len(name)) != 0:
                return []
            return self._core.entries_of(edit.found, edit.found_count, True)
        finally:
            free(edit.found)

    def _read_again_nowait(self, consumer, start, int64_t most):
        """What a consumer has got and not acknowledged, from an id on, once more."""
        cdef striate_stream_edit edit
        cdef bytes name = as_name(consumer, "consumer")
        self.begin(&edit, STRIATE_TO_READ_AGAIN, name)
        if start is not None:
            load_id(start, "start", 0, &edit.id)
        edit.counting, edit.most = 1, min(most, MOST_AT_ONCE)
        return self.claimed(&edit, edit.most)

    cdef list claimed(self, striate_stream_edit *edit, int64_t most):
        cdef int status
        if edit.counting != 2 and not edit.delivered_ms:
            edit.delivered_ms = self._core._partition.now_ns() // 1_000_000
        edit.found = <striate_met *>malloc(sizeof(striate_met) * <size_t>max(most, 1))
        if edit.found == NULL:
            raise MemoryError
        try:
            if edit.kind == STRIATE_TO_READ_AGAIN:
                status = self.run(edit, CLAIM_HEAD_BYTES + edit.consumer_size + 16 * most)
            else:
                status = self.run_claim(edit, most)
            if status != 0:
                return []
            return self._core.entries_of(edit.found, edit.found_count, True)
        finally:
            free(edit.found)

    def _claim_nowait(self, consumer, ids, int64_t min_idle_ms, bint raised=True, deliveries=None, delivered_ms=None,
                      bint force=False):
        """Give pending entries to another consumer, those that have been idle long enough."""
        cdef striate_stream_edit edit
        cdef bytes name = as_name(consumer, "consumer")
        self.begin(&edit, STRIATE_TO_CLAIM, name)
        edit.min_idle_ms, edit.force, edit.counting = min_idle_ms, force, raised
        if delivered_ms is not None:
            edit.delivered_ms = delivered_ms
        if deliveries is not None:
            edit.counting, edit.deliveries = 2, deliveries
            if delivered_ms is None:
                edit.delivered_ms = self._core._partition.now_ns() // 1_000_000
        edit.ids = load_ids(ids, &edit.id_count)
        try:
            return self.claimed(&edit, edit.id_count)
        finally:
            free(<void *>edit.ids)

    def _auto_claim_nowait(self, consumer, int64_t min_idle_ms, start, int64_t most, bint raised=True):
        """Give a consumer pending entries that have been idle long enough, from an id on: ``(where to go on or None,
        entries, how many were dropped because they are not in the stream any more)``."""
        cdef striate_stream_edit edit
        cdef bytes name = as_name(consumer, "consumer")
        self.begin(&edit, STRIATE_TO_AUTO_CLAIM, name)
        if start is not None:
            load_id(start, "start", 0, &edit.id)
        edit.min_idle_ms, edit.counting, edit.most = min_idle_ms, raised, min(most, MOST_AT_ONCE)
        entries = self.claimed(&edit, edit.most)
        return make_id(edit.next) if edit.next.ms or edit.next.seq else None, entries, edit.changed

    def _sleep(self, int64_t timeout_ns):
        """Sleep until there is an entry that the group has not got: whether there is."""
        cdef striate_id none
        none.ms = none.seq = 0
        self.lock_group()
        striate_give_lock(&self._core.stream.lock)
        return self._core.sleep_after(none, self.name, timeout_ns) != 0

    # ------------------------------------------------------------ acknowledging

    def _acknowledge_nowait(self, ids):
        """Take entries off what is pending; how many were there."""
        cdef striate_stream_edit edit
        self.begin(&edit, STRIATE_TO_ACK, None)
        edit.ids = load_ids(ids, &edit.id_count)
        try:
            self.run(&edit, 1 + 16 * edit.id_count)
            return edit.changed
        finally:
            free(<void *>edit.ids)

    def _acknowledge_strictly(self, ids):
        """The same if all of them are pending; else one that is not, and nothing is done."""
        cdef striate_stream_edit edit
        self.begin(&edit, STRIATE_TO_ACK, None)
        edit.strict = True
        edit.ids = load_ids(ids, &edit.id_count)
        try:
            return make_id(edit.id) if self.run(&edit, 1 + 16 * edit.id_count) == STRIATE_CHANGED else None
        finally:
            free(<void *>edit.ids)

    def _check_ids(self, ids):
        """Refuse what is no id; how many different ones."""
        cdef int64_t count
        free(load_ids(ids, &count))
        return count

    # ------------------------------------------------------------ groups and consumers

    def _set_nowait(self, id, int only_if, int64_t read=-1):
        """Make the group (``only_if`` 1) or move it (2), to an id or the end; ``read``: entries up to there or -1."""
        cdef striate_stream_edit edit
        self.begin(&edit, STRIATE_TO_SET_GROUP, None)
        edit.only_if, edit.read = <unsigned char>only_if, read
        if id is not None:
            edit.id_given = 1
            load_id(id, "id", 0, &edit.id)
        if self.run(&edit, 25) == STRIATE_PRESENT:
            raise GroupExistsError(self._core._partition.log.path, self.name)

    def _delete_nowait(self):
        """Delete the group."""
        cdef striate_stream_edit edit
        self.begin(&edit, STRIATE_TO_DELETE_GROUP, None)
        self.run(&edit, 1)

    def _set_consumer_nowait(self, consumer):
        """Make a consumer; whether it was not there."""
        cdef striate_stream_edit edit
        cdef bytes name = as_name(consumer, "consumer")
        self.begin(&edit, STRIATE_TO_SET_CONSUMER, name)
        return self.run(&edit, 9 + len(name)) == 0

    def _delete_consumer_nowait(self, consumer):
        """Delete a consumer and what is pending for it; how many entries that were, or ``None`` without one."""
        cdef striate_stream_edit edit
        cdef bytes name = as_name(consumer, "consumer")
        self.begin(&edit, STRIATE_TO_DELETE_CONSUMER, name)
        return edit.changed if self.run(&edit, 1 + len(name)) == 0 else None

    # ------------------------------------------------------------ figures

    def _pending(self, start, stop, int64_t most, consumer=None, int64_t min_idle_ms=0, bint since=False):
        """Pending entries from one id to another: ``[(id, consumer, idle in ms, deliveries)]``;
        ``since``: the ms since the epoch at which it was given, in place of the idle ones."""
        cdef striate_id low, high
        cdef striate_pending *found
        cdef int64_t count = 0
        cdef int64_t at, now
        cdef uint32_t wanted = 0
        cdef striate_group *group
        cdef bytes name = None if consumer is None else as_name(consumer, "consumer")
        high.ms = high.seq = 0xFFFFFFFFFFFFFFFF
        load_id(0 if start is None else start, "start", 0, &low)
        if stop is not None:
            load_id(stop, "stop", 0xFFFFFFFFFFFFFFFF, &high)
        now = self._core._partition.now_ns() // 1_000_000
        most = min(most, MOST_AT_ONCE)
        found = <striate_pending *>malloc(sizeof(striate_pending) * <size_t>max(most, 1))
        if found == NULL:
            raise MemoryError
        try:
            group = self.lock_group()
            if name is not None:
                wanted = striate_group_consumer(group, PyBytes_AS_STRING(name), <uint32_t>len(name))
            at = striate_group_seek(group, low)
            while at < group.end and count < most and (name is None or wanted):
                if high.ms < group.pending[at].id.ms or (high.ms == group.pending[at].id.ms
                                                         and high.seq < group.pending[at].id.seq):
                    break
                if group.pending[at].consumer and (not wanted or group.pending[at].consumer == wanted) \
                        and max(now - group.pending[at].delivered_ms, 0) >= min_idle_ms:
                    found[count] = group.pending[at]
                    count += 1
                at += 1
            striate_give_lock(&self._core.stream.lock)
            names = {number: name for number, name, *_ in self._consumers()}
            return [(make_id(found[at].id), names.get(found[at].consumer, b""), found[at].delivered_ms if since else
                     max(now - found[at].delivered_ms, 0), found[at].deliveries) for at in range(count)]
        finally:
            free(found)

    def _consumers(self):
        """``[(number, name, pending, idle in ms, inactive in ms or None)]``."""
        cdef striate_group *group = self.lock_group()
        cdef uint32_t count = group.consumer_count
        cdef uint32_t number
        cdef uint64_t size = 0
        cdef char *names
        cdef char *at
        cdef striate_consumer *copies = <striate_consumer *>malloc(sizeof(striate_consumer) * <size_t>(count + 1))
        for number in range(count):
            if group.consumers[number].name != NULL:
                size += group.consumers[number].name_size
        at = names = <char *>malloc(<size_t>size + 1)
        if copies != NULL and names != NULL:
            if count:
                memcpy(copies, group.consumers, sizeof(striate_consumer) * count)
            for number in range(count):
                if copies[number].name != NULL:
                    memcpy(at, copies[number].name, copies[number].name_size)
                    at += copies[number].name_size
        striate_give_lock(&self._core.stream.lock)
        try:
            if copies == NULL or names == NULL:
                raise MemoryError
            now = self._core._partition.now_ns() // 1_000_000
            result = []
            at = names
            for number in range(count):
                if copies[number].name == NULL:
                    continue
                active = copies[number].active_ms
                result.append((number + 1, PyBytes_FromStringAndSize(at, copies[number].name_size),
                               copies[number].pending, max(now - copies[number].seen_ms, 0),
                               None if active < 0 else max(now - active, 0)))
                at += copies[number].name_size
            return result
        finally:
            free(copies)
            free(names)

    def _figures(self):
        """``(last delivered id, entries added up to it, pending, lag, first pending id, last pending id, entries added
        before the first that is not acknowledged, consumers)``; the pending ids ``None`` where there are none."""
        cdef striate_group *group = self.lock_group()
        cdef striate_id last = group.last
        cdef striate_id first, end, start
        cdef striate_met found
        cdef int64_t read = group.read
        cdef int64_t pending = group.alive
        cdef int64_t committed = read
        cdef int64_t lag, at, consumers
        cdef uint32_t number
        start = first = end = last
        start.seq += 1
        start.ms += start.seq == 0
        lag = striate_stream_count_from(self._core.stream, start) if start.ms or start.seq else 0
        if pending:
            at = group.head
            while not group.pending[at].consumer:
                at += 1
            first = group.pending[at].id
            at = group.end - 1
            while not group.pending[at].consumer:
                at -= 1
            end = group.pending[at].id
            if striate_stream_collect(self._core.stream, first, last, 0, 0xFFFFFFFFFFFFFFFF, 1, &found):
                committed = min(committed, <int64_t>found.ordinal)
        consumers = 0
        self._core.need(DEPENDS_ON_ALL)
        for number in range(group.consumer_count):
            consumers += group.consumers[number].name != NULL
        striate_give_lock(&self._core.stream.lock)
        return (make_id(last), read, pending, lag, make_id(first) if pending else None,
                make_id(end) if pending else None, committed, consumers)
