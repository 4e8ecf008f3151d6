#include "table.h"

#include <string.h>

#include "changes.h"
#include "eviction.h"
#include "hashindex.h"
#include "wheel.h"

_Static_assert(sizeof(striate_entry) == 16 && sizeof(striate_timer) == 16 && sizeof(striate_idle) == 16,
               "striate_entry_ahead counts on it");

/* ---------------------------------------------------------------- putting and removing */

static int64_t cost_of(uint64_t entry_bytes) {
    return (int64_t)striate_slab_cell_bytes(entry_bytes) + STRIATE_PLACE_BYTES;
}

static void account(striate_stripe *stripe, uint32_t space, int64_t entries, int64_t bytes) {
    stripe->counts[space].entries += entries;
    stripe->counts[space].bytes += bytes;
    stripe->entries += entries;
    stripe->bytes += bytes;
    if (stripe->table->bounded) {
        stripe->spare_entries -= entries;
        stripe->spare_bytes -= bytes;
    }
}

/* A cell with header and key filled in and the timer, if any, in no list; 0: no memory. */
static uint32_t new_entry(striate_stripe *stripe, const striate_key *key, uint32_t value_size, uint8_t flags,
                          uint32_t tag_count, uint64_t bytes) {
    uint32_t ref = striate_slab_allocate(&stripe->slab, bytes);
    striate_entry *entry;

    if (!ref)
        return 0;
    entry = striate_entry_at(stripe, ref);
    entry->value_size = value_size;
    entry->key_size = (uint16_t)key->size;
    entry->flags = flags;
    entry->space = (uint8_t)key->space;
    if (flags & STRIATE_TIMED)
        memset(entry + 1, 0, sizeof(striate_timer));
    if (flags & STRIATE_TAGGED)
        *striate_entry_tag_count(entry) = tag_count;
    memcpy(striate_entry_key(entry), key->bytes, key->size);
    return ref;
}

static void drop_cell(striate_stripe *stripe, uint32_t ref) {
    if (striate_entry_at(stripe, ref)->flags & STRIATE_TIMED)
        striate_wheel_remove(stripe, ref);
    striate_slab_release(&stripe->slab, ref);
}

static int put_new(striate_stripe *stripe, const striate_key *key, uint32_t value_size, uint8_t flags,
                   uint32_t tag_count, uint64_t bytes, striate_place *place) {
    int64_t cost = cost_of(bytes);
    int status = striate_reserve(stripe, 1, cost, 0);
    uint32_t ref;

    if (status != 0)
        return status;
    ref = new_entry(stripe, key, value_size, flags, tag_count, bytes);
    if (!ref)
        return STRIATE_NO_MEMORY;
    status = striate_index_place(stripe, key->hash, ref, striate_access_new(stripe, key->hash, flags), place);
    if (status != 0) {
        striate_slab_release(&stripe->slab, ref);
        return status;
    }
    account(stripe, key->space, 1, cost);
    striate_window_add(stripe, ref);
    stripe->counts[key->space].insertions++;
    return 0;
}

static int put_over(striate_stripe *stripe, const striate_key *key, uint32_t value_size, uint8_t flags,
                    uint32_t tag_count, uint64_t bytes, striate_place *place) {
    uint32_t old_ref = place->bucket->ref[place->slot];
    striate_entry *old = striate_entry_at(stripe, old_ref);
    uint8_t parts = STRIATE_TIMED | STRIATE_IDLE | STRIATE_TAGGED;
    uint64_t old_bytes = striate_entry_bytes(old);
    int64_t growth = bytes == old_bytes ? 0 : cost_of(bytes) - cost_of(old_bytes);
    uint32_t ref;
    int status;

    if (growth == 0 && ((old->flags ^ flags) & parts) == 0) {
        old->value_size = value_size;
        old->flags = flags;
        if (flags & STRIATE_TAGGED)
            *striate_entry_tag_count(old) = tag_count;
    } else {
        if (cost_of(bytes) > stripe->table->max_bytes)
            return STRIATE_NO_ROOM;
        status = growth > 0 ? striate_reserve(stripe, 0, growth, old_ref) : 0;
        if (status != 0)
            return status;
        ref = new_entry(stripe, key, value_size, flags, tag_count, bytes);
        if (!ref)
            return STRIATE_NO_MEMORY;
        drop_cell(stripe, old_ref);
        if (place->bucket->access[place->slot] & STRIATE_IN_WINDOW)
            striate_window_replace(stripe, old_ref, ref);
        place->bucket->ref[place->slot] = ref;
        account(stripe, key->space, 0, growth);
    }
    striate_access_update(stripe, place, flags);
    stripe->counts[key->space].updates++;
    return 0;
}

int striate_stripe_put(striate_stripe *stripe, const striate_key *key, uint32_t value_size, uint8_t flags,
                       uint32_t tag_count, striate_place *place, striate_entry **entry) {
    uint64_t bytes = sizeof **entry + striate_entry_ahead(flags) + key->size + value_size + 8ull * tag_count;
    int status = place->bucket ? put_over(stripe, key, value_size, flags, tag_count, bytes, place)
                               : put_new(stripe, key, value_size, flags, tag_count, bytes, place);

    if (status != 0)
        return status;
    *entry = striate_entry_at(stripe, place->bucket->ref[place->slot]);
    (*entry)->version = ++stripe->version;
    return 0;
}

void striate_stripe_remove(striate_stripe *stripe, striate_place place, int reason) {
    uint32_t ref = place.bucket->ref[place.slot];
    striate_entry *entry = striate_entry_at(stripe, ref);
    striate_counts *counts = &stripe->counts[entry->space];

    if (striate_is_watched(stripe->table)) {
        striate_key key = {striate_entry_key(entry), 0, entry->key_size, entry->space, stripe->source};

        striate_change_publish(stripe->table, striate_change_new(&key, entry, 0), reason);
    }
    stripe->source = 0;
    counts->evictions += reason == STRIATE_EVICTED;
    counts->expirations += reason == STRIATE_EXPIRED;
    counts->deletions += reason == STRIATE_DELETED;
    account(stripe, entry->space, -1, -cost_of(striate_entry_bytes(entry)));
    if (place.bucket->access[place.slot] & STRIATE_IN_WINDOW)
        striate_window_replace(stripe, ref, 0);
    striate_index_empty(place.segment, place.bucket, place.slot);
    drop_cell(stripe, ref);
    striate_return_spare(stripe);
}
