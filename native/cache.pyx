"""The native half of :class:`striate.Cache`: numbers, and many keys in one call, over single entries (entries.pyx)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from striate._native.entries cimport refuse
from striate._native.inputs cimport as_int64
from striate._native.table cimport (
    STRIATE_ADD,
    STRIATE_BUSY,
    STRIATE_COMPARE,
    STRIATE_DONE,
    STRIATE_MAX_TAGS,
    STRIATE_MAX_VALUE_BYTES,
    STRIATE_MISFIT,
    STRIATE_SET,
    striate_increment,
    striate_item,
    striate_key,
    striate_options,
    striate_set,
    striate_table_hash,
)

from striate.errors import InvalidTypeError, NotANumberError


cdef class CacheCore(Entries):
    """See :class:`striate.Cache`."""

    def _marked(self, uint16_t source):
        """The same cache, whose changes are from another source."""
        cdef CacheCore other = CacheCore.__new__(type(self), self.striped, space=self.space, clock=self.clock,
                                                 encode=self.encode, decode=self.decode,
                                                 numbers_are_digits=self.numbers_are_digits)
        other.ttl_ns, other.idle_ns, other.compress_from = self.ttl_ns, self.idle_ns, self.compress_from
        other.source = source
        return other

    cdef int add_to(self, object key, int64_t delta, int64_t *total) except? -1:
        cdef striate_key loaded
        cdef int64_t now
        cdef int status
        self.load_key(key, &loaded)
        now = self.now()
        loaded.hash = striate_table_hash(self.table, loaded.bytes, loaded.size, self.space)
        status = striate_increment(self.table, &loaded, now, delta, total)
        if status == STRIATE_MISFIT:
            raise NotANumberError(key, delta)
        if status < 0:
            refuse(status, None)
        return status

    def incr(self, key, delta=1, *, initial=0, ttl=None, idle=None):
        """Add to a number, stored as decimal digits; the sum.

        A missing key begins at ``initial``, with these times; ``initial=None`` makes it a ``KeyError``. The times and
        tags of an existing one stay as they are.
        """
        cdef int64_t total
        cdef int64_t added = as_int64(delta, "delta")
        if initial is not None:
            initial = as_int64(initial, "initial")
        if not self.numbers_are_digits:
            return self.add_encoded(key, added, initial, ttl, idle)
        while self.add_to(key, added, &total) != STRIATE_DONE:
            if initial is None:
                raise KeyError(key)
            try:
                total = initial + <object>added
            except OverflowError:
                raise NotANumberError(key, added) from None
            if self.write_number(key, total, ttl, idle) == STRIATE_DONE:
                return total
        return total

    cdef object add_encoded(self, object key, int64_t delta, object initial, object ttl, object idle):
        """As :meth:`incr` where numbers are stored as the codec likes; the entry gets new times."""
        while True:
            found = self.get_versioned(key)
            if found is None and initial is None:
                raise KeyError(key)
            if found is not None and (isinstance(found[0], bool) or not isinstance(found[0], int)):
                raise NotANumberError(key, delta)
            total = <object>delta + (initial if found is None else found[0])
            if self.write(key, total, ttl, idle, None, STRIATE_ADD if found is None else STRIATE_COMPARE,
                          0 if found is None else found[1]) == STRIATE_DONE:
                return total

    cdef int write_number(self, object key, int64_t number, object ttl, object idle) except? -1:
        cdef striate_key loaded
        cdef striate_options options
        cdef bytes digits = b"%d" % number
        cdef uint64_t version
        cdef int64_t now
        cdef int status
        self.load_key(key, &loaded)
        now = self.fill_times(ttl, idle, &options)
        options.mode, options.flags, options.tag_count = STRIATE_ADD, 0, 0
        loaded.hash = striate_table_hash(self.table, loaded.bytes, loaded.size, self.space)
        status = striate_set(self.table, &loaded, PyBytes_AS_STRING(digits), <uint32_t>PyBytes_GET_SIZE(digits), now,
                             &options, &version)
        if status < 0:
            refuse(status, len(digits))
        return status

    # ------------------------------------------------------------ many

    cdef BulkItems hold_keys(self, object keys):
        cdef BulkItems batch = BulkItems.__new__(BulkItems)
        if isinstance(keys, (bytes, str)):
            raise InvalidTypeError("keys", "many keys", type(keys))
        if not isinstance(keys, (list, tuple)) and hasattr(keys, "__array_interface__"):
            batch.load_array(keys, self.space, self.source)
        elif not hasattr(keys, "__iter__"):
            raise InvalidTypeError("keys", "many keys", type(keys))
        else:
            batch.hold_keys(tuple(keys))  # of a list too: nobody can change it while the GIL is not ours
        return batch

    cdef int load_keys(self, BulkItems batch) except -1:
        """Those that could not be loaded without the GIL."""
        for number in range(batch.loaded, batch.count):
            self.load_key(<object>batch.objects[number], &batch.items[number].key)
        batch.loaded = batch.count
        return 0

    def get_many(self, keys, default=None):
        """The values of many keys as a list in their order, ``default`` for those that are not there.

        ``keys`` is an iterable of keys or a numpy array of bytes or fixed-size items.
        """
        cdef BulkItems batch = self.hold_keys(keys)
        cdef list result
        cdef uint32_t number
        cdef int64_t now = self.now()
        cdef int status = batch.get(self.striped, self.space, self.source, now)
        if status == STRIATE_BUSY:
            self.load_keys(batch)
            status = batch.get(self.striped, self.space, self.source, now)
        if status < 0:
            raise MemoryError
        result = batch.values(default)
        if self.decode is None and self.compress_from == STRIATE_MAX_VALUE_BYTES:
            return result
        for number in range(batch.count):
            if batch.items[number].status == STRIATE_DONE:
                result[number] = self.give_value(result[number], batch.items[number].flags)
        return result

    cdef int load_pairs(self, BulkItems batch) except -1:
        cdef striate_item *item
        cdef uint32_t number
        cdef object stored
        for number in range(batch.loaded, batch.count):
            item = &batch.items[number]
            self.load_key(<object>batch.held[2 * number], &item.key)
            stored = self.load_value(<object>batch.held[2 * number + 1], &item.flags)
            batch.exchange(2 * number + 1, stored)
            item.value = PyBytes_AS_STRING(stored)
            item.size = <uint32_t>PyBytes_GET_SIZE(stored)
        batch.loaded = batch.count
        return 0

    def set_many(self, items, *, ttl=None, idle=None, tags=None):
        """Store many values: a mapping, or pairs of key and value. Of equal keys the last wins."""
        cdef BulkItems batch = BulkItems.__new__(BulkItems)
        cdef striate_options options
        cdef uint64_t tag_hashes[STRIATE_MAX_TAGS]
        cdef Py_ssize_t value_limit = self.compress_from if self.encode is None else 0
        cdef int64_t now
        cdef int status
        batch.hold_pairs(items)
        now = self.fill_times(ttl, idle, &options)
        options.mode = STRIATE_SET
        options.tag_count = self.load_tags(tags, tag_hashes)
        options.tags = tag_hashes
        status = batch.set(self.striped, self.space, self.source, value_limit, now, &options)
        if status == STRIATE_BUSY:
            self.load_pairs(batch)
            status = batch.set(self.striped, self.space, self.source, value_limit, now, &options)
        if status < 0:
            refuse(status, None)

    def delete_many(self, keys):
        """Drop many keys; how many there were."""
        cdef BulkItems batch = self.hold_keys(keys)
        self.load_keys(batch)
        return batch.delete(self.striped, self.now())
