"""Bringing the views of a partition up to what its log holds, at opening.

What may not live here: what a record means to a table (keyindex.c) or to a stream (streamrecord.c), hints.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from striate._native.frame cimport (
    KIND_TOMBSTONE,
    STATUS_MISSING,
    STATUS_NO_MEMORY,
    STORE_HEADER_BYTES,
    UNIT_BYTES,
    frame_view,
)
from striate._native.keyindex cimport striate_keyindex, striate_keyindex_load, striate_spot
from striate._native.partition cimport STATUS_MALFORMED, Partition, View, deadline_of, view_extension
from striate._native.segment cimport Segment
from striate._native.store cimport read_next_frame
from striate._native.stream cimport STRIATE_MALFORMED, striate_stream, striate_stream_take_in
from striate._native.table cimport striate_key, striate_table_hash

from striate.errors import CorruptRecordError

cdef enum:
    TAKE_IN_FRAMES = 65536            # between looks at other threads


cdef int take_in_some(Partition partition, Segment segment, int64_t *position, int64_t end, int64_t now,
                      frame_view *met) noexcept nogil:
    # Some frames. STATUS_MISSING at one of the catalog, or of a view that is not there yet, which is `met`.
    cdef frame_view view
    cdef striate_keyindex *index = NULL
    cdef striate_stream *stream = NULL
    cdef striate_key key
    cdef striate_spot spot
    cdef int64_t verified = 0
    cdef int64_t deadline
    cdef uint32_t ahead
    cdef uint32_t number = 0
    cdef uint32_t flags = 0
    cdef uint32_t known = 0
    cdef int left = TAKE_IN_FRAMES
    cdef int status
    while position[0] < end and left > 0:
        status = read_next_frame(segment.store, position[0], &verified, &view)
        if status != 0:
            return status
        left -= 1
        if not view_extension(&view, &number, &flags):
            position[0] += view.size_bytes
            continue
        if number != known or (index == NULL and stream == NULL):
            if partition.find_view(number, &index, &stream):  # dropped
                position[0] += view.size_bytes
                continue
            known = number
        spot.version = segment.base_offset + view.relative_offset + 1
        spot.position = <uint32_t>(position[0] // UNIT_BYTES)
        if stream != NULL:
            status = striate_stream_take_in(stream, flags & 0xFF, view.key, view.key_size, view.value, view.value_size,
                                            spot.version, spot.position)
            if status != 0:
                return STATUS_MALFORMED if status == STRIATE_MALFORMED else STATUS_NO_MEMORY
        elif view.key != NULL:
            if index == NULL:
                met[0] = view
                return STATUS_MISSING
            key.bytes, key.size, key.space = view.key, view.key_size, 0
            key.hash = striate_table_hash(index.latest, key.bytes, key.size, 0)
            if view.kind == KIND_TOMBSTONE:
                spot.version = 0
            deadline = deadline_of(&view, flags, &ahead)
            if striate_keyindex_load(index, &key, spot, deadline, now) != 0:
                return STATUS_NO_MEMORY
        position[0] += view.size_bytes
    return 0


def take_in(Partition partition not None, uint64_t start, on_catalog, progress=None):
    """Bring the views up to what the log holds from an offset on, in order.

    Args:
        on_catalog: called with name, text and version of each catalog record. It makes
            the views their records belong to.
        progress: called with ``(bytes done, bytes in all)``, now and then and at the end.

    Raises:
        CorruptRecordError: a record does not verify, or is not one of a table or stream.
    """
    cdef Segment segment
    cdef int64_t position
    cdef int64_t done = 0
    cdef int64_t total = 0
    cdef int64_t now = partition.now_ns()
    cdef uint32_t relative
    cdef int status
    cdef frame_view met
    cdef uint32_t number = 0
    cdef uint32_t flags = 0
    for segment in partition.log.segments:
        total += segment.store.written
    for segment in partition.log.segments:
        done += segment.store.written
        if segment.base_offset + segment.next_relative <= start or segment.record_count == 0:
            continue
        position = STORE_HEADER_BYTES
        if segment.base_offset < start:
            segment.check_index()
            relative = segment.next_present(<uint32_t>(start - segment.base_offset))
            if relative >= segment.next_relative:
                continue
            position = segment.locate(relative)
        while position < segment.store.written:
            if progress is not None:
                progress(done - segment.store.written + position, total)
            with nogil:
                status = take_in_some(partition, segment, &position, segment.store.written, now, &met)
            if status == STATUS_MISSING:
                view_extension(&met, &number, &flags)
                if number:
                    View(partition, number)
                    continue
                on_catalog(met.key[:met.key_size], met.value[:met.value_size],
                           segment.base_offset + met.relative_offset + 1)
                position += met.size_bytes
            elif status == STATUS_NO_MEMORY:
                raise MemoryError
            elif status == STATUS_MALFORMED:
                raise CorruptRecordError(segment.store.path, "not a record of a stream, or of a later version",
                                         position=position)
            elif status != 0:
                # What it changed nobody knows: keys would show what they were before, and nobody would be told.
                raise CorruptRecordError(segment.store.path, "the frame does not verify", position=position)
    if progress is not None:
        progress(total, total)
