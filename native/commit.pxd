# Several changes that become one batch of the log, and what must hold when they do.

from libc.stdint cimport int64_t, uint64_t

from striate._native.durable cimport TableCore
from striate._native.frame cimport record_input
from striate._native.keyindex cimport striate_edit
from striate._native.partition cimport Partition, work
from striate._native.stream cimport striate_stream_edit
from striate._native.streamlook cimport StreamLook
from striate._native.streams cimport StreamCore


cdef class Commit:
    cdef readonly Partition partition
    cdef striate_edit *changes
    cdef record_input *records
    cdef list tables                  # of each change
    cdef list held                    # keys and values the pointers lead into
    cdef list watched_tables
    cdef list watched_changes
    # For each edit: (stream, entry or None, group or None, what pointers lead into, or a look)
    cdef list edited
    cdef list watched_streams         # (stream, look)
    cdef list dropped                 # views
    cdef int64_t count, record_count, capacity
    cdef readonly uint64_t first_version  # of the records, once they are committed

    cdef striate_edit *new_change(self, TableCore table, object key, int condition, uint64_t expected) except NULL
    cdef int add_record(self, key, bytes value, const char *extension) except -1
    cdef int load_edits(self, work *job) except -1
    cdef int load_look(self, StreamCore stream, StreamLook look, striate_stream_edit *edit) except -1
    cdef int load_drops(self, work *job) except -1
    cdef int load_streams(self, work *job) except -1
    cdef object refused(self, int status, const work *job)
