/* Log lines: pairs that cannot be forged, escapes, lengths, levels; and what main returns. */
#include "clock.h"
#include "count.h"
#include "err.h"
#include "json.h"
#include "log.h"
#include "log_pairs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What is written to stderr between begin and end; a pipe holds several full lines. */
typedef struct capture {
    int saved, pipe[2];
    char text[32768];
} capture_t;

static void capture_begin(capture_t *c)
{
    fflush(stderr);
    assert_int_equal(pipe2(c->pipe, O_CLOEXEC), 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(c->saved >= 0);
    assert_true(dup2(c->pipe[1], STDERR_FILENO) >= 0);
}

static void capture_end(capture_t *c)
{
    size_t length = 0;
    ssize_t got;
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    close(c->pipe[1]);
    while ((got = read(c->pipe[0], c->text + length, sizeof c->text - 1 - length)) > 0)
        length += (size_t)got;
    close(c->pipe[0]);
    c->text[length] = '\0';
}

/* The last line logged, behind its time. */
#define LOGGED(c, ...)                                                                             \
    (capture_begin(&(c)), plumb_log_event(__VA_ARGS__), capture_end(&(c)), behind_time((c).text))

static const char *behind_time(const char *line)
{
    static const char form[] = "0000-00-00T00:00:00.000Z ";
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == '0' ? line[i] < '0' || line[i] > '9' : line[i] != form[i])
            fail_msg("no time in front: %s", line);
    return line + sizeof form - 1;
}

static void writes_lines(void **state)
{
    (void)state;
    capture_t c;
    plumb_log_open("broker", LOG_INFO);
    assert_string_equal(LOGGED(c, LOG_INFO, "delivery_done", "delivery=%s attempt=%d", "0197", 2),
                        "info broker event=delivery_done delivery=0197 attempt=2\n");
    assert_string_equal(LOGGED(c, LOG_ERR, "failed", "reason=\"%s\"", "no such file"),
                        "err broker event=failed reason=\"no such file\"\n");
    assert_string_equal(LOGGED(c, LOG_WARNING, "bare", "%s", ""), "warning broker event=bare\n");
    assert_string_equal(LOGGED(c, LOG_NOTICE, "start", "version=%s pid=%d", "0.1.0", 7),
                        "notice broker event=start version=0.1.0 pid=7\n");
}

static void drops_below_level(void **state)
{
    (void)state;
    capture_t c;
    plumb_log_open("broker", LOG_WARNING);
    capture_begin(&c);
    plumb_log_event(LOG_NOTICE, "dropped", "a=%d", 1);
    plumb_log_event(LOG_WARNING, "kept", "a=%d", 1);
    capture_end(&c);
    assert_string_equal(behind_time(c.text), "warning broker event=kept a=1\n");
    plumb_log_open("broker", LOG_INFO);
}

/* Whatever a value holds, it stays one value on one line. */
static void escapes_values(void **state)
{
    static const struct {
        const char *value, *want;
    } rows[] = {
        {"plain", "v=plain w=1"},
        {"\xD0\x98\xD0\xB2\xD0\xB0\xD0\xBD", "v=\xD0\x98\xD0\xB2\xD0\xB0\xD0\xBD w=1"},
        {"", "v=\"\" w=1"},
        {"two words", "v=\"two words\" w=1"},
        {"x w=2", "v=\"x w=2\" w=1"},
        {"x\" w=\"2", "v=\"x\\\" w=\\\"2\" w=1"},
        {"a\nb\rc\td", "v=a\\nb\\x0dc\\x09d w=1"},
        {"\x1b[31m\x7f", "v=\\x1b[31m\\x7f w=1"},
        {"back\\slash", "v=back\\\\slash w=1"},
        {"\xD0 \xFFx", "v=\"\\xd0 \\xffx\" w=1"},
        {"x\x1fw=2", "v=\"x\\x1fw=2\\x1fw=1\""},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        capture_t c;
        const char *line = LOGGED(c, LOG_INFO, "e", "v=%s w=%d", rows[i].value, 1);
        const char *pairs = line + strlen("info broker event=e ");
        if (strlen(line) < 20 || strncmp(pairs, rows[i].want, strlen(rows[i].want)) != 0 ||
            strcmp(pairs + strlen(rows[i].want), "\n") != 0)
            fail_msg("row %zu: got %s", i, line);
    }
}

static void take(plumb_log_pairs_t *pairs, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void take(plumb_log_pairs_t *pairs, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    plumb_log_pairs(pairs, format, args);
    va_end(args);
}

/* Fields of the journal are these pairs, with values as they were given. */
static void takes_pairs_apart(void **state)
{
    (void)state;
    static plumb_log_pairs_t pairs;
    take(&pairs, "delivery=%s reason=\"%s or a=b\" n=%d", "x\ny", "he said \"no\"", 3);
    assert_int_equal(pairs.count, 3);
    assert_string_equal(pairs.pair[0].key, "delivery");
    assert_string_equal(pairs.pair[0].value, "x\ny");
    assert_string_equal(pairs.pair[1].key, "reason");
    assert_string_equal(pairs.pair[1].value, "he said \"no\" or a=b");
    assert_string_equal(pairs.pair[2].value, "3");
    take(&pairs, "reason=\"%s\" n=%d", "x delivery=forged\" delivery=\"forged", 1);
    assert_int_equal(pairs.count, 2);
    assert_string_equal(pairs.pair[0].value, "x delivery=forged\" delivery=\"forged");
}

static void cuts_long_lines(void **state)
{
    (void)state;
    capture_t c;
    char *value = malloc(10001);
    memset(value, 'x', 10000);
    value[10000] = '\0';
    for (size_t length = 3800; length < 4200; length += 7) {
        const char *line = LOGGED(c, LOG_INFO, "e", "v=\"%.*s\" w=%d", (int)length, value, 1);
        size_t size = strlen(c.text);
        assert_true(size <= PLUMB_LOG_TEXT_MAX);
        assert_true(plumb_utf8_valid(line, strlen(line)));
        assert_ptr_equal(strchr(c.text, '\n'), c.text + size - 1);
    }
    memset(value, '\n', 10000); /* grows fourfold when escaped */
    LOGGED(c, LOG_INFO, "e", "v=%s", value);
    assert_in_range(strlen(c.text), 3000, PLUMB_LOG_TEXT_MAX);
    assert_ptr_equal(strchr(c.text, '\n'), c.text + strlen(c.text) - 1);
    free(value);
}

/* A JOURNAL_STREAM that is not stderr's is somebody else's; one that is must fall back where there
 * is no journal to send to. */
static void knows_its_stderr(void **state)
{
    (void)state;
    capture_t c;
    struct stat is;
    char stream[64];
    setenv("JOURNAL_STREAM", "1:2", 1);
    plumb_log_open("broker", LOG_INFO);
    assert_string_equal(LOGGED(c, LOG_INFO, "e", "a=%d", 1), "info broker event=e a=1\n");
    if (access("/run/systemd/journal/socket", F_OK) != 0) {
        capture_begin(&c);
        assert_int_equal(fstat(STDERR_FILENO, &is), 0);
        snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)is.st_dev, (uintmax_t)is.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        plumb_log_open("broker", LOG_INFO);
        plumb_log_event(LOG_INFO, "e", "a=%d", 1);
        capture_end(&c);
        assert_non_null(strstr(c.text, "info broker event=e a=1\n"));
    }
    unsetenv("JOURNAL_STREAM");
    plumb_log_open("broker", LOG_INFO);
}

static void exits(void **state)
{
    (void)state;
    capture_t c;
    plumb_err_t err = {0};
    assert_int_equal(plumb_exit(0, &err), 0);
    int rc = plumb_err_set(&err, PLUMB_E_CONFIG, "plumb.conf:3: unknown key");
    capture_begin(&c);
    int status = plumb_exit(rc, &err);
    capture_end(&c);
    assert_int_equal(status, 2);
    assert_string_equal(behind_time(c.text),
                        "err broker event=failed reason=\"plumb.conf:3: unknown key\"\n");
}

static void writes_times(void **state)
{
    static const struct {
        int64_t ms;
        const char *want;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1767323045678, "2026-01-02T03:04:05.678Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char got[PLUMB_TIME_TEXT];
        if (strcmp(plumb_time_text(rows[i].ms, got), rows[i].want) != 0)
            fail_msg("%jd: got %s", (intmax_t)rows[i].ms, got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_lines),    cmocka_unit_test(drops_below_level),
        cmocka_unit_test(escapes_values),  cmocka_unit_test(takes_pairs_apart),
        cmocka_unit_test(cuts_long_lines), cmocka_unit_test(knows_its_stderr),
        cmocka_unit_test(exits),           cmocka_unit_test(writes_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
