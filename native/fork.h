/* Forks while threads use a table: the child must not find a lock held by a thread that it does not have. */
#ifndef STRIATE_FORK_H
#define STRIATE_FORK_H

#include "table.h"

/* From now on a fork waits until the table is at rest, and leaves it whole to both processes. A thread that holds a
 * lock of one such table must not wait for a lock of another. 0, or STRIATE_NO_MEMORY. */
int striate_table_guard_forks(striate_table *table);
/* No longer; also of a table that never was guarded. */
void striate_table_leave_forks(striate_table *table);

#endif /* STRIATE_FORK_H */
