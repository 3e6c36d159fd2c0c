/* Logs as one: lines are whole, in order of time, and nothing is lost. */
#include "count.h"
#include "merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void gather(void *self, unsigned source, const char *line, size_t length)
{
    plumb_buf_printf(self, "%u:%.*s|", source, (int)length, line);
}

static const struct {
    const char *name;
    struct {
        unsigned source;
        const char *data;
    } fed[5];
    const char *want;
} cases[] = {
    {"nothing", {{0, ""}}, ""},
    {"one line", {{0, "a\n"}}, "0:a|"},
    {"unfinished line waits", {{0, "a\nb"}}, "0:a|"},
    {"line in pieces", {{0, "a"}, {0, "b"}, {0, "c\n"}}, "0:abc|"},
    {"pieces of two sources", {{0, "a"}, {1, "x\n"}, {0, "b\n"}}, "1:x|0:ab|"},
    {"empty lines", {{0, "\n\n"}}, "0:|0:|"},
    {"by time",
     {{0, "2026-01-02T03:04:05.300Z late\n"}, {1, "2026-01-02T03:04:05.200Z early\n"}},
     "1:2026-01-02T03:04:05.200Z early|0:2026-01-02T03:04:05.300Z late|"},
    {"PostgreSQL's form of time",
     {{0, "2026-01-02T03:04:05.300Z late\n"}, {1, "2026-01-02 03:04:05.200 UTC [7] early\n"}},
     "1:2026-01-02 03:04:05.200 UTC [7] early|0:2026-01-02T03:04:05.300Z late|"},
    {"a trace stays behind its line",
     {{0, "2026-01-02T03:04:05.300Z late\n  #0 main\n"},
      {1, "2026-01-02T03:04:05.400Z later\n2026-01-02T03:04:05.500Z latest\n"},
      {0, "  #1 start\n"}},
     "0:2026-01-02T03:04:05.300Z late|0:  #0 main|0:  #1 start|1:2026-01-02T03:04:05.400Z later|"
     "1:2026-01-02T03:04:05.500Z latest|"},
    {"same time keeps arrival",
     {{1, "2026-01-02T03:04:05.300Z b\n"}, {0, "2026-01-02T03:04:05.300Z a\n"}},
     "1:2026-01-02T03:04:05.300Z b|0:2026-01-02T03:04:05.300Z a|"},
};

static void merges(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        merge_t merge = {0};
        plumb_buf_t got = {0};
        for (size_t k = 0; k < PLUMB_COUNT(cases[i].fed) && cases[i].fed[k].data != NULL; k++)
            merge_feed(&merge, cases[i].fed[k].source, cases[i].fed[k].data,
                       strlen(cases[i].fed[k].data));
        merge_flush(&merge, gather, &got);
        if (strcmp(got.data == NULL ? "" : got.data, cases[i].want) != 0)
            fail_msg("%s: '%s'", cases[i].name, got.data);
        plumb_buf_fini(&got);
        merge_fini(&merge);
    }
}

/* Handed out once; the unfinished rest comes with the next. */
static void goes_on(void **state)
{
    (void)state;
    merge_t merge = {0};
    plumb_buf_t got = {0};
    merge_feed(&merge, 0, "a\nb", 3);
    merge_flush(&merge, gather, &got);
    merge_feed(&merge, 0, "c\n", 2);
    merge_flush(&merge, gather, &got);
    merge_flush(&merge, gather, &got);
    assert_string_equal(got.data, "0:a|0:bc|");
    plumb_buf_fini(&got);
    merge_fini(&merge);
    merge_fini(&merge);
}

static void count_bytes(void *self, unsigned source, const char *line, size_t length)
{
    (void)source, (void)line;
    size_t *seen = self;
    seen[0]++;
    seen[1] += length;
}

/* Whatever the pieces, long lines come in pieces of their own and no byte is lost. */
static void cuts_long_lines(void **state)
{
    (void)state;
    enum { LENGTH = 3 * MERGE_LINE_MAX + 100 };
    char *text = malloc(LENGTH + 1);
    memset(text, 'x', LENGTH);
    text[LENGTH] = '\n';
    for (size_t piece = 1000; piece <= LENGTH + 1; piece += 7000) {
        merge_t merge = {0};
        size_t seen[2] = {0};
        for (size_t at = 0; at < LENGTH + 1; at += piece)
            merge_feed(&merge, 3, text + at, LENGTH + 1 - at < piece ? LENGTH + 1 - at : piece);
        merge_flush(&merge, count_bytes, seen);
        assert_int_equal(seen[0], 4);
        assert_int_equal(seen[1], LENGTH);
        merge_fini(&merge);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(merges), cmocka_unit_test(goes_on),
                                       cmocka_unit_test(cuts_long_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
