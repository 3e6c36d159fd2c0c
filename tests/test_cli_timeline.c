/* A lead's way, read from the API's answer: how far it came, and what is said when it stopped. */
#include "count.h"
#include "timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEAD                                                                                       \
    "{\"data\":{\"type\":\"leads\",\"id\":\"0190c9d2-0000-7000-8000-000000000001\","               \
    "\"attributes\":{\"createdAt\":\"2026-01-02T03:04:05.100Z\"}}"
#define DELIVERY(state)                                                                            \
    "{\"type\":\"deliveries\",\"id\":\"d\",\"attributes\":{\"state\":\"" state                     \
    "\",\"createdAt\":\"2026-01-02T03:04:05.101Z\",\"queuedAt\":\"2026-01-02T03:04:05.102Z\"}}"
#define ATTEMPT(status, detail)                                                                    \
    "{\"type\":\"attempts\",\"id\":\"a\",\"attributes\":{\"status\":" status                       \
    ",\"startedAt\":\"2026-01-02T03:04:05.103Z\",\"timings\":{\"firstByteUs\":1500},"              \
    "\"recordedAt\":\"2026-01-02T03:04:05.110Z\"" detail "}}"

static const struct {
    const char *name, *text;
    int read, check;
    const char *says; /* part of the judgement */
} cases[] = {
    {"all the way", LEAD ",\"included\":[" DELIVERY("delivered") "," ATTEMPT("200", "") "]}", 0, 0,
     ""},
    {"no delivery", LEAD ",\"included\":[]}", 0, -PLUMB_E_UNAVAILABLE, "no delivery was made"},
    {"nothing included", LEAD "}", 0, -PLUMB_E_UNAVAILABLE, "no delivery was made"},
    {"queued", LEAD ",\"included\":[" DELIVERY("queued") "]}", 0, -PLUMB_E_UNAVAILABLE,
     "its delivery is queued, but no attempt"},
    {"refused",
     LEAD
     ",\"included\":[" DELIVERY("pending") "," ATTEMPT("500", ",\"detail\":\"it is ill\"") "]}",
     0, -PLUMB_E_UNAVAILABLE, "its delivery is pending (status 500, it is ill)"},
    {"error document", "{\"errors\":[]}", -PLUMB_E_BAD_DOCUMENT, 0, ""},
    {"no JSON", "<html>", -PLUMB_E_BAD_DOCUMENT, 0, ""},
    {"empty", "", -PLUMB_E_BAD_DOCUMENT, 0, ""},
};

static void judges(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        timeline_t timeline;
        plumb_err_t err = {0};
        int rc = timeline_read(&timeline, cases[i].text, strlen(cases[i].text), &err);
        if (rc != cases[i].read)
            fail_msg("%s: read %d: %s", cases[i].name, rc, err.text);
        if (rc < 0)
            continue;
        rc = timeline_check(&timeline, &err);
        if (rc != cases[i].check || strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s: check %d: %s", cases[i].name, rc, err.text);
    }
}

static void prints(void **state)
{
    static const char want[] = "lead 0190c9d2-0000-7000-8000-000000000001\n"
                               "  checked    03:04:05.100  +0.0 ms\n"
                               "  stored     03:04:05.101  +1.0 ms\n"
                               "  queued     03:04:05.102  +2.0 ms\n"
                               "  sent       03:04:05.103  +3.0 ms\n"
                               "  200        03:04:05.104  +4.5 ms\n"
                               "  recorded   03:04:05.110  +10.0 ms\n";
    (void)state;
    timeline_t timeline;
    char *got = NULL;
    size_t length;
    FILE *out = open_memstream(&got, &length);
    assert_int_equal(timeline_read(&timeline, cases[0].text, strlen(cases[0].text), NULL), 0);
    timeline_print(&timeline, out);
    fclose(out);
    assert_string_equal(got, want);
    free(got);
}

static void reads_times(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {{"1970-01-01T00:00:00Z", 0},
                {"1970-01-01T00:00:01Z", 1000000},
                {"1970-01-02T00:00:00.5Z", 86400500000},
                {"2026-01-02T03:04:05.678901Z", 1767323045678901},
                {"2026-01-02T03:04:05.678901", 0},
                {"2026-01-02T03:04:05+03:00", 0},
                {"yesterday", 0},
                {NULL, 0}};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++)
        if (timeline_time(rows[i].text) != rows[i].want)
            fail_msg("'%s': %lld", rows[i].text, (long long)timeline_time(rows[i].text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(judges), cmocka_unit_test(prints),
                                       cmocka_unit_test(reads_times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
