"""One change without a condition, where nothing is in the way (declared in single.pxd).

What :meth:`Partition.commit` does for many, in the order that hides the waiting for memory: the index is asked for its
lines before the frame is made, and looked at behind it.
"""

from libc.stdint cimport uint32_t

from striate._native.frame cimport STATUS_NO_MEMORY, STORE_HEADER_BYTES, SYNC_EXTENSION_BYTES, UNIT_BYTES, frame_bytes
from striate._native.keyindex cimport (
    striate_edit_apply,
    striate_horizon,
    striate_prefetch_bucket,
    striate_prefetch_entry,
    striate_try_stripe,
)
from striate._native.lock cimport striate_give_lock, striate_try_lock
from striate._native.partition cimport STATUS_BUSY, count_change
from striate._native.platform cimport striate_load_u32
from striate._native.store cimport WRITE_BYTES
from striate._native.table cimport striate_stripe, striate_table, striate_table_stripe_of, striate_unlock


cdef bint write_one(Partition partition, striate_edit *change, record_input *record, int64_t now) except -1:
    cdef int64_t size = frame_bytes(SYNC_EXTENSION_BYTES + <int64_t>record.extension_size + record.key_size
                                    + record.value_size)
    cdef int status
    partition.check_usable()
    if partition.poisoned or partition.log.clock is not None or partition.log._record_size or size >= WRITE_BYTES \
            or size > partition.log.segment_bytes - STORE_HEADER_BYTES:
        return False
    status = attempt(partition, change, record, size, now)
    if status == 0:
        partition.log.tell()
    elif partition.poisoned:
        raise MemoryError("memory ran out while an index was changed: open the database again")
    return status == 0


cdef int attempt(Partition partition, striate_edit *change, record_input *record, int64_t size_bytes,
                 int64_t now) noexcept nogil:
    cdef striate_table *table = change.index.latest
    cdef striate_stripe *stripe = striate_try_stripe(table, striate_table_stripe_of(table, change.key.hash))
    cdef striate_horizon horizon
    cdef int64_t position = 0
    cdef int status
    if stripe == NULL:
        return STATUS_BUSY
    striate_prefetch_bucket(stripe, change.key.hash)
    if striate_load_u32(&change.index.dropped) or not striate_try_lock(&partition.log.write_lock):
        striate_unlock(stripe)
        return STATUS_BUSY
    if partition.log.active is not None:
        position = partition.log.active.store.written
    status = partition.log.append_locked(record, 1, size_bytes)
    striate_prefetch_entry(stripe, change.key.hash)
    if status == 0:
        horizon.target, horizon.durable = partition.log.sync_target, partition.durable()
        count_change(change.index)
    striate_give_lock(&partition.log.write_lock)
    if status == 0:
        change.after.version = record.timestamp_us + 1
        change.after.position = <uint32_t>(position // UNIT_BYTES)
        status = striate_edit_apply(change, now, &horizon)
        if status != 0:
            partition.poisoned = True
            status = STATUS_NO_MEMORY
    striate_unlock(stripe)
    return status
