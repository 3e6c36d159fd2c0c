/* Bodies, and the clock over them. */
#include "body.h"

#include "clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define PIECE 16384
#define DRAIN_MAX ((size_t)1 << 20)
#define DRAIN_MS 1000
#define TICK_MAX_MS 1000
#define TICK_MIN_MS 20

/* A read under way. */
typedef struct watched {
    int64_t deadline_ms; /* 0: none */
    struct in_addr address;
    in_port_t port, server_port; /* network order */
} watched_t;

struct body_clock {
    int64_t time_ms, tick_ms;
    unsigned slots;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* to stop */
    bool stopping, running;
    pthread_t thread;
    watched_t *watched; /* owned */
};

/* ---- the clock ---- */

static bool is_connection(int fd, const watched_t *w)
{
    struct sockaddr_in peer = {0}, own = {0};
    socklen_t length = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0 || peer.sin_family != AF_INET ||
        peer.sin_port != w->port || peer.sin_addr.s_addr != w->address.s_addr)
        return false;
    length = sizeof own;
    return getsockname(fd, (struct sockaddr *)&own, &length) == 0 && own.sin_port == w->server_port;
}

/* The thread that reads waits for us to let go of the lock before it can close the connection. */
static void cut(const watched_t *w)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int max = limit.rlim_cur < 65536 ? (int)limit.rlim_cur : 65536;
    for (int fd = 0; fd < max; fd++) {
        if (is_connection(fd, w)) {
            shutdown(fd, SHUT_RD);
            return;
        }
    }
}

static void sleep_a_tick(body_clock_t *c)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += c->tick_ms % 1000 * 1000000;
    until.tv_sec += c->tick_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&c->wake, &c->lock, &until);
}

static void *clock_main(void *self)
{
    body_clock_t *c = self;
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        sleep_a_tick(c);
        int64_t now_ms = plumb_mono_ms();
        for (unsigned i = 0; i < c->slots; i++) {
            if (c->watched[i].deadline_ms == 0 || now_ms < c->watched[i].deadline_ms)
                continue;
            cut(&c->watched[i]);
            c->watched[i].deadline_ms = 0;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void watch(body_clock_t *c, unsigned slot, const struct mg_request_info *info,
                  int64_t time_ms)
{
    watched_t w = {.deadline_ms = plumb_mono_ms() + time_ms,
                   .port = htons((uint16_t)info->remote_port),
                   .server_port = htons((uint16_t)info->server_port)};
    inet_pton(AF_INET, info->remote_addr, &w.address);
    pthread_mutex_lock(&c->lock);
    c->watched[slot] = w;
    pthread_mutex_unlock(&c->lock);
}

/* True: in time. */
static bool unwatch(body_clock_t *c, unsigned slot)
{
    pthread_mutex_lock(&c->lock);
    bool in_time = c->watched[slot].deadline_ms != 0;
    c->watched[slot].deadline_ms = 0;
    pthread_mutex_unlock(&c->lock);
    return in_time;
}

/* ---- life ---- */

int body_clock_new(body_clock_t **ret, unsigned slots, int64_t time_ms, plumb_err_t *err)
{
    body_clock_t *c = calloc(1, sizeof *c);
    *ret = c;
    if (c == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "body clock");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->lock, NULL);
    c->slots = slots;
    c->time_ms = time_ms;
    c->tick_ms = time_ms / 10 < TICK_MAX_MS ? time_ms / 10 : TICK_MAX_MS;
    if (c->tick_ms < TICK_MIN_MS)
        c->tick_ms = TICK_MIN_MS;
    c->watched = calloc(slots, sizeof *c->watched);
    int rc = c->watched == NULL ? plumb_err_set(err, PLUMB_E_MEMORY, "body clock") : 0;
    if (rc == 0 && pthread_create(&c->thread, NULL, clock_main, c) != 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "start the body clock");
    c->running = rc == 0;
    if (rc < 0)
        body_clock_destroy(ret);
    return rc;
}

void body_clock_destroy(body_clock_t **clock)
{
    if (clock == NULL || *clock == NULL)
        return;
    body_clock_t *c = *clock;
    if (c->running) {
        pthread_mutex_lock(&c->lock);
        c->stopping = true;
        pthread_cond_signal(&c->wake);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
    }
    free(c->watched);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
    *clock = NULL;
}

/* ---- reading ---- */

static int too_large(size_t max, plumb_err_t *err)
{
    return plumb_err_set(err, PLUMB_E_TOO_LARGE, "the body is larger than %zu bytes", max);
}

/* Read up to `want` bytes to the end of `out`; what mg_read returns. */
static int read_piece(struct mg_connection *conn, plumb_buf_t *out, size_t want)
{
    plumb_buf_reserve(out, want);
    if (out->failed)
        return -1;
    int n = mg_read(conn, out->data + out->length, want);
    if (n > 0) {
        out->length += (size_t)n;
        out->data[out->length] = '\0';
    }
    return n;
}

static int read_length(struct mg_connection *conn, size_t length, plumb_buf_t *out,
                       plumb_err_t *err)
{
    if (length == 0)
        return 0;
    read_piece(conn, out, length);
    if (out->length != length)
        return plumb_err_set(err, PLUMB_E_BAD_REQUEST, "%zu bytes of body came, %zu announced",
                             out->length, length);
    return 0;
}

static int read_chunks(struct mg_connection *conn, size_t max, plumb_buf_t *out, plumb_err_t *err)
{
    int n;
    while ((n = read_piece(conn, out,
                           max + 1 - out->length < PIECE ? max + 1 - out->length : PIECE)) > 0)
        if (out->length > max)
            return too_large(max, err);
    return n < 0 ? plumb_err_set(err, PLUMB_E_BAD_REQUEST, "malformed chunk") : 0;
}

int body_read(body_clock_t *clock, unsigned slot, struct mg_connection *conn, const door_t *door,
              size_t max, plumb_buf_t *out, plumb_err_t *err)
{
    plumb_buf_clear(out);
    if (!door->is_chunked && (size_t)door->length > max)
        return too_large(max, err);
    watch(clock, slot, mg_get_request_info(conn), clock->time_ms);
    int rc = door->is_chunked ? read_chunks(conn, max, out, err)
                              : read_length(conn, (size_t)door->length, out, err);
    bool in_time = unwatch(clock, slot);
    if (rc < 0 && !in_time)
        rc = plumb_err_set(err, PLUMB_E_BAD_REQUEST, "the body did not come within %d s",
                           (int)(clock->time_ms / 1000));
    return rc;
}

int body_piece(body_clock_t *clock, unsigned slot, struct mg_connection *conn, char *out,
               size_t size, plumb_err_t *err)
{
    watch(clock, slot, mg_get_request_info(conn), clock->time_ms);
    int n = mg_read(conn, out, size);
    if (!unwatch(clock, slot))
        return plumb_err_set(err, PLUMB_E_BAD_REQUEST, "no more of the body came within %d s",
                             (int)(clock->time_ms / 1000));
    return n < 0 ? plumb_err_set(err, PLUMB_E_BAD_REQUEST, "malformed chunk") : n;
}

void body_drain(body_clock_t *clock, unsigned slot, struct mg_connection *conn)
{
    char piece[4096];
    size_t total = 0;
    int n;
    watch(clock, slot, mg_get_request_info(conn), DRAIN_MS);
    while (total < DRAIN_MAX && (n = mg_read(conn, piece, sizeof piece)) > 0)
        total += (size_t)n;
    unwatch(clock, slot);
}
