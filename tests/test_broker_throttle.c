/* Throttle keys and Retry-After. */
#include "broker_world.h"

static void throttled_put(world_t *w, unsigned n, unsigned c, const char *key, uint32_t rate,
                          uint32_t burst)
{
    plumb_job_t job = world_job_of(w, n, c, c);
    job.throttles[0] =
        (plumb_throttle_t){.key = {key, strlen(key)}, .per_kilosecond = rate, .burst = burst};
    job.throttle_count = 1;
    world_put(w, &job);
}

static void throttle_rates(void **state)
{
    (void)state;
    static const struct {
        uint32_t per_kilosecond, burst;
        size_t at_once, after_10_s;
    } cases[] = {{7000, 1, 1, 71}, {7000, 7, 7, 77}, {500, 1, 1, 6}, {0, 0, 200, 200}};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        world_t w;
        world_begin_wide(&w, 1000);
        world_hello(&w, world_wide, 0, NULL, 0);
        for (unsigned n = 0; n < 200; n++) /* four credentials share one key */
            throttled_put(&w, n, n % 4, "a/0/host", cases[i].per_kilosecond, cases[i].burst);
        world_step(&w);
        assert_int_equal(world_given(&w, NULL), cases[i].at_once);
        world_live(&w, &world_wide, 1, 10000);
        assert_in_range(world_given(&w, NULL), cases[i].after_10_s - 1, cases[i].after_10_s);
        world_fini(&w);
    }
}

/* All keys are looked at before any is charged; another key is not held up. */
static void throttle_levels(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 1000);
    world_hello(&w, world_wide, 0, NULL, 0);
    for (unsigned n = 0; n < 20; n++) {
        plumb_job_t job = world_job_of(&w, n, 1, 1 + n % 2);
        job.throttles[0] =
            (plumb_throttle_t){.key = WORLD_SLICE("a/0/"), .per_kilosecond = 4000, .burst = 1};
        job.throttles[1] = (plumb_throttle_t){.key = {n % 2 ? "a/1/x" : "a/1/y", 5},
                                              .per_kilosecond = n % 2 ? 1000 : 4000,
                                              .burst = 1};
        job.throttle_count = 2;
        world_put(&w, &job);
    }
    throttled_put(&w, 100, 3, "b/0/z", 1000, 1);
    world_step(&w);
    assert_int_equal(world_between(&w, 100, 100), 1);
    world_live(&w, &world_wide, 1, 2500);
    assert_in_range(world_between(&w, 0, 19), 10, 11); /* four a second */
    size_t x = 0;
    for (unsigned n = 1; n < 20; n += 2)
        x += world_between(&w, n, n);
    assert_in_range(x, 2, 3); /* one a second of them */
    world_fini(&w);
}

static void retry_after_holds_the_key(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 1000);
    world_hello(&w, world_wide, 0, NULL, 0);
    throttled_put(&w, 1, 1, "a/0/host", 0, 0);
    world_step(&w);
    world_done_as(&w, world_wide, world_ticket(1, 1), PLUMB_OUT_throttled, 3000);
    throttled_put(&w, 2, 2, "a/0/host", 0, 0); /* another credential, the same account there */
    throttled_put(&w, 3, 3, "a/0/other", 0, 0);
    world_step(&w);
    assert_int_equal(world_between(&w, 2, 2), 0);
    assert_int_equal(world_between(&w, 3, 3), 1);
    world_pass(&w, 20);
    const said_t *beacon = world_last(&w, BEACONS, PLUMB_MSG_BEACON);
    assert_int_equal(beacon->lane_count, 2);
    world_live(&w, &world_wide, 1, 2900);
    assert_int_equal(world_between(&w, 2, 2), 0);
    world_live(&w, &world_wide, 1, 200);
    assert_int_equal(world_between(&w, 2, 2), 1);
    assert_int_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->lane_count, 0);
    world_fini(&w);
}

/* A key that names the whole channel is nobody's account: then the credential is held. */
static void retry_after_without_key(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 1000);
    world_hello(&w, world_wide, 0, NULL, 0);
    throttled_put(&w, 1, 1, "a/0/", 0, 0);
    world_step(&w);
    world_done_as(&w, world_wide, world_ticket(1, 1), PLUMB_OUT_retry, 3000);
    throttled_put(&w, 2, 1, "a/0/", 0, 0);
    throttled_put(&w, 3, 2, "a/0/", 0, 0);
    world_step(&w);
    assert_int_equal(world_between(&w, 2, 2), 0);
    assert_int_equal(world_between(&w, 3, 3), 1);
    world_live(&w, &world_wide, 1, 3000);
    assert_int_equal(world_between(&w, 2, 2), 1);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(throttle_rates),
        cmocka_unit_test(throttle_levels),
        cmocka_unit_test(retry_after_holds_the_key),
        cmocka_unit_test(retry_after_without_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
