/* The webhooks channel: signatures by the vectors of its specification, requests as a receiver gets
 * them. */
#include "fake_http.h"
#include "fields.h"
#include "host.h"
#include "worker_bench.h"

#include "count.h"

/* Its own functions, for vectors that no lead makes. */
/* NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "../channels/webhooks/webhooks.c"

static fake_http_t *http;

static int start(void **state)
{
    (void)state;
    http = fake_http_start();
    return sodium_init() < 0;
}

static int stop(void **state)
{
    (void)state;
    fake_http_stop(&http);
    return 0;
}

/* ---- signatures ---- */

#define BODY_A                                                                                     \
    "{\"type\":\"lead.created\",\"timestamp\":\"2025-01-02T03:04:05Z\",\"data\":{\"id\":\"L-1\","  \
    "\"name\":\"Анна\"}}"
#define COUNTED "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define COUNTED_BARE "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define REPEATED "whsec_qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
#define SIGNED_COUNTED "v1,C5cIpiqmn/8ihvMGR4JgaBnL8vUQxR0QTVWzwzpQJkg="
#define SIGNED_REPEATED "v1,HnzvqviYrBiW8kywighEEgHqZfqSF9NjsfOSO922GUQ="

static const char *header_of(const struct curl_slist *list, const char *name)
{
    for (; list != NULL; list = list->next)
        if (strncasecmp(list->data, name, strlen(name)) == 0 && list->data[strlen(name)] == ':')
            return list->data + strlen(name) + 2;
    return "";
}

static void vectors(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *old, *id, *body, *signature;
        int64_t now;
    } rows[] = {
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "", "msg_p5jXN8AQM9LWM0D4loKWxJek",
         "{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330},
        {COUNTED, "", "msg_plumb_0001", BODY_A, SIGNED_COUNTED, 1735787045},
        {COUNTED_BARE, "", "msg_plumb_0001", BODY_A, SIGNED_COUNTED, 1735787045},
        {REPEATED, "", "msg_plumb_0001", BODY_A, SIGNED_REPEATED, 1735787045},
        {COUNTED, "", "msg_plumb_0002", "",
         "v1,zh0uX4JEmtkNh4sq1dMfNZz0rturgxCUOvgY4jn5TVU=", 1735787045},
        {COUNTED, REPEATED, "msg_plumb_0001", BODY_A, SIGNED_COUNTED " " SIGNED_REPEATED,
         1735787045},
        {"", REPEATED, "msg_plumb_0001", BODY_A, SIGNED_REPEATED, 1735787045},
        {"", "", "msg_plumb_0001", BODY_A, "", 1735787045},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char now[32];
        call_t call = {0};
        call.api = (plumb_call_t){.host = &host_services,
                                  .host_private = &call,
                                  .delivery = rows[i].id,
                                  .now = rows[i].now};
        call.api.fields =
            json_pack("{s:s,s:s}", "secret", rows[i].secret, "secret_old", rows[i].old);
        plumb_request(&call.api, "POST", "https://crm.example/");
        const body_t body = {{plumb_part(rows[i].body), plumb_part(""), plumb_part("")}};
        sign_standard(&call.api, &body);
        snprintf(now, sizeof now, "%d", (int)rows[i].now);
        assert_null(call.ask.broken);
        assert_string_equal(header_of(call.ask.headers, "webhook-signature"), rows[i].signature);
        assert_string_equal(header_of(call.ask.headers, "webhook-id"), rows[i].id);
        assert_string_equal(header_of(call.ask.headers, "webhook-timestamp"), now);
        json_decref(call.api.fields);
        ask_fini(&call.ask);
        arena_fini(&call.arena);
    }
}

/* ---- credentials ---- */

static void checks_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *why; /* why "": good */
    } rows[] = {
        {"{\"url\":\"https://crm.example/\"}", ""},
        {"{}", "'url' is missing"},
        {"{\"url\":\"\"}", "'url' is missing"},
        {"{\"url\":7}", "'url' is no text"},
        {"{\"url\":\"https://crm.example/#x\"}", "'url': has a fragment"},
        {"{\"url\":\"https://crm.example/\",\"secret\":\"" COUNTED "\"}", ""},
        {"{\"url\":\"https://crm.example/\",\"secret\":\"" COUNTED_BARE "\"}", ""},
        {"{\"url\":\"https://crm.example/\",\"secret\":\"whsec_AAEC\"}", "'secret': is not"},
        {"{\"url\":\"https://crm.example/\",\"secret\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYX\"}",
         "'secret': is not"},
        {"{\"url\":\"https://crm.example/"
         "\",\"secret\":\"whsec_-----------------------------------\"}",
         "'secret': is not"},
        {"{\"url\":\"https://crm.example/\",\"style\":\"hex\",\"secret\":\"any text\"}", ""},
        {"{\"url\":\"https://crm.example/\",\"secret_old\":\"whsec_x\"}", "'secret_old': is not"},
        {"{\"url\":\"https://crm.example/\",\"style\":\"soap\"}", "'style' is none"},
        {"{\"url\":\"https://crm.example/\",\"method\":\"DELETE\"}", "'method' is none"},
        {"{\"url\":\"https://crm.example/\",\"timeout_s\":4}", "'timeout_s' is out of bounds"},
        {"{\"url\":\"https://crm.example/\",\"timeout_s\":31}", "'timeout_s' is out of bounds"},
        {"{\"url\":\"https://crm.example/\",\"timeout_s\":\"20\"}", "'timeout_s' is no whole"},
        {"{\"url\":\"https://crm.example/\",\"id_path\":\"data\"}", "'id_path' has the wrong form"},
        {"{\"url\":\"https://crm.example/\",\"headers\":{\"X-Key\":\"v\"}}", ""},
        {"{\"url\":\"https://crm.example/\",\"headers\":{\"X-Key\":7}}", "'headers' holds"},
        {"{\"url\":\"https://crm.example/\",\"headers\":{\"X-Key\":\"a\\r\\nB: c\"}}",
         "'headers' holds"},
        {"{\"url\":\"https://crm.example/\",\"headers\":{\"Host\":\"v\"}}", "'headers': a header"},
        {"{\"url\":\"https://crm.example/\",\"headers\":{\"webhook-id\":\"v\"}}",
         "'headers': a header"},
        {"{\"url\":\"https://crm.example/\",\"headers\":{\"Proxy-Auth\":\"v\"}}",
         "'headers': a header"},
        {"{\"url\":\"https://crm.example/\",\"headers\":{\"a b\":\"v\"}}", "'headers': a header"},
        {"{\"url\":\"https://crm.example/\",\"headers\":[]}", "'headers' is no map"},
        {"{\"url\":\"https://crm.example/\",\"unknown\":1}", ""},
        {"[]", "cannot be read"},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char why[FIELDS_WHY_MAX] = "";
        json_t *given = json_loads(rows[i].fields, 0, NULL);
        assert_non_null(given);
        json_t *opened = fields_open(&plumb_channel, given, why);
        bool good = rows[i].why[0] == '\0';
        if ((opened != NULL) != good || (!good && strstr(why, rows[i].why) == NULL))
            fail_msg("%s: '%s'", rows[i].fields, why);
        if (opened != NULL && strstr(rows[i].fields, "style") == NULL)
            assert_string_equal(json_string_value(json_object_get(opened, "style")), "standard");
        json_decref(opened);
        json_decref(given);
    }
}

/* ---- requests ---- */

/* Send with `extra` fields to `path`; returns the index of the request. */
static int send_to(bench_t *b, const char *verb, const char *path, const char *extra,
                   plumb_ticket_t *ticket)
{
    char given[1024];
    int index = fake_http_requests(http);
    size_t before = results_count(&b->results);
    plumb_uuid_t delivery = ticket->delivery;
    snprintf(given, sizeof given, "{\"url\":\"http://127.0.0.1:%d%s\"%s}", fake_http_port(http),
             path, extra);
    *ticket = bench_give(b, "webhooks", verb, given, plumb_uuid_is_nil(&delivery) ? NULL : ticket,
                         TAKE_BEGUN);
    bench_until(b, before + 1, 5000);
    return index;
}

static void assert_header(int index, const char *name, const char *want)
{
    char got[512];
    fake_http_header(http, index, name, got, sizeof got);
    if (strcmp(got, want) != 0)
        fail_msg("%s: '%s', want '%s'", name, got, want);
}

/* As a receiver's library verifies: over the raw body that came. */
static void verify(int index, const char *secret)
{
    char id[64], when[32], signature[128], body[4096], content[8192], want[128];
    uint8_t key[64], mac[32];
    size_t length;
    fake_http_header(http, index, "webhook-id", id, sizeof id);
    fake_http_header(http, index, "webhook-timestamp", when, sizeof when);
    fake_http_header(http, index, "webhook-signature", signature, sizeof signature);
    fake_http_body(http, index, body, sizeof body);
    snprintf(content, sizeof content, "%s.%s.%s", id, when, body);
    assert_int_equal(sodium_base642bin(key, sizeof key, secret + 6, strlen(secret + 6), NULL,
                                       &length, NULL, sodium_base64_VARIANT_ORIGINAL),
                     0);
    const plumb_part_t part = plumb_part(content);
    host_services.hmac_sha256(key, length, &part, 1, mac);
    strcpy(want, "v1,");
    sodium_bin2base64(want + 3, sizeof want - 3, mac, sizeof mac, sodium_base64_VARIANT_ORIGINAL);
    assert_string_equal(signature, want);
}

/* bench_lead's, to the letter: some receivers tell repeats apart by it. */
#define BODY_OF_LEAD                                                                               \
    "{\"type\":\"lead.created\",\"timestamp\":\"2026-01-02T03:04:05.678Z\",\"data\":{"             \
    "\"createdAt\":\"2026-01-02T03:04:05.678Z\",\"data\":{\"a\":[true,null,1.5],\"b\":1},"         \
    "\"id\":\"0190c9d2-0000-7000-8000-000000000001\",\"name\":\"Анна\",\"phone\":\"+"          \
    "79005551234\"}}"

static void request_as_received(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    plumb_ticket_t t = {0};
    int first = send_to(b, "send", "/ok", ",\"secret\":\"" COUNTED "\"", &t);
    char id[PLUMB_UUID_TEXT], body[4096], again[4096], head[4096];
    plumb_uuid_text(&t.delivery, id);
    assert_header(first, "webhook-id", id);
    assert_header(first, "plumb-attempt", "1");
    assert_header(first, "Content-Type", "application/json; charset=utf-8");
    assert_header(first, "User-Agent", "plumb/" PLUMB_VERSION " (+https://plumb.example/webhooks)");
    assert_header(first, "Accept", "*/*");
    assert_header(first, "Accept-Encoding", "");
    assert_header(first, "Expect", "");
    assert_header(first, "Idempotency-Key", "");
    verify(first, COUNTED);
    fake_http_head(http, first, head, sizeof head);
    assert_int_equal(strncmp(head, "POST /ok HTTP/1.1\r\n", 19), 0);
    fake_http_body(http, first, body, sizeof body);
    assert_string_equal(body, BODY_OF_LEAD);

    /* The next attempt: the same body and id, another number. */
    t.attempt = 2;
    int second = send_to(b, "send", "/ok", ",\"secret\":\"" COUNTED "\"", &t);
    fake_http_body(http, second, again, sizeof again);
    assert_string_equal(body, again);
    assert_header(second, "webhook-id", id);
    assert_header(second, "plumb-attempt", "2");
    verify(second, COUNTED);
    bench_close(&b);
}

static void styles(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    char id[PLUMB_UUID_TEXT], body[4096], want[128], got[128];
    uint8_t mac[32];
    plumb_ticket_t t = {0};
    int at = send_to(b, "send", "/ok",
                     ",\"style\":\"json\",\"auth\":\"basic\",\"user\":\"u\",\"password\":\"p:w\","
                     "\"method\":\"PUT\",\"headers\":{\"X-Key\":\"k\",\"X-Empty\":\"\"}",
                     &t);
    assert_header(at, "Idempotency-Key", plumb_uuid_text(&t.delivery, id));
    assert_header(at, "webhook-id", "");
    assert_header(at, "Authorization", "Basic dTpwOnc=");
    assert_header(at, "X-Key", "k");
    char head[4096];
    fake_http_head(http, at, head, sizeof head);
    assert_int_equal(strncmp(head, "PUT /ok", 7), 0);
    assert_non_null(strstr(head, "\r\nX-Empty:"));

    t = (plumb_ticket_t){0};
    at = send_to(b, "send", "/ok",
                 ",\"style\":\"hex\",\"secret\":\"as typed\",\"auth\":\"bearer\",\"token\":\"tk\"",
                 &t);
    fake_http_body(http, at, body, sizeof body);
    const plumb_part_t part = plumb_part(body);
    host_services.hmac_sha256("as typed", 8, &part, 1, mac);
    strcpy(want, "sha256=");
    sodium_bin2hex(want + 7, sizeof want - 7, mac, sizeof mac);
    fake_http_header(http, at, "X-Hub-Signature-256", got, sizeof got);
    assert_string_equal(got, want);
    assert_header(at, "Authorization", "Bearer tk");
    bench_close(&b);
}

static void external_ids(void **state)
{
    (void)state;
    static const struct {
        const char *path, *extra, *id; /* NULL: the delivery's */
    } rows[] = {
        {"/ok", "", NULL},
        {"/json", "", NULL},
        {"/json", ",\"id_path\":\"/data/id\"", "R-7"},
        {"/json", ",\"id_path\":\"/n\"", "7"},
        {"/json", ",\"id_path\":\"/data\"", NULL},
        {"/json", ",\"id_path\":\"/none/id\"", NULL},
        {"/ok", ",\"id_path\":\"/data/id\"", NULL},
    };
    bench_t *b = bench_open(NULL, NULL);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char id[PLUMB_UUID_TEXT];
        plumb_ticket_t t = {0};
        send_to(b, "send", rows[i].path, rows[i].extra, &t);
        plumb_result_t r = bench_result(b, &t);
        const char *want = rows[i].id != NULL ? rows[i].id : plumb_uuid_text(&t.delivery, id);
        assert_int_equal(r.outcome, PLUMB_OUT_ok);
        if (r.external_id.length != strlen(want) ||
            memcmp(r.external_id.data, want, strlen(want)) != 0)
            fail_msg("%s: '%.*s'", rows[i].extra, (int)r.external_id.length, r.external_id.data);
    }
    bench_close(&b);
}

static void other_verbs(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    char body[4096];
    plumb_ticket_t t = {0};
    int at = send_to(b, "update", "/ok", "", &t);
    fake_http_body(http, at, body, sizeof body);
    assert_non_null(strstr(body, "\"type\":\"lead.updated\""));
    assert_non_null(strstr(body, "\"phone\":\"+79005551234\",\"previous_id\":\"\"}}"));

    t = (plumb_ticket_t){0};
    at = send_to(b, "update", "/ok", ",\"send_update\":false", &t);
    assert_int_equal(fake_http_requests(http), at); /* nothing was sent */
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_ok);

    t = (plumb_ticket_t){0};
    at = send_to(b, "test", "/ok", "", &t);
    fake_http_body(http, at, body, sizeof body);
    assert_non_null(strstr(body, "\"type\":\"webhook.test\""));
    assert_null(strstr(body, "Анна"));

    t = (plumb_ticket_t){0};
    at = send_to(b, "probe", "/ok", "", &t); /* it has none */
    assert_int_equal(fake_http_requests(http), at);
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_permanent);

    t = (plumb_ticket_t){0};
    send_to(b, "dance", "/ok", "", &t);
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_bug);
    bench_close(&b);
}

static void bad_credentials(void **state)
{
    (void)state;
    bench_t *b = bench_open(NULL, NULL);
    plumb_ticket_t t = {0};
    int at = send_to(b, "send", "/ok", ",\"secret\":\"wrong\"", &t);
    plumb_result_t r = bench_result(b, &t);
    assert_int_equal(fake_http_requests(http), at);
    assert_int_equal(r.outcome, PLUMB_OUT_credentials);
    assert_non_null(memmem(r.detail.data, r.detail.length, "'secret'", 8));
    bench_close(&b);
}

static void null_channel(void **state)
{
    (void)state;
    char id[PLUMB_UUID_TEXT];
    bench_t *b = bench_open(NULL, NULL);
    plumb_ticket_t t = bench_give(b, "null", "send", "{}", NULL, TAKE_BEGUN);
    plumb_result_t r = bench_result(b, &t); /* at once */
    assert_int_equal(r.outcome, PLUMB_OUT_ok);
    assert_int_equal(r.requests, 0);
    assert_memory_equal(r.external_id.data, plumb_uuid_text(&t.delivery, id), PLUMB_UUID_TEXT - 1);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(checks_credentials),
        cmocka_unit_test(request_as_received),
        cmocka_unit_test(styles),
        cmocka_unit_test(external_ids),
        cmocka_unit_test(other_verbs),
        cmocka_unit_test(bad_credentials),
        cmocka_unit_test(null_channel),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
