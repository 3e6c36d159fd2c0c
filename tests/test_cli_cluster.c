/* The private PostgreSQL under its supervisor: made, killed, restarted, its stale lock file, its
 * end. */
#include "cluster.h"
#include "state.h"
#include "supervisor.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define START_MS 60000

typedef struct fixture {
    char dir[64], log[PATH_MAX];
    state_t state;
    cluster_t cluster;
    supervisor_t supervisor;
    unsigned changes;
} fixture_t;

static void count_change(void *self)
{
    ((fixture_t *)self)->changes++;
}

static int set_up(void **state)
{
    static fixture_t fixture;
    fixture_t *f = &fixture;
    plumb_err_t err = {0};
    *f = (fixture_t){.cluster = {.fd = -1}};
    strcpy(f->dir, "/tmp/plumb-cluster.XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    state_path(f->dir, "logs/postgres.log", f->log);
    f->supervisor.changed = count_change;
    f->supervisor.self = f;
    *state = f;
    if (state_open(&f->state, f->dir, &err) < 0 || supervisor_open(&f->supervisor, &err) < 0 ||
        cluster_open(&f->cluster, f->dir, f->log, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    char command[128];
    supervisor_close(&f->supervisor);
    cluster_close(&f->cluster);
    state_close(&f->state);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    return system(command);
}

static child_t *postgres_of(fixture_t *f)
{
    return &f->supervisor.child[CHILD_POSTGRES];
}

static void await_ready(fixture_t *f)
{
    plumb_err_t err = {0};
    if (supervisor_wait(&f->supervisor, cluster_ready, &f->cluster, START_MS, &err) < 0)
        fail_msg("%s", err.text);
}

/* Unless it runs since an earlier test. */
static void start(fixture_t *f)
{
    child_t *child = postgres_of(f);
    plumb_err_t err = {0};
    if (child->pid > 0)
        return;
    cluster_plan(&f->cluster, &child->plan, f->log);
    child->stop_signal = SIGINT;
    child->stop_ms = START_MS;
    child->prepare = cluster_prepare;
    child->self = &f->cluster;
    assert_int_equal(supervisor_start(&f->supervisor, CHILD_POSTGRES, &err), 0);
    await_ready(f);
}

typedef struct successor {
    const child_t *child;
    pid_t old;
} successor_t;

static int has_successor(void *self, plumb_err_t *err)
{
    const successor_t *s = self;
    if (s->child->pid > 0 && s->child->pid != s->old)
        return 0;
    return plumb_err_set(err, PLUMB_E_UNAVAILABLE, "no other process yet");
}

static char *query(const fixture_t *f, const char *sql, char *out, size_t size)
{
    PGconn *conn = PQconnectdb(f->cluster.conninfo);
    PGresult *r = PQexec(conn, sql);
    snprintf(out, size, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : PQerrorMessage(conn));
    PQclear(r);
    PQfinish(conn);
    return out;
}

static void is_private(void **state)
{
    fixture_t *f = *state;
    char value[256], path[128];
    struct stat st;
    start(f);
    assert_int_equal(cluster_make_database(&f->cluster, NULL), 0);
    assert_int_equal(cluster_make_database(&f->cluster, NULL), 0);
    assert_string_equal(query(f, "SHOW listen_addresses", value, sizeof value), "");
    assert_string_equal(query(f, "SHOW server_encoding", value, sizeof value), "UTF8");
    assert_string_equal(query(f, "SHOW lc_collate", value, sizeof value), "C");
    assert_string_equal(query(f, "SHOW fsync", value, sizeof value), "on");
    assert_string_equal(query(f, "SELECT current_database()", value, sizeof value), "plumb");
    snprintf(path, sizeof path, "%s/pg/.s.PGSQL.5432", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
    snprintf(path, sizeof path, "%s/pg", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
    assert_int_not_equal(st.st_uid, 0);
}

static void comes_back(void **state)
{
    fixture_t *f = *state;
    char value[256];
    plumb_err_t err = {0};
    start(f);
    assert_int_equal(cluster_make_database(&f->cluster, NULL), 0);
    query(f, "CREATE TABLE kept AS SELECT 7 AS n", value, sizeof value);
    for (int i = 0; i < 3; i++) {
        unsigned changes = f->changes;
        successor_t successor = {postgres_of(f), postgres_of(f)->pid};
        assert_int_equal(kill(successor.old, SIGKILL), 0);
        if (supervisor_wait(&f->supervisor, has_successor, &successor, START_MS, &err) < 0)
            fail_msg("%s", err.text);
        await_ready(f);
        assert_true(f->changes >= changes + 2); /* gone, and back */
    }
    assert_string_equal(query(f, "SELECT n FROM kept", value, sizeof value), "7");
}

/* A process of the server's user that is none of the server's. */
static pid_t start_stranger(const fixture_t *f)
{
    pid_t pid = 0;
    process_plan_t plan = {.name = "sleep",
                           .argv = {"/bin/sleep", "600"},
                           .passed = -1,
                           .drops = f->cluster.drops,
                           .uid = f->cluster.uid,
                           .gid = f->cluster.gid,
                           .death_signal = SIGKILL};
    snprintf(plan.log, sizeof plan.log, "%s/logs/stranger.log", f->dir);
    assert_int_equal(process_start(&plan, &pid, NULL), 0);
    return pid;
}

/* The lock file of a killed server names a number that another process has got since. */
static void is_not_kept_out_by_a_stranger(void **state)
{
    fixture_t *f = *state;
    char path[128], text[4096] = "", changed[8192];
    child_t *child = postgres_of(f);
    start(f);
    child->wanted = false;
    assert_int_equal(kill(child->pid, SIGKILL), 0);
    while (child->pid > 0)
        supervisor_step(&f->supervisor, 1000);
    pid_t stranger = start_stranger(f);
    snprintf(path, sizeof path, "%s/pg/data/postmaster.pid", f->dir);
    int fd = open(path, O_RDWR);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    int length = snprintf(changed, sizeof changed, "%09d%s", (int)stranger, strchr(text, '\n'));
    assert_int_equal(pwrite(fd, changed, (size_t)length, 0), length);
    close(fd);
    start(f);
    kill(stranger, SIGKILL);
    waitpid(stranger, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(is_private), cmocka_unit_test(comes_back),
                                       cmocka_unit_test(is_not_kept_out_by_a_stranger)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, set_up, tear_down);
}
