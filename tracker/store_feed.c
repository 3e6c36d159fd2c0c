/* SQL of pending rows: lanes, what is due in them, handing over. */
#include "lead.h"
#include "store_bind.h"

#include <stdio.h>
#include <string.h>

/* ---- lanes ---- */

/* A skip scan: one probe of the index for each lane, however many rows it has. */
static const plumb_stmt_t lanes = {
    .name = "tracker_lanes",
    .params = 2,
    .sql = "WITH RECURSIVE lane AS ("
           "(SELECT account_id, credential_id, due_at FROM deliveries WHERE state = 'pending' "
           "AND credential_id > $1 ORDER BY credential_id, due_at LIMIT 1) "
           "UNION ALL SELECT n.* FROM lane l CROSS JOIN LATERAL (SELECT account_id, credential_id, "
           "due_at FROM deliveries WHERE state = 'pending' AND credential_id > l.credential_id "
           "ORDER BY credential_id, due_at LIMIT 1) n) "
           "SELECT l.account_id, l.credential_id, "
           "ceil(extract(epoch FROM l.due_at - now()) * 1000)::bigint, c.channel, "
           "c.id IS NOT NULL, coalesce(c.enabled, false), c.suspended_at IS NOT NULL, "
           "coalesce(c.version, 0) FROM (SELECT * FROM lane LIMIT $2) l "
           "LEFT JOIN credentials c ON c.account_id = l.account_id AND c.id = l.credential_id"};

int store_lanes(store_t *s, const plumb_uuid_t *after, int limit, PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, after);
    plumb_param_int8(s->p, limit);
    return store_run(s, &lanes, r, err);
}

/* ---- rows of jobs ---- */

#define JOB_LIST                                                                                   \
    "d.account_id, d.id, d.lead_id, d.credential_id, d.channel, d.verb, d.priority::int, "         \
    "d.state, d.attempt, d.tries, d.crashes::int, d.deadline_at, now(), coalesce(d.epoch, 0), "    \
    "d.external_id, d.checkpoint::text, l.id IS NOT NULL, l.traceparent, "

/* An update waits for the send of the same lead and credential. */
static const char pick_tail[] =
    " FROM unnest($1::uuid[]) AS c(id) CROSS JOIN LATERAL (SELECT x.* FROM deliveries x "
    "WHERE x.state = 'pending' AND x.credential_id = c.id AND x.due_at <= now() "
    "AND (x.verb = 'send' OR NOT EXISTS (SELECT FROM deliveries o WHERE o.account_id = "
    "x.account_id AND o.id BETWEEN plumb_id_low(x.lead_id) AND plumb_id_high(x.lead_id) "
    "AND o.lead_id = x.lead_id AND o.credential_id = x.credential_id AND o.verb = 'send' "
    "AND o.state IN ('pending', 'queued', 'held', 'ambiguous'))) "
    "ORDER BY x.due_at LIMIT $2 FOR UPDATE SKIP LOCKED) d "
    "LEFT JOIN leads l ON l.account_id = d.account_id AND l.id = d.lead_id";

static const char rebuild_tail[] =
    " FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS k(account, id, attempt) "
    "JOIN deliveries d ON d.account_id = k.account AND d.id = k.id AND d.attempt = k.attempt "
    "AND d.state IS NOT DISTINCT FROM 'queued' "
    "LEFT JOIN leads l ON l.account_id = d.account_id AND l.id = d.lead_id "
    "FOR UPDATE OF d SKIP LOCKED";

static const char credential_tail[] = " FROM credentials c LEFT JOIN channels h "
                                      "ON h.code = c.channel WHERE c.account_id = $1 AND c.id = $2";

static char *job_sql(const char *tail)
{
    plumb_buf_t sql = {0};
    plumb_buf_text(&sql, "SELECT " JOB_LIST);
    plumb_lead_select_list(&sql, "l");
    plumb_buf_text(&sql, tail);
    if (sql.failed)
        plumb_buf_fini(&sql);
    return sql.data;
}

static char *credential_sql(void)
{
    plumb_buf_t sql = {0};
    plumb_buf_printf(&sql, "SELECT %s%s", plumb_credential_select_list, credential_tail);
    if (sql.failed)
        plumb_buf_fini(&sql);
    return sql.data;
}

int store_feed_init(store_t *s, plumb_err_t *err)
{
    s->pick_sql = job_sql(pick_tail);
    s->rebuild_sql = job_sql(rebuild_tail);
    s->credential_sql = credential_sql();
    if (s->pick_sql == NULL || s->rebuild_sql == NULL || s->credential_sql == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "statements");
    s->pick = (plumb_stmt_t){.name = "tracker_pick", .sql = s->pick_sql, .params = 2};
    s->rebuild = (plumb_stmt_t){.name = "tracker_rebuild", .sql = s->rebuild_sql, .params = 3};
    s->credential =
        (plumb_stmt_t){.name = "tracker_credential", .sql = s->credential_sql, .params = 2};
    return 0;
}

int store_pick(store_t *s, const plumb_uuid_t *credentials, size_t count, int share, PGresult **r,
               plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_array_begin(s->p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(s->p, &credentials[i]);
    plumb_array_end(s->p);
    plumb_param_int8(s->p, share);
    return store_run(s, &s->pick, r, err);
}

int store_rebuild(store_t *s, const delivery_key_t *keys, size_t count, PGresult **r,
                  plumb_err_t *err)
{
    plumb_params_clear(s->p);
    bind_keys(s->p, keys, count);
    return store_run(s, &s->rebuild, r, err);
}

/* `attempt` of a key is the one before the hand-over. */
static const plumb_stmt_t hand_over = {
    .name = "tracker_hand_over",
    .params = 4,
    .sql =
        "UPDATE deliveries d SET state = 'queued', attempt = d.attempt + 1, epoch = $4, "
        "queued_at = now(), reason = NULL "
        "FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS k(account, id, attempt) "
        "WHERE d.account_id = k.account AND d.id = k.id AND d.state IS NOT DISTINCT FROM 'pending' "
        "AND d.attempt = k.attempt "
        "AND EXISTS (SELECT FROM epochs e WHERE e.epoch = $4 AND e.dead_at IS NULL)"};

int store_hand_over(store_t *s, const delivery_key_t *keys, size_t count, uint64_t epoch,
                    size_t *moved, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    bind_keys(s->p, keys, count);
    plumb_param_int8(s->p, (int64_t)epoch);
    return store_count(s, &hand_over, moved, err);
}

/* ---- credentials ---- */

int store_credential(store_t *s, const plumb_uuid_t *account, const plumb_uuid_t *id, PGresult **r,
                     plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, account);
    plumb_param_uuid(s->p, id);
    return store_run(s, &s->credential, r, err);
}

/* ---- holding and expiring ---- */

static const plumb_stmt_t hold_lane = {
    .name = "tracker_hold_lane",
    .params = 3,
    .sql = "UPDATE deliveries d SET state = 'held', reason = $2 FROM (SELECT account_id, id "
           "FROM deliveries WHERE state = 'pending' AND credential_id = $1 "
           "ORDER BY credential_id, due_at LIMIT $3 FOR UPDATE SKIP LOCKED) k "
           "WHERE d.account_id = k.account_id AND d.id = k.id AND d.state IS NOT DISTINCT FROM "
           "'pending'"};

int store_hold_lane(store_t *s, const plumb_uuid_t *credential, const char *reason, int limit,
                    size_t *moved, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, credential);
    plumb_param_text(s->p, reason);
    plumb_param_int8(s->p, limit);
    return store_count(s, &hold_lane, moved, err);
}

/* There is no index by deadline: a walk reads all pending rows, a page at a time, and passes over
 * those it may not touch. */
static const plumb_stmt_t expire = {
    .name = "tracker_expire",
    .params = 4,
    .sql =
        "WITH page AS MATERIALIZED (SELECT account_id, id, credential_id, due_at, "
        "deadline_at < now() AS late FROM deliveries WHERE state = 'pending' "
        "AND (credential_id, due_at) >= ($1, 'epoch'::timestamptz + $2 * interval '1 microsecond') "
        "AND (credential_id, due_at, id) > "
        "($1, 'epoch'::timestamptz + $2 * interval '1 microsecond', $3) "
        "ORDER BY credential_id, due_at, id LIMIT $4), "
        "locked AS MATERIALIZED (SELECT d.account_id, d.id FROM page p JOIN deliveries d "
        "ON d.account_id = p.account_id AND d.id = p.id WHERE p.late AND d.state IS NOT DISTINCT "
        "FROM 'pending' "
        "FOR UPDATE OF d SKIP LOCKED), "
        "failed AS (UPDATE deliveries d SET state = 'failed', reason = 'deadline', "
        "settled_at = now() FROM locked k WHERE d.account_id = k.account_id AND d.id = k.id "
        "RETURNING d.account_id, d.id, d.lead_id, d.credential_id), "
        "told AS (INSERT INTO events (account_id, id, kind, lead_id, delivery_id, credential_id, "
        "data) SELECT account_id, (left(plumb_id_floor(now())::text, 19) || "
        "right(gen_random_uuid()::text, 17))::uuid, 'delivery.failed', lead_id, id, credential_id, "
        "'{\"reason\": \"deadline\"}' FROM failed) "
        "SELECT credential_id, (extract(epoch FROM due_at) * 1000000)::bigint, id, "
        "(SELECT count(*) FROM failed), (SELECT count(*) FROM page) "
        "FROM page ORDER BY credential_id DESC, due_at DESC, id DESC LIMIT 1"};

int store_expire(store_t *s, pending_cursor_t *cursor, int limit, size_t *expired, bool *end,
                 plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, &cursor->credential);
    plumb_param_int8(s->p, cursor->due_us);
    plumb_param_uuid(s->p, &cursor->id);
    plumb_param_int8(s->p, limit);
    int rc = store_run(s, &expire, &r, err);
    *expired = 0;
    *end = true;
    if (rc == 0 && PQntuples(r) == 1) {
        cursor->credential = plumb_get_uuid(r, 0, 0);
        cursor->due_us = plumb_get_int8(r, 0, 1);
        cursor->id = plumb_get_uuid(r, 0, 2);
        *expired = (size_t)plumb_get_int8(r, 0, 3);
        *end = plumb_get_int8(r, 0, 4) < limit;
    }
    if (rc == 0 && *end)
        memset(cursor, 0, sizeof *cursor);
    PQclear(r);
    return rc;
}
