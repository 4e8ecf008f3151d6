/* What the records of a stream say, just appended or read from the log (stream.h). */
#include <stddef.h>

#include "stream.h"
#include "streamread.h"

static int take_in_entry(striate_stream *stream, const char *key, uint32_t key_size, uint64_t version,
                         uint32_t position) {
    striate_reader in = {key, key + key_size, 0};
    striate_met entry;
    int status;

    entry.id = striate_read_id(&in);
    entry.ordinal = striate_read_u64(&in);
    entry.version = version;
    entry.position = position;
    entry.deliveries = 0;
    if (in.failed)
        return STRIATE_MALFORMED;
    status = striate_stream_add(stream, &entry);
    if (striate_id_before(stream->last, entry.id))
        stream->last = entry.id;
    if (stream->added <= entry.ordinal)
        stream->added = entry.ordinal + 1;
    return status;
}

static int take_in_removal(striate_stream *stream, const char *value, uint32_t size) {
    striate_reader in = {value, value + size, 0};

    while (in.at < in.end) {
        striate_id id = striate_read_id(&in);

        if (in.failed)
            return STRIATE_MALFORMED;
        if (striate_stream_remove(stream, id) < 0)
            return STRIATE_NO_MEMORY;
        if (striate_id_before(stream->removed, id))
            stream->removed = id;
    }
    return 0;
}

static int take_in_last(striate_stream *stream, striate_reader *in) {
    striate_id last = striate_read_id(in), removed = striate_read_id(in);
    uint64_t added = striate_read_u64(in);

    if (in->failed)
        return STRIATE_MALFORMED;
    stream->last = last;
    stream->removed = removed;
    stream->added = added;
    return 0;
}

int striate_stream_take_in(striate_stream *stream, uint32_t kind, const char *key, uint32_t key_size,
                           const char *value, uint32_t value_size, uint64_t version, uint32_t position) {
    striate_reader in = {value, value + value_size, 0};
    int status = 0;

    switch (kind) {
    case STRIATE_ENTRY:
        status = take_in_entry(stream, key, key_size, version, position);
        stream->counts[STRIATE_TOP]++;
        __atomic_fetch_add(&stream->word, 1, __ATOMIC_SEQ_CST);
        break;
    case STRIATE_REMOVED:
        status = take_in_removal(stream, value, value_size);
        stream->remove_version = version;
        stream->counts[STRIATE_REMOVALS]++;
        break;
    case STRIATE_TRIMMED:
        stream->low = striate_read_id(&in);
        if (in.failed)
            return STRIATE_MALFORMED;
        status = striate_stream_trim(stream, stream->low);
        stream->counts[STRIATE_REMOVALS]++;
        break;
    case STRIATE_LAST:
        status = take_in_last(stream, &in);
        stream->counts[STRIATE_TOP]++;
        stream->counts[STRIATE_REMOVALS]++;
        break;
    case STRIATE_STATE:
        status = striate_stream_take_in_piece(stream, value, value_size, version);
        break;
    case STRIATE_GROUP:
        status = striate_group_take_in(stream, key, key_size, value, value_size);
        stream->counts[STRIATE_GROUPS]++;
        /* Who waits for entries of a group looks again when it has moved, or is gone. */
        if (value_size > 0 && (value[0] == STRIATE_GROUP_SET || value[0] == STRIATE_GROUP_DELETE))
            __atomic_fetch_add(&stream->word, 1, __ATOMIC_SEQ_CST);
        break;
    default: /* of a later version */
        return STRIATE_MALFORMED;
    }
    stream->version = version;
    return status;
}
