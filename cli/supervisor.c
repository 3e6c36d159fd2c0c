/* Keeping processes running, and ending them all. */
#include "supervisor.h"

#include "clock.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 1000
#define GOOD_RUN_MS 10000 /* whoever ran so long did not fail at its start */
#define POLL_MS 50        /* between two looks at a condition */
#define HURRY_MS 500      /* for an end that was asked for twice */
#define LAST_MS 5000      /* between the signal of a supervisor's death and SIGKILL */

/* Deaths after which a start is given up: about six seconds of back-off.  A server whose
 * predecessor was killed may need a few until the last of its processes is gone. */
#define DEATHS_MAX 10

static const char *const names[CHILD_COUNT] = {"ingest", "worker",  "listen",
                                               "broker", "tracker", "postgres"};

const char *child_name(child_id_t id)
{
    return names[id];
}

int supervisor_open(supervisor_t *s, plumb_err_t *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    signal(SIGPIPE, SIG_IGN);
    s->further = -1;
    s->signals = -1;
    if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
        s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signals < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "watch signals: %s", strerror(errno));
    return 0;
}

int64_t supervisor_back_off(int64_t ran_ms, int64_t last_ms, unsigned deaths)
{
    if (deaths <= 1 || ran_ms >= GOOD_RUN_MS)
        return 0;
    int64_t next = last_ms == 0 ? BACKOFF_MIN_MS : last_ms * 2;
    return next < BACKOFF_MAX_MS ? next : BACKOFF_MAX_MS;
}

static void tell_changed(supervisor_t *s)
{
    if (s->changed != NULL)
        s->changed(s->self);
}

/* Start what is due; a start that fails counts as a death. */
static int launch(supervisor_t *s, child_t *child, plumb_err_t *err)
{
    if (child->prepare != NULL)
        child->prepare(child->self);
    int rc = process_start(&child->plan, &child->pid, err);
    child->started_ms = plumb_mono_ms();
    if (rc < 0) {
        child->pid = 0;
        child->deaths++;
        child->wait_ms = supervisor_back_off(0, child->wait_ms, child->deaths);
        child->restart_ms = child->started_ms + child->wait_ms;
        return rc;
    }
    tell_changed(s);
    return 0;
}

int supervisor_start(supervisor_t *s, child_id_t id, plumb_err_t *err)
{
    s->child[id].wanted = true;
    return launch(s, &s->child[id], err);
}

/* ---- deaths ---- */

static void bury(child_t *child, int status)
{
    char end[64];
    int64_t now = plumb_mono_ms();
    pid_t pid = child->pid;
    child->pid = 0;
    child->status = status;
    if (!child->wanted)
        return;
    child->deaths++;
    child->wait_ms = supervisor_back_off(now - child->started_ms, child->wait_ms, child->deaths);
    child->restart_ms = now + child->wait_ms;
    plumb_log_event(LOG_WARNING, "child_died", "name=%s pid=%d how=\"%s\" restart_in_ms=%lld",
                    child->plan.name, (int)pid, process_end_text(status, end, sizeof end),
                    (long long)child->wait_ms);
}

static void reap(supervisor_t *s)
{
    bool any = false;
    for (int i = 0; i < CHILD_COUNT; i++) {
        int status;
        if (s->child[i].pid > 0 && waitpid(s->child[i].pid, &status, WNOHANG) > 0) {
            bury(&s->child[i], status);
            any = true;
        }
    }
    if (any)
        tell_changed(s);
    if (s->logger != NULL)
        logger_keep(s->logger);
}

static void take_signals(supervisor_t *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            continue; /* several deaths may come as one signal: all are looked at */
        s->hurry = s->stop != 0;
        s->stop = (int)info.ssi_signo;
    }
    reap(s);
}

/* ---- the loop ---- */

/* Restart what is due.  Returns how long until the next one is, at most `timeout_ms`. */
static int restart_due(supervisor_t *s, int timeout_ms)
{
    int64_t now = plumb_mono_ms();
    for (int i = 0; i < CHILD_COUNT && s->stop == 0; i++) {
        child_t *child = &s->child[i];
        plumb_err_t err = {0};
        if (!child->wanted || child->pid > 0)
            continue;
        if (child->restart_ms <= now && launch(s, child, &err) < 0)
            plumb_log_event(LOG_ERR, "child_not_started", "name=%s reason=\"%s\"", child->plan.name,
                            err.text);
        if (child->pid == 0 && child->restart_ms - now < timeout_ms)
            timeout_ms = child->restart_ms > now ? (int)(child->restart_ms - now) : 1;
    }
    return timeout_ms;
}

void supervisor_step(supervisor_t *s, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = s->signals, .events = POLLIN},
                           {.fd = s->further, .events = POLLIN}};
    poll(fds, 2, restart_due(s, timeout_ms));
    take_signals(s);
    restart_due(s, 0);
}

/* ---- waiting while it starts ---- */

static int check_deaths(const supervisor_t *s, plumb_err_t *err)
{
    char end[64];
    for (int i = 0; i < CHILD_COUNT; i++)
        if (s->child[i].deaths >= DEATHS_MAX)
            return plumb_err_set(err, PLUMB_E_SYSTEM, "%s does not stay up: it %s, %u times",
                                 names[i], process_end_text(s->child[i].status, end, sizeof end),
                                 s->child[i].deaths);
    return 0;
}

int supervisor_wait(supervisor_t *s, supervisor_ready_fn ready, void *self, int64_t timeout_ms,
                    plumb_err_t *err)
{
    int64_t deadline = plumb_mono_ms() + timeout_ms;
    for (;;) {
        supervisor_step(s, 0);
        if (s->stop != 0)
            return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "told to stop by %s",
                                 strsignal(s->stop));
        int rc = check_deaths(s, err);
        if (rc < 0)
            return rc;
        if (ready(self, err) == 0)
            return 0;
        if (plumb_mono_ms() >= deadline)
            return plumb_err_add(err, "after %lld s", (long long)(timeout_ms / 1000));
        supervisor_step(s, POLL_MS);
    }
}

/* ---- the end ---- */

/* Wait for its end at most `wait_ms`, less when told again to stop. */
static bool await_end(supervisor_t *s, child_t *child, int64_t wait_ms)
{
    int64_t deadline = plumb_mono_ms() + wait_ms;
    while (child->pid > 0) {
        int64_t now = plumb_mono_ms();
        if (s->hurry && deadline > now + HURRY_MS)
            deadline = now + HURRY_MS;
        if (now >= deadline)
            return false;
        struct pollfd fd = {.fd = s->signals, .events = POLLIN};
        poll(&fd, 1, (int)(deadline - now));
        take_signals(s);
    }
    return true;
}

static void end_child(supervisor_t *s, child_t *child)
{
    int64_t began = plumb_mono_ms();
    kill(child->pid, child->stop_signal);
    kill(child->pid, SIGCONT); /* one that was stopped cannot end */
    if (await_end(s, child, child->stop_ms)) {
        plumb_log_event(LOG_INFO, "child_stopped", "name=%s after_ms=%lld", child->plan.name,
                        (long long)(plumb_mono_ms() - began));
        return;
    }
    plumb_log_event(LOG_WARNING, "child_slow", "name=%s pid=%d", child->plan.name, (int)child->pid);
    kill(child->pid, child->plan.death_signal);
    if (await_end(s, child, LAST_MS))
        return;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, &child->status, 0);
    child->pid = 0;
}

void supervisor_close(supervisor_t *s)
{
    for (int i = 0; i < CHILD_COUNT; i++)
        s->child[i].wanted = false;
    for (int i = 0; i < CHILD_COUNT; i++)
        if (s->child[i].pid > 0)
            end_child(s, &s->child[i]);
    if (s->signals >= 0)
        close(s->signals);
    s->signals = -1;
}
