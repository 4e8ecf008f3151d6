/* What striate asks of Linux and of the processor, as static inline functions.
 *
 * Cython knows neither C11 atomics nor raw system calls, so both get names here. Functions that can fail
 * return 0 or -errno and never touch Python: all of this runs without the GIL.
 */
#ifndef STRIATE_PLATFORM_H
#define STRIATE_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fallocate, syscall, MADV_* */
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if !defined(__linux__)
#error "striate runs on Linux: it needs futexes, fallocate and fdatasync"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "striate's files are little-endian and are mapped, so the processor must be too"
#endif

/* For reading soon; an address that is not mapped does no harm. */
#define striate_prefetch(address) __builtin_prefetch((address), 0, 3)

/* ---------------------------------------------------------------- memory order
 *
 * The words meant here are shared between threads and, in the `live` file, between processes; they must be
 * aligned to their size. The compiler builtins and not <stdatomic.h>: they take plain integers, which is what
 * a struct laid over mapped bytes has. On x86-64 acquire loads and release stores are plain moves.
 */

static inline uint32_t striate_load_u32(const uint32_t *word) {
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}
static inline void striate_store_u32(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}
static inline uint32_t striate_exchange_u32(uint32_t *word, uint32_t value) {
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}
static inline uint32_t striate_fetch_add_u32(uint32_t *word, uint32_t value) {
    return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}
static inline uint32_t striate_fetch_or_u32(uint32_t *word, uint32_t bits) {
    return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}
/* 1 when `*word` was `expected` and is now `desired`, else 0. */
static inline int striate_compare_exchange_u32(uint32_t *word, uint32_t expected, uint32_t desired) {
    return __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline uint64_t striate_load_u64_acquire(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline uint64_t striate_load_u64(const uint64_t *word) {
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}
static inline void striate_store_u64_release(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
static inline void striate_store_u64(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}
static inline uint64_t striate_exchange_u64(uint64_t *word, uint64_t value) {
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

/* Positions are signed, so that differences and -errno fit. */
static inline int64_t striate_load_i64(const int64_t *word) {
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void striate_store_i64(int64_t *word, int64_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* ---------------------------------------------------------------- sleeping
 *
 * Without FUTEX_PRIVATE_FLAG: the word lies in a shared file mapping and other processes sleep on it too. The
 * kernel finds them by file and page, so it must be a MAP_SHARED mapping. One mapped for reading only can be
 * waited on.
 */

/* Sleeps while `*word == expected`, at most timeout_ns (< 0: for ever). 0: woken, perhaps for nothing, so
 * look again. -EAGAIN: the word differs. -ETIMEDOUT. -EINTR: a signal came, give Python the chance to run
 * its handlers. The timeout is relative and counts on the monotonic clock. */
static inline int striate_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns) {
    struct timespec timeout;
    struct timespec *limit = NULL;

    if (timeout_ns >= 0) {
        timeout.tv_sec = (time_t)(timeout_ns / 1000000000);
        timeout.tv_nsec = (long)(timeout_ns % 1000000000);
        limit = &timeout;
    }
    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, limit, NULL, 0) == 0)
        return 0;
    return -errno;
}

/* How long a caller that is under Python may sleep before it lets Python look for signals: timeout_ns, but in the main
 * thread no more than a second. That thread alone runs the handlers, and a signal that comes between its last look and
 * the sleep (or to another thread) ends no futex's sleep: without this, Ctrl-C is lost now and then. */
static inline int64_t striate_interruptible_ns(int64_t timeout_ns) {
    const int64_t most = 1000000000;

    if (syscall(SYS_gettid) != getpid() || (timeout_ns >= 0 && timeout_ns < most))
        return timeout_ns;
    return most;
}

/* Returns how many were woken, or -errno. */
static inline int striate_futex_wake_all(uint32_t *word) {
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);

    return woken < 0 ? -errno : (int)woken;
}

/* ---------------------------------------------------------------- clocks: in the vDSO, no system call */

/* Does not count time asleep; right for timeouts and durations. */
static inline int64_t striate_monotonic_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The same clock as of the last tick of the kernel, 1 to 10 ms ago, for a quarter of the price. */
static inline int64_t striate_coarse_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---------------------------------------------------------------- files */

/* Gives [from, from + size) real blocks and extends the file when it is shorter: a store into a mapped block
 * that is not allocated is a SIGBUS when the disk is full. The system call and not posix_fallocate, which
 * would fall back to writing a byte into every block where the file system cannot do it; -EOPNOTSUPP is the
 * caller's to handle. It is repeated after EINTR: what was allocated stays allocated, so it gets further
 * each time. */
static inline int striate_fallocate(int fd, int64_t from, int64_t size) {
    int result;

    do {
        result = fallocate(fd, 0, (off_t)from, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14; the C library's headers may be older than the kernel */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Maps the pages for writing ahead of their use, so that appends take no page faults, and turns what would
 * be a SIGBUS into an error (-EFAULT). address must be a multiple of the page size. -EINVAL from an older
 * kernel means "cannot", not "failed": nothing is lost but time, so it is reported as 0. */
static inline int striate_populate_write(void *address, size_t size) {
    int result;

    do {
        result = madvise(address, size, MADV_POPULATE_WRITE);
    } while (result != 0 && (errno == EINTR || errno == EAGAIN));
    if (result != 0 && errno != EINVAL)
        return -errno;
    return 0;
}

/* Maps the pages for reading, bringing in what is not in memory: in one call what is a fault for every few pages else.
 * A hint, so what fails is left to the faults. */
static inline void striate_populate_read(void *address, size_t size) {
    (void)madvise(address, size, MADV_POPULATE_READ);
}

#endif /* STRIATE_PLATFORM_H */
