/* Expiry: a hierarchical timing wheel for each stripe (Varghese and Lauck, 1987, scheme 7).
 *
 * Five levels of 64 lists; a list of the lowest level is for one tick of 8 ms. An entry goes into the list of its
 * deadline and moves down a level at most four times. A deadline that only moves back (a value set anew, an idle time
 * begun anew) leaves the entry where it is: it is looked at when its list comes up, and goes on from there.
 */
#ifndef STRIATE_WHEEL_H
#define STRIATE_WHEEL_H

#include "table.h"

#define STRIATE_TICK_BITS 23 /* 2^23 ns */
#define STRIATE_WHEEL_LEVELS 5

typedef struct striate_wheel {
    int64_t tick; /* lists before it are empty */
    uint64_t occupied[STRIATE_WHEEL_LEVELS];
    uint32_t heads[STRIATE_WHEEL_LEVELS][64];
} striate_wheel;

/* Before the first entry gets a timer: 0 or STRIATE_NO_MEMORY. */
int striate_wheel_ready(striate_stripe *stripe, int64_t now);
/* Files an entry, whose deadline is set, for its end; needs striate_wheel_ready. */
void striate_wheel_add(striate_stripe *stripe, uint32_t ref);
/* Takes an entry out, if it is in. */
void striate_wheel_remove(striate_stripe *stripe, uint32_t ref);

#endif /* STRIATE_WHEEL_H */
