/* STATE records: everything of a stream but its entries (stream.h). */
#include <stdlib.h>
#include <string.h>

#include "stream.h"
#include "streamread.h"

#define STATE_VERSION 1

static uint64_t group_state_size(const striate_group *group) {
    uint64_t size = 4 + group->name_size + 16 + 8 + 4 + 8;

    for (uint32_t at = 0; at < group->consumer_count; at++)
        if (group->consumers[at].name)
            size += 4 + 4 + group->consumers[at].name_size + 16;
    return size + 32 * (uint64_t)group->alive;
}

uint64_t striate_stream_state_size(const striate_stream *stream) {
    uint64_t size = 4 + 16 * 3 + 8 + 4;

    for (uint32_t at = 0; at < stream->group_count; at++)
        size += group_state_size(stream->groups[at]);
    return size;
}

static char *write_group(const striate_group *group, char *at) {
    uint32_t consumers = 0;

    for (uint32_t number = 0; number < group->consumer_count; number++)
        consumers += group->consumers[number].name != NULL;
    at = striate_put(striate_put_u32(at, group->name_size), group->name, group->name_size);
    at = striate_put_u64(striate_put_id(at, group->last), (uint64_t)group->read);
    at = striate_put_u32(at, consumers);
    for (uint32_t number = 0; number < group->consumer_count; number++) {
        const striate_consumer *consumer = &group->consumers[number];

        if (!consumer->name)
            continue;
        at = striate_put_u32(striate_put_u32(at, number + 1), consumer->name_size);
        at = striate_put(at, consumer->name, consumer->name_size);
        at = striate_put_u64(striate_put_u64(at, (uint64_t)consumer->seen_ms), (uint64_t)consumer->active_ms);
    }
    at = striate_put_u64(at, (uint64_t)group->alive);
    for (int64_t number = group->head; number < group->end; number++) {
        const striate_pending *pending = &group->pending[number];

        if (!pending->consumer)
            continue;
        at = striate_put_u64(striate_put_id(at, pending->id), (uint64_t)pending->delivered_ms);
        at = striate_put_u32(striate_put_u32(at, pending->consumer), pending->deliveries);
    }
    return at;
}

void striate_stream_state_write(const striate_stream *stream, char *into) {
    char *at = striate_put_u32(into, STATE_VERSION);

    at = striate_put_id(striate_put_id(striate_put_id(at, stream->last), stream->removed), stream->low);
    at = striate_put_u32(striate_put_u64(at, stream->added), stream->group_count);
    for (uint32_t number = 0; number < stream->group_count; number++)
        at = write_group(stream->groups[number], at);
}

/* Consumers keep their numbers: pending entries name them by it. */
static int read_consumer(striate_group *group, striate_reader *in) {
    uint32_t number = striate_read_u32(in), size = striate_read_u32(in);
    const char *name = striate_read_bytes(in, size);
    striate_consumer read = {NULL, size, 0, 0, 0};
    striate_consumer *consumers;

    read.seen_ms = striate_read_i64(in);
    read.active_ms = striate_read_i64(in);
    if (in->failed || number <= group->consumer_count || number > STRIATE_MOST_CONSUMERS)
        return STRIATE_MALFORMED;
    read.name = malloc(size + 1u);
    consumers = realloc(group->consumers, number * sizeof *consumers);
    if (consumers)
        group->consumers = consumers;
    if (!read.name || !consumers) {
        free(read.name);
        return STRIATE_NO_MEMORY;
    }
    memcpy(read.name, name, size);
    read.name[size] = 0;
    for (uint32_t at = group->consumer_count; at < number; at++)
        consumers[at] = (striate_consumer){NULL, 0, 0, 0, -1};
    consumers[number - 1] = read;
    group->consumer_count = number;
    return 0;
}

static int read_group(striate_stream *stream, striate_reader *in) {
    uint32_t size = striate_read_u32(in);
    const char *name = striate_read_bytes(in, size);
    striate_group *group;
    int status;
    uint64_t left;

    if (in->failed)
        return STRIATE_MALFORMED;
    group = striate_group_new(name, size);
    if (!group)
        return STRIATE_NO_MEMORY;
    status = striate_stream_add_group(stream, group);
    if (status != 0) {
        striate_group_free(group);
        return status;
    }
    group->last = striate_read_id(in);
    group->read = striate_read_i64(in);
    for (left = striate_read_u32(in); left > 0 && !in->failed && status == 0; left--)
        status = read_consumer(group, in);
    for (left = striate_read_u64(in); left > 0 && !in->failed && status == 0; left--) {
        striate_pending pending;

        pending.id = striate_read_id(in);
        pending.delivered_ms = striate_read_i64(in);
        pending.consumer = striate_read_u32(in);
        pending.deliveries = striate_read_u32(in);
        if (pending.consumer == 0 || pending.consumer > group->consumer_count)
            status = STRIATE_MALFORMED;
        else
            status = striate_group_add_pending(group, &pending);
    }
    return status;
}

int striate_stream_take_in_state(striate_stream *stream, const char *value, uint32_t size) {
    striate_reader in = {value, value + size, 0};
    int status = 0;

    if (striate_read_u32(&in) != STATE_VERSION)
        return STRIATE_MALFORMED;
    while (stream->group_count > 0)
        striate_group_free(stream->groups[--stream->group_count]);
    stream->last = striate_read_id(&in);
    stream->removed = striate_read_id(&in);
    stream->low = stream->settled_low = striate_read_id(&in);
    stream->added = striate_read_u64(&in);
    for (uint32_t left = striate_read_u32(&in); left > 0 && !in.failed && status == 0; left--)
        status = read_group(stream, &in);
    if (status == 0)
        status = striate_stream_trim(stream, stream->low);
    return status == 0 && (in.failed || in.at != in.end) ? STRIATE_MALFORMED : status;
}

int striate_stream_take_in_piece(striate_stream *stream, const char *value, uint32_t size, uint64_t version) {
    striate_reader in = {value, value + size, 0};
    uint32_t number = striate_read_u32(&in), count = striate_read_u32(&in);
    uint64_t more = (uint64_t)(in.end - in.at);
    char *state;
    int status;

    if (number == 0) {
        stream->state_size = 0;
        stream->state_pieces = 0;
    }
    if (in.failed)
        return STRIATE_MALFORMED;
    if (number != stream->state_pieces)
        return 0; /* not from the beginning on: one that a later one stands for */
    state = realloc(stream->state, stream->state_size + more + 1);
    if (!state)
        return STRIATE_NO_MEMORY;
    stream->state = state;
    memcpy(state + stream->state_size, in.at, more);
    stream->state_size += more;
    stream->state_pieces++;
    if (stream->state_pieces < count)
        return 0;
    status = striate_stream_take_in_state(stream, state, (uint32_t)stream->state_size);
    stream->state_version = version - number;
    stream->state_end = version;
    free(stream->state);
    stream->state = NULL;
    stream->state_size = 0;
    return status;
}
