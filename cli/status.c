/* `plumb status` and `plumb down`: looking at, and ending, what `plumb up` started. */
#include "commands.h"
#include "http.h"
#include "settings.h"
#include "up.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define FILE_MAX_BYTES 65536
#define DOWN_MS 180000 /* every child's own limit, one after the other, and some */

/* ---- down ---- */

/* The process behind the lock, by a descriptor that cannot come to mean another one: whoever still
 * holds the lock after the descriptor was made is the one it means. */
static int open_holder(const char *dir, pid_t *pid)
{
    *pid = state_holder(dir);
    if (*pid <= 0)
        return -1;
    int fd = pidfd_open(*pid, 0);
    if (fd >= 0 && state_holder(dir) != *pid) {
        close(fd);
        fd = -1;
        *pid = 0;
    }
    return fd;
}

static int stop_holder(int fd, pid_t pid, plumb_err_t *err)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    if (pidfd_send_signal(fd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "stop pid %d: %s", (int)pid, strerror(errno));
    if (poll(&end, 1, DOWN_MS) > 0)
        return 0;
    pidfd_send_signal(fd, SIGKILL, NULL, 0); /* its children end with it */
    return plumb_err_set(err, PLUMB_E_TIMEOUT, "pid %d did not end within %d s and was killed",
                         (int)pid, DOWN_MS / 1000);
}

int run_down(const args_t *args, plumb_err_t *err)
{
    char dir[STATE_DIR_MAX], path[PATH_MAX];
    pid_t pid;
    int rc = state_locate(dir, args->value[OPT_STATE], err);
    if (rc < 0)
        return rc;
    int fd = open_holder(dir, &pid);
    if (fd >= 0) {
        rc = stop_holder(fd, pid, err);
        close(fd);
        if (rc == 0)
            fprintf(stderr, "stopped\n");
        return rc;
    }
    if (pid > 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "watch pid %d: %s", (int)pid, strerror(errno));
    fprintf(stderr, "nothing runs in '%s'\n", dir);
    state_clean_run(state_path(dir, "run", path)); /* what a killed one left */
    unlink(state_path(dir, "up.json", path));
    return STATUS_OK;
}

/* ---- status ---- */

static int check_listen(const json_t *up, plumb_err_t *err)
{
    http_answer_t answer;
    http_ask_t ask = {.method = "GET",
                      .url = json_string_value(json_object_get(up, "listen")),
                      .timeout_ms = 2000};
    if (ask.url == NULL)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "has no address");
    int rc = http_request(&ask, &answer, err);
    http_answer_fini(&answer);
    return rc;
}

static int check_one(const plumb_conf_t *conf, const json_t *up, child_id_t id, plumb_err_t *err)
{
    if (id == CHILD_LISTEN)
        return check_listen(up, err);
    if (id != CHILD_POSTGRES)
        return launch_ready(conf, id, err);
    if (PQping(conf->database) == PQPING_OK)
        return 0;
    return plumb_err_set(err, PLUMB_E_DB_AWAY, "takes no connections");
}

/* {"name","pid","ready","reason"}; NULL for one that is not part of this `up`. */
static json_t *look_at(const plumb_conf_t *conf, const json_t *up, child_id_t id)
{
    plumb_err_t err = {0};
    json_t *pid = json_object_get(json_object_get(up, "pids"), child_name(id));
    if (pid == NULL)
        return NULL;
    int rc = json_integer_value(pid) > 0
                 ? check_one(conf, up, id, &err)
                 : plumb_err_set(&err, PLUMB_E_UNAVAILABLE, "is not running");
    return json_pack("{s:s, s:O, s:b, s:s?}", "name", child_name(id), "pid", pid, "ready", rc == 0,
                     "reason", rc == 0 ? NULL : err.text);
}

static json_t *look_at_all(const plumb_conf_t *conf, const json_t *up, bool *healthy)
{
    json_t *list = json_array();
    for (int i = 0; i < CHILD_COUNT; i++) {
        json_t *one = look_at(conf, up, i);
        if (one == NULL)
            continue;
        *healthy = *healthy && json_is_true(json_object_get(one, "ready"));
        json_array_append_new(list, one);
    }
    *healthy = *healthy && json_array_size(list) > 0;
    return list;
}

static void print_table(const json_t *list)
{
    size_t i;
    json_t *one;
    printf("%-10s %8s  %s\n", "PROCESS", "PID", "STATE");
    json_array_foreach(list, i, one)
    {
        const char *reason = json_string_value(json_object_get(one, "reason"));
        printf("%-10s %8lld  %s%s\n", json_string_value(json_object_get(one, "name")),
               (long long)json_integer_value(json_object_get(one, "pid")),
               reason == NULL ? "ready" : "not ready: ", reason == NULL ? "" : reason);
    }
}

static json_t *read_up(const char *dir)
{
    char path[PATH_MAX], *text = NULL;
    size_t length = 0;
    if (state_read(state_path(dir, "up.json", path), FILE_MAX_BYTES, &text, &length, NULL) < 0)
        return NULL;
    json_t *up = json_loadb(text, length, 0, NULL);
    free(text);
    return up;
}

static int show(const args_t *args, const plumb_conf_t *conf, const char *dir, json_t *up)
{
    bool healthy = true;
    json_t *list = look_at_all(conf, up, &healthy);
    if (args_has(args, OPT_JSON)) {
        json_t *all = json_pack("{s:b, s:b, s:s, s:O?, s:O}", "running", true, "healthy", healthy,
                                "state", dir, "url", json_object_get(up, "url"), "processes", list);
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(all);
    } else {
        print_table(list);
    }
    json_decref(list);
    return healthy ? STATUS_OK : STATUS_UNHEALTHY;
}

static int show_nothing(const args_t *args, const char *dir, pid_t holder)
{
    if (args_has(args, OPT_JSON)) {
        json_t *all = json_pack("{s:b, s:b, s:s, s:[]}", "running", holder > 0, "healthy", false,
                                "state", dir, "processes");
        json_dumpf(all, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(all);
    }
    if (holder > 0)
        fprintf(stderr, "'%s' is just starting (pid %d)\n", dir, (int)holder);
    else
        fprintf(stderr, "nothing runs in '%s'; start it: plumb up --state '%s'\n", dir, dir);
    return STATUS_UNHEALTHY;
}

int run_status(const args_t *args, plumb_err_t *err)
{
    char dir[STATE_DIR_MAX], path[PATH_MAX];
    plumb_conf_t conf = {0};
    int rc = state_locate(dir, args->value[OPT_STATE], err);
    if (rc < 0)
        return rc;
    pid_t holder = state_holder(dir);
    json_t *up = holder > 0 ? read_up(dir) : NULL;
    if (up == NULL)
        return show_nothing(args, dir, holder);
    rc = http_open(err);
    if (rc == 0)
        rc = plumb_conf_init(&conf, err);
    if (rc == 0)
        rc = plumb_conf_load(&conf, state_path(dir, "plumb.conf", path), err);
    if (rc == 0)
        rc = show(args, &conf, dir, up);
    plumb_conf_fini(&conf);
    json_decref(up);
    http_close();
    return rc;
}
