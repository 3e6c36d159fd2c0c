/* A load generator for POST /api/v1/leads: one thread, epoll, kept-alive connections.
 *
 * Each lead has a body and an Idempotency-Key of its own.  A lead that got 503, or whose connection
 * broke, is sent again under the same key with the same body until it has a final answer: what a
 * careful sender does. The ledger has one line for each final answer: key status lead-id latency_us
 * tries. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 65536
#define RETRY_US 200000

typedef struct options {
    const char *host, *token, *user, *project, *quiz, *prefix;
    const char *ledger;
    int port, connections;
    int64_t count, seconds, rate;
    bool idempotency, json, stamp;
} options_t;

typedef struct conn {
    int fd; /* -1: not connected */
    bool busy, sent;
    int64_t lead;     /* number of the lead under way */
    int64_t begun_us; /* its first try */
    int64_t due_us;   /* not before */
    unsigned tries;
    char request[4096];
    size_t request_length, written;
    char answer[ANSWER_MAX];
    size_t answered;
} conn_t;

typedef struct load {
    options_t o;
    int epoll;
    FILE *ledger;
    conn_t *conns;
    struct sockaddr_in address;
    int64_t start_us, next, done, repeats;
    int64_t by_status[600];
    uint32_t *latencies; /* of 201 answers, microseconds */
    size_t latency_count, latency_capacity;
} load_t;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- one lead's request ---- */

static int write_body(const options_t *o, int64_t n, char *out, size_t size)
{
    return snprintf(out, size,
                    "{\"data\":{\"type\":\"leads\",\"attributes\":{\"userId\":\"%s\",\"projectId\":"
                    "\"%s\",\"quizId\":\"%s\","
                    "\"name\":\"Анна Каренина %" PRId64 "\",\"phone\":\"+79%09" PRId64
                    "\",\"email\":\"anna.%" PRId64 "@mail.example\",\"externalId\":\"%s-%" PRId64
                    "\",\"utmSource\":\"yandex\",\"utmMedium\":\"cpc\","
                    "\"utmCampaign\":\"spring-sale\",\"utmContent\":\"banner-240x400\",\"utmTerm\":"
                    "\"кухни на заказ\","
                    "\"ipAddress\":\"198.51.100.%" PRId64
                    "\",\"referer\":\"https://shop.example/kitchens?step=4\","
                    "\"fingerprint\":\"fp-%016" PRIx64 "\",\"data\":{\"answers\":["
                    "{\"question\":\"Какой формы кухня?\",\"answer\":\"Угловая, с островом\"},"
                    "{\"question\":\"Бюджет\",\"answer\":\"до 350 000\"},"
                    "{\"question\":\"Когда нужна?\",\"answer\":\"В течение месяца\"},"
                    "{\"question\":\"Комментарий\",\"answer\":\"Позвоните после шести, "
                    "пожалуйста\"}],\"sentUs\":%" PRId64 "}}}}",
                    o->user, o->project, o->quiz, n, n % 1000000000, n, o->prefix, n, n % 250 + 1,
                    (uint64_t)n * 2654435761u, o->stamp ? wall_us() : n);
}

static void build_request(const options_t *o, conn_t *c)
{
    char body[3072];
    int length = write_body(o, c->lead, body, sizeof body);
    char key[96] = "";
    if (o->idempotency)
        snprintf(key, sizeof key, "Idempotency-Key: %s-%" PRId64 "\r\n", o->prefix, c->lead);
    int n =
        snprintf(c->request, sizeof c->request,
                 "POST /api/v1/leads HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\n"
                 "Content-Type: application/vnd.api+json\r\nAccept: application/vnd.api+json\r\n"
                 "%sContent-Length: %d\r\n\r\n%s",
                 o->host, o->port, o->token, key, length, body);
    if (n < 0 || (size_t)n >= sizeof c->request) {
        errno = EMSGSIZE;
        die("request");
    }
    c->request_length = (size_t)n;
}

/* ---- connections ---- */

static void disconnect(conn_t *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

static void connect_now(load_t *l, conn_t *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&l->address, sizeof l->address) != 0 &&
        errno != EINPROGRESS) {
        disconnect(c);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl");
}

/* The same lead again, later. */
static void try_again(load_t *l, conn_t *c, bool broken, int64_t wait_us)
{
    if (broken)
        disconnect(c);
    c->due_us = now_us() + wait_us;
    c->sent = false;
    c->answered = 0;
    l->repeats++;
}

static bool flush_request(conn_t *c)
{
    while (c->written < c->request_length) {
        ssize_t n =
            send(c->fd, c->request + c->written, c->request_length - c->written, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        c->written += (size_t)n;
    }
    return true;
}

static void start_try(load_t *l, conn_t *c)
{
    if (c->fd < 0)
        connect_now(l, c);
    if (c->fd < 0) {
        try_again(l, c, true, RETRY_US);
        return;
    }
    c->sent = true;
    c->tries++;
    c->written = c->answered = 0;
    if (!flush_request(c) && errno != ENOTCONN)
        try_again(l, c, true, RETRY_US);
}

/* ---- answers ---- */

static void remember_latency(load_t *l, int64_t us)
{
    if (l->latency_count == l->latency_capacity) {
        l->latency_capacity = l->latency_capacity == 0 ? 65536 : l->latency_capacity * 2;
        l->latencies = realloc(l->latencies, l->latency_capacity * sizeof *l->latencies);
        if (l->latencies == NULL)
            die("memory");
    }
    l->latencies[l->latency_count++] = (uint32_t)us;
}

/* The lead's id from the Location header; "-" when there is none. */
static void lead_id(const char *head, char out[37])
{
    const char *at = strcasestr(head, "\r\nLocation: /api/v1/leads/");
    snprintf(out, 37, "%.36s", at == NULL ? "-" : at + strlen("\r\nLocation: /api/v1/leads/"));
}

static void finish(load_t *l, conn_t *c, int status)
{
    int64_t us = now_us() - c->begun_us;
    l->by_status[status > 0 && status < 600 ? status : 0]++;
    l->done++;
    if (status == 201)
        remember_latency(l, us);
    if (l->ledger != NULL) {
        char id[37];
        lead_id(c->answer, id);
        fprintf(l->ledger, "%s-%" PRId64 " %d %s %" PRId64 " %u\n", l->o.prefix, c->lead, status,
                id, us, c->tries);
    }
    c->busy = false;
    c->sent = false;
    c->answered = 0;
}

/* 1: a whole answer is there; 0: not yet; -1: nonsense. */
static int whole_answer(conn_t *c, int *status, bool *closes)
{
    char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL)
        return c->answered + 1 < sizeof c->answer ? 0 : -1;
    *end = '\0'; /* only the head is searched */
    const char *length = strcasestr(c->answer, "\r\nContent-Length:");
    size_t body = length != NULL ? strtoul(length + 17, NULL, 10) : 0;
    *closes = strcasestr(c->answer, "\r\nConnection: close") != NULL;
    *end = '\r';
    *status = atoi(c->answer + 9);
    return c->answered < (size_t)(end + 4 - c->answer) + body ? 0 : 1;
}

static void on_answer(load_t *l, conn_t *c)
{
    int status = 0;
    bool closes = false;
    int rc = whole_answer(c, &status, &closes);
    if (rc == 0)
        return;
    if (rc < 0) {
        try_again(l, c, true, RETRY_US);
        return;
    }
    if (l->o.idempotency && (status == 503 || status == 429 || status == 409)) {
        l->by_status[status]++;
        try_again(l, c, closes, RETRY_US);
        return;
    }
    finish(l, c, status);
    if (closes)
        disconnect(c);
}

/* The connection ended while a lead waits for its answer. */
static void on_broken(load_t *l, conn_t *c)
{
    if (l->o.idempotency)
        try_again(l, c, false, RETRY_US);
    else
        finish(l, c, 0);
}

/* `ends`: nothing comes behind what is there, so it is read to its end; else a read that leaves
 * room has emptied the socket. */
static void on_readable(load_t *l, conn_t *c, bool ends)
{
    ssize_t n;
    size_t room;
    do {
        room = sizeof c->answer - 1 - c->answered;
        n = recv(c->fd, c->answer + c->answered, room, 0);
        if (n > 0) {
            c->answered += (size_t)n;
            c->answer[c->answered] = '\0';
        }
    } while (n > 0 && (ends || (size_t)n == room));
    bool gone = n == 0 || (n < 0 && errno != EAGAIN);
    if (c->busy && c->sent && c->answered > 0)
        on_answer(l, c); /* it may have come whole before the end */
    if (!gone || c->fd < 0)
        return;
    if (c->busy && c->sent)
        on_broken(l, c);
    disconnect(c);
}

/* ---- the loop ---- */

static bool may_start(const load_t *l, int64_t now)
{
    if (l->o.count > 0 && l->next >= l->o.count)
        return false;
    if (l->o.seconds > 0 && now - l->start_us >= l->o.seconds * 1000000)
        return false;
    return l->o.rate == 0 || l->next < (now - l->start_us) * l->o.rate / 1000000;
}

static bool begin_lead(load_t *l, conn_t *c, int64_t now)
{
    if (!may_start(l, now))
        return false;
    c->lead = l->next++;
    c->busy = true;
    c->begun_us = now;
    c->due_us = 0;
    c->tries = 0;
    build_request(&l->o, c);
    start_try(l, c);
    return true;
}

/* Start what may start; returns how many leads are under way. */
static int drive(load_t *l)
{
    int64_t now = now_us();
    int busy = 0;
    for (int i = 0; i < l->o.connections; i++) {
        conn_t *c = &l->conns[i];
        if (c->busy && !c->sent && c->due_us <= now)
            start_try(l, c);
        else if (!c->busy)
            begin_lead(l, c, now);
        busy += c->busy;
    }
    return busy;
}

static bool over(const load_t *l)
{
    int64_t now = now_us();
    if (l->o.count > 0 && l->next >= l->o.count)
        return true;
    return l->o.seconds > 0 && now - l->start_us >= l->o.seconds * 1000000;
}

static void run(load_t *l)
{
    struct epoll_event events[256];
    l->start_us = now_us();
    while (drive(l) > 0 || !over(l)) {
        int n = epoll_wait(l->epoll, events, 256, l->o.rate > 0 ? 1 : 20);
        for (int i = 0; i < n; i++) {
            conn_t *c = events[i].data.ptr;
            if (c->fd < 0)
                continue;
            if ((events[i].events & EPOLLOUT) != 0 && c->busy && c->sent && !flush_request(c)) {
                try_again(l, c, true, RETRY_US);
                continue;
            }
            const uint32_t ends = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
            if ((events[i].events & (EPOLLIN | ends)) != 0)
                on_readable(l, c, (events[i].events & ends) != 0);
        }
    }
}

/* ---- the report ---- */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(const load_t *l, double q)
{
    if (l->latency_count == 0)
        return 0;
    return l->latencies[(size_t)((double)(l->latency_count - 1) * q)] / 1000.0;
}

static void report(load_t *l)
{
    double seconds = (double)(now_us() - l->start_us) / 1e6;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    qsort(l->latencies, l->latency_count, sizeof *l->latencies, by_value);
    double rate = (double)l->by_status[201] / seconds;
    double p50 = quantile_ms(l, 0.5), p90 = quantile_ms(l, 0.9), p99 = quantile_ms(l, 0.99);
    if (l->o.json)
        printf("{\"done\":%" PRId64 ",\"accepted\":%" PRId64
               ",\"seconds\":%.3f,\"per_second\":%.1f,"
               "\"p50_ms\":%.3f,\"p90_ms\":%.3f,\"p99_ms\":%.3f,\"repeats\":%" PRId64
               ",\"cpu_s\":%.3f,\"statuses\":{",
               l->done, l->by_status[201], seconds, rate, p50, p90, p99, l->repeats, cpu);
    else
        printf("done %" PRId64 ", accepted %" PRId64
               " in %.3f s: %.1f/s, p50 %.3f p90 %.3f p99 %.3f ms, %" PRId64
               " repeats, cpu %.3f s; ",
               l->done, l->by_status[201], seconds, rate, p50, p90, p99, l->repeats, cpu);
    const char *comma = "";
    for (int s = 0; s < 600; s++) {
        if (l->by_status[s] == 0)
            continue;
        printf("%s\"%d\":%" PRId64, comma, s, l->by_status[s]);
        comma = ",";
    }
    puts(l->o.json ? "}}" : "");
}

/* ---- start ---- */

static void read_url(options_t *o, char *url)
{
    char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    char *colon = strchr(host, ':');
    if (colon == NULL) {
        fprintf(stderr, "load: --url wants http://address:port\n");
        exit(2);
    }
    *colon = '\0';
    o->host = host;
    o->port = atoi(colon + 1);
}

static void read_options(options_t *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"url", 1, NULL, 'u'},     {"token", 1, NULL, 't'},   {"user", 1, NULL, 'U'},
        {"project", 1, NULL, 'P'}, {"quiz", 1, NULL, 'Q'},    {"connections", 1, NULL, 'c'},
        {"count", 1, NULL, 'n'},   {"seconds", 1, NULL, 's'}, {"rate", 1, NULL, 'r'},
        {"ledger", 1, NULL, 'l'},  {"prefix", 1, NULL, 'p'},  {"idempotency", 0, NULL, 'i'},
        {"json", 0, NULL, 'j'},    {"stamp", 0, NULL, 'S'},   {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case 'u':
            read_url(o, optarg);
            break;
        case 't':
            o->token = optarg;
            break;
        case 'U':
            o->user = optarg;
            break;
        case 'P':
            o->project = optarg;
            break;
        case 'Q':
            o->quiz = optarg;
            break;
        case 'c':
            o->connections = atoi(optarg);
            break;
        case 'n':
            o->count = atoll(optarg);
            break;
        case 's':
            o->seconds = atoll(optarg);
            break;
        case 'r':
            o->rate = atoll(optarg);
            break;
        case 'l':
            o->ledger = optarg;
            break;
        case 'p':
            o->prefix = optarg;
            break;
        case 'i':
            o->idempotency = true;
            break;
        case 'j':
            o->json = true;
            break;
        case 'S':
            o->stamp = true;
            break;
        default:
            exit(2);
        }
    }
    if (o->host == NULL || o->connections < 1 || (o->count == 0 && o->seconds == 0)) {
        fprintf(stderr,
                "usage: load --url http://ADDRESS:PORT --token T --user U --project P --quiz Q\n"
                "            (--count N | --seconds S) [--connections C] [--rate PER_SECOND] "
                "[--prefix TEXT]\n"
                "            [--ledger FILE] [--idempotency] [--stamp] [--json]\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    load_t l = {.o = {.token = "",
                      .user = "",
                      .project = "",
                      .quiz = "",
                      .prefix = "load",
                      .connections = 64}};
    read_options(&l.o, argc, argv);
    l.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)l.o.port)};
    if (inet_pton(AF_INET, l.o.host, &l.address.sin_addr) != 1) {
        fprintf(stderr, "load: '%s' is no IPv4 address\n", l.o.host);
        return 2;
    }
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    l.conns = calloc((size_t)l.o.connections, sizeof *l.conns);
    if (l.epoll < 0 || l.conns == NULL)
        die("start");
    for (int i = 0; i < l.o.connections; i++)
        l.conns[i].fd = -1;
    if (l.o.ledger != NULL && (l.ledger = fopen(l.o.ledger, "we")) == NULL)
        die(l.o.ledger);
    run(&l);
    if (l.ledger != NULL && fclose(l.ledger) != 0)
        die(l.o.ledger);
    report(&l);
    for (int i = 0; i < l.o.connections; i++)
        disconnect(&l.conns[i]);
    close(l.epoll);
    free(l.conns);
    free(l.latencies);
    return 0;
}
