/* UTF-8: what is wrong is found wherever it stands among ASCII that is looked at in words. */
#include "count.h"
#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *name, *bytes;
    size_t length;
    bool valid;
} cases[] = {
    {"NUL", "", 1, false},
    {"continuation", "\x80", 1, false},
    {"top byte", "\xff", 1, false},
    {"overlong", "\xc0\x80", 2, false},
    {"surrogate", "\xed\xa0\x80", 3, false},
    {"above U+10FFFF", "\xf4\x90\x80\x80", 4, false},
    {"cut", "\xe2\x82", 2, false},
    {"first control", "\x01", 1, true},
    {"delete", "\x7f", 1, true},
    {"two bytes", "\xc3\xa9", 2, true},
    {"three bytes", "\xe2\x82\xac", 3, true},
    {"four bytes", "\xf0\x9f\x98\x80", 4, true},
};

static void finds_it_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++)
        for (size_t length = cases[i].length; length <= 40; length++)
            for (size_t at = 0; at + cases[i].length <= length; at++) {
                char *text = malloc(length); /* exact, so that reading behind it is seen */
                assert_non_null(text);
                memset(text, at % 2 == 0 ? 'x' : '\x01', length);
                memcpy(text + at, cases[i].bytes, cases[i].length);
                if (plumb_utf8_valid(text, length) != cases[i].valid)
                    fail_msg("%s at %zu of %zu", cases[i].name, at, length);
                free(text);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_it_anywhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
