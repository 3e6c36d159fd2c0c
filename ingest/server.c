/* civetweb's life and callbacks. */
#include "server.h"

#include "body.h"
#include "log.h"
#include "respond.h"
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_MS 25000
#define STOP_MS 4000
#define HEAD_MAX 16384

struct server {
    ingest_t *ingest;
    struct mg_context *context;
    body_clock_t *clock;
    char port_file[108];
    int port;
    atomic_bool draining;
    atomic_uint slots; /* handler threads seen so far: each has a slot of the body clock */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    unsigned running; /* requests under way */
};

/* ---- callbacks ---- */

static void enter(server_t *s)
{
    pthread_mutex_lock(&s->lock);
    s->running++;
    pthread_mutex_unlock(&s->lock);
}

static void leave(server_t *s)
{
    pthread_mutex_lock(&s->lock);
    if (--s->running == 0 && atomic_load(&s->draining))
        pthread_cond_signal(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

static int on_request(struct mg_connection *conn)
{
    request_t *request = mg_get_thread_pointer(conn);
    if (request == NULL) { /* no memory for it */
        mg_disable_connection_keep_alive(conn);
        return 500;
    }
    server_t *s = request->ingest->server;
    enter(s);
    request_begin(request, conn);
    serve(request, s->clock, atomic_load(&s->draining));
    respond(request);
    if (request->door.has_body && !request->body_read)
        body_drain(s->clock, request->slot, conn);
    int status = request->answer.status;
    request_end(request);
    leave(s);
    return status;
}

/* What civetweb itself refuses: malformed or late heads. */
static int on_error(struct mg_connection *conn, int status, const char *message)
{
    request_t *request = mg_get_thread_pointer(conn);
    (void)message;
    if (request == NULL)
        return 0;
    request_begin(request, conn);
    request->door = (door_t){.has_body = false};
    serve_trace(request);
    answer_error(request, status == 413 ? PLUMB_E_TOO_LARGE : PLUMB_E_BAD_REQUEST,
                 status == 413 ? "the head is too large" : "malformed head");
    request->answer.closes = true;
    respond(request);
    request_end(request);
    return 0;
}

static int on_log(const struct mg_connection *conn, const char *message)
{
    (void)conn;
    plumb_log_event(LOG_DEBUG, "civetweb", "says=\"%s\"", message);
    return 1;
}

static void *on_thread(const struct mg_context *context, int kind)
{
    ingest_t *ingest = mg_get_user_data(context);
    request_t *request = kind == 1 ? request_new(ingest) : NULL;
    if (request != NULL)
        request->slot = atomic_fetch_add(&ingest->server->slots, 1);
    return request;
}

static void on_thread_end(const struct mg_context *context, int kind, void *pointer)
{
    request_t *request = pointer;
    (void)context;
    (void)kind;
    request_destroy(&request);
}

/* ---- listening ---- */

/* "address:port", IPv4 only: civetweb's "s" (TLS) and "r" (redirect) behind the port crash it. */
static int check_listen(const char *listen, plumb_err_t *err)
{
    char address[INET_ADDRSTRLEN];
    struct in_addr parsed;
    size_t length = strcspn(listen, ":");
    if (length < sizeof address) {
        memcpy(address, listen, length);
        address[length] = '\0';
        const char *port = listen + length + (listen[length] == ':');
        size_t digits = strspn(port, "0123456789");
        if (inet_pton(AF_INET, address, &parsed) == 1 && listen[length] == ':' && digits >= 1 &&
            digits <= 5 && port[digits] == '\0' && atoi(port) <= 65535)
            return 0;
    }
    return plumb_err_set(err, PLUMB_E_CONFIG, "ingest.listen: '%s', want IPV4ADDRESS:PORT", listen);
}

static int start(server_t *s, plumb_err_t *err)
{
    const plumb_conf_t *conf = s->ingest->conf;
    char threads[16], head[16], text[256] = "";
    snprintf(threads, sizeof threads, "%u", server_threads(conf));
    snprintf(head, sizeof head, "%d", HEAD_MAX);
    const char *options[] = {"listening_ports",
                             conf->ingest_listen,
                             "num_threads",
                             threads,
                             "connection_queue",
                             "200",
                             "listen_backlog",
                             "512",
                             "request_timeout_ms",
                             "5000",
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             "5000",
                             "tcp_nodelay",
                             "1",
                             "max_request_size",
                             head,
                             "decode_url",
                             "no",
                             "access_control_allow_origin",
                             "",
                             "access_control_allow_methods",
                             "",
                             "access_control_allow_headers",
                             "",
                             NULL};
    struct mg_callbacks callbacks = {.begin_request = on_request,
                                     .http_error = on_error,
                                     .log_message = on_log,
                                     .init_thread = on_thread,
                                     .exit_thread = on_thread_end};
    struct mg_init_data init = {
        .callbacks = &callbacks, .user_data = s->ingest, .configuration_options = options};
    struct mg_error_data error = {.text = text, .text_buffer_size = sizeof text};
    s->context = mg_start2(&init, &error);
    if (s->context == NULL)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "listen on %s: %s", conf->ingest_listen, text);
    struct mg_server_port ports[1];
    if (mg_get_server_ports(s->context, 1, ports) != 1)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "listen on %s: no port", conf->ingest_listen);
    s->port = ports[0].port;
    return 0;
}

/* Whoever waits for the file finds it whole. */
static int write_port(server_t *s, plumb_err_t *err)
{
    char temporary[sizeof s->port_file + 8], text[16];
    int rc =
        plumb_conf_run_path(s->ingest->conf, s->port_file, sizeof s->port_file, "ingest.port", err);
    if (rc < 0)
        return rc;
    snprintf(temporary, sizeof temporary, "%s.new", s->port_file);
    int length = snprintf(text, sizeof text, "%d\n", s->port);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write(fd, text, (size_t)length) == length;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (!good || rename(temporary, s->port_file) != 0)
        return plumb_err_set(err, PLUMB_E_SYSTEM, "write '%s': %s", s->port_file, strerror(errno));
    return 0;
}

int server_new(server_t **ret, ingest_t *ingest, plumb_err_t *err)
{
    server_t *s = calloc(1, sizeof *s);
    *ret = s; /* handler threads look for it as soon as they run */
    if (s == NULL)
        return plumb_err_set(err, PLUMB_E_MEMORY, "server");
    s->ingest = ingest;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->idle, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    int rc = check_listen(ingest->conf->ingest_listen, err);
    if (rc == 0)
        rc = body_clock_new(&s->clock, server_threads(ingest->conf), ingest->conf->ingest_body_time,
                            err);
    if (rc == 0)
        rc = start(s, err);
    if (rc == 0)
        rc = write_port(s, err);
    if (rc < 0)
        server_destroy(ret);
    return rc;
}

unsigned server_threads(const plumb_conf_t *conf)
{
    return (unsigned)(conf->ingest_threads + conf->ingest_streams);
}

int server_port(const server_t *server)
{
    return server->port;
}

/* ---- stopping ---- */

static struct timespec in_ms(clockid_t clock, int64_t ms)
{
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_sec += ms / 1000;
    return t;
}

void server_drain(server_t *server)
{
    if (server == NULL)
        return;
    struct timespec until = in_ms(CLOCK_MONOTONIC, DRAIN_MS);
    int late = 0;
    atomic_store(&server->draining, true);
    pthread_mutex_lock(&server->lock);
    while (server->running > 0 && late == 0)
        late = pthread_cond_timedwait(&server->idle, &server->lock, &until);
    if (late != 0)
        plumb_log_event(LOG_WARNING, "requests_cut", "running=%u", server->running);
    pthread_mutex_unlock(&server->lock);
}

static void *stop_main(void *context)
{
    mg_stop(context);
    return NULL;
}

bool server_destroy(server_t **server)
{
    if (server == NULL || *server == NULL)
        return true;
    server_t *s = *server;
    pthread_t thread;
    struct timespec until = in_ms(CLOCK_REALTIME, STOP_MS);
    atomic_store(&s->draining, true);
    if (s->port_file[0] != '\0')
        unlink(s->port_file);
    if (s->context != NULL) {
        if (pthread_create(&thread, NULL, stop_main, s->context) != 0)
            mg_stop(s->context);
        else if (pthread_timedjoin_np(thread, NULL, &until) != 0)
            return false;
    }
    body_clock_destroy(&s->clock);
    pthread_cond_destroy(&s->idle);
    pthread_mutex_destroy(&s->lock);
    free(s);
    *server = NULL;
    return true;
}
