/* A pool: a stack of what is free, so that few connections stay warm under little load. */
#include "readers.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_MS 2000

struct readers {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    unsigned count, free_count;
    reader_t *all;   /* owned */
    reader_t **free; /* owned */
};

int readers_new(readers_t **ret, const char *conninfo, unsigned count, plumb_err_t *err)
{
    readers_t *r = calloc(1, sizeof *r);
    *ret = r;
    if (r == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "readers");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->freed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&r->lock, NULL);
    r->all = calloc(count, sizeof *r->all);
    r->free = calloc(count, sizeof(reader_t *));
    int rc = r->all == NULL || r->free == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "readers") : 0;
    for (; rc == 0 && r->count < count; r->count++) {
        reader_t *one = &r->all[r->count];
        rc = plumb_db_new(&one->db, conninfo, "plumb-ingest read", err);
        one->params = plumb_params_new();
        if (rc == 0 && one->params == NULL)
            rc = plumb_err_set(err, PLUMB_E_MEMORY, "readers");
        r->free[r->free_count++] = one;
    }
    if (rc < 0)
        readers_destroy(ret);
    return rc;
}

void readers_destroy(readers_t **readers)
{
    if (readers == NULL || *readers == NULL)
        return;
    readers_t *r = *readers;
    for (unsigned i = 0; i < r->count; i++) {
        plumb_params_destroy(&r->all[i].params);
        plumb_db_destroy(&r->all[i].db);
    }
    free(r->all);
    free(r->free);
    pthread_cond_destroy(&r->freed);
    pthread_mutex_destroy(&r->lock);
    free(r);
    *readers = NULL;
}

int readers_take(readers_t *readers, reader_t **reader, plumb_err_t *err)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_MS / 1000;
    int late = 0;
    pthread_mutex_lock(&readers->lock);
    while (readers->free_count == 0 && late == 0)
        late = pthread_cond_timedwait(&readers->freed, &readers->lock, &until);
    *reader = readers->free_count > 0 ? readers->free[--readers->free_count] : NULL;
    pthread_mutex_unlock(&readers->lock);
    if (*reader == NULL)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "all connections for reads are busy");
    plumb_params_clear((*reader)->params);
    return 0;
}

void readers_give(readers_t *readers, reader_t *reader)
{
    if (reader == NULL)
        return;
    pthread_mutex_lock(&readers->lock);
    readers->free[readers->free_count++] = reader;
    pthread_cond_signal(&readers->freed);
    pthread_mutex_unlock(&readers->lock);
}
