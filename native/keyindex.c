#include "keyindex.h"

#include <stdlib.h>
#include <string.h>

#include "wheel.h"

#define SWEEP_AT_LEAST 1024
/* Expired entries that a change drops on its way. */
#define EXPIRE_BESIDE 4

/* A state of a key, and the version of the record that made it so; the spot's own is 0 where that was a deletion. */
typedef struct key_state {
    uint64_t since;
    striate_spot spot;
} key_state;

/* What an entry of `settling` has for its value; its version is that of the key's latest record. */
typedef struct settled {
    key_state on_disk, on_its_way;
} settled;

striate_keyindex *striate_keyindex_new(uint64_t number, const uint64_t hash_key[2], int with_settling) {
    striate_keyindex *index = calloc(1, sizeof *index);

    if (!index)
        return NULL;
    index->number = number;
    index->sweep_at = SWEEP_AT_LEAST;
    index->latest = striate_table_new(STRIATE_KEYINDEX_STRIPES, hash_key, INT64_MAX, INT64_MAX);
    if (with_settling)
        index->settling = striate_table_new(1, hash_key, INT64_MAX, INT64_MAX);
    if (!index->latest || (with_settling && !index->settling)) {
        striate_keyindex_free(index);
        return NULL;
    }
    return index;
}

void striate_keyindex_free(striate_keyindex *index) {
    if (index->latest)
        striate_table_free(index->latest);
    if (index->settling)
        striate_table_free(index->settling);
    free(index);
}

/* ---------------------------------------------------------------- locks */

striate_stripe *striate_try_stripe(striate_table *table, uint32_t stripe) {
    return striate_try_lock(&table->stripes[stripe].lock) ? &table->stripes[stripe] : NULL;
}

static void unlock_stripes(striate_keyindex *index, uint64_t stripes) {
    for (; stripes; stripes &= stripes - 1)
        striate_unlock(&index->latest->stripes[__builtin_ctzll(stripes)]);
}

static int try_stripes(striate_keyindex *index, uint64_t stripes) {
    for (uint64_t left = stripes; left; left &= left - 1)
        if (!striate_try_stripe(index->latest, (uint32_t)__builtin_ctzll(left))) {
            unlock_stripes(index, stripes & ((left & -left) - 1));
            return 0;
        }
    return 1;
}

int striate_hold_lock(const striate_hold *holds, int64_t count, int wait) {
    for (int64_t number = 0; number < count; number++) {
        if (!wait) {
            if (try_stripes(holds[number].index, holds[number].stripes))
                continue;
            striate_hold_unlock(holds, number);
            return 0;
        }
        for (uint64_t left = holds[number].stripes; left; left &= left - 1)
            striate_lock(holds[number].index->latest, (uint32_t)__builtin_ctzll(left));
    }
    return 1;
}

void striate_hold_unlock(const striate_hold *holds, int64_t count) {
    for (int64_t number = 0; number < count; number++)
        unlock_stripes(holds[number].index, holds[number].stripes);
}

/* ---------------------------------------------------------------- looking up */

static striate_stripe *stripe_of(const striate_keyindex *index, const striate_key *key) {
    return &index->latest->stripes[striate_table_stripe_of(index->latest, key->hash)];
}

static striate_spot spot_of(striate_entry *entry) {
    striate_spot spot = {entry->version, 0};

    memcpy(&spot.position, striate_entry_value(entry), sizeof spot.position);
    return spot;
}

static int is_over(striate_entry *entry, int64_t now) {
    return entry->flags & STRIATE_TIMED && striate_entry_end(entry) <= now;
}

striate_spot striate_keyindex_latest(striate_keyindex *index, const striate_key *key, int64_t now) {
    striate_place place;
    striate_entry *entry = striate_stripe_find(stripe_of(index, key), key, &place);

    return entry && !is_over(entry, now) ? spot_of(entry) : (striate_spot){0, 0};
}

int striate_settled_spot(striate_entry *entry, uint64_t durable, striate_spot *seen) {
    settled states;

    if (entry->version <= durable)
        return 0;
    memcpy(&states, striate_entry_value(entry), sizeof states);
    *seen = states.on_its_way.since <= durable ? states.on_its_way.spot : states.on_disk.spot;
    return 1;
}

int striate_is_settling(striate_keyindex *index, const striate_key *key, uint64_t durable, striate_spot *seen) {
    striate_key own = *key;
    striate_stripe *stripe;
    striate_place place;
    striate_entry *entry;
    int settling;

    own.hash = striate_table_hash(index->settling, key->bytes, key->size, 0);
    stripe = striate_lock(index->settling, 0);
    entry = striate_stripe_find(stripe, &own, &place);
    settling = entry && striate_settled_spot(entry, durable, seen);
    striate_unlock(stripe);
    return settling;
}

striate_spot striate_keyindex_visible(striate_keyindex *index, const striate_key *key, uint64_t durable) {
    striate_place place;
    striate_entry *entry = striate_stripe_find(stripe_of(index, key), key, &place);
    striate_spot spot = entry ? spot_of(entry) : (striate_spot){0, 0};

    if (index->settling && (!entry || entry->version > durable))
        striate_is_settling(index, key, durable, &spot);
    return spot;
}

int striate_keyindex_seek(striate_keyindex *index, const striate_key *key, const uint64_t *durable, int64_t now,
                          int wait, striate_spot *spot) {
    uint32_t number = striate_table_stripe_of(index->latest, key->hash);
    striate_stripe *stripe = striate_try_stripe(index->latest, number);
    striate_place place;

    if (!stripe) {
        if (!wait)
            return 0;
        stripe = striate_lock(index->latest, number);
    }
    if (!durable)
        *spot = striate_keyindex_latest(index, key, now);
    else if (index->settling)
        *spot = striate_keyindex_visible(index, key, __atomic_load_n(durable, __ATOMIC_SEQ_CST));
    else {
        striate_entry *entry = striate_stripe_find(stripe, key, &place);

        *spot = entry ? spot_of(entry) : (striate_spot){0, 0};
    }
    striate_unlock(stripe);
    return 1;
}

int striate_edit_check(striate_edit *change, int64_t now) {
    striate_entry *entry = striate_stripe_find(stripe_of(change->index, &change->key), &change->key, &change->place);

    change->before = entry && !is_over(entry, now) ? spot_of(entry) : (striate_spot){0, 0};
    switch (change->condition) {
    case STRIATE_MUST_BE_ABSENT:
        return change->before.version ? STRIATE_PRESENT : STRIATE_DONE;
    case STRIATE_MUST_BE_PRESENT:
        return change->before.version ? STRIATE_DONE : STRIATE_ABSENT;
    case STRIATE_MUST_EQUAL:
        return change->before.version == change->expected ? STRIATE_DONE : STRIATE_CHANGED;
    default:
        return STRIATE_DONE;
    }
}

/* ---------------------------------------------------------------- changing */

/* The latest of three states, which ascend, that is not later than a version. */
static key_state latest_until(uint64_t version, const key_state states[3]) {
    return states[2].since <= version ? states[2] : states[1].since <= version ? states[1] : states[0];
}

/* Remembers, for readers, the states before a record that is not durable yet. `latest` is where the key's record was
 * until now. */
static int note_settling(striate_keyindex *index, const striate_key *key, uint64_t version, striate_spot latest,
                  const striate_horizon *horizon) {
    striate_key own = *key;
    key_state states[3] = {{0, latest}, {0, latest}, {0, latest}};
    settled kept;
    striate_stripe *stripe;
    striate_place place;
    striate_entry *entry;
    int status;

    own.hash = striate_table_hash(index->settling, key->bytes, key->size, 0);
    stripe = striate_lock(index->settling, 0);
    entry = striate_stripe_find(stripe, &own, &place);
    if (entry && entry->version > horizon->durable) {
        memcpy(&kept, striate_entry_value(entry), sizeof kept);
        states[0] = kept.on_disk;
        states[1] = kept.on_its_way;
        states[2].since = entry->version;
    }
    kept.on_disk = latest_until(horizon->durable, states);
    kept.on_its_way =
        latest_until(horizon->target > horizon->durable ? horizon->target : horizon->durable, states);
    status = striate_stripe_put(stripe, &own, sizeof kept, 0, 0, &place, &entry);
    if (status == 0) {
        memcpy(striate_entry_value(entry), &kept, sizeof kept);
        entry->version = version;
        __atomic_store_n(&index->settling_count, stripe->entries, __ATOMIC_RELAXED);
    }
    striate_unlock(stripe);
    return status;
}

static int put_spot(striate_stripe *stripe, const striate_key *key, striate_spot spot, int64_t deadline, int64_t now,
                    striate_place *place) {
    uint8_t flags = deadline != STRIATE_NEVER ? STRIATE_TIMED : 0;
    striate_entry *entry = place->bucket ? striate_entry_at(stripe, place->bucket->ref[place->slot]) : NULL;
    int status = flags ? striate_wheel_ready(stripe, now) : 0;

    if (entry && !((entry->flags | flags) & STRIATE_TIMED)) {
        /* The common case: nothing of the entry changes but what it says. */
        entry->version = spot.version;
        memcpy(striate_entry_value(entry), &spot.position, sizeof spot.position);
        return 0;
    }
    if (status == 0)
        status = striate_stripe_put(stripe, key, sizeof spot.position, flags, 0, place, &entry);
    if (status != 0)
        return status;
    entry->version = spot.version;
    memcpy(striate_entry_value(entry), &spot.position, sizeof spot.position);
    if (flags) {
        striate_entry_timer(entry)->deadline = deadline;
        striate_wheel_add(stripe, place->bucket->ref[place->slot]);
        __atomic_store_n(&stripe->table->timed, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

int striate_keyindex_load(striate_keyindex *index, const striate_key *key, striate_spot spot, int64_t deadline,
                          int64_t now) {
    striate_stripe *stripe = stripe_of(index, key);
    striate_place place;
    striate_entry *entry = striate_stripe_find(stripe, key, &place);

    if (spot.version && deadline > now)
        return put_spot(stripe, key, spot, deadline, now, &place);
    if (entry)
        striate_stripe_remove(stripe, place, STRIATE_DELETED);
    return 0;
}

int striate_edit_apply(striate_edit *change, int64_t now, const striate_horizon *horizon) {
    striate_keyindex *index = change->index;
    striate_stripe *stripe = stripe_of(index, &change->key);
    striate_place place = change->place;
    striate_entry *entry;
    int status = 0;

    if (change->alone)
        entry = place.bucket ? striate_entry_at(stripe, place.bucket->ref[place.slot]) : NULL;
    else
        entry = striate_stripe_find(stripe, &change->key, &place);
    if (index->settling)
        status = note_settling(index, &change->key, change->after.version,
                               entry ? spot_of(entry) : (striate_spot){0, 0}, horizon);
    if (status != 0)
        return status;
    if (!change->removes)
        status = put_spot(stripe, &change->key, change->after, change->deadline, now, &place);
    else if (entry)
        striate_stripe_remove(stripe, place, STRIATE_DELETED);
    if (stripe->timed && now >> STRIATE_TICK_BITS > stripe->wheel->tick)
        striate_stripe_expire(stripe, now, EXPIRE_BESIDE);
    return status;
}

void striate_keyindex_move(striate_keyindex *index, const striate_key *key, striate_spot spot) {
    striate_place place;
    striate_entry *entry = striate_stripe_find(stripe_of(index, key), key, &place);

    /* States that settle have theirs found by offset: they are few and short-lived. */
    if (entry && entry->version == spot.version)
        memcpy(striate_entry_value(entry), &spot.position, sizeof spot.position);
}

/* ---------------------------------------------------------------- sweeping */

static int is_left_over(void *context, striate_stripe *stripe, striate_entry *entry) {
    (void)stripe;
    return entry->version <= *(uint64_t *)context ? STRIATE_VISIT_REMOVE : STRIATE_VISIT_KEEP;
}

int striate_keyindex_wants_sweep(const striate_keyindex *index) {
    return index->settling && __atomic_load_n(&index->settling_count, __ATOMIC_RELAXED) >=
                                  __atomic_load_n(&index->sweep_at, __ATOMIC_RELAXED);
}

void striate_keyindex_sweep(striate_keyindex *index, uint64_t durable) {
    uint64_t cursor = 0;
    striate_stripe *stripe;
    int64_t left;

    do {
        striate_table_visit(index->settling, &cursor, is_left_over, &durable);
    } while (cursor);
    stripe = striate_lock(index->settling, 0);
    left = stripe->entries;
    __atomic_store_n(&index->settling_count, left, __ATOMIC_RELAXED);
    striate_unlock(stripe);
    __atomic_store_n(&index->sweep_at, 2 * left > SWEEP_AT_LEAST ? 2 * left : SWEEP_AT_LEAST, __ATOMIC_RELAXED);
}
