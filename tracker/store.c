/* SQL of the session and of results: the hot path.
 *
 * Every statement names rows by their key, so that only their partition is looked at; the planner,
 * which cannot know how few keys an array holds, is kept from hashing whole tables.  Beside a key a
 * state is compared by IS NOT DISTINCT FROM: with = the planner would believe, whenever statistics
 * lag behind, that the partial index of that state is empty, and read all of it for each key. */
#include "store.h"

#include "count.h"
#include "store_bind.h"

#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 1500 /* below the time after which a loop counts as having stood still */

/* ---- session ---- */

static const char session_sql[] = "SET plan_cache_mode = force_generic_plan; SET jit = off; "
                                  "SET enable_hashjoin = off; SET enable_mergejoin = off; "
                                  "SET enable_seqscan = off; SET enable_material = off; "
                                  "SET enable_memoize = off; SET statement_timeout = '4s'";

int store_init(store_t *s, const plumb_conf_t *conf, plumb_err_t *err)
{
    *s = (store_t){.timeout_ms = conf->commit_timeout};
    s->p = plumb_params_new();
    if (s->p == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "parameters");
    int rc = plumb_db_new(&s->db, conf->database, "plumb-tracker", err);
    return rc == 0 ? store_feed_init(s, err) : rc;
}

void store_fini(store_t *s)
{
    free(s->pick_sql);
    free(s->rebuild_sql);
    free(s->credential_sql);
    plumb_params_destroy(&s->p);
    plumb_db_destroy(&s->db);
}

int store_ready(store_t *s, plumb_err_t *err)
{
    int rc = plumb_db_connect(s->db, CONNECT_MS, err);
    if (rc < 0 || plumb_db_generation(s->db) == s->generation)
        return rc;
    rc = plumb_db_script(s->db, session_sql, s->timeout_ms, err);
    if (rc == 0)
        s->generation = plumb_db_generation(s->db);
    return rc;
}

int store_begin(store_t *s, plumb_err_t *err)
{
    int rc = store_ready(s, err);
    return rc == 0 ? plumb_db_begin(s->db, s->timeout_ms, err) : rc;
}

int store_commit(store_t *s, plumb_err_t *err)
{
    return plumb_db_commit(s->db, s->timeout_ms, err);
}

void store_rollback(store_t *s)
{
    plumb_db_rollback(s->db);
}

int store_run(store_t *s, const plumb_stmt_t *stmt, PGresult **r, plumb_err_t *err)
{
    return plumb_db_exec(s->db, stmt, stmt->params > 0 ? s->p : NULL, s->timeout_ms, r, err);
}

int store_count(store_t *s, const plumb_stmt_t *stmt, size_t *rows, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = store_run(s, stmt, &r, err);
    if (rc == 0)
        *rows = strtoul(PQcmdTuples(r), NULL, 10);
    PQclear(r);
    return rc;
}

/* ---- binding ---- */

void bind_slice(plumb_params_t *p, const plumb_slice_t *slice)
{
    plumb_item_textn(p, slice->data, slice->length);
}

void bind_name(plumb_params_t *p, const char *name)
{
    plumb_item_textn(p, name, name == NULL ? 0 : strlen(name));
}

void bind_keys(plumb_params_t *p, const delivery_key_t *keys, size_t count)
{
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(p, &keys[i].account);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(p, &keys[i].ticket.delivery);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_INT4);
    for (size_t i = 0; i < count; i++)
        plumb_item_int4(p, (int32_t)keys[i].ticket.attempt);
    plumb_array_end(p);
}

/* ---- attempts: one row of a table for each column ---- */

static void put_small(plumb_params_t *p, uint64_t value, uint64_t max)
{
    if (value == 0 || value > max)
        plumb_item_null(p);
    else
        plumb_item_int4(p, (int32_t)value);
}

#define ATTEMPT_COLUMN(name, call)                                                                 \
    static void put_##name(plumb_params_t *p, const attempt_write_t *w)                            \
    {                                                                                              \
        const plumb_result_t *r = w->result;                                                       \
        call;                                                                                      \
    }
ATTEMPT_COLUMN(account, plumb_item_uuid(p, &r->account))
ATTEMPT_COLUMN(delivery, plumb_item_uuid(p, &r->ticket.delivery))
ATTEMPT_COLUMN(attempt, plumb_item_int4(p, (int32_t)r->ticket.attempt))
ATTEMPT_COLUMN(outcome, bind_name(p, plumb_outcome_name(r->outcome)))
ATTEMPT_COLUMN(worker, plumb_item_textn(p, r->worker.data ? r->worker.data : "", r->worker.length))
ATTEMPT_COLUMN(status, put_small(p, r->status, INT16_MAX))
ATTEMPT_COLUMN(requests, plumb_item_int4(p, r->requests < INT16_MAX ? r->requests : INT16_MAX))
ATTEMPT_COLUMN(dns, put_small(p, r->timings.dns_us, INT32_MAX))
ATTEMPT_COLUMN(connect, put_small(p, r->timings.connect_us, INT32_MAX))
ATTEMPT_COLUMN(tls, put_small(p, r->timings.tls_us, INT32_MAX))
ATTEMPT_COLUMN(first_byte, put_small(p, r->timings.first_byte_us, INT32_MAX))
ATTEMPT_COLUMN(total, put_small(p, r->timings.total_us, INT32_MAX))
ATTEMPT_COLUMN(detail, bind_slice(p, &r->detail))
ATTEMPT_COLUMN(external_id, bind_slice(p, &r->external_id))
ATTEMPT_COLUMN(exchange, plumb_item_bytes(p, r->exchange.data, r->exchange.length))
ATTEMPT_COLUMN(checkpoint, bind_slice(p, &r->checkpoint))
ATTEMPT_COLUMN(counted, (void)r; plumb_item_bool(p, w->counted))
ATTEMPT_COLUMN(repeats, (void)r; plumb_item_int4(p, w->repeats))

static void put_retry_after(plumb_params_t *p, const attempt_write_t *w)
{
    if (w->result->retry_after_ms > 0)
        plumb_item_int8(p, w->result->retry_after_ms);
    else
        plumb_item_null(p);
}

/* The worker's clock may be anything; what no calendar has is left out. */
static void put_started(plumb_params_t *p, const attempt_write_t *w)
{
    const int64_t year_2200 = INT64_C(7258118400000);
    if (w->result->started_ms > 0 && w->result->started_ms < year_2200)
        plumb_item_time(p, w->result->started_ms);
    else
        plumb_item_null(p);
}

typedef struct attempt_column {
    plumb_array_type_t type;
    void (*put)(plumb_params_t *p, const attempt_write_t *w);
} attempt_column_t;

/* $1 to $17, in this order in every statement that logs attempts. */
static const attempt_column_t attempt_columns[] = {
    {PLUMB_ARRAY_UUID, put_account},     {PLUMB_ARRAY_UUID, put_delivery},
    {PLUMB_ARRAY_INT4, put_attempt},     {PLUMB_ARRAY_TEXT, put_outcome},
    {PLUMB_ARRAY_TEXT, put_worker},      {PLUMB_ARRAY_INT4, put_status},
    {PLUMB_ARRAY_INT4, put_requests},    {PLUMB_ARRAY_INT4, put_dns},
    {PLUMB_ARRAY_INT4, put_connect},     {PLUMB_ARRAY_INT4, put_tls},
    {PLUMB_ARRAY_INT4, put_first_byte},  {PLUMB_ARRAY_INT4, put_total},
    {PLUMB_ARRAY_INT8, put_retry_after}, {PLUMB_ARRAY_TEXT, put_detail},
    {PLUMB_ARRAY_TEXT, put_external_id}, {PLUMB_ARRAY_BYTES, put_exchange},
    {PLUMB_ARRAY_TIME, put_started}};
#define ATTEMPT_UNNEST                                                                             \
    "$1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::int[], $7::int[], "            \
    "$8::int[], $9::int[], $10::int[], $11::int[], $12::int[], $13::bigint[], $14::text[], "       \
    "$15::text[], $16::bytea[], $17::timestamptz[]"
#define ATTEMPT_NAMES                                                                              \
    "account, delivery, attempt, outcome, worker, status, requests, dns, connect, tls, "           \
    "first_byte, total, retry_after, detail, external_id, exchange, started"
#define ATTEMPT_INSERT                                                                             \
    "INSERT INTO attempts (account_id, delivery_id, attempt, outcome, worker, status, requests, "  \
    "dns_us, connect_us, tls_us, first_byte_us, total_us, retry_after_ms, detail, external_id, "   \
    "exchange, started_at, counted, repeats) SELECT account, delivery, attempt, outcome, worker, " \
    "status::smallint, requests::smallint, dns, connect, tls, first_byte, total, retry_after, "    \
    "detail, external_id, exchange, started, "

static void bind_column(plumb_params_t *p, const attempt_column_t *column,
                        const attempt_write_t *list, size_t count)
{
    plumb_array_begin(p, column->type);
    for (size_t i = 0; i < count; i++)
        column->put(p, &list[i]);
    plumb_array_end(p);
}

static void bind_attempts(plumb_params_t *p, const attempt_write_t *list, size_t count)
{
    plumb_params_clear(p);
    for (size_t i = 0; i < PLUMB_COUNT(attempt_columns); i++)
        bind_column(p, &attempt_columns[i], list, count);
}

/* ---- results ---- */

/* A success that is the current attempt's needs nothing of what is in the row.  Its credential is
 * touched only where that tells something. */
static const plumb_stmt_t record_successes = {
    .name = "tracker_record_successes",
    .params = 18,
    .sql =
        "WITH moved AS (UPDATE deliveries d SET state = 'delivered', outcome = g.outcome, "
        "reason = NULL, settled_at = now(), external_id = coalesce(g.external_id, d.external_id), "
        "checkpoint = coalesce(g.checkpoint::jsonb, d.checkpoint) "
        "FROM unnest(" ATTEMPT_UNNEST ", $18::text[]) WITH ORDINALITY "
        "AS g(" ATTEMPT_NAMES ", checkpoint, n) "
        "WHERE d.account_id = g.account AND d.id = g.delivery AND d.state IS NOT DISTINCT FROM "
        "'queued' "
        "AND d.attempt = g.attempt "
        "RETURNING g.*, d.channel, d.credential_id, d.created_at), "
        "logged AS (" ATTEMPT_INSERT "true, 0 FROM moved "
        "ON CONFLICT (account_id, delivery_id, attempt, outcome) "
        "DO UPDATE SET repeats = attempts.repeats + 1, counted = true), "
        "touched AS (UPDATE credentials c SET succeeded_at = now(), refused = 0, failures = 0 "
        "FROM (SELECT DISTINCT account, credential_id FROM moved ORDER BY 1, 2) m "
        "WHERE c.account_id = m.account AND c.id = m.credential_id AND (c.refused > 0 "
        "OR c.failures > 0 OR c.succeeded_at IS NULL "
        "OR c.succeeded_at < now() - interval '5 s')) "
        "SELECT n, channel, (extract(epoch FROM now() - created_at) * 1000)::bigint FROM moved"};

int store_record_successes(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                           plumb_err_t *err)
{
    static const attempt_column_t checkpoint = {PLUMB_ARRAY_TEXT, put_checkpoint};
    bind_attempts(s->p, list, count);
    bind_column(s->p, &checkpoint, list, count);
    return store_run(s, &record_successes, r, err);
}

static const plumb_stmt_t lock_deliveries = {
    .name = "tracker_lock_deliveries",
    .params = 4,
    .sql = "SELECT k.n, d.state, d.attempt, d.tries, d.crashes::int, d.deadline_at, now(), "
           "d.late_success, d.credential_id, d.channel, d.lead_id, "
           "(extract(epoch FROM now() - d.created_at) * 1000)::bigint, "
           "EXISTS (SELECT FROM attempts a WHERE a.account_id = k.account "
           "AND a.delivery_id = k.delivery AND a.attempt = k.attempt AND a.outcome = k.outcome), "
           "coalesce(h.limits->>'schedule' = 'mail', false), "
           "coalesce((h.limits->>'resends')::boolean, false), c.settings->>'schedule' "
           "FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[]) WITH ORDINALITY "
           "AS k(account, delivery, attempt, outcome, n) "
           "JOIN deliveries d ON d.account_id = k.account AND d.id = k.delivery "
           "LEFT JOIN credentials c ON c.account_id = d.account_id AND c.id = d.credential_id "
           "LEFT JOIN channels h ON h.code = d.channel FOR UPDATE OF d"};

int store_lock_deliveries(store_t *s, const attempt_write_t *list, size_t count, PGresult **r,
                          plumb_err_t *err)
{
    plumb_params_clear(s->p);
    for (int i = 0; i < lock_deliveries.params; i++)
        bind_column(s->p, &attempt_columns[i], list, count);
    return store_run(s, &lock_deliveries, r, err);
}

static const plumb_stmt_t write_attempts = {
    .name = "tracker_write_attempts",
    .params = 19,
    .sql = ATTEMPT_INSERT "counted, repeats FROM unnest(" ATTEMPT_UNNEST
                          ", $18::boolean[], $19::int[]) AS g(" ATTEMPT_NAMES ", counted, repeats) "
                          "ON CONFLICT (account_id, delivery_id, attempt, outcome) "
                          "DO UPDATE SET repeats = attempts.repeats + 1 + excluded.repeats, "
                          "counted = attempts.counted OR excluded.counted"};

int store_write_attempts(store_t *s, const attempt_write_t *list, size_t count, plumb_err_t *err)
{
    static const attempt_column_t more[] = {{PLUMB_ARRAY_BOOL, put_counted},
                                            {PLUMB_ARRAY_INT4, put_repeats}};
    bind_attempts(s->p, list, count);
    for (size_t i = 0; i < PLUMB_COUNT(more); i++)
        bind_column(s->p, &more[i], list, count);
    return store_run(s, &write_attempts, NULL, err);
}

static const plumb_stmt_t write_deliveries = {
    .name = "tracker_write_deliveries",
    .params = 12,
    .sql = "UPDATE deliveries d SET state = g.state, tries = g.tries, crashes = g.crashes, "
           "due_at = CASE WHEN g.wait IS NULL THEN d.due_at "
           "ELSE now() + g.wait * interval '1 millisecond' END, "
           "outcome = coalesce(g.outcome, d.outcome), "
           "reason = CASE WHEN g.moved THEN g.reason ELSE d.reason END, "
           "external_id = coalesce(g.external_id, d.external_id), "
           "checkpoint = coalesce(g.checkpoint::jsonb, d.checkpoint), "
           "late_success = g.late_success, "
           "settled_at = CASE WHEN g.moved AND g.state IN ('delivered', 'failed', 'skipped', "
           "'canceled') THEN now() ELSE d.settled_at END "
           "FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::int[], $6::bigint[], "
           "$7::text[], $8::boolean[], $9::text[], $10::text[], $11::text[], $12::boolean[]) "
           "AS g(account, id, state, tries, crashes, wait, outcome, moved, reason, external_id, "
           "checkpoint, late_success) WHERE d.account_id = g.account AND d.id = g.id"};

#define FOR_EACH(p, type, call)                                                                    \
    do {                                                                                           \
        plumb_array_begin((p), (type));                                                            \
        for (size_t i = 0; i < count; i++)                                                         \
            call;                                                                                  \
        plumb_array_end(p);                                                                        \
    } while (0)

static void put_wait(plumb_params_t *p, const delivery_write_t *w)
{
    if (w->row.state == STATE_PENDING && w->moved)
        plumb_item_int8(p, w->wait_ms);
    else
        plumb_item_null(p);
}

int store_write_deliveries(store_t *s, const delivery_write_t *list, size_t count, plumb_err_t *err)
{
    plumb_params_t *p = s->p;
    plumb_params_clear(p);
    FOR_EACH(p, PLUMB_ARRAY_UUID, plumb_item_uuid(p, &list[i].account));
    FOR_EACH(p, PLUMB_ARRAY_UUID, plumb_item_uuid(p, &list[i].id));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_name(p, delivery_state_name(list[i].row.state)));
    FOR_EACH(p, PLUMB_ARRAY_INT4, plumb_item_int4(p, (int32_t)list[i].row.tries));
    FOR_EACH(p, PLUMB_ARRAY_INT4, plumb_item_int4(p, (int32_t)list[i].row.crashes));
    FOR_EACH(p, PLUMB_ARRAY_INT8, put_wait(p, &list[i]));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_name(p, list[i].outcome));
    FOR_EACH(p, PLUMB_ARRAY_BOOL, plumb_item_bool(p, list[i].moved));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_name(p, delivery_reason_name(list[i].row.reason)));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_slice(p, &list[i].external_id));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_slice(p, &list[i].checkpoint));
    FOR_EACH(p, PLUMB_ARRAY_BOOL, plumb_item_bool(p, list[i].row.late_success));
    return store_run(s, &write_deliveries, NULL, err);
}

/* ---- credentials ---- */

static const plumb_stmt_t lock_credentials = {
    .name = "tracker_lock_credentials",
    .params = 2,
    .sql = "SELECT k.n, c.refused, c.failures, c.succeeded_at, c.created_at, c.enabled, "
           "c.suspended_at IS NOT NULL "
           "FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS k(account, id, n) "
           "JOIN credentials c ON c.account_id = k.account AND c.id = k.id "
           "FOR NO KEY UPDATE OF c"};

int store_lock_credentials(store_t *s, credential_write_t *list, bool *found, size_t count,
                           plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    FOR_EACH(s->p, PLUMB_ARRAY_UUID, plumb_item_uuid(s->p, &list[i].account));
    FOR_EACH(s->p, PLUMB_ARRAY_UUID, plumb_item_uuid(s->p, &list[i].id));
    int rc = store_run(s, &lock_credentials, &r, err);
    memset(found, 0, count * sizeof *found);
    for (int row = 0; rc == 0 && row < PQntuples(r); row++) {
        size_t n = (size_t)plumb_get_int8(r, row, 0) - 1;
        found[n] = true;
        list[n].row = (credential_row_t){.refused = (uint32_t)plumb_get_int4(r, row, 1),
                                         .failures = (uint32_t)plumb_get_int4(r, row, 2),
                                         .succeeded_ms = plumb_get_time(r, row, 3),
                                         .created_ms = plumb_get_time(r, row, 4),
                                         .enabled = plumb_get_bool(r, row, 5),
                                         .suspended = plumb_get_bool(r, row, 6)};
    }
    PQclear(r);
    return rc;
}

static const plumb_stmt_t write_credentials = {
    .name = "tracker_write_credentials",
    .params = 6,
    .sql = "UPDATE credentials c SET refused = g.refused, failures = g.failures, "
           "succeeded_at = greatest(c.succeeded_at, g.succeeded), "
           "suspended_at = CASE WHEN g.reason IS NULL THEN c.suspended_at ELSE now() END, "
           "suspended_reason = coalesce(g.reason, c.suspended_reason) "
           "FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::timestamptz[], "
           "$6::text[]) AS g(account, id, refused, failures, succeeded, reason) "
           "WHERE c.account_id = g.account AND c.id = g.id"};

static void put_succeeded(plumb_params_t *p, int64_t ms)
{
    if (ms > 0)
        plumb_item_time(p, ms);
    else
        plumb_item_null(p);
}

int store_write_credentials(store_t *s, const credential_write_t *list, size_t count,
                            plumb_err_t *err)
{
    plumb_params_t *p = s->p;
    plumb_params_clear(p);
    FOR_EACH(p, PLUMB_ARRAY_UUID, plumb_item_uuid(p, &list[i].account));
    FOR_EACH(p, PLUMB_ARRAY_UUID, plumb_item_uuid(p, &list[i].id));
    FOR_EACH(p, PLUMB_ARRAY_INT4, plumb_item_int4(p, (int32_t)list[i].row.refused));
    FOR_EACH(p, PLUMB_ARRAY_INT4, plumb_item_int4(p, (int32_t)list[i].row.failures));
    FOR_EACH(p, PLUMB_ARRAY_TIME, put_succeeded(p, list[i].row.succeeded_ms));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_name(p, list[i].row.suspended_reason));
    return store_run(s, &write_credentials, NULL, err);
}

/* ---- events ---- */

static const plumb_stmt_t write_events = {
    .name = "tracker_write_events",
    .params = 7,
    .sql = "INSERT INTO events (account_id, id, kind, lead_id, delivery_id, credential_id, data) "
           "SELECT account, id, kind, lead, delivery, credential, "
           "CASE WHEN reason IS NOT NULL THEN jsonb_build_object('reason', reason) END "
           "FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], "
           "$7::text[]) AS g(account, id, kind, lead, delivery, credential, reason) "
           "ON CONFLICT DO NOTHING"};

static void put_id(plumb_params_t *p, const plumb_uuid_t *id)
{
    plumb_item_uuid(p, plumb_uuid_is_nil(id) ? NULL : id);
}

int store_write_events(store_t *s, const event_write_t *list, size_t count, plumb_err_t *err)
{
    plumb_params_t *p = s->p;
    plumb_params_clear(p);
    FOR_EACH(p, PLUMB_ARRAY_UUID, plumb_item_uuid(p, &list[i].account));
    FOR_EACH(p, PLUMB_ARRAY_UUID, plumb_item_uuid(p, &list[i].id));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_name(p, list[i].kind));
    FOR_EACH(p, PLUMB_ARRAY_UUID, put_id(p, &list[i].lead));
    FOR_EACH(p, PLUMB_ARRAY_UUID, put_id(p, &list[i].delivery));
    FOR_EACH(p, PLUMB_ARRAY_UUID, put_id(p, &list[i].credential));
    FOR_EACH(p, PLUMB_ARRAY_TEXT, bind_name(p, list[i].reason));
    return store_run(s, &write_events, NULL, err);
}
