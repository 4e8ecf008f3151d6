#include "eviction.h"

/* ---------------------------------------------------------------- bounds
 *
 * The table's pool lends entries and bytes to its stripes, some at a time, so that they need not meet at one counter.
 * What is lent and used never exceeds the bounds.
 */
static int64_t borrow(int64_t *pool, int64_t least, int64_t wanted) {
    int64_t left = __atomic_load_n(pool, __ATOMIC_RELAXED);
    int64_t taken;

    do {
        taken = left < wanted ? left : wanted;
        if (taken < least)
            return 0;
    } while (!__atomic_compare_exchange_n(pool, &left, left - taken, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return taken;
}

static int have(int64_t *spare, int64_t *pool, int64_t wanted, int64_t lend) {
    int64_t missing = wanted - *spare;

    if (missing > 0)
        *spare += borrow(pool, missing, missing > lend ? missing : lend);
    return *spare >= wanted;
}

int striate_reserve(striate_stripe *stripe, int64_t entries, int64_t bytes, uint32_t protected_ref) {
    striate_table *table = stripe->table;

    if (!table->bounded)
        return 0;
    if (bytes > table->max_bytes)
        return STRIATE_NO_ROOM;
    while (!have(&stripe->spare_entries, &table->pool_entries, entries, table->lend_entries) ||
           !have(&stripe->spare_bytes, &table->pool_bytes, bytes, table->lend_bytes))
        if (!striate_evict_one(stripe, protected_ref))
            return STRIATE_SHORT;
    return 0;
}

static void give_back(int64_t *spare, int64_t *pool, int64_t lend) {
    if (*spare > 2 * lend) {
        __atomic_fetch_add(pool, *spare - lend, __ATOMIC_RELAXED);
        *spare = lend;
    }
}

void striate_return_spare(striate_stripe *stripe) {
    striate_table *table = stripe->table;

    if (!table->bounded)
        return;
    give_back(&stripe->spare_entries, &table->pool_entries, table->lend_entries);
    give_back(&stripe->spare_bytes, &table->pool_bytes, table->lend_bytes);
}

int striate_table_make_room(striate_table *table, int64_t bytes) {
    if (bytes > table->max_bytes)
        return STRIATE_NO_ROOM;
    for (uint64_t idle = 0; idle < table->stripe_count;) {
        int32_t number = __atomic_fetch_add(&table->room_hand, 1, __ATOMIC_RELAXED);
        striate_stripe *stripe = striate_lock(table, (uint32_t)number & (table->stripe_count - 1));
        int evicted = striate_evict_one(stripe, 0);

        __atomic_fetch_add(&table->pool_entries, stripe->spare_entries, __ATOMIC_RELAXED);
        __atomic_fetch_add(&table->pool_bytes, stripe->spare_bytes, __ATOMIC_RELAXED);
        stripe->spare_entries = stripe->spare_bytes = 0;
        striate_unlock(stripe);
        if (__atomic_load_n(&table->pool_entries, __ATOMIC_RELAXED) >= 1 &&
            __atomic_load_n(&table->pool_bytes, __ATOMIC_RELAXED) >= bytes)
            return 0;
        idle = evicted ? 0 : idle + 1;
    }
    return STRIATE_NO_ROOM;
}
