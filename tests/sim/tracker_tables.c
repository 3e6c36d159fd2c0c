/* The tables, transactions on them, and what ingest and the checks at the end do with them. */
#include "tracker_tables.h"

#include <inttypes.h>
#include <stdio.h>

#define DEADLINE_MS (INT64_C(7) * 24 * 3600 * 1000)

tables_t db;

static tables_t before; /* BEGIN */
static bool in_transaction;
static plumb_ticket_t lost[SIM_DELIVERIES]; /* in this transaction */
static size_t lost_count;

/* ---- time, connection, transactions ---- */

int64_t db_ms(void)
{
    return INT64_C(1700000000000) + sim.now_ms;
}

int64_t db_us(void)
{
    int64_t us = 1000 * db_ms();
    db.last_us = us > db.last_us ? us : db.last_us + 1;
    return db.last_us;
}

void db_reset(void)
{
    db = (tables_t){0};
    in_transaction = false;
    for (size_t i = 0; i < SIM_CREDENTIALS; i++)
        db.credentials[i] = (credential_row_t){.created_ms = db_ms(), .enabled = true};
}

int db_away(plumb_err_t *err)
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
    return db_away(err);
}

int store_begin(store_t *s, plumb_err_t *err)
{
    int rc = store_ready(s, err);
    if (rc < 0)
        return rc;
    before = db;
    in_transaction = true;
    lost_count = 0;
    return 0;
}

void store_rollback(store_t *s)
{
    (void)s;
    if (in_transaction)
        db = before;
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

int db_join(store_t *s, plumb_err_t *err)
{
    return in_transaction ? db_away(err) : store_begin(s, err);
}

void db_lost(const plumb_ticket_t *ticket)
{
    lost[lost_count++] = *ticket;
}

/* ---- rows ---- */

size_t db_index(const plumb_uuid_t *id)
{
    const delivery_t *d = sim_delivery(id);
    return d == NULL ? SIM_DELIVERIES : (size_t)(d - sim.deliveries);
}

sim_row_t *db_row(const plumb_uuid_t *id)
{
    size_t i = db_index(id);
    return i < SIM_DELIVERIES && db.rows[i].in ? &db.rows[i] : NULL;
}

sim_row_t *db_queued_row(const plumb_ticket_t *ticket)
{
    sim_row_t *row = db_row(&ticket->delivery);
    bool is = row != NULL && row->row.state == STATE_QUEUED && row->row.attempt == ticket->attempt;
    return is ? row : NULL;
}

sim_epoch_t *db_epoch(uint64_t id)
{
    for (size_t i = 0; i < db.epoch_count; i++)
        if (db.epochs[i].id == id)
            return &db.epochs[i];
    return NULL;
}

bool db_epoch_is_alive(uint64_t id)
{
    const sim_epoch_t *epoch = db_epoch(id);
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

bool db_resends(int credential)
{
    return credential != SIM_CREDENTIALS - 1;
}

int db_credential(const plumb_uuid_t *id)
{
    return id->b[1] - 1;
}

/* ---- ingest's ---- */

bool db_insert(size_t delivery, uint64_t epoch)
{
    sim_row_t *row = &db.rows[delivery];
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
    return db.rows[delivery].in;
}

/* Held is for a person, who is not part of this. */
bool db_is_settled(size_t delivery)
{
    const sim_row_t *row = &db.rows[delivery];
    return row->in && (!delivery_is_live(row->row.state) || row->row.state == STATE_HELD);
}

bool db_is_delivered(size_t delivery)
{
    return db.rows[delivery].row.state == STATE_DELIVERED;
}

bool db_took_success(size_t delivery)
{
    return db_is_delivered(delivery) || db.rows[delivery].row.late_success;
}

uint32_t db_attempt(size_t delivery)
{
    return db.rows[delivery].row.attempt;
}

const char *db_describe(size_t delivery, char *out, size_t size)
{
    const sim_row_t *row = &db.rows[delivery];
    const char *reason = delivery_reason_name(row->row.reason);
    snprintf(out, size, "%s%s%s attempt %" PRIu32 " epoch %" PRIu64 "%s",
             row->in ? delivery_state_name(row->row.state) : "not in", reason != NULL ? " " : "",
             reason != NULL ? reason : "", row->row.attempt, row->epoch,
             row->row.late_success ? " late success" : "");
    return out;
}

/* ---- the rest ---- */

int store_channel(store_t *s, const channel_write_t *channel, plumb_err_t *err)
{
    (void)s, (void)channel;
    return db_away(err);
}

int store_try_lock(store_t *s, store_lock_t lock, bool *got, plumb_err_t *err)
{
    (void)s, (void)lock;
    *got = true;
    return db_away(err);
}

int store_unlock(store_t *s, store_lock_t lock, plumb_err_t *err)
{
    (void)s, (void)lock;
    return db_away(err);
}
