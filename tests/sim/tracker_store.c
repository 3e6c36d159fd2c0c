/* tracker/store.h and tracker/jobs.h over tables in memory.  Each function does what its statement
 * does, with the same conditions; a transaction is a copy that is put back. */
#include "store.h"

#include "jobs.h"
#include "sim.h"
#include "tracker_result.h"

#include "count.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPOCHS 64
#define ATTEMPTS 64
#define DEADLINE_MS (INT64_C(7) * 24 * 3600 * 1000)

typedef struct sim_row {
    bool in;
    delivery_row_t row;
    uint64_t epoch;
    int64_t queued_us, created_ms;
    uint16_t known[ATTEMPTS]; /* outcomes in the attempt log, a bit each */
} sim_row_t;

typedef struct sim_epoch {
    uint64_t id;
    int64_t seen_ms;
    bool dead;
    char broker[32];
} sim_epoch_t;

typedef struct tables {
    sim_row_t rows[SIM_DELIVERIES];
    sim_epoch_t epochs[EPOCHS];
    size_t epoch_count;
    credential_row_t credentials[SIM_CREDENTIALS];
    int64_t last_us; /* of now(), which never says the same twice */
} tables_t;

static tables_t now_is, before; /* BEGIN */
static bool in_transaction;
static plumb_ticket_t lost[SIM_DELIVERIES]; /* in this transaction */
static size_t lost_count;

/* ---- time, connection, transactions ---- */

static int64_t db_ms(void)
{
    return INT64_C(1700000000000) + sim.now_ms;
}

static int64_t db_us(void)
{
    int64_t us = 1000 * db_ms();
    now_is.last_us = us > now_is.last_us ? us : now_is.last_us + 1;
    return now_is.last_us;
}

void db_reset(void)
{
    now_is = (tables_t){0};
    in_transaction = false;
    for (size_t i = 0; i < SIM_CREDENTIALS; i++)
        now_is.credentials[i] = (credential_row_t){.created_ms = db_ms(), .enabled = true};
}

static int away(plumb_err_t *err)
{
    if (sim.stations[TRACKER].dying || sim.now_ms < sim.db_away_ms)
        return plumb_err_set(err, PLUMB_E_DB_AWAY, "away");
    return 0;
}

int store_init(store_t *s, const plumb_conf_t *conf, plumb_err_t *err)
{
    (void)s, (void)conf, (void)err;
    return 0;
}

void store_fini(store_t *s)
{
    (void)s;
}

int store_ready(store_t *s, plumb_err_t *err)
{
    (void)s;
    return away(err);
}

int store_begin(store_t *s, plumb_err_t *err)
{
    int rc = store_ready(s, err);
    if (rc < 0)
        return rc;
    before = now_is;
    in_transaction = true;
    lost_count = 0;
    return 0;
}

void store_rollback(store_t *s)
{
    (void)s;
    if (in_transaction)
        now_is = before;
    in_transaction = false;
    lost_count = 0;
}

/* Killed just before it; or the connection breaks in it, after or before it took effect. */
int store_commit(store_t *s, plumb_err_t *err)
{
    bool dies = sim_acts(TRACKER), breaks = sim.commit_unknown;
    sim.commit_unknown = false;
    if (dies || (breaks && sim_chance(5000)))
        store_rollback(s);
    in_transaction = false;
    for (size_t i = 0; i < lost_count; i++)
        sim_lost(&lost[i]);
    lost_count = 0;
    if (breaks || dies)
        return plumb_err_set(err, PLUMB_E_DB_UNKNOWN, "broken in COMMIT");
    return 0;
}

/* A statement that is its own transaction. */
#define BEGIN_OR_RETURN(s, err)                                                                    \
    do {                                                                                           \
        int begun_ = in_transaction ? away(err) : store_begin((s), (err));                         \
        if (begun_ < 0)                                                                            \
            return begun_;                                                                         \
    } while (0)

/* ---- rows ---- */

static size_t index_of(const plumb_uuid_t *id)
{
    const delivery_t *d = sim_delivery(id);
    return d == NULL ? SIM_DELIVERIES : (size_t)(d - sim.deliveries);
}

static sim_row_t *row_of(const plumb_uuid_t *id)
{
    size_t i = index_of(id);
    return i < SIM_DELIVERIES && now_is.rows[i].in ? &now_is.rows[i] : NULL;
}

static sim_row_t *queued_row(const plumb_ticket_t *ticket)
{
    sim_row_t *row = row_of(&ticket->delivery);
    bool is = row != NULL && row->row.state == STATE_QUEUED && row->row.attempt == ticket->attempt;
    return is ? row : NULL;
}

static sim_epoch_t *epoch_of(uint64_t id)
{
    for (size_t i = 0; i < now_is.epoch_count; i++)
        if (now_is.epochs[i].id == id)
            return &now_is.epochs[i];
    return NULL;
}

static bool is_alive(uint64_t id)
{
    const sim_epoch_t *epoch = epoch_of(id);
    return epoch != NULL && !epoch->dead;
}

plumb_uuid_t sim_credential(int credential)
{
    return (plumb_uuid_t){{0xc0, (uint8_t)(credential + 1)}};
}

const char *sim_channel(int credential)
{
    return credential == SIM_CREDENTIALS - 1 ? "plain" : "keyed";
}

static bool resends(int credential)
{
    return credential != SIM_CREDENTIALS - 1;
}

static int credential_of(const plumb_uuid_t *id)
{
    return id->b[1] - 1;
}

/* ---- ingest's ---- */

bool db_insert(size_t delivery, uint64_t epoch)
{
    sim_row_t *row = &now_is.rows[delivery];
    if (sim.now_ms < sim.db_away_ms)
        return false;
    if (row->in) /* the client came again after an answer that did not reach it */
        return true;
    *row = (sim_row_t){.in = true,
                       .row = {.state = epoch != 0 ? STATE_QUEUED : STATE_PENDING,
                               .attempt = epoch != 0,
                               .due_ms = db_ms(),
                               .deadline_ms = db_ms() + DEADLINE_MS},
                       .epoch = epoch,
                       .queued_us = epoch != 0 ? db_us() : 0,
                       .created_ms = db_ms()};
    return true;
}

bool db_is_in(size_t delivery)
{
    return now_is.rows[delivery].in;
}

/* Held is for a person, who is not part of this. */
bool db_is_settled(size_t delivery)
{
    const sim_row_t *row = &now_is.rows[delivery];
    return row->in && (!delivery_is_live(row->row.state) || row->row.state == STATE_HELD);
}

bool db_is_delivered(size_t delivery)
{
    return now_is.rows[delivery].row.state == STATE_DELIVERED;
}

bool db_took_success(size_t delivery)
{
    return db_is_delivered(delivery) || now_is.rows[delivery].row.late_success;
}

uint32_t db_attempt(size_t delivery)
{
    return now_is.rows[delivery].row.attempt;
}

const char *db_describe(size_t delivery, char *out, size_t size)
{
    const sim_row_t *row = &now_is.rows[delivery];
    const char *reason = delivery_reason_name(row->row.reason);
    snprintf(out, size, "%s%s%s attempt %" PRIu32 " epoch %" PRIu64 "%s",
             row->in ? delivery_state_name(row->row.state) : "not in", reason != NULL ? " " : "",
             reason != NULL ? reason : "", row->row.attempt, row->epoch,
             row->row.late_success ? " late success" : "");
    return out;
}

/* ---- results ---- */

static bool is_success(const plumb_result_t *r)
{
    return r->outcome == PLUMB_OUT_ok || r->outcome == PLUMB_OUT_duplicate;
}

static void log_attempt(sim_row_t *row, const plumb_result_t *r)
{
    if (r->ticket.attempt < ATTEMPTS)
        row->known[r->ticket.attempt] |= (uint16_t)(1U << r->outcome);
}

int store_record_successes(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                           plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    PGresult *moved = result_new(3);
    for (size_t i = 0; i < count; i++) {
        sim_row_t *row = queued_row(&list[i].result->ticket);
        if (row == NULL)
            continue;
        credential_row_t *c =
            &now_is.credentials[sim_delivery(&list[i].result->ticket.delivery)->credential];
        row->row.state = STATE_DELIVERED;
        row->row.reason = REASON_NONE;
        c->succeeded_ms = db_ms();
        c->refused = c->failures = 0;
        log_attempt(row, list[i].result);
        result_row(moved);
        result_int(moved, RECORDED_N, (int64_t)i + 1);
        result_text(moved, RECORDED_CHANNEL, "keyed");
    }
    int rc = store_commit(s, err);
    if (rc < 0)
        sim_clear(moved);
    else
        *r = moved;
    return rc;
}

static void lock_row(PGresult *r, const attempt_write_t *w, size_t n)
{
    const plumb_result_t *result = w->result;
    const sim_row_t *row = row_of(&result->ticket.delivery);
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
               attempt < ATTEMPTS && (row->known[attempt] >> result->outcome & 1) != 0);
    result_int(r, LOCKED_RESENDS, resends(credential));
}

int store_lock_deliveries(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                          plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    *r = result_new(LOCKED_SCHEDULE + 1);
    for (size_t i = 0; i < count; i++)
        lock_row(*r, &list[i], i);
    return 0;
}

int store_write_attempts(store_t *s, const attempt_write_t *list, size_t count, plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    for (size_t i = 0; i < count; i++) {
        sim_row_t *row = row_of(&list[i].result->ticket.delivery);
        log_attempt(row, list[i].result);
        if (list[i].lost && list[i].counted)
            lost[lost_count++] = list[i].result->ticket;
    }
    return 0;
}

int store_write_deliveries(store_t *s, const delivery_write_t *list, size_t count, plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    for (size_t i = 0; i < count; i++) {
        const delivery_write_t *w = &list[i];
        delivery_row_t *row = &row_of(&w->id)->row;
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
        sim_trace("tracker: %zu is %s, attempt %" PRIu32, index_of(&w->id),
                  delivery_state_name(row->state), row->attempt);
    }
    return 0;
}

int store_lock_credentials(store_t *s, credential_write_t *list, bool *found, size_t count,
                           plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    for (size_t i = 0; i < count; i++) {
        list[i].row = now_is.credentials[credential_of(&list[i].id)];
        found[i] = true;
    }
    return 0;
}

int store_write_credentials(store_t *s, const credential_write_t *list, size_t count,
                            plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    for (size_t i = 0; i < count; i++)
        now_is.credentials[credential_of(&list[i].id)] = list[i].row;
    return 0;
}

int store_write_events(store_t *s, const event_write_t *list, size_t count, plumb_err_t *err)
{
    (void)list, (void)count;
    BEGIN_OR_RETURN(s, err);
    return 0;
}

/* ---- pending rows ---- */

static bool waits(size_t i, int credential)
{
    const sim_row_t *row = &now_is.rows[i];
    return row->in && row->row.state == STATE_PENDING && sim.deliveries[i].credential == credential;
}

/* The place of the lane's pending row that is due first behind `after`; SIM_DELIVERIES: none. */
static size_t first_due(int credential, const bool *passed)
{
    size_t best = SIM_DELIVERIES;
    for (size_t i = 0; i < sim.delivery_count; i++)
        if (waits(i, credential) && !(passed != NULL && passed[i]) &&
            (best == SIM_DELIVERIES || now_is.rows[i].row.due_ms < now_is.rows[best].row.due_ms))
            best = i;
    return best;
}

int store_lanes(store_t *s, const plumb_uuid_t *after, int limit, PGresult **r, plumb_err_t *err)
{
    (void)s, (void)limit;
    int rc = away(err);
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
        result_int(*r, LANE_DUE_IN_MS, now_is.rows[first].row.due_ms - db_ms());
        result_text(*r, LANE_CHANNEL, sim_channel(c));
        result_int(*r, LANE_EXISTS, true);
        result_int(*r, LANE_ENABLED, now_is.credentials[c].enabled);
        result_int(*r, LANE_SUSPENDED, now_is.credentials[c].suspended);
        result_int(*r, LANE_VERSION, 1);
    }
    return 0;
}

static void job_row(PGresult *r, size_t i)
{
    const sim_row_t *row = &now_is.rows[i];
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
    BEGIN_OR_RETURN(s, err);
    *r = result_new(JOB_LEAD_FIRST);
    for (size_t c = 0; c < count; c++) {
        bool passed[SIM_DELIVERIES] = {0};
        for (int n = 0; n < share; n++) {
            size_t i = first_due(credential_of(&credentials[c]), passed);
            if (i == SIM_DELIVERIES || now_is.rows[i].row.due_ms > db_ms())
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
    BEGIN_OR_RETURN(s, err);
    *r = result_new(JOB_LEAD_FIRST);
    for (size_t i = 0; i < count; i++)
        if (queued_row(&keys[i].ticket) != NULL)
            job_row(*r, index_of(&keys[i].ticket.delivery));
    return 0;
}

int store_hand_over(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch,
                    size_t *moved, plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    *moved = 0;
    for (size_t i = 0; is_alive(epoch) && i < count; i++) {
        sim_row_t *row = row_of(&keys[i].ticket.delivery);
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
        sim_trace("tracker: %zu handed over, attempt %" PRIu32, index_of(&keys[i].ticket.delivery),
                  row->row.attempt);
    }
    return 0;
}

int store_hold_lane(store_t *s, const plumb_uuid_t *credential, const char *reason, int limit,
                    size_t *moved, plumb_err_t *err)
{
    (void)reason, (void)limit;
    BEGIN_OR_RETURN(s, err);
    *moved = 0;
    for (size_t i = 0; i < sim.delivery_count; i++) {
        if (!waits(i, credential_of(credential)))
            continue;
        now_is.rows[i].row.state = STATE_HELD;
        now_is.rows[i].row.reason = REASON_SUSPENDED;
        ++*moved;
    }
    return in_transaction ? store_commit(s, err) : 0;
}

int store_expire(store_t *s, pending_cursor_t *cursor, int limit, size_t *expired, bool *end,
                 plumb_err_t *err)
{
    (void)s, (void)cursor, (void)limit;
    *expired = 0; /* a week is longer than any run */
    *end = true;
    return away(err);
}

/* ---- epochs ---- */

int store_epochs_alive(store_t *s, PGresult **r, plumb_err_t *err)
{
    (void)s;
    int rc = away(err);
    if (rc < 0)
        return rc;
    *r = result_new(2);
    for (size_t i = 0; i < now_is.epoch_count; i++) {
        if (now_is.epochs[i].dead)
            continue;
        result_row(*r);
        result_int(*r, EPOCH_ID, (int64_t)now_is.epochs[i].id);
        result_text(*r, EPOCH_BROKER, now_is.epochs[i].broker);
    }
    return 0;
}

static sim_epoch_t *enter_epoch(uint64_t id, const char *broker)
{
    sim_epoch_t *epoch = epoch_of(id);
    if (epoch != NULL)
        return epoch;
    if (now_is.epoch_count == EPOCHS)
        abort();
    epoch = &now_is.epochs[now_is.epoch_count++];
    *epoch = (sim_epoch_t){.id = id, .seen_ms = db_ms()};
    snprintf(epoch->broker, sizeof epoch->broker, "%s", broker);
    return epoch;
}

int store_epoch_seen(store_t *s, uint64_t epoch, const char *broker, bool *alive, plumb_err_t *err)
{
    (void)s;
    int rc = away(err);
    if (rc < 0)
        return rc;
    sim_epoch_t *entry = enter_epoch(epoch, broker);
    *alive = !entry->dead;
    if (*alive)
        entry->seen_ms = db_ms();
    return 0;
}

int store_epoch_dead(store_t *s, uint64_t epoch, const char *broker, int64_t dead_ms, bool *dead,
                     plumb_err_t *err)
{
    (void)s;
    int rc = away(err);
    if (rc < 0)
        return rc;
    bool fresh = epoch_of(epoch) == NULL;
    sim_epoch_t *entry = enter_epoch(epoch, broker);
    if (fresh || dead_ms == 0 || entry->seen_ms < db_ms() - dead_ms)
        entry->dead = true;
    *dead = entry->dead;
    return 0;
}

int store_epoch_stands(store_t *s, uint64_t epoch, bool *stands, plumb_err_t *err)
{
    (void)s;
    int rc = away(err);
    if (rc < 0)
        return rc;
    *stands = is_alive(epoch);
    if (*stands)
        epoch_of(epoch)->seen_ms = db_ms();
    return 0;
}

/* ---- walks over queued rows ---- */

static bool is_behind(const sim_row_t *row, size_t i, const queued_cursor_t *cursor)
{
    return row->queued_us > cursor->queued_us ||
           (row->queued_us == cursor->queued_us &&
            plumb_uuid_compare(&sim.deliveries[i].id, &cursor->id) > 0);
}

typedef bool (*wanted_fn)(const sim_row_t *row, const void *arg);

/* All fit in one page, oldest first. */
static int walk(queued_cursor_t *cursor, wanted_fn wanted, const void *arg, bool *end, PGresult **r,
                plumb_err_t *err)
{
    int rc = away(err);
    if (rc < 0)
        return rc;
    *r = result_new(QUEUED_US + 1);
    for (;;) {
        size_t next = SIM_DELIVERIES;
        for (size_t i = 0; i < sim.delivery_count; i++) {
            const sim_row_t *row = &now_is.rows[i];
            if (row->in && row->row.state == STATE_QUEUED && is_behind(row, i, cursor) &&
                wanted(row, arg) &&
                (next == SIM_DELIVERIES || row->queued_us < now_is.rows[next].queued_us))
                next = i;
        }
        if (next == SIM_DELIVERIES)
            break;
        const sim_row_t *row = &now_is.rows[next];
        *cursor = (queued_cursor_t){row->queued_us, sim.deliveries[next].id};
        result_row(*r);
        result_uuid(*r, QUEUED_ACCOUNT, SIM_ACCOUNT);
        result_uuid(*r, QUEUED_ID, sim.deliveries[next].id);
        result_int(*r, QUEUED_ATTEMPT, row->row.attempt);
        result_int(*r, QUEUED_EPOCH, (int64_t)row->epoch);
        result_int(*r, QUEUED_US, row->queued_us);
    }
    *end = true;
    return 0;
}

int store_queued_start(store_t *s, queued_cursor_t *cursor, int64_t younger_ms, plumb_err_t *err)
{
    (void)s;
    *cursor = (queued_cursor_t){.queued_us = 1000 * (db_ms() - younger_ms)};
    return away(err);
}

static bool is_older(const sim_row_t *row, const void *arg)
{
    return row->queued_us <= 1000 * (db_ms() - *(const int64_t *)arg);
}

int store_queued(store_t *s, queued_cursor_t *cursor, int64_t older_ms, int limit, bool *end,
                 PGresult **r, plumb_err_t *err)
{
    (void)s, (void)limit;
    return walk(cursor, is_older, &older_ms, end, r, err);
}

typedef struct standing {
    const uint64_t *epochs;
    size_t count;
    int64_t unknown_ms;
} standing_t;

static bool is_orphan(const sim_row_t *row, const void *arg)
{
    const standing_t *standing = arg;
    for (size_t i = 0; i < standing->count; i++)
        if (standing->epochs[i] == row->epoch)
            return false;
    const sim_epoch_t *epoch = epoch_of(row->epoch);
    return epoch != NULL ? epoch->dead : is_older(row, &standing->unknown_ms);
}

int store_orphans(store_t *s, queued_cursor_t *cursor, const uint64_t *standing, size_t count,
                  int64_t unknown_ms, int limit, bool *end, PGresult **r, plumb_err_t *err)
{
    (void)s, (void)limit;
    const standing_t arg = {standing, count, unknown_ms};
    return walk(cursor, is_orphan, &arg, end, r, err);
}

/* ---- taking back ---- */

static int take_back(store_t *s, const delivery_key_t *keys, size_t count, bool orphans,
                     size_t *moved, plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    *moved = 0;
    for (size_t i = 0; i < count; i++) {
        sim_row_t *row = queued_row(&keys[i].ticket);
        if (row == NULL || (orphans && is_alive(row->epoch)))
            continue;
        row->row.state = STATE_PENDING;
        row->row.due_ms = db_ms();
        ++*moved;
        if (orphans)
            sim_orphaned(&keys[i].ticket);
        sim_trace("tracker: %zu taken back%s", index_of(&keys[i].ticket.delivery),
                  orphans ? ", an orphan" : "");
    }
    return store_commit(s, err);
}

int store_requeue_orphans(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                          plumb_err_t *err)
{
    return take_back(s, keys, count, true, moved, err);
}

int store_requeue_given_up(store_t *s, const delivery_key_t *keys, size_t count, size_t *moved,
                           plumb_err_t *err)
{
    return take_back(s, keys, count, false, moved, err);
}

int store_adopt(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch, PGresult **r,
                plumb_err_t *err)
{
    BEGIN_OR_RETURN(s, err);
    PGresult *adopted = result_new(2);
    for (size_t i = 0; is_alive(epoch) && i < count; i++) {
        sim_row_t *row = queued_row(&keys[i].ticket);
        if (row == NULL || is_alive(row->epoch))
            continue;
        row->epoch = epoch;
        result_row(adopted);
        result_uuid(adopted, ADOPTED_ID, keys[i].ticket.delivery);
        result_int(adopted, ADOPTED_ATTEMPT, keys[i].ticket.attempt);
        sim_trace("tracker: %zu adopted", index_of(&keys[i].ticket.delivery));
    }
    int rc = store_commit(s, err);
    if (rc < 0)
        sim_clear(adopted);
    else
        *r = adopted;
    return rc;
}

/* ---- the rest ---- */

int store_channel(store_t *s, const channel_write_t *channel, plumb_err_t *err)
{
    (void)s, (void)channel;
    return away(err);
}

int store_try_lock(store_t *s, store_lock_t lock, bool *got, plumb_err_t *err)
{
    (void)s, (void)lock;
    *got = true;
    return away(err);
}

int store_unlock(store_t *s, store_lock_t lock, plumb_err_t *err)
{
    (void)s, (void)lock;
    return away(err);
}

/* ---- jobs ---- */

int jobs_init(jobs_t *j, const plumb_keyring_t *keyring, plumb_err_t *err)
{
    (void)j, (void)keyring, (void)err;
    return 0;
}

void jobs_fini(jobs_t *j)
{
    (void)j;
}

int jobs_credential(jobs_t *j, store_t *s, const plumb_uuid_t *account, const plumb_uuid_t *id,
                    int32_t version, int64_t now_ms, const plumb_credential_t **found,
                    plumb_err_t *err)
{
    static plumb_credential_t credential;
    (void)j, (void)s, (void)account, (void)version, (void)now_ms;
    const credential_row_t *row = &now_is.credentials[credential_of(id)];
    credential = (plumb_credential_t){.enabled = row->enabled, .suspended = row->suspended};
    *found = &credential;
    return away(err);
}

bool jobs_is_erased(const PGresult *r, int row)
{
    (void)r, (void)row;
    return false;
}

bool jobs_is_rows_fault(int rc)
{
    (void)rc;
    return false;
}

int jobs_encode(jobs_t *j, store_t *s, const PGresult *r, int row, uint32_t attempt, uint64_t epoch,
                const plumb_credential_t *credential, plumb_buf_t *frame, plumb_err_t *err)
{
    (void)j, (void)s, (void)credential, (void)err;
    plumb_uuid_t id = sim_get_uuid(r, row, JOB_DELIVERY);
    return sim_job(frame, index_of(&id), attempt, epoch, (uint32_t)sim_get_int4(r, row, JOB_TRIES),
                   (uint32_t)sim_get_int4(r, row, JOB_CRASHES));
}

int sim_job(plumb_buf_t *frame, size_t delivery, uint32_t attempt, uint64_t epoch, uint32_t tries,
            uint32_t crashes)
{
    static const plumb_slice_t empty_map = {"\x80", 1};
    const delivery_t *d = &sim.deliveries[delivery];
    const char *channel = sim_channel(d->credential);
    char queue[32];
    plumb_err_t err = {0};
    snprintf(queue, sizeof queue, "integration-%s", channel);
    plumb_job_t job = {.ticket = {d->id, attempt},
                       .account = SIM_ACCOUNT,
                       .lead = d->id,
                       .credential = sim_credential(d->credential),
                       .epoch = epoch,
                       .priority = PLUMB_NORMAL,
                       .queue = {queue, strlen(queue)},
                       .channel = {channel, strlen(channel)},
                       .verb = {"send", 4},
                       .tries = tries,
                       .crashes = crashes,
                       .credential_version = 1,
                       .body = empty_map,
                       .secrets = empty_map};
    return plumb_job_encode(frame, &job, &err);
}
