/* One request and its answer: options, caps, and the two places where it can be stopped before a
 * byte leaves. */
#include "mail.h"
#include "net_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNUSED_MAX 32 /* handles kept by one lane */
#define HEAD_BYTES_MAX 65536
#define HEAD_LINES_MAX 256
#define BODY_KEPT_MAX 4096 /* memory kept for the next answer */
#define EXPECT_FROM 262144 /* bodies for which the library might ask first */
/* Older connections are opened anew: far ends close theirs without notice. */
#define IDLE_CONNECTION_S 30
#define BUFFER_SIZE 16384

/* ---- what the library asks while it runs ---- */

/* False: the fence or the guard keeps the first byte here. */
static bool let_go(transfer_t *t)
{
    if (t->sent.bytes_left)
        return true;
    if (!t->lane->net->hooks.may_send(t->owner)) {
        t->sent.fenced = true;
        return false;
    }
    t->sent.bytes_left = true;
    return true;
}

/* Just before the request is written.  When a reused connection closes without an answer the
 * library would send again by itself: the second call is where that ends. */
static int on_ready(void *self, char *ip, char *local_ip, int port, int local_port)
{
    transfer_t *t = self;
    (void)local_ip;
    (void)local_port;
    if (t->sent.bytes_left) {
        t->sent.repeated = true;
        return CURL_PREREQFUNC_ABORT;
    }
    if (!guard_admits_text(&t->lane->net->guard, ip, port)) {
        t->sent.refused = true;
        return CURL_PREREQFUNC_ABORT;
    }
    return let_go(t) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static curl_socket_t on_open(void *self, curlsocktype purpose, struct curl_sockaddr *address)
{
    transfer_t *t = self;
    (void)purpose;
    if (!guard_admits(&t->lane->net->guard, &address->addr)) {
        t->sent.refused = true;
        return CURL_SOCKET_BAD;
    }
    t->sent.refused = false; /* one of several addresses will do */
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int on_close(void *self, curl_socket_t fd)
{
    net_t *net = self;
    if ((size_t)fd < net->watch_count)
        net->watches[fd] = (watch_t){0}; /* the kernel drops it with the descriptor */
    return close(fd);
}

/* The number in "HTTP/1.1 200 OK"; 0: none. */
static int status_of(const char *line, size_t size)
{
    const char *at = memchr(line, ' ', size), *end = line + size;
    int status = 0;
    while (at != NULL && ++at < end && *at >= '0' && *at <= '9' && status < 1000)
        status = status * 10 + (*at - '0');
    return status < 1000 ? status : 0;
}

static size_t on_head(char *line, size_t unit, size_t size, void *self)
{
    transfer_t *t = self;
    size *= unit;
    t->head_bytes += size;
    t->head_lines++;
    if (t->head_bytes > HEAD_BYTES_MAX || t->head_lines > HEAD_LINES_MAX) {
        t->sent.capped = t->sent.head_complete;
        return 0;
    }
    if (size > 12 && strncmp(line, "HTTP/", 5) == 0) {
        t->sent.status = status_of(line, size);
        t->sent.head_complete = false;
    } else if (line[0] == '\r' || line[0] == '\n') {
        t->sent.head_complete = t->sent.status >= 200;
    }
    return size;
}

static size_t on_body(char *data, size_t unit, size_t size, void *self)
{
    transfer_t *t = self;
    const net_t *net = t->lane->net;
    size *= unit;
    size_t room = net->response_keep - t->body.length;
    plumb_buf_put(&t->body, data, size < room ? size : room);
    t->truncated = t->truncated || size > room || t->body.failed;
    t->read += size;
    if (t->read <= net->response_read)
        return size;
    t->sent.capped = true;
    return 0;
}

/* ---- options ---- */

#define SET(option, value) code |= curl_easy_setopt(easy, option, value)

/* What never changes on a handle.  Every option is set even where its default is good today. */
static int set_common(transfer_t *t)
{
    CURL *easy = t->easy;
    net_t *net = t->lane->net;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_MAXREDIRS, 0L);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)net->connect_timeout_ms);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S);
    SET(CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_SIZE);
    SET(CURLOPT_QUICK_EXIT, 1L); /* never wait for a name server's answer that nobody wants now */
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CAPATH, NET_CA_PATH);
    SET(CURLOPT_CAINFO, net->ca_file);
    SET(CURLOPT_CONNECT_TO, net->connect_to);
    SET(CURLOPT_PREREQFUNCTION, on_ready);
    SET(CURLOPT_PREREQDATA, t);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(CURLOPT_CLOSESOCKETDATA, net);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    return code == CURLE_OK ? 0 : -1;
}

static int set_http(transfer_t *t)
{
    CURL *easy = t->easy;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PROTOCOLS_STR, t->lane->net->guard.development ? "https,http" : "https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* one request a connection at a time */
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    SET(CURLOPT_ACCEPT_ENCODING, NULL);
    return code == CURLE_OK ? 0 : -1;
}

/* The body keeps its bytes whatever the method is called. */
static CURLcode set_method(CURL *easy, const ask_t *ask)
{
    const char *method = ask->method;
    CURLcode code = CURLE_OK;
    bool post = ask->has_body || strcmp(method, "POST") == 0;
    SET(CURLOPT_NOBODY, 0L);
    if (post) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, ask->body.data != NULL ? ask->body.data : "");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.length);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
        SET(CURLOPT_POSTFIELDS, NULL);
    }
    if (strcmp(method, "HEAD") == 0 && !post)
        SET(CURLOPT_NOBODY, 1L);
    bool own_name = strcmp(method, post ? "POST" : "GET") == 0 || strcmp(method, "HEAD") == 0;
    SET(CURLOPT_CUSTOMREQUEST, own_name ? NULL : method);
    return code;
}

/* Headers that the library would add by itself and must not. */
static int suppress_headers(ask_t *ask)
{
    bool good = !ask->has_body || ask->has_type || ask_suppress(ask, "Content-Type");
    good = good && (ask->body.length < EXPECT_FROM || ask_suppress(ask, "Expect"));
    return good ? 0 : -1;
}

/* Nearly every request of a handle goes to the address of the one before: it is parsed once. */
static CURLcode set_url(transfer_t *t)
{
    CURL *easy = t->easy;
    const plumb_buf_t *url = &t->ask->url;
    CURLcode code = CURLE_OK;
    if (t->url.length == url->length && memcmp(t->url.data, url->data, url->length) == 0)
        return code;
    plumb_buf_clear(&t->url);
    plumb_buf_put(&t->url, url->data, url->length);
    if (t->parsed == NULL)
        t->parsed = curl_url();
    bool good = !t->url.failed && t->parsed != NULL &&
                curl_url_set(t->parsed, CURLUPART_URL, url->data, 0) == CURLUE_OK;
    if (!good)
        plumb_buf_clear(&t->url);
    SET(CURLOPT_URL, url->data);
    SET(CURLOPT_CURLU, good ? t->parsed : NULL);
    return code;
}

static int set_request(transfer_t *t, const char *agent)
{
    CURL *easy = t->easy;
    ask_t *ask = t->ask;
    int64_t limit = t->lane->net->call_timeout_ms;
    CURLcode code = CURLE_OK;
    code |= set_url(t);
    if (strcmp(t->agent, agent) != 0) {
        strncpy(t->agent, agent, sizeof t->agent - 1);
        SET(CURLOPT_USERAGENT, t->agent);
    }
    if (ask->timeout_ms > 0 && ask->timeout_ms < limit)
        limit = ask->timeout_ms;
    SET(CURLOPT_TIMEOUT_MS, (long)limit);
    code |= suppress_headers(ask) == 0 ? CURLE_OK : CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_HTTPHEADER, ask->headers);
    code |= set_method(easy, ask);
    return code == CURLE_OK ? 0 : -1;
}

#undef SET

/* ---- life ---- */

static transfer_t *make(lane_t *lane)
{
    transfer_t *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->lane = lane;
    t->easy = curl_easy_init();
    if (t->easy == NULL || set_common(t) != 0 || set_http(t) != 0) {
        transfer_destroy(t);
        return NULL;
    }
    return t;
}

void transfer_destroy(transfer_t *t)
{
    curl_easy_cleanup(t->easy);
    curl_url_cleanup(t->parsed);
    plumb_buf_fini(&t->url);
    plumb_buf_fini(&t->body);
    free(t);
}

static transfer_t *take(lane_t *lane)
{
    transfer_t *t = lane->unused;
    if (t == NULL)
        return make(lane);
    lane->unused = t->next;
    lane->unused_count--;
    t->next = NULL;
    return t;
}

static int start_http(transfer_t *t, const char *agent)
{
    if (set_request(t, agent) != 0 || curl_multi_add_handle(t->lane->multi, t->easy) != CURLM_OK)
        return -1;
    return 0;
}

transfer_t *transfer_start(lane_t *lane, ask_t *ask, const char *agent, void *owner)
{
    transfer_t *t = ask->mail ? calloc(1, sizeof *t) : take(lane);
    if (t == NULL)
        return NULL;
    t->lane = lane;
    t->ask = ask;
    t->owner = owner;
    t->sent = (sent_t){.mail = ask->mail};
    t->truncated = false;
    t->head_bytes = t->head_lines = t->read = 0;
    plumb_buf_clear(&t->body);
    if ((ask->mail ? mail_start(t, ask) : start_http(t, agent)) != 0) {
        transfer_destroy(t);
        return NULL;
    }
    t->running = true;
    return t;
}

void transfer_over(transfer_t *t)
{
    t->running = false;
    t->lane->net->hooks.done(t->owner, &t->sent);
}

void transfer_finish(transfer_t *t, CURLcode code)
{
    t->sent.code = code;
    transfer_over(t);
}

void transfer_release(transfer_t *t)
{
    if (t == NULL)
        return;
    lane_t *lane = t->lane;
    if (t->running && t->mail != NULL)
        mail_abandon(t);
    else if (t->running)
        curl_multi_remove_handle(lane->multi, t->easy);
    t->running = false;
    t->owner = NULL;
    if (t->body.capacity > BODY_KEPT_MAX)
        plumb_buf_fini(&t->body);
    if (lane->unused_count == UNUSED_MAX || t->sent.mail) {
        transfer_destroy(t);
        return;
    }
    t->next = lane->unused;
    lane->unused = t;
    lane->unused_count++;
}

/* ---- the answer ---- */

bool transfer_bytes_left(const transfer_t *t)
{
    return t->sent.bytes_left;
}

const plumb_buf_t *transfer_body(const transfer_t *t)
{
    return &t->body;
}

bool transfer_truncated(const transfer_t *t)
{
    return t->truncated || t->sent.capped;
}

const char *transfer_header(const transfer_t *t, const char *name)
{
    struct curl_header *found;
    if (t->easy == NULL ||
        curl_easy_header(t->easy, name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK)
        return NULL;
    return found->value;
}

bool transfer_next_header(const transfer_t *t, void **at, const char **name, const char **value)
{
    struct curl_header *found = *at;
    if (t->easy == NULL)
        return false;
    do /* a doubled one is shown once */
        found = curl_easy_nextheader(t->easy, CURLH_HEADER, -1, found);
    while (found != NULL && found->index > 0);
    *at = found;
    if (found == NULL)
        return false;
    *name = found->name;
    *value = found->value;
    return true;
}

static uint32_t time_of(const transfer_t *t, CURLINFO what)
{
    curl_off_t us = 0;
    if (t->easy != NULL)
        curl_easy_getinfo(t->easy, what, &us);
    return us > 0 && us <= UINT32_MAX ? (uint32_t)us : 0;
}

void transfer_timings(const transfer_t *t, plumb_timings_t *timings)
{
    timings->dns_us = time_of(t, CURLINFO_NAMELOOKUP_TIME_T);
    timings->connect_us = time_of(t, CURLINFO_CONNECT_TIME_T);
    timings->tls_us = time_of(t, CURLINFO_APPCONNECT_TIME_T);
    timings->first_byte_us = time_of(t, CURLINFO_STARTTRANSFER_TIME_T);
}
