/* GCRA: each subject has a theoretical arrival time; a request is let through when that is not too
 * far ahead, and moves it on by one interval.  This process keeps the times in bounded tables. */
#include "limit.h"

#include "cells.h"
#include "limit_redis.h"
#include "metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECTS 8192

typedef struct bucket {
    cell_t cell; /* `used` is the arrival time: who is furthest behind gives way */
} bucket_t;

/* Whom we know and who names himself, apart: no flood of fingerprints pushes an account out. */
typedef struct limits_table {
    cells_t ours, theirs;
} limits_table_t;

struct limits {
    pthread_mutex_t lock;
    limits_table_t buckets;
    limit_redis_t *shared; /* NULL: there is no Redis */
};

const char *limit_name(limit_kind_t kind)
{
    static const char *const names[] = {[LIMIT_TOKEN] = "token",
                                        [LIMIT_ACCOUNT] = "account",
                                        [LIMIT_CLIENT] = "client",
                                        [LIMIT_TESTS] = "tests",
                                        [LIMIT_STRANGER] = "stranger"};
    return names[kind];
}

int limits_new(limits_t **ret, redis_t *redis, plumb_err_t *err)
{
    limits_t *limits = calloc(1, sizeof *limits);
    *ret = limits;
    if (limits == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "rate limits");
    pthread_mutex_init(&limits->lock, NULL);
    if (!cells_init(&limits->buckets.ours, sizeof(bucket_t), SUBJECTS) ||
        !cells_init(&limits->buckets.theirs, sizeof(bucket_t), SUBJECTS)) {
        limits_destroy(ret);
        return plumb_err_set(err, PLUMB_E_MEMORY, "rate limits");
    }
    int rc = redis == NULL ? 0 : limit_redis_new(&limits->shared, redis, err);
    if (rc < 0)
        limits_destroy(ret);
    return rc;
}

void limits_destroy(limits_t **limits)
{
    if (limits == NULL || *limits == NULL)
        return;
    limit_redis_destroy(&(*limits)->shared);
    cells_fini(&(*limits)->buckets.ours);
    cells_fini(&(*limits)->buckets.theirs);
    pthread_mutex_destroy(&(*limits)->lock);
    free(*limits);
    *limits = NULL;
}

/* ---- one limit ---- */

int64_t limit_interval_us(const plumb_rate_t *rate)
{
    return rate->period_us / rate->count;
}

int64_t limit_tolerance_us(const plumb_rate_t *rate)
{
    return limit_interval_us(rate) * rate->burst;
}

/* Is the first the stricter of two? */
static bool is_tighter(const limit_state_t *one, const limit_state_t *other)
{
    return other->limit == NULL || one->retry_us > other->retry_us ||
           (one->retry_us == other->retry_us && one->remaining < other->remaining);
}

void limit_judge(limit_state_t *state, const limit_t *limit, int64_t ahead_us)
{
    int64_t room = limit_tolerance_us(&limit->rate) - ahead_us;
    limit_state_t one = {.limit = limit,
                         .remaining = room < 0 ? 0 : room / limit_interval_us(&limit->rate),
                         .retry_us = room < 0 ? -room : 0,
                         .full_us = ahead_us,
                         .is_shared = state->is_shared};
    if (is_tighter(&one, state))
        *state = one;
}

/* ---- all of a request ---- */

static cell_t *bucket_of(limits_t *limits, const limit_t *limit)
{
    uint8_t key[1 + sizeof limit->subject] = {(uint8_t)(limit->kind + 1)};
    bool fresh, is_theirs = limit->kind == LIMIT_CLIENT || limit->kind == LIMIT_STRANGER;
    memcpy(key + 1, limit->subject, sizeof limit->subject);
    cell_t *cell = cells_find(is_theirs ? &limits->buckets.theirs : &limits->buckets.ours, key,
                              sizeof key, &fresh);
    if (fresh)
        cell->used = 0;
    return cell;
}

/* How far the arrival time would be ahead with one more request.  Only a rate that was lowered
 * since leaves one beyond the tolerance. */
static int64_t ahead_of(const cell_t *bucket, const limit_t *limit, int64_t now_us)
{
    int64_t ahead = bucket->used > now_us ? bucket->used - now_us : 0;
    int64_t most = limit_tolerance_us(&limit->rate);
    return (ahead < most ? ahead : most) + limit_interval_us(&limit->rate);
}

static void take_here(limits_t *limits, const limit_t *list, unsigned count, int64_t now_us,
                      limit_state_t *state)
{
    *state = (limit_state_t){.limit = NULL};
    pthread_mutex_lock(&limits->lock);
    for (unsigned i = 0; i < count; i++)
        if (list[i].rate.count > 0)
            limit_judge(state, &list[i], ahead_of(bucket_of(limits, &list[i]), &list[i], now_us));
    for (unsigned i = 0; i < count && state->retry_us == 0; i++) {
        if (list[i].rate.count == 0)
            continue;
        cell_t *bucket = bucket_of(limits, &list[i]);
        bucket->used = now_us + ahead_of(bucket, &list[i], now_us);
    }
    pthread_mutex_unlock(&limits->lock);
}

bool limits_take(limits_t *limits, const limit_t *list, unsigned count, int64_t now_us,
                 limit_state_t *state)
{
    bool shared = limits->shared != NULL && list[0].kind != LIMIT_STRANGER;
    if (!shared || !limit_redis_take(limits->shared, list, count, state)) {
        if (shared)
            plumb_metric_add(PLUMB_M_LIMITS_ALONE, "", 1);
        take_here(limits, list, count, now_us, state);
    }
    return state->retry_us == 0;
}

void limits_give(limits_t *limits, const limit_t *list, unsigned count, bool is_shared)
{
    if (is_shared) {
        limit_redis_give(limits->shared, list, count);
        return;
    }
    pthread_mutex_lock(&limits->lock);
    for (unsigned i = 0; i < count; i++)
        if (list[i].rate.count > 0)
            bucket_of(limits, &list[i])->used -= limit_interval_us(&list[i].rate);
    pthread_mutex_unlock(&limits->lock);
}
