/* The strict JSON reader: what it takes, what it refuses and where, and what is read back. */
#include "buf.h"
#include "count.h"
#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A text that may hold NUL, with its length. */
#define TEXT(literal) literal, sizeof(literal) - 1

typedef struct text {
    const char *at;
    size_t length;
} text_t;

static const text_t accepted[] = {
    {TEXT("{}")},
    {TEXT("[]")},
    {TEXT(" \t\r\n[ ] \n")},
    {TEXT("null")},
    {TEXT("true")},
    {TEXT("false")},
    {TEXT("\"\"")},
    {TEXT("0")},
    {TEXT("-0")},
    {TEXT("-0.0")},
    {TEXT("0e0")},
    {TEXT("1E+2")},
    {TEXT("1.5e-3")},
    {TEXT("1e0000000001")},
    {TEXT("9223372036854775807")},
    {TEXT("-9223372036854775808")},
    {TEXT("1.7976931348623157e308")},
    {TEXT("-1e-400")},
    {TEXT("[1,2,[3,{\"a\":[]}]]")},
    {TEXT("{\"a\":1,\"b\":{\"a\":1}}")},
    {TEXT("{\"\":0}")},
    {TEXT("{\"a\":1,\"A\":2}")},
    {TEXT("{\"a\":1,\"ab\":2,\"a\\u0001\":3}")},
    {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")},
    {TEXT("\"\\u0001\\u00e9\\u20AC\\uFFFF\"")},
    {TEXT("\"\\ud834\\udd1e\"")},
    {TEXT("\"\x7f\"")},
    {TEXT("\"\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF\"")},
    {TEXT("\"\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF\"")},
    {TEXT("\"\xD0\x98\xD0\xB2\xD0\xB0\xD0\xBD 123456789\"")},
};

static const struct {
    const char *at;
    size_t length;
    const char *want;
} refused[] = {
    {TEXT(""), "line 1, column 1: unexpected end"},
    {TEXT(" \n "), "line 2, column 2: unexpected end"},
    {TEXT("["), "line 1, column 2: unexpected end"},
    {TEXT("{\"a\":"), "line 1, column 6: unexpected end"},
    {TEXT("\"abc"), "line 1, column 5: unexpected end"},
    {TEXT("tru"), "line 1, column 1: want a value"},
    {TEXT("nul1"), "line 1, column 1: want a value"},
    {TEXT("True"), "line 1, column 1: want a value"},
    {TEXT("NaN"), "line 1, column 1: want a value"},
    {TEXT("-Infinity"), "line 1, column 2: want a digit"},
    {TEXT("truee"), "line 1, column 5: more text behind the end"},
    {TEXT("{}{}"), "line 1, column 3: more text behind the end"},
    {TEXT("{}\0"), "line 1, column 3: more text behind the end"},
    {TEXT("\0{}"), "line 1, column 1: want a value"},
    {TEXT("[\0]"), "line 1, column 2: want a value"},
    {TEXT("\xEF\xBB\xBF{}"), "line 1, column 1: byte order mark"},
    {TEXT("\xC2\xA0{}"), "line 1, column 1: want a value"},
    {TEXT("[1,]"), "line 1, column 4: want a value"},
    {TEXT("[,1]"), "line 1, column 2: want a value"},
    {TEXT("[1 2]"), "line 1, column 4: want ',' or ']'"},
    {TEXT("[1}"), "line 1, column 3: want ',' or ']'"},
    {TEXT("{\"a\":1]"), "line 1, column 7: want ',' or '}'"},
    {TEXT("{\"a\":1,}"), "line 1, column 8: want a key in double quotes"},
    {TEXT("{,}"), "line 1, column 2: want a key in double quotes"},
    {TEXT("{a:1}"), "line 1, column 2: want a key in double quotes"},
    {TEXT("{'a':1}"), "line 1, column 2: want a key in double quotes"},
    {TEXT("{1:1}"), "line 1, column 2: want a key in double quotes"},
    {TEXT("{\"a\" 1}"), "line 1, column 6: want ':'"},
    {TEXT("{\"a\"}"), "line 1, column 5: want ':'"},
    {TEXT("{\"a\":}"), "line 1, column 6: want a value"},
    {TEXT("// x\n1"), "line 1, column 1: want a value"},
    {TEXT("[1] /**/"), "line 1, column 5: more text behind the end"},
    {TEXT("01"), "line 1, column 2: number with a leading zero"},
    {TEXT("-01"), "line 1, column 3: number with a leading zero"},
    {TEXT("+1"), "line 1, column 1: want a value"},
    {TEXT(".5"), "line 1, column 1: want a value"},
    {TEXT("1."), "line 1, column 3: unexpected end"},
    {TEXT("[1.]"), "line 1, column 4: want a digit"},
    {TEXT("[1e]"), "line 1, column 4: want a digit"},
    {TEXT("[1e+]"), "line 1, column 5: want a digit"},
    {TEXT("[-]"), "line 1, column 3: want a digit"},
    {TEXT("0x1"), "line 1, column 2: more text behind the end"},
    {TEXT("9223372036854775808"), "line 1, column 1: number out of range"},
    {TEXT("-9223372036854775809"), "line 1, column 1: number out of range"},
    {TEXT("18446744073709551616"), "line 1, column 1: number out of range"},
    {TEXT("100000000000000000000"), "line 1, column 1: number out of range"},
    {TEXT("[0, 1e400]"), "line 1, column 5: number out of range"},
    {TEXT("-1e309"), "line 1, column 1: number out of range"},
    {TEXT("1e-401"), "line 1, column 1: number out of range"},
    {TEXT("1e99999999999999999999"), "line 1, column 1: number out of range"},
    {TEXT("\"a\nb\""), "line 1, column 3: control character in a string"},
    {TEXT("\"a\0b\""), "line 1, column 3: control character in a string"},
    {TEXT("\"1234567\x1f\""), "line 1, column 9: control character in a string"},
    {TEXT("\"\\x\""), "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\u12\""), "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\u12g4\""),
     "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\u0000\""),
     "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\ud800\""),
     "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\udc00\""),
     "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\ud800\\ud800\""),
     "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\ud800x\""),
     "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\\"), "line 1, column 2: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("\"\xC0\x80\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xC1\xBF\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\x80\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xE0\x9F\xBF\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xED\xA0\x80\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xF0\x8F\xBF\xBF\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xF4\x90\x80\x80\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xF5\x80\x80\x80\""), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xD0\x98\xD0\""), "line 1, column 3: not UTF-8"},
    {TEXT("\"\xE2\x82"), "line 1, column 2: not UTF-8"},
    {TEXT("\"\xD0\x98\xD0\x98\xD0\x98\xD0\x98\xD0\x98\xC1\xBF\xD0\x98\xD0\x98\xD0\x98\""),
     "line 1, column 7: not UTF-8"},
    {TEXT("{\"abcdefgh\":\x80}"), "line 1, column 13: want a value"},
    {TEXT("[1,\"a\\\x80\"]"),
     "line 1, column 6: escape is unknown, of NUL or of half a surrogate pair"},
    {TEXT("{\"a\":1,\n \"a\":2}"), "line 2, column 2: doubled key"},
    {TEXT("{\"a\":1,\"\\u0061\":2}"), "line 1, column 8: doubled key"},
    {TEXT("[{\"x\":{\"k\":1,\"l\":2,\"k\":3}}]"), "line 1, column 20: doubled key"},
    {TEXT("{\"\":1,\"\":2}"), "line 1, column 7: doubled key"},
    {TEXT("{\"\\ud834\\udd1e\":1,\"\xF0\x9D\x84\x9E\":2}"), "line 1, column 19: doubled key"},
};

/* Read a copy that ends where its memory ends, so that the sanitizer sees any look beyond. */
static int read_exact(plumb_json_t *json, const char *text, size_t length, plumb_err_t *err)
{
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    int rc = plumb_json_read(json, copy, length, err);
    free(copy);
    return rc;
}

static void accepts(void **state)
{
    (void)state;
    plumb_json_t json = {0};
    for (size_t i = 0; i < PLUMB_COUNT(accepted); i++) {
        plumb_err_t err = {0};
        int rc = read_exact(&json, accepted[i].at, accepted[i].length, &err);
        if (rc != 0)
            fail_msg("%s: got %d (%s)", accepted[i].at, rc, err.text);
        json_t *tree = plumb_json_tree(accepted[i].at, accepted[i].length, &err);
        if (tree == NULL)
            fail_msg("%s: no tree (%s)", accepted[i].at, err.text);
        json_decref(tree);
    }
    plumb_json_fini(&json);
}

static void refuses(void **state)
{
    (void)state;
    plumb_json_t json = {0};
    for (size_t i = 0; i < PLUMB_COUNT(refused); i++) {
        plumb_err_t err = {0};
        int rc = read_exact(&json, refused[i].at, refused[i].length, &err);
        if (rc != -PLUMB_E_BAD_JSON || strcmp(err.text, refused[i].want) != 0)
            fail_msg("%s: got %d '%s', want '%s'", refused[i].at, rc, err.text, refused[i].want);
        assert_null(plumb_json_tree(refused[i].at, refused[i].length, NULL));
    }
    plumb_json_fini(&json);
}

/* ---- limits: the last that passes, the first that does not ---- */

/* `before`, `count` times `unit`, `after`; the caller frees. */
static char *repeat(const char *before, const char *unit, size_t count, const char *after)
{
    size_t length = strlen(unit);
    char *text = malloc(strlen(before) + length * count + strlen(after) + 1);
    assert_non_null(text);
    char *at = stpcpy(text, before);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, unit);
    stpcpy(at, after);
    return text;
}

static char *nested(size_t depth)
{
    char *closing = repeat("", "]", depth, "");
    char *text = repeat("", "[", depth, closing);
    free(closing);
    return text;
}

static char *values(size_t count) /* the array is one */
{
    return repeat("[0", ",0", count - 2, "]");
}

static char *string(size_t length)
{
    return repeat("\"", "x", length, "\"");
}

static char *escapes(size_t length) /* six bytes of text for two of content */
{
    return repeat("\"", "\\u00e9", length / 2, "\"");
}

static char *key(size_t length)
{
    return repeat("{\"", "k", length, "\":0}");
}

static char *escaped_key(size_t length)
{
    return repeat("{\"", "\\n", length, "\":0}");
}

static char *digits(size_t length)
{
    return repeat("0.", "1", length - 2, "");
}

static void keeps_limits(void **state)
{
    static const struct {
        const char *name;
        char *(*make)(size_t);
        size_t good, bad;
        const char *want;
    } limits[] = {
        {"depth", nested, PLUMB_JSON_DEPTH_MAX, PLUMB_JSON_DEPTH_MAX + 1, "nested too deeply"},
        {"far depth", nested, 1, 1000000, "nested too deeply"},
        {"values", values, PLUMB_JSON_VALUES_MAX, PLUMB_JSON_VALUES_MAX + 1, "too many values"},
        {"string", string, PLUMB_JSON_STRING_MAX, PLUMB_JSON_STRING_MAX + 1, "longer than allowed"},
        {"escapes", escapes, PLUMB_JSON_STRING_MAX, PLUMB_JSON_STRING_MAX + 2,
         "longer than allowed"},
        {"key", key, PLUMB_JSON_KEY_MAX, PLUMB_JSON_KEY_MAX + 1, "longer than allowed"},
        {"escaped key", escaped_key, PLUMB_JSON_KEY_MAX, PLUMB_JSON_KEY_MAX + 1,
         "longer than allowed"},
        {"digits", digits, 400, 401, "number out of range"},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(limits); i++) {
        plumb_json_t json = {0};
        plumb_err_t err = {0};
        char *good = limits[i].make(limits[i].good), *bad = limits[i].make(limits[i].bad);
        if (plumb_json_read(&json, good, strlen(good), &err) != 0)
            fail_msg("%s: %s", limits[i].name, err.text);
        if (plumb_json_read(&json, bad, strlen(bad), &err) != -PLUMB_E_BAD_JSON ||
            strstr(err.text, limits[i].want) == NULL)
            fail_msg("%s: passed its limit (%s)", limits[i].name, err.text);
        free(good);
        free(bad);
        plumb_json_fini(&json);
    }
}

/* Objects on both sides of where few keys become many, the double at every place. */
static void finds_doubled_keys(void **state)
{
    static const unsigned sizes[] = {2, 3, 47, 48, 49, 50, 300};
    (void)state;
    plumb_json_t json = {0};
    plumb_buf_t text = {0};
    for (size_t s = 0; s < PLUMB_COUNT(sizes); s++) {
        for (unsigned same = 0; same <= sizes[s]; same++) { /* the last round has no double */
            plumb_buf_clear(&text);
            for (unsigned k = 0; k < sizes[s]; k++)
                plumb_buf_printf(&text, "%s\"k%u\":{\"k\":%u}", k > 0 ? "," : "{",
                                 k == same ? (same + sizes[s] / 2) % sizes[s] : k, k);
            plumb_buf_text(&text, "}");
            int want = same < sizes[s] ? -PLUMB_E_BAD_JSON : 0;
            int rc = plumb_json_read(&json, text.data, text.length, NULL);
            if (rc != want)
                fail_msg("%u keys, %u doubled: got %d, want %d", sizes[s], same, rc, want);
        }
    }
    plumb_buf_fini(&text);
    plumb_json_fini(&json);
}

/* ---- what was read ---- */

static const char document[] =
    "{\"data\": {\"type\": \"leads\", \"attributes\": {\"name\": "
    "\"\xD0\x98\xD0\xB2\\u0430\\u043d\","
    " \"budget\": -1500, \"share\": 0.75, \"ok\": true, \"no\": false, \"none\": null,"
    " \"tags\": [\"a\", [1, 2], {\"k\\\"\": 9223372036854775807}], \"emoji\": "
    "\"\\ud83d\\ude00!\"}}}";

static uint32_t at_path(const plumb_json_t *json, const char *const *path)
{
    uint32_t node = 0;
    for (; *path != NULL; path++) {
        node = plumb_json_member(json, node, *path);
        if (node == 0)
            fail_msg("no member '%s'", *path);
    }
    return node;
}

static void finds_nodes_by_their_place(void **state)
{
    (void)state;
    plumb_json_t json = {0};
    assert_int_equal(plumb_json_read(&json, document, sizeof document - 1, NULL), 0);
    for (uint32_t node = 0; node < json.count; node++)
        assert_int_equal(plumb_json_at(&json, document + json.nodes[node].start), node);
    assert_int_equal(plumb_json_read(&json, "7", 1, NULL), 0);
    assert_int_equal(plumb_json_at(&json, json.text), 0);
    plumb_json_fini(&json);
}

static void finds_members(void **state)
{
    static const struct {
        const char *path[5];
        plumb_json_type_t type;
        const char *text;
        uint32_t count;
        int64_t integer;
    } rows[] = {
        {{"data", "type"}, PLUMB_JSON_STRING, "\"leads\"", 0, 0},
        {{"data", "attributes", "budget"}, PLUMB_JSON_INTEGER, "-1500", 0, -1500},
        {{"data", "attributes", "share"}, PLUMB_JSON_REAL, "0.75", 0, 0},
        {{"data", "attributes", "ok"}, PLUMB_JSON_TRUE, "true", 0, 0},
        {{"data", "attributes", "no"}, PLUMB_JSON_FALSE, "false", 0, 0},
        {{"data", "attributes", "none"}, PLUMB_JSON_NULL, "null", 0, 0},
        {{"data", "attributes", "tags"},
         PLUMB_JSON_ARRAY,
         "[\"a\", [1, 2], {\"k\\\"\": 9223372036854775807}]",
         3,
         0},
        {{"data", "attributes", "emoji"}, PLUMB_JSON_STRING, "\"\\ud83d\\ude00!\"", 0, 0},
    };
    (void)state;
    plumb_json_t json = {0};
    assert_int_equal(plumb_json_read(&json, document, sizeof document - 1, NULL), 0);
    assert_int_equal(json.nodes[0].next, json.count);
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        const plumb_json_node_t *n = &json.nodes[at_path(&json, rows[i].path)];
        size_t length = n->end - n->start;
        if (n->type != rows[i].type || n->count != rows[i].count || n->integer != rows[i].integer ||
            length != strlen(rows[i].text) ||
            memcmp(document + n->start, rows[i].text, length) != 0)
            fail_msg("%s: type %d, count %u, '%.*s'", rows[i].text, (int)n->type, n->count,
                     (int)length, document + n->start);
    }
    assert_int_equal(plumb_json_member(&json, 0, "dat"), 0);
    assert_int_equal(plumb_json_member(&json, 0, "data2"), 0);
    assert_int_equal(plumb_json_member(&json, 1, "data"), 0); /* a string has no members */
    plumb_json_fini(&json);
    plumb_json_fini(&json);
}

static void decodes_strings(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"a\\u0062c\"", "abc"},
        {"\"\\u00e9\\u20ac\\ud83d\\ude00\"", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"\"\\uFFFF\\u07ff\\u0800\"", "\xEF\xBF\xBF\xDF\xBF\xE0\xA0\x80"},
        {"\"\xD0\x98\\n\xD0\xB2\"", "\xD0\x98\n\xD0\xB2"},
    };
    (void)state;
    plumb_json_t json = {0};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char got[64] = "", longer[64];
        size_t length = strlen(rows[i].want);
        assert_int_equal(plumb_json_read(&json, rows[i].text, strlen(rows[i].text), NULL), 0);
        ptrdiff_t n = plumb_json_string(&json, 0, got, length + 1);
        if (n != (ptrdiff_t)length || strcmp(got, rows[i].want) != 0)
            fail_msg("%s: got %td '%s'", rows[i].text, n, got);
        assert_int_equal(plumb_json_string(&json, 0, got, length), -1);
        assert_true(plumb_json_equal(&json, 0, rows[i].want));
        stpcpy(stpcpy(longer, rows[i].want), "x");
        assert_false(plumb_json_equal(&json, 0, longer));
        assert_int_equal(json.nodes[0].escaped, strchr(rows[i].text, '\\') != NULL);
    }
    assert_false(plumb_json_equal(&json, 0, "\xD0\x98\n\xD0"));
    assert_int_equal(plumb_json_read(&json, "12", 2, NULL), 0);
    assert_false(plumb_json_equal(&json, 0, "12"));
    assert_int_equal(plumb_json_string(&json, 0, (char[8]){0}, 8), -1);
    plumb_json_fini(&json);
}

/* ---- against jansson ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static const char sample[] =
    "{\"data\":{\"type\":\"leads\",\"id\":\"\\u0061\\ud83d\\ude00\",\"n\":[0,-1.5e+3,12345678901,"
    "9223372036854775807,true,false,null],\"\xD0\x98\xD0\xB2\":{\"a\":\"\xE2\x82\xAC\",\"b\":"
    "\"\\n\\\\\","
    "\"c\":{},\"d\":[]}},\"meta\":\"\xF0\x9F\x98\x80 plain text\"}";

/* Change, drop, double or insert a few bytes, mostly of those that mean something. */
static size_t mutate(char *out, uint32_t *seed)
{
    static const char bytes[] = "{}[]\",:\\ud80-+.eE0129 tfn\n\x01\x7f\x80\xC2\xED\xF4\xFF";
    size_t length = sizeof sample - 1;
    memcpy(out, sample, length);
    for (uint32_t changes = next_random(seed) % 3; changes < 3; changes++) {
        size_t at = next_random(seed) % length;
        char byte = bytes[next_random(seed) % (sizeof bytes)]; /* its NUL as well */
        switch (next_random(seed) % 4) {
        case 0:
            memmove(out + at, out + at + 1, --length - at);
            break;
        case 1:
            memmove(out + at + 1, out + at, length++ - at);
            out[at] = byte;
            break;
        case 2:
            out[at] = out[next_random(seed) % length];
            break;
        default:
            out[at] = byte;
        }
    }
    return length;
}

static void agrees_with_jansson(void **state)
{
    (void)state;
    uint32_t seed = 20260102;
    unsigned good = 0;
    plumb_json_t json = {0};
    for (int i = 0; i < 20000; i++) {
        char text[sizeof sample + 8];
        plumb_err_t err = {0};
        json_error_t why = {0};
        size_t length = mutate(text, &seed);
        int rc = read_exact(&json, text, length, &err);
        json_t *tree = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
        bool ours_only = memchr(text, '\0', length) != NULL ||            /* swallowed by jansson */
                         strstr(err.text, "number out of range") != NULL; /* 1e-500 */
        if (ours_only ? rc == 0 : (rc == 0) != (tree != NULL))
            fail_msg("mutant %d: %d (%s) against '%s': %.*s", i, rc, err.text, why.text,
                     (int)length, text);
        good += tree != NULL;
        json_decref(tree);
    }
    assert_in_range(good, 500, 19500); /* both sides were seen */
    plumb_json_fini(&json);
}

static void checks_utf8(void **state)
{
    (void)state;
    assert_true(plumb_utf8_valid("", 0));
    assert_true(plumb_utf8_valid(TEXT("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")));
    assert_false(plumb_utf8_valid(TEXT("a\0b")));
    assert_false(plumb_utf8_valid(TEXT("\xED\xA0\x80")));
    assert_false(plumb_utf8_valid(TEXT("abc\xE2\x82")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(keeps_limits),
        cmocka_unit_test(finds_doubled_keys),
        cmocka_unit_test(finds_nodes_by_their_place),
        cmocka_unit_test(finds_members),
        cmocka_unit_test(decodes_strings),
        cmocka_unit_test(agrees_with_jansson),
        cmocka_unit_test(checks_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
