/* Memory of a table: blocks of 32 KiB for chunks and of 8 KiB for segments, cut from regions of 2 MiB.
 *
 * Regions are aligned and asked to be huge pages. Random access to a large table otherwise misses the address cache of
 * the processor each time, which costs as much as the memory itself. Blocks that are given back are used again; beyond
 * a few their memory goes back to the system.
 */
#ifndef STRIATE_ARENA_H
#define STRIATE_ARENA_H

#include <pthread.h>
#include <stdint.h>

#define STRIATE_BLOCK_BYTES 32768
#define STRIATE_SMALL_BLOCK_BYTES 8192

typedef struct striate_blocks {
    void **free; /* a stack */
    uint32_t count, capacity;
} striate_blocks;

typedef struct striate_arena {
    pthread_mutex_t lock; /* taken under the lock of a stripe */
    char *fresh, *end;    /* what was never used of the newest region */
    striate_blocks large, small;
    void **regions;
    uint32_t region_count, region_capacity;
} striate_arena;

void striate_arena_init(striate_arena *arena);
void striate_arena_free(striate_arena *arena);
/* Aligned to its size, contents undefined; NULL: no memory. */
void *striate_arena_block(striate_arena *arena);
void *striate_arena_small_block(striate_arena *arena);
void striate_arena_give_block(striate_arena *arena, void *block);
void striate_arena_give_small_block(striate_arena *arena, void *block);

#endif /* STRIATE_ARENA_H */
