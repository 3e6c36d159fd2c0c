/* PostgreSQL: one connection, its prepared statements, and errors sorted by what the caller can do.
 *
 * A connection belongs to one thread at a time.  Every call is bounded by a deadline of the client,
 * since a wait for a synchronous standby is bounded by no server setting.  After DB_AWAY and
 * DB_UNKNOWN the connection is closed; the next call connects again, no sooner than the back-off
 * allows. */
#ifndef PLUMB_DB_H
#define PLUMB_DB_H

#include "err.h"
#include "uuid.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUMB_PARAMS_MAX 64

/* A statement: a file-scope constant beside the function that binds it.  Prepared on first use of
 * each connection. */
typedef struct plumb_stmt {
    const char *name;
    const char *sql;
    int params;
} plumb_stmt_t;

typedef struct plumb_db plumb_db_t;

/* Make the handle; connects lazily.  `application` shows in pg_stat_activity. */
int plumb_db_new(plumb_db_t **ret, const char *conninfo, const char *application, plumb_err_t *err);
void plumb_db_destroy(plumb_db_t **db);

/* Connect now if there is no connection.  DB_AWAY: not possible yet (also while backing off). */
int plumb_db_connect(plumb_db_t *db, int64_t timeout_ms, plumb_err_t *err);
bool plumb_db_is_connected(const plumb_db_t *db);
/* Times a connection was made; who keeps state in the session (LISTEN, locks) compares it. */
uint64_t plumb_db_generation(const plumb_db_t *db);
PGconn *plumb_db_conn(plumb_db_t *db); /* for LISTEN, COPY; may be NULL */

/* ---- parameters: binary, owned by the builder ---- */
typedef struct plumb_params plumb_params_t;
plumb_params_t *plumb_params_new(void); /* NULL: out of memory */
void plumb_params_destroy(plumb_params_t **params);
void plumb_params_clear(plumb_params_t *params); /* keeps memory */

void plumb_param_null(plumb_params_t *p);
void plumb_param_bool(plumb_params_t *p, bool value);
void plumb_param_int4(plumb_params_t *p, int32_t value);
void plumb_param_int8(plumb_params_t *p, int64_t value);
void plumb_param_uuid(plumb_params_t *p, const plumb_uuid_t *value);        /* NULL: SQL NULL */
void plumb_param_text(plumb_params_t *p, const char *text);                 /* NULL: SQL NULL */
void plumb_param_textn(plumb_params_t *p, const char *text, size_t length); /* NULL: SQL NULL */
void plumb_param_bytes(plumb_params_t *p, const void *data, size_t length); /* NULL: SQL NULL */
void plumb_param_time(plumb_params_t *p, int64_t unix_ms);                  /* timestamptz */

/* One-dimensional arrays: begin, then any number of elements by plumb_item_*, then end. */
typedef enum plumb_array_type {
    PLUMB_ARRAY_BOOL = 16,
    PLUMB_ARRAY_BYTES = 17,
    PLUMB_ARRAY_INT8 = 20,
    PLUMB_ARRAY_INT4 = 23,
    PLUMB_ARRAY_TEXT = 25, /* also for jsonb, inet: cast in the statement */
    PLUMB_ARRAY_TIME = 1184,
    PLUMB_ARRAY_UUID = 2950
} plumb_array_type_t;
void plumb_array_begin(plumb_params_t *p, plumb_array_type_t type);
void plumb_array_end(plumb_params_t *p);
void plumb_item_null(plumb_params_t *p);
void plumb_item_bool(plumb_params_t *p, bool value);
void plumb_item_int4(plumb_params_t *p, int32_t value);
void plumb_item_int8(plumb_params_t *p, int64_t value);
void plumb_item_uuid(plumb_params_t *p, const plumb_uuid_t *value);        /* NULL: SQL NULL */
void plumb_item_textn(plumb_params_t *p, const char *text, size_t length); /* NULL: SQL NULL */
void plumb_item_bytes(plumb_params_t *p, const void *data, size_t length); /* NULL: SQL NULL */
void plumb_item_time(plumb_params_t *p, int64_t unix_ms);

/* An array of a type of ours, whose two ids the server knows; its elements come encoded, each
 * behind its length (4 bytes, big endian): append `count` of them at once, then plumb_array_end. */
void plumb_array_begin_of(plumb_params_t *p, uint32_t array, uint32_t element);
void plumb_items_encoded(plumb_params_t *p, const void *data, size_t length, uint32_t count);

/* An element of such an array, written here: begin, then for each column of its type in order
 * plumb_record_column and one plumb_item_*, then end. */
void plumb_record_begin(plumb_params_t *p);
void plumb_record_column(plumb_params_t *p, plumb_array_type_t type);
void plumb_record_end(plumb_params_t *p);

/* ---- running ---- */

/* Run `stmt`; the result (binary columns, owned: PQclear) goes to `result`, which may be NULL.
 * Errors: DB_AWAY nothing was done; DB_UNKNOWN the connection broke or the deadline passed while
 * the statement ran outside a transaction block, or in COMMIT, or a COMMIT came with a warning: it
 * may have been done; DB_CONFLICT 40001, 40P01, 55P03: nothing done, may be repeated; DB_VALUE
 * class 22 and 23: this input never works; DATABASE: anything else.  `err` names SQLSTATE and names
 * only, never row values. */
int plumb_db_exec(plumb_db_t *db, const plumb_stmt_t *stmt, const plumb_params_t *params,
                  int64_t timeout_ms, PGresult **result, plumb_err_t *err);

/* The same; `meanwhile` is called once the statement is on its way, and not at all if it could not
 * be sent. */
typedef struct plumb_meanwhile {
    void (*call)(void *context);
    void *context;
} plumb_meanwhile_t;
int plumb_db_exec_meanwhile(plumb_db_t *db, const plumb_stmt_t *stmt, const plumb_params_t *params,
                            int64_t timeout_ms, const plumb_meanwhile_t *meanwhile,
                            PGresult **result, plumb_err_t *err);

/* Run one statement that is not kept, planned for these very parameters: for what is asked in too
 * many forms to prepare each.  `sql` is made of constants and tables, never of input; `name` stands
 * for it in errors. */
int plumb_db_query(plumb_db_t *db, const char *name, const char *sql, const plumb_params_t *params,
                   int64_t timeout_ms, PGresult **result, plumb_err_t *err);

/* BEGIN; COMMIT; ROLLBACK.  A commit that did not certainly succeed is DB_UNKNOWN. */
int plumb_db_begin(plumb_db_t *db, int64_t timeout_ms, plumb_err_t *err);
int plumb_db_commit(plumb_db_t *db, int64_t timeout_ms, plumb_err_t *err);
void plumb_db_rollback(plumb_db_t *db);

/* Run plain SQL text, several statements allowed, no parameters (migrations, LISTEN). */
int plumb_db_script(plumb_db_t *db, const char *sql, int64_t timeout_ms, plumb_err_t *err);

/* ---- reading binary results; the column must be of that type and not NULL unless said ---- */
bool plumb_get_null(const PGresult *r, int row, int column);
bool plumb_get_bool(const PGresult *r, int row, int column);
int32_t plumb_get_int2(const PGresult *r, int row, int column);
int32_t plumb_get_int4(const PGresult *r, int row, int column);
int64_t plumb_get_int8(const PGresult *r, int row, int column);
plumb_uuid_t plumb_get_uuid(const PGresult *r, int row, int column); /* NULL: nil */
int64_t plumb_get_time(const PGresult *r, int row,
                       int column); /* timestamptz as Unix ms; NULL: 0 */
const char *plumb_get_text(const PGresult *r, int row,
                           int column); /* NULL: "" (jsonb: cast to text) */
size_t plumb_get_length(const PGresult *r, int row, int column);

#endif
