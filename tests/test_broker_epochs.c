/* Audits, epochs, stopping, and jobs that must go alone. */
#include "broker_world.h"

/* --- audit --- */

static void audits(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 2);
    world_done(&w, world_alpha, 1);
    plumb_held_t held[] = {world_held(1, 0), world_held(2, 0), world_held(3, 0)};
    world_ask_list(&w, PLUMB_MSG_AUDIT, held, 3);
    const said_t *missing = world_last(&w, TO_CONTROL, PLUMB_MSG_MISSING);
    assert_int_equal(missing->note.instance, 9);
    assert_int_equal(missing->note.held_count, 1);
    assert_true(world_names(missing, 3));
    world_ask_list(&w, PLUMB_MSG_AUDIT, held, 3); /* asked again, it is still missing */
    assert_int_equal(world_last(&w, TO_CONTROL, PLUMB_MSG_MISSING)->note.held_count, 1);
    world_ask_list(&w, PLUMB_MSG_AUDIT, held, 2); /* a page with nothing missing is answered */
    assert_int_equal(world_last(&w, TO_CONTROL, PLUMB_MSG_MISSING)->note.held_count, 0);
    plumb_note_t other = {.type = PLUMB_MSG_AUDIT, .epoch = 5, .held = held, .held_count = 3};
    world_forget(&w);
    world_ask(&w, &other);
    assert_int_equal(w.count, 0);
    world_fini(&w);
}

/* A job that was slow on its way is pushed again by an audit; the first copy comes when all is
 * over. */
static void late_copy_does_nothing(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 0);
    plumb_held_t held = world_held(1, 0);
    world_ask_list(&w, PLUMB_MSG_AUDIT, &held, 1);
    world_put_many(&w, 1, 1);
    world_step(&w);
    world_done(&w, world_alpha, 1);
    world_ack(&w, 1);
    assert_int_equal(world_given(&w, NULL), 1);
    world_live(&w, &world_alpha, 1, 120000);
    world_put_many(&w, 1, 1);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 1);
    world_live(&w, &world_alpha, 1, 600000);
    assert_int_equal(broker_tickets(w.b), 0);
    world_fini(&w);
}

/* The same when the second copy finds no room, or its result is known before it comes. */
static void late_copy_of_what_was_given_up(void **state)
{
    (void)state;
    for (int acked_first = 0; acked_first < 2; acked_first++) {
        world_t w;
        world_begin(&w, 0);
        plumb_held_t held = world_held(1, 0);
        world_ask_list(&w, PLUMB_MSG_AUDIT, &held, 1);
        if (!acked_first) {
            world_command(&w, "drain", "");
            world_put_many(&w, 1, 1);
            world_step(&w);
            assert_true(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST)->note.given_up);
            world_command(&w, "resume", "");
        }
        world_ack(&w, 1);
        world_live(&w, &world_alpha, 1, 100000);
        world_put_many(&w, 1, 1);
        world_step(&w);
        assert_int_equal(world_given(&w, NULL), 0);
        world_fini(&w);
    }
}

/* A recall overtakes the job it means. */
static void recall_before_job(void **state)
{
    (void)state;
    for (int audited = 0; audited < 2; audited++) {
        world_t w;
        world_begin(&w, 0);
        plumb_held_t held = world_held(1, 0);
        if (audited)
            world_ask_list(&w, PLUMB_MSG_AUDIT, &held, 1);
        world_forget(&w);
        world_ask_list(&w, PLUMB_MSG_RECALL, &held, 1);
        assert_int_equal(w.count, 0);
        world_put_many(&w, 1, 1);
        world_step(&w);
        assert_int_equal(world_given(&w, NULL), 0);
        world_ask_list(&w, PLUMB_MSG_RECALL, &held, 1);
        assert_int_equal(world_count(&w, TO_CONTROL, PLUMB_MSG_RECALLED, NULL), 1);
        world_fini(&w);
    }
}

/* A job lost on its way to a living worker is found: the worker is made to list what it has. */
static void lost_between_us_is_found(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    world_live(&w, &world_alpha, 1, 130000);
    assert_true(world_names(world_last(&w, TO_TRACKER, PLUMB_MSG_UNACKED), 1));
    assert_true(world_count(&w, TO_WORKER, PLUMB_MSG_FENCED, "worker-0") > 0);
    world_put_many(&w, 2, 1);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 0); /* nothing may cross its hello */
    world_hello(&w, world_alpha, 0, NULL, 0);
    world_live(&w, &world_alpha, 1, 3000);
    assert_int_equal(world_given(&w, NULL), 1);
    world_answer(&w, 1);
    assert_int_equal(world_given(&w, NULL), 2);
    world_fini(&w);
}

/* --- epochs --- */

static void stale_jobs_are_dropped(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 0);
    plumb_job_t job = world_job(&w, 1);
    job.epoch++;
    world_put(&w, &job);
    assert_int_equal(broker_tickets(w.b), 0);
    assert_int_equal(broker_counts(w.b)->stale, 1);
    world_fini(&w);
}

static void sleeper_asks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool stands;
    } cases[] = {{"it stands", true}, {"it is dead", false}};
    for (size_t i = 0; i < PLUMB_COUNT(cases); i++) {
        world_t w;
        world_begin(&w, 1);
        uint64_t epoch = broker_epoch(w.b);
        w.now += 20000;
        world_ping(&w, world_alpha); /* what came meanwhile is no lease */
        world_put_many(&w, 2, 1);
        world_step(&w);
        assert_false(broker_takes(w.b));
        world_pass(&w, 1600);
        assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_STANDS, NULL), 4);
        assert_int_equal(world_last(&w, TO_TRACKER, PLUMB_MSG_STANDS)->note.epoch, epoch);
        assert_int_equal(w.count, 4); /* and nothing else is said */
        plumb_note_t answer = {.type = PLUMB_MSG_STANDS, .epoch = epoch + 1, .stands = true};
        world_ask(&w, &answer); /* of another */
        assert_false(broker_takes(w.b));
        answer =
            (plumb_note_t){.type = PLUMB_MSG_STANDS, .epoch = epoch, .stands = cases[i].stands};
        world_ask(&w, &answer);
        assert_true(broker_takes(w.b));
        world_step(&w);
        assert_int_equal(world_count(&w, BEACONS, PLUMB_MSG_BEACON, NULL), 1); /* at once */
        assert_true((broker_epoch(w.b) == epoch) == cases[i].stands);
        assert_int_equal(broker_tickets(w.b), cases[i].stands ? 1 : 0);
        assert_int_equal(broker_workers(w.b), cases[i].stands ? 1 : 0);
        world_ping(&w, world_alpha);
        assert_int_equal(world_count(&w, TO_WORKER, PLUMB_MSG_FENCED, NULL), !cases[i].stands);
        world_fini(&w);
    }
}

static void told_unasked_that_it_is_dead(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    uint64_t epoch = broker_epoch(w.b);
    plumb_note_t answer = {.type = PLUMB_MSG_STANDS, .epoch = epoch, .stands = false};
    world_ask(&w, &answer);
    assert_true(broker_epoch(w.b) != epoch);
    assert_int_equal(broker_tickets(w.b), 0);
    world_fini(&w);
}

/* Our own loop was slow for a while: the workers' silence is ours. */
static void own_standstill_kills_nobody(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    world_pass(&w, 6000);
    w.now += 6000; /* 12 s since the last ping, 6 of them our own */
    world_step(&w);
    assert_int_equal(broker_workers(w.b), 1);
    world_put_many(&w, 2, 1);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 0); /* but it gets nothing before it is heard */
    world_ping(&w, world_alpha);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 1);
    world_fini(&w);
}

/* --- stopping --- */

static void stops(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    world_worker_t one = {"worker-0", 11, 1};
    world_hello(&w, one, 0, NULL, 0);
    world_put_many(&w, 1, 3);
    world_step(&w);
    broker_stop(w.b, w.now);
    world_put_many(&w, 4, 1); /* too late */
    world_done(&w, one, 1);
    world_step(&w);
    const said_t *lost = world_last(&w, TO_TRACKER, PLUMB_MSG_LOST);
    assert_true(lost->note.given_up);
    assert_int_equal(lost->note.held_count, 3);
    assert_false(broker_is_idle(w.b));
    assert_int_equal(world_given(&w, NULL), 1);
    world_pass(&w, 10);
    assert_int_equal(world_last(&w, BEACONS, PLUMB_MSG_BEACON)->note.room, 0);
    for (unsigned n = 2; n <= 4; n++)
        world_ack(&w, n);
    assert_true(broker_is_idle(w.b));
    world_fini(&w);
}

/* --- a job that is blamed for a crash goes alone --- */

static void quarantine(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    world_hello(&w, world_alpha, 0, NULL, 0);
    world_put_many(&w, 1, 1);
    world_step(&w);
    plumb_job_t blamed = world_job(&w, 100);
    blamed.crashes = 1;
    world_put(&w, &blamed);
    world_put_many(&w, 2, 1);
    world_live(&w, &world_alpha, 1, 1000);
    assert_int_equal(world_given(&w, NULL), 2); /* 1 and 2; 100 waits for an idle worker */
    world_live(&w, &world_alpha, 1, 2000);      /* patience ends: nothing is put beside it */
    world_put_many(&w, 3, 1);
    world_done(&w, world_alpha, 1);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 2);
    world_done(&w, world_alpha, 2);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 3);
    assert_int_equal(world_last(&w, TO_WORKER, PLUMB_MSG_JOB)->job.delivery.b[15], 100);
    world_live(&w, &world_alpha, 1, 1000);
    assert_int_equal(world_given(&w, NULL), 3); /* still alone */
    world_done(&w, world_alpha, 100);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 4);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audits),
        cmocka_unit_test(late_copy_does_nothing),
        cmocka_unit_test(late_copy_of_what_was_given_up),
        cmocka_unit_test(recall_before_job),
        cmocka_unit_test(lost_between_us_is_found),
        cmocka_unit_test(stale_jobs_are_dropped),
        cmocka_unit_test(sleeper_asks),
        cmocka_unit_test(told_unasked_that_it_is_dead),
        cmocka_unit_test(own_standstill_kills_nobody),
        cmocka_unit_test(stops),
        cmocka_unit_test(quarantine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
