/* Clones of a stream, what they share with it, and letting go of what a stream holds (stream.h). */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stream.h"

/* ---------------------------------------------------------------- what is shared */

void striate_run_free(striate_run *run) {
    if (__atomic_sub_fetch(&run->shares, 1, __ATOMIC_ACQ_REL) == 0)
        free(run);
}

striate_run *striate_run_own(striate_stream *stream, int64_t at) {
    striate_run *run = stream->runs[at], *copy;

    if (__atomic_load_n(&run->shares, __ATOMIC_ACQUIRE) == 1)
        return run;
    copy = malloc(sizeof *run + run->capacity * sizeof *run->slots);
    if (!copy)
        return NULL;
    copy->shares = 1;
    memcpy(&copy->count, &run->count,
           sizeof *run - offsetof(striate_run, count) + run->capacity * sizeof *run->slots);
    stream->runs[at] = copy;
    striate_run_free(run);
    return copy;
}

static int copy_group_into(striate_group *copy, const striate_group *group) {
    size_t count = (size_t)(group->end - group->head);

    copy->last = group->last;
    copy->read = group->read;
    copy->pending = malloc((count + 1) * sizeof *copy->pending);
    copy->consumers = calloc(group->consumer_count + 1u, sizeof *copy->consumers);
    if (!copy->pending || !copy->consumers)
        return 0;
    if (count)
        memcpy(copy->pending, group->pending + group->head, count * sizeof *copy->pending);
    copy->end = (int64_t)count;
    copy->capacity = (int64_t)count + 1;
    copy->alive = group->alive;
    for (; copy->consumer_count < group->consumer_count; copy->consumer_count++) {
        const striate_consumer *from = &group->consumers[copy->consumer_count];
        striate_consumer *to = &copy->consumers[copy->consumer_count];

        *to = *from;
        if (from->name && !(to->name = striate_name_copy(from->name, from->name_size)))
            return 0;
    }
    return 1;
}

striate_group *striate_group_own(striate_stream *stream, striate_group *group) {
    striate_group *copy;

    if (__atomic_load_n(&group->shares, __ATOMIC_ACQUIRE) == 1)
        return group;
    copy = striate_group_new(group->name, group->name_size);
    if (!copy)
        return NULL;
    if (!copy_group_into(copy, group)) {
        striate_group_free(copy);
        return NULL;
    }
    for (uint32_t at = 0; at < stream->group_count; at++)
        if (stream->groups[at] == group)
            stream->groups[at] = copy;
    striate_group_free(group);
    return copy;
}

/* ---------------------------------------------------------------- streams */

static void share_runs(striate_stream *clone, const striate_stream *stream) {
    for (int64_t at = stream->first; at < stream->run_end; at++) {
        __atomic_fetch_add(&stream->runs[at]->shares, 1, __ATOMIC_RELAXED);
        clone->runs[clone->run_end++] = stream->runs[at];
    }
}

static void share_groups(striate_stream *clone, const striate_stream *stream) {
    for (uint32_t at = 0; at < stream->group_count; at++) {
        __atomic_fetch_add(&stream->groups[at]->shares, 1, __ATOMIC_RELAXED);
        clone->groups[clone->group_count++] = stream->groups[at];
    }
}

striate_stream *striate_stream_clone(const striate_stream *stream) {
    striate_stream *clone = striate_stream_new(stream->number);

    if (!clone)
        return NULL;
    clone->run_capacity = stream->run_end - stream->first;
    clone->runs = malloc((size_t)(clone->run_capacity + 1) * sizeof *clone->runs);
    clone->groups = malloc((stream->group_count + 1u) * sizeof *clone->groups);
    if (!clone->runs || !clone->groups) {
        striate_stream_free(clone);
        return NULL;
    }
    share_runs(clone, stream);
    share_groups(clone, stream);
    clone->offset_ids = stream->offset_ids;
    clone->last = stream->last;
    clone->removed = stream->removed;
    clone->low = stream->low;
    clone->added = stream->added;
    clone->alive = stream->alive;
    clone->version = stream->version;
    memcpy(clone->counts, stream->counts, sizeof clone->counts);
    return clone;
}

void striate_stream_drop(striate_stream *stream) {
    for (int64_t at = stream->first; at < stream->run_end; at++)
        striate_run_free(stream->runs[at]);
    for (uint32_t at = 0; at < stream->group_count; at++)
        striate_group_free(stream->groups[at]);
    free(stream->runs);
    free(stream->groups);
    free(stream->state);
    stream->runs = NULL;
    stream->groups = NULL;
    stream->state = NULL;
    stream->first = stream->run_end = stream->run_capacity = stream->alive = 0;
    stream->group_count = 0;
    stream->state_size = 0;
    stream->dropped = 1;
    for (int part = 0; part < STRIATE_PARTS; part++)
        stream->counts[part]++;
    __atomic_fetch_add(&stream->word, 1, __ATOMIC_SEQ_CST);
}

int striate_stream_become(striate_stream *stream, const striate_stream *other) {
    striate_stream *clone = striate_stream_clone(other);
    striate_stream before = *stream;

    if (!clone)
        return STRIATE_NO_MEMORY;
    *stream = *clone;
    *clone = before;
    striate_stream_free(clone);
    return 0;
}
