/* Settings of a quiz: each row's default, bounds, and what is said of a wrong one. */
#include "count.h"
#include "quiz_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What was complained of: "path: want\n", one after another. */
static void gather(void *context, const char *path, const char *want)
{
    char *all = context;
    size_t length = strlen(all);
    snprintf(all + length, 1024 - length, "%s: %s\n", path, want);
}

static void defaults(void **state)
{
    (void)state;
    quiz_settings_t s;
    assert_int_equal(quiz_settings_parse(&s, "{}", 2, NULL, NULL), 0);
    assert_false(s.phone_verification);
    assert_int_equal(s.duplicate_policy, DUPLICATE_FLAG);
    assert_int_equal(s.duplicate_mode, DUPLICATE_ANY);
    assert_int_equal(s.duplicate_scope, DUPLICATE_IN_PROJECT);
    assert_int_equal(s.duplicate_keys.count, 2);
    assert_string_equal(s.duplicate_keys.item[0], "phone");
    assert_string_equal(s.duplicate_keys.item[1], "email");
    assert_int_equal(s.duplicate_window_minutes, 1440);
    assert_int_equal(s.identical_window_seconds, 60);
    assert_int_equal(s.client_per_minute, 0);
    assert_int_equal(s.tests_per_day, 0);
    assert_true(s.blocklist && s.geo && s.normalise && s.payment);
    assert_int_equal(s.origins.count, 0);
    assert_null(s.honeypot);
    assert_null(s.thank_you_url);
    quiz_settings_fini(&s);
}

static void all_given(void **state)
{
    (void)state;
    static const char text[] =
        "{\"phoneVerification\":true,\"duplicates\":{\"policy\":\"merge\",\"mode\":\"all\","
        "\"scope\":\"credential\",\"keys\":[\"externalId\",\"data.order\"],\"windowMinutes\":0},"
        "\"identical\":{\"windowSeconds\":0},\"limits\":{\"clientPerMinute\":3,\"testsPerDay\":7},"
        "\"blocklist\":false,\"geo\":false,\"normalise\":false,\"payment\":false,"
        "\"origins\":[\"https://a.example\",\"http://localhost:8080\",\"*\"],"
        "\"honeypot\":\"web\\u0073ite\",\"thankYouUrl\":\"https://a.example/thanks?x=1\"}";
    quiz_settings_t s;
    assert_int_equal(quiz_settings_parse(&s, text, strlen(text), NULL, NULL), 0);
    assert_true(s.phone_verification);
    assert_int_equal(s.duplicate_policy, DUPLICATE_MERGE);
    assert_int_equal(s.duplicate_mode, DUPLICATE_ALL);
    assert_int_equal(s.duplicate_scope, DUPLICATE_IN_CREDENTIAL);
    assert_int_equal(s.duplicate_keys.count, 2);
    assert_string_equal(s.duplicate_keys.item[1], "data.order");
    assert_int_equal(s.duplicate_window_minutes, 0);
    assert_int_equal(s.identical_window_seconds, 0);
    assert_int_equal(s.client_per_minute, 3);
    assert_int_equal(s.tests_per_day, 7);
    assert_false(s.blocklist || s.geo || s.normalise || s.payment);
    assert_int_equal(s.origins.count, 3);
    assert_string_equal(s.origins.item[1], "http://localhost:8080");
    assert_string_equal(s.honeypot, "website");
    assert_string_equal(s.thank_you_url, "https://a.example/thanks?x=1");
    quiz_settings_fini(&s);
}

/* clang-format off */
static const struct { const char *text, *want; } wrong[] = {
    {"[]", ": want an object\n"},
    {"{\"nonsense\":1}", "nonsense: there is no such setting\n"},
    {"{\"duplicates.policy\":\"flag\"}", "duplicates.policy: there is no such setting\n"},
    {"{\"duplicates\":{\"nonsense\":1}}", "duplicates.nonsense: there is no such setting\n"},
    {"{\"duplicates\":[]}", "duplicates: want an object\n"},
    {"{\"geo\":1,\"payment\":\"yes\"}", "geo: want true or false\npayment: want true or false\n"},
    {"{\"duplicates\":{\"policy\":\"drop\"}}", "duplicates.policy: want one of flag, reject, merge, allow\n"},
    {"{\"duplicates\":{\"mode\":true}}", "duplicates.mode: want one of any, all\n"},
    {"{\"duplicates\":{\"windowMinutes\":525600}}", ""},
    {"{\"duplicates\":{\"windowMinutes\":525601}}", "duplicates.windowMinutes: want a whole number from 0 to 525600\n"},
    {"{\"duplicates\":{\"windowMinutes\":-1}}", "duplicates.windowMinutes: want a whole number from 0 to 525600\n"},
    {"{\"duplicates\":{\"windowMinutes\":1.5}}", "duplicates.windowMinutes: want a whole number from 0 to 525600\n"},
    {"{\"identical\":{\"windowSeconds\":3601}}", "identical.windowSeconds: want a whole number from 0 to 3600\n"},
    {"{\"limits\":{\"clientPerMinute\":100001}}", "limits.clientPerMinute: want a whole number from 0 to 100000\n"},
    {"{\"duplicates\":{\"keys\":[]}}", "duplicates.keys: want a list of 1 to 8 of: phone, email, externalId, data.<name>\n"},
    {"{\"duplicates\":{\"keys\":[\"data.\"]}}", "duplicates.keys: want a list of 1 to 8 of: phone, email, externalId, data.<name>\n"},
    {"{\"origins\":[\"https://A.example\"]}", "origins: want a list of 0 to 16 of: https://host[:port] or *\n"},
    {"{\"origins\":[\"https://a.example/\"]}", "origins: want a list of 0 to 16 of: https://host[:port] or *\n"},
    {"{\"origins\":[7]}", "origins: want a list of 0 to 16 of: https://host[:port] or *\n"},
    {"{\"honeypot\":\"a b\"}", "honeypot: want letters, digits, _-.[], at most 64 bytes\n"},
    {"{\"thankYouUrl\":\"javascript:alert(1)\"}", "thankYouUrl: want an http or https address, at most 2048 bytes\n"},
    {"{\"thankYouUrl\":\"https://a\\r\\nX: y\"}", "thankYouUrl: want an http or https address, at most 2048 bytes\n"},
    {"{\"thankYouUrl\":null,\"duplicates\":null}", ""},
};
/* clang-format on */

/* Reading and checking complain alike, and what is wrong leaves its default. */
static void wrong_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(wrong); i++) {
        char read[1024] = "", checked[1024] = "";
        quiz_settings_t s;
        quiz_settings_parse(&s, wrong[i].text, strlen(wrong[i].text), gather, read);
        quiz_settings_parse(NULL, wrong[i].text, strlen(wrong[i].text), gather, checked);
        if (strcmp(read, wrong[i].want) != 0 || strcmp(checked, read) != 0)
            fail_msg("%s: got '%s' and '%s'", wrong[i].text, read, checked);
        assert_true(s.geo && s.payment);
        assert_int_equal(s.duplicate_policy, DUPLICATE_FLAG);
        assert_int_equal(s.duplicate_keys.count, 2);
        assert_null(s.thank_you_url);
        quiz_settings_fini(&s);
    }
}

static void rows_are_told(void **state)
{
    (void)state;
    size_t count;
    const quiz_setting_t *rows = quiz_setting_rows(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(rows[i].help != NULL && rows[i].path != NULL);
        assert_true(rows[i].type != QUIZ_WORD || rows[i].words != NULL);
        assert_true((rows[i].type != QUIZ_TEXT && rows[i].type != QUIZ_LIST) ||
                    (rows[i].is_item != NULL && rows[i].want != NULL));
        assert_true(rows[i].type != QUIZ_INT ||
                    (rows[i].standard >= rows[i].min && rows[i].standard <= rows[i].max));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(all_given),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(rows_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
