/* Whose turn it is: priorities, accounts, credentials, workers. */
#include "broker_world.h"

/* A place of the first job with a number from `low` to `high` among those given; -1: not given. */
static int place(const world_t *w, unsigned low, unsigned high)
{
    int given = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (w->said[i].type != PLUMB_MSG_JOB || w->said[i].port != TO_WORKER)
            continue;
        if (world_number(&w->said[i]) >= low && world_number(&w->said[i]) <= high)
            return given;
        given++;
    }
    return -1;
}

static void account_is_not_delayed(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 10000);
    plumb_job_t job;
    for (unsigned n = 1; n <= 10000; n++) {
        job = world_job_of(&w, n, 1, n % 50);
        plumb_err_t err = {0};
        assert_int_equal(plumb_job_encode(&w.frame, &job, &err), 0);
        broker_job(w.b, w.now, w.frame.data, w.frame.length);
    }
    job = world_job_of(&w, 20000, 2, 1000);
    world_put(&w, &job);
    world_hello(&w, world_wide, 0, NULL, 0);
    world_step(&w);
    assert_in_range(place(&w, 20000, 20000), 0, 1);
    world_fini(&w);
}

static void accounts_and_credentials_in_turn(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 10000);
    plumb_job_t job;
    /* account 1: credential 1 has 100 jobs, credential 2 has 10; account 2: 10 of credential 3 */
    for (unsigned n = 0; n < 100; n++) {
        job = world_job_of(&w, 1000 + n, 1, 1);
        world_put(&w, &job);
    }
    for (unsigned n = 0; n < 10; n++) {
        job = world_job_of(&w, 2000 + n, 1, 2);
        world_put(&w, &job);
        job = world_job_of(&w, 3000 + n, 2, 3);
        world_put(&w, &job);
    }
    world_worker_t worker = {"worker-0", 11, 160}; /* an account may hold 40 of its calls */
    world_hello(&w, worker, 0, NULL, 0);
    world_step(&w);
    assert_int_equal(world_between(&w, 1000, 1999), 30);
    assert_int_equal(world_between(&w, 2000, 2999), 10);
    assert_int_equal(world_between(&w, 3000, 3999), 10);
    unsigned order[3] = {1000, 2000, 3000}; /* first in, first out within each */
    for (size_t i = 0; i < w.count; i++) {
        if (w.said[i].type != PLUMB_MSG_JOB)
            continue;
        unsigned n = world_number(&w.said[i]);
        assert_int_equal(n, order[n / 1000 - 1]);
        order[n / 1000 - 1]++;
    }
    assert_in_range(place(&w, 3000, 3000), 0, 1);
    assert_in_range(place(&w, 2000, 2000), 0, 3);
    world_fini(&w);
}

/* A long job costs its account as many turns as it is long. */
static void long_jobs_cost_more(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 10000);
    static char body[160 << 10];
    memset(body, 'x', sizeof body);
    for (unsigned n = 0; n < 20; n++) {
        plumb_job_t job = world_job_of(&w, 1000 + n, 1, 1);
        job.mapping = (plumb_slice_t){body, sizeof body};
        world_put(&w, &job);
    }
    for (unsigned n = 0; n < 200; n++) {
        plumb_job_t job = world_job_of(&w, 2000 + n, 2, 2);
        world_put(&w, &job);
    }
    world_hello(&w, world_wide, 0, NULL, 0);
    world_step(&w);
    size_t before = 0; /* short ones before the tenth long one */
    unsigned longs = 0;
    for (size_t i = 0; i < w.count && longs < 10; i++) {
        if (w.said[i].type != PLUMB_MSG_JOB)
            continue;
        longs += world_number(&w.said[i]) < 2000;
        before += world_number(&w.said[i]) >= 2000;
    }
    assert_in_range(before, 90, 120);
    world_fini(&w);
}

static void priorities_share(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 100000);
    for (unsigned p = 0; p < 3; p++) {
        for (unsigned n = 0; n < 300; n++) {
            plumb_job_t job = world_job_of(&w, (p + 1) * 1000 + n, 1 + p, 1 + p);
            job.priority = (plumb_priority_t)p;
            world_put(&w, &job);
        }
    }
    world_hello(&w, world_wide, 0, NULL, 0);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 900);
    size_t seen[3] = {0};
    for (size_t i = 0, given = 0; i < w.count && given < 210; i++) {
        if (w.said[i].type != PLUMB_MSG_JOB)
            continue;
        seen[world_number(&w.said[i]) / 1000 - 1]++;
        given++;
    }
    assert_int_equal(seen[PLUMB_HIGH], 160);
    assert_int_equal(seen[PLUMB_NORMAL], 40);
    assert_int_equal(seen[PLUMB_LOW], 10);
    world_fini(&w);
}

static void workers_share(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 1000);
    static const world_worker_t workers[] = {{"worker-0", 1, 40}, {"worker-1", 2, 40}};
    world_hello(&w, workers[0], 0, NULL, 0);
    world_hello(&w, workers[1], 0, NULL, 0);
    world_put_many(&w, 1, 60);
    world_step(&w);
    assert_int_equal(world_given(&w, "worker-0"), 10);
    assert_int_equal(world_given(&w, "worker-1"), 10);
    world_fini(&w);
}

static void unreachable_worker_gets_nothing(void **state)
{
    (void)state;
    world_t w;
    world_begin_wide(&w, 10);
    world_hello(&w, world_wide, 0, NULL, 0);
    w.deaf[TO_WORKER] = true;
    world_put_many(&w, 1, 3);
    world_step(&w);
    w.deaf[TO_WORKER] = false;
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 0); /* not before it is heard again */
    world_ping(&w, world_wide);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 3);
    world_pass(&w, 5001); /* silent for longer than the fence */
    world_put_many(&w, 4, 1);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 3);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(account_is_not_delayed),
        cmocka_unit_test(accounts_and_credentials_in_turn),
        cmocka_unit_test(long_jobs_cost_more),
        cmocka_unit_test(priorities_share),
        cmocka_unit_test(workers_share),
        cmocka_unit_test(unreachable_worker_gets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
