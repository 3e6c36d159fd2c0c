/* Commands that are one call into lib/: migrate, config. */
#include "operate.h"
#include "commands.h"
#include "places.h"
#include "settings.h"
#include "state.h"

#include <stdio.h>

/* ---- migrate ---- */

int operate_migrate(const char *database, const char *sql_dir, plumb_migrated_t *done,
                    plumb_err_t *err)
{
    plumb_db_t *db = NULL;
    int rc = plumb_db_new(&db, database, "plumb-migrate", err);
    if (rc == 0)
        rc = plumb_migrate(db, sql_dir, done, err);
    plumb_db_destroy(&db);
    return rc;
}

static int check_schema(const char *database, const char *sql_dir, plumb_err_t *err)
{
    plumb_db_t *db = NULL;
    int rc = plumb_db_new(&db, database, "plumb-migrate", err);
    if (rc == 0)
        rc = plumb_migrate_check(db, sql_dir, err);
    plumb_db_destroy(&db);
    return rc;
}

int run_migrate(const args_t *args, plumb_err_t *err)
{
    plumb_conf_t conf = {0};
    places_t places;
    plumb_migrated_t done = {0};
    bool given = args_has(args, OPT_DATABASE), check = args_has(args, OPT_CHECK);
    int rc = places_find(&places, err);
    if (rc == 0)
        rc = settings_load(&conf, args, !given, err);
    const char *database = given ? args->value[OPT_DATABASE] : conf.database;
    if (rc == 0)
        rc = check ? check_schema(database, places.sql, err)
                   : operate_migrate(database, places.sql, &done, err);
    if (rc == 0 && !check)
        fprintf(stderr, "%d migrations applied, the database is at %d\n", done.applied,
                done.version);
    plumb_conf_fini(&conf);
    return rc;
}

/* ---- config ---- */

int run_config(const args_t *args, plumb_err_t *err)
{
    plumb_conf_t conf = {0};
    int rc = settings_load(&conf, args, false, err);
    if (rc == 0)
        rc = plumb_conf_check(&conf, err);
    if (rc == 0 && !args_has(args, OPT_CHECK))
        plumb_conf_print(&conf, stdout, args_has(args, OPT_HELP_TEXTS));
    plumb_conf_fini(&conf);
    return rc;
}
