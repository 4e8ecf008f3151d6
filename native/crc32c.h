/* CRC32C (Castagnoli polynomial 0x1EDC6F41, reflected), the checksum of every format of striate.
 *
 * A `crc` here is always a finished value, as RFC 3720 defines it (the inversions before and after are
 * inside): extend(0, data) is the standard checksum of data, and extend(extend(0, a), b) that of a followed
 * by b.
 */
#ifndef STRIATE_CRC32C_H
#define STRIATE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Hidden, also where it is declared: otherwise each use goes through the table for symbols of other
 * libraries. */
#define STRIATE_HIDDEN __attribute__((visibility("hidden")))

typedef uint32_t striate_crc32c_function(uint32_t crc, const void *data, size_t size);

/* Chosen when the library is loaded, by what the processor can do; never NULL. */
extern STRIATE_HIDDEN striate_crc32c_function *striate_crc32c_implementation;
/* 1 when the processor's CRC32C instruction is used. Fixed after loading. */
extern STRIATE_HIDDEN int striate_crc32c_hardware;

/* The implementation for every processor, eight table look-ups for eight bytes. Exported so that tests can
 * compare. */
STRIATE_HIDDEN uint32_t striate_crc32c_portable(uint32_t crc, const void *data, size_t size);

static inline uint32_t striate_crc32c_extend(uint32_t crc, const void *data, size_t size) {
    return striate_crc32c_implementation(crc, data, size);
}

/* extend(extend(seed, header, STRIATE_FRAME_COVERED), payload, size), quicker than two calls: the checksum of a frame
 * from its header, behind the place of the checksum, and its payload. */
#define STRIATE_FRAME_COVERED 20
typedef uint32_t striate_crc32c_frame_function(uint32_t seed, const void *header, const void *payload, size_t size);

extern STRIATE_HIDDEN striate_crc32c_frame_function *striate_crc32c_frame_implementation;
STRIATE_HIDDEN striate_crc32c_frame_function striate_crc32c_frame_portable;

static inline uint32_t striate_crc32c_frame(uint32_t seed, const void *header, const void *payload, size_t size) {
    return striate_crc32c_frame_implementation(seed, header, payload, size);
}

/* ---------------------------------------------------------------- frames one behind another
 *
 * All this knows of a frame (docs/format.md) is: it begins with u32 checksum and u32 payload size, has a header
 * of STRIATE_FRAME_HEADER bytes, is padded to a multiple of eight, and its checksum is that of what follows the
 * checksum, up to the padding, behind `seed`.
 *
 * Gives the position behind the last of the frames from `position` on whose checksums are right and which end,
 * padding included, at or before `limit`; that is `position` where there is none. Stops, unasked, when it is
 * STRIATE_FRAMES_AHEAD bytes further. Three frames are checked side by side, which for short ones is more than
 * twice as quick as one after the other. */
#define STRIATE_FRAME_HEADER 24
/* Little enough that the headers are still in the first cache when the caller looks at them. */
#define STRIATE_FRAMES_AHEAD 1024

typedef int64_t striate_crc32c_frames_function(const char *segment, int64_t position, int64_t limit,
                                               uint32_t seed);

extern STRIATE_HIDDEN striate_crc32c_frames_function *striate_crc32c_frames_implementation;
STRIATE_HIDDEN striate_crc32c_frames_function striate_crc32c_frames_portable;

static inline int64_t striate_crc32c_frames(const char *segment, int64_t position, int64_t limit, uint32_t seed) {
    return striate_crc32c_frames_implementation(segment, position, limit, seed);
}

/* The other direction: writes the checksums into the frames that fill `size` bytes at `frames`. Gives `chain`
 * extended by each of them, in order (striate_crc32c_u32). */
typedef uint32_t striate_crc32c_seal_function(char *frames, size_t size, uint32_t seed, uint32_t chain);

extern STRIATE_HIDDEN striate_crc32c_seal_function *striate_crc32c_seal_implementation;
STRIATE_HIDDEN striate_crc32c_seal_function striate_crc32c_seal_portable;

static inline uint32_t striate_crc32c_seal(char *frames, size_t size, uint32_t seed, uint32_t chain) {
    return striate_crc32c_seal_implementation(frames, size, seed, chain);
}

/* Extends by the four little-endian bytes of `word`: one instruction, inline, for checksums of checksums.
 * Written as assembly because an intrinsic would demand that the caller, too, be compiled for such
 * processors only. */
static inline uint32_t striate_crc32c_u32(uint32_t crc, uint32_t word) {
#if defined(__x86_64__)
    if (__builtin_expect(striate_crc32c_hardware, 1)) {
        crc = ~crc;
        __asm__("crc32l %1, %0" : "+r"(crc) : "rm"(word));
        return ~crc;
    }
#endif
    return striate_crc32c_implementation(crc, &word, sizeof word);
}

#endif /* STRIATE_CRC32C_H */
