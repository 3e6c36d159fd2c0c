/* UTF-8: what is wrong is found wherever it stands among ASCII that is looked at in words. */
#include "count.h"
#include "json.h"
#include "utf8.h"

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

/* Bytes of whole characters in front, looked at one by one. */
static size_t prefix_by_characters(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t step = text[at] != '\0' ? plumb_utf8_length(text + at, length - at) : 0;
        if (step == 0)
            break;
        at += step;
    }
    return at;
}

/* Texts of the characters above in any order, a byte of some of them changed. */
static void words_say_what_characters_say(void **state)
{
    (void)state;
    static const char *const pieces[] = {"x",  "\xd0\xb0", "\xdf\xbf",         "\xc2\x80",
                                         "\n", "\xd1\x8f", "\xf0\x9f\x98\x80", "\xe2\x82\xac"};
    unsigned seed = 1;
    for (int round = 0; round < 200000; round++) {
        char text[48];
        size_t length = 0;
        unsigned kinds = round % 2 == 0 ? 6 : PLUMB_COUNT(pieces);
        while (length < 40) {
            seed = seed * 1103515245 + 12345;
            const char *piece = pieces[(seed >> 16) % kinds];
            while (*piece != '\0')
                text[length++] = *piece++;
        }
        seed = seed * 1103515245 + 12345;
        if (round % 3 != 0)
            text[(seed >> 8) % length] = (char)(seed >> 24);
        size_t want = prefix_by_characters(text, length), got = plumb_utf8_prefix(text, length);
        if (got != want)
            fail_msg("round %d: %zu bytes, want %zu of %zu", round, got, want, length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_it_anywhere),
                                       cmocka_unit_test(words_say_what_characters_say)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
