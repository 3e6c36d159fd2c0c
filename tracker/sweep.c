/* Orphans and deadlines. */
#include "sweep.h"

#include "log.h"
#include "metrics.h"
#include "tracker.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 500
#define EXPIRE_PAGE 1000
#define EAGER_MS 60000 /* after a death or our start: who was slow then commits by then */
#define EVERY_MS 1000
#define CALM_EVERY_MS 5000

void sweep_init(sweep_t *s, int64_t now_ms, int64_t deadline_ms)
{
    int64_t every_ms = deadline_ms / 10 < 10000 ? deadline_ms / 10 : 10000;
    *s = (sweep_t){.orphans_ms = now_ms,
                   .eager_until_ms = now_ms + EAGER_MS,
                   .expire_ms = now_ms + every_ms,
                   .expire_every_ms = every_ms};
}

/* ---- orphans ---- */

/* A page of orphans, by what becomes of them. */
typedef struct orphans {
    delivery_key_t requeue[PAGE], lost[PAGE], adopt[PAGE];
    uint64_t under[PAGE]; /* of `adopt` */
    size_t requeue_count, lost_count, adopt_count;
} orphans_t;

static void sort_row(tracker_t *t, orphans_t *o, const PGresult *r, int row)
{
    uint64_t under = 0;
    delivery_key_t key = {
        plumb_get_uuid(r, row, QUEUED_ACCOUNT),
        {plumb_get_uuid(r, row, QUEUED_ID), (uint32_t)plumb_get_int4(r, row, QUEUED_ATTEMPT)}};
    switch (epochs_fate(&t->epochs, (uint64_t)plumb_get_int8(r, row, QUEUED_EPOCH), &key.ticket,
                        t->now_ms, &under)) {
    case FATE_REQUEUE:
        o->requeue[o->requeue_count++] = key;
        break;
    case FATE_LOST:
        o->lost[o->lost_count++] = key;
        break;
    case FATE_ADOPT:
        o->under[o->adopt_count] = under;
        o->adopt[o->adopt_count++] = key;
        break;
    case FATE_LEAVE:
    case FATE_WAIT:
        break;
    }
}

static int requeue(tracker_t *t, const orphans_t *o, plumb_err_t *err)
{
    size_t moved = 0;
    if (o->requeue_count == 0)
        return 0;
    int rc = store_requeue_orphans(&t->store, o->requeue, o->requeue_count, &moved, err);
    if (rc < 0 || moved == 0)
        return rc;
    plumb_metric_add(PLUMB_M_REQUEUED, "epoch", (int64_t)moved);
    plumb_log_event(LOG_NOTICE, "orphans_requeued", "deliveries=%zu", moved);
    feeder_wake(&t->feeder);
    return 0;
}

/* Tell the workers which of what they hold now belongs to the epoch. */
static void tell_adopted(tracker_t *t, const PGresult *r, uint64_t epoch)
{
    plumb_held_t held[PAGE];
    int rows = PQntuples(r);
    for (int row = 0; row < rows; row++) {
        held[row] = (plumb_held_t){.ticket = {plumb_get_uuid(r, row, ADOPTED_ID),
                                              (uint32_t)plumb_get_int4(r, row, ADOPTED_ATTEMPT)}};
        epochs_adopted(&t->epochs, &held[row].ticket, epoch);
    }
    links_send_list(&t->links, t->links.acks,
                    (plumb_note_t){.type = PLUMB_MSG_ADOPT, .epoch = epoch}, held, (size_t)rows);
    if (rows > 0)
        plumb_log_event(LOG_NOTICE, "orphans_adopted", "deliveries=%d", rows);
}

/* Epochs alive at once are few: one statement for each that adopts. */
static int adopt(tracker_t *t, orphans_t *o, plumb_err_t *err)
{
    delivery_key_t keys[PAGE];
    int rc = 0;
    while (rc == 0 && o->adopt_count > 0) {
        PGresult *r = NULL;
        uint64_t epoch = o->under[0];
        size_t count = 0, left = 0;
        for (size_t i = 0; i < o->adopt_count; i++) {
            if (o->under[i] == epoch) {
                keys[count++] = o->adopt[i];
                continue;
            }
            o->under[left] = o->under[i];
            o->adopt[left++] = o->adopt[i];
        }
        o->adopt_count = left;
        rc = store_adopt(&t->store, keys, count, epoch, &r, err);
        if (rc == 0)
            tell_adopted(t, r, epoch);
        PQclear(r);
    }
    return rc;
}

static int take_orphans(tracker_t *t, const PGresult *r, plumb_err_t *err)
{
    if (PQntuples(r) == 0)
        return 0;
    orphans_t *o = calloc(1, sizeof *o);
    if (o == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "a page of orphans");
    for (int row = 0; row < PQntuples(r); row++)
        sort_row(t, o, r, row);
    t->sweep.eager_until_ms = t->now_ms + EAGER_MS;
    int rc = requeue(t, o, err);
    if (rc == 0)
        rc = adopt(t, o, err);
    if (rc == 0)
        rc = lost_record(t, o->lost, o->lost_count, t->conf->tracker_name, err);
    free(o);
    return rc;
}

/* A page in a turn of the loop: a long walk must not keep results waiting. */
static int sweep_orphans(tracker_t *t, plumb_err_t *err)
{
    sweep_t *s = &t->sweep;
    uint64_t standing[EPOCHS_MAX];
    bool end = false;
    PGresult *r = NULL;
    if (epochs_census_runs(&t->epochs, t->now_ms))
        s->eager_until_ms = t->now_ms + EAGER_MS;
    size_t count = epochs_standing(&t->epochs, standing);
    int rc = store_orphans(&t->store, &s->orphans, standing, count, t->conf->epoch_dead, PAGE, &end,
                           &r, err);
    if (rc == 0)
        rc = take_orphans(t, r, err);
    PQclear(r);
    if (rc == 0 && end) {
        s->orphans = (queued_cursor_t){0};
        s->orphans_ms = t->now_ms + (t->now_ms < s->eager_until_ms ? EVERY_MS : CALM_EVERY_MS);
    }
    return rc;
}

/* ---- deadlines ---- */

static int expire(tracker_t *t, plumb_err_t *err)
{
    sweep_t *s = &t->sweep;
    size_t expired = 0;
    bool end = false;
    int rc = store_expire(&t->store, &s->pending, EXPIRE_PAGE, &expired, &end, err);
    if (rc < 0)
        return rc;
    if (expired > 0)
        plumb_metric_add(PLUMB_M_DELIVERY_STATES, "failed", (int64_t)expired);
    s->expire_ms = t->now_ms + (end ? s->expire_every_ms : EVERY_MS);
    return 0;
}

int sweep_work(tracker_t *t, plumb_err_t *err)
{
    int rc = 0;
    if (t->now_ms >= t->sweep.orphans_ms)
        rc = sweep_orphans(t, err);
    if (rc == 0 && t->now_ms >= t->sweep.expire_ms && !t->stopping)
        rc = expire(t, err);
    return rc;
}
