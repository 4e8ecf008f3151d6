#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include "platform.h"

striate_change *striate_change_new(const striate_key *key, striate_entry *old, uint32_t new_size) {
    uint32_t old_size = old ? old->value_size : 0;
    striate_change *change = malloc(sizeof *change + (uint64_t)key->size + old_size + new_size);

    if (!change)
        return NULL;
    *change = (striate_change){.key_size = key->size, .old_size = old_size, .new_size = new_size,
                               .old_flags = old ? old->flags : 0, .space = (uint8_t)key->space, .source = key->source};
    memcpy(change->bytes, key->bytes, key->size);
    if (old)
        memcpy(change->bytes + key->size, striate_entry_value(old), old_size);
    return change;
}

void striate_change_publish(striate_table *table, striate_change *change, int kind) {
    pthread_mutex_lock(&table->change_lock);
    table->change_sequence++;
    if (change && table->change_count < table->change_limit) {
        change->sequence = table->change_sequence;
        change->kind = kind;
        change->next = NULL;
        *table->last_change = change;
        table->last_change = &change->next;
        table->change_count++;
        change = NULL;
    } else {
        table->change_lost++;
    }
    striate_fetch_add_u32(&table->change_word, 1);
    pthread_mutex_unlock(&table->change_lock);
    free(change);
    if (striate_load_u32(&table->change_waiters))
        striate_futex_wake_all(&table->change_word);
}

void striate_table_report(striate_table *table, int64_t limit) {
    pthread_mutex_lock(&table->change_lock);
    table->change_limit = limit;
    pthread_mutex_unlock(&table->change_lock);
    __atomic_store_n(&table->reports, limit > 0, __ATOMIC_RELAXED);
}

striate_change *striate_table_take_changes(striate_table *table, int64_t *lost) {
    striate_change *changes;

    pthread_mutex_lock(&table->change_lock);
    changes = table->changes;
    *lost = table->change_lost;
    table->changes = NULL;
    table->last_change = &table->changes;
    table->change_count = table->change_lost = 0;
    pthread_mutex_unlock(&table->change_lock);
    return changes;
}

void striate_table_wake_listeners(striate_table *table) {
    striate_fetch_add_u32(&table->change_word, 1);
    striate_futex_wake_all(&table->change_word);
}

int striate_table_wait_change(striate_table *table, uint32_t seen, int64_t timeout_ns) {
    int status;

    striate_fetch_add_u32(&table->change_waiters, 1);
    status = striate_futex_wait(&table->change_word, seen, striate_interruptible_ns(timeout_ns));
    striate_fetch_add_u32(&table->change_waiters, UINT32_MAX);
    return status == -EAGAIN ? 0 : status;
}
