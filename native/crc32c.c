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

HARDWARE static uint32_t extend_x86(uint32_t crc, const void *data, size_t size) {
    const uint8_t *bytes = data;
    size_t odd = size & 7;
    size_t words = size / 8;
    uint64_t state = ~crc;

    state &= 0xFFFFFFFFu;
    if (words == 0)
        return ~extend_tail((uint32_t)state, bytes, size);
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
    return ~(uint32_t)state;
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
        striate_crc32c_hardware = 1;
    }
#elif defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_CRC32) {
        striate_crc32c_implementation = extend_arm;
        striate_crc32c_hardware = 1;
    }
#endif
}
