/* The hash of keys: secret, because keys often come from strangers, who could otherwise make theirs meet in one bucket.
 *
 * Keys up to 32 bytes, which is most of them, are multiplied with secret words: NH (Black et al., "UMAC: Fast and
 * Secure Message Authentication", 1999). Whatever two keys are, their 128-bit sums are equal for one secret in 2^64 at
 * most; what makes 64 bits of the sum is a mixing step without such a proof. That is enough against keys chosen
 * beforehand, and costs a fifth of SipHash. It is no pseudo-random function: hashes must never be told to strangers.
 * Longer keys are hashed by SipHash-1-3.
 */
#ifndef STRIATE_KEYHASH_H
#define STRIATE_KEYHASH_H

#include "siphash.h"

#define STRIATE_SHORT_KEY_BYTES 32

typedef struct striate_secret {
    uint64_t sip[2];
    uint64_t words[7]; /* made of the others */
} striate_secret;

static inline void striate_secret_init(striate_secret *secret, const uint64_t key[2]) {
    memcpy(secret->sip, key, sizeof secret->sip);
    for (uint64_t number = 0; number < 7; number++)
        secret->words[number] = striate_siphash13(key, (const char *)&number, sizeof number);
}

static inline uint64_t striate_load_word(const char *bytes) {
    uint64_t word;

    memcpy(&word, bytes, 8);
    return word;
}

/* Up to seven bytes, in a way that with the size tells them all. */
static inline uint64_t striate_load_few(const char *bytes, uint64_t size) {
    uint32_t first, last;

    if (size >= 4) {
        memcpy(&first, bytes, 4);
        memcpy(&last, bytes + size - 4, 4);
        return (uint64_t)first << 32 | last;
    }
    if (size == 0)
        return 0;
    return (uint64_t)(uint8_t)bytes[0] << 16 | (uint64_t)(uint8_t)bytes[size / 2] << 8 | (uint8_t)bytes[size - 1];
}

static inline unsigned __int128 striate_product(uint64_t one, uint64_t other) {
    return (unsigned __int128)one * other;
}

__attribute__((noinline, unused)) static uint64_t striate_hash_long_key(const striate_secret *secret, const char *bytes,
                                                                       uint64_t size, uint32_t space) {
    return striate_siphash13(secret->sip, bytes, size) ^ space * 0x9E3779B97F4A7C15ull;
}

static inline uint64_t striate_hash_key(const striate_secret *secret, const char *bytes, uint64_t size,
                                        uint32_t space) {
    const uint64_t *words = secret->words;
    unsigned __int128 sum = striate_product(words[4], size << 8 | space);

    if (__builtin_expect(size > STRIATE_SHORT_KEY_BYTES, 0))
        return striate_hash_long_key(secret, bytes, size, space);
    if (size < 8) {
        sum += striate_product(words[0] + striate_load_few(bytes, size), words[1]);
    } else {
        sum += striate_product(words[0] + striate_load_word(bytes), words[1] + striate_load_word(bytes + size - 8));
        if (size > 16)
            sum += striate_product(words[2] + striate_load_word(bytes + 8),
                                   words[3] + striate_load_word(bytes + size - 16));
    }
    sum = striate_product((uint64_t)sum ^ words[5], (uint64_t)(sum >> 64) ^ words[6]);
    return (uint64_t)sum ^ (uint64_t)(sum >> 64);
}

#endif /* STRIATE_KEYHASH_H */
