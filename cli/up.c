/* `plumb up`: the story from nothing to a delivered lead, and back to nothing. */
#include "up.h"

#include "commands.h"
#include "detach.h"
#include "http.h"
#include "log.h"
#include "settings.h"
#include "timeline.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_LINES 8
#define LOG_MAX (16 << 20) /* bytes, then it is put aside in place of the one before */
#define STEP_MS 60000      /* nothing is polled for: signals and logs end a wait */

void up_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- what is printed when it works ---- */

static void print_json(const up_t *up)
{
    json_t *json = up_describe(up);
    if (json != NULL)
        json_dumpf(json, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(json);
}

static void print_demo(const up_t *up, const timeline_t *timeline)
{
    char document[1024];
    timeline_document(&up->demo, "Vera Lind", "+79001234567", "vera@mail.example", document,
                      sizeof document);
    putchar('\n');
    timeline_print(timeline, stdout);
    printf("\nURL    %s\ntoken  %s\n\nsend one:\n"
           "curl -sS %s/api/v1/leads -H 'Authorization: Bearer %s' "
           "-H 'Content-Type: application/vnd.api+json' -d '%s'\n\n"
           "see its way:\n"
           "curl -sS '%s/api/v1/leads/%s?include=deliveries,deliveries.attempts' "
           "-H 'Authorization: Bearer %s'\n\n",
           up->url, up->demo.token, up->url, up->demo.token, document, up->url, timeline->lead,
           up->demo.token);
}

/* Everything runs: send the first lead, say how to go on. */
static int announce(up_t *up, plumb_err_t *err)
{
    timeline_t timeline = {0};
    bool demo = !args_has(up->args, OPT_NO_DEMO);
    int rc = demo ? timeline_first_lead(up, &timeline, err) : 0;
    if (rc < 0)
        return rc;
    up_write(up);
    if (args_has(up->args, OPT_JSON))
        print_json(up);
    else if (demo)
        print_demo(up, &timeline);
    else
        printf("URL    %s\n", up->url);
    fflush(stdout);
    return 0;
}

/* ---- the long middle ---- */

static int stay(up_t *up, detach_t *detach, plumb_err_t *err)
{
    char path[PATH_MAX];
    bool attended = detach->pipe < 0;
    if (!attended) {
        int rc = detach_go(detach, state_path(up->state.dir, "logs/up.log", path), err);
        if (rc < 0)
            return rc;
    } else {
        up_say("following the logs in %s/logs; Ctrl-C stops everything", up->state.dir);
        follow_skip(up->follow);
        up->supervisor.further = follow_fd(up->follow);
    }
    for (bool more = false; up->supervisor.stop == 0;) {
        supervisor_step(&up->supervisor, more ? 0 : STEP_MS);
        more = attended && follow_print(up->follow, stderr);
    }
    return 0;
}

static void explain(up_t *up, const plumb_err_t *err)
{
    if (up->supervisor.stop != 0) {
        up_say("stopped before it was up");
        return;
    }
    if (up->logger.count > 0)
        logger_flush(&up->logger);
    if (up->follow != NULL)
        follow_tail(up->follow, stderr, TAIL_LINES);
    up_say("plumb up: %s\nstopping what was started; the logs are in %s/logs", err->text,
           up->state.dir);
}

/* ---- beginning and end ---- */

static int open_logs(up_t *up, plumb_err_t *err)
{
    static char paths[CHILD_COUNT][PATH_MAX];
    const char *names[CHILD_COUNT], *path_of[CHILD_COUNT];
    char dir[PATH_MAX];
    for (int i = 0; i < CHILD_COUNT; i++) {
        path_of[i] = launch_log(up, i, paths[i]);
        names[i] = child_name(i);
    }
    int rc = logger_open(&up->logger, path_of, CHILD_COUNT, LOG_MAX, err);
    if (rc < 0)
        return rc;
    up->supervisor.logger = &up->logger;
    logger_flush(&up->logger); /* the files are there */
    bool colour = !args_has(up->args, OPT_NO_COLOR) && follow_may_colour(stderr);
    return follow_new(&up->follow, state_path(up->state.dir, "logs", dir), names, CHILD_COUNT,
                      colour, err);
}

static void close_all(up_t *up)
{
    char path[PATH_MAX];
    supervisor_close(&up->supervisor);
    logger_close(&up->logger);
    if (up->state.lock >= 0) {
        state_clean_run(up->conf.run_dir);
        unlink(state_path(up->state.dir, "up.json", path));
    }
    follow_destroy(&up->follow);
    cluster_close(&up->cluster);
    if (up->port_held >= 0)
        close(up->port_held);
    if (up->listen_held >= 0)
        close(up->listen_held);
    state_close(&up->state);
    http_close();
}

/* In the supervisor: from the lock to the last child's end.  The exit status. */
static int live(up_t *up, const char *dir, detach_t *detach)
{
    plumb_err_t err = {0};
    umask(077);
    plumb_log_open("up", LOG_INFO);
    up->supervisor.changed = up_write;
    up->supervisor.self = up;
    int rc = supervisor_open(&up->supervisor, &err);
    if (rc == 0)
        rc = http_open(&err);
    if (rc == 0)
        rc = state_open(&up->state, dir, &err);
    bool ours = rc == 0;
    if (rc == 0)
        rc = open_logs(up, &err);
    if (rc == 0)
        rc = launch_all(up, &err);
    if (rc == 0)
        rc = announce(up, &err);
    if (rc == 0)
        rc = stay(up, detach, &err);
    if (rc < 0 && ours)
        explain(up, &err);
    else if (rc < 0)
        up_say("plumb up: %s", err.text);
    else if (detach->pipe < 0)
        up_say("stopping");
    bool interrupted = rc < 0 && up->supervisor.stop != 0;
    close_all(up);
    if (interrupted)
        return STATUS_INTERRUPTED;
    if (rc < 0 && !ours)
        return plumb_code_exit(err.code);
    return rc < 0 ? STATUS_FAILED : STATUS_OK;
}

/* What can be refused before anything is touched. */
static int prepare(up_t *up, char *dir, plumb_err_t *err)
{
    int port;
    int rc = args_port(up->args, OPT_PORT, 0, &port, err);
    if (rc == 0)
        rc = places_find(&up->places, err);
    if (rc == 0)
        rc = state_locate(dir, up->args->value[OPT_STATE], err);
    if (rc == 0)
        rc = settings_make(&up->conf, dir, up->places.channels, up->args, err);
    if (rc == 0)
        rc = settings_check_paths(&up->conf, dir, err);
    if (rc == 0)
        rc = launch_check(up, err);
    if (rc == 0 && sodium_init() < 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "the cipher library has no random numbers");
    return rc;
}

int run_up(const args_t *args, plumb_err_t *err)
{
    char dir[STATE_DIR_MAX];
    detach_t detach = {.pipe = -1};
    up_t *up = calloc(1, sizeof *up);
    if (up == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "start");
    up->args = args;
    up->state.lock = up->cluster.fd = up->port_held = up->listen_held = -1;
    int rc = prepare(up, dir, err);
    if (rc == 0 && args_has(args, OPT_DETACH))
        rc = detach_fork(&detach, err);
    if (rc == 0)
        rc = detach.supervisor > 0 ? detach_wait(&detach) : live(up, dir, &detach);
    plumb_conf_fini(&up->conf);
    free(up);
    return rc;
}
