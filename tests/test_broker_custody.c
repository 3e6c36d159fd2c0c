/* The broker's custody of jobs: nobody forgets before somebody else knows. */
#include "broker_world.h"

static void goes_its_way(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    assert_int_equal(world_count(&w, BEACONS, PLUMB_MSG_BEACON, NULL), 0);
    world_step(&w);
    const said_t *beacon = world_last(&w, BEACONS, PLUMB_MSG_BEACON);
    assert_non_null(beacon);
    assert_true(beacon->note.epoch == broker_epoch(w.b));
    assert_int_equal(beacon->note.room, (4 << 20) / 5 * 4);

    world_put_many(&w, 1, 1);
    world_put_many(&w, 1, 1); /* again: known */
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 0); /* nobody is there */
    world_hello(&w, world_alpha, 0, NULL, 0);
    const said_t *welcome = world_last(&w, TO_WORKER, PLUMB_MSG_WELCOME);
    assert_non_null(welcome);
    assert_int_equal(welcome->note.clock_ms, 77);
    assert_int_equal(welcome->note.credit, 5000);
    assert_true(welcome->note.epoch == broker_epoch(w.b));
    world_step(&w);
    assert_int_equal(world_given(&w, "worker-0"), 1);
    world_done(&w, world_alpha, 1);
    assert_int_equal(broker_tickets(w.b), 1);
    world_put_many(&w, 1, 1); /* done, not acked: still known */
    world_step(&w);
    assert_int_equal(world_given(&w, "worker-0"), 1);
    world_ack(&w, 1);
    assert_int_equal(broker_tickets(w.b), 0);
    assert_int_equal(broker_held(w.b), 0);
    assert_int_equal(broker_counts(w.b)->known, 2);
    world_fini(&w);
}

static void pongs(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 0);
    world_ping(&w, world_alpha);
    const said_t *pong = world_last(&w, TO_WORKER, PLUMB_MSG_PONG);
    assert_non_null(pong);
    assert_true(pong->note.clock_ms == w.now);
    world_ping(&w, world_alpha_again); /* another instance */
    world_ping(&w, world_beta);        /* another slot */
    assert_int_equal(world_count(&w, TO_WORKER, PLUMB_MSG_FENCED, "worker-0"), 1);
    assert_int_equal(world_count(&w, TO_WORKER, PLUMB_MSG_FENCED, "worker-1"), 1);
    assert_int_equal(world_count(&w, TO_WORKER, PLUMB_MSG_PONG, NULL), 1);
    world_fini(&w);
}

static void respects_credit(void **state)
{
    (void)state;
    world_t w;
    broker_settings_t set = world_settings();
    set.destination_start = 20;
    world_init(&w, &set);
    world_worker_t worker = {"worker-0", 11, 40};
    world_hello(&w, worker, 0, NULL, 0);
    world_put_many(&w, 1, 30);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 10); /* a quarter: one account's share */
    worker.credit = 0;
    world_done(&w, worker, 1);
    world_ping(&w, worker);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 10);
    worker.credit = 40;
    world_ping(&w, worker);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 11);
    world_fini(&w);
}

/* --- the death of a worker --- */

static void silent_worker_loses_all(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 2);
    world_done(&w, world_alpha, 1);
    world_pass(&w, 9999);
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_LOST, NULL), 0);
    world_pass(&w, 1);
    const said_t *lost = world_last(&w, TO_TRACKER, PLUMB_MSG_LOST);
    assert_non_null(lost);
    assert_false(lost->note.given_up);
    assert_int_equal(lost->note.held_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(lost->held[i].done,
                         lost->held[i].ticket.delivery.b[15] == 1); /* job 1 was done */
    world_ping(&w, world_alpha);
    assert_int_equal(world_count(&w, TO_WORKER, PLUMB_MSG_FENCED, NULL), 1);
    world_forget(&w);
    world_pass(&w, 3000); /* repeated until acked */
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_LOST, NULL), 3);
    world_put_many(&w, 2, 1); /* an audit's copy of what is lost is not run */
    world_hello(&w, world_beta, 0, NULL, 0);
    world_ack(&w, 1);
    world_ack(&w, 2);
    world_forget(&w);
    world_pass(&w, 3000);
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_LOST, NULL), 0);
    assert_int_equal(world_given(&w, NULL), 0);
    assert_int_equal(broker_tickets(w.b), 0);
    world_fini(&w);
}

/* A new instance that names its predecessor lists all that had begun. */
static void heir_takes_over(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 2); /* both go: the account's share is 2 of 8 */
    plumb_held_t held[] = {world_held(1, PLUMB_PHASE_ASSIGNED), world_held(2, PLUMB_PHASE_SENT)};
    world_hello(&w, world_alpha_again, world_alpha.instance, held, 2);
    world_step(&w);
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_LOST, NULL), 0);
    assert_int_equal(world_given(&w, "worker-0"), 1); /* job 1 again */
    assert_true(world_last(&w, TO_WORKER, PLUMB_MSG_JOB)->job.delivery.b[15] == 1);
    world_ack(&w, 2); /* it sends the result of what was sent … */
    world_live(&w, &world_alpha_again, 1, 6000);
    assert_int_equal(broker_tickets(w.b), 1); /* … and has no done to say */
    world_fini(&w);
}

/* The word that it is done crosses the hello that does not list it any more. */
static void done_crosses_hello(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    world_hello(&w, world_alpha, 0, NULL, 0);
    world_step(&w);
    world_done(&w, world_alpha, 1);
    world_live(&w, &world_alpha, 1, 4000);
    assert_int_equal(world_given(&w, NULL), 0);
    world_ack(&w, 1);
    assert_int_equal(broker_tickets(w.b), 0);
    world_fini(&w);
}

/* What another broker's start had given it, and it does not list any more, may have been sent. */
static void foreign_work_may_be_lost(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 0);
    plumb_held_t held = world_held(1, PLUMB_PHASE_SENT);
    world_hello(&w, world_alpha, 0, &held, 1);
    world_hello(&w, world_alpha, 0, NULL, 0);
    world_live(&w, &world_alpha, 1, 4000);
    assert_null(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST)); /* it may be recorded as well */
    world_answer(&w, 1);
    const said_t *lost = world_last(&w, TO_TRACKER, PLUMB_MSG_LOST);
    assert_true(world_names(lost, 1));
    assert_false(lost->note.given_up);
    world_fini(&w);
}

/* A living instance names itself: what it lists as not begun it has, whoever knows of it. */
static void names_itself(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 0);
    plumb_held_t held = world_held(1, PLUMB_PHASE_ASSIGNED);
    world_hello(&w, world_beta, world_beta.instance, &held, 1);
    assert_int_equal(broker_tickets(w.b), 1);
    world_hello(&w, world_alpha_again, world_alpha.instance, &held,
                1); /* of its file: it has it not */
    world_say(&w, world_beta, PLUMB_MSG_RETURN, 1);
    world_step(&w);
    assert_true(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST)->note.given_up);
    world_fini(&w);
}

/* Whoever was not welcomed does not own its flight file: its heir names whom it had named. */
static void heir_of_the_unwelcomed(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 2);
    plumb_held_t held = world_held(2, PLUMB_PHASE_SENT);
    world_worker_t again = world_alpha;
    for (int i = 0; i < 3; i++) {
        again.instance++;
        world_hello(&w, again, world_alpha.instance, &held, 1);
        world_step(&w);
        world_answer(&w, 1); /* so it goes out again, and is not heard of */
        assert_int_equal(world_given(&w, NULL), i + 1);
    }
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_LOST, NULL), 0);
    again.instance++;
    world_hello(&w, again, 0, NULL, 0); /* without its file */
    world_step(&w);
    assert_true(world_names(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST), 2));
    world_fini(&w);
}

static void stranger_in_the_slot(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    world_hello(&w, world_alpha_again, 999, NULL, 0); /* names somebody else as predecessor */
    world_step(&w);
    assert_true(world_names(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST), 1));
    assert_int_equal(world_given(&w, NULL), 0);
    world_fini(&w);
}

/* Its file tells of an instance that we never heard of, between the one we know and itself: what it
 * lists it took over all the same. */
static void stranger_lists(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    world_worker_t wide = {"worker-0", 11, 40};
    world_hello(&w, wide, 0, NULL, 0);
    world_put_many(&w, 1, 5);
    world_step(&w);
    world_done(&w, wide, 4);
    world_done(&w, wide, 5);
    plumb_held_t held[] = {world_held(1, PLUMB_PHASE_SENT), world_held(2, PLUMB_PHASE_ASSIGNED),
                           world_held(4, PLUMB_PHASE_ANSWERED)};
    world_forget(&w);
    wide.instance = 13;
    world_hello(&w, wide, 12, held, 3);
    world_step(&w);
    const said_t *lost = world_last(&w, TO_TRACKER, PLUMB_MSG_LOST);
    assert_int_equal(lost->note.held_count, 2);
    assert_true(world_names(lost, 3) && world_names(lost, 5));
    assert_int_equal(world_given(&w, NULL), 1); /* 2, which never began */
    world_fini(&w);
}

static void hello_twice(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 2);
    plumb_held_t held[] = {world_held(1, PLUMB_PHASE_SENT), world_held(2, PLUMB_PHASE_ASSIGNED)};
    for (int i = 0; i < 2; i++)
        world_hello(&w, world_alpha, 0, held, 2);
    world_live(&w, &world_alpha, 1, 3000);
    assert_int_equal(world_given(&w, NULL), 0); /* it has both */
    world_hello(&w, world_alpha, 0, held, 1);   /* lacks the second: lost on the way */
    world_live(&w, &world_alpha, 1, 3000);
    world_answer(&w, 2);
    assert_int_equal(world_given(&w, NULL), 1);
    world_hello(&w, world_alpha, 0, held + 1,
                1); /* what had begun is gone: it may have been sent */
    world_live(&w, &world_alpha, 1, 3000);
    world_answer(&w, 1);
    assert_int_equal(world_given(&w, NULL), 1);
    assert_true(world_names(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST), 1));
    world_fini(&w);
}

/* After a restart of the broker workers list what runs; its results come in time. */
static void foreign_work_counts(void **state)
{
    (void)state;
    world_t w;
    broker_settings_t set = world_settings();
    world_init(&w, &set);
    plumb_held_t held[] = {world_held(1, PLUMB_PHASE_SENT), world_held(2, PLUMB_PHASE_PLUGIN)};
    world_worker_t small = {"worker-0", 11, 3};
    world_hello(&w, small, 0, held, 2);
    world_put_many(&w, 1, 1); /* an audit's copy */
    world_put_many(&w, 3, 3);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 1); /* credit 3, two run */
    world_done(&w, small, 1);
    world_ack(&w, 1);
    world_ack(&w, 2); /* its done may never come */
    world_ping(&w, small);
    world_done(&w, small, 3);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 2);
    world_fini(&w);
}

static void foreign_work_is_asked_for(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    plumb_held_t held = world_held(1, PLUMB_PHASE_SENT);
    world_hello(&w, world_alpha, 0, &held, 1);
    world_live(&w, &world_alpha, 1, 4900);
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_UNACKED, NULL), 0);
    world_live(&w, &world_alpha, 1, 600);
    assert_true(world_names(world_last(&w, TO_TRACKER, PLUMB_MSG_UNACKED), 1));
    world_fini(&w);
}

/* --- acks, returns, recalls --- */

static void unacked_is_said_again(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    world_done(&w, world_alpha, 1);
    world_live(&w, &world_alpha, 1, 4999);
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_UNACKED, NULL), 0);
    world_live(&w, &world_alpha, 1, 10001);
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_UNACKED, NULL), 3);
    world_fini(&w);
}

static void ack_before_done(void **state)
{
    (void)state;
    for (int done_comes = 0; done_comes < 2; done_comes++) {
        world_t w;
        world_begin(&w, 1);
        world_ack(&w, 1);
        assert_int_equal(broker_tickets(w.b), 1); /* its credit is still out */
        if (done_comes)
            world_done(&w, world_alpha, 1);
        else
            world_live(&w, &world_alpha, 1, 5500);
        assert_int_equal(broker_tickets(w.b), 0);
        assert_int_equal(broker_held(w.b), 0);
        world_fini(&w);
    }
}

static void ack_of_what_waits(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    world_put_many(&w, 1, 2);
    world_ack(&w, 1);
    world_hello(&w, world_alpha, 0, NULL, 0);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 1);
    world_fini(&w);
}

static void returned_goes_first(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    world_worker_t one = {"worker-0", 11, 1};
    world_hello(&w, one, 0, NULL, 0);
    world_put_many(&w, 1, 3);
    world_step(&w);
    world_say(&w, one, PLUMB_MSG_RETURN, 1);
    world_step(&w);
    assert_int_equal(world_given(&w, "worker-0"), 1); /* not to it at once */
    world_hello(&w, world_beta, 0, NULL, 0);
    world_step(&w);
    const said_t *job = world_last(&w, TO_WORKER, PLUMB_MSG_JOB);
    assert_string_equal(job->to, "worker-1");
    bool first = false;
    for (size_t i = 0; i < w.count && !first; i++) {
        first = w.said[i].type == PLUMB_MSG_JOB && strcmp(w.said[i].to, "worker-1") == 0;
        if (first)
            assert_int_equal(w.said[i].job.delivery.b[15], 1);
    }
    assert_true(first);
    world_fini(&w);
}

static void recalls(void **state)
{
    (void)state;
    world_t w;
    world_init(&w, NULL);
    world_worker_t one = {"worker-0", 11, 1};
    world_hello(&w, one, 0, NULL, 0);
    world_put_many(&w, 1, 2); /* 1 goes out, 2 waits */
    world_step(&w);
    plumb_held_t held[] = {world_held(1, 0), world_held(2, 0), world_held(3, 0)};
    world_ask_list(&w, PLUMB_MSG_RECALL, held, 3);
    const said_t *answer = world_last(&w, TO_CONTROL, PLUMB_MSG_RECALLED);
    assert_string_equal(answer->to, "asker");
    assert_int_equal(answer->note.held_count, 1);
    assert_true(world_names(answer, 2));
    assert_true(world_names(world_last(&w, TO_WORKER, PLUMB_MSG_RECALL), 1));
    world_say(&w, one, PLUMB_MSG_RECALLED, 1);
    assert_true(world_names(world_last(&w, TO_TRACKER, PLUMB_MSG_RECALLED), 1));
    world_forget(&w);
    world_ask_list(&w, PLUMB_MSG_RECALL, held, 3); /* an answer may be lost; 3 never came */
    assert_int_equal(world_last(&w, TO_CONTROL, PLUMB_MSG_RECALLED)->note.held_count, 3);
    world_put_many(&w, 1, 3); /* late copies */
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 0);
    world_live(&w, &one, 1, 31000);
    assert_int_equal(broker_tickets(w.b), 0);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_its_way),
        cmocka_unit_test(pongs),
        cmocka_unit_test(respects_credit),
        cmocka_unit_test(silent_worker_loses_all),
        cmocka_unit_test(heir_takes_over),
        cmocka_unit_test(done_crosses_hello),
        cmocka_unit_test(foreign_work_may_be_lost),
        cmocka_unit_test(names_itself),
        cmocka_unit_test(heir_of_the_unwelcomed),
        cmocka_unit_test(stranger_in_the_slot),
        cmocka_unit_test(stranger_lists),
        cmocka_unit_test(hello_twice),
        cmocka_unit_test(foreign_work_counts),
        cmocka_unit_test(foreign_work_is_asked_for),
        cmocka_unit_test(unacked_is_said_again),
        cmocka_unit_test(ack_before_done),
        cmocka_unit_test(ack_of_what_waits),
        cmocka_unit_test(returned_goes_first),
        cmocka_unit_test(recalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
