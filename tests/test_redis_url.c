/* Where Redis is, as configuration writes it. */
#include "redis_url.h"

#include "count.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    plumb_redis_url_t want;
} good[] = {
    {"redis://localhost", {.host = "localhost", .port = 6379}},
    {"redis://10.0.0.1:7000/3", {.host = "10.0.0.1", .port = 7000, .database = 3}},
    {"redis://h/", {.host = "h", .port = 6379}},
    {"redis://:s%40c%2Fret@h:1", {.host = "h", .port = 1, .password = "s@c/ret"}},
    {"redis://plumb:a:b@h", {.host = "h", .port = 6379, .user = "plumb", .password = "a:b"}},
    {"redis://[2001:db8::1]:7000", {.host = "2001:db8::1", .port = 7000}},
    {"redis://[::1]", {.host = "::1", .port = 6379}},
    {"unix:///run/redis.sock", {.path = "/run/redis.sock", .port = 6379}},
    {"unix:///run/r%20s?db=2", {.path = "/run/r s", .port = 6379, .database = 2}},
};

static const char *const bad[] = {
    "",
    "localhost",
    "rediss://h",
    "redis://",
    "redis://:7000",
    "redis://h:0",
    "redis://h:70000",
    "redis://h:7x",
    "redis://h/x",
    "redis://h/-1",
    "redis://user@h",
    "redis://user:@h",
    "redis://:%4@h",
    "redis://:%4",
    "redis://:%zz@h",
    "redis://:%00@h",
    "redis://[::1",
    "redis://[::1]x",
    "unix://run/redis.sock",
    "unix:///a?db=x",
    "unix:///a?x=1",
};

static void reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(good); i++) {
        plumb_err_t err = {0};
        plumb_redis_url_t got;
        const plumb_redis_url_t *want = &good[i].want;
        if (plumb_redis_url_parse(&got, good[i].text, &err) < 0)
            fail_msg("%s: %s", good[i].text, err.text);
        assert_string_equal(got.path, want->path);
        assert_string_equal(got.host, want->host);
        assert_string_equal(got.user, want->user);
        assert_string_equal(got.password, want->password);
        assert_int_equal(got.port, want->port);
        assert_int_equal(got.database, want->database);
    }
}

static void refuses(void **state)
{
    (void)state;
    char path[160] = "unix:///"; /* longer than a socket's address takes */
    plumb_redis_url_t url;
    memset(path + strlen(path), 'a', 108);
    assert_int_equal(plumb_redis_url_parse(&url, path, NULL), -PLUMB_E_CONFIG);
    for (size_t i = 0; i < PLUMB_COUNT(bad); i++) {
        plumb_err_t err = {0};
        plumb_redis_url_t got;
        if (plumb_redis_url_parse(&got, bad[i], &err) != -PLUMB_E_CONFIG)
            fail_msg("'%s' is taken", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
