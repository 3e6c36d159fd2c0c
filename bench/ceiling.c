/* The ceilings that Plumb is measured against: the same HTTP server, rows and receiver with nothing
 * in between.
 *
 *   a      handler threads and one greedy committer; no checks, no delivery
 *   b      the same, then a webhook POST for each lead and batched result updates, all in one
 * process naive  each handler thread commits its own lead on a connection of its own
 *
 * No authentication, validation, sealing, recovery.  Tables: plain ones, made by bench/ceiling.sql.
 */
#include "buf.h"
#include "clock.h"
#include "db.h"
#include "uuid.h"

#include <civetweb.h>
#include <curl/curl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_MAX 512
#define BODY_MAX 16384
#define CALLS 64
#define STATEMENT_MS 30000

static const plumb_stmt_t insert_leads = {
    .name = "ceiling_insert",
    .params = 6,
    .sql = "WITH i AS (SELECT * FROM unnest($4::uuid[], $5::uuid[], $6::text[]) AS i(lead, "
           "delivery, body)), "
           "l AS (INSERT INTO bench_leads (account_id, id, user_id, project_id, quiz_id, status, "
           "data) "
           "SELECT $1::uuid, lead, $2::uuid, $2::uuid, $2::uuid, 'New', body::jsonb FROM i) "
           "INSERT INTO bench_deliveries (account_id, id, lead_id, credential_id, channel, state, "
           "attempt, epoch, "
           "queued_at, deadline_at) SELECT $1::uuid, delivery, lead, $3::uuid, 'webhooks', "
           "'queued', 1, 1, now(), "
           "now() + interval '7 days' FROM i"};

static const plumb_stmt_t settle = {
    .name = "ceiling_settle",
    .params = 2,
    .sql = "UPDATE bench_deliveries d SET state = 'delivered', outcome = 'ok', settled_at = now() "
           "FROM unnest($2::uuid[]) AS r(id) WHERE d.account_id = $1::uuid AND d.id = r.id"};

typedef struct lead {
    plumb_uuid_t id, delivery;
    char body[BODY_MAX];
    size_t length;
    struct lead *next;
    bool committed, failed;
    pthread_cond_t wake;
} lead_t;

/* A webhook to send or a result to record. */
typedef struct call {
    plumb_uuid_t delivery;
    struct call *next;
    size_t length;
    char body[];
} call_t;

typedef struct list {
    void *first, *last;
    size_t length;
} list_t;

typedef struct ceiling {
    const char *database, *receiver, *mode;
    int threads;
    plumb_uuid_t account, owner, credential;
    pthread_mutex_t lock;
    pthread_cond_t arrived, sent;
    list_t leads, calls, results;
    bool stopping;
    atomic_int databases;
} ceiling_t;

/* ---- lists ---- */

#define LIST_PUT(list, item)                                                                       \
    do {                                                                                           \
        (item)->next = NULL;                                                                       \
        if ((list)->last != NULL)                                                                  \
            ((__typeof__(item))(list)->last)->next = (item);                                       \
        else                                                                                       \
            (list)->first = (item);                                                                \
        (list)->last = (item);                                                                     \
        (list)->length++;                                                                          \
    } while (0)

#define LIST_TAKE(list, item)                                                                      \
    do {                                                                                           \
        (item) = (list)->first;                                                                    \
        (list)->first = (item)->next;                                                              \
        if ((list)->first == NULL)                                                                 \
            (list)->last = NULL;                                                                   \
        (list)->length--;                                                                          \
    } while (0)

static void fatal(const char *what, const plumb_err_t *err)
{
    fprintf(stderr, "ceiling: %s: %s\n", what, err->text);
    exit(1);
}

static plumb_db_t *database(const ceiling_t *c)
{
    plumb_db_t *db = NULL;
    plumb_err_t err = {0};
    if (plumb_db_new(&db, c->database, "ceiling", &err) < 0 ||
        plumb_db_connect(db, 10000, &err) < 0)
        fatal("connect", &err);
    return db;
}

/* ---- committing ---- */

static void commit_leads(const ceiling_t *c, plumb_db_t *db, plumb_params_t *p, lead_t **leads,
                         size_t count)
{
    plumb_params_clear(p);
    plumb_param_uuid(p, &c->account);
    plumb_param_uuid(p, &c->owner);
    plumb_param_uuid(p, &c->credential);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(p, &leads[i]->id);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        plumb_item_uuid(p, &leads[i]->delivery);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++)
        plumb_item_textn(p, leads[i]->body, leads[i]->length);
    plumb_array_end(p);
    plumb_err_t err = {0};
    if (plumb_db_exec(db, &insert_leads, p, STATEMENT_MS, NULL, &err) < 0)
        fatal("insert", &err);
}

static void hand_over(ceiling_t *c, lead_t **leads, size_t count)
{
    for (size_t i = 0; i < count && strcmp(c->mode, "b") == 0; i++) {
        call_t *call = malloc(sizeof *call + leads[i]->length);
        if (call == NULL)
            abort();
        call->delivery = leads[i]->delivery;
        call->length = leads[i]->length;
        memcpy(call->body, leads[i]->body, call->length);
        LIST_PUT(&c->calls, call);
    }
}

static void *committer(void *self)
{
    ceiling_t *c = self;
    plumb_db_t *db = database(c);
    plumb_params_t *p = plumb_params_new();
    lead_t *group[GROUP_MAX];
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        if (c->leads.first == NULL) {
            pthread_cond_wait(&c->arrived, &c->lock);
            continue;
        }
        size_t count = 0;
        while (c->leads.first != NULL && count < GROUP_MAX)
            LIST_TAKE(&c->leads, group[count++]);
        pthread_mutex_unlock(&c->lock);
        commit_leads(c, db, p, group, count);
        pthread_mutex_lock(&c->lock);
        hand_over(c, group, count);
        for (size_t i = 0; i < count; i++) {
            group[i]->committed = true;
            pthread_cond_signal(&group[i]->wake);
        }
    }
    pthread_mutex_unlock(&c->lock);
    plumb_params_destroy(&p);
    plumb_db_destroy(&db);
    return NULL;
}

static void wait_for_commit(ceiling_t *c, lead_t *lead)
{
    pthread_mutex_lock(&c->lock);
    lead->committed = false;
    LIST_PUT(&c->leads, lead);
    pthread_cond_signal(&c->arrived);
    while (!lead->committed)
        pthread_cond_wait(&lead->wake, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

/* ---- HTTP in ---- */

typedef struct handler {
    lead_t lead;
    plumb_db_t *db;
    plumb_params_t *params;
} handler_t;

static handler_t *this_handler(const ceiling_t *c)
{
    static _Thread_local handler_t *handler;
    if (handler == NULL) {
        handler = calloc(1, sizeof *handler);
        if (handler == NULL)
            abort();
        pthread_cond_init(&handler->lead.wake, NULL);
        if (strcmp(c->mode, "naive") == 0) {
            handler->db = database(c);
            handler->params = plumb_params_new();
        }
    }
    return handler;
}

static int on_request(struct mg_connection *connection, void *self)
{
    ceiling_t *c = self;
    handler_t *h = this_handler(c);
    const struct mg_request_info *info = mg_get_request_info(connection);
    lead_t *lead = &h->lead;
    lead->length = 0;
    while ((long long)lead->length < info->content_length && lead->length < BODY_MAX) {
        int n = mg_read(connection, lead->body + lead->length, BODY_MAX - lead->length);
        if (n <= 0)
            break;
        lead->length += (size_t)n;
    }
    lead->id = plumb_uuid_new();
    lead->delivery = plumb_uuid_new();
    if (h->db != NULL)
        commit_leads(c, h->db, h->params, &lead, 1);
    else
        wait_for_commit(c, lead);
    char id[PLUMB_UUID_TEXT];
    plumb_uuid_text(&lead->id, id);
    mg_printf(connection,
              "HTTP/1.1 201 Created\r\nContent-Type: application/vnd.api+json\r\nLocation: "
              "/api/v1/leads/%s\r\n"
              "Content-Length: 62\r\n\r\n{\"data\":{\"id\":\"%s\"}}      ",
              id, id);
    return 201;
}

/* ---- webhooks out (b) ---- */

typedef struct sender {
    ceiling_t *c;
    CURLM *multi;
    CURL *idle[CALLS];
    int idle_count;
    struct curl_slist *headers;
} sender_t;

static size_t discard(char *data, size_t size, size_t count, void *self)
{
    (void)data;
    (void)self;
    return size * count;
}

static void start_call(sender_t *s, call_t *call)
{
    CURL *easy = s->idle[--s->idle_count];
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, &call->body[0]);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)call->length);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_multi_add_handle(s->multi, easy);
}

static void finish_calls(sender_t *s)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(s->multi, &left)) != NULL) {
        call_t *call = NULL;
        CURL *easy = message->easy_handle;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
        curl_multi_remove_handle(s->multi, easy);
        s->idle[s->idle_count++] = easy;
        pthread_mutex_lock(&s->c->lock);
        LIST_PUT(&s->c->results, call);
        pthread_cond_signal(&s->c->sent);
        pthread_mutex_unlock(&s->c->lock);
    }
}

static void take_calls(sender_t *s)
{
    pthread_mutex_lock(&s->c->lock);
    while (s->idle_count > 0 && s->c->calls.first != NULL) {
        call_t *call;
        LIST_TAKE(&s->c->calls, call);
        pthread_mutex_unlock(&s->c->lock);
        start_call(s, call);
        pthread_mutex_lock(&s->c->lock);
    }
    pthread_mutex_unlock(&s->c->lock);
}

static void sender_open(sender_t *s, ceiling_t *c)
{
    s->c = c;
    s->multi = curl_multi_init();
    s->headers = curl_slist_append(NULL, "Content-Type: application/json");
    s->headers = curl_slist_append(s->headers, "Expect:");
    for (; s->idle_count < CALLS; s->idle_count++) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_URL, c->receiver);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, s->headers);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
        s->idle[s->idle_count] = easy;
    }
}

static void *sender(void *self)
{
    ceiling_t *c = self;
    sender_t s = {0};
    sender_open(&s, c);
    while (!c->stopping) {
        int running = 0;
        take_calls(&s);
        curl_multi_perform(s.multi, &running);
        finish_calls(&s);
        curl_multi_poll(s.multi, NULL, 0, running > 0 ? 100 : 1, NULL);
    }
    for (int i = 0; i < s.idle_count; i++)
        curl_easy_cleanup(s.idle[i]);
    curl_multi_cleanup(s.multi);
    curl_slist_free_all(s.headers);
    return NULL;
}

static void *recorder(void *self)
{
    ceiling_t *c = self;
    plumb_db_t *db = database(c);
    plumb_params_t *p = plumb_params_new();
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        if (c->results.first == NULL) {
            pthread_cond_wait(&c->sent, &c->lock);
            continue;
        }
        plumb_params_clear(p);
        plumb_param_uuid(p, &c->account);
        plumb_array_begin(p, PLUMB_ARRAY_UUID);
        for (int i = 0; i < GROUP_MAX && c->results.first != NULL; i++) {
            call_t *call;
            LIST_TAKE(&c->results, call);
            plumb_item_uuid(p, &call->delivery);
            free(call);
        }
        plumb_array_end(p);
        pthread_mutex_unlock(&c->lock);
        plumb_err_t err = {0};
        if (plumb_db_exec(db, &settle, p, STATEMENT_MS, NULL, &err) < 0)
            fatal("settle", &err);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    plumb_params_destroy(&p);
    plumb_db_destroy(&db);
    return NULL;
}

/* ---- start ---- */

static void serve(ceiling_t *c, const char *port)
{
    char threads[16];
    snprintf(threads, sizeof threads, "%d", c->threads);
    const char *options[] = {"listening_ports",
                             port,
                             "num_threads",
                             threads,
                             "enable_keep_alive",
                             "yes",
                             "keep_alive_timeout_ms",
                             "5000",
                             "tcp_nodelay",
                             "1",
                             "request_timeout_ms",
                             "5000",
                             NULL};
    struct mg_context *server = mg_start(NULL, c, options);
    if (server == NULL) {
        fprintf(stderr, "ceiling: cannot listen on %s\n", port);
        exit(1);
    }
    mg_set_request_handler(server, "/", on_request, c);
    puts("ready");
    fflush(stdout);
    sigset_t set;
    int caught;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigwait(&set, &caught);
    mg_stop(server);
}

int main(int argc, char **argv)
{
    static const struct option table[] = {{"mode", 1, NULL, 'm'},     {"database", 1, NULL, 'd'},
                                          {"receiver", 1, NULL, 'r'}, {"port", 1, NULL, 'p'},
                                          {"threads", 1, NULL, 't'},  {NULL, 0, NULL, 0}};
    ceiling_t c = {.mode = "a", .threads = 66, .receiver = ""};
    const char *port = "8090";
    int option;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case 'm':
            c.mode = optarg;
            break;
        case 'd':
            c.database = optarg;
            break;
        case 'r':
            c.receiver = optarg;
            break;
        case 'p':
            port = optarg;
            break;
        case 't':
            c.threads = atoi(optarg);
            break;
        default:
            return 2;
        }
    }
    if (c.database == NULL) {
        fprintf(stderr, "usage: ceiling --mode a|b|naive --database CONNINFO [--receiver URL] "
                        "[--port P] [--threads N]\n");
        return 2;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.arrived, NULL);
    pthread_cond_init(&c.sent, NULL);
    c.account = plumb_uuid_new();
    c.owner = plumb_uuid_new();
    c.credential = plumb_uuid_new();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pthread_t threads[3];
    pthread_create(&threads[0], NULL, committer, &c);
    pthread_create(&threads[1], NULL, sender, &c);
    pthread_create(&threads[2], NULL, recorder, &c);
    serve(&c, port);
    pthread_mutex_lock(&c.lock);
    c.stopping = true;
    pthread_cond_broadcast(&c.arrived);
    pthread_cond_broadcast(&c.sent);
    pthread_mutex_unlock(&c.lock);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    curl_global_cleanup();
    return 0;
}
