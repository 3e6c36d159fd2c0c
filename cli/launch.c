/* Starting everything, in the order in which one needs the other. */
#include "http.h"
#include "operate.h"
#include "port.h"
#include "settings.h"
#include "up.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORT_WANTED 8080
#define POSTGRES_MS 120000 /* it may have a long way to recover */
#define READY_MS 60000
#define LISTEN_MS 15000
#define STOP_MS 30000 /* a daemon's own limit is 25 s */
#define POSTGRES_STOP_MS 60000

/* The daemons of the pipeline in the order they are started, and where their names stand. */
static const struct {
    child_id_t id;
    size_t name; /* of the member of plumb_conf_t that names its health socket */
} daemons[] = {{CHILD_BROKER, offsetof(plumb_conf_t, broker_name)},
               {CHILD_TRACKER, offsetof(plumb_conf_t, tracker_name)},
               {CHILD_WORKER, offsetof(plumb_conf_t, worker_slot)},
               {CHILD_INGEST, offsetof(plumb_conf_t, ingest_name)}};
#define DAEMONS (sizeof daemons / sizeof *daemons)

char *launch_log(const up_t *up, child_id_t id, char *path)
{
    char name[64];
    snprintf(name, sizeof name, "logs/%s.log", child_name(id));
    return state_path(up->state.dir, name, path);
}

/* Fill in what all of our own programs have in common; `argv` follows the program's path. */
static child_t *plan_own(up_t *up, child_id_t id, const char *const argv[], size_t count)
{
    child_t *child = &up->supervisor.child[id];
    child->plan = (process_plan_t){
        .name = child_name(id), .passed = -1, .death_signal = SIGKILL, .argv = {up->program[id]}};
    for (size_t i = 0; i < count; i++)
        child->plan.argv[i + 1] = argv[i];
    launch_log(up, id, child->plan.log);
    child->plan.output = up->logger.into[id];
    child->stop_signal = SIGTERM;
    child->stop_ms = STOP_MS;
    return child;
}

int launch_check(up_t *up, plumb_err_t *err)
{
    snprintf(up->program[CHILD_LISTEN], PATH_MAX, "%s/plumb", up->places.bin);
    for (size_t i = 0; i < DAEMONS; i++) {
        char *program = up->program[daemons[i].id];
        snprintf(program, PATH_MAX, "%s/plumb-%s", up->places.bin, child_name(daemons[i].id));
        if (access(program, X_OK) < 0)
            return plumb_err_set(err, PLUMB_E_NOT_FOUND,
                                 "there is no program '%s'; build it: make build", program);
    }
    return 0;
}

/* ---- PostgreSQL ---- */

static int start_postgres(up_t *up, plumb_err_t *err)
{
    char log[PATH_MAX];
    child_t *child = &up->supervisor.child[CHILD_POSTGRES];
    launch_log(up, CHILD_POSTGRES, log);
    int rc = cluster_open(&up->cluster, up->state.dir, log, err);
    if (rc < 0)
        return rc;
    up_say("starting PostgreSQL in %s", up->cluster.dir);
    cluster_plan(&up->cluster, &child->plan, log);
    child->plan.output = up->logger.into[CHILD_POSTGRES];
    child->stop_signal = SIGINT; /* "fast": open transactions are ended, then a checkpoint */
    child->stop_ms = POSTGRES_STOP_MS;
    child->prepare = cluster_prepare;
    child->self = &up->cluster;
    rc = supervisor_start(&up->supervisor, CHILD_POSTGRES, err);
    if (rc == 0)
        rc = supervisor_wait(&up->supervisor, cluster_ready, &up->cluster, POSTGRES_MS, err);
    if (rc == 0)
        rc = cluster_make_database(&up->cluster, err);
    if (rc == 0)
        rc = settings_put(&up->conf, "database", up->cluster.conninfo, err);
    return rc;
}

static int open_database(up_t *up, plumb_err_t *err)
{
    plumb_migrated_t done;
    int rc = args_has(up->args, OPT_DATABASE)
                 ? settings_put(&up->conf, "database", up->args->value[OPT_DATABASE], err)
                 : start_postgres(up, err);
    if (rc == 0)
        rc = operate_migrate(up->conf.database, up->places.sql, &done, err);
    if (rc == 0 && done.applied > 0)
        up_say("database: %d migrations applied", done.applied);
    return rc;
}

/* ---- the demo and its receiver ---- */

static int listen_ready(void *self, plumb_err_t *err)
{
    const up_t *up = self;
    http_answer_t answer;
    http_ask_t ask = {.method = "GET", .url = up->listen_url, .timeout_ms = 2000};
    int rc = http_request(&ask, &answer, err);
    http_answer_fini(&answer);
    return rc;
}

static int start_listen(up_t *up, plumb_err_t *err)
{
    const char *const argv[] = {"listen", "--port", up->listen_text, "--secret-file", up->secret};
    snprintf(up->listen_text, sizeof up->listen_text, "%d", up->listen_port);
    snprintf(up->listen_url, sizeof up->listen_url, "http://127.0.0.1:%d/", up->listen_port);
    plan_own(up, CHILD_LISTEN, argv, sizeof argv / sizeof *argv);
    int rc = demo_write_secret(&up->demo, up->state.dir, up->secret, err);
    if (rc == 0)
        rc = supervisor_start(&up->supervisor, CHILD_LISTEN, err);
    if (rc == 0)
        rc = supervisor_wait(&up->supervisor, listen_ready, up, LISTEN_MS, err);
    return rc;
}

/* The guard lets this one address through, besides what the operator allows. */
static int allow_listen(up_t *up, plumb_err_t *err)
{
    char text[4096];
    const char *others = up->conf.egress_allow;
    int length = snprintf(text, sizeof text, "%s%s127.0.0.1:%d", others,
                          others[0] != '\0' ? "," : "", up->listen_port);
    if (length < 0 || (size_t)length >= sizeof text)
        return plumb_err_set(err, PLUMB_E_CONFIG, "egress.allow: too long");
    return settings_put(&up->conf, "egress.allow", text, err);
}

static int start_demo(up_t *up, plumb_err_t *err)
{
    if (args_has(up->args, OPT_NO_DEMO))
        return 0;
    int rc = demo_open(&up->demo, up->state.dir, err);
    if (rc == 0 && port_hold(up->demo.listen_port, &up->listen_port, &up->listen_held, err) < 0)
        rc = port_hold(0, &up->listen_port, &up->listen_held, err); /* the old one is taken */
    if (rc == 0)
        rc = start_listen(up, err);
    if (rc == 0)
        rc = allow_listen(up, err);
    if (rc == 0)
        rc = demo_store(&up->demo, &up->conf, up->state.dir, up->listen_port, err);
    return rc;
}

/* ---- the pipeline ---- */

static int choose_port(up_t *up, plumb_err_t *err)
{
    int wanted;
    char text[32];
    int rc = args_port(up->args, OPT_PORT, PORT_WANTED, &wanted, err);
    if (rc == 0 && (rc = port_hold(wanted, &up->port, &up->port_held, err)) == -PLUMB_E_CONFLICT) {
        rc = port_hold(0, &up->port, &up->port_held, err);
        if (rc == 0)
            up_say("port %d is busy, taking %d", wanted, up->port);
    }
    if (rc < 0)
        return rc;
    snprintf(up->url, sizeof up->url, "http://127.0.0.1:%d", up->port);
    snprintf(text, sizeof text, "127.0.0.1:%d", up->port);
    return settings_put(&up->conf, "ingest.listen", text, err);
}

static int write_config(up_t *up, plumb_err_t *err)
{
    plumb_buf_t text = {0};
    int rc = plumb_conf_check(&up->conf, err);
    settings_print(&up->conf, &text);
    if (rc == 0 && text.failed)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "write configuration");
    if (rc == 0)
        rc = state_write(up->config, text.data, text.length, err);
    plumb_buf_fini(&text);
    return rc;
}

int launch_ready(const plumb_conf_t *conf, child_id_t id, plumb_err_t *err)
{
    char name[300], path[PATH_MAX];
    for (size_t i = 0; i < DAEMONS; i++)
        if (daemons[i].id == id) {
            const char *own = *(char *const *)((const char *)conf + daemons[i].name);
            snprintf(name, sizeof name, "%s.http", own);
            int rc = plumb_conf_run_path(conf, path, sizeof path, name, err);
            return rc < 0 ? rc : http_ready(path, err);
        }
    return 0;
}

static int pipeline_ready(void *self, plumb_err_t *err)
{
    const up_t *up = self;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < DAEMONS; i++) {
        rc = launch_ready(&up->conf, daemons[i].id, err);
        if (rc < 0)
            plumb_err_add(err, "%s is not ready", child_name(daemons[i].id));
    }
    return rc;
}

static int start_pipeline(up_t *up, plumb_err_t *err)
{
    const char *const argv[] = {"--config", up->config};
    int rc = 0;
    up_say("starting broker, tracker, worker and ingest");
    for (size_t i = 0; rc == 0 && i < DAEMONS; i++) {
        plan_own(up, daemons[i].id, argv, sizeof argv / sizeof *argv);
        rc = supervisor_start(&up->supervisor, daemons[i].id, err);
    }
    if (rc == 0)
        rc = supervisor_wait(&up->supervisor, pipeline_ready, up, READY_MS, err);
    return rc;
}

int launch_all(up_t *up, plumb_err_t *err)
{
    char path[PATH_MAX];
    state_path(up->state.dir, "plumb.conf", up->config);
    state_clean_run(up->conf.run_dir); /* as one that was killed left it */
    unlink(state_path(up->state.dir, "up.json", path));
    int rc = choose_port(up, err);
    if (rc == 0)
        rc = open_database(up, err);
    if (rc == 0)
        rc = operate_ensure_key(up->conf.keys_dir, err);
    if (rc == 0)
        rc = start_demo(up, err);
    if (rc == 0)
        rc = write_config(up, err);
    if (rc == 0)
        rc = start_pipeline(up, err);
    return rc;
}
