/* The newest beacon. */
#include "handover.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FRESH_MS 3000
#define FULL_MS 1000     /* a credential closed for longer is held, not full */
#define JOB_OVERHEAD 128 /* what the broker's bookkeeping takes beside a job's bytes */

typedef struct lane {
    plumb_uuid_t credential;
    int64_t until_ms;
} lane_t;

struct handover {
    pthread_rwlock_t lock;
    uint64_t epoch;
    int64_t heard_ms; /* 0: never */
    char *closed;     /* owned; queue names, each ended by NUL, then an empty one */
    lane_t *lanes;    /* owned; sorted by credential */
    size_t lane_count;
    atomic_llong room;
};

int handover_new(handover_t **ret, plumb_err_t *err)
{
    handover_t *h = calloc(1, sizeof *h);
    *ret = h;
    if (h == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "hand-over");
    pthread_rwlock_init(&h->lock, NULL);
    return 0;
}

void handover_destroy(handover_t **handover)
{
    if (handover == NULL || *handover == NULL)
        return;
    pthread_rwlock_destroy(&(*handover)->lock);
    free((*handover)->closed);
    free((*handover)->lanes);
    free(*handover);
    *handover = NULL;
}

/* ---- taking a beacon in ---- */

static int by_credential(const void *a, const void *b)
{
    return plumb_uuid_compare(&((const lane_t *)a)->credential, &((const lane_t *)b)->credential);
}

static char *copy_queues(const plumb_note_t *beacon)
{
    size_t size = 1;
    for (size_t i = 0; i < beacon->queue_count; i++)
        size += beacon->queues[i].length + 1;
    char *queues = calloc(1, size), *at = queues;
    for (size_t i = 0; queues != NULL && i < beacon->queue_count; i++) {
        memcpy(at, beacon->queues[i].data, beacon->queues[i].length);
        at += beacon->queues[i].length + 1;
    }
    return queues;
}

static lane_t *copy_lanes(const plumb_note_t *beacon, int64_t now_ms)
{
    lane_t *lanes = calloc(beacon->lane_count + 1, sizeof *lanes);
    for (size_t i = 0; lanes != NULL && i < beacon->lane_count; i++)
        lanes[i] = (lane_t){beacon->lanes[i], now_ms + beacon->lane_wait_ms[i]};
    if (lanes != NULL)
        qsort(lanes, beacon->lane_count, sizeof *lanes, by_credential);
    return lanes;
}

void handover_beacon(handover_t *handover, const plumb_note_t *beacon, int64_t now_ms)
{
    char *closed = copy_queues(beacon);
    lane_t *lanes = copy_lanes(beacon, now_ms);
    if (closed == NULL || lanes == NULL) { /* the old one grows stale, rows stay pending */
        free(closed);
        free(lanes);
        return;
    }
    pthread_rwlock_wrlock(&handover->lock);
    char *old_closed = handover->closed;
    lane_t *old_lanes = handover->lanes;
    handover->epoch = beacon->epoch;
    handover->heard_ms = now_ms;
    handover->closed = closed;
    handover->lanes = lanes;
    handover->lane_count = beacon->lane_count;
    atomic_store(&handover->room, beacon->room);
    pthread_rwlock_unlock(&handover->lock);
    free(old_closed);
    free(old_lanes);
}

/* ---- asking ---- */

static bool is_fresh(const handover_t *h, int64_t now_ms)
{
    return h->heard_ms != 0 && now_ms - h->heard_ms < FRESH_MS;
}

static bool is_closed(const handover_t *h, const char *queue)
{
    for (const char *at = h->closed; *at != '\0'; at += strlen(at) + 1)
        if (strcmp(at, queue) == 0)
            return true;
    return false;
}

static int64_t lane_wait_ms(const handover_t *h, const plumb_uuid_t *credential, int64_t now_ms)
{
    lane_t wanted = {*credential, 0};
    if (h->lane_count == 0)
        return 0;
    const lane_t *lane = bsearch(&wanted, h->lanes, h->lane_count, sizeof wanted, by_credential);
    return lane != NULL ? lane->until_ms - now_ms : 0;
}

handover_way_t handover_way(handover_t *handover, const char *queue, const plumb_uuid_t *credential,
                            int64_t now_ms, uint64_t *epoch)
{
    handover_way_t way = HANDOVER_OPEN;
    pthread_rwlock_rdlock(&handover->lock);
    int64_t wait_ms = lane_wait_ms(handover, credential, now_ms);
    if (!is_fresh(handover, now_ms) || is_closed(handover, queue) || wait_ms > FULL_MS)
        way = HANDOVER_CLOSED;
    else if (wait_ms > 0 || atomic_load(&handover->room) <= 0)
        way = HANDOVER_FULL;
    *epoch = handover->epoch;
    pthread_rwlock_unlock(&handover->lock);
    return way;
}

bool handover_reserve(handover_t *handover, size_t bytes)
{
    long long want = (long long)bytes + JOB_OVERHEAD;
    long long room = atomic_load(&handover->room);
    while (room >= want)
        if (atomic_compare_exchange_weak(&handover->room, &room, room - want))
            return true;
    return false;
}

bool handover_is_fresh(handover_t *handover, int64_t now_ms)
{
    pthread_rwlock_rdlock(&handover->lock);
    bool fresh = is_fresh(handover, now_ms);
    pthread_rwlock_unlock(&handover->lock);
    return fresh;
}
