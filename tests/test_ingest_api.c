/* The API as its clients see it: a whole ingest on a free port, raw HTTP, a real database. */
#include "account.h"
#include "clock.h"
#include "count.h"
#include "http.h"
#include "ingest.h"
#include "server.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define JSONAPI "application/vnd.api+json"

typedef struct world {
    account_t *account;
    ingest_t ingest;
    int port;
    char auth[256];
} world_t;

static plumb_err_t err;

/* The interval of asking again, never a wait by itself. */
static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

static void wait_ready(world_t *w)
{
    int64_t deadline_ms = plumb_mono_ms() + 20000;
    while (ingest_ready(&w->ingest, &err) < 0) {
        if (plumb_mono_ms() > deadline_ms)
            fail_msg("not ready: %s", err.text);
        pause_ms(5);
    }
}

static void start(world_t *w)
{
    w->ingest = (ingest_t){.daemon = {.signal_fd = -1}};
    if (ingest_open(&w->ingest, &w->account->conf, &err) < 0)
        fail_msg("open: %s", err.text);
    w->port = server_port(w->ingest.server);
    snprintf(w->auth, sizeof w->auth,
             "Authorization: Bearer %s\r\nContent-Type: " JSONAPI "\r\nAccept: " JSONAPI "\r\n",
             w->account->token);
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    *state = w;
    w->account = account_new();
    start(w);
    wait_ready(w);
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

/* ---- helpers ---- */

static http_answer_t ask(world_t *w, const char *method, const char *path, const char *more,
                         const char *body)
{
    char headers[1024];
    snprintf(headers, sizeof headers, "%s%s", w->auth, more);
    return http_exchange(w->port, method, path, headers, body);
}

static http_answer_t post(world_t *w, const char *attributes, const char *more)
{
    char document[4096];
    account_document(w->account, attributes, document, sizeof document);
    return ask(w, "POST", "/api/v1/leads", more, document);
}

static json_t *parse(const http_answer_t *answer)
{
    json_error_t why;
    json_t *tree = json_loads(answer->body, JSON_REJECT_DUPLICATES, &why);
    if (tree == NULL)
        fail_msg("no JSON (%s): %s", why.text, answer->body);
    return tree;
}

/* The text at a path such as "data.attributes.name" or "errors.0.code"; "" if it is not there. */
static const char *text_at(json_t *tree, const char *path)
{
    static char name[64];
    while (*path != '\0') {
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        tree = json_is_array(tree) ? json_array_get(tree, strtoul(name, NULL, 10))
                                   : json_object_get(tree, name);
        path += length + (path[length] == '.');
    }
    return json_is_string(tree) ? json_string_value(tree) : "";
}

static void want_error(const char *what, const http_answer_t *answer, int status, const char *code)
{
    if (answer->status != status)
        fail_msg("%s: status %d, want %d: %s", what, answer->status, status, answer->body);
    json_t *tree = parse(answer);
    if (strcmp(text_at(tree, "errors.0.code"), code) != 0)
        fail_msg("%s: %s, want %s", what, answer->body, code);
    if (strcmp(http_header(answer, "Content-Type"), JSONAPI) != 0 ||
        *http_header(answer, "X-Request-Id") == '\0' ||
        strcmp(http_header(answer, "Vary"), "Accept") != 0)
        fail_msg("%s: head %s", what, answer->head);
    json_decref(tree);
}

/* ---- a lead comes in and is read back ---- */

static void takes_and_shows(void **state)
{
    world_t *w = *state;
    http_answer_t made =
        post(w,
             ",\"name\":\"\\u0410\\u043d\\u043d\\u0430\",\"phone\":\"8 (900) 555-12-34\","
             "\"email\":\" Anna@Mail.EXAMPLE \",\"contacts\":{\"telegram\":\"@anna\"},"
             "\"data\":{\"answers\":[ 1 , {\"b\":2,\"a\":\"x\"} ]},\"ipAddress\":\"2001:DB8::1\"",
             "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n");
    assert_int_equal(made.status, 201);
    json_t *tree = parse(&made);
    assert_string_equal(http_header(&made, "Location"), text_at(tree, "data.links.self"));
    assert_string_equal(http_header(&made, "X-Request-Id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(text_at(tree, "data.attributes.phone"), "+79005551234");
    assert_string_equal(text_at(tree, "data.attributes.email"), "Anna@mail.example");
    assert_string_equal(text_at(tree, "data.attributes.status"), "New");
    assert_string_equal(text_at(tree, "data.attributes.integrationStatus"), "none");
    assert_string_equal(text_at(tree, "data.attributes.ipAddress"), "2001:db8::1");

    http_answer_t seen = ask(w, "GET", http_header(&made, "Location"), "", NULL);
    assert_int_equal(seen.status, 200);
    json_t *again = parse(&seen);
    if (!json_equal(json_object_get(json_object_get(tree, "data"), "attributes"),
                    json_object_get(json_object_get(again, "data"), "attributes")))
        fail_msg("made %s\nseen %s", made.body, seen.body);
    http_answer_t head = ask(w, "HEAD", http_header(&made, "Location"), "", NULL);
    assert_int_equal(head.status, 200);
    assert_string_equal(http_header(&head, "Content-Length"), http_header(&seen, "Content-Length"));
    assert_int_equal(account_count(w->account, "SELECT count(*) FROM leads WHERE trace->1->>0"
                                               " = 'shape' AND traceparent LIKE "
                                               "'00-4bf92f3577b34da6a3ce929d0e0e4736-%%-01'"),
                     1);
    json_decref(tree);
    json_decref(again);
    http_answer_fini(&made);
    http_answer_fini(&seen);
    http_answer_fini(&head);
}

/* ---- deliveries are made with the lead ---- */

static void makes_deliveries(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    char text[PLUMB_UUID_TEXT];
    account_credential(a, "webhooks", "{\"url\":\"https://one.example/\"}", NULL);
    plumb_uuid_t off = account_credential(a, "mail", "{}", NULL);
    account_credential(a, "webhooks", "{\"url\":\"https://two.example/\"}", &a->quiz);
    account_sql(a, "UPDATE credentials SET enabled = false WHERE id = '%s'",
                plumb_uuid_text(&off, text));
    http_answer_t made = post(w, "", "");
    assert_int_equal(made.status, 201);
    const char *id = strrchr(http_header(&made, "Location"), '/') + 1;
    const struct {
        const char *state, *reason;
    } want[] = {
        {"pending", ""}, {"skipped", "credential_disabled"}, {"skipped", "quiz_has_its_own"}};
    for (size_t i = 0; i < PLUMB_COUNT(want); i++)
        if (account_count(a,
                          "SELECT count(*) FROM deliveries WHERE lead_id = '%s' AND state = '%s' "
                          "AND coalesce(reason, '') = '%s'",
                          id, want[i].state, want[i].reason) != 1)
            fail_msg("no delivery %s(%s)", want[i].state, want[i].reason);
    account_sql(a,
                "INSERT INTO attempts (account_id, delivery_id, attempt, outcome, counted, status, "
                "worker, detail) SELECT account_id, id, 1, 'retry', true, 500, 'worker-0', 'no' "
                "FROM deliveries WHERE lead_id = '%s' AND state = 'pending'",
                id);
    char path[128];
    snprintf(path, sizeof path, "/api/v1/leads/%s?include=deliveries%%2Cdeliveries.attempts", id);
    http_answer_t seen = ask(w, "GET", path, "", NULL);
    json_t *tree = parse(&seen);
    assert_int_equal(json_array_size(json_object_get(tree, "included")), 4);
    assert_string_equal(text_at(tree, "data.attributes.integrationStatus"), "pending");
    assert_string_equal(text_at(tree, "included.3.type"), "attempts");
    assert_string_equal(text_at(tree, "included.3.attributes.outcome"), "retry");
    assert_string_equal(text_at(tree, "links.self"), path);
    json_decref(tree);
    http_answer_fini(&made);
    http_answer_fini(&seen);
    account_sql(a, "DELETE FROM credential_links");
}

/* ---- what is refused ---- */

static void refuses(void **state)
{
    world_t *w = *state;
    static const char ghost[] = "/api/v1/leads/0190c9d2-0000-7000-8000-000000000000";
    char read_only[64], auth[256];
    account_token(w->account, "readonlytokn", "read", NULL, read_only);
    snprintf(auth, sizeof auth, "Authorization: Bearer %s\r\nContent-Type: " JSONAPI "\r\n",
             read_only);
    const struct {
        const char *name, *method, *path, *headers, *body;
        int status;
        const char *code, *header;
    } cases[] = {
        {"no token", "GET", ghost, "", NULL, 401, "unauthenticated", "WWW-Authenticate"},
        {"no such token", "GET", ghost, "Authorization: Bearer zzzzzzzzzzzz.no\r\n", NULL, 401,
         "unauthenticated", "WWW-Authenticate"},
        {"wrong secret", "GET", ghost, "Authorization: Bearer abcdefghijkl.no\r\n", NULL, 401,
         "unauthenticated", "WWW-Authenticate"},
        {"scope", "POST", "/api/v1/leads", auth, "{}", 403, "forbidden", NULL},
        {"no lead", "GET", ghost, w->auth, NULL, 404, "not_found", NULL},
        {"no uuid", "GET", "/api/v1/leads/1", w->auth, NULL, 404, "not_found", NULL},
        {"no path", "GET", "/api/v1/nothing", w->auth, NULL, 404, "not_found", NULL},
        {"longer path", "GET", "/api/v1/leadsx", w->auth, NULL, 404, "not_found", NULL},
        {"method", "DELETE", "/api/v1/leads", w->auth, NULL, 405, "method_not_allowed", "Allow"},
        {"OPTIONS", "OPTIONS", "/api/v1/leads", w->auth, NULL, 405, "method_not_allowed", "Allow"},
        {"Accept", "GET", ghost, "Accept: application/vnd.api+json; charset=utf-8\r\n", NULL, 406,
         "not_acceptable", NULL},
        {"Content-Type", "POST", "/api/v1/leads", "Content-Type: text/plain\r\n", "{}", 415,
         "unsupported_media_type", NULL},
        {"extension", "POST", "/api/v1/leads",
         "Content-Type: application/vnd.api+json; ext=\"x\"\r\n", "{}", 415,
         "unsupported_media_type", NULL},
        {"parameter", "GET", "/api/v1/leads/0190c9d2-0000-7000-8000-000000000000?x=1", w->auth,
         NULL, 400, "bad_parameter", NULL},
        {"parameter of a write", "POST", "/api/v1/leads?include=quiz", w->auth, "{}", 400,
         "bad_parameter", NULL},
        {"JSON", "POST", "/api/v1/leads", w->auth, "{", 400, "bad_json", NULL},
        {"NUL", "POST", "/api/v1/leads", w->auth,
         "{\"data\":{\"type\":\"leads\",\"attributes\":{\"name\":\"\\u0000\"}}}", 400, "bad_json",
         NULL},
        {"type", "POST", "/api/v1/leads", w->auth, "{\"data\":{\"type\":\"cats\"}}", 409,
         "type_conflict", NULL},
        {"id", "POST", "/api/v1/leads", w->auth, "{\"data\":{\"type\":\"leads\",\"id\":\"1\"}}",
         403, "client_id_unsupported", NULL},
        {"array", "POST", "/api/v1/leads", w->auth, "{\"data\":[]}", 400, "bad_document", NULL},
        {"nothing", "POST", "/api/v1/leads", w->auth, "{\"data\":{\"type\":\"leads\"}}", 422,
         "required", NULL},
        {"key", "POST", "/api/v1/leads",
         "Idempotency-Key: a b\r\nContent-Type: " JSONAPI "\r\nAuthorization: Bearer "
         "abcdefghijkl.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\r\n",
         "{}", 400, "bad_request", NULL},
    };
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        http_answer_t answer =
            http_exchange(w->port, cases[i].method, cases[i].path, cases[i].headers, cases[i].body);
        want_error(cases[i].name, &answer, cases[i].status, cases[i].code);
        if (cases[i].header != NULL && *http_header(&answer, cases[i].header) == '\0')
            fail_msg("%s: no %s", cases[i].name, cases[i].header);
        http_answer_fini(&answer);
    }
}

/* Everything that is wrong is told at once, each with its place. */
static void tells_all(void **state)
{
    world_t *w = *state;
    http_answer_t answer =
        ask(w, "POST", "/api/v1/leads", "",
            "{\"data\":{\"type\":\"leads\",\"attributes\":{\"userId\":\"x\",\"nose\":1,"
            "\"paid\":true,\"name\":5,\"email\":\"a@b\",\"phone\":\"call me\",\"data\":\"x\","
            "\"quizId\":\"0190c9d2-0000-7000-8000-000000000000\"}}}");
    static const char *const pointers[] = {"/userId", "/nose",   "/paid",  "/name", "/data",
                                           "",        "/quizId", "/phone", "/email"};
    want_error("all", &answer, 422, "invalid");
    json_t *tree = parse(&answer), *errors = json_object_get(tree, "errors");
    assert_int_equal(json_array_size(errors), PLUMB_COUNT(pointers));
    for (size_t i = 0; i < PLUMB_COUNT(pointers); i++) {
        char want[64];
        snprintf(want, sizeof want, "/data/attributes%s", pointers[i]);
        assert_string_equal(text_at(json_array_get(errors, i), "source.pointer"), want);
    }
    json_decref(tree);
    http_answer_fini(&answer);
}

/* ---- the wall between accounts and projects ---- */

static void walls(void **state)
{
    world_t *w = *state;
    account_t *a = w->account;
    char token[64], headers[256], id[PLUMB_UUID_TEXT];
    plumb_uuid_t other = plumb_uuid_new();
    http_answer_t made = post(w, "", "");
    account_sql(a,
                "INSERT INTO projects (account_id, id, user_id, name) SELECT account_id, '%s', "
                "user_id, 'other' FROM projects LIMIT 1",
                plumb_uuid_text(&other, id));
    account_token(a, "otherproject", "read,write", &other, token);
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nContent-Type: " JSONAPI "\r\n",
             token);
    http_answer_t seen =
        http_exchange(w->port, "GET", http_header(&made, "Location"), headers, NULL);
    want_error("another project's lead", &seen, 404, "not_found");
    char document[1024];
    account_document(a, "", document, sizeof document);
    http_answer_t refused = http_exchange(w->port, "POST", "/api/v1/leads", headers, document);
    want_error("another project's quiz", &refused, 422, "invalid");
    account_sql(a, "UPDATE tokens SET revoked_at = now() WHERE id = 'otherproject'");
    http_answer_t revoked =
        http_exchange(w->port, "GET", http_header(&made, "Location"), headers, NULL);
    want_error("revoked", &revoked, 401, "unauthenticated");
    http_answer_fini(&made);
    http_answer_fini(&seen);
    http_answer_fini(&refused);
    http_answer_fini(&revoked);
}

/* ---- guessers ---- */

/* The last: it keeps this address out. */
static void keeps_guessers_out(void **state)
{
    world_t *w = *state;
    static const char ghost[] = "/api/v1/leads/0190c9d2-0000-7000-8000-000000000000";
    http_answer_t good = ask(w, "GET", ghost, "", NULL);
    int refused = 0;
    assert_int_equal(good.status, 404);
    for (int i = 0; i < 20; i++) {
        http_answer_t guess = http_exchange(w->port, "GET", ghost,
                                            "Authorization: Bearer abcdefghijkl.guess\r\n", NULL);
        refused += guess.status == 429;
        if (guess.status != 401 && guess.status != 429)
            fail_msg("status %d", guess.status);
        if (guess.status == 429)
            assert_in_range(strtol(http_header(&guess, "Retry-After"), NULL, 10), 1, 60);
        http_answer_fini(&guess);
    }
    assert_in_range(refused, 10, 19);
    http_answer_t still = ask(w, "GET", ghost, "", NULL); /* a good token is known, and goes on */
    assert_int_equal(still.status, 404);
    http_answer_fini(&good);
    http_answer_fini(&still);
}

/* ---- the database goes away and comes back ---- */

static void survives_outage(void **state)
{
    world_t *w = *state;
    pg_stop();
    http_answer_t away = post(w, "", "");
    want_error("database away", &away, 503, "unavailable");
    assert_string_equal(http_header(&away, "Retry-After"), "1");
    http_answer_t ready = http_exchange(w->port, "GET", "/readyz?verbose", "", NULL);
    for (int i = 0; i < 100 && ready.status == 200; i++) { /* it asks once a second */
        pause_ms(100);
        http_answer_fini(&ready);
        ready = http_exchange(w->port, "GET", "/readyz?verbose", "", NULL);
    }
    assert_int_equal(ready.status, 503);
    assert_non_null(strstr(ready.body, "database"));
    ingest_close(&w->ingest); /* also at the start it may be away */
    start(w);
    http_answer_t early = post(w, "", "");
    want_error("not there yet", &early, 503, "unavailable");
    pg_start();
    wait_ready(w);
    http_answer_t back = post(w, "", "");
    for (int i = 0; i < 50 && back.status == 503; i++) { /* the readers' own back-off */
        pause_ms(100);
        http_answer_fini(&back);
        back = post(w, "", "");
    }
    assert_int_equal(back.status, 201);
    http_answer_t metrics = http_exchange(w->port, "GET", "/metrics", "", NULL);
    assert_non_null(strstr(metrics.body, "plumb_leads_accepted_total"));
    http_answer_fini(&away);
    http_answer_fini(&ready);
    http_answer_fini(&early);
    http_answer_fini(&back);
    http_answer_fini(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_and_shows),
        cmocka_unit_test(makes_deliveries),
        cmocka_unit_test(refuses),
        cmocka_unit_test(tells_all),
        cmocka_unit_test(walls),
        cmocka_unit_test(survives_outage),
        cmocka_unit_test(keeps_guessers_out),
    };
    pg_conninfo();
    return cmocka_run_group_tests(tests, setup, teardown);
}
