/* Values of a document by the type of their attribute. */
#include "api/values.h"
#include "count.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const words[] = {"read", "write", NULL};

static const plumb_attr_t uuid = {"a", "a", PLUMB_ATTR_UUID, 36, 0, "", NULL};
static const plumb_attr_t moment = {"a", "a", PLUMB_ATTR_TIME, 24, 0, "", NULL};
static const plumb_attr_t number = {"a", "a", PLUMB_ATTR_INT, INT_MAX, 0, "", NULL};
static const plumb_attr_t few = {"a", "a", PLUMB_ATTR_INT, 7, 0, "", NULL};
static const plumb_attr_t list = {"a", "a", PLUMB_ATTR_WORDS, 5, 0, "", words};
static const plumb_attr_t some = {"a", "a", PLUMB_ATTR_WORDS, 5, PLUMB_ATTR_NEEDED, "", words};
static const plumb_attr_t cidrs = {"a", "a", PLUMB_ATTR_CIDRS, 64, 0, "", NULL};
static const plumb_attr_t text = {"a", "a", PLUMB_ATTR_TEXT, 4, 0, "", NULL};
static const plumb_attr_t truth = {"a", "a", PLUMB_ATTR_BOOL, 5, 0, "", NULL};

/* `want` NULL: refused; "": nothing, and no complaint. */
static const struct {
    const char *name;
    const plumb_attr_t *attr;
    const char *in, *want;
} cases[] = {
    {"null", &text, "null", ""},
    {"text", &text, "\"abcd\"", "abcd"},
    {"escaped", &text, "\"\\u0416d\"",
     "\xd0\x96"
     "d"},
    {"too long", &text, "\"abcde\"", NULL},
    {"no text", &text, "1", NULL},
    {"UUID", &uuid, "\"0190C9D2-0000-7000-8000-00000000000A\"",
     "0190c9d2-0000-7000-8000-00000000000a"},
    {"no UUID", &uuid, "\"x\"", NULL},
    {"true", &truth, "true", "true"},
    {"text for a bool", &truth, "\"true\"", NULL},
    {"number", &number, "2147483647", "2147483647"},
    {"largest", &few, "7", "7"},
    {"above", &few, "8", NULL},
    {"below", &few, "-1", NULL},
    {"fraction", &few, "1.0", NULL},
    {"UTC", &moment, "\"2026-01-31T12:00:01.5Z\"", "2026-01-31T12:00:01.500Z"},
    {"offset", &moment, "\"2026-03-01T01:30+03:00\"", "2026-02-28T22:30:00.000Z"},
    {"behind UTC", &moment, "\"2026-12-31T23:30:00-01:00\"", "2027-01-01T00:30:00.000Z"},
    {"leap day", &moment, "\"2024-02-29T00:00Z\"", "2024-02-29T00:00:00.000Z"},
    {"no leap day", &moment, "\"2026-02-29T00:00Z\"", NULL},
    {"no zone", &moment, "\"2026-01-31T12:00:00\"", NULL},
    {"a date", &moment, "\"2026-01-31\"", NULL},
    {"no digits", &moment, "\"2026-01-31T12:00:00.Z\"", NULL},
    {"more behind", &moment, "\"2026-01-31T12:00:00Z \"", NULL},
    {"infinity", &moment, "\"infinity\"", NULL},
    {"words", &list, "[\"read\",\"write\"]", "[\"read\",\"write\"]"},
    {"none", &list, "[]", "[]"},
    {"none, needed", &some, "[]", NULL},
    {"foreign word", &list, "[\"read\",\"root\"]", NULL},
    {"number among words", &list, "[1]", NULL},
    {"one word", &list, "\"read\"", NULL},
    {"CIDRs", &cidrs, "[\"10.0.0.0/8\",\"2001:db8::/32\",\"1.2.3.4\"]",
     "[\"10.0.0.0/8\",\"2001:db8::/32\",\"1.2.3.4\"]"},
    {"bits behind", &cidrs, "[\"10.0.0.1/8\"]", NULL},
    {"port", &cidrs, "[\"10.0.0.0/8:80\"]", NULL},
    {"brackets", &cidrs, "[\"[::1]\"]", NULL},
    {"no address", &cidrs, "[\"x\"]", NULL},
};

static void values_by_type(void **state)
{
    (void)state;
    plumb_json_t json = {0};
    plumb_buf_t texts = {0};
    problems_t problems = {0};
    plumb_err_t err = {0};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        values_reading_t r = {&json, &texts, &problems, "/data"};
        plumb_slice_t value;
        problems_clear(&problems);
        assert_true(values_room(&texts, strlen(cases[i].in)));
        if (plumb_json_read(&json, cases[i].in, strlen(cases[i].in), &err) < 0)
            fail_msg("%s: %s", cases[i].name, err.text);
        values_read(&r, cases[i].attr, &value, 0);
        const char *want = cases[i].want == NULL ? "" : cases[i].want;
        if (problems.count != (cases[i].want == NULL) || value.length != strlen(want) ||
            (value.length > 0 && memcmp(value.data, want, value.length) != 0))
            fail_msg("%s: '%.*s', %u problems", cases[i].name, (int)value.length,
                     value.data != NULL ? value.data : "", problems.count);
    }
    plumb_json_fini(&json);
    plumb_buf_fini(&texts);
    problems_fini(&problems);
}

static void pointers(void **state)
{
    (void)state;
    char pointer[POINTER_MAX];
    values_pointer(pointer, "/atomic:operations/3/data", "a/b~c");
    assert_string_equal(pointer, "/atomic:operations/3/data/attributes/a~1b~0c");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(values_by_type),
                                              cmocka_unit_test(pointers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
