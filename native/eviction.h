/* Bounds and what goes when they are reached: TinyLFU with a window (docs/decisions/0012-eviction.md).
 *
 * Each slot of the index has four bits of frequency, which a hit raises. A new entry begins with what the sketch, a
 * table of small counters, remembers of its hash, and stands in the window, a short queue. When room is needed, the
 * oldest of the window competes with the least frequent of some entries behind a moving hand: the more frequent stays,
 * at a tie the older one. What goes leaves its frequency in the sketch. All counters fade by halves.
 */
#ifndef STRIATE_EVICTION_H
#define STRIATE_EVICTION_H

#include "table.h"

enum { /* the access byte of a slot */
    STRIATE_FREQUENCY = 0x0F,
    STRIATE_IN_WINDOW = 0x10,
    STRIATE_ACCESS_TAGGED = 0x20, /* the entry has tags */
    STRIATE_RECENT = 0x40,        /* asked for since the bucket was visited */
    STRIATE_BEFORE = 0x80         /* between that visit and the one before */
};

/* In favour of frequency: chance alone shall not turn it. */
#define STRIATE_DUEL_START (-128)

/* Makes sure that so much may be used more: 0, STRIATE_SHORT or STRIATE_NO_ROOM. Evicts, but not `protected_ref`. */
int striate_reserve(striate_stripe *stripe, int64_t entries, int64_t bytes, uint32_t protected_ref);
/* Gives the pool what a stripe has too much of. */
void striate_return_spare(striate_stripe *stripe);
/* 1, or 0 where nothing but `protected_ref` is left. */
int striate_evict_one(striate_stripe *stripe, uint32_t protected_ref);

/* The access byte of an entry that is about to be placed. */
uint8_t striate_access_new(striate_stripe *stripe, uint64_t hash, uint8_t flags);
/* The entry has been placed. */
void striate_window_add(striate_stripe *stripe, uint32_t ref);
/* An entry of the window is removed, or moves to another cell. */
void striate_window_replace(striate_stripe *stripe, uint32_t ref, uint32_t new_ref);
void striate_age(striate_stripe *stripe);

static inline void striate_aging_clock(striate_stripe *stripe) {
    if (stripe->aging_due-- == 0)
        striate_age(stripe);
}

static inline void striate_access_hit(striate_stripe *stripe, const striate_place *place) {
    uint8_t *access = &place->bucket->access[place->slot];

    uint8_t now = (uint8_t)((*access | STRIATE_RECENT) + ((*access & STRIATE_FREQUENCY) != STRIATE_FREQUENCY));

    if (now != *access) /* a line that nobody wrote need not go back to memory */
        *access = now;
    if (stripe->table->bounded)
        striate_aging_clock(stripe);
}

/* A value was replaced: an access like any other. */
static inline void striate_access_update(striate_stripe *stripe, const striate_place *place, uint8_t flags) {
    uint8_t *access = &place->bucket->access[place->slot];

    *access = (uint8_t)((*access & ~STRIATE_ACCESS_TAGGED) | (flags & STRIATE_TAGGED ? STRIATE_ACCESS_TAGGED : 0));
    striate_access_hit(stripe, place);
}

#endif /* STRIATE_EVICTION_H */
