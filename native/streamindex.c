#include <stdlib.h>
#include <string.h>

#include "stream.h"

#define FIRST_CAPACITY 8

/* A slot of a stream; run == run_end: behind the last. */
typedef struct slot_place {
    int64_t run;
    uint32_t slot;
} slot_place;

striate_stream *striate_stream_new(uint64_t number) {
    striate_stream *stream = calloc(1, sizeof *stream);

    if (stream)
        stream->number = number;
    return stream;
}

void striate_stream_free(striate_stream *stream) {
    striate_stream_drop(stream);
    free(stream);
}

static int order_of_ids(const void *a, const void *b) {
    striate_id left = *(const striate_id *)a, right = *(const striate_id *)b;

    return striate_id_before(left, right) ? -1 : striate_id_before(right, left);
}

int64_t striate_ids_sort(striate_id *ids, int64_t count) {
    int64_t kept = 0, at = 1;

    while (at < count && striate_id_before(ids[at - 1], ids[at]))
        at++;
    if (at >= count)
        return count;
    qsort(ids, (size_t)count, sizeof *ids, order_of_ids);
    for (at = 0; at < count; at++)
        if (kept == 0 || striate_id_before(ids[kept - 1], ids[at]))
            ids[kept++] = ids[at];
    return kept;
}

/* ---------------------------------------------------------------- slots */

static striate_id slot_id(const striate_run *run, uint32_t slot) {
    striate_slot at = run->slots[slot];

    return (striate_id){run->id.ms + at.ms, at.ms ? at.seq : run->id.seq + at.seq};
}

static striate_met found_at(const striate_run *run, uint32_t slot) {
    striate_slot at = run->slots[slot];

    return (striate_met){slot_id(run, slot), run->version + at.offset, run->ordinal + at.ordinal,
                           at.position, 0};
}

/* Whether an entry can be told relative to a run; then how. */
static int make_slot(const striate_run *run, const striate_met *entry, striate_slot *slot) {
    uint64_t offset = entry->version - run->version, ordinal = entry->ordinal - run->ordinal;
    uint64_t ms = entry->id.ms - run->id.ms, seq = ms ? entry->id.seq : entry->id.seq - run->id.seq;

    if ((offset | ordinal | ms | seq) > UINT32_MAX)
        return 0;
    *slot = (striate_slot){(uint32_t)offset, entry->position, (uint32_t)ms, (uint32_t)seq, (uint32_t)ordinal};
    return 1;
}

static striate_run *grown(striate_run *run) {
    uint32_t capacity = run ? 2 * run->capacity : FIRST_CAPACITY;
    striate_run *made = realloc(run, sizeof *made + capacity * sizeof *made->slots);

    if (!made)
        return NULL;
    if (!run) {
        memset(made, 0, sizeof *made);
        made->shares = 1;
    }
    made->capacity = capacity;
    return made;
}

/* Room for one more run pointer; the trimmed ones at the beginning are used again. */
static int room_for_run(striate_stream *stream) {
    int64_t count = stream->run_end - stream->first;
    striate_run **runs;

    if (stream->run_end < stream->run_capacity)
        return 1;
    if (stream->first > count) {
        memcpy(stream->runs, stream->runs + stream->first, (size_t)count * sizeof *stream->runs);
        stream->first = 0;
        stream->run_end = count;
        return 1;
    }
    runs = realloc(stream->runs, (size_t)(2 * stream->run_capacity + 4) * sizeof *runs);
    if (!runs)
        return 0;
    stream->runs = runs;
    stream->run_capacity = 2 * stream->run_capacity + 4;
    return 1;
}

static striate_run *begin_run(striate_stream *stream, const striate_met *entry) {
    striate_run *run;

    if (!room_for_run(stream) || !(run = grown(NULL)))
        return NULL;
    run->id = entry->id;
    run->version = entry->version;
    run->ordinal = entry->ordinal;
    stream->runs[stream->run_end++] = run;
    return run;
}

int striate_stream_add(striate_stream *stream, const striate_met *entry) {
    striate_run *run = stream->run_end > stream->first ? stream->runs[stream->run_end - 1] : NULL;
    striate_slot slot;

    if (!run || run->count == STRIATE_RUN_SLOTS || !make_slot(run, entry, &slot)) {
        run = begin_run(stream, entry);
        if (!run)
            return STRIATE_NO_MEMORY;
        make_slot(run, entry, &slot);
    } else {
        run = striate_run_own(stream, stream->run_end - 1);
        if (run && run->count == run->capacity)
            run = grown(run);
        if (!run)
            return STRIATE_NO_MEMORY;
        stream->runs[stream->run_end - 1] = run;
    }
    run->slots[run->count++] = slot;
    run->alive++;
    stream->alive++;
    return 0;
}

/* ---------------------------------------------------------------- looking up */

/* The first slot whose id is not before `id`, removed or not. */
static slot_place lower_bound(const striate_stream *stream, striate_id id) {
    int64_t low = stream->first, high = stream->run_end;
    const striate_run *run;
    uint32_t from = 0, to;

    while (low < high) { /* the first run that begins behind it */
        int64_t middle = (low + high) / 2;

        if (striate_id_before(id, stream->runs[middle]->id))
            high = middle;
        else
            low = middle + 1;
    }
    if (low == stream->first)
        return (slot_place){low, 0};
    run = stream->runs[low - 1];
    to = run->count;
    while (from < to) {
        uint32_t middle = (from + to) / 2;

        if (striate_id_before(slot_id(run, middle), id))
            from = middle + 1;
        else
            to = middle;
    }
    return from < run->count ? (slot_place){low - 1, from} : (slot_place){low, 0};
}

/* The slot with that version, or a run of -1. */
static slot_place place_of_version(const striate_stream *stream, uint64_t version) {
    int64_t low = stream->first, high = stream->run_end;
    const striate_run *run;
    uint32_t from = 0, to;

    while (low < high) {
        int64_t middle = (low + high) / 2;

        if (version < stream->runs[middle]->version)
            high = middle;
        else
            low = middle + 1;
    }
    if (low == stream->first)
        return (slot_place){-1, 0};
    run = stream->runs[low - 1];
    to = run->count;
    while (from < to) {
        uint32_t middle = (from + to) / 2;

        if (run->version + run->slots[middle].offset < version)
            from = middle + 1;
        else
            to = middle;
    }
    if (from == run->count || run->version + run->slots[from].offset != version)
        return (slot_place){-1, 0};
    return (slot_place){low - 1, from};
}

int striate_stream_has(const striate_stream *stream, uint64_t version) {
    slot_place place = place_of_version(stream, version);

    return place.run >= 0 && stream->runs[place.run]->slots[place.slot].position;
}

void striate_stream_move(striate_stream *stream, uint64_t version, uint32_t position) {
    slot_place place = place_of_version(stream, version);
    striate_run *run;

    if (place.run < 0 || !stream->runs[place.run]->slots[place.slot].position)
        return;
    run = striate_run_own(stream, place.run);
    if (run) /* else the hint stays as it is, which costs time and no more */
        run->slots[place.slot].position = position;
}

static int64_t collect_forwards(const striate_stream *stream, striate_id from, striate_id to, uint64_t visible,
                                int64_t most, striate_met *found) {
    slot_place place = lower_bound(stream, from);
    int64_t count = 0;

    for (; place.run < stream->run_end && count < most; place.run++, place.slot = 0) {
        const striate_run *run = stream->runs[place.run];

        if (!run->alive)
            continue;
        for (; place.slot < run->count && count < most; place.slot++) {
            if (run->version + run->slots[place.slot].offset > visible ||
                striate_id_before(to, slot_id(run, place.slot)))
                return count;
            if (run->slots[place.slot].position)
                found[count++] = found_at(run, place.slot);
        }
    }
    return count;
}

static int64_t collect_backwards(const striate_stream *stream, striate_id from, striate_id to, uint64_t visible,
                                 int64_t most, striate_met *found) {
    slot_place place = lower_bound(stream, to);
    int64_t count = 0;
    int64_t at = place.run;
    int64_t slot = place.slot;

    /* lower_bound of `to` itself is within the range. */
    if (at < stream->run_end && striate_id_equal(slot_id(stream->runs[at], place.slot), to))
        slot++;
    for (;; slot = at >= stream->first ? (int64_t)stream->runs[at]->count : 0) {
        for (slot--; slot >= 0 && count < most; slot--) {
            const striate_run *run = stream->runs[at];

            if (striate_id_before(slot_id(run, (uint32_t)slot), from))
                return count;
            if (run->slots[slot].position && run->version + run->slots[slot].offset <= visible)
                found[count++] = found_at(run, (uint32_t)slot);
        }
        do
            at--;
        while (at >= stream->first && !stream->runs[at]->alive);
        if (at < stream->first || count == most)
            return count;
    }
}

int64_t striate_stream_collect(const striate_stream *stream, striate_id from, striate_id to, int backwards,
                               uint64_t visible, int64_t most, striate_met *found) {
    if (striate_id_before(to, from))
        return 0;
    return backwards ? collect_backwards(stream, from, to, visible, most, found)
                     : collect_forwards(stream, from, to, visible, most, found);
}

int striate_stream_find(const striate_stream *stream, striate_id id, striate_met *found) {
    slot_place place = lower_bound(stream, id);

    *found = (striate_met){id, 0, 0, 0, 0};
    if (place.run == stream->run_end || !striate_id_equal(slot_id(stream->runs[place.run], place.slot), id))
        return 0;
    *found = found_at(stream->runs[place.run], place.slot);
    return found->position != 0;
}

int64_t striate_stream_length(const striate_stream *stream, uint64_t visible) {
    int64_t hidden = 0;

    for (int64_t at = stream->run_end; at-- > stream->first;) {
        const striate_run *run = stream->runs[at];

        for (uint32_t slot = run->count; slot-- > 0;) {
            if (run->version + run->slots[slot].offset <= visible)
                return stream->alive - hidden;
            hidden += run->slots[slot].position != 0;
        }
    }
    return stream->alive - hidden;
}

int64_t striate_stream_count_from(const striate_stream *stream, striate_id first) {
    slot_place place = lower_bound(stream, first);
    int64_t count = 0;

    for (; place.run < stream->run_end; place.run++, place.slot = 0) {
        const striate_run *run = stream->runs[place.run];

        if (place.slot == 0) {
            count += run->alive;
            continue;
        }
        for (uint32_t slot = place.slot; slot < run->count; slot++)
            count += run->slots[slot].position != 0;
    }
    return count;
}

/* ---------------------------------------------------------------- removing */

/* Frees runs at the beginning that have nothing left. The last one stays: new entries go there. */
static void drop_runs(striate_stream *stream) {
    while (stream->first < stream->run_end && !stream->runs[stream->first]->alive &&
           (stream->first + 1 < stream->run_end || stream->runs[stream->first]->count == STRIATE_RUN_SLOTS))
        striate_run_free(stream->runs[stream->first++]);
    if (stream->first == stream->run_end)
        stream->first = stream->run_end = 0;
}

static void remove_slot(striate_stream *stream, striate_run *run, uint32_t slot) {
    if (!run->slots[slot].position)
        return;
    run->slots[slot].position = 0;
    run->alive--;
    stream->alive--;
}

int striate_stream_remove(striate_stream *stream, striate_id id) {
    slot_place place = lower_bound(stream, id);
    striate_run *run;

    if (place.run == stream->run_end || !striate_id_equal(slot_id(stream->runs[place.run], place.slot), id) ||
        !stream->runs[place.run]->slots[place.slot].position)
        return 0;
    run = striate_run_own(stream, place.run);
    if (!run)
        return STRIATE_NO_MEMORY;
    remove_slot(stream, run, place.slot);
    drop_runs(stream);
    return 1;
}

int striate_stream_trim(striate_stream *stream, striate_id low) {
    slot_place place = lower_bound(stream, low);

    if (place.slot > 0 && !striate_run_own(stream, place.run))
        return STRIATE_NO_MEMORY;
    for (int64_t at = stream->first; at < place.run; at++) {
        stream->alive -= stream->runs[at]->alive;
        striate_run_free(stream->runs[at]);
    }
    stream->first = place.run;
    if (stream->first < stream->run_end)
        for (uint32_t slot = 0; slot < place.slot; slot++)
            remove_slot(stream, stream->runs[stream->first], slot);
    drop_runs(stream);
    return 0;
}

striate_id striate_stream_low_for(const striate_stream *stream, int64_t length) {
    striate_id low = {stream->last.ms, stream->last.seq + 1};

    if (low.seq == 0)
        low.ms++;
    if (length >= stream->alive)
        return (striate_id){0, 0};
    for (int64_t at = stream->run_end; at-- > stream->first && length > 0;) {
        const striate_run *run = stream->runs[at];

        if (run->alive <= length) {
            length -= run->alive;
            low = slot_id(run, 0);
            continue;
        }
        for (uint32_t slot = run->count; slot-- > 0 && length > 0;)
            if (run->slots[slot].position) {
                low = slot_id(run, slot);
                length--;
            }
    }
    return low;
}
