/* Little-endian fields of the records of a stream, one behind another. */
#ifndef STRIATE_STREAMREAD_H
#define STRIATE_STREAMREAD_H

#include <string.h>

#include "stream.h"

typedef struct striate_reader {
    const char *at, *end;
    int failed; /* more was read than there is; what was read is zeros */
} striate_reader;

static inline const char *striate_read_bytes(striate_reader *in, uint64_t size) {
    const char *bytes = in->at;

    if (size > (uint64_t)(in->end - in->at)) {
        in->failed = 1;
        return NULL;
    }
    in->at += size;
    return bytes;
}

static inline void striate_read(striate_reader *in, void *into, size_t size) {
    const char *bytes = striate_read_bytes(in, size);

    if (bytes)
        memcpy(into, bytes, size);
    else
        memset(into, 0, size);
}

static inline uint8_t striate_read_u8(striate_reader *in) {
    uint8_t value;

    striate_read(in, &value, sizeof value);
    return value;
}

static inline uint32_t striate_read_u32(striate_reader *in) {
    uint32_t value;

    striate_read(in, &value, sizeof value);
    return value;
}

static inline uint64_t striate_read_u64(striate_reader *in) {
    uint64_t value;

    striate_read(in, &value, sizeof value);
    return value;
}

static inline int64_t striate_read_i64(striate_reader *in) {
    return (int64_t)striate_read_u64(in);
}

static inline striate_id striate_read_id(striate_reader *in) {
    striate_id id;

    id.ms = striate_read_u64(in);
    id.seq = striate_read_u64(in);
    return id;
}

static inline char *striate_put(char *at, const void *bytes, size_t size) {
    memcpy(at, bytes, size);
    return at + size;
}

static inline char *striate_put_u8(char *at, uint8_t value) {
    return striate_put(at, &value, sizeof value);
}

static inline char *striate_put_u32(char *at, uint32_t value) {
    return striate_put(at, &value, sizeof value);
}

static inline char *striate_put_u64(char *at, uint64_t value) {
    return striate_put(at, &value, sizeof value);
}

static inline char *striate_put_id(char *at, striate_id id) {
    return striate_put_u64(striate_put_u64(at, id.ms), id.seq);
}

#endif /* STRIATE_STREAMREAD_H */
