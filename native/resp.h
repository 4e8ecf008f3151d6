/* RESP, the protocol of Redis, without input and output: requests out of a buffer, pieces of replies into one.
 *
 * A request is parsed as its bytes come: what was read once is not read again, and memory grows with the bytes that
 * are there, never with a size that a peer announces. Nothing here knows commands or Python.
 */
#ifndef STRIATE_RESP_H
#define STRIATE_RESP_H

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* ---------------------------------------------------------------- requests */

/* A part of a request, from the request's first byte. */
typedef struct striate_argument {
    uint64_t start;
    uint64_t size;
} striate_argument;

/* One request on its way. All zeros: a new one. */
typedef struct striate_request {
    striate_argument *arguments; /* owned */
    uint32_t capacity;
    uint32_t count;    /* arguments that are complete */
    uint32_t wanted;   /* arguments announced; 0: that is still to come */
    uint32_t has_bulk; /* the size of the argument under way is known */
    uint64_t bulk;     /* that size */
    uint64_t position; /* bytes read */
} striate_request;

typedef struct striate_request_limits {
    uint32_t arguments;
    uint32_t inline_names; /* STRIATE_INLINE_... */
    uint64_t argument_bytes;
    uint64_t request_bytes; /* of all arguments of one request */
} striate_request_limits;

enum {
    STRIATE_INLINE_NONE,
    STRIATE_INLINE_PING, /* only the word PING: what load generators and probes send */
    STRIATE_INLINE_ALL
};

enum { /* what became of a request */
    STRIATE_REQUEST_MORE = 0,
    STRIATE_REQUEST_COMPLETE = 1,
    STRIATE_BAD_COUNT = -6101,
    STRIATE_TOO_MANY_ARGUMENTS = -6102,
    STRIATE_NO_DOLLAR = -6103,
    STRIATE_BAD_SIZE = -6104,
    STRIATE_TOO_LARGE = -6105,
    STRIATE_NO_LINE_END = -6106,
    STRIATE_LONG_LINE = -6107,
    STRIATE_BAD_QUOTES = -6108,
    STRIATE_NO_INLINE = -6109,
    STRIATE_REQUEST_MEMORY = -6110
};

/* Reads on. `bytes` are those of the request from its first on, at any address; of an inline request they are changed
 * (quotes are taken off). Complete: `position` bytes are used up, the arguments lie in `bytes`; no argument at all is
 * an empty request. */
int striate_request_parse(striate_request *request, char *bytes, uint64_t size, const striate_request_limits *limits);
/* Ready for the next one; what takes much memory is let go. */
void striate_request_reset(striate_request *request);
void striate_request_free(striate_request *request);

/* ---------------------------------------------------------------- buffers */

typedef struct striate_buffer {
    char *bytes; /* owned; NULL while nothing is held */
    uint64_t size;
    uint64_t capacity;
} striate_buffer;

enum { STRIATE_HEADER_BYTES = 32 }; /* room for a type, a number and a line end */

/* Where `more` bytes may be written behind what is there; NULL: memory ran out and nothing has changed. */
char *striate_buffer_reserve(striate_buffer *buffer, uint64_t more);
void striate_buffer_free(striate_buffer *buffer);

static inline int striate_buffer_put(striate_buffer *buffer, const char *bytes, uint64_t size) {
    char *place = striate_buffer_reserve(buffer, size);

    if (!place)
        return STRIATE_REQUEST_MEMORY;
    if (size)
        memcpy(place, bytes, size);
    buffer->size += size;
    return 0;
}

/* A type, a number, a line end: the head of an array, a whole integer. */
int striate_put_number(striate_buffer *buffer, char type, int64_t number);
/* A bulk string. */
int striate_put_bulk(striate_buffer *buffer, const char *bytes, uint64_t size);
/* A line: a type, text without line ends, a line end. */
int striate_put_line(striate_buffer *buffer, char type, const char *text, uint64_t size);

#endif /* STRIATE_RESP_H */
