/* Bringing a database up to the files of sql/, once, whoever and how many ask. */
#include "migrate.h"

#include "migration_files.h"

#include <string.h>

#define SHORT_MS 10000
#define LONG_MS                                                                                    \
    (INT64_C(6) * 3600 * 1000) /* a migration of large tables, or the wait for another's */

/* One lock for everybody who migrates this database: "plumb" in ASCII. */
#define LOCK_KEY "484756939106"

/* ---- what the database has ---- */

static const plumb_stmt_t has_table = {"migrate_has_table",
                                       "SELECT to_regclass('schema_migrations') IS NOT NULL", 0};

static const plumb_stmt_t list_done = {
    "migrate_list_done", "SELECT number, name, checksum FROM schema_migrations ORDER BY number", 0};

static int list(plumb_db_t *db, PGresult **done, plumb_err_t *err)
{
    PGresult *r = NULL;
    int rc = plumb_db_exec(db, &has_table, NULL, SHORT_MS, &r, err);
    if (rc < 0)
        return rc;
    bool there = plumb_get_bool(r, 0, 0);
    PQclear(r);
    return there ? plumb_db_exec(db, &list_done, NULL, SHORT_MS, done, err) : 0;
}

/* Is row `row` the file it says it is? */
static int compare_row(const PGresult *done, int row, const plumb_migrations_t *m, plumb_err_t *err)
{
    int number = plumb_get_int4(done, row, 0);
    const char *name = plumb_get_text(done, row, 1);
    if (number != row + 1)
        return plumb_err_set(err, PLUMB_E_MIGRATION, "the database lacks migration %d, has %d",
                             row + 1, number);
    if (number > m->count)
        return plumb_err_set(err, PLUMB_E_MIGRATION,
                             "the database has '%s', the newest file is '%s': "
                             "use a newer version of the program",
                             name, m->files[m->count - 1].name);
    const plumb_migration_t *file = &m->files[row];
    if (strcmp(name, file->name) != 0)
        return plumb_err_set(err, PLUMB_E_MIGRATION, "migration %d ran as '%s', the file is '%s'",
                             number, name, file->name);
    if (plumb_get_length(done, row, 2) != PLUMB_CHECKSUM ||
        memcmp(plumb_get_text(done, row, 2), file->checksum, PLUMB_CHECKSUM) != 0)
        return plumb_err_set(err, PLUMB_E_MIGRATION, "'%s' was changed after it ran", name);
    return 0;
}

/* How many of the files the database has; MIGRATION when it has anything else. */
static int count_done(plumb_db_t *db, const plumb_migrations_t *m, int *count, plumb_err_t *err)
{
    PGresult *done = NULL;
    int rc = list(db, &done, err);
    *count = rc == 0 ? PQntuples(done) : 0;
    for (int row = 0; rc == 0 && row < *count; row++)
        rc = compare_row(done, row, m, err);
    PQclear(done);
    return rc;
}

/* ---- doing it ---- */

static const plumb_stmt_t insert_done = {
    "migrate_insert_done",
    "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)", 3};

static int record(plumb_db_t *db, int number, const plumb_migration_t *file, plumb_err_t *err)
{
    plumb_params_t *p = plumb_params_new();
    if (p == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "record migration");
    plumb_param_int4(p, number);
    plumb_param_text(p, file->name);
    plumb_param_bytes(p, file->checksum, sizeof file->checksum);
    int rc = plumb_db_exec(db, &insert_done, p, SHORT_MS, NULL, err);
    plumb_params_destroy(&p);
    return rc;
}

/* The file and its row together or not at all. */
static int apply(plumb_db_t *db, int number, const plumb_migration_t *file, plumb_err_t *err)
{
    int rc = plumb_db_begin(db, SHORT_MS, err);
    if (rc < 0)
        return rc;
    rc = plumb_db_script(db, file->sql.data, LONG_MS, err);
    if (rc == 0 && PQtransactionStatus(plumb_db_conn(db)) != PQTRANS_INTRANS)
        rc = plumb_err_set(err, PLUMB_E_MIGRATION, "it ends the transaction it runs in");
    if (rc == 0)
        rc = record(db, number, file, err);
    if (rc == 0)
        rc = plumb_db_commit(db, SHORT_MS, err);
    if (rc < 0) {
        plumb_db_rollback(db);
        return plumb_err_add(err, "migration '%s'", file->name);
    }
    return 0;
}

static int apply_missing(plumb_db_t *db, const plumb_migrations_t *m, plumb_migrated_t *done,
                         plumb_err_t *err)
{
    int rc = plumb_db_script(db,
                             "CREATE TABLE IF NOT EXISTS schema_migrations ("
                             "number integer PRIMARY KEY, name text NOT NULL, "
                             "checksum bytea NOT NULL, applied_at timestamptz NOT NULL "
                             "DEFAULT now())",
                             SHORT_MS, err);
    if (rc == 0)
        rc = count_done(db, m, &done->version, err);
    while (rc == 0 && done->version < m->count) {
        rc = apply(db, done->version + 1, &m->files[done->version], err);
        if (rc == 0) {
            done->version++;
            done->applied++;
        }
    }
    return rc;
}

/* Statements may take long here; waiting for a table's lock may not, since all others then queue
 * behind it.  Waiting for whoever migrates may. */
static const char take_lock[] =
    "SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock(" LOCK_KEY ");"
    "RESET lock_timeout";
static const char give_lock[] = "RESET statement_timeout; SELECT pg_advisory_unlock(" LOCK_KEY ")";

int plumb_migrate(plumb_db_t *db, const char *dir, plumb_migrated_t *done, plumb_err_t *err)
{
    plumb_migrations_t m;
    *done = (plumb_migrated_t){0};
    int rc = plumb_migrations_read(&m, dir, err);
    if (rc == 0)
        rc = plumb_db_script(db, take_lock, LONG_MS, err);
    if (rc == 0) {
        rc = apply_missing(db, &m, done, err);
        if (plumb_db_is_connected(db)) /* the lock and the settings end with the connection */
            plumb_db_script(db, give_lock, SHORT_MS, NULL);
    }
    plumb_migrations_fini(&m);
    return rc;
}

int plumb_migrate_check(plumb_db_t *db, const char *dir, plumb_err_t *err)
{
    plumb_migrations_t m;
    int count = 0;
    int rc = plumb_migrations_read(&m, dir, err);
    if (rc == 0)
        rc = count_done(db, &m, &count, err);
    if (rc == 0 && count < m.count)
        rc = plumb_err_set(err, PLUMB_E_MIGRATION,
                           "the database is at migration %d, the program needs %d: "
                           "type 'plumb migrate'",
                           count, m.count);
    plumb_migrations_fini(&m);
    return rc;
}
