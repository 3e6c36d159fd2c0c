/* Commands that are one call into lib/: migrate, config, keys. */
#include "operate.h"
#include "commands.h"
#include "key_file.h"
#include "places.h"
#include "settings.h"
#include "state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

/* ---- keys ---- */

int operate_ensure_key(const char *dir, plumb_err_t *err)
{
    uint32_t ids[PLUMB_KEYS_MAX], id;
    unsigned count = 0;
    int rc = plumb_key_files(dir, ids, &count, err);
    return rc < 0 || count > 0 ? rc : plumb_keyring_generate(dir, &id, err);
}

static int find_keys_dir(const args_t *args, char dir[PATH_MAX], plumb_err_t *err)
{
    if (args_has(args, OPT_DIR)) {
        snprintf(dir, PATH_MAX, "%s", args->value[OPT_DIR]);
        return 0;
    }
    plumb_conf_t conf = {0};
    int rc = settings_load(&conf, args, true, err);
    if (rc == 0)
        snprintf(dir, PATH_MAX, "%s", conf.keys_dir);
    plumb_conf_fini(&conf);
    return rc;
}

static void print_key(const char *dir, uint32_t id, const char *word, bool json)
{
    if (json) /* one object a line */
        printf("{\"id\":%" PRIu32 ",\"seals\":%s}\n", id, word[0] != '\0' ? "true" : "false");
    else
        printf("%-6" PRIu32 " %-6s %s/master-%" PRIu32 ".key\n", id, word, dir, id);
}

int run_keys_new(const args_t *args, plumb_err_t *err)
{
    char dir[PATH_MAX];
    uint32_t id = 0;
    int rc = find_keys_dir(args, dir, err);
    if (rc == 0 && mkdir(dir, 0700) < 0 && errno != EEXIST)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "make directory '%s': %s", dir, strerror(errno));
    if (rc == 0)
        rc = plumb_keyring_generate(dir, &id, err);
    if (rc < 0)
        return rc;
    print_key(dir, id, "seals", args_has(args, OPT_JSON));
    fprintf(stderr, "copy it to every host that seals or opens, then restart ingest and tracker\n");
    return STATUS_OK;
}

int run_keys_ls(const args_t *args, plumb_err_t *err)
{
    char dir[PATH_MAX];
    uint32_t ids[PLUMB_KEYS_MAX];
    unsigned count = 0;
    int rc = find_keys_dir(args, dir, err);
    if (rc == 0)
        rc = plumb_key_files(dir, ids, &count, err);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        print_key(dir, ids[i], i + 1 == count ? "seals" : "", args_has(args, OPT_JSON));
    return rc;
}
