/* Results: what the tracker's recording does to deliveries, attempts and credentials. */
#include "tracker_tables.h"

#include "tracker_result.h"

#include <inttypes.h>

static bool is_success(const plumb_result_t *r)
{
    return r->outcome == PLUMB_OUT_ok || r->outcome == PLUMB_OUT_duplicate;
}

static void log_attempt(sim_row_t *row, const plumb_result_t *r)
{
    if (r->ticket.attempt < DB_ATTEMPTS)
        row->known[r->ticket.attempt] |= (uint16_t)(1U << r->outcome);
}

int store_record_successes(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                           plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    PGresult *moved = result_new(3);
    for (size_t i = 0; i < count; i++) {
        sim_row_t *row = db_queued_row(&list[i].result->ticket);
        if (row == NULL)
            continue;
        credential_row_t *c =
            &db.credentials[sim_delivery(&list[i].result->ticket.delivery)->credential];
        row->row.state = STATE_DELIVERED;
        row->row.reason = REASON_NONE;
        c->succeeded_ms = db_ms();
        c->refused = c->failures = 0;
        log_attempt(row, list[i].result);
        result_row(moved);
        result_int(moved, RECORDED_N, (int64_t)i + 1);
        result_text(moved, RECORDED_CHANNEL, "keyed");
    }
    rc = store_commit(s, err);
    if (rc < 0)
        sim_clear(moved);
    else
        *r = moved;
    return rc;
}

static void lock_row(PGresult *r, const attempt_write_t *w, size_t n)
{
    const plumb_result_t *result = w->result;
    const sim_row_t *row = db_row(&result->ticket.delivery);
    uint32_t attempt = result->ticket.attempt;
    if (row == NULL ||
        (sim.mutant == MUTANT_LATE_SUCCESS && is_success(result) && attempt < row->row.attempt))
        return;
    int credential = sim_delivery(&result->ticket.delivery)->credential;
    result_row(r);
    result_int(r, LOCKED_N, (int64_t)n + 1);
    result_text(r, LOCKED_STATE, delivery_state_name(row->row.state));
    result_int(r, LOCKED_ATTEMPT, row->row.attempt);
    result_int(r, LOCKED_TRIES, row->row.tries);
    result_int(r, LOCKED_CRASHES, row->row.crashes);
    result_int(r, LOCKED_DEADLINE, row->row.deadline_ms);
    result_int(r, LOCKED_NOW, db_ms());
    result_int(r, LOCKED_LATE_SUCCESS, row->row.late_success);
    result_uuid(r, LOCKED_CREDENTIAL, sim_credential(credential));
    result_text(r, LOCKED_CHANNEL, sim_channel(credential));
    result_uuid(r, LOCKED_LEAD, result->ticket.delivery);
    result_int(r, LOCKED_AGE_MS, db_ms() - row->created_ms);
    result_int(r, LOCKED_KNOWN,
               attempt < DB_ATTEMPTS && (row->known[attempt] >> result->outcome & 1) != 0);
    result_int(r, LOCKED_RESENDS, db_resends(credential));
}

int store_lock_deliveries(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                          plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    *r = result_new(LOCKED_SCHEDULE + 1);
    for (size_t i = 0; i < count; i++)
        lock_row(*r, &list[i], i);
    return 0;
}

int store_write_attempts(store_t *s, const attempt_write_t *list, size_t count, plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        sim_row_t *row = db_row(&list[i].result->ticket.delivery);
        log_attempt(row, list[i].result);
        if (list[i].lost && list[i].counted)
            db_lost(&list[i].result->ticket);
    }
    return 0;
}

int store_write_deliveries(store_t *s, const delivery_write_t *list, size_t count, plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        const delivery_write_t *w = &list[i];
        delivery_row_t *row = &db_row(&w->id)->row;
        if (w->row.attempt < row->attempt && w->row.state == STATE_QUEUED)
            sim_fail("an attempt fell from %" PRIu32 " to %" PRIu32, row->attempt, w->row.attempt);
        row->state = w->row.state;
        row->tries = w->row.tries;
        row->crashes = w->row.crashes;
        row->late_success = w->row.late_success;
        if (w->moved)
            row->reason = w->row.reason;
        if (w->moved && w->row.state == STATE_PENDING)
            row->due_ms = db_ms() + w->wait_ms;
        sim_trace("tracker: %zu is %s, attempt %" PRIu32, db_index(&w->id),
                  delivery_state_name(row->state), row->attempt);
    }
    return 0;
}

int store_lock_credentials(store_t *s, credential_write_t *list, bool *found, size_t count,
                           plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        list[i].row = db.credentials[db_credential(&list[i].id)];
        found[i] = true;
    }
    return 0;
}

int store_write_credentials(store_t *s, const credential_write_t *list, size_t count,
                            plumb_err_t *err)
{
    int rc = db_join(s, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++)
        db.credentials[db_credential(&list[i].id)] = list[i].row;
    return 0;
}

int store_write_events(store_t *s, const event_write_t *list, size_t count, plumb_err_t *err)
{
    (void)list, (void)count;
    return db_join(s, err);
}
