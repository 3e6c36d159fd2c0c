/* The configuration that `plumb up` writes: --set over its own decisions, read back unchanged. */
#include "conf_table.h"
#include "count.h"
#include "settings.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SETS_MAX 4

static int make(plumb_conf_t *conf, const char *const sets[], plumb_err_t *err)
{
    args_t args = {.sets = (const char **)sets};
    while (args.set_count < SETS_MAX && sets[args.set_count] != NULL)
        args.set_count++;
    return settings_make(conf, "/state", "/channels", &args, err);
}

static void decides(void **state)
{
    (void)state;
    plumb_conf_t conf = {0};
    plumb_err_t err = {0};
    if (make(&conf, (const char * [SETS_MAX + 1]){"log.level=4", "limits.token = 0"}, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(conf.development);
    assert_string_equal(conf.run_dir, "/state/run");
    assert_string_equal(conf.keys_dir, "/state/keys");
    assert_string_equal(conf.state_dir, "/state");
    assert_string_equal(conf.channel_dir, "/channels");
    assert_int_equal(conf.log_level, 4);
    assert_string_equal(conf.limit_token, "0");
    plumb_conf_fini(&conf);
}

static void makes_paths_absolute(void **state)
{
    (void)state;
    plumb_conf_t conf = {0};
    char cwd[PATH_MAX], want[2 * PATH_MAX];
    snprintf(want, sizeof want, "%s/mine", getcwd(cwd, sizeof cwd));
    assert_int_equal(make(&conf, (const char * [SETS_MAX + 1]){"channel_dir=mine"}, NULL), 0);
    assert_string_equal(conf.channel_dir, want);
    assert_string_equal(conf.ca_file, "");
    plumb_conf_fini(&conf);
}

static void refuses(void **state)
{
    static const struct {
        const char *set, *says;
        int rc;
    } rows[] = {{"nose=long", "unknown key 'nose'", -PLUMB_E_CONFIG},
                {"log.level=loud", "log.level", -PLUMB_E_CONFIG},
                {"log.level", "log.level", -PLUMB_E_CONFIG},
                {"worker.fence=20s", "worker.fence", -PLUMB_E_CONFIG},
                {"database=host=/x", "--database", -PLUMB_E_USAGE},
                {"ingest.listen=127.0.0.1:1", "--port", -PLUMB_E_USAGE}};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        plumb_conf_t conf = {0};
        plumb_err_t err = {0};
        int rc = make(&conf, (const char * [SETS_MAX + 1]){rows[i].set}, &err);
        if (rc != rows[i].rc || strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s: %d %s", rows[i].set, rc, err.text);
        plumb_conf_fini(&conf);
    }
}

/* Every key, with a password and odd texts, through the file and back. */
static void writes_what_is_read(void **state)
{
    (void)state;
    char path[] = "/tmp/plumb-settings.XXXXXX";
    plumb_conf_t conf = {0}, back = {0};
    plumb_buf_t first = {0}, second = {0};
    plumb_err_t err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(make(&conf,
                          (const char * [SETS_MAX + 1]){"broker.memory=64M", "worker.fence=1500ms",
                                                        "egress.allow=127.0.0.1/32,[::1]:8080"},
                          NULL),
                     0);
    assert_int_equal(
        settings_put(&conf, "database", "host='/a b' password=s3cret # x dbname=y", NULL), 0);
    settings_print(&conf, &first);
    assert_int_equal(write(fd, first.data, first.length), (ssize_t)first.length);
    close(fd);
    assert_int_equal(plumb_conf_init(&back, NULL), 0);
    if (plumb_conf_load(&back, path, &err) != 0)
        fail_msg("%s", err.text);
    settings_print(&back, &second);
    assert_string_equal(second.data, first.data);
    assert_string_equal(back.database, "host='/a b' password=s3cret # x dbname=y");
    assert_int_equal(back.broker_memory, 64 << 20);
    assert_int_equal(back.fence, 1500);
    unlink(path);
    plumb_buf_fini(&first);
    plumb_buf_fini(&second);
    plumb_conf_fini(&conf);
    plumb_conf_fini(&back);
}

static void checks_paths(void **state)
{
    static const struct {
        size_t length; /* of the state directory */
        int rc;
    } rows[] = {{20, 0}, {87, 0}, {88, -PLUMB_E_CONFIG}, {200, -PLUMB_E_CONFIG}};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        char dir[256] = "/";
        plumb_conf_t conf = {0};
        plumb_err_t err = {0};
        args_t args = {0};
        memset(dir + 1, 'x', rows[i].length - 1);
        assert_int_equal(settings_make(&conf, dir, "/c", &args, NULL), 0);
        int rc = settings_check_paths(&conf, dir, &err);
        if (rc != rows[i].rc || (rc < 0 && strstr(err.text, "--state") == NULL))
            fail_msg("%zu bytes: %d %s", rows[i].length, rc, err.text);
        plumb_conf_fini(&conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides), cmocka_unit_test(makes_paths_absolute),
        cmocka_unit_test(refuses), cmocka_unit_test(writes_what_is_read),
        cmocka_unit_test(checks_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
