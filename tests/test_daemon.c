/* What daemons have in common: arguments, signals, readiness, the health responder. */
#include "buf.h"
#include "clock.h"
#include "count.h"
#include "daemon.h"
#include "log.h"
#include "scratch.h"

#include <czmq.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DEADLINE_MS 10000

static char run_dir[256]; /* "run_dir=<scratch>/run" */

static int setup(void **state)
{
    int rc = scratch_setup(state);
    snprintf(run_dir, sizeof run_dir, "run_dir=%s/a/run", (const char *)*state);
    return rc;
}

static void open_daemon(plumb_daemon_t *daemon)
{
    plumb_err_t err = {0};
    char *argv[] = {(char[]){"plumb-broker"}, (char[]){"--set"}, run_dir, NULL};
    if (plumb_daemon_open(daemon, "broker", 3, argv, &err) != 0)
        fail_msg("%s", err.text);
}

/* ---- arguments ---- */

static const char *write_file(void **state, const char *name, const char *content)
{
    const char *path = scratch_path(state, "", name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    fclose(file);
    return path;
}

static void refuses_arguments(void **state)
{
    static const struct {
        const char *argument[3];
        const char *want;
        plumb_code_t code;
    } cases[] = {
        {{"--nonsense"}, "unknown argument '--nonsense'", PLUMB_E_USAGE},
        {{"-x"}, "unknown argument", PLUMB_E_USAGE},
        {{"word"}, "unknown argument 'word'", PLUMB_E_USAGE},
        {{"--set"}, "no value for '--set'", PLUMB_E_USAGE},
        {{"--config", "/nonexistent/plumb.conf"}, "/nonexistent/plumb.conf", PLUMB_E_CONFIG},
        {{"--set", "brokre.name=x"}, "--set: unknown key 'brokre.name'", PLUMB_E_CONFIG},
        {{"--set", "log.level=9"}, "log.level: 9 is not within", PLUMB_E_CONFIG},
        {{"--check=yes"}, "unknown argument '--check=yes'", PLUMB_E_USAGE},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        plumb_err_t err = {0};
        plumb_daemon_t daemon = {0};
        char *argv[5] = {(char[]){"plumb-broker"}};
        int argc = 1;
        for (size_t j = 0; j < 3 && cases[i].argument[j] != NULL; j++)
            argv[argc++] = strdup(cases[i].argument[j]);
        int rc = plumb_daemon_open(&daemon, "broker", argc, argv, &err);
        if (rc != -(int)cases[i].code || strstr(err.text, cases[i].want) == NULL)
            fail_msg("'%s': got %d '%s'", cases[i].argument[0], rc, err.text);
        plumb_daemon_close(&daemon);
        while (argc > 1)
            free(argv[--argc]);
    }
}

static void reads_configuration(void **state)
{
    plumb_err_t err = {0};
    plumb_daemon_t daemon = {0};
    struct stat is;
    char *file =
        strdup(write_file(state, "plumb.conf", "broker.name = from-file\nworker.slot = w-7\n"));
    char *argv[] = {(char[]){"x"},
                    (char[]){"--set"},
                    (char[]){"broker.name=from-set"},
                    (char[]){"--config"},
                    file,
                    (char[]){"--set"},
                    run_dir,
                    NULL};
    assert_int_equal(plumb_daemon_open(&daemon, "broker", 7, argv, &err), 0);
    assert_string_equal(daemon.conf.broker_name, "from-set");
    assert_string_equal(daemon.conf.worker_slot, "w-7");
    assert_false(daemon.check_only);
    assert_int_equal(stat(daemon.conf.run_dir, &is), 0);
    assert_int_equal(is.st_mode & 0777 & ~0750, 0);
    plumb_daemon_close(&daemon);
    plumb_daemon_close(&daemon);
    free(file);
}

static void checks_only(void **state)
{
    plumb_err_t err = {0};
    plumb_daemon_t daemon = {0};
    char *argv[] = {(char[]){"x"}, (char[]){"--check"}, (char[]){"--set"}, run_dir, NULL};
    assert_int_equal(plumb_daemon_open(&daemon, "broker", 4, argv, &err), 0);
    assert_true(daemon.check_only);
    assert_int_equal(access(scratch_path(state, "", "a"), F_OK), -1); /* nothing was made */
    plumb_daemon_close(&daemon);
    daemon = (plumb_daemon_t){0};
    plumb_daemon_close(&daemon); /* never opened */
    plumb_daemon_close(NULL);
}

/* What a child that runs plumb_daemon_open prints; it must leave by itself with 0. */
static void run_and_read(const char *argument, plumb_buf_t *out)
{
    int ends[2], status = -1;
    char piece[4096];
    ssize_t got;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        plumb_err_t err = {0};
        plumb_daemon_t daemon = {0};
        char *argv[] = {(char[]){"x"}, strdup(argument), NULL};
        dup2(ends[1], STDOUT_FILENO);
        plumb_daemon_open(&daemon, "broker", 2, argv, &err);
        _exit(99);
    }
    close(ends[1]);
    plumb_buf_clear(out);
    while ((got = read(ends[0], piece, sizeof piece)) > 0)
        plumb_buf_put(out, piece, (size_t)got);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void prints_help(void **state)
{
    (void)state;
    static const char *const want[] = {
        "usage: plumb-broker ", "--config FILE ", "--set KEY=VALUE ",   "--check ",
        "--version ",           "--help ",        "broker.memory = 4M", "retry.schedule = 10s,1m"};
    plumb_buf_t out = {0};
    run_and_read("--help", &out);
    for (size_t i = 0; i < PLUMB_COUNT(want); i++)
        if (strstr(out.data, want[i]) == NULL)
            fail_msg("no '%s' in\n%s", want[i], out.data);
    run_and_read("--version", &out);
    assert_string_equal(out.data, "plumb-broker " PLUMB_VERSION "\n");
    plumb_buf_fini(&out);
}

/* ---- signals ---- */

static bool is_signalled(plumb_daemon_t *daemon)
{
    struct pollfd fd = {.fd = daemon->signal_fd, .events = POLLIN};
    assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
    return plumb_daemon_signalled(daemon);
}

static void takes_signals(void **state)
{
    (void)state;
    plumb_daemon_t daemon = {0};
    struct sigaction action;
    open_daemon(&daemon);
    zsock_t *sock = zsock_new(ZMQ_PULL); /* czmq, once it runs, must not take them back */
    assert_false(plumb_daemon_signalled(&daemon));
    kill(getpid(), SIGHUP);
    assert_false(is_signalled(&daemon));
    kill(getpid(), SIGTERM);
    assert_true(is_signalled(&daemon));
    kill(getpid(), SIGINT);
    assert_true(is_signalled(&daemon));
    assert_false(plumb_daemon_signalled(&daemon));
    assert_int_equal(sigaction(SIGTERM, NULL, &action), 0);
    assert_true(action.sa_handler == SIG_DFL);
    assert_false(zsys_interrupted);
    zsock_destroy(&sock);
    plumb_daemon_close(&daemon);
}

/* ---- systemd ---- */

static void tells_systemd(void **state)
{
    static const struct {
        const char *want;
        void (*tell)(void);
    } cases[] = {{"WATCHDOG=1", plumb_daemon_alive}, {"STOPPING=1", plumb_daemon_stopping}};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char got[256] = "";
    snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch_path(state, "", "notify"));
    plumb_daemon_alive(); /* nobody listens */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    plumb_daemon_ready("3 queues");
    assert_true(recv(fd, got, sizeof got - 1, MSG_DONTWAIT) > 0);
    assert_string_equal(got, "READY=1\nSTATUS=3 queues");
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        memset(got, 0, sizeof got);
        cases[i].tell();
        assert_true(recv(fd, got, sizeof got - 1, MSG_DONTWAIT) > 0);
        assert_string_equal(got, cases[i].want);
    }
    unsetenv("NOTIFY_SOCKET");
    close(fd);
}

/* ---- health ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        fail_msg("connect '%s' failed", path);
    return fd;
}

/* The whole answer, until the other side closes; "" when it says nothing. */
static void read_answer(int fd, plumb_buf_t *out)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char piece[4096];
    ssize_t got = 1;
    plumb_buf_clear(out);
    plumb_buf_text(out, "");
    while (got > 0) {
        if (poll(&readable, 1, DEADLINE_MS) != 1)
            fail_msg("no end of the answer within %d ms", DEADLINE_MS);
        got = recv(fd, piece, sizeof piece, 0);
        if (got > 0)
            plumb_buf_put(out, piece, (size_t)got);
    }
    close(fd);
}

static void ask(const char *path, const char *request, plumb_buf_t *out)
{
    int fd = connect_to(path);
    send(fd, request, strlen(request), MSG_NOSIGNAL);
    read_answer(fd, out);
}

typedef struct readiness {
    bool is;
    unsigned asked;
} readiness_t;

static int is_ready(void *self, plumb_err_t *err)
{
    readiness_t *ready = self;
    ready->asked++;
    return ready->is ? 0 : plumb_err_set(err, PLUMB_E_UNAVAILABLE, "no tracker yet\nno worker yet");
}

static void answers(void **state)
{
    static const struct {
        const char *request, *status, *body;
        bool ready;
    } cases[] = {
        {"GET /healthz HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\nok\n", false},
        {"GET /healthz HTTP/1.1\nHost: x\n\n", "200 OK", "\r\n\r\nok\n", false},
        {"HEAD /healthz HTTP/1.0\r\n\r\n", "200 OK",
         "Content-Length: 3\r\nConnection: close\r\n\r\n", false},
        {"GET /readyz HTTP/1.0\r\n\r\n", "200 OK", "\r\n\r\nready\n", true},
        {"GET /readyz HTTP/1.0\r\n\r\n", "503 Service Unavailable", "\r\n\r\nnot ready\n", false},
        {"GET /readyz?verbose HTTP/1.0\r\n\r\n", "503 Service Unavailable",
         "not ready\nno tracker yet\nno worker yet\n", false},
        {"GET /metrics HTTP/1.0\r\n\r\n", "200 OK",
         "\nplumb_build_info{version=\"" PLUMB_VERSION "\"} 1\n", false},
        {"GET / HTTP/1.0\r\n\r\n", "404 Not Found", "not found\n", false},
        {"GET /healthzz HTTP/1.0\r\n\r\n", "404 Not Found", "", false},
        {"GET /health HTTP/1.0\r\n\r\n", "404 Not Found", "", false},
        {"POST /healthz HTTP/1.0\r\n\r\n", "405 Method Not Allowed", "Allow: GET, HEAD\r\n", false},
        {"GET /healthz\r\n\r\n", "400 Bad Request", "", false},
        {"GET /healthz HTTP/1.0 x\r\n\r\n", "400 Bad Request", "", false},
        {"\r\n\r\n", "400 Bad Request", "", false},
    };
    plumb_daemon_t daemon = {0};
    plumb_err_t err = {0};
    readiness_t ready = {0};
    plumb_buf_t out = {0};
    char want[128];
    struct stat is;
    open_daemon(&daemon);
    assert_int_equal(plumb_daemon_admin(&daemon, "broker-0", is_ready, &ready, &err), 0);
    const char *path = scratch_path(state, "", "a/run/broker-0.http");
    assert_int_equal(stat(path, &is), 0);
    assert_int_equal(is.st_mode & 07777, 0660);
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        ready.is = cases[i].ready;
        snprintf(want, sizeof want, "HTTP/1.0 %s\r\n", cases[i].status);
        ask(path, cases[i].request, &out);
        if (strncmp(out.data, want, strlen(want)) != 0 || strstr(out.data, cases[i].body) == NULL)
            fail_msg("%s: got\n%s", cases[i].request, out.data);
    }
    assert_int_equal(ready.asked, 3);
    plumb_daemon_close(&daemon);
    assert_int_equal(access(path, F_OK), -1);
    plumb_buf_fini(&out);
}

/* Who says nothing, too much, or goes away holds up the others for a moment only. */
static void survives_bad_clients(void **state)
{
    plumb_daemon_t daemon = {0};
    plumb_err_t err = {0};
    plumb_buf_t out = {0};
    static char flood[100000];
    memset(flood, 'x', sizeof flood);
    open_daemon(&daemon);
    assert_int_equal(plumb_daemon_admin(&daemon, "broker-0", NULL, NULL, &err), 0);
    const char *path = scratch_path(state, "", "a/run/broker-0.http");
    int silent = connect_to(path);
    int gone = connect_to(path);
    close(gone);
    ask(path, "GET /readyz HTTP/1.0\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "200 OK"));
    read_answer(silent, &out); /* closed by the responder */
    assert_string_equal(out.data, "");
    int flooding = connect_to(path);
    send(flooding, flood, sizeof flood, MSG_NOSIGNAL | MSG_DONTWAIT);
    ask(path, "GET /healthz HTTP/1.0\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "200 OK"));
    close(flooding);
    silent = connect_to(path); /* and the end does not wait for one */
    int64_t begun = plumb_mono_ms();
    plumb_daemon_close(&daemon);
    assert_true(plumb_mono_ms() - begun < 900);
    close(silent);
    plumb_buf_fini(&out);
}

/* A path that is taken or too long is an error, a dead process's file is not. */
static void takes_its_path(void **state)
{
    plumb_daemon_t daemon = {0}, second = {0};
    plumb_err_t err = {0};
    plumb_buf_t out = {0};
    char name[200];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    open_daemon(&daemon);
    const char *path = scratch_path(state, "", "a/run/broker-0.http");
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stale, (const struct sockaddr *)&address, sizeof address), 0);
    close(stale);
    assert_int_equal(plumb_daemon_admin(&daemon, "broker-0", NULL, NULL, &err), 0);
    open_daemon(&second);
    assert_int_equal(plumb_daemon_admin(&second, "broker-0", NULL, NULL, &err),
                     -PLUMB_E_UNAVAILABLE);
    assert_int_equal(plumb_daemon_admin(&second, name, NULL, NULL, &err), -PLUMB_E_CONFIG);
    plumb_daemon_close(&second);
    ask(path, "GET /healthz HTTP/1.0\r\n\r\n", &out); /* the first still answers */
    assert_non_null(strstr(out.data, "200 OK"));
    plumb_daemon_close(&daemon);
    plumb_buf_fini(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(prints_help), /* before czmq runs: it forks */
        TEST(refuses_arguments),    TEST(reads_configuration), TEST(checks_only),
        TEST(takes_signals),        TEST(tells_systemd),       TEST(answers),
        TEST(survives_bad_clients), TEST(takes_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
