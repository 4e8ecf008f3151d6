/* A lock of one word, for code that holds it for less than a microsecond.
 *
 * Taking it and giving it back are one atomic instruction each, inline; a pthread mutex needs two calls and
 * about three times as long. Whoever must wait sleeps on a futex, so a holder that is preempted costs
 * others nothing. Not recursive, not fair, and unknown to debuggers. States: 0 free, 1 held, 2 held and
 * perhaps waited for (U. Drepper, "Futexes Are Tricky", 2011, the third mutex).
 */
#ifndef STRIATE_LOCK_H
#define STRIATE_LOCK_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    uint32_t state;
} striate_word_lock;

/* Whether it was free. Never waits. */
static inline int striate_try_lock(striate_word_lock *lock) {
    uint32_t expected = 0;

    return __atomic_compare_exchange_n(&lock->state, &expected, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

__attribute__((noinline, unused)) static void striate_lock_contended(striate_word_lock *lock) {
    while (__atomic_exchange_n(&lock->state, 2, __ATOMIC_ACQUIRE) != 0)
        syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, 2, (void *)0, (void *)0, 0);
}

static inline void striate_take_lock(striate_word_lock *lock) {
    if (!striate_try_lock(lock))
        striate_lock_contended(lock);
}

/* A full barrier: what was stored before is seen by whoever reads a later store. */
static inline void striate_give_lock(striate_word_lock *lock) {
    uint32_t state = __atomic_exchange_n(&lock->state, 0, __ATOMIC_SEQ_CST);

#if !defined(__x86_64__)
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* on x86-64 the exchange is one */
#endif
    if (state == 2)
        syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, (void *)0, (void *)0, 0);
}

#endif /* STRIATE_LOCK_H */
