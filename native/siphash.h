/* SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; one round a word as in CPython).
 *
 * A keyed hash and not a quicker one: keys often come from strangers, who could otherwise make all of theirs meet in
 * one bucket.
 */
#ifndef STRIATE_SIPHASH_H
#define STRIATE_SIPHASH_H

#include <stdint.h>
#include <string.h>

static inline uint64_t striate_rotate(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

static inline void striate_sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = striate_rotate(v[1], 13) ^ v[0];
    v[3] = striate_rotate(v[3], 16) ^ v[2];
    v[0] = striate_rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = striate_rotate(v[1], 17) ^ v[2];
    v[3] = striate_rotate(v[3], 21) ^ v[0];
    v[2] = striate_rotate(v[2], 32);
}

static inline uint64_t striate_siphash13(const uint64_t key[2], const char *bytes, uint64_t size) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull, key[0] ^ 0x6c7967656e657261ull,
                     key[1] ^ 0x7465646279746573ull};
    uint64_t word = 0;
    uint64_t left = size;

    for (; left >= 8; left -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        v[3] ^= word;
        striate_sip_round(v);
        v[0] ^= word;
    }
    word = size << 56;
    for (uint64_t place = 0; place < left; place++)
        word |= (uint64_t)(unsigned char)bytes[place] << 8 * place;
    v[3] ^= word;
    striate_sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    striate_sip_round(v);
    striate_sip_round(v);
    striate_sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif /* STRIATE_SIPHASH_H */
