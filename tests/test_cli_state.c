/* The state directory: where it is, who holds it, and files that are whole or not there. */
#include "count.h"
#include "port.h"
#include "state.h"
#include "supervisor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char place[64];

static int make_place(void **state)
{
    (void)state;
    strcpy(place, "/tmp/plumb-state.XXXXXX");
    return mkdtemp(place) == NULL ? -1 : 0;
}

static int remove_place(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", place);
    return system(command);
}

static void locates(void **state)
{
    static const struct {
        const char *given, *xdg, *home, *want; /* NULL: refused */
    } rows[] = {
        {"/a/b", NULL, NULL, "/a/b"},
        {"/a/b///", NULL, NULL, "/a/b"},
        {"/", NULL, NULL, "/"},
        {NULL, "/x", "/h", "/x/plumb"},
        {NULL, "relative", "/h", "/h/.local/state/plumb"},
        {NULL, NULL, "/h", "/h/.local/state/plumb"},
        {"", NULL, "/h", NULL},
        {"/a\nb", NULL, "/h", NULL},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char dir[STATE_DIR_MAX];
        rows[i].xdg == NULL ? unsetenv("XDG_STATE_HOME") : setenv("XDG_STATE_HOME", rows[i].xdg, 1);
        if (rows[i].home != NULL)
            setenv("HOME", rows[i].home, 1);
        int rc = state_locate(dir, rows[i].given, NULL);
        if ((rc == 0) != (rows[i].want != NULL) || (rc == 0 && strcmp(dir, rows[i].want) != 0))
            fail_msg("row %zu: %d '%s'", i, rc, dir);
    }
    char dir[STATE_DIR_MAX], cwd[PATH_MAX], want[2 * PATH_MAX];
    snprintf(want, sizeof want, "%s/rel", getcwd(cwd, sizeof cwd));
    assert_int_equal(state_locate(dir, "rel", NULL), 0);
    assert_string_equal(dir, want);
}

/* What another process sees: 0 it got the lock; else the code of its refusal. */
static int open_elsewhere(const char *dir)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        state_t other;
        _exit(-state_open(&other, dir, NULL));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static pid_t holder_elsewhere(const char *dir)
{
    int ends[2];
    pid_t seen = -1;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        pid_t holder = state_holder(dir);
        _exit(write(ends[1], &holder, sizeof holder) == (ssize_t)sizeof holder ? 0 : 1);
    }
    assert_int_equal(read(ends[0], &seen, sizeof seen), (ssize_t)sizeof seen);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    return seen;
}

static void locks(void **state)
{
    (void)state;
    char dir[128];
    struct stat st;
    state_t mine;
    plumb_err_t err = {0};
    snprintf(dir, sizeof dir, "%s/deep/state", place);
    assert_int_equal(holder_elsewhere(dir), 0);
    if (state_open(&mine, dir, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(open_elsewhere(dir), PLUMB_E_CONFLICT);
    assert_int_equal(holder_elsewhere(dir), getpid());
    state_close(&mine);
    assert_int_equal(holder_elsewhere(dir), 0);
    assert_int_equal(open_elsewhere(dir), 0);
}

static void replaces_files(void **state)
{
    (void)state;
    char path[128], beside[160], *text = NULL;
    size_t length;
    struct stat st;
    snprintf(path, sizeof path, "%s/file", place);
    snprintf(beside, sizeof beside, "%s.new", path);
    assert_int_equal(state_read(path, 100, &text, &length, NULL), -PLUMB_E_NOT_FOUND);
    assert_int_equal(state_write(path, "one", 3, NULL), 0);
    assert_int_equal(state_write(path, "three", 5, NULL), 0);
    assert_int_equal(state_read(path, 100, &text, &length, NULL), 0);
    assert_string_equal(text, "three");
    assert_int_equal(length, 5);
    free(text);
    assert_int_equal(state_read(path, 5, &text, &length, NULL), -PLUMB_E_SYSTEM);
    assert_null(text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(access(beside, F_OK), -1);
    snprintf(path, sizeof path, "%s/none/file", place);
    assert_int_equal(state_write(path, "x", 1, NULL), -PLUMB_E_SYSTEM);
}

static void make_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", place, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static bool is_there(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", place, name);
    return access(path, F_OK) == 0;
}

/* A flight file holds results nobody has recorded: it must outlive a cleaning. */
static void cleans_sockets_only(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/dead.http", place);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    make_file("worker-0.flight");
    make_file("ingest.port");
    make_file("other");
    state_clean_run(place);
    assert_false(is_there("dead.http"));
    assert_false(is_there("ingest.port"));
    assert_true(is_there("worker-0.flight"));
    assert_true(is_there("other"));
    state_clean_run("/nowhere");
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 5) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Two reservations of one port exclude each other; the daemon it is meant for gets it. */
static void holds_ports(void **state)
{
    (void)state;
    int port, other, held, twice;
    assert_int_equal(port_hold(0, &port, &held, NULL), 0);
    assert_true(port >= 1024);
    int daemon = listen_on(port);
    assert_true(daemon >= 0);
    assert_int_equal(port_hold(port, &other, &twice, NULL), -PLUMB_E_CONFLICT);
    close(daemon);
    daemon = listen_on(port); /* it restarts */
    assert_true(daemon >= 0);
    close(daemon);
    close(held);
    assert_int_equal(port_hold(port, &other, &twice, NULL), 0);
    assert_int_equal(other, port);
    close(twice);
}

static void backs_off(void **state)
{
    static const struct {
        int64_t ran_ms, last_ms;
        unsigned deaths;
        int64_t want;
    } rows[] = {{5, 0, 1, 0},      {5, 0, 2, 100},      {5, 100, 3, 200},    {5, 400, 4, 800},
                {5, 800, 5, 1000}, {5, 1000, 99, 1000}, {60000, 1000, 99, 0}};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        int64_t got = supervisor_back_off(rows[i].ran_ms, rows[i].last_ms, rows[i].deaths);
        if (got != rows[i].want)
            fail_msg("row %zu: %lld", i, (long long)got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locates),
        cmocka_unit_test_setup_teardown(locks, make_place, remove_place),
        cmocka_unit_test_setup_teardown(replaces_files, make_place, remove_place),
        cmocka_unit_test_setup_teardown(cleans_sockets_only, make_place, remove_place),
        cmocka_unit_test(holds_ports),
        cmocka_unit_test(backs_off)};
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
