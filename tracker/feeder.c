/* Feeding: rounds over the lanes. */
#include "feeder.h"

#include "feeder_rows.h"
#include "tracker.h"

#include "metrics.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_MS 1000 /* ingest writes pending rows of which nobody tells us */
#define BUSY_MS 10   /* the socket was full */
#define LOCKED_MS                                                                                  \
    200 /* due rows that could not be had: others hold them, or they wait for another */
#define HOLD_PAGE 500
#define FIRST_FRAME 2048

int feeder_init(feeder_t *f, size_t limit, plumb_err_t *err)
{
    *f = (feeder_t){.limit = limit, .frame_bytes = FIRST_FRAME};
    f->ends = calloc(limit, sizeof *f->ends);
    return f->ends == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "%zu jobs", limit) : 0;
}

void feeder_fini(feeder_t *f)
{
    plumb_buf_wipe(&f->frame);
    plumb_buf_wipe(&f->out);
    free(f->ends);
}

void feeder_wake(feeder_t *f)
{
    f->look_ms = 0;
}

void feeder_due(feeder_t *f, int64_t at_ms)
{
    if (at_ms < f->next_ms)
        f->next_ms = at_ms;
    if (at_ms < f->look_ms)
        f->look_ms = at_ms;
}

void feeder_beacon(feeder_t *f)
{
    if (f->starved)
        feeder_wake(f);
}

/* ---- out ---- */

/* Push what is committed.  False: the socket is full, go on later. */
static bool push_out(tracker_t *t)
{
    feeder_t *f = &t->feeder;
    while (f->out_sent < f->out_count) {
        size_t start = f->out_sent == 0 ? 0 : f->ends[f->out_sent - 1];
        size_t length = f->ends[f->out_sent] - start;
        if (plumb_sock_send(t->links.jobs, f->out.data + start, length) == 0) {
            plumb_metric_add(PLUMB_M_SENDS_REFUSED, "job", 1);
            return false;
        }
        t->brokers.gate.room -= (int64_t)length;
        f->out_sent++;
    }
    if (f->out.length > 0)
        sodium_memzero(f->out.data, f->out.length);
    plumb_buf_clear(&f->out);
    f->out_count = f->out_sent = 0;
    return true;
}

/* ---- lanes ---- */

static int hold_lane(tracker_t *t, const plumb_uuid_t *credential, plumb_err_t *err)
{
    size_t moved = 0;
    int rc = store_hold_lane(&t->store, credential, delivery_reason_name(REASON_SUSPENDED),
                             HOLD_PAGE, &moved, err);
    if (rc == 0 && moved > 0)
        plumb_metric_add(PLUMB_M_DELIVERY_STATES, "held", (int64_t)moved);
    if (rc == 0 && moved == HOLD_PAGE)
        feeder_wake(&t->feeder);
    return rc;
}

static void read_lane(feeder_lane_t *lane, const PGresult *r, int row)
{
    *lane = (feeder_lane_t){.id = plumb_get_uuid(r, row, LANE_CREDENTIAL),
                            .account = plumb_get_uuid(r, row, LANE_ACCOUNT),
                            .exists = plumb_get_bool(r, row, LANE_EXISTS),
                            .enabled = plumb_get_bool(r, row, LANE_ENABLED),
                            .suspended = plumb_get_bool(r, row, LANE_SUSPENDED),
                            .version = plumb_get_int4(r, row, LANE_VERSION)};
}

/* May the broker have jobs of this lane now? */
static bool is_open(tracker_t *t, const feeder_lane_t *lane, const char *channel)
{
    feeder_t *f = &t->feeder;
    char queue[64];
    snprintf(queue, sizeof queue, "integration-%s", channel);
    int64_t wait_ms = gate_lane_wait_ms(&t->brokers.gate, &lane->id, t->now_ms);
    if (wait_ms > 0)
        feeder_due(f, t->now_ms + wait_ms);
    if (wait_ms == 0 && gate_queue_is_open(&t->brokers.gate, queue))
        return true;
    f->starved = true;
    return false;
}

/* Take in a page of lanes: those to be fed stay in f->lanes. */
static int sort_lanes(tracker_t *t, const PGresult *r, bool room, plumb_err_t *err)
{
    feeder_t *f = &t->feeder;
    int rc = 0;
    f->lane_count = 0;
    for (int row = 0; rc == 0 && row < PQntuples(r); row++) {
        feeder_lane_t *lane = &f->lanes[f->lane_count];
        int64_t due_in_ms = plumb_get_int8(r, row, LANE_DUE_IN_MS);
        read_lane(lane, r, row);
        if (lane->suspended) {
            rc = hold_lane(t, &lane->id, err);
        } else if (due_in_ms > 0) {
            feeder_due(f, t->now_ms + due_in_ms);
        } else {
            if (-due_in_ms > f->oldest_ms)
                f->oldest_ms = -due_in_ms;
            if (!room)
                f->starved = true;
            else if (is_open(t, lane, plumb_get_text(r, row, LANE_CHANNEL)))
                f->lane_count++;
        }
    }
    return rc;
}

/* Where the next round begins, and when. */
static void move_cursor(tracker_t *t, const PGresult *r)
{
    feeder_t *f = &t->feeder;
    int rows = PQntuples(r);
    if (rows == FEEDER_LANES) {
        f->cursor = plumb_get_uuid(r, rows - 1, LANE_CREDENTIAL);
        feeder_wake(f);
        return;
    }
    f->cursor = (plumb_uuid_t){0};
    plumb_metric_set(PLUMB_M_OUTBOX_OLDEST, "", f->oldest_ms / 1000);
}

static void begin_round(tracker_t *t)
{
    feeder_t *f = &t->feeder;
    if (plumb_uuid_is_nil(&f->cursor)) {
        f->next_ms = INT64_MAX;
        f->oldest_ms = 0;
        f->starved = false;
    }
    f->look_ms = t->now_ms + IDLE_MS;
    feeder_due(f, f->next_ms);
}

/* Rows a lane may have in this round. */
static size_t share_of(const tracker_t *t)
{
    const feeder_t *f = &t->feeder;
    size_t rows = (size_t)t->brokers.gate.room / f->frame_bytes;
    if (rows > f->limit)
        rows = f->limit;
    return rows > f->lane_count ? rows / f->lane_count : 1;
}

static int feed(tracker_t *t, uint64_t epoch, plumb_err_t *err)
{
    feeder_t *f = &t->feeder;
    feeder_fed_t fed = {0};
    size_t share = share_of(t);
    int rc = feeder_rows(t, epoch, share, &fed, err);
    if (rc < 0)
        return rc;
    bool no_room = (int64_t)(f->out.length + f->frame_bytes) > t->brokers.gate.room;
    if (fed.picked == 0)
        feeder_due(f, t->now_ms + LOCKED_MS);
    else if (no_room)
        f->starved = true;
    else
        feeder_wake(f); /* there may be more behind them */
    return 0;
}

int feeder_work(tracker_t *t, plumb_err_t *err)
{
    feeder_t *f = &t->feeder;
    if (f->out_count > 0 && !push_out(t)) {
        feeder_due(f, t->now_ms + BUSY_MS);
        return 0;
    }
    if (t->stopping || t->now_ms < f->look_ms)
        return 0;
    PGresult *r = NULL;
    uint64_t epoch = brokers_open_epoch(t);
    begin_round(t);
    int rc = store_lanes(&t->store, &f->cursor, FEEDER_LANES, &r, err);
    if (rc == 0)
        rc = sort_lanes(t, r, epoch != 0, err);
    if (rc == 0 && f->lane_count > 0)
        rc = feed(t, epoch, err);
    if (rc == 0)
        move_cursor(t, r);
    PQclear(r);
    if (rc == 0 && !push_out(t))
        feeder_due(f, t->now_ms + BUSY_MS);
    return rc;
}
