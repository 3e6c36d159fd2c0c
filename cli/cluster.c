/* Making and describing the private PostgreSQL. */
#include "cluster.h"

#include "db.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INITDB_MS 180000
#define STATEMENT_MS 30000
/* Inside of PROCESS_PASSED_FD, by path. */
#define PASSED_DATA "/proc/self/fd/9/data"
#define PASSED_NEW "/proc/self/fd/9/new"
#define USER "plumb"

/* What docs/performance.md measures with, scaled to a machine that does other things too.  Shared
 * memory for parallel workers is a file in the data directory, so that none is left in /dev/shm.
 * After a crash the server first makes durable what is in the data directory: by default it opens
 * and syncs some thousand files one by one, each month's partitions a few hundred more; syncfs asks
 * the file system once. */
static const char *const settings[] = {"listen_addresses=",
                                       "port=5432",
                                       "unix_socket_directories=/proc/self/fd/9",
                                       "unix_socket_permissions=0700",
                                       "dynamic_shared_memory_type=mmap",
                                       "shared_buffers=256MB",
                                       "max_wal_size=4GB",
                                       "min_wal_size=512MB",
                                       "wal_buffers=32MB",
                                       "checkpoint_timeout=15min",
                                       "wal_compression=lz4",
                                       "recovery_init_sync_method=syncfs",
                                       "jit=off",
                                       "timezone=UTC",
                                       "log_timezone=UTC",
                                       "log_checkpoints=off",
                                       "lc_messages=C"};
#define SETTINGS (sizeof settings / sizeof *settings)
_Static_assert(PROCESS_PASSED_FD == 9, "the paths above name it");
_Static_assert(2 * SETTINGS + 4 <= PROCESS_ARGV_MAX, "the command line is long enough");

/* ---- which PostgreSQL ---- */

static bool read_version(const char *dir, char *out, size_t size)
{
    char path[PATH_MAX], *text;
    size_t length;
    if (state_read(state_path(dir, "data/PG_VERSION", path), 64, &text, &length, NULL) < 0)
        return false;
    snprintf(out, size, "%.*s", (int)strcspn(text, "\r\n "), text);
    free(text);
    return true;
}

static int version_of(const char *path)
{
    const char *at = strstr(path, "/postgresql/");
    return at == NULL ? 0 : atoi(at + strlen("/postgresql/"));
}

static bool has_server(const char *bin)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/postgres", bin);
    return access(path, X_OK) == 0;
}

static int find_newest(char *out, size_t size, plumb_err_t *err)
{
    glob_t found = {0};
    int newest = 0;
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (version_of(found.gl_pathv[i]) > newest && has_server(found.gl_pathv[i])) {
                newest = version_of(found.gl_pathv[i]);
                snprintf(out, size, "%s", found.gl_pathv[i]);
            }
    globfree(&found);
    if (newest == 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM,
                             "no PostgreSQL server in /usr/lib/postgresql; install it: "
                             "apt-get install postgresql-15, or use one: --database URL");
    return 0;
}

static int find_programs(cluster_t *c, plumb_err_t *err)
{
    char version[32];
    int rc = 0;
    if (!read_version(c->dir, version, sizeof version)) {
        rc = find_newest(c->bin, sizeof c->bin, err);
    } else {
        snprintf(c->bin, sizeof c->bin, "/usr/lib/postgresql/%s/bin", version);
        if (!has_server(c->bin))
            rc = plumb_err_set(err, PLUMB_E_SYSTEM,
                               "'%s' was made by PostgreSQL %s, which is not here: "
                               "apt-get install postgresql-%s",
                               c->dir, version, version);
    }
    snprintf(c->initdb, sizeof c->initdb, "%s/initdb", c->bin);
    snprintf(c->postgres, sizeof c->postgres, "%s/postgres", c->bin);
    return rc;
}

/* ---- whose ---- */

/* PostgreSQL refuses to run as root.  An existing cluster's owner stays its owner. */
static int choose_user(cluster_t *c, plumb_err_t *err)
{
    struct stat st;
    c->uid = geteuid();
    c->gid = getegid();
    c->drops = c->uid == 0;
    if (!c->drops)
        return 0;
    if (stat(c->dir, &st) == 0 && st.st_uid != 0) {
        c->uid = st.st_uid;
        c->gid = st.st_gid;
        return 0;
    }
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL)
        user = getpwnam("nobody");
    if (user == NULL)
        return plumb_err_set(err, PLUMB_E_SYSTEM,
                             "PostgreSQL does not run as root, and there is no user 'postgres' or "
                             "'nobody' to run it as");
    c->uid = user->pw_uid;
    c->gid = user->pw_gid;
    return 0;
}

static int open_dir(cluster_t *c, plumb_err_t *err)
{
    if (mkdir(c->dir, 0700) < 0 && errno != EEXIST)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "make '%s': %s", c->dir, strerror(errno));
    c->fd = open(c->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->fd < 0 || (c->drops && fchownat(c->fd, "", c->uid, c->gid, AT_EMPTY_PATH) < 0))
        return plumb_err_set(err, PLUMB_E_SYSTEM, "open '%s': %s", c->dir, strerror(errno));
    return 0;
}

/* ---- making it ---- */

static void describe(const cluster_t *c, process_plan_t *plan, const char *name, const char *log)
{
    *plan = (process_plan_t){.name = name,
                             .passed = c->fd,
                             .plain = true,
                             .drops = c->drops,
                             .uid = c->uid,
                             .gid = c->gid,
                             .death_signal = SIGKILL};
    snprintf(plan->log, sizeof plan->log, "%s", log);
}

static int run_initdb(const cluster_t *c, const char *log, plumb_err_t *err)
{
    static const char *const argv[] = {"-D", PASSED_NEW, "-A",   "trust",      "-U",
                                       USER, "-E",       "UTF8", "--locale=C", "--no-instructions"};
    process_plan_t plan;
    describe(c, &plan, "initdb", log);
    plan.argv[0] = c->initdb;
    for (size_t i = 0; i < sizeof argv / sizeof *argv; i++)
        plan.argv[i + 1] = argv[i];
    return process_run(&plan, INITDB_MS, err);
}

/* What an interrupted initdb left.  As its user, so that a link in there leads nowhere. */
static int remove_new(const cluster_t *c, const char *log, plumb_err_t *err)
{
    process_plan_t plan;
    describe(c, &plan, "rm", log);
    plan.argv[0] = "/bin/rm";
    plan.argv[1] = "-rf";
    plan.argv[2] = PASSED_NEW;
    return process_run(&plan, INITDB_MS, err);
}

/* Made under another name and renamed when complete: a cluster is there whole or not at all. */
static int make_data(const cluster_t *c, const char *log, plumb_err_t *err)
{
    if (faccessat(c->fd, "data", F_OK, 0) == 0)
        return 0;
    int rc = remove_new(c, log, err);
    if (rc == 0)
        rc = run_initdb(c, log, err);
    if (rc == 0 && renameat(c->fd, "new", c->fd, "data") < 0)
        rc = plumb_err_set(err, PLUMB_E_SYSTEM, "rename '%s/new': %s", c->dir, strerror(errno));
    return rc < 0 ? plumb_err_add(err, "make a PostgreSQL cluster in '%s'", c->dir) : 0;
}

/* ---- where it listens ---- */

/* A value of a connection string; quotes and backslashes are escaped. */
static void put_quoted(char *out, size_t size, const char *text)
{
    size_t at = strlen(out);
    for (; *text != '\0' && at + 3 < size; text++) {
        if (*text == '\'' || *text == '\\')
            out[at++] = '\\';
        out[at++] = *text;
    }
    out[at] = '\0';
}

static void make_conninfo(char *out, size_t size, const char *dir, const char *database)
{
    bool plain = strpbrk(dir, " '\\") == NULL;
    snprintf(out, size, "host=%s", plain ? "" : "'");
    put_quoted(out, size, dir);
    size_t at = strlen(out);
    snprintf(out + at, size - at, "%s port=5432 user=" USER " dbname=%s", plain ? "" : "'",
             database);
}

int cluster_open(cluster_t *c, const char *state_dir, const char *log, plumb_err_t *err)
{
    c->fd = -1;
    state_path(state_dir, "pg", c->dir);
    make_conninfo(c->conninfo, sizeof c->conninfo, c->dir, "plumb");
    make_conninfo(c->maintenance, sizeof c->maintenance, c->dir, "postgres");
    int rc = find_programs(c, err);
    if (rc == 0)
        rc = choose_user(c, err);
    if (rc == 0)
        rc = open_dir(c, err);
    if (rc == 0)
        rc = make_data(c, log, err);
    return rc;
}

void cluster_close(cluster_t *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

void cluster_plan(const cluster_t *c, process_plan_t *plan, const char *log)
{
    size_t at = 0;
    describe(c, plan, "postgres", log);
    plan->death_signal = SIGQUIT; /* ends its own processes and frees its shared memory, at once */
    plan->argv[at++] = c->postgres;
    plan->argv[at++] = "-D";
    plan->argv[at++] = PASSED_DATA;
    for (size_t i = 0; i < SETTINGS; i++) {
        plan->argv[at++] = "-c";
        plan->argv[at++] = settings[i];
    }
}

/* ---- running it ---- */

/* Is `pid` a process that works in the data directory, as all of PostgreSQL's do? */
static bool is_of_cluster(const cluster_t *c, pid_t pid)
{
    char path[64];
    struct stat ours, theirs;
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
    return stat(path, &theirs) < 0 || fstatat(c->fd, "data", &ours, 0) < 0 ||
           (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
}

void cluster_prepare(void *self)
{
    const cluster_t *c = self;
    char path[PATH_MAX], *text, own[16];
    size_t length;
    if (state_read(state_path(c->dir, "data/postmaster.pid", path), 4096, &text, &length, NULL) < 0)
        return;
    pid_t pid = (pid_t)atoi(text);
    size_t digits = strspn(text, "0123456789");
    int used = snprintf(own, sizeof own, "%d", (int)getpid());
    if (pid > 0 && kill(pid, 0) == 0 && !is_of_cluster(c, pid) && digits >= (size_t)used) {
        /* A server takes its own parent's number for a stale one, and still looks whether old
         * backends hold the shared memory, whose key stands further down: so that line alone is
         * changed.  A number may have leading zeros. */
        int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0) {
            char line[32];
            snprintf(line, sizeof line, "%0*d", (int)digits, (int)getpid());
            ssize_t written = pwrite(fd, line, digits, 0);
            (void)written; /* then the server says what is wrong */
            close(fd);
        }
    }
    free(text);
}

int cluster_ready(void *self, plumb_err_t *err)
{
    const cluster_t *c = self;
    PGPing ping = PQping(c->maintenance);
    if (ping == PQPING_OK)
        return 0;
    return plumb_err_set(err, PLUMB_E_DB_AWAY, "PostgreSQL %s",
                         ping == PQPING_REJECT ? "is still starting or recovering"
                                               : "does not answer");
}

static const plumb_stmt_t has_database = {
    "cli_has_database", "SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'plumb')", 0};

int cluster_make_database(const cluster_t *c, plumb_err_t *err)
{
    plumb_db_t *db = NULL;
    PGresult *r = NULL;
    int rc = plumb_db_new(&db, c->maintenance, "plumb-up", err);
    if (rc == 0)
        rc = plumb_db_exec(db, &has_database, NULL, STATEMENT_MS, &r, err);
    if (rc == 0 && !plumb_get_bool(r, 0, 0))
        rc = plumb_db_script(db, "CREATE DATABASE plumb TEMPLATE template0", STATEMENT_MS, err);
    PQclear(r);
    plumb_db_destroy(&db);
    return rc < 0 ? plumb_err_add(err, "make database 'plumb'") : 0;
}
