/* Pending rows: which are due, and their hand-over. */
#include "tracker_tables.h"

#include "tracker_result.h"

#include <inttypes.h>

static bool waits(size_t i, int credential)
{
    const sim_row_t *row = &db.rows[i];
    return row->in && row->row.state == STATE_PENDING && sim.deliveries[i].credential == credential;
}

/* The place of the lane's pending row that is due first behind `after`; SIM_DELIVERIES: none. */
static size_t first_due(int credential, const bool *passed)
{
    size_t best = SIM_DELIVERIES;
    for (size_t i = 0; i < sim.delivery_count; i++)
        if (waits(i, credential) && !(passed != NULL && passed[i]) &&
            (best == SIM_DELIVERIES || db.rows[i].row.due_ms < db.rows[best].row.due_ms))
            best = i;
    return best;
}

int store_lanes(store_t *s, const plumb_uuid_t *after, int limit, PGresult **r, plumb_err_t *err)
{
    (void)s, (void)limit;
    int rc = db_away(err);
    if (rc < 0)
        return rc;
    *r = result_new(LANE_VERSION + 1);
    for (int c = 0; c < SIM_CREDENTIALS; c++) {
        plumb_uuid_t id = sim_credential(c);
        size_t first = first_due(c, NULL);
        if (first == SIM_DELIVERIES || plumb_uuid_compare(&id, after) <= 0)
            continue;
        result_row(*r);
        result_uuid(*r, LANE_ACCOUNT, SIM_ACCOUNT);
        result_uuid(*r, LANE_CREDENTIAL, id);
        result_int(*r, LANE_DUE_IN_MS, db.rows[first].row.due_ms - db_ms());
        result_text(*r, LANE_CHANNEL, sim_channel(c));
        result_int(*r, LANE_EXISTS, true);
        result_int(*r, LANE_ENABLED, db.credentials[c].enabled);
        result_int(*r, LANE_SUSPENDED, db.credentials[c].suspended);
        result_int(*r, LANE_VERSION, 1);
    }
    return 0;
}

static void job_row(PGresult *r, size_t i)
{
    const sim_row_t *row = &db.rows[i];
    result_row(r);
    result_uuid(r, JOB_ACCOUNT, SIM_ACCOUNT);
    result_uuid(r, JOB_DELIVERY, sim.deliveries[i].id);
    result_uuid(r, JOB_LEAD, sim.deliveries[i].id);
    result_uuid(r, JOB_CREDENTIAL, sim_credential(sim.deliveries[i].credential));
    result_int(r, JOB_ATTEMPT, row->row.attempt);
    result_int(r, JOB_TRIES, row->row.tries);
    result_int(r, JOB_CRASHES, row->row.crashes);
    result_int(r, JOB_DEADLINE, row->row.deadline_ms);
    result_int(r, JOB_NOW, db_ms());
    result_int(r, JOB_EPOCH, (int64_t)row->epoch);
}

int store_pick(store_t *s, const plumb_uuid_t *credentials, size_t count, int share, PGresult **r,
               plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    *r = result_new(JOB_LEAD_FIRST);
    for (size_t c = 0; c < count; c++) {
        bool passed[SIM_DELIVERIES] = {0};
        for (int n = 0; n < share; n++) {
            size_t i = first_due(db_credential(&credentials[c]), passed);
            if (i == SIM_DELIVERIES || db.rows[i].row.due_ms > db_ms())
                break;
            passed[i] = true;
            job_row(*r, i);
        }
    }
    return 0;
}

int store_rebuild(store_t *s, const delivery_key_t *keys, size_t count, PGresult **r,
                  plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    *r = result_new(JOB_LEAD_FIRST);
    for (size_t i = 0; i < count; i++)
        if (db_queued_row(&keys[i].ticket) != NULL)
            job_row(*r, db_index(&keys[i].ticket.delivery));
    return 0;
}

int store_hand_over(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch,
                    size_t *moved, plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    *moved = 0;
    for (size_t i = 0; db_epoch_is_alive(epoch) && i < count; i++) {
        sim_row_t *row = db_row(&keys[i].ticket.delivery);
        if (row == NULL || row->row.state != STATE_PENDING ||
            row->row.attempt != keys[i].ticket.attempt)
            continue;
        sim_handed_over(&keys[i].ticket);
        row->row.state = STATE_QUEUED;
        row->row.attempt++;
        row->row.reason = REASON_NONE;
        row->epoch = epoch;
        row->queued_us = db_us();
        ++*moved;
        sim_trace("tracker: %zu handed over, attempt %" PRIu32, db_index(&keys[i].ticket.delivery),
                  row->row.attempt);
    }
    return 0;
}

int store_hold_lane(store_t *s, const plumb_uuid_t *credential, const char *reason, int limit,
                    size_t *moved, plumb_err_t *err)
{
    (void)reason, (void)limit;
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    *moved = 0;
    for (size_t i = 0; i < sim.delivery_count; i++) {
        if (!waits(i, db_credential(credential)))
            continue;
        db.rows[i].row.state = STATE_HELD;
        db.rows[i].row.reason = REASON_SUSPENDED;
        ++*moved;
    }
    return store_commit(s, err);
}

int store_expire(store_t *s, pending_cursor_t *cursor, int limit, size_t *expired, bool *end,
                 plumb_err_t *err)
{
    (void)s, (void)cursor, (void)limit;
    *expired = 0; /* a week is longer than any run */
    *end = true;
    return db_away(err);
}
