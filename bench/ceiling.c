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
           "FROM unnest($1::uuid[], $2::uuid[]) AS r(account, id) "
           "WHERE d.account_id = r.account AND d.id = r.id"};

/* First member of whatever stands in a list. */
typedef struct node {
    struct node *next;
} node_t;

typedef struct list {
    node_t *first, *last;
} list_t;

typedef struct lead {
    node_t node;
    plumb_uuid_t id, delivery;
    char body[BODY_MAX];
    size_t length;
    bool committed;
    pthread_cond_t wake;
} lead_t;

/* A webhook to send or a result to record. */
typedef struct call {
    node_t node;
    plumb_uuid_t delivery;
    size_t length;
    char body[];
} call_t;

/* What a handler thread of the HTTP server has of its own. */
typedef struct handler {
    lead_t lead;
    plumb_db_t *db; /* naive only */
    plumb_params_t *params;
} handler_t;

typedef struct ceiling {
    const char *database, *receiver, *mode;
    int threads;
    plumb_uuid_t account, owner, credential;
    pthread_mutex_t lock; /* of the lists */
    pthread_cond_t arrived, sent;
    list_t leads, calls, results;
    CURLM *multi; /* b only */
    handler_t *handlers;
    atomic_int handler_count;
    atomic_bool stopping;
} ceiling_t;

/* ---- lists ---- */

static void list_put(list_t *list, node_t *node)
{
    node->next = NULL;
    if (list->last != NULL)
        list->last->next = node;
    else
        list->first = node;
    list->last = node;
}

/* The first, or NULL. */
static void *list_take(list_t *list)
{
    node_t *node = list->first;
    if (node == NULL)
        return NULL;
    list->first = node->next;
    if (list->first == NULL)
        list->last = NULL;
    return node;
}

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
    for (size_t i = 0; i < count; i++) {
        call_t *call = malloc(sizeof *call + leads[i]->length);
        if (call == NULL)
            abort();
        call->delivery = leads[i]->delivery;
        call->length = leads[i]->length;
        memcpy(call->body, leads[i]->body, call->length);
        list_put(&c->calls, &call->node);
    }
    curl_multi_wakeup(c->multi);
}

/* Take what has gathered; returns how many. */
static size_t take_group(ceiling_t *c, lead_t *group[GROUP_MAX])
{
    size_t count = 0;
    for (; count < GROUP_MAX; count++) {
        group[count] = list_take(&c->leads);
        if (group[count] == NULL)
            break;
    }
    return count;
}

static void *committer(void *self)
{
    ceiling_t *c = self;
    plumb_db_t *db = database(c);
    plumb_params_t *p = plumb_params_new();
    lead_t *group[GROUP_MAX];
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        size_t count = take_group(c, group);
        if (count == 0) {
            pthread_cond_wait(&c->arrived, &c->lock);
            continue;
        }
        pthread_mutex_unlock(&c->lock);
        commit_leads(c, db, p, group, count);
        pthread_mutex_lock(&c->lock);
        if (c->multi != NULL)
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
    list_put(&c->leads, &lead->node);
    pthread_cond_signal(&c->arrived);
    while (!lead->committed)
        pthread_cond_wait(&lead->wake, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

/* ---- HTTP in ---- */

static handler_t *this_handler(ceiling_t *c)
{
    static _Thread_local handler_t *handler;
    if (handler == NULL) {
        int n = atomic_fetch_add(&c->handler_count, 1);
        if (n >= c->threads)
            abort();
        handler = &c->handlers[n];
        pthread_cond_init(&handler->lead.wake, NULL);
        if (strcmp(c->mode, "naive") == 0) {
            handler->db = database(c);
            handler->params = plumb_params_new();
        }
    }
    return handler;
}

static void handlers_fini(ceiling_t *c)
{
    for (int i = 0; i < c->handler_count; i++) {
        plumb_params_destroy(&c->handlers[i].params);
        plumb_db_destroy(&c->handlers[i].db);
        pthread_cond_destroy(&c->handlers[i].lead.wake);
    }
    free(c->handlers);
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
              "Content-Length: 54\r\n\r\n{\"data\":{\"id\":\"%s\"}}",
              id, id);
    return 201;
}

/* ---- webhooks out (b) ---- */

typedef struct sender {
    ceiling_t *c;
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
    curl_multi_add_handle(s->c->multi, easy);
}

/* A call that failed has no row to wait in: there is no recovery here. */
static call_t *finished_call(const CURLMsg *message)
{
    call_t *call = NULL;
    long status = 0;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
    curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    if (message->data.result != CURLE_OK || status != 200) {
        fprintf(stderr, "ceiling: the receiver answered %ld: %s\n", status,
                curl_easy_strerror(message->data.result));
        exit(1);
    }
    return call;
}

static void finish_calls(sender_t *s)
{
    int left;
    CURLMsg *message;
    pthread_mutex_lock(&s->c->lock);
    while ((message = curl_multi_info_read(s->c->multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;
        list_put(&s->c->results, &finished_call(message)->node);
        curl_multi_remove_handle(s->c->multi, easy);
        s->idle[s->idle_count++] = easy;
    }
    if (s->c->results.first != NULL)
        pthread_cond_signal(&s->c->sent);
    pthread_mutex_unlock(&s->c->lock);
}

/* Returns whether some were started. */
static bool start_calls(sender_t *s)
{
    call_t *calls[CALLS];
    int count = 0;
    pthread_mutex_lock(&s->c->lock);
    while (count < s->idle_count && (calls[count] = list_take(&s->c->calls)) != NULL)
        count++;
    pthread_mutex_unlock(&s->c->lock);
    for (int i = 0; i < count; i++)
        start_call(s, calls[i]);
    return count > 0;
}

static void sender_open(sender_t *s, ceiling_t *c)
{
    s->c = c;
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
        bool started = start_calls(&s);
        curl_multi_perform(c->multi, &running);
        finish_calls(&s);
        if (!started)
            curl_multi_poll(c->multi, NULL, 0, 1000, NULL); /* woken by hand_over */
    }
    for (int i = 0; i < s.idle_count; i++)
        curl_easy_cleanup(s.idle[i]);
    curl_slist_free_all(s.headers);
    return NULL;
}

/* Make the parameters of what has gathered; returns how many. */
static int take_results(ceiling_t *c, plumb_params_t *p)
{
    call_t *calls[GROUP_MAX];
    int count = 0;
    while (count < GROUP_MAX && (calls[count] = list_take(&c->results)) != NULL)
        count++;
    plumb_params_clear(p);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (int i = 0; i < count; i++)
        plumb_item_uuid(p, &c->account);
    plumb_array_end(p);
    plumb_array_begin(p, PLUMB_ARRAY_UUID);
    for (int i = 0; i < count; i++) {
        plumb_item_uuid(p, &calls[i]->delivery);
        free(calls[i]);
    }
    plumb_array_end(p);
    return count;
}

/* Nobody has analyzed the table: its key is the right way in all the same. */
static const char by_key[] =
    "SET plan_cache_mode = force_generic_plan; SET enable_hashjoin = off; "
    "SET enable_mergejoin = off; SET enable_seqscan = off; SET enable_material = off";

static void *recorder(void *self)
{
    ceiling_t *c = self;
    plumb_db_t *db = database(c);
    plumb_params_t *p = plumb_params_new();
    plumb_err_t err = {0};
    if (plumb_db_script(db, by_key, STATEMENT_MS, &err) < 0)
        fatal("plans", &err);
    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        if (take_results(c, p) == 0) {
            pthread_cond_wait(&c->sent, &c->lock);
            continue;
        }
        pthread_mutex_unlock(&c->lock);
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

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void run(ceiling_t *c, const char *port)
{
    void *(*const work[])(void *) = {committer, sender, recorder};
    pthread_t threads[3];
    int count = strcmp(c->mode, "b") == 0 ? 3 : strcmp(c->mode, "a") == 0 ? 1 : 0;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->arrived, NULL);
    pthread_cond_init(&c->sent, NULL);
    c->multi = count == 3 ? curl_multi_init() : NULL;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work[i], c);
    serve(c, port);
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->arrived);
    pthread_cond_broadcast(&c->sent);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    curl_multi_cleanup(c->multi);
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
    if (c.database == NULL || c.threads < 1) {
        fprintf(stderr, "usage: ceiling --mode a|b|naive --database CONNINFO [--receiver URL] "
                        "[--port P] [--threads N]\n");
        return 2;
    }
    block_signals();
    c.account = plumb_uuid_new();
    c.owner = plumb_uuid_new();
    c.credential = plumb_uuid_new();
    c.handlers = calloc((size_t)c.threads, sizeof *c.handlers);
    if (c.handlers == NULL)
        abort();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    run(&c, port);
    handlers_fini(&c);
    curl_global_cleanup();
    return 0;
}
