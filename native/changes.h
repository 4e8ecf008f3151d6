/* What listeners are told: a bounded list of changes, in the order in which they happened to each key. */
#ifndef STRIATE_CHANGES_H
#define STRIATE_CHANGES_H

#include "table.h"

static inline int striate_is_watched(const striate_table *table) {
    return __atomic_load_n(&table->reports, __ATOMIC_RELAXED);
}

/* A change of `key` from `old`, which may be NULL, with room for a new value; NULL: no memory. */
striate_change *striate_change_new(const striate_key *key, striate_entry *old, uint32_t new_size);
/* Appends it, with the stripe of the key locked. NULL counts as lost. */
void striate_change_publish(striate_table *table, striate_change *change, int kind);

/* From now on changes are kept for listeners, at most `limit` of them; 0: no longer. */
void striate_table_report(striate_table *table, int64_t limit);
/* What changed since the last call, oldest first, each the caller's to free(); `*lost`: how many more it were. */
striate_change *striate_table_take_changes(striate_table *table, int64_t *lost);
/* Ends the sleep of all who wait for changes. */
void striate_table_wake_listeners(striate_table *table);
/* Sleeps until the change word is no longer `seen`: 0, -ETIMEDOUT, -EINTR. timeout_ns < 0: for ever. */
int striate_table_wait_change(striate_table *table, uint32_t seen, int64_t timeout_ns);

#endif /* STRIATE_CHANGES_H */
