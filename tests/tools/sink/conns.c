/* Connections: bytes in, requests out of them, bytes out. */
#include "sink.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void conn_ready(sink_t *s, conn_t *c)
{
    c->next_ready = s->ready;
    s->ready = c;
}

void conn_drop(sink_t *s, conn_t *c)
{
    if (c->fd < 0)
        return;
    timer_stop(s, c);
    close(c->fd);
    c->fd = -1;
    if (c->next != NULL)
        c->next->previous = c->previous;
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        s->live = c->next;
    c->next = s->dead;
    s->dead = c;
}

static void watch(sink_t *s, conn_t *c, bool writing)
{
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    if (writing != c->writing && epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
        sink_die("epoll_ctl");
    c->writing = writing;
}

void conn_put(sink_t *s, conn_t *c, const char *data, size_t length)
{
    ssize_t n = c->out.length > 0 ? 0 : send(c->fd, data, length, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        conn_drop(s, c);
        return;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    if (taken == length)
        return;
    plumb_buf_put(&c->out, data + taken, length - taken);
    if (c->out.failed)
        sink_die("memory");
    watch(s, c, true);
}

static void invite_body(sink_t *s, conn_t *c, const request_t *r)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (r->expects && !c->continued)
        conn_put(s, c, text, sizeof text - 1);
    c->continued = r->expects;
}

/* Take requests out of `data`, and keep what is left of it. */
static void take_input(sink_t *s, conn_t *c, const char *data, size_t length)
{
    int rc = 1;
    while (rc == 1 && length > 0 && !c->busy) {
        request_t r;
        rc = request_read(&r, data, length);
        if (rc == 1) {
            data += r.head + r.body;
            length -= r.head + r.body;
            c->continued = false;
            answer_begin(s, c, &r);
        } else if (rc == 0 && r.head > 0) {
            c->whole = r.head + r.body;
            invite_body(s, c, &r);
        }
    }
    if (rc < 0 || c->in.length + length > 2 * REQUEST_MAX)
        conn_drop(s, c);
    else if (length > 0)
        plumb_buf_put(&c->in, data, length);
}

void conn_done(sink_t *s, conn_t *c)
{
    if (c->fd < 0 || c->out.length > 0)
        return; /* comes again when it is written */
    if (c->closes) {
        conn_drop(s, c);
        return;
    }
    c->busy = false;
    plumb_buf_t in = c->in;
    c->in = (plumb_buf_t){0};
    take_input(s, c, in.data, in.length);
    plumb_buf_fini(&in);
}

void conn_readable(sink_t *s, conn_t *c)
{
    ssize_t n = recv(c->fd, s->block, sizeof s->block, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        conn_drop(s, c);
        return;
    }
    if (c->in.length == 0) {
        take_input(s, c, s->block, (size_t)n);
        return;
    }
    plumb_buf_put(&c->in, s->block, (size_t)n);
    if (c->busy || c->in.length < c->whole)
        return;
    plumb_buf_t in = c->in;
    c->in = (plumb_buf_t){0};
    c->whole = 0;
    take_input(s, c, in.data, in.length);
    plumb_buf_fini(&in);
}

void conn_writable(sink_t *s, conn_t *c)
{
    ssize_t n = send(c->fd, c->out.data + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        conn_drop(s, c);
        return;
    }
    c->sent += (size_t)n;
    if (c->sent < c->out.length)
        return;
    plumb_buf_fini(&c->out);
    c->sent = 0;
    watch(s, c, false);
    if (!c->busy || c->timer != 0)
        return;
    answer_more(s, c);
}

void conns_accept(sink_t *s)
{
    int fd, one = 1;
    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        conn_t *c = calloc(1, sizeof *c);
        if (c == NULL)
            sink_die("memory");
        c->fd = fd;
        c->next = s->live;
        if (c->next != NULL)
            c->next->previous = c;
        s->live = c;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            sink_die("epoll_ctl");
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        sink_die("accept");
}

void conns_bury(sink_t *s)
{
    while (s->dead != NULL) {
        conn_t *c = s->dead;
        s->dead = c->next;
        plumb_buf_fini(&c->in);
        plumb_buf_fini(&c->out);
        free(c);
    }
}
