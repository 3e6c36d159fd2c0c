/* What ingest reads of PostgreSQL. */
#include "store.h"

#include "api/select.h"
#include "count.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

#define STATEMENT_MS 5000

/* Names of statements: constants, since connections keep them. */
static const char *const one_names[API_TYPES] = {"ingest_lead",      "ingest_user",
                                                 "ingest_project",   "ingest_one_quiz",
                                                 "ingest_one_token", "ingest_blocked"};
static const char *const some_names[API_TYPES] = {"ingest_leads",    "ingest_users",
                                                  "ingest_projects", "ingest_quizzes",
                                                  "ingest_tokens",   "ingest_blocklist"};

/* Resources by id, of each type that has a collection. */
static bool make_selects(store_t *store)
{
    bool failed = false;
    for (int i = 0; i < API_TYPES; i++) {
        if (api_types[i].path == NULL)
            continue;
        api_select_one(&store->one_sql[i], &api_types[i]);
        api_select_some(&store->some_sql[i], &api_types[i]);
        store->one[i] = (plumb_stmt_t){one_names[i], store->one_sql[i].data, 3};
        store->some[i] = (plumb_stmt_t){some_names[i], store->some_sql[i].data, 3};
        failed = failed || store->one_sql[i].failed || store->some_sql[i].failed;
    }
    return !failed;
}

int store_init(store_t *store, plumb_err_t *err)
{
    *store = (store_t){.targets = {.name = NULL}};
    plumb_buf_printf(&store->targets_sql,
                     "SELECT l.quiz_id IS NOT NULL, l.delay_ms, %s FROM credential_links l "
                     "JOIN credentials c ON c.account_id = l.account_id AND c.id = l.credential_id "
                     "LEFT JOIN channels h ON h.code = c.channel "
                     "WHERE l.account_id = $1 AND l.project_id = $2 AND l.enabled "
                     "AND (l.quiz_id = $3 OR l.quiz_id IS NULL) "
                     "ORDER BY l.quiz_id IS NULL, c.id",
                     plumb_credential_select_list);
    store->targets = (plumb_stmt_t){"ingest_targets", store->targets_sql.data, 3};
    if (!make_selects(store) || store->targets_sql.failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "statements");
    return 0;
}

void store_fini(store_t *store)
{
    plumb_buf_fini(&store->targets_sql);
    for (int i = 0; i < API_TYPES; i++) {
        plumb_buf_fini(&store->one_sql[i]);
        plumb_buf_fini(&store->some_sql[i]);
    }
}

/* ---- tokens ---- */

static const plumb_stmt_t select_token = {
    .name = "ingest_token",
    .params = 1,
    .sql = "SELECT t.account_id, t.key_id, t.hash, array_to_string(t.scopes, ' '), t.project_id, "
           "t.revoked_at IS NULL AND coalesce(t.expires_at > now(), true) AND a.active, "
           "t.quiz_id, coalesce(array_to_string(t.allowed_ips, ','), ''), "
           "coalesce(array_to_string(t.denied_ips, ','), '') "
           "FROM tokens t JOIN accounts a ON a.id = t.account_id WHERE t.id = $1"};

static unsigned read_scopes(const char *text)
{
    static const struct {
        const char *name;
        scope_t scope;
    } scopes[] = {{"read", SCOPE_READ},
                  {"write", SCOPE_WRITE},
                  {"operate", SCOPE_OPERATE},
                  {"admin", SCOPE_ADMIN},
                  {"intake", SCOPE_INTAKE}};
    unsigned mask = 0;
    for (; *text != '\0'; text += strcspn(text, " "), text += *text == ' ')
        for (size_t i = 0; i < PLUMB_COUNT(scopes); i++)
            if (strcspn(text, " ") == strlen(scopes[i].name) &&
                strncmp(text, scopes[i].name, strlen(scopes[i].name)) == 0)
                mask |= scopes[i].scope;
    return mask;
}

int store_token(reader_t *reader, const char *id, token_row_t *row, plumb_err_t *err)
{
    PGresult *r = NULL;
    *row = (token_row_t){.is_good = false};
    plumb_params_clear(reader->params);
    plumb_param_text(reader->params, id);
    int rc = plumb_db_exec(reader->db, &select_token, reader->params, STATEMENT_MS, &r, err);
    if (rc == 0 && PQntuples(r) == 1 && plumb_get_length(r, 0, 2) == sizeof row->hash) {
        memcpy(row->identity.token, id, TOKEN_ID);
        row->identity.account = plumb_get_uuid(r, 0, 0);
        row->key_id = (uint32_t)plumb_get_int4(r, 0, 1);
        memcpy(row->hash, plumb_get_text(r, 0, 2), sizeof row->hash);
        row->identity.scopes = read_scopes(plumb_get_text(r, 0, 3));
        row->identity.project = plumb_get_uuid(r, 0, 4);
        row->is_good = plumb_get_bool(r, 0, 5);
        row->identity.quiz = plumb_get_uuid(r, 0, 6);
        if (!plumb_uuid_is_nil(&row->identity.quiz)) /* it may stand in a public page */
            row->identity.scopes &= SCOPE_INTAKE;
        rc = ip_filter_new(&row->filter, plumb_get_text(r, 0, 7), plumb_get_text(r, 0, 8), err);
    }
    PQclear(r);
    return rc;
}

/* In order, and without waiting for another ingest that writes the same just now. */
static const plumb_stmt_t update_tokens_used = {
    .name = "ingest_tokens_used",
    .params = 1,
    .sql = "UPDATE tokens SET used_at = now() WHERE id IN (SELECT id FROM tokens "
           "WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)"};

int store_tokens_used(reader_t *reader, const char *ids, size_t count, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_array_begin(reader->params, PLUMB_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++)
        plumb_item_textn(reader->params, ids + i * TOKEN_ID, TOKEN_ID);
    plumb_array_end(reader->params);
    return plumb_db_exec(reader->db, &update_tokens_used, reader->params, STATEMENT_MS, NULL, err);
}

/* ---- quizzes ---- */

static const plumb_stmt_t select_quiz = {
    .name = "ingest_quiz",
    .params = 2,
    .sql = "SELECT q.active, p.id, p.active, u.id, u.active, q.settings::text, "
           "q.intake_secret, a.plan::text FROM quizzes q JOIN accounts a ON a.id = q.account_id "
           "JOIN projects p ON p.account_id = q.account_id AND p.id = q.project_id "
           "JOIN users u ON u.account_id = p.account_id AND u.id = p.user_id "
           "WHERE q.account_id = $1 AND q.id = $2 AND q.deleted_at IS NULL"};

static void log_setting(void *context, const char *path, const char *want)
{
    const quiz_t *quiz = context;
    char id[PLUMB_UUID_TEXT];
    plumb_log_event(LOG_WARNING, "quiz_setting_wrong", "quiz=%s setting=\"%s\" why=\"%s\"",
                    plumb_uuid_text(&quiz->id, id), path, want);
}

static account_plan_t plan_named(const char *name)
{
    if (strcmp(name, "balance") == 0)
        return PLAN_BALANCE;
    return strcmp(name, "none") == 0 ? PLAN_NONE : PLAN_UNLIMITED;
}

int store_quiz(reader_t *reader, quiz_t *quiz, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &quiz->account);
    plumb_param_uuid(reader->params, &quiz->id);
    int rc = plumb_db_exec(reader->db, &select_quiz, reader->params, STATEMENT_MS, &r, err);
    if (rc == 0 && PQntuples(r) == 1) {
        quiz->is_known = plumb_get_bool(r, 0, 0);
        quiz->project = plumb_get_uuid(r, 0, 1);
        quiz->project_active = plumb_get_bool(r, 0, 2);
        quiz->user = plumb_get_uuid(r, 0, 3);
        quiz->user_active = plumb_get_bool(r, 0, 4);
        quiz_settings_parse(&quiz->settings, plumb_get_text(r, 0, 5), plumb_get_length(r, 0, 5),
                            log_setting, quiz);
        plumb_buf_put(&quiz->intake_secret, plumb_get_text(r, 0, 6), plumb_get_length(r, 0, 6));
        quiz->plan = plan_named(plumb_get_text(r, 0, 7));
    }
    PQclear(r);
    return rc;
}

/* A credential that is linked twice is one target. */
static bool is_there(const quiz_t *quiz, const plumb_uuid_t *credential)
{
    for (size_t i = 0; i < quiz->target_count; i++)
        if (plumb_uuid_compare(&quiz->targets[i].credential.id, credential) == 0)
            return true;
    return false;
}

/* Take one row. A credential that cannot be opened keeps its place: its deliveries wait for the
 * tracker, which holds them, instead of never being made. */
static int read_target(quiz_t *quiz, plumb_vault_t *vault, plumb_db_t *db, const PGresult *r,
                       int row, plumb_err_t *err)
{
    target_t target = {.of_quiz = plumb_get_bool(r, row, 0), .delay_ms = plumb_get_int8(r, row, 1)};
    int rc = plumb_credential_from_row(&target.credential, vault, db, r, row, 2, err);
    bool skip = is_there(quiz, &target.credential.id);
    target.is_closed = rc == -PLUMB_E_SEAL || rc == -PLUMB_E_KEY || rc == -PLUMB_E_CHANNEL;
    if (target.is_closed && !skip) {
        plumb_log_event(LOG_ERR, "credential_unusable", "why=\"%s\"", err->text);
        rc = 0;
    }
    if (rc < 0 || skip)
        plumb_credential_fini(&target.credential);
    else
        quiz->targets[quiz->target_count++] = target;
    return rc;
}

int store_targets(const store_t *store, reader_t *reader, plumb_vault_t *vault, quiz_t *quiz,
                  plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &quiz->account);
    plumb_param_uuid(reader->params, &quiz->project);
    plumb_param_uuid(reader->params, &quiz->id);
    int rc = plumb_db_exec(reader->db, &store->targets, reader->params, STATEMENT_MS, &r, err);
    int rows = rc == 0 ? PQntuples(r) : 0;
    if (rows > 0) {
        quiz->targets = calloc((size_t)rows, sizeof *quiz->targets);
        if (quiz->targets == NULL)
            rc = plumb_err_set(err, PLUMB_E_MEMORY, "targets");
    }
    for (int i = 0; rc == 0 && i < rows; i++)
        rc = read_target(quiz, vault, reader->db, r, i, err);
    PQclear(r);
    return rc;
}

/* ---- idempotent answers ---- */

static const plumb_stmt_t select_answer = {
    .name = "ingest_answer",
    .params = 4,
    .sql = "SELECT i.body_hash, i.lead_id, i.status, i.integration_status, "
           "CASE i.status WHEN 201 THEN i.created_at ELSE l.created_at END, "
           "l.sealed_key IS NULL, i.created_at > now() - $4::int8 * interval '1 ms', i.paid, "
           "i.duplicate_of FROM idempotency i "
           "LEFT JOIN leads l ON l.account_id = i.account_id AND l.id = i.lead_id "
           "WHERE i.account_id = $1 AND i.route = $2 AND i.key = $3"};

static const plumb_stmt_t delete_answer = {
    .name = "ingest_forget_answer",
    .params = 4,
    .sql = "DELETE FROM idempotency WHERE account_id = $1 AND route = $2 AND key = $3 "
           "AND created_at <= now() - $4::int8 * interval '1 ms'"};

static int run_by_key(reader_t *reader, const plumb_stmt_t *stmt, const plumb_uuid_t *account,
                      const char *route, const char *key, int64_t life_ms, PGresult **r,
                      plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_text(reader->params, route);
    plumb_param_text(reader->params, key);
    plumb_param_int8(reader->params, life_ms);
    return plumb_db_exec(reader->db, stmt, reader->params, STATEMENT_MS, r, err);
}

int store_answer(reader_t *reader, const plumb_uuid_t *account, const char *route, const char *key,
                 int64_t life_ms, stored_answer_t *answer, plumb_err_t *err)
{
    PGresult *r = NULL;
    *answer = (stored_answer_t){.is_there = false};
    int rc = run_by_key(reader, &select_answer, account, route, key, life_ms, &r, err);
    if (rc == 0 && PQntuples(r) == 1 && plumb_get_length(r, 0, 0) == sizeof answer->body_hash) {
        answer->is_there = true;
        memcpy(answer->body_hash, plumb_get_text(r, 0, 0), sizeof answer->body_hash);
        answer->lead = plumb_get_uuid(r, 0, 1);
        answer->status = plumb_get_int2(r, 0, 2);
        answer->integration = integration_find(plumb_get_text(r, 0, 3));
        answer->created_ms = plumb_get_time(r, 0, 4);
        answer->is_erased = plumb_get_bool(r, 0, 5);
        answer->is_fresh = plumb_get_bool(r, 0, 6);
        answer->paid = plumb_get_bool(r, 0, 7);
        answer->duplicate_of = plumb_get_uuid(r, 0, 8);
    }
    PQclear(r);
    return rc;
}

int store_forget_answer(reader_t *reader, const plumb_uuid_t *account, const char *route,
                        const char *key, int64_t life_ms, plumb_err_t *err)
{
    return run_by_key(reader, &delete_answer, account, route, key, life_ms, NULL, err);
}

/* ---- resources ---- */

static const plumb_uuid_t *bound_of(const identity_t *who)
{
    return plumb_uuid_is_nil(&who->project) ? NULL : &who->project;
}

int store_one(const store_t *store, reader_t *reader, const api_type_t *type, const identity_t *who,
              const plumb_uuid_t *id, PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &who->account);
    plumb_param_uuid(reader->params, id);
    plumb_param_uuid(reader->params, bound_of(who));
    return plumb_db_exec(reader->db, &store->one[type->kind], reader->params, STATEMENT_MS, r, err);
}

int store_some(const store_t *store, reader_t *reader, const api_type_t *type,
               const identity_t *who, const plumb_uuid_t *ids, size_t count, PGresult **r,
               plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &who->account);
    plumb_array_begin(reader->params, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(reader->params, &ids[i]);
    plumb_array_end(reader->params);
    plumb_param_uuid(reader->params, bound_of(who));
    return plumb_db_exec(reader->db, &store->some[type->kind], reader->params, STATEMENT_MS, r,
                         err);
}

/* The ids that a result has in a column. */
static void put_ids(plumb_params_t *params, const PGresult *of, int column)
{
    plumb_array_begin(params, PLUMB_ARRAY_UUID);
    for (int i = 0; i < PQntuples(of); i++) {
        plumb_uuid_t id = plumb_get_uuid(of, i, column);
        plumb_item_uuid(params, &id);
    }
    plumb_array_end(params);
}

static const plumb_stmt_t select_deliveries = {
    .name = "ingest_deliveries",
    .params = 2,
    .sql = "SELECT d.* FROM unnest($2::uuid[]) WITH ORDINALITY l (id, place) CROSS JOIN LATERAL "
           "(SELECT lead_id, id, credential_id, channel, verb, state, attempt, tries, outcome, "
           "reason, external_id, late_success, due_at, deadline_at, queued_at, created_at, "
           "settled_at FROM deliveries WHERE account_id = $1 AND id BETWEEN plumb_id_low(l.id) "
           "AND plumb_id_high(l.id) AND lead_id = l.id) d ORDER BY l.place, d.id"};

int store_deliveries(reader_t *reader, const plumb_uuid_t *account, const PGresult *leads,
                     PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    put_ids(reader->params, leads, 1);
    return plumb_db_exec(reader->db, &select_deliveries, reader->params, STATEMENT_MS, r, err);
}

static const plumb_stmt_t select_attempts = {
    .name = "ingest_attempts",
    .params = 2,
    .sql = "SELECT delivery_id, attempt, outcome, counted, repeats, status, worker, requests, "
           "retry_after_ms, detail, external_id, started_at, recorded_at, dns_us, connect_us, "
           "tls_us, first_byte_us, total_us, exchange FROM attempts "
           "WHERE account_id = $1 AND delivery_id = ANY ($2::uuid[]) "
           "ORDER BY delivery_id, attempt, recorded_at, outcome"};

int store_attempts(reader_t *reader, const plumb_uuid_t *account, const PGresult *deliveries,
                   PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    put_ids(reader->params, deliveries, DELIVERY_ID);
    return plumb_db_exec(reader->db, &select_attempts, reader->params, STATEMENT_MS, r, err);
}
