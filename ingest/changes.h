/* Who changed configuration tells it (sql/005_changes.sql): a thread listens, and what the caches
 * keep of that account is dropped.  The short life of their entries is the net below. */
#ifndef INGEST_CHANGES_H
#define INGEST_CHANGES_H

#include "err.h"
#include "uuid.h"

#include <stddef.h>

/* A cache. `drop` forgets what it keeps of `account` (NULL: everything); any thread may call it. */
typedef struct changes_cache {
    const char *tables; /* whose changes concern it: " tokens accounts " */
    void (*drop)(void *cache, const plumb_uuid_t *account);
    void *cache;
} changes_cache_t;

typedef struct changes changes_t;

/* Listen for `count` caches, which must outlive it.  The database may still be away: everything is
 * dropped whenever a connection is made, since nobody knows what went unheard. */
int changes_new(changes_t **ret, const char *conninfo, const changes_cache_t *caches, size_t count,
                plumb_err_t *err);
void changes_destroy(changes_t **changes);

#endif
