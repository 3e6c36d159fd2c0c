/* Rate limits, guessers, and the bounded table under both. */
#include "cells.h"
#include "count.h"
#include "limit.h"
#include "running.h"
#include "strangers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define MINUTE INT64_C(60000)

static plumb_err_t err;

static limit_t limit_at(limit_kind_t kind, uint8_t who, const char *rate)
{
    limit_t limit = {.kind = kind, .subject = {who}};
    if (plumb_rate_parse(&limit.rate, rate, &err) < 0)
        fail_msg("%s", err.text);
    return limit;
}

static limit_t limit_of(limit_kind_t kind, uint8_t who, int64_t per_second)
{
    return (limit_t){.kind = kind,
                     .subject = {who},
                     .rate = {.count = per_second, .period_us = SECOND, .burst = 2 * per_second}};
}

static unsigned take_all(limits_t *limits, const limit_t *list, unsigned count, int64_t now_us)
{
    limit_state_t state;
    unsigned taken = 0;
    while (taken < 10000 && limits_take(limits, list, count, now_us, &state))
        taken++;
    return taken;
}

static void bursts_and_refills(void **state)
{
    limits_t *limits;
    limit_state_t seen;
    limit_t one = limit_of(LIMIT_TOKEN, 1, 50);
    (void)state;
    assert_int_equal(limits_new(&limits, NULL, &err), 0);
    assert_int_equal(take_all(limits, &one, 1, SECOND), 100);
    assert_false(limits_take(limits, &one, 1, SECOND, &seen));
    assert_int_equal(seen.retry_us, SECOND / 50);
    assert_ptr_equal(seen.limit, &one);
    assert_int_equal(seen.remaining, 0);
    assert_false(limits_take(limits, &one, 1, SECOND + seen.retry_us - 1, &seen));
    assert_true(limits_take(limits, &one, 1, SECOND + SECOND / 50, &seen));
    assert_int_equal(take_all(limits, &one, 1, 2 * SECOND), 49);
    assert_int_equal(take_all(limits, &one, 1, 100 * SECOND), 100);
    limits_give(limits, &one, 1, false);
    assert_int_equal(take_all(limits, &one, 1, 100 * SECOND), 1);
    limits_destroy(&limits);
}

/* A refusal by one limit costs nothing of the other. */
static void charges_all_or_none(void **state)
{
    limits_t *limits;
    limit_t both[] = {limit_of(LIMIT_TOKEN, 1, 10), limit_of(LIMIT_ACCOUNT, 1, 100)};
    limit_t other[] = {limit_of(LIMIT_TOKEN, 2, 0), limit_of(LIMIT_ACCOUNT, 1, 100)};
    (void)state;
    assert_int_equal(limits_new(&limits, NULL, &err), 0);
    assert_int_equal(take_all(limits, both, 2, SECOND), 20);
    assert_int_equal(take_all(limits, other, 2, SECOND), 180);
    assert_int_equal(take_all(limits, other, 1, SECOND), 10000); /* 0 is no limit */
    limits_destroy(&limits);
}

/* Rates of any period: the burst at once, then one an interval, and never more than the rate. */
static void any_rate(void **state)
{
    static const struct {
        const char *rate;
        unsigned burst;
        int64_t interval;
    } cases[] = {{"7", 7, SECOND / 7},        {"1/s burst 3", 3, SECOND},
                 {"60/m burst 1", 1, SECOND}, {"100/h burst 5", 5, 36 * SECOND},
                 {"20/d", 20, 4320 * SECOND}, {"1000000/s burst 2", 2, 1}};
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        limits_t *limits;
        limit_state_t seen;
        limit_t one = limit_at(LIMIT_ACCOUNT, 1, cases[i].rate);
        int64_t now = SECOND;
        assert_int_equal(limits_new(&limits, NULL, &err), 0);
        assert_int_equal(take_all(limits, &one, 1, now), cases[i].burst);
        assert_false(limits_take(limits, &one, 1, now, &seen));
        assert_int_equal(seen.retry_us, cases[i].interval);
        for (int k = 0; k < 5; k++) {
            assert_false(limits_take(limits, &one, 1, now + cases[i].interval - 1, &seen));
            assert_int_equal(seen.retry_us, 1);
            now += cases[i].interval;
            assert_true(limits_take(limits, &one, 1, now, &seen));
            assert_int_equal(seen.remaining, 0);
        }
        assert_int_equal(seen.full_us, cases[i].interval * cases[i].burst);
        limits_destroy(&limits);
    }
}

/* Who was allowed more before waits no longer than the new rate has it. */
static void takes_lower_rates(void **state)
{
    limits_t *limits;
    limit_state_t seen;
    limit_t day = limit_at(LIMIT_TESTS, 1, "10/d"), second = limit_at(LIMIT_TESTS, 1, "10/s");
    (void)state;
    assert_int_equal(limits_new(&limits, NULL, &err), 0);
    assert_int_equal(take_all(limits, &day, 1, SECOND), 10);
    assert_false(limits_take(limits, &second, 1, SECOND, &seen));
    assert_int_equal(seen.retry_us, SECOND / 10);
    limits_destroy(&limits);
}

/* However many clients come, an account's count stays. */
static void keeps_accounts_apart(void **state)
{
    limits_t *limits;
    limit_state_t seen;
    limit_t account = limit_at(LIMIT_ACCOUNT, 1, "1/s");
    (void)state;
    assert_int_equal(limits_new(&limits, NULL, &err), 0);
    assert_true(limits_take(limits, &account, 1, SECOND, &seen));
    for (unsigned i = 0; i < 50000; i++) {
        limit_t client = limit_at(LIMIT_CLIENT, 0, "1/m");
        memcpy(client.subject, &i, sizeof i);
        assert_true(limits_take(limits, &client, 1, SECOND, &seen));
    }
    assert_false(limits_take(limits, &account, 1, SECOND, &seen));
    limits_destroy(&limits);
}

static void reads_rates(void **state)
{
    static const char *const bad[] = {
        "",        "x",           "-1",          "1/",      "1/w",
        "1/sec",   "/s",          "1.5/s",       "1000001", "5/s burst",
        "5 burst", "5/s burst 0", "5/s burst x", "5/s 10",  "5/s burst 1000001"};
    plumb_rate_t rate;
    (void)state;
    for (size_t i = 0; i < PLUMB_COUNT(bad); i++)
        if (plumb_rate_parse(&rate, bad[i], &err) != -PLUMB_E_CONFIG)
            fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(plumb_rate_parse(&rate, "0", &err), 0);
    assert_int_equal(rate.count, 0);
    assert_int_equal(plumb_rate_parse(&rate, "3/m  burst  9", &err), 0);
    assert_int_equal(rate.count, 3);
    assert_int_equal(rate.period_us, 60 * SECOND);
    assert_int_equal(rate.burst, 9);
}

static void keeps_guessers_out(void **state)
{
    strangers_t *s;
    static const uint8_t a[16] = {1}, b[16] = {0};
    int64_t now = 10 * MINUTE, blocks[] = {1, 2, 4, 8, 16, 32, 60, 60};
    (void)state;
    assert_int_equal(strangers_new(&s, &err), 0);
    for (int i = 0; i < 100; i++) /* nine a minute are borne */
        strangers_failed(s, b, now + i * MINUTE / 9);
    assert_int_equal(strangers_kept_out(s, b, now + 100 * MINUTE / 9), 0);
    for (size_t k = 0; k < PLUMB_COUNT(blocks); k++) {
        for (int i = 0; i < 10; i++) {
            assert_int_equal(strangers_kept_out(s, a, now), 0);
            strangers_failed(s, a, now);
        }
        assert_int_equal(strangers_kept_out(s, a, now), blocks[k] * MINUTE);
        now += blocks[k] * MINUTE;
    }
    strangers_destroy(&s);
}

typedef struct thing {
    cell_t cell;
    unsigned value;
} thing_t;

/* However many names come, the busy one stays and memory does not grow. */
static void bounds_the_table(void **state)
{
    cells_t cells;
    bool fresh;
    unsigned key;
    (void)state;
    assert_true(cells_init(&cells, sizeof(thing_t), 64));
    for (unsigned i = 1; i < 5000; i++) {
        key = 0xFFFFFFFF;
        thing_t *busy = cells_find(&cells, &key, sizeof key, &fresh);
        if (fresh)
            busy->value = 42;
        assert_int_equal(fresh, i == 1);
        assert_int_equal(busy->value, 42);
        busy->cell.used = (int64_t)i * 2 + 1;
        key = i;
        thing_t *other = cells_find(&cells, &key, sizeof key, &fresh);
        assert_true(fresh);
        other->cell.used = (int64_t)i * 2;
        other->value = i;
    }
    size_t count = 0;
    while (cells_at(&cells, count) != NULL)
        count++;
    assert_int_equal(count, 64);
    cells_fini(&cells);
}

static void one_at_a_time(void **state)
{
    running_t *running;
    plumb_uuid_t a = {{1}}, b = {{2}};
    (void)state;
    assert_int_equal(running_new(&running, 4, &err), 0);
    int first = running_enter(running, &a, "POST /x", "key");
    assert_true(first >= 0);
    assert_int_equal(running_enter(running, &a, "POST /x", "key"), -1);
    int others[] = {running_enter(running, &b, "POST /x", "key"),
                    running_enter(running, &a, "POST /y", "key"),
                    running_enter(running, &a, "POST /x", "kex")};
    for (size_t i = 0; i < PLUMB_COUNT(others); i++)
        assert_true(others[i] >= 0);
    running_leave(running, first);
    assert_true(running_enter(running, &a, "POST /x", "key") >= 0);
    running_destroy(&running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts_and_refills),
        cmocka_unit_test(charges_all_or_none),
        cmocka_unit_test(any_rate),
        cmocka_unit_test(takes_lower_rates),
        cmocka_unit_test(keeps_accounts_apart),
        cmocka_unit_test(reads_rates),
        cmocka_unit_test(keeps_guessers_out),
        cmocka_unit_test(bounds_the_table),
        cmocka_unit_test(one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
