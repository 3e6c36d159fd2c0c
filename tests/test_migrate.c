/* Migrations: once, whoever and how many ask; whole or not at all; nothing that does not fit. */
#include "count.h"
#include "migrate.h"
#include "pg.h"

#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS 60000
#define CROWD 4

static plumb_err_t err;

typedef struct fixture {
    char conninfo[PG_CONNINFO_MAX];
    char dir[32];
    plumb_db_t *db;
} fixture_t;

static plumb_db_t *connected(const fixture_t *f)
{
    plumb_db_t *db = NULL;
    if (plumb_db_new(&db, f->conninfo, "test", &err) < 0 || plumb_db_connect(db, LONG_MS, &err) < 0)
        fail_msg("connect: %s", err.text);
    return db;
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    if (f == NULL)
        return -1;
    strcpy(f->dir, "/tmp/plumb-sql-XXXXXX");
    pg_new_database(f->conninfo);
    f->db = connected(f);
    *state = f;
    return mkdtemp(f->dir) == NULL ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    plumb_db_destroy(&f->db);
    nftw(f->dir, remove_one, 4, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void write_bytes(const fixture_t *f, const char *name, const char *sql, size_t length)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(sql, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const fixture_t *f, const char *name, const char *sql)
{
    write_bytes(f, name, sql, strlen(sql));
}

static void drop_file(const fixture_t *f, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_int_equal(unlink(path), 0);
}

static void must_apply(const fixture_t *f, int applied, int version)
{
    plumb_migrated_t done = {-1, -1};
    if (plumb_migrate(f->db, f->dir, &done, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(done.applied, applied);
    assert_int_equal(done.version, version);
    if (plumb_migrate_check(f->db, f->dir, &err) < 0)
        fail_msg("check: %s", err.text);
}

/* Both the migration and the check refuse, and say why. */
static void must_refuse(const fixture_t *f, const char *why)
{
    plumb_migrated_t done;
    for (int check = 0; check < 2; check++) {
        int rc = check ? plumb_migrate_check(f->db, f->dir, &err)
                       : plumb_migrate(f->db, f->dir, &done, &err);
        if (rc != -PLUMB_E_MIGRATION || strstr(err.text, why) == NULL)
            fail_msg("got %d (%s), want '%s'", rc, err.text, why);
    }
}

static int count(const fixture_t *f, const char *sql)
{
    char value[32];
    pg_run(f->conninfo, sql, value, sizeof value);
    return atoi(value);
}

/* ---- what is done ---- */

static void each_file_runs_once(void **state)
{
    fixture_t *f = *state;
    write_file(f, "001_first.sql", "CREATE TABLE t (n int); INSERT INTO t VALUES (1);");
    must_apply(f, 1, 1);
    must_apply(f, 0, 1);
    write_file(f, "002_second.sql",
               "-- a comment\nINSERT INTO t VALUES (2); INSERT INTO t VALUES (3)");
    write_file(f, "003_third.sql", "");
    must_apply(f, 2, 3);
    must_apply(f, 0, 3);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 3);
    assert_int_equal(count(f, "SELECT count(*) FROM schema_migrations WHERE length(checksum) = 32 "
                              "AND applied_at > now() - interval '1 hour'"),
                     3);
}

static void check_names_what_to_type(void **state)
{
    fixture_t *f = *state;
    write_file(f, "001_first.sql", "CREATE TABLE t (n int)");
    assert_int_equal(plumb_migrate_check(f->db, f->dir, &err), -PLUMB_E_MIGRATION);
    assert_non_null(strstr(err.text, "plumb migrate"));
    assert_int_equal(count(f, "SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'"),
                     0); /* a check changes nothing */
    must_apply(f, 1, 1);
}

static void other_files_do_not_matter(void **state)
{
    fixture_t *f = *state;
    write_file(f, "README.md", "x");
    write_file(f, ".001_first.sql.swp", "x");
    write_file(f, ".002_hidden.sql", "x");
    write_file(f, "001_first.sql", "SELECT 1");
    must_apply(f, 1, 1);
}

static void *migrate_too(void *self)
{
    const fixture_t *f = self;
    plumb_migrated_t done = {0};
    plumb_err_t why;
    plumb_db_t *db = connected(f);
    int rc = plumb_migrate(db, f->dir, &done, &why);
    plumb_db_destroy(&db);
    return (void *)(intptr_t)(rc < 0 || done.version != 3 ? -1 : done.applied);
}

static void many_at_once_do_it_once(void **state)
{
    fixture_t *f = *state;
    pthread_t threads[CROWD];
    intptr_t applied = 0;
    write_file(f, "001_first.sql", "CREATE TABLE t (n int); SELECT pg_sleep(0.2)");
    write_file(f, "002_second.sql", "INSERT INTO t VALUES (1); SELECT pg_sleep(0.2)");
    write_file(f, "003_third.sql", "INSERT INTO t VALUES (2)");
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_too, f), 0);
    for (int i = 0; i < CROWD; i++) {
        void *value;
        pthread_join(threads[i], &value);
        assert_true((intptr_t)value >= 0);
        applied += (intptr_t)value;
    }
    assert_int_equal(applied, 3);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 2);
}

static void session_is_left_as_it_was(void **state)
{
    static const char script[] = "DO $$ BEGIN "
                                 "IF current_setting('statement_timeout') <> '9s' OR "
                                 "current_setting('lock_timeout') <> '8s' OR "
                                 "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory') THEN "
                                 "RAISE 'changed'; END IF; END $$";
    fixture_t *f = *state;
    char conninfo[PG_CONNINFO_MAX + 64];
    plumb_db_t *db = NULL;
    plumb_migrated_t done;
    snprintf(conninfo, sizeof conninfo, "%s options='-c statement_timeout=9s -c lock_timeout=8s'",
             f->conninfo);
    write_file(f, "001_first.sql", "SELECT 1");
    write_file(f, "002_wrong.sql", "SELECT 1 FROM nowhere");
    assert_int_equal(plumb_db_new(&db, conninfo, "test", &err), 0);
    assert_true(plumb_migrate(db, f->dir, &done, &err) < 0);
    if (plumb_db_script(db, script, LONG_MS, &err) < 0)
        fail_msg("%s", err.text);
    plumb_db_destroy(&db);
}

/* ---- what fails ---- */

static void failing_file_leaves_nothing_half_done(void **state)
{
    fixture_t *f = *state;
    plumb_migrated_t done;
    write_file(f, "001_first.sql", "CREATE TABLE t (n int)");
    write_file(f, "002_wrong.sql", "INSERT INTO t VALUES (1); CREATE TABLE u (n int); SELECT 1/0");
    write_file(f, "003_third.sql", "INSERT INTO t VALUES (3)");
    assert_int_equal(plumb_migrate(f->db, f->dir, &done, &err), -PLUMB_E_DB_VALUE);
    assert_non_null(strstr(err.text, "002_wrong.sql"));
    assert_int_equal(done.applied, 1);
    assert_int_equal(done.version, 1);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM pg_class WHERE relname = 'u'"), 0);
    write_file(f, "002_wrong.sql", "INSERT INTO t VALUES (1)"); /* it never ran: may change */
    must_apply(f, 2, 3);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 2);
}

static void file_must_not_end_its_transaction(void **state)
{
    fixture_t *f = *state;
    plumb_migrated_t done;
    write_file(f, "001_first.sql", "CREATE TABLE t (n int); COMMIT");
    assert_int_equal(plumb_migrate(f->db, f->dir, &done, &err), -PLUMB_E_MIGRATION);
    assert_non_null(strstr(err.text, "ends the transaction"));
    assert_int_equal(count(f, "SELECT count(*) FROM schema_migrations"), 0);
}

static void killed_migration_is_taken_up_again(void **state)
{
    fixture_t *f = *state;
    plumb_migrated_t done;
    write_file(f, "001_first.sql", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    write_file(f, "002_dies.sql",
               "INSERT INTO t VALUES (2); "
               "SELECT pg_terminate_backend(pg_backend_pid())");
    assert_true(plumb_migrate(f->db, f->dir, &done, &err) < 0);
    assert_int_equal(done.version, 1);
    write_file(f, "002_dies.sql", "INSERT INTO t VALUES (3)");
    plumb_db_t *again = connected(f); /* its lock went with its connection */
    if (plumb_migrate(again, f->dir, &done, &err) < 0)
        fail_msg("%s", err.text);
    plumb_db_destroy(&again);
    assert_int_equal(done.applied, 1);
    assert_int_equal(count(f, "SELECT sum(n) FROM t"), 4);
}

static void what_ran_must_not_change(void **state)
{
    fixture_t *f = *state;
    write_file(f, "001_first.sql", "SELECT 1");
    write_file(f, "002_second.sql", "SELECT 2");
    must_apply(f, 2, 2);
    write_file(f, "001_first.sql", "SELECT 1 ");
    must_refuse(f, "'001_first.sql' was changed after it ran");
    write_file(f, "001_first.sql", "SELECT 1");
    drop_file(f, "002_second.sql");
    must_refuse(f, "the database has '002_second.sql', the newest file is '001_first.sql'");
    write_file(f, "002_other.sql", "SELECT 2");
    must_refuse(f, "migration 2 ran as '002_second.sql', the file is '002_other.sql'");
    drop_file(f, "002_other.sql");
    write_file(f, "002_second.sql", "SELECT 2");
    must_apply(f, 0, 2);
    pg_run(f->conninfo, "DELETE FROM schema_migrations WHERE number = 1", NULL, 0);
    must_refuse(f, "the database lacks migration 1, has 2");
}

static void numbers_must_fit(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *name, *why;
    } cases[] = {{"003_gap.sql", "file '003_gap.sql', want number 002"},
                 {"001_again.sql", "want number"},
                 {"000_zero.sql", "file '000_zero.sql', want NNN_name.sql"},
                 {"2_short.sql", "file '2_short.sql', want NNN_name.sql"},
                 {"0002_long.sql", "file '0002_long.sql', want NNN_name.sql"},
                 {"002-dash.sql", "file '002-dash.sql', want NNN_name.sql"},
                 {"002_.sql", "file '002_.sql', want NNN_name.sql"},
                 {"002_Upper.sql", "file '002_Upper.sql', want NNN_name.sql"},
                 {"readme.sql", "file 'readme.sql', want NNN_name.sql"}};
    must_refuse(f, "0 files");
    write_file(f, "001_first.sql", "CREATE TABLE t (n int)");
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        write_file(f, cases[i].name, "SELECT 1");
        must_refuse(f, cases[i].why);
        drop_file(f, cases[i].name);
    }
    write_bytes(f, "002_nul.sql", "SELECT 1;\0 SELECT 2", 19);
    must_refuse(f, "NUL");
    drop_file(f, "002_nul.sql");
    assert_int_equal(count(f, "SELECT count(*) FROM pg_class WHERE relname = 't'"), 0);
}

static void missing_folder_is_named(void **state)
{
    fixture_t *f = *state;
    plumb_migrated_t done;
    assert_int_equal(plumb_migrate(f->db, "/tmp/no such folder", &done, &err), -PLUMB_E_SYSTEM);
    assert_non_null(strstr(err.text, "/tmp/no such folder"));
}

/* ---- our own files ---- */

static void link_file(const fixture_t *f, const char *name)
{
    char from[PATH_MAX], to[128];
    snprintf(from, sizeof from, "%s/%s", PLUMB_SQL_DIR, name);
    snprintf(to, sizeof to, "%s/%s", f->dir, name);
    assert_int_equal(symlink(from, to), 0);
}

/* A database that was in use before enumerations keeps what it has. */
static void stored_rows_survive(void **state)
{
    fixture_t *f = *state;
    static const char owner[] = "'0190c9d2-0000-7000-8000-000000000001'";
    char sql[2048];
    link_file(f, "001_pipeline.sql");
    link_file(f, "002_intake.sql");
    must_apply(f, 2, 2);
    snprintf(
        sql, sizeof sql,
        "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id, status, data, trace) "
        "SELECT %1$s::uuid, id::uuid, %1$s::uuid, %1$s::uuid, %1$s::uuid, 'AtWork', "
        "'{\"a\": [1]}', '[[\"phone\", \"ok\"]]' FROM (VALUES (plumb_id_floor(now())), "
        "(%1$s::uuid)) v(id);"
        "INSERT INTO deliveries (account_id, id, lead_id, credential_id, channel, verb, priority, "
        "state, deadline_at, epoch, queued_at, attempt) SELECT account_id, id, id, id, 'c', "
        "'update', 2, CASE WHEN id = %1$s THEN 'queued' ELSE 'failed' END, now(), 1, now(), 1 "
        "FROM leads;"
        "INSERT INTO idempotency (account_id, route, key, body_hash, status, "
        "integration_status) VALUES (%1$s, 'POST /x', 'k', '', 201, 'none')",
        owner);
    if (plumb_db_script(f->db, sql, LONG_MS, &err) < 0)
        fail_msg("%s", err.text);
    link_file(f, "003_hot_path.sql");
    must_apply(f, 1, 3);
    assert_int_equal(count(f, "SELECT count(*) FROM leads WHERE status = 'AtWork' AND "
                              "data->'a'->>0 = '1' AND trace->0->>0 = 'phone'"),
                     2);
    assert_int_equal(count(f, "SELECT count(DISTINCT state) FROM deliveries WHERE state IN "
                              "('queued', 'failed') AND verb = 'update' AND priority = 2"),
                     2);
    assert_int_equal(count(f, "SELECT count(*) FROM idempotency"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_file_runs_once, setup, teardown),
        cmocka_unit_test_setup_teardown(check_names_what_to_type, setup, teardown),
        cmocka_unit_test_setup_teardown(other_files_do_not_matter, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_once_do_it_once, setup, teardown),
        cmocka_unit_test_setup_teardown(session_is_left_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(failing_file_leaves_nothing_half_done, setup, teardown),
        cmocka_unit_test_setup_teardown(file_must_not_end_its_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_migration_is_taken_up_again, setup, teardown),
        cmocka_unit_test_setup_teardown(what_ran_must_not_change, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_must_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_folder_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(stored_rows_survive, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
