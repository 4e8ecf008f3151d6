"""What a partition does besides serving: compaction's copying, and hints, which are the index as bytes.

What may not live here: the choice of what to compact, files, the order of a swap (storage/table_compaction.py).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from striate._native.frame cimport (
    ENCODED,
    HAS_BATCH,
    HAS_VIEW,
    KIND_TOMBSTONE,
    KIND_VALUE,
    STATUS_GROW,
    STORE_HEADER_BYTES,
    UNIT_BYTES,
    extensions_bytes,
    frame_view,
    record_input,
)
from striate._native.io cimport raise_disk_error
from striate._native.keyindex cimport (
    striate_keyindex,
    striate_keyindex_latest,
    striate_keyindex_load,
    striate_keyindex_move,
    striate_keyindex_visible,
    striate_keywalk,
    striate_keywalk_next,
    striate_spot,
)
from striate._native.lock cimport striate_give_lock, striate_take_lock
from striate._native.partition cimport Partition, StreamView, View, deadline_of, view_extension
from striate._native.segment cimport Segment
from striate._native.store cimport read_next_frame
from striate._native.stream cimport (
    STRIATE_ENTRY,
    STRIATE_MALFORMED,
    STRIATE_REMOVED,
    striate_met,
    striate_id,
    striate_stream,
    striate_stream_add,
    striate_stream_collect,
    striate_stream_has,
    striate_stream_move,
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

from striate.errors import CorruptRecordError

cdef enum:
    MOST_AT_ONCE = 4096               # frames between looks at who wants to stop us
    ENTRY_BYTES = 24                  # of a hint, before its key


cdef bint is_current(Partition partition, striate_keyindex *index, const frame_view *view, uint64_t version,
                     int64_t deadline, int64_t now, bint first) noexcept nogil:
    # Whether a record of a table may still count: for readers, for transactions, after a crash, or because it hides
    # an older one. `first`: no record before the segments that are compacted together could be hidden.
    cdef striate_key key
    cdef striate_stripe *stripe
    cdef striate_spot latest, visible
    key.bytes, key.size, key.space = view.key, view.key_size, 0
    key.hash = striate_table_hash(index.latest, key.bytes, key.size, 0)
    stripe = striate_lock(index.latest, striate_table_stripe_of(index.latest, key.hash))
    latest = striate_keyindex_latest(index, &key, now)
    visible = striate_keyindex_visible(index, &key, partition.durable())
    striate_unlock(stripe)
    if view.kind == KIND_TOMBSTONE or deadline <= now:
        # It hides what is older, until a later record that is on disk does.
        return not first and visible.version <= version
    return latest.version == version or visible.version == version


cdef bint is_needed(striate_stream *stream, const frame_view *view, uint32_t flags, uint64_t version,
                    uint64_t durable, bint first) noexcept nogil:
    # The same for a record of a stream. `durable` is as when the compaction began: what was removed later is kept, and
    # so must be what says so, throughout.
    cdef bint kept
    cdef bint settled
    striate_take_lock(&stream.lock)
    settled = stream.drop_version <= durable
    if flags & 0xFF == STRIATE_ENTRY:
        kept = not settled or striate_stream_has(stream, version)
    elif flags & 0xFF == STRIATE_REMOVED:
        kept = not settled or not first
    else:
        kept = version >= stream.state_version or stream.state_version > durable
    striate_give_lock(&stream.lock)
    return kept


# What is asked of the records of one segment.
cdef struct question:
    uint32_t number                   # of the view that was found last
    striate_keyindex *index
    striate_stream *stream
    uint64_t durable
    int64_t now
    bint first


cdef bint counts(Partition partition, question *asked, const frame_view *view, uint64_t version) noexcept nogil:
    # Whether a record may still count.
    cdef uint32_t ahead
    cdef uint32_t number = 0
    cdef uint32_t flags = 0
    if not view_extension(view, &number, &flags) or number == 0:
        return True
    if number != asked.number:
        partition.find_view(number, &asked.index, &asked.stream)
        asked.number = number
    if asked.stream != NULL:
        return is_needed(asked.stream, view, flags, version, asked.durable, asked.first)
    if asked.index == NULL or view.key == NULL or (view.kind != KIND_VALUE and view.kind != KIND_TOMBSTONE):
        return True
    return is_current(partition, asked.index, view, version, deadline_of(view, flags, &ahead), asked.now, asked.first)


def copy_current(Partition partition not None, Segment source not None, Segment target not None, int64_t position,
                 bint first, uint64_t durable):
    """Copy records of a segment that may still count, a few thousand at a time and without the GIL.

    Args:
        position: 0 to begin, then what the last call gave. first: nothing stands before the segments that are
            compacted together. durable: what the log had on disk when the compaction began, as an offset.

    Returns:
        Where to go on, or -1 at the end.

    Raises:
        CorruptRecordError: a record does not verify. DiskFullError, DiskError.
    """
    cdef frame_view view
    cdef record_input record
    cdef question asked
    cdef int64_t verified = 0
    cdef int left = MOST_AT_ONCE
    cdef int status = 0
    asked.number, asked.now, asked.durable, asked.first = 0, partition.now_ns(), durable, first
    if position == 0:
        position = STORE_HEADER_BYTES
    with nogil:
        while position < source.store.written and left > 0:
            status = read_next_frame(source.store, position, &verified, &view)
            if status != 0:
                break
            left -= 1
            if counts(partition, &asked, &view, source.base_offset + view.relative_offset + 1):
                memset(&record, 0, sizeof(record))
                record.key, record.key_size = view.key, view.key_size
                record.value, record.value_size = view.value, view.value_size
                record.timestamp_us, record.kind = view.timestamp_us, view.kind
                # The batch is complete and sealed, so its boundary has done its work; marks belong to the old file.
                record.flags = view.flags & (HAS_VIEW | HAS_BATCH | ENCODED)
                record.extension_size = extensions_bytes(record.flags)
                record.extension = view.value - view.key_size - record.extension_size
                target.begin_at(<uint32_t>(source.base_offset + view.relative_offset - target.base_offset))
                status = target.append(&record)
                if status == STATUS_GROW:
                    status = target.grow(<int64_t>view.size_bytes + 8, 1)
                    if status == 0:
                        status = target.append(&record)
                if status != 0:
                    break
            position += view.size_bytes
    if status < -5000:
        raise CorruptRecordError(source.store.path, "the frame does not verify", position=position)
    if status < 0:
        raise_disk_error(status, target.store.path, "allocate")
    return position if position < source.store.written else -1


def relocate(Partition partition not None, Segment segment not None):
    """Tell the index where the records of a segment are now."""
    cdef frame_view view
    cdef striate_keyindex *index = NULL
    cdef striate_stream *stream = NULL
    cdef striate_key key
    cdef striate_stripe *stripe
    cdef striate_spot spot
    cdef int64_t position = STORE_HEADER_BYTES
    cdef uint32_t known = 0
    cdef int64_t verified = 0
    cdef uint32_t number = 0
    cdef uint32_t flags = 0
    with nogil:
        while position < segment.store.written:
            if read_next_frame(segment.store, position, &verified, &view) != 0:
                break
            if view_extension(&view, &number, &flags) and view.key != NULL and number != 0:
                if number != known:
                    partition.find_view(number, &index, &stream)
                    known = number
                spot.version = segment.base_offset + view.relative_offset + 1
                spot.position = <uint32_t>(position // UNIT_BYTES)
                if index != NULL:
                    key.bytes, key.size, key.space = view.key, view.key_size, 0
                    key.hash = striate_table_hash(index.latest, key.bytes, key.size, 0)
                    stripe = striate_lock(index.latest, striate_table_stripe_of(index.latest, key.hash))
                    striate_keyindex_move(index, &key, spot)
                    striate_unlock(stripe)
                elif stream != NULL and flags & 0xFF == STRIATE_ENTRY:
                    striate_take_lock(&stream.lock)
                    striate_stream_move(stream, spot.version, spot.position)
                    striate_give_lock(&stream.lock)
            position += view.size_bytes


def count_current(Partition partition not None, Segment segment not None, uint32_t samples):
    """Of some records of a sealed segment, evenly spread: ``(how many may still count, how many were looked at)``."""
    cdef frame_view view
    cdef question asked
    cdef int64_t slot
    cdef uint32_t current = 0
    cdef uint32_t looked = 0
    cdef uint32_t at
    asked.number, asked.now, asked.durable, asked.first = 0, partition.now_ns(), partition.durable(), True
    segment.check_index()
    if segment.index is None or segment.index.count == 0:
        return 0, 0
    with nogil:
        for at in range(samples):
            slot = segment.index.count * <int64_t>at // samples
            if segment.store.read(<int64_t>segment.index.pairs[2 * slot + 1] * UNIT_BYTES, &view) == 0:
                looked += 1
                current += counts(partition, &asked, &view, segment.base_offset + view.relative_offset + 1)
    return current, looked


def begins_with_view(Segment segment not None):
    """Whether the first record of a segment is of a view: only a database writes such."""
    cdef frame_view view
    cdef uint32_t number = 0
    cdef uint32_t flags = 0
    return segment.store.read(STORE_HEADER_BYTES, &view) == 0 and view_extension(&view, &number, &flags)


# ---------------------------------------------------------------- hints

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


cdef enum:
    SLOT_BYTES = 36                   # of an entry of a stream: id, version, ordinal, position
    SLOTS_AT_ONCE = 2048
    STATE_AT = 33                     # behind a zero and four versions


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
        memcpy(at + 25, &stream.drop_version, 8)
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
        memcpy(&stream.drop_version, at + 25, 8)
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
