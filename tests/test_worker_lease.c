/* The lease: what renews it, what ends it, what may start under it. */
#include "lease.h"

#include "count.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FENCE 5000
#define PING 1000
#define START 100000
#define EPOCH 7

/* A worker that was welcomed at START. */
static lease_t welcomed(void)
{
    lease_t l;
    lease_init(&l, 1, FENCE, PING, START);
    lease_sent(&l, LEASE_HELLO, START);
    assert_int_equal(lease_welcome(&l, EPOCH, START, 0), LEASE_WELCOMED);
    return l;
}

static void begins_with_hello(void **state)
{
    (void)state;
    lease_t l;
    lease_init(&l, 1, FENCE, PING, START);
    assert_int_equal(lease_due(&l, START), LEASE_HELLO);
    assert_false(lease_stands(&l, START));
    assert_false(lease_takes(&l, EPOCH));
    lease_unsent(&l, START);
    assert_int_equal(lease_due(&l, START + 99), LEASE_NOTHING);
    assert_int_equal(lease_due(&l, START + 100), LEASE_HELLO);
    lease_sent(&l, LEASE_HELLO, START + 100);
    assert_int_equal(lease_due(&l, START + 100 + PING), LEASE_HELLO); /* until it is answered */
    assert_int_equal(lease_pong(&l, EPOCH, START + 100), LEASE_IGNORED);
    assert_int_equal(lease_welcome(&l, EPOCH, START + 100, 0), LEASE_WELCOMED);
    assert_int_equal(lease_due(&l, START + 100 + PING), LEASE_PING);
    assert_true(lease_takes(&l, EPOCH));
    assert_false(lease_takes(&l, EPOCH + 1));
}

static void counts_from_what_was_sent(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t ping, pong_for, now; /* relative to START; pong_for -1: none came */
        bool stands;
    } rows[] = {
        {"welcome alone", 1000, -1, FENCE - 1, true},
        {"welcome too old", 1000, -1, FENCE, false},
        {"a late pong counts from its ping", 1000, 1000, 1000 + FENCE - 1, true},
        {"… and not from its arrival", 1000, 1000, 1000 + FENCE, false},
        {"a pong for what was never sent", 1000, 1001, FENCE, false},
        {"a pong from before this process", 1000, -5, FENCE, false},
    };
    for (size_t i = 0; i < PLUMB_COUNT(rows); i++) {
        lease_t l = welcomed();
        lease_sent(&l, LEASE_PING, START + rows[i].ping);
        if (rows[i].pong_for != -1)
            lease_pong(&l, EPOCH, START + rows[i].pong_for);
        if (lease_stands(&l, START + rows[i].now) != rows[i].stands)
            fail_msg("%s", rows[i].name);
        assert_int_equal(lease_lets(&l, EPOCH, START + rows[i].now), rows[i].stands);
        assert_false(lease_lets(&l, EPOCH + 1, START + rows[i].now));
        assert_false(lease_lets(&l, 0, START + rows[i].now));
    }
}

static void older_pong_takes_nothing_back(void **state)
{
    (void)state;
    lease_t l = welcomed();
    lease_sent(&l, LEASE_PING, START + 1000);
    lease_sent(&l, LEASE_PING, START + 2000);
    lease_pong(&l, EPOCH, START + 2000);
    lease_pong(&l, EPOCH, START + 1000);
    assert_true(lease_stands(&l, START + 2000 + FENCE - 1));
}

static void broker_may_shorten_the_fence(void **state)
{
    (void)state;
    lease_t l;
    lease_init(&l, 1, FENCE, PING, START);
    lease_sent(&l, LEASE_HELLO, START);
    lease_welcome(&l, EPOCH, START, 2000);
    assert_true(lease_stands(&l, START + 1999));
    assert_false(lease_stands(&l, START + 2000));
    lease_greet(&l);
    lease_sent(&l, LEASE_HELLO, START);
    lease_welcome(&l, EPOCH, START, 9000); /* but not lengthen it */
    assert_false(lease_stands(&l, START + 2000));
}

static void fenced(void **state)
{
    (void)state;
    lease_t l = welcomed();
    lease_sent(&l, LEASE_PING, START + 1000);
    assert_int_equal(lease_fenced(&l), LEASE_LOST);
    assert_false(lease_stands(&l, START + 1000));
    assert_false(lease_takes(&l, EPOCH));
    assert_int_equal(lease_due(&l, START + 1001), LEASE_HELLO); /* at once */
    assert_int_equal(lease_pong(&l, EPOCH, START + 1000), LEASE_IGNORED);
    assert_false(lease_stands(&l, START + 1000));
    lease_sent(&l, LEASE_HELLO, START + 1001);
    assert_int_equal(lease_welcome(&l, EPOCH, START, 0), LEASE_IGNORED); /* of an older hello */
    assert_int_equal(lease_welcome(&l, EPOCH, START + 1001, 0), LEASE_WELCOMED);
    assert_true(lease_lets(&l, EPOCH, START + 1001));
}

static void another_epoch(void **state)
{
    (void)state;
    lease_t l = welcomed();
    lease_sent(&l, LEASE_PING, START + 1000);
    assert_int_equal(lease_pong(&l, EPOCH + 1, START + 1000), LEASE_LOST);
    assert_false(lease_lets(&l, EPOCH, START + 1000));
    assert_false(lease_lets(&l, EPOCH + 1, START + 1000));
    lease_sent(&l, LEASE_HELLO, START + 1001);
    assert_int_equal(lease_welcome(&l, EPOCH + 1, START + 1001, 0), LEASE_WELCOMED);
    assert_false(lease_lets(&l, EPOCH, START + 1001)); /* what began before waits for adoption */
    assert_true(lease_lets(&l, EPOCH + 1, START + 1001));

    /* A hello of ours that a new broker answered did list what had not begun: say it again. */
    lease_greet(&l);
    lease_sent(&l, LEASE_HELLO, START + 2000);
    assert_int_equal(lease_welcome(&l, EPOCH + 2, START + 2000, 0), LEASE_LOST);
    assert_false(lease_takes(&l, EPOCH + 2));
    assert_int_equal(lease_due(&l, START + 2001), LEASE_HELLO);
}

static void greets_without_losing(void **state)
{
    (void)state;
    lease_t l = welcomed();
    lease_greet(&l);
    assert_true(lease_lets(&l, EPOCH, START + 1)); /* calls go on */
    assert_false(lease_takes(&l, EPOCH));          /* jobs that crossed the hello are not taken */
    assert_int_equal(lease_welcome(&l, EPOCH, START, 0), LEASE_IGNORED);
    lease_sent(&l, LEASE_HELLO, START + 5);
    assert_int_equal(lease_welcome(&l, EPOCH, START + 5, 0), LEASE_WELCOMED);
    assert_true(lease_takes(&l, EPOCH));
}

/* The answer to the first would pass for that to the second, whose list may be another. */
static void no_two_hellos_at_one_time(void **state)
{
    (void)state;
    lease_t l = welcomed();
    lease_sent(&l, LEASE_PING, START + 1000);
    for (int i = 0; i < 3; i++) {
        lease_greet(&l);
        assert_int_equal(lease_due(&l, START + 1000 + i), LEASE_NOTHING);
        assert_int_equal(lease_due(&l, START + 1001 + i), LEASE_HELLO);
        lease_sent(&l, LEASE_HELLO, START + 1001 + i);
    }
    assert_int_equal(lease_welcome(&l, EPOCH, START + 1002, 0), LEASE_IGNORED);
    assert_int_equal(lease_welcome(&l, EPOCH, START + 1003, 0), LEASE_WELCOMED);
}

static void offers_capacity(void **state)
{
    (void)state;
    assert_int_equal(lease_capacity(512, 0, 2048, false), 512);
    assert_int_equal(lease_capacity(512, 2048, 2048, false), 512);
    assert_int_equal(lease_capacity(512, 2049, 2048, false), 0);
    assert_int_equal(lease_capacity(512, 0, 2048, true), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_with_hello),
        cmocka_unit_test(counts_from_what_was_sent),
        cmocka_unit_test(older_pong_takes_nothing_back),
        cmocka_unit_test(broker_may_shorten_the_fence),
        cmocka_unit_test(fenced),
        cmocka_unit_test(another_epoch),
        cmocka_unit_test(greets_without_losing),
        cmocka_unit_test(no_two_hellos_at_one_time),
        cmocka_unit_test(offers_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
