/* Making, writing and finding configuration. */
#include "settings.h"

#include "conf_table.h"
#include "conf_units.h"
#include "state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM_FILE "/etc/plumb/plumb.conf"

int settings_put(plumb_conf_t *conf, const char *key, const char *value, plumb_err_t *err)
{
    char line[2 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%s=%s", key, value);
    if (length < 0 || (size_t)length >= sizeof line)
        return plumb_err_set(err, PLUMB_E_CONFIG, "%s: too long", key);
    return plumb_conf_set(conf, line, "plumb up", err);
}

static int apply_sets(plumb_conf_t *conf, const args_t *args, plumb_err_t *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < args->set_count; i++)
        rc = plumb_conf_set(conf, args->sets[i], "--set", err);
    return rc;
}

/* Keys that have an option of their own, which does more than set them. */
static int check_sets(const args_t *args, plumb_err_t *err)
{
    for (size_t i = 0; i < args->set_count; i++) {
        const char *set = args->sets[i];
        size_t length = strcspn(set, "= ");
        if (length == strlen("database") && strncmp(set, "database", length) == 0)
            return plumb_err_set(err, PLUMB_E_USAGE, "--set %s: use --database URL", set);
        if (length == strlen("ingest.listen") && strncmp(set, "ingest.listen", length) == 0)
            return plumb_err_set(err, PLUMB_E_USAGE, "--set %s: use --port N", set);
    }
    return 0;
}

/* The daemons work in "/", and `status` may be asked from anywhere. */
static int make_absolute(plumb_conf_t *conf, plumb_err_t *err)
{
    const struct {
        const char *key, *value;
    } paths[] = {{"run_dir", conf->run_dir},        {"state_dir", conf->state_dir},
                 {"keys_dir", conf->keys_dir},      {"channel_dir", conf->channel_dir},
                 {"worker.ca_file", conf->ca_file}, {"geo.file", conf->geo_file}};
    char cwd[PATH_MAX], whole[2 * PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof paths / sizeof *paths; i++) {
        if (paths[i].value[0] == '/' || paths[i].value[0] == '\0')
            continue;
        if (getcwd(cwd, sizeof cwd) == NULL)
            return plumb_err_set(err, PLUMB_E_SYSTEM, "%s: '%s': %s", paths[i].key, paths[i].value,
                                 strerror(errno));
        snprintf(whole, sizeof whole, "%s/%s", cwd, paths[i].value);
        rc = settings_put(conf, paths[i].key, whole, err);
    }
    return rc;
}

int settings_make(plumb_conf_t *conf, const char *state_dir, const char *channel_dir,
                  const args_t *args, plumb_err_t *err)
{
    char path[PATH_MAX];
    int rc = check_sets(args, err);
    if (rc < 0)
        return rc;
    rc = plumb_conf_init(conf, err);
    if (rc == 0)
        rc = settings_put(conf, "development", "true", err);
    if (rc == 0)
        rc = settings_put(conf, "state_dir", state_dir, err);
    if (rc == 0)
        rc = settings_put(conf, "run_dir", state_path(state_dir, "run", path), err);
    if (rc == 0)
        rc = settings_put(conf, "keys_dir", state_path(state_dir, "keys", path), err);
    if (rc == 0)
        rc = settings_put(conf, "channel_dir", channel_dir, err);
    if (rc == 0)
        rc = apply_sets(conf, args, err);
    if (rc == 0)
        rc = make_absolute(conf, err);
    if (rc == 0)
        rc = plumb_conf_check(conf, err);
    return rc;
}

/* ---- the file ---- */

static void print_key(const plumb_conf_t *conf, const plumb_conf_key_t *key, plumb_buf_t *out)
{
    const void *at = plumb_conf_value(conf, key);
    char number[PLUMB_UNIT_TEXT];
    if (key->kind == PLUMB_CONF_IS_TEXT) {
        const char *value = *(char *const *)at;
        if (strcmp(value, key->text) != 0)
            plumb_buf_printf(out, "%s = %s\n", key->name, value);
    } else if (key->kind == PLUMB_CONF_IS_BOOL) {
        bool value = *(const bool *)at;
        if (value != (key->number != 0))
            plumb_buf_printf(out, "%s = %s\n", key->name, value ? "true" : "false");
    } else {
        int64_t value = *(const int64_t *)at;
        if (value != key->number)
            plumb_buf_printf(out, "%s = %s\n", key->name,
                             plumb_conf_number_text(key, value, number));
    }
}

void settings_print(const plumb_conf_t *conf, plumb_buf_t *out)
{
    plumb_buf_text(out,
                   "# Written by `plumb up` at each start: give changes to it as --set KEY=VALUE.\n"
                   "# All keys with their help: plumb config --help-texts\n");
    for (size_t i = 0; i < PLUMB_CONF_KEYS; i++)
        print_key(conf, &plumb_conf_keys[i], out);
}

/* ---- paths ---- */

int settings_check_paths(const plumb_conf_t *conf, const char *state_dir, plumb_err_t *err)
{
    const char *const sockets[] = {"broker.jobs",   "broker.work",     "broker.control",
                                   "broker.beacon", "tracker.results", "tracker.acks"};
    const char *const daemons[] = {conf->ingest_name, conf->broker_name, conf->worker_slot,
                                   conf->tracker_name};
    char path[PATH_MAX], name[PATH_MAX];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof sockets / sizeof *sockets; i++)
        rc = plumb_conf_run_path(conf, path, sizeof path, sockets[i], err);
    for (size_t i = 0; rc == 0 && i < sizeof daemons / sizeof *daemons; i++) {
        snprintf(name, sizeof name, "%s.http", daemons[i]);
        rc = plumb_conf_run_path(conf, path, sizeof path, name, err);
    }
    if (rc < 0)
        return plumb_err_add(err,
                             "state directory '%s' is too deep, name a shorter one "
                             "(--state DIR)",
                             state_dir);
    int length = snprintf(path, sizeof path, "%s/pg/.s.PGSQL.5432", state_dir);
    if (length > 107)
        return plumb_err_set(err, PLUMB_E_CONFIG,
                             "state directory '%s' is too deep: PostgreSQL's socket would have a "
                             "path of %d bytes, 107 are possible; name a shorter one (--state DIR)",
                             state_dir, length);
    return 0;
}

/* ---- finding it ---- */

static int find_file(const args_t *args, char *path, plumb_err_t *err)
{
    char dir[STATE_DIR_MAX];
    if (args_has(args, OPT_CONFIG)) {
        snprintf(path, PATH_MAX, "%s", args->value[OPT_CONFIG]);
        return 0;
    }
    int rc = state_locate(dir, args->value[OPT_STATE], err);
    if (rc < 0)
        return rc;
    state_path(dir, "plumb.conf", path);
    if (!args_has(args, OPT_STATE) && access(path, F_OK) < 0 && access(SYSTEM_FILE, F_OK) == 0)
        memcpy(path, SYSTEM_FILE, sizeof SYSTEM_FILE);
    return 0;
}

int settings_load(plumb_conf_t *conf, const args_t *args, bool needed, plumb_err_t *err)
{
    char path[PATH_MAX];
    int rc = find_file(args, path, err);
    if (rc == 0)
        rc = plumb_conf_init(conf, err);
    if (rc == 0 && access(path, F_OK) == 0)
        rc = plumb_conf_load(conf, path, err);
    else if (rc == 0 && (needed || args_has(args, OPT_CONFIG) || args_has(args, OPT_STATE)))
        rc = plumb_err_set(err, PLUMB_E_NOT_FOUND,
                           "there is no '%s'; name a configuration: --config FILE, or the state "
                           "directory of a 'plumb up': --state DIR",
                           path);
    if (rc == 0)
        rc = apply_sets(conf, args, err);
    return rc;
}
