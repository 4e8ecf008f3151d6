"""The indexes of a database as bytes, for its hint file (storage/hints.py): pieces of tables and of streams.

What may not live here: the file, checksums, the decision whether it is believed.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from striate._native.keyindex cimport (
    striate_keyindex,
    striate_keyindex_load,
    striate_keywalk,
    striate_keywalk_next,
    striate_spot,
)
from striate._native.partition cimport Partition, StreamView, View
from striate._native.stream cimport (
    STRIATE_MALFORMED,
    striate_id,
    striate_met,
    striate_stream,
    striate_stream_add,
    striate_stream_collect,
    striate_stream_state_size,
    striate_stream_state_write,
    striate_stream_take_in_state,
)
from striate._native.table cimport (
    STRIATE_NEVER,
    striate_key,
    striate_lock,
    striate_stripe,
    striate_table_hash,
    striate_table_stripe_of,
    striate_unlock,
)

cdef enum:
    ENTRY_BYTES = 24                  # of a table, before its key
    SLOT_BYTES = 36                   # of an entry of a stream: id, version, ordinal, position
    SLOTS_AT_ONCE = 2048
    STATE_AT = 33                     # behind a zero and four versions


def hash_key(Partition partition not None):
    """The secret that places keys in the indexes; 16 bytes."""
    return PyBytes_FromStringAndSize(<const char *>partition.hash_key, sizeof(partition.hash_key))


def use_hash_key(Partition partition not None, bytes secret not None):
    """Take another, before there are views. Entries that were dumped with the same one load several times as fast:
    neighbours in the dump are neighbours in the index."""
    assert len(secret) == sizeof(partition.hash_key) and not partition.views
    memcpy(partition.hash_key, PyBytes_AS_STRING(secret), sizeof(partition.hash_key))


def dump_entries(View view not None, uint64_t cursor):
    """Some entries of an index, as bytes: ``(next cursor, bytes)``; begin with 0, which it is again at the end."""
    cdef striate_keywalk walk
    memset(&walk, 0, sizeof(walk))
    walk.index, walk.cursor = view.index, cursor
    walk.prefix, walk.durable = b"", 0xFFFFFFFFFFFFFFFF
    walk.now = view.partition.now_ns()
    with nogil:
        striate_keywalk_next(&walk)
    try:
        if walk.no_memory:
            raise MemoryError
        return walk.cursor, PyBytes_FromStringAndSize(walk.found, walk.size)
    finally:
        free(walk.found)


def load_entries(View view not None, bytes entries not None):
    """Take entries that :func:`dump_entries` gave into an index; whether they were whole. For any number of threads."""
    cdef const char *at = PyBytes_AS_STRING(entries)
    cdef const char *end = at + PyBytes_GET_SIZE(entries)
    cdef striate_keyindex *index = view.index
    cdef striate_stripe *stripe = NULL
    cdef uint32_t held = 0
    cdef striate_key key
    cdef striate_spot spot
    cdef int64_t deadline
    cdef int64_t now = view.partition.now_ns()
    cdef int status = 0
    with nogil:
        while end - at >= ENTRY_BYTES and status == 0:
            memcpy(&key.size, at, 4)
            memcpy(&spot.position, at + 4, 4)
            memcpy(&spot.version, at + 8, 8)
            memcpy(&deadline, at + 16, 8)
            if key.size > 65535 or end - at < ENTRY_BYTES + <int64_t>key.size or spot.version == 0:
                break
            key.bytes, key.space = at + ENTRY_BYTES, 0
            key.hash = striate_table_hash(index.latest, key.bytes, key.size, 0)
            if stripe == NULL or held != striate_table_stripe_of(index.latest, key.hash):
                # Entries come in the order of stripes, so this is rare.
                if stripe != NULL:
                    striate_unlock(stripe)
                held = striate_table_stripe_of(index.latest, key.hash)
                stripe = striate_lock(index.latest, held)
            status = striate_keyindex_load(index, &key, spot, deadline if deadline > 0 else STRIATE_NEVER, now)
            at += ENTRY_BYTES + key.size
        if stripe != NULL:
            striate_unlock(stripe)
    if status != 0:
        raise MemoryError
    return at == end


def dump_stream(StreamView view not None, cursor):
    """Some of a stream, as bytes: ``(next cursor, bytes)``; begin with ``None``, which it is again at the end. The log
    must take no writes meanwhile."""
    cdef striate_stream *stream = view.stream
    cdef striate_met *found
    cdef striate_id start
    cdef striate_id highest
    cdef int64_t count, number
    cdef bytes piece
    cdef char *at
    if cursor is None:
        piece = PyBytes_FromStringAndSize(NULL, STATE_AT + <Py_ssize_t>striate_stream_state_size(stream))
        at = PyBytes_AS_STRING(piece)
        at[0] = 0
        memcpy(at + 1, &stream.version, 8)
        memcpy(at + 9, &stream.state_version, 8)
        memcpy(at + 17, &stream.state_end, 8)
        memcpy(at + 25, &stream.remove_version, 8)
        striate_stream_state_write(stream, at + STATE_AT)
        return (0, 0), piece
    start.ms, start.seq = cursor
    highest.ms = highest.seq = 0xFFFFFFFFFFFFFFFF
    found = <striate_met *>malloc(SLOTS_AT_ONCE * sizeof(striate_met))
    if found == NULL:
        raise MemoryError
    try:
        count = striate_stream_collect(stream, start, highest, 0, 0xFFFFFFFFFFFFFFFF, SLOTS_AT_ONCE, found)
        piece = PyBytes_FromStringAndSize(NULL, 1 + SLOT_BYTES * count)
        at = PyBytes_AS_STRING(piece)
        at[0] = 1
        for number in range(count):
            memcpy(at + 1 + SLOT_BYTES * number, &found[number], SLOT_BYTES)
        if count < SLOTS_AT_ONCE:
            return None, piece
        # An id of all ones is the highest of all, so there is one above any but the last.
        start = found[count - 1].id
        start.seq += 1
        start.ms += start.seq == 0
        return (start.ms, start.seq), piece
    finally:
        free(found)


def load_stream(StreamView view not None, bytes piece not None):
    """Take what :func:`dump_stream` gave into an empty stream, in the same order; whether it was whole."""
    cdef striate_stream *stream = view.stream
    cdef const char *at = PyBytes_AS_STRING(piece)
    cdef int64_t size = PyBytes_GET_SIZE(piece)
    cdef striate_met found
    cdef int64_t number
    cdef int status
    if size > STATE_AT and at[0] == 0:
        status = striate_stream_take_in_state(stream, at + STATE_AT, <uint32_t>(size - STATE_AT))
        memcpy(&stream.version, at + 1, 8)
        memcpy(&stream.state_version, at + 9, 8)
        memcpy(&stream.state_end, at + 17, 8)
        memcpy(&stream.remove_version, at + 25, 8)
    elif size > 0 and at[0] == 1 and (size - 1) % SLOT_BYTES == 0:
        status = 0
        found.deliveries = 0
        for number in range((size - 1) // SLOT_BYTES):
            memcpy(&found, at + 1 + SLOT_BYTES * number, SLOT_BYTES)
            status = striate_stream_add(stream, &found)
            if status != 0:
                break
    else:
        return False
    if status != 0 and status != STRIATE_MALFORMED:
        raise MemoryError
    return status == 0
