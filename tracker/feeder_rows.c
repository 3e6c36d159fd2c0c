/* Picking and handing over, one transaction. */
#include "feeder_rows.h"

#include "log.h"
#include "metrics.h"
#include "tracker.h"

#include <stdlib.h>
#include <string.h>

/* What one round has picked. */
typedef struct batch {
    delivery_key_t *keys; /* to be queued; owned, as the others */
    size_t key_count;
    delivery_write_t *writes; /* to be settled or held instead */
    size_t write_count;
    event_write_t *events;
    size_t event_count;
} batch_t;

static void batch_fini(batch_t *b)
{
    free(b->keys);
    free(b->writes);
    free(b->events);
    *b = (batch_t){0};
}

static int batch_init(batch_t *b, size_t rows, plumb_err_t *err)
{
    *b = (batch_t){.keys = calloc(rows, sizeof *b->keys),
                   .writes = calloc(rows, sizeof *b->writes),
                   .events = calloc(rows, sizeof *b->events)};
    if (b->keys != NULL && b->writes != NULL && b->events != NULL)
        return 0;
    batch_fini(b);
    return plumb_err_set(err, PLUMB_E_MEMORY, "%zu picked rows", rows);
}

/* ---- one row ---- */

/* Find its credential; one that cannot be opened makes the row unreadable. */
static int find_credential(tracker_t *t, const PGresult *r, int row, const feeder_lane_t *lane,
                           feed_facts_t *facts, const plumb_credential_t **credential,
                           plumb_err_t *err)
{
    plumb_uuid_t account = plumb_get_uuid(r, row, JOB_ACCOUNT);
    plumb_uuid_t id = plumb_get_uuid(r, row, JOB_CREDENTIAL);
    int rc = jobs_credential(&t->jobs, &t->store, &account, &id, lane == NULL ? 0 : lane->version,
                             t->now_ms, credential, err);
    if (rc < 0 && !jobs_is_rows_fault(rc))
        return rc;
    facts->unreadable = rc < 0;
    facts->has_credential = rc < 0 || *credential != NULL;
    facts->enabled =
        lane != NULL ? lane->enabled : rc < 0 || (facts->has_credential && (*credential)->enabled);
    facts->suspended =
        lane != NULL ? lane->suspended : rc == 0 && *credential != NULL && (*credential)->suspended;
    return 0;
}

static void log_unreadable(const PGresult *r, int row, const plumb_err_t *err)
{
    char text[PLUMB_UUID_TEXT];
    plumb_uuid_t id = plumb_get_uuid(r, row, JOB_DELIVERY);
    plumb_log_event(LOG_ERR, "delivery_unreadable", "delivery=%s reason=\"%s\"",
                    plumb_uuid_text(&id, text), err->text);
}

int feeder_decide(tracker_t *t, const PGresult *r, int row, const feeder_lane_t *lane,
                  uint32_t attempt, uint64_t epoch, delivery_row_t *delivery, transition_t *what,
                  plumb_err_t *err)
{
    const plumb_credential_t *credential = NULL;
    feed_facts_t facts = {.erased = jobs_is_erased(r, row)};
    const delivery_row_t picked = {.state = STATE_PENDING,
                                   .attempt = attempt - 1,
                                   .tries = (uint32_t)plumb_get_int4(r, row, JOB_TRIES),
                                   .crashes = (uint32_t)plumb_get_int4(r, row, JOB_CRASHES),
                                   .deadline_ms = plumb_get_time(r, row, JOB_DEADLINE)};
    int64_t now_ms = plumb_get_time(r, row, JOB_NOW);
    int rc = find_credential(t, r, row, lane, &facts, &credential, err);
    if (rc < 0)
        return rc;
    if (facts.unreadable)
        log_unreadable(r, row, err);
    *delivery = picked;
    *what = transition_feed(delivery, &facts, now_ms);
    if (delivery->state != STATE_QUEUED)
        return 0;
    rc =
        jobs_encode(&t->jobs, &t->store, r, row, attempt, epoch, credential, &t->feeder.frame, err);
    if (!jobs_is_rows_fault(rc))
        return rc;
    log_unreadable(r, row, err);
    facts.unreadable = true;
    *delivery = picked;
    *what = transition_feed(delivery, &facts, now_ms);
    return 0;
}

/* ---- the batch ---- */

static const feeder_lane_t *lane_of(const feeder_t *f, const plumb_uuid_t *credential)
{
    for (size_t i = 0; i < f->lane_count; i++)
        if (plumb_uuid_compare(&f->lanes[i].id, credential) == 0)
            return &f->lanes[i];
    return NULL;
}

static void settle(batch_t *b, const PGresult *r, int row, const delivery_row_t *delivery,
                   const transition_t *what)
{
    b->writes[b->write_count++] = (delivery_write_t){.account = plumb_get_uuid(r, row, JOB_ACCOUNT),
                                                     .id = plumb_get_uuid(r, row, JOB_DELIVERY),
                                                     .row = *delivery,
                                                     .moved = true};
    if (what->event == EVENT_NONE)
        return;
    b->events[b->event_count++] =
        (event_write_t){.account = plumb_get_uuid(r, row, JOB_ACCOUNT),
                        .id = plumb_uuid_at(plumb_get_time(r, row, JOB_NOW)),
                        .kind = delivery_event_name(what->event),
                        .lead = plumb_get_uuid(r, row, JOB_LEAD),
                        .delivery = plumb_get_uuid(r, row, JOB_DELIVERY),
                        .credential = plumb_get_uuid(r, row, JOB_CREDENTIAL),
                        .reason = delivery_reason_name(delivery->reason)};
}

/* Keep a job to be pushed after the commit.  False: there is no room for it. */
static bool keep_job(tracker_t *t, batch_t *b, const PGresult *r, int row)
{
    feeder_t *f = &t->feeder;
    bool fits = (int64_t)(f->out.length + f->frame.length) <= t->brokers.gate.room;
    if (f->out_count == f->limit || (!fits && f->out_count > 0))
        return false;
    plumb_buf_put(&f->out, f->frame.data, f->frame.length);
    if (f->out.failed)
        return false;
    f->ends[f->out_count++] = f->out.length;
    f->frame_bytes = (7 * f->frame_bytes + f->frame.length) / 8;
    b->keys[b->key_count++] = (delivery_key_t){
        plumb_get_uuid(r, row, JOB_ACCOUNT),
        {plumb_get_uuid(r, row, JOB_DELIVERY), (uint32_t)plumb_get_int4(r, row, JOB_ATTEMPT)}};
    return true;
}

static int take_rows(tracker_t *t, batch_t *b, const PGresult *r, uint64_t epoch, feeder_fed_t *fed,
                     plumb_err_t *err)
{
    fed->picked = (size_t)PQntuples(r);
    for (int row = 0; row < PQntuples(r) && !fed->full; row++) {
        delivery_row_t delivery;
        transition_t what;
        plumb_uuid_t credential = plumb_get_uuid(r, row, JOB_CREDENTIAL);
        uint32_t attempt = (uint32_t)plumb_get_int4(r, row, JOB_ATTEMPT) + 1;
        int rc = feeder_decide(t, r, row, lane_of(&t->feeder, &credential), attempt, epoch,
                               &delivery, &what, err);
        if (rc < 0)
            return rc;
        if (delivery.state != STATE_QUEUED)
            settle(b, r, row, &delivery, &what);
        else
            fed->full = !keep_job(t, b, r, row);
    }
    return 0;
}

static int compare_keys(const void *left, const void *right)
{
    const delivery_key_t *a = left, *b = right;
    int order = plumb_uuid_compare(&a->account, &b->account);
    return order != 0 ? order : plumb_uuid_compare(&a->ticket.delivery, &b->ticket.delivery);
}

static int write_batch(tracker_t *t, batch_t *b, uint64_t epoch, plumb_err_t *err)
{
    int rc = 0;
    size_t moved = 0;
    if (b->key_count > 1)
        qsort(b->keys, b->key_count, sizeof *b->keys, compare_keys);
    if (b->key_count > 0)
        rc = store_hand_over(&t->store, b->keys, b->key_count, epoch, &moved, err);
    if (rc == 0 && moved != b->key_count)
        rc = plumb_err_set(err, PLUMB_E_DB_CONFLICT, "%zu of %zu rows handed over: the epoch died",
                           moved, b->key_count);
    if (rc == 0 && b->write_count > 0)
        rc = store_write_deliveries(&t->store, b->writes, b->write_count, err);
    if (rc == 0 && b->event_count > 0)
        rc = store_write_events(&t->store, b->events, b->event_count, err);
    return rc == 0 ? store_commit(&t->store, err) : rc;
}

static void tell(const batch_t *b)
{
    plumb_metric_add(PLUMB_M_FED, "", (int64_t)b->key_count);
    for (size_t i = 0; i < b->write_count; i++)
        plumb_metric_add(PLUMB_M_DELIVERY_STATES, delivery_state_name(b->writes[i].row.state), 1);
}

static int pick(tracker_t *t, size_t share, PGresult **r, plumb_err_t *err)
{
    plumb_uuid_t ids[FEEDER_LANES];
    for (size_t i = 0; i < t->feeder.lane_count; i++)
        ids[i] = t->feeder.lanes[i].id;
    return store_pick(&t->store, ids, t->feeder.lane_count, (int)share, r, err);
}

/* What was not committed is not pushed. */
static void drop_out(feeder_t *f)
{
    plumb_buf_wipe(&f->out);
    f->out_count = 0;
}

int feeder_rows(tracker_t *t, uint64_t epoch, size_t share, feeder_fed_t *fed, plumb_err_t *err)
{
    batch_t batch = {0};
    PGresult *r = NULL;
    int rc = store_begin(&t->store, err);
    if (rc == 0)
        rc = pick(t, share, &r, err);
    if (rc == 0)
        rc = batch_init(&batch, (size_t)PQntuples(r) + 1, err);
    if (rc == 0)
        rc = take_rows(t, &batch, r, epoch, fed, err);
    if (rc == 0)
        rc = write_batch(t, &batch, epoch, err);
    if (rc == 0) {
        tell(&batch);
    } else {
        store_rollback(&t->store);
        drop_out(&t->feeder);
    }
    PQclear(r);
    batch_fini(&batch);
    return rc;
}
