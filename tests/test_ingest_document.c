/* From documents to leads, media types, queries: the pure part of a request. */
#include "count.h"
#include "negotiate.h"
#include "shape.h"
#include "source.h"
#include "trace.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IDS                                                                                        \
    "\"userId\":\"0190C9D2-0000-7000-8000-00000000000a\",\"projectId\":\"0190c9d2-0000-7000-8000-" \
    "000000000002\",\"quizId\":\"0190c9d2-0000-7000-8000-000000000003\""

typedef struct world {
    plumb_lead_t lead;
    plumb_json_t json;
    plumb_buf_t texts, body, all, scratch;
    problems_t problems;
    bool is_document;
} world_t;

static void read_document(world_t *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void read_document(world_t *w, const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    plumb_buf_clear(&w->body);
    plumb_buf_text(&w->body, text);
    problems_clear(&w->problems);
    w->is_document = shape_read(&w->lead, &w->json, &w->texts, &w->body, &w->problems);
}

/* A lead with the needed ids and `attributes`. */
static void read_lead(world_t *w, const char *attributes)
{
    read_document(w, "{\"data\":{\"type\":\"leads\",\"attributes\":{" IDS "%s%s}}}",
                  *attributes == '\0' ? "" : ",", attributes);
}

static void world_fini(world_t *w)
{
    plumb_json_fini(&w->json);
    plumb_buf_fini(&w->texts);
    plumb_buf_fini(&w->body);
    plumb_buf_fini(&w->all);
    plumb_buf_fini(&w->scratch);
    problems_fini(&w->problems);
}

static bool is_value(const world_t *w, plumb_lead_attr_t attr, const char *want)
{
    const plumb_slice_t *v = &w->lead.value[attr];
    if (want == NULL)
        return v->data == NULL;
    return v->data != NULL && v->length == strlen(want) && memcmp(v->data, want, v->length) == 0;
}

/* ---- attributes ---- */

static const struct {
    const char *attributes;
    plumb_lead_attr_t attr;
    const char *want;  /* the value; NULL: not set */
    plumb_code_t code; /* of the one complaint; PLUMB_OK: none */
} attributes[] = {
    {"", PLUMB_LEAD_USER_ID, "0190c9d2-0000-7000-8000-00000000000a", PLUMB_OK},
    {"", PLUMB_LEAD_STATUS, "New", PLUMB_OK},
    {"", PLUMB_LEAD_IS_TEST, "false", PLUMB_OK},
    {"\"status\":\"AtWork\"", PLUMB_LEAD_STATUS, "AtWork", PLUMB_OK},
    {"\"status\":\"atwork\"", PLUMB_LEAD_STATUS, NULL, PLUMB_E_INVALID},
    {"\"isTest\":true", PLUMB_LEAD_IS_TEST, "true", PLUMB_OK},
    {"\"isTest\":\"true\"", PLUMB_LEAD_IS_TEST, NULL, PLUMB_E_INVALID},
    {"\"name\":null", PLUMB_LEAD_NAME, NULL, PLUMB_OK},
    {"\"name\":\"\\u0418\\ud83d\\ude00\\n\"", PLUMB_LEAD_NAME, "\xD0\x98\xF0\x9F\x98\x80\n",
     PLUMB_OK},
    {"\"n\\u0061me\":\"x\"", PLUMB_LEAD_NAME, "x", PLUMB_OK},
    {"\"name\":7", PLUMB_LEAD_NAME, NULL, PLUMB_E_INVALID},
    {"\"email\":\"\"", PLUMB_LEAD_EMAIL, NULL, PLUMB_OK},
    {"\"ipAddress\":\"::FFFF:1.2.3.4\"", PLUMB_LEAD_IP_ADDRESS, "::ffff:1.2.3.4", PLUMB_OK},
    {"\"ipAddress\":\"1.2.3\"", PLUMB_LEAD_IP_ADDRESS, NULL, PLUMB_E_INVALID},
    {"\"ipAddress\":\"1.2.3.4/8\"", PLUMB_LEAD_IP_ADDRESS, NULL, PLUMB_E_INVALID},
    {"\"data\":{ \"a\" : [1] }", PLUMB_LEAD_DATA, "{ \"a\" : [1] }", PLUMB_OK},
    {"\"data\":\"{}\"", PLUMB_LEAD_DATA, NULL, PLUMB_E_INVALID},
    {"\"nose\":1", PLUMB_LEAD_NAME, NULL, PLUMB_E_UNKNOWN_ATTRIBUTE},
    {"\"paid\":true", PLUMB_LEAD_PAID, "true", PLUMB_E_READ_ONLY},
    {"\"integrationStatus\":\"x\"", PLUMB_LEAD_NAME, NULL, PLUMB_E_UNKNOWN_ATTRIBUTE},
};

static void reads_attributes(void **state)
{
    world_t w = {0};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(attributes); i++) {
        read_lead(&w, attributes[i].attributes);
        plumb_code_t code = w.problems.count == 0 ? PLUMB_OK : w.problems.first;
        if (!w.is_document || code != attributes[i].code || w.problems.count > 1 ||
            (code == PLUMB_OK && !is_value(&w, attributes[i].attr, attributes[i].want)))
            fail_msg("%s: %s", attributes[i].attributes,
                     w.problems.count > 0 ? w.problems.json.data : "another value");
    }
    world_fini(&w);
}

static void cuts_and_bounds(void **state)
{
    world_t w = {0};
    char long_text[600], attribute[700];
    (void)state;
    memset(long_text, 'x', sizeof long_text);
    memcpy(long_text + 254, "\xD0\x98", 2); /* across the limit of 255 */
    long_text[300] = '\0';
    snprintf(attribute, sizeof attribute, "\"utmTerm\":\"%s\"", long_text);
    read_lead(&w, attribute);
    assert_int_equal(w.problems.count, 0);
    assert_int_equal(w.lead.value[PLUMB_LEAD_UTM_TERM].length, 254);
    snprintf(attribute, sizeof attribute, "\"name\":\"%s\"", long_text);
    read_lead(&w, attribute);
    assert_int_equal(w.problems.first, PLUMB_E_INVALID);
    world_fini(&w);
}

/* ---- documents ---- */

static const struct {
    const char *text;
    plumb_code_t code;
    const char *pointer;
} documents[] = {
    {"", PLUMB_E_BAD_JSON, NULL},
    {"[]", PLUMB_E_BAD_DOCUMENT, "\"\""},
    {"{}", PLUMB_E_BAD_DOCUMENT, "\"\""},
    {"{\"data\":null}", PLUMB_E_BAD_DOCUMENT, "\"/data\""},
    {"{\"data\":{}}", PLUMB_E_BAD_DOCUMENT, "\"/data\""},
    {"{\"data\":{\"type\":1}}", PLUMB_E_BAD_DOCUMENT, "\"/data/type\""},
    {"{\"data\":{\"type\":\"lead\"}}", PLUMB_E_TYPE_CONFLICT, "\"/data/type\""},
    {"{\"data\":{\"type\":\"leads\",\"id\":\"1\"}}", PLUMB_E_CLIENT_ID, "\"/data/id\""},
    {"{\"data\":{\"type\":\"leads\",\"attributes\":1}}", PLUMB_E_BAD_DOCUMENT,
     "\"/data/attributes\""},
    {"{\"data\":{\"type\":\"leads\"}}", PLUMB_E_REQUIRED, "\"/data\""},
    {"{\"data\":{\"type\":\"leads\",\"attributes\":{}}}", PLUMB_E_REQUIRED, "\"/data/attributes\""},
    {"{\"@x\":1,\"meta\":{},\"data\":{\"@y\":1,\"lid\":\"a\",\"type\":\"leads\",\"attributes\":"
     "{" IDS "}}}",
     PLUMB_OK, NULL},
};

static void reads_documents(void **state)
{
    world_t w = {0};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(documents); i++) {
        read_document(&w, "%s", documents[i].text);
        plumb_code_t code = w.problems.count == 0 ? PLUMB_OK : w.problems.first;
        bool is_there = documents[i].pointer == NULL ||
                        strstr(w.problems.json.data, documents[i].pointer) != NULL;
        if (code != documents[i].code || !is_there)
            fail_msg("%s: %s", documents[i].text, code == PLUMB_OK ? "" : w.problems.json.data);
    }
    world_fini(&w);
}

static void points(void **state)
{
    char pointer[POINTER_MAX];
    (void)state;
    shape_pointer(pointer, "a/b~c");
    assert_string_equal(pointer, "/data/attributes/a~1b~0c");
}

/* ---- the canonical body ---- */

static const struct {
    const char *a, *b;
    bool same;
} bodies[] = {
    {"\"name\":\"x\",\"city\":\"y\"", " \"city\" : \"y\" ,\n\"name\":\"\\u0078\"", true},
    {"\"data\":{\"a\":1,\"b\":[true,null]}", "\"data\":{ \"b\":[ true,null], \"a\":1}", true},
    {"\"data\":{\"a\":{\"x\":1},\"b\":{}}", "\"data\":{\"a\":{},\"b\":{\"x\":1}}", false},
    {"\"data\":[1,2]", "\"data\":[2,1]", false},
    {"\"data\":[1]", "\"data\":[\"1\"]", false},
    {"\"data\":[]", "\"data\":{}", false},
    {"\"data\":[[],[]]", "\"data\":[[[]]]", false},
    {"\"data\":{\"a\\u0062\":1}", "\"data\":{\"ab\":1}", true},
    {"\"name\":\"x\"", "\"city\":\"x\"", false},
    {"\"name\":\"x\"", "\"name\":\"X\"", false},
    {"\"phone\":\"8 900 123 45 67\"", "\"phone\":\"+79001234567\"", true},
    {"\"name\":null", "", true},
    {"\"phone\":\"8 900 123 45 67\",\"data\":[1]", "\"data\":[1],\"phone\":\"+79001234567\"", true},
};

static void hashes(void **state)
{
    world_t w = {0};
    uint8_t hash[2][SHAPE_HASH];
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(bodies); i++) {
        for (int k = 0; k < 2; k++) {
            read_lead(&w, k == 0 ? bodies[i].a : bodies[i].b);
            shape_normalise(&w.lead, &w.texts, &w.problems);
            assert_int_equal(shape_hash(hash[k], &w.lead, &w.json, &w.all, &w.scratch, NULL), 0);
        }
        if ((memcmp(hash[0], hash[1], SHAPE_HASH) == 0) != bodies[i].same)
            fail_msg("%s against %s", bodies[i].a, bodies[i].b);
    }
    world_fini(&w);
}

/* ---- media types ---- */

#define OURS "application/vnd.api+json"

static void negotiates(void **state)
{
    static const struct {
        const char *accept;
        bool good;
    } accepts[] = {
        {"", true},
        {"*/*", true},
        {"application/*;q=0.5", true},
        {OURS, true},
        {"Application/VND.API+JSON", true},
        {OURS ";q=0.9", true},
        {OURS "; profile=\"https://x.example/a,b\"", true},
        {OURS ";charset=utf-8, " OURS, true},
        {"text/html, " OURS ";ext=\"x\", */*;q=0.1", true},
        {OURS ";charset=utf-8", false},
        {OURS ";ext=\"https://jsonapi.org/ext/atomic\"", false},
        {OURS ";q=0", false},
        {"text/html", false},
        {"*/*;q=0.0, text/html", false},
    };
    static const struct {
        const char *type;
        bool good;
    } types[] = {
        {NULL, false},
        {"", false},
        {OURS, true},
        {" application/vnd.API+json ", true},
        {OURS ";profile=\"a\"", true},
        {OURS ";charset=utf-8", false},
        {OURS ";ext=\"a\"", false},
        {"application/json", false},
        {OURS ", " OURS, false},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(accepts); i++)
        if (negotiate_accept(accepts[i].accept) != accepts[i].good)
            fail_msg("Accept: %s", accepts[i].accept);
    for (size_t i = 0; i < PLUMB_COUNT(types); i++)
        if (negotiate_body(types[i].type) != types[i].good)
            fail_msg("Content-Type: %s", types[i].type);
}

static void splits_queries(void **state)
{
    query_parameter_t p;
    const char *query = "&a=b+c%21&d&e%5Bf%5D=%D0%98&&bad=%4";
    (void)state;
    assert_int_equal(query_next(&query, &p), 1);
    assert_string_equal(p.name, "a");
    assert_string_equal(p.value, "b c!");
    assert_int_equal(query_next(&query, &p), 1);
    assert_string_equal(p.name, "d");
    assert_string_equal(p.value, "");
    assert_int_equal(query_next(&query, &p), 1);
    assert_string_equal(p.name, "e[f]");
    assert_string_equal(p.value, "\xD0\x98");
    assert_int_equal(query_next(&query, &p), -1);
    assert_string_equal(p.name, "bad");
    query = NULL;
    assert_int_equal(query_next(&query, &p), 0);
}

static void traces(void **state)
{
    static const char good[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    static const char *const bad[] = {
        NULL,
        "",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736x00f067aa0ba902b7-01",
    };
    static const uint8_t random[TRACE_RANDOM] = {1, [16] = 2};
    char id[TRACE_ID], parent[TRACEPARENT];
    (void)state;
    trace_begin(good, random, id, parent);
    assert_memory_equal(id, good + 3, 32);
    assert_memory_equal(parent, good, 36);
    assert_memory_not_equal(parent + 36, good + 36, 16); /* a span of its own */
    assert_string_equal(parent + 53, "00");
    for (size_t i = 0; i < PLUMB_COUNT(bad); i++) {
        trace_begin(bad[i], random, id, parent);
        assert_memory_not_equal(id, good + 3, 32);
        assert_int_equal(strspn(id, "0123456789abcdef"), 32);
        assert_int_equal(strlen(parent), TRACEPARENT - 1);
    }
}

/* ---- where a request comes from ---- */

static const struct {
    const char *peer, *first, *second; /* X-Forwarded-For headers, NULL: none */
    const char *want;
} sources[] = {
    {"198.51.100.7", NULL, NULL, "198.51.100.7"},
    {"198.51.100.7", "203.0.113.9", NULL, "198.51.100.7"}, /* whoever wrote it is nobody we know */
    {"10.0.0.1", NULL, NULL, "10.0.0.1"},
    {"10.0.0.1", "203.0.113.9", NULL, "203.0.113.9"},
    {"10.0.0.1", "1.2.3.4, 203.0.113.9", NULL, "203.0.113.9"},
    {"10.0.0.1", "1.2.3.4,203.0.113.9, 10.0.0.2", NULL, "203.0.113.9"},
    {"10.0.0.1", "1.2.3.4", "203.0.113.9 , 10.0.0.2", "203.0.113.9"},
    {"10.0.0.1", "203.0.113.9, nonsense", NULL, "10.0.0.1"},
    {"10.0.0.1", "nonsense, 203.0.113.9", NULL, "203.0.113.9"},
    {"10.0.0.1", "", NULL, "10.0.0.1"},
    {"10.0.0.1", "10.0.0.3, 10.0.0.2", NULL, "10.0.0.3"},
    {"10.0.0.1", "2001:db8:1:2:3:4:5:6", NULL, "2001:db8:1:2::"}, /* of IPv6 the network counts */
    {"10.0.0.1", "::ffff:203.0.113.9", NULL, "203.0.113.9"},
};

static void finds_sources(void **state)
{
    ingest_t *ingest = calloc(1, sizeof *ingest);
    request_t *request = request_new(ingest);
    (void)state;
    assert_int_equal(
        plumb_cidr_list("10.0.0.0/8", ingest->proxies, PLUMB_CIDRS_MAX, &ingest->proxy_count, NULL),
        0);
    for (size_t i = 0; i < PLUMB_COUNT(sources); i++) {
        struct mg_request_info info = {.request_method = "GET"};
        const char *const headers[] = {sources[i].first, sources[i].second};
        char want[16], text[INET6_ADDRSTRLEN];
        snprintf(info.remote_addr, sizeof info.remote_addr, "%s", sources[i].peer);
        for (int k = 0; k < 2 && headers[k] != NULL; k++)
            info.http_headers[info.num_headers++] =
                (struct mg_header){"x-forwarded-for", headers[k]};
        snprintf(text, sizeof text, "%s%s", strchr(sources[i].want, ':') == NULL ? "::ffff:" : "",
                 sources[i].want);
        assert_int_equal(inet_pton(AF_INET6, text, want), 1);
        request->info = &info;
        source_find(request);
        if (memcmp(request->source.address, want, sizeof want) != 0)
            fail_msg("%s, %s: want %s", sources[i].peer, sources[i].first, sources[i].want);
    }
    request_destroy(&request);
    free(ingest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_attributes), cmocka_unit_test(cuts_and_bounds),
        cmocka_unit_test(reads_documents),  cmocka_unit_test(points),
        cmocka_unit_test(hashes),           cmocka_unit_test(negotiates),
        cmocka_unit_test(splits_queries),   cmocka_unit_test(traces),
        cmocka_unit_test(finds_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
