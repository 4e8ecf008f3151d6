#include "crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h> /* _mm_crc32_u64 */
#include <wmmintrin.h> /* _mm_clmulepi64_si128 */
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

#define POLYNOMIAL 0x82F63B78u /* reflected: bit 31 - i stands for x^i */

striate_crc32c_function *striate_crc32c_implementation = striate_crc32c_portable;
striate_crc32c_frame_function *striate_crc32c_frame_implementation = striate_crc32c_frame_portable;
striate_crc32c_frames_function *striate_crc32c_frames_implementation = striate_crc32c_frames_portable;
striate_crc32c_seal_function *striate_crc32c_seal_implementation = striate_crc32c_seal_portable;
int striate_crc32c_hardware = 0;

static inline uint64_t load_u64(const uint8_t *bytes) {
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline uint32_t load_u32(const uint8_t *bytes) {
    uint32_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

static inline uint16_t load_u16(const uint8_t *bytes) {
    uint16_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

/* ---------------------------------------------------------------- portable
 *
 * tables[k][b] is what byte b contributes when k more bytes follow it, so the eight bytes of a word are
 * looked up independently of one another.
 */

static uint32_t tables[8][256];

static void fill_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t state = byte;

        for (int bit = 0; bit < 8; bit++)
            state = (state >> 1) ^ (state & 1 ? POLYNOMIAL : 0);
        tables[0][byte] = state;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 255];
}

uint32_t striate_crc32c_portable(uint32_t crc, const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t state = ~crc;

    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word = load_u64(bytes) ^ state;

        state = tables[7][word & 255] ^ tables[6][(word >> 8) & 255] ^
                tables[5][(word >> 16) & 255] ^ tables[4][(word >> 24) & 255] ^
                tables[3][(word >> 32) & 255] ^ tables[2][(word >> 40) & 255] ^
                tables[1][(word >> 48) & 255] ^ tables[0][word >> 56];
    }
    for (; size > 0; size--, bytes++)
        state = (state >> 8) ^ tables[0][(state ^ *bytes) & 255];
    return ~state;
}

/* ---------------------------------------------------------------- frames */

uint32_t striate_crc32c_frame_portable(uint32_t seed, const void *header, const void *payload, size_t size) {
    return striate_crc32c_extend(striate_crc32c_extend(seed, header, STRIATE_FRAME_COVERED), payload, size);
}

/* What a checksum covers: the header behind it, and the payload. */
struct covered {
    const uint8_t *bytes;
    size_t size;
};

static inline uint32_t checksum_of(struct covered frame) {
    return load_u32(frame.bytes - 4);
}

static inline int64_t frame_size(struct covered frame) {
    return (int64_t)((frame.size + 4 + 7) & ~(size_t)7);
}

/* Whether a frame at `position` would end, with its padding, before `limit`. Its size is not believed before that. */
static inline int claim(const char *segment, int64_t position, int64_t limit, struct covered *frame) {
    uint32_t payload_size;

    if (limit - position < STRIATE_FRAME_HEADER)
        return 0;
    frame->bytes = (const uint8_t *)segment + position + 4;
    payload_size = load_u32(frame->bytes);
    frame->size = (size_t)payload_size + STRIATE_FRAME_HEADER - 4;
    return frame_size(*frame) <= limit - position;
}

int64_t striate_crc32c_frames_portable(const char *segment, int64_t position, int64_t limit, uint32_t seed) {
    int64_t until = position + STRIATE_FRAMES_AHEAD;
    struct covered frame;

    while (position < until && claim(segment, position, limit, &frame) &&
           striate_crc32c_extend(seed, frame.bytes, frame.size) == checksum_of(frame))
        position += frame_size(frame);
    return position;
}

/* The frame at `position` of frames that are known to be whole. */
static inline struct covered frame_at(char *frames, size_t position) {
    struct covered frame = {(const uint8_t *)frames + position + 4, 0};

    frame.size = (size_t)load_u32(frame.bytes) + STRIATE_FRAME_HEADER - 4;
    return frame;
}

static inline uint32_t seal(char *frames, size_t position, uint32_t checksum, uint32_t chain) {
    memcpy(frames + position, &checksum, sizeof checksum);
    return striate_crc32c_u32(chain, checksum);
}

uint32_t striate_crc32c_seal_portable(char *frames, size_t size, uint32_t seed, uint32_t chain) {
    size_t position = 0;

    while (position < size) {
        struct covered frame = frame_at(frames, position);

        chain = seal(frames, position, striate_crc32c_extend(seed, frame.bytes, frame.size), chain);
        position += (size_t)frame_size(frame);
    }
    return chain;
}

/* ---------------------------------------------------------------- x86-64: SSE4.2 and PCLMULQDQ
 *
 * crc32q takes three cycles but one can start in every cycle, so the words are split into three runs a, b, c,
 * whose checksums go on side by side. To join them, the checksum of a must be moved past the words of b and
 * c, that is be multiplied by x^(64 · words). crc32q(0, d) is d · x^32 mod P, and the carry-less product of
 * two reflected 32-bit values read as a reflected 64-bit one is their product times x. So with
 *
 *     shifts[w] = x^(64 w - 33) mod P:
 *     crc32q(0, clmul(a, shifts[w])) = a · shifts[w] · x · x^32 = a · x^(64 w)
 *
 * and as crc32q is linear, the products are simply XORed into the last word of run c. Joining thus costs the
 * latency of one multiplication and no instruction of the chain, and it pays from some 64 bytes on.
 */
#if defined(__x86_64__)

/* Words of a run in one round. Longer inputs take several; at 128 (3 KiB) joining is 4 % of a round. */
#define RUN_WORDS 128
/* Words that run c has more than a and b: it can go on while their products are computed. */
#define HEAD_START 2
/* From this many words on three runs are quicker than one. */
#define SPLIT_WORDS 7

static uint32_t shifts[2 * (RUN_WORDS + HEAD_START) + 3];

#define HARDWARE __attribute__((target("sse4.2,pclmul")))

HARDWARE static void fill_shifts(void) {
    shifts[1] = 1; /* x^31, reflected */
    for (size_t words = 2; words < sizeof shifts / sizeof *shifts; words++)
        shifts[words] = (uint32_t)_mm_crc32_u64(0, shifts[words - 1]);
}

/* What must be XORed into the last word of a later run, whose end is `words` behind that of `state`. */
HARDWARE static inline uint64_t shifted(uint64_t state, size_t words) {
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)state), _mm_cvtsi32_si128((int)shifts[words]), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* One round: `run` words in a, `run` in b and `last_run` (>= 1) in c. */
HARDWARE static inline uint64_t extend_three_runs(uint64_t a, const uint8_t *bytes, size_t run,
                                                  size_t last_run) {
    const uint8_t *bytes_b = bytes + 8 * run;
    const uint8_t *bytes_c = bytes_b + 8 * run;
    const uint8_t *end = bytes_c + 8 * (last_run - 1);
    uint64_t b = 0;
    uint64_t c = 0;
    uint64_t joined;

    for (size_t i = 0; i < run; i++) {
        a = _mm_crc32_u64(a, load_u64(bytes + 8 * i));
        b = _mm_crc32_u64(b, load_u64(bytes_b + 8 * i));
        c = _mm_crc32_u64(c, load_u64(bytes_c + 8 * i));
    }
    joined = shifted(a, run + last_run) ^ shifted(b, last_run);
    for (bytes_c += 8 * run; bytes_c < end; bytes_c += 8)
        c = _mm_crc32_u64(c, load_u64(bytes_c));
    return _mm_crc32_u64(c, load_u64(end) ^ joined);
}

HARDWARE static inline uint32_t extend_tail(uint32_t state, const uint8_t *bytes, size_t size) {
    if (size & 4) {
        state = _mm_crc32_u32(state, load_u32(bytes));
        bytes += 4;
    }
    if (size & 2) {
        state = _mm_crc32_u16(state, load_u16(bytes));
        bytes += 2;
    }
    if (size & 1)
        state = _mm_crc32_u8(state, *bytes);
    return state;
}

HARDWARE static inline uint32_t extend_state(uint64_t state, const uint8_t *bytes, size_t size) {
    size_t odd = size & 7;
    size_t words = size / 8;

    if (words == 0)
        return extend_tail((uint32_t)state, bytes, size);
    if (odd) {
        /* The odd bytes go first, as one word behind zeros (zeros leave a state of 0 as it is), with the
         * state XORed into the message's first four bytes; what of these lies in the next word is XORed back
         * into the state. */
        uint64_t word = (load_u64(bytes) ^ state) << (64 - 8 * odd);

        state = _mm_crc32_u64(0, word) ^ (state >> (8 * odd));
        bytes += odd;
    }
    while (words >= SPLIT_WORDS) {
        size_t run = (words - HEAD_START) / 3;
        size_t last_run = words - 2 * run;

        if (run > RUN_WORDS) {
            run = RUN_WORDS;
            last_run = RUN_WORDS + HEAD_START;
        }
        state = extend_three_runs(state, bytes, run, last_run);
        bytes += 8 * (2 * run + last_run);
        words -= 2 * run + last_run;
    }
    for (; words > 0; words--, bytes += 8)
        state = _mm_crc32_u64(state, load_u64(bytes));
    return (uint32_t)state;
}

HARDWARE static uint32_t extend_x86(uint32_t crc, const void *data, size_t size) {
    return ~extend_state((uint32_t)~crc, data, size);
}

HARDWARE static uint32_t frame_x86(uint32_t seed, const void *header, const void *payload, size_t size) {
    const uint8_t *bytes = header;
    uint64_t state = _mm_crc32_u32(~seed, load_u32(bytes));

    state = _mm_crc32_u64(state, load_u64(bytes + 4));
    state = _mm_crc32_u64(state, load_u64(bytes + 12));
    return ~extend_state(state, payload, size);
}

/* Memory is asked for this far ahead of the frames being checked, and so much of it: three of 128-byte values.
 * The processor's own prefetching ends at each page. */
#define PREFETCH_DISTANCE 2048
#define PREFETCH_BYTES 512

/* The states of three frames behind the bytes that all of them have; their number is 4 more than a multiple of
 * sixteen, so that the words are aligned. */
struct three {
    uint64_t a, b, c;
    size_t done;
};

HARDWARE static inline struct three extend_three_frames(uint32_t seed, struct covered a, struct covered b,
                                                        struct covered c) {
    size_t common = a.size < b.size ? a.size : b.size;
    struct three states;
    size_t i;

    common = common < c.size ? common : c.size;
    states.a = _mm_crc32_u32(~seed, load_u32(a.bytes));
    states.b = _mm_crc32_u32(~seed, load_u32(b.bytes));
    states.c = _mm_crc32_u32(~seed, load_u32(c.bytes));
    for (i = 4; i + 16 <= common; i += 16) {
        states.a = _mm_crc32_u64(states.a, load_u64(a.bytes + i));
        states.b = _mm_crc32_u64(states.b, load_u64(b.bytes + i));
        states.c = _mm_crc32_u64(states.c, load_u64(c.bytes + i));
        states.a = _mm_crc32_u64(states.a, load_u64(a.bytes + i + 8));
        states.b = _mm_crc32_u64(states.b, load_u64(b.bytes + i + 8));
        states.c = _mm_crc32_u64(states.c, load_u64(c.bytes + i + 8));
    }
    states.done = i;
    return states;
}

/* The checksum of a frame from its state behind `done` bytes. Whole words may be read up to the padding. */
HARDWARE static inline uint32_t finish(uint64_t state, struct covered frame, size_t done) {
    const uint8_t *bytes = frame.bytes + done;
    size_t left = frame.size - done;

    if (left >= 8 * SPLIT_WORDS)
        return extend_x86(~(uint32_t)state, bytes, left);
    for (; left >= 8; left -= 8, bytes += 8)
        state = _mm_crc32_u64(state, load_u64(bytes));
    if (left > 0)
        state = _mm_crc32_u64(0, (load_u64(bytes) ^ state) << (64 - 8 * left)) ^ (state >> (8 * left));
    return ~(uint32_t)state;
}

HARDWARE static int64_t frames_x86(const char *segment, int64_t position, int64_t limit, uint32_t seed) {
    int64_t until = position + STRIATE_FRAMES_AHEAD;
    struct covered a, b, c;

    while (position < until && claim(segment, position, limit, &a)) {
        int64_t behind_a = position + frame_size(a);
        int64_t behind_b;
        struct three states;

        for (size_t i = 0; i < PREFETCH_BYTES; i += 64)
            __builtin_prefetch(a.bytes + PREFETCH_DISTANCE + i);
        if (!claim(segment, behind_a, limit, &b) || !claim(segment, behind_b = behind_a + frame_size(b), limit, &c)) {
            if (extend_x86(seed, a.bytes, a.size) != checksum_of(a))
                return position;
            position = behind_a;
            continue;
        }
        states = extend_three_frames(seed, a, b, c);
        if (finish(states.a, a, states.done) != checksum_of(a))
            return position;
        if (finish(states.b, b, states.done) != checksum_of(b))
            return behind_a;
        if (finish(states.c, c, states.done) != checksum_of(c))
            return behind_b;
        position = behind_b + frame_size(c);
    }
    return position;
}

HARDWARE static uint32_t seal_x86(char *frames, size_t size, uint32_t seed, uint32_t chain) {
    size_t position = 0;

    while (position < size) {
        struct covered a = frame_at(frames, position);
        size_t at_b = position + (size_t)frame_size(a);
        struct covered b, c;
        struct three states;
        size_t at_c;

        if (at_b >= size || (b = frame_at(frames, at_b), at_c = at_b + (size_t)frame_size(b)) >= size) {
            chain = seal(frames, position, extend_x86(seed, a.bytes, a.size), chain);
            position = at_b;
            continue;
        }
        c = frame_at(frames, at_c);
        states = extend_three_frames(seed, a, b, c);
        chain = seal(frames, position, finish(states.a, a, states.done), chain);
        chain = seal(frames, at_b, finish(states.b, b, states.done), chain);
        chain = seal(frames, at_c, finish(states.c, c, states.done), chain);
        position = at_c + (size_t)frame_size(c);
    }
    return chain;
}
#endif

/* ---------------------------------------------------------------- ARM64: the CRC32 extension */
#if defined(__aarch64__)

__attribute__((target("+crc"))) static uint32_t extend_arm(uint32_t crc, const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint32_t state = ~crc;

    for (; size >= 8; size -= 8, bytes += 8)
        state = __crc32cd(state, load_u64(bytes));
    if (size & 4) {
        state = __crc32cw(state, load_u32(bytes));
        bytes += 4;
    }
    if (size & 2) {
        state = __crc32ch(state, load_u16(bytes));
        bytes += 2;
    }
    if (size & 1)
        state = __crc32cb(state, *bytes);
    return ~state;
}
#endif

/* ---------------------------------------------------------------- choice */

__attribute__((constructor)) static void choose_implementation(void) {
    fill_tables();
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul")) {
        fill_shifts();
        striate_crc32c_implementation = extend_x86;
        striate_crc32c_frame_implementation = frame_x86;
        striate_crc32c_frames_implementation = frames_x86;
        striate_crc32c_seal_implementation = seal_x86;
        striate_crc32c_hardware = 1;
    }
#elif defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_CRC32) {
        striate_crc32c_implementation = extend_arm;
        striate_crc32c_hardware = 1;
    }
#endif
}
