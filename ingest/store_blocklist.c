/* What ingest reads of the table blocklist. */
#include "store_blocklist.h"

#include "clock.h"
#include "log.h"

#define STATEMENT_MS 5000

static const plumb_stmt_t select_version = {
    .name = "ingest_blocklist_version",
    .params = 1,
    .sql = "SELECT count(*), (coalesce(extract(epoch FROM max(updated_at)), 0) * 1000000)::int8 "
           "FROM blocklist WHERE account_id = $1"};

/* Expiry as milliseconds from now, so that no clock of ours is asked. */
static const plumb_stmt_t select_entries = {
    .name = "ingest_blocklist",
    .params = 1,
    .sql = "SELECT kind::text, term, value, project_id, "
           "(extract(epoch FROM expires_at - now()) * 1000)::int8, "
           "(extract(epoch FROM updated_at) * 1000000)::int8 FROM blocklist WHERE account_id = $1"};

int store_blocklist_version(reader_t *reader, const plumb_uuid_t *account,
                            blocklist_version_t *version, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    int rc = plumb_db_exec(reader->db, &select_version, reader->params, STATEMENT_MS, &r, err);
    if (rc == 0)
        *version = (blocklist_version_t){plumb_get_int8(r, 0, 0), plumb_get_int8(r, 0, 1)};
    PQclear(r);
    return rc;
}

static void take_row(blocked_table_t *table, const PGresult *r, int row, int64_t now_ms)
{
    blocked_kind_t kind = blocked_kind_find(plumb_get_text(r, row, 0));
    plumb_uuid_t project = plumb_get_uuid(r, row, 3);
    int64_t until_ms = plumb_get_null(r, row, 4) ? INT64_MAX : now_ms + plumb_get_int8(r, row, 4);
    bool good = kind < BLOCKED_KINDS;
    if (good && !plumb_get_null(r, row, 1))
        blocked_add_term(table, kind, plumb_get_int8(r, row, 1), &project, until_ms);
    else if (good)
        good = blocked_add_text(table, kind, plumb_get_text(r, row, 2), plumb_get_length(r, row, 2),
                                &project, until_ms);
    if (!good)
        plumb_log_event(LOG_WARNING, "blocklist_entry_wrong", "kind=%s", plumb_get_text(r, row, 0));
}

int store_blocklist(reader_t *reader, const plumb_uuid_t *account, blocked_table_t *table,
                    blocklist_version_t *version, plumb_err_t *err)
{
    PGresult *r = NULL;
    *version = (blocklist_version_t){.rows = 0};
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    int rc = plumb_db_exec(reader->db, &select_entries, reader->params, STATEMENT_MS, &r, err);
    int rows = rc == 0 ? PQntuples(r) : 0;
    int64_t now_ms = plumb_mono_ms();
    if (!blocked_init(table, (size_t)rows))
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "blocklist");
    for (int i = 0; rc == 0 && i < rows; i++) {
        int64_t changed_us = plumb_get_int8(r, i, 5);
        take_row(table, r, i, now_ms);
        if (changed_us > version->changed_us)
            version->changed_us = changed_us;
    }
    version->rows = rows;
    blocked_sort(table);
    PQclear(r);
    return rc;
}
