/* Rows of any type are written from one JSON object: PostgreSQL reads each value as its column's
 * type, so that text of the statements depends on the tables alone. */
#include "store_change.h"

#include "count.h"

#include <stdio.h>
#include <string.h>

#define STATEMENT_MS 5000

/* Columns that are no attributes, or no attribute that may be given. */
static const char *const extra_columns[API_TYPES] = {
    [API_QUIZZES] = "intake_key",
    [API_TOKENS] = "id, key_id, hash",
    [API_BLOCKLIST] = "term, sealed, value, created_by",
};

/* Append "<prefix><column>" of every attribute that `verb` may write, joined by commas. */
static void put_columns(plumb_buf_t *sql, const api_type_t *type, unsigned verb, const char *prefix)
{
    const char *comma = "";
    for (size_t i = 0; i < type->attr_count; i++) {
        const plumb_attr_t *attr = &type->attrs[i];
        if ((attr->flags & verb) == 0 || (attr->flags & PLUMB_ATTR_SEALED) != 0)
            continue;
        plumb_buf_printf(sql, "%s%s%s", comma, prefix, attr->column);
        comma = ", ";
    }
}

/* "WHERE …": $1 account, $2 id, $3 project or NULL. */
static void put_target(plumb_buf_t *sql, const api_type_t *type)
{
    plumb_buf_printf(sql, " WHERE t.account_id = $1 AND t.%s = $2", type->id);
    if (type->deleted != NULL)
        plumb_buf_printf(sql, " AND t.%s IS NULL", type->deleted);
    if (type->project != NULL)
        plumb_buf_printf(sql, " AND ($3::uuid IS NULL OR t.%s = $3)", type->project);
    else
        plumb_buf_text(sql, " AND $3::uuid IS NULL");
}

static const char *touch(const api_type_t *type)
{
    return (type->flags & API_VERSIONED) == 0
               ? ""
               : "version = t.version + 1, "
                 "updated_at = greatest(now(), t.updated_at + interval '1 ms'), ";
}

static void write_insert(plumb_buf_t *sql, const api_type_t *type)
{
    const char *extra = extra_columns[type->kind];
    plumb_buf_printf(sql, "INSERT INTO %s (account_id, %s%s%s, ", type->table,
                     type->kind == API_TOKENS ? "uuid" : "id", extra != NULL ? ", " : "",
                     extra != NULL ? extra : "");
    put_columns(sql, type, PLUMB_ATTR_CREATE, "");
    plumb_buf_printf(sql, ") SELECT $1, $2%s%s, ", extra != NULL ? ", " : "",
                     extra != NULL ? extra : "");
    put_columns(sql, type, PLUMB_ATTR_CREATE, "r.");
    plumb_buf_printf(sql,
                     " FROM json_populate_record(NULL::%s, $3::json) r ON CONFLICT DO NOTHING "
                     "RETURNING account_id",
                     type->table);
}

static void write_update(plumb_buf_t *sql, const api_type_t *type)
{
    plumb_buf_printf(sql, "UPDATE %s t SET %s(", type->table, touch(type));
    put_columns(sql, type, PLUMB_ATTR_UPDATE, "");
    plumb_buf_text(sql, ") = (SELECT ");
    put_columns(sql, type, PLUMB_ATTR_UPDATE, "r.");
    plumb_buf_text(sql, " FROM json_populate_record(t, $4::json) r)");
    put_target(sql, type);
}

static void write_remove(plumb_buf_t *sql, const api_type_t *type)
{
    if (type->deleted == NULL)
        plumb_buf_printf(sql, "DELETE FROM %s t", type->table);
    else
        plumb_buf_printf(sql, "UPDATE %s t SET %s%s%s = now()", type->table, touch(type),
                         api_attr_find(type, "active", 6) >= 0 ? "active = false, " : "",
                         type->deleted);
    put_target(sql, type);
}

static bool is_changeable(const api_type_t *type)
{
    return type->path != NULL && type->write_scopes != 0 && type->kind != API_LEADS;
}

static plumb_stmt_t statement(change_stmts_t *s, int number, const char *verb,
                              const api_type_t *type, const plumb_buf_t *sql, int params)
{
    snprintf(s->names[number], sizeof s->names[number], "api_%s_%s", verb, type->table);
    return (plumb_stmt_t){.name = s->names[number], .sql = sql->data, .params = params};
}

static bool prepare(change_stmts_t *s, const api_type_t *type)
{
    plumb_buf_printf(&s->lock_sql, "SELECT %s FROM %s t",
                     (type->flags & API_VERSIONED) != 0 ? "t.version" : "0", type->table);
    put_target(&s->lock_sql, type);
    plumb_buf_text(&s->lock_sql, " FOR UPDATE");
    write_insert(&s->insert_sql, type);
    write_update(&s->update_sql, type);
    write_remove(&s->remove_sql, type);
    s->lock = statement(s, 0, "lock", type, &s->lock_sql, 3);
    s->insert = statement(s, 1, "insert", type, &s->insert_sql, 3);
    s->update = statement(s, 2, "update", type, &s->update_sql, 4);
    s->remove = statement(s, 3, "remove", type, &s->remove_sql, 3);
    return !s->lock_sql.failed && !s->insert_sql.failed && !s->update_sql.failed &&
           !s->remove_sql.failed;
}

void change_store_fini(change_store_t *store)
{
    for (size_t i = 0; i < API_TYPES; i++) {
        plumb_buf_fini(&store->types[i].lock_sql);
        plumb_buf_fini(&store->types[i].insert_sql);
        plumb_buf_fini(&store->types[i].update_sql);
        plumb_buf_fini(&store->types[i].remove_sql);
    }
    change_store_fini_leads(store);
}

int change_store_init(change_store_t *store, plumb_err_t *err)
{
    *store = (change_store_t){.lock_lead = {.name = NULL}};
    bool good = change_store_init_leads(store);
    for (size_t i = 0; i < API_TYPES; i++)
        if (is_changeable(&api_types[i]))
            good = prepare(&store->types[i], &api_types[i]) && good;
    return good ? 0 : plumb_err_set(err, PLUMB_E_MEMORY, "statements");
}

/* ---- running ---- */

static const plumb_uuid_t *or_null(const plumb_uuid_t *id)
{
    return plumb_uuid_is_nil(id) ? NULL : id;
}

static void bind_target(reader_t *reader, const change_target_t *target)
{
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &target->account);
    plumb_param_uuid(reader->params, &target->id);
    plumb_param_uuid(reader->params, or_null(&target->project));
}

int store_change_lock(const change_store_t *store, reader_t *reader, const change_target_t *target,
                      int64_t *version, plumb_err_t *err)
{
    PGresult *r = NULL;
    bind_target(reader, target);
    int rc = plumb_db_exec(reader->db, &store->types[target->type->kind].lock, reader->params,
                           STATEMENT_MS, &r, err);
    if (rc == 0 && PQntuples(r) == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "there is no such resource");
    if (rc == 0)
        *version = plumb_get_int4(r, 0, 0);
    PQclear(r);
    return rc;
}

int store_change_insert(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, const plumb_buf_t *columns, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, &target->account);
    plumb_param_uuid(reader->params, &target->id);
    plumb_param_textn(reader->params, columns->data, columns->length);
    int rc = plumb_db_exec(reader->db, &store->types[target->type->kind].insert, reader->params,
                           STATEMENT_MS, &r, err);
    if (rc == 0 && PQntuples(r) == 0)
        rc = plumb_err_set(err, PLUMB_E_CONFLICT, "there is one like it already");
    PQclear(r);
    return rc;
}

int store_change_update(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, const plumb_buf_t *columns, plumb_err_t *err)
{
    bind_target(reader, target);
    plumb_param_textn(reader->params, columns->data, columns->length);
    return plumb_db_exec(reader->db, &store->types[target->type->kind].update, reader->params,
                         STATEMENT_MS, NULL, err);
}

int store_change_remove(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, plumb_err_t *err)
{
    bind_target(reader, target);
    return plumb_db_exec(reader->db, &store->types[target->type->kind].remove, reader->params,
                         STATEMENT_MS, NULL, err);
}

/* ---- what is named ---- */

int store_change_exists(const change_store_t *store, reader_t *reader,
                        const change_target_t *target, bool *there, plumb_err_t *err)
{
    int64_t version;
    int rc = store_change_lock(store, reader, target, &version, err);
    *there = rc == 0;
    return rc == -PLUMB_E_NOT_FOUND ? 0 : rc;
}

static const plumb_stmt_t select_quiz_in = {
    .name = "api_quiz_in",
    .params = 3,
    .sql = "SELECT EXISTS (SELECT FROM quizzes WHERE account_id = $1 AND id = $2 "
           "AND project_id = $3)"};

int store_change_quiz_in(reader_t *reader, const plumb_uuid_t *account, const plumb_uuid_t *quiz,
                         const plumb_uuid_t *project, bool *is_in, plumb_err_t *err)
{
    PGresult *r = NULL;
    plumb_params_clear(reader->params);
    plumb_param_uuid(reader->params, account);
    plumb_param_uuid(reader->params, quiz);
    plumb_param_uuid(reader->params, project);
    int rc = plumb_db_exec(reader->db, &select_quiz_in, reader->params, STATEMENT_MS, &r, err);
    *is_in = rc == 0 && plumb_get_bool(r, 0, 0);
    PQclear(r);
    return rc;
}
