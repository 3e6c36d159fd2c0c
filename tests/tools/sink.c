/* The receiver of end-to-end tests and benchmarks: one thread, epoll, kept-alive connections.
 *
 * The path of a request says how it is treated (`behaviours` below).  The ledger has one line for
 * each request that was received whole, and it is in the file before the first byte of the answer
 * goes out:
 *     time_us id attempt path status body_bytes stamp
 * id: webhook-id or idempotency-key; status: what will be answered, 0 nothing; stamp: the moment
 * that tests/tools/load.c put into the body, 0 none. */
#include "buf.h"
#include "clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 262144                  /* read at once, and written at once of a big answer */
#define CHUNK (BLOCK + 9)             /* with its length in front, "40000", and the line's end */
#define REQUEST_MAX ((size_t)4 << 20) /* head and body */
#define EVENTS 256
#define LEDGER_BLOCK 65536

typedef struct sink sink_t;
typedef struct conn conn_t;

typedef struct text {
    const char *at;
    size_t length;
} text_t;

typedef struct request {
    text_t path, query, id, attempt;
    size_t head, body; /* bytes */
    int64_t stamp;
    bool closes, expects;
} request_t;

/* How a path is answered.  `value` is the number in the path or the query. */
typedef struct behaviour {
    const char *path, *query; /* a path that ends with '/' is a prefix */
    int status;               /* for the ledger; -1: the number in the path */
    void (*answer)(sink_t *s, conn_t *c);
} behaviour_t;

struct conn {
    int fd;
    bool busy;    /* a request is being answered: the next one waits */
    bool closes;  /* when it is answered */
    bool writing; /* the socket was full: `out` waits for room */
    bool continued;
    size_t timer; /* place among the timers, 0: none */
    int64_t due_us;
    const behaviour_t *behaviour;
    int status;
    int64_t value;
    int64_t left;    /* rounds of the answer yet to come; -1: not begun */
    plumb_buf_t in;  /* a request that is not whole yet */
    size_t whole;    /* bytes it will have, 0: not known yet */
    plumb_buf_t out; /* what the socket did not take */
    size_t sent;     /* of it */
    conn_t *next_ready;
    conn_t *previous, *next; /* among the living; of the dead only `next` */
};

struct sink {
    int epoll, listener, signals, ledger;
    int64_t delay_us, began_us;
    plumb_buf_t lines; /* of the ledger, not written yet */
    conn_t *live, *ready, *dead;
    conn_t **timers; /* a heap from index 1 */
    size_t timer_count, timer_capacity;
    bool stopping;
    char block[BLOCK];
    char chunk[CHUNK]; /* of a big answer */
};

static void die(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the ledger ---- */

static void flush_ledger(sink_t *s)
{
    for (size_t done = 0; done < s->lines.length;) {
        ssize_t n = write(s->ledger, s->lines.data + done, s->lines.length - done);
        if (n < 0 && errno != EINTR)
            die("ledger");
        done += n > 0 ? (size_t)n : 0;
    }
    plumb_buf_clear(&s->lines);
}

static int64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void put_text(plumb_buf_t *out, const text_t *text)
{
    plumb_buf_put(out, " ", 1);
    if (text->length > 0)
        plumb_buf_put(out, text->at, text->length);
    else
        plumb_buf_put(out, "-", 1);
}

static void note(sink_t *s, const conn_t *c, const request_t *r)
{
    plumb_buf_printf(&s->lines, "%" PRId64, wall_us());
    put_text(&s->lines, &r->id);
    put_text(&s->lines, &r->attempt);
    put_text(&s->lines, &r->path);
    plumb_buf_printf(&s->lines, " %d %zu %" PRId64 "\n", c->status, r->body, r->stamp);
    if (s->lines.failed)
        die("memory");
    if (s->lines.length > LEDGER_BLOCK)
        flush_ledger(s);
}

/* ---- timers: a heap, the earliest first ---- */

static void set_timer(sink_t *s, size_t place, conn_t *c)
{
    s->timers[place] = c;
    c->timer = place;
}

static void sift(sink_t *s, size_t place, conn_t *c)
{
    for (; place > 1 && s->timers[place / 2]->due_us > c->due_us; place /= 2)
        set_timer(s, place, s->timers[place / 2]);
    for (size_t child; (child = place * 2) <= s->timer_count; place = child) {
        if (child < s->timer_count && s->timers[child + 1]->due_us < s->timers[child]->due_us)
            child++;
        if (s->timers[child]->due_us >= c->due_us)
            break;
        set_timer(s, place, s->timers[child]);
    }
    set_timer(s, place, c);
}

static void start_timer(sink_t *s, conn_t *c, int64_t wait_us)
{
    if (s->timer_count + 1 >= s->timer_capacity) {
        s->timer_capacity = s->timer_capacity * 2 + 64;
        s->timers = realloc(s->timers, s->timer_capacity * sizeof(conn_t *));
        if (s->timers == NULL)
            die("memory");
    }
    c->due_us = plumb_mono_us() + wait_us;
    s->timer_count++;
    sift(s, s->timer_count, c);
}

static void stop_timer(sink_t *s, conn_t *c)
{
    if (c->timer == 0)
        return;
    conn_t *last = s->timers[s->timer_count--];
    if (last != c)
        sift(s, c->timer, last);
    c->timer = 0;
}

/* ---- connections ---- */

static void make_ready(sink_t *s, conn_t *c)
{
    c->next_ready = s->ready;
    s->ready = c;
}

/* Events of the same round may still name it: it is freed when they are through. */
static void drop(sink_t *s, conn_t *c)
{
    if (c->fd < 0)
        return;
    stop_timer(s, c);
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
        die("epoll_ctl");
    c->writing = writing;
}

/* Send, or keep what the socket does not take.  Dead afterwards, if the peer is gone. */
static void put(sink_t *s, conn_t *c, const char *data, size_t length)
{
    ssize_t n = c->out.length > 0 ? 0 : send(c->fd, data, length, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        drop(s, c);
        return;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    if (taken == length)
        return;
    plumb_buf_put(&c->out, data + taken, length - taken);
    if (c->out.failed)
        die("memory");
    watch(s, c, true);
}

static void take_input(sink_t *s, conn_t *c, const char *data, size_t length);

/* The answer is complete: go on with what came meanwhile. */
static void done(sink_t *s, conn_t *c)
{
    if (c->fd < 0 || c->out.length > 0)
        return; /* comes again when it is written */
    if (c->closes) {
        drop(s, c);
        return;
    }
    c->busy = false;
    plumb_buf_t in = c->in;
    c->in = (plumb_buf_t){0};
    take_input(s, c, in.data, in.length);
    plumb_buf_fini(&in);
}

/* ---- behaviours ---- */

static void answer_status(sink_t *s, conn_t *c)
{
    char text[256], after[48] = "";
    bool bodiless = c->status == 204 || c->status == 304;
    if (c->value >= 0)
        snprintf(after, sizeof after, "Retry-After: %" PRId64 "\r\n", c->value);
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d Answer\r\n%sContent-Type: application/json\r\n%s"
                     "Content-Length: 14\r\n\r\n{\"status\":%3d}",
                     c->status, c->closes ? "Connection: close\r\n" : "", after, c->status);
    if (bodiless)
        n = snprintf(text, sizeof text, "HTTP/1.1 %d Answer\r\n%s\r\n", c->status, after);
    put(s, c, text, (size_t)n);
    done(s, c);
}

static void answer_ok(sink_t *s, conn_t *c)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: 15\r\n\r\n{\"status\":\"ok\"}";
    put(s, c, text, sizeof text - 1);
    done(s, c);
}

static void answer_never(sink_t *s, conn_t *c)
{
    (void)s;
    (void)c;
}

/* As many chunks as the socket takes without waiting. */
static void answer_big(sink_t *s, conn_t *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    if (c->left < 0) {
        c->left = (c->value > 0 ? c->value : 1) * (1048576 / BLOCK);
        put(s, c, head, sizeof head - 1);
    }
    while (c->fd >= 0 && c->left > 0 && c->out.length == 0) {
        put(s, c, s->chunk, sizeof s->chunk);
        c->left--;
    }
    if (c->fd >= 0 && c->left == 0 && c->out.length == 0) {
        c->left = -1;
        put(s, c, "0\r\n\r\n", 5);
        done(s, c);
    }
}

static void answer_drip(sink_t *s, conn_t *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 86400\r\n\r\n";
    put(s, c, c->left < 0 ? head : "x", c->left < 0 ? sizeof head - 1 : 1);
    c->left = c->left < 0 ? 86400 : c->left - 1;
    if (c->fd >= 0 && c->left > 0)
        start_timer(s, c, 1000000);
    else
        done(s, c);
}

static void answer_reset(sink_t *s, conn_t *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    drop(s, c);
}

static void answer_close(sink_t *s, conn_t *c)
{
    drop(s, c);
}

/* One text, then the end. */
static void put_last(sink_t *s, conn_t *c, const char *text)
{
    c->closes = true;
    put(s, c, text, strlen(text));
    done(s, c);
}

static void answer_redirect(sink_t *s, conn_t *c)
{
    static const char text[] = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                               "Content-Length: 0\r\n\r\n";
    put(s, c, text, sizeof text - 1);
    done(s, c);
}

static void answer_garbage(sink_t *s, conn_t *c)
{
    put_last(s, c, "\x16\x03\x01 this is no HTTP\r\n\r\n\x01\x02");
}

static void answer_half(sink_t *s, conn_t *c)
{
    put_last(s, c, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf of it");
}

/* 10,000 headers, 1 MiB. */
static void answer_headers(sink_t *s, conn_t *c)
{
    plumb_buf_t text = {0};
    plumb_buf_text(&text, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (int i = 0; i < 10000; i++)
        plumb_buf_printf(&text, "X-Flood-%05d: %088d\r\n", i, i);
    plumb_buf_text(&text, "\r\n");
    put(s, c, text.data, text.length);
    plumb_buf_fini(&text);
    done(s, c);
}

static void answer_slow(sink_t *s, conn_t *c)
{
    if (c->left < 0) {
        c->left = 1;
        start_timer(s, c, c->value * 1000);
    } else {
        answer_ok(s, c);
    }
}

static const behaviour_t behaviours[] = {
    {"/ok", NULL, 200, answer_ok},
    {"/status/", "after", -1, answer_status},
    {"/hang", NULL, 0, answer_never},
    {"/big", "mb", 200, answer_big},
    {"/drip", NULL, 200, answer_drip},
    {"/reset", NULL, 0, answer_reset},
    {"/close", NULL, 0, answer_close},
    {"/redirect", NULL, 302, answer_redirect},
    {"/slow", "ms", 200, answer_slow},
    {"/flap", "every", 200, answer_status}, /* 503 in every second span of so many seconds */
    {"/garbage", NULL, 0, answer_garbage},
    {"/headers", NULL, 200, answer_headers},
    {"/half", NULL, 200, answer_half},
    {"", NULL, 404, answer_status},
};

static const behaviour_t *behaviour_of(const text_t *path)
{
    const behaviour_t *b = behaviours;
    for (; *b->path != '\0'; b++) {
        size_t length = strlen(b->path);
        bool prefix = b->path[length - 1] == '/';
        if ((prefix ? path->length > length : path->length == length) &&
            memcmp(b->path, path->at, length) == 0)
            break;
    }
    return b;
}

/* The number of `name=N` in the query, or -1. */
static int64_t query_number(const text_t *query, const char *name)
{
    size_t length = name == NULL ? 0 : strlen(name);
    for (size_t i = 0; name != NULL && i + length < query->length; i++)
        if ((i == 0 || query->at[i - 1] == '&') && query->at[i + length] == '=' &&
            memcmp(query->at + i, name, length) == 0)
            return strtoll(query->at + i + length + 1, NULL, 10); /* a space ends the query */
    return -1;
}

static void begin_answer(sink_t *s, conn_t *c, const request_t *r)
{
    const behaviour_t *b = behaviour_of(&r->path);
    c->behaviour = b;
    c->value = query_number(&r->query, b->query);
    c->status = b->status < 0 ? atoi(r->path.at + strlen(b->path)) : b->status;
    if (strcmp(b->path, "/flap") == 0 && c->value > 0) {
        c->status = (plumb_mono_us() - s->began_us) / 1000000 / c->value % 2 == 0 ? 200 : 503;
        c->value = -1;
    }
    c->busy = true;
    c->closes = r->closes;
    c->left = -1;
    note(s, c, r);
    if (s->delay_us > 0)
        start_timer(s, c, s->delay_us);
    else
        make_ready(s, c);
}

/* ---- requests ---- */

static bool is_name(const text_t *line, const char *name, text_t *value)
{
    size_t length = strlen(name);
    if (line->length <= length || line->at[length] != ':' ||
        strncasecmp(line->at, name, length) != 0)
        return false;
    *value = (text_t){line->at + length + 1, line->length - length - 1};
    while (value->length > 0 && *value->at == ' ') {
        value->at++;
        value->length--;
    }
    return true;
}

static bool read_header(request_t *r, const text_t *line)
{
    text_t value;
    if (is_name(line, "content-length", &value))
        r->body = strtoul(value.at, NULL, 10); /* the line's end stops it */
    else if (is_name(line, "webhook-id", &value) ||
             (r->id.length == 0 && is_name(line, "idempotency-key", &value)))
        r->id = value;
    else if (is_name(line, "plumb-attempt", &value))
        r->attempt = value;
    else if (is_name(line, "connection", &value))
        r->closes = strncasecmp(value.at, "close", 5) == 0;
    else if (is_name(line, "expect", &value))
        r->expects = true;
    else if (is_name(line, "transfer-encoding", &value))
        return false;
    return true;
}

/* "POST /path?query HTTP/1.1" */
static bool read_target(request_t *r, const text_t *line)
{
    const char *target = memchr(line->at, ' ', line->length);
    if (target == NULL || target[1] != '/')
        return false;
    target++;
    const char *end = memchr(target, ' ', line->length - (size_t)(target - line->at));
    if (end == NULL || strncmp(end, " HTTP/1.", 8) != 0)
        return false;
    const char *mark = memchr(target, '?', (size_t)(end - target));
    r->path = (text_t){target, (size_t)((mark == NULL ? end : mark) - target)};
    if (mark != NULL)
        r->query = (text_t){mark + 1, (size_t)(end - mark - 1)};
    return true;
}

static bool read_head(request_t *r, const char *data, const char *end)
{
    bool good = true;
    for (const char *at = data; good && at < end;) {
        const char *stop = memmem(at, (size_t)(end - at) + 2, "\r\n", 2);
        text_t line = {at, (size_t)(stop - at)};
        good = at == data ? read_target(r, &line) : read_header(r, &line);
        at = stop + 2;
    }
    return good;
}

static int64_t find_stamp(const char *body, size_t length)
{
    static const char name[] = "\"sentUs\":";
    const char *at = memmem(body, length, name, sizeof name - 1);
    if (at == NULL)
        return 0;
    int64_t stamp = 0;
    at += sizeof name - 1;
    at += at < body + length && *at == ' ';
    for (; at < body + length && *at >= '0' && *at <= '9'; at++)
        stamp = stamp * 10 + (*at - '0');
    return stamp;
}

/* 1: a whole request; 0: more must come, r->head is 0 or known; -1: nonsense. */
static int read_request(request_t *r, const char *data, size_t length)
{
    *r = (request_t){.head = 0};
    const char *end = memmem(data, length, "\r\n\r\n", 4);
    if (end == NULL)
        return length > REQUEST_MAX ? -1 : 0;
    if (!read_head(r, data, end) || r->body > REQUEST_MAX)
        return -1;
    r->head = (size_t)(end + 4 - data);
    if (length - r->head < r->body)
        return 0;
    r->stamp = find_stamp(data + r->head, r->body);
    return 1;
}

static void invite_body(sink_t *s, conn_t *c, const request_t *r)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (r->expects && !c->continued)
        put(s, c, text, sizeof text - 1);
    c->continued = r->expects;
}

/* Take requests out of `data`, and keep what is left of it. */
static void take_input(sink_t *s, conn_t *c, const char *data, size_t length)
{
    int rc = 1;
    while (rc == 1 && length > 0 && !c->busy) {
        request_t r;
        rc = read_request(&r, data, length);
        if (rc == 1) {
            data += r.head + r.body;
            length -= r.head + r.body;
            c->continued = false;
            begin_answer(s, c, &r);
        } else if (rc == 0 && r.head > 0) {
            c->whole = r.head + r.body;
            invite_body(s, c, &r);
        }
    }
    if (rc < 0 || c->in.length + length > 2 * REQUEST_MAX)
        drop(s, c);
    else if (length > 0)
        plumb_buf_put(&c->in, data, length);
}

static void on_readable(sink_t *s, conn_t *c)
{
    ssize_t n = recv(c->fd, s->block, sizeof s->block, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(s, c);
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

static void on_writable(sink_t *s, conn_t *c)
{
    ssize_t n = send(c->fd, c->out.data + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n < 0) {
        drop(s, c);
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
    if (c->behaviour->answer == answer_big && c->left >= 0)
        answer_big(s, c);
    else
        done(s, c);
}

/* ---- the loop ---- */

static void on_arrival(sink_t *s)
{
    int fd, one = 1;
    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        conn_t *c = calloc(1, sizeof *c);
        if (c == NULL)
            die("memory");
        c->fd = fd;
        c->next = s->live;
        if (c->next != NULL)
            c->next->previous = c;
        s->live = c;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept");
}

static void on_event(sink_t *s, const struct epoll_event *event)
{
    conn_t *c = event->data.ptr;
    if (event->data.ptr == &s->signals)
        s->stopping = true;
    else if (event->data.ptr == &s->listener)
        on_arrival(s);
    else {
        if ((event->events & EPOLLOUT) != 0 && c->fd >= 0)
            on_writable(s, c);
        if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && c->fd >= 0)
            on_readable(s, c);
    }
}

/* Answer all whose moment has come; each request's line is in the file by then. */
static void answer_ready(sink_t *s)
{
    while (s->timer_count > 0 && s->timers[1]->due_us <= plumb_mono_us()) {
        conn_t *c = s->timers[1];
        stop_timer(s, c);
        make_ready(s, c);
    }
    while (s->ready != NULL) {
        conn_t *c = s->ready;
        s->ready = NULL;
        flush_ledger(s);
        for (; c != NULL; c = c->next_ready)
            if (c->fd >= 0)
                c->behaviour->answer(s, c);
    }
    flush_ledger(s);
}

static void bury(sink_t *s)
{
    while (s->dead != NULL) {
        conn_t *c = s->dead;
        s->dead = c->next;
        plumb_buf_fini(&c->in);
        plumb_buf_fini(&c->out);
        free(c);
    }
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
            die("epoll_wait");
        for (int i = 0; i < n; i++)
            on_event(s, &events[i]);
        answer_ready(s);
        bury(s);
    }
}

/* ---- start ---- */

static void add_source(const sink_t *s, int fd, void *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
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
        die("listen");
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
        die(path);
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
        die(ledger);
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
        die("memory");
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
    flush_ledger(s);
    while (s->live != NULL)
        drop(s, s->live);
    bury(s);
    plumb_buf_fini(&s->lines);
    free(s->timers);
    free(s);
    return 0;
}
