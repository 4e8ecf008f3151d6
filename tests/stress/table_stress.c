/* Threads on one striped table, to be run under ThreadSanitizer (test_table_sanitized.py builds it).
 *
 * Every value says which key it belongs to, so a thread that reads another key's bytes, or half-written ones, notices.
 * Usage: table_stress THREADS STEPS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "changes.h"

#define KEYS 4096
#define BATCH 64

static striate_table *table;
static int64_t clock_now = 1; /* atomic */
static uint64_t steps;

static void fail(const char *text) {
    fprintf(stderr, "%s\n", text);
    abort();
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void make_key(uint64_t number, char text[24], striate_key *key) {
    key->bytes = text;
    key->size = (uint32_t)snprintf(text, 24, "key %u", (unsigned)number);
    key->space = key->source = 0;
    key->hash = striate_table_hash(table, key->bytes, key->size, 0);
}

static void check(const char *value, uint64_t size, uint64_t number) {
    for (uint64_t place = 0; place < size; place++)
        if (value[place] != (char)('a' + number % 26))
            fail("a value of another key");
}

static void set_one(uint64_t number, uint64_t random, int64_t now) {
    striate_options options = {.deadline = random % 4 ? STRIATE_NEVER : now + (int64_t)(random >> 40),
                               .idle = random % 16 ? STRIATE_NEVER : 1 << 26};
    char text[24], value[600];
    uint64_t version;
    uint32_t size;
    striate_key key;
    int status;

    make_key(number, text, &key);
    memset(value, (char)('a' + number % 26), sizeof value);
    options.mode = (int32_t)(random >> 8 & 1);
    size = (uint32_t)(random >> 16) % sizeof value;
    status = striate_try_set(table, &key, value, size, now, &options, &version);
    if (status == STRIATE_BUSY)
        status = striate_set(table, &key, value, size, now, &options, &version);
    if (status < 0)
        fail("set was refused");
}

static void get_one(uint64_t number, int64_t now) {
    char text[24], value[600];
    striate_found found;
    striate_key key;
    int status;

    make_key(number, text, &key);
    status = striate_try_get(table, &key, now, 0, value, sizeof value, &found);
    if (status == STRIATE_BUSY)
        status = striate_get(table, &key, now, 0, value, sizeof value, &found);
    if (status == STRIATE_DONE)
        check(value, found.size, number);
}

static void many(uint64_t *state, int64_t now) {
    striate_item items[BATCH];
    uint32_t order[BATCH];
    uint64_t numbers[BATCH];
    char texts[BATCH][24], values[BATCH][40];
    striate_options options = {.deadline = STRIATE_NEVER, .idle = STRIATE_NEVER};
    striate_output output = {NULL, 0, 0};

    memset(items, 0, sizeof items);
    for (int place = 0; place < BATCH; place++) {
        numbers[place] = next_random(state) % KEYS;
        make_key(numbers[place], texts[place], &items[place].key);
        memset(values[place], (char)('a' + numbers[place] % 26), sizeof values[place]);
        items[place].value = values[place];
        items[place].size = sizeof values[place];
    }
    striate_sort_items(table, items, BATCH, order);
    if (striate_set_many(table, items, BATCH, order, now, &options) != 0)
        fail("set_many was refused");
    if (striate_get_many(table, items, BATCH, order, now, &output) != 0)
        fail("get_many was refused");
    for (int place = 0; place < BATCH; place++)
        if (items[place].status == STRIATE_DONE)
            check(output.bytes + items[place].start, items[place].size, numbers[place]);
    free(output.bytes);
}

static int visitor(void *context, striate_stripe *stripe, striate_entry *entry) {
    (void)stripe;
    *(uint64_t *)context += entry->value_size;
    return entry->version % 64 == 0 ? STRIATE_VISIT_REMOVE : STRIATE_VISIT_KEEP;
}

static void walk(uint64_t *cursor, int64_t now) {
    uint64_t seen = 0;

    int64_t lost;
    striate_change *change = striate_table_take_changes(table, &lost);

    while (change) {
        striate_change *next = change->next;

        free(change);
        change = next;
    }
    striate_table_visit(table, cursor, visitor, &seen);
    for (uint32_t number = 0; number < table->stripe_count; number++) {
        striate_stripe *stripe = striate_lock(table, number);

        striate_stripe_expire(stripe, now, 10);
        striate_unlock(stripe);
    }
}

static void transfer(uint64_t *state) {
    char texts[2][24];
    striate_key keys[2];
    uint32_t first, second;

    for (int place = 0; place < 2; place++)
        make_key(next_random(state) % KEYS, texts[place], &keys[place]);
    first = striate_table_stripe_of(table, keys[0].hash);
    second = striate_table_stripe_of(table, keys[1].hash);
    if (first > second) {
        uint32_t lower = second;

        second = first;
        first = lower;
    }
    striate_stripe *one = striate_lock(table, first);
    striate_stripe *other = first == second ? NULL : striate_lock(table, second);

    for (int place = 0; place < 2; place++) {
        striate_place where;

        striate_stripe_find(&table->stripes[striate_table_stripe_of(table, keys[place].hash)], &keys[place], &where);
    }
    if (other)
        striate_unlock(other);
    striate_unlock(one);
}

static void *work(void *argument) {
    uint64_t state = 88172645463325252ull + (uint64_t)(uintptr_t)argument * 7919;
    uint64_t cursor = 0;
    char text[24];
    striate_key key;

    for (uint64_t step = 0; step < steps; step++) {
        uint64_t random = next_random(&state);
        int64_t now = __atomic_add_fetch(&clock_now, 100000, __ATOMIC_RELAXED);

        switch (random >> 56 & 15) {
        case 0: many(&state, now); break;
        case 1: walk(&cursor, now); break;
        case 2: transfer(&state); break;
        case 3:
            make_key(random % KEYS, text, &key);
            striate_delete(table, &key, now, 0);
            break;
        case 4:
            make_key(random % KEYS, text, &key);
            striate_touch(table, &key, now, now + (int64_t)(random >> 36), STRIATE_NEVER);
            break;
        case 5: case 6: case 7: set_one(random % KEYS, next_random(&state), now); break;
        default: get_one(random % KEYS, now);
        }
    }
    return NULL;
}

/* With nobody at work the figures must add up: what was lent or is used is all there is. */
static void check_figures(void) {
    int64_t entries = table->pool_entries, bytes = table->pool_bytes;
    striate_counts counts;

    for (uint32_t number = 0; number < table->stripe_count; number++) {
        entries += table->stripes[number].spare_entries + table->stripes[number].entries;
        bytes += table->stripes[number].spare_bytes + table->stripes[number].bytes;
    }
    striate_table_counts(table, -1, &counts);
    if (entries != table->max_entries || bytes != table->max_bytes)
        fail("the loans do not add up");
    if (counts.entries > table->max_entries || counts.bytes > table->max_bytes)
        fail("a bound was passed");
}

int main(int count, char **arguments) {
    uint64_t hash_key[2] = {1, 2};
    pthread_t threads[64];
    int thread_count = count > 1 ? atoi(arguments[1]) : 4;

    steps = count > 2 ? strtoull(arguments[2], NULL, 10) : 20000;
    table = striate_table_new(16, hash_key, 2000, 400000);
    if (!table || thread_count > 64)
        return 2;
    striate_table_report(table, 100);
    for (int number = 0; number < thread_count; number++)
        if (pthread_create(&threads[number], NULL, work, (void *)(uintptr_t)(number + 1)))
            return 2;
    for (int number = 0; number < thread_count; number++)
        pthread_join(threads[number], NULL);
    check_figures();
    striate_table_free(table);
    puts("done");
    return 0;
}
