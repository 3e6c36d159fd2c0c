/* Statements and transactions: every call sends, waits until its deadline, and says what was done.
 */
#include "db.h"

#include "clock.h"
#include "db_priv.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define ROLLBACK_MS 1000

/* One thing to be run. */
typedef struct command {
    const char *what;                   /* its name in errors */
    const char *text;                   /* plain SQL, or NULL: `stmt` */
    const plumb_stmt_t *stmt;           /* prepared */
    const plumb_params_t *params;       /* of either; NULL: none */
    const plumb_prepared_t *preparing;  /* prepare this one instead of running it */
    const plumb_meanwhile_t *meanwhile; /* to be called while the server works, or NULL */
    bool commits;                       /* if the connection breaks, it may have been done */
} command_t;

/* ---- the way out ---- */

/* With what `c` names: a statement that the server knows, or its text. */
static bool send_bound(PGconn *conn, const command_t *c)
{
    const plumb_params_t *p = c->params;
    const char *values[PLUMB_PARAMS_MAX];
    int formats[PLUMB_PARAMS_MAX];
    int count = p == NULL ? 0 : p->count;
    const int *lengths = p == NULL ? NULL : p->lengths;
    for (int i = 0; i < count; i++) {
        values[i] = p->lengths[i] < 0 ? NULL : p->data + p->offsets[i];
        formats[i] = 1;
    }
    if (c->text != NULL)
        return PQsendQueryParams(conn, c->text, count, p->types, values, lengths, formats, 1);
    return PQsendQueryPrepared(conn, c->stmt->name, count, values, lengths, formats, 1);
}

static bool send_command(PGconn *conn, const command_t *c)
{
    if (c->text != NULL && c->params == NULL)
        return PQsendQuery(conn, c->text);
    if (c->text != NULL)
        return send_bound(conn, c);
    assert(c->stmt != NULL);
    if (c->preparing != NULL)
        return PQsendPrepare(conn, c->stmt->name, c->stmt->sql, c->stmt->params,
                             c->preparing->types);
    return send_bound(conn, c);
}

/* ---- the way back ---- */

/* The connection cannot be used any more: close it, say whether the work may have been done. */
static int lose(plumb_db_t *db, const command_t *c, const char *why, plumb_err_t *err)
{
    plumb_db_drop(db, why);
    return plumb_err_set(err, c->commits ? PLUMB_E_DB_UNKNOWN : PLUMB_E_DB_AWAY, "%s: %s", c->what,
                         why);
}

/* Wait for the next result; NULL in `result` ends the command. */
static int next_result(plumb_db_t *db, const command_t *c, int64_t deadline_ms, PGresult **result,
                       plumb_err_t *err)
{
    int unsent;
    while ((unsent = PQflush(db->conn)) > 0 || PQisBusy(db->conn)) {
        if (!plumb_db_wait(db->conn, unsent > 0, deadline_ms))
            return lose(db, c, "no answer from the database in time", err);
        if (!PQconsumeInput(db->conn))
            break; /* PQgetResult says so */
    }
    *result = PQgetResult(db->conn);
    return 0;
}

static bool is_error(const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY;
}

/* Gather a command's results: the first that is good, or the last error.  An error may follow a
 * good result, since the server commits after it said that the statement was complete. */
static int collect(plumb_db_t *db, const command_t *c, int64_t deadline_ms, PGresult **result,
                   plumb_err_t *err)
{
    for (;;) {
        PGresult *r = NULL;
        int rc = next_result(db, c, deadline_ms, &r, err);
        if (rc < 0 || r == NULL)
            return rc;
        ExecStatusType status = PQresultStatus(r);
        if (*result == NULL || is_error(r)) {
            PQclear(*result);
            *result = r;
        } else {
            PQclear(r);
        }
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            return lose(db, c, "COPY where none is expected", err);
    }
}

static int refused(plumb_db_t *db, const command_t *c, const PGresult *r, plumb_err_t *err)
{
    int rc = plumb_db_refused(r, c->what, err);
    if (rc == -PLUMB_E_DB_AWAY || rc == -PLUMB_E_DB_UNKNOWN)
        plumb_db_drop(db, "the server refused to work");
    return rc;
}

/* Read the outcome of a command whose results are all here. */
static int judge(plumb_db_t *db, const command_t *c, const PGresult *r, plumb_err_t *err)
{
    if (PQstatus(db->conn) != CONNECTION_OK)
        return lose(db, c, "the connection to the database broke", err);
    if (is_error(r) && PQresultErrorField(r, PG_DIAG_SQLSTATE) == NULL)
        return lose(db, c, "libpq could not read the answer", err); /* out of memory, for one */
    if (is_error(r))
        return refused(db, c, r, err);
    if (c->commits && db->warned) /* the wait for the synchronous standby was cut short */
        return lose(db, c, "the commit came with a warning", err);
    db->wait_ms = 0;
    return 0;
}

static int run(plumb_db_t *db, const command_t *c, int64_t deadline_ms, PGresult **result,
               plumb_err_t *err)
{
    PGresult *r = NULL;
    db->warned = false;
    if (!send_command(db->conn, c)) {
        plumb_db_drop(db, "nothing could be sent");
        return plumb_err_set(err, PLUMB_E_DB_AWAY, "%s: cannot be sent", c->what);
    }
    if (c->meanwhile != NULL) {
        PQflush(db->conn); /* what does not fit is sent while we wait */
        c->meanwhile->call(c->meanwhile->context);
    }
    int rc = collect(db, c, deadline_ms, &r, err);
    if (rc == 0)
        rc = judge(db, c, r, err);
    if (rc == 0 && result != NULL) {
        *result = r;
        r = NULL;
    }
    PQclear(r);
    return rc;
}

/* ---- before it ---- */

/* Take in what came while the connection was idle.  False: it is dead. */
static bool still_there(PGconn *conn)
{
    struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
    while (poll(&fd, 1, 0) > 0) {
        if (!PQconsumeInput(conn))
            return false;
        PQisBusy(conn); /* reads what was taken in: notices, notifications */
    }
    return true;
}

/* A usable connection: an open transaction is bound to the one it has; outside, one that died
 * unnoticed is replaced before anything is sent. */
static int ready(plumb_db_t *db, int64_t deadline_ms, plumb_err_t *err)
{
    if (plumb_db_is_connected(db) && !still_there(db->conn))
        plumb_db_drop(db, "the server closed the connection");
    if (!db->in_transaction)
        return plumb_db_ensure(db, deadline_ms, err);
    if (!plumb_db_is_connected(db))
        return plumb_err_set(err, PLUMB_E_DB_AWAY, "the transaction went with its connection");
    return 0;
}

static bool in_block(const plumb_db_t *db)
{
    PGTransactionStatusType status = PQtransactionStatus(db->conn);
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

static plumb_prepared_t *find_prepared(plumb_db_t *db, const plumb_stmt_t *stmt)
{
    for (unsigned i = 0; i < db->prepared_count; i++)
        if (db->prepared[i].stmt == stmt)
            return &db->prepared[i];
    return NULL;
}

/* Can `params` be bound to what was prepared?  A NULL goes with any type. */
static bool types_fit(const plumb_prepared_t *prepared, const plumb_params_t *params)
{
    for (int i = 0; params != NULL && i < params->count; i++)
        if (params->types[i] != prepared->types[i] && params->types[i] != 0)
            return false;
    return true;
}

static int forget_prepared(plumb_db_t *db, plumb_prepared_t *prepared, int64_t deadline_ms,
                           plumb_err_t *err)
{
    char sql[128];
    snprintf(sql, sizeof sql, "DEALLOCATE %s", prepared->stmt->name);
    command_t c = {.what = prepared->stmt->name, .text = sql};
    int rc = run(db, &c, deadline_ms, NULL, err);
    if (rc == 0)
        *prepared = db->prepared[--db->prepared_count];
    return rc;
}

/* Let the connection know `stmt`, with the types of its first parameters. */
static int prepare(plumb_db_t *db, const plumb_stmt_t *stmt, const plumb_params_t *params,
                   int64_t deadline_ms, plumb_err_t *err)
{
    plumb_prepared_t *known = find_prepared(db, stmt);
    if (known != NULL && types_fit(known, params))
        return 0;
    plumb_prepared_t fresh = {.stmt = stmt};
    if (known != NULL) { /* a parameter was a NULL of no type until now */
        fresh = *known;
        int rc = forget_prepared(db, known, deadline_ms, err);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; params != NULL && i < params->count; i++)
        if (params->types[i] != 0)
            fresh.types[i] = params->types[i];
    assert(db->prepared_count < PLUMB_STMTS_MAX);
    command_t c = {.what = stmt->name, .stmt = stmt, .preparing = &fresh};
    int rc = run(db, &c, deadline_ms, NULL, err);
    if (rc == 0)
        db->prepared[db->prepared_count++] = fresh;
    return rc;
}

/* ---- what callers see ---- */

int plumb_db_exec(plumb_db_t *db, const plumb_stmt_t *stmt, const plumb_params_t *params,
                  int64_t timeout_ms, PGresult **result, plumb_err_t *err)
{
    return plumb_db_exec_meanwhile(db, stmt, params, timeout_ms, NULL, result, err);
}

int plumb_db_exec_meanwhile(plumb_db_t *db, const plumb_stmt_t *stmt, const plumb_params_t *params,
                            int64_t timeout_ms, const plumb_meanwhile_t *meanwhile,
                            PGresult **result, plumb_err_t *err)
{
    int64_t deadline_ms = plumb_mono_ms() + timeout_ms;
    if (params != NULL && params->failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "parameters of %s", stmt->name);
    assert((params == NULL ? 0 : params->count) == stmt->params);
    int rc = ready(db, deadline_ms, err);
    if (rc == 0)
        rc = prepare(db, stmt, params, deadline_ms, err);
    if (rc < 0)
        return rc;
    command_t c = {.what = stmt->name,
                   .stmt = stmt,
                   .params = params,
                   .meanwhile = meanwhile,
                   .commits = !in_block(db)};
    return run(db, &c, deadline_ms, result, err);
}

int plumb_db_query(plumb_db_t *db, const char *name, const char *sql, const plumb_params_t *params,
                   int64_t timeout_ms, PGresult **result, plumb_err_t *err)
{
    int64_t deadline_ms = plumb_mono_ms() + timeout_ms;
    if (params->failed)
        return plumb_err_set(err, PLUMB_E_MEMORY, "parameters of %s", name);
    int rc = ready(db, deadline_ms, err);
    if (rc < 0)
        return rc;
    command_t c = {.what = name, .text = sql, .params = params, .commits = !in_block(db)};
    return run(db, &c, deadline_ms, result, err);
}

int plumb_db_script(plumb_db_t *db, const char *sql, int64_t timeout_ms, plumb_err_t *err)
{
    int64_t deadline_ms = plumb_mono_ms() + timeout_ms;
    int rc = ready(db, deadline_ms, err);
    if (rc < 0)
        return rc;
    command_t c = {.what = "script", .text = sql, .commits = !in_block(db)};
    return run(db, &c, deadline_ms, NULL, err);
}

int plumb_db_begin(plumb_db_t *db, int64_t timeout_ms, plumb_err_t *err)
{
    int64_t deadline_ms = plumb_mono_ms() + timeout_ms;
    assert(!db->in_transaction);
    int rc = ready(db, deadline_ms, err);
    if (rc < 0)
        return rc;
    command_t c = {.what = "begin", .text = "BEGIN"};
    rc = run(db, &c, deadline_ms, NULL, err);
    db->in_transaction = rc == 0;
    return rc;
}

int plumb_db_commit(plumb_db_t *db, int64_t timeout_ms, plumb_err_t *err)
{
    int64_t deadline_ms = plumb_mono_ms() + timeout_ms;
    assert(db->in_transaction);
    int rc = ready(db, deadline_ms, err);
    db->in_transaction = false;
    if (rc < 0)
        return rc;
    PGresult *r = NULL;
    command_t c = {.what = "commit", .text = "COMMIT", .commits = true};
    rc = run(db, &c, deadline_ms, &r, err);
    if (rc == 0 && strcmp(PQcmdStatus(r), "COMMIT") != 0) /* a statement had failed: rolled back */
        rc = plumb_err_set(err, PLUMB_E_DATABASE, "commit: the transaction had failed");
    PQclear(r);
    return rc;
}

void plumb_db_rollback(plumb_db_t *db)
{
    db->in_transaction = false;
    if (!plumb_db_is_connected(db) || !in_block(db))
        return;
    command_t c = {.what = "rollback", .text = "ROLLBACK"};
    plumb_err_t ignored;
    if (run(db, &c, plumb_mono_ms() + ROLLBACK_MS, NULL, &ignored) < 0 && db->conn != NULL)
        plumb_db_drop(db, "a rollback failed"); /* no client: the server rolls back */
}
