/* A ticket in doubt: its worker does not list it, and only the tracker knows whether it is
 * recorded. */
#include "broker_world.h"

/* What neither list nor done names may be recorded, with both words of it lost: it waits until the
 * tracker says which, for as long as that takes. */
static void unlisted_is_asked_for(void **state)
{
    (void)state;
    for (int recorded = 0; recorded < 2; recorded++) {
        world_t w;
        world_begin(&w, 1);
        world_hello(&w, world_alpha_again, world_alpha.instance, NULL, 0);
        w.deaf[TO_TRACKER] = true;
        world_live(&w, &world_alpha_again, 1, 3000);
        assert_int_equal(world_given(&w, NULL), 0); /* nobody to ask */
        w.deaf[TO_TRACKER] = false;
        world_live(&w, &world_alpha_again, 1, 60000); /* asked for, and no answer comes */
        assert_int_equal(world_given(&w, NULL), 0);
        assert_true(world_count(&w, TO_TRACKER, PLUMB_MSG_UNACKED, NULL) >= 100);
        if (recorded)
            world_ack(&w, 1);
        else
            world_answer(&w, 1);
        world_live(&w, &world_alpha_again, 1, 3000);
        assert_int_equal(world_given(&w, NULL), recorded ? 0 : 1);
        assert_int_equal(broker_tickets(w.b), recorded ? 0 : 1);
        world_fini(&w);
    }
}

/* "Not recorded" was true when it was asked.  Only what was asked since the worker let go of the
 * job tells that nothing of it was on its way. */
static void late_answers_say_nothing(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 2);
    world_unrecorded(&w, world_ticket(1, 1), broker_epoch(w.b), UINT64_MAX); /* it has it */
    plumb_held_t second = world_held(2, PLUMB_PHASE_SENT);
    world_hello(&w, world_alpha, 0, &second, 1);
    world_step(&w);
    uint64_t early = world_last(&w, TO_TRACKER, PLUMB_MSG_UNACKED)->note.instance;
    assert_true(early > 0);
    world_answer(&w, 1);
    assert_int_equal(world_given(&w, NULL), 1); /* … and let go of again */
    world_hello(&w, world_alpha_again, world_alpha.instance, &second, 1);
    world_unrecorded(&w, world_ticket(1, 1), broker_epoch(w.b), early);
    world_live(&w, &world_alpha_again, 1, 1000);
    uint64_t late = world_last(&w, TO_TRACKER, PLUMB_MSG_UNACKED)->note.instance;
    assert_true(late > early);
    world_unrecorded(&w, world_ticket(1, 1), broker_epoch(w.b), early);
    world_unrecorded(&w, world_ticket(1, 1), broker_epoch(w.b) + 1, late); /* another broker's */
    world_unrecorded(&w, world_ticket(1, 1), 0, late);
    world_unrecorded(&w, world_ticket(3, 1), broker_epoch(w.b), late); /* unknown */
    world_live(&w, &world_alpha_again, 1, 1000);
    assert_int_equal(world_given(&w, NULL), 1);
    world_unrecorded(&w, world_ticket(1, 1), broker_epoch(w.b), late);
    world_step(&w);
    assert_int_equal(world_given(&w, NULL), 2);
    world_fini(&w);
}

/* What is neither in doubt nor to be said again asks for no answer. */
static void only_doubt_wants_an_answer(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    world_done(&w, world_alpha, 1);
    world_live(&w, &world_alpha, 1, 6000);
    const said_t *asked = world_last(&w, TO_TRACKER, PLUMB_MSG_UNACKED);
    assert_true(world_names(asked, 1));
    assert_true(asked->note.instance == 0);
    world_unrecorded(&w, world_ticket(1, 1), broker_epoch(w.b), UINT64_MAX);
    assert_int_equal(broker_tickets(w.b), 1);
    world_fini(&w);
}

/* Stopping or not, what is in doubt is not given back before it is known not to be recorded. */
static void doubt_outlasts_the_stop(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w, 1);
    world_hello(&w, world_alpha_again, world_alpha.instance, NULL, 0);
    broker_stop(w.b, w.now);
    world_live(&w, &world_alpha_again, 1, 3000);
    assert_false(broker_is_idle(w.b));
    assert_int_equal(world_count(&w, TO_TRACKER, PLUMB_MSG_LOST, NULL), 0);
    world_answer(&w, 1);
    assert_true(world_last(&w, TO_TRACKER, PLUMB_MSG_LOST)->note.given_up);
    world_ack(&w, 1);
    assert_true(broker_is_idle(w.b));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unlisted_is_asked_for),
        cmocka_unit_test(late_answers_say_nothing),
        cmocka_unit_test(only_doubt_wants_an_answer),
        cmocka_unit_test(doubt_outlasts_the_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
