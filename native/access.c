#include "access.h"

#include <stdlib.h>
#include <string.h>

#include "changes.h"
#include "eviction.h"
#include "hashindex.h"
#include "wheel.h"

/* Expired entries that a write drops on its way, where there are any. */
#define EXPIRE_AT_ONCE 16

static striate_stripe *lock_for(striate_table *table, const striate_key *key) {
    return striate_lock(table, striate_table_stripe_of(table, key->hash));
}

static striate_stripe *try_lock_for(striate_table *table, const striate_key *key) {
    striate_stripe *stripe = &table->stripes[striate_table_stripe_of(table, key->hash)];

    return striate_try_lock(&stripe->lock) ? stripe : NULL;
}

striate_entry *striate_find_alive(striate_stripe *stripe, const striate_key *key, int64_t now, striate_place *place) {
    striate_entry *entry = striate_index_find(stripe, key, place);

    if (!entry || !(entry->flags & STRIATE_TIMED) || striate_entry_end(entry) > now)
        return entry;
    striate_stripe_remove(stripe, *place, STRIATE_EXPIRED);
    place->bucket = NULL;
    return NULL;
}

striate_entry *striate_access(striate_stripe *stripe, const striate_key *key, int64_t now, striate_place *place) {
    striate_entry *entry = striate_find_alive(stripe, key, now, place);

    if (!entry) {
        stripe->counts[key->space].misses++;
        return NULL;
    }
    stripe->counts[key->space].hits++;
    if (entry->flags & STRIATE_IDLE)
        striate_entry_idle(entry)->used = now;
    striate_access_hit(stripe, place);
    return entry;
}

/* Gives the lock back. */
static int get_from(striate_stripe *stripe, const striate_key *key, int64_t now, int peek, char *buffer,
                    uint64_t capacity, striate_found *found) {
    striate_place place;
    striate_entry *entry =
        peek ? striate_find_alive(stripe, key, now, &place) : striate_access(stripe, key, now, &place);

    if (!entry) {
        striate_unlock(stripe);
        return STRIATE_ABSENT;
    }
    found->version = entry->version;
    found->size = entry->value_size;
    found->flags = entry->flags;
    if (capacity && entry->value_size <= capacity) /* without, there is no buffer */
        memcpy(buffer, striate_entry_value(entry), entry->value_size);
    striate_unlock(stripe);
    return STRIATE_DONE;
}

int striate_get(striate_table *table, const striate_key *key, int64_t now, int peek, char *buffer, uint64_t capacity,
                striate_found *found) {
    return get_from(lock_for(table, key), key, now, peek, buffer, capacity, found);
}

int striate_try_get(striate_table *table, const striate_key *key, int64_t now, int peek, char *buffer,
                    uint64_t capacity, striate_found *found) {
    striate_stripe *stripe = try_lock_for(table, key);

    return stripe ? get_from(stripe, key, now, peek, buffer, capacity, found) : STRIATE_BUSY;
}

/* ---------------------------------------------------------------- writing */

static inline void set_timer(striate_stripe *stripe, striate_entry *entry, const striate_place *place, int64_t now,
                      const striate_options *options) {
    striate_timer *timer = striate_entry_timer(entry);
    int64_t filed_for = timer->previous ? striate_entry_end(entry) : 0;

    timer->deadline = options->deadline;
    if (entry->flags & STRIATE_IDLE)
        *striate_entry_idle(entry) = (striate_idle){now, options->idle};
    /* One that is filed too early is filed again when its list comes up. */
    if (!timer->previous || striate_entry_end(entry) < filed_for)
        striate_wheel_add(stripe, place->bucket->ref[place->slot]);
}

static inline uint8_t parts_of(const striate_options *options) {
    uint8_t idle = options->idle != STRIATE_NEVER ? STRIATE_IDLE | STRIATE_TIMED : 0;

    return (uint8_t)((options->flags & STRIATE_USER_FLAGS) | idle |
                     (options->deadline != STRIATE_NEVER ? STRIATE_TIMED : 0) |
                     (options->tag_count ? STRIATE_TAGGED : 0));
}

/* For listeners: what is about to be written over the entry at `place`. */
static striate_change *new_change(striate_stripe *stripe, const striate_key *key, const striate_place *place,
                                  const char *value, uint32_t size, uint8_t flags) {
    striate_entry *old = place->bucket ? striate_entry_at(stripe, place->bucket->ref[place->slot]) : NULL;
    striate_change *change = striate_change_new(key, old, size);

    if (!change)
        return NULL;
    change->new_flags = flags;
    memcpy(change->bytes + key->size + change->old_size, value, size);
    return change;
}

/* Makes or overwrites the entry at `place`. */
static int write_entry(striate_stripe *stripe, const striate_key *key, striate_place *place, const char *value,
                       uint32_t size, int64_t now, const striate_options *options, uint64_t *version) {
    uint8_t flags = parts_of(options);
    int kind = options->mode == STRIATE_PATCH ? STRIATE_PATCHED : place->bucket ? STRIATE_REPLACED : STRIATE_CREATED;
    int watched = striate_is_watched(stripe->table) && options->mode != STRIATE_QUIETLY;
    striate_change *change = watched ? new_change(stripe, key, place, value, size, flags) : NULL;
    striate_entry *entry;
    int status = flags & STRIATE_TIMED ? striate_wheel_ready(stripe, now) : 0;

    if (status == 0)
        status = striate_stripe_put(stripe, key, size, flags, options->tag_count, place, &entry);
    if (status != 0) {
        free(change);
        return status;
    }
    if (watched)
        striate_change_publish(stripe->table, change, kind);
    if (size)
        memcpy(striate_entry_value(entry), value, size);
    if (flags & STRIATE_TAGGED)
        memcpy(striate_entry_tags(entry), options->tags, 8ull * options->tag_count);
    if (flags & STRIATE_TIMED) {
        set_timer(stripe, entry, place, now, options);
        if (!__atomic_load_n(&stripe->table->timed, __ATOMIC_RELAXED))
            __atomic_store_n(&stripe->table->timed, 1, __ATOMIC_RELAXED);
    }
    *version = entry->version;
    return STRIATE_DONE;
}

/* As write_entry where nothing changes but the value's bytes and the times. */
static inline void overwrite(striate_stripe *stripe, striate_entry *entry, const striate_place *place,
                             const char *value, int64_t now, const striate_options *options) {
    memcpy(striate_entry_value(entry), value, entry->value_size);
    if (entry->flags & STRIATE_TIMED)
        set_timer(stripe, entry, place, now, options);
    entry->version = ++stripe->version;
    stripe->counts[entry->space].updates++;
    striate_access_hit(stripe, place);
}

int striate_store(striate_stripe *stripe, const striate_key *key, const char *value, uint32_t size, int64_t now,
                  const striate_options *options, uint64_t *version) {
    striate_place place;
    striate_entry *entry;

    if (stripe->timed && now >> STRIATE_TICK_BITS > stripe->wheel->tick)
        striate_stripe_expire(stripe, now, EXPIRE_AT_ONCE);
    entry = striate_find_alive(stripe, key, now, &place);
    if (options->mode != STRIATE_SET) {
        if (options->mode == STRIATE_ADD && entry)
            return STRIATE_PRESENT;
        if (options->mode != STRIATE_ADD && !entry)
            return STRIATE_ABSENT;
        if (options->mode == STRIATE_COMPARE && entry->version != options->expected)
            return STRIATE_CHANGED;
    }
    if (entry && entry->value_size == size && entry->flags == parts_of(options) && !options->tag_count &&
        !striate_is_watched(stripe->table)) {
        overwrite(stripe, entry, &place, value, now, options);
        *version = entry->version;
        return STRIATE_DONE;
    }
    return write_entry(stripe, key, &place, value, size, now, options, version);
}

/* What an entry for it may cost at most. */
static int64_t room_for(const striate_key *key, uint64_t size, uint64_t tag_count) {
    return (int64_t)striate_slab_cell_bytes(sizeof(striate_entry) + 40 + key->size + size + 8 * tag_count) +
           STRIATE_PLACE_BYTES;
}

int striate_set(striate_table *table, const striate_key *key, const char *value, uint32_t size, int64_t now,
                const striate_options *options, uint64_t *version) {
    for (;;) {
        striate_stripe *stripe = lock_for(table, key);
        int status = striate_store(stripe, key, value, size, now, options, version);

        striate_unlock(stripe);
        if (status == STRIATE_SHORT)
            status = striate_table_make_room(table, room_for(key, size, options->tag_count));
        else
            return status;
        if (status != 0)
            return status;
    }
}

int striate_try_set(striate_table *table, const striate_key *key, const char *value, uint32_t size, int64_t now,
                    const striate_options *options, uint64_t *version) {
    striate_stripe *stripe = try_lock_for(table, key);
    int status;

    if (!stripe)
        return STRIATE_BUSY;
    status = striate_store(stripe, key, value, size, now, options, version);
    striate_unlock(stripe);
    return status == STRIATE_SHORT ? STRIATE_BUSY : status;
}

int striate_delete(striate_table *table, const striate_key *key, int64_t now, uint64_t expected) {
    striate_stripe *stripe = lock_for(table, key);
    striate_place place;
    striate_entry *entry = striate_find_alive(stripe, key, now, &place);
    int status = !entry ? STRIATE_ABSENT : expected && entry->version != expected ? STRIATE_CHANGED : STRIATE_DONE;

    if (status == STRIATE_DONE) {
        stripe->source = key->source;
        striate_stripe_remove(stripe, place, STRIATE_DELETED);
    }
    striate_unlock(stripe);
    return status;
}

/* ---------------------------------------------------------------- changing what is there */

/* Writes an entry anew with another value or other times; its flags and tags stay. `value` must not lie in it. */
static int rewrite(striate_stripe *stripe, const striate_key *key, striate_place *place, const char *value,
                   uint32_t size, int64_t now, int64_t deadline, int64_t idle, int mode) {
    striate_entry *entry = striate_entry_at(stripe, place->bucket->ref[place->slot]);
    uint64_t tags[STRIATE_MAX_TAGS];
    striate_options options = {
        .mode = mode, .flags = entry->flags, .deadline = deadline, .idle = idle, .tags = tags};
    uint64_t version;

    if (entry->flags & STRIATE_TAGGED) {
        options.tag_count = (uint32_t)*striate_entry_tag_count(entry);
        memcpy(tags, striate_entry_tags(entry), 8ull * options.tag_count);
    }
    return write_entry(stripe, key, place, value, size, now, &options, &version);
}

static int touch_entry(striate_stripe *stripe, const striate_key *key, striate_place *place, int64_t now,
                       int64_t deadline, int64_t idle) {
    striate_entry *entry = striate_entry_at(stripe, place->bucket->ref[place->slot]);
    striate_options options = {.flags = entry->flags, .deadline = deadline, .idle = idle};
    uint32_t size = entry->value_size;
    char *copy;
    int status;

    if (((parts_of(&options) ^ entry->flags) & (STRIATE_TIMED | STRIATE_IDLE)) == 0) {
        if (entry->flags & STRIATE_TIMED)
            set_timer(stripe, entry, place, now, &options);
        return STRIATE_DONE;
    }
    copy = malloc(size ? size : 1);
    if (!copy)
        return STRIATE_NO_MEMORY;
    memcpy(copy, striate_entry_value(entry), size);
    status = rewrite(stripe, key, place, copy, size, now, deadline, idle, STRIATE_QUIETLY);
    free(copy);
    return status;
}

int striate_touch(striate_table *table, const striate_key *key, int64_t now, int64_t deadline, int64_t idle) {
    for (;;) {
        striate_stripe *stripe = lock_for(table, key);
        striate_place place;
        striate_entry *entry = striate_find_alive(stripe, key, now, &place);
        int64_t room = entry ? room_for(key, striate_entry_bytes(entry), 0) : 0;
        int status = entry ? touch_entry(stripe, key, &place, now, deadline, idle) : STRIATE_ABSENT;

        striate_unlock(stripe);
        if (status == STRIATE_SHORT)
            status = striate_table_make_room(table, room);
        else
            return status;
        if (status != 0)
            return status;
    }
}

/* 1 and the number, if all of the bytes are one: -?(0|[1-9][0-9]*). */
static int parse_number(const char *bytes, uint32_t size, int64_t *number) {
    uint32_t place = size && bytes[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + place;
    uint64_t magnitude = 0;

    if (place == size || size > 20 || (bytes[place] == '0' && size > 1))
        return 0;
    for (uint32_t digit = place; digit < size; digit++) {
        uint32_t value = (uint32_t)(unsigned char)bytes[digit] - '0';

        if (value > 9 || magnitude > (limit - value) / 10)
            return 0;
        magnitude = magnitude * 10 + value;
    }
    *number = place ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return 1;
}

static uint32_t print_number(int64_t number, char digits[24]) {
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    uint32_t start = 24;

    do {
        digits[--start] = (char)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude);
    if (number < 0)
        digits[--start] = '-';
    memmove(digits, digits + start, 24 - start);
    return 24 - start;
}

static int increment_entry(striate_stripe *stripe, const striate_key *key, int64_t now, int64_t delta, int64_t *sum) {
    striate_place place;
    striate_entry *entry = striate_find_alive(stripe, key, now, &place);
    int64_t deadline = STRIATE_NEVER;
    int64_t idle = STRIATE_NEVER;
    int64_t number;
    char digits[24];

    if (!entry)
        return STRIATE_ABSENT;
    if (!parse_number(striate_entry_value(entry), entry->value_size, &number) ||
        __builtin_add_overflow(number, delta, sum))
        return STRIATE_MISFIT;
    if (entry->flags & STRIATE_TIMED)
        deadline = striate_entry_timer(entry)->deadline;
    if (entry->flags & STRIATE_IDLE)
        idle = striate_entry_idle(entry)->limit;
    return rewrite(stripe, key, &place, digits, print_number(*sum, digits), now, deadline, idle, STRIATE_PATCH);
}

int striate_increment(striate_table *table, const striate_key *key, int64_t now, int64_t delta, int64_t *sum) {
    for (;;) {
        striate_stripe *stripe = lock_for(table, key);
        int status = increment_entry(stripe, key, now, delta, sum);

        striate_unlock(stripe);
        if (status == STRIATE_SHORT)
            status = striate_table_make_room(table, room_for(key, 24, STRIATE_MAX_TAGS));
        else
            return status;
        if (status != 0)
            return status;
    }
}

int striate_end(striate_table *table, const striate_key *key, int64_t now, int64_t *end) {
    striate_stripe *stripe = lock_for(table, key);
    striate_place place;
    striate_entry *entry = striate_find_alive(stripe, key, now, &place);

    if (entry)
        *end = entry->flags & STRIATE_TIMED ? striate_entry_end(entry) : STRIATE_NEVER;
    striate_unlock(stripe);
    return entry ? STRIATE_DONE : STRIATE_ABSENT;
}
