/* The database connection against a real server: values, errors by what was done, faults. */
#include "clock.h"
#include "count.h"
#include "db.h"
#include "pg.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS 20000

static plumb_err_t err;

static plumb_db_t *connected_to(const char *conninfo)
{
    plumb_db_t *db = NULL;
    if (plumb_db_new(&db, conninfo, "test_db", &err) < 0 || plumb_db_connect(db, LONG_MS, &err) < 0)
        fail_msg("connect: %s", err.text);
    return db;
}

static int open_db(void **state)
{
    char conninfo[PG_CONNINFO_MAX];
    *state = connected_to(pg_new_database(conninfo));
    return 0;
}

static int close_db(void **state)
{
    plumb_db_destroy((plumb_db_t **)state);
    assert_null(*state);
    return 0;
}

/* Run a script that must work. */
static void script(plumb_db_t *db, const char *sql)
{
    if (plumb_db_script(db, sql, LONG_MS, &err) < 0)
        fail_msg("%s: %s", sql, err.text);
}

/* Run a statement that must work. */
static PGresult *ask(plumb_db_t *db, const plumb_stmt_t *stmt, const plumb_params_t *params)
{
    PGresult *r = NULL;
    if (plumb_db_exec(db, stmt, params, LONG_MS, &r, &err) < 0)
        fail_msg("%s: %s", stmt->name, err.text);
    return r;
}

static int64_t ask_int(plumb_db_t *db, const plumb_stmt_t *stmt)
{
    PGresult *r = ask(db, stmt, NULL);
    int64_t value = plumb_get_int8(r, 0, 0);
    PQclear(r);
    return value;
}

static void want(const char *name, int rc, plumb_code_t code)
{
    if (rc != -(int)code)
        fail_msg("%s: got %d, want %d (%s)", name, rc, -(int)code, rc < 0 ? err.text : "");
}

/* ---- values ---- */

static void scalars(void **state)
{
    static const plumb_stmt_t echo = {"echo",
                                      "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9::int2, $10, "
                                      "$11::text, $7::text, $12::jsonb::text",
                                      12};
    plumb_uuid_t id = plumb_uuid_new();
    plumb_params_t *p = plumb_params_new();
    plumb_param_bool(p, true);
    plumb_param_int4(p, INT32_MIN);
    plumb_param_int8(p, INT64_MIN);
    plumb_param_uuid(p, &id);
    plumb_param_text(p, "naïve");
    plumb_param_bytes(p, "\0\xff", 2);
    plumb_param_time(p, -1); /* before 1970 and before PostgreSQL's 2000 */
    plumb_param_textn(p, "cut here", 3);
    plumb_param_int4(p, -7);
    plumb_param_text(p, "");
    plumb_param_null(p);
    plumb_param_text(p, "{\"a\":1}");
    PGresult *r = ask(*state, &echo, p);
    plumb_uuid_t got = plumb_get_uuid(r, 0, 3);
    assert_true(plumb_get_bool(r, 0, 0));
    assert_int_equal(plumb_get_int4(r, 0, 1), INT32_MIN);
    assert_true(plumb_get_int8(r, 0, 2) == INT64_MIN);
    assert_int_equal(plumb_uuid_compare(&got, &id), 0);
    assert_string_equal(plumb_get_text(r, 0, 4), "naïve");
    assert_int_equal(plumb_get_length(r, 0, 5), 2);
    assert_memory_equal(plumb_get_text(r, 0, 5), "\0\xff", 2);
    assert_true(plumb_get_time(r, 0, 6) == -1);
    assert_string_equal(plumb_get_text(r, 0, 7), "cut");
    assert_int_equal(plumb_get_int2(r, 0, 8), -7);
    assert_string_equal(plumb_get_text(r, 0, 9), "");
    assert_false(plumb_get_null(r, 0, 9));
    assert_true(plumb_get_null(r, 0, 10));
    assert_string_equal(plumb_get_text(r, 0, 10), "");
    assert_string_equal(plumb_get_text(r, 0, 11), "1970-01-01 05:29:59.999+05:30");
    assert_string_equal(plumb_get_text(r, 0, 12), "{\"a\": 1}");
    PQclear(r);
    plumb_params_destroy(&p);
}

static void absent_values(void **state)
{
    static const plumb_stmt_t echo = {"echo_absent", "SELECT $1, $2, $3, $4", 4};
    plumb_params_t *p = plumb_params_new();
    plumb_param_uuid(p, NULL);
    plumb_param_text(p, NULL);
    plumb_param_textn(p, NULL, 0);
    plumb_param_bytes(p, NULL, 0);
    PGresult *r = ask(*state, &echo, p);
    plumb_uuid_t id = plumb_get_uuid(r, 0, 0);
    assert_true(plumb_uuid_is_nil(&id));
    for (int i = 0; i < 4; i++)
        assert_true(plumb_get_null(r, 0, i));
    PQclear(r);
    plumb_params_destroy(&p);
}

/* Two items and a NULL of each type, and a value that says what the server made of them. */
static void add_arrays(plumb_params_t *p, const plumb_uuid_t *id)
{
    static const plumb_array_type_t types[] = {
        PLUMB_ARRAY_BOOL, PLUMB_ARRAY_BYTES, PLUMB_ARRAY_INT8, PLUMB_ARRAY_INT4,
        PLUMB_ARRAY_TEXT, PLUMB_ARRAY_TIME,  PLUMB_ARRAY_UUID};
    for (size_t i = 0; i < PLUMB_COUNT(types); i++) {
        plumb_array_begin(p, types[i]);
        for (int n = 0; n < 2; n++) {
            if (types[i] == PLUMB_ARRAY_BOOL)
                plumb_item_bool(p, n == 0);
            else if (types[i] == PLUMB_ARRAY_BYTES)
                plumb_item_bytes(p, "\0\1", (size_t)n * 2);
            else if (types[i] == PLUMB_ARRAY_INT8)
                plumb_item_int8(p, INT64_MAX - n);
            else if (types[i] == PLUMB_ARRAY_INT4)
                plumb_item_int4(p, -n);
            else if (types[i] == PLUMB_ARRAY_TEXT)
                plumb_item_textn(p, "{\"k\": 1}", n == 0 ? 8 : 2);
            else if (types[i] == PLUMB_ARRAY_TIME)
                plumb_item_time(p, n * INT64_C(1000));
            else
                plumb_item_uuid(p, id);
        }
        plumb_item_null(p);
        plumb_array_end(p);
    }
}

static void arrays(void **state)
{
    static const plumb_stmt_t join = {
        "join_arrays",
        "SELECT concat_ws('|', array_to_string($1::bool[], ',', '-'), "
        "array_to_string($2::bytea[], ',', '-'), array_to_string($3::int8[], ',', '-'), "
        "array_to_string($4::int4[], ',', '-'), array_to_string($5::text[], ',', '-'), "
        "array_to_string($6::timestamptz[], ',', '-'), array_to_string($7::uuid[], ',', '-'))",
        7};
    plumb_uuid_t id;
    assert_true(plumb_uuid_parse(&id, "01890a5d-ac96-774b-bcce-b302099a8057", 36));
    plumb_params_t *p = plumb_params_new();
    for (int round = 0; round < 2; round++) { /* the memory is used again */
        plumb_params_clear(p);
        add_arrays(p, &id);
        PGresult *r = ask(*state, &join, p);
        assert_string_equal(
            plumb_get_text(r, 0, 0),
            "t,f,-|\\x,\\x0001,-|9223372036854775807,9223372036854775806,-|0,-1,-|"
            "{\"k\": 1},{\",-|1970-01-01 05:30:00+05:30,1970-01-01 05:30:01+05:30,-|"
            "01890a5d-ac96-774b-bcce-b302099a8057,"
            "01890a5d-ac96-774b-bcce-b302099a8057,-");
        PQclear(r);
    }
    plumb_params_destroy(&p);
}

static void large_and_empty_arrays(void **state)
{
    static const plumb_stmt_t sum = {
        "sum_array",
        "SELECT coalesce(sum(n), 0)::int8, coalesce(array_ndims($1), 0) FROM "
        "unnest($1::int4[]) n",
        1};
    static const int sizes[] = {0, 1, 500, 100000};
    plumb_params_t *p = plumb_params_new();
    for (size_t i = 0; i < PLUMB_COUNT(sizes); i++) {
        plumb_params_clear(p);
        plumb_array_begin(p, PLUMB_ARRAY_INT4);
        for (int n = 1; n <= sizes[i]; n++)
            plumb_item_int4(p, n);
        plumb_array_end(p);
        PGresult *r = ask(*state, &sum, p);
        assert_true(plumb_get_int8(r, 0, 0) == (int64_t)sizes[i] * (sizes[i] + 1) / 2);
        assert_int_equal(plumb_get_int4(r, 0, 1), sizes[i] > 0);
        PQclear(r);
    }
    plumb_params_destroy(&p);
}

/* Records of a type of the server's own, a NULL in some columns, a whole one NULL. */
static void arrays_of_records(void **state)
{
    static const plumb_stmt_t make = {
        "make_type", "SELECT 'pair'::regtype::oid::int8, 'pair[]'::regtype::oid::int8", 0};
    static const plumb_stmt_t show = {"show_pairs",
                                      "SELECT string_agg(concat_ws('|', n, id, name), ' ') FROM "
                                      "unnest($1::pair[]) WITH ORDINALITY AS g(id, name, n)",
                                      1};
    script(*state, "CREATE TYPE pair AS (id bigint, name text)");
    PGresult *r = ask(*state, &make, NULL);
    uint32_t type = (uint32_t)plumb_get_int8(r, 0, 0), array = (uint32_t)plumb_get_int8(r, 0, 1);
    PQclear(r);
    plumb_params_t *p = plumb_params_new();
    plumb_array_begin_of(p, array, type);
    for (int n = 0; n < 3; n++) {
        plumb_record_begin(p);
        plumb_record_column(p, PLUMB_ARRAY_INT8);
        plumb_item_int8(p, n);
        plumb_record_column(p, PLUMB_ARRAY_TEXT);
        plumb_item_textn(p, n == 1 ? NULL : "anna", 4);
        plumb_record_end(p);
    }
    plumb_item_null(p);
    plumb_array_end(p);
    r = ask(*state, &show, p);
    assert_string_equal(plumb_get_text(r, 0, 0), "1|0|anna 2|1 3|2|anna 4");
    PQclear(r);
    plumb_params_destroy(&p);
}

/* A NULL without type at first must not fix the parameter's type for ever. */
static void null_then_value(void **state)
{
    static const plumb_stmt_t late = {"late_type", "SELECT coalesce($1::jsonb, '0')::text", 1};
    plumb_params_t *p = plumb_params_new();
    const char *const wants[] = {"0", "[1]", "0", "[1]"};
    for (size_t i = 0; i < PLUMB_COUNT(wants); i++) {
        plumb_params_clear(p);
        if (i % 2 == 0)
            plumb_param_null(p);
        else
            plumb_param_text(p, "[1]");
        PGresult *r = ask(*state, &late, p);
        assert_string_equal(plumb_get_text(r, 0, 0), wants[i]);
        PQclear(r);
    }
    plumb_params_destroy(&p);
}

/* ---- errors ---- */

static void error_classes(void **state)
{
    static const struct {
        const char *sql;
        plumb_code_t code;
        const char *names; /* what the sentence must hold */
    } cases[] = {
        {"INSERT INTO t VALUES (1, 'secret')", PLUMB_E_DB_VALUE,
         "constraint t_pkey: sqlstate 23505"},
        {"INSERT INTO t VALUES (NULL, 'secret')", PLUMB_E_DB_VALUE, "column id"},
        {"SELECT 'secret'::int", PLUMB_E_DB_VALUE, "sqlstate 22P02"},
        {"SELECT '\"\\u0000secret\"'::jsonb", PLUMB_E_DB_VALUE, "sqlstate 22P05"},
        {"DO $$BEGIN RAISE 'secret' USING ERRCODE = '40001'; END$$", PLUMB_E_DB_CONFLICT, "40001"},
        {"DO $$BEGIN RAISE 'm' USING ERRCODE = '40P01'; END$$", PLUMB_E_DB_CONFLICT, "40P01"},
        {"DO $$BEGIN RAISE 'm' USING ERRCODE = '40003'; END$$", PLUMB_E_DB_UNKNOWN, "40003"},
        {"SET statement_timeout = 20; SELECT pg_sleep(9)", PLUMB_E_DB_CONFLICT, "57014"},
        {"SELECT nothing FROM t", PLUMB_E_DATABASE, "column \"nothing\" does not exist"},
        {"DO $$BEGIN RAISE 'secret'; END$$", PLUMB_E_DATABASE, "sqlstate P0001"},
        {"BEGIN READ ONLY; DELETE FROM t", PLUMB_E_DB_AWAY, "25006"},
        {"DO $$BEGIN RAISE 'm' USING ERRCODE = 'disk_full'; END$$", PLUMB_E_DB_AWAY, "53100"},
        {"COPY t FROM stdin", PLUMB_E_DB_UNKNOWN, "COPY"},
        {"SELECT pg_terminate_backend(pg_backend_pid())", PLUMB_E_DB_UNKNOWN, "broke"},
    };
    plumb_db_t *db = *state;
    script(db, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'x')");
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        script(db, ""); /* connect again where the last case took the connection away */
        int rc = plumb_db_script(db, cases[i].sql, LONG_MS, &err);
        want(cases[i].sql, rc, cases[i].code);
        if (strstr(err.text, cases[i].names) == NULL)
            fail_msg("%s: '%s' does not name '%s'", cases[i].sql, err.text, cases[i].names);
        if (cases[i].code == PLUMB_E_DB_VALUE && strstr(err.text, "secret") != NULL)
            fail_msg("%s: '%s' tells a value", cases[i].sql, err.text);
        bool closed = rc == -PLUMB_E_DB_AWAY || rc == -PLUMB_E_DB_UNKNOWN;
        assert_int_equal(plumb_db_is_connected(db), !closed);
        assert_int_equal(plumb_db_script(db, "SET statement_timeout = 0", LONG_MS, NULL), 0);
    }
}

static void lock_not_available(void **state)
{
    plumb_db_t *db = *state, *other = connected_to(pg_conninfo());
    script(other, "CREATE TABLE locked (id int)");
    assert_int_equal(plumb_db_begin(other, LONG_MS, &err), 0);
    script(other, "LOCK TABLE locked");
    plumb_db_destroy(&db);
    *state = db = connected_to(pg_conninfo());
    script(db, "SET lock_timeout = 20");
    want("locked", plumb_db_script(db, "TABLE locked", LONG_MS, &err), PLUMB_E_DB_CONFLICT);
    assert_non_null(strstr(err.text, "55P03"));
    plumb_db_rollback(other);
    script(other, "DROP TABLE locked");
    plumb_db_destroy(&other);
}

static const plumb_stmt_t count_t = {"count_t", "SELECT count(*) FROM t", 0};
static const plumb_stmt_t insert_t = {"insert_t", "INSERT INTO t VALUES (1)", 0};

/* The server reports a statement as complete before it commits: the error comes behind. */
static void error_behind_completion(void **state)
{
    plumb_db_t *db = *state;
    script(db, "CREATE TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    PQclear(ask(db, &insert_t, NULL));
    PGresult *r = NULL;
    want("autocommit", plumb_db_exec(db, &insert_t, NULL, LONG_MS, &r, &err), PLUMB_E_DB_VALUE);
    assert_null(r);
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    PQclear(ask(db, &insert_t, NULL));
    want("commit", plumb_db_commit(db, LONG_MS, &err), PLUMB_E_DB_VALUE);
    assert_true(ask_int(db, &count_t) == 1);
}

/* ---- transactions ---- */

static void transactions(void **state)
{
    plumb_db_t *db = *state;
    script(db, "CREATE TABLE t (id int)");
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    PQclear(ask(db, &insert_t, NULL));
    plumb_db_rollback(db);
    assert_true(ask_int(db, &count_t) == 0);
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    PQclear(ask(db, &insert_t, NULL));
    assert_int_equal(plumb_db_commit(db, LONG_MS, &err), 0);
    assert_true(ask_int(db, &count_t) == 1);
}

static void commit_after_failure(void **state)
{
    plumb_db_t *db = *state;
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    want("fail", plumb_db_script(db, "SELECT 1/0", LONG_MS, &err), PLUMB_E_DB_VALUE);
    want("commit", plumb_db_commit(db, LONG_MS, &err), PLUMB_E_DATABASE);
    assert_true(plumb_db_is_connected(db));
}

/* End the backend of `db` from outside, and wait until it is gone. */
static void terminate(plumb_db_t *db)
{
    char sql[96], gone[8] = "";
    int pid = PQbackendPID(plumb_db_conn(db));
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d, 10000)", pid);
    pg_run(pg_conninfo(), sql, gone, sizeof gone);
    assert_string_equal(gone, "t");
}

/* What follows a lost transaction must not run outside of it. */
static void transaction_lost(void **state)
{
    plumb_db_t *db = *state;
    script(db, "CREATE TABLE t (id int)");
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    PQclear(ask(db, &insert_t, NULL));
    terminate(db);
    want("first", plumb_db_exec(db, &insert_t, NULL, LONG_MS, NULL, &err), PLUMB_E_DB_AWAY);
    want("second", plumb_db_exec(db, &insert_t, NULL, LONG_MS, NULL, &err), PLUMB_E_DB_AWAY);
    want("commit", plumb_db_commit(db, LONG_MS, &err), PLUMB_E_DB_AWAY);
    assert_true(ask_int(db, &count_t) == 0);
}

static void connection_broke(void **state)
{
    static const plumb_stmt_t suicide = {"suicide", "SELECT pg_terminate_backend(pg_backend_pid())",
                                         0};
    plumb_db_t *db = *state;
    int rc = plumb_db_exec(db, &suicide, NULL, LONG_MS, NULL, &err);
    want("outside a block", rc, PLUMB_E_DB_UNKNOWN);
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    rc = plumb_db_exec(db, &suicide, NULL, LONG_MS, NULL, &err);
    want("inside", rc, PLUMB_E_DB_AWAY);
    plumb_db_rollback(db);
    assert_false(plumb_db_is_connected(db));
}

static void deadline(void **state)
{
    static const plumb_stmt_t sleep_long = {"sleep_long", "SELECT pg_sleep(60)", 0};
    plumb_db_t *db = *state;
    int64_t began = plumb_mono_ms();
    want("outside", plumb_db_exec(db, &sleep_long, NULL, 60, NULL, &err), PLUMB_E_DB_UNKNOWN);
    assert_false(plumb_db_is_connected(db));
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    want("inside", plumb_db_exec(db, &sleep_long, NULL, 60, NULL, &err), PLUMB_E_DB_AWAY);
    plumb_db_rollback(db);
    assert_true(plumb_mono_ms() - began < LONG_MS);
}

/* A statement larger than what a socket takes at once. */
static void large_parameter(void **state)
{
    static const plumb_stmt_t length = {"length", "SELECT length($1)::int8, $1", 1};
    size_t size = 8 << 20;
    char *text = malloc(size);
    memset(text, 'x', size);
    plumb_params_t *p = plumb_params_new();
    plumb_param_textn(p, text, size);
    PGresult *r = ask(*state, &length, p);
    assert_true(plumb_get_int8(r, 0, 0) == (int64_t)size);
    assert_int_equal(plumb_get_length(r, 0, 1), size);
    PQclear(r);
    plumb_params_destroy(&p);
    free(text);
}

/* ---- a commit that waits for a standby ---- */

#define COMMIT_SOMETHING "SELECT pg_logical_emit_message(true, 'test', '')"

static void want_standby(bool wanted)
{
    pg_run(pg_conninfo(),
           wanted ? "ALTER SYSTEM SET synchronous_standby_names = 'ghost'"
                  : "ALTER SYSTEM RESET synchronous_standby_names",
           NULL, 0);
    pg_run(pg_conninfo(), "SELECT pg_reload_conf()", NULL, 0);
}

static bool waits_for_standby(PGconn *conn)
{
    char sql[128], waits[8] = "";
    snprintf(sql, sizeof sql, "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %d",
             PQbackendPID(conn));
    pg_run(pg_conninfo(), sql, waits, sizeof waits);
    return strcmp(waits, "t") == 0;
}

/* Commit until a commit waits.  What sessions show as their setting says nothing: whether commits
 * wait is a flag in shared memory, which the checkpointer sets when it gets to it. */
static void commits_wait(void)
{
    PGconn *probe = PQconnectdb(pg_conninfo());
    int64_t began = plumb_mono_ms();
    while (!waits_for_standby(probe)) {
        assert_true(plumb_mono_ms() - began < LONG_MS);
        assert_true(PQconsumeInput(probe));
        if (PQisBusy(probe))
            continue;
        PQclear(PQgetResult(probe));
        if (PQtransactionStatus(probe) == PQTRANS_IDLE)
            assert_true(PQsendQuery(probe, COMMIT_SOMETHING));
    }
    PQfinish(probe); /* its backend waits on, until the setting is taken back */
}

static int standby_wanted(void **state)
{
    int rc = open_db(state);
    script(*state, "CREATE TABLE t (id int)");
    want_standby(true);
    commits_wait();
    return rc;
}

static int standby_not_wanted(void **state)
{
    want_standby(false);
    pg_run(pg_conninfo(), COMMIT_SOMETHING, NULL, 0); /* returns when no commit waits any more */
    return close_db(state);
}

static void commit_waits(void **state)
{
    plumb_db_t *db = *state;
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    PQclear(ask(db, &insert_t, NULL));
    want("commit", plumb_db_commit(db, 100, &err), PLUMB_E_DB_UNKNOWN);
    assert_false(plumb_db_is_connected(db));
    int rc = plumb_db_exec(db, &insert_t, NULL, 100, NULL, &err);
    want("autocommit", rc, PLUMB_E_DB_UNKNOWN);
}

/* Cancel whoever waits for the standby, also those that a test before left, until `done`. */
static void *cancel_waiters(void *done)
{
    while (!atomic_load((atomic_bool *)done))
        pg_run(pg_conninfo(),
               "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
               NULL, 0);
    return NULL;
}

/* The server then says that it committed, with a warning: no standby has it. */
static void wait_is_canceled(void **state)
{
    plumb_db_t *db = *state;
    for (int autocommit = 0; autocommit < 2; autocommit++) {
        pthread_t canceler;
        atomic_bool done = false;
        int rc = autocommit ? 0 : plumb_db_begin(db, LONG_MS, &err);
        assert_int_equal(rc, 0);
        assert_int_equal(pthread_create(&canceler, NULL, cancel_waiters, &done), 0);
        rc = plumb_db_exec(db, &insert_t, NULL, LONG_MS, NULL, &err);
        if (!autocommit && rc == 0)
            rc = plumb_db_commit(db, LONG_MS, &err);
        atomic_store(&done, true);
        pthread_join(canceler, NULL);
        want(autocommit ? "autocommit" : "commit", rc, PLUMB_E_DB_UNKNOWN);
        assert_non_null(strstr(err.text, "warning"));
    }
}

/* ---- connecting ---- */

static void idle_connection_lost(void **state)
{
    plumb_db_t *db = *state;
    script(db, "CREATE TABLE t (id int)");
    assert_true(ask_int(db, &count_t) == 0);
    uint64_t generation = plumb_db_generation(db);
    terminate(db);
    assert_true(ask_int(db, &count_t) == 0); /* prepared anew, nobody saw an error */
    assert_true(plumb_db_generation(db) == generation + 1);
}

static void server_crashes(void **state)
{
    plumb_db_t *db = *state;
    script(db, "CREATE TABLE t (id int)");
    pg_crash();
    int64_t began = plumb_mono_ms();
    for (int i = 0; i < 20; i++)
        want("away", plumb_db_exec(db, &count_t, NULL, LONG_MS, NULL, &err), PLUMB_E_DB_AWAY);
    assert_non_null(strstr(err.text, "again in"));
    assert_true(plumb_mono_ms() - began < LONG_MS / 2);
    pg_start();
    while (plumb_db_connect(db, LONG_MS, &err) < 0)
        assert_true(plumb_mono_ms() - began < LONG_MS);
    assert_true(ask_int(db, &count_t) == 0);
}

static void server_stops_in_transaction(void **state)
{
    plumb_db_t *db = *state;
    script(db, "CREATE TABLE t (id int)");
    assert_int_equal(plumb_db_begin(db, LONG_MS, &err), 0);
    PQclear(ask(db, &insert_t, NULL));
    pg_stop();
    want("commit", plumb_db_commit(db, LONG_MS, &err), PLUMB_E_DB_AWAY);
    pg_start();
    while (plumb_db_connect(db, LONG_MS, &err) < 0)
        continue;
    assert_true(ask_int(db, &count_t) == 0);
}

static void session_settings(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } cases[] = {{"lock_timeout", "3s"},      {"statement_timeout", "30s"},
                 {"work_mem", "1MB"},         {"application_name", "test_db"},
                 {"client_encoding", "UTF8"}, {"client_connection_check_interval", "2s"}};
    static const plumb_stmt_t setting = {"setting", "SELECT current_setting($1)", 1};
    char conninfo[PG_CONNINFO_MAX];
    snprintf(conninfo, sizeof conninfo, "%s options='-c work_mem=1MB -c lock_timeout=3s'",
             pg_conninfo());
    plumb_db_t *db = connected_to(conninfo);
    plumb_params_t *p = plumb_params_new();
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_params_clear(p);
        plumb_param_text(p, cases[i].name);
        PGresult *r = ask(db, &setting, p);
        if (strcmp(plumb_get_text(r, 0, 0), cases[i].value) != 0)
            fail_msg("%s is %s", cases[i].name, plumb_get_text(r, 0, 0));
        PQclear(r);
    }
    plumb_params_destroy(&p);
    plumb_db_destroy(&db);
}

static void bad_conninfo(void **state)
{
    (void)state;
    plumb_db_t *db = NULL;
    int rc = plumb_db_new(&db, "host=x password=my secret", "test_db", &err);
    want("malformed", rc, PLUMB_E_CONFIG);
    assert_null(strstr(err.text, "secret"));
    assert_null(db);
}

/* Listen where nobody will ever answer; the directory goes to `dir`. */
static int black_hole(char *dir, struct sockaddr_un *address)
{
    address->sun_family = AF_UNIX;
    assert_non_null(mkdtemp(dir));
    snprintf(address->sun_path, sizeof address->sun_path, "%s/.s.PGSQL.5432", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* With a deadline too short for more than one host, the next call goes on behind it. */
static void hosts_in_turn(void **state)
{
    (void)state;
    char dir[] = "/tmp/plumb-hole-XXXXXX", list[2 * PG_CONNINFO_MAX];
    struct sockaddr_un address = {0};
    int fd = black_hole(dir, &address);
    const char *rest = pg_conninfo() + strlen("host=");
    snprintf(list, sizeof list, "host=/nonexistent,%s,%s", dir, rest);
    plumb_db_t *db = NULL;
    assert_int_equal(plumb_db_new(&db, list, "test_db", &err), 0);
    want("short", plumb_db_connect(db, 100, &err), PLUMB_E_DB_AWAY);
    int64_t began = plumb_mono_ms();
    while (plumb_db_connect(db, 100, &err) < 0)
        assert_true(plumb_mono_ms() - began < LONG_MS);
    assert_true(plumb_mono_ms() - began < 2000); /* the black hole alone takes 3 s */
    plumb_db_destroy(&db);
    close(fd);
    unlink(address.sun_path);
    rmdir(dir);
}

static void not_writable(void **state)
{
    (void)state;
    char conninfo[PG_CONNINFO_MAX];
    plumb_db_t *db = NULL;
    pg_new_database(conninfo);
    pg_run(conninfo,
           "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET "
           "default_transaction_read_only = on', current_database()); END$$",
           NULL, 0);
    assert_int_equal(plumb_db_new(&db, conninfo, "test_db", &err), 0);
    want("read-only", plumb_db_connect(db, LONG_MS, &err), PLUMB_E_DB_AWAY);
    assert_non_null(strstr(err.text, "read-only"));
    plumb_db_destroy(&db);
}

static void notifications(void **state)
{
    plumb_db_t *db = *state;
    script(db, "LISTEN bell");
    script(db, "NOTIFY bell");
    PGnotify *note = PQnotifies(plumb_db_conn(db));
    assert_non_null(note);
    assert_string_equal(note->relname, "bell");
    PQfreemem(note);
}

#define WITH_DB(test) cmocka_unit_test_setup_teardown(test, open_db, close_db)
#define WITH_STANDBY(test) cmocka_unit_test_setup_teardown(test, standby_wanted, standby_not_wanted)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DB(scalars),
        WITH_DB(absent_values),
        WITH_DB(arrays),
        WITH_DB(large_and_empty_arrays),
        WITH_DB(arrays_of_records),
        WITH_DB(null_then_value),
        WITH_DB(error_classes),
        WITH_DB(lock_not_available),
        WITH_DB(error_behind_completion),
        WITH_DB(transactions),
        WITH_DB(commit_after_failure),
        WITH_DB(transaction_lost),
        WITH_DB(connection_broke),
        WITH_DB(deadline),
        WITH_DB(large_parameter),
        WITH_DB(notifications),
        WITH_STANDBY(commit_waits),
        WITH_STANDBY(wait_is_canceled),
        WITH_DB(idle_connection_lost),
        WITH_DB(server_crashes),
        WITH_DB(server_stops_in_transaction),
        cmocka_unit_test(session_settings),
        cmocka_unit_test(bad_conninfo),
        cmocka_unit_test(hosts_in_turn),
        cmocka_unit_test(not_writable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
