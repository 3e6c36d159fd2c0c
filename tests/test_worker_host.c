/* What a plugin may not do, what it is given, and calls of several requests. */
#include "fake_http.h"
#include "fields.h"
#include "redact.h"
#include "timers.h"
#include "unpack.h"
#include "worker_bench.h"

#include "count.h"

static fake_http_t *http;
static char channels[256];

static int start(void **state)
{
    (void)state;
    snprintf(channels, sizeof channels, "%s/tests/channels", getenv("PLUMB_BUILD"));
    http = fake_http_start();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fake_http_stop(&http);
    return 0;
}

static plumb_result_t run(bench_t *b, const char *channel, const char *how, const char *path)
{
    char given[512];
    size_t before = results_count(&b->results);
    snprintf(given, sizeof given, "{\"how\":\"%s\",\"url\":\"http://127.0.0.1:%d%s\"}", how,
             fake_http_port(http), path);
    plumb_ticket_t t = bench_give(b, channel, "send", given, NULL, TAKE_BEGUN);
    bench_until(b, before + 1, 10000);
    return bench_result(b, &t);
}

static void contract(void **state)
{
    (void)state;
    static const struct {
        const char *how, *detail;
        int requests;
    } rows[] = {
        {"header", "control characters", 0},
        {"header name", "control characters", 0},
        {"length", "the host's alone", 0},
        {"chunked", "the host's alone", 0},
        {"twice", "two requests", 0},
        {"large", "1 MiB", 0},
        {"many headers", "too many", 0},
        {"id", "255 bytes", 0},
        {"outcome", "does not exist", 0},
        {"nothing", "without a request", 0},
        {"method", "malformed", 0},
        {"url", "control characters", 0},
        {"mail", "malformed", 0},
        {"checkpoint", "480 bytes", 0},
        {"steps", "more than 32 steps", 31},
    };
    bench_t *b = bench_open(channels, NULL);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        int before = fake_http_requests(http);
        plumb_result_t r = run(b, "rude", rows[i].how, "/ok");
        if (r.outcome != PLUMB_OUT_bug || r.blamed ||
            memmem(r.detail.data, r.detail.length, rows[i].detail, strlen(rows[i].detail)) ==
                NULL ||
            fake_http_requests(http) - before != rows[i].requests)
            fail_msg("%s: %s '%.*s' after %d requests", rows[i].how, plumb_outcome_name(r.outcome),
                     (int)r.detail.length, r.detail.data, fake_http_requests(http) - before);
    }
    bench_close(&b);
}

static void several_requests(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        plumb_outcome_t outcome;
        int requests;
        const char *checkpoint;
    } rows[] = {
        {"/ok", PLUMB_OUT_ok, 2, ""},
        {"/status/500", PLUMB_OUT_retry, 1, ""},
        {"/close", PLUMB_OUT_ambiguous, 1, ""},
        {"/hang-on", PLUMB_OUT_ambiguous, 2, "{\"contact\":5}"},
    };
    static const char *const quick[] = {"worker.call_timeout=700ms", NULL};
    bench_t *b = bench_open(channels, quick);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        b->credential = plumb_uuid_new();
        plumb_result_t r = run(b, "two", "", rows[i].path);
        if (r.outcome != rows[i].outcome || r.requests != rows[i].requests || r.resend ||
            r.checkpoint.length != strlen(rows[i].checkpoint))
            fail_msg("%s: %s after %d, checkpoint '%.*s'", rows[i].path,
                     plumb_outcome_name(r.outcome), r.requests, (int)r.checkpoint.length,
                     r.checkpoint.data);
    }
    bench_close(&b);
}

static void fields_have_initial_values(void **state)
{
    (void)state;
    bench_t *b = bench_open(channels, NULL);
    static const struct {
        const char *given, *detail;
    } rows[] = {{"{}", "n is 3"}, {"{\"n\":7}", "n is 7"}, {"{\"n\":null}", "n is 3"}};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_ticket_t t = bench_give(b, "good", "send", rows[i].given, NULL, TAKE_BEGUN);
        plumb_result_t r = bench_result(b, &t);
        assert_int_equal(r.outcome, PLUMB_OUT_ok);
        assert_int_equal(r.detail.length, strlen(rows[i].detail));
        assert_memory_equal(r.detail.data, rows[i].detail, r.detail.length);
    }
    plumb_ticket_t t = bench_give(b, "good", "send", "{\"n\":10}", NULL, TAKE_BEGUN);
    assert_int_equal(bench_result(b, &t).outcome, PLUMB_OUT_credentials);
    bench_close(&b);
}

/* ---- looking at the call ---- */

static void views(void **state)
{
    (void)state;
    static const char body[] =
        "{\"createdAt\":\"2026-01-02T03:04:05.678Z\",\"data\":{\"a\":[true,null,1.5],\"b\":1},"
        "\"id\":\"0190c9d2-0000-7000-8000-000000000001\",\"name\":\"Анна\",\"phone\":\"+"
        "79005551234\"}";
    static const char *const details[2] = {"Анна|||0|1|7", "Анна|||0|0|7"};
    bench_t *b = bench_open(channels, NULL);
    for (size_t i = 0; i < PLUMB_COUNT(details); i++) {
        char got[1024];
        int index = fake_http_requests(http);
        b->checkpoint = i == 0 ? "{\"x\":1}" : "[1]";
        plumb_result_t r = run(b, "look", "", "/json");
        fake_http_body(http, index, got, sizeof got);
        assert_string_equal(got, body);
        if (r.outcome != PLUMB_OUT_permanent || r.detail.length != strlen(details[i]) ||
            memcmp(r.detail.data, details[i], r.detail.length) != 0)
            fail_msg("%s '%.*s'", plumb_outcome_name(r.outcome), (int)r.detail.length,
                     r.detail.data);
    }
    bench_close(&b);
}

/* A step that ends without having looked at it leaves it as it was. */
static void checkpoint_stays(void **state)
{
    (void)state;
    static const char given[] = "{\"contact\":5}";
    static const char *const codes[] = {"two", "webhooks"};
    bench_t *b[] = {bench_open(channels, NULL), bench_open(NULL, NULL)};
    for (size_t i = 0; i < PLUMB_COUNT(codes); i++) {
        b[i]->checkpoint = given;
        plumb_result_t r = run(b[i], codes[i], "", "/status/500");
        assert_int_equal(r.outcome, PLUMB_OUT_retry);
        assert_int_equal(r.requests, 1);
        assert_int_equal(r.checkpoint.length, strlen(given));
        assert_memory_equal(r.checkpoint.data, given, strlen(given));
        bench_close(&b[i]);
    }
}

static void unreadable_lead(void **state)
{
    (void)state;
    static const plumb_slice_t leads[] = {
        {"\x81\xa1n\xcf\x80\0\0\0\0\0\0\0", 12}, /* a number that JSON's reader does not hold */
        {"", 0},
    };
    static const char *const codes[] = {"look", "webhooks"};
    for (size_t i = 0; i < PLUMB_COUNT(codes) * PLUMB_COUNT(leads); i++) {
        bench_t *b = bench_open(i % 2 == 0 ? channels : NULL, NULL);
        int before = fake_http_requests(http);
        b->lead = leads[i / 2];
        plumb_result_t r = run(b, codes[i % 2], "", "/ok");
        assert_int_equal(r.outcome, PLUMB_OUT_bug);
        assert_non_null(memmem(r.detail.data, r.detail.length, "cannot be read", 14));
        assert_int_equal(fake_http_requests(http), before);
        bench_close(&b);
    }
}

/* ---- parts ---- */

static void redaction(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
        size_t max;
    } rows[] = {
        {"nothing here", "nothing here", 99},
        {"key=secret1&x", "key=***&x", 99},
        {"secret1secret1", "******", 99},
        {"a longer-secret1 b", "a *** b", 99}, /* the longer one wins */
        {"abc", "abc", 99},                    /* too short to be one */
        {"0123456789secret1", "0123456789", 12},
        {"0123456789secret1", "0123456789***", 13},
        {"01234secret1", "01234", 7}, /* never a part of it */
        {"привет", "при", 7},
        {"bad\xff\xfe", "bad??", 99},
        {"a\x01z", "a\x01z", 99},
    };
    redact_t redact = {0};
    assert_int_equal(redact_add(&redact, "secret1", 7), 0);
    assert_int_equal(redact_add(&redact, "longer-secret1", 14), 0);
    assert_int_equal(redact_add(&redact, "abc", 3), 0);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_buf_t out = {0};
        redact_put(&redact, &out, rows[i].text, strlen(rows[i].text), rows[i].max);
        if (strcmp(out.data, rows[i].want) != 0)
            fail_msg("'%s': '%s'", rows[i].text, out.data);
        plumb_buf_fini(&out);
    }
    redact_fini(&redact);
}

/* unpack_text against jansson's dump of unpack_json. */
static void same_as_text(const void *bytes, size_t length)
{
    static unpack_space_t space;
    json_t *tree = unpack_json(bytes, length);
    char *want =
        tree != NULL ? json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    bool good = unpack_text(&space, bytes, length);
    if (good != (want != NULL) || (good && strcmp(space.text.data, want) != 0))
        fail_msg("'%s', want '%s'", good ? space.text.data : "refused", want);
    free(want);
    json_decref(tree);
    unpack_space_trim(&space);
    if (length % 7 == 0)
        unpack_space_fini(&space);
}

static void unpacks(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *json; /* NULL: refused */
    } rows[] = {
        {"\x80", 1, "{}"},
        {"\x81\xa1z\x05", 4, "{\"z\": 5}"},
        {"\x93\xc0\xc2\xc3", 4, "[null, false, true]"},
        {"\x91\xff", 2, "[-1]"},
        {"\x91\xd0\x80", 3, "[-128]"},
        {"\x91\xd1\xff\x00", 4, "[-256]"},
        {"\x91\xd3\x80\0\0\0\0\0\0\0", 10, "[-9223372036854775808]"},
        {"\x91\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 10, "[9223372036854775807]"},
        {"\x91\xcf\x80\0\0\0\0\0\0\0", 10, NULL},
        {"\x91\xcb\x3f\xf8\0\0\0\0\0\0", 10, "[1.5]"},
        {"\x91\xca\x3f\xc0\0\0", 6, "[1.5]"},
        {"\x91\xcb\x7f\xf8\0\0\0\0\0\0", 10, NULL}, /* not a number */
        {"\x91\xd9\x02hi", 5, "[\"hi\"]"},
        {"\xdc\x00\x01\x07", 4, "[7]"},
        {"\xde\x00\x01\xa1z\x07", 6, "{\"z\": 7}"},
        {"", 0, NULL},
        {"\x81\xa1z", 3, NULL},
        {"\x80\x80", 2, NULL},
        {"\xdf\x03\x03\x03\xdf", 5, NULL},
        {"\xdd\xff\xff\xff\xff", 5, NULL},
        {"\x81\x01\x02", 3, NULL},  /* a key that is no text */
        {"\x91\xc4\x01z", 4, NULL}, /* binary */
        {"\x91\xc1", 2, NULL},
        {"\x91\xdb\xff\xff\xff\xff", 6, NULL},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        json_t *got = unpack_json(rows[i].bytes, rows[i].length);
        char *text = got != NULL ? json_dumps(got, 0) : NULL;
        if ((text == NULL) != (rows[i].json == NULL) ||
            (text != NULL && strcmp(text, rows[i].json) != 0))
            fail_msg("row %zu: %s, want %s", i, text, rows[i].json);
        free(text);
        json_decref(got);
        same_as_text(rows[i].bytes, rows[i].length);
    }
    char deep[100];
    memset(deep, '\x91', sizeof deep);
    assert_null(unpack_json(deep, sizeof deep));
    assert_null(unpack_json("\x91\xa2\xff\xfe", 4)); /* no UTF-8: of a text it was checked before */
    same_as_text(deep, sizeof deep);
}

/* A value by chance: objects whose keys come in any order, begin alike and need escapes. */
static void pack_anything(msgpack_packer *packer, unsigned *chance, unsigned depth)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "ab",
                                        "b",
                                        "\"\\/",
                                        "\x01\x1f",
                                        "\x7f",
                                        "\b\f\n\r\t",
                                        "Анна, \"да\"",
                                        "\xf0\x9f\x98\x80"};
    *chance = *chance * 1103515245u + 12345u;
    unsigned what = *chance >> 16;
    if (depth < 6 && what % 3 == 0) {
        msgpack_pack_map(packer, what % 9);
        for (unsigned i = 0; i < what % 9; i++) {
            char key[64];
            snprintf(key, sizeof key, "%s%u", texts[(what + i) % PLUMB_COUNT(texts)],
                     (what * 7 + i * 5) % 9);
            msgpack_pack_str_with_body(packer, key, strlen(key));
            pack_anything(packer, chance, depth + 1);
        }
    } else if (depth < 6 && what % 3 == 1) {
        msgpack_pack_array(packer, what % 5);
        for (unsigned i = 0; i < what % 5; i++)
            pack_anything(packer, chance, depth + 1);
    } else if (what % 5 == 0) {
        msgpack_pack_double(packer, (double)(int)what * 1e-3 * (what % 7 == 0 ? 1e300 : 1));
    } else if (what % 5 == 1) {
        msgpack_pack_int64(packer,
                           (int64_t)(what % 2 == 0 ? INT64_MIN : INT64_MAX) / (what % 97 + 1));
    } else {
        const char *text = texts[what % PLUMB_COUNT(texts)];
        msgpack_pack_str_with_body(packer, text, strlen(text));
    }
}

static void text_is_what_the_tree_says(void **state)
{
    (void)state;
    unsigned chance = 1;
    for (int i = 0; i < 3000; i++) {
        msgpack_sbuffer bytes;
        msgpack_packer packer;
        msgpack_sbuffer_init(&bytes);
        msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
        pack_anything(&packer, &chance, 0);
        same_as_text(bytes.data, bytes.size);
        same_as_text(bytes.data, bytes.size - 1); /* cut off */
        msgpack_sbuffer_destroy(&bytes);
    }
}

static void finds_members(void **state)
{
    (void)state;
    static const char bytes[] = "\x84\xa1z\x81\xa1x\xa1n\xa1m\x05\xa1y\xa3yes\xa1x\xa0";
    static const struct {
        const char *name, *want; /* NULL: none */
    } rows[] = {{"y", "yes"}, {"x", ""}, {"z", NULL}, {"m", NULL}, {"n", NULL}, {"", NULL}};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_token_t got = unpack_member(bytes, sizeof bytes - 1, rows[i].name);
        if ((got.data == NULL) != (rows[i].want == NULL) ||
            (got.data != NULL && (got.number != strlen(rows[i].want) ||
                                  memcmp(got.data, rows[i].want, got.number) != 0)))
            fail_msg("'%s'", rows[i].name);
    }
    assert_null(unpack_member("\x91\x01", 2, "a").data);
    assert_null(unpack_member("\x81\xa1", 2, "a").data);
    assert_null(unpack_member("", 0, "a").data);
}

static void timers_come_in_order(void **state)
{
    (void)state;
    timers_t timers = {0};
    due_t due[200] = {0};
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(timers_set(&timers, &due[i], (int64_t)(i * 7919 % 1009)), 0);
    for (unsigned i = 0; i < 200; i += 3) /* moved both ways */
        timers_set(&timers, &due[i], (int64_t)(i * 104729 % 2003));
    for (unsigned i = 1; i < 200; i += 5)
        timers_unset(&timers, &due[i]);
    int64_t last = -1;
    size_t count = 0;
    for (due_t *first; (first = timers_first(&timers)) != NULL; count++) {
        assert_true(first->at_ms >= last);
        last = first->at_ms;
        timers_unset(&timers, first);
        assert_int_equal(first->place, 0);
    }
    assert_int_equal(count, 160);
    timers_fini(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract),
        cmocka_unit_test(several_requests),
        cmocka_unit_test(fields_have_initial_values),
        cmocka_unit_test(redaction),
        cmocka_unit_test(views),
        cmocka_unit_test(checkpoint_stays),
        cmocka_unit_test(unreadable_lead),
        cmocka_unit_test(unpacks),
        cmocka_unit_test(text_is_what_the_tree_says),
        cmocka_unit_test(finds_members),
        cmocka_unit_test(timers_come_in_order),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
