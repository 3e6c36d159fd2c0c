/* A redis-server of the test's own. */
#include "redis_server.h"

#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000

static void fatal(const char *what)
{
    fprintf(stderr, "redis-server: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

/* -1: nobody listens. */
static int connect_to(const redis_server_t *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server->socket);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void become_server(const redis_server_t *server)
{
    int null = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--save",
           "", "--appendonly", "no", "--dir", server->dir, "--daemonize", "no", (char *)NULL);
    _exit(EXIT_FAILURE);
}

void redis_server_start(redis_server_t *server)
{
    if (server->dir[0] == '\0') {
        snprintf(server->dir, sizeof server->dir, "/tmp/plumb-redis-XXXXXX");
        if (mkdtemp(server->dir) == NULL)
            fatal("directory");
        snprintf(server->socket, sizeof server->socket, "%s/redis", server->dir);
        snprintf(server->url, sizeof server->url, "unix://%s", server->socket);
    }
    unlink(server->socket);
    server->pid = fork();
    if (server->pid < 0)
        fatal("fork");
    if (server->pid == 0)
        become_server(server);
    int64_t deadline_ms = plumb_mono_ms() + WAIT_MS;
    int fd;
    while ((fd = connect_to(server)) < 0) {
        struct timespec pause = {.tv_nsec = 5000000};
        if (plumb_mono_ms() > deadline_ms || waitpid(server->pid, NULL, WNOHANG) != 0)
            fatal("it does not start");
        nanosleep(&pause, NULL);
    }
    close(fd);
}

void redis_server_kill(redis_server_t *server)
{
    if (server->pid == 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void redis_server_signal(const redis_server_t *server, int number)
{
    if (kill(server->pid, number) != 0)
        fatal("signal");
}

void redis_server_say(const redis_server_t *server, const char *command)
{
    char answer[256] = "";
    int fd = connect_to(server);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (fd < 0 || dprintf(fd, "%s\r\n", command) < 0 || poll(&ready, 1, WAIT_MS) != 1 ||
        read(fd, answer, sizeof answer - 1) <= 0 || answer[0] == '-') {
        fprintf(stderr, "redis-server: %s: %s\n", command, answer);
        exit(EXIT_FAILURE);
    }
    close(fd);
}

void redis_server_destroy(redis_server_t *server)
{
    redis_server_kill(server);
    unlink(server->socket);
    rmdir(server->dir);
}
