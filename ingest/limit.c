/* GCRA: each subject has a theoretical arrival time; a request is let through when that is not too
 * far ahead, and moves it on by one interval. */
#include "limit.h"

#include "cells.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECTS 8192
#define SECOND_US INT64_C(1000000)
#define BURST_SECONDS 2

typedef struct bucket {
    cell_t cell; /* `used` is the arrival time: who is furthest behind gives way */
} bucket_t;

struct limits {
    pthread_mutex_t lock;
    cells_t buckets;
};

int limits_new(limits_t **ret, plumb_err_t *err)
{
    limits_t *limits = calloc(1, sizeof *limits);
    *ret = limits;
    if (limits == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "rate limits");
    pthread_mutex_init(&limits->lock, NULL);
    if (!cells_init(&limits->buckets, sizeof(bucket_t), SUBJECTS)) {
        limits_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "rate limits");
    }
    return 0;
}

void limits_destroy(limits_t **limits)
{
    if (limits == NULL || *limits == NULL)
        return;
    cells_fini(&(*limits)->buckets);
    pthread_mutex_destroy(&(*limits)->lock);
    free(*limits);
    *limits = NULL;
}

static cell_t *bucket_of(limits_t *limits, const limit_t *limit)
{
    uint8_t key[1 + sizeof limit->subject] = {(uint8_t)(limit->kind + 1)};
    bool fresh;
    memcpy(key + 1, limit->subject, sizeof limit->subject);
    cell_t *cell = cells_find(&limits->buckets, key, sizeof key, &fresh);
    if (fresh)
        cell->used = 0;
    return cell;
}

/* What the limit says; the arrival time after one more request goes to `arrival`. */
static limit_state_t look(int64_t was, const limit_t *limit, int64_t now_us, int64_t *arrival)
{
    int64_t interval = SECOND_US / limit->per_second;
    int64_t ahead = (was > now_us ? was - now_us : 0) + interval;
    int64_t room = BURST_SECONDS * SECOND_US - ahead;
    *arrival = now_us + ahead;
    return (limit_state_t){.limit = limit->per_second,
                           .remaining = room < 0 ? 0 : room / interval,
                           .retry_us = room < 0 ? -room : 0};
}

/* The stricter of two. */
static void tighten(limit_state_t *state, const limit_state_t *other)
{
    if (state->limit == 0 || other->retry_us > state->retry_us ||
        (other->retry_us == state->retry_us && other->remaining < state->remaining))
        *state = *other;
}

bool limits_take(limits_t *limits, const limit_t *list, unsigned count, int64_t now_us,
                 limit_state_t *state)
{
    *state = (limit_state_t){.limit = 0};
    bool any = false;
    for (unsigned i = 0; i < count; i++)
        any = any || list[i].per_second > 0;
    if (!any)
        return true;
    pthread_mutex_lock(&limits->lock);
    for (int charging = 0; charging <= 1 && state->retry_us == 0; charging++) {
        for (unsigned i = 0; i < count; i++) {
            if (list[i].per_second == 0)
                continue;
            int64_t arrival;
            cell_t *bucket = bucket_of(limits, &list[i]);
            limit_state_t one = look(bucket->used, &list[i], now_us, &arrival);
            if (charging == 1)
                bucket->used = arrival;
            else
                tighten(state, &one);
        }
    }
    pthread_mutex_unlock(&limits->lock);
    return state->retry_us == 0;
}

void limits_give(limits_t *limits, const limit_t *list, unsigned count)
{
    pthread_mutex_lock(&limits->lock);
    for (unsigned i = 0; i < count; i++)
        if (list[i].per_second > 0)
            bucket_of(limits, &list[i])->used -= SECOND_US / list[i].per_second;
    pthread_mutex_unlock(&limits->lock);
}
