/* Statements about accounts. */
#include "store_account.h"

#define STATEMENT_MS 5000

static int run(reader_t *reader, const plumb_stmt_t *stmt, PGresult **r, plumb_err_t *err)
{
    return plumb_db_exec(reader->db, stmt, reader->params, STATEMENT_MS, r, err);
}

static const plumb_stmt_t select_account = {
    .name = "api_account",
    .params = 1,
    .sql = "SELECT a.name, a.plan::text, coalesce(b.leads_left, 0), a.settings::text, a.created_at "
           "FROM accounts a LEFT JOIN balances b ON b.account_id = a.id WHERE a.id = $1"};

int store_account(reader_t *reader, const plumb_uuid_t *account, PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    return run(reader, &select_account, r, err);
}

/* With a plan of balances comes a balance: its row is what commits wait for. */
static const plumb_stmt_t update_account = {
    .name = "api_account_update",
    .params = 2,
    .sql =
        "WITH changed AS (UPDATE accounts t SET (name, plan, settings) = (SELECT r.name, r.plan, "
        "r.settings FROM json_populate_record(t, $2::json) r) WHERE t.id = $1 RETURNING t.*) "
        "INSERT INTO balances (account_id) SELECT id FROM changed WHERE plan = 'balance' "
        "ON CONFLICT DO NOTHING"};

int store_account_update(reader_t *reader, const plumb_uuid_t *account, const plumb_buf_t *columns,
                         plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_textn(reader->params, columns->data, columns->length);
    return run(reader, &update_account, NULL, err);
}

/* ---- top-ups ---- */

static const plumb_stmt_t insert_balance = {
    .name = "api_balance_make",
    .params = 1,
    .sql = "INSERT INTO balances (account_id) VALUES ($1) ON CONFLICT DO NOTHING"};

static const plumb_stmt_t lock_balance = {
    .name = "api_balance_lock",
    .params = 1,
    .sql = "SELECT leads_left FROM balances WHERE account_id = $1 FOR UPDATE"};

int store_balance_lock(reader_t *reader, const plumb_uuid_t *account, int64_t *leads_left,
                       plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    int rc = run(reader, &insert_balance, NULL, err);
    if (rc == 0)
        rc = run(reader, &lock_balance, &r, err);
    if (rc == 0)
        *leads_left = plumb_get_int8(r, 0, 0);
    PQclear(r);
    return rc;
}

static const plumb_stmt_t select_unpaid = {
    .name = "api_unpaid",
    .params = 2,
    .sql = "SELECT id FROM leads WHERE account_id = $1 AND NOT paid AND deleted_at IS NULL "
           "ORDER BY id LIMIT $2 FOR UPDATE"};

int store_unpaid(reader_t *reader, const plumb_uuid_t *account, int64_t limit, PGresult **r,
                 plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_int8(reader->params, limit);
    return run(reader, &select_unpaid, r, err);
}

static const plumb_stmt_t update_balance = {
    .name = "api_balance_set",
    .params = 2,
    .sql = "UPDATE balances SET leads_left = $2 WHERE account_id = $1"};

int store_balance_set(reader_t *reader, const plumb_uuid_t *account, int64_t leads_left,
                      plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_int8(reader->params, leads_left);
    return run(reader, &update_balance, NULL, err);
}

static const plumb_stmt_t insert_top_up = {
    .name = "api_top_up",
    .params = 5,
    .sql = "INSERT INTO top_ups (account_id, id, leads, reason, made_by) "
           "VALUES ($1, $2, $3, $4, $5)"};

int store_top_up(reader_t *reader, const plumb_uuid_t *account, const top_up_t *top_up,
                 plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_uuid(reader->params, &top_up->id);
    plumb_param_int8(reader->params, top_up->leads);
    plumb_param_textn(reader->params, top_up->reason.data, top_up->reason.length);
    plumb_param_text(reader->params, top_up->made_by);
    return run(reader, &insert_top_up, NULL, err);
}

static const plumb_stmt_t select_top_up = {
    .name = "api_top_up_get",
    .params = 2,
    .sql = "SELECT leads, reason, made_by, created_at FROM top_ups "
           "WHERE account_id = $1 AND id = $2"};

int store_top_up_get(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                     PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_uuid(reader->params, id);
    int rc = run(reader, &select_top_up, r, err);
    if (rc == 0 && PQntuples(*r) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such resource");
    return rc;
}
