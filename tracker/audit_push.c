/* Pushing again.  The rows stay locked until their jobs are out: no result can be recorded, and
 * acknowledged, in between, after which the broker would take the job for a new one. */
#include "audit_push.h"

#include "feeder_rows.h"
#include "log.h"
#include "metrics.h"
#include "tracker.h"

#define CHUNK 64 /* jobs in memory at once */

static int tell(tracker_t *t, const PGresult *r, int row, const delivery_row_t *delivery,
                const transition_t *what, plumb_err_t *err)
{
    if (what->event == EVENT_NONE)
        return 0;
    event_write_t event = {.account = plumb_get_uuid(r, row, JOB_ACCOUNT),
                           .id = plumb_uuid_at(plumb_get_time(r, row, JOB_NOW)),
                           .kind = delivery_event_name(what->event),
                           .lead = plumb_get_uuid(r, row, JOB_LEAD),
                           .delivery = plumb_get_uuid(r, row, JOB_DELIVERY),
                           .credential = plumb_get_uuid(r, row, JOB_CREDENTIAL),
                           .reason = delivery_reason_name(delivery->reason)};
    return store_write_events(&t->store, &event, 1, err);
}

static int settle(tracker_t *t, const PGresult *r, int row, const delivery_row_t *delivery,
                  const transition_t *what, plumb_err_t *err)
{
    delivery_write_t write = {.account = plumb_get_uuid(r, row, JOB_ACCOUNT),
                              .id = plumb_get_uuid(r, row, JOB_DELIVERY),
                              .row = *delivery,
                              .moved = true};
    plumb_metric_add(PLUMB_M_DELIVERY_STATES, delivery_state_name(delivery->state), 1);
    int rc = store_write_deliveries(&t->store, &write, 1, err);
    return rc == 0 ? tell(t, r, row, delivery, what, err) : rc;
}

static int push_row(tracker_t *t, const PGresult *r, int row, uint64_t epoch, size_t *pushed,
                    plumb_err_t *err)
{
    delivery_row_t delivery;
    transition_t what;
    uint32_t attempt = (uint32_t)plumb_get_int4(r, row, JOB_ATTEMPT);
    if ((uint64_t)plumb_get_int8(r, row, JOB_EPOCH) != epoch)
        return 0;
    int rc = feeder_decide(t, r, row, NULL, attempt, epoch, &delivery, &what, err);
    if (rc < 0)
        return rc;
    if (delivery.state != STATE_QUEUED)
        return settle(t, r, row, &delivery, &what, err);
    const plumb_buf_t *frame = &t->feeder.frame;
    if (plumb_sock_send(t->links.jobs, frame->data, frame->length) == 1)
        (*pushed)++;
    else
        plumb_metric_add(PLUMB_M_SENDS_REFUSED, "job", 1); /* the next pass finds it */
    return 0;
}

static int push_chunk(tracker_t *t, const delivery_key_t *keys, size_t count, uint64_t epoch,
                      size_t *pushed, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = store_begin(&t->store, err);
    if (rc == 0)
        rc = store_rebuild(&t->store, keys, count, &r, err);
    for (int row = 0; rc == 0 && row < PQntuples(r); row++)
        rc = push_row(t, r, row, epoch, pushed, err);
    if (rc == 0)
        rc = store_commit(&t->store, err);
    else
        store_rollback(&t->store);
    PQclear(r);
    return rc;
}

int audit_push(tracker_t *t, const delivery_key_t *keys, size_t count, uint64_t epoch,
               size_t *pushed, plumb_err_t *err)
{
    int rc = 0;
    for (size_t done = 0; rc == 0 && done < count; done += CHUNK)
        rc = push_chunk(t, keys + done, count - done < CHUNK ? count - done : CHUNK, epoch, pushed,
                        err);
    return rc;
}
