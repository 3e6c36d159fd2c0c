/* Statements of the command, each beside the function that binds it. */
#include "store.h"

#include "credential.h"

#include <string.h>

#define STATEMENT_MS 10000

static int run(plumb_db_t *db, const plumb_stmt_t *stmt, plumb_params_t *p, plumb_err_t *err)
{
    if (p == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "%s", stmt->name);
    int rc = plumb_db_exec(db, stmt, p, STATEMENT_MS, NULL, err);
    plumb_params_destroy(&p);
    return rc;
}

int store_begin(plumb_db_t *db, plumb_err_t *err)
{
    return plumb_db_begin(db, STATEMENT_MS, err);
}

int store_end(plumb_db_t *db, int rc, plumb_err_t *err)
{
    if (rc == 0)
        rc = plumb_db_commit(db, STATEMENT_MS, err);
    if (rc < 0)
        plumb_db_rollback(db);
    return rc;
}

/* ---- who owns it ---- */

static const plumb_stmt_t insert_account = {
    .name = "cli_insert_account",
    .params = 1,
    .sql = "INSERT INTO accounts (id, name) VALUES ($1, 'Demo') ON CONFLICT DO NOTHING"};

static const plumb_stmt_t has_key = {
    .name = "cli_has_key",
    .params = 1,
    .sql = "SELECT EXISTS (SELECT FROM account_keys WHERE account_id = $1)"};

static const plumb_stmt_t insert_user = {
    .name = "cli_insert_user",
    .params = 2,
    .sql = "INSERT INTO users (account_id, id, name) VALUES ($1, $2, 'Demo') "
           "ON CONFLICT DO NOTHING"};

static const plumb_stmt_t insert_project = {
    .name = "cli_insert_project",
    .params = 3,
    .sql = "INSERT INTO projects (account_id, id, user_id, name) VALUES ($1, $2, $3, 'Demo') "
           "ON CONFLICT DO NOTHING"};

static const plumb_stmt_t insert_quiz = {
    .name = "cli_insert_quiz",
    .params = 3,
    .sql = "INSERT INTO quizzes (account_id, id, project_id, name) VALUES ($1, $2, $3, 'Demo') "
           "ON CONFLICT DO NOTHING"};

/* $1, $2, … are these ids. */
static int run_ids(plumb_db_t *db, const plumb_stmt_t *stmt, const plumb_uuid_t *const ids[],
                   plumb_err_t *err)
{
    plumb_params_t *p = plumb_params_new();
    for (int i = 0; p != NULL && i < stmt->params; i++)
        plumb_param_uuid(p, ids[i]);
    return run(db, stmt, p, err);
}

static int ensure_key(plumb_db_t *db, plumb_vault_t *vault, const demo_t *demo, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_t *p = plumb_params_new();
    if (p == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "look for the account's key");
    plumb_param_uuid(p, &demo->account);
    int rc = plumb_db_exec(db, &has_key, p, STATEMENT_MS, &r, err);
    plumb_params_destroy(&p);
    bool there = rc == 0 && plumb_get_bool(r, 0, 0);
    PQclear(r);
    return rc < 0 || there ? rc : plumb_vault_create(vault, db, &demo->account, err);
}

int store_owner(plumb_db_t *db, plumb_vault_t *vault, const demo_t *demo, plumb_err_t *err)
{
    const plumb_uuid_t *account = &demo->account;
    int rc = run_ids(db, &insert_account, (const plumb_uuid_t *[]){account}, err);
    if (rc == 0)
        rc = ensure_key(db, vault, demo, err);
    if (rc == 0)
        rc = run_ids(db, &insert_user, (const plumb_uuid_t *[]){account, &demo->user}, err);
    if (rc == 0)
        rc = run_ids(db, &insert_project,
                     (const plumb_uuid_t *[]){account, &demo->project, &demo->user}, err);
    if (rc == 0)
        rc = run_ids(db, &insert_quiz,
                     (const plumb_uuid_t *[]){account, &demo->quiz, &demo->project}, err);
    return rc;
}

/* ---- token ---- */

/* A new hash where the row is there: the master key may be another one. */
static const plumb_stmt_t upsert_token = {
    .name = "cli_upsert_token",
    .params = 4,
    .sql = "INSERT INTO tokens (id, account_id, name, key_id, hash, scopes) "
           "VALUES ($1, $2, 'Demo', $3, $4, '{read,write,operate,admin}') "
           "ON CONFLICT (id) DO UPDATE SET key_id = EXCLUDED.key_id, hash = EXCLUDED.hash "
           "WHERE tokens.account_id = EXCLUDED.account_id"};

int store_token(plumb_db_t *db, const demo_t *demo, const store_token_t *token, plumb_err_t *err)
{
    plumb_params_t *p = plumb_params_new();
    if (p != NULL) {
        plumb_param_text(p, token->id);
        plumb_param_uuid(p, &demo->account);
        plumb_param_int4(p, (int32_t)token->key_id);
        plumb_param_bytes(p, token->hash, sizeof token->hash);
    }
    return run(db, &upsert_token, p, err);
}

/* ---- credential ---- */

static const plumb_stmt_t upsert_credential = {
    .name = "cli_upsert_credential",
    .params = 4,
    .sql = "INSERT INTO credentials AS c (account_id, id, channel, name, sealed) "
           "VALUES ($1, $2, 'webhooks', 'Demo receiver', $3) "
           "ON CONFLICT (account_id, id) DO UPDATE SET sealed = EXCLUDED.sealed, "
           "version = c.version + 1 WHERE $4"};

static const plumb_stmt_t insert_link = {
    .name = "cli_insert_link",
    .params = 4,
    .sql = "INSERT INTO credential_links (account_id, id, credential_id, project_id) "
           "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"};

static int upsert(plumb_db_t *db, const demo_t *demo, const plumb_buf_t *sealed, bool changed,
                  plumb_err_t *err)
{
    plumb_params_t *p = plumb_params_new();
    if (p != NULL) {
        plumb_param_uuid(p, &demo->account);
        plumb_param_uuid(p, &demo->credential);
        plumb_param_bytes(p, sealed->data, sealed->length);
        plumb_param_bool(p, changed);
    }
    return run(db, &upsert_credential, p, err);
}

int store_credential(plumb_db_t *db, plumb_vault_t *vault, const demo_t *demo, const char *fields,
                     bool changed, plumb_err_t *err)
{
    plumb_buf_t sealed = {0};
    int rc = plumb_credential_seal(&sealed, vault, db, &demo->account, &demo->credential, fields,
                                   strlen(fields), err);
    if (rc == 0)
        rc = upsert(db, demo, &sealed, changed, err);
    if (rc == 0)
        rc = run_ids(db, &insert_link,
                     (const plumb_uuid_t *[]){&demo->account, &demo->link, &demo->credential,
                                              &demo->project},
                     err);
    plumb_buf_fini(&sealed);
    return rc;
}

/* ---- queues ---- */

static const plumb_stmt_t select_queues = {
    .name = "cli_queues",
    .params = 0,
    .sql = "SELECT 'integration-' || code FROM channels ORDER BY code"};

int store_queues(plumb_db_t *db, json_t *names, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = plumb_db_exec(db, &select_queues, NULL, STATEMENT_MS, &r, err);
    for (int i = 0; rc == 0 && i < PQntuples(r); i++)
        json_object_set_new(names, plumb_get_text(r, i, 0), json_true());
    PQclear(r);
    return rc;
}
