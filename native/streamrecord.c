#include <stdlib.h>
#include <string.h>

#include "stream.h"
#include "streamread.h"

static const striate_id HIGHEST_ID = {UINT64_MAX, UINT64_MAX};

static striate_id next_id(striate_id id) {
    id.seq++;
    id.ms += id.seq == 0;
    return id;
}

/* ---------------------------------------------------------------- ids */

static int choose_id(const striate_stream_edit *edit, striate_id *id) {
    const striate_stream *stream = edit->stream;
    striate_id last = stream->planned_last;
    uint64_t ms = edit->id_given ? edit->id.ms : (uint64_t)(edit->now_ms < 0 ? 0 : edit->now_ms);

    if (last.ms == UINT64_MAX && last.seq == UINT64_MAX)
        return STRIATE_IDS_EXHAUSTED;
    if (stream->offset_ids) {
        *id = (striate_id){stream->planned_added + 1, 0};
        if (edit->id_given && (edit->id.ms != id->ms || (edit->id_given == STRIATE_ID_GIVEN && edit->id.seq)))
            return STRIATE_ID_TOO_LOW;
        return 0;
    }
    if (edit->id_given == STRIATE_ID_GIVEN) {
        *id = edit->id;
        return striate_id_before(last, *id) ? 0 : STRIATE_ID_TOO_LOW;
    }
    if (edit->id_given && ms < last.ms)
        return STRIATE_ID_TOO_LOW;
    if (edit->id_given && ms == last.ms && last.seq == UINT64_MAX)
        return STRIATE_ID_TOO_LOW;
    *id = ms > last.ms ? (striate_id){ms, 0} : next_id(last);
    return 0;
}

int striate_stream_next_head(striate_stream_edit *edit, char *head) {
    striate_stream *stream = edit->stream;
    striate_id id;
    int status = choose_id(edit, &id);

    if (status != 0)
        return status;
    striate_put_u64(striate_put_id(head, id), stream->planned_added);
    stream->planned_last = id;
    stream->planned_added++;
    return 0;
}

/* ---------------------------------------------------------------- preparing */

static int prepare_removal(striate_stream_edit *edit) {
    char *at = edit->value;
    striate_met found;

    for (int64_t number = 0; number < edit->id_count; number++)
        if (striate_stream_find(edit->stream, edit->ids[number], &found)) {
            at = striate_put_id(at, edit->ids[number]);
            edit->changed++;
        }
    edit->value_size = (uint32_t)(at - edit->value);
    return edit->changed ? 0 : STRIATE_ABSENT;
}

static int prepare_trim(striate_stream_edit *edit) {
    striate_id low = edit->id;

    if (edit->length >= 0)
        low = striate_stream_low_for(edit->stream, edit->length);
    if (striate_id_before(edit->stream->last, low)) /* what comes later is not trimmed, whatever its id */
        low = next_id(edit->stream->last);
    edit->changed = edit->stream->alive - striate_stream_count_from(edit->stream, low);
    edit->value_size = (uint32_t)(striate_put_id(edit->value, low) - edit->value);
    return edit->changed ? 0 : STRIATE_ABSENT;
}

static int prepare_state(striate_stream_edit *edit) {
    uint64_t size = striate_stream_state_size(edit->stream), done = 0;

    if (size > edit->dropped_capacity)
        return STRIATE_TOO_LONG;
    striate_stream_state_write(edit->stream, edit->dropped);
    for (uint32_t piece = 0; piece < edit->count; piece++) {
        uint64_t left = size - done < (uint64_t)edit->length ? size - done : (uint64_t)edit->length;
        char *at = edit->value + piece * (STRIATE_PIECE_HEAD_BYTES + (uint64_t)edit->length);

        at = striate_put_u32(striate_put_u32(at, piece), (uint32_t)edit->count);
        striate_put(at, edit->dropped + done, left);
        done += left;
    }
    edit->value_size = (uint32_t)size;
    return 0;
}

static int prepare_last(striate_stream_edit *edit) {
    const striate_stream *stream = edit->stream;
    int64_t added = edit->read < 0 ? (int64_t)stream->added : edit->read;
    striate_id removed = striate_id_before(stream->removed, edit->next) ? edit->next : stream->removed;
    char *at = edit->value;

    if (stream->offset_ids && edit->read < 0)
        added = (int64_t)edit->id.ms;
    /* Ids and ordinals that were given away stay so, since records of the log go by them. */
    if (striate_id_before(edit->id, stream->last))
        return STRIATE_ID_TOO_LOW;
    if (added < (int64_t)stream->added || striate_id_before(edit->id, removed) ||
        (stream->offset_ids && (edit->id.seq || edit->id.ms != (uint64_t)added)))
        return STRIATE_MISFIT;
    at = striate_put_u64(striate_put_id(striate_put_id(at, edit->id), removed), (uint64_t)added);
    edit->value_size = (uint32_t)(at - edit->value);
    return 0;
}

/* How many entries were added up to an id. */
static int64_t added_until(const striate_stream *stream, striate_id id) {
    striate_met found;

    if (striate_id_equal(id, HIGHEST_ID) ||
        striate_stream_collect(stream, next_id(id), HIGHEST_ID, 0, UINT64_MAX, 1, &found) == 0)
        return (int64_t)stream->added;
    return (int64_t)found.ordinal;
}

static int prepare_group(striate_stream_edit *edit, striate_group *group) {
    striate_id id = edit->id_given ? edit->id : edit->stream->last;
    char *at = edit->value;

    if (edit->only_if == 1 && group)
        return STRIATE_PRESENT;
    if (edit->only_if == 2 && !group)
        return STRIATE_GROUP_ABSENT;
    at = striate_put_id(striate_put_u8(at, STRIATE_GROUP_SET), id);
    at = striate_put_u64(at, (uint64_t)(edit->read >= 0 ? edit->read : added_until(edit->stream, id)));
    edit->value_size = (uint32_t)(at - edit->value);
    return 0;
}

static int prepare_delivery(striate_stream_edit *edit, striate_group *group) {
    const striate_met *last;
    char *at = edit->value;

    if (striate_id_equal(group->last, HIGHEST_ID))
        return STRIATE_ABSENT;
    edit->found_count = striate_stream_collect(edit->stream, next_id(group->last), HIGHEST_ID, 0, edit->visible,
                                               edit->most, edit->found);
    if (edit->found_count == 0)
        return STRIATE_ABSENT;
    for (int64_t number = 0; number < edit->found_count; number++)
        edit->found[number].deliveries = 1;
    last = &edit->found[edit->found_count - 1];
    at = striate_put_u8(striate_put_u8(at, STRIATE_GROUP_DELIVER), edit->without_ack);
    at = striate_put_u64(at, (uint64_t)edit->now_ms);
    at = striate_put_id(striate_put_id(at, group->last), last->id);
    at = striate_put_u64(at, last->ordinal + 1);
    at = striate_put(at, edit->consumer, edit->consumer_size);
    edit->value_size = (uint32_t)(at - edit->value);
    return 0;
}

static int prepare_acks(striate_stream_edit *edit, striate_group *group) {
    char *at = striate_put_u8(edit->value, STRIATE_GROUP_ACK);

    for (int64_t number = 0; number < edit->id_count; number++) {
        if (striate_group_pending(group, edit->ids[number])) {
            at = striate_put_id(at, edit->ids[number]);
            edit->changed++;
        } else if (edit->strict) {
            edit->id = edit->ids[number];
            return STRIATE_CHANGED;
        }
    }
    edit->value_size = (uint32_t)(at - edit->value);
    return edit->changed ? 0 : STRIATE_ABSENT;
}

static int is_idle(const striate_pending *pending, const striate_stream_edit *edit) {
    int64_t idle = edit->now_ms - pending->delivered_ms;

    return (idle > 0 ? idle : 0) >= edit->min_idle_ms; /* the clock may have gone back */
}

static char *claim_begun(striate_stream_edit *edit) {
    char *at = edit->value;

    at = striate_put_u8(striate_put_u8(at, STRIATE_GROUP_CLAIM), edit->counting);
    at = striate_put_u64(striate_put_u32(at, edit->deliveries), (uint64_t)edit->delivered_ms);
    return striate_put(striate_put_u32(at, edit->consumer_size), edit->consumer, edit->consumer_size);
}

/* Notes that an entry is claimed, or dropped because it is not in the stream any more. */
static void note_claim(striate_stream_edit *edit, striate_id id, const striate_pending *pending, char **claimed,
                       char **dropped) {
    striate_met *found = &edit->found[edit->found_count];
    int there = striate_stream_find(edit->stream, id, found);
    uint32_t before = pending ? pending->deliveries : 0;

    if (!there && edit->kind != STRIATE_TO_READ_AGAIN) {
        if (pending)
            *dropped = striate_put_id(*dropped, id);
        return;
    }
    if (found->version > edit->visible)
        return;
    found->deliveries = edit->counting == 2 ? edit->deliveries : before + (edit->counting == 1);
    edit->found_count++;
    *claimed = striate_put_id(*claimed, id);
}

static int claim_ended(striate_stream_edit *edit, char *claimed, char *dropped) {
    edit->value_size = (uint32_t)(claimed - edit->value);
    edit->dropped_size = (uint32_t)(dropped - edit->dropped);
    edit->changed = edit->dropped ? (dropped - edit->dropped) / 16 : 0;
    return edit->found_count || edit->changed ? 0 : STRIATE_ABSENT;
}

static int prepare_claim(striate_stream_edit *edit, striate_group *group) {
    char *claimed = claim_begun(edit);
    char *dropped = striate_put_u8(edit->dropped, STRIATE_GROUP_ACK);

    for (int64_t number = 0; number < edit->id_count; number++) {
        const striate_pending *pending = striate_group_pending(group, edit->ids[number]);

        if (!pending && !edit->force)
            continue;
        if (pending && !is_idle(pending, edit))
            continue;
        note_claim(edit, edit->ids[number], pending, &claimed, &dropped);
    }
    return claim_ended(edit, claimed, dropped);
}

static int prepare_auto_claim(striate_stream_edit *edit, striate_group *group) {
    char *claimed = claim_begun(edit);
    char *dropped = striate_put_u8(edit->dropped, STRIATE_GROUP_ACK);
    int64_t at = striate_group_seek(group, edit->id);
    int64_t looks = edit->most > INT64_MAX / 10 ? INT64_MAX : 10 * edit->most;

    edit->next = (striate_id){0, 0};
    for (; at < group->end && looks > 0 && edit->found_count < edit->most; at++) {
        const striate_pending *pending = &group->pending[at];

        if (!pending->consumer)
            continue;
        looks--;
        if (is_idle(pending, edit))
            note_claim(edit, pending->id, pending, &claimed, &dropped);
        if ((uint32_t)(dropped - edit->dropped) + 16 > edit->dropped_capacity) {
            at++;
            break;
        }
    }
    while (at < group->end && !group->pending[at].consumer)
        at++;
    if (at < group->end)
        edit->next = group->pending[at].id;
    return claim_ended(edit, claimed, dropped);
}

static int prepare_reading_again(striate_stream_edit *edit, striate_group *group) {
    char *claimed = claim_begun(edit);
    char *dropped = edit->dropped;
    uint32_t number = striate_group_consumer(group, edit->consumer, edit->consumer_size);

    for (int64_t at = striate_group_seek(group, edit->id); at < group->end && edit->found_count < edit->most; at++)
        if (number && group->pending[at].consumer == number)
            note_claim(edit, group->pending[at].id, &group->pending[at], &claimed, &dropped);
    return claim_ended(edit, claimed, dropped);
}

static int prepare_consumer(striate_stream_edit *edit, striate_group *group) {
    uint32_t number = striate_group_consumer(group, edit->consumer, edit->consumer_size);
    char *at = edit->value;

    if (edit->kind == STRIATE_TO_SET_CONSUMER) {
        if (number)
            return STRIATE_PRESENT;
        at = striate_put_u64(striate_put_u8(at, STRIATE_CONSUMER_SET), (uint64_t)edit->now_ms);
    } else {
        if (!number)
            return STRIATE_ABSENT;
        edit->changed = group->consumers[number - 1].pending;
        at = striate_put_u8(at, STRIATE_CONSUMER_DELETE);
    }
    at = striate_put(at, edit->consumer, edit->consumer_size);
    edit->value_size = (uint32_t)(at - edit->value);
    return 0;
}

int striate_stream_prepare(striate_stream_edit *edit) {
    striate_group *group = edit->group ? striate_stream_group(edit->stream, edit->group, edit->group_size) : NULL;

    edit->changed = edit->found_count = 0;
    edit->value_size = edit->dropped_size = 0;
    switch (edit->kind) {
    case STRIATE_TO_REMOVE:
        return prepare_removal(edit);
    case STRIATE_TO_TRIM:
        return prepare_trim(edit);
    case STRIATE_TO_SAVE:
        return prepare_state(edit);
    case STRIATE_TO_SET_GROUP:
        return prepare_group(edit, group);
    case STRIATE_TO_SET_LAST:
        return prepare_last(edit);
    default:
        break;
    }
    if (!group)
        return STRIATE_GROUP_ABSENT;
    switch (edit->kind) {
    case STRIATE_TO_DELIVER:
        return prepare_delivery(edit, group);
    case STRIATE_TO_ACK:
        return prepare_acks(edit, group);
    case STRIATE_TO_CLAIM:
        return prepare_claim(edit, group);
    case STRIATE_TO_AUTO_CLAIM:
        return prepare_auto_claim(edit, group);
    case STRIATE_TO_READ_AGAIN:
        return prepare_reading_again(edit, group);
    case STRIATE_TO_SET_CONSUMER:
    case STRIATE_TO_DELETE_CONSUMER:
        return prepare_consumer(edit, group);
    default: /* STRIATE_TO_DELETE_GROUP */
        edit->value_size = (uint32_t)(striate_put_u8(edit->value, STRIATE_GROUP_DELETE) - edit->value);
        return 0;
    }
}

void striate_stream_plan_record(striate_stream *stream, uint32_t kind, const char *key, const char *value) {
    striate_reader head = {key, key + STRIATE_ENTRY_HEAD_BYTES, 0}, last = {value, value + 40, 0};

    if (kind == STRIATE_ENTRY) {
        stream->planned_last = striate_read_id(&head);
        stream->planned_added = striate_read_u64(&head) + 1;
    } else if (kind == STRIATE_LAST) {
        stream->planned_last = striate_read_id(&last);
        striate_read_id(&last);
        stream->planned_added = striate_read_u64(&last);
    }
}
