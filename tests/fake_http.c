/* The misbehaving receiver: a thread for each connection. */
#include "fake_http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS_MAX 4096
#define CONNECTIONS_MAX 1024
#define TEXT_MAX 262144

typedef struct seen {
    char *head, *body; /* owned */
} seen_t;

struct fake_http {
    int listener, port;
    pthread_t acceptor;
    pthread_mutex_t lock;
    bool stopping;
    seen_t seen[REQUESTS_MAX];
    int requests, connections;
    pthread_t threads[CONNECTIONS_MAX];
    int sockets[CONNECTIONS_MAX];
};

typedef struct peer {
    fake_http_t *http;
    int fd, answered;
    char in[TEXT_MAX];
    size_t got;
} peer_t;

/* ---- reading ---- */

static size_t body_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");
    return at != NULL ? strtoul(at + 17, NULL, 10) : 0;
}

/* Read one whole request; false when the client is gone. `*end` is behind its body. */
static bool read_request(peer_t *peer, size_t *head, size_t *end)
{
    for (;;) {
        peer->in[peer->got] = '\0';
        char *blank = strstr(peer->in, "\r\n\r\n");
        if (blank != NULL) {
            *head = (size_t)(blank + 4 - peer->in);
            *end = *head + body_length(peer->in);
            if (peer->got >= *end)
                return true;
        }
        ssize_t size = recv(peer->fd, peer->in + peer->got, sizeof peer->in - 1 - peer->got, 0);
        if (size <= 0)
            return false;
        peer->got += (size_t)size;
    }
}

static void remember(peer_t *peer, size_t head, size_t end)
{
    fake_http_t *http = peer->http;
    pthread_mutex_lock(&http->lock);
    if (http->requests < REQUESTS_MAX)
        http->seen[http->requests++] =
            (seen_t){strndup(peer->in, head), strndup(peer->in + head, end - head)};
    pthread_mutex_unlock(&http->lock);
}

/* ---- answering ---- */

static bool say(peer_t *peer, const char *text, size_t length)
{
    return send(peer->fd, text, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static bool say_text(peer_t *peer, const char *text)
{
    return say(peer, text, strlen(text));
}

static bool say_status(peer_t *peer, const char *target)
{
    char out[2048], *query = strchr(target, '?');
    int status = atoi(target);
    size_t at =
        (size_t)snprintf(out, sizeof out, "HTTP/1.1 %d Told\r\nContent-Length: 3\r\n", status);
    for (char *pair = query != NULL ? query + 1 : NULL; pair != NULL && *pair != '\0';) {
        size_t length = strcspn(pair, "&"), name = strcspn(pair, "=");
        at += (size_t)snprintf(out + at, sizeof out - at, "%.*s: %.*s\r\n", (int)name, pair,
                               (int)(length - name - 1), pair + name + 1);
        pair += length + (pair[length] == '&');
    }
    snprintf(out + at, sizeof out - at, "\r\nno\n");
    return say_text(peer, out);
}

static bool say_big(peer_t *peer, bool chunked)
{
    static char block[65536];
    bool good = say_text(peer, chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                       : "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    for (int i = 0; good && i < 16384; i++) {
        good = !chunked || say_text(peer, "10000\r\n");
        good = good && say(peer, block, sizeof block) && (!chunked || say_text(peer, "\r\n"));
    }
    return false;
}

static void wait_gone(peer_t *peer)
{
    char byte;
    while (recv(peer->fd, &byte, 1, 0) > 0) {
    }
}

static bool reset(peer_t *peer)
{
    struct linger hard = {.l_onoff = 1};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    return false;
}

static bool drip(peer_t *peer)
{
    struct pollfd gone = {.fd = peer->fd, .events = POLLIN};
    bool good = say_text(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (good && poll(&gone, 1, 50) == 0)
        good = say_text(peer, "x");
    return false;
}

static bool flood(peer_t *peer)
{
    bool good = say_text(peer, "HTTP/1.1 200 OK\r\n");
    while (good)
        good = say_text(peer, "X-Flood: on and on and on and on and on and on and on and on\r\n");
    return false;
}

static bool redirect(peer_t *peer)
{
    char out[256];
    snprintf(out, sizeof out,
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/ok\r\nContent-Length: 0\r\n\r\n",
             peer->http->port);
    return say_text(peer, out);
}

/* True: the connection goes on. */
static bool answer(peer_t *peer, const char *path)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
    static const char json[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                               "Content-Length: 29\r\n\r\n{\"data\":{\"id\":\"R-7\"},\"n\":7}\r\n";
    if (strncmp(path, "/status/", 8) == 0)
        return say_status(peer, path + 8);
    if (strncmp(path, "/json", 5) == 0)
        return say_text(peer, json);
    if (strncmp(path, "/redirect", 9) == 0)
        return redirect(peer);
    if (strncmp(path, "/big", 4) == 0)
        return say_big(peer, strstr(path, "?chunked") != NULL);
    if (strstr(path, "wait=") != NULL) {
        struct timespec wait = {.tv_nsec = atol(strstr(path, "wait=") + 5) % 1000 * 1000000,
                                .tv_sec = atol(strstr(path, "wait=") + 5) / 1000};
        nanosleep(&wait, NULL);
    }
    if (strncmp(path, "/hang-on?contact", 16) == 0)
        return say_text(peer, ok);
    if (strncmp(path, "/hang", 5) == 0) {
        wait_gone(peer);
        return false;
    }
    if (strncmp(path, "/close", 6) == 0)
        return false;
    if (strncmp(path, "/reset", 6) == 0)
        return reset(peer);
    if (strncmp(path, "/partial", 8) == 0) {
        say_text(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789");
        return false;
    }
    if (strncmp(path, "/drip", 5) == 0)
        return drip(peer);
    if (strncmp(path, "/flood", 6) == 0)
        return flood(peer);
    if (strncmp(path, "/garbage", 8) == 0) {
        say_text(peer, "220 this is no HTTP\r\n\r\n");
        return false;
    }
    if (strncmp(path, "/once", 5) == 0 && peer->answered > 0)
        return false;
    return say_text(peer, ok);
}

static void *serve(void *self)
{
    peer_t *peer = self;
    size_t head, end;
    bool more = true;
    while (more && read_request(peer, &head, &end)) {
        char path[512] = "";
        remember(peer, head, end);
        sscanf(peer->in, "%*s %511s", path);
        more = answer(peer, path);
        peer->answered++;
        memmove(peer->in, peer->in + end, peer->got - end);
        peer->got -= end;
    }
    shutdown(peer->fd, SHUT_RD);
    pthread_mutex_lock(&peer->http->lock);
    for (int i = 0; i < peer->http->connections; i++)
        if (peer->http->sockets[i] == peer->fd)
            peer->http->sockets[i] = -1;
    close(peer->fd);
    pthread_mutex_unlock(&peer->http->lock);
    free(peer);
    return NULL;
}

static void *accept_all(void *self)
{
    fake_http_t *http = self;
    for (int fd; (fd = accept(http->listener, NULL, NULL)) >= 0;) {
        peer_t *peer = calloc(1, sizeof *peer);
        assert(peer != NULL);
        peer->http = http;
        peer->fd = fd;
        pthread_mutex_lock(&http->lock);
        assert(http->connections < CONNECTIONS_MAX);
        http->sockets[http->connections] = fd;
        int rc = pthread_create(&http->threads[http->connections], NULL, serve, peer);
        assert(rc == 0);
        http->connections++;
        pthread_mutex_unlock(&http->lock);
    }
    return NULL;
}

/* ---- life ---- */

fake_http_t *fake_http_start(void)
{
    fake_http_t *http = calloc(1, sizeof *http);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert(http != NULL);
    pthread_mutex_init(&http->lock, NULL);
    http->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(http->listener, (struct sockaddr *)&address, sizeof address);
    rc |= listen(http->listener, 512);
    rc |= getsockname(http->listener, (struct sockaddr *)&address, &size);
    http->port = ntohs(address.sin_port);
    rc |= pthread_create(&http->acceptor, NULL, accept_all, http);
    assert(rc == 0);
    return http;
}

void fake_http_stop(fake_http_t **stopped)
{
    fake_http_t *http = *stopped;
    if (http == NULL)
        return;
    shutdown(http->listener, SHUT_RDWR);
    pthread_join(http->acceptor, NULL);
    pthread_mutex_lock(&http->lock);
    for (int i = 0; i < http->connections; i++)
        if (http->sockets[i] >= 0)
            shutdown(http->sockets[i], SHUT_RDWR);
    pthread_mutex_unlock(&http->lock);
    for (int i = 0; i < http->connections; i++)
        pthread_join(http->threads[i], NULL);
    for (int i = 0; i < http->requests; i++) {
        free(http->seen[i].head);
        free(http->seen[i].body);
    }
    close(http->listener);
    pthread_mutex_destroy(&http->lock);
    free(http);
    *stopped = NULL;
}

int fake_http_port(const fake_http_t *http)
{
    return http->port;
}

int fake_http_requests(fake_http_t *http)
{
    pthread_mutex_lock(&http->lock);
    int requests = http->requests;
    pthread_mutex_unlock(&http->lock);
    return requests;
}

int fake_http_connections(fake_http_t *http)
{
    pthread_mutex_lock(&http->lock);
    int connections = http->connections;
    pthread_mutex_unlock(&http->lock);
    return connections;
}

static void copy(fake_http_t *http, int index, bool body, char *out, size_t size)
{
    pthread_mutex_lock(&http->lock);
    const char *text = index < 0 || index >= http->requests ? ""
                       : body                               ? http->seen[index].body
                                                            : http->seen[index].head;
    snprintf(out, size, "%s", text);
    pthread_mutex_unlock(&http->lock);
}

void fake_http_head(fake_http_t *http, int index, char *out, size_t size)
{
    copy(http, index, false, out, size);
}

void fake_http_body(fake_http_t *http, int index, char *out, size_t size)
{
    copy(http, index, true, out, size);
}

void fake_http_header(fake_http_t *http, int index, const char *name, char *out, size_t size)
{
    char head[16384], wanted[128];
    copy(http, index, false, head, sizeof head);
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *at = strcasestr(head, wanted);
    out[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(wanted);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\r"), at);
}
