"""What compaction does to each record: asks whether it still counts, copies it, says where it is now.

What may not live here: the choice of what to compact, files, the order of a swap (storage/table_compaction.py).
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
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
    striate_keyindex_move,
    striate_keyindex_visible,
    striate_spot,
)
from striate._native.lock cimport striate_give_lock, striate_take_lock
from striate._native.partition cimport Partition, deadline_of, view_extension
from striate._native.segment cimport Segment
from striate._native.store cimport read_next_frame
from striate._native.stream cimport (
    STRIATE_ENTRY,
    STRIATE_ENTRY_HEAD_BYTES,
    STRIATE_REMOVED,
    STRIATE_STATE,
    striate_id,
    striate_id_before,
    striate_stream,
    striate_stream_has,
    striate_stream_move,
)
from striate._native.table cimport (
    striate_key,
    striate_lock,
    striate_stripe,
    striate_table_hash,
    striate_table_stripe_of,
    striate_unlock,
)

import json

from striate.errors import CorruptRecordError

cdef enum:
    MOST_AT_ONCE = 4096               # frames between looks at who wants to stop us
    SEEN_VIEWS = 64                   # that need not be looked up again


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
    # The same for a record of a stream. What was removed before the compaction began is on disk as removed, and goes:
    # below the mark of the state that was written then, or one by one. What was removed since is kept, and what
    # removed it is in a segment that is not written anew. Below the mark of now nobody can tell the two apart, so
    # there an entry is kept, and with it what removed it.
    cdef striate_id id
    cdef bint kept = True
    cdef uint32_t kind = flags & 0xFF
    striate_take_lock(&stream.lock)
    if kind == STRIATE_ENTRY:
        if view.key_size >= STRIATE_ENTRY_HEAD_BYTES:
            memcpy(&id, view.key, sizeof(id))
            kept = striate_stream_has(stream, version) or keeps_removed(stream, id, durable)
    elif kind == STRIATE_REMOVED:
        kept = not first or removal_counts(stream, view, durable)
    else:
        kept = version >= stream.state_version or stream.state_version > durable
    striate_give_lock(&stream.lock)
    return kept


cdef bint keeps_removed(const striate_stream *stream, striate_id id, uint64_t durable) noexcept nogil:
    if striate_id_before(id, stream.settled_low) and stream.state_version <= durable:
        return False
    return striate_id_before(id, stream.low) or stream.remove_version > durable


cdef bint removal_counts(const striate_stream *stream, const frame_view *view, uint64_t durable) noexcept nogil:
    cdef striate_id id
    cdef uint32_t at
    for at in range(0, view.value_size // 16):
        memcpy(&id, view.value + 16 * at, sizeof(id))
        if keeps_removed(stream, id, durable):
            return True
    return False


cdef bint may_stay(striate_stream *stream, uint32_t flags, uint64_t version) noexcept nogil:
    # An estimate: what would stay if a state were written now.
    cdef bint kept
    cdef uint32_t kind = flags & 0xFF
    striate_take_lock(&stream.lock)
    if kind == STRIATE_ENTRY:
        kept = striate_stream_has(stream, version)
    else:
        kept = kind == STRIATE_STATE and version >= stream.state_version
    striate_give_lock(&stream.lock)
    return kept


cdef struct seen_view:
    uint32_t number
    striate_keyindex *index
    striate_stream *stream
    uint64_t dropped


cdef inline seen_view *view_of(Partition partition, seen_view *views, uint32_t number) noexcept nogil:
    cdef seen_view *seen = &views[number % SEEN_VIEWS]
    if seen.number != number:
        seen.dropped = partition.find_view(number, &seen.index, &seen.stream)
        seen.number = number
    return seen


# What is asked of the records of one segment.
cdef struct question:
    seen_view views[SEEN_VIEWS]       # a number's place is its remainder
    uint64_t durable
    int64_t now
    bint first
    bint estimate                     # not for good: what would stay


cdef bint is_name_over(Partition partition, const question *asked, const frame_view *view,
                       uint64_t version) noexcept with gil:
    # Whether a record of the catalog counts no more. Like a deletion, one that makes a name free stays as long as older
    # records may be in the log, of that name or of the view that it drops. The highest number stays known, as none is
    # used twice.
    cdef uint64_t latest = partition.names.get(view.key[:view.key_size], version)
    entry = json.loads(view.value[:view.value_size])
    if entry["kind"] == "dropped":
        return asked.first and version <= asked.durable and entry["id"] != partition.highest
    if latest != version:
        return latest <= asked.durable
    return entry["kind"] == "renamed" and asked.first and version <= asked.durable


cdef bint counts(Partition partition, question *asked, const frame_view *view, uint64_t version) noexcept nogil:
    # Whether a record may still count.
    cdef seen_view *seen
    cdef uint32_t ahead
    cdef uint32_t number = 0
    cdef uint32_t flags = 0
    if not view_extension(view, &number, &flags):
        return True
    if number == 0:
        return not is_name_over(partition, asked, view, version)
    seen = view_of(partition, asked.views, number)
    if seen.dropped:
        # Not before the record that says so is on disk.
        return seen.dropped > asked.durable
    if seen.stream != NULL and asked.estimate:
        return may_stay(seen.stream, flags, version)
    if seen.stream != NULL:
        return is_needed(seen.stream, view, flags, version, asked.durable, asked.first)
    if seen.index == NULL or view.key == NULL or (view.kind != KIND_VALUE and view.kind != KIND_TOMBSTONE):
        return True
    return is_current(partition, seen.index, view, version, deadline_of(view, flags, &ahead), asked.now, asked.first)


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
    memset(&asked, 0, sizeof(asked))
    asked.now, asked.durable, asked.first = partition.now_ns(), durable, first
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
    cdef seen_view views[SEEN_VIEWS]
    cdef seen_view *seen
    cdef striate_key key
    cdef striate_stripe *stripe
    cdef striate_spot spot
    cdef int64_t position = STORE_HEADER_BYTES
    cdef int64_t verified = 0
    cdef uint32_t number = 0
    cdef uint32_t flags = 0
    memset(views, 0, sizeof(views))
    with nogil:
        while position < segment.store.written:
            if read_next_frame(segment.store, position, &verified, &view) != 0:
                break
            if view_extension(&view, &number, &flags) and view.key != NULL and number != 0:
                seen = view_of(partition, views, number)
                spot.version = segment.base_offset + view.relative_offset + 1
                spot.position = <uint32_t>(position // UNIT_BYTES)
                if seen.index != NULL:
                    key.bytes, key.size, key.space = view.key, view.key_size, 0
                    key.hash = striate_table_hash(seen.index.latest, key.bytes, key.size, 0)
                    stripe = striate_lock(seen.index.latest, striate_table_stripe_of(seen.index.latest, key.hash))
                    striate_keyindex_move(seen.index, &key, spot)
                    striate_unlock(stripe)
                elif seen.stream != NULL and flags & 0xFF == STRIATE_ENTRY:
                    striate_take_lock(&seen.stream.lock)
                    striate_stream_move(seen.stream, spot.version, spot.position)
                    striate_give_lock(&seen.stream.lock)
            position += view.size_bytes


def count_current(Partition partition not None, Segment segment not None, uint32_t samples):
    """Of some records of a sealed segment, evenly spread: ``(how many may still count, how many were looked at)``."""
    cdef frame_view view
    cdef question asked
    cdef int64_t slot
    cdef uint32_t current = 0
    cdef uint32_t looked = 0
    cdef uint32_t at
    memset(&asked, 0, sizeof(asked))
    asked.now, asked.durable, asked.first, asked.estimate = partition.now_ns(), partition.durable(), True, True
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
