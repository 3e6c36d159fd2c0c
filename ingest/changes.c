/* One connection that listens. */
#include "changes.h"

#include "clock.h"
#include "db.h"
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CACHES_MAX 8
#define CONNECT_MS 5000
#define AGAIN_MS 200
#define PROBE_MS 5000 /* a connection may die without a word */

struct changes {
    plumb_db_t *db;
    changes_cache_t caches[CACHES_MAX];
    size_t count;
    int stop_fd; /* readable: end */
    pthread_t thread;
    bool running;
};

/* ---- dropping ---- */

static bool concerns(const changes_cache_t *cache, const char *table, size_t length)
{
    for (const char *at = cache->tables; (at = strchr(at, ' ')) != NULL && at[1] != '\0'; at++)
        if (strcspn(at + 1, " ") == length && strncmp(at + 1, table, length) == 0)
            return true;
    return false;
}

static void drop_all(changes_t *c)
{
    for (size_t i = 0; i < c->count; i++)
        c->caches[i].drop(c->caches[i].cache, NULL);
}

/* "<table> <account>" */
static void take(changes_t *c, const char *text)
{
    plumb_uuid_t account;
    size_t length = strcspn(text, " ");
    const char *id = text + length + (text[length] == ' ');
    bool known = plumb_uuid_parse(&account, id, strlen(id));
    for (size_t i = 0; i < c->count; i++)
        if (concerns(&c->caches[i], text, length))
            c->caches[i].drop(c->caches[i].cache, known ? &account : NULL);
}

static void take_notes(changes_t *c, PGconn *conn)
{
    PGnotify *note;
    while ((note = PQnotifies(conn)) != NULL) {
        take(c, note->extra);
        PQfreemem(note);
    }
}

/* ---- the thread ---- */

/* True: `stop_fd` says so, within `wait_ms`; false also when `fd` (-1: none) is readable. */
static bool stops(const changes_t *c, int fd, int wait_ms)
{
    struct pollfd fds[] = {{.fd = c->stop_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    return poll(fds, 2, wait_ms) > 0 && fds[0].revents != 0;
}

/* Hear until the connection breaks.  True: stop. */
static bool hear(changes_t *c)
{
    int64_t probe_ms = plumb_mono_ms() + PROBE_MS;
    while (plumb_db_is_connected(c->db)) {
        PGconn *conn = plumb_db_conn(c->db);
        int64_t left = probe_ms - plumb_mono_ms();
        plumb_err_t err = {0};
        take_notes(c, conn);
        if (left <= 0) {
            if (plumb_db_script(c->db, "SELECT 1", CONNECT_MS, &err) < 0)
                break;
            probe_ms = plumb_mono_ms() + PROBE_MS;
            continue; /* what came with the answer */
        }
        if (stops(c, PQsocket(conn), (int)left))
            return true;
        if (PQconsumeInput(conn) == 0)
            break;
    }
    return false;
}

static void *changes_main(void *self)
{
    changes_t *c = self;
    plumb_err_t err = {0};
    bool stop = false, told = false;
    while (!stop) {
        int rc = plumb_db_connect(c->db, CONNECT_MS, &err);
        if (rc == 0)
            rc = plumb_db_script(c->db, "LISTEN plumb_changed", CONNECT_MS, &err);
        if (rc == 0) {
            drop_all(c); /* what changed while nobody listened */
            told = false;
            stop = hear(c);
        } else {
            if (!told)
                plumb_log_event(LOG_WARNING, "changes_unheard", "why=\"%s\"", err.text);
            told = true;
            stop = stops(c, -1, AGAIN_MS);
        }
    }
    return NULL;
}

/* ---- life ---- */

static int start(changes_t *c, const char *conninfo, plumb_err_t *err)
{
    int rc = plumb_db_new(&c->db, conninfo, "plumb-ingest changes", err);
    if (rc < 0)
        return rc;
    c->stop_fd = eventfd(0, EFD_CLOEXEC);
    int error = c->stop_fd < 0 ? errno : pthread_create(&c->thread, NULL, changes_main, c);
    if (error != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "listen for changes: %s", strerror(error));
    c->running = true;
    return 0;
}

int changes_new(changes_t **ret, const char *conninfo, const changes_cache_t *caches, size_t count,
                plumb_err_t *err)
{
    changes_t *c = calloc(1, sizeof *c);
    *ret = c;
    if (c == NULL || count > CACHES_MAX)
        return plumb_err_set(err, PLUMB_E_MEMORY, "listen for changes");
    memcpy(c->caches, caches, count * sizeof *caches);
    c->count = count;
    c->stop_fd = -1;
    int rc = start(c, conninfo, err);
    if (rc < 0)
        changes_destroy(ret);
    return rc;
}

void changes_destroy(changes_t **changes)
{
    if (changes == NULL || *changes == NULL)
        return;
    changes_t *c = *changes;
    if (c->running) {
        eventfd_write(c->stop_fd, 1);
        pthread_join(c->thread, NULL);
    }
    if (c->stop_fd >= 0)
        close(c->stop_fd);
    plumb_db_destroy(&c->db);
    free(c);
    *changes = NULL;
}
