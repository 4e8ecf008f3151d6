"""The preparer: blocks, zeros and mapped pages ahead of the appends (declared in preparer.pxd)."""

from striate._native.frame cimport FOOTER_BYTES, align_up
from striate._native.io cimport fork_count

cdef extern from "platform.h" nogil:
    int64_t striate_load_i64(const int64_t *address)
    void striate_store_i64(int64_t *address, int64_t value)
    uint32_t striate_load_u32(const uint32_t *word)
    void striate_store_u32(uint32_t *word, uint32_t value)
    uint32_t striate_exchange_u32(uint32_t *word, uint32_t value)
    int striate_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns)
    int striate_futex_wake_all(uint32_t *word)

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_create(pthread_t *thread, void *attributes, void *(*main)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)

cdef enum:
    PAGE_BYTES = 4096
    AHEAD_FIRST_BYTES = 65536         # small logs stay small: ahead by as much as was written, from here
    AHEAD_LAST_BYTES = 8388608        # at 1 GB/s: 8 ms, for a thread that may have to wait its turn
    AHEAD_DURABLE_BYTES = 2097152
    FIRST_BYTES = 1048576             # of a segment that follows a large one: while the preparer wakes
    MAP_STEP_BYTES = 131072
    FILL_STEP_BYTES = 1048576         # zeros per sync: bounds how long a group commit waits behind it
    ENTRY_BYTES = 8                   # of the index


cdef void *_main(void *preparer) noexcept nogil:
    (<Preparer>preparer).run()
    return NULL


cdef class Preparer:
    """Owned by one log; its thread runs from start() to stop()."""

    def __cinit__(self):
        pthread_mutex_init(&self.work_lock, NULL)
        pthread_mutex_init(&self.grow_lock, NULL)
        self.wake_at = NEVER
        self.forks = fork_count()

    def __dealloc__(self):
        if self.forks == fork_count():
            pthread_mutex_destroy(&self.work_lock)
            pthread_mutex_destroy(&self.grow_lock)

    cdef void aim(self, Segment segment) noexcept:
        with nogil:
            pthread_mutex_lock(&self.work_lock)
            pthread_mutex_lock(&self.grow_lock)
        self.target = <void *>segment if segment is not None else NULL
        self.mapped = self.index_mapped = 0
        striate_store_i64(&self.wake_at, 0 if segment is not None and self.disk.background else NEVER)
        pthread_mutex_unlock(&self.grow_lock)
        pthread_mutex_unlock(&self.work_lock)

    cdef void hold(self, bint held) noexcept:
        with nogil:
            pthread_mutex_lock(&self.grow_lock)
        self.held = held
        pthread_mutex_unlock(&self.grow_lock)

    cdef int first(self, Segment segment, int64_t expected_bytes) noexcept nogil:
        cdef int64_t wanted = min(expected_bytes, min(segment.store.capacity, <int64_t>FIRST_BYTES))
        segment.store.expected = expected_bytes
        pthread_mutex_lock(&self.grow_lock)
        if not self.held and wanted > segment.store.allocated:
            # Without success the append that needs the blocks asks again, and can report.
            segment.store.grow(wanted)
        pthread_mutex_unlock(&self.grow_lock)
        if segment.store.allocated <= PAGE_BYTES:
            return 0
        return self.disk.table.prepare(self.disk.table.context, segment.store.descriptor, segment.store.memory,
                                       PAGE_BYTES, segment.store.allocated - PAGE_BYTES, self.power)

    cdef int grow(self, Segment segment, int64_t size_bytes, int64_t records) noexcept nogil:
        cdef int status
        pthread_mutex_lock(&self.grow_lock)
        status = segment.grow(size_bytes, records)
        pthread_mutex_unlock(&self.grow_lock)
        return status

    # ------------------------------------------------------------ the thread

    cdef void start(self) noexcept:
        self.running = True
        pthread_create(&self.thread, NULL, _main, <void *>self)

    cdef void stop(self) noexcept:
        if not self.running:
            return
        self.running = False
        striate_store_u32(&self.stopping, 1)
        self.wake()
        with nogil:
            pthread_join(self.thread, NULL)

    cdef void wake(self) noexcept nogil:
        striate_exchange_u32(&self.word, 1)
        striate_futex_wake_all(&self.word)

    cdef void run(self) noexcept nogil:
        while not striate_load_u32(&self.stopping):
            if striate_exchange_u32(&self.word, 0) == 0:
                striate_futex_wait(&self.word, 0, -1)
                continue
            self.work()

    cdef void work(self) noexcept nogil:
        pthread_mutex_lock(&self.work_lock)
        while not striate_load_u32(&self.stopping) and self.step():
            pass
        pthread_mutex_unlock(&self.work_lock)

    cdef bint step(self) noexcept nogil:
        # Take and prepare one piece of what the next appends will use; False when there is enough. work_lock keeps the
        # target alive.
        cdef int64_t written, ahead, limit
        cdef bint more
        cdef int taken
        cdef bint large = self.large
        if self.target == NULL:
            return False
        written = (<Segment>self.target).store.written
        ahead = min(max(max(written, (<Segment>self.target).store.expected), <int64_t>AHEAD_FIRST_BYTES),
                    <int64_t>(AHEAD_DURABLE_BYTES if self.power else AHEAD_LAST_BYTES))
        taken = self.take(ahead, self.power and not large)
        if taken < 0:
            # The kernel tells of a failed write-back once per descriptor: had we swallowed it, the next sync of an
            # append would say that all is well.
            self.failed(self.owner, taken)
            return False
        more = taken > 0
        if not self.power and not large:
            more |= self.map_pages((<Segment>self.target).store.memory, &self.mapped, written,
                                   min((<Segment>self.target).store.allocated, written + ahead),
                                   min(<int64_t>MAP_STEP_BYTES, ahead // 4))
            if (<Segment>self.target).index is not None:
                more |= self.step_index(ahead)
        if not more:
            limit = (<Segment>self.target).store.capacity
            striate_store_i64(&self.wake_at, written + ahead // 4 if written + ahead // 4 < limit else NEVER)
        return more

    cdef int take(self, int64_t ahead, bint fill) noexcept nogil:
        # Blocks for the store: 1 when some were taken, 0, or -errno of a sync. Other errors are left for the append
        # that needs the space, which can report them.
        cdef int64_t step
        cdef int64_t allocated
        cdef int taken = 0
        pthread_mutex_lock(&self.grow_lock)
        allocated = (<Segment>self.target).store.allocated
        step = align_up((<Segment>self.target).store.capacity + FOOTER_BYTES, PAGE_BYTES) - allocated
        step = align_up(min((<Segment>self.target).store.growth_step(), step), PAGE_BYTES)
        if fill:
            step = min(step, <int64_t>FILL_STEP_BYTES)
        if step > 0 and allocated - (<Segment>self.target).store.written < ahead and not self.held \
                and self.disk.table.allocate(self.disk.table.context, (<Segment>self.target).store.descriptor,
                                             allocated, step) >= 0:
            if fill:
                # Before the blocks are announced, and under the lock: later, the zeros could fall on records.
                taken = self.disk.table.prepare(self.disk.table.context, (<Segment>self.target).store.descriptor,
                                                (<Segment>self.target).store.memory, allocated, step, True)
            if taken == 0:
                striate_store_i64(&(<Segment>self.target).store.allocated, allocated + step)
                taken = 1
        pthread_mutex_unlock(&self.grow_lock)
        return taken

    cdef bint step_index(self, int64_t ahead) noexcept nogil:
        # As far ahead as the store, in records of the size so far.
        cdef int64_t used = (<Segment>self.target).index.count * ENTRY_BYTES
        cdef int64_t wanted = min(used + used * ahead // max((<Segment>self.target).store.written, 1),
                                  (<Segment>self.target).index.capacity * ENTRY_BYTES)
        cdef int status = 0
        pthread_mutex_lock(&self.grow_lock)
        if not self.held:
            status = (<Segment>self.target).index.reserve(wanted // ENTRY_BYTES)
        pthread_mutex_unlock(&self.grow_lock)
        if status < 0:
            return False
        return self.map_pages(<char *>(<Segment>self.target).index.pairs, &self.index_mapped, used,
                              min((<Segment>self.target).index.allocated, wanted),
                              min(<int64_t>MAP_STEP_BYTES, (wanted - used) // 4))

    cdef bint map_pages(self, char *memory, int64_t *mapped, int64_t used, int64_t end, int64_t piece) noexcept nogil:
        # Map the next pages below `end` for writing; False when that is less than a piece, which is not worth a call.
        # No lock of an append is held: one that overtakes takes its own page faults.
        cdef int64_t start = max(mapped[0], used - used % PAGE_BYTES)
        end -= end % PAGE_BYTES
        piece = max(piece - piece % PAGE_BYTES, <int64_t>PAGE_BYTES)
        if end - start < piece:
            return False
        end = min(end, start + MAP_STEP_BYTES)
        self.disk.table.prepare(self.disk.table.context, -1, memory, start, end - start, False)
        mapped[0] = end
        return True
