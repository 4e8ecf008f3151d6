#include "resp.h"

#include <stdlib.h>

#define LINE_LIMIT 65536 /* bytes of an inline request, or of the head of an argument */
#define KEPT_ARGUMENTS 64
#define DIGITS 19

/* ---------------------------------------------------------------- numbers and lines */

/* The place of the next CR LF, or NULL. */
static char *line_end(char *bytes, uint64_t size) {
    char *found = bytes;

    while (size && (found = memchr(bytes, '\r', size))) {
        if (found + 1 == bytes + size)
            return NULL;
        if (found[1] == '\n')
            return found;
        size -= (uint64_t)(found + 1 - bytes);
        bytes = found + 1;
    }
    return NULL;
}

/* A number of at most 18 digits, perhaps negative, and nothing else; 0 when it is not one. */
static int read_number(const char *text, const char *end, int64_t *number) {
    int negative = text < end && *text == '-';
    int64_t value = 0;

    text += negative;
    if (text == end || end - text >= DIGITS)
        return 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        value = 10 * value + (*text - '0');
    }
    *number = negative ? -value : value;
    return 1;
}

/* ---------------------------------------------------------------- requests */

static int add_argument(striate_request *request, uint64_t start, uint64_t size) {
    if (request->count == request->capacity) {
        uint32_t capacity = request->capacity ? 2 * request->capacity : 8;
        striate_argument *arguments = realloc(request->arguments, capacity * sizeof *arguments);

        if (!arguments)
            return STRIATE_REQUEST_MEMORY;
        request->arguments = arguments;
        request->capacity = capacity;
    }
    request->arguments[request->count++] = (striate_argument){start, size};
    return 0;
}

/* The number of the line at the request's position, which is moved behind it: COMPLETE, MORE, or `bad`. */
static int read_head(striate_request *request, char *bytes, uint64_t size, int64_t *number, int bad) {
    char *line = bytes + request->position + 1;
    uint64_t left = size - request->position - 1;
    char *end = line_end(line, left < LINE_LIMIT ? left : LINE_LIMIT);

    if (!end)
        return left < LINE_LIMIT ? STRIATE_REQUEST_MORE : STRIATE_LONG_LINE;
    if (!read_number(line, end, number))
        return bad;
    request->position = (uint64_t)(end + 2 - bytes);
    return STRIATE_REQUEST_COMPLETE;
}

/* The size of the next argument. */
static int read_size(striate_request *request, char *bytes, uint64_t size, const striate_request_limits *limits) {
    int64_t number;
    int status;

    if (request->position == size)
        return STRIATE_REQUEST_MORE;
    if (bytes[request->position] != '$')
        return STRIATE_NO_DOLLAR;
    status = read_head(request, bytes, size, &number, STRIATE_BAD_SIZE);
    if (status != STRIATE_REQUEST_COMPLETE)
        return status;
    if (number < 0)
        return STRIATE_BAD_SIZE;
    if ((uint64_t)number > limits->argument_bytes)
        return STRIATE_TOO_LARGE;
    /* The position is below the limit as well, so the sum cannot overflow. */
    if (request->position + (uint64_t)number > limits->request_bytes)
        return STRIATE_TOO_LARGE;
    request->bulk = (uint64_t)number;
    request->has_bulk = 1;
    return STRIATE_REQUEST_COMPLETE;
}

static int read_arguments(striate_request *request, char *bytes, uint64_t size, const striate_request_limits *limits) {
    while (request->count < request->wanted) {
        int status = request->has_bulk ? STRIATE_REQUEST_COMPLETE : read_size(request, bytes, size, limits);

        if (status != STRIATE_REQUEST_COMPLETE)
            return status;
        if (size - request->position < request->bulk + 2)
            return STRIATE_REQUEST_MORE;
        if (memcmp(bytes + request->position + request->bulk, "\r\n", 2) != 0)
            return STRIATE_NO_LINE_END;
        if (add_argument(request, request->position, request->bulk) != 0)
            return STRIATE_REQUEST_MEMORY;
        request->position += request->bulk + 2;
        request->has_bulk = 0;
    }
    return STRIATE_REQUEST_COMPLETE;
}

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* One quoted word at *from, its opening quote included, written to *to without quotes and escapes. 0: not closed, or
 * followed by something else than a blank. */
static int unquote(char **from, char *end, char **to) {
    char quote = *(*from)++;
    char *at = *from;
    char *out = *to;

    for (; at < end && *at != quote; at++) {
        if (*at != '\\' || at + 1 == end) {
            *out++ = *at;
        } else if (quote == '\'') {
            at += at[1] == '\'';
            *out++ = *at;
        } else if (at[1] == 'x' && end - at > 3 && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
            *out++ = (char)(hex_digit(at[2]) << 4 | hex_digit(at[3]));
            at += 3;
        } else {
            const char *escaped = memchr("n\nr\rt\tb\ba\a", at[1], 10);

            at++;
            *out++ = escaped ? escaped[1] : *at;
        }
    }
    if (at == end || (at + 1 < end && at[1] != ' ' && at[1] != '\t'))
        return 0;
    *from = at + 1;
    *to = out;
    return 1;
}

static int allowed(const striate_request *request, const char *bytes, uint32_t names) {
    if (names == STRIATE_INLINE_ALL || request->count == 0)
        return 1;
    return names == STRIATE_INLINE_PING && request->count == 1 && request->arguments[0].size == 4 &&
           strncasecmp(bytes + request->arguments[0].start, "PING", 4) == 0;
}

/* A line of words, as people type it. */
static int read_inline(striate_request *request, char *bytes, uint64_t size, const striate_request_limits *limits) {
    char *end = memchr(bytes, '\n', size < LINE_LIMIT ? size : LINE_LIMIT);
    char *at = bytes;
    char *out = bytes;

    if (!end)
        return size < LINE_LIMIT ? STRIATE_REQUEST_MORE : STRIATE_LONG_LINE;
    request->position = (uint64_t)(end + 1 - bytes);
    end -= end > bytes && end[-1] == '\r';
    while (at < end) {
        char *start = out;

        if (*at == ' ' || *at == '\t') {
            at++;
            continue;
        }
        if (request->count == limits->arguments)
            return STRIATE_TOO_MANY_ARGUMENTS;
        if (*at == '"' || *at == '\'') {
            if (!unquote(&at, end, &out))
                return STRIATE_BAD_QUOTES;
        } else {
            while (at < end && *at != ' ' && *at != '\t')
                *out++ = *at++;
        }
        if ((uint64_t)(out - start) > limits->argument_bytes)
            return STRIATE_TOO_LARGE;
        if (add_argument(request, (uint64_t)(start - bytes), (uint64_t)(out - start)) != 0)
            return STRIATE_REQUEST_MEMORY;
    }
    return allowed(request, bytes, limits->inline_names) ? STRIATE_REQUEST_COMPLETE : STRIATE_NO_INLINE;
}

int striate_request_parse(striate_request *request, char *bytes, uint64_t size, const striate_request_limits *limits) {
    int64_t number;
    int status;

    if (size == 0)
        return STRIATE_REQUEST_MORE;
    if (bytes[0] != '*')
        return read_inline(request, bytes, size, limits);
    if (request->position == 0) {
        status = read_head(request, bytes, size, &number, STRIATE_BAD_COUNT);
        if (status != STRIATE_REQUEST_COMPLETE)
            return status;
        if (number > (int64_t)limits->arguments)
            return STRIATE_TOO_MANY_ARGUMENTS;
        request->wanted = number > 0 ? (uint32_t)number : 0;
    }
    return read_arguments(request, bytes, size, limits);
}

void striate_request_reset(striate_request *request) {
    if (request->capacity > KEPT_ARGUMENTS) {
        striate_request_free(request);
        return;
    }
    request->count = request->wanted = request->has_bulk = 0;
    request->bulk = request->position = 0;
}

void striate_request_free(striate_request *request) {
    free(request->arguments);
    *request = (striate_request){0};
}

/* ---------------------------------------------------------------- buffers */

char *striate_buffer_reserve(striate_buffer *buffer, uint64_t more) {
    uint64_t capacity = buffer->capacity ? buffer->capacity : 512;
    char *bytes;

    if (buffer->capacity - buffer->size >= more && buffer->bytes)
        return buffer->bytes + buffer->size;
    while (capacity - buffer->size < more)
        capacity *= 2;
    bytes = realloc(buffer->bytes, capacity);
    if (!bytes)
        return NULL;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return bytes + buffer->size;
}

void striate_buffer_free(striate_buffer *buffer) {
    free(buffer->bytes);
    *buffer = (striate_buffer){0};
}

/* Written from the end; a number of 64 bits has 20 characters. */
static char *put_head(char *place, char type, int64_t number) {
    char text[24];
    char *at = text + sizeof text;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (number < 0)
        *--at = '-';
    *place++ = type;
    memcpy(place, at, (size_t)(text + sizeof text - at));
    place += text + sizeof text - at;
    *place++ = '\r';
    *place++ = '\n';
    return place;
}

int striate_put_number(striate_buffer *buffer, char type, int64_t number) {
    char *place = striate_buffer_reserve(buffer, STRIATE_HEADER_BYTES);

    if (!place)
        return STRIATE_REQUEST_MEMORY;
    buffer->size += (uint64_t)(put_head(place, type, number) - place);
    return 0;
}

int striate_put_bulk(striate_buffer *buffer, const char *bytes, uint64_t size) {
    char *place = striate_buffer_reserve(buffer, size + STRIATE_HEADER_BYTES);
    char *at;

    if (!place)
        return STRIATE_REQUEST_MEMORY;
    at = put_head(place, '$', (int64_t)size);
    if (size)
        memcpy(at, bytes, size);
    at += size;
    *at++ = '\r';
    *at++ = '\n';
    buffer->size += (uint64_t)(at - place);
    return 0;
}

int striate_put_line(striate_buffer *buffer, char type, const char *text, uint64_t size) {
    char *place = striate_buffer_reserve(buffer, size + 3);

    if (!place)
        return STRIATE_REQUEST_MEMORY;
    *place++ = type;
    memcpy(place, text, size);
    memcpy(place + size, "\r\n", 2);
    buffer->size += size + 3;
    return 0;
}
