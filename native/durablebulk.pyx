"""Many keys of a durable table at once: bulk reads and writes, walks."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from striate._native.commit cimport Commit
from striate._native.durable cimport TableCore, end_of, load_key
from striate._native.frame cimport UNIT_BYTES, frame_view
from striate._native.inputs cimport as_list, as_pairs, as_utf8
from striate._native.keyindex cimport (
    STRIATE_KEYINDEX_STRIPES,
    STRIATE_MUST_BE_PRESENT,
    STRIATE_MUST_NOTHING,
    striate_hold,
    striate_hold_lock,
    striate_hold_of,
    striate_hold_unlock,
    striate_keyindex,
    striate_keyindex_visible,
    striate_keywalk,
    striate_keywalk_leaving,
    striate_keywalk_next,
    striate_prefetch_bucket,
    striate_prefetch_entry,
    striate_spot,
)
from striate._native.partition cimport deadline_of, view_extension
from striate._native.platform cimport striate_load_u64, striate_prefetch
from striate._native.segment cimport Segment
from striate._native.store cimport Store, read_frame_of
from striate._native.table cimport (
    STRIATE_NEVER,
    striate_counts,
    striate_key,
    striate_lock,
    striate_stripe,
    striate_stripe_expire,
    striate_table,
    striate_table_counts,
    striate_table_hash,
    striate_table_stripe_of,
    striate_unlock,
)

from striate.errors import InvalidArgumentError

cdef enum:
    AHEAD = 32                        # look-ups that wait for memory together
    LOOKS = 100                       # at keys whose records move away each time

cdef enum:                            # what became of a key of a bulk read
    ABSENT = 0
    FOUND = 1
    UNSURE = 2                        # the record has moved, does not verify, or may have expired: look at it alone


cdef object MISSING = object()


cdef struct wanted:
    striate_key key
    striate_spot spot
    const char *value
    uint32_t value_size
    int state


# A segment as a bulk read needs it.
cdef struct place:
    uint64_t base_offset
    void *store


cdef void look_up_all(striate_keyindex *index, wanted *items, int64_t count,
                      const uint64_t *durable_next) noexcept nogil:
    # All of them at one moment: no transaction is seen by half.
    cdef striate_hold hold
    cdef striate_table *table = index.latest
    cdef uint64_t durable
    cdef int64_t number, end, at
    hold.index, hold.stripes = index, 0
    for number in range(count):
        items[number].key.hash = striate_table_hash(table, items[number].key.bytes, items[number].key.size, 0)
        hold.stripes |= striate_hold_of(index, items[number].key.hash)
    striate_hold_lock(&hold, 1, True)
    durable = striate_load_u64(durable_next)
    number = 0
    while number < count:
        end = min(number + AHEAD, count)
        for at in range(number, end):
            striate_prefetch_bucket(stripe_of(table, items[at].key.hash), items[at].key.hash)
        for at in range(number, end):
            striate_prefetch_entry(stripe_of(table, items[at].key.hash), items[at].key.hash)
        for at in range(number, end):
            items[at].spot = striate_keyindex_visible(index, &items[at].key, durable)
        number = end
    striate_hold_unlock(&hold, 1)


cdef inline striate_stripe *stripe_of(striate_table *table, uint64_t hash) noexcept nogil:
    return striate_stripe_at(table, striate_table_stripe_of(table, hash))


cdef extern from *:
    """
    #define striate_stripe_at(table, number) (&(table)->stripes[number])
    """
    striate_stripe *striate_stripe_at(striate_table *table, uint32_t number) nogil


cdef void open_all(place *places, int64_t place_count, wanted *items, int64_t count) noexcept nogil:
    # Find and verify the frames. Memory is asked for some at a time.
    cdef int64_t number = 0
    cdef int64_t end, at
    while number < count:
        end = min(number + AHEAD, count)
        for at in range(number, end):
            prefetch_frame(places, place_count, &items[at])
        for at in range(number, end):
            open_one(places, place_count, &items[at])
        number = end


cdef inline int64_t place_of(place *places, int64_t count, uint64_t offset) noexcept nogil:
    cdef int64_t low = 0
    cdef int64_t high = count
    cdef int64_t middle
    while low < high:
        middle = (low + high) >> 1
        if places[middle].base_offset <= offset:
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef inline void prefetch_frame(place *places, int64_t place_count, wanted *item) noexcept nogil:
    cdef int64_t at
    cdef const char *memory
    if item.spot.version == 0:
        return
    at = place_of(places, place_count, item.spot.version - 1)
    if at >= 0:
        memory = (<Store>places[at].store).memory + <int64_t>item.spot.position * UNIT_BYTES
        striate_prefetch(memory)
        striate_prefetch(memory + 64)
        striate_prefetch(memory + 128)


cdef inline void open_one(place *places, int64_t place_count, wanted *item) noexcept nogil:
    cdef frame_view view
    cdef uint32_t number
    cdef uint32_t flags = 0
    cdef int64_t at
    item.state = ABSENT
    if item.spot.version == 0:
        return
    item.state = UNSURE
    at = place_of(places, place_count, item.spot.version - 1)
    if at < 0:
        return
    if read_frame_of(<Store>places[at].store, <int64_t>item.spot.position * UNIT_BYTES,
                     <uint32_t>(item.spot.version - 1 - places[at].base_offset), &view) != 0:
        return
    if view_extension(&view, &number, &flags) and flags:
        return
    item.value, item.value_size = view.value, view.value_size
    item.state = FOUND


cdef class DurableTable(TableCore):
    """What of a durable table is more than single keys."""

    # ------------------------------------------------------------ reading

    def get_many(self, keys, default=None):
        """The values of many keys, as a list in their order, ``default`` for those that are absent.

        All are read at one moment: of a transaction, all changes are seen or none. The GIL is let go meanwhile.
        """
        cdef list names = as_list(keys, "keys", "a sequence of keys")
        cdef int64_t count = len(names)
        cdef int64_t number
        cdef wanted *items
        cdef list result
        cdef int _look
        self.check_open()
        items = <wanted *>malloc(sizeof(wanted) * <size_t>max(count, 1))
        try:
            if items == NULL:
                raise MemoryError
            for number in range(count):
                load_key(names[number], &items[number].key)
            for _look in range(LOOKS):
                with nogil:
                    look_up_all(self.index, items, count, &self._partition.log.durable_next)
                result = self.values_of(items, count, default)
                if result is not None:
                    return result
            # Compaction moves no record that often: the index has what the log has not.
            return [self.get(name, default) for name in names]
        finally:
            free(items)

    cdef list values_of(self, wanted *items, int64_t count, object default):
        # The values of what was looked up; None when compaction has dropped one of them since, for a later one.
        # These segments have all that was found, unless compaction has moved it.
        cdef tuple segments = self._partition.log.segments
        cdef int64_t place_count = len(segments)
        cdef place *places = <place *>malloc(sizeof(place) * <size_t>max(place_count, 1))
        cdef list result = PyList_New(count)
        cdef int64_t number
        cdef int64_t now = 0
        cdef object value
        try:
            if places == NULL:
                raise MemoryError
            for number in range(place_count):
                places[number].base_offset = (<Segment>segments[number]).base_offset
                places[number].store = <void *>(<Segment>segments[number]).store
            with nogil:
                open_all(places, place_count, items, count)
            for number in range(count):
                if items[number].state == UNSURE:
                    now = now or self._partition.now_ns()
                    value = self.look_again(&items[number], now)
                    if value is None:
                        return None
                    if value is MISSING:
                        value = default
                elif items[number].state == ABSENT:
                    value = default
                else:
                    value = PyBytes_FromStringAndSize(items[number].value, items[number].value_size)
                    if self.decode is not None:
                        value = self.decode(value)
                Py_INCREF(value)
                PyList_SET_ITEM(result, number, value)
            return result
        finally:
            free(places)

    cdef object look_again(self, wanted *item, int64_t now):
        # One value by itself: MISSING when it has expired, None when its record is gone.
        cdef frame_view view
        cdef uint32_t number, ahead
        cdef uint32_t flags = 0
        cdef Segment segment = self._partition.frame_at(item.spot, &view)
        if segment is None:
            return None
        view_extension(&view, &number, &flags)
        if deadline_of(&view, flags, &ahead) <= now:
            return MISSING
        return self._decode(PyBytes_FromStringAndSize(view.value + ahead, view.value_size - ahead))

    def __len__(self):
        cdef striate_counts total
        cdef striate_stripe *stripe
        cdef uint32_t number
        cdef int64_t now
        self.check_open()
        now = self._partition.now_ns() if self.index.latest.timed else 0
        with nogil:
            if now:
                for number in range(self.index.latest.stripe_count):
                    stripe = striate_lock(self.index.latest, number)
                    striate_stripe_expire(stripe, now, STRIATE_NEVER)
                    striate_unlock(stripe)
            striate_table_counts(self.index.latest, -1, &total)
        return total.entries

    @property
    def _changes(self):
        """How often any key was changed since opening."""
        return striate_load_u64(&self.index.changes)

    def _walk(self, bytes prefix not None, bint latest=False, bint leaving=False, uint64_t cursor=0):
        """Some keys with a prefix: ``(next cursor, [(key, version)])``; begin with cursor 0, which it is again after
        the last. With ``leaving`` those that readers see although a change of theirs is in the log already."""
        cdef striate_keywalk walk
        cdef uint32_t key_size
        cdef uint64_t version
        cdef const char *at
        self.check_open()
        if cursor >> 32 >= STRIATE_KEYINDEX_STRIPES:
            raise InvalidArgumentError("cursor", "one that a walk gave", cursor)
        memset(&walk, 0, sizeof(walk))
        walk.index, walk.cursor = self.index, cursor
        walk.prefix, walk.prefix_size = PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix)
        walk.durable = 0xFFFFFFFFFFFFFFFF if latest else self._partition.durable()
        walk.now = self._partition.now_ns()
        with nogil:
            if leaving:
                striate_keywalk_leaving(&walk)
            else:
                striate_keywalk_next(&walk)
        try:
            if walk.no_memory:
                raise MemoryError
            keys = []
            at = walk.found
            while at < walk.found + walk.size:
                memcpy(&key_size, at, 4)
                memcpy(&version, at + 8, 8)
                keys.append((PyBytes_FromStringAndSize(at + 24, key_size), version))
                at += 24 + key_size
            return walk.cursor, keys
        finally:
            free(walk.found)

    # ------------------------------------------------------------ writing

    def set_many(self, items, *, ttl=None):
        """Store many values as one transaction: readers and recovery see all of them or none.

        Args:
            items: a mapping or pairs; of equal keys the last one counts. ttl: as for :meth:`set`.

        Raises: as :meth:`set`; then none is stored.
        """
        self._set_many_nowait(items, ttl)
        self.wait()

    def _set_many_nowait(self, items, ttl=None):
        """:meth:`set_many` without waiting for the disk."""
        cdef list pairs = as_pairs(items)
        cdef Commit commit = Commit(self._partition, len(pairs))
        cdef uint64_t end = 0
        if not pairs:
            return
        if ttl is not None:
            end = end_of(ttl, self._partition.now_ns())
        for key, value in pairs:
            commit.add(self, key, self.load_value(value), end, STRIATE_MUST_NOTHING, 0)
        commit.run()

    def delete_many(self, keys):
        """Remove many keys as one transaction; how many were there."""
        cdef int64_t deleted = self._delete_many_nowait(keys)
        self.wait()
        return deleted

    def _delete_many_nowait(self, keys):
        """:meth:`delete_many` without waiting for the disk."""
        cdef Commit commit
        cdef uint64_t version
        cdef set there
        cdef list names = as_list(keys, "keys", "a sequence of keys")
        while True:
            there = set()
            commit = Commit(self._partition, len(names))
            for key in names:
                if isinstance(key, str):
                    key = as_utf8(key, "key")
                version = self._read_latest(key)[0]
                if version and key not in there:
                    there.add(key)
                    commit.add(self, key, None, 0, STRIATE_MUST_BE_PRESENT, 0)
            if commit.run() is None:
                return len(there)
