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

static limit_t limit_of(limit_kind_t kind, uint8_t who, int64_t per_second)
{
    return (limit_t){.kind = kind, .subject = {who}, .per_second = per_second};
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
    assert_int_equal(limits_new(&limits, &err), 0);
    assert_int_equal(take_all(limits, &one, 1, SECOND), 100);
    assert_false(limits_take(limits, &one, 1, SECOND, &seen));
    assert_int_equal(seen.retry_us, SECOND / 50);
    assert_int_equal(seen.limit, 50);
    assert_int_equal(seen.remaining, 0);
    assert_false(limits_take(limits, &one, 1, SECOND + seen.retry_us - 1, &seen));
    assert_true(limits_take(limits, &one, 1, SECOND + SECOND / 50, &seen));
    assert_int_equal(take_all(limits, &one, 1, 2 * SECOND), 49);
    assert_int_equal(take_all(limits, &one, 1, 100 * SECOND), 100);
    limits_give(limits, &one, 1);
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
    assert_int_equal(limits_new(&limits, &err), 0);
    assert_int_equal(take_all(limits, both, 2, SECOND), 20);
    assert_int_equal(take_all(limits, other, 2, SECOND), 180);
    assert_int_equal(take_all(limits, other, 1, SECOND), 10000); /* 0 is no limit */
    limits_destroy(&limits);
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
        cmocka_unit_test(bursts_and_refills), cmocka_unit_test(charges_all_or_none),
        cmocka_unit_test(keeps_guessers_out), cmocka_unit_test(bounds_the_table),
        cmocka_unit_test(one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
