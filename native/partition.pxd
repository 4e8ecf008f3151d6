# A log with views of it: one commit changes any of them, as one batch of the log.
#
# Order of locks: stripes of views (native/keyindex.h), then the log's write lock. Code under them is noexcept nogil. As
# with the write lock, nobody waits for a stripe while holding the GIL: who holds the stripe may wait for the write
# lock, and who holds that for the GIL. So locks are tried, and the GIL is let go before they are waited for.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from striate._native.frame cimport HAS_SYNC, HAS_VIEW, extensions_bytes, frame_view, record_input
from striate._native.keyindex cimport striate_edit, striate_hold, striate_horizon, striate_keyindex, striate_spot
from striate._native.lock cimport striate_word_lock
from striate._native.log cimport LogCore
from striate._native.platform cimport striate_store_u64_release
from striate._native.segment cimport Segment
from striate._native.stream cimport striate_stream, striate_stream_edit

cdef enum:
    VIEW_EXTENSION_BYTES = 8
    LAST_SET = 5
    KEYED_ENTRY = 6
    KEYED = 256                       # view flag of a stream's entry: behind its head the key has one of the user's
    EXPIRES = 1                       # view flag: the value begins with its end, milliseconds since the epoch
    STATUS_BUSY = -6001               # somebody has a lock
    STATUS_MALFORMED = -6002          # a record of a stream that says nothing


# What a transaction read of a whole table: it must not have changed.
cdef struct watched:
    striate_keyindex *index
    uint64_t changes


# The same of parts of a stream, a bit each.
cdef struct watched_stream:
    striate_stream *stream
    uint64_t counts[3]
    uint32_t parts


# A transaction on its way into the log. Everything borrowed.
cdef struct work:
    striate_edit *changes
    int64_t change_count
    striate_hold *holds
    int64_t hold_count
    watched *watches
    int64_t watch_count
    striate_stream **streams          # of the edits and of what is watched: each once, ascending by number
    int64_t stream_count
    striate_stream_edit *edits
    int64_t edit_count
    watched_stream *stream_watches
    int64_t stream_watch_count
    striate_keyindex **drops          # tables that are dropped, all their stripes held
    int64_t drop_count
    record_input *records
    uint32_t *positions               # for as many records, where there are edits
    int64_t record_count
    int64_t size_bytes                # of the frames, at most
    int64_t now                       # ns since the epoch
    striate_horizon horizon           # at the append
    uint64_t first_version            # of the first record
    # What did not hold: number of a change; behind them of a watch, of a stream's watch, of an edit.
    int64_t failed


cdef class Partition:
    cdef readonly LogCore log
    cdef readonly bint power
    cdef readonly bint poisoned       # memory ran out between log and index
    cdef dict views                   # by number
    cdef readonly dict dropped        # the same of what is no more: (version of the record that says so, name)
    cdef readonly dict names          # versions of the latest records of the catalog
    cdef public uint64_t highest      # number that a view has or had
    cdef uint64_t hash_key[2]
    # Guards the descriptor: behind the stream's lock it may be closed, and its number be another file's.
    cdef striate_word_lock tell_lock
    cdef int descriptor               # eventfd told of entries that a stream's `wanted` asks for; -1: none

    # Locks, checks, appends, takes in. 0, a condition's status (above 0), STATUS_BUSY, or a status of the log.
    cdef int attempt(self, work *job, bint wait) noexcept nogil
    cdef int attempt_locked(self, work *job, bint wait) noexcept nogil
    cdef int check_all(self, work *job) noexcept nogil
    cdef int take_in_all(self, work *job) noexcept nogil
    cdef void tell_readers(self, striate_stream *stream) noexcept nogil
    cdef int append_records(self, work *job, bint wait) noexcept nogil
    # The same with what it takes: room made, the GIL let go. 0 or a condition's status; not yet durable.
    cdef int commit(self, work *job) except -1
    cdef int64_t now_ns(self) except -1
    cdef uint64_t durable(self) noexcept nogil
    # The frame of a record, and its segment; None when it is no longer in the log.
    cdef Segment frame_at(self, striate_spot spot, frame_view *view)
    cdef int check_usable(self) except -1
    # What of this number is there: both NULL, or one of them not. The version from which on it is dropped, or 0.
    cdef uint64_t find_view(self, uint32_t number, striate_keyindex **index, striate_stream **stream) noexcept nogil
    cdef int raise_dropped(self, uint64_t number) except -1
    # Readers see records of lower or equal versions.
    cdef uint64_t visible(self) noexcept nogil


# One numbered view of the log that has an index of keys.
cdef class View:
    cdef readonly Partition partition
    cdef striate_keyindex *index
    cdef readonly uint32_t number
    cdef uint32_t extension[2]        # of its records
    cdef uint32_t timed_extension[2]  # of those that expire


# One numbered view of the log that is a stream.
cdef class StreamView:
    cdef readonly Partition partition
    cdef striate_stream *stream
    cdef readonly uint32_t number
    cdef uint32_t extensions[7][2]    # of its records, by their kind; the last of entries with a key


# Waits for the stream's lock, which may be held by one who waits for the GIL.
cdef void lock_stream(striate_stream *stream) noexcept


# Under the write lock, so there is one at a time; who watches a table looks at any time.
cdef inline void count_change(striate_keyindex *index) noexcept nogil:
    striate_store_u64_release(&index.changes, index.changes + 1)


# The view extension of a frame; False when it has none.
cdef inline bint view_extension(const frame_view *view, uint32_t *number, uint32_t *flags) noexcept nogil:
    cdef const char *extension = view.value - view.key_size - extensions_bytes(view.flags) + (view.flags & HAS_SYNC)
    if not view.flags & HAS_VIEW:
        return False
    memcpy(number, extension, 4)
    memcpy(flags, extension + 4, 4)
    return True


# When a record of a table expires, ns since the epoch, and where its value begins.
cdef int64_t deadline_of(const frame_view *view, uint32_t flags, uint32_t *ahead) noexcept nogil
