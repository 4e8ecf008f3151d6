"""Walks over a striped table: batches of keys and values, and removal by prefix or tag."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from striate._native.table cimport (
    STRIATE_TAGGED,
    STRIATE_TIMED,
    STRIATE_VISIT_KEEP,
    STRIATE_VISIT_REMOVE,
    StripedTable,
    striate_entry,
    striate_entry_end,
    striate_entry_key,
    striate_entry_tag_count,
    striate_entry_tags,
    striate_entry_value,
    striate_stripe,
    striate_table_hash,
    striate_table_visit,
)

# What a walk looks for, and what it has found: u32 key size, u32 value size, u8 flags, key, value, one entry behind
# another.
cdef struct walk:
    uint32_t space
    int64_t now
    const char *prefix
    uint32_t prefix_size
    bint by_tag
    uint64_t tag
    bint with_values
    bint no_memory
    uint16_t source
    int64_t removed
    char *found
    uint64_t size, capacity


cdef enum:
    HEADER_BYTES = 9


cdef bint is_wanted(walk *state, striate_entry *entry) noexcept nogil:
    cdef uint64_t number, tag
    if entry.space != state.space or (entry.flags & STRIATE_TIMED and striate_entry_end(entry) <= state.now):
        return False
    if state.by_tag:
        if not entry.flags & STRIATE_TAGGED:
            return False
        for number in range(striate_entry_tag_count(entry)[0]):
            memcpy(&tag, striate_entry_tags(entry) + 8 * number, 8)
            if tag == state.tag:
                return True
        return False
    return entry.key_size >= state.prefix_size \
        and memcmp(striate_entry_key(entry), state.prefix, state.prefix_size) == 0


cdef int collect(void *context, striate_stripe *stripe, striate_entry *entry) noexcept nogil:
    cdef walk *state = <walk *>context
    cdef uint32_t value_size = entry.value_size if state.with_values else 0
    cdef uint32_t key_size = entry.key_size
    cdef uint64_t needed = state.size + HEADER_BYTES + key_size + value_size
    cdef char *place
    if not is_wanted(state, entry):
        return STRIATE_VISIT_KEEP
    if needed > state.capacity:
        place = <char *>realloc(state.found, 2 * needed)
        if place == NULL:
            state.no_memory = True
            return STRIATE_VISIT_KEEP
        state.found, state.capacity = place, 2 * needed
    place = state.found + state.size
    memcpy(place, &key_size, 4)
    memcpy(place + 4, &value_size, 4)
    place[8] = <char>entry.flags
    memcpy(place + HEADER_BYTES, striate_entry_key(entry), key_size)
    memcpy(place + HEADER_BYTES + key_size, striate_entry_value(entry), value_size)
    state.size = needed
    return STRIATE_VISIT_KEEP


cdef int discard(void *context, striate_stripe *stripe, striate_entry *entry) noexcept nogil:
    cdef walk *state = <walk *>context
    if not is_wanted(state, entry):
        return STRIATE_VISIT_KEEP
    state.removed += 1
    stripe.source = state.source
    return STRIATE_VISIT_REMOVE


cdef list unpack(walk *state):
    cdef list found = []
    cdef uint64_t position = 0
    cdef uint32_t key_size, value_size
    cdef char *place
    while position < state.size:
        place = state.found + position
        memcpy(&key_size, place, 4)
        memcpy(&value_size, place + 4, 4)
        key = PyBytes_FromStringAndSize(place + HEADER_BYTES, key_size)
        if state.with_values:
            value = PyBytes_FromStringAndSize(place + HEADER_BYTES + key_size, value_size)
            found.append((key, value, <uint8_t>place[8]))
        else:
            found.append(key)
        position += HEADER_BYTES + key_size + value_size
    return found


def batch(StripedTable striped, uint32_t space, uint64_t cursor, int64_t now, *, bytes prefix=b"", bint values=False):
    """Some entries and the cursor for the next ones; begin with 0, at 0 it is over.

    Entries that stay meanwhile come exactly once; the others at most once. Without ``values`` a list of keys, else of
    ``(key, stored value, flags)``.
    """
    cdef walk state
    state.space, state.now, state.by_tag, state.with_values = space, now, False, values
    state.prefix, state.prefix_size = PyBytes_AS_STRING(prefix), <uint32_t>PyBytes_GET_SIZE(prefix)
    state.found, state.size, state.capacity, state.no_memory = NULL, 0, 0, False
    try:
        with nogil:
            while True:
                striate_table_visit(striped.table, &cursor, collect, &state)
                if cursor == 0 or state.size > 0:
                    break
        if state.no_memory:
            raise MemoryError
        return unpack(&state), cursor
    finally:
        free(state.found)


cdef int64_t discard_all(StripedTable striped, walk *state) noexcept:
    cdef uint64_t cursor = 0
    state.removed = 0
    with nogil:
        while True:
            striate_table_visit(striped.table, &cursor, discard, state)
            if cursor == 0:
                break
    return state.removed


def discard_prefix(StripedTable striped, uint32_t space, int64_t now, bytes prefix, uint16_t source=0):
    """Drop the entries whose keys begin with ``prefix``; how many."""
    cdef walk state
    state.space, state.now, state.by_tag, state.source = space, now, False, source
    state.prefix, state.prefix_size = PyBytes_AS_STRING(prefix), <uint32_t>PyBytes_GET_SIZE(prefix)
    return discard_all(striped, &state)


def discard_tag(StripedTable striped, uint32_t space, int64_t now, bytes tag, uint16_t source=0):
    """Drop the entries that were stored with ``tag``; how many."""
    cdef walk state
    state.space, state.now, state.by_tag, state.source = space, now, True, source
    state.tag = striate_table_hash(striped.table, PyBytes_AS_STRING(tag), PyBytes_GET_SIZE(tag), space)
    return discard_all(striped, &state)
