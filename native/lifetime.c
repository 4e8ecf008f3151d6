/* What concerns the whole table: making and freeing it, walking it, its sums. */
#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "eviction.h"
#include "hashindex.h"
#include "wheel.h"

static int add_counts(striate_stripe *stripe, uint32_t space) {
    striate_counts *counts = realloc(stripe->counts, (space + 1) * sizeof *counts);

    if (!counts)
        return STRIATE_NO_MEMORY;
    stripe->counts = counts;
    memset(&counts[space], 0, sizeof *counts);
    return 0;
}

static int64_t at_least_one(int64_t count) {
    return count > 0 ? count : 1;
}

striate_table *striate_table_new(uint32_t stripe_count, const uint64_t hash_key[2], int64_t max_entries,
                                 int64_t max_bytes) {
    striate_table *table = calloc(1, sizeof *table);

    if (!table)
        return NULL;
    table->stripes = aligned_alloc(128, stripe_count * sizeof(striate_stripe));
    if (!table->stripes) {
        free(table);
        return NULL;
    }
    memset(table->stripes, 0, stripe_count * sizeof(striate_stripe));
    striate_secret_init(&table->secret, hash_key);
    table->stripe_count = stripe_count;
    table->space_count = 1;
    table->max_entries = table->pool_entries = max_entries;
    table->max_bytes = table->pool_bytes = max_bytes;
    table->duel = STRIATE_DUEL_START;
    table->bounded = max_entries != INT64_MAX || max_bytes != INT64_MAX;
    table->lend_entries = at_least_one(max_entries / stripe_count / 64);
    table->lend_bytes = at_least_one(max_bytes / stripe_count / 64);
    pthread_mutex_init(&table->change_lock, NULL);
    table->last_change = &table->changes;
    striate_arena_init(&table->arena);
    for (uint32_t number = 0; number < stripe_count; number++) {
        table->stripes[number].table = table;
        table->stripes[number].slab.arena = &table->arena;
        if (add_counts(&table->stripes[number], 0) != 0) {
            striate_table_free(table);
            return NULL;
        }
    }
    return table;
}

static void forget_changes(striate_table *table) {
    int64_t lost;
    striate_change *change = striate_table_take_changes(table, &lost);

    while (change) {
        striate_change *next = change->next;

        free(change);
        change = next;
    }
}

void striate_table_free(striate_table *table) {
    for (uint32_t number = 0; number < table->stripe_count; number++) {
        striate_stripe *stripe = &table->stripes[number];

        striate_index_clear(stripe);
        striate_slab_clear(&stripe->slab);
        free(stripe->counts);
        free(stripe->wheel);
        free(stripe->sketch);
        free(stripe->window);
    }
    forget_changes(table);
    striate_arena_free(&table->arena);
    pthread_mutex_destroy(&table->change_lock);
    free(table->stripes);
    free(table);
}

static int64_t clear_stripe(striate_stripe *stripe) {
    striate_table *table = stripe->table;
    int64_t dropped = stripe->entries;

    striate_index_clear(stripe);
    striate_slab_clear(&stripe->slab);
    free(stripe->wheel);
    free(stripe->sketch);
    stripe->wheel = NULL;
    stripe->sketch = NULL;
    stripe->sketch_bits = stripe->timed = stripe->window_start = stripe->window_count = 0;
    stripe->aging_due = 0;
    stripe->hand_place = stripe->hand_bucket = stripe->aging_place = stripe->aging_bucket = 0;
    for (uint32_t space = 0; space < table->space_count; space++) {
        stripe->counts[space].deletions += (uint64_t)stripe->counts[space].entries;
        stripe->counts[space].entries = stripe->counts[space].bytes = 0;
    }
    if (table->bounded) {
        stripe->spare_entries += stripe->entries;
        stripe->spare_bytes += stripe->bytes;
    }
    stripe->entries = stripe->bytes = 0;
    striate_return_spare(stripe);
    return dropped;
}

int striate_table_clear(striate_table *table, int64_t *dropped) {
    *dropped = 0;
    for (uint32_t number = 0; number < table->stripe_count; number++) {
        striate_stripe *stripe = striate_lock(table, number);

        *dropped += clear_stripe(stripe);
        striate_unlock(stripe);
    }
    return 0;
}

int striate_table_add_space(striate_table *table) {
    uint32_t space = table->space_count;

    if (space > 255)
        return STRIATE_NO_ROOM;
    for (uint32_t number = 0; number < table->stripe_count; number++) {
        striate_stripe *stripe = striate_lock(table, number);
        int status = add_counts(stripe, space);

        striate_unlock(stripe);
        if (status != 0)
            return status;
    }
    table->space_count = space + 1;
    return (int)space;
}

/* ---------------------------------------------------------------- sums */

static void add(striate_counts *total, const striate_counts *counts) {
    total->hits += counts->hits;
    total->misses += counts->misses;
    total->insertions += counts->insertions;
    total->updates += counts->updates;
    total->deletions += counts->deletions;
    total->evictions += counts->evictions;
    total->expirations += counts->expirations;
    total->entries += counts->entries;
    total->bytes += counts->bytes;
}

void striate_table_counts(striate_table *table, int space, striate_counts *total) {
    memset(total, 0, sizeof *total);
    for (uint32_t number = 0; number < table->stripe_count; number++) {
        striate_stripe *stripe = striate_lock(table, number);

        for (uint32_t each = 0; each < table->space_count; each++)
            if (space < 0 || (uint32_t)space == each)
                add(total, &stripe->counts[each]);
        striate_unlock(stripe);
    }
}

int64_t striate_table_memory(striate_table *table) {
    int64_t bytes = (int64_t)sizeof *table;

    for (uint32_t number = 0; number < table->stripe_count; number++) {
        striate_stripe *stripe = striate_lock(table, number);

        bytes += (int64_t)(sizeof *stripe + stripe->slab.capacity * sizeof(striate_chunk) +
                           stripe->segments * STRIATE_SEGMENT_BUCKETS * sizeof(striate_bucket));
        bytes += stripe->slab.allocated_bytes + (stripe->directory ? 8ll << stripe->depth : 0);
        bytes += stripe->wheel ? (int64_t)sizeof *stripe->wheel : 0;
        bytes += stripe->sketch ? (64ll * STRIATE_SEGMENT_BUCKETS) << stripe->sketch_bits : 0;
        bytes += 4ll * stripe->window_capacity;
        striate_unlock(stripe);
    }
    return bytes;
}

/* ---------------------------------------------------------------- walking */

static int64_t visit_segment(striate_stripe *stripe, striate_bucket *segment, striate_visitor *visit, void *context) {
    int64_t met = 0;

    for (uint32_t number = 0; number < STRIATE_SEGMENT_BUCKETS; number++) {
        striate_bucket *bucket = &segment[number];
        striate_bucket *ahead = &segment[(number + 2) & (STRIATE_SEGMENT_BUCKETS - 1)];

        for (uint32_t slot = 0; slot < STRIATE_SLOTS; slot++)
            if (ahead->ref[slot])
                __builtin_prefetch(striate_entry_at(stripe, ahead->ref[slot]));
        for (uint32_t slot = 0; slot < STRIATE_SLOTS; slot++) {
            if (!bucket->ref[slot])
                continue;
            met++;
            if (visit(context, stripe, striate_entry_at(stripe, bucket->ref[slot])) == STRIATE_VISIT_REMOVE)
                striate_stripe_remove(stripe, (striate_place){bucket, segment, slot}, STRIATE_DELETED);
        }
    }
    return met;
}

int64_t striate_table_visit(striate_table *table, uint64_t *cursor, striate_visitor *visit, void *context) {
    uint32_t number = (uint32_t)(*cursor >> 32);
    uint32_t place = (uint32_t)*cursor;
    striate_stripe *stripe = striate_lock(table, number);
    striate_bucket *segment = striate_index_walk(stripe, &place);
    int64_t met = segment ? visit_segment(stripe, segment, visit, context) : 0;

    striate_unlock(stripe);
    if (segment)
        *cursor = (uint64_t)number << 32 | place;
    else
        *cursor = number + 1 < table->stripe_count ? (uint64_t)(number + 1) << 32 : 0;
    return met;
}
