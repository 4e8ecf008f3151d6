/* CLOCK_REALTIME in microseconds, for whoever asks millions of times a second.
 *
 * The C library's clock_gettime must wait for all instructions before it (its lfence), which in the middle of
 * an append costs twice what it costs alone. Where the kernel itself keeps time by the processor's time stamp
 * counter (clocksource "tsc": it runs at one rate and alike on all processors), the counter is read without
 * that, and the time computed from the last two readings of the true clock. A reading serves for half a
 * millisecond, so a step of the system's clock is followed within that time, and the error stays below a
 * microsecond. Everywhere else, and at fewer than 2,000 calls a second, this is clock_gettime.
 *
 * One striate_clock belongs to one lock: calls must not overlap.
 */
#ifndef STRIATE_CLOCK_H
#define STRIATE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define STRIATE_CLOCK_SERVES_NS 500000
/* The rate is taken over at least and at most so long. */
#define STRIATE_CLOCK_SHORTEST_NS 250000
#define STRIATE_CLOCK_LONGEST_NS 1000000000
/* A reading between two looks at the counter that are further apart (100 to 200 ns) was interrupted. */
#define STRIATE_CLOCK_PRECISION_TICKS 400

typedef struct {
    uint64_t counter;      /* at the last reading of the true clock */
    int64_t realtime_ns;   /* that reading */
    uint64_t ns_per_tick;  /* 32.32 fixed point, between the last two readings; 0: not known yet */
    uint64_t serves_ticks; /* the reading may be built on for so long; 0: not at all */
    int has_counter;       /* the kernel trusts the counter; set by the owner, who may leave it 0 */
} striate_clock;

static inline int64_t striate_realtime_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline uint64_t striate_counter(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* Reads the true clock and decides whether the time until the next reading may be computed from it. */
__attribute__((noinline, unused)) static int64_t striate_clock_read(striate_clock *clock) {
    uint64_t before = striate_counter();
    int64_t now = striate_realtime_ns();
    uint64_t after = striate_counter();
    uint64_t ticks = before - clock->counter;
    int64_t passed = now - clock->realtime_ns;
    uint64_t known = clock->ns_per_tick;
    uint64_t rate = 0;

    clock->serves_ticks = 0;
    if (!clock->has_counter || after - before > STRIATE_CLOCK_PRECISION_TICKS ||
        (passed >= 0 && passed < STRIATE_CLOCK_SHORTEST_NS))
        return now / 1000;
    if (passed > 0 && passed < STRIATE_CLOCK_LONGEST_NS && ticks > 0)
        rate = ((uint64_t)passed << 32) / ticks;
    /* Only a rate that two readings in a row agree on, to a thousandth: the clock may have been set between. */
    if (rate != 0 && rate - known + known / 1024 <= known / 512)
        clock->serves_ticks = ((uint64_t)STRIATE_CLOCK_SERVES_NS << 32) / rate;
    clock->ns_per_tick = rate;
    clock->counter = before;
    clock->realtime_ns = now;
    return now / 1000;
}

/* Microseconds since the epoch. */
static inline int64_t striate_clock_us(striate_clock *clock) {
    uint64_t ticks = striate_counter() - clock->counter;

    if (__builtin_expect(ticks >= clock->serves_ticks, 0))
        return striate_clock_read(clock);
    return (clock->realtime_ns + (int64_t)((ticks * clock->ns_per_tick) >> 32)) / 1000;
}

#endif /* STRIATE_CLOCK_H */
