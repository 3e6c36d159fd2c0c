/* SQL of changing keys.  Bytes 2 to 5 of a frame are the id of its key, big endian (lib/seal.h). */
#include "store_keys.h"

#include "count.h"
#include "store_bind.h"

#include <stdlib.h>

/* ---- jobs ---- */

static const plumb_stmt_t select_job = {
    .name = "tracker_key_job",
    .params = 0,
    .sql = "SELECT j.id, j.account_id, coalesce(j.key_id, 0), j.pass, j.place, j.at_id, j.at_key, "
           "j.expected, j.seen, j.older, j.unopened, j.changed, coalesce((extract(epoch FROM "
           "j.pass_began_at - k.created_at) * 1000)::bigint, -1) FROM key_jobs j "
           "LEFT JOIN account_keys k ON k.account_id = j.account_id AND k.key_id = j.key_id "
           "WHERE j.finished_at IS NULL AND j.next_at <= now() ORDER BY j.next_at LIMIT 1 "
           "FOR NO KEY UPDATE OF j SKIP LOCKED"};

int store_key_job(store_t *s, key_job_t *job, bool *found, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = store_run(s, &select_job, &r, err);
    *found = rc == 0 && PQntuples(r) == 1;
    if (*found)
        *job = (key_job_t){.id = plumb_get_uuid(r, 0, 0),
                           .account = plumb_get_uuid(r, 0, 1),
                           .key = plumb_get_int4(r, 0, 2),
                           .pass = plumb_get_int4(r, 0, 3),
                           .place = plumb_get_int4(r, 0, 4),
                           .at_id = plumb_get_uuid(r, 0, 5),
                           .at_key = plumb_get_int4(r, 0, 6),
                           .expected = plumb_get_int8(r, 0, 7),
                           .seen = plumb_get_int8(r, 0, 8),
                           .older = plumb_get_int8(r, 0, 9),
                           .unopened = plumb_get_int8(r, 0, 10),
                           .changed = plumb_get_int8(r, 0, 11),
                           .pass_age_ms = plumb_get_int8(r, 0, 12)};
    PQclear(r);
    return rc;
}

static const plumb_stmt_t write_job = {
    .name = "tracker_write_key_job",
    .params = 15,
    .sql = "UPDATE key_jobs SET key_id = nullif($2, 0), pass = $3, place = $4, at_id = $5, at_key "
           "= $6, "
           "expected = $7, seen = $8, older = $9, unopened = $10, changed = $11, note = $12, "
           "next_at = now() + $13 * interval '1 millisecond', pass_began_at = CASE WHEN $14 THEN "
           "now() ELSE pass_began_at END, finished_at = CASE WHEN $15 THEN now() END, "
           "updated_at = now() WHERE id = $1"};

int store_write_key_job(store_t *s, const key_job_t *job, plumb_err_t *err)
{
    plumb_params_t *p = s->p;
    plumb_params_clear(p);
    plumb_param_uuid(p, &job->id);
    plumb_param_int4(p, job->key);
    plumb_param_int4(p, job->pass);
    plumb_param_int4(p, job->place);
    plumb_param_uuid(p, &job->at_id);
    plumb_param_int4(p, job->at_key);
    plumb_param_int8(p, job->expected);
    plumb_param_int8(p, job->seen);
    plumb_param_int8(p, job->older);
    plumb_param_int8(p, job->unopened);
    plumb_param_int8(p, job->changed);
    plumb_param_text(p, job->note);
    plumb_param_int8(p, job->wait_ms);
    plumb_param_bool(p, job->begins);
    plumb_param_bool(p, job->finished);
    return store_run(s, &write_job, NULL, err);
}

/* ---- versions ---- */

static const plumb_stmt_t next_key = {
    .name = "tracker_next_key",
    .params = 1,
    .sql = "SELECT coalesce(max(key_id), 0) + 1, (SELECT coalesce(sum(leads), 0)::bigint FROM "
           "lead_totals WHERE account_id = $1) FROM account_keys WHERE account_id = $1"};

int store_next_key(store_t *s, const plumb_uuid_t *account, int32_t *key, int64_t *expected,
                   plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, account);
    int rc = store_run(s, &next_key, &r, err);
    if (rc == 0) {
        *key = plumb_get_int4(r, 0, 0);
        *expected = plumb_get_int8(r, 0, 1);
    }
    PQclear(r);
    return rc;
}

static const plumb_stmt_t add_key = {
    .name = "tracker_add_key",
    .params = 3,
    .sql = "INSERT INTO account_keys (account_id, key_id, wrapped) VALUES ($1, $2, $3)"};

int store_add_key(store_t *s, const plumb_uuid_t *account, int32_t key, const plumb_buf_t *wrapped,
                  plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, account);
    plumb_param_int4(s->p, key);
    plumb_param_bytes(s->p, wrapped->data, wrapped->length);
    return store_run(s, &add_key, NULL, err);
}

static const plumb_stmt_t remove_keys = {
    .name = "tracker_remove_keys",
    .params = 2,
    .sql = "DELETE FROM account_keys WHERE account_id = $1 AND key_id < $2"};

int store_remove_keys(store_t *s, const plumb_uuid_t *account, int32_t key, size_t *removed,
                      plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, account);
    plumb_param_int4(s->p, key);
    return store_count(s, &remove_keys, removed, err);
}

/* ---- what an account has sealed ---- */

#define SEALED(table, column, purpose_, part_)                                                     \
    {                                                                                              \
        .purpose = (purpose_), .part = (part_),                                                    \
        .page = {.name = "tracker_sealed_" table,                                                  \
                 .params = 4,                                                                      \
                 .sql = "WITH page AS MATERIALIZED (SELECT id, " column " AS frame FROM " table    \
                        " WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3) SELECT id, "     \
                        "CASE WHEN substring(frame FROM 2 FOR 4) <> int4send($4) THEN frame END "  \
                        "FROM page ORDER BY id"},                                                  \
        .write = {.name = "tracker_reseal_" table,                                                 \
                  .params = 4,                                                                     \
                  .sql = "UPDATE " table " t SET " column " = g.fresh FROM unnest($2::uuid[], "    \
                         "$3::bytea[], $4::bytea[]) AS g(id, old, fresh) WHERE t.account_id = $1 " \
                         "AND t.id = g.id AND t." column " = g.old"},                              \
    }

const sealed_column_t sealed_columns[] = {
    SEALED("leads", "sealed_key", "lead", "key"),
    SEALED("credentials", "sealed", "credential", "fields"),
    SEALED("quizzes", "intake_secret", "quiz", "intake_secret"),
    SEALED("blocklist", "sealed", "blocklist", "sealed"),
    SEALED("phone_verifications", "sealed", "phone-verification", "phone"),
};
const size_t sealed_column_count = PLUMB_COUNT(sealed_columns);

int store_sealed_page(store_t *s, const sealed_column_t *column, const key_job_t *job, int limit,
                      PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, &job->account);
    plumb_param_uuid(s->p, &job->at_id);
    plumb_param_int8(s->p, limit);
    plumb_param_int4(s->p, job->key);
    return store_run(s, &column->page, r, err);
}

/* Two arrays: the frames of the page, and those that take their places. */
static void bind_frames(plumb_params_t *p, const PGresult *page, int column,
                        const fresh_frame_t *list, size_t count, const plumb_buf_t *frames)
{
    plumb_array_begin(p, PLUMB_ARRAY_BYTES);
    for (size_t i = 0; i < count; i++)
        plumb_item_bytes(p, plumb_get_text(page, list[i].row, column),
                         plumb_get_length(page, list[i].row, column));
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_BYTES);
    for (size_t i = 0; i < count; i++)
        plumb_item_bytes(p, frames->data + list[i].begin, list[i].end - list[i].begin);
    plumb_array_end(p);
}

static void bind_ids(plumb_params_t *p, const PGresult *page, int column, const fresh_frame_t *list,
                     size_t count)
{
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++) {
        plumb_uuid_t id = plumb_get_uuid(page, list[i].row, column);
        plumb_item_uuid(p, &id);
    }
    plumb_array_end(p);
}

int store_write_sealed(store_t *s, const sealed_column_t *column, const plumb_uuid_t *account,
                       const PGresult *page, const fresh_frame_t *list, size_t count,
                       const plumb_buf_t *frames, size_t *written, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, account);
    bind_ids(s->p, page, PAGE_ID, list, count);
    bind_frames(s->p, page, PAGE_FRAME, list, count, frames);
    return store_count(s, &column->write, written, err);
}

/* ---- the keys of accounts ---- */

static const struct {
    plumb_stmt_t page, write;
} wrapped_tables[WRAPPED_TABLES] = {
    [WRAPPED_ACCOUNT_KEYS] =
        {{.name = "tracker_wrapped_keys",
          .params = 4,
          .sql = "WITH page AS MATERIALIZED (SELECT account_id, key_id, wrapped FROM account_keys "
                 "WHERE (account_id, key_id) > ($1, $2) ORDER BY account_id, key_id LIMIT $3) "
                 "SELECT account_id, key_id, CASE WHEN substring(wrapped FROM 2 FOR 4) <> "
                 "int4send($4) THEN wrapped END FROM page ORDER BY account_id, key_id"},
         {.name = "tracker_rewrap_keys",
          .params = 4,
          .sql = "UPDATE account_keys k SET wrapped = g.fresh FROM unnest($1::uuid[], $2::int[], "
                 "$3::bytea[], $4::bytea[]) AS g(account, version, old, fresh) WHERE k.account_id "
                 "= g.account AND k.key_id = g.version AND k.wrapped = g.old"}},
    [WRAPPED_INDEX_KEYS] =
        {{.name = "tracker_wrapped_index_keys",
          .params = 4,
          .sql = "WITH page AS MATERIALIZED (SELECT account_id, wrapped FROM account_index_keys "
                 "WHERE account_id > $1 AND $2 >= 0 ORDER BY account_id LIMIT $3) "
                 "SELECT account_id, 0, CASE WHEN substring(wrapped FROM 2 FOR 4) <> int4send($4) "
                 "THEN wrapped END FROM page ORDER BY account_id"},
         {.name = "tracker_rewrap_index_keys",
          .params = 4,
          .sql = "UPDATE account_index_keys k SET wrapped = g.fresh FROM unnest($1::uuid[], "
                 "$2::int[], $3::bytea[], $4::bytea[]) AS g(account, version, old, fresh) WHERE "
                 "k.account_id = g.account AND k.wrapped = g.old"}},
};

int store_wrapped_page(store_t *s, wrapped_table_t table, const key_job_t *job, uint32_t master,
                       int limit, PGresult **r, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    plumb_param_uuid(s->p, &job->at_id);
    plumb_param_int4(s->p, job->at_key);
    plumb_param_int8(s->p, limit);
    plumb_param_int4(s->p, (int32_t)master);
    return store_run(s, &wrapped_tables[table].page, r, err);
}

int store_write_wrapped(store_t *s, wrapped_table_t table, const PGresult *page,
                        const fresh_frame_t *list, size_t count, const plumb_buf_t *frames,
                        size_t *written, plumb_err_t *err)
{
    plumb_params_clear(s->p);
    bind_ids(s->p, page, WRAPPED_ACCOUNT, list, count);
    plumb_array_begin(s->p, PLUMB_ARRAY_INT4);
    for (size_t i = 0; i < count; i++)
        plumb_item_int4(s->p, plumb_get_int4(page, list[i].row, WRAPPED_VERSION));
    plumb_array_end(s->p);
    bind_frames(s->p, page, WRAPPED_FRAME, list, count, frames);
    return store_count(s, &wrapped_tables[table].write, written, err);
}
