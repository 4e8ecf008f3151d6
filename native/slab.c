#include "slab.h"

#include <stdlib.h>
#include <string.h>

/* Steps of 8 bytes up to 256, then eight steps for each doubling up to 8192. */
static uint32_t class_of(uint64_t size) {
    uint64_t units = (size + STRIATE_UNIT_BYTES - 1) / STRIATE_UNIT_BYTES;
    uint32_t doubling;

    if (units <= 32)
        return units ? (uint32_t)units - 1 : 0;
    doubling = 63 - (uint32_t)__builtin_clzll(units - 1); /* 5: up to 64 units */
    return 32 + (doubling - 5) * 8 + (uint32_t)((units - 1 - (1ull << doubling)) >> (doubling - 3));
}

static uint32_t class_units(uint32_t kind) {
    uint32_t doubling, step;

    if (kind < 32)
        return kind + 1;
    doubling = 5 + (kind - 32) / 8;
    step = (kind - 32) % 8 + 1;
    return (1u << doubling) + step * (1u << (doubling - 3));
}

uint64_t striate_slab_cell_bytes(uint64_t size) {
    if (size > STRIATE_MAX_CELL_BYTES)
        return (size + STRIATE_UNIT_BYTES - 1) / STRIATE_UNIT_BYTES * STRIATE_UNIT_BYTES;
    return (uint64_t)class_units(class_of(size)) * STRIATE_UNIT_BYTES;
}

static void link_partial(striate_slab *slab, uint32_t number) {
    striate_chunk *chunk = &slab->chunks[number];

    chunk->previous = 0;
    chunk->next = slab->partial[chunk->kind];
    if (chunk->next)
        slab->chunks[chunk->next].previous = number;
    slab->partial[chunk->kind] = number;
}

static void unlink_partial(striate_slab *slab, uint32_t number) {
    striate_chunk *chunk = &slab->chunks[number];

    if (chunk->previous)
        slab->chunks[chunk->previous].next = chunk->next;
    else
        slab->partial[chunk->kind] = chunk->next;
    if (chunk->next)
        slab->chunks[chunk->next].previous = chunk->previous;
}

/* A chunk number whose memory is yet to be set, or 0. */
static uint32_t take_number(striate_slab *slab) {
    uint32_t number = slab->free_number;

    if (number) {
        slab->free_number = slab->chunks[number].next;
        return number;
    }
    if (slab->count >= slab->capacity) {
        uint32_t capacity = slab->capacity ? slab->capacity * 2 : 16;
        striate_chunk *chunks;

        if (slab->capacity >= STRIATE_MAX_CHUNKS)
            return 0;
        chunks = realloc(slab->chunks, capacity * sizeof *chunks);
        if (!chunks)
            return 0;
        slab->chunks = chunks;
        slab->capacity = capacity;
        if (slab->count == 0) {
            memset(chunks, 0, sizeof *chunks);
            slab->count = 1;
        }
    }
    return slab->count++;
}

static void give_number(striate_slab *slab, uint32_t number) {
    slab->chunks[number].memory = NULL;
    slab->chunks[number].next = slab->free_number;
    slab->free_number = number;
}

/* The first chunks of a class are small, so that a small cache does not take 32 KiB for each size of entry. */
static uint32_t chunk_capacity(const striate_slab *slab, uint32_t kind) {
    uint32_t cell = class_units(kind) * STRIATE_UNIT_BYTES;
    uint32_t count = slab->class_chunks[kind];
    uint32_t bytes = count >= 3 ? STRIATE_CHUNK_BYTES : 4096u << count;

    if (bytes < 4 * cell)
        bytes = 4 * cell;
    return bytes / cell;
}

static uint32_t new_chunk(striate_slab *slab, uint32_t kind) {
    uint32_t capacity = chunk_capacity(slab, kind);
    uint64_t bytes = (uint64_t)capacity * class_units(kind) * STRIATE_UNIT_BYTES;
    uint32_t number = take_number(slab);
    striate_chunk *chunk;

    if (!number)
        return 0;
    chunk = &slab->chunks[number];
    memset(chunk, 0, sizeof *chunk);
    chunk->memory = bytes > STRIATE_BLOCK_BYTES / 2 ? striate_arena_block(slab->arena) : malloc(bytes);
    if (!chunk->memory) {
        give_number(slab, number);
        return 0;
    }
    chunk->kind = (uint16_t)kind;
    chunk->cell_units = (uint16_t)class_units(kind);
    chunk->capacity = (uint16_t)capacity;
    slab->allocated_bytes += (int64_t)bytes;
    slab->class_chunks[kind]++;
    link_partial(slab, number);
    return number;
}

static uint32_t allocate_large(striate_slab *slab, uint64_t size) {
    uint64_t bytes = striate_slab_cell_bytes(size);
    uint32_t number = take_number(slab);
    striate_chunk *chunk;

    if (!number)
        return 0;
    chunk = &slab->chunks[number];
    memset(chunk, 0, sizeof *chunk);
    chunk->memory = malloc(bytes);
    if (!chunk->memory) {
        give_number(slab, number);
        return 0;
    }
    chunk->kind = STRIATE_LARGE;
    chunk->large_units = (uint32_t)(bytes / STRIATE_UNIT_BYTES);
    slab->allocated_bytes += (int64_t)bytes;
    return number << STRIATE_CHUNK_BITS;
}

uint32_t striate_slab_allocate(striate_slab *slab, uint64_t size) {
    uint32_t kind, number, unit;
    striate_chunk *chunk;

    if (size > STRIATE_MAX_CELL_BYTES)
        return allocate_large(slab, size);
    kind = class_of(size);
    number = slab->partial[kind];
    if (!number && !(number = new_chunk(slab, kind)))
        return 0;
    chunk = &slab->chunks[number];
    if (chunk->free) {
        unit = chunk->free - 1u;
        memcpy(&chunk->free, chunk->memory + (uint64_t)unit * STRIATE_UNIT_BYTES, sizeof chunk->free);
    } else {
        unit = (uint32_t)chunk->fresh++ * chunk->cell_units;
    }
    if (++chunk->used == chunk->capacity)
        unlink_partial(slab, number);
    return number << STRIATE_CHUNK_BITS | unit;
}

static uint64_t chunk_bytes(const striate_chunk *chunk) {
    if (chunk->kind == STRIATE_LARGE)
        return (uint64_t)chunk->large_units * STRIATE_UNIT_BYTES;
    return (uint64_t)chunk->capacity * chunk->cell_units * STRIATE_UNIT_BYTES;
}

static void free_memory(striate_slab *slab, striate_chunk *chunk) {
    if (chunk->kind != STRIATE_LARGE && chunk_bytes(chunk) > STRIATE_BLOCK_BYTES / 2)
        striate_arena_give_block(slab->arena, chunk->memory);
    else
        free(chunk->memory);
}

static void drop_chunk(striate_slab *slab, uint32_t number) {
    striate_chunk *chunk = &slab->chunks[number];

    slab->allocated_bytes -= (int64_t)chunk_bytes(chunk);
    if (chunk->kind != STRIATE_LARGE)
        slab->class_chunks[chunk->kind]--;
    free_memory(slab, chunk);
    give_number(slab, number);
}

void striate_slab_release(striate_slab *slab, uint32_t ref) {
    uint32_t number = ref >> STRIATE_CHUNK_BITS;
    uint32_t unit = ref & ((1u << STRIATE_CHUNK_BITS) - 1);
    striate_chunk *chunk = &slab->chunks[number];

    if (chunk->kind == STRIATE_LARGE) {
        drop_chunk(slab, number);
        return;
    }
    memcpy(chunk->memory + (uint64_t)unit * STRIATE_UNIT_BYTES, &chunk->free, sizeof chunk->free);
    chunk->free = (uint16_t)(unit + 1);
    if (chunk->used-- == chunk->capacity)
        link_partial(slab, number);
    /* Not the only one with free cells: a stripe that goes to and fro would ask for memory each time. */
    else if (chunk->used == 0 && (chunk->next || chunk->previous)) {
        unlink_partial(slab, number);
        drop_chunk(slab, number);
    }
}

void striate_slab_clear(striate_slab *slab) {
    striate_arena *arena = slab->arena;

    for (uint32_t number = 1; number < slab->count; number++)
        if (slab->chunks[number].memory)
            free_memory(slab, &slab->chunks[number]);
    free(slab->chunks);
    memset(slab, 0, sizeof *slab);
    slab->arena = arena;
}
