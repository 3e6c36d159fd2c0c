/* Errors: composition, length, the table; and UTF-8 that is cut. */
#include "count.h"
#include "err.h"
#include "utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void composes(void **state)
{
    (void)state;
    plumb_err_t err = {0};
    assert_int_equal(plumb_err_set(&err, PLUMB_E_CHANNEL, "ABI %d, want %d", 3, 4),
                     -PLUMB_E_CHANNEL);
    assert_int_equal(plumb_err_add(&err, "load '%s'", "sms.so"), -PLUMB_E_CHANNEL);
    assert_int_equal(plumb_err_add(&err, "scan"), -PLUMB_E_CHANNEL);
    assert_string_equal(err.text, "scan: load 'sms.so': ABI 3, want 4");
    plumb_err_set(&err, PLUMB_E_KEY, "(%s)", err.text); /* from itself */
    assert_string_equal(err.text, "(scan: load 'sms.so': ABI 3, want 4)");
    assert_int_equal(err.code, PLUMB_E_KEY);
}

static void does_without_an_error(void **state)
{
    (void)state;
    plumb_err_t unset = {0};
    assert_int_equal(plumb_err_set(NULL, PLUMB_E_KEY, "x"), -PLUMB_E_KEY);
    assert_true(plumb_err_add(NULL, "x") < 0);
    assert_true(plumb_err_add(&unset, "x") < 0);
}

/* A long sentence ends at the last whole character, in whichever byte the limit falls. */
static void cuts_whole_characters(void **state)
{
    (void)state;
    char wide[1024] = "";
    char *end = wide;
    for (int i = 0; i < 300; i++)
        end = stpcpy(end, "\xE2\x82\xAC");
    for (int shift = 0; shift < 3; shift++) {
        plumb_err_t err = {0};
        plumb_err_set(&err, PLUMB_E_KEY, "%.*s%s", shift, "xx", wide);
        size_t length = strlen(err.text);
        assert_int_equal(length, shift + (PLUMB_ERR_TEXT_MAX - 1 - shift) / 3 * 3);
        plumb_err_add(&err, "%.*s", shift, "yy");
        length = strlen(err.text);
        assert_in_range(length, PLUMB_ERR_TEXT_MAX - 3, PLUMB_ERR_TEXT_MAX - 1);
        assert_int_equal(plumb_utf8_length(err.text + length - 3, 3), 3);
    }
}

static void has_a_row_for_each_code(void **state)
{
    (void)state;
    for (int code = 0; code < PLUMB_E_COUNT; code++) {
        assert_non_null(plumb_code_slug((plumb_code_t)code));
        assert_non_null(plumb_code_title((plumb_code_t)code));
        assert_in_range(plumb_code_http((plumb_code_t)code), 200, 599);
        assert_in_range(plumb_code_exit((plumb_code_t)code), 0, 125);
        assert_int_equal(plumb_code_exit((plumb_code_t)code) == 0, code == PLUMB_OK);
    }
    assert_string_equal(plumb_code_slug(PLUMB_E_RATE_LIMITED), "rate_limited");
    assert_int_equal(plumb_code_http(PLUMB_E_BAD_JSON), 400);
}

static void measures_characters(void **state)
{
    static const struct {
        const char *text;
        size_t left, want;
    } rows[] = {
        {"a", 1, 1},
        {"\xC3\xA9", 2, 2},
        {"\xC3\xA9", 1, 0},
        {"\xC3\x28", 2, 0},
        {"\xC1\xBF", 2, 0},
        {"\xE0\xA0\x80", 3, 3},
        {"\xE0\x9F\x80", 3, 0},
        {"\xED\x9F\xBF", 3, 3},
        {"\xED\xA0\x80", 3, 0},
        {"\xEF\xBF\xBF", 2, 0},
        {"\xE2\x82\x28", 3, 0},
        {"\xF0\x90\x80\x80", 4, 4},
        {"\xF0\x8F\x80\x80", 4, 0},
        {"\xF4\x8F\xBF\xBF", 4, 4},
        {"\xF4\x90\x80\x80", 4, 0},
        {"\xF4\x8F\xBF\xBF", 3, 0},
        {"\xF0\x90\x28\x80", 4, 0},
        {"\xF0\x90\x80\x28", 4, 0},
        {"\xF5\x80\x80\x80", 4, 0},
        {"\x80", 1, 0},
        {"\xFF", 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        size_t got = plumb_utf8_length(rows[i].text, rows[i].left);
        if (got != rows[i].want)
            fail_msg("row %zu: got %zu, want %zu", i, got, rows[i].want);
    }
    assert_int_equal(plumb_utf8_cut("a\xE2\x82\xAC", 4, 4), 4);
    assert_int_equal(plumb_utf8_cut("a\xE2\x82\xAC", 4, 3), 1);
    assert_int_equal(plumb_utf8_cut("\xE2\x82\xAC", 3, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(composes),
        cmocka_unit_test(does_without_an_error),
        cmocka_unit_test(cuts_whole_characters),
        cmocka_unit_test(has_a_row_for_each_code),
        cmocka_unit_test(measures_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
