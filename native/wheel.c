#include "wheel.h"

#include <stdlib.h>
#include <string.h>

/* In a list's first entry `previous` says which list: IN_HEAD | level * 64 + number. References are below it. */
#define IN_HEAD 0x80000000u
#define SPAN_BITS (6 * STRIATE_WHEEL_LEVELS)

int striate_wheel_ready(striate_stripe *stripe, int64_t now) {
    if (stripe->wheel)
        return 0;
    stripe->wheel = calloc(1, sizeof *stripe->wheel);
    if (!stripe->wheel)
        return STRIATE_NO_MEMORY;
    stripe->wheel->tick = now >> STRIATE_TICK_BITS;
    return 0;
}

static striate_timer *timer_at(const striate_stripe *stripe, uint32_t ref) {
    return striate_entry_timer(striate_entry_at(stripe, ref));
}

/* The first tick at which the entry has expired. */
static int64_t tick_of(int64_t end) {
    if (end > STRIATE_NEVER - (1 << STRIATE_TICK_BITS))
        return STRIATE_NEVER >> STRIATE_TICK_BITS;
    return (end + (1 << STRIATE_TICK_BITS) - 1) >> STRIATE_TICK_BITS;
}

static void link_entry(striate_stripe *stripe, uint32_t ref, uint32_t list) {
    striate_wheel *wheel = stripe->wheel;
    striate_timer *timer = timer_at(stripe, ref);
    uint32_t *head = &wheel->heads[list / 64][list % 64];

    timer->previous = IN_HEAD | list;
    timer->next = *head;
    if (*head)
        timer_at(stripe, *head)->previous = ref;
    *head = ref;
    wheel->occupied[list / 64] |= 1ull << list % 64;
    stripe->timed++;
}

void striate_wheel_remove(striate_stripe *stripe, uint32_t ref) {
    striate_timer *timer = timer_at(stripe, ref);
    uint32_t list = timer->previous & ~IN_HEAD;

    if (!timer->previous)
        return;
    if (!(timer->previous & IN_HEAD)) {
        timer_at(stripe, timer->previous)->next = timer->next;
    } else {
        stripe->wheel->heads[list / 64][list % 64] = timer->next;
        if (!timer->next)
            stripe->wheel->occupied[list / 64] &= ~(1ull << list % 64);
    }
    if (timer->next)
        timer_at(stripe, timer->next)->previous = timer->previous;
    timer->previous = timer->next = 0;
    stripe->timed--;
}

void striate_wheel_add(striate_stripe *stripe, uint32_t ref) {
    striate_wheel *wheel = stripe->wheel;
    int64_t tick = tick_of(striate_entry_end(striate_entry_at(stripe, ref)));
    int64_t ahead;
    uint32_t level = 0;

    striate_wheel_remove(stripe, ref);
    if (tick < wheel->tick)
        tick = wheel->tick;
    /* What lies beyond the last level waits in its farthest list and is filed again from there. */
    if (tick - wheel->tick >= 1ll << SPAN_BITS)
        tick = wheel->tick + (1ll << SPAN_BITS) - 1;
    for (ahead = tick - wheel->tick; ahead >= 64; ahead >>= 6)
        level++;
    link_entry(stripe, ref, level * 64 + (uint32_t)(tick >> 6 * level & 63));
}

/* ---------------------------------------------------------------- turning */

static void expire_entry(striate_stripe *stripe, striate_entry *entry) {
    striate_key key = {striate_entry_key(entry), 0, entry->key_size, entry->space, 0};
    striate_place place;

    key.hash = striate_table_hash(stripe->table, key.bytes, key.size, key.space);
    striate_stripe_find(stripe, &key, &place);
    striate_stripe_remove(stripe, place, STRIATE_EXPIRED);
}

/* Drops what has expired of a list and files the rest again; at most `limit` are dropped. */
static int64_t turn_list(striate_stripe *stripe, uint32_t list, int64_t now, int64_t limit) {
    uint32_t ref = stripe->wheel->heads[list / 64][list % 64];
    int64_t dropped = 0;

    while (ref && dropped < limit) {
        striate_entry *entry = striate_entry_at(stripe, ref);
        uint32_t next = striate_entry_timer(entry)->next;

        if (next)
            __builtin_prefetch(striate_entry_at(stripe, next));
        if (striate_entry_end(entry) <= now) {
            expire_entry(stripe, entry);
            dropped++;
        } else {
            striate_wheel_add(stripe, ref);
        }
        ref = next;
    }
    return dropped;
}

/* At a tick where lower levels have come round: files the entries of the next list of each higher level again. */
static void cascade(striate_stripe *stripe, int64_t tick) {
    for (uint32_t level = 1; level < STRIATE_WHEEL_LEVELS && !(tick & ((1ll << 6 * level) - 1)); level++)
        turn_list(stripe, level * 64 + (uint32_t)(tick >> 6 * level & 63), INT64_MIN, 1);
}

/* The next tick at which anything may be due, not behind `last`. */
static int64_t next_tick(const striate_wheel *wheel, int64_t last) {
    for (uint32_t level = 0; level < STRIATE_WHEEL_LEVELS; level++) {
        int64_t step = 1ll << 6 * level;
        int64_t next;

        if (!wheel->occupied[level])
            continue;
        if (level == 0)
            return wheel->tick + 1;
        next = (wheel->tick / step + 1) * step;
        return next < last ? next : last;
    }
    return last;
}

/* What has expired since the last tick began: in the lists of the next one. */
static int64_t expire_within_tick(striate_stripe *stripe, int64_t now, int64_t tick) {
    int64_t dropped = 0;

    for (uint32_t level = 0; level < STRIATE_WHEEL_LEVELS && !(tick & ((1ll << 6 * level) - 1)); level++)
        dropped += turn_list(stripe, level * 64 + (uint32_t)(tick >> 6 * level & 63), now, INT64_MAX);
    return dropped;
}

int64_t striate_stripe_expire(striate_stripe *stripe, int64_t now, int64_t limit) {
    striate_wheel *wheel = stripe->wheel;
    int64_t last = now >> STRIATE_TICK_BITS;
    int64_t dropped = 0;

    if (!wheel)
        return 0;
    while (dropped < limit && wheel->tick <= last) {
        uint32_t list = (uint32_t)(wheel->tick & 63);

        dropped += turn_list(stripe, list, now, limit - dropped);
        if (wheel->tick == last || dropped >= limit)
            break;
        wheel->tick = next_tick(wheel, last);
        cascade(stripe, wheel->tick);
    }
    if (limit == INT64_MAX)
        dropped += expire_within_tick(stripe, now, last + 1);
    return dropped;
}
