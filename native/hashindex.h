/* The index of one stripe: directory, segments, buckets (table.h draws them). Knows nothing of accounts and bounds. */
#ifndef STRIATE_HASHINDEX_H
#define STRIATE_HASHINDEX_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <string.h>

#include "table.h"

#define STRIATE_DEPTH_MASK 63ull
/* Buckets that an entry may stand in: its home and the next ones, around the end of the segment. */
#define STRIATE_REACH 4

static inline striate_bucket *striate_segment_at(uint64_t directory_entry) {
    return (striate_bucket *)(uintptr_t)(directory_entry & ~STRIATE_DEPTH_MASK);
}

/* Puts `ref` where striate_stripe_find will look for the hash: 0, STRIATE_NO_MEMORY or STRIATE_NO_ROOM. */
int striate_index_place(striate_stripe *stripe, uint64_t hash, uint32_t ref, uint8_t access, striate_place *place);
void striate_index_empty(striate_bucket *segment, striate_bucket *bucket, uint32_t slot);
/* The segment at *place, which moves on; NULL behind the last one. Begin with 0. */
striate_bucket *striate_index_walk(const striate_stripe *stripe, uint32_t *place);
/* Frees it all; the entries are the caller's. */
void striate_index_clear(striate_stripe *stripe);

/* ---------------------------------------------------------------- where a hash leads */

static inline uint32_t striate_home_of(uint64_t hash) {
    return (uint32_t)(hash >> 16) & (STRIATE_SEGMENT_BUCKETS - 1);
}

static inline uint64_t *striate_directory_entry(const striate_stripe *stripe, uint64_t hash) {
    return &stripe->directory[hash & ((1u << stripe->depth) - 1)];
}

/* A bit for each slot whose tag is `tag`; empty slots too. */
static inline uint32_t striate_match_tags(const striate_bucket *bucket, uint16_t tag) {
#ifdef __SSE2__
    __m128i tags = _mm_load_si128((const __m128i *)bucket->tag);
    __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#else
    uint32_t found = 0;

    for (int slot = 0; slot < STRIATE_SLOTS; slot++)
        found |= (uint32_t)(bucket->tag[slot] == tag) << slot;
    return found;
#endif
}

static inline uint64_t striate_differ(const char *one, const char *other, uint32_t place) {
    return striate_load_word(one + place) ^ striate_load_word(other + place);
}

/* Keys are short, and a call of memcmp costs more than the comparison. Words may overlap, so that the branches do not
 * depend on the exact size, which no processor can foresee. */
static inline int striate_are_equal(const char *one, const char *other, uint32_t size) {
    uint64_t difference;

    if (size < 8)
        return striate_load_few(one, size) == striate_load_few(other, size);
    difference = striate_differ(one, other, 0) | striate_differ(one, other, size - 8);
    if (size > 16)
        difference |= striate_differ(one, other, 8) | striate_differ(one, other, size - 16);
    if (size > 32)
        return difference == 0 && memcmp(one + 16, other + 16, size - 32) == 0;
    return difference == 0;
}

static inline int striate_is_key(striate_entry *entry, const striate_key *key) {
    return entry->key_size == key->size && entry->space == key->space &&
           striate_are_equal(key->bytes, striate_entry_key(entry), key->size);
}

/* As striate_stripe_find, for operations that many calls go through. */
static inline striate_entry *striate_index_find(striate_stripe *stripe, const striate_key *key, striate_place *place) {
    striate_bucket *segment;

    place->bucket = NULL;
    if (!stripe->directory)
        return NULL;
    segment = striate_segment_at(*striate_directory_entry(stripe, key->hash));
    for (uint32_t step = 0; step < STRIATE_REACH; step++) {
        striate_bucket *bucket = &segment[(striate_home_of(key->hash) + step) & (STRIATE_SEGMENT_BUCKETS - 1)];

        for (uint32_t found = striate_match_tags(bucket, (uint16_t)key->hash); found; found &= found - 1) {
            uint32_t slot = (uint32_t)__builtin_ctz(found);
            striate_entry *entry;

            if (!bucket->ref[slot])
                continue;
            entry = striate_entry_at(stripe, bucket->ref[slot]);
            /* Where the value ends is known only when the entry has come: so ask for what comes behind it at once. */
            __builtin_prefetch((const char *)entry + 64);
            __builtin_prefetch((const char *)entry + 128);
            if (striate_is_key(entry, key)) {
                *place = (striate_place){bucket, segment, slot};
                return entry;
            }
        }
        if (!bucket->passed)
            break;
    }
    return NULL;
}

/* ---------------------------------------------------------------- asking for memory ahead
 *
 * Always inline: gcc 12 takes a function that does nothing but prefetch for one without effects and drops its calls.
 */
#define STRIATE_PREFETCHING static inline __attribute__((always_inline)) void

STRIATE_PREFETCHING striate_prefetch_bucket(const striate_stripe *stripe, uint64_t hash) {
    if (stripe->directory)
        __builtin_prefetch(&striate_segment_at(*striate_directory_entry(stripe, hash))[striate_home_of(hash)]);
}

STRIATE_PREFETCHING striate_prefetch_entry(const striate_stripe *stripe, uint64_t hash) {
    const striate_bucket *bucket;
    uint32_t found;

    if (!stripe->directory)
        return;
    bucket = &striate_segment_at(*striate_directory_entry(stripe, hash))[striate_home_of(hash)];
    found = striate_match_tags(bucket, (uint16_t)hash);
    if (found) {
        const char *entry = (const char *)striate_entry_at(stripe, bucket->ref[__builtin_ctz(found)]);

        __builtin_prefetch(entry);
        __builtin_prefetch(entry + 64);
        __builtin_prefetch(entry + 128);
    }
}

#endif /* STRIATE_HASHINDEX_H */
