"""Reading a stream, for :class:`striate.Stream`: entries, figures, waiting for more.

What may not live here: the index of entries (streamindex.c), changes (streams.pyx), groups (streamgroups.pyx).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from striate._native.frame cimport frame_view
from striate._native.keyindex cimport striate_spot
from striate._native.lock cimport striate_give_lock
from striate._native.partition cimport KEYED, StreamView, lock_stream, view_extension
from striate._native.platform cimport (
    striate_exchange_u32,
    striate_fetch_add_u32,
    striate_futex_wait,
    striate_interruptible_ns,
    striate_load_u32,
    striate_monotonic_ns,
)
from striate._native.segment cimport Segment
from striate._native.stream cimport (
    STRIATE_ENTRY_HEAD_BYTES,
    striate_group,
    striate_id,
    striate_id_before,
    striate_met,
    striate_stream_collect,
    striate_stream_find,
    striate_stream_group,
    striate_stream_length,
)
from striate._native.streamentry cimport StreamEntry, load_id, make_entry, make_id
from striate._native.streamlook cimport (
    DEPENDS_ON_GROUPS,
    DEPENDS_ON_REMOVALS,
    DEPENDS_ON_TOP,
    StreamLook,
    is_own,
)

from striate.errors import CorruptError, GroupNotFoundError

cdef enum:
    MOST_AT_ONCE = 1048576            # entries of one call
    ENTRIES_ON_STACK = 16


cdef bint is_keyed(const frame_view *view) noexcept nogil:
    cdef uint32_t number
    cdef uint32_t flags = 0
    return view_extension(view, &number, &flags) and flags & KEYED


cdef class StreamReader:
    """What reads of a stream: the base of :class:`StreamCore`."""

    def __cinit__(self, StreamView view not None, encode=None, decode=None):
        self._view, self._partition, self.stream = view, view.partition, view.stream
        self.encode, self.decode = encode, decode

    def _look_through(self, StreamLook look not None):
        """Show the stream as a transaction sees it from now on, and change only that."""
        self.look, self.stream = look, look.stream

    cdef int lock(self) except -1:
        self._partition.log.check_open()
        lock_stream(self.stream)
        if self.stream.dropped:
            striate_give_lock(&self.stream.lock)
            self._partition.raise_dropped(self.stream.number)
        return 0

    cdef uint64_t visible(self) noexcept:
        return self._partition.visible() if self.look is None else 0xFFFFFFFFFFFFFFFF

    cdef void need(self, uint32_t parts) noexcept:
        if self.look is not None:
            self.look.parts |= parts

    cdef int wait(self) except -1:
        if self._partition.power and self.look is None:
            self._partition.log.wait_durable()
        return 0

    def _wait(self):
        """Wait until what was written is on disk, where durability is ``"power"``."""
        self.wait()

    cdef list entries_of(self, striate_met *found, int64_t count, bint given):
        cdef list entries = []
        cdef StreamEntry entry
        cdef int64_t number
        for number in range(count):
            try:
                entry = self.entry_of(&found[number], given)
            except CorruptError as error:
                if not given:
                    raise
                # They are this consumer's now, so it must get all of them.
                entry = make_entry(&found[number], None, None, None)
                entry.broken = error
            if entry is not None:
                entries.append(entry)
        return entries

    cdef StreamEntry entry_of(self, striate_met *found, bint given):
        # None where it has been removed since it was found; a consumer that is given it gets it nevertheless.
        cdef frame_view view
        cdef striate_spot spot
        cdef object key = None
        cdef Segment segment = None
        if self.look is not None and is_own(found.version):
            _, name, value = self.look.own_entry(found.version)
            if len(name) > STRIATE_ENTRY_HEAD_BYTES or self.look.own_entry(found.version)[0] & KEYED:
                key = name[STRIATE_ENTRY_HEAD_BYTES:]
            return make_entry(found, key, value, self.decode)
        if found.position:
            spot.version, spot.position = found.version, found.position
            segment = self._partition.frame_at(spot, &view)
        if segment is None:
            return make_entry(found, None, None, None) if given else None
        if view.key_size > STRIATE_ENTRY_HEAD_BYTES or is_keyed(&view):
            key = PyBytes_FromStringAndSize(view.key + STRIATE_ENTRY_HEAD_BYTES,
                                            view.key_size - STRIATE_ENTRY_HEAD_BYTES)
        return make_entry(found, key, PyBytes_FromStringAndSize(view.value, view.value_size), self.decode)

    def _read(self, start, stop, bint backwards, int64_t most, bint after=False, bint latest=False):
        """Entries from one id to another, ``None``: an end; ``after``: without the first. ``latest``: also those that
        are not durable."""
        cdef striate_id low, high
        cdef striate_met few[ENTRIES_ON_STACK]
        cdef striate_met *found = few
        cdef int64_t count
        low.ms = low.seq = 0
        high.ms = high.seq = 0xFFFFFFFFFFFFFFFF
        self._partition.log.check_open()
        if start is not None:
            load_id(start, "start", 0xFFFFFFFFFFFFFFFF if after else 0, &low)
            if after:
                if low.ms == 0xFFFFFFFFFFFFFFFF and low.seq == 0xFFFFFFFFFFFFFFFF:
                    return []
                low.seq += 1
                low.ms += low.seq == 0
        if stop is not None:
            load_id(stop, "stop", 0xFFFFFFFFFFFFFFFF, &high)
        if most > ENTRIES_ON_STACK:
            found = <striate_met *>malloc(sizeof(striate_met) * <size_t>min(most, MOST_AT_ONCE))
            if found == NULL:
                raise MemoryError
        try:
            self.lock()
            count = striate_stream_collect(self.stream, low, high, backwards,
                                           0xFFFFFFFFFFFFFFFF if latest else self.visible(),
                                           min(most, MOST_AT_ONCE), found)
            striate_give_lock(&self.stream.lock)
            if self.look is not None:
                self.look.note_range(low, high, backwards, count < min(most, MOST_AT_ONCE))
            return self.entries_of(found, count, False)
        finally:
            if found != few:
                free(found)

    def _get(self, id):
        """The entry with an id, or ``None``."""
        cdef striate_id wanted
        cdef striate_met found
        cdef bint there
        load_id(id, "id", 0, &wanted)
        self.lock()
        there = striate_stream_find(self.stream, wanted, &found) and found.version <= self.visible()
        striate_give_lock(&self.stream.lock)
        self.need(DEPENDS_ON_REMOVALS | (DEPENDS_ON_TOP if striate_id_before(self.stream.last, wanted) else 0))
        entries = self.entries_of(&found, 1, False) if there else None
        return entries[0] if entries else None

    def __len__(self):
        cdef int64_t length
        self.lock()
        length = striate_stream_length(self.stream, self.visible())
        striate_give_lock(&self.stream.lock)
        self.need(DEPENDS_ON_REMOVALS | DEPENDS_ON_TOP)
        return length

    def _figures(self):
        """``(last id, highest removed id, lowest id not trimmed, entries ever, entries that readers see)``."""
        cdef striate_id last, removed, low
        cdef uint64_t added
        cdef int64_t length
        self.lock()
        last, removed, low, added = self.stream.last, self.stream.removed, self.stream.low, self.stream.added
        length = striate_stream_length(self.stream, self.visible())
        striate_give_lock(&self.stream.lock)
        self.need(DEPENDS_ON_REMOVALS | DEPENDS_ON_TOP)
        return make_id(last), make_id(removed), make_id(low), added, length

    def _group_names(self):
        """Names of the groups."""
        cdef char *names = NULL
        cdef char *at
        cdef uint64_t size = 0
        cdef uint32_t number, length
        self.lock()
        self.need(DEPENDS_ON_GROUPS)
        for number in range(self.stream.group_count):
            size += 4 + self.stream.groups[number].name_size
        at = names = <char *>malloc(<size_t>size + 1)
        if names != NULL:
            for number in range(self.stream.group_count):
                memcpy(at, &self.stream.groups[number].name_size, 4)
                memcpy(at + 4, self.stream.groups[number].name, self.stream.groups[number].name_size)
                at += 4 + self.stream.groups[number].name_size
        striate_give_lock(&self.stream.lock)
        if names == NULL:
            raise MemoryError
        try:
            result = []
            at = names
            while at < names + size:
                memcpy(&length, at, 4)
                result.append(at[4:4 + length])
                at += 4 + length
            return sorted(result)
        finally:
            free(names)

    @property
    def _waiters(self):
        """How many threads sleep, or are about to, until there is another entry."""
        return striate_load_u32(&self.stream.waiters)

    @property
    def _changes(self):
        """How often anything was changed since opening."""
        return self.stream.counts[0] + self.stream.counts[1] + self.stream.counts[2]

    @property
    def _last_version(self):
        """The version of the latest record."""
        return self.stream.version

    def _now_ms(self):
        """Milliseconds since the epoch, by the database's clock."""
        return self._partition.now_ns() // 1_000_000

    # ------------------------------------------------------------ waiting

    def _sleep(self, after, int64_t timeout_ns):
        """Sleep until there is an entry behind an id, which readers see: whether there is."""
        cdef striate_id low
        load_id(after, "after", 0xFFFFFFFFFFFFFFFF, &low)
        return self.sleep_after(low, b"", timeout_ns) != 0

    cdef int sleep_after(self, striate_id low, bytes group, int64_t timeout_ns) except -1:
        # `group`: behind what it has got last, instead.
        cdef int64_t deadline = striate_monotonic_ns() + timeout_ns
        cdef int64_t left = timeout_ns
        cdef uint32_t seen
        cdef uint64_t version
        while True:
            self._partition.log._raise_unless_open()
            seen = striate_load_u32(&self.stream.word)
            version = self.next_version(low, group)
            if version and version <= self._partition.visible():
                return True
            if timeout_ns >= 0:
                left = deadline - striate_monotonic_ns()
                if left <= 0:
                    return False
            if version:
                # It is in the log; seen it is when the disk has it.
                if not self._partition.log._sleep(version - 1, left):
                    return False
                continue
            with nogil:
                self.wait_for_word(seen, left)
            PyErr_CheckSignals()

    cdef void wait_for_word(self, uint32_t seen, int64_t timeout_ns) noexcept nogil:
        striate_fetch_add_u32(&self.stream.waiters, 1)
        if striate_load_u32(&self.stream.word) == seen:
            striate_futex_wait(&self.stream.word, seen, striate_interruptible_ns(timeout_ns))
        striate_fetch_add_u32(&self.stream.waiters, <uint32_t>-1)

    cdef uint64_t next_version(self, striate_id low, bytes group) except? 0:
        # The version of the first entry behind an id, visible or not; 0: none.
        cdef striate_met found
        cdef striate_id high
        cdef int64_t count
        cdef striate_group *own
        high.ms = high.seq = 0xFFFFFFFFFFFFFFFF
        self.lock()
        if group:
            own = striate_stream_group(self.stream, PyBytes_AS_STRING(group), <uint32_t>PyBytes_GET_SIZE(group))
            if own == NULL:
                striate_give_lock(&self.stream.lock)
                raise GroupNotFoundError(self._partition.log.path, group)
            low = own.last
        if low.ms == high.ms and low.seq == high.seq:
            count = 0
        else:
            low.seq += 1
            low.ms += low.seq == 0
            count = striate_stream_collect(self.stream, low, high, 0, 0xFFFFFFFFFFFFFFFF, 1, &found)
        striate_give_lock(&self.stream.lock)
        return found.version if count else 0

    def _next(self, after, bytes group=b""):
        """Whether there is an entry behind an id, or that a group has not got: 0 none, 1 not durable yet, 2 seen by
        readers."""
        cdef striate_id low
        cdef uint64_t version
        load_id(after, "after", 0xFFFFFFFFFFFFFFFF, &low)
        self._partition.log.check_open()
        version = self.next_version(low, group)
        return 0 if version == 0 else 1 + (version <= self._partition.visible())

    def _want(self):
        """Ask to be told by the partition's descriptor of the next entry."""
        striate_exchange_u32(&self.stream.wanted, 1)
