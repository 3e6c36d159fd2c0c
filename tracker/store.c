/* SQL of the session, and of what results change beside the attempt log (store_attempts.c).
 *
 * Every statement names rows by their key, so that only their partition is looked at; the planner,
 * which cannot know how few keys an array holds, is kept from hashing whole tables.  Beside a key a
 * state is compared by IS NOT DISTINCT FROM: with = the planner would believe, whenever statistics
 * lag behind, that the partial index of that state is empty, and read all of it for each key. */
#include "store.h"

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

static const plumb_stmt_t select_types = {
    .name = "tracker_types",
    .params = 0,
    .sql =
        "SELECT 'attempt_result_1'::regtype::oid::int8, 'attempt_result_1[]'::regtype::oid::int8"};

static int learn_types(store_t *s, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = store_run(s, &select_types, &r, err);
    if (rc == 0) {
        s->result_type = (uint32_t)plumb_get_int8(r, 0, 0);
        s->result_array = (uint32_t)plumb_get_int8(r, 0, 1);
        s->generation = plumb_db_generation(s->db);
    }
    PQclear(r);
    return rc;
}

int store_ready(store_t *s, plumb_err_t *err)
{
    int rc = plumb_db_connect(s->db, CONNECT_MS, err);
    if (rc < 0 || plumb_db_generation(s->db) == s->generation)
        return rc;
    rc = plumb_db_script(s->db, session_sql, s->timeout_ms, err);
    return rc == 0 ? learn_types(s, err) : rc;
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

/* ---- deliveries ---- */

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
           "FROM unnest($1::uuid[], $2::uuid[], $3::delivery_state[], $4::int[], $5::int[], "
           "$6::bigint[], "
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
