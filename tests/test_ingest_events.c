/* Live events as a client reads them: a whole ingest, raw HTTP, rows written behind its back. */
#include "account.h"
#include "clock.h"
#include "count.h"
#include "http.h"
#include "ingest.h"
#include "metrics.h"
#include "server.h"

#include <inttypes.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#define WAIT_MS 20000
#define FAR_EVENTS 3000 /* more than the process keeps of an account */

typedef struct world {
    account_t *account;
    ingest_t ingest;
    int port;
    char id[PLUMB_UUID_TEXT], project[PLUMB_UUID_TEXT];
} world_t;

static plumb_err_t err;

/* The interval of asking again, never a wait by itself. */
static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

static void set(world_t *w, const char *assignment)
{
    if (plumb_conf_set(&w->account->conf, assignment, "test", &err) < 0)
        fail_msg("%s", err.text);
}

static void start(world_t *w)
{
    w->ingest = (ingest_t){.daemon = {.signal_fd = -1}};
    if (ingest_open(&w->ingest, &w->account->conf, &err) < 0)
        fail_msg("open: %s", err.text);
    w->port = server_port(w->ingest.server);
    int64_t deadline_ms = plumb_mono_ms() + WAIT_MS;
    while (ingest_ready(&w->ingest, &err) < 0) {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("not ready: %s", err.text);
        pause_ms(5);
    }
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    plumb_uuid_text(&w->account->id, w->id);
    plumb_uuid_text(&w->account->project, w->project);
    set(w, "ingest.ping=200ms");
    set(w, "ingest.threads=8");
    set(w, "ingest.streams=6");
    set(w, "ingest.account_streams=3");
    start(w);
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

/* ---- a client ---- */

static http_t *ask(world_t *w, const char *token, const char *query, const char *last)
{
    http_t *http = http_open(w->port);
    char head[1024];
    snprintf(head, sizeof head,
             "GET /api/v1/events%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
             "Accept: text/event-stream\r\n%s%s%s\r\n",
             query, token, *last != '\0' ? "Last-Event-ID: " : "", last,
             *last != '\0' ? "\r\n" : "");
    http_send_text(http, head);
    return http;
}

static http_t *follow(world_t *w, const char *query, const char *last)
{
    http_t *http = ask(w, w->account->token, query, last);
    http_answer_t answer = http_take(http, true);
    if (answer.status != 200)
        fail_msg("status %d", answer.status);
    http_answer_fini(&answer);
    return http;
}

/* One block of a stream; members it has not are empty. */
typedef struct block {
    char id[96], kind[64], data[32768];
} block_t;

static bool more(http_t *http, int wait_ms)
{
    struct pollfd fd = {.fd = http->fd, .events = POLLIN};
    if (poll(&fd, 1, wait_ms) <= 0)
        return false;
    ssize_t n =
        recv(http->fd, http->buffer + http->length, sizeof http->buffer - 1 - http->length, 0);
    if (n <= 0)
        return false;
    http->length += (size_t)n;
    http->buffer[http->length] = '\0';
    return true;
}

static void member(char *out, size_t size, const char *block, const char *name)
{
    size_t length = strlen(name);
    *out = '\0';
    for (const char *line = block; *line != '\0'; line += strcspn(line, "\n") + 1)
        if (strncmp(line, name, length) == 0)
            snprintf(out, size, "%.*s", (int)strcspn(line + length, "\n"), line + length);
}

/* The next block, comments and pings too.  False: the stream ended. */
static bool take_block(http_t *http, block_t *block)
{
    char *end;
    while ((end = strstr(http->buffer, "\n\n")) == NULL)
        if (!more(http, WAIT_MS))
            return false;
    end[1] = '\0';
    member(block->id, sizeof block->id, http->buffer, "id: ");
    member(block->kind, sizeof block->kind, http->buffer, "event: ");
    member(block->data, sizeof block->data, http->buffer, "data: ");
    size_t taken = (size_t)(end + 2 - http->buffer);
    http->length -= taken;
    memmove(http->buffer, http->buffer + taken, http->length + 1);
    return true;
}

/* The next that is an event. */
static void take_event(http_t *http, block_t *block)
{
    int64_t deadline_ms = plumb_mono_ms() + WAIT_MS;
    do {
        if (!take_block(http, block))
            fail_msg("the stream ended");
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("no event came");
    } while (block->kind[0] == '\0');
}

static void want_event(http_t *http, const char *kind, const char *lead)
{
    static block_t block;
    json_error_t why;
    take_event(http, &block);
    if (strcmp(block.kind, kind) != 0)
        fail_msg("'%s' came, want '%s': %s", block.kind, kind, block.data);
    json_t *data = json_loads(block.data, JSON_REJECT_DUPLICATES, &why);
    const char *id = json_string_value(json_object_get(data, "id"));
    if (data == NULL || (lead != NULL && (id == NULL || strcmp(id, lead) != 0)))
        fail_msg("%s: '%s', want lead %s", kind, block.data, lead);
    json_decref(data);
}

static void end(http_t **http)
{
    http_close(http);
}

static void wait_streams(world_t *w, unsigned want)
{
    int64_t deadline_ms = plumb_mono_ms() + WAIT_MS;
    plumb_buf_t out = {0};
    char line[64];
    snprintf(line, sizeof line, "\nplumb_event_streams %u\n", want);
    (void)w;
    for (;;) {
        plumb_buf_clear(&out);
        plumb_metrics_write(&out, "ingest");
        if (strstr(out.data, line) != NULL)
            break;
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("want %u streams: %s", want, strstr(out.data, "\nplumb_event_streams"));
        pause_ms(10);
    }
    plumb_buf_fini(&out);
}

#define LEAD "018f0000-0000-7000-8000-0000000000%02d"
#define EVENT                                                                                      \
    "INSERT INTO events (account_id, id, kind, lead_id, data) VALUES ('%s', plumb_id_new(), "

/* ---- what is sent ---- */

static void tells_what_happens(void **state)
{
    world_t *w = *state;
    block_t block;
    http_t *http = ask(w, w->account->token, "", "");
    http_answer_t answer = http_take(http, true);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_header(&answer, "Content-Type"), "text/event-stream");
    assert_string_equal(http_header(&answer, "Cache-Control"), "no-cache");
    assert_string_equal(http_header(&answer, "X-Accel-Buffering"), "no");
    http_answer_fini(&answer);
    assert_true(take_block(http, &block)); /* a place to resume from at once */
    assert_true(block.id[0] != '\0' && block.kind[0] == '\0');
    account_sql(w->account, EVENT "'lead.status', '" LEAD "', '{\"status\": \"AtWork\"}')", w->id,
                1);
    take_event(http, &block);
    assert_string_equal(block.kind, "lead.status");
    json_t *data = json_loads(block.data, JSON_REJECT_DUPLICATES, NULL);
    assert_string_equal(json_string_value(json_object_get(data, "id")),
                        "018f0000-0000-7000-8000-000000000001");
    assert_string_equal(json_string_value(json_object_get(data, "status")), "AtWork");
    assert_int_equal(strlen(json_string_value(json_object_get(data, "at"))), 24);
    json_decref(data);
    account_sql(w->account, EVENT "'lead.odd', NULL, '[1]')", w->id); /* data that is no object */
    want_event(http, "lead.odd", NULL);
    end(&http);
}

static void one_row_of_many_leads(void **state)
{
    world_t *w = *state;
    block_t block;
    http_t *http = follow(w, "", "");
    assert_true(take_block(http, &block));
    account_sql(w->account,
                "INSERT INTO events (account_id, id, kind, lead_ids) VALUES "
                "('%s', plumb_id_new(), 'lead.created', '{" LEAD "," LEAD "," LEAD "}')",
                w->id, 1, 2, 3);
    account_sql(w->account, EVENT "'lead.deleted', '" LEAD "', NULL)", w->id, 4);
    want_event(http, "lead.created", "018f0000-0000-7000-8000-000000000001");
    take_event(http, &block);
    end(&http);
    http = follow(w, "", block.id); /* in the middle of the row */
    want_event(http, "lead.created", "018f0000-0000-7000-8000-000000000003");
    take_event(http, &block);
    assert_string_equal(block.kind, "lead.deleted");
    end(&http);
    http = follow(w, "", block.id);
    account_sql(w->account, EVENT "'lead.updated', '" LEAD "', NULL)", w->id, 5);
    want_event(http, "lead.updated", NULL);
    end(&http);
}

static void kinds(void **state)
{
    static const char *const queries[] = {"?filter[kind]=lead.status,lead.paid",
                                          "?filter%5Bkind%5D=lead.status&filter[kind]=lead.paid",
                                          "?filter[kind][]=lead.paid&filter[kind][]=lead.status"};
    world_t *w = *state;
    for (size_t i = 0; i < PLUMB_COUNT(queries); i++) {
        block_t block;
        http_t *http = follow(w, queries[i], "");
        assert_true(take_block(http, &block));
        account_sql(w->account, EVENT "'lead.created', NULL, NULL)", w->id);
        account_sql(w->account, EVENT "'lead.paid', NULL, NULL)", w->id);
        account_sql(w->account, EVENT "'lead.statu', NULL, NULL)", w->id);
        account_sql(w->account, EVENT "'lead.status', NULL, NULL)", w->id);
        want_event(http, "lead.paid", NULL);
        want_event(http, "lead.status", NULL);
        end(&http);
        http = follow(w, queries[i], block.id); /* likewise what was missed */
        want_event(http, "lead.paid", NULL);
        want_event(http, "lead.status", NULL);
        end(&http);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *query, *last;
        int status;
        const char *in;
    } cases[] = {{"?filter[kind]=", "", 400, "filter[kind]"},
                 {"?filter[kind]=A%20b", "", 400, "filter[kind]"},
                 {"?sort=id", "", 400, "\"parameter\":\"sort\""},
                 {"", "x", 400, "Last-Event-ID"},
                 {"", "12", 400, "Last-Event-ID"},
                 {"", "12.018f0000-0000-7000-8000-000000000001", 400, "Last-Event-ID"},
                 {"", "-1.5", 400, "Last-Event-ID"},
                 {"", "99999999999999999999.5", 400, "Last-Event-ID"}};
    world_t *w = *state;
    char reader[64];
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        http_t *http = ask(w, w->account->token, cases[i].query, cases[i].last);
        http_answer_t answer = http_take(http, false);
        if (answer.status != cases[i].status || strstr(answer.body, cases[i].in) == NULL)
            fail_msg("%s '%s': %d %s", cases[i].query, cases[i].last, answer.status, answer.body);
        http_answer_fini(&answer);
        end(&http);
    }
    http_t *http = ask(w, "none", "", "");
    http_answer_t answer = http_take(http, false);
    assert_int_equal(answer.status, 401);
    http_answer_fini(&answer);
    end(&http);
    account_token(w->account, "eventswrites", "write", NULL, reader);
    http = ask(w, reader, "", "");
    answer = http_take(http, false);
    assert_int_equal(answer.status, 403);
    http_answer_fini(&answer);
    end(&http);
}

/* ---- whose they are ---- */

static void only_the_askers(void **state)
{
    world_t *w = *state;
    block_t block;
    char bound[64];
    account_token(w->account, "eventsbounds", "read", &w->account->project, bound);
    http_t *all = follow(w, "", ""), *one = ask(w, bound, "", "");
    http_answer_t answer = http_take(one, true);
    assert_int_equal(answer.status, 200);
    http_answer_fini(&answer);
    assert_true(take_block(all, &block) && take_block(one, &block));
    account_sql(w->account,
                "INSERT INTO leads (account_id, id, user_id, project_id, quiz_id) VALUES "
                "('%s', '" LEAD "', '%s', '%s', '%s'), ('%s', '" LEAD "', '%s', '%s', '%s')",
                w->id, 21, w->id, w->id, w->id, w->id, 22, w->id, w->project, w->id);
    account_sql(w->account, EVENT "'lead.foreign', NULL, NULL)",
                "018f0000-0000-7000-8000-0000000000ff");
    account_sql(w->account, EVENT "'lead.other', '" LEAD "', NULL)", w->id, 21);
    account_sql(w->account, EVENT "'lead.none', NULL, NULL)", w->id);
    account_sql(w->account, EVENT "'lead.bound', '" LEAD "', NULL)", w->id, 22);
    want_event(all, "lead.other", NULL);
    want_event(all, "lead.none", NULL);
    want_event(all, "lead.bound", NULL);
    want_event(one, "lead.bound", NULL);
    end(&one);
    one = ask(w, bound, "", block.id);
    answer = http_take(one, true);
    http_answer_fini(&answer);
    want_event(one, "lead.bound", NULL);
    end(&one);
    end(&all);
}

/* ---- order and resumption ---- */

static PGconn *connect_to(world_t *w)
{
    PGconn *conn = PQconnectdb(w->account->conninfo);
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    return conn;
}

static void run_sql(PGconn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void run_sql(PGconn *conn, const char *format, ...)
{
    char sql[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(r);
}

/* What commits late has an older number than what was seen meanwhile. */
static void late_commits_are_not_passed_over(void **state)
{
    world_t *w = *state;
    block_t block;
    PGconn *late = connect_to(w);
    http_t *http = follow(w, "", "");
    assert_true(take_block(http, &block));
    run_sql(late, "BEGIN");
    run_sql(late, EVENT "'lead.late', NULL, NULL)", w->id);
    account_sql(w->account, EVENT "'lead.early', NULL, NULL)", w->id);
    for (int pings = 0; pings < 3; pings++) { /* quiet while it is open; its place does not move */
        assert_true(take_block(http, &block));
        assert_string_equal(block.kind, "");
    }
    end(&http);
    http = follow(w, "", block.id);
    run_sql(late, "COMMIT");
    want_event(http, "lead.late", NULL);
    want_event(http, "lead.early", NULL);
    end(&http);
    PQfinish(late);
}

static void more_than_is_kept(void **state)
{
    world_t *w = *state;
    block_t block;
    char last[96] = "";
    http_t *http = follow(w, "", "");
    assert_true(take_block(http, &block));
    account_sql(w->account,
                "INSERT INTO events (account_id, id, kind, lead_ids) SELECT '%s', plumb_id_new(), "
                "'lead.many', array_agg(lpad(i::text, 32, '0')::uuid ORDER BY i) "
                "FROM generate_series(1, %d) i",
                w->id, FAR_EVENTS);
    for (int i = 1; i <= FAR_EVENTS; i++) {
        char lead[64];
        take_event(http, &block);
        snprintf(lead, sizeof lead, "\"id\":\"00000000-0000-0000-0000-%012d\"", i);
        if (strstr(block.data, lead) == NULL)
            fail_msg("event %d: %s", i, block.data);
        if (i % 1000 == 500) {
            snprintf(last, sizeof last, "%s", block.id);
            end(&http);
            http = follow(w, "", last);
        }
    }
    end(&http);
}

static void resets(void **state)
{
    world_t *w = *state;
    char places[3][96];
    long xid = account_count(w->account, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text");
    plumb_uuid_t old = plumb_uuid_at(plumb_wall_ms() - INT64_C(90000000));
    char text[PLUMB_UUID_TEXT];
    snprintf(places[0], sizeof places[0], "%ld.%" PRId64, xid, plumb_wall_ms() - INT64_C(90000000));
    snprintf(places[1], sizeof places[1], "%ld.%s.1", xid, plumb_uuid_text(&old, text));
    snprintf(places[2], sizeof places[2], "%ld.%" PRId64, xid + 1000000, plumb_wall_ms());
    for (int i = 0; i < 3; i++) {
        block_t block;
        http_t *http = follow(w, "", places[i]);
        take_event(http, &block);
        assert_string_equal(block.kind, "reset");
        assert_string_equal(block.data, "{}");
        assert_true(block.id[0] != '\0');
        account_sql(w->account, EVENT "'lead.on', NULL, NULL)", w->id);
        want_event(http, "lead.on", NULL);
        end(&http);
    }
    block_t block;
    http_t *http = follow(w, "", "");
    assert_true(take_block(http, &block));
    end(&http);
    account_sql(w->account,
                "INSERT INTO events (account_id, id, kind) SELECT '%s', gen_random_uuid(), "
                "'lead.far' FROM generate_series(1, 10001)",
                w->id);
    http = follow(w, "", block.id);
    take_event(http, &block);
    assert_string_equal(block.kind, "reset");
    end(&http);
}

/* ---- a storm ---- */

#define WRITERS 4
#define TRANSACTIONS 200

typedef struct storm {
    world_t *world;
    atomic_uint seeds;
} storm_t;

static void *write_events(void *argument)
{
    storm_t *s = argument;
    unsigned seed = atomic_fetch_add(&s->seeds, 1) + 1;
    PGconn *conn = connect_to(s->world);
    for (int times = 0; times < TRANSACTIONS; times++) {
        int leads = rand_r(&seed) % 6;
        run_sql(conn, "BEGIN");
        run_sql(conn,
                "INSERT INTO events (account_id, id, kind, lead_ids) SELECT '%s', plumb_id_new(), "
                "'lead.storm', array_agg(gen_random_uuid()) FROM generate_series(0, %d)",
                s->world->id, leads);
        for (int i = rand_r(&seed) % 40; i > 0; i--) /* others overtake it meanwhile */
            run_sql(conn, "SELECT count(*) FROM pg_class");
        run_sql(conn, rand_r(&seed) % 6 == 0 ? "ROLLBACK" : "COMMIT");
    }
    PQfinish(conn);
    return NULL;
}

/* Read until the ledger says so, cutting the stream now and then; `seen` gets every lead's id. */
static void read_storm(world_t *w, const char *from, plumb_buf_t *seen)
{
    block_t block;
    char last[96];
    unsigned seed = 5;
    int64_t deadline_ms = plumb_mono_ms() + INT64_C(3) * WAIT_MS;
    snprintf(last, sizeof last, "%s", from);
    http_t *http = follow(w, "?filter[kind]=lead.storm,lead.end", last);
    for (;;) {
        if (!take_block(http, &block) || plumb_mono_ms() > deadline_ms)
            fail_msg("the storm's end did not come");
        if (block.id[0] != '\0')
            snprintf(last, sizeof last, "%s", block.id);
        if (strcmp(block.kind, "lead.end") == 0)
            break;
        const char *id = strstr(block.data, "\"id\":\"");
        if (block.kind[0] != '\0')
            plumb_buf_printf(seen, "%.36s\n", id + 6);
        if (rand_r(&seed) % 200 == 0) {
            end(&http);
            http = follow(w, "?filter[kind]=lead.storm,lead.end", last);
        }
    }
    end(&http);
}

static void *end_storm(void *argument)
{
    storm_t *s = argument;
    pthread_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&writers[i], NULL, write_events, s);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    PGconn *conn = connect_to(s->world);
    run_sql(conn, EVENT "'lead.end', NULL, NULL)", s->world->id);
    PQfinish(conn);
    return NULL;
}

static int compare_lines(const void *a, const void *b)
{
    return memcmp(a, b, 37);
}

static void nothing_lost_or_doubled(void **state)
{
    world_t *w = *state;
    storm_t storm = {.world = w};
    plumb_buf_t seen = {0};
    block_t block;
    pthread_t thread;
    http_t *http = follow(w, "", "");
    assert_true(take_block(http, &block));
    end(&http);
    assert_int_equal(pthread_create(&thread, NULL, end_storm, &storm), 0);
    read_storm(w, block.id, &seen);
    pthread_join(thread, NULL);
    PGconn *conn = connect_to(w);
    PGresult *r = PQexec(conn, "SELECT l FROM (SELECT unnest(lead_ids)::text COLLATE \"C\" AS l "
                               "FROM events WHERE kind = 'lead.storm') s ORDER BY l");
    size_t rows = (size_t)PQntuples(r);
    assert_true(rows > 500);
    bool whole = seen.data != NULL && seen.length == rows * 37;
    if (whole)
        qsort(seen.data, rows, 37, compare_lines);
    for (size_t i = 0; whole && i < rows; i++)
        if (memcmp(seen.data + i * 37, PQgetvalue(r, (int)i, 0), 36) != 0)
            fail_msg("lead %zu of %zu: %.36s, want %s", i, rows, seen.data + i * 37,
                     PQgetvalue(r, (int)i, 0));
    assert_true(whole);
    PQclear(r);
    PQfinish(conn);
    plumb_buf_fini(&seen);
}

/* ---- how many, and how they end ---- */

static void caps(void **state)
{
    world_t *w = *state;
    http_t *list[3];
    wait_streams(w, 0);
    for (size_t i = 0; i < PLUMB_COUNT(list); i++)
        list[i] = follow(w, "", "");
    http_t *http = ask(w, w->account->token, "", "");
    http_answer_t answer = http_take(http, false);
    assert_int_equal(answer.status, 503);
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    assert_non_null(strstr(answer.body, "\"unavailable\""));
    http_answer_fini(&answer);
    end(&http);
    answer = http_exchange(w->port, "GET", "/healthz", "", NULL);
    assert_int_equal(answer.status, 200);
    http_answer_fini(&answer);
    end(&list[0]);
    wait_streams(w, 2); /* it is missed at the next ping */
    list[0] = follow(w, "", "");
    for (size_t i = 0; i < PLUMB_COUNT(list); i++)
        end(&list[i]);
    wait_streams(w, 0);
}

static void a_revoked_token_ends_its_stream(void **state)
{
    world_t *w = *state;
    block_t block;
    char token[64];
    account_token(w->account, "eventsgoings", "read", NULL, token);
    http_t *http = ask(w, token, "", "");
    http_answer_t answer = http_take(http, true);
    assert_int_equal(answer.status, 200);
    http_answer_fini(&answer);
    account_sql(w->account, "UPDATE tokens SET revoked_at = now() WHERE id = 'eventsgoings'");
    int64_t deadline_ms = plumb_mono_ms() + WAIT_MS;
    while (take_block(http, &block))
        assert_true(plumb_mono_ms() < deadline_ms);
    assert_true(plumb_mono_ms() < deadline_ms);
    end(&http);
}

/* One does not read: it is cut off, and the other sees everything meanwhile. */
static void a_slow_reader_harms_nobody(void **state)
{
    world_t *w = *state;
    block_t block;
    wait_streams(w, 0);
    http_t *slow = follow(w, "", ""), *good = follow(w, "", "");
    assert_true(take_block(good, &block));
    for (int i = 0; i < 60; i++) {
        account_sql(w->account,
                    "INSERT INTO events (account_id, id, kind, data) SELECT '%s', plumb_id_new(), "
                    "'lead.large', jsonb_build_object('x', repeat('y', 16000)) "
                    "FROM generate_series(1, 20)",
                    w->id);
        for (int k = 0; k < 20; k++)
            want_event(good, "lead.large", NULL);
    }
    wait_streams(w, 1);
    end(&slow);
    end(&good);
}

static void streams_end_with_the_daemon(void **state)
{
    world_t *w = *state;
    block_t block;
    wait_streams(w, 0);
    http_t *http = follow(w, "", "");
    assert_true(take_block(http, &block));
    int64_t began_ms = plumb_mono_ms();
    ingest_close(&w->ingest);
    assert_true(plumb_mono_ms() - began_ms < 10000); /* without streams' end it waits for 25 s */
    while (take_block(http, &block))
        continue;
    end(&http);
    account_sql(w->account, EVENT "'lead.while', NULL, NULL)", w->id);
    start(w);
    http = follow(w, "", block.id); /* at another process */
    want_event(http, "lead.while", NULL);
    end(&http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_happens),
        cmocka_unit_test(one_row_of_many_leads),
        cmocka_unit_test(kinds),
        cmocka_unit_test(refusals),
        cmocka_unit_test(only_the_askers),
        cmocka_unit_test(late_commits_are_not_passed_over),
        cmocka_unit_test(more_than_is_kept),
        cmocka_unit_test(resets),
        cmocka_unit_test(nothing_lost_or_doubled),
        cmocka_unit_test(caps),
        cmocka_unit_test(a_revoked_token_ends_its_stream),
        cmocka_unit_test(a_slow_reader_harms_nobody),
        cmocka_unit_test(streams_end_with_the_daemon),
    };
    return cmocka_run_group_tests_name("ingest events", tests, setup, teardown);
}
