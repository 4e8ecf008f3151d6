#include "eviction.h"

#include <stdlib.h>
#include <string.h>

#include "hashindex.h"

/* Entries compared for each eviction: new entries live in about one part in so many of the cache. */
#define SAMPLE 24
/* Every counter is halved once in this many accesses for each entry. */
#define AGING_PERIOD 10
#define BLOCK_BYTES 64

/* ---------------------------------------------------------------- the sketch: what is remembered of absent keys
 *
 * A count-min sketch of four-bit counters, four of them for a hash, all in one cache line.
 */
static uint8_t *block_of(const striate_stripe *stripe, uint64_t hash) {
    return stripe->sketch + (uint64_t)((hash >> 20) & stripe->sketch_mask) * BLOCK_BYTES;
}

static uint32_t counter_number(uint64_t hash, int row) {
    return (uint32_t)(((hash ^ hash >> 32) * 0x9E3779B97F4A7C15ull) >> (36 + 7 * row)) & 127;
}

static uint32_t counter(const uint8_t *block, uint32_t number) {
    return block[number >> 1] >> 4 * (number & 1) & 15;
}

static uint32_t smallest_counter(const uint8_t *block, uint64_t hash) {
    uint32_t smallest = 15;

    for (int row = 0; row < 4; row++) {
        uint32_t value = counter(block, counter_number(hash, row));

        smallest = value < smallest ? value : smallest;
    }
    return smallest;
}

/* Raises the hash's counters to at least `least`. */
static void raise_counters(uint8_t *block, uint64_t hash, uint32_t least) {
    for (int row = 0; row < 4; row++) {
        uint32_t number = counter_number(hash, row);
        uint8_t kept = block[number >> 1] & (number & 1 ? 0x0F : 0xF0);

        if (counter(block, number) < least)
            block[number >> 1] = (uint8_t)(kept | least << 4 * (number & 1));
    }
}

/* Four bytes for each entry that the stripe has had at once; twice as large, each half knows what the whole knew. */
static void grow_sketch(striate_stripe *stripe) {
    uint64_t blocks = stripe->sketch ? (uint64_t)stripe->sketch_mask + 1 : 0;
    uint64_t wanted = blocks ? 2 * blocks : 4;
    uint8_t *sketch = realloc(stripe->sketch, wanted * BLOCK_BYTES);

    if (!sketch)
        return; /* a smaller one judges worse, and that is all */
    if (blocks)
        memcpy(sketch + blocks * BLOCK_BYTES, sketch, blocks * BLOCK_BYTES);
    else
        memset(sketch, 0, wanted * BLOCK_BYTES);
    stripe->sketch = sketch;
    stripe->sketch_mask = (uint32_t)(wanted - 1);
}

uint8_t striate_access_new(striate_stripe *stripe, uint64_t hash, uint8_t flags) {
    uint8_t access = STRIATE_FRESH | (flags & STRIATE_TAGGED ? STRIATE_ACCESS_TAGGED : 0);
    uint32_t known = 1;

    if (!stripe->table->bounded)
        return access | 1;
    if (!stripe->sketch || stripe->entries > ((int64_t)stripe->sketch_mask + 1) * (BLOCK_BYTES / 4))
        grow_sketch(stripe);
    if (stripe->sketch) {
        known = smallest_counter(block_of(stripe, hash), hash);
        known += known < STRIATE_FREQUENCY;
        raise_counters(block_of(stripe, hash), hash, known);
    }
    if (stripe->aging_due-- == 0)
        striate_age(stripe);
    return (uint8_t)(access | known);
}

/* ---------------------------------------------------------------- fading */

static uint64_t halved(uint64_t nibbles) {
    return nibbles >> 1 & 0x7777777777777777ull;
}

/* Halves the frequencies of one bucket, and of the share of the sketch that goes with it. */
void striate_age(striate_stripe *stripe) {
    striate_bucket *segment;
    uint32_t place = stripe->aging_place;
    uint64_t access;
    uint64_t buckets = (uint64_t)stripe->segments * STRIATE_SEGMENT_BUCKETS;

    stripe->aging_due = (uint32_t)(AGING_PERIOD * stripe->entries / (int64_t)(buckets ? buckets : 1));
    if (!(segment = striate_index_walk(stripe, &place))) {
        stripe->aging_place = 0;
        return;
    }
    memcpy(&access, segment[stripe->aging_bucket].access, sizeof access);
    access = (access & 0xF0F0F0F0F0F0F0F0ull) | (access >> 1 & 0x0707070707070707ull);
    memcpy(segment[stripe->aging_bucket].access, &access, sizeof access);
    if (++stripe->aging_bucket == STRIATE_SEGMENT_BUCKETS) {
        stripe->aging_bucket = 0;
        stripe->aging_place = place;
    }
    if (!stripe->sketch)
        return;
    for (uint64_t count = ((uint64_t)stripe->sketch_mask + 1) * (BLOCK_BYTES / 8) / buckets + 1; count; count--) {
        uint64_t *word = (uint64_t *)stripe->sketch + stripe->sketch_hand;

        *word = halved(*word);
        stripe->sketch_hand = (stripe->sketch_hand + 1) % ((stripe->sketch_mask + 1) * (BLOCK_BYTES / 8));
    }
}

/* ---------------------------------------------------------------- eviction */

/* The next bucket under the hand, and its segment; the hand moves on. NULL only where there is no segment. */
static striate_bucket *next_bucket(striate_stripe *stripe, striate_bucket **segment) {
    uint32_t place = stripe->hand_place;
    striate_bucket *bucket;

    *segment = striate_index_walk(stripe, &place);
    if (!*segment) {
        place = stripe->hand_place = stripe->hand_bucket = 0;
        *segment = striate_index_walk(stripe, &place);
        if (!*segment)
            return NULL;
    }
    bucket = *segment + stripe->hand_bucket;
    if (++stripe->hand_bucket == STRIATE_SEGMENT_BUCKETS) {
        stripe->hand_bucket = 0;
        stripe->hand_place = place;
    }
    return bucket;
}

/* The less, the sooner it goes. */
static uint32_t worth_of(uint8_t access) {
    return 2u * (access & STRIATE_FREQUENCY) + !(access & STRIATE_FRESH);
}

static striate_place find_victim(striate_stripe *stripe, uint32_t protected_ref) {
    striate_place victim = {NULL, NULL, 0};
    uint32_t least = UINT32_MAX;
    uint32_t seen = 0;

    for (uint64_t left = (uint64_t)stripe->segments * STRIATE_SEGMENT_BUCKETS; left && seen < SAMPLE; left--) {
        striate_bucket *segment;
        striate_bucket *bucket = next_bucket(stripe, &segment);

        for (uint32_t slot = 0; slot < STRIATE_SLOTS; slot++) {
            if (!bucket->ref[slot] || bucket->ref[slot] == protected_ref)
                continue;
            seen++;
            if (worth_of(bucket->access[slot]) < least) {
                least = worth_of(bucket->access[slot]);
                victim = (striate_place){bucket, segment, slot};
            }
        }
    }
    return victim;
}

int striate_evict_one(striate_stripe *stripe, uint32_t protected_ref) {
    striate_place victim = find_victim(stripe, protected_ref);
    striate_entry *entry;
    uint64_t hash;

    if (!victim.bucket)
        return 0;
    entry = striate_entry_at(stripe, victim.bucket->ref[victim.slot]);
    if (stripe->sketch) {
        hash = striate_table_hash(stripe->table, striate_entry_key(entry), entry->key_size, entry->space);
        raise_counters(block_of(stripe, hash), hash, victim.bucket->access[victim.slot] & STRIATE_FREQUENCY);
    }
    striate_stripe_remove(stripe, victim, STRIATE_EVICTED);
    return 1;
}

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
