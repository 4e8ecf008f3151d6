/* Threads on two indexes of durable tables, to be run under ThreadSanitizer (test_table_threads.py builds it).
 *
 * A counter stands for the log and a thread for the disk. A key is always changed in both indexes by one transaction of
 * two records, so whoever holds both of its stripes must see both or neither, durable or not.
 * Usage: keyindex_stress THREADS STEPS
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyindex.h"

#define KEYS 50

static striate_keyindex *indexes[2];
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t written, target, durable; /* versions; `durable` atomic, the others under the lock */
static uint64_t steps;
static int done; /* atomic */
static __thread uint64_t met[KEYS]; /* the latest version of each pair that the thread has written or seen */

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

static uint64_t durable_now(void) { return __atomic_load_n(&durable, __ATOMIC_ACQUIRE); }

static void make_key(int which, const char *kind, uint64_t number, char text[24], striate_key *key) {
    memset(key, 0, sizeof *key);
    key->bytes = text;
    key->size = (uint32_t)snprintf(text, 24, "%s %u", kind, (unsigned)number);
    key->hash = striate_table_hash(indexes[which]->latest, key->bytes, key->size, 0);
}

static void make_pair(uint64_t number, char texts[2][24], striate_key keys[2], striate_hold holds[2]) {
    for (int which = 0; which < 2; which++) {
        make_key(which, "pair", number, texts[which], &keys[which]);
        holds[which] = (striate_hold){indexes[which], striate_hold_of(indexes[which], keys[which].hash)};
    }
}

static void hold(const striate_hold *holds, int count) {
    if (!striate_hold_lock(holds, count, 0))
        striate_hold_lock(holds, count, 1);
}

/* Into the log: the versions of the records, and how far the disk is. */
static void append(striate_edit *edits, int count, striate_horizon *horizon) {
    pthread_mutex_lock(&write_lock);
    for (int number = 0; number < count; number++) {
        edits[number].after.version = ++written;
        __atomic_fetch_add(&edits[number].index->changes, 1, __ATOMIC_SEQ_CST);
    }
    horizon->target = target;
    horizon->durable = durable_now();
    pthread_mutex_unlock(&write_lock);
}

static void change(striate_edit *edits, int count, const striate_hold *holds, int64_t now) {
    striate_horizon horizon;

    hold(holds, count);
    for (int number = 0; number < count; number++)
        if (striate_edit_check(&edits[number], now) != STRIATE_DONE)
            fail("a change without a condition was refused");
    append(edits, count, &horizon);
    for (int number = 0; number < count; number++)
        if (striate_edit_apply(&edits[number], now, &horizon) != 0)
            fail("no memory");
    striate_hold_unlock(holds, count);
}

static striate_edit edit_of(int which, const striate_key *key, int removes, int64_t deadline, int alone) {
    striate_edit edit;

    memset(&edit, 0, sizeof edit);
    edit.index = indexes[which];
    edit.key = *key;
    edit.removes = (uint8_t)removes;
    edit.alone = (uint8_t)alone;
    edit.deadline = deadline;
    return edit;
}

static void change_pair(uint64_t number, int removes) {
    char texts[2][24];
    striate_key keys[2];
    striate_hold holds[2];
    striate_edit edits[2];

    make_pair(number, texts, keys, holds);
    for (int which = 0; which < 2; which++)
        edits[which] = edit_of(which, &keys[which], removes, STRIATE_NEVER, 0);
    change(edits, 2, holds, 1);
    met[number] = removes ? 0 : edits[0].after.version;
}

static void change_timed(uint64_t number, int64_t now) {
    char text[24];
    striate_key key;
    striate_hold one;
    striate_edit edit;

    make_key(0, "timed", number, text, &key);
    one = (striate_hold){indexes[0], striate_hold_of(indexes[0], key.hash)};
    edit = edit_of(0, &key, 0, now + (1 << 20), 1);
    change(&edit, 1, &one, now);
}

static void check_pair(striate_spot one, striate_spot other) {
    if (one.version ? other.version != one.version + 1 : other.version != 0)
        fail("half of a transaction");
}

static void read_pair(uint64_t number) {
    char texts[2][24];
    striate_key keys[2];
    striate_hold holds[2];
    striate_spot spots[2];
    uint64_t seen;

    make_pair(number, texts, keys, holds);
    hold(holds, 2);
    seen = durable_now();
    for (int which = 0; which < 2; which++)
        spots[which] = striate_keyindex_visible(indexes[which], &keys[which], seen);
    check_pair(spots[0], spots[1]);
    if (spots[1].version > seen)
        fail("visible before it is durable");
    if (spots[0].version && spots[0].version < met[number] && met[number] <= seen)
        fail("a later state is durable");
    if (spots[0].version > met[number])
        met[number] = spots[0].version;
    for (int which = 0; which < 2; which++)
        spots[which] = striate_keyindex_latest(indexes[which], &keys[which], 1);
    check_pair(spots[0], spots[1]);
    if (spots[0].version)
        striate_keyindex_move(indexes[0], &keys[0], (striate_spot){spots[0].version, (uint32_t)number});
    striate_hold_unlock(holds, 2);
}

static void walk_some(uint64_t *cursor, int64_t now) {
    striate_keywalk walk;

    memset(&walk, 0, sizeof walk);
    walk.index = indexes[0];
    walk.prefix = "pair";
    walk.prefix_size = 4;
    walk.durable = durable_now();
    walk.now = now;
    striate_keywalk_leaving(&walk);
    walk.cursor = *cursor;
    striate_keywalk_next(&walk);
    *cursor = walk.cursor;
    if (walk.no_memory)
        fail("no memory");
    free(walk.found);
}

static void *work(void *argument) {
    uint64_t state = 88172645463325252ull + 7919 * (uint64_t)(uintptr_t)argument;
    uint64_t cursor = 0;

    for (uint64_t step = 0; step < steps; step++) {
        uint64_t random = next_random(&state), number = (random >> 20) % KEYS;
        uint64_t kind = random % 100;

        if (kind < 45)
            read_pair(number);
        else if (kind < 85)
            change_pair(number, random >> 60 == 0);
        else if (kind < 98)
            change_timed(number, 1 + (int64_t)step * 4096);
        else
            walk_some(&cursor, (int64_t)step * 4096);
    }
    return NULL;
}

/* The disk: what is written when a sync begins is durable when it ends. */
static void *sync_again_and_again(void *argument) {
    (void)argument;
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
        uint64_t reached;

        pthread_mutex_lock(&write_lock);
        reached = target = written;
        pthread_mutex_unlock(&write_lock);
        for (int which = 0; which < 2; which++)
            if (striate_keyindex_wants_sweep(indexes[which]))
                striate_keyindex_sweep(indexes[which], durable_now());
        for (int turn = 0; turn < 2; turn++) /* it takes a while */
            sched_yield();
        __atomic_store_n(&durable, reached, __ATOMIC_RELEASE);
    }
    return NULL;
}

int main(int count, char **arguments) {
    const uint64_t hash_key[2] = {1, 2};
    int threads = count > 1 ? atoi(arguments[1]) : 4;
    pthread_t workers[64], disk;

    steps = count > 2 ? strtoull(arguments[2], NULL, 10) : 10000;
    for (int which = 0; which < 2; which++)
        if (!(indexes[which] = striate_keyindex_new((uint64_t)which, hash_key, 1)))
            fail("no memory");
    pthread_create(&disk, NULL, sync_again_and_again, NULL);
    for (int number = 0; number < threads; number++)
        pthread_create(&workers[number], NULL, work, (void *)(uintptr_t)(number + 1));
    for (int number = 0; number < threads; number++)
        pthread_join(workers[number], NULL);
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    pthread_join(disk, NULL);
    for (uint64_t number = 0; number < KEYS; number++)
        read_pair(number);
    striate_keyindex_free(indexes[0]);
    striate_keyindex_free(indexes[1]);
    puts("done");
    return 0;
}
