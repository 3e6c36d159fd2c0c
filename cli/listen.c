/* `plumb listen`: a receiver that shows what webhooks bring, and whether Plumb signed them. */
#include "buf.h"
#include "clock.h"
#include "commands.h"
#include "signature.h"
#include "state.h"

#include <civetweb.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_MAX (1 << 20)
#define BODY_MS 10000
#define SECRET_FILE_MAX 256

typedef struct listener {
    signature_secret_t secret; /* length 0: signatures are not checked */
    bool json;
    struct mg_context *server;
} listener_t;

/* One call, as it is shown. */
typedef struct received {
    const char *id, *attempt, *verified;
    int status;
    plumb_buf_t body;
} received_t;

/* ---- the body ---- */

/* Read all of it: 0, or the status that refuses it. */
static int read_body(struct mg_connection *conn, plumb_buf_t *body)
{
    int64_t deadline = plumb_mono_ms() + BODY_MS;
    long long want = mg_get_request_info(conn)->content_length;
    char piece[16384];
    for (;;) {
        int n = mg_read(conn, piece, sizeof piece);
        if (n < 0)
            return 400;
        if (n == 0)
            return want >= 0 && (size_t)want != body->length ? 400 : 0;
        plumb_buf_put(body, piece, (size_t)n);
        if (body->length > BODY_MAX || body->failed)
            return 413;
        if (plumb_mono_ms() > deadline)
            return 408;
    }
}

/* ---- showing it ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* What came in is somebody's: no control character of it reaches the terminal. */
static void put_clean(plumb_buf_t *out, const char *text, const char *when_empty)
{
    if (text == NULL || text[0] == '\0')
        text = when_empty;
    for (const char *c = text; *c != '\0'; c++)
        plumb_buf_put(out, (unsigned char)*c < 0x20 || *c == 0x7f ? "?" : c, 1);
}

static void put_line(plumb_buf_t *out, const received_t *r, const json_t *body)
{
    char now[PLUMB_TIME_TEXT];
    plumb_buf_printf(out, "%s  id ", plumb_time_text(plumb_wall_ms(), now));
    put_clean(out, r->id, "-");
    plumb_buf_text(out, "  attempt ");
    put_clean(out, r->attempt, "-");
    plumb_buf_printf(out, "  signature %s  %d  %zu bytes  ", r->verified, r->status,
                     r->body.length);
    put_clean(out, text_of(body, "type"), "-");
    plumb_buf_text(out, "  ");
    put_clean(out, text_of(json_object_get(body, "data"), "name"), "-");
    plumb_buf_text(out, "\n");
}

static void put_json(plumb_buf_t *out, const received_t *r, json_t *body)
{
    char now[PLUMB_TIME_TEXT];
    json_t *line = json_pack("{s:s, s:s?, s:s?, s:s, s:i, s:I, s:O?}", "time",
                             plumb_time_text(plumb_wall_ms(), now), "id", r->id, "attempt",
                             r->attempt, "signature", r->verified, "status", r->status, "bytes",
                             (json_int_t)r->body.length, "body", body);
    char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
    if (text != NULL)
        plumb_buf_printf(out, "%s\n", text);
    free(text);
    json_decref(line);
}

/* One write a line: handlers run side by side. */
static void show(const listener_t *listener, const received_t *r)
{
    plumb_buf_t out = {0};
    json_t *body = json_loadb(r->body.data == NULL ? "" : r->body.data, r->body.length, 0, NULL);
    if (listener->json)
        put_json(&out, r, body);
    else
        put_line(&out, r, body);
    if (out.data != NULL && !out.failed)
        fwrite(out.data, 1, out.length, stdout);
    fflush(stdout);
    plumb_buf_fini(&out);
    json_decref(body);
}

/* ---- answering ---- */

static int judge(const listener_t *listener, struct mg_connection *conn, received_t *r)
{
    if (listener->secret.length == 0) {
        r->verified = "unchecked";
        return 200;
    }
    signature_call_t call = {.id = r->id,
                             .timestamp = mg_get_header(conn, "webhook-timestamp"),
                             .signatures = mg_get_header(conn, "webhook-signature"),
                             .body = r->body.data == NULL ? "" : r->body.data,
                             .length = r->body.length};
    signature_verdict_t verdict = signature_check(&listener->secret, &call, plumb_wall_ms() / 1000);
    r->verified = signature_word(verdict);
    return verdict == SIGNATURE_GOOD ? 200 : 401;
}

static void answer(struct mg_connection *conn, int status)
{
    const char *text = status == 200 ? "{\"ok\":true}\n" : "{\"ok\":false}\n";
    mg_printf(conn,
              "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
              status, mg_get_response_code_text(conn, status), strlen(text),
              status == 200 || status == 401 ? "" : "Connection: close\r\n", text);
}

static int on_request(struct mg_connection *conn, void *self)
{
    const listener_t *listener = self;
    const struct mg_request_info *info = mg_get_request_info(conn);
    received_t r = {.id = mg_get_header(conn, "webhook-id"),
                    .attempt = mg_get_header(conn, "plumb-attempt"),
                    .verified = "unchecked"};
    if (strcmp(info->request_method, "GET") == 0) { /* somebody looks whether we are here */
        answer(conn, 200);
        return 200;
    }
    r.status = read_body(conn, &r.body);
    if (r.status == 0)
        r.status = judge(listener, conn, &r);
    show(listener, &r);
    answer(conn, r.status);
    plumb_buf_fini(&r.body);
    return r.status;
}

/* ---- the server ---- */

static int take_secret(listener_t *listener, const args_t *args, plumb_err_t *err)
{
    char *text = NULL;
    size_t length;
    if (args_has(args, OPT_SECRET) && args_has(args, OPT_SECRET_FILE))
        return plumb_err_set(err, PLUMB_E_USAGE, "--secret or --secret-file, not both");
    if (args_has(args, OPT_SECRET))
        return signature_secret_read(&listener->secret, args->value[OPT_SECRET], err);
    if (!args_has(args, OPT_SECRET_FILE))
        return 0;
    int rc = state_read(args->value[OPT_SECRET_FILE], SECRET_FILE_MAX, &text, &length, err);
    if (rc == 0) {
        text[strcspn(text, "\r\n")] = '\0';
        rc = signature_secret_read(&listener->secret, text, err);
    }
    free(text);
    return rc;
}

static int start_server(listener_t *listener, int port, plumb_err_t *err)
{
    char listening[32], why[256] = "";
    snprintf(listening, sizeof listening, "127.0.0.1:%d", port);
    const char *options[] = {"listening_ports",
                             listening,
                             "num_threads",
                             "32",
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             "5000",
                             "request_timeout_ms",
                             "5000",
                             "tcp_nodelay",
                             "1",
                             "access_control_allow_origin",
                             "",
                             "access_control_allow_methods",
                             "",
                             "access_control_allow_headers",
                             "",
                             NULL};
    struct mg_init_data init = {.user_data = listener, .configuration_options = options};
    struct mg_error_data error = {.text = why, .text_buffer_size = sizeof why};
    mg_init_library(0);
    listener->server = mg_start2(&init, &error);
    if (listener->server == NULL)
        return plumb_err_set(err, PLUMB_E_UNAVAILABLE,
                             "port %d cannot be opened (%s); --port 0 picks a free one", port,
                             why[0] != '\0' ? why : "no reason given");
    mg_set_request_handler(listener->server, "/", on_request, listener);
    return 0;
}

static int tell_port(const listener_t *listener, const args_t *args, plumb_err_t *err)
{
    struct mg_server_port port = {0};
    char text[16];
    if (mg_get_server_ports(listener->server, 1, &port) != 1)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "the server does not tell its port");
    fprintf(stderr, "listening on http://127.0.0.1:%d/ (%s), Ctrl-C ends it\n", port.port,
            listener->secret.length > 0 ? "signatures are checked" : "signatures are not checked");
    int length = snprintf(text, sizeof text, "%d\n", port.port);
    return args_has(args, OPT_PORT_FILE)
               ? state_write(args->value[OPT_PORT_FILE], text, (size_t)length, err)
               : 0;
}

int run_listen(const args_t *args, plumb_err_t *err)
{
    listener_t listener = {.json = args_has(args, OPT_JSON)};
    int port, got;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before the server's threads */
    signal(SIGPIPE, SIG_IGN);
    int rc = sodium_init() < 0 ? plumb_err_set(err, PLUMB_E_SYSTEM, "the cipher library fails") : 0;
    if (rc == 0)
        rc = args_port(args, OPT_PORT, 0, &port, err);
    if (rc == 0)
        rc = take_secret(&listener, args, err);
    if (rc == 0)
        rc = start_server(&listener, port, err);
    if (rc == 0)
        rc = tell_port(&listener, args, err);
    while (rc == 0 && sigwait(&set, &got) != 0)
        ;
    if (listener.server != NULL && args_has(args, OPT_PORT_FILE))
        unlink(args->value[OPT_PORT_FILE]);
    if (rc == 0) { /* mg_stop would wait two seconds; what came in has been shown */
        fflush(NULL);
        _exit(STATUS_OK);
    }
    if (listener.server != NULL)
        mg_stop(listener.server);
    return rc;
}
