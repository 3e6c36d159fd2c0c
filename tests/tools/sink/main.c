/* The receiver of end-to-end tests and benchmarks: one thread, epoll, kept-alive connections.
 *
 * The path of a request says how it is treated (`behaviours` below).  The ledger has one line for
 * each request that was received whole, and it is in the file before the first byte of the answer
 * goes out:
 *     time_us id attempt path status body_bytes stamp
 * id: webhook-id or idempotency-key; status: what will be answered, 0 nothing; stamp: the moment
 * that tests/tools/load.c put into the body, 0 none. */
#include "sink.h"

#include "clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

void sink_die(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the loop ---- */

static void on_event(sink_t *s, const struct epoll_event *event)
{
    conn_t *c = event->data.ptr;
    if (event->data.ptr == &s->signals)
        s->stopping = true;
    else if (event->data.ptr == &s->listener)
        conns_accept(s);
    else {
        if ((event->events & EPOLLOUT) != 0 && c->fd >= 0)
            conn_writable(s, c);
        if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && c->fd >= 0)
            conn_readable(s, c);
    }
}

/* Answer all whose moment has come; each request's line is in the file by then. */
static void answer_ready(sink_t *s)
{
    while (s->timer_count > 0 && s->timers[1]->due_us <= plumb_mono_us()) {
        conn_t *c = s->timers[1];
        timer_stop(s, c);
        conn_ready(s, c);
    }
    while (s->ready != NULL) {
        conn_t *c = s->ready;
        s->ready = NULL;
        ledger_flush(s);
        for (; c != NULL; c = c->next_ready)
            if (c->fd >= 0)
                c->behaviour->answer(s, c);
    }
    ledger_flush(s);
}

static int wait_ms(const sink_t *s)
{
    if (s->timer_count == 0)
        return -1;
    int64_t us = s->timers[1]->due_us - plumb_mono_us();
    return us <= 0 ? 0 : us > 60000000 ? 60000 : (int)(us / 1000) + 1;
}

static void run(sink_t *s)
{
    struct epoll_event events[EVENTS];
    while (!s->stopping) {
        int n = epoll_wait(s->epoll, events, EVENTS, wait_ms(s));
        if (n < 0 && errno != EINTR)
            sink_die("epoll_wait");
        for (int i = 0; i < n; i++)
            on_event(s, &events[i]);
        answer_ready(s);
        conns_bury(s);
    }
}

/* ---- start ---- */

static void add_source(const sink_t *s, int fd, void *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        sink_die("epoll_ctl");
}

/* Listen on 127.0.0.1; returns the port. */
static int start_listening(sink_t *s, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    int one = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(s->listener, SOMAXCONN) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &size) < 0)
        sink_die("listen");
    add_source(s, s->listener, &s->listener);
    return ntohs(address.sin_port);
}

static void catch_signals(sink_t *s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC);
    add_source(s, s->signals, &s->signals);
}

/* Who waits for the file sees it whole or not at all. */
static void write_port(const char *path, int port)
{
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "we");
    if (file == NULL || fprintf(file, "%d\n", port) < 0 || fclose(file) != 0 ||
        rename(fresh, path) < 0)
        sink_die(path);
}

static void allow_many_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void sink_open(sink_t *s, const char *ledger, int port, const char *port_file)
{
    memset(s->chunk, 'x', sizeof s->chunk);
    memcpy(s->chunk, "40000\r\n", 7);
    memcpy(s->chunk + 7 + BLOCK, "\r\n", 2);
    s->began_us = plumb_mono_us();
    s->ledger = open(ledger, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (s->ledger < 0)
        sink_die(ledger);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    catch_signals(s);
    int taken = start_listening(s, port);
    if (port_file != NULL)
        write_port(port_file, taken);
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: sink --ledger FILE [--port N] [--port-file FILE] [--delay-ms N]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option table[] = {{"port", 1, NULL, 'p'},
                                          {"port-file", 1, NULL, 'f'},
                                          {"ledger", 1, NULL, 'l'},
                                          {"delay-ms", 1, NULL, 'd'},
                                          {NULL, 0, NULL, 0}};
    const char *ledger = NULL, *port_file = NULL;
    int port = 0, option;
    sink_t *s = calloc(1, sizeof *s);
    if (s == NULL)
        sink_die("memory");
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'f':
            port_file = optarg;
            break;
        case 'l':
            ledger = optarg;
            break;
        case 'd':
            s->delay_us = atoll(optarg) * 1000;
            break;
        default:
            usage();
        }
    }
    if (ledger == NULL)
        usage();
    allow_many_files();
    sink_open(s, ledger, port, port_file);
    run(s);
    ledger_flush(s);
    while (s->live != NULL)
        conn_drop(s, s->live);
    conns_bury(s);
    plumb_buf_fini(&s->lines);
    free(s->timers);
    free(s);
    return 0;
}
