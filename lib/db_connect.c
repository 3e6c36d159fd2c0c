/* Connecting: session settings, one host after the other, back-off. */
#include "clock.h"
#include "db_priv.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_TIMEOUT_MS                                                                            \
    3000 /* one host of several; libpq's own limit counts in PQconnectdb only                      \
          */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000

/* Settings of every session.  The interval check frees the locks of a client that gave up. */
static const char session_options[] = "-c lock_timeout=2s -c statement_timeout=30s "
                                      "-c client_connection_check_interval=2s";

/* ---- the handle ---- */

static unsigned list_length(const char *list)
{
    unsigned count = 1;
    for (const char *p = list; p != NULL && (p = strchr(p, ',')) != NULL; p++)
        count++;
    return count;
}

/* Take over what needs more than passing on.  False: out of memory. */
static bool take_option(plumb_db_t *db, const PQconninfoOption *option)
{
    const struct {
        const char *keyword;
        char **member;
    } kept[] = {{"host", &db->host}, {"hostaddr", &db->hostaddr}, {"port", &db->port}};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strcmp(option->keyword, kept[i].keyword) == 0)
            return (*kept[i].member = strdup(option->val)) != NULL;
    if (strcmp(option->keyword, "options") != 0)
        return true;
    char *options = NULL; /* the later of two settings counts: the operator's */
    if (asprintf(&options, "%s %s", session_options, option->val) < 0)
        return false;
    free(db->options);
    db->options = options;
    return true;
}

static int read_conninfo(plumb_db_t *db, plumb_err_t *err)
{
    /* libpq's message is not passed on: it quotes the text, which may hold a password. */
    PQconninfoOption *options = PQconninfoParse(db->conninfo, NULL);
    if (options == NULL)
        return plumb_err_set(err, PLUMB_E_CONFIG, "the connection string cannot be read");
    bool good = true;
    for (const PQconninfoOption *o = options; good && o->keyword != NULL; o++)
        if (o->val != NULL)
            good = take_option(db, o);
    PQconninfoFree(options);
    if (!good)
        return plumb_err_set(err, PLUMB_E_MEMORY, "read connection string");
    db->hosts = list_length(db->hostaddr != NULL ? db->hostaddr : db->host);
    return 0;
}

int plumb_db_new(plumb_db_t **ret, const char *conninfo, const char *application, plumb_err_t *err)
{
    plumb_db_t *db = calloc(1, sizeof *db);
    if (db == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "make database handle");
    int rc = 0;
    db->conninfo = strdup(conninfo);
    db->application = strdup(application);
    db->options = strdup(session_options);
    if (db->conninfo == NULL || db->application == NULL || db->options == NULL)
        rc = plumb_err_set(err, PLUMB_E_MEMORY, "make database handle");
    if (rc == 0)
        rc = read_conninfo(db, err);
    if (rc < 0)
        plumb_db_destroy(&db);
    *ret = db;
    return rc;
}

void plumb_db_destroy(plumb_db_t **db)
{
    if (db == NULL || *db == NULL)
        return;
    PQfinish((*db)->conn);
    free((*db)->conninfo);
    free((*db)->application);
    free((*db)->options);
    free((*db)->host);
    free((*db)->hostaddr);
    free((*db)->port);
    free(*db);
    *db = NULL;
}

bool plumb_db_is_connected(const plumb_db_t *db)
{
    return db->conn != NULL && PQstatus(db->conn) == CONNECTION_OK;
}

uint64_t plumb_db_generation(const plumb_db_t *db)
{
    return db->generation;
}

PGconn *plumb_db_conn(plumb_db_t *db)
{
    return db->conn;
}

/* ---- back-off ---- */

static void back_off(plumb_db_t *db)
{
    uint32_t jitter = randombytes_uniform((uint32_t)db->wait_ms / 2 + 1);
    db->retry_at_ms = plumb_mono_ms() + db->wait_ms + jitter;
    int64_t longer = db->wait_ms == 0 ? BACKOFF_MIN_MS : 2 * db->wait_ms;
    db->wait_ms = longer < BACKOFF_MAX_MS ? longer : BACKOFF_MAX_MS;
}

void plumb_db_drop(plumb_db_t *db, const char *why)
{
    PQfinish(db->conn);
    db->conn = NULL;
    db->prepared_count = 0;
    snprintf(db->why, sizeof db->why, "%s", why);
    back_off(db);
}

/* ---- one attempt ---- */

bool plumb_db_wait(PGconn *conn, bool write, int64_t deadline_ms)
{
    for (;;) {
        int64_t left = deadline_ms - plumb_mono_ms();
        if (left < 0)
            return false;
        struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
        if (write)
            fd.events |= POLLOUT;
        int ready = poll(&fd, 1, left < INT32_MAX ? (int)left : INT32_MAX);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true; /* whatever is wrong with the socket, libpq finds out */
    }
}

/* Entry `index` of a comma-separated list, or its only one, in `out`; "" leaves libpq's default. */
static const char *list_entry(const char *list, unsigned index, char *out, size_t size)
{
    if (list == NULL)
        return "";
    if (strchr(list, ',') == NULL)
        index = 0;
    for (; index > 0 && strchr(list, ',') != NULL; index--)
        list = strchr(list, ',') + 1;
    snprintf(out, size, "%.*s", (int)strcspn(list, ","), list);
    return out;
}

/* Settings before `dbname` give way to those in the connection string, those behind it rule. */
static PGconn *start(const plumb_db_t *db, unsigned index)
{
    char host[256], hostaddr[64], port[16];
    bool one = db->hosts == 1; /* libpq goes through one name's addresses by itself */
    const struct {
        const char *keyword, *value;
    } settings[] = {
        {"connect_timeout", "3"},
        {"keepalives_idle", "10"},
        {"keepalives_interval", "3"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "10000"},
        {"target_session_attrs", "read-write"},
        {"application_name", db->application},
        {"dbname", db->conninfo},
        {"client_encoding", "UTF8"},
        {"options", db->options},
        {"host", one ? "" : list_entry(db->host, index, host, sizeof host)},
        {"hostaddr", one ? "" : list_entry(db->hostaddr, index, hostaddr, sizeof hostaddr)},
        {"port", one ? "" : list_entry(db->port, index, port, sizeof port)},
    };
    enum { COUNT = sizeof settings / sizeof *settings };
    const char *keywords[COUNT + 1] = {0}, *values[COUNT + 1] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        keywords[i] = settings[i].keyword;
        values[i] = settings[i].value;
    }
    return PQconnectStartParams(keywords, values, 1);
}

/* False: refused or too late; `conn` has libpq's reason. */
static bool finish_start(PGconn *conn, int64_t deadline_ms)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (PQstatus(conn) != CONNECTION_BAD) {
        if (state == PGRES_POLLING_OK)
            return true;
        if (state == PGRES_POLLING_FAILED)
            return false;
        struct pollfd fd = {.fd = PQsocket(conn),
                            .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left = deadline_ms - plumb_mono_ms();
        if (left < 0 || (poll(&fd, 1, (int)left) < 0 && errno != EINTR))
            return false;
        if (fd.revents != 0)
            state = PQconnectPoll(conn);
    }
    return false;
}

static void on_notice(void *self, const PGresult *notice)
{
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity != NULL && strcmp(severity, "WARNING") == 0)
        ((plumb_db_t *)self)->warned = true;
}

/* Keep libpq's reason, the first line of it. */
static void note_reason(plumb_db_t *db, const PGconn *conn)
{
    const char *message = PQerrorMessage(conn);
    snprintf(db->why, sizeof db->why, "%s", *message != '\0' ? message : "no answer in time");
    db->why[strcspn(db->why, "\n")] = '\0';
}

static int try_host(plumb_db_t *db, unsigned index, int64_t deadline_ms, plumb_err_t *err)
{
    int64_t limit = plumb_mono_ms() + HOST_TIMEOUT_MS;
    PGconn *conn = start(db, index);
    if (conn == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "connect to the database");
    if (!finish_start(conn, limit < deadline_ms ? limit : deadline_ms)) {
        note_reason(db, conn);
        PQfinish(conn);
        return plumb_err_set(err, PLUMB_E_DB_AWAY, "connect to the database: %s", db->why);
    }
    PQsetnonblocking(conn, 1);
    PQsetNoticeReceiver(conn, on_notice, db);
    db->conn = conn;
    db->generation++;
    return 0;
}

/* Every host once, from the one behind that which failed last: a caller with a short deadline must
 * not stand for ever before a host that swallows packets. */
static int try_hosts(plumb_db_t *db, int64_t deadline_ms, plumb_err_t *err)
{
    int rc = 0;
    for (unsigned i = 0; i < db->hosts; i++) {
        rc = try_host(db, db->next_host, deadline_ms, err);
        if (rc == 0)
            return 0;
        db->next_host = (db->next_host + 1) % db->hosts;
        if (plumb_mono_ms() >= deadline_ms)
            break;
    }
    back_off(db);
    return rc;
}

int plumb_db_ensure(plumb_db_t *db, int64_t deadline_ms, plumb_err_t *err)
{
    if (plumb_db_is_connected(db))
        return 0;
    if (db->conn != NULL)
        plumb_db_drop(db, "the connection broke");
    int64_t wait = db->retry_at_ms - plumb_mono_ms();
    if (wait > 0)
        return plumb_err_set(err, PLUMB_E_DB_AWAY, "connect to the database: %s (again in %d ms)",
                             db->why, (int)wait);
    return try_hosts(db, deadline_ms, err);
}

int plumb_db_connect(plumb_db_t *db, int64_t timeout_ms, plumb_err_t *err)
{
    return plumb_db_ensure(db, plumb_mono_ms() + timeout_ms, err);
}
