/* A lead's change and all that follows from it, in one statement: so whatever changes leads, one or
 * a thousand, keeps counters, history, events and deliveries right. */
#include "store_change.h"

#include "lead.h"

#define STATEMENT_MS 30000 /* a top-up may pay for very many */

/* Columns that changes write besides attributes. */
static const char *const extra_columns[] = {"sealed", "phone_term", "email_term",
                                            "terms",  "deleted_at", "released_at"};

static void put_columns(plumb_buf_t *sql, const char *prefix)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_UPDATE) != 0 && (attr->flags & PLUMB_ATTR_SEALED) == 0)
            plumb_buf_printf(sql, "%s%s, ", prefix, attr->column);
    }
    for (size_t i = 0; i < sizeof extra_columns / sizeof *extra_columns; i++)
        plumb_buf_printf(sql, "%s%s%s", i > 0 ? ", " : "", prefix, extra_columns[i]);
}

#define FLAGS(row)                                                                                 \
    "plumb_lead_flags(" row ".viewed, " row ".paid, " row ".blocked, " row ".is_test, " row        \
    ".duplicate_of IS NOT NULL, " row ".deleted_at IS NOT NULL)"

/* The rows as they were and as they are. */
static const char before_and_after[] =
    "pair AS (SELECT w.id, w.account_id, w.project_id, w.quiz_id, w.created_at, "
    "b.version, b.duplicate_of, w.status AS was_status, b.status, w.paid AS was_paid, b.paid, "
    "w.blocked AS was_blocked, b.blocked, w.deleted_at AS was_deleted, b.deleted_at, "
    "w.released_at AS was_released, b.released_at, " FLAGS("w") " AS was_flags, " FLAGS(
        "b") " AS flags FROM was w JOIN became b ON b.id = w.id), ";

static const char counted[] =
    "counted AS (INSERT INTO lead_deltas (account_id, project_id, quiz_id, day, status, flags, "
    "leads) SELECT p.account_id, p.project_id, p.quiz_id, "
    "(p.created_at AT TIME ZONE 'UTC')::date, d.status, d.flags, d.leads FROM pair p "
    "CROSS JOIN LATERAL (VALUES (p.was_status, p.was_flags, -1), (p.status, p.flags, 1)) "
    "AS d(status, flags, leads) WHERE (p.was_status, p.was_flags) <> (p.status, p.flags)), ";

/* What is told of by a name of its own. */
static const char noted[] =
    "change AS (SELECT p.id, p.version, c.* FROM pair p CROSS JOIN LATERAL (VALUES "
    "('status', 'lead.status', p.was_status::text, p.status::text), "
    "('paid', 'lead.paid', p.was_paid::text, p.paid::text), "
    "('blocked', 'lead.blocked', p.was_blocked::text, p.blocked::text), "
    "('releasedAt', 'lead.released', p.was_released::text, p.released_at::text), "
    "('deletedAt', CASE WHEN p.deleted_at IS NULL THEN 'lead.restored' ELSE 'lead.deleted' END, "
    "p.was_deleted::text, p.deleted_at::text)) AS c(attribute, kind, was, became) "
    "WHERE c.was IS DISTINCT FROM c.became), "
    "noted AS (INSERT INTO lead_changes (account_id, id, lead_id, attribute, was, became, "
    "made_by) SELECT $1, plumb_id_new(), id, attribute, was, became, $4 FROM change), "
    "told AS (INSERT INTO events (account_id, id, kind, lead_id, data) "
    "SELECT $1, plumb_id_new(), kind, id, jsonb_build_object('version', version, attribute, "
    "CASE WHEN attribute IN ('paid', 'blocked') THEN to_jsonb(became::boolean) "
    "ELSE to_jsonb(became) END) FROM change WHERE attribute NOT IN ('deletedAt', 'releasedAt') "
    "UNION ALL SELECT $1, plumb_id_new(), kind, id, jsonb_build_object('version', version) "
    "FROM change WHERE attribute IN ('deletedAt', 'releasedAt') "
    "UNION ALL SELECT $1, plumb_id_new(), 'lead.updated', id, "
    "jsonb_build_object('version', version) FROM pair WHERE $5), ";

/* Deliveries that a mark of the lead held, and those that a new mark holds. */
static const char let_go[] =
    "touched AS (SELECT d.id, d.state, "
    "plumb_hold_reason(p.blocked, p.duplicate_of, p.paid, p.released_at) AS reason "
    "FROM pair p JOIN deliveries d ON d.account_id = $1 AND d.lead_id = p.id "
    "AND d.id BETWEEN plumb_id_low(p.id) AND plumb_id_high(p.id) "
    "WHERE (p.was_blocked, p.was_paid, p.was_released IS NULL) <> "
    "(p.blocked, p.paid, p.released_at IS NULL) AND (d.state = 'pending' OR (d.state = 'held' "
    "AND d.reason IN ('lead_blocked', 'lead_duplicate', 'lead_unpaid')))), "
    "sent AS (UPDATE deliveries d SET reason = t.reason, "
    "state = CASE WHEN t.reason IS NULL THEN 'pending' ELSE 'held' END::delivery_state, "
    "due_at = CASE WHEN t.reason IS NULL THEN greatest(d.due_at, now()) ELSE d.due_at END, "
    "deadline_at = CASE WHEN t.reason IS NULL THEN greatest(d.deadline_at, "
    "now() + $6 * interval '1 ms') ELSE d.deadline_at END "
    "FROM touched t WHERE d.account_id = $1 AND d.id = t.id AND d.state = t.state "
    "AND (d.state = 'held' OR t.reason IS NOT NULL)) ";

static void write_change(plumb_buf_t *sql)
{
    plumb_buf_text(sql, "WITH was AS MATERIALIZED (SELECT * FROM leads WHERE account_id = $1 "
                        "AND id = ANY ($2::uuid[])), became AS (UPDATE leads l SET "
                        "version = l.version + 1, "
                        "updated_at = greatest(now(), l.updated_at + interval '1 ms'), (");
    put_columns(sql, "");
    plumb_buf_text(sql, ") = (SELECT ");
    put_columns(sql, "r.");
    plumb_buf_text(sql, " FROM json_populate_record(l, $3::json) r) WHERE l.account_id = $1 "
                        "AND l.id = ANY ($2::uuid[]) RETURNING l.*), ");
    plumb_buf_text(sql, before_and_after);
    plumb_buf_text(sql, counted);
    plumb_buf_text(sql, noted);
    plumb_buf_text(sql, let_go);
    plumb_buf_text(sql, "SELECT count(*) FROM pair");
}

bool change_store_init_leads(change_store_t *store)
{
    plumb_buf_text(&store->lock_sql, "SELECT ");
    plumb_lead_select_list(&store->lock_sql, "l");
    plumb_buf_text(&store->lock_sql, " FROM leads l WHERE l.account_id = $1 AND l.id = $2 "
                                     "AND ($3::uuid IS NULL OR l.project_id = $3) FOR UPDATE");
    write_change(&store->change_sql);
    store->lock_lead = (plumb_stmt_t){"api_lock_lead", store->lock_sql.data, 3};
    store->change_leads = (plumb_stmt_t){"api_change_leads", store->change_sql.data, 6};
    return !store->lock_sql.failed && !store->change_sql.failed;
}

void change_store_fini_leads(change_store_t *store)
{
    plumb_buf_fini(&store->lock_sql);
    plumb_buf_fini(&store->change_sql);
}

int store_change_lock_lead(const change_store_t *store, reader_t *reader,
                           const change_target_t *target, PGresult **r, plumb_err_t *err)
{
    const plumb_uuid_t *project = &target->project;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &target->account);
    plumb_param_uuid(reader->params, &target->id);
    plumb_param_uuid(reader->params, plumb_uuid_is_nil(project) ? NULL : project);
    int rc = plumb_db_exec(reader->db, &store->lock_lead, reader->params, STATEMENT_MS, r, err);
    if (rc == 0 && PQntuples(*r) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such resource");
    return rc;
}

static const plumb_stmt_t select_terms = {
    .name = "api_terms",
    .params = 2,
    .sql = "SELECT unnest(terms) FROM leads WHERE account_id = $1 AND id = $2"};

int store_change_terms(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                       PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_uuid(reader->params, id);
    return plumb_db_exec(reader->db, &select_terms, reader->params, STATEMENT_MS, r, err);
}

static const plumb_stmt_t select_normalises = {
    .name = "api_normalises",
    .params = 2,
    .sql = "SELECT coalesce(settings ->> 'normalise' <> 'false', true) FROM quizzes "
           "WHERE account_id = $1 AND id = $2::uuid"};

int store_change_normalises(reader_t *reader, const plumb_uuid_t *account,
                            const plumb_slice_t *quiz, bool *normalises, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_textn(reader->params, quiz->data, quiz->length);
    int rc = plumb_db_exec(reader->db, &select_normalises, reader->params, STATEMENT_MS, &r, err);
    *normalises = rc < 0 || PQntuples(r) == 0 || plumb_get_bool(r, 0, 0);
    PQclear(r);
    return rc;
}

int store_change_leads(const change_store_t *store, reader_t *reader, const plumb_uuid_t *account,
                       const plumb_uuid_t *ids, size_t count, const lead_change_t *change,
                       plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_array_begin(reader->params, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(reader->params, &ids[i]);
    plumb_array_end(reader->params);
    plumb_param_textn(reader->params, change->columns->data, change->columns->length);
    plumb_param_text(reader->params, change->made_by);
    plumb_param_bool(reader->params, change->is_update);
    plumb_param_int8(reader->params, change->deadline_ms);
    return plumb_db_exec(reader->db, &store->change_leads, reader->params, STATEMENT_MS, NULL, err);
}
