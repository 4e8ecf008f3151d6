/* Bounds and what goes when they are reached (docs/decisions/0011-eviction.md).
 *
 * Each slot of the index has four bits of frequency. A new entry begins with what the sketch, a small table of
 * counters, remembers of its hash; a hit adds one; both fade by halves. To make room, the entries of a few buckets
 * behind a moving hand are compared and the least frequent goes, at a tie one that was never hit, and its frequency is
 * written into the sketch. That is TinyLFU's admission and an LFU with aging, for eight bits an entry.
 */
#ifndef STRIATE_EVICTION_H
#define STRIATE_EVICTION_H

#include "table.h"

enum { /* the access byte of a slot */
    STRIATE_FREQUENCY = 0x0F,
    STRIATE_FRESH = 0x10,        /* never hit */
    STRIATE_ACCESS_TAGGED = 0x20 /* the entry has tags: lets a search for them skip the others */
};

enum { STRIATE_POLICY_FREQUENCY = 0, STRIATE_POLICY_CLOCK = 1 };

/* Makes sure that so much may be used more: 0, STRIATE_SHORT or STRIATE_NO_ROOM. Evicts, but not `protected_ref`. */
int striate_reserve(striate_stripe *stripe, int64_t entries, int64_t bytes, uint32_t protected_ref);
/* Gives the pool what a stripe has too much of. */
void striate_return_spare(striate_stripe *stripe);
uint8_t striate_access_new(striate_stripe *stripe, uint64_t hash, uint8_t flags);
void striate_age(striate_stripe *stripe);
/* 1, or 0 where nothing but `protected_ref` is left. */
int striate_evict_one(striate_stripe *stripe, uint32_t protected_ref);

static inline void striate_access_hit(striate_stripe *stripe, const striate_place *place) {
    uint8_t *access = &place->bucket->access[place->slot];
    uint8_t now = (uint8_t)(*access & ~STRIATE_FRESH);

    now = (uint8_t)(now + ((now & STRIATE_FREQUENCY) != STRIATE_FREQUENCY));
    if (now != *access) /* a line that nobody wrote need not go back to memory */
        *access = now;
    if (stripe->table->bounded && stripe->aging_due-- == 0)
        striate_age(stripe);
}

/* A value was replaced: an access like any other. */
static inline void striate_access_update(striate_stripe *stripe, const striate_place *place, uint8_t flags) {
    uint8_t *access = &place->bucket->access[place->slot];

    *access = (uint8_t)((*access & ~STRIATE_ACCESS_TAGGED) | (flags & STRIATE_TAGGED ? STRIATE_ACCESS_TAGGED : 0));
    striate_access_hit(stripe, place);
}

#endif /* STRIATE_EVICTION_H */
