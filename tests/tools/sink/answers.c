/* What each path does. */
#include "sink.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
    conn_put(s, c, text, (size_t)n);
    conn_done(s, c);
}

static void answer_ok(sink_t *s, conn_t *c)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: 15\r\n\r\n{\"status\":\"ok\"}";
    conn_put(s, c, text, sizeof text - 1);
    conn_done(s, c);
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
        conn_put(s, c, head, sizeof head - 1);
    }
    while (c->fd >= 0 && c->left > 0 && c->out.length == 0) {
        conn_put(s, c, s->chunk, sizeof s->chunk);
        c->left--;
    }
    if (c->fd >= 0 && c->left == 0 && c->out.length == 0) {
        c->left = -1;
        conn_put(s, c, "0\r\n\r\n", 5);
        conn_done(s, c);
    }
}

static void answer_drip(sink_t *s, conn_t *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 86400\r\n\r\n";
    conn_put(s, c, c->left < 0 ? head : "x", c->left < 0 ? sizeof head - 1 : 1);
    c->left = c->left < 0 ? 86400 : c->left - 1;
    if (c->fd >= 0 && c->left > 0)
        timer_start(s, c, 1000000);
    else
        conn_done(s, c);
}

static void answer_reset(sink_t *s, conn_t *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    conn_drop(s, c);
}

static void answer_close(sink_t *s, conn_t *c)
{
    conn_drop(s, c);
}

/* One text, then the end. */
static void put_last(sink_t *s, conn_t *c, const char *text)
{
    c->closes = true;
    conn_put(s, c, text, strlen(text));
    conn_done(s, c);
}

static void answer_redirect(sink_t *s, conn_t *c)
{
    static const char text[] = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                               "Content-Length: 0\r\n\r\n";
    conn_put(s, c, text, sizeof text - 1);
    conn_done(s, c);
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
    conn_put(s, c, text.data, text.length);
    plumb_buf_fini(&text);
    conn_done(s, c);
}

static void answer_slow(sink_t *s, conn_t *c)
{
    if (c->left < 0) {
        c->left = 1;
        timer_start(s, c, c->value * 1000);
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

void answer_begin(sink_t *s, conn_t *c, const request_t *r)
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
    ledger_note(s, c, r);
    if (s->delay_us > 0)
        timer_start(s, c, s->delay_us);
    else
        conn_ready(s, c);
}

void answer_more(sink_t *s, conn_t *c)
{
    if (c->behaviour->answer == answer_big && c->left >= 0)
        answer_big(s, c);
    else
        conn_done(s, c);
}
