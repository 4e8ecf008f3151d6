/* Memory of one stripe: cells of some eighty sizes, cut from chunks.
 *
 * A cell is named by a 31-bit reference: the number of its chunk and the place in it, in units of eight bytes. That is
 * half of a pointer, costs no header, and needs no lock but the stripe's. A chunk holds cells of one size; it goes back
 * to the allocator when the last of them is free. What does not fit a chunk gets one of its own.
 */
#ifndef STRIATE_SLAB_H
#define STRIATE_SLAB_H

#include <stdint.h>

#include "arena.h"

#define STRIATE_UNIT_BYTES 8
#define STRIATE_CHUNK_BITS 12 /* 4096 units: 32 KiB */
#define STRIATE_CHUNK_BYTES (STRIATE_UNIT_BYTES << STRIATE_CHUNK_BITS)
#define STRIATE_MAX_CHUNKS (1u << 19)
#define STRIATE_MAX_CELL_BYTES 8192
#define STRIATE_CLASSES 72
#define STRIATE_LARGE STRIATE_CLASSES /* the class of a chunk that is one cell */

typedef struct striate_chunk {
    char *memory;            /* NULL: the number is free, and `next` names another */
    uint32_t next, previous; /* chunks of the same class that have free cells */
    uint16_t kind;           /* class, or STRIATE_LARGE */
    uint16_t cell_units;
    uint16_t used, capacity; /* cells */
    uint16_t fresh;          /* cells from here on were never used */
    uint16_t free;           /* 1 + unit of a free cell, which begins with the same of the next; 0: none */
    uint32_t large_units;    /* size of a STRIATE_LARGE one */
} striate_chunk;

typedef struct striate_slab {
    striate_chunk *chunks; /* the first is never used, so that no reference is 0 */
    uint32_t count, capacity;
    uint32_t free_number;              /* a chunk number to use again, or 0 */
    uint32_t partial[STRIATE_CLASSES]; /* a chunk with free cells, or 0 */
    uint32_t class_chunks[STRIATE_CLASSES];
    int64_t allocated_bytes; /* of all chunks */
    striate_arena *arena;    /* of the table */
} striate_slab;

static inline char *striate_slab_cell(const striate_slab *slab, uint32_t ref) {
    return slab->chunks[ref >> STRIATE_CHUNK_BITS].memory +
           (uint64_t)(ref & ((1u << STRIATE_CHUNK_BITS) - 1)) * STRIATE_UNIT_BYTES;
}

/* What a cell for so many bytes really takes. */
uint64_t striate_slab_cell_bytes(uint64_t size);
/* A reference, or 0 where there is no memory. */
uint32_t striate_slab_allocate(striate_slab *slab, uint64_t size);
void striate_slab_release(striate_slab *slab, uint32_t ref);
/* Gives everything back; the slab is empty and usable. */
void striate_slab_clear(striate_slab *slab);

#endif /* STRIATE_SLAB_H */
