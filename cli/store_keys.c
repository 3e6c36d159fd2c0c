/* Statements of `plumb keys` and `plumb leads`, each beside the function that
 * binds it. */
#include "store_keys.h"

#include <stdio.h>
#include <stdlib.h>

#define STATEMENT_MS 60000

static int run(plumb_db_t *db, const plumb_stmt_t *stmt, plumb_params_t *p, PGresult **r,
               plumb_err_t *err)
{
    if (p == NULL && stmt->params > 0)
        return plumb_err_set(err, PLUMB_E_MEMORY, "%s", stmt->name);
    int rc = plumb_db_exec(db, stmt, p, STATEMENT_MS, r, err);
    plumb_params_destroy(&p);
    return rc;
}

static plumb_params_t *of_uuid(const plumb_uuid_t *id)
{
    plumb_params_t *p = plumb_params_new();
    if (p != NULL)
        plumb_param_uuid(p, id);
    return p;
}

/* ---- looking ---- */

static const plumb_stmt_t select_versions = {
    .name = "cli_key_versions",
    .params = 2,
    .sql = "SELECT account_id, min(key_id), max(key_id) FROM account_keys "
           "WHERE $1::uuid IS NULL "
           "OR account_id = $1 GROUP BY account_id ORDER BY account_id DESC "
           "LIMIT $2"};

int store_key_versions(plumb_db_t *db, const plumb_uuid_t *account,
                       key_versions_t list[KEY_ROWS_MAX], size_t *count, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_t *p = of_uuid(plumb_uuid_is_nil(account) ? NULL : account);
    if (p != NULL)
        plumb_param_int8(p, KEY_ROWS_MAX);
    int rc = run(db, &select_versions, p, &r, err);
    *count = rc == 0 ? (size_t)PQntuples(r) : 0;
    for (size_t i = 0; i < *count; i++)
        list[i] = (key_versions_t){plumb_get_uuid(r, (int)i, 0), plumb_get_int4(r, (int)i, 1),
                                   plumb_get_int4(r, (int)i, 2)};
    PQclear(r);
    return rc;
}

static const plumb_stmt_t select_jobs = {
    .name = "cli_key_jobs",
    .params = 1,
    .sql = "SELECT account_id, coalesce(key_id, 0), pass, seen, expected, "
           "changed, unopened, "
           "finished_at IS NOT NULL, coalesce(note, '') FROM key_jobs WHERE "
           "finished_at IS NULL OR "
           "finished_at > now() - interval '1 hour' ORDER BY finished_at IS "
           "NOT NULL, id LIMIT $1"};

int store_key_jobs(plumb_db_t *db, key_job_t list[KEY_ROWS_MAX], size_t *count, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_t *p = plumb_params_new();
    if (p != NULL)
        plumb_param_int8(p, KEY_ROWS_MAX);
    int rc = run(db, &select_jobs, p, &r, err);
    *count = rc == 0 ? (size_t)PQntuples(r) : 0;
    for (int i = 0; i < (int)*count; i++) {
        list[i] = (key_job_t){.account = plumb_get_uuid(r, i, 0),
                              .key = plumb_get_int4(r, i, 1),
                              .pass = plumb_get_int4(r, i, 2),
                              .seen = plumb_get_int8(r, i, 3),
                              .expected = plumb_get_int8(r, i, 4),
                              .changed = plumb_get_int8(r, i, 5),
                              .unopened = plumb_get_int8(r, i, 6),
                              .finished = plumb_get_bool(r, i, 7)};
        snprintf(list[i].note, sizeof list[i].note, "%s", plumb_get_text(r, i, 8));
    }
    PQclear(r);
    return rc;
}

/* ---- asking ---- */

static const plumb_stmt_t insert_rotation = {
    .name = "cli_rotate",
    .params = 1,
    .sql = "WITH wanted AS (SELECT id FROM accounts WHERE $1::uuid IS NULL OR id "
           "= $1), "
           "asked AS (INSERT INTO key_jobs (account_id) SELECT id FROM wanted w "
           "WHERE EXISTS "
           "(SELECT FROM account_keys k WHERE k.account_id = w.id) "
           "ON CONFLICT DO NOTHING RETURNING 1) "
           "SELECT (SELECT count(*) FROM asked), (SELECT count(*) FROM wanted)"};

int store_rotate(plumb_db_t *db, const plumb_uuid_t *account, int64_t *asked, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = run(db, &insert_rotation, of_uuid(account), &r, err);
    if (rc == 0) {
        *asked = plumb_get_int8(r, 0, 0);
        if (plumb_get_int8(r, 0, 1) == 0)
            rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such account");
    }
    PQclear(r);
    return rc;
}

static const plumb_stmt_t insert_master = {
    .name = "cli_rotate_master",
    .params = 1,
    .sql = "INSERT INTO key_jobs (key_id) VALUES ($1) ON CONFLICT DO NOTHING"};

int store_rotate_master(plumb_db_t *db, uint32_t master, int64_t *asked, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_t *p = plumb_params_new();
    if (p != NULL)
        plumb_param_int4(p, (int32_t)master);
    int rc = run(db, &insert_master, p, &r, err);
    if (rc == 0)
        *asked = strtol(PQcmdTuples(r), NULL, 10);
    PQclear(r);
    return rc;
}

/* ---- leads ---- */

/* Each account's key is asked, since none begins with the lead's id. */
static const plumb_stmt_t find_lead = {
    .name = "cli_find_lead",
    .params = 1,
    .sql = "SELECT l.account_id, l.erased_at IS NOT NULL FROM accounts a CROSS "
           "JOIN LATERAL "
           "(SELECT account_id, erased_at FROM leads WHERE account_id = a.id "
           "AND id = $1 OFFSET 0) "
           "l LIMIT 1"};

int store_find_lead(plumb_db_t *db, const plumb_uuid_t *lead, plumb_uuid_t *account, bool *erased,
                    plumb_err_t *err)
{
    PGresult *r = NULL;
    char text[PLUMB_UUID_TEXT];
    int rc = run(db, &find_lead, of_uuid(lead), &r, err);
    if (rc == 0 && PQntuples(r) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no lead %s",
                           plumb_uuid_text(lead, text));
    if (rc == 0) {
        *account = plumb_get_uuid(r, 0, 0);
        *erased = plumb_get_bool(r, 0, 1);
    }
    PQclear(r);
    return rc;
}

static const plumb_stmt_t erase_lead = {
    .name = "cli_erase_lead",
    .params = 2,
    .sql = "SELECT count(*) FROM plumb_erase_leads($1, ARRAY[$2::uuid], 'plumb')"};

int store_erase_lead(plumb_db_t *db, const plumb_uuid_t *account, const plumb_uuid_t *lead,
                     bool *erased, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_t *p = of_uuid(account);
    if (p != NULL)
        plumb_param_uuid(p, lead);
    int rc = run(db, &erase_lead, p, &r, err);
    *erased = rc == 0 && plumb_get_int8(r, 0, 0) == 1;
    PQclear(r);
    return rc;
}
