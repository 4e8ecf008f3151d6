/* Many keys in one call, without the GIL.
 *
 * The keys are sorted by stripe, and a stripe is locked once for all of its keys. Their buckets are asked of memory
 * together, then their entries: a miss that is waited for alone costs some 200 ns, one of many some 40.
 */
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "hashindex.h"

#define MOST_EXPECTED_BYTES (1 << 20)

void striate_sort_items(striate_table *table, striate_item *items, uint32_t count, uint32_t *order) {
    uint32_t starts[STRIATE_MAX_STRIPES + 1];

    memset(starts, 0, (table->stripe_count + 1) * sizeof *starts);
    for (uint32_t number = 0; number < count; number++) {
        striate_key *key = &items[number].key;

        key->hash = striate_table_hash(table, key->bytes, key->size, key->space);
        starts[striate_table_stripe_of(table, key->hash) + 1]++;
    }
    for (uint32_t stripe = 0; stripe < table->stripe_count; stripe++)
        starts[stripe + 1] += starts[stripe];
    for (uint32_t number = 0; number < count; number++)
        order[starts[striate_table_stripe_of(table, items[number].key.hash)]++] = number;
}

/* The end of the run of items that belong to one stripe. */
static uint32_t run_end(striate_table *table, const striate_item *items, uint32_t count, const uint32_t *order,
                        uint32_t start) {
    uint32_t stripe = striate_table_stripe_of(table, items[order[start]].key.hash);
    uint32_t end = start + 1;

    while (end < count && striate_table_stripe_of(table, items[order[end]].key.hash) == stripe)
        end++;
    return end;
}

static striate_stripe *lock_run(striate_table *table, const striate_item *items, const uint32_t *order, uint32_t start,
                                uint32_t end) {
    striate_stripe *stripe = striate_lock(table, striate_table_stripe_of(table, items[order[start]].key.hash));

    for (uint32_t number = start; number < end; number++)
        striate_prefetch_bucket(stripe, items[order[number]].key.hash);
    for (uint32_t number = start; number < end; number++)
        striate_prefetch_entry(stripe, items[order[number]].key.hash);
    return stripe;
}

/* `left`: how many values may follow; they are reckoned as large as this one. */
static int append_value(striate_output *output, striate_item *item, striate_entry *entry, uint64_t left) {
    uint64_t needed = output->size + entry->value_size;

    if (needed > output->capacity) {
        uint64_t expected = left * entry->value_size;
        uint64_t capacity = 2 * needed + (expected < MOST_EXPECTED_BYTES ? expected : MOST_EXPECTED_BYTES);
        char *bytes = realloc(output->bytes, capacity);

        if (!bytes)
            return STRIATE_NO_MEMORY;
        output->bytes = bytes;
        output->capacity = capacity;
    }
    item->start = output->size;
    item->size = entry->value_size;
    item->flags = entry->flags;
    if (entry->value_size)
        memcpy(output->bytes + output->size, striate_entry_value(entry), entry->value_size);
    output->size = needed;
    return 0;
}

int striate_get_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order, int64_t now,
                     striate_output *output) {
    int status = 0;

    for (uint32_t start = 0, end; start < count && status == 0; start = end) {
        striate_stripe *stripe;

        end = run_end(table, items, count, order, start);
        stripe = lock_run(table, items, order, start, end);
        for (uint32_t number = start; number < end && status == 0; number++) {
            striate_item *item = &items[order[number]];
            striate_place place;
            striate_entry *entry = striate_access(stripe, &item->key, now, &place);

            item->status = entry ? STRIATE_DONE : STRIATE_ABSENT;
            if (entry)
                status = append_value(output, item, entry, count - number);
        }
        striate_unlock(stripe);
    }
    return status;
}

/* Stores one item of a locked stripe; where it cannot make room alone, the lock is let go for a while. */
static int store_item(striate_table *table, striate_stripe *stripe, striate_item *item, int64_t now,
                      striate_options *options) {
    uint64_t version;
    int status;

    options->flags = item->flags;
    status = striate_store(stripe, &item->key, item->value, item->size, now, options, &version);

    if (status == STRIATE_SHORT) {
        striate_unlock(stripe);
        status = striate_set(table, &item->key, item->value, item->size, now, options, &version);
        striate_lock(table, (uint32_t)(stripe - table->stripes));
    }
    item->status = (int16_t)status;
    return status;
}

int striate_set_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order, int64_t now,
                     const striate_options *options) {
    striate_options own = *options;
    int first_refusal = 0;

    for (uint32_t start = 0, end; start < count; start = end) {
        striate_stripe *stripe;

        end = run_end(table, items, count, order, start);
        stripe = lock_run(table, items, order, start, end);
        for (uint32_t number = start; number < end; number++) {
            int status = store_item(table, stripe, &items[order[number]], now, &own);

            if (status < 0 && first_refusal == 0)
                first_refusal = status;
        }
        striate_unlock(stripe);
    }
    return first_refusal;
}

int64_t striate_delete_many(striate_table *table, striate_item *items, uint32_t count, const uint32_t *order,
                            int64_t now) {
    int64_t deleted = 0;

    for (uint32_t start = 0, end; start < count; start = end) {
        striate_stripe *stripe;

        end = run_end(table, items, count, order, start);
        stripe = lock_run(table, items, order, start, end);
        for (uint32_t number = start; number < end; number++) {
            striate_item *item = &items[order[number]];
            striate_place place;

            item->status = STRIATE_ABSENT;
            if (!striate_find_alive(stripe, &item->key, now, &place))
                continue;
            stripe->source = item->key.source;
            striate_stripe_remove(stripe, place, STRIATE_DELETED);
            item->status = STRIATE_DONE;
            deleted++;
        }
        striate_unlock(stripe);
    }
    return deleted;
}
