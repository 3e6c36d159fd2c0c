/* The health responder.  One request at a time, each bounded in size and time: who asks is on this
 * machine and may open the socket's file. */
#include "admin.h"

#include "buf.h"
#include "clock.h"
#include "count.h"
#include "metrics.h"
#include "unix_listen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 4096
#define READ_MS 1000
#define WRITE_MS 2000
#define STACK_BYTES ((size_t)512 << 10)

struct plumb_admin {
    int listen_fd, stop_fd; /* -1: not open */
    bool running;
    pthread_t thread;
    const char *daemon;
    plumb_ready_fn ready;
    void *self;
    plumb_buf_t body, head; /* of the answer; the thread's */
    char *path;             /* owned */
};

/* ---- bytes ---- */

/* Wait for `events`; false when the time is up, the daemon stops, or the peer is gone. */
static bool wait_for(const plumb_admin_t *admin, int fd, short events, int64_t until_ms)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = events},
                               {.fd = admin->stop_fd, .events = POLLIN}};
        int64_t left = until_ms - plumb_mono_ms();
        int n = poll(fds, 2, left > 0 ? (int)left : 0);
        if (n < 0 && errno == EINTR)
            continue;
        return n > 0 && fds[1].revents == 0 && (fds[0].revents & events) != 0;
    }
}

/* Read until the empty line behind the headers; false when it does not come. */
static bool read_request(const plumb_admin_t *admin, int fd, char *request)
{
    int64_t until = plumb_mono_ms() + READ_MS;
    size_t length = 0;
    while (length < REQUEST_MAX - 1 && wait_for(admin, fd, POLLIN, until)) {
        ssize_t got = recv(fd, request + length, REQUEST_MAX - 1 - length, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return false;
        length += (size_t)got;
        request[length] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL || strstr(request, "\n\n") != NULL)
            return true;
    }
    return false;
}

static void send_all(const plumb_admin_t *admin, int fd, const plumb_buf_t *data)
{
    int64_t until = plumb_mono_ms() + WRITE_MS;
    size_t sent = 0;
    while (sent < data->length && wait_for(admin, fd, POLLOUT, until)) {
        ssize_t n = send(fd, data->data + sent, data->length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return;
        sent += n > 0 ? (size_t)n : 0;
    }
}

/* ---- answers ---- */

static const char *answer_health(plumb_admin_t *admin, const char *query)
{
    (void)query;
    plumb_buf_text(&admin->body, "ok\n");
    return "200 OK";
}

static const char *answer_ready(plumb_admin_t *admin, const char *query)
{
    plumb_err_t err = {0};
    bool ok = admin->ready == NULL || admin->ready(admin->self, &err) == 0;
    plumb_buf_text(&admin->body, ok ? "ready\n" : "not ready\n");
    if (strncmp(query, "verbose", 7) == 0 && err.text[0] != '\0')
        plumb_buf_printf(&admin->body, "%s\n", err.text);
    return ok ? "200 OK" : "503 Service Unavailable";
}

static const char *answer_metrics(plumb_admin_t *admin, const char *query)
{
    (void)query;
    plumb_metrics_write(&admin->body, admin->daemon);
    return "200 OK";
}

static const struct {
    const char *path;
    const char *(*answer)(plumb_admin_t *admin, const char *query);
} routes[] = {{"/healthz", answer_health}, {"/readyz", answer_ready}, {"/metrics", answer_metrics}};

static const char *answer(plumb_admin_t *admin, const char *target)
{
    size_t path = strcspn(target, "?");
    const char *query = target[path] == '?' ? target + path + 1 : "";
    for (size_t i = 0; i < PLUMB_COUNT(routes); i++)
        if (strlen(routes[i].path) == path && memcmp(routes[i].path, target, path) == 0)
            return routes[i].answer(admin, query);
    plumb_buf_text(&admin->body, "not found\n");
    return "404 Not Found";
}

/* Method and target of "GET /path HTTP/1.0", cut out of `request` in place; false: no such line. */
static bool split_request(char *request, const char **method, const char **target)
{
    char *rest = NULL;
    request[strcspn(request, "\r\n")] = '\0';
    *method = strtok_r(request, " ", &rest);
    *target = strtok_r(NULL, " ", &rest);
    const char *version = strtok_r(NULL, " ", &rest);
    return version != NULL && strncmp(version, "HTTP/1.", 7) == 0 &&
           strtok_r(NULL, " ", &rest) == NULL;
}

static void serve(plumb_admin_t *admin, int fd)
{
    char request[REQUEST_MAX];
    const char *method = NULL, *target = NULL, *status;
    plumb_buf_clear(&admin->head);
    plumb_buf_clear(&admin->body);
    if (!read_request(admin, fd, request))
        return;
    bool well_formed = split_request(request, &method, &target);
    bool head_only = well_formed && strcmp(method, "HEAD") == 0;
    if (!well_formed)
        status = "400 Bad Request";
    else if (!head_only && strcmp(method, "GET") != 0)
        status = "405 Method Not Allowed\r\nAllow: GET, HEAD";
    else
        status = answer(admin, target);
    plumb_buf_printf(&admin->head,
                     "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                     status, admin->body.length);
    if (!head_only && admin->body.length > 0)
        plumb_buf_put(&admin->head, admin->body.data, admin->body.length);
    if (!admin->head.failed && !admin->body.failed)
        send_all(admin, fd, &admin->head);
}

static void *run(void *self)
{
    plumb_admin_t *admin = self;
    for (;;) {
        struct pollfd fds[] = {{.fd = admin->listen_fd, .events = POLLIN},
                               {.fd = admin->stop_fd, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents != 0)
            return NULL;
        int fd = accept4(admin->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            serve(admin, fd);
            close(fd);
        } else if (errno != EAGAIN) { /* no descriptors left: it stays readable */
            poll(fds + 1, 1, 100);
        }
    }
}

/* ---- life ---- */

static int start(plumb_admin_t *admin, plumb_err_t *err)
{
    pthread_attr_t attr;
    admin->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (admin->stop_fd < 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "eventfd: %s", strerror(errno));
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    int error = pthread_create(&admin->thread, &attr, run, admin);
    pthread_attr_destroy(&attr);
    admin->running = error == 0;
    if (error == 0)
        return 0;
    return plumb_err_set(err, PLUMB_E_SYSTEM, "start a thread: %s", strerror(error));
}

int plumb_admin_new(plumb_admin_t **ret, const char *path, const char *daemon, plumb_ready_fn ready,
                    void *self, plumb_err_t *err)
{
    plumb_admin_t *admin = calloc(1, sizeof *admin);
    if (admin == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "health socket: no memory");
    admin->listen_fd = admin->stop_fd = -1;
    admin->daemon = daemon;
    admin->ready = ready;
    admin->self = self;
    admin->path = strdup(path);
    int rc = admin->path == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "no memory") : 0;
    if (rc == 0) {
        admin->listen_fd = plumb_unix_listen(path, 0, err);
        rc = admin->listen_fd < 0 ? admin->listen_fd : 0;
    }
    if (rc == 0)
        rc = start(admin, err);
    if (rc < 0) {
        plumb_err_add(err, "health socket '%s'", path);
        plumb_admin_destroy(&admin);
    }
    *ret = admin;
    return rc;
}

void plumb_admin_destroy(plumb_admin_t **admin)
{
    plumb_admin_t *a = *admin;
    if (a == NULL)
        return;
    if (a->running) {
        eventfd_write(a->stop_fd, 1);
        pthread_join(a->thread, NULL);
        unlink(a->path); /* while it is still ours: nobody takes a path that is listened on */
    }
    if (a->listen_fd >= 0)
        close(a->listen_fd);
    if (a->stop_fd >= 0)
        close(a->stop_fd);
    plumb_buf_fini(&a->head);
    plumb_buf_fini(&a->body);
    free(a->path);
    free(a);
    *admin = NULL;
}
