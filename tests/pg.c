/* The private PostgreSQL server of a test program, and the guardian that owns it. */
#include "pg.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_NAPS 3000 /* of 10 ms: a loaded machine may need long to recover from a crash */

/* One server a program: what the test process knows of it. */
static struct {
    int fd; /* to the guardian; commands out, each echoed when done */
    pid_t guardian;
    unsigned databases;
    char dir[64];
    char conninfo[PG_CONNINFO_MAX];
} pg = {.fd = -1};

enum { START = 'g', STOP = 's', CRASH = 'c' };

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "pg: %s\n", what);
    exit(EXIT_FAILURE);
}

/* ---- the guardian: runs as the server's user and never returns ---- */

static _Noreturn void guardian_die(const char *what)
{
    fprintf(stderr, "pg guardian: %s: %s\n", what, strerror(errno));
    _exit(EXIT_FAILURE);
}

/* Start a program of PostgreSQL's newest version, its output in <dir>/log. */
static pid_t spawn(const char *dir, const char *program, char *const argv[])
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/log", dir);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    glob_t found = {0};
    if (log < 0 || glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0)
        guardian_die("no /usr/lib/postgresql/*/bin");
    snprintf(path, sizeof path, "%s/%s", found.gl_pathv[found.gl_pathc - 1], program);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

static bool ended_well(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static pid_t spawn_server(const char *dir, const char *data)
{
    /* What a test does not need is off: safety from power cuts, workers, TCP. */
    char *argv[] = {"postgres",
                    "-D",
                    (char *)data,
                    "-k",
                    (char *)dir,
                    "-c",
                    "listen_addresses=",
                    "-c",
                    "fsync=off",
                    "-c",
                    "full_page_writes=off",
                    "-c",
                    "shared_buffers=16MB",
                    "-c",
                    "max_connections=64",
                    "-c",
                    "timezone=Asia/Kathmandu",
                    NULL};
    return spawn(dir, "postgres", argv);
}

static void stop_server(pid_t *server, int signal)
{
    if (*server <= 0)
        return;
    kill(*server, signal);
    ended_well(*server);
    *server = -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void become_server_user(const char *dir)
{
    if (geteuid() != 0)
        return;
    struct passwd *user = getpwnam("postgres");
    if (user == NULL || chown(dir, user->pw_uid, user->pw_gid) < 0 || setgroups(0, NULL) < 0 ||
        setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0)
        guardian_die("become user postgres");
}

static _Noreturn void guard(int fd, const char *dir)
{
    char data[80];
    snprintf(data, sizeof data, "%s/data", dir);
    char *initdb[] = {"initdb",   "-D", data,   "-A", "trust",      "-U",
                      "postgres", "-E", "UTF8", "-N", "--locale=C", NULL};
    setsid(); /* a Ctrl-C is for the test; its end is ours to clean up after */
    if (fd != STDERR_FILENO + 1)
        fd = dup3(fd, STDERR_FILENO + 1, O_CLOEXEC);
    closefrom(fd + 1); /* or what the test closes would stay open here */
    become_server_user(dir);
    if (chdir("/") < 0 || !ended_well(spawn(dir, "initdb", initdb)))
        fprintf(stderr, "pg guardian: initdb failed in %s\n", dir);
    pid_t server = -1;
    char command;
    while (read(fd, &command, 1) == 1) {
        if (command == START)
            server = spawn_server(dir, data);
        else
            stop_server(&server, command == STOP ? SIGINT : SIGQUIT);
        if (write(fd, &command, 1) != 1)
            break;
    }
    stop_server(&server, SIGQUIT);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    _exit(EXIT_SUCCESS);
}

/* ---- the test's side ---- */

static void dismiss(void)
{
    close(pg.fd);
    ended_well(pg.guardian);
}

static void tell(char command)
{
    char echo;
    if (pg.fd < 0)
        die("the server was never started");
    if (send(pg.fd, &command, 1, MSG_NOSIGNAL) != 1 || read(pg.fd, &echo, 1) != 1)
        die("the guardian is gone");
}

static void hire(void)
{
    int pair[2];
    snprintf(pg.dir, sizeof pg.dir,
             "/tmp/plumb-pg-XXXXXX"); /* short: a socket path has 107 bytes */
    if (mkdtemp(pg.dir) == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        die("no directory or no socket for the guardian");
    snprintf(pg.conninfo, sizeof pg.conninfo, "host=%s user=postgres dbname=postgres", pg.dir);
    fflush(NULL);
    pg.guardian = fork();
    if (pg.guardian < 0)
        die("no process for the guardian");
    if (pg.guardian == 0) {
        close(pair[0]);
        guard(pair[1], pg.dir);
    }
    close(pair[1]);
    pg.fd = pair[0];
    atexit(dismiss);
}

void pg_start(void)
{
    tell(START);
    for (int naps = 0; PQping(pg.conninfo) != PQPING_OK; naps++) {
        if (naps == START_NAPS)
            die("the server does not answer");
        poll(NULL, 0, 10);
    }
}

void pg_stop(void)
{
    tell(STOP);
}

void pg_crash(void)
{
    tell(CRASH);
}

const char *pg_conninfo(void)
{
    if (pg.fd < 0) {
        hire();
        pg_start();
    }
    return pg.conninfo;
}

void pg_run(const char *conninfo, const char *sql, char *value, size_t size)
{
    PGconn *conn = PQconnectdb(conninfo);
    PGresult *r = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fprintf(stderr, "pg: %s\n", sql);
        die(PQerrorMessage(conn));
    }
    if (value != NULL)
        snprintf(value, size, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    PQfinish(conn);
}

const char *pg_new_database(char conninfo[PG_CONNINFO_MAX])
{
    char sql[64];
    snprintf(sql, sizeof sql, "CREATE DATABASE test_%u TEMPLATE template0", ++pg.databases);
    pg_run(pg_conninfo(), sql, NULL, 0);
    snprintf(conninfo, PG_CONNINFO_MAX, "host=%s user=postgres dbname=test_%u", pg.dir,
             pg.databases);
    return conninfo;
}
