/* Walks over the keys of a durable table (keyindex.h). Each call of the table's visitor runs under a stripe's lock. */
#include <stdlib.h>
#include <string.h>

#include "keyindex.h"

#define WALK_BYTES 65536

static void note_key(striate_keywalk *walk, striate_entry *entry, striate_spot spot, int64_t deadline) {
    uint64_t needed = walk->size + 24 + entry->key_size;
    uint32_t key_size = entry->key_size;
    char *at;

    if (needed > walk->capacity) {
        uint64_t capacity = 2 * needed + 4096;
        char *found = realloc(walk->found, capacity);

        if (!found) {
            walk->no_memory = 1;
            return;
        }
        walk->found = found;
        walk->capacity = capacity;
    }
    at = walk->found + walk->size;
    memcpy(at, &key_size, 4);
    memcpy(at + 4, &spot.position, 4);
    memcpy(at + 8, &spot.version, 8);
    memcpy(at + 16, &deadline, 8);
    memcpy(at + 24, striate_entry_key(entry), key_size);
    walk->size = needed;
    walk->count++;
}

static int has_prefix(const striate_keywalk *walk, striate_entry *entry) {
    return entry->key_size >= walk->prefix_size &&
           memcmp(striate_entry_key(entry), walk->prefix, walk->prefix_size) == 0;
}

static int visit_key(void *context, striate_stripe *stripe, striate_entry *entry) {
    striate_keywalk *walk = context;
    int64_t deadline = entry->flags & STRIATE_TIMED ? striate_entry_timer(entry)->deadline : STRIATE_NEVER;
    striate_key key = {striate_entry_key(entry), 0, entry->key_size, 0, 0};
    striate_spot spot = {entry->version, 0};

    (void)stripe;
    if (walk->no_memory || !has_prefix(walk, entry))
        return STRIATE_VISIT_KEEP;
    memcpy(&spot.position, striate_entry_value(entry), sizeof spot.position);
    if (walk->index->settling && entry->version > walk->durable &&
        striate_is_settling(walk->index, &key, walk->durable, &spot)) {
        if (spot.version == 0)
            return STRIATE_VISIT_KEEP;
        /* The deadline of the state before is in its record. */
        deadline = STRIATE_NEVER;
    }
    if (deadline > walk->now)
        note_key(walk, entry, spot, deadline);
    return STRIATE_VISIT_KEEP;
}

void striate_keywalk_next(striate_keywalk *walk) {
    walk->size = 0;
    walk->count = 0;
    do {
        striate_table_visit(walk->index->latest, &walk->cursor, visit_key, walk);
    } while (walk->cursor && walk->size < WALK_BYTES && !walk->no_memory);
}

static int visit_leaving(void *context, striate_stripe *stripe, striate_entry *entry) {
    striate_keywalk *walk = context;
    striate_spot spot;

    (void)stripe;
    if (!walk->no_memory && has_prefix(walk, entry) && striate_settled_spot(entry, walk->durable, &spot) &&
        spot.version)
        note_key(walk, entry, spot, STRIATE_NEVER);
    return STRIATE_VISIT_KEEP;
}

void striate_keywalk_leaving(striate_keywalk *walk) {
    uint64_t cursor = 0;

    walk->size = 0;
    walk->count = 0;
    if (!walk->index->settling)
        return;
    do {
        striate_table_visit(walk->index->settling, &cursor, visit_leaving, walk);
    } while (cursor && !walk->no_memory);
}
