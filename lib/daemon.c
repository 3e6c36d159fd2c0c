/* What every daemon's main does. */
#include "daemon.h"

#include "admin.h"
#include "clock.h"
#include "count.h"
#include "log.h"
#include "metrics.h"

#include <czmq.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* ---- signals ---- */

/* Before any thread, so that all inherit the mask; before any czmq call, which would take the
 * signals and then refuse to run its loops. */
static int take_signals(plumb_daemon_t *daemon, plumb_err_t *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* NOLINT(bugprone-signal-handler): none is called */
    zsys_handler_set(NULL);
    if (zsys_init() ==
        NULL) /* two threads that make their first sockets at once would both do it */
        return plumb_err_set(err, PLUMB_E_SYSTEM, "start ZeroMQ: %s", strerror(errno));
    daemon->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (daemon->signal_fd < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "signalfd: %s", strerror(errno));
    return 0;
}

bool plumb_daemon_signalled(plumb_daemon_t *daemon)
{
    struct signalfd_siginfo info;
    if (read(daemon->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return false;
    return info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
}

/* Freed memory is used again by whichever thread, or goes back to the system. */
static void keep_memory_flat(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

/* Whoever wakes up does not push aside who runs: what arrives meanwhile is then done in one go
 * instead of one switch each.  Threads inherit it.  Refused, all goes on as before. */
static void prefer_batches(void)
{
    const struct sched_param none = {.sched_priority = 0};
    if (sched_setscheduler(0, SCHED_BATCH, &none) < 0)
        plumb_log_event(LOG_INFO, "not_batched", "reason=\"%s\"", strerror(errno));
}

/* ---- arguments ---- */

typedef enum argument { ARG_CONFIG, ARG_SET, ARG_CHECK, ARG_VERSION, ARG_HELP } argument_t;

static const struct {
    const char *name, *value, *help; /* value NULL: takes none */
} arguments[] = {
    [ARG_CONFIG] = {"config", "FILE", "read the configuration from FILE"},
    [ARG_SET] = {"set", "KEY=VALUE", "set one key, after the file; may be repeated"},
    [ARG_CHECK] = {"check", NULL, "check the configuration and leave"},
    [ARG_VERSION] = {"version", NULL, "print the version and leave"},
    [ARG_HELP] = {"help", NULL, "print this and leave"},
};

static void print_help(const plumb_daemon_t *daemon)
{
    printf("usage: plumb-%s [--config FILE] [--set KEY=VALUE]...\n\n", daemon->name);
    for (size_t i = 0; i < PLUMB_COUNT(arguments); i++) {
        const char *value = arguments[i].value != NULL ? arguments[i].value : "";
        printf("  --%s%s%-*s %s\n", arguments[i].name, *value != '\0' ? " " : "",
               (int)(20 - strlen(arguments[i].name) - (*value != '\0')), value, arguments[i].help);
    }
    printf("\nThe keys of the configuration, as the file has them, with their defaults:\n\n");
    plumb_conf_print(&daemon->conf, stdout, true);
}

typedef struct arguments {
    int argc;
    char **argv;
    const char *config;
    bool seen[PLUMB_COUNT(arguments)];
} arguments_t;

/* Call `take` for each argument in turn. */
static int each_argument(plumb_daemon_t *daemon, arguments_t *a,
                         int (*take)(plumb_daemon_t *daemon, arguments_t *a, argument_t which,
                                     const char *value, plumb_err_t *err),
                         plumb_err_t *err)
{
    struct option options[PLUMB_COUNT(arguments) + 1] = {{0}};
    int found, rc = 0;
    for (size_t i = 0; i < PLUMB_COUNT(arguments); i++)
        options[i] = (struct option){arguments[i].name,
                                     arguments[i].value != NULL ? required_argument : no_argument,
                                     NULL, (int)i};
    optind = 0; /* begin anew */
    opterr = 0;
    while (rc == 0 && (found = getopt_long(a->argc, a->argv, "+:", options, NULL)) >= 0) {
        if (found == '?' || found == ':')
            return plumb_err_set(err, PLUMB_E_USAGE, "%s '%s' (try --help)",
                                 found == ':' ? "no value for" : "unknown argument",
                                 a->argv[optind - 1]);
        rc = take(daemon, a, (argument_t)found, optarg, err);
    }
    if (rc == 0 && optind < a->argc)
        rc = plumb_err_set(err, PLUMB_E_USAGE, "unknown argument '%s' (try --help)",
                           a->argv[optind]);
    return rc;
}

static int note_argument(plumb_daemon_t *daemon, arguments_t *a, argument_t which,
                         const char *value, plumb_err_t *err)
{
    (void)daemon;
    if (which == ARG_CONFIG && a->seen[which])
        return plumb_err_set(err, PLUMB_E_USAGE, "--config comes twice");
    if (which == ARG_CONFIG)
        a->config = value;
    a->seen[which] = true;
    return 0;
}

static int set_argument(plumb_daemon_t *daemon, arguments_t *a, argument_t which, const char *value,
                        plumb_err_t *err)
{
    (void)a;
    return which == ARG_SET ? plumb_conf_set(&daemon->conf, value, "--set", err) : 0;
}

static int read_arguments(plumb_daemon_t *daemon, int argc, char **argv, plumb_err_t *err)
{
    arguments_t a = {.argc = argc, .argv = argv};
    int rc = plumb_conf_init(&daemon->conf, err);
    if (rc == 0)
        rc = each_argument(daemon, &a, note_argument, err);
    if (rc < 0)
        return rc;
    if (a.seen[ARG_HELP] || a.seen[ARG_VERSION]) {
        if (a.seen[ARG_HELP])
            print_help(daemon);
        else
            printf("plumb-%s %s\n", daemon->name, PLUMB_VERSION);
        exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    daemon->check_only = a.seen[ARG_CHECK];
    if (a.config != NULL)
        rc = plumb_conf_load(&daemon->conf, a.config, err);
    if (rc == 0)
        rc = each_argument(daemon, &a, set_argument, err);
    return rc == 0 ? plumb_conf_check(&daemon->conf, err) : rc;
}

/* ---- opening ---- */

/* Make `path` with the directories above it. */
static int make_directory(const char *path, plumb_err_t *err)
{
    struct stat is;
    char above[4096];
    int length = snprintf(above, sizeof above, "%s", path);
    if (length < 0 || (size_t)length >= sizeof above)
        return plumb_err_set(err, PLUMB_E_CONFIG, "run_dir: too long");
    for (char *slash = strchr(above + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(above, 0755); /* what fails here fails below */
        *slash = '/';
    }
    if (mkdir(path, 0750) < 0 && errno != EEXIST)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "make run_dir '%s': %s", path, strerror(errno));
    if (stat(path, &is) < 0 || !S_ISDIR(is.st_mode) || access(path, W_OK | X_OK) < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "run_dir '%s': no directory to write to", path);
    return 0;
}

int plumb_daemon_open(plumb_daemon_t *daemon, const char *name, int argc, char **argv,
                      plumb_err_t *err)
{
    *daemon = (plumb_daemon_t){.name = name, .signal_fd = -1};
    plumb_log_open(name, LOG_INFO); /* for what goes wrong until the level is known */
    keep_memory_flat();
    prefer_batches();
    int rc = take_signals(daemon, err);
    if (rc == 0)
        rc = read_arguments(daemon, argc, argv, err);
    if (rc < 0 || daemon->check_only)
        return rc;
    plumb_log_open(name, (int)daemon->conf.log_level);
    plumb_metric_set(PLUMB_M_BUILD_INFO, PLUMB_VERSION, 1);
    return make_directory(daemon->conf.run_dir, err);
}

int plumb_daemon_admin(plumb_daemon_t *daemon, const char *instance, plumb_ready_fn ready,
                       void *self, plumb_err_t *err)
{
    char name[256], path[256];
    plumb_admin_t *admin = NULL;
    snprintf(name, sizeof name, "%s.http", instance);
    int rc = plumb_conf_run_path(&daemon->conf, path, sizeof path, name, err);
    if (rc == 0)
        rc = plumb_admin_new(&admin, path, daemon->name, ready, self, err);
    daemon->admin = admin;
    return rc;
}

void plumb_daemon_close(plumb_daemon_t *daemon)
{
    if (daemon == NULL || daemon->name == NULL) /* never opened */
        return;
    plumb_admin_t *admin = daemon->admin;
    plumb_admin_destroy(&admin);
    if (daemon->signal_fd >= 0)
        close(daemon->signal_fd);
    plumb_conf_fini(&daemon->conf);
    *daemon = (plumb_daemon_t){.signal_fd = -1};
}

/* ---- systemd ---- */

void plumb_daemon_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void plumb_daemon_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

void plumb_daemon_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}
