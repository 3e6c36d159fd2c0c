/* Logs that are put aside while they are written and followed: no line is lost, none is cut. */
#include "buf.h"
#include "clock.h"
#include "follow.h"
#include "logger.h"
#include "scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOG_MAX 20000 /* more than 1,000 lines take */
#define MANY 1300     /* lines: more than LOG_MAX, less than twice */
#define WAIT_MS 20000

typedef struct fixture {
    logger_t logger;
    follow_t *follow;
    char *shown; /* what follow_print gave, owned */
    size_t shown_size;
    FILE *out;
    const char *dir;
} fixture_t;

static plumb_err_t err;

static void open_all(fixture_t *f, void **state)
{
    static const char *const names[] = {"a", "b"};
    const char *const paths[] = {scratch_path(state, "", "a.log"),
                                 scratch_path(state, "", "b.log")};
    *f = (fixture_t){.dir = *state};
    f->out = open_memstream(&f->shown, &f->shown_size);
    if (logger_open(&f->logger, paths, 2, LOG_MAX, &err) < 0)
        fail_msg("%s", err.text);
    logger_flush(&f->logger);
    if (follow_new(&f->follow, f->dir, names, 2, false, &err) < 0)
        fail_msg("%s", err.text);
}

static void close_all(fixture_t *f)
{
    logger_close(&f->logger);
    follow_destroy(&f->follow);
    fclose(f->out);
    free(f->shown);
}

/* Say lines `from` to `until` (not it) on a log; each has its number. */
static void say(const fixture_t *f, unsigned log, int from, int until)
{
    for (int i = from; i < until; i++)
        assert_true(dprintf(f->logger.into[log], "line %d of many\n", i) > 0);
}

/* Put what is in the file, which may not be there, behind `text`. */
static void append_file(const fixture_t *f, const char *name, plumb_buf_t *text)
{
    char path[128], data[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *in = fopen(path, "r");
    while (in != NULL && (n = fread(data, 1, sizeof data, in)) > 0)
        plumb_buf_put(text, data, n);
    if (in != NULL)
        fclose(in);
}

/* Is `text` lines `from` to `until`, each behind `prefix`, and nothing else? */
static void check_lines(const char *what, const char *text, const char *prefix, int from, int until)
{
    char want[64];
    for (int i = from; i < until; i++) {
        int length = snprintf(want, sizeof want, "%sline %d of many\n", prefix, i);
        if (strncmp(text, want, (size_t)length) != 0)
            fail_msg("%s: want '%s', got '%.60s'", what, want, text);
        text += length;
    }
    if (text[0] != '\0')
        fail_msg("%s: '%.60s' behind the last line", what, text);
}

static struct stat file_of(const fixture_t *f, const char *name)
{
    char path[128];
    struct stat st = {.st_size = -1};
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    stat(path, &st);
    return st;
}

static void puts_aside_whole_lines(void **state)
{
    fixture_t f;
    open_all(&f, state);
    say(&f, 0, 0, MANY);
    say(&f, 1, 0, 10);
    logger_flush(&f.logger);
    assert_in_range(file_of(&f, "a.log.old").st_size, LOG_MAX - 100, LOG_MAX + 65536);
    assert_int_equal(file_of(&f, "b.log.old").st_size, -1);
    plumb_buf_t both = {0};
    append_file(&f, "a.log.old", &both);
    assert_int_equal(both.data[both.length - 1], '\n');
    append_file(&f, "a.log", &both);
    check_lines("files", both.data, "", 0, MANY);
    plumb_buf_fini(&both);
    close_all(&f);
}

/* Also what stands unread in a file when it is put aside, which happens at most once a round. */
static void is_followed_across(void **state)
{
    fixture_t f;
    int changes = 0;
    open_all(&f, state);
    for (int i = 0; i < 10; i++) {
        ino_t before = file_of(&f, "a.log").st_ino;
        say(&f, 0, i * 1000, i * 1000 + 500);
        logger_flush(&f.logger);
        say(&f, 0, i * 1000 + 500, (i + 1) * 1000);
        logger_flush(&f.logger);
        changes += file_of(&f, "a.log").st_ino != before;
        while (follow_print(f.follow, f.out)) {
        }
    }
    assert_in_range(changes, 5, 9);
    check_lines("screen", f.shown, "a        | ", 0, 10000);
    close_all(&f);
}

static void next_one_goes_on(void **state)
{
    fixture_t f;
    open_all(&f, state);
    say(&f, 0, 0, 100);
    logger_flush(&f.logger);
    pid_t first = f.logger.pid;
    assert_int_equal(kill(first, SIGKILL), 0);
    say(&f, 0, 100, 200);
    int64_t until_ms = plumb_mono_ms() + WAIT_MS;
    while (f.logger.pid == first && plumb_mono_ms() < until_ms)
        logger_keep(&f.logger);
    assert_int_not_equal(f.logger.pid, first);
    say(&f, 0, 200, 300);
    logger_flush(&f.logger);
    plumb_buf_t text = {0};
    append_file(&f, "a.log", &text);
    check_lines("file", text.data, "", 0, 300);
    plumb_buf_fini(&text);
    close_all(&f);
}

/* As long as somebody can still say something. */
static void outlives_its_supervisor(void **state)
{
    fixture_t f;
    char word;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t supervisor = fork();
    if (supervisor == 0) {
        open_all(&f, state);
        if (fork() == 0) { /* a child of it, which it leaves behind */
            close(ends[1]);
            while (read(ends[0], &word, 1) < 0) {
            }
            say(&f, 0, 0, 300);
            _exit(0);
        }
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(supervisor, NULL, 0), supervisor);
    close(ends[0]);
    close(ends[1]);
    f = (fixture_t){.dir = *state};
    int64_t until_ms = plumb_mono_ms() + WAIT_MS;
    plumb_buf_t text = {0};
    do {
        plumb_buf_clear(&text);
        append_file(&f, "a.log", &text);
    } while (plumb_mono_ms() < until_ms &&
             (text.length == 0 || strstr(text.data, "line 299 of many\n") == NULL));
    check_lines("file", text.length > 0 ? text.data : "", "", 0, 300);
    plumb_buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(puts_aside_whole_lines, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(is_followed_across, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(next_one_goes_on, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(outlives_its_supervisor, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
