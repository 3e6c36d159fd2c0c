/* One statement, one round trip: idempotency rows first, then leads and deliveries.  Run outside a
 * transaction block, so it is one transaction by itself.
 *
 * There are two of it. The bold one takes every key for new: a key that is not makes all of it
 * fail, and nothing is written.  The careful one writes only what belongs to new keys.  The check
 * costs a tenth of a commit, and repeats are rare: so a group is committed boldly unless one failed
 * lately. */
#include "store_commit.h"

#include "lead.h"

#include <string.h>

#define CAREFUL_GROUPS 64 /* after one that failed boldly */

/* The pieces that differ. */
typedef struct variant {
    const char *name;
    const char *conflict;           /* what an old key does */
    const char *leads, *deliveries; /* which of them are written */
    const char *known;              /* ids of leads whose key was new, if that is a question */
} variant_t;

static const variant_t bold = {.name = "ingest_commit_boldly",
                               .conflict = "",
                               .leads = "",
                               .deliveries = "",
                               .known = "NULL::uuid[]"};

static const variant_t careful = {
    .name = "ingest_commit_carefully",
    .conflict = "ON CONFLICT DO NOTHING ",
    .leads = "WHERE key IS NULL OR id IN (SELECT lead_id FROM won)",
    .deliveries = "WHERE lead_id IN "
                  "(SELECT id FROM lead WHERE key IS NULL UNION ALL SELECT lead_id FROM won)",
    .known = "ARRAY(SELECT lead_id FROM won)"};

/* ---- the handle ---- */

static void put_columns(plumb_buf_t *sql)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_CREATE) != 0 && (attr->flags & PLUMB_ATTR_SEALED) == 0)
            plumb_buf_printf(sql, ", %s", attr->column);
    }
}

static void write_sql(plumb_buf_t *sql, const variant_t *v)
{
    plumb_buf_printf(
        sql,
        "WITH lead AS MATERIALIZED (SELECT * FROM unnest($1::lead_intake_2[])), "
        "won AS (INSERT INTO idempotency (account_id, route, key, body_hash, lead_id, "
        "status, integration_status, created_at) SELECT account_id, route, key, "
        "body_hash, id, 201, integration_status, created_at FROM lead WHERE key IS NOT NULL %s"
        "RETURNING lead_id), stored AS (INSERT INTO leads (account_id, id, "
        "created_at, updated_at, sealed_key, sealed, trace, traceparent",
        v->conflict);
    put_columns(sql);
    plumb_buf_text(sql, ") SELECT account_id, id, created_at, created_at, sealed_key, sealed, "
                        "trace, traceparent");
    put_columns(sql);
    plumb_buf_printf(sql,
                     " FROM lead %s), sent AS (INSERT INTO deliveries (account_id, id, lead_id, "
                     "credential_id, channel, state, attempt, due_at, deadline_at, epoch, "
                     "queued_at, reason, created_at, settled_at) SELECT account_id, id, lead_id, "
                     "credential_id, channel, state, attempt, due_at, deadline_at, epoch, "
                     "CASE state WHEN 'queued' THEN created_at END, reason, created_at, "
                     "CASE state WHEN 'skipped' THEN created_at END "
                     "FROM unnest($2::delivery_intake_2[]) %s) SELECT clock_timestamp(), %s",
                     v->leads, v->deliveries, v->known);
}

static plumb_stmt_t statement(plumb_buf_t *sql, const variant_t *v)
{
    write_sql(sql, v);
    return (plumb_stmt_t){.name = v->name, .sql = sql->data, .params = 2};
}

int commit_store_init(commit_store_t *store, const char *conninfo, plumb_err_t *err)
{
    *store = (commit_store_t){.db = NULL};
    store->bold = statement(&store->bold_sql, &bold);
    store->careful = statement(&store->careful_sql, &careful);
    store->params = plumb_params_new();
    if (store->params == NULL || store->bold_sql.failed || store->careful_sql.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "committer");
    return plumb_db_new(&store->db, conninfo, "plumb-ingest commit", err);
}

void commit_store_fini(commit_store_t *store)
{
    plumb_db_destroy(&store->db);
    plumb_params_destroy(&store->params);
    plumb_buf_fini(&store->bold_sql);
    plumb_buf_fini(&store->careful_sql);
}

/* ---- a new connection ---- */

static const plumb_stmt_t select_types = {
    .name = "ingest_types",
    .sql = "SELECT clock_timestamp(), 'lead_intake_2'::regtype::oid::int8, "
           "'lead_intake_2[]'::regtype::oid::int8, 'delivery_intake_2'::regtype::oid::int8, "
           "'delivery_intake_2[]'::regtype::oid::int8"};

/* One plan for all: planning anew for each group would take longer than most groups take to run. */
static const char settings[] = "SET plan_cache_mode = force_generic_plan; SET jit = off";

static int learn(commit_store_t *store, int64_t timeout_ms, int64_t *now_ms, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = plumb_db_script(store->db, settings, timeout_ms, err);
    if (rc == 0)
        rc = plumb_db_exec(store->db, &select_types, NULL, timeout_ms, &r, err);
    if (rc == 0) {
        *now_ms = plumb_get_time(r, 0, 0);
        store->lead_type = (uint32_t)plumb_get_int8(r, 0, 1);
        store->lead_array = (uint32_t)plumb_get_int8(r, 0, 2);
        store->delivery_type = (uint32_t)plumb_get_int8(r, 0, 3);
        store->delivery_array = (uint32_t)plumb_get_int8(r, 0, 4);
        store->generation = plumb_db_generation(store->db);
    }
    PQclear(r);
    return rc;
}

int commit_store_connect(commit_store_t *store, int64_t timeout_ms, int64_t *now_ms,
                         plumb_err_t *err)
{
    int rc = plumb_db_connect(store->db, timeout_ms, err);
    if (rc == 0 && store->generation != plumb_db_generation(store->db))
        rc = learn(store, timeout_ms, now_ms, err);
    return rc;
}

static const plumb_stmt_t select_clock = {.name = "ingest_clock",
                                          .sql = "SELECT clock_timestamp()"};

int commit_store_probe(commit_store_t *store, int64_t timeout_ms, int64_t *now_ms, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = commit_store_connect(store, timeout_ms, now_ms, err);
    if (rc == 0)
        rc = plumb_db_exec(store->db, &select_clock, NULL, timeout_ms, &r, err);
    if (rc == 0)
        *now_ms = plumb_get_time(r, 0, 0);
    PQclear(r);
    return rc;
}

/* ---- committing ---- */

static void bind_group(commit_store_t *store, prepared_t *const *group, size_t count)
{
    plumb_params_t *p = store->params;
    plumb_params_clear(p);
    plumb_array_begin_of(p, store->lead_array, store->lead_type);
    for (size_t i = 0; i < count; i++)
        plumb_items_encoded(p, group[i]->record.data, group[i]->record.length, 1);
    plumb_array_end(p);
    plumb_array_begin_of(p, store->delivery_array, store->delivery_type);
    for (size_t i = 0; i < count; i++)
        plumb_items_encoded(p, group[i]->deliveries.data, group[i]->deliveries.length,
                            group[i]->delivery_count);
    plumb_array_end(p);
}

/* Elements of a uuid[] without NULLs, in PostgreSQL's binary format. */
typedef struct id_list {
    const char *items; /* each 4 bytes of length, 16 of id */
    size_t count;
} id_list_t;

#define ARRAY_HEAD 20
#define ITEM 20

static id_list_t read_ids(const PGresult *r, int column)
{
    size_t length = plumb_get_length(r, 0, column);
    if (length <= ARRAY_HEAD)
        return (id_list_t){NULL, 0};
    return (id_list_t){plumb_get_text(r, 0, column) + ARRAY_HEAD, (length - ARRAY_HEAD) / ITEM};
}

static bool is_listed(const id_list_t *list, const plumb_uuid_t *id)
{
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(list->items + i * ITEM + 4, id->b, sizeof id->b) == 0)
            return true;
    return false;
}

static void tell_known(prepared_t *const *group, size_t count, const id_list_t *won, bool *known)
{
    size_t keyed = 0;
    for (size_t i = 0; i < count; i++)
        keyed += group[i]->is_keyed;
    for (size_t i = 0; i < count; i++)
        known[i] = keyed != won->count && group[i]->is_keyed && !is_listed(won, &group[i]->lead);
}

static int run(commit_store_t *store, const plumb_stmt_t *stmt, prepared_t *const *group,
               size_t count, bool *known, int64_t *now_ms, int64_t timeout_ms,
               const plumb_meanwhile_t *meanwhile, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc =
        plumb_db_exec_meanwhile(store->db, stmt, store->params, timeout_ms, meanwhile, &r, err);
    if (rc == 0) {
        *now_ms = plumb_get_time(r, 0, 0);
        memset(known, 0, count * sizeof *known);
        if (!plumb_get_null(r, 0, 1)) {
            id_list_t won = read_ids(r, 1);
            tell_known(group, count, &won, known);
        }
    }
    PQclear(r);
    return rc;
}

int commit_store_run(commit_store_t *store, prepared_t *const *group, size_t count, bool *known,
                     int64_t *now_ms, int64_t timeout_ms, const plumb_meanwhile_t *meanwhile,
                     plumb_err_t *err)
{
    bind_group(store, group, count);
    if (store->careful_left == 0) {
        int rc = run(store, &store->bold, group, count, known, now_ms, timeout_ms, meanwhile, err);
        if (rc != -PLUMB_E_DB_VALUE) /* a key that is known, or a value that never works */
            return rc;
        store->careful_left = CAREFUL_GROUPS;
    }
    store->careful_left--;
    return run(store, &store->careful, group, count, known, now_ms, timeout_ms, meanwhile, err);
}
