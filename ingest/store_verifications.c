/* SQL of phone verifications. */
#include "store_verifications.h"

#include <string.h>

#define STATEMENT_MS 5000

/* ---- a new code ---- */

/* Codes are counted and made one at a time, so that none slips in between. */
static const plumb_stmt_t lock_account = {
    .name = "ingest_verification_lock",
    .params = 1,
    .sql = "SELECT pg_advisory_xact_lock(hashtextextended('phone_verifications ' || $1::text, 0))"};

static const plumb_stmt_t select_sender = {
    .name = "ingest_verification_sender",
    .params = 1,
    .sql = "SELECT c.id FROM accounts a JOIN credentials c ON c.account_id = a.id "
           "AND c.id::text = a.settings->>'verificationCredentialId' AND c.enabled "
           "WHERE a.id = $1"};

/* The third newest of the hour, if there is one, says when the next may be made. */
static const plumb_stmt_t insert_verification = {
    .name = "ingest_verification",
    .params = 9,
    .sql = "WITH third AS (SELECT max(created_at) AS at FROM ("
           "(SELECT created_at FROM phone_verifications WHERE account_id = $1 AND phone_term = $3 "
           "AND created_at > now() - interval '1 hour' ORDER BY created_at DESC OFFSET 2 LIMIT 1) "
           "UNION ALL "
           "(SELECT created_at FROM phone_verifications WHERE account_id = $1 AND client = $5 "
           "AND created_at > now() - interval '1 hour' ORDER BY created_at DESC OFFSET 2 LIMIT 1)"
           ") t), "
           "made AS (INSERT INTO phone_verifications (account_id, id, phone_term, sealed, client, "
           "code_hash, credential_id, expires_at) "
           "SELECT $1, $2, $3, $4, $5, $6, $7, now() + interval '10 minutes' FROM third "
           "WHERE at IS NULL RETURNING created_at, expires_at), "
           "told AS (INSERT INTO events (account_id, id, kind, credential_id, data) "
           "SELECT $1, $8, 'verification.code', $7, jsonb_build_object('verificationId', $2::uuid, "
           "'sealed', translate(encode($9, 'base64'), E'\\n', '')) FROM made) "
           "SELECT made.created_at, made.expires_at, "
           "(extract(epoch FROM third.at + interval '1 hour' - now()) * 1000)::int8 "
           "FROM third LEFT JOIN made ON true"};

static int find_sender(reader_t *reader, const plumb_uuid_t *account, plumb_uuid_t *credential,
                       plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    int rc = plumb_db_exec(reader->db, &select_sender, reader->params, STATEMENT_MS, &r, err);
    if (rc == 0 && PQntuples(r) != 1)
        rc = plumb_err_set(err, PLUMB_E_CONFLICT,
                           "the account has chosen no credential that sends codes");
    else if (rc == 0)
        *credential = plumb_get_uuid(r, 0, 0);
    PQclear(r);
    return rc;
}

static int lock(reader_t *reader, const plumb_uuid_t *account, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    return plumb_db_exec(reader->db, &lock_account, reader->params, STATEMENT_MS, NULL, err);
}

static int insert(reader_t *reader, const verification_new_t *v, const plumb_uuid_t *credential,
                  verification_times_t *times, int64_t *retry_ms, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_t *p = reader->params;
    plumb_params_clear(p);
    plumb_param_uuid(p, &v->account);
    plumb_param_uuid(p, &v->id);
    plumb_param_int8(p, v->phone_term);
    plumb_param_bytes(p, v->phone->data, v->phone->length);
    plumb_param_bytes(p, v->client, sizeof v->client);
    plumb_param_bytes(p, v->code_hash, sizeof v->code_hash);
    plumb_param_uuid(p, credential);
    plumb_param_uuid(p, &v->event);
    plumb_param_bytes(p, v->code->data, v->code->length);
    int rc = plumb_db_exec(reader->db, &insert_verification, p, STATEMENT_MS, &r, err);
    if (rc == 0) {
        *times = (verification_times_t){plumb_get_time(r, 0, 0), plumb_get_time(r, 0, 1), 0};
        *retry_ms = 0;
        if (plumb_get_null(r, 0, 0)) {
            int64_t wait_ms = plumb_get_int8(r, 0, 2);
            *retry_ms = wait_ms > 0 ? wait_ms : 1;
        }
    }
    PQclear(r);
    return rc;
}

int store_verification(reader_t *reader, const verification_new_t *verification,
                       verification_times_t *times, int64_t *retry_ms, plumb_err_t *err)
{
    plumb_uuid_t credential;
    int rc = find_sender(reader, &verification->account, &credential, err);
    if (rc == 0)
        rc = plumb_db_begin(reader->db, STATEMENT_MS, err);
    if (rc < 0)
        return rc;
    rc = lock(reader, &verification->account, err);
    if (rc == 0)
        rc = insert(reader, verification, &credential, times, retry_ms, err);
    if (rc == 0)
        return plumb_db_commit(reader->db, STATEMENT_MS, err);
    plumb_db_rollback(reader->db);
    return rc;
}

/* ---- confirming ---- */

/* The try is spent before the code is looked at, so that no two are made of one. */
static const plumb_stmt_t spend_try = {
    .name = "ingest_verification_try",
    .params = 2,
    .sql = "UPDATE phone_verifications SET tries = tries + 1 WHERE account_id = $1 AND id = $2 "
           "AND tries < 5 AND expires_at > now() RETURNING code_hash"};

static const plumb_stmt_t confirm = {
    .name = "ingest_verification_confirm",
    .params = 2,
    .sql = "UPDATE phone_verifications SET confirmed_at = coalesce(confirmed_at, now()) "
           "WHERE account_id = $1 AND id = $2 RETURNING created_at, expires_at, confirmed_at"};

static const plumb_stmt_t select_times = {
    .name = "ingest_verification_times",
    .params = 2,
    .sql = "SELECT created_at, expires_at, confirmed_at FROM phone_verifications "
           "WHERE account_id = $1 AND id = $2"};

static const plumb_stmt_t select_of_phone = {
    .name = "ingest_verification_of_phone",
    .params = 2,
    .sql = "SELECT id FROM phone_verifications WHERE account_id = $1 AND phone_term = $2 "
           "AND confirmed_at > now() - interval '30 days' ORDER BY confirmed_at DESC LIMIT 1"};

static int run(reader_t *reader, const plumb_stmt_t *stmt, const plumb_uuid_t *account,
               const plumb_uuid_t *id, PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_uuid(reader->params, id);
    return plumb_db_exec(reader->db, stmt, reader->params, STATEMENT_MS, r, err);
}

static int run_for_times(reader_t *reader, const plumb_stmt_t *stmt, const plumb_uuid_t *account,
                         const plumb_uuid_t *id, verification_times_t *times, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = run(reader, stmt, account, id, &r, err);
    if (rc == 0 && PQntuples(r) == 1)
        *times = (verification_times_t){plumb_get_time(r, 0, 0), plumb_get_time(r, 0, 1),
                                        plumb_get_time(r, 0, 2)};
    else if (rc == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is nothing here");
    PQclear(r);
    return rc;
}

int store_verification_try(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                           uint8_t hash[VERIFICATION_HASH], plumb_err_t *err)
{
    PGresult *r = NULL;
    verification_times_t times;
    int rc = run(reader, &spend_try, account, id, &r, err);
    bool spent = rc == 0 && PQntuples(r) == 1 && plumb_get_length(r, 0, 0) == VERIFICATION_HASH;
    if (spent)
        memcpy(hash, plumb_get_text(r, 0, 0), VERIFICATION_HASH);
    PQclear(r);
    if (rc == 0 && !spent)
        rc = store_verification_times(reader, account, id, &times, err);
    if (rc == 0 && !spent)
        rc = plumb_err_set(err, PLUMB_E_INVALID, "no try is left");
    return rc;
}

int store_verification_confirm(reader_t *reader, const plumb_uuid_t *account,
                               const plumb_uuid_t *id, verification_times_t *times,
                               plumb_err_t *err)
{
    return run_for_times(reader, &confirm, account, id, times, err);
}

int store_verification_times(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *id,
                             verification_times_t *times, plumb_err_t *err)
{
    return run_for_times(reader, &select_times, account, id, times, err);
}

int store_verification_of(reader_t *reader, const plumb_uuid_t *account, int64_t phone_term,
                          plumb_uuid_t *id, plumb_err_t *err)
{
    PGresult *r = NULL;
    *id = (plumb_uuid_t){{0}};
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_int8(reader->params, phone_term);
    int rc = plumb_db_exec(reader->db, &select_of_phone, reader->params, STATEMENT_MS, &r, err);
    if (rc == 0 && PQntuples(r) == 1)
        *id = plumb_get_uuid(r, 0, 0);
    PQclear(r);
    return rc;
}
