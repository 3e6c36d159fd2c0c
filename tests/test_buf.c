/* Growing buffers and the JSON strings written into them. */
#include "buf.h"
#include "count.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void grows(void **state)
{
    (void)state;
    plumb_buf_t buf = {0};
    for (unsigned i = 0; i < 5000; i++) {
        plumb_buf_put(&buf, "0123456789", i % 11);
        assert_int_equal(strlen(buf.data), buf.length);
    }
    assert_false(buf.failed);
    assert_int_equal(buf.length, 454 * 55 + 15); /* 454 rounds of 0 to 10, then 0 to 5 */
    plumb_buf_fini(&buf);
    assert_null(buf.data);
    plumb_buf_fini(&buf);
    plumb_buf_fini(NULL);
}

static void is_text_when_empty(void **state)
{
    (void)state;
    plumb_buf_t buf = {0};
    plumb_buf_put(&buf, NULL, 0);
    assert_string_equal(buf.data, "");
    plumb_buf_text(&buf, "left over");
    plumb_buf_clear(&buf);
    assert_string_equal(buf.data, "");
    assert_int_equal(buf.length, 0);
    plumb_buf_fini(&buf);
    plumb_buf_clear(&buf);
}

/* Every length around the first capacity, where the text just fits or just does not. */
static void prints(void **state)
{
    (void)state;
    for (int width = 250; width < 262; width++) {
        plumb_buf_t buf = {0};
        plumb_buf_printf(&buf, "%*d|", width, 7);
        plumb_buf_printf(&buf, "%s", "end");
        assert_int_equal(buf.length, width + 4);
        assert_int_equal(strlen(buf.data), buf.length);
        assert_string_equal(buf.data + width - 1, "7|end");
        plumb_buf_fini(&buf);
    }
}

static void stays_failed(void **state)
{
    (void)state;
    plumb_buf_t buf = {0};
    volatile size_t huge = SIZE_MAX; /* or the compiler sees what no caller would do */
    plumb_buf_text(&buf, "kept");
    plumb_buf_put(&buf, "x", huge - 2); /* the sum wraps; nothing is read */
    assert_true(buf.failed);
    plumb_buf_text(&buf, "lost");
    plumb_buf_printf(&buf, "%d", 1);
    assert_string_equal(buf.data, "kept");
    plumb_buf_clear(&buf);
    plumb_buf_text(&buf, "again");
    assert_false(buf.failed);
    assert_string_equal(buf.data, "again");
    plumb_buf_fini(&buf);
    plumb_buf_put(&buf, "x", huge);
    assert_true(buf.failed);
    plumb_buf_fini(&buf);
}

static void writes_json_strings(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"\"\\/", "\"\\\"\\\\/\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"a\x01z\x1f", "\"a\\u0001z\\u001F\""},
        {"\xD0\x98\x7F\xF0\x9F\x98\x80", "\"\xD0\x98\x7F\xF0\x9F\x98\x80\""},
    };
    (void)state;
    plumb_buf_t buf = {0};
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_buf_clear(&buf);
        plumb_buf_json_text(&buf, rows[i].text);
        if (strcmp(buf.data, rows[i].want) != 0)
            fail_msg("'%s': got %s", rows[i].text, buf.data);
        json_t *back = json_loads(buf.data, JSON_DECODE_ANY, NULL);
        assert_string_equal(json_string_value(back), rows[i].text);
        json_decref(back);
    }
    plumb_buf_clear(&buf);
    plumb_buf_json(&buf, "cut here, not there", 8);
    assert_string_equal(buf.data, "\"cut here\"");
    plumb_buf_fini(&buf);
}

/* What needs an escape, at each place of texts around the length of a word. */
static void finds_what_to_escape_anywhere(void **state)
{
    (void)state;
    static const char odd[] = {'"', '\\', '\n', '\x1f', '\x20', '\x7f', '!', '#', '['};
    plumb_buf_t buf = {0};
    for (size_t length = 1; length <= 26; length++)
        for (size_t at = 0; at < length * sizeof odd * 2; at++) {
            char *text = malloc(length); /* exact, so that reading behind it is seen */
            char want[64], *end = want;
            assert_non_null(text);
            for (size_t i = 0; i < length; i++)
                text[i] = (at & 1) != 0 && i % 2 == 0 ? '\xD0' : (at & 1) != 0 ? '\x98' : 'x';
            text[at / 2 % length] = odd[at / 2 / length];
            *end++ = '"';
            for (size_t i = 0; i < length; i++) {
                if (text[i] == '\n')
                    end = stpcpy(end, "\\n");
                else if (text[i] == '\x1f')
                    end = stpcpy(end, "\\u001F");
                else if (text[i] == '"' || text[i] == '\\')
                    *end++ = '\\', *end++ = text[i];
                else
                    *end++ = text[i];
            }
            *end++ = '"';
            plumb_buf_clear(&buf);
            plumb_buf_json(&buf, text, length);
            assert_int_equal(buf.length, end - want);
            assert_memory_equal(buf.data, want, buf.length);
            free(text);
        }
    plumb_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows),
        cmocka_unit_test(is_text_when_empty),
        cmocka_unit_test(prints),
        cmocka_unit_test(stays_failed),
        cmocka_unit_test(writes_json_strings),
        cmocka_unit_test(finds_what_to_escape_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
