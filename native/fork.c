#include "fork.h"

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static striate_table *registry;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int refused;

/* In the order in which operations nest them: stripes ascending, then what is taken inside a stripe. */
static void lock_tables(void) {
    pthread_mutex_lock(&registry_lock);
    for (striate_table *table = registry; table; table = table->next_guarded) {
        for (uint32_t number = 0; number < table->stripe_count; number++)
            striate_take_lock(&table->stripes[number].lock);
        pthread_mutex_lock(&table->change_lock);
        pthread_mutex_lock(&table->arena.lock);
    }
}

static void unlock_tables(void) {
    for (striate_table *table = registry; table; table = table->next_guarded) {
        pthread_mutex_unlock(&table->arena.lock);
        pthread_mutex_unlock(&table->change_lock);
        for (uint32_t number = 0; number < table->stripe_count; number++)
            striate_give_lock(&table->stripes[number].lock);
    }
    pthread_mutex_unlock(&registry_lock);
}

static void ask_for_forks(void) {
    refused = pthread_atfork(lock_tables, unlock_tables, unlock_tables);
}

int striate_table_guard_forks(striate_table *table) {
    pthread_once(&once, ask_for_forks);
    if (refused)
        return STRIATE_NO_MEMORY;
    pthread_mutex_lock(&registry_lock);
    table->next_guarded = registry;
    table->guarded_from = &registry;
    if (registry)
        registry->guarded_from = &table->next_guarded;
    registry = table;
    pthread_mutex_unlock(&registry_lock);
    return 0;
}

void striate_table_leave_forks(striate_table *table) {
    pthread_mutex_lock(&registry_lock);
    if (table->guarded_from) {
        *table->guarded_from = table->next_guarded;
        if (table->next_guarded)
            table->next_guarded->guarded_from = table->guarded_from;
        table->guarded_from = NULL;
    }
    pthread_mutex_unlock(&registry_lock);
}
