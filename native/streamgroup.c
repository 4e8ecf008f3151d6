#include <stdlib.h>
#include <string.h>

#include "stream.h"
#include "streamread.h"

char *striate_name_copy(const char *name, uint32_t size) {
    char *copy = malloc(size + 1u);

    if (copy) {
        memcpy(copy, name, size);
        copy[size] = 0;
    }
    return copy;
}

static int is_named(const char *own, uint32_t own_size, const char *name, uint32_t size) {
    return own && own_size == size && memcmp(own, name, size) == 0;
}

/* ---------------------------------------------------------------- groups */

striate_group *striate_group_new(const char *name, uint32_t name_size) {
    striate_group *group = calloc(1, sizeof *group);

    if (!group)
        return NULL;
    group->shares = 1;
    group->name = striate_name_copy(name, name_size);
    group->name_size = name_size;
    if (!group->name) {
        free(group);
        return NULL;
    }
    return group;
}

void striate_group_free(striate_group *group) {
    if (__atomic_sub_fetch(&group->shares, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (uint32_t at = 0; at < group->consumer_count; at++)
        free(group->consumers[at].name);
    free(group->consumers);
    free(group->pending);
    free(group->name);
    free(group);
}

striate_group *striate_stream_group(const striate_stream *stream, const char *name, uint32_t size) {
    for (uint32_t at = 0; at < stream->group_count; at++)
        if (is_named(stream->groups[at]->name, stream->groups[at]->name_size, name, size))
            return stream->groups[at];
    return NULL;
}

int striate_stream_add_group(striate_stream *stream, striate_group *group) {
    striate_group **groups = realloc(stream->groups, (stream->group_count + 1u) * sizeof *groups);

    if (!groups)
        return STRIATE_NO_MEMORY;
    stream->groups = groups;
    groups[stream->group_count++] = group;
    return 0;
}

static void delete_group(striate_stream *stream, striate_group *group) {
    for (uint32_t at = 0; at < stream->group_count; at++)
        if (stream->groups[at] == group)
            stream->groups[at] = stream->groups[--stream->group_count];
    striate_group_free(group);
}

/* ---------------------------------------------------------------- consumers */

uint32_t striate_group_consumer(const striate_group *group, const char *name, uint32_t size) {
    for (uint32_t at = 0; at < group->consumer_count; at++)
        if (is_named(group->consumers[at].name, group->consumers[at].name_size, name, size))
            return at + 1;
    return 0;
}

uint32_t striate_group_add_consumer(striate_group *group, const char *name, uint32_t size) {
    uint32_t number = striate_group_consumer(group, name, size);
    striate_consumer *consumers;
    char *copy;

    if (number)
        return number;
    copy = striate_name_copy(name, size);
    if (!copy)
        return 0;
    while (number < group->consumer_count && group->consumers[number].name)
        number++;
    if (number == group->consumer_count) {
        consumers = NULL;
        if (number < STRIATE_MOST_CONSUMERS)
            consumers = realloc(group->consumers, (number + 1u) * sizeof *consumers);
        if (!consumers) {
            free(copy);
            return 0;
        }
        group->consumers = consumers;
        group->consumer_count++;
    }
    group->consumers[number] = (striate_consumer){copy, size, 0, 0, -1};
    return number + 1;
}

/* ---------------------------------------------------------------- pending entries */

int64_t striate_group_seek(const striate_group *group, striate_id id) {
    int64_t low = group->head, high = group->end;

    while (low < high) {
        int64_t middle = (low + high) / 2;

        if (striate_id_before(group->pending[middle].id, id))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

striate_pending *striate_group_pending(const striate_group *group, striate_id id) {
    int64_t at = group->head;

    /* Acknowledged in the order of delivery, as a rule: then it is the first. */
    if (at < group->end && !striate_id_equal(group->pending[at].id, id))
        at = striate_group_seek(group, id);
    if (at == group->end || !striate_id_equal(group->pending[at].id, id) || !group->pending[at].consumer)
        return NULL;
    return &group->pending[at];
}

static void drop_holes(striate_group *group) {
    int64_t to = 0;

    for (int64_t from = group->head; from < group->end; from++)
        if (group->pending[from].consumer)
            group->pending[to++] = group->pending[from];
    group->head = 0;
    group->end = to;
}

static int room_for_pending(striate_group *group) {
    striate_pending *pending;
    int64_t capacity = 2 * group->capacity + 16;

    if (group->end < group->capacity)
        return 1;
    if (2 * group->alive <= group->capacity) {
        drop_holes(group);
        if (group->end < group->capacity)
            return 1;
    }
    pending = realloc(group->pending, (size_t)capacity * sizeof *pending);
    if (!pending)
        return 0;
    group->pending = pending;
    group->capacity = capacity;
    return 1;
}

int striate_group_add_pending(striate_group *group, const striate_pending *pending) {
    int64_t at;

    if (!room_for_pending(group))
        return STRIATE_NO_MEMORY;
    at = group->end;
    if (at > group->head && !striate_id_before(group->pending[at - 1].id, pending->id)) {
        at = striate_group_seek(group, pending->id);
        if (striate_id_equal(group->pending[at].id, pending->id)) { /* delivered before, or a hole */
            striate_pending *there = &group->pending[at];

            if (there->consumer)
                group->consumers[there->consumer - 1].pending--;
            else
                group->alive++;
            *there = *pending;
            group->consumers[pending->consumer - 1].pending++;
            return 0;
        }
        memmove(&group->pending[at + 1], &group->pending[at], (size_t)(group->end - at) * sizeof *pending);
    }
    group->pending[at] = *pending;
    group->end++;
    group->alive++;
    group->consumers[pending->consumer - 1].pending++;
    return 0;
}

static void acknowledge(striate_group *group, striate_pending *pending) {
    group->consumers[pending->consumer - 1].pending--;
    pending->consumer = 0;
    group->alive--;
    while (group->head < group->end && !group->pending[group->head].consumer)
        group->head++;
    if (group->head == group->end)
        group->head = group->end = 0;
}

/* ---------------------------------------------------------------- operations */

static int take_in_set(striate_stream *stream, striate_group *group, const char *name, uint32_t name_size,
                       striate_reader *in) {
    striate_id last = striate_read_id(in);
    int64_t read = striate_read_i64(in);

    if (in->failed)
        return STRIATE_MALFORMED;
    if (!group) {
        group = striate_group_new(name, name_size);
        if (!group)
            return STRIATE_NO_MEMORY;
        if (striate_stream_add_group(stream, group) != 0) {
            striate_group_free(group);
            return STRIATE_NO_MEMORY;
        }
    }
    group->last = last;
    group->read = read;
    return 0;
}

#define AT_ONCE 128

static int take_in_delivery(striate_stream *stream, striate_group *group, striate_reader *in) {
    uint8_t without_ack = striate_read_u8(in);
    int64_t ms = striate_read_i64(in);
    striate_id before = striate_read_id(in), last = striate_read_id(in);
    int64_t read = striate_read_i64(in);
    striate_met found[AT_ONCE];
    striate_consumer *consumer;
    uint32_t number;
    int64_t count;

    if (in->failed)
        return STRIATE_MALFORMED;
    number = striate_group_add_consumer(group, in->at, (uint32_t)(in->end - in->at));
    if (!number)
        return STRIATE_NO_MEMORY;
    consumer = &group->consumers[number - 1];
    consumer->seen_ms = consumer->active_ms = ms;
    while (!without_ack && striate_id_before(before, last)) {
        striate_id from = {before.ms, before.seq + 1};

        if (from.seq == 0)
            from.ms++;
        count = striate_stream_collect(stream, from, last, 0, UINT64_MAX, AT_ONCE, found);
        if (count == 0)
            break;
        for (int64_t at = 0; at < count; at++) {
            striate_pending pending = {found[at].id, ms, number, 1};

            if (striate_group_add_pending(group, &pending) != 0)
                return STRIATE_NO_MEMORY;
        }
        before = found[count - 1].id;
    }
    group->last = last;
    group->read = read;
    return 0;
}

static int take_in_acks(striate_group *group, striate_reader *in) {
    while (in->at < in->end) {
        striate_pending *pending = striate_group_pending(group, striate_read_id(in));

        if (in->failed)
            return STRIATE_MALFORMED;
        if (pending)
            acknowledge(group, pending);
    }
    return 0;
}

static int take_in_claim(striate_group *group, striate_reader *in) {
    uint8_t counting = striate_read_u8(in);
    uint32_t deliveries = striate_read_u32(in);
    int64_t ms = striate_read_i64(in);
    uint32_t size = striate_read_u32(in);
    const char *name = striate_read_bytes(in, size);
    uint32_t number;

    if (in->failed)
        return STRIATE_MALFORMED;
    number = striate_group_add_consumer(group, name, size);
    if (!number)
        return STRIATE_NO_MEMORY;
    if (ms > group->consumers[number - 1].seen_ms)
        group->consumers[number - 1].seen_ms = ms;
    while (in->end - in->at >= 16) {
        striate_pending claimed = {striate_read_id(in), ms, number, 0};
        striate_pending *there = striate_group_pending(group, claimed.id);
        uint32_t before = there ? there->deliveries : 0;

        claimed.deliveries = counting == 2 ? deliveries : before + (counting == 1);
        group->consumers[number - 1].active_ms = group->consumers[number - 1].seen_ms;
        if (there) {
            group->consumers[there->consumer - 1].pending--;
            group->consumers[number - 1].pending++;
            *there = claimed;
        } else if (striate_group_add_pending(group, &claimed) != 0) {
            return STRIATE_NO_MEMORY;
        }
    }
    return 0;
}

static void delete_consumer(striate_group *group, const char *name, uint32_t size) {
    uint32_t number = striate_group_consumer(group, name, size);
    striate_consumer *consumer;

    if (!number)
        return;
    consumer = &group->consumers[number - 1];
    for (int64_t at = group->head; at < group->end && consumer->pending; at++)
        if (group->pending[at].consumer == number) {
            group->pending[at].consumer = 0;
            group->alive--;
            consumer->pending--;
        }
    drop_holes(group);
    free(consumer->name);
    consumer->name = NULL;
}

int striate_group_take_in(striate_stream *stream, const char *name, uint32_t name_size, const char *value,
                          uint32_t size) {
    striate_group *group = striate_stream_group(stream, name, name_size);
    striate_reader in = {value, value + size, 0};
    uint8_t operation = striate_read_u8(&in);
    uint32_t number;
    int64_t ms;

    if (group && operation == STRIATE_GROUP_DELETE) {
        delete_group(stream, group);
        return 0;
    }
    if (group && !(group = striate_group_own(stream, group)))
        return STRIATE_NO_MEMORY;
    if (operation == STRIATE_GROUP_SET)
        return take_in_set(stream, group, name, name_size, &in);
    if (!group)
        return 0;
    switch (operation) {
    case STRIATE_GROUP_DELIVER:
        return take_in_delivery(stream, group, &in);
    case STRIATE_GROUP_ACK:
        return take_in_acks(group, &in);
    case STRIATE_GROUP_CLAIM:
        return take_in_claim(group, &in);
    case STRIATE_CONSUMER_SET:
        ms = striate_read_i64(&in);
        if (in.failed)
            return STRIATE_MALFORMED;
        number = striate_group_add_consumer(group, in.at, (uint32_t)(in.end - in.at));
        if (!number)
            return STRIATE_NO_MEMORY;
        group->consumers[number - 1].seen_ms = ms;
        return 0;
    case STRIATE_CONSUMER_DELETE:
        delete_consumer(group, in.at, (uint32_t)(in.end - in.at));
        return 0;
    default: /* of a later version */
        return STRIATE_MALFORMED;
    }
}
