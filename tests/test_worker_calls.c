/* The worker's core against receivers of every bad kind. */
#include "fake_http.h"
#include "worker_bench.h"

#include "count.h"

static fake_http_t *http;

static int start(void **state)
{
    (void)state;
    http = fake_http_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_http_stop(&http);
    return 0;
}

static const char *fields_for(const char *path)
{
    static char fields[512];
    snprintf(fields, sizeof fields, "{\"url\":\"http://127.0.0.1:%d%s\",\"style\":\"json\"}",
             fake_http_port(http), path);
    return fields;
}

static bool has(plumb_slice_t text, const char *word)
{
    return memmem(text.data, text.length, word, strlen(word)) != NULL;
}

static const char *const quick[] = {"worker.call_timeout=700ms", "worker.connect_timeout=500ms",
                                    NULL};

static void ends_in_its_class(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        plumb_outcome_t outcome;
        int status, arrivals;
        int64_t retry_after_ms;
        const char *detail;
    } rows[] = {
        {"/ok", PLUMB_OUT_ok, 200, 1, 0, ""},
        {"/status/204", PLUMB_OUT_ok, 204, 1, 0, ""},
        {"/status/500", PLUMB_OUT_retry, 500, 1, 0, "500"},
        {"/status/503?Retry-After=7", PLUMB_OUT_retry, 503, 1, 7000, "503"},
        {"/status/500?Retry-After=7", PLUMB_OUT_retry, 500, 1, 0, "500"},
        {"/status/429?Retry-After=9", PLUMB_OUT_throttled, 429, 1, 9000, "429"},
        {"/status/429?Retry-After=soon", PLUMB_OUT_throttled, 429, 1, 0, "429"},
        {"/status/408", PLUMB_OUT_retry, 408, 1, 0, "408"},
        {"/status/425", PLUMB_OUT_retry, 425, 1, 0, "425"},
        {"/status/401", PLUMB_OUT_credentials, 401, 1, 0, "401"},
        {"/status/403", PLUMB_OUT_credentials, 403, 1, 0, "403"},
        {"/status/404", PLUMB_OUT_permanent, 404, 1, 0, "404"},
        {"/status/422", PLUMB_OUT_permanent, 422, 1, 0, "422"},
        {"/status/410", PLUMB_OUT_gone, 410, 1, 0, "410"},
        {"/redirect", PLUMB_OUT_retry, 302, 1, 0, "/ok"},
        {"/hang", PLUMB_OUT_ambiguous, 0, 1, 0, "time-out"},
        {"/drip", PLUMB_OUT_ambiguous, 200, 1, 0, "time-out"},
        {"/close", PLUMB_OUT_ambiguous, 0, 1, 0, "without an answer"},
        {"/reset", PLUMB_OUT_ambiguous, 0, 1, 0, ""},
        {"/partial", PLUMB_OUT_ambiguous, 200, 1, 0, "broke off"},
        {"/garbage", PLUMB_OUT_ambiguous, 0, 1, 0, "not of this protocol"},
        {"/flood", PLUMB_OUT_ambiguous, 200, 1, 0, "head is too large"},
        {"/big", PLUMB_OUT_ok, 200, 1, 0, ""},
        {"/big?chunked", PLUMB_OUT_ok, 200, 1, 0, ""},
    };
    bench_t *b = bench_open(NULL, quick);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        int before = fake_http_requests(http);
        b->credential = plumb_uuid_new(); /* a connection of its own */
        plumb_ticket_t t =
            bench_give(b, "webhooks", "send", fields_for(rows[i].path), NULL, TAKE_BEGUN);
        bench_until(b, i + 1, 10000);
        plumb_result_t r = bench_result(b, &t);
        if (r.outcome != rows[i].outcome || r.status != rows[i].status ||
            r.retry_after_ms != rows[i].retry_after_ms || !has(r.detail, rows[i].detail) ||
            r.resend != (r.outcome == PLUMB_OUT_ambiguous) || r.requests != 1 ||
            fake_http_requests(http) - before != rows[i].arrivals)
            fail_msg("%s: %s %d after %d detail '%.*s' arrivals %d", rows[i].path,
                     plumb_outcome_name(r.outcome), r.status, (int)r.retry_after_ms,
                     (int)r.detail.length, r.detail.data, fake_http_requests(http) - before);
    }
    bench_close(&b);
}

static void nothing_sent_is_retry(void **state)
{
    (void)state;
    static const struct {
        const char *url, *detail;
    } rows[] = {
        {"http://127.0.0.1:1/", "refuses"}, {"http://169.254.169.254/latest", "by number"},
        {"http://10.0.0.1/", "by number"},  {"http://0xa000001/", "by number"},
        {"http://user@127.0.0.1/", "user"}, {"ftp://127.0.0.1/", "https"},
    };
    bench_t *b = bench_open(NULL, quick);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char fields[256];
        b->credential = plumb_uuid_new();
        snprintf(fields, sizeof fields, "{\"url\":\"%s\"}", rows[i].url);
        plumb_ticket_t t = bench_give(b, "webhooks", "send", fields, NULL, TAKE_BEGUN);
        bench_until(b, i + 1, 10000);
        plumb_result_t r = bench_result(b, &t);
        if (r.outcome != PLUMB_OUT_retry || !has(r.detail, rows[i].detail) || r.requests != 0)
            fail_msg("%s: %s '%.*s'", rows[i].url, plumb_outcome_name(r.outcome),
                     (int)r.detail.length, r.detail.data);
    }
    bench_close(&b);
}

/* The library repeats a POST by itself when a reused connection closes unanswered; we must not. */
static void reused_connection_closed(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, quick);
    int before = fake_http_requests(http), connections = fake_http_connections(http);
    plumb_ticket_t first = bench_give(b, "webhooks", "send", fields_for("/once"), NULL, TAKE_BEGUN);
    bench_until(b, 1, 5000);
    plumb_ticket_t second =
        bench_give(b, "webhooks", "send", fields_for("/once"), NULL, TAKE_BEGUN);
    bench_until(b, 2, 5000);
    plumb_result_t one = bench_result(b, &first), two = bench_result(b, &second);
    assert_int_equal(one.outcome, PLUMB_OUT_ok);
    assert_int_equal(two.outcome, PLUMB_OUT_ambiguous);
    assert_int_equal(fake_http_requests(http) - before, 2);
    assert_int_equal(two.requests, 1);
    assert_true(fake_http_connections(http) - connections <= 2);
    bench_close(&b);
}

static void connections_are_kept_apart(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, quick);
    int connections = fake_http_connections(http);
    for (size_t i = 0; i < 6; i++) {
        if (i == 3)
            b->credential = plumb_uuid_new();
        bench_give(b, "webhooks", "send", fields_for("/ok"), NULL, TAKE_BEGUN);
        bench_until(b, i + 1, 5000);
    }
    assert_int_equal(fake_http_connections(http) - connections, 2);
    bench_close(&b);
}

static void lease_stops_the_first_byte(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, quick);
    int before = fake_http_requests(http);
    plumb_ticket_t t = bench_give(b, "webhooks", "send", fields_for("/ok"), NULL, TAKE_BEGUN);
    assert_int_equal(b->calls.first->state, CALL_FLYING);
    bench_lapse(b); /* after the step, before a byte left */
    for (int i = 0; i < 20; i++)
        bench_turn(b, 10);
    assert_int_equal(fake_http_requests(http) - before, 0);
    assert_int_equal(b->calls.first->state, CALL_HELD);
    assert_false(call_is_begun(b->calls.first));
    plumb_ticket_t later = bench_give(b, "webhooks", "send", fields_for("/ok"), NULL, TAKE_BEGUN);
    assert_int_equal(b->calls.last->state, CALL_WAITING);
    bench_renew(b);
    bench_until(b, 2, 5000);
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_ok);
    assert_int_equal(bench_result(b, &later).outcome, PLUMB_OUT_ok);
    assert_int_equal(fake_http_requests(http) - before, 2);
    bench_close(&b);
}

static void orphans(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, quick);
    plumb_ticket_t begun = bench_give(b, "webhooks", "send", fields_for("/hang"), NULL, TAKE_BEGUN);
    int before = fake_http_requests(http);
    for (int64_t end = plumb_mono_ms() + 5000; fake_http_requests(http) == before;) {
        assert_true(plumb_mono_ms() < end);
        bench_turn(b, 10);
    }
    bench_lapse(b);
    bench_give(b, "webhooks", "send", fields_for("/ok"), NULL, TAKE_BEGUN); /* waits */
    assert_int_equal(calls_count(&b->calls), 2);
    lease_fenced(&b->lease);
    calls_orphan(&b->calls);
    assert_int_equal(calls_count(&b->calls), 1); /* what had not begun is gone */
    assert_false(calls_recall(&b->calls, &begun));
    bench_until(b, 1, 5000); /* the request that is out just finishes */
    assert_int_equal(bench_result(b, &begun).outcome, PLUMB_OUT_ambiguous);
    bench_close(&b);
}

static void known_and_recalled(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, quick);
    plumb_ticket_t t = bench_give(b, "webhooks", "send", fields_for("/ok"), NULL, TAKE_BEGUN);
    bench_give(b, "webhooks", "send", fields_for("/ok"), &t, TAKE_KNOWN);
    assert_true(calls_recall(&b->calls, &t)); /* no byte has left */
    assert_int_equal(calls_count(&b->calls), 0);
    bench_give(b, "webhooks", "send", fields_for("/ok"), &t, TAKE_BEGUN);
    bench_until(b, 1, 5000);
    results_told(&b->results, results_find(&b->results, &t));
    bench_give(b, "webhooks", "send", fields_for("/ok"), &t, TAKE_KNOWN);
    assert_int_equal(b->results.untold, 1); /* the broker must hear of it again */
    bench_give(b, "nosuch", "send", "{}", NULL, TAKE_REFUSED);
    assert_true(results_ack(&b->results, &t)); /* recorded before the broker heard of it … */
    assert_int_equal(results_count(&b->results), 0);
    assert_null(results_due(&b->results, INT64_MAX));
    kept_t *kept = results_next(&b->results, NULL);
    assert_non_null(kept); /* … so a HELLO still lists it */
    results_told(&b->results, kept);
    assert_null(results_next(&b->results, NULL));
    assert_int_equal(b->results.untold, 0);
    assert_false(results_ack(&b->results, &t));
    bench_close(&b);
}

static void big_answers_cost_little(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    for (int i = 0; i < 8; i++)
        bench_give(b, "webhooks", "send", fields_for("/big"), NULL, TAKE_BEGUN);
    size_t most = 0;
    for (int64_t end = plumb_mono_ms() + 20000; results_count(&b->results) < 8;) {
        assert_true(plumb_mono_ms() < end);
        bench_turn(b, 10);
        size_t held = 0;
        for (call_t *call = b->calls.first; call != NULL; call = call->next)
            held += call->transfer != NULL ? transfer_body(call->transfer)->capacity : 0;
        most = held > most ? held : most;
    }
    assert_true(most <= (size_t)8 * 131072);
    bench_close(&b);
}

/* What is kept of one call to `path`, with secrets everywhere; the caller's reference. */
static json_t *exchange_of(bench_t *b, const char *path, plumb_outcome_t outcome)
{
    char fields[512];
    size_t before = results_count(&b->results);
    snprintf(fields, sizeof fields,
             "{\"url\":\"http://127.0.0.1:%d%s\",\"auth\":\"bearer\",\"token\":"
             "\"tokensecret\",\"headers\":{\"X-Key\":\"mapsecret\"}}",
             fake_http_port(http), path);
    plumb_ticket_t t = bench_give(b, "webhooks", "send", fields, NULL, TAKE_BEGUN);
    bench_until(b, before + 1, 5000);
    plumb_result_t r = bench_result(b, &t);
    assert_int_equal(r.outcome, outcome);
    json_t *exchange = bench_exchange(b, &r);
    char *text = json_dumps(exchange, 0);
    static const char *const secrets[] = {"urlsecret", "tokensecret", "mapsecret"};
    for (size_t i = 0; i < PLUMB_COUNT(secrets); i++)
        if (strstr(text, secrets[i]) != NULL)
            fail_msg("%s in %s", secrets[i], text);
    free(text);
    return exchange;
}

static void exchange_is_redacted(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    json_t *exchange = exchange_of(b, "/status/500?X-Echo=mapsecret", PLUMB_OUT_retry);
    const char *method, *url, *body, *answer, *own, *type, *echo;
    int status = 0;
    assert_int_equal(json_unpack(exchange, "{s:{s:s,s:s,s:s,s:{s:s,s:s}},s:{s:i,s:s,s:{s:s}}}",
                                 "request", "method", &method, "url", &url, "body", &body,
                                 "headers", "X-Key", &own, "Content-Type", &type, "response",
                                 "status", &status, "body", &answer, "headers", "X-Echo", &echo),
                     0);
    assert_string_equal(method, "POST");
    assert_non_null(strstr(url, "/***"));
    assert_non_null(strstr(body, "Анна"));
    assert_string_equal(own, "***");
    assert_string_equal(type, "application/json; charset=utf-8");
    assert_int_equal(status, 500);
    assert_string_equal(answer, "no\n");
    assert_string_equal(echo, "***");
    json_decref(exchange);
    bench_close(&b);
}

/* Of a success the bodies' beginnings, cut at a character, and no headers. */
static void exchange_of_a_success_is_brief(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    char lead[2048];
    int length = snprintf(lead, sizeof lead, "{\"id\":\"x\",\"name\":\"");
    for (int i = 0; i < 300; i++)
        length += snprintf(lead + length, sizeof lead - (size_t)length, "я");
    snprintf(lead + length, sizeof lead - (size_t)length, "\"}");
    msgpack_sbuffer packed;
    bench_pack(&packed, lead);
    b->lead = (plumb_slice_t){packed.data, packed.size};
    json_t *exchange = exchange_of(b, "/json?key=urlsecret", PLUMB_OUT_ok);
    const char *method, *url, *body, *answer;
    int status = 0;
    assert_int_equal(json_unpack(exchange, "{s:{s:s,s:s,s:s !},s:{s:i,s:s !} !}", "request",
                                 "method", &method, "url", &url, "body", &body, "response",
                                 "status", &status, "body", &answer),
                     0);
    assert_string_equal(method, "POST");
    assert_non_null(strstr(url, "/***"));
    assert_int_equal(status, 200);
    assert_non_null(strstr(answer, "R-7"));
    assert_int_equal(strncmp(body, "{\"type\":\"lead.created\"", 22), 0);
    assert_true(strlen(body) == 255 || strlen(body) == 256);
    json_decref(exchange);
    msgpack_sbuffer_destroy(&packed);
    bench_close(&b);
}

static void cut_at_the_end(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    int before = fake_http_requests(http);
    plumb_ticket_t begun = bench_give(b, "webhooks", "send", fields_for("/hang"), NULL, TAKE_BEGUN);
    for (int64_t end = plumb_mono_ms() + 5000; fake_http_requests(http) == before;) {
        assert_true(plumb_mono_ms() < end);
        bench_turn(b, 10);
    }
    plumb_ticket_t fresh = bench_give(b, "webhooks", "send", fields_for("/ok"), NULL, TAKE_BEGUN);
    calls_give_back(&b->calls);
    assert_int_equal(b->calls.returned_count, 1);
    assert_memory_equal(&b->calls.returned[0].ticket, &fresh, sizeof fresh);
    calls_cut(&b->calls);
    assert_int_equal(calls_count(&b->calls), 0);
    assert_int_equal(bench_result(b, &begun).outcome, PLUMB_OUT_ambiguous);
    bench_close(&b);
}

static void many_at_once(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    int before = fake_http_requests(http);
    for (size_t round = 0; round < 10; round++) {
        for (int i = 0; i < 20; i++)
            bench_give(b, "webhooks", "send", fields_for("/ok"), NULL, TAKE_BEGUN);
        bench_until(b, (round + 1) * 20, 10000);
    }
    assert_int_equal(fake_http_requests(http) - before, 200);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_in_its_class),
        cmocka_unit_test(nothing_sent_is_retry),
        cmocka_unit_test(reused_connection_closed),
        cmocka_unit_test(connections_are_kept_apart),
        cmocka_unit_test(lease_stops_the_first_byte),
        cmocka_unit_test(orphans),
        cmocka_unit_test(known_and_recalled),
        cmocka_unit_test(big_answers_cost_little),
        cmocka_unit_test(exchange_is_redacted),
        cmocka_unit_test(exchange_of_a_success_is_brief),
        cmocka_unit_test(cut_at_the_end),
        cmocka_unit_test(many_at_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
