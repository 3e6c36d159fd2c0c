/* SQL of what is done now and then: channels, locks, partitions, retention, gauges. */
#include "store_bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- channels ---- */

/* Workers repeat themselves every 30 s: write only what is news, and a sign of life. */
static const plumb_stmt_t write_channel = {
    .name = "tracker_write_channel",
    .params = 6,
    .sql = "INSERT INTO channels AS h (code, title, version, fields, limits, present) "
           "VALUES ($1, $2, $3, $4::text::jsonb, $5::text::jsonb, $6) ON CONFLICT (code) DO UPDATE "
           "SET title = excluded.title, version = excluded.version, fields = excluded.fields, "
           "limits = excluded.limits, present = excluded.present, seen_at = now() "
           "WHERE (h.title, h.version, h.fields, h.limits, h.present) IS DISTINCT FROM "
           "(excluded.title, excluded.version, excluded.fields, excluded.limits, excluded.present) "
           "OR h.seen_at < now() - interval '1 minute'"};

int store_channel(store_t *s, const channel_write_t *channel, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_text(s->p, channel->code);
    plumb_param_text(s->p, channel->title);
    plumb_param_text(s->p, channel->version);
    plumb_param_text(s->p, channel->fields);
    plumb_param_text(s->p, channel->limits);
    plumb_param_bool(s->p, channel->present);
    return store_run(s, &write_channel, NULL, err);
}

/* ---- locks ---- */

static int lock_call(store_t *s, const plumb_stmt_t *stmt, store_lock_t lock, bool *got,
                     plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_int4(s->p, (int32_t)lock);
    int rc = store_run(s, stmt, &r, err);
    if (rc == 0)
        *got = plumb_get_bool(r, 0, 0);
    PQclear(r);
    return rc;
}

static const plumb_stmt_t try_lock = {.name = "tracker_try_lock",
                                      .params = 1,
                                      .sql =
                                          "SELECT pg_try_advisory_lock(" STORE_LOCK_CLASS ", $1)"};

int store_try_lock(store_t *s, store_lock_t lock, bool *got, plumb_err_t *err)
{
    return lock_call(s, &try_lock, lock, got, err);
}

static const plumb_stmt_t unlock = {.name = "tracker_unlock",
                                    .params = 1,
                                    .sql = "SELECT pg_advisory_unlock(" STORE_LOCK_CLASS ", $1)"};

int store_unlock(store_t *s, store_lock_t lock, plumb_err_t *err)
{
    bool held;
    return lock_call(s, &unlock, lock, &held, err);
}

/* ---- partitions ---- */

static const plumb_stmt_t make_partitions = {
    .name = "tracker_make_partitions",
    .params = 0,
    .sql = "SELECT plumb_make_partitions(now(), now() + interval '2 months')"};

int store_make_partitions(store_t *s, plumb_err_t *err)
{
    return store_run(s, &make_partitions, NULL, err);
}

/* A month's partition is named after it; the default one never goes. */
static const plumb_stmt_t old_partition = {
    .name = "tracker_old_partition",
    .params = 2,
    .sql = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
           "WHERE i.inhparent = $1::regclass AND c.relname ~ '_[0-9]{4}_(0[1-9]|1[0-2])$' "
           "AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' "
           "< now() AT TIME ZONE 'UTC' - $2 * interval '1 millisecond' ORDER BY 1 LIMIT 1"};

int store_old_partition(store_t *s, const char *parent, int64_t life_ms, char *name, size_t size,
                        plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_text(s->p, parent);
    plumb_param_int8(s->p, life_ms);
    int rc = store_run(s, &old_partition, &r, err);
    *name = '\0';
    if (rc == 0 && PQntuples(r) > 0)
        snprintf(name, size, "%s", plumb_get_text(r, 0, 0));
    PQclear(r);
    return rc;
}

/* Identifiers cannot be parameters; this one was made by plumb_make_partitions and is checked. */
static bool is_partition(const char *name)
{
    size_t length = strlen(name);
    return length > 8 && length < 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

int store_drop_partition(store_t *s, const char *name, plumb_err_t *err)
{
    char sql[128];
    if (!is_partition(name))
        return plumb_err_set(err, PLUMB_E_DATABASE, "partition name '%s'", name);
    snprintf(sql, sizeof sql, "DROP TABLE %s", name);
    return plumb_db_script(s->db, sql, s->timeout_ms, err);
}

static const plumb_stmt_t month_is_live = {
    .name = "tracker_month_is_live",
    .params = 1,
    .sql = "SELECT EXISTS (SELECT FROM deliveries WHERE state IN ('pending', 'queued', 'held', "
           "'ambiguous') AND id >= plumb_id_floor(to_date($1, 'YYYY_MM')::timestamp AT TIME ZONE "
           "'UTC') AND id < plumb_id_floor((to_date($1, 'YYYY_MM') + interval '1 month') "
           "AT TIME ZONE 'UTC'))"};

int store_month_is_live(store_t *s, const char *partition, bool *live, plumb_err_t *err)
{
    PGresult *r = NULL;
    size_t length = strlen(partition);
    plumb_params_clear(s->p);
    plumb_param_text(s->p, partition + (length > 7 ? length - 7 : 0));
    int rc = store_run(s, &month_is_live, &r, err);
    *live = rc < 0 || plumb_get_bool(r, 0, 0);
    PQclear(r);
    return rc;
}

/* ---- retention ---- */

static const plumb_stmt_t prune_idempotency = {
    .name = "tracker_prune_idempotency",
    .params = 2,
    .sql = "DELETE FROM idempotency WHERE ctid = ANY (ARRAY(SELECT ctid FROM idempotency "
           "WHERE created_at < now() - $1 * interval '1 millisecond' LIMIT $2 "
           "FOR UPDATE SKIP LOCKED))"};

int store_prune_idempotency(store_t *s, int64_t life_ms, int limit, bool *more, plumb_err_t *err)
{
    size_t rows = 0;
    plumb_params_clear(s->p);
    plumb_param_int8(s->p, life_ms);
    plumb_param_int8(s->p, limit);
    int rc = store_count(s, &prune_idempotency, &rows, err);
    *more = rc == 0 && rows >= (size_t)limit;
    return rc;
}

/* A row queued under an epoch that the table does not know is taken back all the same. */
static const plumb_stmt_t prune_epochs = {
    .name = "tracker_prune_epochs",
    .params = 0,
    .sql = "DELETE FROM epochs WHERE dead_at < now() - interval '7 days'"};

int store_prune_epochs(store_t *s, plumb_err_t *err)
{
    return store_run(s, &prune_epochs, NULL, err);
}

static const plumb_stmt_t erase_deleted = {
    .name = "tracker_erase_deleted",
    .params = 2,
    .sql = "SELECT count(*) FROM (SELECT account_id, array_agg(id) AS ids FROM (SELECT account_id, "
           "id FROM leads WHERE deleted_at < now() - $1 * interval '1 millisecond' "
           "AND deleted_at IS NOT NULL AND erased_at IS NULL ORDER BY deleted_at LIMIT $2) o "
           "GROUP BY account_id) p CROSS JOIN LATERAL plumb_erase_leads(p.account_id, p.ids, "
           "'plumb')"};

int store_erase_deleted(store_t *s, int64_t life_ms, int limit, int64_t *erased, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_int8(s->p, life_ms);
    plumb_param_int8(s->p, limit);
    int rc = store_run(s, &erase_deleted, &r, err);
    *erased = rc == 0 ? plumb_get_int8(r, 0, 0) : 0;
    PQclear(r);
    return rc;
}

/* A walk by key over the attempts of deliveries old enough. */
static const plumb_stmt_t prune_exchanges = {
    .name = "tracker_prune_exchanges",
    .params = 6,
    .sql =
        "WITH page AS MATERIALIZED (SELECT account_id, delivery_id, attempt, outcome, "
        "exchange IS NOT NULL AND recorded_at < now() - $5 * interval '1 millisecond' AS old "
        "FROM attempts WHERE (account_id, delivery_id, attempt, outcome) > ($1, $2, $3, $4) "
        "AND delivery_id < plumb_id_floor(now() - $5 * interval '1 millisecond') "
        "ORDER BY account_id, delivery_id, attempt, outcome LIMIT $6), "
        "emptied AS (UPDATE attempts a SET exchange = NULL FROM page p WHERE p.old "
        "AND a.account_id = p.account_id AND a.delivery_id = p.delivery_id "
        "AND a.attempt = p.attempt AND a.outcome = p.outcome) "
        "SELECT account_id, delivery_id, attempt, outcome, (SELECT count(*) FROM page) FROM page "
        "ORDER BY account_id DESC, delivery_id DESC, attempt DESC, outcome DESC LIMIT 1"};

int store_prune_exchanges(store_t *s, attempt_cursor_t *cursor, int64_t life_ms, int limit,
                          bool *end, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, &cursor->account);
    plumb_param_uuid(s->p, &cursor->delivery);
    plumb_param_int4(s->p, cursor->attempt);
    plumb_param_text(s->p, cursor->outcome);
    plumb_param_int8(s->p, life_ms);
    plumb_param_int8(s->p, limit);
    int rc = store_run(s, &prune_exchanges, &r, err);
    *end = true;
    if (rc == 0 && PQntuples(r) == 1) {
        *cursor = (attempt_cursor_t){plumb_get_uuid(r, 0, 0), plumb_get_uuid(r, 0, 1),
                                     plumb_get_int4(r, 0, 2), ""};
        snprintf(cursor->outcome, sizeof cursor->outcome, "%s", plumb_get_text(r, 0, 3));
        *end = plumb_get_int8(r, 0, 4) < limit;
    }
    if (rc == 0 && *end)
        memset(cursor, 0, sizeof *cursor);
    PQclear(r);
    return rc;
}

/* ---- gauges ---- */

/* Up to a bound, and 0 for a channel that has none any more. */
static const plumb_stmt_t dead_letters = {
    .name = "tracker_dead_letters",
    .params = 0,
    .sql = "SELECT channel, sum(n)::bigint FROM (SELECT code AS channel, 0 AS n FROM channels "
           "UNION ALL SELECT channel, 1 FROM (SELECT channel FROM deliveries "
           "WHERE state = 'failed' LIMIT 100000) f) q GROUP BY channel"};

int store_dead_letters(store_t *s, PGresult **r, plumb_err_t *err)
{
    return store_run(s, &dead_letters, r, err);
}
