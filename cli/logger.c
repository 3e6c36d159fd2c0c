/* Pipes into files. */
#include "logger.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 5000
#define PIPE_SIZE 65536 /* what a pipe holds */

/* ---- in the process: files ---- */

/* One log while it is written. */
typedef struct sink {
    const char *path;
    int fd; /* -1: cannot be opened, what comes is lost */
    off_t size, max;
} sink_t;

static void sink_open(sink_t *sink)
{
    struct stat st;
    int fd = open(sink->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* the old one, if there is one, is better than none */
    if (sink->fd >= 0)
        close(sink->fd);
    sink->fd = fd;
    sink->size = fstat(fd, &st) == 0 ? st.st_size : 0;
}

static void put_aside(sink_t *sink)
{
    char aside[PATH_MAX + 4];
    snprintf(aside, sizeof aside, "%s.old", sink->path);
    if (rename(sink->path, aside) == 0 || errno == ENOENT) /* ENOENT: it could not be opened */
        sink_open(sink);
}

static void sink_write(sink_t *sink, const char *data, size_t length)
{
    while (length > 0 && sink->fd >= 0) {
        ssize_t n = write(sink->fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a full disk: nobody is to wait for it */
        sink->size += n;
        data += n;
        length -= (size_t)n;
    }
}

/* A line is never cut: the file changes behind the last one that is whole. */
static void sink_put(sink_t *sink, const char *data, size_t length)
{
    const char *last = sink->size + (off_t)length > sink->max ? memrchr(data, '\n', length) : NULL;
    size_t whole = last == NULL ? 0 : (size_t)(last - data) + 1;
    sink_write(sink, data, whole);
    if (whole > 0)
        put_aside(sink);
    sink_write(sink, data + whole, length - whole);
}

/* ---- in the process: its life ---- */

/* Take all that was in a pipe when it was called, and leave who floods it to the next round.
 * False: nobody can write into it any more. */
static bool drain(int from, sink_t *sink)
{
    char data[PIPE_SIZE];
    ssize_t n = 1;
    for (int i = 0; i < 2 && n > 0; i++) {
        n = read(from, data, sizeof data);
        if (n > 0)
            sink_put(sink, data, (size_t)n);
    }
    return n != 0;
}

static void answer(int ask)
{
    char word;
    if (read(ask, &word, 1) == 1 && write(ask, &word, 1) != 1)
        return; /* who asked is gone */
}

static void serve(const logger_t *l, sink_t *sinks)
{
    struct pollfd fds[LOGGER_MAX + 1];
    unsigned open_count = l->count;
    for (unsigned i = 0; i < l->count; i++)
        fds[i] = (struct pollfd){.fd = l->from[i], .events = POLLIN};
    fds[l->count] = (struct pollfd){.fd = l->ask[1], .events = POLLIN};
    while (open_count > 0) {
        poll(fds, l->count + 1, -1);
        for (unsigned i = 0; i < l->count; i++)
            if (fds[i].fd >= 0 && fds[i].revents != 0 && !drain(fds[i].fd, &sinks[i])) {
                fds[i].fd = -1;
                open_count--;
            }
        if (fds[l->count].revents & POLLIN) {
            for (unsigned i = 0; i < l->count; i++) /* what came since */
                if (fds[i].fd >= 0)
                    drain(fds[i].fd, &sinks[i]);
            answer(fds[l->count].fd);
        }
        if (fds[l->count].revents & (POLLHUP | POLLERR))
            fds[l->count].fd = -1; /* the supervisor is gone, its children will be */
    }
}

/* Keep the pipes' reading ends and our end of `ask`, nothing else: whoever waits for the end of
 * what the supervisor holds must not wait for us. */
static void keep_ours(const logger_t *l)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), highest = l->ask[1];
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    for (unsigned i = 0; i < l->count; i++)
        highest = l->from[i] > highest ? l->from[i] : highest;
    for (int fd = STDERR_FILENO + 1; fd < highest; fd++) {
        bool ours = fd == l->ask[1];
        for (unsigned i = 0; i < l->count; i++)
            ours = ours || fd == l->from[i];
        if (!ours)
            close(fd);
    }
    closefrom(highest + 1);
}

static _Noreturn void live(const logger_t *l)
{
    sink_t sinks[LOGGER_MAX];
    setsid(); /* a Ctrl-C is for the supervisor */
    prctl(PR_SET_NAME, "plumb-logs");
    keep_ours(l);
    for (unsigned i = 0; i < l->count; i++) {
        sinks[i] = (sink_t){.path = l->path[i], .fd = -1, .max = l->max};
        sink_open(&sinks[i]);
    }
    serve(l, sinks);
    _exit(0);
}

/* ---- in the supervisor ---- */

static void start(logger_t *l)
{
    l->pid = fork();
    if (l->pid == 0)
        live(l);
    if (l->pid < 0) {
        plumb_log_event(LOG_ERR, "logger_not_started", "reason=\"%s\"", strerror(errno));
        l->pid = 0; /* tried again with the next look */
    }
}

int logger_open(logger_t *l, const char *const paths[], unsigned count, off_t max, plumb_err_t *err)
{
    *l = (logger_t){.max = max, .ask = {-1, -1}};
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l->ask);
    for (unsigned i = 0; rc == 0 && i < count && i < LOGGER_MAX; i++) {
        int ends[2];
        rc = pipe2(ends, O_CLOEXEC);
        if (rc < 0)
            break;
        snprintf(l->path[i], PATH_MAX, "%s", paths[i]);
        l->from[i] = ends[0];
        l->into[i] = ends[1];
        l->count++;
        rc = fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    if (rc < 0) {
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "make pipes for the logs: %s", strerror(errno));
        logger_close(l);
        return rc;
    }
    start(l);
    return 0;
}

void logger_keep(logger_t *l)
{
    if (l->pid > 0 && waitpid(l->pid, NULL, WNOHANG) > 0) {
        plumb_log_event(LOG_WARNING, "logger_died", "pid=%d", (int)l->pid);
        l->pid = 0;
    }
    if (l->pid == 0)
        start(l);
}

void logger_flush(const logger_t *l)
{
    char word = 0;
    struct pollfd answer = {.fd = l->ask[0], .events = POLLIN};
    if (write(l->ask[0], &word, 1) == 1 && poll(&answer, 1, WAIT_MS) > 0 &&
        read(l->ask[0], &word, 1) != 1)
        return; /* it died meanwhile: the next one writes what is left */
}

void logger_close(logger_t *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        close(l->into[i]);
        close(l->from[i]);
    }
    if (l->pid > 0) {
        struct pollfd end = {.fd = pidfd_open(l->pid, 0), .events = POLLIN};
        if (end.fd >= 0 && poll(&end, 1, WAIT_MS) > 0)
            waitpid(l->pid, NULL, 0);
        if (end.fd >= 0)
            close(end.fd);
    }
    for (int i = 0; i < 2; i++)
        if (l->ask[i] > 0)
            close(l->ask[i]);
    *l = (logger_t){.count = 0};
}
