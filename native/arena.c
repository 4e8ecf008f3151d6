#include "arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define REGION_BYTES (2u << 20)
/* Blocks that are kept with their memory for what comes next. */
#define KEPT_BLOCKS 64

void striate_arena_init(striate_arena *arena) {
    memset(arena, 0, sizeof *arena);
    pthread_mutex_init(&arena->lock, NULL);
}

void striate_arena_free(striate_arena *arena) {
    for (uint32_t number = 0; number < arena->region_count; number++)
        munmap(arena->regions[number], REGION_BYTES);
    free(arena->regions);
    free(arena->large.free);
    free(arena->small.free);
    pthread_mutex_destroy(&arena->lock);
}

/* Room for one more pointer: 1, or 0. */
static int make_room(void ***pointers, uint32_t count, uint32_t *capacity) {
    uint32_t wanted = *capacity ? 2 * *capacity : 64;
    void **larger;

    if (count < *capacity)
        return 1;
    larger = realloc(*pointers, wanted * sizeof *larger);
    if (!larger)
        return 0;
    *pointers = larger;
    *capacity = wanted;
    return 1;
}

static char *map_region(void) {
    char *mapped = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *region;
    uint64_t before;

    if (mapped == MAP_FAILED)
        return NULL;
    before = (REGION_BYTES - (uintptr_t)mapped % REGION_BYTES) % REGION_BYTES;
    region = mapped + before;
    if (before)
        munmap(mapped, before);
    munmap(region + REGION_BYTES, REGION_BYTES - before);
    return region;
}

static int new_region(striate_arena *arena) {
    char *region;

    if (!make_room(&arena->regions, arena->region_count, &arena->region_capacity) || !(region = map_region()))
        return 0;
    /* Not the first: a small cache shall not take 2 MiB. Advice that is not taken costs time and nothing else. */
    if (arena->region_count)
        madvise(region, REGION_BYTES, MADV_HUGEPAGE);
    arena->regions[arena->region_count++] = region;
    arena->fresh = region;
    arena->end = region + REGION_BYTES;
    return 1;
}

static void *take_block(striate_arena *arena) {
    char *block;

    if (arena->large.count)
        return arena->large.free[--arena->large.count];
    if (arena->fresh == arena->end && !new_region(arena))
        return NULL;
    block = arena->fresh;
    arena->fresh += STRIATE_BLOCK_BYTES;
    return block;
}

void *striate_arena_block(striate_arena *arena) {
    void *block;

    pthread_mutex_lock(&arena->lock);
    block = take_block(arena);
    pthread_mutex_unlock(&arena->lock);
    return block;
}

/* Cuts a block into small ones and gives the first. */
static void *cut_block(striate_arena *arena) {
    char *block = take_block(arena);

    for (uint32_t place = STRIATE_SMALL_BLOCK_BYTES; block && place < STRIATE_BLOCK_BYTES;
         place += STRIATE_SMALL_BLOCK_BYTES)
        if (make_room(&arena->small.free, arena->small.count, &arena->small.capacity))
            arena->small.free[arena->small.count++] = block + place;
    return block;
}

void *striate_arena_small_block(striate_arena *arena) {
    void *block;

    pthread_mutex_lock(&arena->lock);
    block = arena->small.count ? arena->small.free[--arena->small.count] : cut_block(arena);
    pthread_mutex_unlock(&arena->lock);
    return block;
}

static void give(striate_arena *arena, striate_blocks *blocks, void *block, uint64_t size) {
    pthread_mutex_lock(&arena->lock);
    if (blocks->count >= KEPT_BLOCKS)
        madvise(block, size, MADV_DONTNEED);
    /* Where not even a pointer can be kept, the block is lost until the table is freed. */
    if (make_room(&blocks->free, blocks->count, &blocks->capacity))
        blocks->free[blocks->count++] = block;
    pthread_mutex_unlock(&arena->lock);
}

void striate_arena_give_block(striate_arena *arena, void *block) {
    give(arena, &arena->large, block, STRIATE_BLOCK_BYTES);
}

void striate_arena_give_small_block(striate_arena *arena, void *block) {
    give(arena, &arena->small, block, STRIATE_SMALL_BLOCK_BYTES);
}
