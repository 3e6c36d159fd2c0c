/* The door: what civetweb would misread ends the connection, and nothing behind it is served. */
#include "account.h"
#include "clock.h"
#include "count.h"
#include "http.h"
#include "ingest.h"
#include "server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

typedef struct world {
    account_t *account;
    ingest_t ingest;
    int port;
} world_t;

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    plumb_err_t err = {0};
    *state = w;
    w->account = account_new();
    w->account->conf.ingest_body_time = 400;
    w->account->conf.ingest_body = 8192;
    w->ingest.daemon.signal_fd = -1;
    if (ingest_open(&w->ingest, &w->account->conf, &err) < 0)
        fail_msg("open: %s", err.text);
    w->port = server_port(w->ingest.server);
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    ingest_close(&w->ingest);
    account_destroy(&w->account);
    free(w);
    return 0;
}

#define GET "GET /healthz HTTP/1.1\r\n"
#define POST "POST /api/v1/leads HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define NEXT "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" /* would be answered 200 */
#define NEXT_LENGTH "34"
_Static_assert(sizeof NEXT - 1 == 34, "lengths below count on it");

/* Each is answered once, with 4xx, and the connection ends: NEXT, sent behind it or within it, is
 * never served. */
static const struct {
    const char *name, *bytes;
} refused[] = {
    {"no Host", GET "\r\n" NEXT},
    {"two Hosts", GET HOST HOST "\r\n" NEXT},
    {"empty Host", GET "Host:\r\n\r\n" NEXT},
    {"Host with path", GET "Host: a/b\r\n\r\n" NEXT},
    {"Host with user", GET "Host: a@b\r\n\r\n" NEXT},
    {"Host with bad port", GET "Host: a:x\r\n\r\n" NEXT},
    {"length and chunks", POST HOST "Content-Length: " NEXT_LENGTH
                                    "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT},
    {"chunks and length", POST HOST "Transfer-Encoding: chunked\r\nContent-Length: " NEXT_LENGTH
                                    "\r\n\r\n0\r\n\r\n" NEXT},
    {"two lengths", POST HOST "Content-Length: 0\r\nContent-Length: " NEXT_LENGTH "\r\n\r\n" NEXT},
    {"two equal lengths", POST HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" NEXT},
    {"length 3abc", POST HOST "Content-Length: 3abc\r\n\r\nabc" NEXT},
    {"length list", POST HOST "Content-Length: 3, 9\r\n\r\nabc" NEXT},
    {"length +3", POST HOST "Content-Length: +3\r\n\r\nabc" NEXT},
    {"length -1", POST HOST "Content-Length: -1\r\n\r\n" NEXT},
    {"length 0x3", POST HOST "Content-Length: 0x3\r\n\r\nabc" NEXT},
    {"length of ten digits", POST HOST "Content-Length: 4294967299\r\n\r\nabc" NEXT},
    {"length empty", POST HOST "Content-Length:\r\n\r\n" NEXT},
    {"length with blank before colon", POST HOST "Content-Length : 34\r\n\r\n" NEXT},
    {"gzip, chunked", POST HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" NEXT},
    {"identity", POST HOST "Transfer-Encoding: identity\r\n\r\n" NEXT},
    {"chunked twice", POST HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "0\r\n\r\n" NEXT},
    {"chunked in 1.0",
     "POST /api/v1/leads HTTP/1.0\r\n" HOST
     "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" NEXT},
    {"folded line", GET HOST "X: a\r\n b\r\nContent-Length: 34\r\n\r\n" NEXT},
    {"folded first line", GET " X: a\r\n" HOST "\r\n" NEXT},
    {"line that is no header", GET HOST "oops\r\nContent-Length: 34\r\n\r\n" NEXT},
    {"non-ASCII name", GET HOST "\xC3\xA9: a\r\nContent-Length: 34\r\n\r\n" NEXT},
    {"bare line feed", GET HOST "X: a\nContent-Length: 0\r\n\r\n" NEXT},
    {"bare line feeds at the end", GET HOST "X: a\n\n" NEXT},
    {"bare carriage return", GET HOST "X: a\rb\r\n\r\n" NEXT},
    {"control character", GET HOST "X: a\x01\r\n\r\n" NEXT},
    {"lines before the request", "\r\n\r\n" POST HOST "Content-Length: 10\r\n\r\n" NEXT},
    {"feeds before the request", "\n\n" GET HOST "\r\n" NEXT},
    {"Upgrade", GET HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                         "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" NEXT},
    {"absolute target, which civetweb ends without a word",
     "GET http://a/healthz HTTP/1.1\r\n" HOST "\r\n" NEXT},
    {"NUL in the target", "GET /healthz%00 HTTP/1.1\r\n" HOST "\r\n" NEXT},
    {"NUL in the query", "GET /readyz?a=%00 HTTP/1.1\r\n" HOST "\r\n" NEXT},
    {"encoded slash", "GET /api%2fv1 HTTP/1.1\r\n" HOST "\r\n" NEXT},
    {"backslash", "GET /api\\v1 HTTP/1.1\r\n" HOST "\r\n" NEXT},
    {"dots", "GET /a/../healthz HTTP/1.1\r\n" HOST "\r\n" NEXT},
    {"encoded dots", "GET /a/.%2E/healthz HTTP/1.1\r\n" HOST "\r\n" NEXT},
    {"two tokens", GET HOST "Authorization: a\r\nAuthorization: b\r\n\r\n" NEXT},
    {"body behind a GET", GET HOST "Content-Length: " NEXT_LENGTH "\r\n\r\n" NEXT NEXT},
};

static void refuses(void **state)
{
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(refused); i++) {
        http_t *http = http_open(w->port);
        http_send_text(http, refused[i].bytes);
        http_answer_t answer = http_take(http, false);
        if (answer.status == 0 && strncmp(refused[i].bytes, "GET http:", 9) == 0) {
            assert_true(http_ended(http));
            http_close(&http);
            continue;
        }
        bool is_get_with_body = i + 1 == PLUMB_COUNT(refused); /* served, then closed */
        if (is_get_with_body ? answer.status != 200 : answer.status != 400)
            fail_msg("%s: status %d: %s", refused[i].name, answer.status, answer.body);
        if (strcmp(http_header(&answer, "Connection"), "close") != 0)
            fail_msg("%s: the answer does not say that the connection ends", refused[i].name);
        if (!http_ended(http))
            fail_msg("%s: smuggled: %.60s", refused[i].name, http->buffer);
        http_answer_fini(&answer);
        http_close(&http);
    }
}

/* The 65th header is dropped unseen by civetweb, with what it says of the body. */
static void counts_headers(void **state)
{
    world_t *w = *state;
    char request[4096];
    for (int fillers = 61; fillers <= 70; fillers++) {
        int n = snprintf(request, sizeof request, GET HOST);
        for (int i = 0; i < fillers; i++)
            n += snprintf(request + n, sizeof request - (size_t)n, "X-%d: a\r\n", i);
        snprintf(request + n, sizeof request - (size_t)n, "Content-Length: 34\r\n\r\n" NEXT NEXT);
        http_t *http = http_open(w->port);
        http_send_text(http, request);
        http_answer_t answer = http_take(http, false);
        if (answer.status != (fillers + 2 < 64 ? 200 : 400))
            fail_msg("%d headers: status %d", fillers + 2, answer.status);
        assert_true(http_ended(http)); /* there is a body that nobody read */
        http_answer_fini(&answer);
        http_close(&http);
    }
}

/* What is well-formed goes on over one connection. */
static void lets_in(void **state)
{
    world_t *w = *state;
    static const char *const bytes[] = {
        NEXT,
        "GET /healthz HTTP/1.1\r\nhost: [::1]:80\r\nX: \xC3\xA9\r\n\r\n",
        "GET /healthz?a=b%20c HTTP/1.1\r\nHost:a.example:8080\r\nX:\r\nY: \r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    static const int status[] = {200, 200, 200, 404, 200};
    http_t *http = http_open(w->port);
    for (size_t i = 0; i < PLUMB_COUNT(bytes); i++)
        http_send_text(http, bytes[i]); /* pipelined */
    for (size_t i = 0; i < PLUMB_COUNT(bytes); i++) {
        http_answer_t answer = http_take(http, strncmp(bytes[i], "HEAD", 4) == 0);
        if (answer.status != status[i])
            fail_msg("%.40s: status %d, want %d", bytes[i], answer.status, status[i]);
        http_answer_fini(&answer);
    }
    http_close(&http);
}

/* ---- bodies ---- */

static void send_head(http_t *http, const world_t *w, const char *framing)
{
    char head[512];
    snprintf(head, sizeof head,
             POST HOST "Authorization: Bearer %s\r\nContent-Type: application/vnd.api+json\r\n"
                       "%s\r\n",
             w->account->token, framing);
    http_send_text(http, head);
}

static void want(http_t **http, int status, const char *code, bool ends)
{
    http_answer_t answer = http_take(*http, false);
    char member[64];
    snprintf(member, sizeof member, "\"code\":\"%s\"", code);
    if (answer.status != status || strstr(answer.body, member) == NULL)
        fail_msg("status %d, want %d %s: %s", answer.status, status, code, answer.body);
    if (ends)
        assert_true(http_ended(*http));
    http_answer_fini(&answer);
    http_close(http);
}

static http_t *begin(world_t *w, const char *framing)
{
    http_t *http = http_open(w->port);
    send_head(http, w, framing);
    return http;
}

static void reads_chunks(void **state)
{
    world_t *w = *state;
    http_t *http = begin(w, "Transfer-Encoding: chunked\r\n");
    http_send_text(http, "1\r\n{\r\nA\r\n\"data\":[]}\r\n0\r\n\r\n" NEXT);
    want(&http, 400, "bad_document", true);
    http = begin(w, "Transfer-Encoding: chunked\r\n");
    http_send_text(http, "FFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n");
    want(&http, 400, "bad_request", true);
    http = begin(w, "Transfer-Encoding: chunked\r\n");
    http_send_text(http, "2;x=y\r\n{}\r\n0\r\n\r\n");
    want(&http, 400, "bad_request", true);
}

static void limits_size(void **state)
{
    world_t *w = *state;
    static char big[1 << 19];
    memset(big, ' ', sizeof big);
    http_t *http = begin(w, "Content-Length: 524288\r\n");
    http_send(http, big, sizeof big);
    want(&http, 413, "too_large", false);
    http = begin(w, "Transfer-Encoding: chunked\r\n");
    http_send_text(http, "3000\r\n");
    http_send(http, big, 0x3000);
    want(&http, 413, "too_large", false);
    http = http_open(w->port); /* and the head's */
    http_send_text(http, GET HOST "X: ");
    http_send(http, big, 20000);
    http_answer_t answer = http_take(http, false);
    assert_in_range(answer.status, 400, 413);
    http_answer_fini(&answer);
    http_close(&http);
}

/* A byte now and then keeps civetweb waiting for ever; our clock does not. */
static void limits_time(void **state)
{
    world_t *w = *state;
    int64_t began_ms = plumb_mono_ms();
    http_t *http = begin(w, "Content-Length: 4000\r\n");
    for (int i = 0; i < 20 && http->length == 0; i++) {
        struct timespec pause = {.tv_nsec = 50000000}; /* the drip */
        http_send_text(http, " ");
        nanosleep(&pause, NULL);
    }
    want(&http, 400, "bad_request", false);
    assert_in_range(plumb_mono_ms() - began_ms, 300, 4000);
    http = begin(w, "Content-Length: 10\r\n");
    http_send_text(http, "{}");
    want(&http, 400, "bad_request", true);
}

static void says_continue(void **state)
{
    world_t *w = *state;
    http_t *http = begin(w, "Expect: 100-continue\r\nContent-Length: 2\r\n");
    while (strstr(http->buffer, "100 Continue") == NULL) /* before the body is sent */
        if (http->length == 0)
            http->length = (size_t)recv(http->fd, http->buffer, sizeof http->buffer - 1, 0);
    http_send_text(http, "{}");
    want(&http, 400, "bad_document", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),       cmocka_unit_test(counts_headers),
        cmocka_unit_test(lets_in),       cmocka_unit_test(reads_chunks),
        cmocka_unit_test(limits_size),   cmocka_unit_test(limits_time),
        cmocka_unit_test(says_continue),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, teardown);
}
