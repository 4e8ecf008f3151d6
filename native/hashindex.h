/* The index of one stripe: directory, segments, buckets (table.h draws them). Knows nothing of accounts and bounds. */
#ifndef STRIATE_HASHINDEX_H
#define STRIATE_HASHINDEX_H

#include "table.h"

#define STRIATE_DEPTH_MASK 63ull

static inline striate_bucket *striate_segment_at(uint64_t directory_entry) {
    return (striate_bucket *)(uintptr_t)(directory_entry & ~STRIATE_DEPTH_MASK);
}

/* Puts `ref` where striate_stripe_find will look for the hash: 0, STRIATE_NO_MEMORY or STRIATE_NO_ROOM. */
int striate_index_place(striate_stripe *stripe, uint64_t hash, uint32_t ref, uint8_t access, striate_place *place);
void striate_index_empty(striate_bucket *segment, striate_bucket *bucket, uint32_t slot);
/* The segment at *place, which moves on; NULL behind the last one. Begin with 0. */
striate_bucket *striate_index_walk(const striate_stripe *stripe, uint32_t *place);
void striate_prefetch_bucket(const striate_stripe *stripe, uint64_t hash);
void striate_prefetch_entry(const striate_stripe *stripe, uint64_t hash);
/* Frees it all; the entries are the caller's. */
void striate_index_clear(striate_stripe *stripe);

#endif /* STRIATE_HASHINDEX_H */
