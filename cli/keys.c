/* `plumb keys`: master keys are files, which are made and listed here; keys of
 * accounts are changed by a tracker (tracker/rotation.h), which is only asked,
 * and watched. */
#include "commands.h"
#include "key_file.h"
#include "operate.h"
#include "settings.h"
#include "store_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WATCH_EVERY_MS 500

int operate_ensure_key(const char *dir, plumb_err_t *err)
{
    uint32_t ids[PLUMB_KEYS_MAX], id;
    unsigned count = 0;
    int rc = plumb_key_files(dir, ids, &count, err);
    return rc < 0 || count > 0 ? rc : plumb_keyring_generate(dir, &id, err);
}

/* ---- master keys ---- */

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
    fprintf(stderr, "copy it to every host that seals or opens, restart ingest "
                    "and tracker, then "
                    "'plumb keys rotate --master'\n");
    return STATUS_OK;
}

/* ---- jobs ---- */

static const char *what_of(const key_job_t *job, char text[PLUMB_UUID_TEXT])
{
    return plumb_uuid_is_nil(&job->account) ? "master" : plumb_uuid_text(&job->account, text);
}

static void print_job(const key_job_t *job, bool json)
{
    char id[PLUMB_UUID_TEXT];
    const char *what = what_of(job, id);
    if (json) {
        printf("{\"of\":\"%s\",\"key\":%" PRId32 ",\"pass\":%" PRId32 ",\"seen\":%" PRId64
               ",\"expected\":%" PRId64 ",\"changed\":%" PRId64 ",\"closed\":%" PRId64
               ",\"finished\":%s,\"note\":\"%s\"}\n",
               what, job->key, job->pass, job->seen, job->expected, job->changed, job->unopened,
               job->finished ? "true" : "false", job->note);
        return;
    }
    printf("%-36s  key %-4" PRId32 " pass %-2" PRId32 " %10" PRId64 " of about %-10" PRId64
           " changed %-10" PRId64 " %s\n",
           what, job->key, job->pass, job->seen, job->expected, job->changed,
           job->note[0] != '\0' ? job->note : "runs");
}

static void print_versions(const key_versions_t *v, bool json)
{
    char id[PLUMB_UUID_TEXT];
    plumb_uuid_text(&v->account, id);
    if (json)
        printf("{\"account\":\"%s\",\"oldest\":%" PRId32 ",\"newest\":%" PRId32 "}\n", id,
               v->oldest, v->newest);
    else if (v->oldest == v->newest)
        printf("%s  key %" PRId32 "\n", id, v->newest);
    else
        printf("%s  key %" PRId32 ", older ones from %" PRId32 " still open\n", id, v->newest,
               v->oldest);
}

static int list_database(const char *database, const plumb_uuid_t *account, bool json,
                         plumb_err_t *err)
{
    plumb_db_t *db = NULL;
    key_versions_t versions[KEY_ROWS_MAX];
    key_job_t jobs[KEY_ROWS_MAX];
    size_t version_count = 0, job_count = 0;
    int rc = plumb_db_new(&db, database, "plumb-keys", err);
    if (rc == 0)
        rc = store_key_versions(db, account, versions, &version_count, err);
    if (rc == 0)
        rc = store_key_jobs(db, jobs, &job_count, err);
    for (size_t i = 0; rc == 0 && i < version_count; i++)
        print_versions(&versions[i], json);
    for (size_t i = 0; rc == 0 && i < job_count; i++)
        print_job(&jobs[i], json);
    plumb_db_destroy(&db);
    return rc;
}

static int read_account(const args_t *args, plumb_uuid_t *account, plumb_err_t *err)
{
    const char *text = args->value[OPT_ACCOUNT];
    *account = (plumb_uuid_t){0};
    if (text == NULL || plumb_uuid_parse(account, text, strlen(text)))
        return 0;
    return plumb_err_set(err, PLUMB_E_USAGE, "--account: '%s', want a UUID", text);
}

/* The files alone where a directory is given. */
int run_keys_ls(const args_t *args, plumb_err_t *err)
{
    char dir[PATH_MAX];
    uint32_t ids[PLUMB_KEYS_MAX];
    unsigned count = 0;
    plumb_uuid_t account;
    plumb_conf_t conf = {0};
    bool json = args_has(args, OPT_JSON);
    int rc = read_account(args, &account, err);
    if (rc == 0)
        rc = find_keys_dir(args, dir, err);
    if (rc == 0)
        rc = plumb_key_files(dir, ids, &count, err);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        print_key(dir, ids[i], i + 1 == count ? "seals" : "", json);
    if (rc < 0 || args_has(args, OPT_DIR))
        return rc;
    rc = settings_load(&conf, args, true, err);
    if (rc == 0 && list_database(conf.database, &account, json, err) < 0)
        fprintf(stderr, "keys of accounts are not listed: %s\n", err->text);
    plumb_conf_fini(&conf);
    return rc;
}

/* ---- rotation ---- */

static int ask_for(const args_t *args, const plumb_conf_t *conf, plumb_db_t *db, int64_t *asked,
                   plumb_err_t *err)
{
    plumb_uuid_t account;
    uint32_t ids[PLUMB_KEYS_MAX];
    unsigned count = 0;
    if (args_has(args, OPT_ALL))
        return store_rotate(db, NULL, asked, err);
    if (args_has(args, OPT_ACCOUNT)) {
        int rc = read_account(args, &account, err);
        return rc < 0 ? rc : store_rotate(db, &account, asked, err);
    }
    int rc = plumb_key_files(conf->keys_dir, ids, &count, err);
    if (rc == 0 && count == 0)
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND, "no master key in '%s'", conf->keys_dir);
    return rc < 0 ? rc : store_rotate_master(db, ids[count - 1], asked, err);
}

/* Print what runs until nothing does; what has ended meanwhile is told once. */
static int watch(plumb_db_t *db, bool json, plumb_err_t *err)
{
    key_job_t jobs[KEY_ROWS_MAX];
    size_t count = 0, running = 1;
    int64_t last = -1;
    int rc = 0;
    while (rc == 0 && running > 0) {
        rc = store_key_jobs(db, jobs, &count, err);
        int64_t now = 0;
        running = 0;
        for (size_t i = 0; rc == 0 && i < count; i++) {
            running += !jobs[i].finished;
            now += jobs[i].seen + jobs[i].pass * INT64_C(1000000000) + jobs[i].finished;
        }
        for (size_t i = 0; rc == 0 && now != last && i < count; i++)
            print_job(&jobs[i], json);
        last = now;
        fflush(stdout);
        if (rc == 0 && running > 0)
            poll(NULL, 0, WATCH_EVERY_MS);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (jobs[i].unopened > 0)
            rc = STATUS_FAILED;
    return rc;
}

int run_keys_rotate(const args_t *args, plumb_err_t *err)
{
    plumb_conf_t conf = {0};
    plumb_db_t *db = NULL;
    int64_t asked = 0;
    if (args_has(args, OPT_ALL) + args_has(args, OPT_ACCOUNT) + args_has(args, OPT_MASTER) != 1)
        return plumb_err_set(err, PLUMB_E_USAGE, "wants one of --account, --all, --master");
    int rc = settings_load(&conf, args, true, err);
    if (rc == 0)
        rc = plumb_db_new(&db, conf.database, "plumb-keys", err);
    if (rc == 0)
        rc = ask_for(args, &conf, db, &asked, err);
    if (rc == 0)
        fprintf(stderr, asked > 0 ? "asked for; a tracker does it in the background\n"
                                  : "it runs already\n");
    if (rc == 0 && args_has(args, OPT_WATCH))
        rc = watch(db, args_has(args, OPT_JSON), err);
    plumb_db_destroy(&db);
    plumb_conf_fini(&conf);
    return rc;
}
