# What striate asks of Linux and of the processor (platform.h explains each), and of POSIX threads: the one place where
# Cython is told of them.

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "platform.h" nogil:
    # memory order: acquire and release for positions; the rest sequentially consistent unless the name says otherwise
    int64_t striate_load_i64(const int64_t *word)
    void striate_store_i64(int64_t *word, int64_t value)
    uint32_t striate_load_u32(const uint32_t *word)
    void striate_store_u32(uint32_t *word, uint32_t value)
    uint32_t striate_exchange_u32(uint32_t *word, uint32_t value)
    uint32_t striate_fetch_add_u32(uint32_t *word, uint32_t value)
    uint32_t striate_fetch_or_u32(uint32_t *word, uint32_t bits)
    int striate_compare_exchange_u32(uint32_t *word, uint32_t expected, uint32_t desired)
    uint64_t striate_load_u64(const uint64_t *word)
    uint64_t striate_load_u64_acquire(const uint64_t *word)
    void striate_store_u64(uint64_t *word, uint64_t value)
    void striate_store_u64_release(uint64_t *word, uint64_t value)
    uint64_t striate_exchange_u64(uint64_t *word, uint64_t value)
    void striate_prefetch(const void *address)
    # sleeping, on a word in shared memory
    int striate_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns)
    int striate_futex_wake_all(uint32_t *word)
    int64_t striate_interruptible_ns(int64_t timeout_ns)
    int64_t striate_monotonic_ns()
    int64_t striate_coarse_ns()
    # files and mappings: 0 or -errno
    int striate_fallocate(int descriptor, int64_t position, int64_t size)
    int striate_populate_write(char *address, size_t size)
    void striate_populate_read(char *address, size_t size)

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef unsigned long pthread_t
    int pthread_mutex_init(pthread_mutex_t *mutex, void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *condition, void *attributes)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_broadcast(pthread_cond_t *condition)
    int pthread_cond_destroy(pthread_cond_t *condition)
    int pthread_create(pthread_t *thread, void *attributes, void *(*main)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t thread, void **result)
    int pthread_atfork(void (*prepare)() noexcept nogil, void (*parent)() noexcept nogil,
                       void (*child)() noexcept nogil)
