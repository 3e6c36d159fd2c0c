/* One statement, one round trip: idempotency rows first, then leads, deliveries, counters, the
 * event. Run outside a transaction block, so it is one transaction by itself.
 *
 * There are two of it.  The bold one takes every key for new: a key that is not makes all of it
 * fail, and nothing is written.  The careful one writes only what belongs to new keys.  The check
 * costs a tenth of a commit, and repeats are rare: so a group is committed boldly unless one failed
 * lately.
 *
 * And each is there twice: with rivals, plumb_decide_leads (sql/008_intake.sql) says first what is
 * to become of each lead; without, every lead is new and paid for, and nobody is asked. */
#include "store_commit.h"

#include "lead.h"

#include <string.h>

#define CAREFUL_GROUPS 64 /* after one that failed boldly */

enum { CAREFUL = 1, RIVALS = 2 }; /* bits of a variant's number */

static const char *const names[COMMIT_VARIANTS] = {
    [0] = "ingest_commit_boldly",
    [CAREFUL] = "ingest_commit_carefully",
    [RIVALS] = "ingest_decide_boldly",
    [CAREFUL | RIVALS] = "ingest_decide_carefully",
};

/* ---- the handle ---- */

static void put_columns(plumb_buf_t *sql)
{
    for (int i = 0; i < PLUMB_LEAD_ATTRS; i++) {
        const plumb_attr_t *attr = &plumb_lead_attrs[i];
        if ((attr->flags & PLUMB_ATTR_CREATE) != 0 && (attr->flags & PLUMB_ATTR_SEALED) == 0)
            plumb_buf_printf(sql, ", %s", attr->column);
    }
}

/* What was decided of each lead.  An entry of the trace says "passed" until then. */
#define DECIDED                                                                                    \
    "verdict AS MATERIALIZED (SELECT * FROM " RIVAL_CALL "), "                                     \
    "lead AS MATERIALIZED (SELECT l.*, v.fate, v.original, v.root, coalesce(v.paid, true) AS "     \
    "paid, CASE WHEN v.fate IS NULL THEN v.original END AS duplicate_of, "                         \
    "CASE WHEN v.number IS NULL THEN l.trace ELSE replace(replace(l.trace::text, "                 \
    "CASE WHEN v.original IS NOT NULL THEN '[\"duplicate\",\"passed\"]' ELSE '' END, "             \
    "'[\"duplicate\",\"marked\",\"' || coalesce(v.original::text, '') || '\"]'), "                 \
    "CASE WHEN NOT v.paid THEN '[\"payment\",\"passed\"]' ELSE '' END, "                           \
    "'[\"payment\",\"marked\",\"unpaid\"]')::json END AS told "                                    \
    "FROM unnest($1::lead_intake_3[]) WITH ORDINALITY l LEFT JOIN verdict v "                      \
    "ON v.number = l.ordinality)"

#define UNDECIDED                                                                                  \
    "lead AS MATERIALIZED (SELECT l.*, NULL::text AS fate, true AS paid, "                         \
    "NULL::uuid AS duplicate_of, l.trace AS told FROM unnest($1::lead_intake_3[]) l)"

static void write_keys(plumb_buf_t *sql, unsigned variant)
{
    bool rivals = (variant & RIVALS) != 0;
    plumb_buf_printf(
        sql,
        ", won AS (INSERT INTO idempotency (account_id, route, key, body_hash, lead_id, status, "
        "integration_status, created_at, paid, duplicate_of) SELECT account_id, route, key, "
        "request_hash, %s, integration_status, created_at, paid, %s FROM lead WHERE key IS NOT "
        "NULL %s%sRETURNING lead_id)",
        rivals ? "CASE fate WHEN 'same' THEN original ELSE id END, "
                 "CASE fate WHEN 'same' THEN 200 ELSE 201 END"
               : "id, 201",
        rivals ? "CASE fate WHEN 'same' THEN root ELSE duplicate_of END" : "duplicate_of",
        rivals ? "AND (fate IS NULL OR fate = 'same') " : "",
        (variant & CAREFUL) != 0 ? "ON CONFLICT DO NOTHING " : "");
}

/* Those leads that are stored. */
static void write_kept(plumb_buf_t *sql, unsigned variant)
{
    plumb_buf_printf(
        sql, ", kept AS (SELECT * FROM lead WHERE %s%s)",
        (variant & RIVALS) != 0 ? "fate IS NULL" : "true",
        (variant & CAREFUL) != 0 ? " AND (key IS NULL OR id IN (SELECT lead_id FROM won))" : "");
}

static void write_leads(plumb_buf_t *sql)
{
    plumb_buf_text(sql, ", stored AS (INSERT INTO leads (account_id, id, created_at, updated_at, "
                        "sealed_key, sealed, trace, traceparent, phone_term, email_term, terms, "
                        "body_hash, blocked, verification_id, paid, duplicate_of");
    put_columns(sql);
    plumb_buf_text(sql, ") SELECT account_id, id, created_at, created_at, sealed_key, sealed, "
                        "told, traceparent, phone_term, email_term, terms, body_hash, blocked, "
                        "verification_id, paid, duplicate_of");
    put_columns(sql);
    plumb_buf_text(sql, " FROM kept)");
}

/* A lead that turned out to be a duplicate or unpaid has its deliveries held. */
static void write_deliveries(plumb_buf_t *sql, unsigned variant)
{
    static const char plain[] = "d.state, d.attempt, d.due_at, d.deadline_at, d.epoch, "
                                "CASE d.state WHEN 'queued' THEN d.created_at END, d.reason";
    static const char held[] =
        "CASE WHEN h.held THEN 'held' ELSE d.state END, CASE WHEN h.held THEN 0 ELSE d.attempt "
        "END, d.due_at, d.deadline_at, CASE WHEN NOT h.held THEN d.epoch END, "
        "CASE WHEN d.state = 'queued' AND NOT h.held THEN d.created_at END, "
        "CASE WHEN h.held THEN plumb_hold_reason(k.blocked, k.duplicate_of, k.paid, NULL) ELSE "
        "d.reason END";
    plumb_buf_printf(
        sql,
        ", sent AS (INSERT INTO deliveries (account_id, id, lead_id, credential_id, channel, "
        "state, attempt, due_at, deadline_at, epoch, queued_at, reason, created_at, settled_at) "
        "SELECT d.account_id, d.id, d.lead_id, d.credential_id, d.channel, %s, d.created_at, "
        "CASE d.state WHEN 'skipped' THEN d.created_at END FROM unnest($2::delivery_intake_2[]) "
        "d%s)",
        (variant & RIVALS) != 0 ? held : plain,
        (variant & RIVALS) != 0
            ? " JOIN kept k ON k.id = d.lead_id, LATERAL (SELECT d.state <> 'skipped' AND "
              "(k.duplicate_of IS NOT NULL OR NOT k.paid) AS held) h"
        : (variant & CAREFUL) != 0 ? " WHERE d.lead_id IN (SELECT id FROM kept)"
                                   : "");
}

/* The event is named by the first of its leads, which belongs to no other commit. */
static const char counted_and_told[] =
    ", counted AS (INSERT INTO lead_deltas (account_id, project_id, quiz_id, day, status, flags, "
    "leads) SELECT account_id, project_id, quiz_id, (created_at AT TIME ZONE 'UTC')::date, status, "
    "plumb_lead_flags(false, paid, blocked, is_test, duplicate_of IS NOT NULL, false), count(*) "
    "FROM kept GROUP BY 1, 2, 3, 4, 5, 6), "
    "told AS (INSERT INTO events (account_id, id, kind, lead_ids) SELECT account_id, "
    "(array_agg(id))[1], 'lead.created', array_agg(id) FROM kept GROUP BY account_id) ";

static void write_sql(plumb_buf_t *sql, unsigned variant)
{
    bool rivals = (variant & RIVALS) != 0;
    plumb_buf_text(sql, "WITH ");
    plumb_buf_text(sql, rivals ? DECIDED : UNDECIDED);
    write_keys(sql, variant);
    write_kept(sql, variant);
    write_leads(sql);
    write_deliveries(sql, variant);
    plumb_buf_text(sql, counted_and_told);
    plumb_buf_printf(sql, "SELECT clock_timestamp(), %s",
                     (variant & CAREFUL) != 0 ? "ARRAY(SELECT lead_id FROM won)" : "NULL::uuid[]");
    if (rivals)
        plumb_buf_text(sql, ", v.number, v.fate, v.original, v.root, v.field, v.paid "
                            "FROM (SELECT 1) one LEFT JOIN verdict v ON true");
}

int commit_store_init(commit_store_t *store, const char *conninfo, plumb_err_t *err)
{
    bool failed = false;
    *store = (commit_store_t){.db = NULL};
    for (unsigned i = 0; i < COMMIT_VARIANTS; i++) {
        write_sql(&store->variants[i].sql, i);
        failed = failed || store->variants[i].sql.failed;
        store->variants[i].stmt = (plumb_stmt_t){
            .name = names[i],
            .sql = store->variants[i].sql.data,
            .params = (i & RIVALS) != 0 ? 2 + RIVAL_PARAMS : 2,
        };
    }
    store->params = plumb_params_new();
    if (store->params == NULL || failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "committer");
    return plumb_db_new(&store->db, conninfo, "plumb-ingest commit", err);
}

void commit_store_fini(commit_store_t *store)
{
    plumb_db_destroy(&store->db);
    plumb_params_destroy(&store->params);
    rivals_fini(&store->rivals);
    for (unsigned i = 0; i < COMMIT_VARIANTS; i++)
        plumb_buf_fini(&store->variants[i].sql);
}

/* ---- a new connection ---- */

static const plumb_stmt_t select_types = {
    .name = "ingest_types",
    .sql = "SELECT clock_timestamp(), 'lead_intake_3'::regtype::oid::int8, "
           "'lead_intake_3[]'::regtype::oid::int8, 'delivery_intake_2'::regtype::oid::int8, "
           "'delivery_intake_2[]'::regtype::oid::int8, 'lead_rule_1'::regtype::oid::int8, "
           "'lead_rule_1[]'::regtype::oid::int8"};

/* One plan for all: planning anew for each group would take longer than most groups take to run. It
 * may have been made while the tables were small, and serve when they are not. */
static const char settings[] =
    "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off";

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
        store->rule_type = (uint32_t)plumb_get_int8(r, 0, 5);
        store->rule_array = (uint32_t)plumb_get_int8(r, 0, 6);
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

static int bind_batch(commit_store_t *store, const commit_batch_t *b, bool rivals, plumb_err_t *err)
{
    plumb_params_t *p = store->params;
    plumb_params_clear(p);
    plumb_array_begin_of(p, store->lead_array, store->lead_type);
    for (size_t i = 0; i < b->count; i++)
        plumb_items_encoded(p, b->leads[i]->record.data, b->leads[i]->record.length, 1);
    plumb_array_end(p);
    plumb_array_begin_of(p, store->delivery_array, store->delivery_type);
    for (size_t i = 0; i < b->count; i++)
        plumb_items_encoded(p, b->leads[i]->deliveries.data, b->leads[i]->deliveries.length,
                            b->leads[i]->delivery_count);
    plumb_array_end(p);
    return rivals ? rivals_bind(&store->rivals, p, store->rule_array, store->rule_type, b->leads,
                                b->count, b->now_ms, err)
                  : 0;
}

/* Columns of the result; each row tells of one lead, or of none. */
enum {
    RESULT_NOW,
    RESULT_WON,
    RESULT_NUMBER,
    RESULT_FATE,
    RESULT_ORIGINAL,
    RESULT_ROOT,
    RESULT_KEY,
    RESULT_PAID
};

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

/* Of leads with a key, those whose row was not written have a known one. */
static void tell_known(const commit_batch_t *b, const id_list_t *won)
{
    size_t keyed = 0;
    for (size_t i = 0; i < b->count; i++)
        keyed += b->leads[i]->is_keyed;
    for (size_t i = 0; keyed != won->count && i < b->count; i++) {
        const prepared_t *p = b->leads[i];
        bool writes_key = b->verdicts[i] == COMMIT_DONE || b->verdicts[i] == COMMIT_SAME;
        const plumb_uuid_t *named = b->verdicts[i] == COMMIT_SAME ? &p->fate.original : &p->lead;
        if (p->is_keyed && writes_key && !is_listed(won, named))
            b->verdicts[i] = COMMIT_KNOWN;
    }
}

/* The setting that names the key; it lives as long as the quiz. */
static const char *key_of(const prepared_t *p, const char *name)
{
    const quiz_list_t *list = &p->keys.quiz->settings.duplicate_keys;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->item[i], name) == 0)
            return list->item[i];
    return "";
}

static commit_verdict_t verdict_named(const char *fate)
{
    static const struct {
        const char *fate;
        commit_verdict_t verdict;
    } table[] = {{"known", COMMIT_KNOWN}, {"same", COMMIT_SAME}, {"refused", COMMIT_TWICE}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].fate, fate) == 0)
            return table[i].verdict;
    return COMMIT_DONE;
}

static void tell_decided(const commit_batch_t *b, const PGresult *r)
{
    for (int row = 0; row < PQntuples(r) && !plumb_get_null(r, row, RESULT_NUMBER); row++) {
        size_t i = (size_t)plumb_get_int4(r, row, RESULT_NUMBER) - 1;
        if (i >= b->count)
            continue;
        prepared_t *p = b->leads[i];
        b->verdicts[i] = verdict_named(plumb_get_text(r, row, RESULT_FATE));
        p->fate.original = plumb_get_uuid(r, row, RESULT_ORIGINAL);
        p->fate.root = plumb_get_uuid(r, row, RESULT_ROOT);
        p->fate.key = key_of(p, plumb_get_text(r, row, RESULT_KEY));
        p->fate.paid = plumb_get_bool(r, row, RESULT_PAID);
    }
}

static void tell(const commit_batch_t *b, const PGresult *r, bool rivals)
{
    for (size_t i = 0; i < b->count; i++) {
        b->verdicts[i] = COMMIT_DONE;
        b->leads[i]->fate = (lead_fate_t){.paid = true};
    }
    if (rivals)
        tell_decided(b, r);
    if (plumb_get_null(r, 0, RESULT_WON))
        return;
    id_list_t won = read_ids(r, RESULT_WON);
    tell_known(b, &won);
}

int commit_store_run(commit_store_t *store, const commit_batch_t *batch, int64_t *now_ms,
                     int64_t timeout_ms, const plumb_meanwhile_t *meanwhile, plumb_err_t *err)
{
    PGresult *r = NULL;
    bool rivals = rivals_are_asked_for(batch->leads, batch->count);
    unsigned variant = (rivals ? RIVALS : 0) | (store->careful_left > 0 ? CAREFUL : 0);
    int rc = bind_batch(store, batch, rivals, err);
    if (rc == 0)
        rc = plumb_db_exec_meanwhile(store->db, &store->variants[variant].stmt, store->params,
                                     timeout_ms, meanwhile, &r, err);
    if (rc == -PLUMB_E_DB_VALUE && (variant & CAREFUL) == 0) {
        /* a key that is known, or a value that never works */
        store->careful_left = CAREFUL_GROUPS;
        return commit_store_run(store, batch, now_ms, timeout_ms, meanwhile, err);
    }
    if (rc == 0) {
        *now_ms = plumb_get_time(r, 0, RESULT_NOW);
        tell(batch, r, rivals);
    }
    if (store->careful_left > 0)
        store->careful_left--;
    PQclear(r);
    return rc;
}
