/* Recording a group of results: what the pure rules decide becomes rows. */
#include "group.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "tracker.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A delivery that results of the group speak of. */
typedef struct group_row {
    delivery_write_t write;
    plumb_uuid_t credential, lead;
    credential_row_t *counters; /* in `credentials`, or `nobody` */
    int from;                   /* row of the locked result */
    bool changed;
    uint32_t recall;
    delivery_event_t event;
} group_row_t;

typedef struct result_group {
    tracker_t *t;
    attempt_write_t *list; /* the caller's */
    size_t count;
    struct place {
        group_row_t *row; /* NULL: no such delivery */
        int from;         /* row of `locked`, -1 none */
        verdict_t verdict;
    } * places;           /* by result */
    attempt_write_t *log; /* what goes to the attempt log */
    size_t log_count;
    group_row_t *rows;
    size_t row_count;
    credential_write_t *credentials;
    credential_row_t *before;
    bool *found;
    size_t credential_count;
    credential_row_t nobody; /* of deliveries whose credential is gone */
    delivery_write_t *writes;
    event_write_t *events;
    size_t event_count;
    PGresult *locked;
    int64_t now_ms; /* PostgreSQL's */
} group_t;

/* ---- memory ---- */

static void group_fini(group_t *g)
{
    PQclear(g->locked);
    free(g->places);
    free(g->log);
    free(g->rows);
    free(g->credentials);
    free(g->before);
    free(g->found);
    free(g->writes);
    free(g->events);
}

static int group_init(group_t *g, tracker_t *t, attempt_write_t *list, size_t count,
                      plumb_err_t *err)
{
    *g = (group_t){.t = t, .list = list, .count = count};
    g->places = calloc(count, sizeof *g->places);
    g->log = calloc(count, sizeof *g->log);
    g->rows = calloc(count, sizeof *g->rows);
    g->credentials = calloc(count, sizeof *g->credentials);
    g->before = calloc(count, sizeof *g->before);
    g->found = calloc(count, sizeof *g->found);
    g->writes = calloc(count, sizeof *g->writes);
    g->events = calloc(2 * count, sizeof *g->events);
    if (g->places != NULL && g->log != NULL && g->rows != NULL && g->credentials != NULL &&
        g->before != NULL && g->found != NULL && g->writes != NULL && g->events != NULL)
        return 0;
    group_fini(g);
    return plumb_err_set(err, PLUMB_E_MEMORY, "a group of %zu results", count);
}

/* ---- order ---- */

static int compare_writes(const void *left, const void *right)
{
    const attempt_write_t *a = left, *b = right;
    int order = plumb_uuid_compare(&a->result->account, &b->result->account);
    if (order == 0)
        order = plumb_uuid_compare(&a->result->ticket.delivery, &b->result->ticket.delivery);
    return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

void group_sort(attempt_write_t *list, size_t count)
{
    if (count > 1)
        qsort(list, count, sizeof *list, compare_writes);
}

static bool same_delivery(const plumb_result_t *a, const plumb_result_t *b)
{
    return plumb_uuid_compare(&a->ticket.delivery, &b->ticket.delivery) == 0 &&
           plumb_uuid_compare(&a->account, &b->account) == 0;
}

/* ---- reading ---- */

static void read_row(group_t *g, group_row_t *row, const attempt_write_t *w, int from)
{
    const PGresult *r = g->locked;
    row->from = from;
    row->credential = plumb_get_uuid(r, from, LOCKED_CREDENTIAL);
    row->lead = plumb_get_uuid(r, from, LOCKED_LEAD);
    row->write.account = w->result->account;
    row->write.id = w->result->ticket.delivery;
    row->write.row = (delivery_row_t){
        .state = delivery_state_find(plumb_get_text(r, from, LOCKED_STATE), STATE_SKIPPED),
        .attempt = (uint32_t)plumb_get_int4(r, from, LOCKED_ATTEMPT),
        .tries = (uint32_t)plumb_get_int4(r, from, LOCKED_TRIES),
        .crashes = (uint32_t)plumb_get_int4(r, from, LOCKED_CRASHES),
        .deadline_ms = plumb_get_time(r, from, LOCKED_DEADLINE),
        .late_success = plumb_get_bool(r, from, LOCKED_LATE_SUCCESS)};
    g->now_ms = plumb_get_time(r, from, LOCKED_NOW);
}

/* Results of one delivery follow each other, since the list is sorted. */
static void read_rows(group_t *g)
{
    for (size_t i = 0; i < g->count; i++)
        g->places[i].from = -1;
    for (int row = 0; row < PQntuples(g->locked); row++)
        g->places[plumb_get_int8(g->locked, row, LOCKED_N) - 1].from = row;
    for (size_t i = 0; i < g->count; i++) {
        if (g->places[i].from < 0)
            continue;
        if (i > 0 && g->places[i - 1].row != NULL &&
            same_delivery(g->list[i].result, g->list[i - 1].result)) {
            g->places[i].row = g->places[i - 1].row;
            continue;
        }
        g->places[i].row = &g->rows[g->row_count++];
        read_row(g, g->places[i].row, &g->list[i], g->places[i].from);
    }
}

static int compare_credentials(const void *left, const void *right)
{
    const credential_write_t *a = left, *b = right;
    int order = plumb_uuid_compare(&a->account, &b->account);
    return order != 0 ? order : plumb_uuid_compare(&a->id, &b->id);
}

static void list_credentials(group_t *g)
{
    for (size_t i = 0; i < g->row_count; i++)
        g->credentials[i] =
            (credential_write_t){.account = g->rows[i].write.account, .id = g->rows[i].credential};
    if (g->row_count > 1)
        qsort(g->credentials, g->row_count, sizeof *g->credentials, compare_credentials);
    for (size_t i = 0; i < g->row_count; i++)
        if (g->credential_count == 0 ||
            compare_credentials(&g->credentials[g->credential_count - 1], &g->credentials[i]) != 0)
            g->credentials[g->credential_count++] = g->credentials[i];
}

static void join_credentials(group_t *g)
{
    g->nobody = (credential_row_t){.created_ms = g->now_ms};
    for (size_t i = 0; i < g->credential_count; i++)
        g->before[i] = g->credentials[i].row;
    for (size_t i = 0; i < g->row_count; i++) {
        credential_write_t key = {.account = g->rows[i].write.account, .id = g->rows[i].credential};
        credential_write_t *found =
            bsearch(&key, g->credentials, g->credential_count, sizeof key, compare_credentials);
        bool exists = found != NULL && g->found[found - g->credentials];
        g->rows[i].counters = exists ? &found->row : &g->nobody;
    }
}

/* Deliveries first, credentials second, each in order of their ids: so do all. */
static int group_load(group_t *g, plumb_err_t *err)
{
    int rc = store_lock_deliveries(&g->t->store, g->list, g->count, &g->locked, err);
    if (rc < 0)
        return rc;
    read_rows(g);
    list_credentials(g);
    if (g->credential_count > 0)
        rc = store_lock_credentials(&g->t->store, g->credentials, g->found, g->credential_count,
                                    err);
    join_credentials(g);
    return rc;
}

/* ---- deciding ---- */

/* The same attempt with the same outcome, earlier in the group: its place in the log. */
static attempt_write_t *twin_of(group_t *g, size_t i)
{
    const plumb_result_t *result = g->list[i].result;
    for (size_t n = g->log_count; n > 0; n--) { /* results of one delivery are neighbours */
        const plumb_result_t *other = g->log[n - 1].result;
        if (!same_delivery(other, result))
            return NULL;
        if (other->ticket.attempt == result->ticket.attempt && other->outcome == result->outcome)
            return &g->log[n - 1];
    }
    return NULL;
}

static void add_event(group_t *g, const group_row_t *row, const char *kind, const char *reason)
{
    g->events[g->event_count++] = (event_write_t){.account = row->write.account,
                                                  .id = plumb_uuid_at(g->now_ms),
                                                  .kind = kind,
                                                  .lead = row->lead,
                                                  .delivery = row->write.id,
                                                  .credential = row->credential,
                                                  .reason = reason};
}

static void note_transition(group_t *g, group_row_t *row, const plumb_result_t *result,
                            const transition_t *t)
{
    if (!t->changed)
        return;
    row->changed = true;
    if (t->recall != 0)
        row->recall = t->recall;
    if (t->verdict == VERDICT_COUNTED) {
        row->write.moved = true;
        row->write.outcome = plumb_outcome_name(result->outcome);
        row->write.wait_ms = row->write.row.due_ms - g->now_ms;
        if (result->external_id.data != NULL)
            row->write.external_id = result->external_id;
        if (result->checkpoint.data != NULL)
            row->write.checkpoint = result->checkpoint;
    }
    if (t->event != EVENT_NONE)
        add_event(g, row, delivery_event_name(t->event),
                  delivery_reason_name(row->write.row.reason));
    if (t->suspended)
        add_event(g, row, "credential.suspended", row->counters->suspended_reason);
}

static void decide(group_t *g, size_t i)
{
    group_row_t *row = g->places[i].row;
    attempt_write_t *w = &g->list[i], *twin = row == NULL ? NULL : twin_of(g, i);
    w->counted = false;
    w->repeats = 0;
    if (row == NULL) {
        g->places[i].verdict = VERDICT_UNKNOWN;
        return;
    }
    const char *own = plumb_get_null(g->locked, row->from, LOCKED_SCHEDULE)
                          ? NULL
                          : plumb_get_text(g->locked, row->from, LOCKED_SCHEDULE);
    waits_t space;
    retry_policy_t policy =
        policy_for(&g->t->policy, plumb_get_bool(g->locked, row->from, LOCKED_MAIL), own, &space);
    if (w->lost)
        w->result->resend = plumb_get_bool(g->locked, row->from, LOCKED_RESENDS);
    attempt_result_t result = {.attempt = w->result->ticket.attempt,
                               .outcome = w->result->outcome,
                               .blamed = w->result->blamed,
                               .resend = w->result->resend,
                               .known = twin != NULL ||
                                        plumb_get_bool(g->locked, g->places[i].from, LOCKED_KNOWN),
                               .retry_after_ms = w->result->retry_after_ms};
    transition_t t = transition_result(&row->write.row, row->counters, &result, &policy, g->now_ms,
                                       randombytes_random());
    g->places[i].verdict = t.verdict;
    w->counted = t.verdict == VERDICT_COUNTED;
    note_transition(g, row, w->result, &t);
    if (twin != NULL)
        twin->repeats++;
    else if (!w->lost || w->counted) /* what we made up ourselves is no late result */
        g->log[g->log_count++] = *w;
}

/* ---- writing ---- */

static int write_changed_rows(group_t *g, plumb_err_t *err)
{
    size_t count = 0;
    for (size_t i = 0; i < g->row_count; i++)
        if (g->rows[i].changed)
            g->writes[count++] = g->rows[i].write;
    return count > 0 ? store_write_deliveries(&g->t->store, g->writes, count, err) : 0;
}

static bool same_counters(const credential_row_t *a, const credential_row_t *b)
{
    return a->refused == b->refused && a->failures == b->failures &&
           a->succeeded_ms == b->succeeded_ms && a->suspended == b->suspended;
}

static int write_changed_credentials(group_t *g, plumb_err_t *err)
{
    size_t count = 0; /* the changed ones move to the front: nobody looks at them any more */
    for (size_t i = 0; i < g->credential_count; i++)
        if (g->found[i] && !same_counters(&g->credentials[i].row, &g->before[i]))
            g->credentials[count++] = g->credentials[i];
    return count > 0 ? store_write_credentials(&g->t->store, g->credentials, count, err) : 0;
}

static int group_write(group_t *g, plumb_err_t *err)
{
    int rc = write_changed_rows(g, err);
    if (rc == 0 && g->log_count > 0)
        rc = store_write_attempts(&g->t->store, g->log, g->log_count, err);
    if (rc == 0)
        rc = write_changed_credentials(g, err);
    if (rc == 0 && g->event_count > 0)
        rc = store_write_events(&g->t->store, g->events, g->event_count, err);
    return rc;
}

/* ---- after the commit ---- */

static void log_row(const group_row_t *row)
{
    char id[PLUMB_UUID_TEXT];
    const char *reason = delivery_reason_name(row->write.row.reason);
    plumb_log_event(row->write.row.state == STATE_DELIVERED ? LOG_DEBUG : LOG_INFO,
                    "delivery_moved", "delivery=%s attempt=%u outcome=%s state=%s reason=%s",
                    plumb_uuid_text(&row->write.id, id), row->write.row.attempt, row->write.outcome,
                    delivery_state_name(row->write.row.state), reason == NULL ? "none" : reason);
}

static void tell_moved(group_t *g, const group_row_t *row)
{
    delivery_state_t state = row->write.row.state;
    plumb_metric_add(PLUMB_M_DELIVERY_STATES, delivery_state_name(state), 1);
    if (state == STATE_DELIVERED)
        plumb_metric_observe_ms(PLUMB_M_DELIVERY_LATENCY,
                                plumb_get_text(g->locked, row->from, LOCKED_CHANNEL),
                                (double)plumb_get_int8(g->locked, row->from, LOCKED_AGE_MS));
    if (state == STATE_PENDING)
        feeder_due(&g->t->feeder, plumb_mono_ms() + row->write.wait_ms);
    log_row(row);
}

static void tell_suspended(const event_write_t *event)
{
    char id[PLUMB_UUID_TEXT];
    if (strcmp(event->kind, "credential.suspended") == 0)
        plumb_log_event(LOG_WARNING, "credential_suspended", "credential=%s reason=%s",
                        plumb_uuid_text(&event->credential, id), event->reason);
}

static void group_tell(group_t *g)
{
    size_t verdicts[VERDICT_COUNT] = {0};
    for (size_t i = 0; i < g->count; i++) {
        verdicts[g->places[i].verdict]++;
        g->list[i].done = true;
        recall_answered(&g->t->recall, &g->list[i].result->ticket);
    }
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        if (verdicts[v] > 0)
            plumb_metric_add(PLUMB_M_RESULTS, verdict_name((verdict_t)v), (int64_t)verdicts[v]);
    for (size_t i = 0; i < g->row_count; i++) {
        const group_row_t *row = &g->rows[i];
        if (row->write.moved)
            tell_moved(g, row);
        if (row->recall != 0)
            recall_add(&g->t->recall, &(plumb_ticket_t){row->write.id, row->recall});
    }
    for (size_t i = 0; i < g->event_count; i++)
        tell_suspended(&g->events[i]);
    if (g->event_count > 0)
        feeder_wake(&g->t->feeder); /* rows of a suspended credential become held */
}

int group_record(tracker_t *t, attempt_write_t *list, size_t count, plumb_err_t *err)
{
    group_t g;
    int rc = group_init(&g, t, list, count, err);
    if (rc < 0)
        return rc;
    rc = store_begin(&t->store, err);
    if (rc == 0)
        rc = group_load(&g, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        decide(&g, i);
    if (rc == 0)
        rc = group_write(&g, err);
    if (rc == 0)
        rc = store_commit(&t->store, err);
    else
        store_rollback(&t->store);
    if (rc == 0)
        group_tell(&g);
    group_fini(&g);
    return rc;
}

/* ---- the common case ---- */

int group_record_successes(tracker_t *t, attempt_write_t *list, size_t count, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = store_ready(&t->store, err);
    if (rc == 0)
        rc = store_record_successes(&t->store, list, count, &r, err);
    if (rc == -PLUMB_E_DB_VALUE && count == 1) /* on record already, or malformed: group_record's */
        return 0;
    int moved = rc == 0 ? PQntuples(r) : 0;
    for (int row = 0; row < moved; row++) {
        attempt_write_t *w = &list[plumb_get_int8(r, row, RECORDED_N) - 1];
        w->done = w->counted = true;
        plumb_metric_observe_ms(PLUMB_M_DELIVERY_LATENCY, plumb_get_text(r, row, RECORDED_CHANNEL),
                                (double)plumb_get_int8(r, row, RECORDED_AGE_MS));
        recall_answered(&t->recall, &w->result->ticket);
    }
    PQclear(r);
    if (moved > 0) {
        plumb_metric_add(PLUMB_M_RESULTS, verdict_name(VERDICT_COUNTED), moved);
        plumb_metric_add(PLUMB_M_DELIVERY_STATES, delivery_state_name(STATE_DELIVERED), moved);
    }
    return rc;
}
