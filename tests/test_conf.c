/* Configuration: the file, single assignments, rules between keys, printing and reading back. */
#include "conf.h"
#include "conf_units.h"
#include "count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct place { /* a directory of the test's own, with one file */
    char dir[32], path[64];
} place_t;

static int make_place(void **state)
{
    static place_t place;
    strcpy(place.dir, "/tmp/plumb-conf.XXXXXX");
    if (mkdtemp(place.dir) == NULL)
        return -1;
    snprintf(place.path, sizeof place.path, "%s/plumb.conf", place.dir);
    *state = &place;
    return 0;
}

static int remove_place(void **state)
{
    place_t *place = *state;
    unlink(place->path);
    return rmdir(place->dir);
}

static void write_file(const place_t *place, const char *text, size_t length)
{
    FILE *file = fopen(place->path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void has_defaults(void **state)
{
    (void)state;
    plumb_conf_t conf;
    plumb_err_t err = {0};
    assert_int_equal(plumb_conf_init(&conf, &err), 0);
    assert_string_equal(conf.run_dir, "/run/plumb");
    assert_string_equal(conf.broker_jobs, "");
    assert_int_equal(conf.fence, 5000);
    assert_int_equal(conf.broker_memory, 4 << 20);
    assert_int_equal(conf.log_level, 6);
    assert_false(conf.development);
    if (plumb_conf_check(&conf, &err) != 0)
        fail_msg("%s", err.text);
    plumb_conf_fini(&conf);
    plumb_conf_fini(&conf);
    plumb_conf_fini(NULL);
}

static void reads_units(void **state)
{
    static const struct {
        const char *text;
        int64_t ms, bytes; /* -1: refused */
    } rows[] = {
        {"0", 0, 0},
        {"1500ms", 1500, -1},
        {"10s", 10000, -1},
        {"5m", 300000, -1},
        {"2h", 7200000, -1},
        {"7d", 604800000, -1},
        {"10", -1, 10},
        {"0s", 0, -1},
        {"64K", -1, 65536},
        {"1M", -1, 1 << 20},
        {"3G", -1, INT64_C(3) << 30},
        {"", -1, -1},
        {"s", -1, -1},
        {"-1s", -1, -1},
        {"1.5s", -1, -1},
        {"1 s", -1, -1},
        {"1S", -1, -1},
        {"1k", -1, -1},
        {"1KB", -1, -1},
        {"1s2m", -1, -1},
        {"106751991167d", INT64_C(106751991167) * 86400000, -1},
        {"106751991168d", -1, -1},
        {"9223372036854775807", -1, INT64_MAX},
        {"9223372036854775808", -1, -1},
        {"99999999999999999999", -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        int64_t ms = -1, bytes = -1;
        size_t length = strlen(rows[i].text);
        if (!plumb_ms_parse(&ms, rows[i].text, length))
            ms = -1;
        if (!plumb_size_parse(&bytes, rows[i].text, length))
            bytes = -1;
        if (ms != rows[i].ms || bytes != rows[i].bytes)
            fail_msg("'%s': %jd ms, %jd bytes", rows[i].text, (intmax_t)ms, (intmax_t)bytes);
    }
}

static void writes_units(void **state)
{
    (void)state;
    char text[PLUMB_UNIT_TEXT];
    assert_string_equal(plumb_ms_text(0, text), "0");
    assert_string_equal(plumb_ms_text(1500, text), "1500ms");
    assert_string_equal(plumb_ms_text(90000, text), "90s");
    assert_string_equal(plumb_ms_text(172800000, text), "2d");
    assert_string_equal(plumb_size_text(1000, text), "1000");
    assert_string_equal(plumb_size_text(65536, text), "64K");
}

/* One assignment: what it says when it is refused, NULL when taken. */
static void sets_one(void **state)
{
    static const struct {
        const char *assignment, *want;
    } rows[] = {
        {"worker.fence=3s", NULL},
        {"  worker.fence\t=  3s ", NULL},
        {"worker.fence=", "x: worker.fence: '', want a time with its unit (ms, s, m, h, d)"},
        {"worker.fence=5000",
         "x: worker.fence: '5000', want a time with its unit (ms, s, m, h, d)"},
        {"worker.fence=99ms", "x: worker.fence: 99ms is not within 100ms and 10m"},
        {"worker.fence=11m", "x: worker.fence: 11m is not within 100ms and 10m"},
        {"broker.memory=8M", NULL},
        {"broker.memory=1", "x: broker.memory: 1 is not within 64K and 64G"},
        {"broker.memory=1T", "x: broker.memory: '1T', want a size in bytes or with K, M, G"},
        {"log.level=8", "x: log.level: 8 is not within 0 and 7"},
        {"log.level=-1", "x: log.level: -1 is not within 0 and 7"},
        {"log.level=debug", "x: log.level: 'debug', want a whole number"},
        {"development=yes", NULL},
        {"development=1", "x: development: '1' is neither true nor false"},
        {"database=host=a,b dbname=c", NULL},
        {"database=", NULL},
        {"run_dir=/a\nb", "x: run_dir: holds a control character (10)"},
        {"borker.memory=8M", "x: unknown key 'borker.memory' (did you mean 'broker.memory'?)"},
        {"worker.fense=8s", "x: unknown key 'worker.fense' (did you mean 'worker.fence'?)"},
        {"worker_credit=8", "x: unknown key 'worker_credit' (did you mean 'worker.credit'?)"},
        {"something.else=8", "x: unknown key 'something.else'"},
        {"worker.fence", "x: 'worker.fence' is not 'key = value'"},
        {"=1", "x: unknown key ''"},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_conf_t conf;
        plumb_err_t err = {0};
        assert_int_equal(plumb_conf_init(&conf, &err), 0);
        int rc = plumb_conf_set(&conf, rows[i].assignment, "x", &err);
        const char *want = rows[i].want != NULL ? rows[i].want : "";
        if (rc != (rows[i].want != NULL ? -PLUMB_E_CONFIG : 0) || strcmp(err.text, want) != 0)
            fail_msg("%s: got %d '%s'", rows[i].assignment, rc, err.text);
        plumb_conf_fini(&conf);
    }
}

static void reads_file(void **state)
{
    static const char text[] = "# a comment\n\n  \t\r\nrun_dir = /tmp/x \r\nworker.fence=3s\n"
                               "database = host=h password='a # b'\nlog.level = 7";
    const place_t *place = *state;
    plumb_conf_t conf;
    plumb_err_t err = {0};
    assert_int_equal(plumb_conf_init(&conf, &err), 0);
    write_file(place, text, sizeof text - 1);
    if (plumb_conf_load(&conf, place->path, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(conf.run_dir, "/tmp/x");
    assert_string_equal(conf.database, "host=h password='a # b'");
    assert_int_equal(conf.fence, 3000);
    assert_int_equal(conf.log_level, 7);
    assert_int_equal(plumb_conf_set(&conf, "log.level=3", "--set", &err), 0);
    assert_int_equal(conf.log_level, 3);
    plumb_conf_fini(&conf);
}

static void names_file_and_line(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        const char *want; /* behind the path */
    } rows[] = {
#define FILE_TEXT(literal) literal, sizeof(literal) - 1
        {FILE_TEXT("\n# x\nborker.memory = 8M\n"),
         ":3: unknown key 'borker.memory' (did you mean 'broker.memory'?)"},
        {FILE_TEXT("log.level = 3\nrun_dir = /x\nlog.level = 4\n"),
         ":3: log.level: already set in line 1"},
        {FILE_TEXT("log.level = high"), ":1: log.level: 'high', want a whole number"},
        {FILE_TEXT("run_dir = /a\0b\n"), ":1: holds a NUL byte"},
        {FILE_TEXT("[worker]\n"), ":1: '[worker]' is not 'key = value'"},
        {FILE_TEXT(" # indented\n"), ":1: '# indented' is not 'key = value'"},
    };
    const place_t *place = *state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_conf_t conf;
        plumb_err_t err = {0};
        assert_int_equal(plumb_conf_init(&conf, &err), 0);
        write_file(place, rows[i].text, rows[i].length);
        int rc = plumb_conf_load(&conf, place->path, &err);
        size_t skip = strlen(place->path);
        if (rc != -PLUMB_E_CONFIG || strncmp(err.text, place->path, skip) != 0 ||
            strcmp(err.text + skip, rows[i].want) != 0)
            fail_msg("row %zu: got %d '%s'", i, rc, err.text);
        plumb_conf_fini(&conf);
    }
}

static void needs_a_readable_file(void **state)
{
    const place_t *place = *state;
    plumb_conf_t conf;
    plumb_err_t err = {0};
    char want[128];
    assert_int_equal(plumb_conf_init(&conf, &err), 0);
    assert_int_equal(plumb_conf_load(&conf, "/nowhere/plumb.conf", &err), -PLUMB_E_CONFIG);
    assert_string_equal(err.text, "open '/nowhere/plumb.conf': No such file or directory");
    snprintf(want, sizeof want, "read '%s': Is a directory", place->dir);
    assert_int_equal(plumb_conf_load(&conf, place->dir, &err), -PLUMB_E_CONFIG);
    assert_string_equal(err.text, want);
    plumb_conf_fini(&conf);
}

static void checks_rules(void **state)
{
    static const struct {
        const char *set[3];
        const char *want;
    } rows[] = {
        {{"worker.ca_file=/x"}, "worker.ca_file: only with development = true"},
        {{"worker.connect_to=a:1>b:2"}, "worker.connect_to: only with development = true"},
        {{"worker.ca_file=/x", "worker.connect_to=a:1>b:2", "development=true"}, NULL},
        {{"egress.allow=127.0.0.1:8080, 10.0.0.0/8, [::1]:443"}, NULL},
        {{"egress.allow=localhost"}, "egress.allow: 'localhost', want ADDRESS[/BITS][:PORT]"},
        {{"ingest.trusted_proxies=10.0.0.0/8,fd00::/8"}, NULL},
        {{"ingest.trusted_proxies=::1, 10.0.0.1:80"},
         "ingest.trusted_proxies: range 2 names port 80, want none"},
        {{"retry.schedule=10s, 1m"}, NULL},
        {{"retry.schedule="}, "retry.schedule: '', want a time such as 10s, 5m or 1h"},
        {{"retry.schedule=10s,0"}, "retry.schedule: '0', want a time such as 10s, 5m or 1h"},
        {{"retry.schedule_mail=10s,,1m"},
         "retry.schedule_mail: '', want a time such as 10s, 5m or 1h"},
        {{"ingest.listen=127.0.0.1:0"}, NULL},
        {{"ingest.listen=192.0.2.7:65535"}, NULL},
        {{"ingest.listen=8080"},
         "ingest.listen: '8080', want an IPv4 address and a port such as 127.0.0.1:8080"},
        {{"ingest.listen=:8080"},
         "ingest.listen: ':8080', want an IPv4 address and a port such as 127.0.0.1:8080"},
        {{"ingest.listen=[::1]:8080"},
         "ingest.listen: '[::1]:8080', want an IPv4 address and a port such as 127.0.0.1:8080"},
        {{"ingest.listen=127.0.0.1:443s"},
         "ingest.listen: port '443s', want 0 to 65535 and nothing behind it "
         "(TLS is for the proxy in front)"},
        {{"ingest.listen=127.0.0.1:65536"},
         "ingest.listen: port '65536', want 0 to 65535 and nothing behind it "
         "(TLS is for the proxy in front)"},
        {{"worker.fence=10s"},
         "worker.fence: 10000ms, want less than broker.worker_dead (10000ms)"},
        {{"worker.fence=1s"}, "worker.ping_every: 1000ms, want less than worker.fence (1000ms)"},
        {{"broker.epoch_dead=500ms"},
         "broker.beacon_every: 1000ms, want less than broker.epoch_dead (500ms)"},
        {{"broker.epoch_dead=500ms", "broker.beacon_every=100ms"}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_conf_t conf;
        plumb_err_t err = {0};
        assert_int_equal(plumb_conf_init(&conf, &err), 0);
        for (size_t k = 0; k < 3 && rows[i].set[k] != NULL; k++)
            assert_int_equal(plumb_conf_set(&conf, rows[i].set[k], "x", &err), 0);
        int rc = plumb_conf_check(&conf, &err);
        const char *want = rows[i].want != NULL ? rows[i].want : "";
        if (rc != (rows[i].want != NULL ? -PLUMB_E_CONFIG : 0) || strcmp(err.text, want) != 0)
            fail_msg("%s: got %d '%s'", rows[i].set[0], rc, err.text);
        plumb_conf_fini(&conf);
    }
}

static void reads_schedules(void **state)
{
    (void)state;
    int64_t waits[3];
    size_t count;
    plumb_err_t err = {0};
    assert_int_equal(plumb_conf_durations(" 10s,1m , 2h", waits, 3, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(waits[0], 10000);
    assert_int_equal(waits[2], 7200000);
    assert_true(plumb_conf_durations("1s,2s,3s,4s", waits, 3, &count, &err) < 0);
    assert_string_equal(err.text, "more than 3 times");
}

/* Print `conf`; the caller frees. */
static char *printed(const plumb_conf_t *conf, bool with_help)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    plumb_conf_print(conf, out, with_help);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void prints_what_is_read(void **state)
{
    const place_t *place = *state;
    static const char *const sets[] = {
        "run_dir=/tmp/x y", "worker.fence=1500ms",    "log.level=7",           "broker.memory=100K",
        "development=true", "worker.ca_file=/tmp/ca", "tracker.census_wait=1m"};
    plumb_conf_t conf, again;
    plumb_err_t err = {0};
    assert_int_equal(plumb_conf_init(&conf, &err), 0);
    assert_int_equal(plumb_conf_init(&again, &err), 0);
    for (size_t i = 0; i < PLUMB_COUNT(sets); i++)
        assert_int_equal(plumb_conf_set(&conf, sets[i], "x", &err), 0);
    for (int with_help = 0; with_help < 2; with_help++) {
        char *text = printed(&conf, with_help);
        write_file(place, text, strlen(text));
        if (plumb_conf_load(&again, place->path, &err) != 0)
            fail_msg("%s", err.text);
        char *text_again = printed(&again, with_help);
        assert_string_equal(text, text_again);
        assert_non_null(strstr(text, "\nrun_dir = /tmp/x y\n"));
        assert_non_null(strstr(text, "\nworker.fence = 1500ms\n"));
        assert_non_null(strstr(text, "\n# worker.credit = 512\n"));
        assert_non_null(strstr(text, "\n# ingest.hosts =\n"));
        free(text);
        free(text_again);
    }
    plumb_conf_fini(&conf);
    plumb_conf_fini(&again);
}

static void hides_passwords(void **state)
{
    static const struct {
        const char *set;
        bool hidden;
    } rows[] = {
        {"database=host=h password=hush", true},
        {"database=postgresql://u:hush@h/d", true},
        {"database=postgresql://h/d?password=hush", true},
        {"database=host=h sslpassword=hush", true},
        {"database=not a hush string", true},
        {"database=host=h dbname=hush", false},
    };
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_conf_t conf;
        assert_int_equal(plumb_conf_init(&conf, NULL), 0);
        assert_int_equal(plumb_conf_set(&conf, rows[i].set, "x", NULL), 0);
        char *text = printed(&conf, true);
        if ((strstr(text, "hush") == NULL) != rows[i].hidden)
            fail_msg("%s", rows[i].set);
        free(text);
        plumb_conf_fini(&conf);
    }
}

static void makes_paths(void **state)
{
    (void)state;
    plumb_conf_t conf;
    plumb_err_t err = {0};
    char out[256], small[16], set[128] = "run_dir=/", *long_dir = set + strlen("run_dir=");
    assert_int_equal(plumb_conf_init(&conf, &err), 0);
    assert_int_equal(plumb_conf_run_path(&conf, out, sizeof out, "a.http", &err), 0);
    assert_string_equal(out, "/run/plumb/a.http");
    assert_int_equal(plumb_conf_run_path(&conf, small, sizeof small, "abcd", &err), 0);
    assert_true(plumb_conf_run_path(&conf, small, sizeof small, "abcde", &err) < 0);
    assert_int_equal(plumb_conf_endpoint(&conf, "", "jobs", out, sizeof out, &err), 0);
    assert_string_equal(out, "ipc:///run/plumb/jobs");
    assert_int_equal(plumb_conf_endpoint(&conf, "tcp://127.0.0.1:1", "jobs", out, sizeof out, &err),
                     0);
    assert_string_equal(out, "tcp://127.0.0.1:1");
    assert_true(plumb_conf_endpoint(&conf, "tcp://127.0.0.1:1", "jobs", small, 16, &err) < 0);

    memset(long_dir + 1, 'd', 101); /* with "/jobs" 107 bytes, the longest address of a socket */
    assert_int_equal(plumb_conf_set(&conf, set, "x", &err), 0);
    assert_int_equal(plumb_conf_endpoint(&conf, "", "jobs", out, sizeof out, &err), 0);
    assert_int_equal(strlen(out), strlen("ipc://") + 107);
    char longest[256];
    snprintf(longest, sizeof longest, "%s", out);
    assert_int_equal(plumb_conf_endpoint(&conf, longest, "x", out, sizeof out, &err), 0);
    assert_true(plumb_conf_endpoint(&conf, "", "jobs1", out, sizeof out, &err) < 0);
    snprintf(longest + strlen(longest), 2, "1");
    assert_true(plumb_conf_endpoint(&conf, longest, "x", out, sizeof out, &err) < 0);
    plumb_conf_fini(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(reads_units),
        cmocka_unit_test(writes_units),
        cmocka_unit_test(sets_one),
        cmocka_unit_test_setup_teardown(reads_file, make_place, remove_place),
        cmocka_unit_test_setup_teardown(names_file_and_line, make_place, remove_place),
        cmocka_unit_test_setup_teardown(needs_a_readable_file, make_place, remove_place),
        cmocka_unit_test(checks_rules),
        cmocka_unit_test(reads_schedules),
        cmocka_unit_test_setup_teardown(prints_what_is_read, make_place, remove_place),
        cmocka_unit_test(hides_passwords),
        cmocka_unit_test(makes_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
