#include "hashindex.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16

_Static_assert(sizeof(striate_bucket) == 64, "a bucket is a cache line");

/* ---------------------------------------------------------------- look-up */

striate_entry *striate_stripe_find(striate_stripe *stripe, const striate_key *key, striate_place *place) {
    return striate_index_find(stripe, key, place);
}

/* ---------------------------------------------------------------- placing, and splitting what is full */

static uint32_t displacement_of(const striate_bucket *bucket, uint32_t slot) {
    return bucket->displacement >> 2 * slot & 3;
}

static int free_slot(const striate_bucket *bucket) {
    for (int slot = 0; slot < STRIATE_SLOTS; slot++)
        if (!bucket->ref[slot])
            return slot;
    return -1;
}

static void fill_slot(striate_bucket *bucket, uint32_t slot, uint32_t ref, uint16_t tag, uint8_t access,
                      uint32_t displacement) {
    bucket->ref[slot] = ref;
    bucket->tag[slot] = tag;
    bucket->access[slot] = access;
    bucket->displacement = (uint16_t)((bucket->displacement & ~(3u << 2 * slot)) | displacement << 2 * slot);
}

/* Adds `change` to the buckets that an entry in `number` has passed. */
static void note_passed(striate_bucket *segment, uint32_t number, uint32_t displacement, int change) {
    for (uint32_t back = 1; back <= displacement; back++) {
        striate_bucket *bucket = &segment[(number - back) & (STRIATE_SEGMENT_BUCKETS - 1)];

        bucket->passed = (uint16_t)(bucket->passed + change);
    }
}

/* 1, or 0 where the segment has no room for it. */
static int place_in_segment(striate_bucket *segment, uint32_t home, uint32_t ref, uint16_t tag, uint8_t access,
                            striate_place *place) {
    for (uint32_t step = 0; step < STRIATE_REACH; step++) {
        uint32_t number = (home + step) & (STRIATE_SEGMENT_BUCKETS - 1);
        int slot = free_slot(&segment[number]);

        if (slot < 0)
            continue;
        fill_slot(&segment[number], (uint32_t)slot, ref, tag, access, step);
        note_passed(segment, number, step, 1);
        *place = (striate_place){&segment[number], segment, (uint32_t)slot};
        return 1;
    }
    return 0;
}

void striate_index_empty(striate_bucket *segment, striate_bucket *bucket, uint32_t slot) {
    note_passed(segment, (uint32_t)(bucket - segment), displacement_of(bucket, slot), -1);
    bucket->ref[slot] = 0;
}

_Static_assert(STRIATE_SEGMENT_BUCKETS * sizeof(striate_bucket) == STRIATE_SMALL_BLOCK_BYTES, "a segment is a block");

static striate_bucket *new_segment(striate_stripe *stripe) {
    striate_bucket *segment = striate_arena_small_block(&stripe->table->arena);

    if (segment)
        memset(segment, 0, STRIATE_SEGMENT_BUCKETS * sizeof *segment);
    return segment;
}

/* Moves entries that had to stand behind their home buckets into room that has come free. */
static void settle(striate_bucket *segment) {
    for (uint32_t number = 0; number < STRIATE_SEGMENT_BUCKETS; number++) {
        striate_bucket *bucket = &segment[number];

        for (uint32_t slot = 0; bucket->displacement && slot < STRIATE_SLOTS; slot++) {
            uint32_t displacement = bucket->ref[slot] ? displacement_of(bucket, slot) : 0;
            uint32_t ref = bucket->ref[slot];
            striate_place place;

            if (displacement == 0)
                continue;
            striate_index_empty(segment, bucket, slot);
            place_in_segment(segment, (number - displacement) & (STRIATE_SEGMENT_BUCKETS - 1), ref, bucket->tag[slot],
                             bucket->access[slot], &place);
        }
    }
}

static int double_directory(striate_stripe *stripe) {
    uint64_t count = 1ull << stripe->depth;
    uint64_t *directory = realloc(stripe->directory, 2 * count * sizeof *directory);

    if (!directory)
        return STRIATE_NO_MEMORY;
    memcpy(directory + count, directory, count * sizeof *directory);
    stripe->directory = directory;
    stripe->depth++;
    return 0;
}

/* Every entry keeps its bucket and slot, in the old segment or, if the next bit of its tag is set, in the new one. */
static void move_half(striate_bucket *from, striate_bucket *to, uint32_t bit) {
    for (uint32_t number = 0; number < STRIATE_SEGMENT_BUCKETS; number++)
        for (uint32_t slot = 0; slot < STRIATE_SLOTS; slot++) {
            striate_bucket *bucket = &from[number];
            uint32_t displacement = displacement_of(bucket, slot);

            if (!bucket->ref[slot] || !(bucket->tag[slot] >> bit & 1))
                continue;
            fill_slot(&to[number], slot, bucket->ref[slot], bucket->tag[slot], bucket->access[slot], displacement);
            note_passed(to, number, displacement, 1);
            striate_index_empty(from, bucket, slot);
        }
    settle(from);
    settle(to);
}

static int split(striate_stripe *stripe, uint64_t hash) {
    uint64_t entry = *striate_directory_entry(stripe, hash);
    uint32_t depth = (uint32_t)(entry & STRIATE_DEPTH_MASK);
    striate_bucket *sibling;

    if (depth >= MAX_DEPTH)
        return STRIATE_NO_ROOM;
    if (!(sibling = new_segment(stripe)))
        return STRIATE_NO_MEMORY;
    if (depth == stripe->depth && double_directory(stripe) != 0) {
        striate_arena_give_small_block(&stripe->table->arena, sibling);
        return STRIATE_NO_MEMORY;
    }
    move_half(striate_segment_at(entry), sibling, depth);
    for (uint64_t place = hash & ((1u << depth) - 1); place < 1ull << stripe->depth; place += 1ull << depth)
        stripe->directory[place] =
            (place >> depth & 1 ? (uint64_t)(uintptr_t)sibling : entry & ~STRIATE_DEPTH_MASK) | (depth + 1);
    stripe->segments++;
    return 0;
}

static int first_segment(striate_stripe *stripe) {
    striate_bucket *segment = new_segment(stripe);

    stripe->directory = segment ? malloc(sizeof *stripe->directory) : NULL;
    if (!stripe->directory) {
        if (segment)
            striate_arena_give_small_block(&stripe->table->arena, segment);
        return STRIATE_NO_MEMORY;
    }
    stripe->directory[0] = (uint64_t)(uintptr_t)segment;
    stripe->depth = 0;
    stripe->segments = 1;
    return 0;
}

int striate_index_place(striate_stripe *stripe, uint64_t hash, uint32_t ref, uint8_t access, striate_place *place) {
    int status = stripe->directory ? 0 : first_segment(stripe);

    while (status == 0) {
        striate_bucket *segment = striate_segment_at(*striate_directory_entry(stripe, hash));

        if (place_in_segment(segment, striate_home_of(hash), ref, (uint16_t)hash, access, place))
            return 0;
        status = split(stripe, hash);
    }
    return status;
}

/* ---------------------------------------------------------------- walking
 *
 * Segments in the order of their hash bits read backwards: a split cuts one interval of that order in two, so a walk
 * that goes on from where it was neither misses nor repeats.
 */
static uint32_t reversed(uint32_t place) {
    place = (place >> 1 & 0x5555) | (place & 0x5555) << 1;
    place = (place >> 2 & 0x3333) | (place & 0x3333) << 2;
    place = (place >> 4 & 0x0F0F) | (place & 0x0F0F) << 4;
    return (place >> 8 | place << 8) & 0xFFFF;
}

striate_bucket *striate_index_walk(const striate_stripe *stripe, uint32_t *place) {
    uint64_t entry;

    if (!stripe->directory || *place >= 1u << MAX_DEPTH)
        return NULL;
    entry = *striate_directory_entry(stripe, reversed(*place));
    *place += 1u << (MAX_DEPTH - (entry & STRIATE_DEPTH_MASK));
    return striate_segment_at(entry);
}

void striate_index_clear(striate_stripe *stripe) {
    striate_bucket *segment;

    for (uint32_t place = 0; (segment = striate_index_walk(stripe, &place));)
        striate_arena_give_small_block(&stripe->table->arena, segment);
    free(stripe->directory);
    stripe->directory = NULL;
    stripe->depth = 0;
    stripe->segments = 0;
}
